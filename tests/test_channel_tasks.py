"""Work for a few threads: bounded, the most urgent first, each thing once."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from conda_pypi_bridge.channel.tasks import Tasks
from conda_pypi_bridge.errors import Busy


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    """Work that waits for it holds the threads."""
    event = threading.Event()
    yield event
    event.set()


@pytest.fixture
def tasks() -> Iterator[Tasks[str]]:
    made: Tasks[str] = Tasks("tests", threads=1, most=3)
    yield made
    made.close()


def hold(tasks: Tasks[str], gate: threading.Event) -> None:
    """Have the one thread busy until the gate opens."""
    started = threading.Event()

    def work() -> str:
        started.set()
        gate.wait(10)
        return "held"

    tasks.submit("hold", work)
    assert started.wait(5)


def test_the_most_urgent_comes_first(tasks: Tasks[str], gate: threading.Event) -> None:
    done: list[str] = []
    hold(tasks, gate)
    for key, rank in (("late", 9), ("soon", 1), ("then", 5)):
        tasks.submit(key, lambda key=key: done.append(key) or key, rank)  # type: ignore[misc]
    assert (tasks.running, tasks.waiting) == (1, 3)
    raised = tasks.submit("late", lambda: "again", 0)
    gate.set()
    assert raised.result(5) == "late"
    tasks.submit("last", lambda: "", 99).result(5)
    assert done == ["late", "soon", "then"]


def test_too_much_is_refused_and_what_waits_already_is_not(tasks: Tasks[str], gate: threading.Event) -> None:
    hold(tasks, gate)
    futures = [tasks.submit(key, lambda: "", 0) for key in "abc"]
    with pytest.raises(Busy, match="tests"):
        tasks.submit("d", lambda: "")
    assert tasks.submit("a", lambda: "") is futures[0]
    gate.set()
    futures[2].result(5)
    assert tasks.submit("d", lambda: "fits").result(5) == "fits"


def test_an_error_is_for_who_asked_and_harms_nobody_else(tasks: Tasks[str]) -> None:
    def fail() -> str:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        tasks.submit("key", fail).result(5)
    assert tasks.submit("key", lambda: "yes").result(5) == "yes"


def test_closing_cancels_what_waits(tasks: Tasks[str], gate: threading.Event) -> None:
    hold(tasks, gate)
    waiting = tasks.submit("a", lambda: "")
    tasks.close(seconds=0)
    assert waiting.cancelled()
    with pytest.raises(Busy):
        tasks.submit("b", lambda: "")
