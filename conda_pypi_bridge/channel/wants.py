"""What packages require of other projects, noted in the store: versions that these are to offer, too.

Anybody can publish a package, so what one may have noted is little.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

from .. import translate
from ..errors import BridgeError, Untranslatable
from ..index import Index
from ..model import Candidate, ProjectName, ProjectPage
from . import offers
from .model import Scope
from .store import ChannelStore

_log = logging.getLogger(__name__)

#: Kinds of notes on a project: specifiers and extras of it that others require.
WANTS, WANTED_EXTRAS = "wants", "wanted-extras"

#: What strangers may have noted: requirements of a wheel, specifiers of a wheel for one project, and of a
#: project in all; and for how many projects the index is asked whether a wheel's specifiers matter.
_REQUIREMENTS, _SPECIFIERS, _WANTED, _LOOKUPS = 500, 10, 300, 20

#: A specifier of these alone is met by the newest version, if by any.
_OPEN = frozenset({">=", ">"})


class Wants:
    """Notes what is required; `depth` versions are offered of every project anyway.

    With `follows`, the digest of a list of projects, every requirement is noted for that list, of the extras
    that somebody requires, so that the channel has the project; else only what asks for other versions.
    """

    def __init__(self, scope: Scope, index: Index, store: ChannelStore, *, depth: int, follows: str) -> None:
        self._scope = scope
        self._index = index
        self._store = store
        self._depth = depth
        self._follows = follows
        #: The kinds of notes that tell what is wanted here.
        self.kind, self.extras_kind = f"{WANTS}{follows}", f"{WANTED_EXTRAS}{follows}"

    def of(self, project: ProjectName) -> frozenset[str]:
        """The specifiers by which others require a project."""
        return self._store.noted(self.kind, project)

    def extras_of(self, project: ProjectName) -> frozenset[str]:
        """The extras of a project that others require."""
        return self._store.noted(self.extras_kind, project)

    def add(self, requirements: Iterable[Requirement]) -> list[ProjectName]:
        """Note what somebody requires, and return the projects."""
        projects = []
        for requirement in requirements:
            project = ProjectName(canonicalize_name(requirement.name))
            projects.append(project)
            self._store.note(self.kind, project, [str(requirement.specifier)])
            self._store.note(self.extras_kind, project, map(canonicalize_name, requirement.extras))
        return projects

    def note(self, candidate: Candidate) -> None:
        """Note what a wheel and its extras require."""
        wheel, extras = candidate.wheel, candidate.metadata.extras
        if self._follows:
            extras &= self.extras_of(wheel.project)
        wanted: dict[ProjectName, set[str]] = {}
        required = _requirements(candidate, self._scope, extras)
        if len(required) > _REQUIREMENTS:
            _log.warning("%s has %d requirements: most are passed over", wheel.filename, len(required))
        for requirement in required[:_REQUIREMENTS]:
            project = ProjectName(canonicalize_name(requirement.name))
            if self._follows:
                self._store.note(self.extras_kind, project, map(canonicalize_name, requirement.extras))
            if project != wheel.project and (self._follows or _is_bounded(requirement.specifier)):
                wanted.setdefault(project, set()).add(str(requirement.specifier))
        lookups = 0
        for project, texts in wanted.items():
            if not self._follows and lookups < _LOOKUPS and any(map(_only_excludes, texts)):
                texts = self._leading_further(project, texts)
                lookups += 1
            self._note(project, texts, wheel.filename)

    def _note(self, project: ProjectName, texts: set[str], filename: str) -> None:
        known = self.of(project)
        first = sorted(texts)[:_SPECIFIERS]
        new = [text for text in first if text not in known]
        room = max(0, _WANTED - len(known))
        if len(new) > room or len(first) < len(texts):
            _log.warning("%s wants too much of %s", filename, project)
        self._store.note(self.kind, project, new[:room])

    def _leading_further(self, project: ProjectName, texts: set[str]) -> set[str]:
        """The specifiers that lead to other versions than those offered anyway, now or later.

        One that only excludes old versions never will: what is newer meets it.
        """
        try:
            page = self._index.page(project)
        except BridgeError:
            return texts
        if page is None:
            return texts
        newest = max((wheel.version for wheel in page.wheels), default=Version("0"))
        return {
            text
            for text in texts
            if not (_only_excludes(text) and _are_older(text, newest) and self._is_met(page, text))
        }

    def _is_met(self, page: ProjectPage, text: str) -> bool:
        """Whether what is offered anyway meets a specifier for every target."""
        return all(
            offers.wheels(page, self._scope, subdir, [SpecifierSet(text)], self._depth)
            == offers.wheels(page, self._scope, subdir, [], self._depth)
            for subdir in ("noarch", *self._scope.subdirs)
        )


def _requirements(candidate: Candidate, scope: Scope, extras: frozenset[str]) -> Sequence[Requirement]:
    """What a wheel and its extras require in any of the targets, as far as it can be told."""
    found: dict[Requirement, None] = {}
    for target in scope.targets("noarch"):
        try:
            required = translate.requirements(candidate.metadata, target, extras)
        except Untranslatable:
            continue
        found.update(dict.fromkeys(required))
    return list(found)


def _is_bounded(specifier: SpecifierSet) -> bool:
    """Whether the newest version need not meet it although another does."""
    return any(clause.operator not in _OPEN or Version(clause.version).is_prerelease for clause in specifier)


def _only_excludes(text: str) -> bool:
    """Whether a specifier has no bound upward, but for single versions and their like (``!=1.*``)."""
    return all(clause.operator in {*_OPEN, "!="} for clause in SpecifierSet(text))


def _are_older(text: str, newest: Version) -> bool:
    """Whether all versions that a specifier names are no newer than that one."""
    return all(Version(clause.version.removesuffix(".*")) <= newest for clause in SpecifierSet(text))
