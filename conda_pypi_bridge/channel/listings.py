"""Which files a store has, remembered for a while: listing a bucket takes a request for every thousand."""

from __future__ import annotations

import hashlib
import threading
import time
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

#: A listing that took long is used so many times longer before it is made anew.
_SHARE = 20

#: Listings that are remembered.
_LISTINGS = 20_000


@dataclass
class _Listing:
    """The files below a prefix. `until` is a time of `time.monotonic`; `added` came since it was made."""

    paths: frozenset[str] = frozenset()
    until: float = 0.0
    made: bool = False
    added: set[str] = field(default_factory=set)
    renewal: threading.Lock = field(default_factory=threading.Lock)


class Listings:
    """What `list_below` finds below prefixes, paths relative to them; up to `fresh_seconds` old.

    Where listing takes long, longer. Files are only ever added; those that this process adds are in it at
    once. Safe for threads: one lists, and the others use what was listed before.
    """

    def __init__(self, list_below: Callable[[str], Collection[str]], fresh_seconds: float) -> None:
        self._list_below = list_below
        self._fresh = fresh_seconds
        self._lock = threading.Lock()
        self._listings: OrderedDict[str, _Listing] = OrderedDict()

    def below(self, prefix: str) -> frozenset[str]:
        """The paths of all files below a prefix."""
        with self._lock:
            listing = self._of(prefix)
        if time.monotonic() >= listing.until and listing.renewal.acquire(blocking=not listing.made):
            try:
                if time.monotonic() >= listing.until:
                    self._renew(prefix, listing)
            finally:
                listing.renewal.release()
        return listing.paths

    def add(self, prefix: str, *paths: str) -> None:
        """Tell of new files below a prefix."""
        with self._lock:
            listing = self._of(prefix)
            listing.added.update(paths)
            listing.paths |= listing.added

    def forget(self, *prefixes: str) -> None:
        """List what is below prefixes anew; with none, everything."""
        with self._lock:
            for prefix in prefixes or list(self._listings):
                self._listings.pop(prefix, None)

    def _of(self, prefix: str) -> _Listing:
        """The listing of a prefix; the one that was not asked for longest makes room."""
        listing = self._listings.setdefault(prefix, _Listing())
        self._listings.move_to_end(prefix)
        if len(self._listings) > _LISTINGS:
            self._listings.popitem(last=False)
        return listing

    def _renew(self, prefix: str, listing: _Listing) -> None:
        with self._lock:
            listing.added.clear()
        begun = time.monotonic()
        found = self._list_below(prefix)
        now = time.monotonic()
        with self._lock:
            listing.paths = frozenset(found) | listing.added
            listing.until = now + max(self._fresh, _SHARE * (now - begun))
            listing.made = True


class Fingerprints:
    """For the first part of every path a 64-bit number that changes with the files that have it."""

    def __init__(self) -> None:
        self._seen: frozenset[str] = frozenset()
        self._numbers: defaultdict[str, int] = defaultdict(int)
        self._lock = threading.Lock()

    def of(self, paths: frozenset[str]) -> Mapping[str, int]:
        """Those of `paths`. The next call costs what has changed."""
        with self._lock:
            for path in paths ^ self._seen if paths is not self._seen else ():
                digest = hashlib.blake2b(path.encode(), digest_size=8).digest()
                self._numbers[path.partition("/")[0]] ^= int.from_bytes(digest, "big")
            self._seen = paths
            return dict(self._numbers)
