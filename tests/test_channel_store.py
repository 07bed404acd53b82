"""The store of a channel: nothing is visible that is not whole, whoever else writes, wherever it is."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import fsspec
import pytest

from conda_pypi_bridge.channel import listings
from conda_pypi_bridge.channel.model import Published
from conda_pypi_bridge.channel.store import ChannelStore, Damaged
from conda_pypi_bridge.errors import ConfigError
from conda_pypi_bridge.model import ProjectName
from tests.test_server import wait_until

DEMO = ProjectName("demo")


@pytest.fixture(params=["folder", "memory"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Where a store is: on the disk, or on a file system that knows keys alone, as buckets do."""
    if request.param == "folder":
        yield str(tmp_path / "a store")
    else:
        name = uuid4().hex
        yield f"memory://{name}"
        files = fsspec.filesystem("memory")
        for path in files.find(f"/{name}"):
            files.rm_file(path)


@pytest.fixture
def store(url: str) -> ChannelStore:
    return ChannelStore(url)


def added(
    store: ChannelStore, folder: Path, content: bytes = b"a package", fn: str = "demo-1-0.conda"
) -> Published:
    """A package that was put into the store."""
    folder.mkdir(exist_ok=True)
    path = folder / fn
    path.write_bytes(content)
    artefact = store.put_artefact(path)
    entry = {"name": "demo", "size": artefact.size, "sha256": artefact.sha256, "md5": artefact.md5}
    return store.publish(Published(fn=fn, subdir="noarch", project=DEMO, entry=entry))


def test_what_is_published_is_found_by_others(store: ChannelStore, url: str, tmp_path: Path) -> None:
    item = added(store, tmp_path)
    for reader in (store, ChannelStore(url)):
        assert reader.find("noarch", item.fn) == item
        assert [*reader.published(DEMO)] == [*reader.published_in("noarch")] == [item]
        with reader.open(str(item.entry["sha256"]), int(item.entry["size"])) as file:
            assert file.read() == b"a package"
    assert item.entry["md5"] == hashlib.md5(b"a package").hexdigest()
    assert [*store.published_in("linux-64")] == [*store.published(ProjectName("other"))] == []
    assert store.find("noarch", "../../documents/x") is None


def test_what_others_publish_is_listed_after_a_while(url: str, tmp_path: Path) -> None:
    reader, writer = ChannelStore(url, fresh_seconds=0), ChannelStore(url)
    before = reader.fingerprints()
    assert [*reader.published(DEMO)] == []
    item = added(writer, tmp_path)
    wait_until(lambda: [*reader.published(DEMO)] == [item])
    wait_until(lambda: reader.fingerprints() == writer.fingerprints() != before)


def test_a_name_keeps_the_package_that_came_first(store: ChannelStore, url: str, tmp_path: Path) -> None:
    """Clients have its hash: another build of the same record must not take its place."""
    first = added(store, tmp_path / "one", b"first")
    assert added(ChannelStore(url), tmp_path / "two", b"second") == first
    assert ChannelStore(url).find("noarch", first.fn) == first


def test_a_publication_that_was_cut_short_is_taken_up(store: ChannelStore, url: str, tmp_path: Path) -> None:
    """Its entry is listed with its project, and the process died before the other place had it."""
    first = added(store, tmp_path / "one", b"first")
    files, root = fsspec.core.url_to_fs(url)
    files.rm_file(f"{root}/packages/noarch/{first.fn}.json")
    other = ChannelStore(url)
    assert other.find("noarch", first.fn) is None
    assert added(other, tmp_path / "two", b"second") == first
    assert other.find("noarch", first.fn) == first


def test_a_damaged_artefact_is_refused_and_can_be_built_again(
    store: ChannelStore, url: str, tmp_path: Path
) -> None:
    item = added(store, tmp_path)
    sha256, size = str(item.entry["sha256"]), int(item.entry["size"])
    files, root = fsspec.core.url_to_fs(url)
    files.pipe_file(f"{root}/artefacts/{sha256[:2]}/{sha256}.conda", b"a pa")
    with pytest.raises(Damaged, match="4 bytes instead of 9"):
        store.open(sha256, size)
    store.retract(item)
    assert store.find("noarch", item.fn) is None
    assert [*store.published(DEMO)] == [*store.published_in("noarch")] == []
    with pytest.raises(Damaged, match="missing"):
        store.open(sha256, size)
    assert added(store, tmp_path) == item
    store.open(sha256, size).close()


def test_another_builds_entry_is_not_retracted(store: ChannelStore, url: str, tmp_path: Path) -> None:
    """Replicas that share a bucket may have found the damage, and built it again, meanwhile."""
    item = added(store, tmp_path / "one", b"first")
    ChannelStore(url).retract(item)
    again = added(ChannelStore(url), tmp_path / "two", b"second")
    store.retract(item)
    assert ChannelStore(url).find("noarch", item.fn) == again
    assert [*ChannelStore(url).published(DEMO)] == [again]


def test_names_that_are_patterns_or_paths_find_nothing(store: ChannelStore, tmp_path: Path) -> None:
    item = added(store, tmp_path)
    for fn in (
        "*.conda",
        "demo-?-0.conda",
        "[d]emo-1-0.conda",
        "..\\x.conda",
        "\0.conda",
        "x" * 400 + ".conda",
    ):
        assert store.find("noarch", fn) is None
    for subdir in ("*", "noarc[h]", "..", "", "no\\arch"):
        assert store.find(subdir, item.fn) is None


def test_the_place_of_a_store_may_look_like_a_pattern(tmp_path: Path) -> None:
    store = ChannelStore(tmp_path / "a[1]*")
    item = added(store, tmp_path / "wheels")
    assert [*ChannelStore(tmp_path / "a[1]*").published(DEMO)] == [item]


def test_listings_do_not_grow_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listings, "_LISTINGS", 3)
    asked: list[str] = []

    def list_below(prefix: str) -> list[str]:
        asked.append(prefix)
        return [f"{prefix}-file"]

    listed = listings.Listings(list_below, 60.0)
    for prefix in ("a", "b", "a", "c", "a", "d", "a", "b"):
        assert listed.below(prefix) == {f"{prefix}-file"}
    assert asked == ["a", "b", "c", "d", "b"]


def test_an_entry_that_is_not_whole_counts_as_absent(store: ChannelStore, url: str, tmp_path: Path) -> None:
    item = added(store, tmp_path)
    files, root = fsspec.core.url_to_fs(url)
    files.pipe_file(f"{root}/packages/noarch/{item.fn}.json", b'{"fn": "demo-')
    assert [*ChannelStore(url).published_in("noarch")] == []


def test_fingerprints_tell_what_changed(store: ChannelStore, tmp_path: Path) -> None:
    seen = [store.fingerprints()]
    added(store, tmp_path)
    seen.append(store.fingerprints())
    store.note("wants", DEMO, ["==1.0", ">=2"])
    seen.append(store.fingerprints())
    store.note("wants", DEMO, [">=2"])
    assert store.fingerprints() == seen[-1]
    store.note("wants", ProjectName("other"), [""])
    assert store.fingerprints()["demo"] == seen[-1]["demo"]
    assert len({numbers.get("demo") for numbers in seen}) == 3


def test_notes_are_kept_by_kind_and_project(store: ChannelStore, url: str) -> None:
    store.note("wants", DEMO, ["==1.0", ">=2"])
    store.note("asked", ProjectName("other"), [""])
    for reader in (store, ChannelStore(url)):
        assert reader.noted("wants", DEMO) == {"==1.0", ">=2"}
        assert reader.noted("asked", DEMO) == frozenset()
        assert reader.all_noted("wants") == {"demo": {"==1.0", ">=2"}}
        assert reader.all_noted("asked") == {"other": {""}}


def test_a_note_may_be_long(store: ChannelStore, url: str) -> None:
    long = ",".join(f"!=1.{n}" for n in range(200))
    store.note("wants", DEMO, [long, "a/b %20"])
    assert ChannelStore(url).noted("wants", DEMO) == {long, "a/b %20"}


def test_documents_are_whole_or_absent(store: ChannelStore, url: str) -> None:
    assert store.kept("listing") is None
    store.keep("listing", b"one")
    store.keep("listing", b"two")
    assert ChannelStore(url).kept("listing") == b"two"
    files, root = fsspec.core.url_to_fs(url)
    content = files.cat_file(f"{root}/documents/listing")
    files.pipe_file(f"{root}/documents/listing", content[:-1])
    assert store.kept("listing") is None


def test_a_store_keeps_its_identity(store: ChannelStore, url: str, tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        names = {*pool.map(lambda _: ChannelStore(url).identity(), range(8)), store.identity()}
    assert len(names) == 1
    assert names != {ChannelStore(tmp_path / "other").identity()}


def test_many_writers_of_one_name_agree(tmp_path: Path) -> None:
    url = tmp_path / "store"
    with ThreadPoolExecutor(8) as pool:
        items = list(pool.map(lambda n: added(ChannelStore(url), tmp_path / f"{n}", b"%d" % n), range(24)))
    assert all(item == items[0] for item in items)
    assert ChannelStore(url).find("noarch", items[0].fn) == items[0]


def test_more_entries_than_fit_into_memory_are_read_again(
    store: ChannelStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("conda_pypi_bridge.channel.store._REMEMBERED", 500)
    item = added(store, tmp_path)
    items = [store.publish(replace(item, fn=f"demo-{number}-0.conda")) for number in range(2, 10)]
    assert [*store.published(DEMO)] == [item, *items]
    assert [*store.published(DEMO)] == [item, *items]


def test_a_url_that_no_file_system_reads_is_a_configuration_error() -> None:
    with pytest.raises(ConfigError, match="cannot be used"):
        ChannelStore("nonsense://x")


def test_of_two_who_create_one_file_at_once_the_first_wins(url: str, tmp_path: Path) -> None:
    """Both have seen that there is none: what decides is the file system, as a bucket does."""
    one, other = ChannelStore(url), ChannelStore(url)
    for store in (one, other):
        store._size = lambda path: None  # type: ignore[method-assign]
    first = added(one, tmp_path / "one", b"first")
    assert added(other, tmp_path / "other", b"second").entry["sha256"] == first.entry["sha256"]
    assert ChannelStore(url).find("noarch", first.fn) == first


def test_documents_are_listed_and_dropped(store: ChannelStore) -> None:
    assert store.documents("some") == []
    for name in ("some/b", "some/a", "other"):
        store.keep(name, b"")
    assert store.documents("some") == ["a", "b"]
    store.drop("some/a")
    store.drop("some/a")
    assert store.documents("some") == ["b"]
