"""Which packages are asked for, day by day, and the end of those that nobody asks for any more.

documents/used/2026-11-23-0123456789ab     packages that one process has built or handed out that day
documents/used-since                       the first day of which this is known
"""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Callable, Iterable
from uuid import uuid4

from .model import Published
from .store import ChannelStore

_FOLDER, _SINCE = "used", "used-since"


def _today() -> dt.date:
    return dt.datetime.now(dt.timezone.utc).date()


class Usage:
    """What processes on one `store` have built and handed out; after so many `days` without that it may go.

    Each writes documents of its own. What others have not saved yet is not known here, and may go too early:
    then it is built again when somebody asks for its shard. Safe for threads.
    """

    def __init__(self, store: ChannelStore, days: int, *, today: Callable[[], dt.date] = _today) -> None:
        self._store = store
        self._today = today
        #: For so many days packages are kept that nobody asks for.
        self.days = days
        self._id = uuid4().hex[:12]
        self._lock = threading.Lock()
        self._kept: set[str] = set()
        self._days: dict[str, set[str]] = {}
        self._saved: dict[str, int] = {}

    def asked(self, item: Published) -> None:
        """Somebody has got a package, or had it built."""
        with self._lock:
            self._days.setdefault(self._today().isoformat(), set()).add(item.path)

    def keep(self, item: Published) -> None:
        """A package counts as asked for on every day on which this is saved."""
        with self._lock:
            self._kept.add(item.path)

    def save(self) -> None:
        """Have the store remember it. Raises `OSError`."""
        today = self._today().isoformat()
        with self._lock:
            if self._kept:
                self._days.setdefault(today, set()).update(self._kept)
            days = {day: sorted(keys) for day, keys in self._days.items()}
        if self._store.kept(_SINCE) is None:
            self._store.keep(_SINCE, today.encode())
        for day, keys in days.items():
            if len(keys) > self._saved.get(day, 0):
                self._store.keep(f"{_FOLDER}/{day}-{self._id}", "\n".join(keys).encode())
                self._saved[day] = len(keys)
            elif day != today:
                with self._lock:
                    del self._days[day]
                del self._saved[day]

    def collect(self, subdirs: Iterable[str]) -> int:
        """Delete the packages that nobody has asked for lately; returns how many those were.

        None before so many days are known of. Raises `OSError`.
        """
        self.save()
        first = (self._today() - dt.timedelta(days=self.days)).isoformat()
        since = self._store.kept(_SINCE)
        if since is None or since.decode() > first:
            return 0
        used: set[str] = set()
        for name in self._store.documents(_FOLDER):
            if name.rpartition("-")[0] < first:
                self._store.drop(f"{_FOLDER}/{name}")
            else:
                used.update((self._store.kept(f"{_FOLDER}/{name}") or b"").decode().split("\n"))
        unused = [item for s in subdirs for item in self._store.published_in(s) if item.path not in used]
        self._store.retract(*unused)
        return len(unused)
