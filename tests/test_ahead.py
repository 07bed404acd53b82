"""Pages that are asked for before the solver is loaded: each once; what is there or blocked, not at all."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from conda_pypi_bridge.ahead import ask
from conda_pypi_bridge.errors import IndexFailure
from conda_pypi_bridge.model import ProjectName
from tests.doors import Bridge
from tests.indexserver import Answer, Call, IndexServer, says
from tests.lab.condas import Home
from tests.test_index import index_of

MOO, HERD = ProjectName("moo"), ProjectName("herd")


@pytest.fixture
def server() -> Iterator[IndexServer]:
    with IndexServer() as started:
        started.add("moo", "1.0", requires=["herd"])
        started.add("herd", "1.0")
        yield started


def test_answers_are_not_waited_for(server: IndexServer, tmp_path: Path) -> None:
    told = threading.Event()

    def late(call: Call, answer: Answer) -> Answer:
        assert told.wait(30)
        return answer

    server.on("/simple/", late)
    asked = ask(index_of(server, cache=tmp_path), [MOO, HERD])
    assert not any(future.done() for future in asked.values())
    told.set()
    found = {project: future.result(30) for project, future in asked.items()}
    assert {project: page and page.project for project, page in found.items()} == {MOO: MOO, HERD: HERD}


def test_a_page_in_the_cache_is_taken_from_there(server: IndexServer, tmp_path: Path) -> None:
    assert index_of(server, cache=tmp_path).page(MOO) is not None
    offline = index_of(server, cache=tmp_path, offline=True)
    assert ask(offline, [MOO])[MOO].result(30) is not None
    assert server.count("/moo/") == 1


def test_a_failure_is_for_who_takes_the_answer(server: IndexServer, tmp_path: Path) -> None:
    server.on("/moo/", says(403))
    asked = ask(index_of(server, cache=tmp_path), [MOO])
    with pytest.raises(IndexFailure, match="403"):
        asked[MOO].result(30)


def test_each_page_is_asked_for_once(server: IndexServer, bridge: Bridge, venv: Path) -> None:
    bridge("install", "-p", venv, "-y", "-i", server.url, "moo", "herd")
    assert (server.count("/simple/moo/"), server.count("/simple/herd/")) == (1, 1)


def test_an_index_that_refuses_is_asked_once_and_told_of(
    server: IndexServer, bridge: Bridge, venv: Path
) -> None:
    server.on("/moo/", says(403))
    done = bridge("install", "-p", venv, "-y", "-i", server.url, "moo", check=False)
    assert "403" in done.stderr and server.count("/simple/moo/") == 1


def test_what_is_there_and_what_is_blocked_is_not_asked_for(
    server: IndexServer, bridge: Bridge, home: Home, venv: Path
) -> None:
    install = ("install", "-y", "-i", server.url)
    bridge(*install, "-p", venv, "herd")
    server.calls.clear()
    bridge(*install, "-p", venv, "moo", "herd")
    assert server.count("/simple/herd/") == 0
    home.configure(plugins={"pypi_bridge_block": ["moo"]})
    server.calls.clear()
    bridge(*install, "-p", venv, "-U", "moo", check=False)
    assert server.calls == []
