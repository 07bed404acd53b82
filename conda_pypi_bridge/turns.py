"""Taking turns at what many threads do slower than one, unless it is for the disk that all of them wait."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

#: Seconds of waiting for one file that only a disk behind a network takes.
_FAR = 1e-3

#: So many files tell.
_TELLING = 20


class Turns:
    """One thread at a time makes files; more, up to `most`, once that one was found to wait for each of them.

    Who makes a small file lets go of the interpreter with every system call. On a disk of this machine a
    call takes microseconds, and to get the interpreter back from other threads takes longer than all
    the rest; over a network it takes milliseconds, in which others may work.
    """

    def __init__(self, most: int) -> None:
        self._free = threading.Semaphore(1)
        self._more = most - 1
        self._lock = threading.Lock()

    @contextmanager
    def turn(self, files: int) -> Iterator[None]:
        """The block, which makes so many files, is run in a turn."""
        with self._free:
            began, used = time.monotonic(), time.thread_time()
            yield
            waited = time.monotonic() - began - (time.thread_time() - used)
        with self._lock:
            if self._more and files >= _TELLING and waited > _FAR * files:
                self._more -= 1
                self._free.release()
