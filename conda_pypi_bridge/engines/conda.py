"""The engine that conda brings: its solver backend, its summary and prompt, its transaction.

The overlay becomes a ``file:`` channel for the length of one solve. The records that the solve chose
from it are renamed to the bridge's own channel, their packages are put ready-extracted into conda's
package cache, and conda's transaction links them like any other.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

from conda.base.constants import DepsModifier, UpdateModifier
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
from conda.models.channel import Channel
from conda.models.match_spec import MatchSpec
from conda.models.records import PackageCacheRecord
from conda.models.records import PackageRecord as CondaRecord
from packaging.version import Version

from ..errors import PrefixError, Unsatisfiable
from ..model import CHANNEL, CondaName, InstalledDist, PackageRecord, Plan, ProjectName, Row, Target
from ..names import Names
from ..prefix import Prefix, held, native_markers, set_aside
from ..report import Reporter
from ..tags import make_target
from ..versions import conda_version
from . import Problem, version_pair

try:
    from conda.reporters import confirm_yn
except ImportError:  # conda < 25
    from conda.cli.common import confirm_yn

_UNSATISFIABLE = (
    UnsatisfiableError,
    PackagesNotFoundError,
    ResolvePackageNotFound,
    SpecsConfigurationConflictError,
)


class BridgeChannel(Channel):  # type: ignore[misc]
    """The bridge's channel as conda records it: a name alone.

    conda would write the name's full address, which is a public host where anyone may register it.
    """

    def __init__(self, *, subdir: str) -> None:
        super().__init__(name=CHANNEL, platform=subdir)

    @property
    def canonical_name(self) -> str:
        return CHANNEL

    @property
    def base_url(self) -> str:
        return CHANNEL

    def __str__(self) -> str:
        return CHANNEL


def target_prefix() -> Path:
    """The environment that conda's arguments and configuration choose.

    Raises `PrefixError` where it is none.
    """
    prefix = Path(context.target_prefix)
    if not (prefix / "conda-meta" / "history").is_file():
        hint = f"Create it first: conda create -p {prefix} python"
        raise PrefixError(str(prefix), "this is no conda environment", hint=hint)
    return prefix


class CondaEngine:
    """Solves for and links into the prefix of conda's current context."""

    def __init__(self, prefix: Prefix, *, names: Names) -> None:
        self._prefix = prefix
        self.names = names
        self._packages: dict[str, PackageRecord] = {}
        self._transaction: Any = None
        self._python = Version("0")

    # -- the prefix as it is -----------------------------------------------------------------------

    @property
    def path(self) -> Path:
        return self._prefix.path

    @cached_property
    def installed(self) -> Mapping[CondaName, str]:
        return {CondaName(record["name"]): record["version"] for record in self._prefix.conda_meta}

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
        solver = self._backend()(
            str(self.path), context.channels, context.subdirs, specs_to_add=list(requests) or ["python"]
        )
        try:
            final = solver.solve_final_state()
        except _UNSATISFIABLE as error:
            raise Unsatisfiable(_sentence(error)) from error
        return next(record for record in final if record.name == "python")

    def on_channels(self, name: CondaName) -> Sequence[str]:
        found = SubdirData.query_all(MatchSpec(name), channels=context.channels, subdirs=context.subdirs)
        return [record.version for record in found if self._runs(record)]

    def _runs(self, record: Any) -> bool:
        """Whether a channel's record accepts the target's Python, as far as its `depends` tell."""
        for text in record.depends:
            if text.partition(" ")[0] == "python":
                wanted = MatchSpec(text).get("version")
                if wanted is not None and not wanted.match(conda_version(self._python)):
                    return False
        return True

    def solve(self, problem: Problem) -> Plan:
        overlay, bare = problem.overlay, problem.bare
        self._packages = {package.dist: package for package in overlay}
        deps_modifier = DepsModifier.NOT_SET if problem.deps else DepsModifier.NO_DEPS
        limits = (MatchSpec(text, optional=True) for text in problem.limits)
        specs = [*map(MatchSpec, problem.requests), *limits]
        if bare:
            specs.append(MatchSpec(f"python =={self._python}"))
        with _written(overlay, deps=problem.deps) as channel, self._solved_prefix(bare) as prefix:
            failure: Exception | None = None
            for update in (UpdateModifier.FREEZE_INSTALLED, UpdateModifier.UPDATE_SPECS):
                solver = self._backend()(
                    str(prefix),
                    [*([channel] if overlay else []), *context.channels],
                    context.subdirs,
                    specs_to_add=specs,
                    command="create" if bare else "install",
                )
                try:
                    transaction = solver.solve_for_transaction(
                        update_modifier=update, deps_modifier=deps_modifier
                    )
                    return self._set_transaction(transaction)
                except _UNSATISFIABLE as error:
                    failure = failure or error
        assert failure is not None
        raise Unsatisfiable(_sentence(failure)) from failure

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
        solver = self._backend()(
            str(self.path),
            context.channels,
            context.subdirs,
            specs_to_remove=[MatchSpec(name) for name in names],
            command="remove",
        )
        try:
            return self._set_transaction(solver.solve_for_transaction())
        except _UNSATISFIABLE as error:
            raise Unsatisfiable(_sentence(error)) from error

    def _backend(self) -> Any:
        return context.plugin_manager.get_cached_solver_backend()

    def _set_transaction(self, transaction: Any) -> Plan:
        """Keep conda's transaction, with the overlay's records under the bridge's own channel."""
        (setup,) = transaction.prefix_setups.values()
        linked = [self._ours(record) for record in setup.link_precs]
        same = {record.dist_str() for record in linked} & {record.dist_str() for record in setup.unlink_precs}
        kept = setup._replace(
            link_precs=tuple(record for record in linked if record.dist_str() not in same),
            unlink_precs=tuple(record for record in setup.unlink_precs if record.dist_str() not in same),
        )
        self._transaction = type(transaction)(kept)
        return Plan(
            link=[self._row(r) for r in kept.link_precs], unlink=[self._row(r) for r in kept.unlink_precs]
        )

    def _ours(self, record: Any) -> Any:
        package = self._packages.get(f"{record.name}-{record.version}-{record.build}")
        return record if package is None else _conda_record(package)

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

    def confirm(self, plan: Plan, reporter: Reporter) -> bool:
        """conda's own summary and question."""
        reporter.phase("")
        if not context.json and not context.quiet:
            self._transaction.print_transaction_summary()
        if context.dry_run or context.json:
            return True
        try:
            return bool(confirm_yn())
        except CondaSystemExit:
            return False

    def has(self, record: PackageRecord) -> bool:
        return any(_cached(Path(folder), record) for folder in context.pkgs_dirs)

    def stage(self, record: PackageRecord, unpack: Callable[[Path], object]) -> None:
        cache = PackageCacheData.first_writable()
        place = Path(cache.pkgs_dir) / record.dist
        if place.exists():  # left by something else: conda would take it for the package
            shutil.rmtree(place)
        unpack(place)
        fields = _conda_record(record).dump()
        cache.insert(
            PackageCacheRecord(
                **{**fields, "channel": BridgeChannel(subdir=record.subdir)},
                package_tarball_full_path=str(place) + ".conda",
                extracted_package_dir=str(place),
            )
        )

    def link(self, plan: Plan) -> None:
        with set_aside(self._prefix, self._replaced(plan)):
            self._transaction._pfe = None  # the summary looked for packages that `stage` has added since
            self._transaction.download_and_extract()
            self._transaction.execute()

    def _replaced(self, plan: Plan) -> list[InstalledDist]:
        """What pip placed of the projects that are about to be linked."""
        linked = {row.name for row in plan.link}
        placed = [dist for dist in self._prefix.dists if dist.owner is None]
        return [dist for dist in placed if self.names.conda_name(dist.project) in linked]


def _conda_record(package: PackageRecord) -> Any:
    """Our record as conda's, under the bridge's channel."""
    fields = package.index_json()
    return CondaRecord(
        **fields,
        channel=BridgeChannel(subdir=package.subdir),
        url=package.url,
        fn=package.fn,
        size=package.size,
    )


def _cached(folder: Path, record: PackageRecord) -> bool:
    """Whether a package cache holds the package ready-extracted, its record included."""
    return (folder / record.dist / "info" / "repodata_record.json").is_file()


@contextmanager
def _written(overlay: Sequence[PackageRecord], *, deps: bool) -> Iterator[Channel]:
    """The overlay as a channel on disk, as every solver backend reads it.

    Without `deps` the records depend on nothing for the solve: even a backend that is told to leave
    dependencies alone wants to find them.
    """
    with tempfile.TemporaryDirectory(prefix=f"{CHANNEL}-") as folder:
        root = Path(folder) / CHANNEL
        for subdir in {*context.subdirs, "noarch"}:
            entries = {p.fn: _entry(p, deps=deps) for p in overlay if p.subdir == subdir}
            document = {
                "info": {"subdir": subdir},
                "packages": {},
                "packages.conda": entries,
                "repodata_version": 1,
            }
            (root / subdir).mkdir(parents=True)
            (root / subdir / "repodata.json").write_text(json.dumps(document), "utf-8")
        channel = Channel(root.as_uri())
        try:
            yield channel
        finally:
            _forget(channel)


def _entry(package: PackageRecord, *, deps: bool) -> dict[str, Any]:
    entry = {**package.index_json(), "size": package.size}
    return entry if deps else {**entry, "depends": []}


def _forget(channel: Channel) -> None:
    """conda caches what it reads of a channel by address; this address will never be seen again."""
    from conda.gateways.repodata import cache_fn_url

    for pkgs_dir in context.pkgs_dirs:
        for url in channel.urls(with_credentials=True, subdirs=(*context.subdirs, "noarch")):
            for name in ("repodata.json", "current_repodata.json"):
                stem = cache_fn_url(url, name).removesuffix(".json")
                for file in (Path(pkgs_dir) / "cache").glob(f"{stem}.*"):
                    file.unlink(missing_ok=True)


def _virtual_packages() -> dict[str, str]:
    """What conda tells of this machine: ``__glibc`` and its version, and so on."""
    manager = context.plugin_manager
    if hasattr(manager, "get_virtual_package_records"):  # conda 25 and later
        return {record.name: record.version for record in manager.get_virtual_package_records()}
    return {f"__{package.name}": package.version or "0" for package in manager.get_virtual_packages()}


def _sentence(error: Exception) -> str:
    """What conda's solver found, without its heading."""
    return str(error).strip()


__all__ = ["CondaEngine"]
