"""The deadline that reads of sockets keep to; it belongs to the thread that reads."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator


class _Deadline(threading.local):
    """When reads of this thread must have ended, in seconds of `time.monotonic`."""

    end = float("inf")


_deadline = _Deadline()


@contextlib.contextmanager
def read_before(end: float) -> Iterator[None]:
    """Reads of sockets in the block raise ``TimeoutError`` from the time `end` (`time.monotonic`) on.

    Inside of another such block it takes the place of that one's deadline.
    """
    before, _deadline.end = _deadline.end, end
    try:
        yield
    finally:
        _deadline.end = before


def time_left() -> float:
    """Seconds that reads of this thread have left; infinity where there is no deadline."""
    return _deadline.end - time.monotonic()
