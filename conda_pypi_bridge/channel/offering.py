"""What a channel is to offer of a project: records of the index's newest wheels, and of those others require.

The requirements of what is offered are wants: `y ==1.2.3` has the channel offer that version of `y` too.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import Version

from .. import __version__
from ..credentials import public_url
from ..errors import (
    BridgeError,
    IndexFailure,
    NoFittingWheel,
    PageUnusable,
    Untranslatable,
)
from ..index import Index
from ..lookup import metadata
from ..model import Candidate, CoreMetadata, PackageRecord, ProjectName, ProjectPage, Target, Wheel
from ..names import Names
from ..once import Once
from ..versions import conda_version, read_spec
from . import direct, offers
from .failures import Failures, Refusals, is_passing
from .model import Published, Scope
from .store import ChannelStore
from .tasks import Tasks
from .wants import Wants

_log = logging.getLogger(__name__)

#: Kinds of notes on a project: all extras that it was seen to have, and what its page was seen to say.
EXTRAS, PAGES = "extras", "pages"

#: Plans that are remembered.
_PLANS = 2000

#: Wheels of a project that one subdir is offered, however many versions others require.
_MOST = 300


@dataclass(frozen=True, kw_only=True)
class There:
    """What the index offers of a project: `versions` in conda's spelling, `files` by their sha256."""

    versions: frozenset[str] = frozenset()
    files: frozenset[str] = frozenset()

    def keeps(self, item: Published) -> bool:
        """Whether it still has what a published package was built from."""
        return item.entry["version"] in self.versions and (not item.wheel or item.wheel in self.files)

    @classmethod
    def on(cls, page: ProjectPage | None) -> There:
        """What a page offers; nothing where there is none."""
        if page is None:
            return NOTHING_THERE
        offered = [wheel for wheel in page.wheels if wheel.yanked is None]
        return cls(
            versions=frozenset(_conda_versions(offered)), files=frozenset(wheel.sha256 for wheel in offered)
        )


NOTHING_THERE = There()


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The records that a subdir is to have of a project, the newest version first.

    `wheels` are entries of `direct.entries` for those that need not be built. What was published of others
    than `there` is offered no more. `unsure` holds what may pass and kept more records away; `lacking` are
    the sha256 of wheels that the index lists, and does not have.
    """

    records: tuple[PackageRecord, ...] = ()
    wheels: tuple[Mapping[str, Any], ...] = ()
    there: There = NOTHING_THERE
    unsure: tuple[BridgeError, ...] = ()
    lacking: frozenset[str] = frozenset()


class Offering:
    """Makes plans from what the index says, and keeps what they require in `store`.

    `depth` is how many of the newest versions are offered to each target; `readers` reads metadata. With
    `follows`, the digest of a list of projects, every requirement is noted for that list, of the extras that
    somebody requires, so that the channel has the project; else only what the newest version may not meet.
    Where it is `direct`, clients take wheels as they are, and only extras have records.
    """

    def __init__(
        self,
        scope: Scope,
        index: Index,
        store: ChannelStore,
        names: Names,
        *,
        depth: int,
        readers: Tasks[CoreMetadata | BridgeError],
        refusals: Refusals,
        follows: str = "",
        direct: bool = False,
    ) -> None:
        self._scope = scope
        self._index = index
        self._store = store
        self._names = names
        self._depth = depth
        self._readers = readers
        self._refusals = refusals
        self._failures = Failures()
        #: What others require of projects.
        self.wants = Wants(scope, index, store, depth=depth, follows=follows)
        #: Whether clients take wheels as they are.
        self.direct = direct
        self._plans: Once[tuple[str, ...], Plan] = Once(most=_PLANS)
        self._extras = threading.Lock()

    @property
    def digest(self) -> str:
        """Changes with what plans depend on beside what the index has: this release and its settings."""
        names = self._names
        called = [sorted(known.items()) for known in (names.installed, names.user, names.table.conda_names)]
        content = [__version__, self._depth, called, sorted(names.table.collisions), self.origin]
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()

    @property
    def origin(self) -> str:
        """Tells the indexes from others."""
        urls = [public_url(url) for url in (*self._index.config.indexes, *self._index.config.find_links)]
        return hashlib.sha256(json.dumps(urls).encode()).hexdigest()[:12]

    def look(self, project: ProjectName, *, renew: bool = False) -> ProjectPage | None:
        """What the index has of a project now; that something changed is noted.

        `renew` asks it even if it was asked just now. Raises `IndexFailure` or `OfflineError`.
        """
        try:
            page = self._index.page(project, renew=renew)
        except PageUnusable:
            page = None
        self._store.note(PAGES, project, [_state(page)])
        return page

    def plan(self, project: ProjectName, subdir: str, *, renew: bool = False) -> Plan:
        """What to offer now. Arguments and errors are as for `look`."""
        page = self.look(project, renew=renew)
        if page is None:
            return Plan()
        wants, extras = self.wants.of(project), self.wants.extras_of(project)
        key = (project, subdir, _state(page), *sorted(wants), "", *sorted(extras))
        plan = self._plans.get(key, lambda: self._make(page, subdir, wants))
        if plan.unsure or plan.lacking:
            self._plans.forget(key)
        return plan

    def serves(self, item: Published) -> bool:
        """Whether a published package is one for this channel: clients that take wheels get only extras."""
        return not self.direct or item.is_extra

    def extras(self, project: ProjectName) -> list[str]:
        """The extras of a project that were seen, in the order in which they were."""
        return ordered_extras(self._store.noted(EXTRAS, project))

    def _make(self, page: ProjectPage, subdir: str, wants: Iterable[str]) -> Plan:
        specifiers = [found for text in sorted(wants) if (found := _specifier(text)) is not None]
        wheels = offers.wheels(page, self._scope, subdir, specifiers, self._depth)[:_MOST]
        readings = [(wheel, self._read(wheel)) for wheel in wheels]
        records: dict[PackageRecord, None] = {}
        entries: list[Mapping[str, Any]] = []
        unsure: list[BridgeError] = []
        lacking: set[str] = set()
        for wheel, read in readings:
            known = read()
            if isinstance(known, CoreMetadata):
                candidate = Candidate(wheel=wheel, metadata=known)
                targets = offers.best_for(page, self._scope, wheel)
                records.update(dict.fromkeys(self._records(candidate, targets, subdir)))
                entries += self._entries(candidate, targets, subdir)
            elif is_passing(known):
                unsure.append(known)
            else:
                self._refusals.tell(wheel.project, wheel.filename, known)
                lacking.update([wheel.sha256] if isinstance(known, IndexFailure) else [])
        return Plan(
            records=tuple(records),
            wheels=tuple(entries),
            there=There.on(page),
            unsure=tuple(unsure),
            lacking=frozenset(lacking),
        )

    def _read(self, wheel: Wheel) -> Callable[[], CoreMetadata | BridgeError]:
        """Begin to read a wheel's metadata; what is returned waits for it."""
        key = f"{wheel.sha256} {wheel.url}"
        failure = self._failures.of(key)
        if isinstance(failure, BridgeError):
            return lambda: failure

        def read() -> CoreMetadata | BridgeError:
            try:
                return running.result()
            except BridgeError as error:
                if not is_passing(error):
                    self._failures.remember(key, error)
                return error

        running = self._readers.submit(key, partial(metadata, self._index, wheel))
        return read

    def _records(self, candidate: Candidate, targets: Sequence[Target], subdir: str) -> list[PackageRecord]:
        """The records of a wheel in a subdir; their requirements and extras are noted."""
        offer = offers.offer(candidate, self._scope, self._names.conda_name, targets=targets)
        made = [record for record in offer.records if record.subdir == subdir]
        for error in offer.refused:
            if isinstance(error, Untranslatable):
                self._refusals.tell(candidate.wheel.project, candidate.wheel.filename, error)
        if (count := len(candidate.metadata.extras)) > offers.EXTRAS:
            _log.warning("%s has %d extras: most are left out", candidate.wheel.filename, count)
        if made:
            self.wants.note(candidate)
            self._note_extras(candidate.wheel.project, {record.extra for record in made} - {""})
        return [record for record in made if record.extra] if self.direct else made

    def _entries(
        self, candidate: Candidate, targets: Sequence[Target], subdir: str
    ) -> list[Mapping[str, Any]]:
        """The entry of a wheel in a subdir, for clients that take it as it is."""
        if not self.direct:
            return []
        try:
            entries = direct.entries(candidate, self._scope, self._names.conda_name, targets=targets)
        except NoFittingWheel:
            return []
        except Untranslatable as error:
            self._refusals.tell(candidate.wheel.project, candidate.wheel.filename, error)
            return []
        return [entry for there, entry in entries.items() if there == subdir]

    def _note_extras(self, project: ProjectName, extras: set[str]) -> None:
        with self._extras:  # the list only grows at its end: clients have placeholders that count on it
            known = self._store.noted(EXTRAS, project)
            new = sorted(extras - set(ordered_extras(known)))
            if len(known) + len(new) > offers.EXTRAS:
                _log.warning("%s has had too many extras: %s and others are not listed", project, new[-1])
            new = new[: max(0, offers.EXTRAS - len(known))]
            self._store.note(EXTRAS, project, (f"{n:05} {extra}" for n, extra in enumerate(new, len(known))))


def ordered_extras(notes: Iterable[str]) -> list[str]:
    """The extras that notes tell of, in the order in which they were seen."""
    return list(dict.fromkeys(note.partition(" ")[2] for note in sorted(notes)))


def _state(page: ProjectPage | None) -> str:
    """Text that changes with what a page offers."""
    if page is None:
        return "none"
    rows = sorted(f"{wheel.filename} {wheel.sha256} {wheel.yanked}" for wheel in page.wheels)
    return hashlib.sha256("\n".join(rows).encode()).hexdigest()[:20]


def python_for(record: PackageRecord, scope: Scope) -> str:
    """The newest minor version of Python of the scope that `record` is for."""
    spec = next((spec for spec in record.depends if spec.partition(" ")[0] == "python"), "")
    admitted = read_spec(spec.partition(" ")[2])
    pythons = sorted(scope.pythons, reverse=True)
    fitting = (python for python in pythons if any(v in admitted for v in _releases(python)))
    return str(next(fitting, pythons[0]))


def _releases(python: Version) -> Iterator[Version]:
    return (Version(f"{python}.{micro}") for micro in range(30))


@lru_cache(maxsize=16384)
def _specifier(text: str) -> SpecifierSet | None:
    """None for what asks for nothing in particular, or was noted by a release that reads more."""
    try:
        return SpecifierSet(text) if text else None
    except InvalidSpecifier:
        return None


def _conda_versions(wheels: Iterable[Wheel]) -> Iterator[str]:
    for version in {wheel.version for wheel in wheels}:
        with contextlib.suppress(Untranslatable):
            yield conda_version(version)
