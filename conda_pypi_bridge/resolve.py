"""From requests to a plan: closure and solver in turn, until there is a solution or a proof of none."""

from __future__ import annotations

import shlex
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from . import specs, translate
from .ahead import Asked
from .closure import DEPTHS, Closure, Edge
from .closure.candidates import Limits
from .engines import Engine, Problem
from .errors import BridgeError, OtherIndex, Unsatisfiable
from .explain import conflict
from .index import Index
from .index.localindex import same_place
from .limits import constraints, limits
from .lookup import answer
from .model import CondaName, Plan, ProjectName, Request, Target
from .options import Options
from .report import Reporter, Silent
from .versions import conda_spec

#: Who requires what is installed, and may have to change.
ENVIRONMENT = "this environment"

#: How many requests are tried without their version, to find one that would work.
_SUGGESTIONS = 3


@dataclass(frozen=True, kw_only=True)
class Resolver:
    """Resolves requests for one target; pages that were `asked` for are not asked for again.

    Raises `BridgeError` where they cannot be met.
    """

    target: Target
    engine: Engine
    index: Index
    options: Options
    reporter: Reporter
    asked: Asked = field(default_factory=dict)

    def resolve(self, requests: Sequence[Request]) -> tuple[Closure, Plan]:
        """The plan, and the closure it was chosen from. Raises `Unsatisfiable`, or as index and engine do."""
        closure = self._closure(requests)
        try:
            plan = self._solve(closure, requests, DEPTHS)
            closure.remarks.update(dict.fromkeys([*self._moves(plan), *_warnings(closure, plan)]))
            return closure, plan
        except Unsatisfiable as error:
            found = conflict(closure) or conflict(closure, self._held(closure))
            if found is None:
                raise
            lacking = closure.problems.get(found.projects[-1])
            other = lacking.hint if isinstance(lacking, OtherIndex) else ""
            hint = other or self._suggestion(requests, found.projects)
            raise Unsatisfiable(found.sentence, hint=hint) from error

    def _held(self, closure: Closure) -> Iterator[tuple[str, Requirement]]:
        """Requirements of what pip placed and nobody asked to change."""
        for dist, requirement in self.engine.held_by_pip:
            if not closure.asked(dist.project):
                yield f"{dist.project} {dist.version}, which pip placed here,", requirement

    def _closure(self, requests: Sequence[Request]) -> Closure:
        closure = Closure(
            target=self.target,
            names=self.engine.names,
            installed=self._installed(requests),
            limits=self._limits(requests),
            pre=self.options.pre,
            follow=self.options.deps,
        )
        closure.require(Edge.of_user(r.requirement) for r in requests if r.requirement is not None)
        named = {request.project for request in requests}
        upgraded = {
            p for p in self.engine.projects if self.engine.names.conda_name(p) in self.options.upgrade
        }
        strayed = self._strayed(requests)
        closure.remarks.update(dict.fromkeys(_left_alone(strayed, upgraded)))
        free = upgraded - named - set(strayed)
        closure.require(Edge(p, SpecifierSet(), required_by=ENVIRONMENT) for p in sorted(free))
        return closure

    def _strayed(self, requests: Sequence[Request]) -> Mapping[ProjectName, str]:
        """Installed projects that are looked for nowhere, with the index that they came from."""
        named = {request.project for request in requests}
        found = {p: self.index.strayed(p) for p in self.engine.projects if p not in named}
        return {project: url for project, url in found.items() if url}

    def _newer(self, requests: Sequence[Request]) -> frozenset[CondaName]:
        """What need not stay as it is."""
        return self.options.upgrade - {self.engine.names.conda_name(p) for p in self._strayed(requests)}

    def _moves(self, plan: Plan) -> Iterator[str]:
        """Sentences on what now comes from another index than before, because the user named it."""
        for wheel in (row.package.wheel for row in plan.link if row.package is not None):
            before = self.index.origin(wheel.project) if wheel is not None else ""
            if wheel is not None and before and not same_place(before, wheel.index_url):
                yield f"{wheel.project} came from {before}, and now comes from {wheel.index_url}"

    def _installed(self, requests: Sequence[Request]) -> Mapping[CondaName, str]:
        """What is there and may stay as it is."""
        if self.options.bare:
            return {}
        newer = self._newer(requests)
        return {n: v for n, v in self.engine.installed.items() if n not in newer}

    def _solve(self, closure: Closure, requests: Sequence[Request], depths: Sequence[int | None]) -> Plan:
        """Solve with an overlay that grows until there is a solution, or nothing left to list."""
        failure: Unsatisfiable | None = None
        solved: set[str] | None = None
        for depth in depths:
            if failure is not None and not self.options.bare:
                strayed = self._strayed(requests)
                free = [project for project in self.engine.projects if project not in strayed]
                closure.require(Edge(p, SpecifierSet(), required_by=ENVIRONMENT) for p in free)
            if failure is not None:
                closure.widen(depth)
            self.reporter.phase("Reading the package index")
            engine = self.engine
            answer(closure, self.index, engine.on_channels, asked=self.asked, meanwhile=engine.load)
            _refuse_hopeless(closure)
            listed = {record.dist for record in closure.records}
            if listed == solved:
                continue
            solved = listed
            self.reporter.phase("Solving")
            try:
                return self.engine.solve(
                    Problem(
                        requests=_specs(requests, closure),
                        overlay=closure.records,
                        limits=[*self._limit_specs()],
                        deps=self.options.deps,
                        newer=self._newer(requests),
                        bare=self.options.bare,
                    )
                )
            except Unsatisfiable as error:
                if conflict(closure) is not None:  # no other version would help
                    raise
                failure = error
        assert failure is not None
        raise failure

    def _suggestion(self, requests: Sequence[Request], projects: Sequence[ProjectName]) -> str:
        """The nearest requests that would work: one of them without its version."""
        quiet = replace(self, reporter=Silent())
        ranked = sorted(requests, key=lambda r: r.project in projects and -projects.index(r.project))
        versioned = [r for r in ranked if r.requirement is not None and r.requirement.specifier]
        for request in versioned[:_SUGGESTIONS]:
            eased = [_without_version(other) if other is request else other for other in requests]
            try:
                plan = quiet._solve(quiet._closure(eased), eased, DEPTHS[:-1])
            except BridgeError:
                continue
            name = self.engine.names.conda_name(request.project)
            version = next((row.version for row in plan.link if row.name == name), "")
            found = f"{request.project}=={version}" if version else request.project
            words = [found if other is request else other.text for other in requests]
            return f"This would work: {shlex.join(words)}"
        return ""

    # -- limits ------------------------------------------------------------------------------------

    def _limits(self, requests: Sequence[Request]) -> Limits:
        """What may be chosen of each project: constraints, pins, hashes, and what the user asked of it.

        What a pin or the user's own request excludes is never in a solution, so it is never looked at.
        """
        pins = [] if self.options.bare else self.engine.pins
        pinned = [specs.parse_spec(text, self.target.markers) for text in pins]
        return limits(self.options, self.target.markers, [*requests, *filter(None, pinned)])

    def _limit_specs(self) -> Iterator[str]:
        for project, versions in constraints(self.options, self.target.markers).items():
            yield f"{self.engine.names.conda_name(project)} {conda_spec(versions)}".strip()


def _warnings(closure: Closure, plan: Plan) -> Iterator[str]:
    """What the index has to say of the projects that were chosen."""
    for project in [row.package.project for row in plan.link if row.package is not None]:
        page = closure.page(project)
        yield from () if page is None else page.warnings


def _left_alone(strayed: Mapping[ProjectName, str], wanted: Collection[ProjectName]) -> Iterator[str]:
    """A sentence for each index that is not configured, on what of the `wanted` came from it."""
    for url in dict.fromkeys(url for project, url in strayed.items() if project in wanted):
        projects = sorted(project for project in wanted if strayed.get(project) == url)
        stay = "it stays as it is" if len(projects) == 1 else "they stay as they are"
        yield (
            f"{', '.join(projects)} came from {url}, which is not configured now; {stay}"
            f" (to update: -U {' '.join(projects)} --extra-index-url {url})"
        )


def _refuse_hopeless(closure: Closure) -> None:
    """What the user asked for and nobody has is told at once; a requirement may have alternatives."""
    for project, problem in closure.problems.items():
        required = getattr(problem, "required_by", "")
        if closure.asked(project) and project not in closure.overlaid and not required:
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
        version = conda_spec(requirement.specifier) or ("*" if request.build else "")
        texts.append(f"{name} {version} {request.build}".strip())
        extras = sorted(
            {canonicalize_name(e) for e in requirement.extras} & closure.extras.get(request.project, set())
        )
        texts += [translate.extra_name(request.project, extra) for extra in extras]
    return texts


def _without_version(request: Request) -> Request:
    assert request.requirement is not None
    extras = f"[{','.join(sorted(request.requirement.extras))}]" if request.requirement.extras else ""
    requirement = Requirement(f"{request.project}{extras}")
    return replace(request, requirement=requirement, spec=None if extras else request.project)
