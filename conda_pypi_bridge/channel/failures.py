"""What could not be had or made: for how long it is not tried again, and who is told of it."""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict

from ..errors import BridgeError, Busy, IndexFailure, OfflineError
from ..model import ProjectName

_log = logging.getLogger(__name__)

#: For how many seconds what failed is not tried again: where that may pass, and where not.
PASSING_SECONDS, LASTING_SECONDS = 30.0, 3600.0

#: Failures that are remembered, and refusals that are not told again.
_MOST = 10_000


def is_passing(error: BaseException | None) -> bool:
    """Whether what failed may work in a while."""
    if isinstance(error, IndexFailure):
        return not error.lasting
    return isinstance(error, (OfflineError, OSError, Busy, TimeoutError))


class Failures:
    """The failures of late, by what failed; safe for threads."""

    def __init__(self) -> None:
        self._known: OrderedDict[str, tuple[BaseException, float]] = OrderedDict()
        self._lock = threading.Lock()

    def remember(self, key: str, error: BaseException) -> None:
        """Note that something failed just now."""
        seconds = PASSING_SECONDS if is_passing(error) else LASTING_SECONDS
        with self._lock:
            self._known[key] = error, time.monotonic() + seconds
            while len(self._known) > _MOST:
                self._known.popitem(last=False)

    def of(self, key: str) -> BaseException | None:
        """Why something is not to be tried again yet."""
        error, until = self._known.get(key, (None, 0.0))
        return error if time.monotonic() < until else None


class Refusals:
    """Logs what a `channel` leaves out, each thing once; safe for threads."""

    def __init__(self, channel: str) -> None:
        self._channel = channel
        self._told: OrderedDict[tuple[str, str], None] = OrderedDict()
        self._lock = threading.Lock()

    def tell(self, project: ProjectName, file: str, error: BaseException) -> None:
        """A file of a project, or a package made of it, is not offered because of `error`."""
        reason = str(error)
        with self._lock:
            if (file, reason) in self._told:
                return
            self._told[file, reason] = None
            while len(self._told) > _MOST:
                self._told.popitem(last=False)
        kind = type(error).__name__ if isinstance(error, BridgeError) else "failure"
        fields = {"channel": self._channel, "project": project, "file": file, "kind": kind, "reason": reason}
        _log.warning("left out", extra={"fields": fields})
