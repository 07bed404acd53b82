"""Which hosts are asked on behalf of others: those of the indexes, and no services of this network."""

from __future__ import annotations

from pathlib import Path

import pytest

from conda_pypi_bridge.errors import IndexFailure
from conda_pypi_bridge.index import Index, upstream
from conda_pypi_bridge.index.upstream import Upstreams
from conda_pypi_bridge.model import ProjectName
from tests.indexserver import IndexServer, says
from tests.test_index import index_of, the_wheel

INDEX = "http://localhost:8080/simple/"


@pytest.mark.parametrize(
    ("url", "patterns", "allowed"),
    [
        ("http://localhost:8080/any", (), True),
        ("http://localhost:9999/any", (), False),  # another service of that machine
        ("http://localhost/any", (), False),
        ("http://localhost:9999/any", ("localhost",), True),
        ("http://127.0.0.1/any", (), False),
        ("http://[::1]/any", (), False),
        ("http://169.254.169.254/latest/meta-data/", (), False),
        ("http://10.0.0.7/", (), False),
        ("http://[fd00::1]/", (), False),
        ("https://192.0.2.1/", (), False),  # documentation, RFC 5737
        ("https://8.8.8.8/", (), True),
        ("https://files.example.org/x", ("*.example.org",), True),
        ("https://FILES.example.org/x", ("files.EXAMPLE.org",), True),
        ("https://files.example.org.evil.net/x", ("*.example.org",), False),
        ("https://8.8.8.8/", ("*.example.org",), False),
        ("http://10.0.0.7/", ("10.0.0.7",), True),
    ],
)
def test_hosts_that_may_be_asked(url: str, patterns: tuple[str, ...], allowed: bool) -> None:
    assert bool(Upstreams([INDEX], patterns).refusal(url)) != allowed


def test_a_proxy_resolves_names_itself() -> None:
    rules = Upstreams([INDEX])
    assert rules.refusal("http://localhost.localdomain.invalid/", proxied=True) == ""
    assert rules.refusal("http://127.0.0.1/", proxied=True) != ""


def _elsewhere(server: IndexServer) -> str:
    """A server by another name: for us a host inside of this network."""
    return server.base.replace("127.0.0.1", "localhost")


def _index(server: IndexServer, cache: Path, allowed: frozenset[str] | None) -> Index:
    return index_of(server, cache=cache, allowed_hosts=allowed)


def test_files_elsewhere_in_this_network_are_not_fetched(tmp_path: Path) -> None:
    with IndexServer(announce=False) as server, IndexServer(announce=False) as other:
        name = server.add("demo", "1.0")
        other.add("demo", "1.0")
        server.pages["demo"][0]["url"] = f"{_elsewhere(other)}/files/{name}"
        guarded = _index(server, tmp_path / "a", frozenset())
        with pytest.raises(IndexFailure, match="localhost is inside of this network"):
            guarded.download(the_wheel(guarded), tmp_path / name)
        assert other.count("/files/") == 0
        named = _index(server, tmp_path / "b", frozenset({"localhost"}))
        assert named.download(the_wheel(named), tmp_path / name).exists()
        unguarded = _index(server, tmp_path / "c", None)
        assert unguarded.download(the_wheel(unguarded), tmp_path / name).exists()


def test_redirects_do_not_lead_into_this_network(tmp_path: Path) -> None:
    with IndexServer() as server, IndexServer() as other:
        server.add("demo", "1.0")
        server.on(r"^/simple/demo/$", says(302, Location=f"{_elsewhere(other)}/secret"))
        with pytest.raises(IndexFailure, match="localhost is inside of this network"):
            _index(server, tmp_path, frozenset()).page(ProjectName("demo"))
        assert other.count("/secret") == 0


def test_files_where_the_index_itself_is_are_fetched_by_any_name(tmp_path: Path) -> None:
    """A gateway of the network may stand for the index and for the host of its files."""
    with IndexServer(announce=False) as server:
        name = server.add("demo", "1.0")
        server.pages["demo"][0]["url"] = f"{_elsewhere(server)}/files/{name}"
        guarded = _index(server, tmp_path, frozenset())
        assert guarded.download(the_wheel(guarded), tmp_path / name).exists()


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("8.8.8.8", True),
        ("2001:4860:4860::8888", True),
        ("127.0.0.1", False),
        ("100.64.0.1", False),  # RFC 6598
        ("224.0.0.1", False),
        ("fe80::1%eth0", False),
        ("::ffff:10.0.0.1", False),
        ("::ffff:8.8.8.8", True),
        ("64:ff9b::10.0.0.1", False),  # RFC 6052
        ("64:ff9b::8.8.8.8", True),
        ("2002:0a00:0001::1", False),  # RFC 3056: 10.0.0.1
        ("2001:0:53aa:64c:0:0:f5ff:fffe", False),  # RFC 4380: 10.0.0.1
    ],
)
def test_addresses_that_lead_out_of_this_network(address: str, public: bool) -> None:
    assert upstream.is_public(address) is public


def test_a_name_that_changes_its_address_is_not_sent_a_request(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DNS rebinding: it was a public one when it was looked up."""
    with IndexServer(announce=False) as server:
        name = server.add("demo", "1.0")
        server.pages["demo"][0]["url"] = f"{_elsewhere(server)}/files/{name}"
        guarded = _index(server, tmp_path, frozenset())
        wheel = the_wheel(guarded)
        monkeypatch.setattr(upstream, "_addresses", lambda host: {"8.8.8.8"})
        with pytest.raises(IndexFailure, match="has come to be inside of this network"):
            guarded.download(wheel, tmp_path / name)
        assert server.count("/files/") == 0
