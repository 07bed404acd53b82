"""What the index does when servers misbehave: one row for each fault, every outcome spelled out.

Refusing means one error that names the URL, nothing at the destination, and no fault kept in the cache.
"""

from __future__ import annotations

import gzip
import re
import time
import zipfile
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from conda_pypi_bridge.config import IndexConfig
from conda_pypi_bridge.errors import IndexFailure
from conda_pypi_bridge.index import Index
from conda_pypi_bridge.index.answers import Limits
from conda_pypi_bridge.model import ProjectName
from tests.behaviours import (
    METADATA,
    PAGE,
    WHEEL,
    Bend,
    ambling,
    another_wheel,
    at,
    body,
    compressed,
    damaged,
    endless,
    entry,
    flipped,
    gzipped,
    hops,
    html,
    longer,
    page,
    redirect,
    silent,
)
from tests.indexserver import IndexServer, drops_after, says, sleeps, trickles
from tests.wheels import metadata_text, wheel_bytes

DEMO = ProjectName("demo")

#: Everything happens 30 times faster than in life.
LIMITS = Limits(body_seconds=0.8, stall_seconds=0.3, rate=1000, patience=1.6, retry_after=2, backoff=0.002)
TIMEOUT = 0.4
TRIES = 4


@dataclass(frozen=True)
class Fault:
    """`bend` makes the server misbehave when the index is asked for `step`.

    `outcome` is "works", "absent", or a regular expression that the refusal matches; `calls` is the number of
    requests of that step, None where it does not matter.
    """

    title: str
    bend: Bend
    outcome: str
    calls: int | None = None
    step: str = "page"


def missing(server: IndexServer) -> None:
    server.pages["demo"][0]["core-metadata"] = {"sha256": "0" * 64}
    server.on(METADATA, says(404))


def republish(server: IndexServer, content: bytes) -> None:
    """Another file under the name of the wheel, with its right hash."""
    silent()(server)
    server.pages["demo"].clear()
    server.publish("demo-1.0-py3-none-any.whl", content, project="demo")


def no_ranges(server: IndexServer) -> None:
    server.ranges = False


def no_zip(server: IndexServer) -> None:
    republish(server, b"no zip" * 100)


def two_metadata(server: IndexServer) -> None:
    other = {"Demo-1.0.dist-info/METADATA": metadata_text("demo", "1.0")}
    republish(server, wheel_bytes("demo", "1.0", members=other)[1])


def huge_metadata(server: IndexServer) -> None:
    text = metadata_text("demo", "1.0") + "\n" + " " * (9 << 20)
    republish(server, wheel_bytes("demo", "1.0", members={"{info}/METADATA": text})[1])


FUTURE_TYPE = "application/vnd.pypi.simple.v2+json"
PART = says(206, b"part", Content_Range="bytes 0-3/9")

REFUSED_JSON = {
    "JSON cut short": b'{"meta": {"api-version": "1.0"}, "name": "demo", "files": [',
    "a list instead of a page": b"[]",
    "JSON nested without end": b"[" * 200_000,
    "text that is not UTF-8": b'{"name": "\xff\xfe\xfa"}',
    "a JSON page without meta": b'{"name": "demo", "files": []}',
}

PAGE_FAULTS = [
    Fault("404 is absence", at(PAGE, says(404)), "absent", 1),
    Fault("410 is absence", at(PAGE, says(410)), "absent", 1),
    Fault("401 is not absence", at(PAGE, says(401)), "HTTP 401: 127.0.0.1 asks for credentials", 1),
    Fault("403 is not absence", at(PAGE, says(403)), "HTTP 403: 127.0.0.1 refuses access", 1),
    Fault("an unheard-of status", at(PAGE, says(418)), "HTTP 418", 1),
    Fault("no content", at(PAGE, says(204)), "HTTP 204", 1),
    Fault("not modified, though never asked", at(PAGE, says(304)), "HTTP 304", 1),
    Fault("503 for ever", at(PAGE, says(503)), rf"HTTP 503 \({TRIES} tries\)", TRIES),
    Fault("500 twice", at(PAGE, says(500), times=2), "works", 3),
    Fault("429 with a short wait", at(PAGE, says(429, Retry_After="1"), times=1), "works", 2),
    Fault("429 with a long wait", at(PAGE, says(429, Retry_After="3600")), "come back in 3600 s", 1),
    Fault(
        "503 until a date that has passed",
        at(PAGE, says(503, Retry_After="Wed, 21 Oct 2015 07:28:00 GMT"), times=1),
        "works",
        2,
    ),
    Fault("an unreadable Retry-After", at(PAGE, says(429, Retry_After="soon"), times=1), "works", 2),
    Fault("a wrong content type", at(PAGE, body(b"{}", "text/plain")), "of type 'text/plain'", 3),
    Fault(
        "a content type of the future",
        at(PAGE, body(b"{}", FUTURE_TYPE)),
        "of type",
        3,
    ),
    Fault("no content type", at(PAGE, says(200, b"{}")), "of type 'unknown'", 3),
    Fault("an empty page", at(PAGE, body(b"")), "the answer is empty", 3),
    Fault("a page of blanks", at(PAGE, body(b" \n ")), "the answer is empty", 3),
    Fault("an empty page, once", at(PAGE, body(b""), times=1), "works", 2),
    *(Fault(title, at(PAGE, body(text)), "JSON|PEP 691", 3) for title, text in REFUSED_JSON.items()),
    Fault("a login page", at(PAGE, body(b'<a href="/login">log in</a>', "text/html")), "a web page", 3),
    Fault("HTML in another charset than it says", at(PAGE, html(b"\xff", "utf-8")), "not utf-8 text", 3),
    Fault("HTML in an unknown charset", at(PAGE, html(b"x", "martian")), "not martian text", 3),
    Fault("HTML in a charset that nothing is in", at(PAGE, html(b"x", "undefined")), "not undefined text", 3),
    Fault("API version 2", page(meta={"api-version": "2.0"}), "speaks API version 2.0", 1),
    Fault("API version 1.99", page(meta={"api-version": "1.99"}), "works", 1),
    Fault("no API version", page(meta={}), "no API version", 3),
    Fault("an API version that is none", page(meta={"api-version": "one"}), "no API version", 3),
    Fault("the page of another project", page(name="other"), "that of another project, 'other'", 3),
    Fault("a page without files", page(files=None), "no list of files", 3),
    Fault("files that are no list", page(files={}), "'files' of 'the page'", 3),
    Fault("a file that is no object", page(files=["demo-1.0-py3-none-any.whl"]), "not an object", 3),
    Fault("a file without a URL", page(files=[{"filename": "demo-1.0-py3-none-any.whl"}]), "no URL", 3),
    Fault("hashes that are a list", entry(hashes=["sha256"]), "malformed page: 'hashes'", 3),
    Fault("a size that is text", entry(size="17"), "malformed page: 'size'", 3),
    Fault("a size that is true", entry(size=True), "malformed page: 'size'", 3),
    Fault("a negative size", entry(size=-1), "malformed page: 'size'", 3),
    Fault("yanked by a number", entry(yanked=1), "malformed page: 'yanked'", 3),
    Fault("core-metadata that is text", entry(core_metadata="yes"), "malformed page: 'core-metadata'", 3),
    Fault("requires-python that is a list", entry(requires_python=["3"]), "malformed page", 3),
    Fault("a quarantined project", page(project_status={"status": "quarantined"}), "quarantined", 1),
    Fault("a page cut short, once", at(PAGE, drops_after(50), times=1), "works", 2),
    Fault("a page cut short, always", at(PAGE, drops_after(50)), rf"Incomplete.*{TRIES} tries", TRIES),
    Fault("hanging up before the first byte", at(PAGE, drops_after(0)), rf"\({TRIES} tries\)", TRIES),
    Fault("an endless page", at(PAGE, endless), "larger than|not complete", 1),
    Fault("an endless page at a good pace", at(PAGE, ambling), "not complete after 0.8 s", 1),
    Fault("a byte now and then", at(PAGE, trickles(0.02)), "slower than 1000 bytes a second|not complete", 1),
    Fault("silence", at(PAGE, sleeps(1.5)), "no complete answer within", 4),
    Fault("a compressed page", at(PAGE, compressed), "works", 1),
    Fault(
        "a decompression bomb",
        at(PAGE, gzipped(gzip.compress(bytes(40 << 20)))),
        "larger than|not complete",
        1,
    ),
    Fault("damaged compression", at(PAGE, gzipped(b"\x1f\x8bnonsense")), rf"\({TRIES} tries\)", TRIES),
    Fault("five redirects", hops(5), "works", 6),
    Fault("six redirects", hops(6), "more than 5 redirects", 6),
    Fault("a redirect to itself", redirect("/simple/demo/"), "more than 5 redirects", 6),
    Fault(
        "a redirect to a file",
        at(PAGE, says(302, Location="file:///etc/passwd")),
        "redirects to a file: URL",
        1,
    ),
    Fault(
        "a redirect to ftp", at(PAGE, says(302, Location="ftp://127.0.0.1/x")), "redirects to a ftp: URL", 1
    ),
    Fault("a redirect to nowhere", at(PAGE, says(302)), "HTTP 302", 1),
    Fault("a redirect to a host that is none", at(PAGE, says(302, Location="http://[/")), "not valid", 1),
]

METADATA_FAULTS = [
    Fault("announced metadata that is missing and that the wheel does not have", missing, "sha256 of its", 2),
    Fault("metadata with another hash", at(METADATA, flipped), "sha256 of its METADATA is not", 1),
    Fault("announced metadata that is missing", at(METADATA, says(404)), "works", 2),
    Fault("endless metadata", at(METADATA, endless), "larger than|not complete", 1),
    Fault("metadata a byte at a time", at(METADATA, trickles(0.05)), "slower|not complete", 1),
    Fault("metadata behind a password", at(METADATA, says(401)), "HTTP 401", 1),
    Fault("metadata cut short, once", at(METADATA, drops_after(10), times=1), "works", 2),
    Fault("a file server that answers 403 for what it lacks", silent(at(METADATA, says(403))), "works", 2),
    Fault("a 'not found' page with status 200", silent(at(METADATA, body(b"<p>no"))), "works", 2),
    Fault(
        "metadata of another version",
        silent(at(METADATA, body(metadata_text("demo", "2.0").encode()))),
        "that of 'demo' '2.0'",
        1,
    ),
    Fault(
        "metadata of another project",
        silent(at(METADATA, body(metadata_text("other", "1.0").encode()))),
        "that of 'other' '1.0'",
        1,
    ),
    Fault(
        "no ranges: the wheel is downloaded",
        silent(no_ranges),
        "works",
        2,
    ),
    Fault(
        "a range of another file",
        silent(at(WHEEL, says(206, b"x" * 100, Content_Range="bytes 0-99/100"))),
        "it has 100 bytes",
        2,
    ),
    Fault("more than the range asked for", silent(at(WHEEL, longer)), "larger than|not complete", 2),
    Fault("a range cut short", silent(at(WHEEL, drops_after(100))), rf"\({TRIES} tries\)", 1 + TRIES),
    Fault("a wheel that is no archive", no_zip, "not a readable ZIP archive", 2),
    Fault("a wheel with damaged metadata", silent(at(WHEEL, damaged)), "not a readable ZIP", 2),
    Fault("a wheel with two METADATA", two_metadata, "2 METADATA files", 2),
    Fault("METADATA of 9 MB", huge_metadata, "more than 8388608 bytes", 2),
]

DOWNLOAD_FAULTS = [
    Fault("a flipped bit", at(WHEEL, flipped), "its sha256 is [0-9a-f]{64}, and the index says", 1),
    Fault("a wheel cut short, once", at(WHEEL, drops_after(100), times=1), "works", 2),
    Fault("a wheel cut short, always", at(WHEEL, drops_after(0)), rf"\({TRIES} tries\)", TRIES),
    Fault("a wheel longer than announced", at(WHEEL, longer), "larger than", 1),
    Fault("a wheel shorter than announced", at(WHEEL, body(b"short")), r"ended after 5 of \d+ bytes", None),
    Fault("an endless wheel", at(WHEEL, endless), "larger than", 1),
    Fault("a wheel a byte at a time", at(WHEEL, trickles(0.02)), "slower than 1000 bytes a second", 1),
    Fault("a wheel that is gone", at(WHEEL, says(404)), "HTTP 404", 1),
    Fault("a wheel behind a password", at(WHEEL, says(401)), "HTTP 401", 1),
    Fault(
        "a part that nobody asked for",
        at(WHEEL, PART),
        "HTTP 206",
        1,
    ),
    Fault("a wheel with other metadata than promised", another_wheel, "METADATA differs", 1),
]

FAULTS = [
    *PAGE_FAULTS,
    *(replace(fault, step="metadata") for fault in METADATA_FAULTS),
    *(replace(fault, step="download") for fault in DOWNLOAD_FAULTS),
]


REFUSALS = [fault for fault in FAULTS if fault.outcome not in ("works", "absent")]


def make_index(server: IndexServer, folder: Path) -> Index:
    config = IndexConfig(indexes=(server.url,), timeout=TIMEOUT, retries=TRIES - 1)
    return Index(config, folder / "cache", limits=LIMITS)


def attempt(index: Index, step: str, folder: Path) -> list[str] | None:
    """Ask for `step`, having taken the steps before it; the file names on the page."""
    found = index.page(DEMO)
    if step != "page" and found:
        (wheel,) = found.wheels
        assert b"\nName: demo\n" in index.metadata(wheel)
        if step == "download":
            path = index.download(wheel, folder / "out" / wheel.filename)
            assert zipfile.is_zipfile(path)
    return [wheel.filename for wheel in found.wheels] if found else None


def files_below(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def name_of(fault: Fault) -> str:
    return f"{fault.step}: {fault.title}"


@pytest.mark.parametrize("fault", FAULTS, ids=name_of)
def test_fault(fault: Fault, tmp_path: Path) -> None:
    with IndexServer() as server:
        server.add("demo", "1.0", requires=["innocent"])
        fault.bend(server)
        index = make_index(server, tmp_path)
        begun = time.monotonic()
        if fault.outcome == "works":
            assert attempt(index, fault.step, tmp_path) == ["demo-1.0-py3-none-any.whl"]
        elif fault.outcome == "absent":
            assert attempt(index, fault.step, tmp_path) is None
        else:
            with pytest.raises(IndexFailure) as caught:
                attempt(index, fault.step, tmp_path)
            assert re.search(fault.outcome, caught.value.reason), caught.value.reason
            assert caught.value.url.startswith(server.base) and "\n" not in str(caught.value)
            assert files_below(tmp_path / "out") == []
        assert time.monotonic() - begun < 5
        if fault.calls is not None:
            assert index.requests["wheel" if fault.step == "download" else fault.step] == fault.calls
    assert [path for path in files_below(tmp_path) if path.suffix == ".part"] == []


@pytest.mark.parametrize("fault", REFUSALS, ids=name_of)
def test_a_fault_is_not_kept_in_the_cache(fault: Fault, tmp_path: Path) -> None:
    """Once the server is well again, the same cache folder gives the right answers."""
    with IndexServer() as server:
        server.add("demo", "1.0", requires=["innocent"])
        well = server.announce, server.metadata, dict(server.files), [dict(server.pages["demo"][0])]
        fault.bend(server)
        with pytest.raises(IndexFailure):
            attempt(make_index(server, tmp_path), fault.step, tmp_path)
        server.announce, server.metadata, server.files, server.pages["demo"] = well
        server.heal()
        assert attempt(make_index(server, tmp_path), "download", tmp_path)
    assert [path.name for path in files_below(tmp_path / "out")] == ["demo-1.0-py3-none-any.whl"]
