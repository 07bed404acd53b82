"""Work for a few threads: a bounded queue, the most urgent first, each thing once however many want it."""

from __future__ import annotations

import heapq
import itertools
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Generic, TypeVar

from ..errors import Busy

V = TypeVar("V")


@dataclass
class _Task(Generic[V]):
    work: Callable[[], V]
    future: Future[V]
    rank: int


class Tasks(Generic[V]):
    """Runs work in `threads` threads, named after `name`; at most `most` things wait for their turn.

    `close` lets what runs end; what waits is cancelled.
    """

    def __init__(self, name: str, threads: int, most: int) -> None:
        self._name = name
        self._most = most
        self._changed = threading.Condition()
        self._tasks: dict[str, _Task[V]] = {}
        self._heap: list[tuple[int, int, str]] = []
        self._count = itertools.count()
        self._running: set[str] = set()
        self._closed = False
        self._threads = [threading.Thread(target=self._run, name=name, daemon=True) for _ in range(threads)]
        for thread in self._threads:
            thread.start()

    def submit(self, key: str, work: Callable[[], V], rank: int = 0) -> Future[V]:
        """Have `work` done, the lowest `rank` first. The future is that of whoever submitted `key` first.

        Raises `Busy` where too much waits already.
        """
        with self._changed:
            task = self._tasks.get(key)
            if task is not None:
                if rank < task.rank and key not in self._running:
                    task.rank = rank
                    self._push(key, rank)
                return task.future
            if self._closed or len(self._tasks) - len(self._running) >= self._most:
                raise Busy(f"too much waits for its turn ({self._name})")
            task = self._tasks[key] = _Task(work, Future(), rank)
            self._push(key, rank)
            return task.future

    @property
    def waiting(self) -> int:
        """How much waits for its turn."""
        with self._changed:
            return len(self._tasks) - len(self._running)

    @property
    def running(self) -> int:
        """How much is being done."""
        return len(self._running)

    def close(self, seconds: float = 10.0) -> None:
        """Take nothing more; wait for what runs, for so many seconds at most."""
        with self._changed:
            self._closed = True
            waiting = [key for key in self._tasks if key not in self._running]
            cancelled = [self._tasks.pop(key) for key in waiting]
            self._changed.notify_all()
        for task in cancelled:
            task.future.cancel()
        for thread in self._threads:
            thread.join(seconds)

    def _push(self, key: str, rank: int) -> None:
        heapq.heappush(self._heap, (rank, next(self._count), key))
        self._changed.notify()

    def _next(self) -> tuple[str, _Task[V]] | None:
        """What is to be done next; None once this is closed."""
        with self._changed:
            while True:
                while self._heap:
                    _, _, key = heapq.heappop(self._heap)
                    if key in self._tasks and key not in self._running:
                        self._running.add(key)
                        return key, self._tasks[key]
                if self._closed:
                    return None
                self._changed.wait()

    def _run(self) -> None:
        while (taken := self._next()) is not None:
            key, task = taken
            outcome = _outcome(task.work)
            with self._changed:
                self._running.discard(key)
                del self._tasks[key]
            if isinstance(outcome, _Failed):
                task.future.set_exception(outcome.error)
            else:
                task.future.set_result(outcome)


@dataclass(frozen=True)
class _Failed:
    error: BaseException


def _outcome(work: Callable[[], V]) -> V | _Failed:
    try:
        return work()
    except BaseException as error:
        return _Failed(error)
