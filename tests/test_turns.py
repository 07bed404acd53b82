"""Wheels are unpacked by one thread at a time, or by several where the disk is far away."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from conda_pypi_bridge.building.turns import Turns


class Workshop:
    """Counts how many are in a turn at once, at most."""

    def __init__(self, turns: Turns, *, waits: float = 0.0) -> None:
        self.most = 0
        self._turns, self._waits = turns, waits
        self._now, self._lock = 0, threading.Lock()

    def visit(self) -> None:
        with self._turns.turn():
            with self._lock:
                self._now += 1
                self.most = max(self.most, self._now)
            time.sleep(self._waits)
            with self._lock:
                self._now -= 1

    def visited(self, threads: int) -> int:
        with ThreadPoolExecutor(threads) as pool:
            for visit in [pool.submit(self.visit) for _ in range(threads)]:
                visit.result()
        return self.most


def test_one_after_the_other_works_while_the_disk_answers_at_once() -> None:
    assert Workshop(Turns(most=4), waits=0.002).visited(8) == 1


def test_more_work_once_one_waits_for_the_disk_but_only_so_many() -> None:
    assert Workshop(Turns(most=4), waits=0.15).visited(12) == 4


def test_a_turn_that_fails_is_over() -> None:
    turns = Turns(most=1)
    for _ in range(2):
        with pytest.raises(OSError, match="full"), turns.turn():
            raise OSError("full")
    assert Workshop(turns).visited(1) == 1
