"""The engine itself: conda's solver over channels and overlay, conda's summary, conda's transaction."""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from conda import CondaError
from conda.base.constants import DEFAULT_SOLVER, ChannelPriority, DepsModifier, UpdateModifier
from conda.base.context import context
from conda.core.package_cache_data import PackageCacheData
from conda.core.subdir_data import SubdirData
from conda.exceptions import (
    CondaSystemExit,
    PackagesNotFoundError,
    ResolvePackageNotFound,
    SpecsConfigurationConflictError,
    UnsatisfiableError,
)
from conda.models.match_spec import MatchSpec
from conda.models.records import PackageCacheRecord
from conda.models.version import VersionSpec
from filelock import FileLock
from packaging.utils import canonicalize_name
from packaging.version import Version

from ...errors import BridgeError, PrefixError, SpecError, Unsatisfiable
from ...model import CHANNEL, CondaName, InstalledDist, PackageRecord, Plan, ProjectName, Row, Target
from ...names import Names
from ...prefix import Prefix, held, lock_file, native_markers, refuse_clobbering, set_aside
from ...report import Reporter
from ...tags import make_target
from ...versions import conda_version
from .. import Problem, version_pair
from .records import BridgeChannel, conda_record, is_cached, written
from .transaction import BridgeTransaction

try:
    from conda.reporters import confirm_yn
except ImportError:  # conda < 25
    from conda.cli.common import confirm_yn

#: What the backends raise where there is no solution; those of plugins derive from these.
UNSATISFIABLE = (
    UnsatisfiableError,
    PackagesNotFoundError,
    ResolvePackageNotFound,
    SpecsConfigurationConflictError,
)


def target_prefix() -> Path:
    """The environment that conda's arguments and configuration choose.

    Raises `PrefixError` where it is none.
    """
    prefix = Path(context.target_prefix)
    if not (prefix / "conda-meta" / "history").is_file():
        hint = f"Create it first: conda create -p {prefix} python"
        raise PrefixError(str(prefix), "this is no conda environment", hint=hint)
    return prefix


#: The user's own backend, while ours stands in its place.
_plain_solver: list[str] = []


def remember_solver() -> None:
    """Name the bridge's solver in the place of the user's, for when the context is made anew."""
    if context.solver == CHANNEL:
        return
    _plain_solver[:] = [context.solver]
    os.environ["CONDA_SOLVER"] = CHANNEL
    context.plugin_manager.get_cached_solver_backend.cache_clear()


def plain_backend() -> Any:
    """The user's own backend; conda's default where theirs is ours for good."""
    names = [*_plain_solver, *([] if context.solver == CHANNEL else [context.solver])]
    return context.plugin_manager.get_solver_backend(names[0] if names else DEFAULT_SOLVER)


def as_conda_error(error: BridgeError) -> CondaError:
    """The error as conda tells it, without a report of a crash."""
    return CondaError(" ".join(filter(None, (f"{error}.", error.hint))))


def asked_to_update_all(modifiers: Mapping[str, Any]) -> bool:
    """Whether ``conda update --all`` asks."""
    return UpdateModifier.UPDATE_ALL in (modifiers.get("update_modifier"), context.update_modifier)


def match_specs(specs: Any) -> list[MatchSpec]:
    """conda's callers give specs as objects or as texts."""
    return [MatchSpec(spec) for spec in specs]


def is_quiet() -> bool:
    """Whether conda was told to print no progress, or JSON alone."""
    return bool(context.quiet or context.json)


def is_offline() -> bool:
    """Whether conda was told to stay off the network, by an option, a variable or a file."""
    return bool(context.offline)


def root_prefix() -> Path:
    """The conda installation that runs."""
    return Path(context.root_prefix)


def context_flags() -> dict[str, bool]:
    """conda's settings that are options of ours too, wherever they were set."""
    return {
        "dry_run": bool(context.dry_run),
        "json": bool(context.json),
        "quiet": bool(context.quiet),
        "offline": bool(context.offline),
        "yes": bool(context.always_yes),
    }


@dataclass(frozen=True, kw_only=True)
class Solving:
    """How to make a solver of the user's own backend, and what to ask of it.

    `keywords` go to the backend as they are; `tries` are the modifiers of ``solve_for_transaction``, tried
    in turn.
    """

    backend: Any
    channels: Sequence[Any]
    subdirs: Sequence[str]
    keywords: Mapping[str, Any]
    tries: Sequence[Mapping[str, Any]]

    @classmethod
    def of_context(cls) -> Solving:
        """As ``conda install`` solves: installed packages frozen at first, then only what must change."""
        return cls(
            backend=plain_backend(),
            channels=context.channels,
            subdirs=context.subdirs,
            keywords={"command": "install"},
            tries=[
                # conda's classic solver explains a conflict at length only where no further try is due
                {
                    "update_modifier": update,
                    "deps_modifier": context.deps_modifier,
                    "should_retry_solve": True,
                }
                for update in (UpdateModifier.FREEZE_INSTALLED, UpdateModifier.UPDATE_SPECS)
            ],
        )

    @classmethod
    def of_call(cls, channels: Any, subdirs: Any, **keywords: Any) -> Solving:
        """As conda called a solver plugin of ours."""
        return cls(
            backend=plain_backend(),
            channels=list(channels) or context.channels,
            subdirs=list(subdirs) or context.subdirs,
            keywords=keywords,
            tries=(),
        )

    def has(self, name: str) -> bool:
        """Whether any channel has a package of that name."""
        return bool(SubdirData.query_all(MatchSpec(name), channels=self.channels, subdirs=self.subdirs))

    def records(self, name: str) -> list[Any]:
        """What the solver may choose of a name: under strict priority, the first channel's that has it."""
        if context.channel_priority != ChannelPriority.STRICT:
            return list(SubdirData.query_all(MatchSpec(name), channels=self.channels, subdirs=self.subdirs))
        found = (
            list(SubdirData.query_all(MatchSpec(name), channels=[channel], subdirs=self.subdirs))
            for channel in self.channels
        )
        return next(filter(None, found), [])

    def solver(
        self,
        prefix: Path,
        *,
        first: Sequence[Any] = (),
        specs: Sequence[MatchSpec] = (),
        removed: Sequence[MatchSpec] = (),
    ) -> Any:
        """A solver over the channels, with some before them."""
        return self.backend(
            str(prefix),
            [*first, *self.channels],
            self.subdirs,
            specs_to_add=list(specs),
            specs_to_remove=list(removed),
            **self.keywords,
        )

    def modifiers(self, *, deps: bool) -> Sequence[Mapping[str, Any]]:
        """The tries, without dependencies where these are not wanted."""
        if deps:
            return self.tries
        return [{**modifiers, "deps_modifier": DepsModifier.NO_DEPS} for modifiers in self.tries]


class CondaEngine:
    """Solves for and links into the prefix of conda's current context."""

    def __init__(self, prefix: Prefix, *, names: Names, solving: Solving | None = None) -> None:
        self._prefix = prefix
        self.names = names
        self._solving = solving or Solving.of_context()
        self._packages: dict[str, PackageRecord] = {}
        self._setup: Any = None
        self._python = Version("0")
        self._reading = threading.Lock()

    # -- the prefix as it is -----------------------------------------------------------------------

    @property
    def path(self) -> Path:
        return self._prefix.path

    @cached_property
    def installed(self) -> Mapping[CondaName, str]:
        found = {CondaName(record["name"]): record["version"] for record in self._prefix.conda_meta}
        return {name: version for name, version in found.items() if name not in self._prefix.broken}

    @property
    def projects(self) -> Sequence[ProjectName]:
        return self._prefix.bridged

    def locked(self, reporter: Reporter) -> AbstractContextManager[None]:
        return held(self._prefix, reporter)

    # -- solving -----------------------------------------------------------------------------------

    def target(self, requests: Sequence[str]) -> Target:
        python = self._prefix.python
        if python is not None and not requests:
            version, implementation, free_threaded = (
                python.version,
                python.implementation,
                python.free_threaded,
            )
        else:
            record = self._chosen_python(requests)
            version, implementation = Version(record.version), "cpython"
            free_threaded = record.build.endswith("t")
        self._python = version
        virtual = {name: version_pair(version) for name, version in _virtual_packages().items()}
        return make_target(
            version,
            context.subdir,
            implementation=implementation,
            free_threaded=free_threaded,
            glibc=virtual.get("__glibc"),
            musl=virtual.get("__musl"),
            macos=virtual.get("__osx"),
            python_abi="python_abi" in self.installed,
            markers=native_markers(context.subdir),
        )

    def _chosen_python(self, requests: Sequence[str]) -> Any:
        """The Python that channels would install, for a prefix that has none or is to get another."""
        specs = [MatchSpec(text) for text in requests] or [MatchSpec("python")]
        solver = self._solving.solver(self.path, specs=specs)
        try:
            final = solver.solve_final_state()
        except UNSATISFIABLE as error:
            raise Unsatisfiable(_sentence(error)) from error
        return next(record for record in final if record.name == "python")

    def on_channels(self, name: CondaName) -> Sequence[str]:
        with self._reading:  # conda's caches are not made for threads
            found = self._solving.records(name)
        return [record.version for record in found if self._runs(record)]

    def _runs(self, record: Any) -> bool:
        """Whether a channel's record accepts the target's Python, as far as its `depends` tell."""
        for text in record.depends:
            if text.partition(" ")[0] == "python":
                wanted = MatchSpec(text).get("version")
                if wanted and not VersionSpec(str(wanted)).match(conda_version(self._python)):
                    return False
        return True

    def solve(self, problem: Problem) -> Plan:
        overlay, bare = problem.overlay, problem.bare
        self._packages = {package.dist: package for package in overlay}
        if not bare:
            # listed twice, backends would tell of a choice
            there = {(r["name"], r["version"], r["build"]) for r in self._prefix.conda_meta}
            overlay = [p for p in overlay if (p.name, p.version, p.build) not in there]
        specs = [MatchSpec(text) for text in problem.requests]
        named = {spec.name for spec in specs}
        limits = [MatchSpec(text) for text in problem.limits]
        specs += [limit for limit in limits if limit.name in named]
        if limits and not overlay:
            raise SpecError(str(limits[0]), "conda takes constraints only where the index has a part in it")
        if bare:
            specs.append(MatchSpec(f"python =={self._python}"))
        with (
            written(overlay, deps=problem.deps, limits=problem.limits) as channel,
            self._solved_prefix(bare) as prefix,
        ):
            first = [channel] if overlay else []
            failure: Exception | None = None
            again = {"force_reinstall": True} if named & self._prefix.broken else {}
            for modifiers in self._solving.modifiers(deps=problem.deps):
                solver = self._solving.solver(prefix, first=first, specs=specs)
                try:
                    plan = self._take(solver.solve_for_transaction(**modifiers, **again))
                except UNSATISFIABLE as error:
                    failure = failure or error
                    continue
                if not bare:
                    self._spare_pip(plan)
                return plan
        assert failure is not None
        raise Unsatisfiable(_sentence(failure)) from failure

    def _spare_pip(self, plan: Plan) -> None:
        """Refuse a plan that breaks what pip placed: conda does not know of its requirements."""
        coming = {row.name: Version(row.version) for row in plan.link if row.package is not None}
        replaced = {dist.project for dist in self._replaced(plan)}
        for dist in self._prefix.dists:
            if dist.owner is not None or dist.project in replaced:
                continue
            for requirement in self._prefix.holding(dist):
                name = self.names.conda_name(ProjectName(canonicalize_name(requirement.name)))
                version = coming.get(name)
                if version is not None and not requirement.specifier.contains(version, prereleases=True):
                    who = f"{dist.project} {dist.version}, which pip placed here"
                    hint = f"Ask for {dist.project} too, or: python -m pip uninstall {dist.project}"
                    raise Unsatisfiable(f"{who}, requires {requirement}, not {name} {version}", hint=hint)

    @contextmanager
    def _solved_prefix(self, bare: bool) -> Iterator[Path]:
        """The prefix, or a place where none is yet."""
        if not bare:
            yield self.path
            return
        with tempfile.TemporaryDirectory(prefix=f"{CHANNEL}-") as folder:
            yield Path(folder) / "bare"

    def solve_removal(self, names: Sequence[CondaName]) -> Plan:
        self._packages = {}
        solver = self._solving.solver(self.path, removed=[MatchSpec(name) for name in names])
        try:
            return self._take(solver.solve_for_transaction())
        except UNSATISFIABLE as error:
            raise Unsatisfiable(_sentence(error)) from error

    def _take(self, transaction: Any) -> Plan:
        """Keep conda's transaction, with the overlay's records under the bridge's own channel."""
        (setup,) = transaction.prefix_setups.values()
        kept = setup._replace(link_precs=tuple(self._ours(record) for record in setup.link_precs))
        self._refuse_missing(kept.link_precs)
        self._setup = kept
        return Plan(
            link=[self._row(r) for r in kept.link_precs], unlink=[self._row(r) for r in kept.unlink_precs]
        )

    def _refuse_missing(self, linked: Iterable[Any]) -> None:
        """conda links anew what depends on Python's minor version; nothing could fetch ours again."""
        for record in linked:
            dist = f"{record.name}-{record.version}-{record.build}"
            ours = record.channel.canonical_name == CHANNEL and dist not in self._packages
            if ours and not any(is_cached(Path(folder), dist) for folder in context.pkgs_dirs):
                raise PrefixError(
                    str(self.path),
                    f"{record.name} {record.version} must be linked anew, and its package is in no cache",
                    hint=f"Remove {record.name} first, and install it again afterwards.",
                )

    def _ours(self, record: Any) -> Any:
        package = self._packages.get(f"{record.name}-{record.version}-{record.build}")
        return record if package is None else conda_record(package)

    def _row(self, record: Any) -> Row:
        channel = record.channel.canonical_name
        return Row(
            name=record.name,
            version=record.version,
            build=record.build,
            build_number=record.build_number,
            channel=channel,
            base_url=record.channel.base_url or channel,
            subdir=record.subdir,
            size=record.get("size") or 0,
            package=self._packages.get(f"{record.name}-{record.version}-{record.build}"),
        )

    # -- changing the prefix -----------------------------------------------------------------------

    def transaction(self, plan: Plan, build: Callable[[], None], note: str = "") -> BridgeTransaction:
        """conda's transaction for the plan that was solved last; `build` stages what it links."""
        replaced = self._replaced(plan)

        def built() -> None:
            build()
            for folder in context.pkgs_dirs:
                refuse_clobbering(self._prefix, plan, Path(folder))

        return BridgeTransaction(
            self._setup, build=built, aside=lambda: set_aside(self._prefix, replaced), note=note
        )

    def confirm(self, plan: Plan, reporter: Reporter) -> bool:
        """conda's own summary and question."""
        reporter.phase("")
        if not context.json and not context.quiet:
            self.transaction(plan, _nothing).print_transaction_summary()
        if context.dry_run or context.json:
            return True
        try:
            return bool(confirm_yn())
        except CondaSystemExit:
            return False

    def has(self, record: PackageRecord) -> bool:
        return any(is_cached(Path(folder), record.dist) for folder in context.pkgs_dirs)

    def stage(self, record: PackageRecord, unpack: Callable[[Path], object]) -> None:
        cache = PackageCacheData.first_writable()
        place = Path(cache.pkgs_dir) / record.dist
        with FileLock(lock_file(place)):
            if not is_cached(place.parent, record.dist):
                if place.exists():  # left by something else: conda would take it for the package
                    shutil.rmtree(place)
                unpack(place)
            fields = conda_record(record).dump()
            cache.insert(
                PackageCacheRecord(
                    **{**fields, "channel": BridgeChannel(subdir=record.subdir)},
                    package_tarball_full_path=str(place) + ".conda",
                    extracted_package_dir=str(place),
                )
            )

    def link(self, plan: Plan) -> None:
        transaction = self.transaction(plan, _nothing)
        transaction.download_and_extract()
        transaction.execute()

    def _replaced(self, plan: Plan) -> list[InstalledDist]:
        """What pip placed of the projects that are about to be linked."""
        linked = {row.name for row in plan.link}
        placed = [dist for dist in self._prefix.dists if dist.owner is None]
        return [dist for dist in placed if self.names.conda_name(dist.project) in linked]


def _nothing() -> None:
    """For a transaction whose packages are all in the cache."""


def _virtual_packages() -> dict[str, str]:
    """What conda tells of this machine: ``__glibc`` and its version, and so on."""
    manager = context.plugin_manager
    if hasattr(manager, "get_virtual_package_records"):  # conda 25 and later
        return {record.name: record.version for record in manager.get_virtual_package_records()}
    return {f"__{package.name}": package.version or "0" for package in manager.get_virtual_packages()}


def _sentence(error: Exception) -> str:
    """What conda's solver found: its first words."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(lines[:3]) or "conda's solver finds no solution"
