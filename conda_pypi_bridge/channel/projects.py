"""Which projects a channel has: all of the index, or those of a list and what they require."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
import zlib
from collections.abc import Iterable, Set
from typing import Protocol

from ..errors import BridgeError
from ..index import Index
from ..model import ProjectName
from ..roster import Roster
from .store import ChannelStore

_log = logging.getLogger(__name__)

#: The document of the store that has the last good list.
_DOCUMENT = "projects"

#: A list that took long to read is used so many times longer before it is asked for again.
_SHARE = 20

#: One that took longer than this, in seconds, is asked for while the old one is used.
_SLOW = 1.0

#: How often a list that changes is stored, in seconds, where it takes long.
_STORE_SECONDS = 600.0


class Projects(Protocol):
    """Tells which projects there are, and their serials."""

    def roster(self) -> Roster:
        """The projects as they are known now. Raises `IndexFailure` where they never were."""

    @property
    def known(self) -> Roster:
        """The projects as they were known last; none where they never were."""

    def include(self, projects: Iterable[ProjectName]) -> None:
        """Have these among them, whatever else tells of them."""


class AllProjects:
    """Those of the index, asked for again after `fresh_seconds`; the last good ones where it is down."""

    def __init__(self, index: Index, store: ChannelStore, *, fresh_seconds: float = 5.0) -> None:
        self._index = index
        self._store = store
        self._fresh = fresh_seconds
        self._known: Roster | None = None
        self._until = self._took = 0.0
        self._stored_at = float("-inf")
        self._renewal = threading.Lock()
        #: Why the index did not tell when it was asked last; None where it did.
        self.problem: BridgeError | None = None

    def roster(self) -> Roster:
        known = self._known
        if known is None or time.monotonic() >= self._until:
            if known is None or self._took < _SLOW:
                with self._renewal:
                    if self._known is None or time.monotonic() >= self._until:
                        self._renew()
            elif self._renewal.acquire(blocking=False):
                threading.Thread(target=self._renew_later, name="projects", daemon=True).start()
        assert self._known is not None
        return self._known

    @property
    def known(self) -> Roster:
        return self._known or Roster({})

    def include(self, projects: Iterable[ProjectName]) -> None:
        """All that the index has is there already."""

    def _renew_later(self) -> None:
        try:
            self._renew()
        finally:
            self._renewal.release()

    def _renew(self) -> None:
        begun = time.monotonic()
        if self._known is None and self.problem is not None and begun < self._until:
            raise self.problem
        try:
            found = self._index.projects()
            self.problem = None
        except BridgeError as error:
            self.problem = error
            _log.warning("the list of projects is not to be had: %s", error)
            self._until = time.monotonic() + self._fresh
            found = self._known or self._last_good(error)
        self._took = time.monotonic() - begun
        if self.problem is None and (self._known is None or found != self._known):
            self._keep(found)
        self._known = found
        share = _SHARE if self.problem is None else 1
        self._until = time.monotonic() + max(self._fresh, share * self._took)

    def _last_good(self, error: BridgeError) -> Roster:
        content = self._store.kept(_DOCUMENT)
        if content is None:
            raise error
        return Roster.from_bytes(zlib.decompress(content))

    def _keep(self, roster: Roster) -> None:
        if self._took > _SLOW and time.monotonic() - self._stored_at < _STORE_SECONDS:
            return
        with contextlib.suppress(OSError):
            self._store.keep(_DOCUMENT, zlib.compress(roster.to_bytes()))
            self._stored_at = time.monotonic()


class SomeProjects:
    """Those of a list and whatever was found to be required by them, as the store remembers it."""

    def __init__(self, projects: Iterable[ProjectName], store: ChannelStore, kind: str) -> None:
        self._projects = frozenset(projects)
        self._store = store
        self._kind = kind
        self._known: tuple[Set[ProjectName], Roster] = (frozenset(), Roster({}))

    @property
    def known(self) -> Roster:
        return self._known[1]

    def include(self, projects: Iterable[ProjectName]) -> None:
        self._projects |= frozenset(projects)

    def roster(self) -> Roster:
        found = self._projects | self._store.all_noted(self._kind).keys()
        if self._known[0] != found:
            self._known = found, Roster(dict.fromkeys(found, 0))
        return self._known[1]
