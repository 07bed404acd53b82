"""A mirror is built by the workers of a Dask cluster: two processes on this machine, one of which dies."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from distributed import Client, LocalCluster
from packaging.version import Version

from conda_pypi_bridge.channel.model import Scope
from conda_pypi_bridge.config import IndexConfig
from conda_pypi_bridge.errors import BridgeError, ConfigError
from conda_pypi_bridge.index import Index
from conda_pypi_bridge.index.answers import Limits
from conda_pypi_bridge.mirror import BuildFailure, Mirrored, Order, Place, Recipe, building, check, mirror
from conda_pypi_bridge.names import Names
from conda_pypi_bridge.report import Silent
from conda_pypi_bridge.resolve import Options
from tests.indexserver import IndexServer, says, sleeps

COUNT = 12


@pytest.fixture
def server() -> Iterator[IndexServer]:
    with IndexServer() as server:
        for number in range(COUNT):
            server.add(f"p{number}", "1.0", requires=[f"p{number + 1}"] if number + 1 < COUNT else [])
        yield server


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalCluster]:
    """Two workers, each a process with one thread and caches of its own folder; who dies is replaced."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "workers"))
    with LocalCluster(
        n_workers=2,
        threads_per_worker=1,
        processes=True,
        dashboard_address=None,
        local_directory=tmp_path / "dask",
    ) as cluster:
        yield cluster


def mirrored(server: IndexServer, to: Path | str, cache: Path, scheduler: str = "") -> Mirrored:
    scope = Scope(subdirs=("linux-64",), pythons=(Version("3.12"),))
    index = Index(IndexConfig(indexes=(server.url,), keyring=False), cache, limits=Limits(backoff=0.002))
    order = Order(texts=["p0"], scope=scope, options=Options(), recipe=Recipe(level=3), scheduler=scheduler)
    return mirror(order, Place(str(to)), index, Names(), Silent())


def tree(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_a_worker_that_dies_midway_changes_nothing_of_the_outcome(
    server: IndexServer, cluster: LocalCluster, tmp_path: Path
) -> None:
    mirrored(server, tmp_path / "expected", tmp_path / "cache")
    to = tmp_path / "to"
    server.on(r"\.whl$", sleeps(0.3))
    with Client(cluster.scheduler_address, set_as_default=False) as client:
        pids = set(client.run(os.getpid).values())
    assert len(pids) == 2
    assert os.getpid() not in pids
    killed: list[int] = []

    def kill_one() -> None:
        while len(list(to.glob("noarch/*.conda"))) < 3:
            time.sleep(0.01)
        killed.append(len(list(to.glob("noarch/*.conda"))))
        os.kill(min(pids), signal.SIGKILL)

    killer = threading.Thread(target=kill_one, daemon=True)
    killer.start()
    done = mirrored(server, to, tmp_path / "other cache", cluster.scheduler_address)
    killer.join(60)
    assert 3 <= killed[0] < COUNT
    assert len(done.built) == COUNT
    assert tree(to) == tree(tmp_path / "expected")
    index = Index(IndexConfig(indexes=(server.url,)), tmp_path / "cache")
    assert check(Place(str(to)), index, Silent()).faults == ()


def test_what_a_cluster_has_built_is_not_built_again(
    server: IndexServer, cluster: LocalCluster, tmp_path: Path
) -> None:
    server.on(r"p7-.*\.whl$", says(200, b"not what was promised"))
    with pytest.raises(BuildFailure, match=r"p7-1\.0"):
        mirrored(server, tmp_path / "to", tmp_path / "cache", cluster.scheduler_address)
    server.heal()
    there = {path.name for path in (tmp_path / "to" / "noarch").glob("*.conda")}
    assert not (tmp_path / "to" / "noarch" / "repodata.json").exists()
    done = mirrored(server, tmp_path / "to", tmp_path / "cache", cluster.scheduler_address)
    assert {item.fn for item in done.built}.isdisjoint(there)
    assert done.kept + len(done.built) == COUNT
    assert len(done.built) >= 1


def test_a_cluster_without_workers_is_given_up(
    server: IndexServer, cluster: LocalCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(building, "_WORKERLESS", 0.5)
    cluster.scale(0)
    with Client(cluster.scheduler_address, set_as_default=False) as client:
        while client.nthreads():
            time.sleep(0.05)
    with pytest.raises(BridgeError, match="no workers"):
        mirrored(server, tmp_path / "to", tmp_path / "cache", cluster.scheduler_address)


def test_workers_with_another_packaging_are_refused(server: IndexServer, tmp_path: Path) -> None:
    info = tmp_path / "older" / "packaging-20.9.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: packaging\nVersion: 20.9\n")
    with LocalCluster(n_workers=0, dashboard_address=None) as cluster:
        command = [
            sys.executable,
            "-m",
            "dask",
            "worker",
            cluster.scheduler_address,
            "--no-nanny",
            "--no-dashboard",
        ]
        command += ["--local-directory", str(tmp_path / "dask")]
        worker = subprocess.Popen(command, env=os.environ | {"PYTHONPATH": str(info.parent)})
        try:
            cluster.wait_for_workers(1)
            with pytest.raises(ConfigError, match=r"has packaging 20\.9, and this process \d"):
                mirrored(server, tmp_path / "to", tmp_path / "cache", cluster.scheduler_address)
        finally:
            worker.terminate()
            worker.wait(30)


def test_a_place_that_workers_cannot_see_is_refused(server: IndexServer, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="which is in this process"):
        mirrored(server, "memory://cluster/channel", tmp_path / "cache", "tcp://127.0.0.1:9")


def test_a_scheduler_that_does_not_answer_is_told(server: IndexServer, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="does not answer"):
        mirrored(server, tmp_path / "to", tmp_path / "cache", "tcp://127.0.0.1:9")
