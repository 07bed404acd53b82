"""What solves for, and changes, a prefix: conda's machinery or rattler's, behind one protocol."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

from ..locks import entry

if TYPE_CHECKING:  # plain conda commands import this package, and need none of it
    from packaging.requirements import Requirement
    from packaging.version import Version

    from ..model import CondaName, InstalledDist, PackageRecord, Plan, ProjectName, Target
    from ..names import Names
    from ..report import Reporter


@dataclass(frozen=True, kw_only=True)
class Problem:
    """What to solve: specs of the user, and what the index adds to the channels.

    `limits` are specs that whatever is installed must meet, without being asked for. Without `deps` the
    requested packages come alone. `newer` are installed packages that need not stay as they are. `bare`
    solves as if nothing but Python was installed; such a plan cannot be linked.
    """

    requests: Sequence[str]
    overlay: Sequence[PackageRecord] = ()
    limits: Sequence[str] = ()
    deps: bool = True
    newer: frozenset[CondaName] = frozenset()
    bare: bool = False


class Chosen(NamedTuple):
    """The Python that is there, or that channels would install. No channel has another than CPython."""

    version: Version
    implementation: str = "cpython"
    free_threaded: bool = False


def target_of(
    python: Chosen,
    subdir: str,
    virtual: Mapping[str, str],
    *,
    markers: Mapping[str, str] | None,
    python_abi: bool,
) -> Target:
    """The environment to choose wheels for; `virtual` are the versions of virtual packages (``__glibc``).

    `markers` are those of the machine, where `subdir` is its own. `python_abi` tells that a package of that
    name is there.
    """
    from ..tags import make_target

    pairs = {name: version_pair(version) for name, version in virtual.items()}
    return make_target(
        python.version,
        subdir,
        implementation=python.implementation,
        free_threaded=python.free_threaded,
        glibc=pairs.get("__glibc"),
        musl=pairs.get("__musl"),
        macos=pairs.get("__osx"),
        python_abi=python_abi,
        markers=markers,
    )


def version_pair(version: str) -> tuple[int, int]:
    """``2.36`` -> ``(2, 36)``; of what is no such version, zeros."""
    major, minor = [*version.split("."), "0"][:2]
    return (int(major), int(minor)) if major.isdigit() and minor.isdigit() else (0, 0)


def place_package(
    cache: Path, dist: str, is_whole: Callable[[], bool], unpack: Callable[[Path], object]
) -> None:
    """Let `unpack` write a package to a new folder, which takes its place in `cache` when it is whole.

    However many processes and threads want it, one makes it, unless `is_whole` tells that it is there.
    """
    with entry(cache, dist) as private:
        if is_whole():
            return
        unpack(private / dist)
        if os.path.lexists(cache / dist):  # left by something else
            (cache / dist).rename(private / "before")
        (private / dist).rename(cache / dist)


def is_sound(package: Path) -> bool:
    """Whether a cached package has all its bytes, as far as sizes tell.

    Packages are not flushed to the disk, which takes longer than making them. So what was made before this
    machine last started may have lost something to a power cut, and is looked at.
    """
    try:
        if (package / "info" / "index.json").stat().st_mtime > _started():
            return True
        entries = json.loads((package / "info" / "paths.json").read_bytes())["paths"]
        sizes = ((package / entry["_path"]).lstat().st_size == entry["size_in_bytes"] for entry in entries)
        return all(sizes)
    except (OSError, ValueError, LookupError, TypeError):
        return False


def _started() -> float:
    """When this machine started, in seconds since the epoch; now, where that cannot be told."""
    if hasattr(time, "CLOCK_BOOTTIME"):
        return time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
    return time.time()


class Engine(Protocol):
    """Solves for, and changes, one prefix."""

    @property
    def path(self) -> Path:
        """The prefix."""
        ...

    @property
    def names(self) -> Names:
        """How projects are called among conda packages, this prefix's own first."""
        ...

    @property
    def installed(self) -> Mapping[CondaName, str]:
        """Versions of everything in the prefix, whoever put it there."""
        ...

    @property
    def projects(self) -> Sequence[ProjectName]:
        """Projects of the installed packages that came from an index through the bridge."""
        ...

    @property
    def held_by_pip(self) -> Iterable[tuple[InstalledDist, Requirement]]:
        """What pip placed, with each of its requirements that holds now."""
        ...

    @property
    def has_channels(self) -> bool:
        """Whether anybody but the index can have what is asked for."""
        ...

    @property
    def pins(self) -> Sequence[str]:
        """Specs that limit what is installed here, whatever is asked for."""
        ...

    def locked(self, reporter: Reporter) -> AbstractContextManager[None]:
        """Holds the prefix against other processes of the bridge, waiting visibly. Raises `PrefixError`."""
        ...

    @property
    def markers(self) -> Mapping[str, str]:
        """The PEP 508 environment of the Python that is there; empty where there is none."""
        ...

    def load(self) -> None:
        """Load what solves and links, for whoever has time for that while answers are on their way."""
        ...

    def target(self, requests: Sequence[str]) -> Target:
        """The environment to choose wheels for, given what is asked of ``python``. Raises `SpecError`."""
        ...

    def on_channels(self, name: CondaName) -> Sequence[str]:
        """The versions of a package that channels offer to the target's Python."""
        ...

    def solve(self, problem: Problem) -> Plan:
        """One solve over channels and overlay. Raises `Unsatisfiable` or `SpecError`."""
        ...

    def replaced(self, plan: Plan) -> Sequence[InstalledDist]:
        """What pip placed that gives way to packages of the plan."""
        ...

    def solve_removal(self, names: Sequence[CondaName]) -> Plan:
        """What removing packages takes along. Raises `Unsatisfiable` or `SpecError`."""
        ...

    def confirm(self, plan: Plan, reporter: Reporter) -> bool:
        """Show the plan; whether the user agrees."""
        ...

    def has(self, dist: str) -> bool:
        """Whether the package (``name-version-build``) is built and in the engine's cache."""
        ...

    def stage(self, record: PackageRecord, unpack: Callable[[Path], object]) -> None:
        """Let `unpack` write the package to where the engine links it from."""
        ...

    def link(
        self, plan: Plan, replaced: Sequence[InstalledDist] = (), renamed: Mapping[Path, Path] | None = None
    ) -> None:
        """Carry out the plan that `solve` or `solve_removal` returned last, as a whole or not at all.

        What pip placed and is `replaced` goes, besides what the plan itself replaces; files to keep are
        `renamed`.
        """
        ...
