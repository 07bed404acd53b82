"""The channel server over HTTP: a real catalogue of a loopback index, uvicorn, and a plain HTTP client."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import io
import json
import logging
import re
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgpack
import pytest
import requests

from conda_pypi_bridge.channel.catalogue import Catalogue
from conda_pypi_bridge.errors import ConfigError
from conda_pypi_bridge.server import logs
from conda_pypi_bridge.server.limits import Limits, Overloaded, Tokens, Workers
from tests.channelserver import catalogue_of, serving, unpacked
from tests.indexserver import IndexServer, says, sleeps

TOKEN = "0123456789abcdef-conda"
SHARDS = "repodata_shards.msgpack.zst"


@pytest.fixture
def index() -> Iterator[IndexServer]:
    with IndexServer() as server:
        server.add("moo", "1.0", files={"moo.py": "print('moo')\n"})
        server.add("moo", "2.0", requires=["milk>=1"], files={"moo.py": "print('moo 2')\n"})
        server.add("milk", "1.5")
        yield server


@pytest.fixture
def catalogue(index: IndexServer, tmp_path: Path) -> Iterator[Catalogue]:
    with catalogue_of(index, tmp_path, ["moo"]) as made:
        yield made


@pytest.fixture
def url(catalogue: Catalogue) -> Iterator[str]:
    with serving(catalogue) as url:
        yield url


def shard(url: str, name: str, subdir: str = "noarch", channel: str = "pypi") -> dict[str, Any]:
    """What a client of shards gets of a name: the index, then the shard that it names."""
    index = unpacked(requests.get(f"{url}/{channel}/{subdir}/{SHARDS}").content)
    digest = index["shards"][name].hex()
    folder = f"{url}/{channel}/{subdir}/{index['info']['shards_base_url']}"
    answer = requests.get(f"{folder}{digest}.msgpack.zst")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = unpacked(answer.content)
    return found


def entry(url: str, fn: str = "") -> tuple[str, dict[str, Any]]:
    """One package of the shard of moo: its file name and its entry."""
    packages = shard(url, "moo")["packages.conda"]
    name = next(name for name in packages if fn in name)
    return name, packages[name]


# -- the channel ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("subdir", ["noarch", "linux-64"])
def test_every_subdir_has_its_listings_before_anything_was_asked_for(url: str, subdir: str) -> None:
    for name in ("repodata.json", "current_repodata.json"):
        answer = requests.get(f"{url}/pypi/{subdir}/{name}")
        assert answer.headers["Content-Type"] == "application/json"
        assert answer.json()["packages.conda"] == {}
        assert answer.json()["info"]["subdir"] == subdir
        packed = requests.get(f"{url}/pypi/{subdir}/{name}.zst")
        assert packed.headers.get("Content-Encoding") is None
        assert unpacked(packed.content, json.loads) == answer.json()
    index = unpacked(requests.get(f"{url}/pypi/{subdir}/{SHARDS}").content)
    assert index["info"]["subdir"] == subdir
    assert "moo" in index["shards"]


@pytest.mark.parametrize(
    "path",
    [
        "/pypi/solaris-64/repodata.json",
        f"/pypi/solaris-64/shards/{'0' * 64}.msgpack.zst",
        "/pypi/noarch/moo-1.0-nobuild_0.conda",
        "/pypi/noarch/repodata.json.bz2",
        "/pypi/noarch/repodata.jlap",
        "/pypi/noarch/shards/0123.msgpack.zst",
        "/pypi/noarch/..%2f..%2fetc%2fpasswd.conda",
        "/pypi/noarch/%2e%2e/x.conda",
        "/pypi/channeldata.json",
        "/pypi/notices.json",
        "/nothing",
        "/healthz/",
        "/pypi/noarch/repodata.json/",
    ],
)
def test_what_is_not_there_is_404_in_one_line(url: str, path: str) -> None:
    answer = requests.get(url + path, allow_redirects=False)
    assert (answer.status_code, answer.text) == (404, "there is nothing of that name here\n")
    assert answer.headers["Cache-Control"] == "no-store"


def test_a_shard_names_packages_that_are_served_as_it_says(url: str) -> None:
    packages = shard(url, "moo")["packages.conda"]
    assert sorted(entry["version"] for entry in packages.values()) == ["1.0", "2.0"]
    for fn, entry in packages.items():
        answer = requests.get(f"{url}/pypi/noarch/{fn}")
        assert answer.headers["Content-Length"] == str(entry["size"]) == str(len(answer.content))
        assert hashlib.sha256(answer.content).digest() == entry["sha256"]
        assert answer.headers["ETag"] == f'"{entry["sha256"].hex()}"'
        assert "immutable" in answer.headers["Cache-Control"]


def test_what_was_asked_for_is_in_repodata_from_then_on(url: str) -> None:
    first = requests.get(f"{url}/pypi/noarch/repodata.json")
    fn, known = entry(url)
    wait_until(lambda: fn in requests.get(f"{url}/pypi/noarch/repodata.json").json()["packages.conda"])
    answer = requests.get(f"{url}/pypi/noarch/repodata.json")
    assert answer.json()["packages.conda"][fn]["sha256"] == known["sha256"].hex()
    assert answer.headers["ETag"] != first.headers["ETag"]
    packed = requests.get(f"{url}/pypi/noarch/repodata.json.zst")
    assert unpacked(packed.content, json.loads) == answer.json()


def test_an_unknown_shard_is_empty_and_no_error(url: str) -> None:
    answer = requests.get(f"{url}/pypi/noarch/shards/{'0' * 64}.msgpack.zst")
    assert answer.status_code == 200
    assert unpacked(answer.content)["packages.conda"] == {}


def test_wheels_are_listed_as_they_are_and_fetched_from_the_index(
    catalogue: Catalogue, index: IndexServer, tmp_path: Path
) -> None:
    """Repodata revision 3 (CEP 48): exact sizes and hashes of the index's own files; nothing is built."""
    with (
        catalogue_of(index, tmp_path, ["moo"], direct=True) as wheels,
        serving(catalogue, wheels=wheels) as url,
    ):
        found = shard(url, "moo", channel="wheels")
    assert found["packages.conda"] == {}
    for entry in found["v3"]["whl"].values():
        wheel = index.files[entry["fn"]]
        assert entry["size"] == len(wheel)
        assert entry["sha256"] == hashlib.sha256(wheel).hexdigest()
        assert entry["url"] == f"{index.base}/files/{entry['fn']}"
    assert sorted(entry["version"] for entry in found["v3"]["whl"].values()) == ["1.0", "2.0"]
    assert index.count(r"\.whl$") == 0


def wait_until(holds: Any, seconds: float = 10.0) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it did not come to pass"
        time.sleep(0.05)


# -- conditional requests and ranges (RFC 9110) --------------------------------------------------------


@pytest.mark.parametrize("name", ["repodata.json", "repodata.json.zst", SHARDS])
def test_listings_are_revalidated(url: str, name: str) -> None:
    place = f"{url}/pypi/noarch/{name}"
    first = requests.get(place)
    assert first.headers["Cache-Control"] == "public, no-cache"
    etag = first.headers["ETag"]
    for sent in (etag, f"W/{etag}", f'"other", {etag}', "*"):
        again = requests.get(place, headers={"If-None-Match": sent})
        assert (again.status_code, again.content, again.headers["ETag"]) == (304, b"", etag)
    assert requests.get(place, headers={"If-None-Match": '"other"'}).content == first.content


def test_head_tells_what_get_would_send(url: str) -> None:
    fn, _ = entry(url)
    for place in (f"/pypi/noarch/{fn}", f"/pypi/noarch/{SHARDS}", "/pypi/noarch/repodata.json.zst"):
        head, get = requests.head(url + place), requests.get(url + place)
        assert head.content == b""
        names = ("Content-Length", "ETag", "Content-Type", "Cache-Control", "Accept-Ranges")
        assert [head.headers[name] for name in names] == [get.headers[name] for name in names]


@pytest.mark.parametrize(
    ("asked", "status", "part"),
    [
        ("bytes=0-", 200, slice(0, None)),
        ("bytes=10-", 206, slice(10, None)),
        ("bytes=10-19", 206, slice(10, 20)),
        ("bytes=10-999999999", 206, slice(10, None)),
        ("bytes=-7", 206, slice(-7, None)),
        ("bytes=-999999999", 200, slice(0, None)),
        ("bytes=999999999-", 416, slice(0, 0)),
        ("bytes=-0", 416, slice(0, 0)),
        ("bytes=20-10", 200, slice(0, None)),
        ("bytes=0-1,3-4", 200, slice(0, None)),
        ("lines=1-2", 200, slice(0, None)),
    ],
)
def test_a_download_can_be_continued(url: str, asked: str, status: int, part: slice) -> None:
    fn, known = entry(url)
    whole = requests.get(f"{url}/pypi/noarch/{fn}").content
    answer = requests.get(f"{url}/pypi/noarch/{fn}", headers={"Range": asked})
    assert (answer.status_code, answer.content) == (status, whole[part])
    if status == 206:
        start, stop, _ = part.indices(len(whole))
        assert answer.headers["Content-Range"] == f"bytes {start}-{stop - 1}/{known['size']}"
    if status == 416:
        assert answer.headers["Content-Range"] == f"bytes */{known['size']}"


def test_a_download_is_not_continued_where_the_file_is_another(url: str) -> None:
    fn, known = entry(url)
    headers = {"Range": "bytes=10-", "If-Range": '"another"'}
    assert len(requests.get(f"{url}/pypi/noarch/{fn}", headers=headers).content) == known["size"]
    headers["If-Range"] = f'"{known["sha256"].hex()}"'
    assert len(requests.get(f"{url}/pypi/noarch/{fn}", headers=headers).content) == known["size"] - 10


# -- tokens --------------------------------------------------------------------------------------------


def test_nobody_is_answered_without_a_token_but_who_asks_for_health(catalogue: Catalogue) -> None:
    with serving(catalogue, tokens=Tokens([TOKEN, "another-token-0123"])) as url:
        place = "/pypi/noarch/repodata.json"
        refused = [
            requests.get(url + place),
            requests.get(f"{url}/t/{TOKEN[:-1]}{place}"),
            requests.get(url + place, headers={"Authorization": f"Bearer {TOKEN}x"}),
            requests.get(url + place, auth=(TOKEN, TOKEN)),
            requests.get(url + "/"),
            requests.get(url + "/metrics"),
            requests.get(f"{url}/t/wrong/nothing"),
        ]
        assert {answer.status_code for answer in refused} == {401}
        assert {answer.headers["WWW-Authenticate"] for answer in refused} == {"Bearer"}
        assert requests.get(f"{url}/t/{TOKEN}{place}").status_code == 200
        bearer = requests.get(url + place, headers={"Authorization": f"bearer {TOKEN}"})
        assert bearer.status_code == 200
        assert bearer.headers["Cache-Control"] == "private, no-cache"
        assert requests.get(f"{url}/healthz").text == "ok\n"
        assert requests.get(f"{url}/readyz").text == "ready\n"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "there is no token in it"),
        ("# none\n\n", "there is no token in it"),
        ("short\n", "line 1: a token has 16 to 256 letters, digits and hyphens"),
        (f"{TOKEN}\n\nwith_underscores_in_it\n", "line 3: a token has"),
        (b"\xff\xfe", "it is not text"),
    ],
)
def test_a_file_without_usable_tokens_is_refused(tmp_path: Path, text: str | bytes, told: str) -> None:
    path = tmp_path / "tokens"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ConfigError, match=told) as caught:
        Tokens.read(path)
    assert "underscores" not in str(caught.value) and "short" not in str(caught.value)


def test_tokens_are_read_one_a_line(tmp_path: Path) -> None:
    path = tmp_path / "tokens"
    path.write_text(f"# ours\n{TOKEN}\n\n  another-token-0123  \n")
    tokens = Tokens.read(path)
    assert tokens.admit(TOKEN) and tokens.admit("", "another-token-0123")
    assert not tokens.admit("") and not tokens.admit(TOKEN.upper()) and not tokens.admit("\udcff")


# -- limits --------------------------------------------------------------------------------------------


def test_requests_that_cannot_be_meant_are_refused(url: str) -> None:
    assert requests.get(f"{url}/{'x' * 3000}").status_code == 414
    assert requests.get(f"{url}/", data=b"x" * 10).status_code == 413
    assert requests.post(f"{url}/", data=iter([b"x"])).status_code == 413
    assert requests.delete(f"{url}/pypi/noarch/repodata.json").status_code == 405


@pytest.mark.parametrize("sent", [b"", b"GET /healthz HT", b"GET /healthz HTTP/1.1\r\nX: 1\r\n"])
@pytest.mark.parametrize("asked_before", [False, True])
def test_who_asks_for_nothing_is_given_up(catalogue: Catalogue, sent: bytes, asked_before: bool) -> None:
    """Also who goes on sending, a byte at a time."""
    with serving(catalogue, limits=Limits(head=0.5, grace=1.0)) as url:
        host, port = url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=10) as connection:
            if asked_before:
                connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
                assert connection.recv(1000).startswith(b"HTTP/1.1 200")
                sent = sent or b"G"
            began = time.monotonic()
            connection.sendall(sent)
            with contextlib.suppress(ConnectionError):
                while not _is_closed(connection) and time.monotonic() - began < 5:
                    connection.sendall(b"x" if sent else b"")
            assert 0.3 < time.monotonic() - began < 5


def _is_closed(connection: socket.socket) -> bool:
    connection.settimeout(0.1)
    try:
        return connection.recv(1000) == b""
    except TimeoutError:
        return False


def test_who_asks_late_but_in_time_is_answered(catalogue: Catalogue) -> None:
    with serving(catalogue, limits=Limits(head=1.0, grace=1.0)) as url, requests.Session() as session:
        for _ in range(3):
            assert session.get(f"{url}/healthz").status_code == 200
            time.sleep(0.7)


def test_who_is_too_many_is_told_to_come_back(catalogue: Catalogue, index: IndexServer) -> None:
    index.on(r"\.whl$", sleeps(1.5))
    with serving(catalogue, limits=Limits(in_flight=1)) as url:
        found = unpacked(requests.get(f"{url}/pypi/noarch/{SHARDS}").content)["shards"]["moo"].hex()
        slow = threading.Thread(target=requests.get, args=(f"{url}/pypi/noarch/shards/{found}.msgpack.zst",))
        slow.start()
        time.sleep(0.3)
        refused = requests.get(f"{url}/pypi/noarch/repodata.json")
        healthy = requests.get(f"{url}/healthz")
        slow.join()
        assert (refused.status_code, refused.headers["Retry-After"]) == (503, "2")
        assert healthy.status_code == 200
        assert requests.get(f"{url}/pypi/noarch/repodata.json").status_code == 200


def test_an_answer_that_takes_too_long_is_given_up_and_there_the_next_time(
    catalogue: Catalogue, index: IndexServer
) -> None:
    index.on(r"\.whl$", sleeps(1.5))
    with serving(catalogue, limits=Limits(deadline=0.3)) as url:
        found = unpacked(requests.get(f"{url}/pypi/noarch/{SHARDS}").content)["shards"]["moo"].hex()
        place = f"{url}/pypi/noarch/shards/{found}.msgpack.zst"
        refused = requests.get(place)
        assert (refused.status_code, refused.headers["Retry-After"]) == (503, "2")
        wait_until(lambda: requests.get(place).status_code == 200)


def test_who_does_not_read_holds_little_memory_and_is_given_up(
    catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch, log_lines: io.StringIO
) -> None:
    monkeypatch.setattr(catalogue, "repodata", lambda subdir: bytes(64 << 20))
    with serving(catalogue, limits=Limits(patience=0.3)) as url:
        place = f"{url}/pypi/noarch/repodata.json"
        whole = requests.get(place)
        assert len(whole.content) == int(whole.headers["Content-Length"]) == 64 << 20
        with socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2]))) as idle:
            idle.sendall(b"GET /pypi/noarch/repodata.json HTTP/1.1\r\nHost: x\r\n\r\n")
            wait_until(lambda: log_lines.getvalue().count('"event": "request"') == 2)
    lines = [json.loads(line) for line in log_lines.getvalue().splitlines()]
    sizes = [line["bytes"] for line in lines if line["event"] == "request"]
    assert sizes[0] == 64 << 20
    assert 0 < sizes[1] < 32 << 20


def test_equal_calls_are_one_and_a_queue_has_an_end() -> None:
    async def main() -> None:
        workers = Workers(Limits(threads=1, waiting=1), "test")
        going, calls = threading.Event(), []

        def work(name: str) -> str:
            calls.append(name)
            going.wait(10)
            return name

        same = [asyncio.create_task(workers(work, "a", key="a")) for _ in range(50)]
        while not calls:
            await asyncio.sleep(0.01)
        other = asyncio.create_task(workers(work, "b", key="b"))
        await asyncio.sleep(0.01)
        with pytest.raises(Overloaded):
            await workers(work, "c")
        same.pop().cancel()  # one who goes takes nothing from the others
        going.set()
        assert await asyncio.gather(*same, other) == ["a"] * 49 + ["b"]
        assert calls == ["a", "b"]
        while workers.under_way:
            await asyncio.sleep(0.01)
        workers.close()

    asyncio.run(main())


def test_an_index_that_is_down_is_no_error_for_those_who_come_later(url: str, index: IndexServer) -> None:
    fn, known = entry(url)
    index.on("", says(500))
    assert shard(url, "moo")["packages.conda"][fn] == known
    assert requests.get(f"{url}/readyz").status_code == 200


def test_who_has_no_token_is_not_told_where_the_index_is(index: IndexServer, tmp_path: Path) -> None:
    index.on("", says(500))
    with catalogue_of(index, tmp_path, None) as made, serving(made, tokens=Tokens([TOKEN])) as url:
        answer = requests.get(f"{url}/readyz")
    assert (answer.status_code, answer.text) == (503, "the index does not answer\n")


# -- who looks after it --------------------------------------------------------------------------------


@pytest.fixture
def log_lines(restored_loggers: None) -> io.StringIO:
    stream = io.StringIO()
    logs.configure(stream=stream)
    return stream


@pytest.fixture
def restored_loggers() -> Iterator[None]:
    loggers = [logging.getLogger(name) for name in ("conda_pypi_bridge", "uvicorn")]
    before = [(logger.handlers[:], logger.level, logger.propagate) for logger in loggers]
    yield
    for logger, (handlers, level, propagate) in zip(loggers, before, strict=True):
        logger.handlers[:] = handlers
        logger.setLevel(level)
        logger.propagate = propagate


def test_every_request_is_one_line_of_json_without_secrets(
    catalogue: Catalogue, log_lines: io.StringIO
) -> None:
    with serving(catalogue, tokens=Tokens([TOKEN])) as url:
        requests.get(f"{url}/t/{TOKEN}/pypi/noarch/repodata.json", headers={"User-Agent": 'a"\n b'[:2]})
        requests.get(f"{url}/pypi/noarch/repodata.json?token={TOKEN}")
        requests.get(f"{url}/x/t/{TOKEN}/y%0aforged", headers={"Authorization": f"Bearer {TOKEN}"})
    text = log_lines.getvalue()
    assert TOKEN not in text
    lines = [json.loads(line) for line in text.splitlines()]
    rows = [(line["event"], line["path"], line["status"]) for line in lines]
    assert rows == [
        ("request", "/pypi/noarch/repodata.json", 200),
        ("request", "/pypi/noarch/repodata.json", 401),
        ("request", "/x/y\nforged", 404),
    ]
    assert lines[0]["agent"] == 'a"' and lines[0]["bytes"] > 10 and lines[0]["ms"] >= 0


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_on_a_terminal_the_log_is_for_people(
    catalogue: Catalogue, restored_loggers: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = Terminal()
    logs.configure(stream=stream)
    with serving(catalogue, tokens=Tokens([TOKEN])) as url:
        requests.get(f"{url}/t/{TOKEN}/pypi/noarch/repodata.json")
        requests.get(f"{url}/pypi/%1b[31m%0aforged", headers={"User-Agent": "x"})
    logs.log.warning("left out", extra={"fields": {"file": "moo.whl", "reason": "too large"}})
    one, other, last = stream.getvalue().splitlines()
    assert re.fullmatch(r"\d\d:\d\d:\d\d 200 GET /pypi/noarch/repodata.json \(ms=.* client=127.0.0.1\)", one)
    assert " 401 GET /pypi/?[31m forged (" in other
    assert last[9:] == "warning: left out (file=moo.whl reason=too large)"
    assert TOKEN not in stream.getvalue()


def test_figures_are_counted(url: str) -> None:
    requests.get(f"{url}/pypi/noarch/repodata.json")
    requests.get(f"{url}/nothing/of/{'the' * 5}/kind")
    text = requests.get(f"{url}/metrics").text
    assert 'pypi_bridge_requests_total{route="repodata",status="200"} 1.0' in text
    assert 'pypi_bridge_requests_total{route="other",status="404"} 1.0' in text
    assert 'pypi_bridge_request_seconds_bucket{le="60.0",route="repodata"} 1.0' in text
    assert "thethe" not in text


def test_an_error_of_ours_is_logged_and_tells_the_client_nothing(
    catalogue: Catalogue, log_lines: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(subdir: str) -> bytes:
        raise RuntimeError("http://user:hunter2secret@host/ is wrong")

    monkeypatch.setattr(catalogue, "repodata", fail)
    with serving(catalogue) as url:
        answer = requests.get(f"{url}/pypi/noarch/repodata.json")
    assert (answer.status_code, answer.text) == (500, "the server failed; its log says more\n")
    failed = json.loads(log_lines.getvalue().splitlines()[0])
    assert failed["event"] == "a request failed" and "RuntimeError" in failed["traceback"]
    assert "hunter2" not in log_lines.getvalue()


def test_msgpack_of_the_index_is_what_clients_expect(url: str) -> None:
    index = unpacked(requests.get(f"{url}/pypi/linux-64/{SHARDS}").content, msgpack.unpackb)
    assert set(index) >= {"info", "shards"}
    assert set(index["info"]) >= {"base_url", "shards_base_url", "subdir"}
