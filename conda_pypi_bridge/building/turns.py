"""Taking turns at what many threads do slower than one, unless it is the disk that they wait for."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

#: Seconds that a turn must have taken to tell anything.
_TELLING = 0.1

#: From this part of a turn on in which the whole process had nothing to do, it waited for the disk.
_IDLE = 0.5


class Turns:
    """One thread at a time; more, up to `most`, once a turn was found to be spent waiting for the disk.

    Who unpacks a wheel computes, and lets go of the interpreter with every system call for a small file. On a
    disk of this machine a call takes microseconds, and to get the interpreter back from other threads
    takes longer than all the rest; over a network it takes milliseconds, in which others may work.
    """

    def __init__(self, most: int) -> None:
        self._free = threading.Semaphore(1)
        self._more = most - 1
        self._lock = threading.Lock()

    @contextmanager
    def turn(self) -> Iterator[None]:
        """The block is run in a turn."""
        with self._free:
            began, used = time.monotonic(), time.process_time()
            yield
            passed, used = time.monotonic() - began, time.process_time() - used
        with self._lock:
            if self._more and passed > _TELLING and passed - used > _IDLE * passed:
                self._more -= 1
                self._free.release()
