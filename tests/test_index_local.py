"""Files on the user's own disk: ``file:`` indexes and --find-links, as pip reads them."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.version import Version

from conda_pypi_bridge.config import IndexConfig
from conda_pypi_bridge.errors import IndexFailure
from conda_pypi_bridge.index import Index
from conda_pypi_bridge.model import ProjectName, ProjectPage
from tests.indexserver import IndexServer, says
from tests.wheels import make_wheel, metadata_text

DEMO = ProjectName("demo")
WHEEL = "demo-1.0-py3-none-any.whl"


@pytest.fixture
def server() -> Iterator[IndexServer]:
    with IndexServer() as server:
        server.add("demo", "2.0")
        yield server


@pytest.fixture
def wheels(tmp_path: Path) -> Path:
    """A folder with a space in its name and wheels of two projects."""
    folder = tmp_path / "my wheels"
    make_wheel(folder, "demo", "1.0", requires=["wanted"])
    make_wheel(folder, "other", "1.0")
    return folder


def simple_index(folder: Path, wheel: Path, *, fragment: str | None = None, page: str | None = None) -> str:
    """A ``file:`` index with one project, as ``pip2pi`` and the like write it; its URL."""
    project = folder / "simple" / wheel.name.partition("-")[0]
    project.mkdir(parents=True)
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    fragment = f"#sha256={digest}" if fragment is None else fragment
    link = f'<a href="../../{wheel.parent.name}/{wheel.name}{fragment}">{wheel.name}</a>'.replace(
        "my ", "my%20"
    )
    (project / "index.html").write_text(page or f"<!DOCTYPE html><html><body>{link}</body></html>")
    return (folder / "simple").as_uri() + "/"


def index_of(cache: Path, *indexes: str, find_links: tuple[str, ...] = (), offline: bool = False) -> Index:
    config = IndexConfig(indexes=indexes, find_links=find_links, timeout=5, retries=0, keyring=False)
    return Index(config, cache, offline=offline)


def the_page(index: Index, project: ProjectName = DEMO) -> ProjectPage:
    page = index.page(project)
    assert page is not None
    return page


def versions(index: Index) -> list[str]:
    return sorted(str(wheel.version) for wheel in the_page(index).wheels)


def check(index: Index, folder: Path) -> None:
    """The one wheel that the index has can be read and had."""
    (wheel,) = the_page(index).wheels
    assert (wheel.filename, wheel.version) == (WHEEL, Version("1.0"))
    assert index.metadata(wheel).decode() == metadata_text("demo", "1.0", requires=["wanted"])
    counted: list[int] = []
    path = index.download(wheel, folder / "out" / WHEEL, counted.append)
    assert hashlib.sha256(path.read_bytes()).hexdigest() == wheel.sha256
    assert sum(counted) == path.stat().st_size
    assert dict(index.requests) == {}


def test_a_file_index_works(wheels: Path, tmp_path: Path) -> None:
    url = simple_index(tmp_path, wheels / WHEEL)
    check(index_of(tmp_path / "cache", url), tmp_path)


def test_a_file_index_without_hashes_works(wheels: Path, tmp_path: Path) -> None:
    """What is on the user's own disk needs no page to vouch for it; the hash is ours."""
    url = simple_index(tmp_path, wheels / WHEEL, fragment="")
    check(index_of(tmp_path / "cache", url), tmp_path)


def test_a_file_index_of_folders_without_html_works(wheels: Path, tmp_path: Path) -> None:
    folder = tmp_path / "bare" / "demo"
    folder.mkdir(parents=True)
    (wheels / WHEEL).rename(folder / WHEEL)
    check(index_of(tmp_path / "cache", (tmp_path / "bare").as_uri() + "/"), tmp_path)


@pytest.mark.parametrize("as_url", [True, False])
def test_a_find_links_folder_works(wheels: Path, tmp_path: Path, as_url: bool) -> None:
    place = wheels.as_uri() if as_url else str(wheels)
    check(index_of(tmp_path / "cache", find_links=(place,)), tmp_path)


def test_a_find_links_html_file_works(wheels: Path, tmp_path: Path) -> None:
    html = tmp_path / "links.html"
    html.write_text('<a href="my%20wheels/demo-1.0-py3-none-any.whl">x</a><a href="other-1.0.tar.gz">y</a>')
    check(index_of(tmp_path / "cache", find_links=(str(html),)), tmp_path)


def test_a_find_links_page_on_a_server_works(server: IndexServer, tmp_path: Path) -> None:
    with IndexServer() as links:
        links.add("other", "1.0")
        links.add("demo", "1.0")
        rows = [row for rows in links.pages.values() for row in rows]
        hrefs = [f"files/{row['filename']}#sha256={row['hashes']['sha256']}" for row in rows]
        html = "".join(f'<a href="{href}">x</a>' for href in hrefs).encode()
        links.on("^/links.html$", says(200, html, Content_Type="text/html"))
        index = index_of(tmp_path, server.url, find_links=(f"{links.base}/links.html",))
        assert versions(index) == ["1.0", "2.0"]
        assert index.page(ProjectName("absent")) is None
        assert links.count("links.html") == 1


def test_a_find_links_page_that_is_missing_is_a_failure(server: IndexServer, tmp_path: Path) -> None:
    index = index_of(tmp_path, server.url, find_links=(f"{server.base}/none.html",))
    with pytest.raises(IndexFailure, match="find-links"):
        index.page(DEMO)


def test_places_that_do_not_exist_are_passed_over(tmp_path: Path) -> None:
    missing = tmp_path / "missing"
    index = index_of(tmp_path, missing.as_uri() + "/", find_links=(str(missing), str(missing / "x.html")))
    assert index.page(DEMO) is None


def test_local_files_join_those_of_the_owning_index(
    server: IndexServer, wheels: Path, tmp_path: Path
) -> None:
    url = simple_index(tmp_path, wheels / WHEEL)
    index = index_of(tmp_path / "cache", server.url, url)
    assert versions(index) == ["1.0", "2.0"]
    assert the_page(index).index == server.url


def test_the_local_one_of_two_files_of_one_name_counts(
    server: IndexServer, wheels: Path, tmp_path: Path
) -> None:
    server.add("demo", "1.0")
    index = index_of(tmp_path, server.url, find_links=(str(wheels),))
    (one,) = (wheel for wheel in the_page(index).wheels if wheel.filename == WHEEL)
    assert one.url == (wheels / WHEEL).as_uri()


def test_a_local_file_does_not_hide_that_the_index_fails(
    server: IndexServer, wheels: Path, tmp_path: Path
) -> None:
    server.on("/demo/", says(403))
    index = index_of(tmp_path, server.url, find_links=(str(wheels),))
    with pytest.raises(IndexFailure, match="HTTP 403"):
        index.page(DEMO)


def test_offline_the_local_files_are_enough(server: IndexServer, wheels: Path, tmp_path: Path) -> None:
    index = index_of(tmp_path / "cache", server.url, find_links=(str(wheels),), offline=True)
    check(index, tmp_path)


def test_a_local_wheel_that_is_not_what_its_page_says_is_refused(wheels: Path, tmp_path: Path) -> None:
    url = simple_index(tmp_path, wheels / WHEEL, fragment=f"#sha256={'0' * 64}")
    index = index_of(tmp_path / "cache", url)
    with pytest.raises(IndexFailure, match="its sha256 is"):
        index.download(the_page(index).wheels[0], tmp_path / "out" / WHEEL)
    assert list((tmp_path / "out").iterdir()) == []


def test_a_listed_file_that_does_not_exist_is_a_failure(wheels: Path, tmp_path: Path) -> None:
    url = simple_index(tmp_path, wheels / WHEEL)
    index = index_of(tmp_path / "cache", url)
    (wheels / WHEEL).unlink()
    with pytest.raises(IndexFailure, match="does not exist"):
        index.metadata(the_page(index).wheels[0])


def test_a_rebuilt_wheel_of_the_same_name_is_another_wheel(wheels: Path, tmp_path: Path) -> None:
    """The hash of a local file is remembered, but not beyond a change of the file."""
    wheel = wheels / WHEEL
    for content in (b"as long as", b"the other.", b"longer than before"):
        wheel.write_bytes(content)
        os.utime(wheel, ns=(0, content[0]))  # for file systems with a coarse clock
        index = index_of(tmp_path / "cache", find_links=(str(wheels),))
        assert the_page(index).wheels[0].sha256 == hashlib.sha256(content).hexdigest()


def test_a_local_page_that_is_no_page_is_a_failure(wheels: Path, tmp_path: Path) -> None:
    url = simple_index(tmp_path, wheels / WHEEL, page='<a href="/login">log in</a>')
    with pytest.raises(IndexFailure, match="not an index page"):
        index_of(tmp_path / "cache", url).page(DEMO)


def test_a_local_page_may_list_files_on_a_server(server: IndexServer, wheels: Path, tmp_path: Path) -> None:
    filename = "demo-2.0-py3-none-any.whl"
    digest = hashlib.sha256(server.files[filename]).hexdigest()
    link = f'<a href="{server.base}/files/{filename}#sha256={digest}">x</a>'
    index = index_of(tmp_path / "cache", simple_index(tmp_path, wheels / WHEEL, page=link))
    assert index.download(the_page(index).wheels[0], tmp_path / filename).exists()
