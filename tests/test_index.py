"""The index as its users see it: pages, metadata and wheels of a real server on loopback."""

from __future__ import annotations

import random
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from packaging.version import Version

from conda_pypi_bridge.config import IndexConfig
from conda_pypi_bridge.errors import IndexFailure, OfflineError
from conda_pypi_bridge.index import Index, remotepages
from conda_pypi_bridge.index.answers import Limits
from conda_pypi_bridge.index.pages import printable
from conda_pypi_bridge.model import ProjectName, ProjectPage, Wheel
from tests.indexserver import UPLOADED, Answer, Call, IndexServer, drops_after, says
from tests.wheels import metadata_text

DEMO = ProjectName("demo")
WHEEL = "demo-1.0-py3-none-any.whl"
THREADS = 16


@pytest.fixture
def server() -> Iterator[IndexServer]:
    with IndexServer() as server:
        server.add("demo", "1.0", requires=["wanted"])
        yield server


@pytest.fixture
def other() -> Iterator[IndexServer]:
    with IndexServer() as server:
        yield server


def index_of(*servers: IndexServer, cache: Path, **settings: Any) -> Index:
    offline = settings.pop("offline", False)
    settings = {"timeout": 5.0, "keyring": False, **settings}
    config = IndexConfig(indexes=tuple(server.url for server in servers), **settings)
    return Index(config, cache, offline=offline, limits=Limits(backoff=0.002))


def the_page(index: Index, project: ProjectName = DEMO) -> ProjectPage:
    page = index.page(project)
    assert page is not None
    return page


def the_wheel(index: Index) -> Wheel:
    (wheel,) = the_page(index).wheels
    return wheel


def everywhere(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


# Pages


def test_a_json_page_becomes_wheels(server: IndexServer, tmp_path: Path) -> None:
    server.add(
        "demo", "2.0", requires_python=">=3.8", yanked="broken", tags="cp311-abi3-manylinux_2_17_x86_64"
    )
    server.publish("demo-1.0.tar.gz", b"sdist", project="demo")
    page = the_page(index_of(server, cache=tmp_path))
    assert (page.project, page.index, page.sdists, page.refused) == (
        "demo",
        server.url,
        ("demo-1.0.tar.gz",),
        {},
    )
    first, second = sorted(page.wheels, key=lambda wheel: wheel.version)
    assert first == Wheel(
        filename=WHEEL,
        project=DEMO,
        version=Version("1.0"),
        build=(),
        tags=first.tags,
        url=f"{server.base}/files/{WHEEL}",
        sha256=first.sha256,
        size=len(server.files[WHEEL]),
        upload_time=UPLOADED,
        metadata_sha256=first.metadata_sha256,
        index_url=server.url,
    )
    assert first.metadata_sha256 and len(first.metadata_sha256) == 64
    assert [str(tag) for tag in first.tags] == ["py3-none-any"]
    assert (second.version, second.requires_python, second.yanked) == (Version("2.0"), ">=3.8", "broken")


def test_an_html_page_says_the_same_but_for_sizes_and_times(server: IndexServer, tmp_path: Path) -> None:
    server.add("demo", "2.0", requires_python=">=3.8", yanked="broken & <old>")
    json_page = the_page(index_of(server, cache=tmp_path / "json"))
    server.html = True
    html_page = the_page(index_of(server, cache=tmp_path / "html"))
    assert html_page.wheels == tuple(w._replace(size=None, upload_time=None) for w in json_page.wheels)


def test_no_index_has_it(server: IndexServer, other: IndexServer, tmp_path: Path) -> None:
    assert index_of(server, other, cache=tmp_path).page(ProjectName("absent")) is None
    assert server.count() == other.count() == 1


def test_the_first_index_that_has_a_project_owns_it(
    server: IndexServer, other: IndexServer, tmp_path: Path
) -> None:
    """A higher version elsewhere does not count: that is what dependency confusion is made of."""
    other.add("demo", "99.0")
    assert the_wheel(index_of(server, other, cache=tmp_path)).version == Version("1.0")
    assert other.calls == []


def test_a_later_index_is_asked_when_the_first_lacks_the_project(
    server: IndexServer, other: IndexServer, tmp_path: Path
) -> None:
    page = the_page(index_of(other, server, cache=tmp_path))
    assert page.index == server.url


@pytest.mark.parametrize("status", [401, 403, 500, 418])
def test_an_index_that_fails_hands_over_to_nobody(
    server: IndexServer, other: IndexServer, tmp_path: Path, status: int
) -> None:
    server.on("/demo/", says(status))
    other.add("demo", "99.0")
    with pytest.raises(IndexFailure, match=server.base):
        index_of(server, other, cache=tmp_path).page(DEMO)
    assert other.calls == []


def test_private_names_are_not_sent_to_the_public_index(
    server: IndexServer, other: IndexServer, tmp_path: Path
) -> None:
    other.add("corp-tool", "99.0")
    private = {"public_index": other.url, "private": {"corp-*": "", "secret": ""}}
    index = index_of(server, other, cache=tmp_path, **private)
    assert index.page(ProjectName("corp-tool")) is None
    assert index.page(ProjectName("secret")) is None
    assert other.calls == []
    server.add("corp-tool", "1.0")
    assert the_page(index_of(server, other, cache=tmp_path, **private), ProjectName("corp-tool")).wheels


def test_other_names_are_asked_for_at_the_public_index(
    server: IndexServer, other: IndexServer, tmp_path: Path
) -> None:
    other.add("numbers", "1.0")
    index = index_of(server, other, cache=tmp_path, public_index=other.url, private={"corp-*": ""})
    assert the_page(index, ProjectName("numbers")).index == other.url


@pytest.mark.parametrize("html", [False, True])
@pytest.mark.parametrize("status", ["archived", "deprecated"])
def test_the_state_of_a_project_is_told(server: IndexServer, tmp_path: Path, status: str, html: bool) -> None:
    """PEP 792."""
    server.html = html
    server.status["demo"] = {"status": status, "reason": "see other"}
    assert the_page(index_of(server, cache=tmp_path)).warnings == (f"demo is {status}: 'see other'",)


@pytest.mark.parametrize("html", [False, True])
def test_a_quarantined_project_is_refused(server: IndexServer, tmp_path: Path, html: bool) -> None:
    """PEP 792: its files must not be offered for installation."""
    server.html = html
    server.status["demo"] = {"status": "quarantined", "reason": "malware"}
    with pytest.raises(IndexFailure, match="the project is quarantined: 'malware'"):
        index_of(server, cache=tmp_path).page(DEMO)


def test_one_name_with_two_hashes_is_refused_and_with_one_hash_is_one_file(
    server: IndexServer, tmp_path: Path
) -> None:
    server.add("demo", "2.0")
    first, second = server.pages["demo"]
    server.pages["demo"] += [{**first, "hashes": {"sha256": "0" * 64}}, dict(second)]
    page = the_page(index_of(server, cache=tmp_path))
    assert [wheel.filename for wheel in page.wheels] == ["demo-2.0-py3-none-any.whl"]
    assert page.refused == {WHEEL: "it is listed twice, with different hashes"}


NOT_A_NAME = "not a valid wheel file name (PEP 427)"
UNSAFE = "unsafe characters in the file name"
REFUSED: list[tuple[str, dict[str, Any]]] = [
    ("no sha256 hash", {"hashes": {}}),
    ("no sha256 hash", {"hashes": {"md5": "0" * 32}}),
    ("the sha256 hash is malformed", {"hashes": {"sha256": "0" * 63}}),
    ("the sha256 hash is malformed", {"hashes": {"sha256": "g" * 64}}),
    ("the sha256 hash of its metadata is malformed", {"core-metadata": {"sha256": "no"}}),
    ("a page from the network lists a file: URL", {"url": f"file:///wheels/{WHEEL}"}),
    ("its URL has the unsupported scheme 'ftp'", {"url": f"ftp://host/{WHEEL}"}),
    ("its URL has the unsupported scheme 'javascript:alert'", {"url": "javascript:alert://x"}),
    ("its URL is malformed", {"url": f"https://[/{WHEEL}"}),
    ("its URL is malformed", {"url": f"http://[/{WHEEL}"}),
    ("its URL is malformed", {"url": f"https://host:port/{WHEEL}"}),
    ("its URL is malformed", {"url": f"https:///{WHEEL}"}),
    ("its URL is malformed", {"url": f"https://host/\x1b[2J{WHEEL}"}),
    ("a wheel of another project, other", {"filename": "other-1.0-py3-none-any.whl"}),
    (NOT_A_NAME, {"filename": "demo-1.0.whl"}),
    (NOT_A_NAME, {"filename": "demo-one-py3-none-any.whl"}),
    (NOT_A_NAME, {"filename": "demo-1.0-x1-py3-none-any.whl"}),
    (NOT_A_NAME, {"filename": "demo-1.0-1-2-py3-none-any.whl"}),
    (UNSAFE, {"filename": "demo-1.0-1..\\..\\x-py3-none-any.whl"}),
    (UNSAFE, {"filename": "../demo-1.0-py3-none-any.whl"}),
    (UNSAFE, {"filename": "demo-1.0-py3-none-any\n.whl"}),
    (UNSAFE, {"filename": "demo-1.0-py3-none-any;id.whl"}),
    ("not a wheel", {"filename": "demo-1.0.win32.exe"}),
]


@pytest.mark.parametrize(("reason", "changes"), REFUSED)
def test_a_file_that_breaks_a_rule_is_refused_with_the_reason(
    server: IndexServer, tmp_path: Path, reason: str, changes: dict[str, Any]
) -> None:
    server.add("demo", "2.0")
    server.pages["demo"][0].update(changes)
    page = the_page(index_of(server, cache=tmp_path))
    assert [wheel.filename for wheel in page.wheels] == ["demo-2.0-py3-none-any.whl"]
    assert page.refused == {printable(changes.get("filename", WHEEL)): reason}


def test_relative_urls_start_from_where_the_page_was_in_the_end(
    server: IndexServer, other: IndexServer, tmp_path: Path
) -> None:
    other.on("/demo/", says(302, Location=f"{server.url}demo/"))
    page = the_page(index_of(other, cache=tmp_path))
    assert page.wheels[0].url == f"{server.base}/files/{WHEEL}"


def test_base_element_of_an_html_page_counts(server: IndexServer, tmp_path: Path) -> None:
    link = f'<base href="/far/away/"><a href="{WHEEL}#sha256={"0" * 64}">x</a>'
    server.on("/demo/", says(200, link.encode(), Content_Type="text/html"))
    assert the_wheel(index_of(server, cache=tmp_path)).url == f"{server.base}/far/away/{WHEEL}"


def test_an_html_page_of_another_project_is_refused(server: IndexServer, tmp_path: Path) -> None:
    link = f'<a href="other-1.0-py3-none-any.whl#sha256={"0" * 64}">x</a>'
    server.on("/demo/", says(200, link.encode(), Content_Type="text/html"))
    with pytest.raises(IndexFailure, match="that of another project"):
        index_of(server, cache=tmp_path).page(DEMO)


def test_a_project_without_files_is_not_absent(server: IndexServer, tmp_path: Path) -> None:
    server.pages["empty"] = []
    index = index_of(server, cache=tmp_path)
    assert the_page(index, ProjectName("empty")).wheels == ()


def test_older_key_for_metadata_is_read_where_the_newer_is_missing(
    server: IndexServer, tmp_path: Path
) -> None:
    """PEP 714."""
    server.pages["demo"][0]["dist-info-metadata"] = server.pages["demo"][0].pop("core-metadata")
    assert the_wheel(index_of(server, cache=tmp_path)).metadata_sha256
    server.pages["demo"][0]["core-metadata"] = False
    assert the_wheel(index_of(server, cache=tmp_path)).metadata_sha256 is None


# Caching of pages


def test_threads_that_want_one_page_send_one_request(server: IndexServer, tmp_path: Path) -> None:
    index = index_of(server, cache=tmp_path)
    with ThreadPoolExecutor(THREADS) as pool:
        pages = list(pool.map(lambda _: index.page(DEMO), range(100)))
    assert index.requests["page"] == 1 and len(set(map(id, pages))) == 1


def test_an_unchanged_page_is_not_sent_again(server: IndexServer, tmp_path: Path) -> None:
    server.etags = True
    first = the_page(index_of(server, cache=tmp_path))
    assert the_page(index_of(server, cache=tmp_path)) == first
    assert server.calls[1].headers["If-None-Match"] and server.sent[1] == 304


def test_a_changed_page_is_seen(server: IndexServer, tmp_path: Path) -> None:
    server.etags = True
    index_of(server, cache=tmp_path).page(DEMO)
    server.add("demo", "2.0")
    assert len(the_page(index_of(server, cache=tmp_path)).wheels) == 2


def test_a_fresh_page_is_not_asked_for_again(server: IndexServer, tmp_path: Path) -> None:
    server.max_age = 60
    first = the_page(index_of(server, cache=tmp_path))
    assert the_page(index_of(server, cache=tmp_path)) == first
    assert len(server.calls) == 1


def test_no_page_stays_fresh_for_more_than_ten_minutes(
    server: IndexServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.max_age = 10**8
    index_of(server, cache=tmp_path).page(DEMO)
    now = remotepages.time.time()
    monkeypatch.setattr(remotepages.time, "time", lambda: now + 590)
    index_of(server, cache=tmp_path).page(DEMO)
    assert len(server.calls) == 1
    monkeypatch.setattr(remotepages.time, "time", lambda: now + 610)
    index_of(server, cache=tmp_path).page(DEMO)
    assert len(server.calls) == 2


@pytest.mark.parametrize("control", ["no-store, max-age=60", "no-cache, max-age=60", "max-age=0", "private"])
def test_a_page_that_may_not_be_reused_is_not(server: IndexServer, tmp_path: Path, control: str) -> None:
    def controlled(call: Call, answer: Answer) -> Answer:
        return replace(answer, headers={**answer.headers, "Cache-Control": control})

    server.on("/demo/", controlled)
    for _ in range(2):
        index_of(server, cache=tmp_path).page(DEMO)
    assert len(server.calls) == 2
    assert (WHEEL.encode() in everywhere(tmp_path)) == ("no-store" not in control)


def test_age_in_a_cache_on_the_way_counts(server: IndexServer, tmp_path: Path) -> None:
    """RFC 9111, section 5.1."""

    def aged(call: Call, answer: Answer) -> Answer:
        return replace(answer, headers={**answer.headers, "Cache-Control": "max-age=60", "Age": "70"})

    server.on("/demo/", aged)
    for _ in range(2):
        index_of(server, cache=tmp_path).page(DEMO)
    assert len(server.calls) == 2


def test_absence_is_asked_about_again(server: IndexServer, tmp_path: Path) -> None:
    server.max_age = 60
    late = ProjectName("late")
    assert index_of(server, cache=tmp_path).page(late) is None
    server.add("late", "1.0")
    assert the_page(index_of(server, cache=tmp_path), late).wheels


def test_offline_answers_come_from_the_cache_however_old(server: IndexServer, tmp_path: Path) -> None:
    index = index_of(server, cache=tmp_path)
    wheel, page = the_wheel(index), the_page(index)
    text = index.metadata(wheel)
    index.page(ProjectName("absent"))
    before = len(server.calls)
    offline = index_of(server, cache=tmp_path, offline=True)
    assert the_page(offline) == page
    assert offline.page(ProjectName("absent")) is None
    assert offline.metadata(wheel) == text
    assert len(server.calls) == before


def test_offline_says_what_is_missing(server: IndexServer, tmp_path: Path) -> None:
    wheel = the_wheel(index_of(server, cache=tmp_path))
    offline = index_of(server, cache=tmp_path, offline=True)
    with pytest.raises(OfflineError, match=f"{server.url}other/"):
        offline.page(ProjectName("other"))
    with pytest.raises(OfflineError, match=f"metadata of {WHEEL}"):
        offline.metadata(wheel)
    with pytest.raises(OfflineError, match=WHEEL):
        offline.download(wheel, tmp_path / WHEEL)


def test_a_damaged_cache_is_an_empty_cache(server: IndexServer, tmp_path: Path) -> None:
    """Every file cut short, or with a bit flipped: what a crash or a bad disk leaves behind."""
    server.max_age = 60
    index = index_of(server, cache=tmp_path)
    page, text = the_page(index), index.metadata(the_wheel(index))
    for damage in (
        lambda content: content[:-1],
        lambda content: b"",
        lambda content: bytes([content[0] ^ 1]) + content[1:],
    ):
        for path in tmp_path.rglob("*"):
            if path.is_file():
                path.write_bytes(damage(path.read_bytes()))
        index = index_of(server, cache=tmp_path)
        assert (the_page(index), index.metadata(the_wheel(index))) == (page, text)
        assert dict(index.requests) == {"page": 1, "metadata": 1}


def test_a_cache_that_cannot_be_written_is_done_without(server: IndexServer, tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_bytes(b"")
    index = index_of(server, cache=blocked / "cache")
    assert index.metadata(the_wheel(index))


def test_processes_share_a_cache(server: IndexServer, tmp_path: Path) -> None:
    """Many processes fill and read one cache at once; each sees whole answers only."""
    names = [f"many-{number}" for number in range(12)]
    for name in names:
        server.add(name, "1.0")
    code = (
        "import sys; from pathlib import Path\n"
        "from conda_pypi_bridge.config import IndexConfig\n"
        "from conda_pypi_bridge.index import Index\n"
        "url, cache, *names = sys.argv[1:]\n"
        "for _ in range(3):\n"
        "    index = Index(IndexConfig(indexes=(url,), keyring=False), Path(cache))\n"
        "    for name in names:\n"
        "        (wheel,) = index.page(name).wheels\n"
        "        assert f'Name: {name}\\n'.encode() in index.metadata(wheel)\n"
    )
    command = [sys.executable, "-c", code, server.url, str(tmp_path), *names]
    running = [subprocess.Popen(command, stderr=subprocess.PIPE) for _ in range(4)]
    assert [(process.communicate()[1], process.returncode) for process in running] == [(b"", 0)] * 4
    assert list(tmp_path.rglob("*.part")) == []


def test_cache_files_are_for_their_owner_only(server: IndexServer, tmp_path: Path) -> None:
    index = index_of(server, cache=tmp_path)
    index.metadata(the_wheel(index))
    modes = {path.stat().st_mode & 0o777 for path in tmp_path.rglob("*") if path.is_file()}
    assert modes == {0o600}


# Metadata


def metadata_requests(server: IndexServer) -> int:
    return server.count(r"\.metadata$")


def add_versions(server: IndexServer, count: int) -> None:
    for number in range(2, count + 1):
        server.add("demo", f"{number}.0")


def all_metadata(index: Index) -> list[bytes]:
    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(index.metadata, the_page(index).wheels))


@pytest.mark.parametrize("announce", [True, False])
@pytest.mark.parametrize("metadata", [True, False])
@pytest.mark.parametrize("ranges", [True, False])
def test_metadata_is_the_same_wherever_it_comes_from(
    server: IndexServer, tmp_path: Path, announce: bool, metadata: bool, ranges: bool
) -> None:
    server.announce, server.metadata, server.ranges = announce, metadata, ranges
    index = index_of(server, cache=tmp_path)
    assert index.metadata(the_wheel(index)).decode() == metadata_text("demo", "1.0", requires=["wanted"])


def test_announced_metadata_takes_one_request_each(server: IndexServer, tmp_path: Path) -> None:
    add_versions(server, 20)
    index = index_of(server, cache=tmp_path)
    all_metadata(index)
    assert (index.requests["metadata"], metadata_requests(server)) == (20, 20)


def test_unannounced_metadata_is_found_by_trying(server: IndexServer, tmp_path: Path) -> None:
    server.announce = False
    add_versions(server, 20)
    index = index_of(server, cache=tmp_path)
    all_metadata(index)
    assert (index.requests["metadata"], metadata_requests(server)) == (20, 20)


def test_a_host_without_metadata_files_is_tried_once(server: IndexServer, tmp_path: Path) -> None:
    server.announce = server.metadata = False
    add_versions(server, 20)
    index = index_of(server, cache=tmp_path)
    all_metadata(index)
    assert (index.requests["metadata"], metadata_requests(server)) == (21, 1)


def test_metadata_is_kept_for_ever(server: IndexServer, tmp_path: Path) -> None:
    for announce in (True, False):
        server.announce = announce
        first = index_of(server, cache=tmp_path)
        text = first.metadata(the_wheel(first))
        again = index_of(server, cache=tmp_path)
        assert again.metadata(the_wheel(again)) == text
        assert again.requests["metadata"] == 0


def test_threads_that_want_one_metadata_send_one_request(server: IndexServer, tmp_path: Path) -> None:
    index = index_of(server, cache=tmp_path)
    wheel = the_wheel(index)
    with ThreadPoolExecutor(THREADS) as pool:
        assert len(set(pool.map(index.metadata, [wheel] * 100))) == 1
    assert index.requests["metadata"] == 1


def test_what_one_index_says_of_a_wheel_is_not_believed_of_another(
    server: IndexServer, other: IndexServer, tmp_path: Path
) -> None:
    """Otherwise an index that lists somebody else's hash could change what everybody resolves."""
    server.announce = other.announce = False
    other.publish(WHEEL, server.files[WHEEL])
    lie = metadata_text("demo", "1.0", requires=["lie"]).encode()
    other.on(r"\.metadata$", says(200, lie))
    liar, honest = index_of(other, cache=tmp_path), index_of(server, cache=tmp_path)
    assert the_wheel(liar).sha256 == the_wheel(honest).sha256
    assert liar.metadata(the_wheel(liar)) == lie
    assert b"Requires-Dist: wanted" in honest.metadata(the_wheel(honest))


def big_wheel(server: IndexServer, *, metadata_first: bool) -> None:
    """3 MB that do not compress, with METADATA at the start or, as build tools have it, at the end."""
    noise = random.Random(1).randbytes(3_000_000)
    files: dict[str, bytes | str] = {"demo/noise.bin": noise}
    if metadata_first:
        files = {"{info}/METADATA": metadata_text("demo", "1.0"), **files}
    server.pages.clear()
    server.add("demo", "1.0", files=files)


@pytest.mark.parametrize(("metadata_first", "ranges"), [(False, 1), (True, 2)])
@pytest.mark.parametrize("size", [True, False])
def test_ranges_take_a_small_part_of_the_wheel(
    server: IndexServer, tmp_path: Path, metadata_first: bool, ranges: int, size: bool
) -> None:
    server.announce = server.metadata = False
    big_wheel(server, metadata_first=metadata_first)
    if not size:
        del server.pages["demo"][0]["size"]
    index = index_of(server, cache=tmp_path)
    assert index.metadata(the_wheel(index)).decode() == metadata_text("demo", "1.0")
    assert index.requests["metadata"] == 1 + ranges
    taken = [call.headers["Range"] for call in server.calls if "Range" in call.headers]
    assert len(taken) == ranges and index.requests["wheel"] == 0
    assert server.bytes_sent < 100_000


def test_a_central_directory_larger_than_the_first_read_is_read_whole(
    server: IndexServer, tmp_path: Path
) -> None:
    server.announce = server.metadata = False
    server.pages.clear()
    server.add("demo", "1.0", files={f"demo/module_with_a_long_name_{n:05}.py": "" for n in range(3000)})
    index = index_of(server, cache=tmp_path)
    assert index.metadata(the_wheel(index)).decode() == metadata_text("demo", "1.0")
    assert index.requests["wheel"] == 0


def test_a_wheel_that_had_to_be_downloaded_is_not_downloaded_again(
    server: IndexServer, tmp_path: Path
) -> None:
    server.announce = server.metadata = server.ranges = False
    index = index_of(server, cache=tmp_path / "cache")
    wheel = the_wheel(index)
    index.metadata(wheel)
    counted: list[int] = []
    path = index.download(wheel, tmp_path / WHEEL, counted.append)
    assert path.read_bytes() == server.files[WHEEL]
    assert (index.requests["wheel"], sum(counted)) == (1, wheel.size)


def test_a_kept_wheel_that_is_damaged_is_fetched_again(server: IndexServer, tmp_path: Path) -> None:
    server.announce = server.metadata = server.ranges = False
    index = index_of(server, cache=tmp_path / "cache")
    wheel = the_wheel(index)
    index.metadata(wheel)
    (kept,) = tmp_path.rglob("*.whl")
    kept.write_bytes(kept.read_bytes()[:-1])
    assert index.download(wheel, tmp_path / WHEEL).read_bytes() == server.files[WHEEL]


# Wheels


def test_a_download_is_the_wheel_and_progress_adds_up(server: IndexServer, tmp_path: Path) -> None:
    big_wheel(server, metadata_first=False)
    index = index_of(server, cache=tmp_path / "cache")
    counted: list[int] = []
    target = tmp_path / "new" / "folder" / WHEEL
    assert index.download(the_wheel(index), target, counted.append) == target
    assert target.read_bytes() == server.files[WHEEL]
    assert sum(counted) == len(server.files[WHEEL]) and len(counted) > 1


def test_a_download_goes_on_where_it_was_cut(server: IndexServer, tmp_path: Path) -> None:
    """RFC 9110, section 14.2, with If-Range (13.1.5) against a file that changed meanwhile."""
    big_wheel(server, metadata_first=False)
    server.on(r"\.whl$", drops_after(1_000_000), times=2)
    index = index_of(server, cache=tmp_path / "cache")
    counted: list[int] = []
    index.download(the_wheel(index), tmp_path / WHEEL, counted.append)
    assert (tmp_path / WHEEL).read_bytes() == server.files[WHEEL]
    asked = [call.headers for call in server.calls if call.path.endswith(".whl")]
    assert [headers.get("Range") for headers in asked] == [None, "bytes=1000000-", "bytes=2000000-"]
    assert all(headers["If-Range"] for headers in asked[1:])
    assert sum(counted) == len(server.files[WHEEL])
    assert server.bytes_sent < len(server.files[WHEEL]) + 10_000


def test_a_server_without_ranges_sends_it_all_again(server: IndexServer, tmp_path: Path) -> None:
    big_wheel(server, metadata_first=False)
    server.ranges = False
    server.on(r"\.whl$", drops_after(1_000_000), times=1)
    index = index_of(server, cache=tmp_path / "cache")
    counted: list[int] = []
    index.download(the_wheel(index), tmp_path / WHEEL, counted.append)
    assert (tmp_path / WHEEL).read_bytes() == server.files[WHEEL]
    assert sum(counted) == len(server.files[WHEEL]) and min(counted) == -1_000_000


def test_a_file_that_changed_meanwhile_is_sent_from_the_start(server: IndexServer, tmp_path: Path) -> None:
    big_wheel(server, metadata_first=False)
    right = server.files[WHEEL]
    index = index_of(server, cache=tmp_path / "cache")
    wheel = the_wheel(index)

    def other_content(call: Call, answer: Answer) -> Answer:
        wrong = bytes(len(right))
        return Answer(200, {"ETag": '"other"'}, wrong, stop_after=1_000_000)

    server.on(r"\.whl$", other_content, times=1)
    assert index.download(wheel, tmp_path / WHEEL).read_bytes() == right


def test_drops_are_forgiven_as_long_as_there_is_progress(server: IndexServer, tmp_path: Path) -> None:
    """A bad line must not make a large wheel impossible: 8 drops, though only 4 tries are allowed."""
    server.pages.clear()
    server.add("demo", "1.0", files={"noise": random.Random(1).randbytes(10 << 20)})
    server.on(r"\.whl$", drops_after((1 << 20) + 1), times=8)
    index = index_of(server, cache=tmp_path / "cache")
    assert index.download(the_wheel(index), tmp_path / WHEEL).read_bytes() == server.files[WHEEL]


def test_downloads_run_in_parallel(server: IndexServer, tmp_path: Path) -> None:
    add_versions(server, 24)
    index = index_of(server, cache=tmp_path / "cache")
    with ThreadPoolExecutor(THREADS) as pool:
        paths = list(pool.map(lambda w: index.download(w, tmp_path / w.filename), the_page(index).wheels))
    assert all(zipfile.is_zipfile(path) for path in paths) and len(paths) == 24
    assert server.connections <= THREADS + 1


def test_a_wheel_that_is_not_what_was_promised_is_forgotten(server: IndexServer, tmp_path: Path) -> None:
    """The next try asks again, and believes the wheel if the index has become honest."""
    server.announce = False
    lie = metadata_text("demo", "1.0", requires=["lie"]).encode()
    server.on(r"\.metadata$", says(200, lie))
    index = index_of(server, cache=tmp_path / "cache")
    index.metadata(the_wheel(index))
    with pytest.raises(IndexFailure, match="METADATA differs"):
        index.download(the_wheel(index), tmp_path / WHEEL)
    assert not (tmp_path / WHEEL).exists()
    server.heal()
    for same_or_new in (index, index_of(server, cache=tmp_path / "cache")):
        assert b"wanted" in same_or_new.metadata(the_wheel(same_or_new))
        assert same_or_new.download(the_wheel(same_or_new), tmp_path / WHEEL).exists()


def test_an_old_file_at_the_destination_is_replaced_only_by_a_verified_one(
    server: IndexServer, tmp_path: Path
) -> None:
    target = tmp_path / WHEEL
    target.write_bytes(b"old")
    index = index_of(server, cache=tmp_path / "cache")
    server.on(r"\.whl$", says(200, b"x" * len(server.files[WHEEL])), times=1)
    with pytest.raises(IndexFailure, match="sha256"):
        index.download(the_wheel(index), target)
    assert target.read_bytes() == b"old"
    index.download(the_wheel(index), target)
    assert target.read_bytes() == server.files[WHEEL]
