"""The engine itself: what it sees of a prefix, and who solves and links for it.

rattler takes as long to start as Python itself. Looking at a prefix needs none of it, and often shows that
there is nothing to do: so what uses rattler is imported with the first solve.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.requirements import Requirement

from ...condarc import CondaConfig
from ...model import CondaName, InstalledDist, PackageRecord, Plan, ProjectName, Target
from ...names import Names
from ...prefix import Prefix, held, native_markers, own_glibc, own_subdir
from ...report import Reporter
from ...versions import conda_version
from .. import Chosen, Problem, is_sound, place_package, target_of

if TYPE_CHECKING:
    from .solver import Solver


class RattlerEngine:
    """Solves for and links into one prefix, a conda environment or a virtual environment.

    `channels` are channel names or URLs, best first. `cache` holds packages and repodata. `command`
    is the argv that goes into the history. `offline` reads channels from the cache alone.
    """

    def __init__(
        self,
        prefix: Prefix,
        *,
        channels: Sequence[str],
        config: CondaConfig,
        names: Names,
        cache: Path,
        command: Sequence[str],
        offline: bool = False,
    ) -> None:
        self._prefix = prefix
        self._channels = channels
        self._config = config
        self._cache = cache
        self._packages = cache / "pkgs"
        self._command = command
        self._offline = offline
        self._subdir = config.subdir or own_subdir()
        self.names = names

    # -- the prefix as it is -----------------------------------------------------------------------

    @property
    def path(self) -> Path:
        return self._prefix.path

    @cached_property
    def installed(self) -> Mapping[CondaName, str]:
        found = {CondaName(r["name"]): str(r.get("version", "")) for r in self._prefix.conda_meta}
        python = self._prefix.python
        if python is not None and python.is_venv:
            found[CondaName("python")] = str(python.version)
        found |= {name: conda_version(dist.version) for name, dist in self._pip.items()}
        return {name: version for name, version in found.items() if name not in self._prefix.broken}

    @property
    def projects(self) -> Sequence[ProjectName]:
        return self._prefix.bridged

    @cached_property
    def _pip(self) -> Mapping[CondaName, InstalledDist]:
        """What pip placed, by the conda name it would have; a conda package of that name goes first."""
        conda = {record["name"] for record in self._prefix.conda_meta}
        placed = (dist for dist in self._prefix.dists if dist.owner is None)
        named = ((self.names.conda_name(dist.project), dist) for dist in placed)
        return {name: dist for name, dist in named if name not in conda}

    @property
    def held_by_pip(self) -> Iterable[tuple[InstalledDist, Requirement]]:
        return self._prefix.held_by_pip

    @property
    def has_channels(self) -> bool:
        return bool(self._channels)

    @property
    def pins(self) -> Sequence[str]:
        return [*self._prefix.pinned, *self._config.pinned_packages]

    def locked(self, reporter: Reporter) -> AbstractContextManager[None]:
        return held(self._prefix, reporter)

    @property
    def markers(self) -> Mapping[str, str]:
        return self._prefix.markers(self._subdir)

    # -- solving -----------------------------------------------------------------------------------

    @cached_property
    def _solver(self) -> Solver:
        """Made once for a command. Raises `ConfigError` for a channel that is none."""
        from .channels import Channels
        from .solver import Solver

        channels = Channels(
            self._channels, self._config, self._subdir, self._cache / "repodata", offline=self._offline
        )
        return Solver(
            self._prefix,
            self._pip,
            names=self.names,
            pins=self.pins,
            channels=channels,
            packages=self._packages,
        )

    def load(self) -> None:
        from . import linker, solver  # noqa: F401 -- what takes the time is rattler, which both import

    def target(self, requests: Sequence[str]) -> Target:
        return (None if requests else self._plain_target) or self._solver.target(requests)

    @cached_property
    def _plain_target(self) -> Target | None:
        """What rattler would tell, where neither it nor a channel is needed: None elsewhere."""
        python, glibc = self._prefix.python, own_glibc(os.environ)
        if python is None or self._channels or not glibc or self._subdir != own_subdir():
            return None
        return target_of(
            Chosen(python.version, python.implementation, python.free_threaded),
            self._subdir,
            {"__glibc": glibc},
            markers=native_markers(self._subdir),
            python_abi=any(record["name"] == "python_abi" for record in self._prefix.conda_meta),
        )

    def on_channels(self, name: CondaName) -> Sequence[str]:
        return self._solver.on_channels(name) if self._channels else ()

    def solve(self, problem: Problem) -> Plan:
        return self._solver.solve(problem)

    def solve_removal(self, names: Sequence[CondaName]) -> Plan:
        return self._solver.solve_removal(names)

    def replaced(self, plan: Plan) -> Sequence[InstalledDist]:
        return [self._pip[CondaName(row.name)] for row in plan.unlink if row.name in self._pip]

    # -- changing the prefix -----------------------------------------------------------------------

    def confirm(self, plan: Plan, reporter: Reporter) -> bool:
        return reporter.confirm(plan, str(self.path))

    def has(self, dist: str) -> bool:
        package = self._packages / dist
        return (package / "info" / "index.json").is_file() and is_sound(package)

    def stage(self, record: PackageRecord, unpack: Callable[[Path], object]) -> None:
        place_package(self._packages, record.dist, lambda: self.has(record.dist), unpack)

    def link(
        self, plan: Plan, replaced: Sequence[InstalledDist] = (), renamed: Mapping[Path, Path] | None = None
    ) -> None:
        from .linker import Linker

        linker = Linker(
            self._prefix, self._solver.solution, self._solver.channels, self._packages, self._command
        )
        linker.link(plan, [*self.replaced(plan), *replaced], renamed or {})
