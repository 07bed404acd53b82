"""What surrounds the packages: requirements, leftovers, what nobody needs, what hides from outside."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import chain

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from ..markers import applying
from ..model import CHANNEL, CondaName, InstalledDist, ProjectName
from .case import Case, info, problem
from .model import Deletion, Finding


def unmet(case: Case) -> Iterator[Finding]:
    """Requirements of distributions that do not hold, as ``pip check`` tells them."""
    for state in case.health.dists:
        dist, python = state.dist, case.health.prefix.python
        if dist is None or python is None:
            continue
        for requirement in applying(dist.requires, case.markers):
            if reason := _unmet(case, requirement):
                sentence = f"requires {_text(requirement)}, but {reason}"
                fix = case.door.command("install", _text(requirement))
                yield problem("unmet", dist.project, sentence, version=dist.version, fix=fix)
        if not state.requires_python.contains(python.version, prereleases=True):
            sentence = f"requires Python {state.requires_python}, but this is Python {python.version}"
            fix = case.door.command("install", f"{dist.project}!={dist.version}")
            yield problem("unmet", dist.project, sentence, version=dist.version, fix=fix)


def _text(requirement: Requirement) -> str:
    extras = f"[{','.join(sorted(requirement.extras))}]" if requirement.extras else ""
    return f"{requirement.name}{extras}{requirement.specifier}"


def _unmet(case: Case, requirement: Requirement) -> str:
    """Why a requirement does not hold, "" where it does or nothing can be said against it."""
    project = ProjectName(canonicalize_name(requirement.name))
    version: Version | None = case.versions.get(project)
    if version is None:
        # Native libraries and tools come from channels without metadata of a distribution.
        package = case.packages.get(case.names.conda_name(project))
        if package is None:
            return "it is not installed"
        try:
            version = Version(package.version)
        except InvalidVersion:
            return ""
    holds = requirement.url or requirement.specifier.contains(version, prereleases=True)
    return "" if holds else f"{project} {version} is installed"


def leftovers(case: Case) -> Iterator[Finding]:
    """What commands left that were cut short, unless one is at work now."""
    if case.health.busy:
        yield info("leftover", "lock", "another process changes this environment now; look again afterwards")
        return
    for left in case.health.leftovers:
        name = left.path.relative_to(case.health.prefix.path).as_posix()
        if left.needless:
            found = problem("leftover", name, f"left by {left.by}, needed by nobody", fix=case.door.fix(name))
            yield replace(found, remedy=Deletion(path=left.path))
        elif left.by == "conda":
            sentence = "set aside by conda in a transaction that was cut short; without this end it is gone"
            yield problem("leftover", name, sentence)
        else:
            sentence = "holds files of pip's that were set aside when an install was cut short"
            yield problem("leftover", name, f"{sentence}; install the missing package again, then delete it")


def orphans(case: Case) -> Iterator[Finding]:
    """Packages of the bridge that nobody asked for and nothing requires."""
    needed = {text.split()[0] for package in case.health.packages for text in package.depends if text}
    dists = [state.dist for state in case.health.dists if state.dist is not None]
    needed |= {name for dist in dists for name in _required(case, dist)}
    for package in case.health.packages:
        if package.channel == CHANNEL and package.name not in {*needed, *case.health.prefix.requested}:
            fix = case.door.command("remove", package.name)
            sentence = "came along for another package, and nothing requires it any more"
            yield info("orphaned", package.name, sentence, version=package.version, fix=fix)
    if case.health.unowned:
        count = case.health.unowned
        what = "module lies" if count == 1 else "modules lie"
        yield info("orphaned", "site-packages", f"{count} {what} there that no package lists")


def _required(case: Case, dist: InstalledDist) -> Iterator[CondaName]:
    for requirement in applying(dist.requires, case.markers):
        yield case.names.conda_name(ProjectName(canonicalize_name(requirement.name)))


def outside(case: Case) -> Iterator[Finding]:
    """What Python finds before it looks into the environment."""
    there = case.health.outside
    if there.python_path:
        yield info("outside", "PYTHONPATH", f"is set, and comes before this environment: {there.python_path}")
    if there.shadowed:
        names = ", ".join(there.shadowed)
        sentence = f"comes before this environment (PYTHONNOUSERSITE=1 leaves it out) and has: {names}"
        yield info("outside", str(there.user_site), sentence)


def everything(case: Case) -> Iterator[Finding]:
    """All of the above."""
    return chain(unmet(case), leftovers(case), orphans(case), outside(case))
