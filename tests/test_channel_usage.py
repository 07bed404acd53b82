"""Packages that nobody asks for go after a while, whoever of several processes was asked."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

from conda_pypi_bridge.channel.model import Published
from conda_pypi_bridge.channel.store import ChannelStore
from conda_pypi_bridge.channel.usage import Usage
from tests.test_channel_store import added

FIRST = dt.date(2026, 1, 1)


class Clock:
    def __init__(self) -> None:
        self.day = 0

    def __call__(self) -> dt.date:
        return FIRST + dt.timedelta(days=self.day)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(tmp_path: Path) -> ChannelStore:
    return ChannelStore(tmp_path / "store")


@pytest.fixture
def items(store: ChannelStore, tmp_path: Path) -> list[Published]:
    names = [f"demo-{number}-0.conda" for number in range(3)]
    return [added(store, tmp_path / "made", name.encode(), name) for name in names]


def there(store: ChannelStore) -> list[str]:
    return [item.fn for item in store.published_in("noarch")]


def test_what_nobody_asks_for_goes_and_can_be_had_again(
    store: ChannelStore,
    items: list[Published],
    clock: Clock,
    tmp_path: Path,
) -> None:
    usage = Usage(store, 10, today=clock)
    assert usage.collect(["noarch"]) == 0
    before = store.fingerprints()
    for clock.day in range(0, 10, 3):
        usage.asked(items[0])
        assert usage.collect(["noarch"]) == 0
    clock.day = 10
    assert usage.collect(["noarch"]) == 2
    assert there(store) == [items[0].fn]
    assert store.fingerprints() != before
    gone = store.local_path(items[1].entry["sha256"])
    assert gone is not None and not gone.exists()
    assert added(store, tmp_path / "again", items[1].fn.encode(), items[1].fn) == items[1]
    usage.asked(items[1])
    clock.day = 20
    assert usage.collect(["noarch"]) == 1
    assert there(store) == [items[1].fn]


def test_what_another_process_was_asked_for_stays(
    tmp_path: Path,
    store: ChannelStore,
    items: list[Published],
    clock: Clock,
) -> None:
    one = Usage(store, 5, today=clock)
    other = Usage(ChannelStore(tmp_path / "store"), 5, today=clock)
    one.save()
    clock.day = 4
    other.asked(items[2])
    other.save()
    clock.day = 9
    assert one.collect(["noarch"]) == 2
    assert there(store) == [items[2].fn]


def test_what_is_to_be_kept_stays_though_nobody_asks(
    store: ChannelStore, items: list[Published], clock: Clock
) -> None:
    usage = Usage(store, 3, today=clock)
    usage.keep(items[1])
    for clock.day in range(0, 20, 2):
        usage.collect(["noarch"])
    assert there(store) == [items[1].fn]


def test_old_notes_of_what_was_asked_for_go(
    store: ChannelStore,
    items: list[Published],
    clock: Clock,
) -> None:
    usage = Usage(store, 3, today=clock)
    for clock.day in range(20):
        usage.asked(items[0])
        usage.collect(["noarch"])
    assert len(store.documents("used")) == 4


def test_a_store_that_was_used_before_this_was_noted_keeps_everything_at_first(
    store: ChannelStore,
    items: list[Published],
    clock: Clock,
) -> None:
    clock.day = 100
    assert Usage(store, 30, today=clock).collect(["noarch"]) == 0
    assert len(there(store)) == len(items)
