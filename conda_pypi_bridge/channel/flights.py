"""Work that is done once for all who ask for it at the same time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Flights(Generic[K, V]):
    """Single flight: who asks for what somebody is making gets that one's value, or the error that it met."""

    def __init__(self) -> None:
        self._running: dict[K, Future[V]] = {}
        self._lock = threading.Lock()

    def one(self, key: K, make: Callable[[], V]) -> V:
        """What `make` returns, called by one thread at a time for a key."""
        with self._lock:
            running = self._running.get(key)
            if running is None:
                mine = self._running[key] = Future[V]()
        if running is not None:
            return running.result()
        try:
            value = make()
        except BaseException as error:
            self._end(key)
            mine.set_exception(error)
            raise
        self._end(key)
        mine.set_result(value)
        return value

    def _end(self, key: K) -> None:
        with self._lock:
            del self._running[key]
