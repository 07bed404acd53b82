"""Small files are made by one thread, or by several where the disk is far away."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

from conda_pypi_bridge.turns import Turns


class Workshop:
    """Counts how many are in a turn at once, at most."""

    def __init__(self, turns: Turns, *, waits: float) -> None:
        self.most = 0
        self._turns, self._waits = turns, waits
        self._now, self._lock = 0, threading.Lock()

    def visit(self, files: int) -> None:
        with self._turns.turn(files):
            with self._lock:
                self._now += 1
                self.most = max(self.most, self._now)
            time.sleep(self._waits)
            with self._lock:
                self._now -= 1

    def visited(self, threads: int, files: int) -> int:
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(self.visit, [files] * threads))
        return self.most


def test_files_are_made_one_after_the_other_while_the_disk_answers_at_once() -> None:
    assert Workshop(Turns(most=4), waits=0.002).visited(8, files=500) == 1


def test_more_make_files_where_each_of_them_is_waited_for_but_only_so_many() -> None:
    assert Workshop(Turns(most=4), waits=0.1).visited(12, files=50) == 4


def test_a_wheel_of_few_files_tells_nothing_of_the_disk() -> None:
    assert Workshop(Turns(most=4), waits=0.05).visited(6, files=2) == 1


def test_a_turn_that_fails_is_over() -> None:
    turns = Turns(most=1)
    for _ in range(2):
        try:
            with turns.turn(1):
                raise OSError
        except OSError:
            pass
    assert Workshop(turns, waits=0).visited(1, files=1) == 1
