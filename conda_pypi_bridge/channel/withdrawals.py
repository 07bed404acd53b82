"""What was published and is offered no more: yanked, removed, or of a project that is gone or blocked."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Iterable
from concurrent.futures import wait
from dataclasses import dataclass
from functools import partial
from typing import Any

from ..errors import BridgeError, Busy
from ..model import ProjectName
from ..roster import Roster
from .model import Published
from .offering import Offering, There
from .store import ChannelStore
from .tasks import Tasks

_log = logging.getLogger(__name__)

#: What is looked at at once: at most so many projects, for so many seconds.
_MOST, _SECONDS = 2000, 2.0

#: Behind what somebody waits for, and before what nobody does.
_RANK = 1000

#: Where the index does not answer, it is asked again after so many times as long.
_PATIENCE = 5

#: A project is looked at again after so many seconds though its serial is the same: pages may lag behind.
_AGAIN = 600.0


@dataclass(frozen=True)
class _Look:
    """When the index was asked what it has of a project (`time.monotonic`), and the serial at that time."""

    at: float
    serial: int


class Withdrawals:
    """Published packages that the index offers no more, as far as it could be asked; safe for threads.

    While it does not answer, what was known stands. The store remembers it, so that a process which begins
    then withholds the same. A project is asked for again after `seconds` where its serial has changed, or the
    index tells none.
    """

    def __init__(self, store: ChannelStore, offering: Offering, tasks: Tasks[Any], *, seconds: float) -> None:
        self._store = store
        self._offering = offering
        self._tasks = tasks
        self._seconds = seconds
        self._name = f"withdrawn-{offering.origin}"
        self._lock = threading.Lock()
        self._looks: dict[ProjectName, _Look] = {}
        self._gone = _read(store.kept(self._name))
        self._changed = False

    def withholds(self, item: Published) -> bool:
        """Whether a package is neither to be listed nor to be handed out."""
        return item.path in self._gone.get(item.project, ())

    def look(self, projects: Iterable[ProjectName], roster: Roster) -> None:
        """Ask the index what it has of projects, where that may have changed; the longest known ones first.

        Takes a few seconds at most; what is not known by then will be the next time.
        """
        now = time.monotonic()
        due = [project for project in dict.fromkeys(projects) if self._is_due(project, roster, now)]
        due.sort(key=lambda project: self._looks[project].at if project in self._looks else 0.0)
        futures = []
        for project in due[:_MOST]:
            work = partial(self._look, project, roster.serial(project))
            try:
                futures.append(self._tasks.submit(f"withdrawn {project}", work, _RANK))
            except Busy:
                break
            # One waits for a slow index, not everybody who asks meanwhile.
            before = self._looks.get(project)
            self._looks[project] = _Look(now, before.serial if before else -1)
        wait(futures, _SECONDS)
        self._keep()

    def _is_due(self, project: ProjectName, roster: Roster, now: float) -> bool:
        look = self._looks.get(project)
        if look is None or now - look.at >= _AGAIN:
            return True
        changed = not roster.tells_serials or look.serial != roster.serial(project)
        return changed and now - look.at >= self._seconds

    def _look(self, project: ProjectName, serial: int) -> None:
        try:
            there = There.on(self._offering.look(project, renew=True))
        except BridgeError as error:
            _log.info("whether %s was withdrawn is not known: %s", project, error)
            self._looks[project] = _Look(time.monotonic() + _PATIENCE * self._seconds, -1)
            return
        gone = frozenset(item.path for item in self._store.published(project) if not there.keeps(item))
        with self._lock:
            if gone != self._gone.get(project, frozenset()):
                self._gone[project] = gone
                self._changed = True
            self._looks[project] = _Look(time.monotonic(), serial)

    def _keep(self) -> None:
        with self._lock:
            if not self._changed:
                return
            self._changed = False
            told = {project: sorted(keys) for project, keys in sorted(self._gone.items()) if keys}
        try:
            self._store.keep(self._name, json.dumps(told).encode())
        except OSError as error:
            _log.warning("what was withdrawn cannot be stored: %s", error)
            self._changed = True


def _read(content: bytes | None) -> dict[ProjectName, frozenset[str]]:
    found: dict[str, list[str]] = json.loads(content or b"{}")
    return {ProjectName(project): frozenset(keys) for project, keys in found.items()}
