"""The story: from the user's SPECs to packages linked into a prefix, and back out again.

SPECs -> requests -> closure -> overlay records -> one solve -> chosen records -> built packages ->
linked. Both engines walk through it alike; doors call it and show what it returns.

Often there is nothing to do: what resolves, asks the index and builds is imported when that is known not to
be so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from . import specs
from .engines import Engine
from .errors import Cancelled, NotInstalled, SpecError
from .locks import scratch
from .model import CondaName, PackageRecord, Plan, ProjectName, Request, Row, Target
from .names import Names, conda_only, never_from_pypi
from .options import Options
from .prefix.startable import refuse_unstartable
from .report import Reporter

if TYPE_CHECKING:
    from .ahead import Asked
    from .index import Index


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What happened, or would happen."""

    prefix: Path
    plan: Plan = field(default_factory=Plan)
    dry_run: bool = False
    message: str = ""
    fetched: Sequence[Row] = ()


@dataclass(frozen=True, kw_only=True)
class Built:
    """A package file that `build` wrote."""

    record: PackageRecord
    path: Path


ALREADY = "All requested packages are already installed."


def install(
    texts: Sequence[str],
    engine: Engine,
    opened: Callable[[], Index],
    options: Options,
    reporter: Reporter,
) -> Outcome:
    """Install SPECs into the engine's prefix. Raises `BridgeError`; then nothing was changed.

    `opened` opens the index, where it is needed.
    """
    with engine.locked(reporter):
        refuse_unstartable(engine.path)
        reporter.phase("Reading the environment")
        pythons = [text for text in texts if specs.names_python(text)]
        # The target is left for later where it is not needed to see that there is nothing to do: looking at
        # the machine takes conda as long as starting.
        target = None if not pythons and engine.markers else engine.target(pythons)
        requests = requests_of(texts, target.markers if target else engine.markers, engine.names)
        if options.newest:
            asked = frozenset(name for request in requests for name in _conda_names(request, engine))
            options = replace(options, upgrade=asked)
        elif _satisfied(requests, engine):
            return Outcome(prefix=engine.path, dry_run=options.dry_run, message=ALREADY)
        index = opened()
        pages = _asked(requests, engine, index, options)
        return _brought(
            requests, target or engine.target(pythons), engine, index, options, reporter, asked=pages
        )


def _asked(requests: Sequence[Request], engine: Engine, index: Index, options: Options) -> Asked:
    """Pages that any solution takes: where there are no channels, those of all that is not there yet."""
    if engine.has_channels or options.blocked:
        return {}
    from .ahead import ask

    missing = {request.project for request in requests if not _met(request, engine)}
    named = {request.project for request in requests if request.requirement is not None}
    names = engine.names
    return ask(index, [p for p in sorted(missing & named) if not never_from_pypi(names.conda_name(p))])


def _brought(
    requests: Sequence[Request],
    target: Target,
    engine: Engine,
    index: Index,
    options: Options,
    reporter: Reporter,
    *,
    asked: Asked,
) -> Outcome:
    """What it takes to meet the requests, and its doing."""
    from .reasons import notes, reasoned, replacement
    from .rebuild import restored
    from .resolve import Resolver

    resolver = Resolver(
        target=target, engine=engine, index=index, options=options, reporter=reporter, asked=asked
    )
    closure, plan = resolver.resolve(requests)
    plan = restored(reasoned(closure, plan), target, engine, index)
    for sentence in [*notes(closure, plan), *map(replacement, engine.replaced(plan))]:
        reporter.warn(sentence)
    if plan.empty:
        return Outcome(prefix=engine.path, dry_run=options.dry_run, message=ALREADY)
    outcome = Outcome(
        prefix=engine.path,
        plan=plan,
        dry_run=options.dry_run,
        fetched=[row for row in plan.link if row.package is not None and not engine.has(row.dist)],
    )
    return _carry_out(outcome, target, engine, index, options, reporter)


def remove(names: Sequence[str], engine: Engine, reporter: Reporter, *, dry_run: bool) -> Outcome:
    """Remove packages, given by their conda or project names.

    Raises `Cancelled` where the user says no, or another `BridgeError`.
    """
    with engine.locked(reporter):
        reporter.phase("Reading the environment")
        found = [_installed_name(name, engine) for name in names]
        plan = engine.solve_removal(found)
        outcome = Outcome(prefix=engine.path, plan=plan, dry_run=dry_run)
        if not engine.confirm(plan, reporter):
            raise Cancelled
        if not dry_run:
            reporter.phase("Removing")
            engine.link(plan)
        return outcome


def build(
    texts: Sequence[str],
    engine: Engine,
    index: Index,
    options: Options,
    folder: Path,
    level: int,
    reporter: Reporter,
) -> list[Built]:
    """Write ``.conda`` files into `folder`: of wheel files, and of SPECs with what they require.

    The packages are for the Python and platform of the engine's prefix, whatever is installed there;
    what channels have is left to them. `level` is zstd's, 1 to 22. Raises `BridgeError`.
    """
    from .building import pack
    from .make import local_record, make
    from .resolve import Resolver

    reporter.phase("Reading the environment")
    target = engine.target([])
    files = [Path(text) for text in texts if text.endswith(".whl")]
    local = {record: path for path in files for record in [local_record(path, target, engine.names)]}
    chosen = list(local)
    if len(files) < len(texts):
        named = [text for text in texts if not text.endswith(".whl")]
        requests = requests_of(named, target.markers, engine.names)
        bare = replace(options, bare=True)
        resolver = Resolver(target=target, engine=engine, index=index, options=bare, reporter=reporter)
        _, plan = resolver.resolve(requests)
        chosen += [row.package for row in plan.link if row.package is not None]
    folder.mkdir(parents=True, exist_ok=True)
    built: list[Built] = []

    def write(record: PackageRecord, unpack: Callable[[Path], object]) -> None:
        with scratch(index.folder) as place:
            unpack(place / record.dist)
            built.append(Built(record=record, path=pack(place / record.dist, folder, level=level)))

    make(chosen, target, write, index, options, reporter, local=local)
    return sorted(built, key=lambda item: item.path)


def _carry_out(
    outcome: Outcome, target: Target, engine: Engine, index: Index, options: Options, reporter: Reporter
) -> Outcome:
    if outcome.dry_run:
        engine.confirm(outcome.plan, reporter)
        return outcome
    if not engine.confirm(outcome.plan, reporter):
        raise Cancelled
    missing = [row.package for row in outcome.fetched if row.package is not None]
    if missing:
        from .make import make

        make(missing, target, engine.stage, index, options, reporter)
    reporter.phase("Linking")
    engine.link(outcome.plan)
    return outcome


def requests_of(texts: Sequence[str], markers: Mapping[str, str], names: Names) -> list[Request]:
    """SPECs as requests; those whose marker does not hold ask for nothing. Raises `SpecError`."""
    found = [specs.parse_spec(text, markers) for text in texts]
    requests = [_of_project(request, names) for request in found if request is not None]
    if not requests:
        raise SpecError(" ".join(texts), "there is nothing to install for this environment")
    return requests


def _of_project(request: Request, names: Names) -> Request:
    """A package of the bridge as an export names it, asked for by its project's name."""
    if not request.build or request.requirement is None:
        return request
    project = names.project_of(CondaName(request.requirement.name)) or request.project
    return replace(
        request, project=project, requirement=Requirement(f"{project}{request.requirement.specifier}")
    )


def _satisfied(requests: Sequence[Request], engine: Engine) -> bool:
    return all(_met(request, engine) for request in requests)


def _conda_names(request: Request, engine: Engine) -> Iterator[CondaName]:
    """What the package that is asked for may be called: as its project is, or as the user wrote it."""
    yield engine.names.conda_name(request.project)
    if request.requirement is not None and (written := conda_only(request.requirement.name)):
        yield written


def _met(request: Request, engine: Engine) -> bool:
    requirement = request.requirement
    if requirement is None:
        return False
    names = [engine.names.conda_name(request.project)]
    if requirement.extras:
        from .translate import extra_name

        names += [extra_name(request.project, canonicalize_name(extra)) for extra in requirement.extras]
    if any(name not in engine.installed for name in names):
        return False
    try:
        version = Version(engine.installed[names[0]])
    except InvalidVersion:
        return False
    return requirement.specifier.contains(version, prereleases=True)


def _installed_name(text: str, engine: Engine) -> CondaName:
    project = ProjectName(canonicalize_name(text))
    for name in (CondaName(text), engine.names.conda_name(project), CondaName(project)):
        if name in engine.installed:
            return name
    raise NotInstalled(text, str(engine.path), among=engine.installed)
