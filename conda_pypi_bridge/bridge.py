"""The story: from the user's SPECs to packages linked into a prefix, and back out again.

SPECs -> requests -> closure -> overlay records -> one solve -> chosen records -> built packages ->
linked. Both engines walk through it alike; doors call it and show what it returns.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from . import build, specs, translate
from .closure import DEPTHS, ChannelWant, Closure, Edge, Limits, PageWant, Want, explain
from .errors import BridgeError, Cancelled, SpecError, Unsatisfiable, Untranslatable, WheelRefused
from .index import Index
from .model import (
    CHANNEL,
    CondaName,
    CoreMetadata,
    PackageRecord,
    Plan,
    ProjectName,
    Request,
    Row,
    Target,
    Wheel,
)
from .names import Names
from .report import Reporter
from .versions import conda_spec

#: Threads that wait for the network at once: an index answers each in tens of milliseconds.
_FETCHERS = 16


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

    def locked(self, reporter: Reporter) -> AbstractContextManager[None]:
        """Holds the prefix against other processes of the bridge, waiting visibly."""
        ...

    def target(self, requests: Sequence[str]) -> Target:
        """The environment to choose wheels for, given what is asked of ``python``."""
        ...

    def on_channels(self, name: CondaName) -> Sequence[str]:
        """The versions of a package that channels offer to the target's Python."""
        ...

    def solve(
        self, requests: Sequence[str], overlay: Sequence[PackageRecord], *, limits: Sequence[str], deps: bool
    ) -> Plan:
        """One solve over channels and overlay. Raises `Unsatisfiable`.

        `limits` are specs that whatever is installed must meet, without being asked for.
        """
        ...

    def solve_removal(self, names: Sequence[CondaName]) -> Plan:
        """What removing packages takes along."""
        ...

    def confirm(self, plan: Plan, reporter: Reporter) -> bool:
        """Show the plan; whether the user agrees."""
        ...

    def has(self, record: PackageRecord) -> bool:
        """Whether the package is built and in the engine's cache."""
        ...

    def stage(self, record: PackageRecord, unpack: Callable[[Path], object]) -> None:
        """Let `unpack` write the package to where the engine links it from."""
        ...

    def link(self, plan: Plan) -> None:
        """Carry out the plan that `solve` or `solve_removal` returned last."""
        ...


@dataclass(frozen=True, kw_only=True)
class Options:
    """What the user chose, apart from the SPECs.

    `constraints` are PEP 508 requirements that only limit versions. `hashes` maps a SPEC to the sha256
    of the files it admits; with `require_hashes` whatever comes from an index must have some.
    """

    pre: bool = False
    deps: bool = True
    dry_run: bool = False
    constraints: Sequence[str] = ()
    hashes: Mapping[str, frozenset[str]] = field(default_factory=dict)
    require_hashes: bool = False


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What happened, or would happen."""

    prefix: Path
    plan: Plan = field(default_factory=Plan)
    dry_run: bool = False
    message: str = ""
    fetched: Sequence[Row] = ()
    reasons: Mapping[str, str] = field(default_factory=dict)


ALREADY = "All requested packages are already installed."


def install(
    texts: Sequence[str], engine: Engine, index: Index, options: Options, reporter: Reporter
) -> Outcome:
    """Install SPECs into the engine's prefix. Raises `BridgeError`; then nothing was changed."""
    with engine.locked(reporter):
        reporter.phase("Reading the environment")
        target = engine.target([text for text in texts if specs.names_python(text)])
        requests = _requests(texts, target)
        if _satisfied(requests, engine):
            return Outcome(prefix=engine.path, dry_run=options.dry_run, message=ALREADY)
        closure = _closure(requests, target, engine, options)
        plan = _resolve(closure, requests, engine, index, options, reporter)
        for warning in closure.warnings:
            reporter.warn(warning)
        if plan.empty:
            return Outcome(prefix=engine.path, dry_run=options.dry_run, message=ALREADY)
        outcome = Outcome(
            prefix=engine.path,
            plan=plan,
            dry_run=options.dry_run,
            fetched=[row for row in plan.link if row.package is not None and not engine.has(row.package)],
            reasons=_reasons(closure, plan),
        )
        return _carry_out(outcome, target, engine, index, reporter)


def remove(names: Sequence[str], engine: Engine, options: Options, reporter: Reporter) -> Outcome:
    """Remove packages, given by their conda or project names. Raises `BridgeError`."""
    with engine.locked(reporter):
        reporter.phase("Reading the environment")
        found = [_installed_name(name, engine) for name in names]
        plan = engine.solve_removal(found)
        outcome = Outcome(prefix=engine.path, plan=plan, dry_run=options.dry_run)
        if not engine.confirm(plan, reporter):
            raise Cancelled
        if not options.dry_run:
            reporter.phase("Removing")
            engine.link(plan)
        return outcome


def _carry_out(outcome: Outcome, target: Target, engine: Engine, index: Index, reporter: Reporter) -> Outcome:
    if outcome.dry_run:
        engine.confirm(outcome.plan, reporter)
        return outcome
    if not engine.confirm(outcome.plan, reporter):
        raise Cancelled
    missing = [row.package for row in outcome.fetched if row.package is not None]
    _build(missing, target, engine, index, reporter)
    reporter.phase("Linking")
    engine.link(outcome.plan)
    return outcome


def _requests(texts: Sequence[str], target: Target) -> list[Request]:
    found = [specs.parse_spec(text, target.markers) for text in texts]
    requests = [request for request in found if request is not None]
    if not requests:
        raise SpecError(" ".join(texts), "there is nothing to install for this environment")
    return requests


def _satisfied(requests: Sequence[Request], engine: Engine) -> bool:
    return all(_met(request, engine) for request in requests)


def _met(request: Request, engine: Engine) -> bool:
    requirement = request.requirement
    if requirement is None:
        return False
    names = [engine.names.conda_name(request.project)]
    names += [translate.extra_name(request.project, canonicalize_name(e)) for e in requirement.extras]
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
    raise SpecError(text, "it is not installed here", hint=f"See what is: conda list -p {engine.path}")


# -- resolving -----------------------------------------------------------------------------------------


def _closure(requests: Sequence[Request], target: Target, engine: Engine, options: Options) -> Closure:
    closure = Closure(
        target=target,
        names=engine.names,
        installed=engine.installed,
        limits=_limits(options, target),
        pre=options.pre,
        follow=options.deps,
    )
    closure.require(Edge.of(r.requirement) for r in requests if r.requirement is not None)
    return closure


def _limits(options: Options, target: Target) -> Limits:
    """Constraints and hashes by project; those whose marker does not hold limit nothing."""
    versions: dict[ProjectName, SpecifierSet] = {}
    for text in options.constraints:
        request = specs.parse_spec(text, target.markers)
        if request is not None and request.requirement is not None:
            before = versions.get(request.project, SpecifierSet())
            versions[request.project] = before & request.requirement.specifier
    hashes: dict[ProjectName, frozenset[str]] = {}
    for text, allowed in options.hashes.items():
        request = specs.parse_spec(text, target.markers)
        if request is not None:
            hashes[request.project] = hashes.get(request.project, frozenset()) | allowed
    return Limits(versions=versions, hashes=hashes, require_hashes=options.require_hashes)


def _resolve(
    closure: Closure,
    requests: Sequence[Request],
    engine: Engine,
    index: Index,
    options: Options,
    reporter: Reporter,
) -> Plan:
    """Solve with an overlay that grows until there is a solution, or nothing left to list."""
    failure: BridgeError | None = None
    solved: set[str] | None = None
    for depth in DEPTHS:
        if failure is not None:
            closure.require(Edge(project, SpecifierSet()) for project in engine.projects)
            closure.widen(depth)
        reporter.phase("Reading the package index")
        _answer(closure, engine, index)
        _refuse_hopeless(closure)
        overlay = closure.records
        listed = {record.dist for record in overlay}
        if listed == solved:
            continue
        solved = listed
        reporter.phase("Solving")
        try:
            limits = [
                f"{closure.names.conda_name(p)} {conda_spec(s)}" for p, s in closure.limits.versions.items()
            ]
            return engine.solve(_specs(requests, closure), overlay, limits=limits, deps=options.deps)
        except Unsatisfiable as error:
            failure = error
    assert failure is not None
    raise explain(closure) or failure


def _answer(closure: Closure, engine: Engine, index: Index) -> None:
    """Answer what the closure wants until it wants no more, many at a time."""
    with ThreadPoolExecutor(_FETCHERS, thread_name_prefix="fetch") as pool:
        running: dict[Future[object], Want] = {}
        try:
            while True:
                for want in closure.wants():
                    running[pool.submit(_look_up, want, engine, index)] = want
                if not running:
                    return
                for done in wait(running, return_when=FIRST_COMPLETED).done:
                    closure.answer(running.pop(done), done.result())
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _look_up(want: Want, engine: Engine, index: Index) -> object:
    match want:
        case ChannelWant(name):
            return engine.on_channels(name)
        case PageWant(project):
            return index.page(project)
    return _metadata(want.wheel, index)


def _metadata(wheel: Wheel, index: Index) -> CoreMetadata | BridgeError:
    """A wheel's metadata, or the reason why the wheel cannot be used (another version may do)."""
    try:
        metadata = translate.parse_core_metadata(index.metadata(wheel), wheel.filename)
    except (Untranslatable, WheelRefused) as error:
        return error
    project = ProjectName(canonicalize_name(metadata.name))
    if (project, metadata.version) != (wheel.project, wheel.version):
        found = f"its metadata is of {metadata.name} {metadata.version}"
        return WheelRefused(wheel.filename, "metadata-agrees", found, member="METADATA")
    return metadata


def _refuse_hopeless(closure: Closure) -> None:
    """What the user asked for and nobody has is told at once; a requirement may have alternatives."""
    for project, problem in closure.problems.items():
        if closure.asked(project) and project not in closure.overlaid:
            raise problem


def _specs(requests: Sequence[Request], closure: Closure) -> list[str]:
    """The requests as the solver reads them: the user's own words where channels serve them."""
    texts: list[str] = []
    for request in requests:
        name = closure.names.conda_name(request.project)
        requirement = request.requirement
        if requirement is None or (request.spec and request.project not in closure.overlaid):
            texts.append(str(request.spec))
            continue
        texts.append(f"{name} {conda_spec(requirement.specifier)}".strip())
        texts += [
            translate.extra_name(request.project, canonicalize_name(e)) for e in sorted(requirement.extras)
        ]
    return texts


def _limit_specs(closure: Closure) -> list[str]:
    limits = closure.limits.versions.items()
    return [f"{closure.names.conda_name(project)} {conda_spec(versions)}" for project, versions in limits]


def _reasons(closure: Closure, plan: Plan) -> dict[str, str]:
    """Why each package of the index is there: who required it, or that it was asked for."""
    reasons: dict[str, str] = {}
    chosen = {row.package.project: row.package.version for row in plan.link if row.package is not None}
    for row in plan.link:
        if row.package is None:
            continue
        users = (edge.required_by for edge in closure.edges.get(row.package.project, ()))
        needed = [user for user in users if not user or _is_chosen(user, chosen)]
        reasons[row.name] = "requested" if "" in needed else f"required by {needed[0]}" if needed else ""
    return reasons


def _is_chosen(user: str, chosen: Mapping[ProjectName, str]) -> bool:
    project, _, version = user.partition(" ")
    return chosen.get(ProjectName(project)) == version.partition(" ")[0]


# -- building ------------------------------------------------------------------------------------------


def _build(
    missing: Sequence[PackageRecord], target: Target, engine: Engine, index: Index, reporter: Reporter
) -> None:
    """Download and unpack the wheels that the engine does not have yet, in parallel."""
    wheels = [package.wheel for package in missing if package.wheel is not None]
    if not missing:
        return
    reporter.phase("Downloading and building")
    reporter.expect(len(missing), sum(wheel.size or 0 for wheel in wheels))
    with tempfile.TemporaryDirectory(prefix=f"{CHANNEL}-") as folder, ThreadPoolExecutor(_FETCHERS) as pool:
        jobs = [pool.submit(_make, p, Path(folder), target, engine, index, reporter) for p in missing]
        try:
            for job in jobs:
                job.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _make(
    package: PackageRecord, folder: Path, target: Target, engine: Engine, index: Index, reporter: Reporter
) -> None:
    wheel = package.wheel
    if wheel is None:
        engine.stage(package, lambda place: build.unpack_meta(package, place))
    else:
        python = f"{target.python.major}.{target.python.minor}"
        path = index.download(wheel, folder / wheel.filename, lambda size: reporter.advance(size=size))
        engine.stage(package, lambda place: build.unpack(path, package, place, python=python))
        path.unlink()
    reporter.advance(files=1)


__all__ = ["ALREADY", "Engine", "Options", "Outcome", "Row", "install", "remove"]
