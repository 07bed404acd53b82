"""Reading pages, held against pypi-simple, and against whatever bytes a server may send."""

from __future__ import annotations

import json
from pathlib import Path

import pypi_simple
import pytest
import requests
from hypothesis import given, settings
from hypothesis import strategies as st
from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename

from conda_pypi_bridge import config
from conda_pypi_bridge.index.fetch import Fetcher
from conda_pypi_bridge.index.pages import ACCEPT, HTML_TYPES, JSON_TYPE, Page, PageError, decode, project_page
from conda_pypi_bridge.model import ProjectName, ProjectPage, Wheel
from tests.indexserver import IndexServer

DEMO = ProjectName("demo")
URL = "https://index.example/simple/demo/"


def read(body: bytes, kind: str = JSON_TYPE, project: ProjectName = DEMO, url: str = URL) -> ProjectPage:
    return project_page(decode(body, kind, url, project), project, url)


def told_by_pypi_simple(page: pypi_simple.ProjectPage) -> dict[str, tuple[object, ...]]:
    """What pypi-simple has read of the wheels of a page that have a sha256."""
    return {
        file.filename: (
            file.url,
            file.digests["sha256"],
            file.requires_python or "",
            (file.yanked_reason or "") if file.is_yanked else None,
            file.size,
            file.upload_time,
            (file.metadata_digests or {}).get("sha256", "") if file.has_metadata else None,
        )
        for file in page.packages
        if file.package_type == "wheel" and "sha256" in file.digests
    }


def told_by_us(wheels: tuple[Wheel, ...]) -> dict[str, tuple[object, ...]]:
    return {
        wheel.filename: (
            wheel.url,
            wheel.sha256,
            wheel.requires_python,
            wheel.yanked,
            wheel.size,
            wheel.upload_time,
            wheel.metadata_sha256,
        )
        for wheel in wheels
    }


def a_server() -> IndexServer:
    server = IndexServer()
    server.add("demo", "1.0", requires_python=">=3.8,<4")
    server.add("demo", "1.1", yanked="")
    server.add(
        "demo",
        "1.2",
        yanked='"quoted" & <tagged>',
        tags="cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64",
    )
    server.add("demo", "1!2.0+local.1", build="3")
    server.publish("demo-1.0.tar.gz", b"sdist", project="demo")
    return server


@pytest.mark.parametrize("announce", [True, False])
@pytest.mark.parametrize("html", [True, False])
def test_small_pages_say_what_pypi_simple_says(html: bool, announce: bool) -> None:
    with a_server() as server:
        server.html, server.announce = html, announce
        answer = requests.get(f"{server.url}demo/", timeout=5)
    ours = read(answer.content, answer.headers["Content-Type"], url=answer.url)
    theirs = pypi_simple.ProjectPage.from_response(answer, "demo")
    assert len(ours.wheels) == 4
    assert told_by_us(ours.wheels) == told_by_pypi_simple(theirs)


@pytest.mark.network
@pytest.mark.parametrize("project", ["numpy", "flask", "pywin32", "botocore"])
@pytest.mark.parametrize("kind", [JSON_TYPE, HTML_TYPES[0]])
def test_real_pages_say_what_pypi_simple_says(project: str, kind: str) -> None:
    source = Fetcher(config.load())
    url = f"{config.default_index()}{project}/"
    body, found = source.fetch(
        url,
        lambda answer: (answer.read(1 << 25), answer.headers["Content-Type"]),
        kind="page",
        headers=lambda: {"Accept": f"{kind}, {ACCEPT}"},
    )
    ours = read(body, found, ProjectName(project), url)
    if found == JSON_TYPE:
        theirs = pypi_simple.ProjectPage.from_json_data(json.loads(body), url)
    else:
        theirs = pypi_simple.ProjectPage.from_html(project, body, url)
    expected = told_by_pypi_simple(theirs)
    assert len(ours.wheels) > 40
    assert told_by_us(ours.wheels) == {name: expected[name] for name in expected if name not in ours.refused}
    # What we refuse on a real page, packaging refuses too.
    for name in set(ours.refused) & set(expected):
        with pytest.raises(InvalidWheelFilename):
            parse_wheel_filename(name)


WHEEL = "demo-1.0-py3-none-any.whl"
LINK = f'<a href="{WHEEL}#sha256={"0" * 64}">x</a>'


def meta(name: str, content: str) -> str:
    return f'<meta name="pypi:{name}" content="{content}">{LINK}'


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (meta("repository-version", "2.0"), "speaks API version 2.0"),
        (meta("repository-version", "0.9"), "speaks API version 0.9"),
        (meta("repository-version", "1"), "no API version that can be read"),
        (meta("repository-version", "one"), "not a readable HTML page"),
        (meta("project-status", "quarantined"), "the project is quarantined"),
        (f'{LINK}<a href="https://[/{WHEEL}">', "not a readable HTML page"),
        ("It works!", "not HTML"),
        ('<p>no such project, <a href="/">home</a>', "a web page without links to files"),
    ],
)
def test_an_html_page_that_must_not_be_used_is_refused(text: str, reason: str) -> None:
    with pytest.raises(PageError, match=reason) as caught:
        decode(text.encode(), "text/html", URL, DEMO)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(("version", "warned"), [("1.0", 0), ("1.4", 0), ("1.99", 1)])
def test_a_newer_html_page_is_warned_of_once(
    version: str, warned: int, recwarn: pytest.WarningsRecorder
) -> None:
    """PEP 629, and not a second time through Python's warnings."""
    page = decode(meta("repository-version", version).encode(), "text/html", URL, DEMO)
    assert len(page.warnings) == warned and len(page.files) == 1
    assert not recwarn.list


def test_only_the_parent_may_be_linked_on_an_html_page_without_files() -> None:
    assert read(b'<a href="../">Parent</a>', "text/html").wheels == ()


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ('data-core-metadata="true"', ""),
        ('data-core-metadata="false" data-dist-info-metadata="true"', None),
        (f'data-core-metadata="sha256={"A" * 64}"', "a" * 64),
        (f'data-dist-info-metadata="sha256={"a" * 64}"', "a" * 64),
        (f'data-core-metadata="md5={"a" * 32}"', ""),
        ("", None),
    ],
)
def test_metadata_is_announced_by_attributes_of_html(attributes: str, expected: str | None) -> None:
    """PEP 714: the older name counts only where the newer one is missing."""
    (wheel,) = read(LINK.replace("<a", f"<a {attributes}").encode(), "text/html").wheels
    assert wheel.metadata_sha256 == expected


@pytest.mark.parametrize(
    ("link", "reason"),
    [
        (LINK.replace("0" * 64, "0" * 63), "the sha256 hash is malformed"),
        (LINK.replace("sha256", "md5"), "no sha256 hash"),
        (f'{LINK[:-6]} data-core-metadata="sha256=no">x</a>', "the sha256 hash of its metadata is malformed"),
        (LINK.replace("demo", "file:///wheels/demo"), "a page from the network lists a file: URL"),
        (LINK.replace("1.0", "one"), "not a valid wheel file name (PEP 427)"),
        (LINK.replace("1.0", "1.0;id"), "unsafe characters in the file name"),
        (LINK.replace("1.0", "..%2F..%2Fx"), "unsafe characters in the file name"),
        (LINK.replace("1.0", "1.0%0A"), "unsafe characters in the file name"),
    ],
)
def test_a_link_that_breaks_a_rule_is_refused_with_the_reason(link: str, reason: str) -> None:
    good = LINK.replace("1.0", "2.0")
    page = read((good + link).encode(), "text/html")
    assert [str(wheel.version) for wheel in page.wheels] == ["2.0"]
    assert list(page.refused.values()) == [reason]


def test_file_names_may_be_quoted_in_links() -> None:
    """A plus sign of a local version usually is."""
    (wheel,) = read(LINK.replace("1.0", "1.0%2Bcpu").encode(), "text/html").wheels
    assert (wheel.filename, wheel.url) == (
        "demo-1.0+cpu-py3-none-any.whl",
        f"{URL}demo-1.0%2Bcpu-py3-none-any.whl",
    )


def test_the_hash_is_read_from_a_fragment_that_says_more() -> None:
    (wheel,) = read(LINK.replace('">', '&egg=demo">').encode(), "text/html").wheels
    assert (wheel.sha256, wheel.url) == ("0" * 64, f"{URL}{WHEEL}")


PARTS = st.sampled_from(
    ["demo", "Demo", "de.mo", "1.0", "2.0rc1", "1!3.0+x", "1", "2abc", "py3", "py2.py3", "none"]
)
PLATFORMS = st.sampled_from(["any", "win_amd64", "linux_x86_64.manylinux1_x86_64", "", "1.0"])


@given(st.lists(PARTS, min_size=1, max_size=6), PLATFORMS)
def test_file_names_are_read_as_packaging_reads_them(parts: list[str], platform: str) -> None:
    filename = "-".join([*parts, platform]) + ".whl"
    try:
        name, version, build, tags = parse_wheel_filename(filename)
    except InvalidWheelFilename:
        name = canonicalize_name("invalid")
    file = {"filename": filename, "url": "x.whl", "hashes": {"sha256": "0" * 64}}
    body = {"meta": {"api-version": "1.0"}, "name": "demo", "files": [file]}
    page = read(json.dumps(body).encode())
    if name == DEMO:
        (wheel,) = page.wheels
        assert (wheel.version, wheel.build, wheel.tags) == (version, build, tags)
    else:
        assert page.wheels == () and set(page.refused) == {filename}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)
KEYS = [
    *("filename", "url", "hashes", "requires-python", "yanked", "size", "upload-time"),
    *("core-metadata", "dist-info-metadata"),
]
FILE = st.fixed_dictionaries(
    {
        "filename": st.just("demo-1.0-py3-none-any.whl"),
        "url": st.text(),
        "hashes": st.just({"sha256": "0" * 64}),
    },
    optional=dict.fromkeys(KEYS[3:], JSON),
) | st.dictionaries(st.sampled_from(KEYS), JSON)


@settings(max_examples=300)
@given(
    st.dictionaries(st.sampled_from(["name", "files", "meta", "project-status"]), JSON),
    st.lists(FILE, max_size=3),
)
def test_no_json_brings_the_reader_down(changes: dict[str, object], files: list[object]) -> None:
    """Either a page, or the one error that says why not."""
    page = {"meta": {"api-version": "1.1"}, "name": "demo", "files": files, **changes}
    try:
        found = read(json.dumps(page).encode())
    except PageError as reason:
        assert str(reason).isprintable()
    else:
        assert all(wheel.url.startswith(("http://", "https://")) for wheel in found.wheels)


@settings(max_examples=300)
@given(
    st.binary() | st.text().map(str.encode),
    st.sampled_from([JSON_TYPE, *HTML_TYPES, "", "text/html; charset=x"]),
)
def test_no_bytes_bring_the_reader_down(body: bytes, kind: str) -> None:
    try:
        assert isinstance(decode(body, kind, URL, DEMO), Page)
    except PageError as reason:
        assert str(reason).isprintable()


@given(st.text(alphabet="<a href=\"'>#&/!-[]:@ demo-1.0py3nonywhlsh256%0", max_size=200))
def test_no_html_brings_the_reader_down(text: str) -> None:
    try:
        read(text.encode(), HTML_TYPES[0])
    except PageError as reason:
        assert str(reason).isprintable()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2024-01-02T03:04:05.678901Z", "2024-01-02T03:04:05.678901+00:00"),
        ("2024-01-02T03:04:05Z", "2024-01-02T03:04:05+00:00"),
        ("2024-01-02T03:04:05", "2024-01-02T03:04:05+00:00"),
        ("yesterday", None),
        ("", None),
    ],
)
def test_upload_times(text: str, expected: str | None) -> None:
    file = {
        "filename": "demo-1.0-py3-none-any.whl",
        "url": "x",
        "hashes": {"sha256": "0" * 64},
        "upload-time": text,
    }
    body = {"meta": {"api-version": "1.1"}, "name": "Demo", "files": [file]}
    (wheel,) = read(json.dumps(body).encode()).wheels
    assert (wheel.upload_time.isoformat() if wheel.upload_time else None) == expected


def test_credentials_in_the_links_of_a_page_are_dropped(tmp_path: Path) -> None:
    """They would end up in records; the credentials of the index serve its own host."""
    url = "https://me:s3cret@files.example/demo-1.0-py3-none-any.whl"
    file = {"filename": "demo-1.0-py3-none-any.whl", "url": url, "hashes": {"sha256": "0" * 64}}
    body = {"meta": {"api-version": "1.1"}, "name": "demo", "files": [file]}
    (wheel,) = read(json.dumps(body).encode()).wheels
    assert wheel.url == "https://files.example/demo-1.0-py3-none-any.whl"
