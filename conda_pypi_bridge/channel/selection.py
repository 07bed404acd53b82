"""A list of requirements becomes the packages that a channel must hold, for every target of its scope.

Everything that comes from the index is there: the requirements, what they require, and so on. Python and
native libraries are left to the client's other channels. What is chosen for a target is tried with a solver,
on records alone; where that fails, more versions are looked at, as an installation would.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

from .. import specs, translate
from ..closure import DEPTHS, Closure, Edge
from ..engines.rattler.trial import Trial
from ..errors import BridgeError, SpecError, Unsatisfiable
from ..explain import conflict
from ..index import Index
from ..limits import limits
from ..lookup import answer, metadata
from ..model import Candidate, CoreMetadata, PackageRecord, ProjectName, Request, Target, Wheel
from ..names import Names, never_from_pypi
from ..options import Options
from ..report import Reporter, Silent
from ..versions import conda_spec, conda_version
from . import offers
from .model import Scope

_Key = tuple[str, str, str, tuple[str, ...]]


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """A record of the channel, and the minor version of a Python that its package can be built for."""

    record: PackageRecord
    python: str


@dataclass(frozen=True, kw_only=True)
class Miss:
    """What a Python on a platform cannot have of what was asked for, and why."""

    text: str
    subdir: str
    python: str
    error: BridgeError

    def __str__(self) -> str:
        return f"{self.text}: {self.subdir}, Python {self.python}: {self.error}"


@dataclass(frozen=True, kw_only=True)
class Selection:
    """What a channel is to hold, in the order of names; `notes` are sentences for people."""

    chosen: Sequence[Chosen]
    misses: Sequence[Miss] = ()
    notes: Sequence[str] = ()


def select(
    texts: Sequence[str],
    scope: Scope,
    index: Index,
    names: Names,
    options: Options | None = None,
    *,
    versions: int = 1,
    together: bool = False,
    reporter: Reporter | None = None,
) -> Selection:
    """The records that serve `texts` (SPECs) to all targets of `scope`, from what `index` says alone.

    The newest `versions` of each requirement that a target can have are there, each with the newest of all
    that it requires, so that each can be installed by itself; with `together` the newest of all of them into
    one environment, too. What a target cannot have is among the misses. Raises `SpecError` for what cannot
    be asked of an index, `IndexFailure` or `OfflineError`.
    """
    options, reporter = options or Options(), reporter or Silent()
    for text in texts:
        _refuse_what_is_not_ours(text, names)
    chooser = _Chooser(index, names, options, versions, together)
    candidates = _Candidates(index)
    selected = _Selected(scope, candidates, names)
    for target in scope.targets("noarch"):
        reporter.phase(f"Reading the package index for {target.subdir}")
        selected.take(target, _all_micros(chooser, texts, target, candidates))
    return selected.selection()


def _refuse_what_is_not_ours(text: str, names: Names) -> None:
    if specs.names_python(text):
        raise SpecError(text, "Pythons come from the client's other channels", hint="Say: --python 3.12")
    request = specs.parse_spec(text.partition(";")[0], {})
    assert request is not None
    if request.requirement is None:
        raise SpecError(text, "only conda channels understand it, and a mirror has what indexes have")
    if never_from_pypi(names.conda_name(request.project)):
        raise SpecError(text, "it is a package of conda's own, which no index has")


# -- one target ----------------------------------------------------------------------------------------


@dataclass
class _Found:
    """What one target gets: records with the wheels that they were made from, and what it cannot have."""

    records: dict[PackageRecord, None] = field(default_factory=dict)
    wheels: dict[str, Wheel] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    misses: dict[str, BridgeError] = field(default_factory=dict)
    notes: dict[str, None] = field(default_factory=dict)

    def take(self, records: Iterable[PackageRecord]) -> None:
        for record in records:
            self.records[record] = None
            if record.wheel is not None:
                self.wheels[record.wheel.sha256] = record.wheel


def _all_micros(
    chooser: _Chooser, texts: Sequence[str], target: Target, candidates: _Candidates
) -> list[_Found]:
    """What the target gets, and its like with other micro versions, where what it gets tells these apart."""
    found: list[_Found] = []
    waiting = {target.python: target}
    while len(found) < len(waiting):
        python = list(waiting)[len(found)]
        one = chooser.choose(texts, waiting[python])
        found.append(one)
        for wheel in one.wheels.values():
            for other in offers.pythons(candidates.of(wheel), target):
                waiting.setdefault(other.python, other)
    return found


class _Candidates:
    """Wheels with their metadata, each read once: most serve many targets."""

    def __init__(self, index: Index) -> None:
        self._index = index
        self._known: dict[str, Candidate] = {}

    def of(self, wheel: Wheel) -> Candidate:
        """The candidate of a wheel of which a record was made."""
        if wheel.sha256 not in self._known:
            known = metadata(self._index, wheel)
            assert isinstance(known, CoreMetadata), "its record was made of it"
            self._known[wheel.sha256] = Candidate(wheel=wheel, metadata=known)
        return self._known[wheel.sha256]


@dataclass(frozen=True)
class _Chooser:
    index: Index
    names: Names
    options: Options
    versions: int
    together: bool

    def choose(self, texts: Sequence[str], target: Target) -> _Found:
        """What the requirements need in a target."""
        found = _Found()
        asked = {text: request for text in texts if (request := specs.parse_spec(text, target.markers))}
        found.asked = list(asked)
        if not asked:
            return found
        closure = self._closure(target, asked.values())
        depths = DEPTHS if self.together else DEPTHS[:1]
        solved = self._solved(closure, list(asked.values()), depths)
        found.notes.update(closure.remarks)
        if isinstance(solved, BridgeError) and self.together and len(asked) > 1:
            found.misses = dict.fromkeys(asked, solved)
            return found
        if not isinstance(solved, BridgeError):
            found.take(solved)
        for text, request in asked.items():
            self._serve(text, request, target, found, solved=not isinstance(solved, BridgeError))
        if isinstance(solved, BridgeError) and len(asked) > 1 and not found.misses:
            found.notes["The requirements cannot all be installed at once, only each by itself."] = None
        return found

    def _serve(self, text: str, request: Request, target: Target, found: _Found, *, solved: bool) -> None:
        """Have the newest versions of one requirement, each of which can be installed by itself."""
        if not solved or self.versions > 1:
            closure = self._closure(target, [request])
            alone = self._solved(closure, [request], DEPTHS)
            if isinstance(alone, BridgeError):
                found.misses[text] = alone
                return
            found.take(alone)
            for older in islice(self._older(closure, request, alone), self.versions - 1):
                found.take(older)

    def _older(
        self, closure: Closure, request: Request, newest: Collection[PackageRecord]
    ) -> Iterator[Collection[PackageRecord]]:
        """What older versions of a requirement need, as far as they can be installed."""
        assert request.requirement is not None
        edge = Edge.of(request.requirement)
        had = {record.wheel.version for record in newest if _is_of(record, request) and record.wheel}
        for version in closure.versions(edge) or ():
            if version >= max(had) or closure.wheel(request.project, version) is None:
                continue
            exact = replace(request, requirement=_pinned(request.requirement, version))
            needed = self._solved(self._closure(closure.target, [exact]), [exact], DEPTHS)
            if not isinstance(needed, BridgeError):
                yield needed

    def _closure(self, target: Target, requests: Iterable[Request]) -> Closure:
        closure = Closure(
            target=target,
            names=self.names,
            limits=limits(self.options, target.markers),
            pre=self.options.pre,
            follow=self.options.deps,
            natives_given=True,
        )
        closure.require(Edge.of(r.requirement) for r in requests if r.requirement is not None)
        return closure

    def _solved(
        self, closure: Closure, requests: Sequence[Request], depths: Sequence[int | None]
    ) -> Collection[PackageRecord] | BridgeError:
        """The records that serve the requests at once, or why there are none.

        What the solver chose, and the newest of everything, for whom does not want all at once.
        """
        failure: BridgeError | None = None
        for depth in depths:
            if depth != depths[0]:
                closure.widen(depth)
            answer(closure, self.index, lambda name: ())
            if (hopeless := _hopeless(closure, requests)) is not None:
                return hopeless
            records = closure.records
            if not self.options.deps:
                return records
            try:
                brought = Trial(records, closure.target).solve(_specs(requests, closure))
            except Unsatisfiable as error:
                failure = error
                if (found := conflict(closure)) is not None:
                    return Unsatisfiable(found.sentence)
                continue
            newest = _newest(closure, requests)
            return [r for r in records if r.dist in brought or (r.project, r.version) in newest]
        assert failure is not None
        return failure


def _is_of(record: PackageRecord, request: Request) -> bool:
    return record.project == request.project and not record.extra


def _pinned(requirement: Requirement, version: Version) -> Requirement:
    exact = Requirement(str(requirement))
    exact.specifier = SpecifierSet(f"=={version}")
    return exact


def _hopeless(closure: Closure, requests: Iterable[Request]) -> BridgeError | None:
    """Why the index has nothing for a requirement."""
    for request in requests:
        problem = closure.problems.get(request.project)
        if problem is not None and request.project not in closure.overlaid:
            return problem
    return None


def _newest(closure: Closure, requests: Iterable[Request]) -> set[tuple[ProjectName, str]]:
    """The newest version for each requirement, beginning at the requests: projects and conda versions.

    A closure has more, where the newest do not agree.
    """
    found: set[tuple[ProjectName, str]] = set()
    waiting = [Edge.of(r.requirement) for r in requests if r.requirement is not None]
    seen = set(waiting)
    while waiting:
        edge = waiting.pop()
        usable = (v for v in closure.versions(edge) or () if closure.wheel(edge.project, v) is not None)
        version = next(usable, None)
        if version is None or (edge.project, version) not in closure.requires:
            continue
        found.add((edge.project, conda_version(version)))
        further = closure.requires[edge.project, version].keys() - seen
        seen |= further
        waiting += further
    return found


def _specs(requests: Iterable[Request], closure: Closure) -> list[str]:
    """The requirements as the solver reads them; extras that no version has are left out, as pip does."""
    texts: list[str] = []
    for request in requests:
        requirement = request.requirement
        assert requirement is not None
        version = conda_spec(requirement.specifier)
        texts.append(f"{closure.names.conda_name(request.project)} {version}".strip())
        known = closure.extras.get(request.project, set())
        extras = sorted({canonicalize_name(extra) for extra in requirement.extras} & known)
        texts += [f"{translate.extra_name(request.project, extra)} {version}".strip() for extra in extras]
    return texts


# -- all targets together ------------------------------------------------------------------------------


class _Selected:
    """What the targets get, put where a channel lists it."""

    def __init__(self, scope: Scope, candidates: _Candidates, names: Names) -> None:
        self._scope = scope
        self._candidates = candidates
        self._names = names
        self._chosen: dict[tuple[str, str], Chosen] = {}
        self._outcomes: dict[tuple[str, str, str], list[tuple[str, BridgeError | None]]] = {}
        self._notes: dict[str, dict[str, None]] = {}
        self._placed: dict[str, dict[_Key, list[PackageRecord]]] = {}

    def take(self, target: Target, found: Iterable[_Found]) -> None:
        """What a target gets, in each of its micro versions."""
        minor = f"{target.python.major}.{target.python.minor}"
        where = f"{target.subdir}, Python {minor}"
        for one in found:
            for record in one.records:
                for placed in self._places(record, one.wheels.values()):
                    if placed.subdir in ("noarch", target.subdir):
                        key = placed.subdir, placed.fn
                        self._chosen.setdefault(key, Chosen(record=placed, python=minor))
            for text in one.asked:
                outcome = _level(target), one.misses.get(text)
                self._outcomes.setdefault((text, target.subdir, minor), []).append(outcome)
            for note in one.notes:
                self._notes.setdefault(note, {})[where] = None

    def selection(self) -> Selection:
        """The selection; what one C library cannot have, and others can, is but a note."""
        misses: list[Miss] = []
        notes = [f"{note} ({'; '.join(where)})" for note, where in self._notes.items()]
        for (text, subdir, python), outcomes in self._outcomes.items():
            failed = {level: error for level, error in outcomes if error is not None}
            if len(failed) == len({level for level, _ in outcomes}) and all(e for _, e in outcomes):
                error = next(iter(failed.values()))
                misses.append(Miss(text=text, subdir=subdir, python=python, error=error))
            else:
                notes += [f"{text}: {subdir}, Python {python}, {lv}: {e}" for lv, e in failed.items()]
        chosen = [self._chosen[key] for key in sorted(self._chosen)]
        return Selection(chosen=chosen, misses=misses, notes=notes)

    def _places(self, record: PackageRecord, wheels: Iterable[Wheel]) -> Sequence[PackageRecord]:
        """The record as the channel lists it, in the subdirs for which it is true."""
        made_of = (w for w in wheels if w.project == record.project and record.wheel in (None, w))
        for wheel in made_of:
            if places := self._records_of(wheel).get(_key(record)):
                return places
        # An extra that its version does not have brings nothing more, to any target.
        assert record.extra, f"{record.dist} was made for a target of the scope"
        return [record]

    def _records_of(self, wheel: Wheel) -> dict[_Key, list[PackageRecord]]:
        if wheel.sha256 not in self._placed:
            candidate = self._candidates.of(wheel)
            found: dict[_Key, list[PackageRecord]] = {}
            for record in offers.records(candidate, self._scope, self._names.conda_name):
                found.setdefault(_key(record), []).append(record)
            self._placed[wheel.sha256] = found
        return self._placed[wheel.sha256]


def _key(record: PackageRecord) -> _Key:
    """What a record of a target and that of the channel have in common."""
    depends = tuple(text for text in record.depends if not text.startswith("python_abi "))
    return record.name, record.version, "" if record.extra else record.build, depends


def _level(target: Target) -> str:
    """What tells a target from others with its platform and Python."""
    libc = {"glibc": target.glibc, "macOS": target.macos}
    return ", ".join(f"{name} {version[0]}.{version[1]}" for name, version in libc.items() if version)
