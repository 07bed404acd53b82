"""A record becomes a published package: once, whole, whatever dies meanwhile."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from conda_package_streaming.package_streaming import stream_conda_component
from packaging.version import Version

from conda_pypi_bridge import translate
from conda_pypi_bridge.channel.flights import Flights
from conda_pypi_bridge.channel.model import Published, Scope
from conda_pypi_bridge.channel.packages import Packages
from conda_pypi_bridge.channel.store import ChannelStore, measured
from conda_pypi_bridge.config import IndexConfig
from conda_pypi_bridge.errors import IndexFailure, WheelRefused
from conda_pypi_bridge.index import Index
from conda_pypi_bridge.index.answers import Limits
from conda_pypi_bridge.model import Candidate, CondaName, PackageRecord, ProjectName
from tests.indexserver import IndexServer, says, sleeps

REPOSITORY = Path(__file__).parents[1]
(TARGET, *_) = Scope(subdirs=("linux-64",), pythons=(Version("3.12"),)).targets("linux-64")
WHEEL = r"\.whl$"

#: Publishes what an index has of a project in a store, in a process of its own.
PROGRAM = "import sys; from tests.test_channel_packages import publish_all; publish_all(*sys.argv[1:])"


@pytest.fixture
def server() -> Iterator[IndexServer]:
    with IndexServer() as server:
        yield server


def index_of(url: str, cache: Path) -> Index:
    config = IndexConfig(indexes=(url,), timeout=5.0, keyring=False)
    return Index(config, cache, limits=Limits(backoff=0.002))


def records(index: Index, project: str = "demo", extra: str = "") -> list[PackageRecord]:
    page = index.page(ProjectName(project))
    assert page is not None
    candidates = [
        Candidate(wheel=w, metadata=translate.parse_core_metadata(index.metadata(w), w.filename))
        for w in page.wheels
    ]
    return [translate.record(c, TARGET, CondaName, extra=extra) for c in candidates]


def publish_all(url: str, store: str, cache: str) -> None:
    index = index_of(url, Path(cache))
    packages = Packages(ChannelStore(store), index)
    for record in records(index):
        packages.publish(record, "3.12")


def start(server: IndexServer, store: Path, cache: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", PROGRAM, server.url, str(store), str(cache)]
    return subprocess.Popen(command, cwd=REPOSITORY, env=os.environ | {"PYTHONPATH": str(REPOSITORY)})


def content_of(store: ChannelStore, item: Published, folder: Path) -> set[str]:
    """The files in a published package, once it was found to be what its entry says."""
    path = folder / item.fn
    with store.open(str(item.entry["sha256"]), int(item.entry["size"])) as file:
        path.write_bytes(file.read())
    found = measured(path)
    assert (found.sha256, found.md5) == (item.entry["sha256"], item.entry["md5"])
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
    with path.open("rb") as file:
        return {m.name for kind in ("pkg", "info") for _, m in stream_conda_component(item.fn, file, kind)}


def leftovers(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()] if folder.exists() else []


def test_a_published_package_is_whole_and_says_so(server: IndexServer, tmp_path: Path) -> None:
    server.add("demo", "1.0", requires=["wanted>=2"])
    index, store = index_of(server.url, tmp_path / "cache"), ChannelStore(tmp_path / "store")
    (record,) = records(index)
    item = Packages(store, index).publish(record, "3.12")
    assert {"site-packages/demo.py", "info/index.json"} <= content_of(store, item, tmp_path)
    sizes = {key: item.entry[key] for key in ("size", "sha256", "md5")}
    assert item == Published(
        fn=record.fn, subdir="noarch", project=ProjectName("demo"), entry=record.index_json() | sizes
    )


def test_an_extra_becomes_a_package_without_a_wheel(server: IndexServer, tmp_path: Path) -> None:
    server.add("demo", "1.0", extras={"more": ["wanted>=2"]})
    index, store = index_of(server.url, tmp_path / "cache"), ChannelStore(tmp_path / "store")
    (record,) = records(index, extra="more")
    item = Packages(store, index).publish(record, "3.12")
    assert (item.project, item.entry["name"]) == ("demo", "demo_extra_more")
    assert all(name.startswith("info/") for name in content_of(store, item, tmp_path))
    assert server.count(WHEEL) == 0


@pytest.mark.parametrize("place", ["folder", "memory"])
def test_fifty_threads_that_ask_for_one_cold_package_build_it_once(
    server: IndexServer, tmp_path: Path, place: str
) -> None:
    server.add("demo", "1.0")
    server.on(WHEEL, sleeps(0.3))
    index = index_of(server.url, tmp_path / "cache")
    store = ChannelStore(tmp_path / "store" if place == "folder" else f"memory://{tmp_path.name}-fifty")
    packages, (record,) = Packages(store, index), records(index)
    with ThreadPoolExecutor(50) as pool:
        items = list(pool.map(lambda _: packages.publish(record, "3.12"), range(50)))
    assert [item == items[0] for item in items] == [True] * 50
    assert server.count(WHEEL) == 1


def test_processes_that_share_a_folder_build_a_package_once(server: IndexServer, tmp_path: Path) -> None:
    server.add("demo", "1.0")
    server.on(WHEEL, sleeps(2))
    running = [start(server, tmp_path / "store", tmp_path / f"cache{n}") for n in range(3)]
    assert [process.wait(60) for process in running] == [0, 0, 0]
    assert server.count(WHEEL) == 1


def test_what_is_published_costs_no_request(server: IndexServer, tmp_path: Path) -> None:
    server.add("demo", "1.0")
    index = index_of(server.url, tmp_path / "cache")
    (record,) = records(index)
    first = Packages(ChannelStore(tmp_path / "store"), index).publish(record, "3.12")
    before = server.count()
    assert Packages(ChannelStore(tmp_path / "store"), index).publish(record, "3.12") == first
    assert server.count() == before


@pytest.mark.parametrize(
    ("bend", "error"),
    [(says(404), IndexFailure), (says(200, b"other bytes"), IndexFailure)],
    ids=["gone", "forged"],
)
def test_a_failure_leaves_nothing_and_is_not_held_against_the_package(
    server: IndexServer, tmp_path: Path, bend: Any, error: type[Exception]
) -> None:
    server.add("demo", "1.0")
    index, store = index_of(server.url, tmp_path / "cache"), ChannelStore(tmp_path / "store")
    packages, (record,) = Packages(store, index), records(index)
    server.on(WHEEL, bend)
    with pytest.raises(error):
        packages.publish(record, "3.12")
    assert leftovers(tmp_path / "store") == [] and [*store.published_in("noarch")] == []
    server.heal()
    assert packages.publish(record, "3.12") == store.find("noarch", record.fn)


@pytest.mark.parametrize("told", [True, False], ids=["announced", "not announced"])
def test_a_wheel_that_is_too_large_is_refused(server: IndexServer, tmp_path: Path, told: bool) -> None:
    large = {"demo.py": random.Random(1).randbytes(400_000)}
    server.add("demo", "1.0", files=large, entry={} if told else {"size": None})
    index = index_of(server.url, tmp_path / "cache")
    packages = Packages(ChannelStore(tmp_path / "store"), index, size_limit=100_000)
    with pytest.raises(WheelRefused, match="100000 bytes"):
        packages.publish(records(index)[0], "3.12")
    assert server.count(WHEEL) == (0 if told else 1)
    assert leftovers(tmp_path / "store") == []


def test_a_process_that_is_killed_at_any_moment_leaves_nothing_corrupt(
    server: IndexServer, tmp_path: Path
) -> None:
    """And the next one finishes its work: what was published stays, what was not is built."""
    generator = random.Random(9)
    for number in range(12):
        server.add(
            "demo", f"{number}.0", files={f"demo{n}.py": generator.randbytes(20_000) for n in range(8)}
        )
    folder, kills = tmp_path / "store", 0
    for _ in range(40):
        asked = server.count(WHEEL)
        process = start(server, folder, tmp_path / "cache")
        deadline = time.monotonic() + 60
        while server.count(WHEEL) == asked and process.poll() is None:
            assert time.monotonic() < deadline
            time.sleep(0.002)
        time.sleep(generator.uniform(0, 0.03))
        process.kill()
        kills += process.wait() == -signal.SIGKILL
        store = ChannelStore(folder)
        for item in store.published_in("noarch"):
            assert "info/index.json" in content_of(store, item, tmp_path)
            assert item in [*store.published(ProjectName("demo"))]
        if process.returncode == 0:
            break
    assert kills > 3
    publish_all(server.url, str(folder), str(tmp_path / "cache"))
    assert len([*ChannelStore(folder).published_in("noarch")]) == 12
    assert leftovers(folder / ".pypi-bridge") == []


def test_an_error_reaches_all_who_waited_and_the_next_one_tries_again() -> None:
    flights: Flights[str, int] = Flights()
    calls: list[int] = []

    def fail() -> int:
        calls.append(1)
        time.sleep(0.2)
        raise ValueError("no")

    def asked(_: int) -> str:
        try:
            return str(flights.one("key", fail))
        except ValueError as error:
            return str(error)

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(asked, range(8))) == ["no"] * 8
    assert len(calls) == 1
    assert flights.one("key", lambda: 7) == 7
