"""Carrying out what is safe: pip's copies become conda packages, what nobody needs is deleted.

No file that somebody may have edited is lost: what holds one is left alone, or, where the user names the
package, the file is kept beside the new one.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol, cast

from .. import bridge
from ..engines import Engine
from ..errors import BridgeError, Cancelled
from ..index import Index
from ..model import CondaName, InstalledDist, Plan, ProjectName
from ..prefix import Prefix, held, is_altered, set_aside
from ..report import Reporter
from .model import Deletion, Finding, Replacement

#: An engine for a prefix seen in a certain way, the index, and how to install.
Open = Callable[[Prefix], tuple[Engine, Index, bridge.Options]]


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
class _Case:
    """A finding with its replacement, and the files that go with it although somebody edited them."""

    finding: Finding
    remedy: Replacement
    edited: Sequence[Path]


def _case(prefix: Path, finding: Finding) -> _Case:
    remedy = cast(Replacement, finding.remedy)
    edited = [prefix / file.path for file in remedy.files if is_altered(prefix, file)]
    return _Case(finding=finding, remedy=remedy, edited=edited)


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
class _Surgeon:
    """See `fix`."""

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
                for finding in findings:
                    _delete(cast(Deletion, finding.remedy).path)
        self.fixed += findings

    def replace(self, findings: Sequence[Finding], *, keep: bool) -> None:
        """Install conda packages, all together, or else those that can be; `keep` edited files aside."""
        ready: list[_Case] = []
        for finding in findings:
            case = _case(self.prefix, finding)
            if case.edited and not keep:
                file = case.edited[0].relative_to(self.prefix).as_posix()
                self.left.append((finding, f"{file} was changed since it was placed, and is not overwritten"))
            else:
                ready.append(case)
        if ready and not self._attempt(ready, last=len(ready) == 1):
            for case in ready:
                self._attempt([case], last=True)

    def _attempt(self, cases: Sequence[_Case], *, last: bool) -> bool:
        """One transaction; what the last attempt cannot do is noted. Whether there is no more to try."""
        taken = [dist for case in cases for dist in case.remedy.dists]
        seen = _UnderRepair(
            self.prefix,
            gone=frozenset(dist.project for dist in taken),
            again=frozenset(name for case in cases for name in case.remedy.again),
        )
        kept = {file: _free_name(file) for case in cases for file in case.edited}
        try:
            engine, index, options = self.opened(seen)
            replacing = cast(Engine, _Replacing(engine, Prefix(self.prefix), taken, kept))
            bridge.install([case.remedy.spec for case in cases], replacing, index, options, self.terminal)
        except Cancelled:
            self.left += [(case.finding, "not wanted") for case in cases]
            return True
        except BridgeError as error:
            if last:
                self.left += [(case.finding, str(error)) for case in cases]
            return last
        for file, place in kept.items():
            self.terminal.warn(f"{file} was changed since it was placed: kept as {place.name}")
        self.fixed += [case.finding for case in cases]
        return True


class _Replacing:
    """An engine that has pip's copies, and files that somebody edited, out of the way while it links."""

    def __init__(
        self, engine: Engine, prefix: Prefix, dists: Sequence[InstalledDist], kept: Mapping[Path, Path]
    ) -> None:
        self._engine = engine
        self._prefix = prefix
        self._dists = dists
        self._kept = kept

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    def link(self, plan: Plan) -> None:
        coming = {row.name for row in plan.link}
        replaced = [d for d in self._dists if self._engine.names.conda_name(d.project) in coming]
        with _renamed(self._kept), set_aside(self._prefix, replaced):
            self._engine.link(plan)


@contextmanager
def _renamed(names: Mapping[Path, Path]) -> Iterator[None]:
    """Files under other names, for good unless the body fails."""
    moved: list[tuple[Path, Path]] = []
    try:
        for file, place in names.items():
            moved.append((file, file.rename(place)))
        yield
    except BaseException:
        for file, place in moved:
            place.replace(file)
        raise


def _free_name(file: Path) -> Path:
    """A name beside a file that nothing has yet: ``NAME.edited``, ``NAME.edited2`` and so on."""
    names = (file.with_name(f"{file.name}.edited{number or ''}") for number in (0, *range(2, 1000)))
    return next(name for name in names if not name.exists())


def _delete(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


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
    surgeon = _Surgeon(prefix=prefix, opened=opened, terminal=terminal, dry_run=dry_run)
    deletions = [finding for finding in findings if isinstance(finding.remedy, Deletion)]
    if deletions:
        surgeon.delete(deletions)
    replacements = [finding for finding in findings if isinstance(finding.remedy, Replacement)]
    if replacements:
        surgeon.replace(replacements, keep=keep)
    return Repair(fixed=surgeon.fixed, left=surgeon.left)
