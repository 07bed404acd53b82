"""All projects of an index, and what a process that lives long needs of it: answers that age."""

from __future__ import annotations

import gzip
import json
import random
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.utils import canonicalize_name

from conda_pypi_bridge.config import IndexConfig
from conda_pypi_bridge.errors import IndexFailure, OfflineError
from conda_pypi_bridge.index import Index, rootpages
from conda_pypi_bridge.model import ProjectName
from conda_pypi_bridge.once import Once
from conda_pypi_bridge.roster import Roster, in_order
from tests.indexserver import JSON_TYPE, IndexServer, says
from tests.test_index import index_of

ROOT = "/simple/$"


@pytest.fixture(params=["json", "html"])
def server(request: pytest.FixtureRequest) -> Iterator[IndexServer]:
    with IndexServer(html=request.param == "html", serials=True, etags=True) as server:
        server.add("Demo.Two", "1.0")
        server.add("demo", "1.0")
        yield server


def test_projects_are_listed_by_their_normalised_names(server: IndexServer, tmp_path: Path) -> None:
    roster = index_of(server, cache=tmp_path).projects()
    assert list(roster) == ["demo", "demo-two"]
    assert roster.tells_serials is not server.html
    assert roster.serial(ProjectName("demo-two")) == (0 if server.html else 1)


def test_an_unchanged_list_is_not_sent_again(server: IndexServer, tmp_path: Path) -> None:
    index = index_of(server, cache=tmp_path)
    first = index.projects()
    assert index.projects() is first
    assert server.sent == [200, 304]
    server.add("new", "1.0")
    assert "new" in index.projects()


def test_a_list_may_be_compressed(tmp_path: Path) -> None:
    body = gzip.compress(json.dumps({"meta": {}, "projects": [{"name": "demo", "_last-serial": 7}]}).encode())
    with IndexServer() as server:
        server.on(ROOT, says(200, body, Content_Type=JSON_TYPE, Content_Encoding="gzip"))
        assert [*index_of(server, cache=tmp_path).projects().items()] == [("demo", 7)]


@pytest.mark.parametrize("kind", [JSON_TYPE, "text/html", "text/plain"])
@pytest.mark.parametrize(
    "body",
    [b"{}", b"[]", b'{"projects": 1}', b'{"projects": [', b"", b"[" * 200_000, b"\xff\xfe"],
    ids=["no projects", "a list", "a number", "cut", "empty", "deep", "not text"],
)
def test_what_is_no_list_of_projects_is_refused(tmp_path: Path, body: bytes, kind: str) -> None:
    with IndexServer() as server:
        server.on(ROOT, says(200, body, Content_Type=kind))
        with pytest.raises(IndexFailure, match="list of projects"):
            index_of(server, cache=tmp_path).projects()


@pytest.mark.parametrize("squeezed", [True, False])
def test_a_list_may_not_be_endless(tmp_path: Path, squeezed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rootpages, "ROOT_CAP", 100_000)
    body = b" " * 200_000
    headers = {"Content_Type": JSON_TYPE, **({"Content_Encoding": "gzip"} if squeezed else {})}
    with IndexServer() as server:
        server.on(ROOT, says(200, gzip.compress(body) if squeezed else body, **headers))
        with pytest.raises(IndexFailure, match="100000 bytes"):
            index_of(server, cache=tmp_path).projects()


@pytest.mark.parametrize("status", [404, 403, 500])
def test_an_index_without_a_list_is_a_failure(tmp_path: Path, status: int) -> None:
    with IndexServer() as server:
        server.on(ROOT, says(status))
        with pytest.raises(IndexFailure, match=str(status)):
            index_of(server, cache=tmp_path, retries=0).projects()


def test_several_indexes_and_local_places_are_one_list(tmp_path: Path) -> None:
    local, links = tmp_path / "local", tmp_path / "links"
    (local / "from-local").mkdir(parents=True)
    links.mkdir()
    (links / "from_links-1.0-py3-none-any.whl").write_bytes(b"")
    with IndexServer(serials=True) as one, IndexServer(serials=True) as two:
        one.add("demo", "1.0")
        one.add("demo", "2.0")
        two.add("demo", "1.0")
        two.add("other", "1.0")
        config = IndexConfig(
            indexes=(one.url, two.url, local.as_uri()), find_links=(str(links),), keyring=False
        )
        found = dict(Index(config, tmp_path / "cache").projects().items())
    assert found == {"demo": 2, "other": 1, "from-local": 0, "from-links": 0}


def test_offline_there_is_no_list(server: IndexServer, tmp_path: Path) -> None:
    with pytest.raises(OfflineError):
        index_of(server, cache=tmp_path, offline=True).projects()


# What is remembered


def versions(index: Index, **options: Any) -> list[str]:
    page = index.page(ProjectName("demo"), **options)
    assert page is not None
    return [str(wheel.version) for wheel in page.wheels]


def test_a_page_ages_where_it_is_to(tmp_path: Path) -> None:
    """For one command it does not, so that it never sees an index change; a server lives longer."""
    with IndexServer(max_age=600) as server:
        server.add("demo", "1.0")
        config = IndexConfig(indexes=(server.url,), keyring=False)
        command = Index(config, tmp_path / "one")
        lively = Index(config, tmp_path / "two", page_seconds=0.2)
        assert versions(command) == versions(lively) == ["1.0"]
        server.add("demo", "2.0")
        assert versions(lively) == ["1.0"]
        time.sleep(0.25)
        assert (versions(command), versions(lively)) == (["1.0"], ["1.0", "2.0"])


def test_a_page_can_be_asked_for_anew(tmp_path: Path) -> None:
    with IndexServer(max_age=600, etags=True) as server:
        server.add("demo", "1.0")
        index = index_of(server, cache=tmp_path)
        assert versions(index) == ["1.0"]
        assert versions(index, renew=True) == ["1.0"]
        server.add("demo", "2.0")
        assert versions(index, renew=True) == ["1.0", "2.0"] == versions(index)
        assert server.sent == [200, 304, 200]


def test_values_are_made_once_and_age() -> None:
    made: list[str] = []
    once: Once[str, str] = Once(seconds=0.1, most=2)

    def ask(key: str) -> str:
        return once.get(key, lambda: made.append(key) or f"{key}{len(made)}")  # type: ignore[func-returns-value]

    assert [ask("a"), ask("a"), ask("b")] == ["a1", "a1", "b2"]
    time.sleep(0.15)
    assert [ask("a"), ask("c"), ask("a"), ask("b")] == ["a3", "c4", "a3", "b5"]
    assert (once.known("a"), once.known("c")) == ("a3", None)


def test_threads_wait_for_one_value() -> None:
    once: Once[str, float] = Once()
    found: list[float] = []

    def make() -> float:
        time.sleep(0.1)
        return time.monotonic()

    threads = [threading.Thread(target=lambda: found.append(once.get("key", make))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8 and len({*found}) == 1


# The roster

NAMES = st.from_regex(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,12}[A-Za-z0-9])?", fullmatch=True)


@given(st.dictionaries(NAMES, st.integers(0, 2**48)))
def test_a_roster_tells_what_it_was_made_of(serials: dict[str, int]) -> None:
    roster = Roster(serials)
    expected: dict[str, int] = {}
    for name, serial in serials.items():
        project = str(canonicalize_name(name))
        expected[project] = max(serial, expected.get(project, 0))
    assert dict(roster.items()) == expected
    assert [*roster] == sorted(expected) and len(roster) == len(expected)
    assert all(name in roster and roster.serial(name) == expected[name] for name in roster)
    assert "0-absent" not in roster and roster.serial(ProjectName("0-absent")) == 0
    assert Roster.from_bytes(roster.to_bytes()) == roster


@given(st.sets(NAMES), NAMES)
def test_a_search_finds_what_has_the_text_in_it(names: set[str], text: str) -> None:
    roster = Roster(dict.fromkeys(names, 0))
    wanted = str(canonicalize_name(text))
    found = roster.search(text, most=1000)
    assert sorted(found) == sorted(name for name in roster if wanted in name)
    heads = [name.startswith(wanted) for name in found]
    assert heads == sorted(heads, reverse=True)


def test_a_search_ends() -> None:
    roster = Roster(dict.fromkeys((f"demo-{n}" for n in range(5000)), 0))
    found = roster.search("demo", most=10)
    assert len(found) == 10 and found[0] == "demo-0"
    assert roster.search("", most=10) == roster.search("\n", most=10) == []


def test_a_roster_is_small() -> None:
    """A public index has 800,000 names."""
    import tracemalloc

    serials = {f"project-{n:06}": n for n in range(20_000)}
    tracemalloc.start()
    roster = Roster(serials)
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(roster) == 20_000
    assert size < 20_000 * (16 + 1 + len("project-000000") + 4)


def test_names_that_no_project_can_have_are_left_out() -> None:
    """PEP 508: names "MUST start and end with a letter or number"; one with a line break would be two."""
    roster = Roster({"a\nb": 1, "-a": 2, "a/b": 3, "é": 4, "": 5, "c d": 6, "Good_Name": 7})
    assert [*roster.items()] == [("good-name", 7)]


@pytest.mark.parametrize("length", [0, 1, 2, 1000])
def test_in_pieces_the_order_is_the_same(length: int) -> None:
    made = random.Random(length)
    names = ["".join(made.choices("ab-1", k=made.randint(1, 4))) for _ in range(length)]
    assert in_order(names, lambda name: name[:2]) == sorted(names)
    numbers = [made.getrandbits(72) for _ in range(length)]
    assert in_order(numbers, lambda number: number >> 64) == sorted(numbers)
