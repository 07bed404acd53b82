"""The shard index of a subdir: all names, each with a placeholder that changes when its shard may have."""

from __future__ import annotations

import datetime as dt
import heapq
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from ..names import EXTRA, Names
from ..roster import Roster
from . import formats
from .directory import Directory, Entry, Extras
from .model import Scope
from .offering import EXTRAS, ordered_extras
from .projects import Projects
from .store import ChannelStore

#: An index that took long to make is used so many times longer before it is made anew.
_SHARE = 20

#: One that took longer than this, in seconds, is made anew while the old one is served.
_SLOW = 1.0

_SERIALS = 1 << 48


@dataclass(frozen=True)
class State:
    """All that an index is made of: the names, and what is known of each project."""

    directory: Directory
    extras: Extras
    fingerprints: Mapping[str, int]

    def same(self, other: State) -> bool:
        return (self.directory, self.extras.known, self.fingerprints) == (
            other.directory,
            other.extras.known,
            other.fingerprints,
        )


@dataclass(frozen=True)
class _Made:
    content: bytes
    state: State
    until: float
    took: float


class ShardIndex:
    """The indexes of one channel; safe for threads.

    They are made anew after `fresh_seconds`, after `before` was called. With another `edition` all shards
    have other names, so that no client keeps those of the one before.
    """

    def __init__(
        self,
        scope: Scope,
        store: ChannelStore,
        names: Names,
        projects: Projects,
        *,
        label: str,
        edition: str,
        fresh_seconds: float,
        before: Callable[[Roster], None],
    ) -> None:
        self._store = store
        self._names = names
        self._projects = projects
        self._fresh = fresh_seconds
        self._before = before
        self._salts = {
            subdir: formats.salt(label, edition, subdir, scope.digest, store.identity())
            for subdir in ("noarch", *scope.subdirs)
        }
        self._made: dict[str, _Made] = {}
        self._making = threading.Lock()
        self._state: State | None = None
        self._state_until = 0.0

    def content(self, subdir: str) -> bytes:
        """``repodata_shards.msgpack.zst`` of a subdir; of one that the scope lacks, that of no names."""
        if subdir not in self._salts:
            return formats.shard_index(subdir, (), created=dt.datetime.now(dt.timezone.utc))
        made = self._made.get(subdir)
        if made is not None and time.monotonic() < made.until:
            return made.content
        if not self._making.acquire(blocking=made is None):
            assert made is not None
            return made.content
        if made is not None and made.took > _SLOW:
            threading.Thread(target=self._make_and_release, args=[subdir], name="index", daemon=True).start()
            return made.content
        return self._make_and_release(subdir)

    def find(self, digest: bytes) -> Sequence[Entry]:
        """The entries that a placeholder stands for."""
        ending = formats.fingerprint_of(digest)
        state = self._state or self._renewed()
        found = [*state.directory.find(ending), *state.extras.find(ending)]
        if not found:  # it is of another replica's index, perhaps
            state = self._renewed()
            found = [*state.directory.find(ending), *state.extras.find(ending)]
        return found

    def _make_and_release(self, subdir: str) -> bytes:
        try:
            made = self._made.get(subdir)
            if made is None or time.monotonic() >= made.until:  # nobody else has just made it
                made = self._make(subdir)
            return made.content
        finally:
            self._making.release()

    def _make(self, subdir: str) -> _Made:
        if time.monotonic() >= self._state_until:
            self._before(self._projects.roster())
        begun = time.monotonic()
        state = self._renewed()
        before = self._made.get(subdir)
        if before is not None and before.state.same(state):
            content, took = before.content, before.took
        else:
            now = dt.datetime.now(dt.timezone.utc)
            content = formats.shard_index(subdir, self._digests(subdir, state), created=now)
            took = time.monotonic() - begun
        made = _Made(content, state, time.monotonic() + max(self._fresh, _SHARE * took), took)
        self._made[subdir] = made
        return made

    def _renewed(self) -> State:
        """What is known now; the store is read anew as often as its listings are."""
        roster, before = self._projects.roster(), self._state
        directory = before.directory if before and before.directory.roster == roster else None
        fingerprints = self._store.fingerprints()
        if before and directory and before.fingerprints == fingerprints:
            return before
        known = {p: ordered_extras(notes) for p, notes in self._store.all_noted(EXTRAS).items()}
        state = State(directory or Directory(roster, self._names), Extras(known), fingerprints)
        self._state, self._state_until = state, time.monotonic() + self._fresh
        return state

    def _digests(self, subdir: str, state: State) -> Iterator[tuple[str, bytes]]:
        salt, directory = self._salts[subdir], state.directory
        extras = (
            (entry.name, entry.projects, directory.serial(entry.projects))
            for entry in state.extras.entries
            if entry.projects[0] in directory.roster
        )
        for name, projects, serial in heapq.merge(directory.names(), extras):
            generation, listed = b"", 0
            for project in projects:
                if number := state.fingerprints.get(project):
                    generation += number.to_bytes(8, "big")
                    listed += len(state.extras.known.get(project, ()))
            listed = 0 if EXTRA in name else listed
            yield name, formats.placeholder(salt, name, serial % _SERIALS, generation, listed=listed)


def own_records(entry: Entry, extras: Extras, listed: int) -> Callable[[str], bool]:
    """Whether a record of that name belongs into an entry's shard.

    A project's has those of its extras that the client's index, where the placeholder is from, does not list.
    """
    if entry.extra:
        return lambda name: name == entry.name
    apart = frozenset(extras.names(entry.projects, listed))
    return lambda name: name not in apart
