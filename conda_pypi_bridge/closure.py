"""Which projects and versions belong in the overlay: the part of the index that one solve needs.

Pure: the closure says what it *wants* to know (what channels have, a project page, a wheel's
metadata), somebody else fetches it in parallel and answers, and at the end `records` is the overlay.

For every edge (a requirement on a project) that channels cannot satisfy, the newest `depth`
versions that satisfy it join the overlay, and their requirements become edges in turn. A solve that
fails is repeated with a larger depth (`widen`), so that a first try costs one metadata file per
project and an unsatisfiable answer is a proof.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from . import translate
from .errors import BridgeError, NoFittingWheel, NotFound, Untranslatable
from .model import Candidate, CondaName, CoreMetadata, PackageRecord, ProjectName, ProjectPage, Target, Wheel
from .names import Names, never_from_pypi
from .tags import best_wheel

#: How many versions per edge the successive tries list; None is every version.
DEPTHS: tuple[int | None, ...] = (1, 4, 16, None)


@dataclass(frozen=True)
class ChannelWant:
    """Which versions of a conda package, usable in the target, do channels have? -> list of str."""

    name: CondaName


@dataclass(frozen=True)
class PageWant:
    """What does the index say of a project? -> `ProjectPage`, or None where no index has it."""

    project: ProjectName


@dataclass(frozen=True)
class MetadataWant:
    """What does a wheel's METADATA say? -> `CoreMetadata`, or the `BridgeError` that refuses it."""

    wheel: Wheel


Want = ChannelWant | PageWant | MetadataWant
_Step = Generator[Want, object, None]


@dataclass(frozen=True)
class Edge:
    """A requirement on a project. `required_by` is empty for what the user asked for."""

    project: ProjectName
    specifier: SpecifierSet
    extras: frozenset[str] = frozenset()
    required_by: str = ""

    @classmethod
    def of(cls, requirement: Requirement, required_by: str = "") -> Edge:
        extras = frozenset(canonicalize_name(extra) for extra in requirement.extras)
        project = ProjectName(canonicalize_name(requirement.name))
        return cls(project, requirement.specifier, extras, required_by)

    def __str__(self) -> str:
        extras = f"[{','.join(sorted(self.extras))}]" if self.extras else ""
        return f"{self.project}{extras}{self.specifier}"


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What may be chosen, apart from what is required.

    `versions` are constraints; `hashes` lists the sha256 of the only files admitted of a project; with
    `require_hashes` no other project may come from an index.
    """

    versions: Mapping[ProjectName, SpecifierSet] = field(default_factory=dict)
    hashes: Mapping[ProjectName, frozenset[str]] = field(default_factory=dict)
    require_hashes: bool = False

    def admits(self, wheel: Wheel) -> bool:
        """Whether the file is one of those that may be used."""
        if wheel.project in self.hashes:
            return wheel.sha256 in self.hashes[wheel.project]
        return not self.require_hashes


@dataclass
class Closure:
    """The growing overlay. `installed` maps conda names to the versions in the prefix."""

    target: Target
    names: Names
    installed: Mapping[CondaName, str] = field(default_factory=dict)
    limits: Limits = field(default_factory=Limits)
    pre: bool = False
    follow: bool = True
    depth: int | None = 1

    #: Sentences worth telling the user, each once.
    warnings: dict[str, None] = field(default_factory=dict)
    #: Why an edge could not be met, by project.
    problems: dict[ProjectName, BridgeError] = field(default_factory=dict)
    #: Projects whose versions come from the index; everything else is left to channels.
    overlaid: set[ProjectName] = field(default_factory=set)
    #: Who requires each project, for the report and for explanations.
    edges: dict[ProjectName, dict[Edge, None]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._answers: dict[Want, object] = {}
        self._waiting: dict[Want, list[_Step]] = {}
        self._asked: list[Want] = []
        self._ready: deque[tuple[_Step, object]] = deque()
        self._running = False
        self._records: dict[tuple[ProjectName, str, str], PackageRecord] = {}
        self._added: set[tuple[str, frozenset[str]]] = set()

    # -- what the driver calls -------------------------------------------------------------------

    def require(self, edges: Iterable[Edge]) -> None:
        """Add edges: the user's requests, or whatever else must join."""
        for edge in edges:
            known = self.edges.setdefault(edge.project, {})
            if edge not in known:
                known[edge] = None
                self._start(self._meet(edge))

    def wants(self) -> list[Want]:
        """What must be found out next; each want is handed out once."""
        asked, self._asked = self._asked, []
        return asked

    def answer(self, want: Want, value: object) -> None:
        """Tell what a want was about; further wants may follow."""
        self._answers[want] = value
        for step in self._waiting.pop(want, ()):
            self._start(step, value)

    def widen(self, depth: int | None) -> None:
        """List more versions of every project in the overlay, installed or not."""
        self.depth = depth
        self.problems.clear()
        for edge in [edge for edges in self.edges.values() for edge in edges]:
            self._start(self._meet(edge))

    @property
    def records(self) -> tuple[PackageRecord, ...]:
        """The overlay as it stands."""
        return tuple(self._records.values())

    def asked(self, project: ProjectName) -> bool:
        """Whether the user asked for the project, as opposed to a requirement of a package."""
        return any(not edge.required_by for edge in self.edges.get(project, ()))

    # -- the machinery: steps that pause at wants ------------------------------------------------

    def _start(self, step: _Step, value: object = None) -> None:
        """Queue a step; the outermost caller runs the queue, so that long chains need no deep stack."""
        self._ready.append((step, value))
        if self._running:
            return
        self._running = True
        try:
            while self._ready:
                self._advance(*self._ready.popleft())
        finally:
            self._running = False

    def _advance(self, step: _Step, value: object) -> None:
        try:
            want = step.send(value)
            while want in self._answers:
                want = step.send(self._answers[want])
        except StopIteration:
            return
        if want not in self._waiting:
            self._asked.append(want)
        self._waiting.setdefault(want, []).append(step)

    # -- the rules -------------------------------------------------------------------------------

    def _meet(self, edge: Edge) -> _Step:
        """Leave an edge to the prefix or to channels where they satisfy it, else overlay it."""
        name = self.names.conda_name(edge.project)
        if self.depth == 1 and not edge.extras and self._has(edge, name):
            return
        if edge.project not in self.overlaid and edge.project not in self.limits.hashes:
            versions = yield ChannelWant(name)
            usable = [v for v in _versions(versions) if self._admitted(edge, [v])]
            if usable:
                if edge.extras:
                    yield from self._add_extras(edge, usable)
                return
            if never_from_pypi(name):
                self.problems[edge.project] = NotFound(
                    name, places=("the channels",), required_by=edge.required_by
                )
                return
        page = yield PageWant(edge.project)
        if page is None:
            self.problems[edge.project] = NotFound(edge.project, required_by=edge.required_by)
            return
        assert isinstance(page, ProjectPage)
        self._overlay(edge, page)

    def _overlay(self, edge: Edge, page: ProjectPage) -> None:
        first_time = edge.project not in self.overlaid
        wheels = list(islice(self._fitting(edge, page), self.depth))
        if not wheels:
            self.problems[edge.project] = self._misfit(edge, page)
            return
        self.overlaid.add(edge.project)
        for wheel in wheels:
            self._start(self._add(wheel, edge.extras))
        if first_time:  # the overlay stands before the channels: it must serve every edge of the project
            for other in list(self.edges[edge.project]):
                if other != edge:
                    self._start(self._meet(other))

    def _add(self, wheel: Wheel, extras: frozenset[str], *, base: bool = True) -> _Step:
        """List one wheel, and an extra's record for each extra; follow what they require."""
        if (wheel.sha256, extras) in self._added:
            return
        self._added.add((wheel.sha256, extras))
        metadata = yield MetadataWant(wheel)
        if isinstance(metadata, BridgeError):
            self._refuse(wheel, metadata)
            return
        assert isinstance(metadata, CoreMetadata)
        candidate = Candidate(wheel=wheel, metadata=metadata)
        self.warnings.update(dict.fromkeys(metadata.warnings))
        self._warn_of_unknown(extras, candidate)
        try:
            made = [self._record(candidate, "")] if base else []
            made += [self._record(candidate, extra) for extra in sorted(extras)]
        except (Untranslatable, NoFittingWheel) as error:
            self._refuse(wheel, error)
            return
        if wheel.yanked is not None:
            reason = wheel.yanked or "no reason given"
            self.warnings[f"{wheel.project} {wheel.version} was yanked by its author: {reason}"] = None
        for record in made:
            self._records[wheel.project, str(wheel.version), record.extra] = record
        if self.follow:
            for record in made:
                self.require(self._edges_of(candidate, record.extra))

    def _add_extras(self, edge: Edge, versions: Sequence[Version]) -> _Step:
        """A channel has the project itself: only its extras come from the index's metadata."""
        page = yield PageWant(edge.project)
        if not isinstance(page, ProjectPage):
            self.problems[edge.project] = NotFound(edge.project, required_by=edge.required_by)
            return
        exact = [w for w in self._fitting(edge, page) if w.version in versions]
        if not exact:
            self.problems[edge.project] = self._misfit(edge, page)
        for wheel in exact[: self.depth]:
            self._start(self._add(wheel, edge.extras, base=False))

    def _record(self, candidate: Candidate, extra: str) -> PackageRecord:
        return translate.record(candidate, self.target, self.names.conda_name, extra=extra)

    def _edges_of(self, candidate: Candidate, extra: str) -> Iterator[Edge]:
        by = f"{candidate.wheel.project} {candidate.wheel.version}" + (f" [{extra}]" if extra else "")
        extras = frozenset({extra} if extra else ())
        for requirement in translate.requirements(candidate.metadata, self.target, extras):
            edge = Edge.of(requirement, by)
            if edge.project != candidate.wheel.project:
                yield edge
            elif edge.extras - extras:  # pkg[all] -> pkg[a,b]: of this very version
                self._start(self._add(candidate.wheel, edge.extras - extras, base=False))

    def _warn_of_unknown(self, extras: Collection[str], candidate: Candidate) -> None:
        known = ", ".join(sorted(candidate.metadata.extras)) or "none"
        for extra in sorted(set(extras) - candidate.metadata.extras):
            wheel = candidate.wheel
            self.warnings[f"{wheel.project} {wheel.version} has no extra {extra!r} (it has: {known})"] = None

    def _refuse(self, wheel: Wheel, error: BridgeError) -> None:
        self.problems.setdefault(wheel.project, error)
        self.warnings[f"{wheel.filename} left out: {error}"] = None

    # -- which wheels fit an edge ----------------------------------------------------------------

    def _fitting(self, edge: Edge, page: ProjectPage) -> Iterator[Wheel]:
        """Wheels that meet the edge and fit the target, one a version, newest first (PEP 440)."""
        by_version: dict[Version, list[Wheel]] = {}
        for wheel in page.wheels:
            by_version.setdefault(wheel.version, []).append(wheel)
        usable = [v for v, wheels in by_version.items() if any(self._permitted(edge, w) for w in wheels)]
        admitted = set(self._admitted(edge, usable))
        for version in sorted(admitted, reverse=True):
            best = best_wheel([w for w in by_version[version] if self._permitted(edge, w)], self.target)
            if best is not None:
                yield best

    def _permitted(self, edge: Edge, wheel: Wheel) -> bool:
        """Requires-Python holds (PEP 503), a yanked file is pinned (PEP 592), the hash is one that may be."""
        if wheel.yanked is not None and not _pins(edge.specifier):
            return False
        if not self.limits.admits(wheel):
            return False
        return _python_admits(wheel.requires_python, self.target.python)

    def _admitted(self, edge: Edge, versions: Sequence[Version]) -> list[Version]:
        """PEP 440: pre-releases only where asked for, named by a specifier, or nothing else fits."""
        specifier = self._specifier(edge)
        return list(specifier.filter(versions, prereleases=True if self.pre else None))

    def _specifier(self, edge: Edge) -> SpecifierSet:
        return edge.specifier & self.limits.versions.get(edge.project, SpecifierSet())

    def _has(self, edge: Edge, name: CondaName) -> bool:
        """Whether the prefix has what satisfies the edge."""
        version = _version(self.installed.get(name, ""))
        return version is not None and self._specifier(edge).contains(version, prereleases=True)

    def _misfit(self, edge: Edge, page: ProjectPage) -> NoFittingWheel:
        return NoFittingWheel(
            edge.project,
            misfit_reason(self._specifier(edge), page, self.target, self.limits),
            required_by=edge.required_by,
            hint=misfit_hint(page),
        )


def misfit_reason(specifier: SpecifierSet, page: ProjectPage, target: Target, limits: Limits) -> str:
    """What the index has against what was wanted, in one clause."""
    wanted = f"Python {target.python} on {target.subdir}"
    if not page.wheels:
        if page.refused:
            filename, reason = next(iter(page.refused.items()))
            return f"no usable wheel: {filename}: {reason}"
        found = f"only source distributions ({page.sdists[-1]})" if page.sdists else "no files"
        return f"the index has {found}, and no wheel for {wanted}"
    matching = [w for w in page.wheels if specifier.contains(w.version, prereleases=True)]
    newest = max(w.version for w in page.wheels)
    if not matching:
        return f"no version matches {specifier or 'any'} (the newest wheel is {newest})"
    if not any(limits.admits(w) for w in matching):
        return "no file has a hash that the requirements file gives"
    version = max(w.version for w in matching)
    of_version = [w for w in matching if w.version == version]
    pythons = {w.requires_python for w in of_version if not _python_admits(w.requires_python, target.python)}
    if pythons:
        return f"{version} needs Python {' or '.join(sorted(pythons))}, and the target is {wanted}"
    if all(w.yanked is not None for w in matching):
        return f"every version that matches {specifier or 'any'} was yanked; pin one with == to use it"
    tags = sorted({"-".join(w.filename.removesuffix(".whl").split("-")[-3:]) for w in of_version})
    shown = ", ".join(tags[:4]) + (f" and {len(tags) - 4} more" if len(tags) > 4 else "")
    return f"{version} has wheels for {shown}; none fits {wanted}"


def misfit_hint(page: ProjectPage) -> str:
    """What to try when no wheel fits."""
    if not page.wheels and page.sdists:
        return (
            "Building from source is not supported; ask for a wheel upstream, or use a channel that has it."
        )
    return "Ask for another version, or use an environment with another Python."


def explain(closure: Closure) -> BridgeError | None:
    """The first reason found on the way why a request cannot be met, the user's own first."""
    ordered = sorted(closure.problems, key=lambda project: not closure.asked(project))
    return closure.problems[ordered[0]] if ordered else None


def _versions(texts: object) -> list[Version]:
    """The PEP 440 versions among a channel's: others cannot satisfy a PEP 440 specifier."""
    assert isinstance(texts, (list, tuple))
    return [version for version in map(_version, texts) if version is not None]


def _version(text: str) -> Version | None:
    try:
        return Version(text)
    except InvalidVersion:
        return None


def _pins(specifier: SpecifierSet) -> bool:
    return any(
        s.operator == "===" or (s.operator == "==" and not s.version.endswith(".*")) for s in specifier
    )


def _python_admits(requires_python: str, python: Version) -> bool:
    """An unreadable Requires-Python counts as absent, as installers do."""
    if not requires_python:
        return True
    try:
        return SpecifierSet(requires_python).contains(python, prereleases=True)
    except ValueError:
        return True
