"""The engine without conda: py-rattler solves and links, in this process.

What rattler leaves to its caller is done here: configuration from condarc files, the installed state
as solver input, distributions that pip placed, the history file, and going back when linking fails.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import rattler
from filelock import FileLock
from packaging.utils import canonicalize_name
from packaging.version import Version
from rattler.exceptions import GatewayError, InstallerError, SolverError

from .. import __version__
from ..condarc import CondaConfig
from ..errors import PrefixError, SpecError, Unsatisfiable, Untranslatable
from ..model import (
    CHANNEL,
    CHANNEL_URL,
    CondaName,
    InstalledDist,
    PackageRecord,
    Plan,
    ProjectName,
    Row,
    Target,
)
from ..names import Names
from ..prefix import (
    Prefix,
    append_history,
    is_writable,
    native_markers,
    placed_files,
    prefix_lock,
    prune_empty,
    set_aside,
)
from ..report import Reporter
from ..tags import make_target
from ..versions import conda_spec, conda_version

_T = TypeVar("_T")

#: Channel names of records that stand for what no channel offers. They are never fetched.
_PIP, _VENV = "pip", "venv"

#: rattler marks a prefix as something that backups may leave out; that is not for us to say.
_CACHE_TAG = "CACHEDIR.TAG"


class RattlerEngine:
    """Solves for and links into one prefix, a conda environment or a virtual environment.

    `channels` are channel names or URLs, best first. `cache` holds packages and repodata. `command`
    is the argv that goes into the history.
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
    ) -> None:
        self._prefix = prefix
        self._config = config
        self._command = command
        self._cache = cache / "pkgs"
        self._repodata = cache / "repodata"
        self._subdir = config.subdir or str(rattler.Subdir.current())
        self._platforms = [rattler.Subdir(self._subdir), rattler.Subdir("noarch")]
        self._channels = [_channel(name, config) for name in channels]
        named = zip(self._channels, channels, strict=True)
        self._names = {c.base_url.rstrip("/"): name for c, name in named if _is_name(name)}
        self.names = names
        self._virtual = [v.into_generic() for v in rattler.VirtualPackage.detect()]
        self._packages: dict[str, PackageRecord] = {}
        self._requests: list[str] = []
        self._removed: list[str] = []
        self._final: list[rattler.RepoDataRecord] = []
        self._target: Target | None = None
        self._loop = _Loop()

    # -- the prefix as it is -----------------------------------------------------------------------

    @property
    def path(self) -> Path:
        return self._prefix.path

    @cached_property
    def installed(self) -> Mapping[CondaName, str]:
        return {CondaName(r.name.normalized): str(r.version) for r in self._state.values()}

    @cached_property
    def projects(self) -> Sequence[ProjectName]:
        ours = {r["name"] for r in self._prefix.conda_meta if r.get("channel") == CHANNEL}
        return [dist.project for dist in self._prefix.dists if dist.owner in ours]

    @cached_property
    def _pip(self) -> Mapping[CondaName, InstalledDist]:
        """What pip placed, by the conda name it would have; a conda package of that name goes first."""
        conda = {record["name"] for record in self._prefix.conda_meta}
        placed = (dist for dist in self._prefix.dists if dist.owner is None)
        named = ((self.names.conda_name(dist.project), dist) for dist in placed)
        return {name: dist for name, dist in named if name not in conda}

    @cached_property
    def _state(self) -> Mapping[str, rattler.RepoDataRecord]:
        """The records of everything in the prefix, by name."""
        python = self._prefix.python
        state: dict[str, rattler.RepoDataRecord] = {r.name.normalized: r for r in _installed(self.path)}
        if python is not None and python.is_venv:
            state["python"] = _read_record(_venv_python(python.version, self._subdir))
        present = {dist.project: dist.version for dist in self._prefix.dists}
        for name, dist in self._pip.items():
            state[name] = _read_record(_pip_record(name, dist, present, self.names))
        return state

    @contextmanager
    def locked(self, reporter: Reporter) -> Iterator[None]:
        if not is_writable(self.path):
            raise PrefixError(
                str(self.path), "this environment is read-only", hint="Choose another with -n or -p."
            )
        if self._prefix.frozen is not None:
            raise PrefixError(
                str(self.path), f"this environment is frozen. {self._prefix.frozen}".strip()
            )  # CEP 22
        with prefix_lock(self.path, reporter):
            yield

    # -- solving -----------------------------------------------------------------------------------

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
        virtual = {v.name.normalized: _pair(str(v.version)) for v in self._virtual}
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
        query = rattler_gateway(self._repodata).query(
            self._channels, self._platforms, [name], recursive=False
        )
        found = (record for records in self._loop.run(query) for record in records)
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

    def solve(
        self,
        requests: Sequence[str],
        overlay: Sequence[PackageRecord],
        *,
        limits: Sequence[str],
        deps: bool,
        bare: bool,
    ) -> Plan:
        self._packages = {package.dist: package for package in overlay}
        self._requests = list(requests)
        self._removed = []
        records = [
            _read_record({**p.index_json(), "channel": CHANNEL, "url": p.url, "fn": p.fn}) for p in overlay
        ]
        state = self._bare_state() if bare else self._state
        if not deps:
            return self._set_final(_without_deps(records, state, requests), state)
        specs = [*requests, *([f"python {state['python'].version}"] if bare else self._kept(requests))]
        failure: Unsatisfiable | None = None
        for priority in _priorities(self._config.channel_priority):
            try:
                locked = [*state.values()]
                solution = self._solve(specs, records, priority, locked=locked, limits=limits)
                return self._set_final(solution, state)
            except Unsatisfiable as error:
                failure = failure or error
        assert failure is not None
        raise failure

    def _bare_state(self) -> Mapping[str, rattler.RepoDataRecord]:
        """What channels put into the prefix: Python, and what it may need."""
        if "python" not in self._state:
            raise PrefixError(str(self.path), "there is no Python here to build packages for")
        return {name: r for name, r in self._state.items() if r.channel not in (CHANNEL, _PIP)}

    def _kept(self, requests: Sequence[str]) -> list[str]:
        """What must stay: everything installed, in the versions once asked for, this Python's minor."""
        asked = {_name(text) for text in requests}
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
            sources=[_Overlay(overlay), *self._channels],
            specs=[rattler.MatchSpec(spec) for spec in specs],
            gateway=rattler_gateway(self._repodata),
            platforms=self._platforms,
            locked_packages=list(locked),
            pinned_packages=pinned,
            virtual_packages=self._virtual,
            channel_priority=priority,
            constraints=[*self._prefix.pinned, *self._config.pinned_packages, *limits],
        )
        try:
            return self._loop.run(solve)
        except SolverError as error:
            raise Unsatisfiable(_first_lines(str(error))) from error
        except GatewayError as error:
            raise Unsatisfiable(f"a channel cannot be read: {_first_lines(str(error))}") from error

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
        gone = _with_users(set(names), self._state)
        brought = {r["name"] for r in self._prefix.conda_meta if r.get("channel") == CHANNEL}
        gone = _with_orphans(gone, self._state, brought - set(self._prefix.requested))
        blocked = sorted(gone & set(self._pip))
        if blocked:
            raise SpecError(" ".join(names), f"{blocked[0]}, which pip placed here, needs it")
        kept = [record for name, record in self._state.items() if name not in gone]
        return self._set_final(kept, self._state)

    def _set_final(
        self, records: Sequence[rattler.RepoDataRecord], state: Mapping[str, rattler.RepoDataRecord]
    ) -> Plan:
        self._final = list(records)
        final = {record.name.normalized: record for record in records}
        same = {name for name, record in final.items() if _same(record, state.get(name))}
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
        return reporter.confirm(plan)

    def has(self, record: PackageRecord) -> bool:
        return (self._cache / record.dist / "info" / "index.json").is_file()

    def stage(self, record: PackageRecord, unpack: Callable[[Path], object]) -> None:
        self._cache.mkdir(parents=True, exist_ok=True)
        with FileLock(self._cache / f".{record.dist}.bridge.lock"):
            if not self.has(record):
                unpack(self._cache / record.dist)

    def link(self, plan: Plan) -> None:
        """Install the final state; go back to the one before if that fails."""
        replaced = [self._pip[CondaName(row.name)] for row in plan.unlink if row.name in self._pip]
        began = time.time()
        with self._adopted(), set_aside(self._prefix, replaced):
            try:
                self._install(self._final)
            except BaseException:
                self._install([*self._state.values()])
                self._sweep([row.dist for row in plan.link], began)
                raise
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
        requested = [*self._prefix.requested.values(), *self._requests]
        install = rattler.install(
            list(records),
            self.path,
            cache_dir=self._cache,
            installed_packages=_installed(self.path),
            ignored_packages={r.name.normalized for r in records if r.channel in (_PIP, _VENV)},
            platform=rattler.Subdir(self._subdir),
            requested_specs=[rattler.MatchSpec(text)._match_spec for text in requested],
            show_progress=False,
        )
        try:
            self._loop.run(install)
        except InstallerError as error:
            raise PrefixError(str(self.path), f"linking failed: {_first_lines(str(error))}") from error

    def _sweep(self, dists: Sequence[str], since: float) -> None:
        """Delete what a failed link left: rattler forgets the files of a package that it did not finish."""
        paths = {path for dist in dists for path in placed_files(self._cache / dist, self._prefix)}
        files = [self.path / path for path in sorted(paths - self._prefix.owned_files)]
        for file in files:
            if file.is_file() and file.lstat().st_ctime >= since:
                file.unlink()
        prune_empty(self._prefix, files)

    @contextmanager
    def _adopted(self) -> Iterator[None]:
        """Give a virtual environment the record of its interpreter, so that conda knows its version."""
        folder, python = self.path / "conda-meta", self._prefix.python
        existed, tagged = folder.exists(), (self.path / _CACHE_TAG).exists()
        folder.mkdir(exist_ok=True)
        if python is not None and python.is_venv:
            for old in folder.glob(f"python-*-{_VENV}.json"):
                old.unlink()
            record = _venv_python(python.version, self._subdir)
            (folder / f"python-{python.version}-{_VENV}.json").write_text(
                json.dumps(record, indent=2), "utf-8"
            )
        try:
            yield
        except BaseException:
            if not existed:
                shutil.rmtree(folder)
            raise
        finally:
            if not tagged:
                (self.path / _CACHE_TAG).unlink(missing_ok=True)


class _Overlay:
    """The overlay as rattler asks for it: records by name, no channel on disk."""

    def __init__(self, records: Sequence[rattler.RepoDataRecord]) -> None:
        self._by_name: dict[tuple[str, str], list[rattler.RepoDataRecord]] = {}
        for record in records:
            self._by_name.setdefault((record.subdir, record.name.normalized), []).append(record)

    async def fetch_package_records(
        self, platform: rattler.Subdir, name: rattler.PackageName
    ) -> list[rattler.RepoDataRecord]:
        return self._by_name.get((str(platform), name.normalized), [])

    def package_names(self, platform: rattler.Subdir) -> list[str]:
        return sorted(name for subdir, name in self._by_name if subdir == str(platform))


class _Loop:
    """One event loop, in a thread of its own, for a library that is asynchronous throughout."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._starting = threading.Lock()

    def run(self, work: Coroutine[Any, Any, _T]) -> _T:
        with self._starting:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                threading.Thread(target=self._loop.run_forever, name="rattler", daemon=True).start()
        running = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return running.result()
        except KeyboardInterrupt:
            # What runs changes the prefix or reads into caches: it must not go on behind our back.
            with suppress(Exception):
                running.result()
            raise


_GATEWAYS: dict[Path, rattler.Gateway] = {}


def rattler_gateway(cache: Path) -> rattler.Gateway:
    """One gateway a process: it keeps what it has read of channels in memory."""
    if cache not in _GATEWAYS:
        _GATEWAYS[cache] = rattler.Gateway(cache_dir=cache)
    return _GATEWAYS[cache]


def _is_name(channel: str) -> bool:
    """Whether a channel is given by its name, as opposed to a URL or a path."""
    return (
        "://" not in channel and not channel.startswith((".", "/", "~")) and not Path(channel).is_absolute()
    )


def _channel(name: str, config: CondaConfig) -> rattler.Channel:
    """A channel by URL, path or name; names as conda's ``custom_channels`` and alias resolve them."""
    if "://" in name:
        return rattler.Channel(name)
    if not _is_name(name):
        return rattler.Channel(Path(name).expanduser().absolute().as_uri())
    first = name.partition("/")[0]
    for custom in (name, first):
        if custom in config.custom_channels:
            return rattler.Channel(f"{config.custom_channels[custom].rstrip('/')}/{name}")
    if config.channel_alias:
        return rattler.Channel(f"{config.channel_alias.rstrip('/')}/{name}")
    return rattler.Channel(name)


def _installed(prefix: Path) -> list[rattler.PrefixRecord]:
    """The records of ``conda-meta``, each with the paths of its files as they are in the prefix.

    conda notes those of a ``noarch: python`` package as they are in the package; rattler would look
    there for what it is to delete, and leave it behind.
    """
    found = []
    for file in sorted((prefix / "conda-meta").glob("*.json")):
        document = json.loads(file.read_text("utf-8"))
        files = document.get("files", [])
        if document.get("noarch") == "python" and files:
            paths = [{"_path": path, "path_type": "hardlink"} for path in files]
            found.append(_read_record({**document, "paths_data": {"paths_version": 1, "paths": paths}}))
        else:
            found.append(rattler.PrefixRecord.from_path(file))
    return found


def _read_record(record: Mapping[str, Any]) -> rattler.PrefixRecord:
    """A record of rattler from conda's JSON.

    Its constructor insists on a channel that is a URL; read from a file, as an installed package's
    record, the channel may be a name.
    """
    document = {"files": [], "paths_data": {"paths_version": 1, "paths": []}, **record}
    descriptor, name = tempfile.mkstemp(suffix=".json")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            json.dump(document, stream)
        return rattler.PrefixRecord.from_path(Path(name))
    finally:
        Path(name).unlink()


def _venv_python(version: Version, subdir: str) -> dict[str, Any]:
    """The record that stands for the interpreter of a virtual environment: it has no files."""
    return {
        "name": "python",
        "version": str(version),
        "build": _VENV,
        "build_number": 0,
        "depends": [],
        "subdir": subdir,
        "channel": _VENV,
        "url": f"{CHANNEL_URL}/{subdir}/python-{version}-{_VENV}.conda",
        "fn": f"python-{version}-{_VENV}.conda",
        "files": [],
        "paths_data": {"paths_version": 1, "paths": []},
    }


def _pip_record(
    name: CondaName, dist: InstalledDist, present: Mapping[ProjectName, Version], names: Names
) -> dict[str, Any]:
    """The record that stands for what pip placed, with those of its requirements that hold now."""
    version = conda_version(dist.version)
    return {
        "name": name,
        "version": version,
        "build": f"{_PIP}_0",
        "build_number": 0,
        "depends": sorted(_holding(dist, present, names)),
        "subdir": "noarch",
        "channel": _PIP,
        "url": f"{CHANNEL_URL}/noarch/{name}-{version}-{_PIP}_0.conda",
        "fn": f"{name}-{version}-{_PIP}_0.conda",
    }


def _holding(dist: InstalledDist, present: Mapping[ProjectName, Version], names: Names) -> Iterator[str]:
    for requirement in dist.requires:
        project = ProjectName(canonicalize_name(requirement.name))
        version = present.get(project)
        if version is None or not requirement.specifier.contains(version, prereleases=True):
            continue
        if requirement.marker is not None and "extra" in str(requirement.marker):
            continue
        try:
            yield f"{names.conda_name(project)} {conda_spec(requirement.specifier)}".strip()
        except Untranslatable:
            continue


def _without_deps(
    overlay: Sequence[rattler.RepoDataRecord],
    state: Mapping[str, rattler.RepoDataRecord],
    requests: Sequence[str],
) -> list[rattler.RepoDataRecord]:
    """The state plus the newest record of each request, whatever these depend on."""
    final = dict(state)
    for text in requests:
        spec = rattler.MatchSpec(text)
        fitting = [record for record in overlay if record.matches(spec)]
        if not fitting:
            raise Unsatisfiable(f"nothing on the index matches {text}")
        best = max(fitting, key=lambda record: (record.version, record.build_number))
        final[best.name.normalized] = best
    return list(final.values())


def _with_users(names: set[str], state: Mapping[str, rattler.RepoDataRecord]) -> set[str]:
    """The names and everything that depends on them."""
    gone: set[str] = set()
    queue = list(names)
    while queue:
        name = queue.pop()
        gone.add(name)
        queue += [user for user, r in state.items() if user not in gone and name in _needs(r)]
    return gone


def _with_orphans(gone: set[str], state: Mapping[str, rattler.RepoDataRecord], brought: set[str]) -> set[str]:
    """The names and, of what was brought along for them, everything that nobody else needs."""
    gone = set(gone)
    while True:
        needed = {name for other, r in state.items() if other not in gone for name in _needs(r)}
        freed = {name for left in gone for name in _needs(state[left])}
        orphans = (freed & brought) - needed - gone
        if not orphans:
            return gone
        gone |= orphans


def _needs(record: rattler.RepoDataRecord) -> set[str]:
    return {_name(text) for text in record.depends}


def _name(spec: str) -> str:
    name = rattler.MatchSpec(spec).name
    return name.normalized if name is not None else ""


def _same(record: rattler.RepoDataRecord, other: rattler.RepoDataRecord | None) -> bool:
    return (
        other is not None
        and (str(record.version), str(record.build)) == (str(other.version), str(other.build))
        and record.build_number == other.build_number
        and (record.channel in (CHANNEL, _PIP, _VENV)) == (other.channel in (CHANNEL, _PIP, _VENV))
    )


def _priorities(setting: str) -> Sequence[rattler.ChannelPriority]:
    """conda's flexible priority falls back to lower channels; rattler has strict and disabled."""
    strict, disabled = rattler.ChannelPriority.Strict, rattler.ChannelPriority.Disabled
    return {"strict": [strict], "disabled": [disabled]}.get(setting, [strict, disabled])


def _pair(version: str) -> tuple[int, int]:
    """``2.36`` -> ``(2, 36)``; of what is no such version, zeros."""
    major, minor = [*version.split("."), "0"][:2]
    return (int(major), int(minor)) if major.isdigit() and minor.isdigit() else (0, 0)


def _first_lines(text: str, limit: int = 12) -> str:
    lines = [line.rstrip() for line in text.splitlines() if line.strip()]
    return "\n".join([*lines[:limit], *(["..."] if len(lines) > limit else [])])


def exit_now(status: int) -> None:
    """End the process at once: rattler's threads may crash an interpreter that shuts down slowly."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


__all__ = ["RattlerEngine", "exit_now"]
