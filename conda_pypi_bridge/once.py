"""Values made once for each key, however many threads ask, and kept for a while."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


@dataclass
class _Cell(Generic[V]):
    """The place of one value, a list of none or one; `until` is a time of `time.monotonic`."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    value: list[V] = field(default_factory=list)
    until: float = 0.0


class Once(Generic[K, V]):
    """Values made once for each key; a failure is not kept.

    A value counts for `seconds`; of more than `most` keys, those that nobody asked for the longest are
    forgotten.
    """

    def __init__(self, seconds: float = float("inf"), most: float = float("inf")) -> None:
        self._seconds = seconds
        self._most = most
        self._cells: OrderedDict[K, _Cell[V]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: K, make: Callable[[], V]) -> V:
        cell = self._cell(key)
        with cell.lock:
            if not cell.value or time.monotonic() >= cell.until:
                cell.value = [make()]
                cell.until = time.monotonic() + self._seconds
            return cell.value[0]

    def known(self, key: K) -> V | None:
        """What was made for `key`, if anything."""
        cell = self._cells.get(key)
        return cell.value[0] if cell is not None and cell.value else None

    def forget(self, key: K) -> None:
        """Make it anew next time."""
        with self._lock:
            self._cells.pop(key, None)

    def _cell(self, key: K) -> _Cell[V]:
        with self._lock:
            cell = self._cells.get(key)
            if cell is None:
                cell = self._cells[key] = _Cell()
                while len(self._cells) > self._most:
                    self._cells.popitem(last=False)
            self._cells.move_to_end(key)
            return cell
