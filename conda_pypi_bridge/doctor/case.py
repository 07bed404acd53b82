"""One prefix as the examiner sees it: who holds which project, and what was put there beside conda."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from packaging.version import Version

from ..model import CondaName, InstalledDist, ProjectName
from ..names import Names
from ..prefix import dist_mapping
from ..prefix.health import DistState, Health, PackageState
from .model import Door, Finding, Kind


@dataclass(frozen=True, kw_only=True)
class Copy:
    """A distribution that conda did not place, and the conda package that holds the same project, if any.

    `dist` has the files of its RECORD, and no owner.
    """

    state: DistState
    dist: InstalledDist
    owner: PackageState | None

    @property
    def installer(self) -> str:
        """Who placed it, by its own word (PEP 376)."""
        return self.state.installer or "something else than conda"


@dataclass(frozen=True, kw_only=True)
class Case:
    """The state of a prefix, and what it is judged by; `diagnose` says what the fields are."""

    health: Health
    names: Names
    markers: Mapping[str, str]
    door: Door
    in_use: Collection[ProjectName] = frozenset()

    @cached_property
    def packages(self) -> Mapping[CondaName, PackageState]:
        """The conda packages by name."""
        return {package.name: package for package in self.health.packages}

    @cached_property
    def claims(self) -> Mapping[ProjectName, PackageState]:
        """Which conda package says that it holds a project, whatever has become of it."""
        return {project: self.packages[name] for project, name in dist_mapping(self.health.prefix).items()}

    @cached_property
    def copies(self) -> Sequence[Copy]:
        """What pip, or another tool of its kind, placed."""
        found = []
        for state in self.health.dists:
            dist = state.dist
            if dist is None or not (dist.owner is None or state.over):
                continue
            owner = self.packages[dist.owner] if dist.owner else self.claims.get(dist.project)
            taken = replace(dist, owner=None, files=tuple(file.path for file in state.files))
            found.append(Copy(state=state, dist=taken, owner=owner))
        return found

    @cached_property
    def versions(self) -> Mapping[ProjectName, Version]:
        """Every distribution that Python can find."""
        return {state.dist.project: state.dist.version for state in self.health.dists if state.dist}

    @property
    def is_venv(self) -> bool:
        """Whether it is a virtual environment, where pip is at home."""
        python = self.health.prefix.python
        return python is not None and python.is_venv

    def pip(self, *args: str) -> str:
        """A command line of the prefix's own pip."""
        python = self.health.prefix.python
        assert python is not None  # without one there are no distributions to speak of
        verb, *rest = args
        door = Door(words=(str(python.executable), "-m", "pip"), windows=self.door.windows)
        return door.command(verb, *rest)


def problem(kind: Kind, name: str, sentence: str, *, version: object = "", fix: str = "") -> Finding:
    """A finding that makes the exit status 1."""
    return Finding(kind=kind, severity="problem", name=name, version=str(version), sentence=sentence, fix=fix)


def info(kind: Kind, name: str, sentence: str, *, version: object = "", fix: str = "") -> Finding:
    """A finding that is only to be known."""
    return Finding(kind=kind, severity="info", name=name, version=str(version), sentence=sentence, fix=fix)
