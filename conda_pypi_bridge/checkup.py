"""The verb ``doctor`` at every door: which environment is looked at, how, and what fixing it takes."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packaging.markers import default_environment
from packaging.utils import canonicalize_name

from . import condarc, settings
from .display import counted
from .doctor import KINDS, Door, Finding, Kind, Repair, Terminal, diagnose, fix
from .engines import Engine
from .errors import NotInstalled
from .index import Index
from .model import ProjectName
from .options import Options
from .prefix import Prefix
from .prefix.health import Health, read_health
from .requirementfiles import RequirementFile
from .session import Session, chosen_prefix, names_in, rattler_session, solver_session, sweep_condas

#: What a group of findings is headed with.
_HEADS: dict[Kind, str] = {
    "broken": "Broken",
    "shadowed": "Shadowed",
    "unmet": "Requirements that do not hold",
    "leftover": "Left over",
    "mixed": "Placed beside conda",
    "orphaned": "Needed by nobody",
    "outside": "Outside of the environment",
}

_SHALLOW = "sizes of files compared; --deep compares contents"

#: What runs this command, where it runs in the environment that it looks at.
_OURSELVES = ("conda-pypi-bridge", "conda")


@dataclass(frozen=True, kw_only=True)
class Checkup:
    """An environment to look at, the door that its user came through, and that door's engine."""

    prefix: Path
    door: Door
    opened: Callable[[Prefix], Session]

    def examine(self, only: Sequence[str] = (), *, again: bool = False) -> list[Finding]:
        """What there is to say of everything, or of `only` some packages, whatever spelling they have.

        Raises `NotInstalled` for a name that nothing here has, unless it may just have gone (`again`), and
        `ConfigError`.
        """
        health = read_health(self.prefix, environ=os.environ, home=Path.home(), deep=self.door.deep)
        conda = condarc.load(self.prefix, os.environ, Path.home())
        sweep_condas(conda, condarc.root_prefix(self.prefix, os.environ) or self.prefix)
        names = names_in(health.prefix, settings.read(conda.plugins))
        found = diagnose(health, names, _markers(health), self.door, _in_use(health))
        wanted = {canonicalize_name(name) for name in only}
        prefix = health.prefix
        here = [*(r["name"] for r in prefix.conda_meta), *(d.project for d in prefix.dists)]
        known = {canonicalize_name(name) for name in [*here, *(f.name for f in found)]}
        strange = wanted - known
        if strange and not again:
            raise NotInstalled(min(strange), str(prefix.path), among=known)
        return [finding for finding in found if not wanted or canonicalize_name(finding.name) in wanted]

    def fix(
        self, findings: Sequence[Finding], args: argparse.Namespace, terminal: Terminal, *, dry_run: bool
    ) -> Repair:
        """Carry out what is safe; see `doctor.fix`."""

        def opened(prefix: Prefix) -> tuple[Engine, Index, Options]:
            session = self.opened(prefix)
            options = Options(dry_run=dry_run, blocked=session.settings.block)
            return session.engine, session.index(args, RequirementFile()), options

        return fix(
            findings,
            self.prefix,
            opened=opened,
            terminal=terminal,
            dry_run=dry_run,
            keep=bool(args.packages),
        )


def carry_out(
    args: argparse.Namespace, terminal: Terminal, *, conda: bool
) -> tuple[dict[str, Any], str, int]:
    """The verb, within conda or without: its JSON document, its text and the exit status."""
    checkup = (_within_conda if conda else _without_conda)(args)
    dry_run = bool(getattr(args, "dry_run", False))
    found, repair = checkup.examine(args.packages), None
    if getattr(args, "fix", False):
        repair = checkup.fix(found, args, terminal, dry_run=dry_run)
        if repair.fixed and not dry_run:
            found = checkup.examine(args.packages, again=True)
            repair = repair.seen_again(found)
    document = findings_document(checkup.prefix, found, repair, dry_run=dry_run)
    text = findings_text(checkup, found, repair, dry_run=dry_run)
    return document, text, int(any(finding.severity == "problem" for finding in found))


def health_text(prefix: Path) -> str:
    """What ``conda doctor`` says of our part."""
    checkup = _conda_checkup(prefix, ("-p", str(prefix)))
    return findings_text(checkup, checkup.examine(), None)


def _without_conda(args: argparse.Namespace) -> Checkup:
    return Checkup(
        prefix=chosen_prefix(args),
        door=Door(words=_words(), where=_where(args), windows=os.name == "nt", deep=_is_deep(args)),
        opened=lambda prefix: rattler_session(args, prefix),
    )


def _within_conda(args: argparse.Namespace) -> Checkup:
    from .engines.conda import target_prefix

    return _conda_checkup(target_prefix(), _where(args), deep=_is_deep(args))


def _conda_checkup(prefix: Path, where: Sequence[str], *, deep: bool = False) -> Checkup:
    door = Door(words=("conda", "pypi-bridge"), where=where, windows=os.name == "nt", deep=deep)
    return Checkup(prefix=prefix, door=door, opened=solver_session)


def _words() -> Sequence[str]:
    """The command that the user gave, so that a shell finds the same again."""
    name = Path(sys.argv[0]).stem
    if name == "conda-pypi-bridge":
        return (name if shutil.which(name) else sys.argv[0],)
    python = shutil.which("python")
    same = python is not None and Path(python).absolute() == Path(sys.executable).absolute()
    return ("python" if same else sys.executable, "-m", str(__package__))


def _is_deep(args: argparse.Namespace) -> bool:
    return bool(getattr(args, "deep", False))


def _where(args: argparse.Namespace) -> Sequence[str]:
    name, path = getattr(args, "name", None), getattr(args, "prefix", None)
    return ("-n", name) if name else ("-p", str(path)) if path else ()


def _markers(health: Health) -> dict[str, str]:
    """PEP 508, "Environment Markers", of the Python of the prefix: it runs on this machine."""
    found = {name: str(value) for name, value in default_environment().items()}
    python = health.prefix.python
    if python is None:
        return found
    version = python.version
    implementation = {"cpython": "CPython", "pypy": "PyPy", "graalpy": "GraalVM"}
    return {
        **found,
        "python_version": f"{version.major}.{version.minor}",
        "python_full_version": str(version),
        "implementation_name": python.implementation,
        "implementation_version": str(version),
        "platform_python_implementation": implementation.get(python.implementation, ""),
    }


def _in_use(health: Health) -> set[ProjectName]:
    """What this process runs on, where it runs in the prefix: our own requirements, and theirs."""
    if Path(sys.prefix).resolve() != health.prefix.path.resolve():
        return set()
    requires = {
        state.dist.project: [canonicalize_name(requirement.name) for requirement in state.dist.requires]
        for state in health.dists
        if state.dist is not None
    }
    found: set[ProjectName] = set()
    queue = [ProjectName(canonicalize_name(name)) for name in _OURSELVES]
    while queue:
        project = queue.pop()
        if project not in found:
            found.add(project)
            queue += [ProjectName(name) for name in requires.get(project, ())]
    return found


# -- telling -------------------------------------------------------------------------------------------


def findings_text(
    checkup: Checkup, found: Sequence[Finding], repair: Repair | None, *, dry_run: bool = False
) -> str:
    """What an examination found, by kind; what is alike is told once."""
    lines = [*_told_repair(repair, dry_run=dry_run), *_told_findings(checkup.door, found)]
    problems = sum(finding.severity == "problem" for finding in found)
    counts = f"{counted(problems, 'problem')}, {counted(len(found) - problems, 'remark')}"
    looked = "contents of files compared" if checkup.door.deep else _SHALLOW
    lines.append(f"{counts} ({looked}). Environment: {checkup.prefix}")
    if repair is None and any(finding.safe for finding in found):
        lines.append(f"To fix what is safe to fix: {checkup.door.fix()}")
    return "\n".join(lines)


def _told_repair(repair: Repair | None, *, dry_run: bool) -> Sequence[str]:
    if repair is None or not (repair.fixed or repair.left):
        return []
    fixed = [f"{'Would fix' if dry_run else 'Fixed'}: {finding.subject}" for finding in repair.fixed]
    return [*fixed, *(f"Not fixed: {finding.subject}: {reason}" for finding, reason in repair.left), ""]


def _told_findings(door: Door, found: Sequence[Finding]) -> Iterator[str]:
    for kind in KINDS:
        groups: dict[tuple[str, bool], list[Finding]] = {}
        for finding in found:
            if finding.kind == kind:
                groups.setdefault((finding.sentence, finding.remedy is None), []).append(finding)
        if groups:
            yield _HEADS[kind]
            for group in groups.values():
                yield from _told_group(door, group)
            yield ""


def _told_group(door: Door, group: Sequence[Finding]) -> Iterator[str]:
    """Findings of one sentence, and the command that puts them right."""
    first = group[0]
    yield f"  {', '.join(finding.subject for finding in group)}: {first.sentence}"
    if first.remedy is not None:
        yield f"      {door.fix(*(finding.name for finding in group))}"
    else:
        yield from (f"      {finding.fix}" for finding in group if finding.fix)


def findings_document(
    prefix: Path, found: Sequence[Finding], repair: Repair | None, *, dry_run: bool = False
) -> dict[str, Any]:
    """What an examination found, and what came of fixing it; ``safe`` is what ``--fix`` alone does."""
    document: dict[str, Any] = {"success": True, "prefix": str(prefix)}
    if dry_run:
        document["dry_run"] = True
    document["findings"] = [_json_finding(finding) for finding in found]
    if repair is not None:
        document["fixed"] = [finding.subject for finding in repair.fixed]
        document["not_fixed"] = [{"subject": f.subject, "reason": reason} for f, reason in repair.left]
    return document


def _json_finding(finding: Finding) -> dict[str, Any]:
    return {
        "kind": finding.kind,
        "severity": finding.severity,
        "subject": finding.subject,
        "name": finding.name,
        "version": finding.version,
        "sentence": finding.sentence,
        "fix": finding.fix,
        "safe": finding.safe,
    }
