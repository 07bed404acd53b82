"""What a person meets when an index misbehaves: the real command, its real limits, a row for each behaviour.

Of every row: the right outcome, within 30 seconds; a refusal is one line that names the cause, with exit
status 1 and an environment as before; nothing that the index wrote moves the cursor of a terminal; and once
the index is well, the same command with the same caches installs the right files.
"""

from __future__ import annotations

import gzip
import re
import sys
import time
import venv as stdlib_venv
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import trustme

from tests.behaviours import (
    METADATA,
    PAGE,
    WHEEL,
    Bend,
    ambling,
    at,
    body,
    compressed,
    endless,
    entry,
    flipped,
    gzipped,
    hops,
    longer,
    one_by_one,
    page,
    redirect,
    resets_after,
    sends,
)
from tests.indexserver import Answer, Call, IndexServer, drops_after, says, sleeps, trickles
from tests.lab.condas import Conda, Home, Result, overlay, python_of, run
from tests.lab.trees import diff, snapshot
from tests.wheels import metadata_text

#: What the commands may take, in seconds.
LIMIT = 30

#: What a hostile text begins with: it would clear the screen, and set the title of the window.
ESCAPES = "\x1b[2J\x1b]0;owned\x07\x00"


class NextTo(IndexServer):
    """An index that knows where the other one has its page of the project."""

    neighbour = ""


@dataclass(frozen=True, kw_only=True)
class Scene:
    """One user with an environment of their own, and the indexes they know: `index`, then `other`.

    `other` has the project too; `index` needs `env` where it is reached by HTTPS.
    """

    home: Home
    prefix: Path
    index: IndexServer
    other: IndexServer
    env: dict[str, str | None] = field(default_factory=dict)

    def install(self, *words: str | Path) -> Result:
        command = [sys.executable, "-m", "conda_pypi_bridge", "install", "-y", "-p", self.prefix]
        both = ["-i", self.url, "--extra-index-url", self.other.url]
        env = overlay(self.home.environment(), self.env)
        return run([*command, *both, "demo", *words], env, check=False, timeout=2 * LIMIT)

    @property
    def url(self) -> str:
        return self.index.url_with_credentials if self.index.auth else self.index.url


@dataclass(frozen=True)
class Row:
    """`bend` makes the index misbehave.

    `told` is a regular expression: of the line of the error where the outcome is a refusal, of what stands on
    standard error where it `works`. `after` holds of the servers afterwards: what was asked of whom.
    """

    title: str
    bend: Bend
    told: str = ""
    works: bool = False
    after: Callable[[Scene], object] = lambda scene: True
    auth: tuple[str, str] | None = None
    tls: bool = False
    env: dict[str, str | None] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.title


def works(title: str, bend: Bend, told: str = "", **options: Any) -> Row:
    return Row(title, bend, told, works=True, **options)


def asked_once(scene: Scene) -> bool:
    return scene.index.count(PAGE) == 1


def the_other_was_asked(scene: Scene) -> bool:
    return scene.other.count(PAGE) == 1


def no_password_sent(scene: Scene) -> bool:
    return bool(scene.other.calls) and all("Authorization" not in call.headers for call in scene.other.calls)


def resumed(scene: Scene) -> bool:
    """The rest was asked for, on condition that the file is the same (RFC 9110, section 13.1.5)."""
    second = [call for call in scene.index.calls if re.search(WHEEL, call.path)][-1].headers
    return second["Range"] == "bytes=100-" and bool(second["If-Range"])


def elsewhere(index: IndexServer) -> None:
    """The page is said to be on the other server."""
    assert isinstance(index, NextTo)
    redirect(index.neighbour)(index)


def nothing(index: IndexServer) -> None:
    """The index is as it should be."""


def deaf(index: IndexServer) -> None:
    index.deaf = True


def quarantined(index: IndexServer) -> None:
    index.status["demo"] = {"status": "quarantined", "reason": f"malware{ESCAPES}"}


def state(status: str) -> Bend:
    return lambda index: index.status.update(demo={"status": status, "reason": f"see other{ESCAPES}"})


def two_hashes(index: IndexServer) -> None:
    (row,) = index.pages["demo"]
    index.pages["demo"].append({**row, "hashes": {"sha256": "0" * 64}})


def many_files(index: IndexServer) -> None:
    (row,) = index.pages["demo"]
    index.pages["demo"] += [
        {**row, "filename": f"demo-0.{number}-py3-none-any.whl", "url": f"{row['url']}?{number}"}
        for number in range(50_000)
    ]


def whole_again(index: IndexServer) -> None:
    """The connection drops, and the server does not know how to go on where it was."""
    index.ranges = False
    index.on(WHEEL, drops_after(100), times=1)


def changed_meanwhile(index: IndexServer) -> None:
    """The connection drops, and then the file is another one, with another ETag."""

    def other_file(call: Call, answer: Answer) -> Answer:
        index.files["demo-1.0-py3-none-any.whl"] += b"changed"
        return replace(answer, stop_after=100)

    index.pages["demo"][0].pop("size")
    index.on(WHEEL, other_file, times=1)


def without_size(bend: Bend) -> Bend:
    def both(index: IndexServer) -> None:
        index.pages["demo"][0].pop("size")
        bend(index)

    return both


def hostile_requirement(index: IndexServer) -> None:
    """PEP 440's ``===`` takes any text."""
    index.pages["demo"].clear()
    index.add("demo", "1.0", requires=["demo-base===\x1b[2J\x07"])
    index.add("demo-base", "1.0")


def other_requirements(index: IndexServer) -> None:
    """What the index says the wheel requires is not what the wheel says."""
    index.pages["demo"][0]["core-metadata"] = True
    index.on(r"/demo-1.*\.metadata$", body(metadata_text("demo", "1.0", requires=["demo-base"]).encode()))
    index.add("demo-base", "1.0")


def yanked(index: IndexServer) -> None:
    index.pages["demo"][0]["yanked"] = f"broken{ESCAPES}" + "x" * 100_000


def gzip_of_nothing() -> Iterator[bytes]:
    """A stream that is never damaged, never ends, and says nothing."""
    yield gzip.compress(b"")[:10]
    while True:
        time.sleep(0.05)
        yield b"\x00\x00\x00\xff\xff" * 20


BOMB = gzip.compress(bytes(40 << 20))
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/vnd.pypi.simple.v1+json\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
TWO = {"api-version": "2.0"}
FROM_FILE = {"url": "file:///wheels/demo-1.0-py3-none-any.whl"}
OTHER_NAME = {"filename": "evil-1.0-py3-none-any.whl"}

ROWS = [
    # pages that are none
    Row("JSON cut short", at(PAGE, body(b'{"meta": {"api-version": "1.0"}, "na')), "not valid JSON"),
    Row("JSON of another shape", at(PAGE, body(b"[]")), r"not a project page \(PEP 691\)"),
    Row("JSON of wrong types", page(files={"a": 1}), "malformed page: 'files'"),
    Row("a size that is text", entry(size="big"), "malformed page: 'size' of 'demo-1.0-py3-none-any.whl'"),
    Row("HTML where JSON was promised", at(PAGE, body(b"<html>Sign in")), "not valid JSON"),
    Row("a login page", at(PAGE, body(b'<a href="/login">in</a>', "text/html")), "a web page without links"),
    Row(
        "a wrong content type",
        at(PAGE, body(b"{}", "text/plain")),
        "of type 'text/plain', not a package index",
    ),
    Row("an empty answer", at(PAGE, body(b"")), "the answer is empty"),
    Row("no content", at(PAGE, says(204)), "HTTP 204"),
    Row("no HTTP at all", at(PAGE, sends(b"220 mail.example ESMTP\r\n")), r"220 mail\.example.*\(4 tries\)"),
    Row("the page of another project", page(name=f"evil{ESCAPES}"), "that of another project, 'evil"),
    Row("API version 2", page(meta=TWO), "speaks API version 2.0, this client version 1", after=asked_once),
    works("API version 1.99", page(meta={"api-version": "1.99"}), "API version 1.99, newer than 1."),
    works("an empty answer, once", at(PAGE, body(b""), times=1)),
    # statuses
    Row("401", at(PAGE, says(401)), "HTTP 401: 127.0.0.1 asks for credentials", after=asked_once),
    Row("403", at(PAGE, says(403)), "HTTP 403: 127.0.0.1 refuses access", after=asked_once),
    works("404: the next index has it", at(PAGE, says(404)), after=the_other_was_asked),
    works("410: the next index has it", at(PAGE, says(410)), after=the_other_was_asked),
    works("429, come back soon", at(PAGE, says(429, Retry_After="1"), times=1)),
    Row(
        "429, come back late",
        at(PAGE, says(429, Retry_After="3600")),
        "HTTP 429: it asks to come back in 3600 s",
    ),
    works("503 and 500, then well", at(PAGE, says(503), says(500), times=1)),
    Row("503 for ever", at(PAGE, says(503)), r"HTTP 503 \(4 tries\)"),
    Row("an unheard-of status", at(PAGE, says(418)), "HTTP 418"),
    # redirects
    Row("a redirect to a file", redirect("file:///etc/passwd"), "it redirects to a file: URL"),
    Row("a redirect to ftp", redirect("ftp://127.0.0.1/x"), "it redirects to a ftp: URL"),
    Row("a redirect to no URL", redirect(f"http://[{ESCAPES}"), "redirects to a URL that is not valid"),
    Row("a redirect to no host", redirect("http://..example../"), "not valid|no address|empty|label|parse"),
    Row("a redirect to itself", redirect("/simple/demo/"), "more than 5 redirects"),
    Row("six redirects", hops(6), "more than 5 redirects"),
    works("five redirects", hops(5)),
    Row("from https to http", elsewhere, "redirects from https to http", tls=True),
    works("to another host", elsewhere, after=no_password_sent, auth=("me", "s3cret")),
    # sizes
    Row("a page without end", at(PAGE, endless), "larger than 33554432 bytes"),
    Row("metadata without end", at(METADATA, endless), "larger than 8388608 bytes"),
    Row("a wheel without end", at(WHEEL, endless), r"larger than \d+ bytes"),
    Row(
        "a decompression bomb",
        at(PAGE, gzipped(BOMB)),
        "larger than 33554432 bytes",
    ),
    Row("a wheel longer than announced", at(WHEEL, longer), r"larger than \d+ bytes"),
    Row("a wheel shorter than announced", at(WHEEL, body(b"short")), r"ended after 5 of \d+ bytes"),
    Row("headers without end", at(PAGE, sends(HEAD, b"X: y\r\n", forever=True)), "more than 100 headers"),
    Row("a header without end", at(PAGE, sends(HEAD, b"y" * 9999, forever=True)), "more than 65536 bytes"),
    works("a compressed page", at(PAGE, compressed)),
    works("50,000 files", many_files),
    # connections
    Row("reset as soon as it is made", deaf, r"(reset|aborted|closed).*\(4 tries\)"),
    Row("reset among the headers", at(PAGE, sends(HEAD, reset=True)), r"(reset|aborted|closed).*\(4 tries\)"),
    Row("reset in the page", at(PAGE, resets_after(50)), r"(reset|aborted|Incomplete).*\(4 tries\)"),
    works("a page cut short, once", at(PAGE, drops_after(50), times=1)),
    works("a wheel cut short, once", at(WHEEL, drops_after(100), times=1), after=resumed),
    works("a wheel cut short, and no ranges", whole_again),
    Row(
        "a wheel that changed meanwhile", changed_meanwhile, "its sha256 is [0-9a-f]{64}, and the index says"
    ),
    Row(
        "a certificate of nobody",
        nothing,
        "certificate is not trusted",
        tls=True,
        env={"PIP_CERT": None},
    ),
    # what pages list
    Row("no hash", entry(hashes={}), "no sha256 hash"),
    Row("a hash that is too weak", entry(hashes={"md5": "0" * 32}), "no sha256 hash"),
    Row("a hash cut short", entry(hashes={"sha256": "0" * 63}), "the sha256 hash is malformed"),
    Row("a hash that is none", entry(hashes={"sha256": "z" * 64}), "the sha256 hash is malformed"),
    Row("a name that climbs", entry(filename="../../demo-1.0-py3-none-any.whl"), "unsafe characters"),
    Row("a name from the root", entry(filename="/etc/demo-1.0-py3-none-any.whl"), "unsafe characters"),
    Row(
        "a name that moves the cursor",
        entry(filename=f"demo-1.0{ESCAPES}-py3-none-any.whl"),
        "unsafe characters",
    ),
    Row("a file of another project", entry(**OTHER_NAME), "a wheel of another project, evil"),
    Row("a file on this disk", entry(**FROM_FILE), "a page from the network lists a file: URL"),
    Row("one name, two hashes", two_hashes, "listed twice, with different hashes"),
    Row("a quarantined project", quarantined, "the project is quarantined: 'malware", after=asked_once),
    works("an archived project", state("archived"), "warning: demo is archived: 'see other"),
    works("a deprecated project", state("deprecated"), "warning: demo is deprecated: 'see other"),
    Row("yanked", yanked, "every version that matches any was yanked"),
    works("a Python that moves the cursor", entry(requires_python=f">=3{ESCAPES}")),
    # metadata and wheels
    Row(
        "metadata with another hash",
        at(METADATA, flipped),
        "sha256 of its METADATA is not the one that the index",
    ),
    Row("metadata of another wheel", other_requirements, "METADATA differs from the one that the index gave"),
    Row(
        "metadata that moves the cursor",
        hostile_requirement,
        "demo-1.0-py3-none-any.whl requires it, and it has control",
    ),
    Row("a wheel with another hash", at(WHEEL, flipped), "its sha256 is [0-9a-f]{64}, and the index says"),
    Row("a wheel that is gone", at(WHEEL, says(404)), r"demo-1.0-py3-none-any.whl: HTTP 404"),
    Row("a wheel behind a password", at(WHEEL, says(401)), "HTTP 401: 127.0.0.1 asks for credentials"),
]

#: How a server may take its time. Nothing is made shorter here.
SLOW_ROWS = [
    Row("silence", at(PAGE, sleeps(60)), r"no complete answer within 20 s \(2 tries\)"),
    Row("a page a byte a second", at(PAGE, trickles(1)), "slower than 1024 bytes a second"),
    Row("metadata a byte a second", at(METADATA, trickles(1)), "slower than 1024 bytes a second"),
    Row("a wheel a byte a second", at(WHEEL, trickles(1)), "slower than 1024 bytes a second"),
    Row("headers a byte a second", at(PAGE, one_by_one(HEAD, 1)), "no complete answer within 20 s"),
    Row(
        "the size of a chunk, digit by digit",
        at(PAGE, sends(CHUNKED, b"0", interval=1, forever=True)),
        "no complete answer within 20 s",
    ),
    Row(
        "the size of a chunk of a wheel, digit by digit",
        without_size(at(WHEEL, sends(CHUNKED, b"0", interval=1, forever=True))),
        "no complete answer within 20 s",
    ),
    Row("a page without end at a good pace", at(PAGE, ambling), "not? complete .*20 s"),
    Row(
        "compression of nothing",
        at(PAGE, says(200, gzip_of_nothing(), Content_Type="text/html", Content_Encoding="gzip")),  # type: ignore[arg-type]
        "no complete answer within 20 s",
    ),
    Row(
        "nothing but 'wait'",
        at(PAGE, sends(b"HTTP/1.1 100 Continue\r\n\r\n", interval=0.1, forever=True)),
        "no complete answer within 20 s",
    ),
]


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    return trustme.CA()


@contextmanager
def scene(row: Row, folder: Path, authority: trustme.CA) -> Iterator[Scene]:
    """The stage of a row, its index not yet bent."""
    folder.mkdir(exist_ok=True)
    prefix = folder / "venv"
    stdlib_venv.EnvBuilder(symlinks=True).create(prefix)
    env = row.env
    pem = None
    if row.tls:
        pem = folder / "server.pem"
        authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(pem)
        authority.cert_pem.write_to_path(folder / "authority.pem")
        env = {"PIP_CERT": str(folder / "authority.pem"), **env}
    index = NextTo(auth=row.auth, tls=pem)
    with index, IndexServer() as other:
        for server in (index, other):
            server.add("demo", "1.0", files={"demo.py": f"right = {server is index}\n"})
        index.neighbour = f"{other.url}demo/"
        yield Scene(home=Home.make(folder / "home", []), prefix=prefix, index=index, other=other, env=env)


def play(row: Row, folder: Path, authority: trustme.CA) -> None:
    """Run the command against the bent index, then against the one that is well again."""
    with scene(row, folder, authority) as here:
        before = snapshot(here.prefix)
        well = {name: [dict(file) for file in files] for name, files in here.index.pages.items()}
        files = dict(here.index.files)
        row.bend(here.index)
        begun = time.monotonic()
        result = here.install()
        assert time.monotonic() - begun < LIMIT
        check(row, result)
        assert row.after(here)
        if row.works:
            run([python_of(here.prefix), "-c", "import demo"], here.home.environment())
        else:
            assert here.other.count("demo") == 0  # trouble with an index is never taken for absence
            assert not diff(before, snapshot(here.prefix))
            recover(here, well, files)


def check(row: Row, result: Result) -> None:
    """The outcome of a row, as far as the command tells it."""
    shown = result.stdout + result.stderr
    assert result.returncode == (0 if row.works else 1), shown
    assert "Traceback" not in shown and "bug of" not in shown
    assert all(character.isprintable() or character == "\n" for character in shown), repr(shown)
    assert len(shown) < 3000
    if row.works:
        assert re.search(row.told, result.stderr), result.stderr
        return
    lines = result.stderr.splitlines()
    (error,) = [number for number, line in enumerate(lines) if line.startswith("error: ")]
    assert re.search(row.told, lines[error]), lines[error]
    assert "demo" in lines[error]
    assert all(line.startswith("  ") for line in lines[error + 1 :])  # what to try next


def recover(here: Scene, pages: dict[str, list[dict[str, Any]]], files: dict[str, bytes]) -> None:
    """Nothing of what was wrong was kept."""
    index = here.index
    index.heal()
    index.ranges = index.announce = index.metadata = True
    index.pages, index.files = pages, files
    index.status.clear()
    authority = here.prefix.parent / "authority.pem"
    well = replace(here, env={"PIP_CERT": str(authority)}) if authority.exists() else here
    result = well.install()
    assert result.returncode == 0, result.stderr
    done = run([python_of(here.prefix), "-c", "import demo; print(demo.right)"], here.home.environment())
    assert done.stdout == "True\n"
    left = [path.name for path in here.home.path.rglob("*") if ".part" in path.name]
    assert left == [] and not [path for path in here.home.path.rglob(".pypi-bridge") if any(path.iterdir())]


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_scenario(row: Row, tmp_path: Path, authority: trustme.CA) -> None:
    play(row, tmp_path, authority)


@pytest.mark.slow
def test_no_server_holds_the_command_up(tmp_path: Path, authority: trustme.CA) -> None:
    """All at once: the commands wait, and so would we."""
    with ThreadPoolExecutor(len(SLOW_ROWS)) as pool:
        places = [tmp_path / str(number) for number in range(len(SLOW_ROWS))]
        plays = list(pool.map(lambda args: outcome(*args, authority), zip(SLOW_ROWS, places, strict=True)))
    assert [f"{row}: {error}" for row, error in zip(SLOW_ROWS, plays, strict=True) if error] == []


def outcome(row: Row, folder: Path, authority: trustme.CA) -> str:
    """What is wrong with the outcome of a row, "" where nothing is."""
    try:
        play(row, folder, authority)
    except AssertionError as error:
        return str(error)
    return ""


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("http://index.invalid/simple/", r"index\.invalid has no address \(.+\) \(4 tries\)"),
        ("http://127.0.0.1:9/simple/", r"Connection refused \(4 tries\)"),
    ],
)
def test_an_index_that_is_not_there_is_named(
    url: str, told: str, tmp_path: Path, authority: trustme.CA
) -> None:
    row = Row("not there", nothing, told)
    with scene(row, tmp_path, authority) as here:
        check(row, here.install("-i", url))
        assert here.other.count("demo") == 0


# -- with conda ------------------------------------------------------------------------------------------

WITH_CONDA = {
    "JSON cut short": "install",
    "API version 2": "pypi-install",
    "401": "install",
    "503 for ever": "pypi-install",
    "a redirect to a file": "install",
    "a page without end": "pypi-install",
    "a name that moves the cursor": "install",
    "a quarantined project": "install",
    "metadata that moves the cursor": "install",
    "a wheel with another hash": "pypi-install",
}


@pytest.mark.parametrize(("title", "command"), WITH_CONDA.items())
def test_conda_says_the_same(title: str, command: str, conda: Conda, conda_env: Path) -> None:
    (row,) = [row for row in ROWS if row.title == title]
    conda.home.configure(plugins={"pypi_bridge_enabled": True})
    before = snapshot(conda_env, ignore=["__pycache__"])
    with IndexServer() as index, IndexServer() as other:
        for server in (index, other):
            server.add("demo", "1.0")
        files = dict(index.files)
        pages = {name: [dict(file) for file in files] for name, files in index.pages.items()}
        row.bend(index)
        env: dict[str, str | None] = {"PIP_INDEX_URL": index.url, "PIP_EXTRA_INDEX_URL": other.url}
        result = conda(command, "-p", conda_env, "-y", "demo", env=env, check=False)
        shown = result.stdout + result.stderr
        assert result.returncode == 1 and re.search(row.told, result.stderr), shown
        assert "Traceback" not in shown and not set(shown) & set("\x00\x07\x1b")
        assert not diff(before, snapshot(conda_env, ignore=["__pycache__"]))
        assert other.count("demo") == 0
        index.heal()
        index.files, index.pages = files, pages
        index.status.clear()
        conda(command, "-p", conda_env, "-y", "demo", env=env)
    assert conda.packages(conda_env)["demo"]["channel"] == "pypi-bridge"
