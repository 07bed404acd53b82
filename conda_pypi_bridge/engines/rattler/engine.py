"""The engine itself: solve over channels and overlay, then install what the solution lists."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import rattler
from packaging.requirements import Requirement
from packaging.version import Version
from rattler.exceptions import GatewayError, InstallerError, SolverError

from ... import __version__
from ...condarc import CondaConfig
from ...errors import BridgeError, ChannelFailure, PrefixError, SpecError, Unsatisfiable
from ...locks import entry
from ...model import CHANNEL, CondaName, InstalledDist, PackageRecord, Plan, ProjectName, Row, Target
from ...names import Names
from ...prefix import (
    Prefix,
    append_history,
    change_of,
    clear_away,
    delete,
    files_of,
    held,
    journalled,
    native_markers,
    prune_empty,
    refuse_clobbering,
    require_done,
)
from ...report import Reporter
from ...store import FETCHING
from ...tags import make_target
from ...versions import conda_version
from .. import Problem, is_sound, place_package, version_pair
from .access import Access
from .channels import Loop, Overlay, Subdir, channel, gateway, is_name, priorities
from .ending import unfinished
from .offline import require_packages, unread_channel
from .records import (
    PIP,
    VENV,
    State,
    installed_records,
    name_of,
    overlay_record,
    pip_record,
    read_record,
    same_package,
    venv_python,
    with_orphans,
    with_users,
    without_deps,
)

#: rattler marks a prefix as something that backups may leave out; that is not for us to say.
_CACHE_TAG = "CACHEDIR.TAG"

#: Where rattler puts files that are in the way of others, and drafts of records.
_OWN = ("__clobbers__", "conda-meta/prefix_record_*")

#: Where rattler puts what it cannot delete, and with what it tries what the file system can do.
_TRASH = (".trash", ".refprobe-*", "symtest_*")


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
        self._config = config
        self._command = command
        self._cache = cache / "pkgs"
        self._subdir = config.subdir or str(Subdir.current())
        self._platforms = [Subdir(self._subdir), Subdir("noarch")]
        access = Access()
        self._channels = [channel(name, config, access) for name in channels]
        self._client = access.client()
        named = zip(self._channels, channels, strict=True)
        self._names = {c.base_url.rstrip("/"): name for c, name in named if is_name(name)}
        self.names = names
        overrides = rattler.VirtualPackageOverrides.from_env()
        self._virtual = [v.into_generic() for v in rattler.VirtualPackage.detect(overrides)]
        self._packages: dict[str, PackageRecord] = {}
        self._requests: list[str] = []
        self._removed: list[str] = []
        self._final: list[rattler.RepoDataRecord] = []
        self._target: Target | None = None
        self._loop = Loop()
        self._offline = offline
        self._gateway = gateway(cache / "repodata", self._client, offline=offline)

    # -- the prefix as it is -----------------------------------------------------------------------

    @property
    def path(self) -> Path:
        return self._prefix.path

    @cached_property
    def installed(self) -> Mapping[CondaName, str]:
        found = {CondaName(r.name.normalized): str(r.version) for r in self._state.values()}
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

    @cached_property
    def _state(self) -> State:
        """The records of everything in the prefix, by name."""
        python = self._prefix.python
        state: dict[str, rattler.RepoDataRecord] = {
            r.name.normalized: r for r in installed_records(self.path)
        }
        if python is not None and python.is_venv:
            state["python"] = read_record(venv_python(python.version, self._subdir))
        for name, dist in self._pip.items():
            state[name] = read_record(pip_record(name, dist, self._prefix.holding(dist), self.names))
        return state

    @property
    def held_by_pip(self) -> Iterable[tuple[InstalledDist, Requirement]]:
        return self._prefix.held_by_pip

    @property
    def pins(self) -> Sequence[str]:
        return [*self._prefix.pinned, *self._config.pinned_packages]

    def locked(self, reporter: Reporter) -> AbstractContextManager[None]:
        return held(self._prefix, reporter)

    # -- solving -----------------------------------------------------------------------------------

    @property
    def markers(self) -> Mapping[str, str]:
        return self._prefix.markers(self._subdir)

    def target(self, requests: Sequence[str]) -> Target:
        python = self._prefix.python
        if python is not None and not requests:
            version, implementation = python.version, python.implementation
            free_threaded = python.free_threaded
        elif python is not None and python.is_venv:
            raise SpecError(requests[0], "the Python of a virtual environment cannot be changed")
        else:
            record = self._chosen_python(requests)
            version, implementation = Version(str(record.version)), "cpython"
            free_threaded = str(record.build).endswith("t")
        virtual = {v.name.normalized: version_pair(str(v.version)) for v in self._virtual}
        self._target = make_target(
            version,
            self._subdir,
            implementation=implementation,
            free_threaded=free_threaded,
            glibc=virtual.get("__glibc"),
            musl=virtual.get("__musl"),
            macos=virtual.get("__osx"),
            python_abi="python_abi" in self._state,
            markers=native_markers(self._subdir),
        )
        return self._target

    def _chosen_python(self, requests: Sequence[str]) -> rattler.RepoDataRecord:
        """The Python that channels would install, for a prefix that has none or is to get another."""
        solution = self._solve(list(requests) or ["python"], [], rattler.ChannelPriority.Strict, locked=[])
        return next(record for record in solution if record.name.normalized == "python")

    def on_channels(self, name: CondaName) -> Sequence[str]:
        if not self._channels:
            return ()
        query = self._gateway.query(self._channels, self._platforms, [name], recursive=False)
        try:
            answer = self._loop.run(query)
        except GatewayError as error:
            raise self._unread(error) from error
        found = (record for records in answer for record in records)
        return [str(record.version) for record in found if self._runs(record)]

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
        self._packages = {package.dist: package for package in problem.overlay}
        self._requests = list(problem.requests)
        self._removed = []
        records = [overlay_record(package) for package in problem.overlay]
        state = self._bare_state() if problem.bare else self._state
        if not problem.deps:
            return self._set_final(without_deps(records, state, problem.requests), state)
        python = [f"python {state['python'].version}"] if problem.bare else []
        specs = [*problem.requests, *(python or self._kept(problem.requests))]
        failure: Unsatisfiable | None = None
        for priority in priorities(self._config.channel_priority):
            try:
                locked = [record for name, record in state.items() if name not in problem.newer]
                solution = self._solve(specs, records, priority, locked=locked, limits=problem.limits)
                return self._set_final(solution, state)
            except Unsatisfiable as error:
                failure = failure or error
        assert failure is not None
        raise failure

    def _bare_state(self) -> State:
        """What channels put into the prefix: Python, and what it may need."""
        if "python" not in self._state:
            raise PrefixError(str(self.path), "there is no Python here to build packages for")
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
        solve = rattler.solve(
            sources=[Overlay(overlay), *self._channels],
            specs=[rattler.MatchSpec(spec) for spec in specs],
            gateway=self._gateway,
            platforms=self._platforms,
            locked_packages=list(locked),
            pinned_packages=pinned,
            virtual_packages=self._virtual,
            channel_priority=priority,
            constraints=[*self.pins, *limits],
        )
        try:
            return self._loop.run(solve)
        except SolverError as error:
            raise Unsatisfiable(_first_lines(str(error))) from error
        except GatewayError as error:
            raise self._unread(error) from error

    def _unread(self, error: GatewayError) -> BridgeError:
        return unread_channel(error) if self._offline else ChannelFailure(_first_lines(str(error), 1))

    def replaced(self, plan: Plan) -> Sequence[InstalledDist]:
        return [self._pip[CondaName(row.name)] for row in plan.unlink if row.name in self._pip]

    def solve_removal(self, names: Sequence[CondaName]) -> Plan:
        """Packages, what needs them, and what the bridge brought only for them."""
        for name in names:
            if name in self._pip:
                raise SpecError(
                    name, "pip placed it here", hint=f"Remove it with: python -m pip uninstall {name}"
                )
            if name == "python":
                raise SpecError(
                    name, "an environment without its Python is none", hint="Remove the environment."
                )
        self._requests, self._removed, self._packages = [], list(names), {}
        users = with_users(set(names), self._state)
        brought = {r["name"] for r in self._prefix.conda_meta if r.get("channel") == CHANNEL}
        gone = with_orphans(users, self._state, brought - set(self._prefix.requested))
        blocked = sorted(gone & set(self._pip))
        if blocked:
            raise SpecError(" ".join(names), f"{blocked[0]}, which pip placed here, needs it")
        kept = [record for name, record in self._state.items() if name not in gone]
        plan = self._set_final(kept, self._state)
        why: dict[str, str] = dict.fromkeys(users, f"needs {', '.join(names)}")
        why.update(dict.fromkeys(names, "requested"))
        rows = [replace(row, why=why.get(row.name, "nobody needs it any more")) for row in plan.unlink]
        return replace(plan, unlink=rows)

    def _set_final(self, records: Sequence[rattler.RepoDataRecord], state: State) -> Plan:
        self._final = list(records)
        final = {record.name.normalized: record for record in records}
        same = {name for name, record in final.items() if same_package(record, state.get(name))}
        same -= self._prefix.broken
        if self._offline:
            require_packages((r for name, r in final.items() if name not in same), self._cache)
        return Plan(
            link=[self._row(r) for name, r in final.items() if name not in same],
            unlink=[self._row(r) for name, r in state.items() if name not in same],
        )

    def _row(self, record: rattler.RepoDataRecord) -> Row:
        dist = f"{record.name.normalized}-{record.version}-{record.build}"
        channel = record.channel or ""
        return Row(
            name=record.name.normalized,
            version=str(record.version),
            build=str(record.build),
            build_number=record.build_number,
            channel=self._names.get(channel.rstrip("/"), channel.rstrip("/")),
            base_url=channel.rstrip("/"),
            subdir=record.subdir,
            size=record.size or 0,
            package=self._packages.get(dist) if channel == CHANNEL else None,
        )

    # -- changing the prefix -----------------------------------------------------------------------

    def confirm(self, plan: Plan, reporter: Reporter) -> bool:
        return reporter.confirm(plan, str(self.path))

    def has(self, dist: str) -> bool:
        package = self._cache / dist
        return (package / "info" / "index.json").is_file() and is_sound(package)

    def stage(self, record: PackageRecord, unpack: Callable[[Path], object]) -> None:
        place_package(self._cache, record.dist, lambda: self.has(record.dist), unpack)

    def link(
        self, plan: Plan, replaced: Sequence[InstalledDist] = (), renamed: Mapping[Path, Path] | None = None
    ) -> None:
        """Install the final state; go back to the one before if that fails."""
        refuse_clobbering(self._prefix, plan, self._cache)
        renamed = renamed or {}
        gone = [f for dist in {*self.replaced(plan), *replaced} for f in files_of(self._prefix, dist)]
        gone += self._outdated_records
        own = (_CACHE_TAG, *_OWN, *_TRASH, *self._interpreter_record)
        change = change_of(
            self._prefix, plan, lambda row: self._cache / row.dist, gone=gone, renamed=renamed, own=own
        )
        before = self._trash()
        with unfinished(self.path), journalled(self.path, change, settled=False):
            clear_away(gone, renamed)
            with entry(self._cache, FETCHING) if change.unread else nullcontext():
                self._install(self._final)
            for path in self._trash() - before:
                delete(path)
            prune_empty(self._prefix, gone)
            require_done(self._prefix, plan, change)
            self._remember(plan)

    def _trash(self) -> set[Path]:
        return {path for pattern in _TRASH for path in self.path.glob(pattern)}

    def _remember(self, plan: Plan) -> None:
        append_history(
            self.path,
            self._command,
            linked=plan.link,
            unlinked=plan.unlink,
            update_specs=[str(rattler.MatchSpec(text)) for text in self._requests],
            remove_specs=self._removed,
            tool=f"conda_pypi_bridge version: {__version__}",
            channel_names=self._names,
        )

    def _install(self, records: Sequence[rattler.RepoDataRecord]) -> None:
        tagged = (self.path / _CACHE_TAG).exists()
        self._adopt()
        requested = [*self._prefix.requested.values(), *self._requests]
        install = rattler.install(
            list(records),
            self.path,
            cache_dir=self._cache,
            client=self._client,
            installed_packages=installed_records(self.path),
            reinstall_packages={str(name) for name in self._prefix.broken},
            ignored_packages={r.name.normalized for r in records if r.channel in (PIP, VENV)},
            platform=Subdir(self._subdir),
            requested_specs=[rattler.MatchSpec(text)._match_spec for text in requested],
            show_progress=False,
        )
        try:
            self._loop.run(install, wait=False)
        except InstallerError as error:
            raise PrefixError(str(self.path), f"linking failed: {_in_short(str(error))}") from error
        if not tagged:
            (self.path / _CACHE_TAG).unlink(missing_ok=True)
        if self._prefix.python is not None:  # rattler takes away what became empty
            self._prefix.python.site_packages.mkdir(parents=True, exist_ok=True)

    def _adopt(self) -> None:
        """Give a virtual environment the record of its interpreter, so that conda knows its version."""
        (self.path / "conda-meta").mkdir(exist_ok=True)
        for path, record in self._interpreter_record.items():
            if not (self.path / path).exists():
                (self.path / path).write_text(json.dumps(record, indent=2), "utf-8")

    @property
    def _interpreter_record(self) -> Mapping[str, Mapping[str, Any]]:
        """Path -> the record of a virtual environment's interpreter; nothing for other environments."""
        python = self._prefix.python
        if python is None or not python.is_venv:
            return {}
        record = venv_python(python.version, self._subdir)
        return {f"conda-meta/python-{python.version}-{VENV}.json": record}

    @property
    def _outdated_records(self) -> list[Path]:
        """The records of interpreters that a virtual environment had before."""
        found = (self.path / "conda-meta").glob(f"python-*-{VENV}.json")
        return [file for file in found if f"conda-meta/{file.name}" not in self._interpreter_record]


def _in_short(text: str) -> str:
    """What failed, and the cause at the bottom of it, in one line."""
    lines = [line.removeprefix("Caused by: ").strip() for line in text.splitlines() if line.strip()]
    return re.sub(r" \(os error \d+\)$", "", ": ".join(dict.fromkeys([lines[0], lines[-1]])))


def _first_lines(text: str, limit: int = 12) -> str:
    lines = [line.rstrip() for line in text.splitlines() if line.strip()]
    more = ["..."] if len(lines) > limit > 1 else []
    return "\n".join([*lines[:limit], *more])
