"""The verb ``serve``: how it starts, tells of itself and stops, at both doors."""

from __future__ import annotations

import random
import signal
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from conda_pypi_bridge.channel.store import ChannelStore
from tests.channelserver import Command, serve_words, unpacked
from tests.indexserver import IndexServer, sleeps
from tests.lab.condas import Home, run
from tests.test_server import wait_until

TOKEN = "0123456789abcdef-conda"


@pytest.fixture
def index() -> Iterator[IndexServer]:
    with IndexServer() as server:
        server.add("moo", "1.0")
        yield server


@pytest.fixture
def user(tmp_path: Path) -> Home:
    """Somebody whose condarc names no channel."""
    return Home.make(tmp_path / "home", [])


@pytest.fixture
def options(index: IndexServer, tmp_path: Path) -> list[str | Path]:
    projects = tmp_path / "projects.txt"
    projects.write_text("# ours\nmoo\n")
    return ["-i", index.url, "--projects", projects, "--subdir", "linux-64", "--python", "3.12"]


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_it_says_where_it_is_answers_and_stops_at_once(
    user: Home, options: list[str | Path], tmp_path: Path, number: int, status: int
) -> None:
    with Command(serve_words(*options), user.environment(), tmp_path / "log") as command:
        assert command.welcome == f"The channel is at {command.url} (Ctrl-C stops)\n"
        assert requests.get(f"{command.url}/noarch/repodata.json").json()["packages.conda"] == {}
        began = time.monotonic()
        assert command.end(number) == (status, "Stopped.\n")
        assert time.monotonic() - began < 5
        assert [line["status"] for line in command.lines] == [200]


def test_conda_has_the_same_verb(
    user: Home, vendored_conda: Path, options: list[str | Path], tmp_path: Path
) -> None:
    words = [vendored_conda, "pypi-bridge", "serve", "--port", "0", *options]
    with Command(words, user.environment(), tmp_path / "log") as command:
        assert requests.get(f"{command.url}/noarch/repodata.json").status_code == 200
        assert command.end(signal.SIGTERM) == (0, "Stopped.\n")


def test_a_build_under_way_does_not_keep_it_from_stopping(
    user: Home, options: list[str | Path], index: IndexServer, tmp_path: Path
) -> None:
    index.on(r"\.whl$", sleeps(60))
    with Command(serve_words(*options), user.environment(), tmp_path / "log") as command:
        with pytest.raises(requests.Timeout):
            shards = f"{command.url}/noarch/repodata_shards.msgpack.zst"
            requests.get(_first_shard(shards), timeout=2)
        began = time.monotonic()
        assert command.end(signal.SIGTERM)[0] == 0
        assert time.monotonic() - began < 15


def _first_shard(shards: str) -> str:
    return _shard_of(shards, "moo")


def _shard_of(shards: str, name: str) -> str:
    index = unpacked(requests.get(shards).content)
    digest = index["shards"][name].hex()
    return f"{shards.rpartition('/')[0]}/{index['info']['shards_base_url']}{digest}.msgpack.zst"


def test_a_token_file_locks_it_and_no_token_is_logged(
    user: Home, options: list[str | Path], tmp_path: Path
) -> None:
    tokens = tmp_path / "tokens"
    tokens.write_text(f"{TOKEN}\n")
    words = serve_words(*options, "--token-file", tokens)
    with Command(words, user.environment(), tmp_path / "log") as command:
        assert "/t/TOKEN/pypi" in command.welcome
        url = command.url.replace("TOKEN", TOKEN)
        assert requests.get(f"{url}/noarch/repodata.json").status_code == 200
        assert requests.get(f"{command.url}/noarch/repodata.json").status_code == 401
        command.end(signal.SIGTERM)
        assert [line["status"] for line in command.lines] == [200, 401]
        assert TOKEN not in (tmp_path / "log").read_text()


def test_who_opens_it_to_others_without_a_token_is_warned(
    user: Home, options: list[str | Path], tmp_path: Path
) -> None:
    tokens = tmp_path / "tokens"
    tokens.write_text(f"{TOKEN}\n")
    for words, warned in (
        (["--host", "0.0.0.0"], True),
        (["--host", "0.0.0.0", "--token-file", str(tokens)], False),
        ([], False),
    ):
        with Command(serve_words(*options, *words), user.environment(), tmp_path / "log") as command:
            command.end(signal.SIGTERM)
            told = [line["event"] for line in command.lines if line["level"] == "warning"]
        assert ["with your credentials" in line for line in told] == [True] * warned


def test_wheels_beyond_a_size_are_not_built(
    user: Home, options: list[str | Path], index: IndexServer, tmp_path: Path
) -> None:
    index.add("moo", "2.0", files={"moo.bin": random.Random(1).randbytes(1_100_000)})
    words = serve_words(*options, "--max-size", "1")
    with Command(words, user.environment(), tmp_path / "log") as command:
        answer = requests.get(_first_shard(f"{command.url}/noarch/repodata_shards.msgpack.zst"))
        packages = unpacked(answer.content)["packages.conda"]
    assert [entry["version"] for entry in packages.values()] == ["1.0"]


def test_on_a_full_disk_nothing_is_built_and_what_is_there_is_served(
    user: Home, options: list[str | Path], index: IndexServer, tmp_path: Path
) -> None:
    with Command(serve_words(*options), user.environment(), tmp_path / "log") as command:
        shard = _first_shard(f"{command.url}/noarch/repodata_shards.msgpack.zst")
        (fn,) = unpacked(requests.get(shard).content)["packages.conda"]
    index.add("milk", "1.0")
    projects = Path(options[options.index("--projects") + 1])
    projects.write_text("moo\nmilk\n")
    words = serve_words(*options, "--min-free", "1000000")
    with Command(words, user.environment(), tmp_path / "log") as command:
        base = command.url.removesuffix("/pypi")
        assert requests.get(f"{command.url}/noarch/{fn}").status_code == 200
        shards = f"{command.url}/noarch/repodata_shards.msgpack.zst"
        assert unpacked(requests.get(_shard_of(shards, "moo")).content)["packages.conda"].keys() == {fn}
        answer = requests.get(_shard_of(shards, "milk"))
        assert answer.status_code == 503 and int(answer.headers["Retry-After"]) > 0
        ready = requests.get(f"{base}/readyz")
        assert ready.status_code == 200 and "nothing new is built" in ready.text
        assert 'pypi_bridge_disk_free_bytes{channel="pypi"}' in requests.get(f"{base}/metrics").text
        assert any("are to stay free" in line["event"] for line in command.lines)
    assert index.count(r"milk.*\.whl$") == 0


def test_what_was_asked_for_is_noted_where_packages_are_to_go(
    user: Home, options: list[str | Path], index: IndexServer, tmp_path: Path
) -> None:
    words = serve_words(*options, "--keep-days", "30", "--store", tmp_path / "store")
    index.add("milk", "1.0")
    curated = tmp_path / "curated.txt"
    curated.write_text("milk\n")
    with Command([*words, "--list", curated], user.environment(), tmp_path / "log") as command:
        shard = _first_shard(f"{command.url}/noarch/repodata_shards.msgpack.zst")
        (fn,) = unpacked(requests.get(shard).content)["packages.conda"]
        done = "the curated list is published"
        wait_until(lambda: done in {line["event"] for line in command.lines}, 60)
        assert command.end(signal.SIGTERM)[0] == 0
    store = ChannelStore(tmp_path / "store")
    (name,) = store.documents("used")
    noted = (store.kept(f"used/{name}") or b"").decode().split()
    assert [text.partition("-")[0] for text in noted] == ["noarch/milk", "noarch/moo"]
    assert f"noarch/{fn}" in noted


def test_what_the_settings_block_is_nowhere(
    options: list[str | Path], index: IndexServer, tmp_path: Path
) -> None:
    index.add("milk", "1.0")
    home = Home.make(tmp_path / "blocking", [])
    home.configure(plugins={"pypi_bridge_block": ["mo*"]})
    words = serve_words("-i", index.url, "--subdir", "linux-64", "--python", "3.12")
    with Command(words, home.environment(), tmp_path / "log") as command:
        found = unpacked(requests.get(f"{command.url}/noarch/repodata_shards.msgpack.zst").content)
    assert sorted(found["shards"]) == ["milk"]
    with Command(serve_words(*options), home.environment(), tmp_path / "log") as command:
        answer = requests.get(_first_shard(f"{command.url}/noarch/repodata_shards.msgpack.zst"))
    assert unpacked(answer.content)["packages.conda"] == {}
    assert index.count("/moo") == 0


def test_quiet_is_quiet(user: Home, options: list[str | Path], tmp_path: Path) -> None:
    with Command(serve_words("-q", *options), user.environment(), tmp_path / "log") as command:
        requests.get(f"{command.url}/noarch/repodata.json")
        command.end(signal.SIGTERM)
        assert command.lines == []


def test_a_port_in_use_is_one_plain_line(user: Home, options: list[str | Path]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        result = run(serve_words(*options, "--port", port), user.environment(), check=False)
    assert result.returncode == 1 and result.stdout == ""
    assert result.stderr.splitlines() == [
        f"error: port {port} of 127.0.0.1 is in use",
        "  Choose another: --port N, or --port 0 for any.",
    ]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--python", "three"], "--python: Invalid version: 'three'"),
        (["--python", "3.12.1"], "minor versions of Python such as 3.12, not for 3.12.1"),
        (["--subdir", "amiga-64"], "amiga-64"),
        (["--host", "no.such.host.invalid"], "--host no.such.host.invalid"),
        (["--token-file", "nowhere"], "nowhere: the tokens cannot be read: No such file or directory"),
        (["--projects", "nowhere"], "nowhere"),
        (["--list", "nowhere"], "nowhere"),
        (["--store", "gopher://x/y"], "the store's URL cannot be used"),
    ],
)
def test_options_that_cannot_be_meant_are_one_line(
    user: Home, options: list[str | Path], words: list[str], told: str
) -> None:
    result = run(serve_words(*options, *words), user.environment(), check=False)
    assert result.returncode == 1 and result.stdout == ""
    assert told in result.stderr.splitlines()[0] and len(result.stderr.splitlines()) <= 2


@pytest.mark.parametrize("library", ["starlette", "uvicorn", "fsspec", "msgpack", "prometheus_client"])
def test_who_lacks_the_extra_is_told_how_to_get_it(user: Home, library: str) -> None:
    code = (
        f"import sys; sys.modules[{library!r}] = None\n"
        "from conda_pypi_bridge.cli import main; sys.exit(main(['serve']))"
    )
    result = run([sys.executable, "-c", code], user.environment(), check=False)
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.splitlines() == [
        f"error: serve needs {library}, which is not installed",
        '  Install it: python -m pip install "conda-pypi-bridge[server]"',
    ]


def test_no_other_verb_loads_what_serve_needs(user: Home) -> None:
    code = (
        "import sys\n"
        "from conda_pypi_bridge import cli, session\n"
        "from conda_pypi_bridge.arguments import parser\n"
        "parser().parse_args(['install', 'x'])\n"
        "print(*{'starlette', 'uvicorn', 'fsspec', 'msgpack', 'prometheus_client'} & set(sys.modules))\n"
    )
    assert run([sys.executable, "-c", code], user.environment()).stdout == "\n"


def test_killed_and_started_anew_it_finds_what_it_had(
    user: Home, options: list[str | Path], index: IndexServer, tmp_path: Path
) -> None:
    env = user.environment()
    with Command(serve_words(*options), env, tmp_path / "log") as command:
        first = requests.get(_first_shard(f"{command.url}/noarch/repodata_shards.msgpack.zst")).content
        command.end(signal.SIGKILL)
    before = index.count(r"\.whl$")
    with Command(serve_words(*options), env, tmp_path / "log") as command:
        again = requests.get(_first_shard(f"{command.url}/noarch/repodata_shards.msgpack.zst")).content
    assert again == first and index.count(r"\.whl$") == before
