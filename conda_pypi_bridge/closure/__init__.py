"""Which projects and versions belong in the overlay: the part of the index that one solve needs.

Pure: the closure says what it *wants* to know (what channels have, a project page, a wheel's
metadata), somebody else fetches it in parallel and answers, and at the end `records` is the overlay.

For every edge (a requirement on a project) that channels cannot satisfy, the newest `depth`
versions that satisfy it join the overlay, and their requirements become edges in turn. Where the newest
disagree, the `lookahead` adds the older ones that agree. A solve that fails is repeated with a larger
depth (`widen`), so that a first try costs one metadata file per project and an unsatisfiable answer
is a proof.
"""

from __future__ import annotations

from collections.abc import Collection, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from .. import translate
from ..errors import Blocked, BridgeError, NoExtras, NoFittingWheel, NotFound, Untranslatable
from ..model import Candidate, CondaName, CoreMetadata, PackageRecord, ProjectName, ProjectPage, Target, Wheel
from ..names import Names, conda_only, never_from_pypi
from .candidates import Limits, Shelf
from .lookahead import Lookahead, Need
from .wants import ChannelWant, MetadataWant, PageWant, Step, Steps, Want

#: How many versions per edge the successive tries list; None is every version.
DEPTHS: tuple[int | None, ...] = (1, 4, 16, None)


@dataclass(frozen=True)
class Edge:
    """A requirement on a project. `required_by` is empty for what the user asked for.

    `written` is the user's own spelling of the name, where only conda packages can have it.
    """

    project: ProjectName
    specifier: SpecifierSet
    extras: frozenset[str] = frozenset()
    required_by: str = ""
    written: CondaName | None = field(default=None, compare=False)

    @classmethod
    def of(cls, requirement: Requirement, required_by: str = "") -> Edge:
        extras = frozenset(canonicalize_name(extra) for extra in requirement.extras)
        project = ProjectName(canonicalize_name(requirement.name))
        return cls(project, requirement.specifier, extras, required_by)

    @classmethod
    def of_user(cls, requirement: Requirement) -> Edge:
        """What the user asked for."""
        return replace(cls.of(requirement), written=conda_only(requirement.name))

    def __str__(self) -> str:
        extras = f"[{','.join(sorted(self.extras))}]" if self.extras else ""
        return f"{self.project}{extras}{self.specifier}"


@dataclass
class Closure:
    """The growing overlay. `installed` maps conda names to the versions in the prefix.

    With `natives_given` what never comes from the index (native libraries) is taken to be there, in whatever
    version: nobody knows the channels that it will come from.
    """

    target: Target
    names: Names
    installed: Mapping[CondaName, str] = field(default_factory=dict)
    limits: Limits = field(default_factory=Limits)
    pre: bool = False
    follow: bool = True
    depth: int | None = 1
    natives_given: bool = False

    #: Sentences on single versions, to be told of those that are chosen.
    notes: dict[tuple[ProjectName, Version], dict[str, None]] = field(default_factory=dict)
    #: Wheels that fit and cannot be used, with the reason, by file name.
    refused: dict[str, BridgeError] = field(default_factory=dict)
    #: Why an edge could not be met, by project.
    problems: dict[ProjectName, BridgeError] = field(default_factory=dict)
    #: Projects whose versions come from the index; everything else is left to channels.
    overlaid: set[ProjectName] = field(default_factory=set)
    #: Sentences on what the user asked for, whatever is chosen.
    remarks: dict[str, None] = field(default_factory=dict)
    #: Extras that a listed version of a project has.
    extras: dict[ProjectName, set[str]] = field(default_factory=dict)
    #: The versions in the overlay.
    listed: dict[ProjectName, set[Version]] = field(default_factory=dict)
    #: What each candidate requires.
    requires: dict[tuple[ProjectName, Version], dict[Edge, None]] = field(default_factory=dict)
    #: Who requires each project, for the report and for explanations.
    edges: dict[ProjectName, dict[Edge, None]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._steps = Steps()
        self._records: dict[tuple[ProjectName, str, str], PackageRecord] = {}
        self._added: set[tuple[str, frozenset[str]]] = set()
        self._shelves: dict[ProjectName, Shelf] = {}
        self._listed: set[tuple[Edge, int | None]] = set()
        self._versions = dict(self.limits.versions)
        # Projects that no package is of: what was meant is another one of nearly that name.
        self._left: set[ProjectName] = set()
        self._lookahead = Lookahead(self)

    # -- what the driver calls -------------------------------------------------------------------

    def require(self, edges: Iterable[Edge]) -> None:
        """Add edges: the user's requests, or whatever else must join."""
        for edge in edges:
            known = self.edges.setdefault(edge.project, {})
            if edge not in known:
                known[edge] = None
                self._steps.start(self._meet(edge))

    def wants(self) -> list[Want]:
        """What must be found out next; each want is handed out once."""
        if self.follow and self.depth == 1 and self._steps.idle:
            self._lookahead.advance(self._requested())
        return self._steps.take()

    def answer(self, want: Want, value: object) -> None:
        """Tell what a want was about; further wants may follow."""
        self._steps.answer(want, value)

    def widen(self, depth: int | None) -> None:
        """List more versions of every project in the overlay, installed or not."""
        self.depth = depth
        self.problems.clear()
        self._narrow()
        for edge in [edge for edges in self.edges.values() for edge in edges]:
            self._steps.start(self._meet(edge))

    @property
    def records(self) -> tuple[PackageRecord, ...]:
        """The overlay as it stands."""
        return tuple(self._records.values())

    def asked(self, project: ProjectName) -> bool:
        """Whether the user asked for the project, as opposed to a requirement of a package."""
        return any(not edge.required_by for edge in self.edges.get(project, ()))

    def page(self, project: ProjectName) -> ProjectPage | None:
        """What the index was found to have of the project, as far as it was asked."""
        page = self._steps.answers.get(PageWant(project))
        return page if isinstance(page, ProjectPage) else None

    # -- what the lookahead goes over --------------------------------------------------------------

    def versions(self, need: Need) -> Sequence[Version] | None:
        """The versions of the index that meet a need; None where the prefix or channels have one."""
        name = self.names.conda_name(need.project)
        if self._given(name) or need.project in self._left:
            return None
        elsewhere = _versions(self._steps.answers.get(ChannelWant(name), ()))
        if self._has(need, name) or any(self._specifier(need).filter(elsewhere, prereleases=True)):
            return None
        page = self.page(need.project)
        return () if page is None else self._shelf(page).versions(self._specifier(need))

    def wheel(self, project: ProjectName, version: Version) -> Wheel | None:
        """The wheel of a version for the target; None where there is none, or it was refused."""
        page = self.page(project)
        wheel = None if page is None else self._shelf(page).wheel(version)
        return None if wheel is None or wheel.filename in self.refused else wheel

    def include(self, wheel: Wheel, extras: frozenset[str]) -> bool:
        """List a wheel and extras of it; whether all that this takes is known."""
        self._steps.start(self._add(wheel, extras))
        return self._steps.idle

    def needs(self, wheel: Wheel, extras: frozenset[str]) -> Sequence[Edge] | None:
        """What a listed wheel requires for itself and for extras; None where it was refused."""
        metadata = self._steps.answers.get(MetadataWant(wheel))
        if not isinstance(metadata, CoreMetadata) or wheel.filename in self.refused:
            return None
        while True:  # pkg[all] -> pkg[a,b]
            required = [Edge.of(r) for r in translate.requirements(metadata, self.target, extras)]
            own = {extra for edge in required if edge.project == wheel.project for extra in edge.extras}
            if own <= extras:
                return [edge for edge in required if edge.project != wheel.project]
            extras |= own

    def _requested(self) -> list[Edge]:
        return [edge for edges in self.edges.values() for edge in edges if not edge.required_by]

    # -- the rules -------------------------------------------------------------------------------

    def _meet(self, edge: Edge) -> Step:
        """Leave an edge to the prefix or to channels where they satisfy it, else overlay it."""
        name = self.names.conda_name(edge.project)
        if self._given(name) or (self.depth == 1 and not edge.extras and self._has(edge, name)):
            return
        if edge.project not in self.overlaid and edge.project not in self.limits.hashes:
            if (yield from self._left_to_channels(edge, name)):
                return
            if never_from_pypi(name):
                self.problems[edge.project] = NotFound(
                    name, places=("the channels",), required_by=edge.required_by
                )
                return
        if self.limits.blocks(edge.project):
            self.problems[edge.project] = Blocked(edge.project, required_by=edge.required_by)
            return
        page = yield PageWant(edge.project)
        if isinstance(page, BridgeError):
            self.problems[edge.project] = page
            return
        if page is None:
            self.problems[edge.project] = self._absent(
                edge, _versions(self._steps.answers.get(ChannelWant(name), ()))
            )
            return
        assert isinstance(page, ProjectPage)
        self._overlay(edge, page)

    def _left_to_channels(self, edge: Edge, name: CondaName) -> Generator[Want, object, bool]:
        """Whether channels satisfy an edge, under the name of its project or as the user wrote it."""
        for candidate in dict.fromkeys([name, edge.written or name]):
            versions = _versions((yield ChannelWant(candidate)))
            usable = list(self._specifier(edge).filter(versions, prereleases=True if self.pre else None))
            if usable:
                if candidate != name:
                    self._left.add(edge.project)
                if edge.extras:
                    yield from self._add_extras(edge, usable)
                return True
        return False

    def _absent(self, edge: Edge, versions: Sequence[Version]) -> BridgeError:
        """No index has the project; `versions` are the channels'."""
        if not versions:
            return NotFound(edge.project, required_by=edge.required_by)
        reason = f"channels have {max(versions)} at most, and no index has it"
        return NoFittingWheel(edge.project, reason, required_by=edge.required_by)

    def _overlay(self, edge: Edge, page: ProjectPage) -> None:
        listing = (replace(edge, required_by=""), self.depth)
        if listing in self._listed:  # another package requires the same
            return
        self._listed.add(listing)
        first_time = edge.project not in self.overlaid
        wheels = list(islice(self._shelf(page).fitting(self._specifier(edge)), self.depth))
        if not wheels:
            self.problems[edge.project] = self._misfit(edge, page)
            return
        self.overlaid.add(edge.project)
        for wheel in wheels:
            self._steps.start(self._add(wheel, edge.extras))
        if first_time:  # the overlay stands before the channels: it must serve every edge of the project
            for other in list(self.edges[edge.project]):
                if other != edge:
                    self._steps.start(self._meet(other))

    def _add(self, wheel: Wheel, extras: frozenset[str], *, base: bool = True) -> Step:
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
        self._note(wheel, *metadata.warnings)
        self.extras.setdefault(wheel.project, set()).update(metadata.extras)
        self.remarks.update(dict.fromkeys(_unknown_extras(extras, candidate)))
        try:
            made = [self._record(candidate, "")] if base else []
            made += [self._record(candidate, extra) for extra in sorted(extras)]
        except (Untranslatable, NoFittingWheel) as error:
            self._refuse(wheel, error)
            return
        if wheel.yanked is not None:
            reason = wheel.yanked or "no reason given"
            self._note(wheel, f"{wheel.project} {wheel.version} was yanked by its author: {reason}")
        self.listed.setdefault(wheel.project, set()).add(wheel.version)
        for record in made:
            self._records[wheel.project, str(wheel.version), record.extra] = record
        if self.follow:
            edges = [edge for record in made for edge in self._edges_of(candidate, record.extra)]
            self.requires.setdefault((wheel.project, wheel.version), {}).update(dict.fromkeys(edges))
            self.require(edges)

    def _add_extras(self, edge: Edge, versions: Sequence[Version]) -> Step:
        """A channel has the project itself: only its extras come from the index's metadata."""
        page = yield PageWant(edge.project)
        if not isinstance(page, ProjectPage):
            absent = NoExtras(edge.project, required_by=edge.required_by)
            self.problems[edge.project] = page if isinstance(page, BridgeError) else absent
            return
        exact = [w for w in self._shelf(page).fitting(self._specifier(edge)) if w.version in versions]
        if not exact:
            self.problems[edge.project] = self._misfit(edge, page)
        for wheel in exact[: self.depth]:
            self._steps.start(self._add(wheel, edge.extras, base=False))

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
                self._steps.start(self._add(candidate.wheel, edge.extras - extras, base=False))

    def _refuse(self, wheel: Wheel, error: BridgeError) -> None:
        self.problems.setdefault(wheel.project, error)
        self.refused[wheel.filename] = error

    def _note(self, wheel: Wheel, *sentences: str) -> None:
        self.notes.setdefault((wheel.project, wheel.version), {}).update(dict.fromkeys(sentences))

    def _shelf(self, page: ProjectPage) -> Shelf:
        if page.project not in self._shelves:
            self._shelves[page.project] = Shelf(page, self.target, self.limits, pre=self.pre)
        return self._shelves[page.project]

    def _specifier(self, edge: Need) -> SpecifierSet:
        """What the edge asks for, within what any solution can have of the project."""
        limit = self._versions.get(edge.project)
        return edge.specifier if limit is None else edge.specifier & limit

    def _has(self, edge: Need, name: CondaName) -> bool:
        """Whether the prefix has what satisfies the edge."""
        version = _version(self.installed.get(name, ""))
        return version is not None and self._specifier(edge).contains(version, prereleases=True)

    def _given(self, name: CondaName) -> bool:
        return self.natives_given and never_from_pypi(name)

    def _misfit(self, edge: Edge, page: ProjectPage) -> NoFittingWheel:
        return self._shelf(page).misfit(self._specifier(edge), edge.required_by)

    def _narrow(self) -> None:
        """Take what must hold in every solution as a limit, so that hopeless versions are never listed.

        A project that the user asked for must be there; where one candidate of it is left, so must what
        that candidate requires.
        """
        queue = [project for project in self.edges if self.asked(project)]
        seen: set[ProjectName] = set()
        while queue:
            project = queue.pop()
            metadata = self._only_candidate(project)
            if project in seen or metadata is None:
                continue
            seen.add(project)
            extras = frozenset(e for edge in self.edges[project] if not edge.required_by for e in edge.extras)
            for requirement in translate.requirements(metadata, self.target, extras):
                needed = Edge.of(requirement)
                self._versions[needed.project] = self._specifier(needed)
                queue.append(needed.project)

    def _only_candidate(self, project: ProjectName) -> CoreMetadata | None:
        page = self.page(project)
        if project not in self.overlaid or page is None:
            return None
        limit = self._versions.get(project, SpecifierSet())
        wheels = list(islice(self._shelf(page).fitting(limit), 2))
        metadata = self._steps.answers.get(MetadataWant(wheels[0])) if len(wheels) == 1 else None
        return metadata if isinstance(metadata, CoreMetadata) else None


def _unknown_extras(extras: Collection[str], candidate: Candidate) -> Iterator[str]:
    wheel, known = candidate.wheel, ", ".join(sorted(candidate.metadata.extras)) or "none"
    for extra in sorted(set(extras) - candidate.metadata.extras):
        yield f"{wheel.project} {wheel.version} has no extra {extra!r} (it has: {known})"


def _versions(texts: object) -> list[Version]:
    """The PEP 440 versions among a channel's: others cannot satisfy a PEP 440 specifier."""
    assert isinstance(texts, (list, tuple))
    return [version for version in map(_version, texts) if version is not None]


def _version(text: str) -> Version | None:
    try:
        return Version(text)
    except InvalidVersion:
        return None
