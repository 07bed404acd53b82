"""HTTP manners: credentials, redirects, certificates, proxies, connections, waiting."""

from __future__ import annotations

import base64
import logging
import shutil
import sys
import time
import types
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import trustme

from conda_pypi_bridge import __version__
from conda_pypi_bridge.config import IndexConfig
from conda_pypi_bridge.credentials import Auth, Redactor, public_url, split_credentials
from conda_pypi_bridge.errors import ConfigError, IndexFailure
from conda_pypi_bridge.index import fetch
from conda_pypi_bridge.index.answers import Answer, Limits
from conda_pypi_bridge.index.fetch import Fetcher
from tests.behaviours import sends
from tests.indexserver import IndexServer, drops_after, says, sleeps

PAGE = r"^/simple/demo/$"
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n"
ME = ("me", "s3cret/pass wörd")

#: OpenSSL finds a certificate in a folder by this hash of its subject (``openssl x509 -hash``).
SUBJECT = {"organization_name": "conda-pypi-bridge tests", "organization_unit_name": "loopback"}
SUBJECT_HASH = "83bd0c1b"


@dataclass(frozen=True)
class Tls:
    """PEM files: what a server shows, with its key, and the authority that a client must trust for it."""

    server: Path
    authority: str


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Tls:
    folder = tmp_path_factory.mktemp("tls")
    authority = trustme.CA(**SUBJECT)
    authority.cert_pem.write_to_path(folder / "authority.pem")
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(folder / "server.pem")
    return Tls(folder / "server.pem", str(folder / "authority.pem"))


@pytest.fixture
def server() -> Iterator[IndexServer]:
    with IndexServer() as server:
        server.add("demo", "1.0")
        yield server


@pytest.fixture
def other() -> Iterator[IndexServer]:
    """Another host, as far as credentials are concerned: another port."""
    with IndexServer() as server:
        server.add("demo", "1.0")
        yield server


@pytest.fixture(autouse=True)
def netrc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The netrc of a test: nothing, unless it writes to this path."""
    path = tmp_path / "netrc"
    monkeypatch.setenv("NETRC", str(path))
    return path


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def fetcher(*urls: str, limits: Limits | None = None, **settings: Any) -> Fetcher:
    settings = {"timeout": 5.0, "keyring": False, **settings}
    return Fetcher(IndexConfig(indexes=urls, **settings), limits=limits or Limits(backoff=0.002))


def get(source: Fetcher, url: str) -> bytes:
    return source.fetch(url, lambda answer: answer.read(1 << 20), kind="page")


def sent(server: IndexServer) -> list[str | None]:
    """The Authorization header of each request that the server got."""
    return [call.headers.get("Authorization") for call in server.calls]


def basic(pair: str) -> str:
    return f"Basic {base64.b64encode(pair.encode()).decode()}"


def page(server: IndexServer) -> str:
    return f"{server.url}demo/"


def test_says_who_it_is(server: IndexServer) -> None:
    get(fetcher(), page(server))
    assert server.calls[0].headers["User-Agent"] == f"conda-pypi-bridge/{__version__}"


def test_credentials_of_the_index_serve_all_of_its_host(server: IndexServer) -> None:
    server.auth = ME
    source = fetcher(server.url_with_credentials)
    assert b'"demo"' in get(source, page(server))
    assert get(source, f"{server.base}/files/demo-1.0-py3-none-any.whl")[:2] == b"PK"
    assert None not in sent(server)


def test_credentials_are_not_sent_to_another_host(server: IndexServer, other: IndexServer) -> None:
    server.auth = ME
    get(fetcher(server.url_with_credentials), page(other))
    assert sent(other) == [None]


def test_credentials_are_dropped_when_a_redirect_leaves_the_host(
    server: IndexServer, other: IndexServer
) -> None:
    server.auth = ME
    server.on(PAGE, says(302, Location=page(other)))
    assert b'"demo"' in get(fetcher(server.url_with_credentials), page(server))
    assert None not in sent(server) and sent(other) == [None]


def test_credentials_in_a_redirect_are_not_used(server: IndexServer, other: IndexServer) -> None:
    server.on(PAGE, says(302, Location=page(other).replace("://", "://evil:pass@")))
    get(fetcher(), page(server))
    assert sent(other) == [None]


def test_each_index_of_a_host_gets_its_own_credentials(server: IndexServer) -> None:
    one, two = (f"{server.base.replace('://', f'://{team}:secret@')}/{team}/" for team in ("red", "blue"))
    source = fetcher(one, two)
    server.on("^/(red|blue)/", says(200, b"{}"))
    for team in ("red", "blue", "blue"):
        get(source, f"{server.base}/{team}/demo/")
    assert sent(server) == [basic("red:secret"), basic("blue:secret"), basic("blue:secret")]


def test_netrc_is_used(server: IndexServer, netrc: Path) -> None:
    server.auth = ("me", "from-netrc")
    netrc.write_text("machine 127.0.0.1 login me password from-netrc\n")
    assert b'"demo"' in get(fetcher(), page(server))


def keyring(monkeypatch: pytest.MonkeyPatch, *answers: tuple[str, str | None, str, str]) -> list[Any]:
    """Put a keyring in place that knows (service, user) -> (user, password); what it gets asked."""
    asked: list[Any] = []

    def get_credential(service: str, user: str | None) -> object | None:
        asked.append((service, user))
        for known, wanted, name, password in answers:
            if (known, wanted) == (service, user):
                return types.SimpleNamespace(username=name, password=password)
        return None

    monkeypatch.setitem(sys.modules, "keyring", types.SimpleNamespace(get_credential=get_credential))
    return asked


def test_keyring_is_asked_after_a_401_and_only_once(
    server: IndexServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.auth = ("me", "from-keyring")
    host = server.base.partition("://")[2]
    asked = keyring(monkeypatch, (host, None, "me", "from-keyring"))
    source = fetcher(server.url, keyring=True)
    for _ in range(3):
        assert b'"demo"' in get(source, page(server))
    assert asked == [(page(server), None), (host, None)]
    assert sent(server)[0] is None and None not in sent(server)[1:]


def test_keyring_has_the_password_of_a_user_name(
    server: IndexServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.auth = ("me", "from-keyring")
    keyring(monkeypatch, (server.url, "me", "me", "from-keyring"))
    source = fetcher(server.url.replace("://", "://me@"), keyring=True)
    assert b'"demo"' in get(source, page(server))
    assert source.redact("the password is from-keyring") == "the password is ****"


def test_keyring_is_not_asked_without_need_or_permission(
    server: IndexServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = keyring(monkeypatch)
    get(fetcher(server.url, keyring=True), page(server))
    server.auth = ME
    with pytest.raises(IndexFailure, match="asks for credentials"):
        get(fetcher(server.url, keyring=False), page(server))
    assert asked == []


def test_a_broken_keyring_is_no_keyring(server: IndexServer, monkeypatch: pytest.MonkeyPatch) -> None:
    def locked(service: str, user: str | None) -> None:
        raise RuntimeError("the keyring is locked")

    monkeypatch.setitem(sys.modules, "keyring", types.SimpleNamespace(get_credential=locked))
    server.auth = ME
    with pytest.raises(IndexFailure, match="asks for credentials") as caught:
        get(fetcher(server.url, keyring=True), page(server))
    assert "netrc" in caught.value.hint


def test_wrong_credentials_are_said_to_be_wrong(server: IndexServer) -> None:
    server.auth = ME
    with pytest.raises(IndexFailure, match="refuses the credentials"):
        get(fetcher(server.url.replace("://", "://me:wrong-password@")), page(server))
    assert len(server.calls) == 1


def test_https_does_not_redirect_to_http(other: IndexServer, tls: Tls) -> None:
    with IndexServer(tls=tls.server) as server:
        server.on(PAGE, says(302, Location=page(other)))
        with pytest.raises(IndexFailure, match="redirects from https to http"):
            get(fetcher(cert=tls.authority), page(server))
    assert other.calls == []


def test_http_redirects_to_https(server: IndexServer, tls: Tls) -> None:
    with IndexServer(tls=tls.server) as safe:
        safe.add("demo", "1.0")
        server.on(PAGE, says(302, Location=page(safe)))
        assert b'"demo"' in get(fetcher(cert=tls.authority), page(server))


def test_an_untrusted_certificate_is_refused_at_once_with_a_hint(tls: Tls) -> None:
    with IndexServer(tls=tls.server) as server:
        source = fetcher()
        with pytest.raises(IndexFailure, match="certificate is not trusted") as caught:
            get(source, page(server))
    assert "SSL_CERT_FILE" in caught.value.hint
    assert source.requests["page"] == 1


@pytest.mark.parametrize("with_port", [True, False])
def test_a_trusted_host_is_not_checked(with_port: bool, tls: Tls) -> None:
    with IndexServer(tls=tls.server) as server:
        server.add("demo", "1.0")
        host = server.base.partition("://")[2] if with_port else "127.0.0.1"
        assert b'"demo"' in get(fetcher(trusted_hosts=frozenset({host})), page(server))


def test_trust_in_one_port_is_no_trust_in_another(tls: Tls) -> None:
    with IndexServer(tls=tls.server) as server, pytest.raises(IndexFailure, match="not trusted"):
        get(fetcher(trusted_hosts=frozenset({"127.0.0.1:1"})), page(server))


def test_trusting_one_host_leaves_others_checked(tls: Tls) -> None:
    """urllib3 changes the TLS context that it is given: each adapter must have its own."""
    with IndexServer(tls=tls.server) as trusted, IndexServer(tls=tls.server) as server:
        trusted.add("demo", "1.0")
        source = fetcher(trusted_hosts=frozenset({trusted.base.partition("://")[2]}))
        get(source, page(trusted))
        with pytest.raises(IndexFailure, match="not trusted"):
            get(source, page(server))


def test_environment_does_not_override_the_configured_bundle(
    monkeypatch: pytest.MonkeyPatch, tls: Tls
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(Path(__file__)))
    with IndexServer(tls=tls.server) as server:
        server.add("demo", "1.0")
        assert b'"demo"' in get(fetcher(cert=tls.authority), page(server))


def test_a_folder_of_certificates_is_a_bundle(tmp_path: Path, tls: Tls) -> None:
    shutil.copy(tls.authority, tmp_path / f"{SUBJECT_HASH}.0")
    with IndexServer(tls=tls.server) as server:
        server.add("demo", "1.0")
        assert b'"demo"' in get(fetcher(cert=str(tmp_path)), page(server))


@pytest.mark.parametrize("setting", ["cert", "client_cert"])
def test_certificates_that_cannot_be_read_are_named(setting: str, tmp_path: Path, tls: Tls) -> None:
    missing = str(tmp_path / "missing.pem")
    settings = {"cert": tls.authority, setting: missing}
    with IndexServer(tls=tls.server) as server, pytest.raises(ConfigError, match=r"missing\.pem"):
        get(fetcher(**settings), page(server))


def test_a_proxy_is_asked_for_the_whole_url(server: IndexServer, other: IndexServer) -> None:
    server.on("^http://index.example/simple/demo/$", says(200, b"by proxy"))
    source = fetcher(proxies={"http": server.base.replace("://", "://user:proxy-secret@")})
    assert get(source, "http://index.example/simple/demo/") == b"by proxy"
    assert server.calls[0].headers["Proxy-Authorization"] == basic("user:proxy-secret")
    assert source.redact("proxy-secret") == "****"


def test_proxies_of_the_environment_are_used(server: IndexServer, monkeypatch: pytest.MonkeyPatch) -> None:
    server.on("^http://index.example/", says(200, b"by proxy"))
    monkeypatch.setenv("http_proxy", server.base)
    assert get(fetcher(), "http://index.example/simple/demo/") == b"by proxy"
    monkeypatch.setenv("no_proxy", "index.example")
    with pytest.raises(IndexFailure):
        get(fetcher(retries=0), "http://index.example/simple/demo/")


def test_connections_are_used_again(server: IndexServer) -> None:
    source = fetcher()
    for _ in range(5):
        get(source, page(server))
        assert source.fetch(f"{server.url}none/", lambda answer: answer.status, kind="page") == 404
    assert server.connections == 1


def test_threads_share_connections(server: IndexServer) -> None:
    source = fetcher()
    with ThreadPoolExecutor(8) as pool:
        pages = list(pool.map(lambda _: get(source, page(server)), range(80)))
    assert len(set(pages)) == 1 and source.requests["page"] == 80
    assert server.connections <= 8


def test_nobody_listening_is_a_failure_that_names_the_url(server: IndexServer) -> None:
    with IndexServer() as gone:
        url = page(gone)
    source = fetcher()
    with pytest.raises(IndexFailure, match=r"Connection refused \(4 tries\)") as caught:
        get(source, url)
    assert caught.value.url == url and "--offline" in caught.value.hint


def test_retry_after_is_waited_for(server: IndexServer) -> None:
    server.on(PAGE, says(429, Retry_After="1"), times=1)
    begun = time.monotonic()
    get(fetcher(), page(server))
    assert 1 <= time.monotonic() - begun < 2


def test_pauses_grow_and_vary(server: IndexServer, monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    monkeypatch.setattr(fetch.time, "sleep", pauses.append)
    server.on(PAGE, says(503))
    for _ in range(2):
        with pytest.raises(IndexFailure):
            get(fetcher(limits=Limits(backoff=1)), page(server))
    first, second = pauses[:3], pauses[3:]
    assert [0.5 <= pause / 2**n <= 1.5 for n, pause in enumerate(first)] == [True] * 3
    assert first != second


def test_a_wait_that_is_longer_than_our_patience_is_not_begun(server: IndexServer) -> None:
    server.on(PAGE, says(503, Retry_After="2"))
    begun = time.monotonic()
    with pytest.raises(IndexFailure, match="HTTP 503: it asks to come back in 2 s"):
        get(fetcher(timeout=0.5, limits=Limits(patience=1)), page(server))
    assert time.monotonic() - begun < 1 and len(server.calls) == 1


@pytest.mark.parametrize("start", [b"", HEAD, HEAD + b"Transfer-Encoding: chunked\r\n\r\n"])
def test_what_trickles_below_http_keeps_to_the_deadline(server: IndexServer, start: bytes) -> None:
    """A byte now and then of a status line, a header or the size of a chunk is no silence, and no body."""
    server.on(PAGE, sends(start, b"0", interval=0.05, forever=True))
    begun = time.monotonic()
    with pytest.raises(IndexFailure, match="no complete answer within 1 s"):
        get(fetcher(timeout=1, limits=Limits(patience=1)), page(server))
    assert time.monotonic() - begun < 2


def test_a_connection_is_as_patient_as_before_once_a_deadline_is_over(server: IndexServer) -> None:
    source = fetcher(limits=Limits(patience=1.5), timeout=1.5)
    server.on(PAGE, sleeps(1), times=2)
    for _ in range(3):
        assert b'"demo"' in get(source, page(server))
    assert server.connections == 1


def test_the_rest_of_an_answer_that_nobody_needs_is_not_waited_for(server: IndexServer) -> None:
    server.on(PAGE, sends(b"HTTP/1.1 404 Not Found\r\nContent-Length: 9\r\n\r\n", interval=10))
    begun = time.monotonic()
    assert fetcher().fetch(page(server), lambda answer: answer.status, kind="page") == 404
    assert time.monotonic() - begun < 3


def test_a_drop_in_the_middle_is_tried_again(server: IndexServer) -> None:
    server.on(PAGE, drops_after(20), times=3)
    assert b'"demo"' in get(fetcher(), page(server))


def test_a_disk_that_fails_is_not_the_servers_fault(server: IndexServer) -> None:
    def full(answer: Answer) -> None:
        raise OSError(28, "No space left on device")

    source = fetcher()
    with pytest.raises(OSError, match="No space left"):
        source.fetch(page(server), full, kind="page")
    assert source.requests["page"] == 1


def test_requests_are_counted_by_kind(server: IndexServer) -> None:
    source = fetcher()
    for kind in ("page", "wheel", "page"):
        source.fetch(page(server), lambda answer: answer.read(1 << 20), kind=kind)
    assert dict(source.requests) == {"page": 2, "wheel": 1}


def test_a_servers_words_cannot_move_the_cursor(server: IndexServer) -> None:
    failure = fetcher().failure(f"{server.url}\x1b[31m", "it says \x1b[2J\r\n")
    assert str(failure).isprintable() and failure.reason == "it says ?[2J??"


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("https://me:pass@host/simple/", "https://host/simple/"),
        ("https://token@host/simple/", "https://host/simple/"),
        ("GET /files/x.whl?sig=abc&e=1 HTTP/1.1", "GET /files/x.whl?**** HTTP/1.1"),
        ("the word is hunter2!", "the word is ****"),
        ("the word is hunter2%21", "the word is ****"),
        ("Authorization: Basic bWU6cGFzcw==", "Authorization: Basic ***"),
        ("Is it there?", "Is it there?"),
        ("mail me@host.example", "mail me@host.example"),
    ],
)
def test_redaction(text: str, clean: str) -> None:
    assert Redactor(["hunter2!"])(text) == clean


def test_short_secrets_do_not_blank_out_everything() -> None:
    assert Redactor(["", "a", "pip"])("pip installs a package") == "pip installs a package"


def test_the_longest_secret_goes_first() -> None:
    assert Redactor(["pass", "password1"])("password1") == "****"


@pytest.mark.parametrize(
    ("url", "clean", "auth"),
    [
        ("https://h/s/", "https://h/s/", None),
        ("https://u:p@h:8/s/", "https://h:8/s/", Auth("u", "p")),
        ("https://u%40x:p%2Fq@h/", "https://h/", Auth("u@x", "p/q")),
        ("https://token@h/", "https://h/", Auth("token", "")),
        ("https://u:p@ss@h/", "https://h/", Auth("u", "p@ss")),
        ("https://u:p@[::1]:8/", "https://[::1]:8/", Auth("u", "p")),
    ],
)
def test_credentials_are_split_off(url: str, clean: str, auth: Auth | None) -> None:
    assert split_credentials(url) == (clean, auth)


def test_shown_urls_have_no_query() -> None:
    assert public_url("https://u:p@h/x.whl?token=1#sha256=2") == "https://h/x.whl"


def test_closing_takes_the_filter_off_foreign_loggers(server: IndexServer) -> None:
    logger = logging.getLogger("urllib3.connectionpool")
    before = list(logger.filters)
    source = fetcher()
    assert len(logger.filters) == len(before) + 1
    source.close()
    assert logger.filters == before
