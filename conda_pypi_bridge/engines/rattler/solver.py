"""Solving: what is installed, what channels and the overlay have, and what rattler chooses of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import rattler
from packaging.version import Version

from ...errors import PrefixError, SpecError, Unsatisfiable
from ...model import CHANNEL, CondaName, InstalledDist, PackageRecord, Plan, Row, Target
from ...names import Names
from ...prefix import Prefix, native_markers
from ...versions import conda_version
from .. import Chosen, Problem, target_of
from .channels import Channels, Overlay
from .offline import require_packages
from .records import (
    PIP,
    State,
    installed_state,
    name_of,
    overlay_record,
    same_package,
    with_orphans,
    with_users,
    without_deps,
)


@dataclass(frozen=True, kw_only=True)
class Solution:
    """Everything that is to be in the prefix, and what was asked for or removed by name to get there."""

    records: Sequence[rattler.RepoDataRecord] = ()
    requests: Sequence[str] = ()
    removed: Sequence[str] = ()


class Solver:
    """Solves for one prefix, in which `pip` placed what no record tells of.

    `pins` are specs that limit everything; `packages` is the cache of packages. The last `solution` is the
    one that a plan stands for.
    """

    def __init__(
        self,
        prefix: Prefix,
        pip: Mapping[CondaName, InstalledDist],
        *,
        names: Names,
        pins: Sequence[str],
        channels: Channels,
        packages: Path,
    ) -> None:
        self._prefix = prefix
        self._pip = pip
        self._names = names
        self._pins = pins
        self._packages = packages
        self.channels = channels
        self.solution = Solution()
        overrides = rattler.VirtualPackageOverrides.from_env()
        self._virtual = [v.into_generic() for v in rattler.VirtualPackage.detect(overrides)]
        self._overlaid: dict[str, PackageRecord] = {}
        self._target: Target | None = None

    @cached_property
    def _state(self) -> State:
        return installed_state(self._prefix, self._pip, self._names, self.channels.subdir)

    def target(self, requests: Sequence[str]) -> Target:
        """The environment to choose wheels for, given what is asked of ``python``. Raises `SpecError`."""
        python = self._prefix.python
        if python is not None and not requests:
            chosen = Chosen(python.version, python.implementation, python.free_threaded)
        elif python is not None and python.is_venv:
            raise SpecError(requests[0], "the Python of a virtual environment cannot be changed")
        else:
            record = self._chosen_python(requests)
            free_threaded = str(record.build).endswith("t")
            chosen = Chosen(Version(str(record.version)), free_threaded=free_threaded)
        self._target = target_of(
            chosen,
            self.channels.subdir,
            {virtual.name.normalized: str(virtual.version) for virtual in self._virtual},
            markers=native_markers(self.channels.subdir),
            python_abi="python_abi" in self._state,
        )
        return self._target

    def _chosen_python(self, requests: Sequence[str]) -> rattler.RepoDataRecord:
        """The Python that channels would install, for a prefix that has none or is to get another."""
        solution = self._solve(list(requests) or ["python"], [], rattler.ChannelPriority.Strict, locked=[])
        return next(record for record in solution if record.name.normalized == "python")

    def on_channels(self, name: CondaName) -> Sequence[str]:
        """The versions of a package that channels offer to the target's Python."""
        return [str(record.version) for record in self.channels.records(name) if self._runs(record)]

    def _runs(self, record: rattler.RepoDataRecord) -> bool:
        """Whether a channel's record accepts the target's Python, as far as its `depends` tell."""
        assert self._target is not None
        for text in record.depends:
            name, _, rest = text.partition(" ")
            if name == "python" and rest:
                spec = rattler.NamelessMatchSpec(rest.strip()).version or ""
                version = rattler.Version(conda_version(self._target.python))
                if spec and not rattler.VersionSpec(spec).matches(version):
                    return False
        return True

    def solve(self, problem: Problem) -> Plan:
        """One solve over channels and overlay. Raises `Unsatisfiable`."""
        self._overlaid = {package.dist: package for package in problem.overlay}
        records = [overlay_record(package) for package in problem.overlay]
        state = self._bare_state() if problem.bare else self._state
        if not problem.deps:
            return self._plan(without_deps(records, state, problem.requests), state, problem.requests)
        python = [f"python {state['python'].version}"] if problem.bare else []
        specs = [*problem.requests, *(python or self._kept(problem.requests))]
        locked = [record for name, record in state.items() if name not in problem.newer]
        failure: Unsatisfiable | None = None
        for priority in self.channels.priorities:
            try:
                chosen = self._solve(specs, records, priority, locked=locked, limits=problem.limits)
                return self._plan(chosen, state, problem.requests)
            except Unsatisfiable as error:
                failure = failure or error
        assert failure is not None
        raise failure

    def _bare_state(self) -> State:
        """What channels put into the prefix: Python, and what it may need."""
        if "python" not in self._state:
            raise PrefixError(str(self._prefix.path), "there is no Python here to build packages for")
        return {name: r for name, r in self._state.items() if r.channel not in (CHANNEL, PIP)}

    def _kept(self, requests: Sequence[str]) -> list[str]:
        """What must stay: everything installed, in the versions once asked for, this Python's minor."""
        asked = {name_of(text) for text in requests}
        history = self._prefix.requested
        kept = [history.get(name, name) for name in self._state if name not in asked]
        python = self._prefix.python
        if python is not None and "python" not in asked:
            kept.append(f"python {python.version.major}.{python.version.minor}.*")
        return kept

    def _solve(
        self,
        specs: Sequence[str],
        overlay: Sequence[rattler.RepoDataRecord],
        priority: rattler.ChannelPriority,
        *,
        locked: Sequence[rattler.RepoDataRecord],
        limits: Sequence[str] = (),
    ) -> list[rattler.RepoDataRecord]:
        venv = self._prefix.python is not None and self._prefix.python.is_venv
        pinned = [record for record in locked if venv and record.name.normalized == "python"]
        return self.channels.solve(
            Overlay(overlay),
            specs=[rattler.MatchSpec(spec) for spec in specs],
            locked_packages=list(locked),
            pinned_packages=pinned,
            virtual_packages=self._virtual,
            channel_priority=priority,
            constraints=[*self._pins, *limits],
        )

    def solve_removal(self, names: Sequence[CondaName]) -> Plan:
        """Packages, what needs them, and what the bridge brought only for them. Raises `SpecError`."""
        for name in names:
            if name in self._pip:
                raise SpecError(
                    name, "pip placed it here", hint=f"Remove it with: python -m pip uninstall {name}"
                )
            if name == "python":
                raise SpecError(
                    name, "an environment without its Python is none", hint="Remove the environment."
                )
        users = with_users(set(names), self._state)
        brought = {r["name"] for r in self._prefix.conda_meta if r.get("channel") == CHANNEL}
        gone = with_orphans(users, self._state, brought - set(self._prefix.requested))
        blocked = sorted(gone & set(self._pip))
        if blocked:
            raise SpecError(" ".join(names), f"{blocked[0]}, which pip placed here, needs it")
        kept = [record for name, record in self._state.items() if name not in gone]
        self._overlaid = {}
        plan = self._plan(kept, self._state, removed=names)
        why: dict[str, str] = dict.fromkeys(users, f"needs {', '.join(names)}")
        why.update(dict.fromkeys(names, "requested"))
        rows = [replace(row, why=why.get(row.name, "nobody needs it any more")) for row in plan.unlink]
        return replace(plan, unlink=rows)

    def _plan(
        self,
        records: Sequence[rattler.RepoDataRecord],
        state: State,
        requests: Sequence[str] = (),
        removed: Sequence[str] = (),
    ) -> Plan:
        """The plan that makes these records of that state; it becomes the `solution`."""
        self.solution = Solution(records=records, requests=requests, removed=removed)
        final = {record.name.normalized: record for record in records}
        same = {name for name, record in final.items() if same_package(record, state.get(name))}
        same -= self._prefix.broken
        if self.channels.offline:
            require_packages((r for name, r in final.items() if name not in same), self._packages)
        return Plan(
            link=[self._row(r) for name, r in final.items() if name not in same],
            unlink=[self._row(r) for name, r in state.items() if name not in same],
        )

    def _row(self, record: rattler.RepoDataRecord) -> Row:
        dist = f"{record.name.normalized}-{record.version}-{record.build}"
        url = (record.channel or "").rstrip("/")
        return Row(
            name=record.name.normalized,
            version=str(record.version),
            build=str(record.build),
            build_number=record.build_number,
            channel=self.channels.names.get(url, url),
            base_url=url,
            subdir=record.subdir,
            size=record.size or 0,
            package=self._overlaid.get(dist) if record.channel == CHANNEL else None,
        )
