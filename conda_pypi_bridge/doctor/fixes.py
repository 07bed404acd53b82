"""Carrying out what is safe: pip's copies become conda packages, what nobody needs is deleted.

No file that somebody may have edited is lost: what holds one is left alone, or, where the user names the
package, the file is kept beside the new one. Nor does a stranger of the same name and version take the
place of what pip placed: see `likeness`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol, cast

from .. import bridge
from ..engines import Engine
from ..errors import BridgeError, Cancelled
from ..index import Index
from ..locks import scratch
from ..model import CondaName, InstalledDist, Plan, ProjectName
from ..options import Options
from ..prefix import Prefix, delete, held
from ..prefix.health import is_altered
from ..prefix.surroundings import is_needless, is_settled
from ..report import Reporter
from ..store import cache_folder
from .likeness import IndexForRepair, Unlike, check
from .model import Deletion, Finding, Replacement

#: An engine for a prefix seen in a certain way, the index, and how to install.
Open = Callable[[Prefix], tuple[Engine, Index, Options]]


class Terminal(Reporter, Protocol):
    """A reporter that can put a question."""

    def agree(self, text: str) -> bool:
        """Show what is about to happen; whether the user says yes."""
        ...


@dataclass(frozen=True, kw_only=True)
class Repair:
    """What was put right, or would be; and what was left, each with the reason."""

    fixed: Sequence[Finding]
    left: Sequence[tuple[Finding, str]]

    def seen_again(self, found: Sequence[Finding]) -> Repair:
        """After another look: what is found once more was not put right."""
        there = {(finding.kind, finding.subject) for finding in found}
        still = [finding for finding in self.fixed if (finding.kind, finding.subject) in there]
        fixed = [finding for finding in self.fixed if finding not in still]
        return Repair(fixed=fixed, left=[*self.left, *((finding, "it is still so") for finding in still)])


@dataclass(frozen=True, kw_only=True)
class _Fix:
    """A finding with its replacement, and the files that go with it although somebody edited them."""

    finding: Finding
    remedy: Replacement
    edited: Sequence[Path]


def _fix_of(prefix: Path, finding: Finding) -> _Fix:
    remedy = cast(Replacement, finding.remedy)
    edited = [prefix / file.path for file in remedy.files if is_altered(prefix, file)]
    return _Fix(finding=finding, remedy=remedy, edited=edited)


@dataclass(frozen=True)
class _UnderRepair(Prefix):
    """A prefix in which pip's copies of some projects count as gone, and some packages as broken."""

    gone: frozenset[ProjectName] = frozenset()
    again: frozenset[CondaName] = frozenset()

    @property
    def dists(self) -> tuple[InstalledDist, ...]:
        return tuple(d for d in super().dists if d.owner is not None or d.project not in self.gone)

    @cached_property
    def broken(self) -> frozenset[CondaName]:
        return super().broken | self.again


@dataclass
class _Fixer:
    """Carries out remedies; `fixed` and `left` grow as it does. See `fix`."""

    prefix: Path
    opened: Open
    terminal: Terminal
    dry_run: bool
    fixed: list[Finding] = field(default_factory=list)
    left: list[tuple[Finding, str]] = field(default_factory=list)

    def delete(self, findings: Sequence[Finding]) -> None:
        """Delete leftovers, after one question."""
        listed = "".join(f"\n  {finding.name}" for finding in findings)
        if not self.dry_run:
            if not self.terminal.agree(f"To be deleted:{listed}"):
                self.left += [(finding, "not wanted") for finding in findings]
                return
            with held(Prefix(self.prefix), self.terminal):
                findings = [finding for finding in findings if self._deleted(finding)]
        self.fixed += findings

    def _deleted(self, finding: Finding) -> bool:
        """Delete a leftover, unless it has changed while the user was asked; whether it is gone."""
        path = cast(Deletion, finding.remedy).path
        if not (is_settled(path) and is_needless(path)):
            self.left.append((finding, "it has changed since it was found"))
            return False
        delete(path)
        return True

    def replace(self, findings: Sequence[Finding], *, keep: bool) -> None:
        """Install conda packages, all together, or else those that can be; `keep` edited files aside."""
        ready: list[_Fix] = []
        for finding in findings:
            one = _fix_of(self.prefix, finding)
            if one.edited and not keep:
                file = one.edited[0].relative_to(self.prefix).as_posix()
                self.left.append((finding, f"{file} was changed since it was placed, and is not overwritten"))
            else:
                ready.append(one)
        if ready:
            named = frozenset(dist.project for one in ready for dist in one.remedy.dists if keep)
            with scratch(cache_folder()) as folder:
                self._attempt(ready, named, folder)

    def _attempt(self, fixes: Sequence[_Fix], named: frozenset[ProjectName], folder: Path) -> None:
        """All in one transaction, but those that the index has otherwise; if it fails, each by itself."""
        try:
            self._transact(fixes, named, folder)
        except Cancelled:
            self.left += [(one.finding, "not wanted") for one in fixes]
        except BridgeError as error:
            refused = _unlike(fixes, error) or [(one, str(error)) for one in fixes if len(fixes) == 1]
            self.left += [(one.finding, reason) for one, reason in refused]
            out = [one for one, _ in refused]
            rest = [one for one in fixes if one not in out]
            for group in [rest] if out and rest else [[one] for one in rest]:
                self._attempt(group, named, folder)

    def _transact(self, fixes: Sequence[_Fix], named: frozenset[ProjectName], folder: Path) -> None:
        """Carry out remedies in one transaction; wheels that are looked into are kept in `folder`."""
        taken = [dist for one in fixes for dist in one.remedy.dists]
        seen = _UnderRepair(
            self.prefix,
            gone=frozenset(dist.project for dist in taken),
            again=frozenset(name for one in fixes for name in one.remedy.again),
        )
        kept = {file: _free_name(file) for one in fixes for file in one.edited}
        engine, index, options = self.opened(seen)
        others = {dist.project: dist.version for dist in seen.dists if dist.owner is None}
        frozen = IndexForRepair(index, folder, others)
        replacing = _Replacing(engine, Prefix(self.prefix), taken, kept, frozen, named)
        bridge.install(
            [one.remedy.spec for one in fixes],
            cast(Engine, replacing),
            lambda: cast(Index, frozen),
            options,
            self.terminal,
        )
        for file, place in kept.items():
            self.terminal.warn(f"{file} was changed since it was placed: kept as {place.name}")
        self.fixed += [one.finding for one in fixes]


def _unlike(fixes: Sequence[_Fix], error: BridgeError) -> list[tuple[_Fix, str]]:
    """Those of the fixes whose copy something else would take the place of, and the reason."""
    reasons = error.reasons if isinstance(error, Unlike) else {}
    return [
        (one, reasons[dist.project]) for one in fixes for dist in one.remedy.dists if dist.project in reasons
    ]


class _Replacing:
    """An engine that has pip's copies, and files that somebody edited, out of the way while it links.

    Before the user is asked it compares what comes with what goes.
    """

    def __init__(
        self,
        engine: Engine,
        prefix: Prefix,
        dists: Sequence[InstalledDist],
        kept: Mapping[Path, Path],
        index: IndexForRepair,
        named: frozenset[ProjectName],
    ) -> None:
        self._engine = engine
        self._prefix = prefix
        self._dists = dists
        self._kept = kept
        self._index = index
        self._named = named

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    def confirm(self, plan: Plan, reporter: Reporter) -> bool:
        # pip's copies of what the packages require may give way too
        placed = [*self._dists, *self._engine.replaced(plan)]
        reporter.phase("Comparing with what pip placed")
        check(plan, placed, self._prefix, self._engine.names, self._index, self._named)
        return self._engine.confirm(plan, reporter)

    def link(
        self, plan: Plan, replaced: Sequence[InstalledDist] = (), renamed: Mapping[Path, Path] | None = None
    ) -> None:
        coming = {row.name for row in plan.link}
        taken = [d for d in self._dists if self._engine.names.conda_name(d.project) in coming]
        self._engine.link(plan, [*taken, *replaced], {**self._kept, **(renamed or {})})


def _free_name(file: Path) -> Path:
    """A name beside a file that nothing has yet: ``NAME.edited``, ``NAME.edited2`` and so on."""
    names = (file.with_name(f"{file.name}.edited{number or ''}") for number in (0, *range(2, 1000)))
    return next(name for name in names if not name.exists())


def fix(
    findings: Sequence[Finding],
    prefix: Path,
    *,
    opened: Open,
    terminal: Terminal,
    dry_run: bool = False,
    keep: bool = False,
) -> Repair:
    """Carry out the remedies of findings, after asking.

    `terminal` is asked about deletions, and by the engine about packages. `keep` says that edited
    files may be moved aside. Nothing is written with `dry_run`.
    """
    fixer = _Fixer(prefix=prefix, opened=opened, terminal=terminal, dry_run=dry_run)
    deletions = [finding for finding in findings if isinstance(finding.remedy, Deletion)]
    if deletions:
        fixer.delete(deletions)
    replacements = [finding for finding in findings if isinstance(finding.remedy, Replacement)]
    if replacements:
        fixer.replace(replacements, keep=keep)
    return Repair(fixed=fixer.fixed, left=fixer.left)
