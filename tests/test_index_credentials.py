"""A canary: a secret planted wherever secrets come from must not turn up anywhere but on the wire."""

from __future__ import annotations

import base64
import io
import logging
import re
import sys
import traceback
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from conda_pypi_bridge import config
from conda_pypi_bridge.errors import BridgeError
from conda_pypi_bridge.index import Index
from conda_pypi_bridge.index.answers import Limits
from conda_pypi_bridge.model import ProjectName
from tests.indexserver import Answer, Behaviour, Call, IndexServer, drops_after, says

CANARY = "c4nary/Sup3r+secret"
BASIC = base64.b64encode(f"me:{CANARY}".encode()).decode()
SPELLINGS = (CANARY, quote(CANARY, safe=""), quote(CANARY), BASIC)
DEMO = ProjectName("demo")


@pytest.fixture
def server() -> Iterator[IndexServer]:
    with IndexServer(auth=("me", CANARY)) as server:
        server.add("demo", "1.0", requires=["wanted"])
        yield server


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """Everything that anybody logs, at every level."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logging.Formatter("%(name)s %(levelname)s %(message)s"))
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield stream
    root.removeHandler(handler)
    root.setLevel(level)


Environment = dict[str, str]


def in_url(server: IndexServer, home: Path, monkeypatch: pytest.MonkeyPatch) -> Environment:
    return {"PIP_INDEX_URL": server.url_with_credentials}


def in_file(server: IndexServer, home: Path, monkeypatch: pytest.MonkeyPatch) -> Environment:
    path = home / "pip.conf"
    path.write_text(f"[global]\nindex-url = {server.url_with_credentials}\n")
    return {"PIP_CONFIG_FILE": str(path)}


def in_netrc(server: IndexServer, home: Path, monkeypatch: pytest.MonkeyPatch) -> Environment:
    path = home / "netrc"
    path.write_text(f"machine 127.0.0.1 login me password {CANARY}\n")
    monkeypatch.setenv("NETRC", str(path))
    return {"PIP_INDEX_URL": server.url}


def in_keyring(server: IndexServer, home: Path, monkeypatch: pytest.MonkeyPatch) -> Environment:
    found = types.SimpleNamespace(username="me", password=CANARY)
    keyring = types.SimpleNamespace(get_credential=lambda service, user: found)
    monkeypatch.setitem(sys.modules, "keyring", keyring)
    return {"PIP_INDEX_URL": server.url}


def in_proxy(server: IndexServer, home: Path, monkeypatch: pytest.MonkeyPatch) -> Environment:
    """A proxy that nobody listens at: what fails is the URL with the secret in it."""
    proxy = f"http://me:{quote(CANARY, safe='')}@127.0.0.1:9"
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.setenv("http_proxy", proxy)
    return {"PIP_INDEX_URL": "http://index.example/simple/"}


def echo(call: Call, answer: Answer) -> Answer:
    """A careless index: its links repeat the credentials that it was asked with."""
    assert isinstance(answer.body, bytes)
    host = call.headers["Host"].encode()
    secret = quote(CANARY, safe="").encode()
    repeated = answer.body.replace(b"../../files", b"http://me:%s@%s/files" % (secret, host))
    return Answer(answer.status, answer.headers, repeated)


def echo_query(call: Call, answer: Answer) -> Answer:
    """Another one: its links carry a token."""
    assert isinstance(answer.body, bytes)
    return Answer(
        answer.status, answer.headers, answer.body.replace(b'.whl"', b'.whl?token=%s"' % CANARY.encode())
    )


PLACES = [in_url, in_file, in_netrc, in_keyring, in_proxy]
TROUBLES: dict[str, tuple[str, Behaviour] | None] = {
    "none": None,
    "401": ("/demo/", says(401)),
    "403": ("/demo/", says(403)),
    "503": ("/demo/", says(503)),
    "a drop": ("/demo/", drops_after(10)),
    "a redirect away": ("/demo/", says(302, Location="http://127.0.0.1:9/?token=x")),
    "a redirect to a file": ("/demo/", says(302, Location="file:///x")),
    "a wrong hash": (r"\.whl$", says(200, b"wrong")),
    "links with credentials": ("/demo/", echo),
}


@pytest.mark.parametrize("trouble", TROUBLES)
@pytest.mark.parametrize("place", PLACES)
def test_the_secret_stays_on_the_wire(
    place: Callable[[IndexServer, Path, pytest.MonkeyPatch], Environment],
    trouble: str,
    server: IndexServer,
    log: io.StringIO,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("NETRC", str(tmp_path / "no-netrc"))
    home = tmp_path / "home"
    home.mkdir()
    environ = {"PIP_TIMEOUT": "5", "PIP_RETRIES": "1", **place(server, home, monkeypatch)}
    if bend := TROUBLES[trouble]:
        server.on(*bend)
    found = config.load(environ=environ, home=home)
    index = Index(found, tmp_path / "cache", limits=Limits(backoff=0.002))
    said = [repr(found), repr(index)]
    try:
        page = index.page(DEMO)
        assert page is not None
        (wheel,) = page.wheels
        said += [repr(page), str(index.metadata(wheel))]
        index.download(wheel, tmp_path / "out" / wheel.filename)
    except BridgeError as error:
        said += [str(error), error.hint, "".join(traceback.format_exception(error))]
    else:
        assert trouble in ("none", "links with credentials") and place is not in_proxy
    said += [log.getvalue()]
    for path in (tmp_path / "cache").rglob("*"):
        said += [str(path), path.read_bytes().decode("latin-1") if path.is_file() else ""]
    for spelling in SPELLINGS:
        assert [text for text in said if spelling in text] == []
    # The secret did go over the wire, or the test would prove nothing.
    if place is not in_proxy:
        assert any(BASIC in call.headers.get("Authorization", "") for call in server.calls)
    assert "127.0.0.1" in log.getvalue()


def test_a_page_that_repeats_the_secret_is_not_kept(server: IndexServer, tmp_path: Path) -> None:
    server.on("/demo/", echo_query)
    found = config.IndexConfig(indexes=(server.url_with_credentials,), keyring=False)
    page = Index(found, tmp_path).page(DEMO)
    assert page is not None
    kept = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert CANARY.encode() not in kept


def test_foreign_credentials_in_links_are_not_kept(server: IndexServer, tmp_path: Path) -> None:
    """Of a link, all up to the last ``@`` of its authority; one in its path is no credential."""

    def link(call: Call, answer: Answer) -> Answer:
        assert isinstance(answer.body, bytes)
        moved = answer.body.replace(b"../../files", b"http://me:c4n@ry@host.example/at@path")
        return Answer(answer.status, answer.headers, moved)

    server.on("/demo/", link)
    found = config.IndexConfig(indexes=(server.url_with_credentials,), keyring=False)
    assert Index(found, tmp_path).page(DEMO) is not None
    kept = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert b"ry@" not in kept
    assert b"http://host.example/at@path/" in kept


@pytest.mark.parametrize("html", [False, True])
def test_a_page_is_kept_without_the_queries_of_its_links(tmp_path: Path, html: bool) -> None:
    """Tokens may be in there, each for one user: offline the page will do, online it is fetched anew."""

    def link(call: Call, answer: Answer) -> Answer:
        assert isinstance(answer.body, bytes)
        query = b"?token=c4nary&amp;x=1" if html else b"?token=c4nary"
        moved = re.sub(rb"(/files/[^\"#]*)", rb"\1" + query, answer.body)
        return Answer(answer.status, answer.headers, moved)

    with IndexServer(html=html, etags=True, max_age=600) as server:
        filename = server.add("demo", "1.0")
        server.on("/demo/", link)
        found = config.IndexConfig(indexes=(server.url,), keyring=False)
        for _ in range(2):
            page = Index(found, tmp_path).page(DEMO)
            assert page is not None and page.wheels[0].url.partition("?")[2].startswith("token=c4nary")
        assert [call.headers["If-None-Match"] for call in server.calls] == [None, None]
    kept = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert b"c4nary" not in kept and filename.encode() in kept
    page = Index(found, tmp_path, offline=True).page(DEMO)
    assert page is not None and [wheel.filename for wheel in page.wheels] == [filename]
