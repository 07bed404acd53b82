"""The engine itself: conda's solver over channels and overlay, conda's summary, conda's transaction."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

from conda import CondaError
from conda.base.context import context
from conda.core.package_cache_data import PackageCacheData
from conda.exceptions import (
    CondaSystemExit,
)
from conda.models.match_spec import MatchSpec
from conda.models.records import PackageCacheRecord
from conda.models.version import VersionSpec
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from ...errors import PrefixError, SpecError, Unsatisfiable
from ...locks import scratch
from ...model import CHANNEL, CondaName, InstalledDist, PackageRecord, Plan, ProjectName, Row, Target
from ...names import Names
from ...prefix import (
    Prefix,
    change_of,
    clear_away,
    delete,
    exclusive,
    files_of,
    held,
    journalled,
    native_markers,
    prune_empty,
    refuse_clobbering,
    require_done,
)
from ...report import Reporter, Silent
from ...store import cache_folder
from ...versions import conda_version
from .. import Chosen, Problem, place_package, target_of
from .caches import cached_at, is_known, made_known
from .calling import UNSATISFIABLE, Solving, virtual_packages
from .failures import as_ours, sentence
from .offline import is_at_hand, require_packages
from .records import conda_record, dist_of, has_whole, in_a_cache, renamed, written
from .transaction import LEFT_BY_CONDA, BridgeTransaction

try:
    from conda.reporters import confirm_yn
except ImportError:  # conda < 25
    from conda.cli.common import confirm_yn


class CondaEngine:
    """Solves for and links into the prefix of conda's current context.

    Raises as `Engine` says: `PrefixError`, `SpecError`, `Unsatisfiable`.
    """

    def __init__(self, prefix: Prefix, *, names: Names, solving: Solving | None = None) -> None:
        self._prefix = prefix
        self.names = names
        self._solving = solving or Solving.of_context()
        self._packages: dict[str, PackageRecord] = {}
        self._setup: Any = None
        self._python = Version("0")
        self._reading = threading.Lock()
        self._far: list[Any] = []

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

    @property
    def held_by_pip(self) -> Iterable[tuple[InstalledDist, Requirement]]:
        return self._prefix.held_by_pip

    @property
    def has_channels(self) -> bool:
        return bool(self._solving.channels)

    @property
    def pins(self) -> Sequence[str]:
        return [] if context.ignore_pinned else [*self._prefix.pinned, *context.pinned_packages]

    def locked(self, reporter: Reporter) -> AbstractContextManager[None]:
        python = self._prefix.python
        if python is not None and python.is_venv:
            hint = f"Use: python -m {__package__.partition('.')[0]} install -p {self.path}"
            raise PrefixError(str(self.path), "this is a virtual environment, and not conda's", hint=hint)
        return held(self._prefix, reporter)

    # -- solving -----------------------------------------------------------------------------------

    @property
    def markers(self) -> Mapping[str, str]:
        return self._prefix.markers(context.subdir)

    def load(self) -> None:
        """conda is there already."""

    def target(self, requests: Sequence[str]) -> Target:
        python = self._prefix.python
        if python is not None and not requests:
            chosen = Chosen(python.version, python.implementation, python.free_threaded)
        else:
            record = self._chosen_python(requests)
            chosen = Chosen(Version(record.version), free_threaded=record.build.endswith("t"))
        self._python = chosen.version
        return target_of(
            chosen,
            context.subdir,
            virtual_packages(),
            markers=native_markers(context.subdir),
            python_abi="python_abi" in self.installed,
        )

    def _chosen_python(self, requests: Sequence[str]) -> Any:
        """The Python that channels would install, for a prefix that has none or is to get another."""
        specs = [MatchSpec(text) for text in requests] or [MatchSpec("python")]
        solver = self._solving.solver(self.path, specs=specs)
        try:
            final = solver.solve_final_state()
        except UNSATISFIABLE as error:
            raise Unsatisfiable(sentence(error)) from error
        return next(record for record in final if record.name == "python")

    def on_channels(self, name: CondaName) -> Sequence[str]:
        with self._reading:  # conda's caches are not made for threads
            found = self._solving.records(name)
        if context.offline and name not in self.installed and not any(map(is_at_hand, found)):
            self._far += found[-1:]
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
            again = context.force_reinstall or bool(named & self._prefix.broken)
            for modifiers in self._solving.modifiers(deps=problem.deps):
                solver = self._solving.solver(prefix, first=first, specs=specs)
                try:
                    options = {**modifiers, "force_reinstall": again}
                    plan = self._take(solver.solve_for_transaction(**options), again=again)
                except UNSATISFIABLE as error:
                    require_packages(self._far)
                    failure = failure or error
                    continue
                if not bare:
                    self._spare_pip(plan)
                require_packages(self._setup.link_precs)
                return plan
        assert failure is not None
        raise Unsatisfiable(sentence(failure)) from failure

    def _spare_pip(self, plan: Plan) -> None:
        """Refuse a plan that breaks what pip placed: conda does not know of its requirements."""
        coming = {row.name: Version(row.version) for row in plan.link if row.package is not None}
        replaced = {dist.project for dist in self.replaced(plan)}
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
        with scratch(cache_folder()) as folder:
            yield folder / "bare"

    def solve_removal(self, names: Sequence[CondaName]) -> Plan:
        self._packages = {}
        solver = self._solving.solver(self.path, removed=[MatchSpec(name) for name in names])
        try:
            return self._take(solver.solve_for_transaction())
        except UNSATISFIABLE as error:
            raise Unsatisfiable(sentence(error)) from error

    def adopt(self, transaction: Any, packages: Iterable[PackageRecord] = ()) -> Plan:
        """Take over a transaction of conda's own; `packages` are those of the bridge that are new in it."""
        self._packages = {package.dist: package for package in packages}
        return self._take(transaction)

    def _take(self, transaction: Any, *, again: bool = False) -> Plan:
        """Keep conda's transaction, with the overlay's records under the bridge's own channel.

        `again` tells that packages are meant to be linked once more as they are.
        """
        (setup,) = transaction.prefix_setups.values()
        kept = setup._replace(link_precs=tuple(self._ours(record) for record in setup.link_precs))
        if not again and not any(record.name == "python" for record in setup.link_precs):
            kept = _without_swaps(kept)
        self._setup = kept
        return Plan(
            link=[self._row(r) for r in kept.link_precs], unlink=[self._row(r) for r in kept.unlink_precs]
        )

    def remember_words(self, specs: Sequence[MatchSpec]) -> None:
        """Let conda's history hold what the user asked for as it was said; extras have specs of their own."""
        said = {spec.name for spec in specs}
        others = [spec for spec in self._setup.update_specs if spec.name not in said]
        self._setup = self._setup._replace(update_specs=(*specs, *others))

    def _ours(self, record: Any) -> Any:
        """The record under the bridge's channel, whether the overlay, the prefix or a cache had it."""
        package = self._packages.get(dist_of(record))
        if package is not None:
            return conda_record(package)
        return renamed(record) if record.channel.canonical_name == CHANNEL else record

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
            package=self._packages.get(dist_of(record)),
        )

    # -- changing the prefix -----------------------------------------------------------------------

    def transaction(
        self,
        plan: Plan,
        build: Callable[[], None],
        reporter: Reporter,
        note: str = "",
        *,
        replaced: Sequence[InstalledDist] = (),
        renamed: Mapping[Path, Path] | None = None,
    ) -> BridgeTransaction:
        """conda's transaction for the plan that was solved last; `build` stages what it links."""
        found = self._prefix.packages_now()
        dists, renamed = {*self.replaced(plan), *replaced}, renamed or {}

        def built() -> None:
            build()
            if not all(is_known(row) for row in plan.link):
                PackageCacheData.clear()  # built by another process: conda has yet to see it
            for folder in context.pkgs_dirs:
                refuse_clobbering(self._prefix, plan, Path(folder))

        @contextmanager
        def alone() -> Iterator[None]:
            new = not self.path.exists()
            self.path.mkdir(parents=True, exist_ok=True)
            with exclusive(self._prefix, reporter):
                if self._prefix.packages_now() != found:
                    raise CondaError("another process has changed this environment meanwhile; run again")
                gone = [file for dist in dists for file in files_of(self._prefix, dist)]
                change = change_of(
                    self._prefix, plan, cached_at, gone=gone, renamed=renamed, own=LEFT_BY_CONDA
                )
                with journalled(self.path, change, new=new):
                    clear_away(gone, renamed)
                    yield
                    prune_empty(self._prefix, gone)
                    for left in (left for pattern in LEFT_BY_CONDA for left in self.path.glob(pattern)):
                        delete(left)
                    require_done(self._prefix, plan, change)

        return BridgeTransaction(self._setup, build=built, alone=alone, note=note)

    def confirm(self, plan: Plan, reporter: Reporter) -> bool:
        """conda's own summary and question."""
        reporter.phase("")
        if not context.json and not context.quiet:
            self.transaction(plan, _nothing, reporter).print_transaction_summary()
        if context.dry_run or context.json:
            return True
        try:
            return bool(confirm_yn())
        except CondaSystemExit:
            return False

    def has(self, dist: str) -> bool:
        return in_a_cache(dist)

    def stage(self, record: PackageRecord, unpack: Callable[[Path], object]) -> None:
        cache = PackageCacheData.first_writable()
        folder = Path(cache.pkgs_dir)
        known: list[PackageCacheRecord] = []

        def write(place: Path) -> None:
            unpack(place)
            known.append(made_known(cache, record, place))

        place_package(folder, record.dist, lambda: has_whole(folder, record.dist), write)
        for entry in known:
            entry.extracted_package_dir = str(folder / record.dist)

    def link(
        self, plan: Plan, replaced: Sequence[InstalledDist] = (), renamed: Mapping[Path, Path] | None = None
    ) -> None:
        transaction = self.transaction(plan, _nothing, Silent(), replaced=replaced, renamed=renamed)
        transaction.download_and_extract()
        try:
            transaction.execute()
        except (CondaError, OSError) as error:
            raise as_ours(self.path, error) from error

    def replaced(self, plan: Plan) -> Sequence[InstalledDist]:
        linked = {row.name for row in plan.link}
        placed = [dist for dist in self._prefix.dists if dist.owner is None]
        return [dist for dist in placed if self.names.conda_name(dist.project) in linked]


def _without_swaps(setup: Any) -> Any:
    """The setup without packages of ours that would give way to themselves: in the prefix and the overlay."""
    linked, unlinked = _bridged(setup.link_precs), _bridged(setup.unlink_precs)
    return setup._replace(
        link_precs=tuple(r for r in setup.link_precs if dist_of(r) not in linked & unlinked),
        unlink_precs=tuple(r for r in setup.unlink_precs if dist_of(r) not in linked & unlinked),
    )


def _bridged(records: Iterable[Any]) -> set[str]:
    return {dist_of(record) for record in records if record.channel.canonical_name == CHANNEL}


def _nothing() -> None:
    """For a transaction whose packages are all in the cache."""
