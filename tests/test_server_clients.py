"""Clients that know nothing of the bridge install from the channel server, which builds what they ask for."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests
from packaging.version import Version

from conda_pypi_bridge.channel.catalogue import Catalogue
from conda_pypi_bridge.channel.model import Scope
from conda_pypi_bridge.server.limits import Tokens
from tests.benchmarks import load
from tests.channelserver import Command, catalogue_of, serve_words, serving
from tests.conftest import OTHER_CONDAS, REPOSITORY
from tests.indexserver import IndexServer
from tests.lab.channels import SUBDIR
from tests.lab.condas import Conda, Home, Result, overlay, python_of, run
from tests.lab.pythons import Interpreter
from tests.test_server import shard, wait_until

TOKEN = "0123456789abcdef-conda"


@pytest.fixture
def index() -> Iterator[IndexServer]:
    with IndexServer() as server:
        server.add("app", "1.0", requires=["web[fast]>=2"])
        server.add("web", "1.0")
        server.add("web", "2.0", extras={"fast": ["loop>=1"]})
        server.add("loop", "1.5")
        yield server


@pytest.fixture
def catalogue(index: IndexServer, tmp_path: Path, pythons: list[Interpreter]) -> Iterator[Catalogue]:
    minors = {Version(".".join(interpreter.version.split(".")[:2])) for interpreter in pythons}
    scope = Scope(subdirs=(SUBDIR,), pythons=tuple(sorted(minors)))
    with catalogue_of(index, tmp_path, ["app"], scope=scope) as made:
        yield made


@pytest.fixture(params=["open", "locked"])
def channel_url(request: pytest.FixtureRequest, catalogue: Catalogue) -> Iterator[str]:
    """The channel's URL as a user writes it: with a token where one is needed."""
    if request.param == "open":
        with serving(catalogue) as url:
            yield f"{url}/pypi"
    else:
        with serving(catalogue, tokens=Tokens([TOKEN])) as url:
            yield f"{url}/t/{TOKEN}/pypi"


def rattler(
    home: Home, cache: Path, prefix: Path | str, channels: list[str], *specs: str, check: bool = True
) -> Result:
    command = [sys.executable, "-m", "tests.lab.rattlerclient", cache, prefix]
    return run([*command, *channels, "--", *specs], home.environment(), cwd=REPOSITORY, check=check)


def imported(prefix: Path, *modules: str) -> list[str]:
    code = f"import {', '.join(modules)}; print({', '.join(f'{name}.__version__' for name in modules)})"
    return run([python_of(prefix), "-c", code], {}).stdout.split()


def test_rattler_installs_by_shards(channel_url: str, home: Home, channel: Path, tmp_path: Path) -> None:
    rattler(home, tmp_path / "rattler", tmp_path / "env", [channel_url, channel.as_uri()], "app")
    assert imported(tmp_path / "env", "app", "web", "loop") == ["1.0", "2.0", "1.5"]


def test_what_is_published_is_installable_within_seconds(
    catalogue: Catalogue, index: IndexServer, home: Home, channel: Path, tmp_path: Path
) -> None:
    """With one cache of shards, which has what there was before; the index is older than that for moments."""

    def installs() -> bool:
        where = tmp_path / "rattler", tmp_path / "after"
        done = rattler(home, *where, channels, "app", "loop>=1.6", check=False)
        assert not done.returncode or "No candidates were found for loop >=1.6" in done.stderr + done.stdout
        return not done.returncode

    with serving(catalogue) as url:
        channels = [f"{url}/pypi", channel.as_uri()]
        rattler(home, tmp_path / "rattler", tmp_path / "before", channels, "app")
        index.add("loop", "1.6")
        wait_until(installs, 30)
    assert imported(tmp_path / "after", "loop") == ["1.6"]


@pytest.fixture
def classic(home: Home, vendored_conda: Path, channel_url: str, channel: Path) -> Conda:
    """conda 24.7.1, which reads ``repodata.json``."""
    home.configure(channels=[channel_url, channel.as_uri()], solver="classic")
    return Conda(command=(str(vendored_conda),), home=home)


def test_conda_installs_what_was_asked_for_before(
    classic: Conda, catalogue: Catalogue, channel_url: str
) -> None:
    with serving(catalogue) as url:  # somebody's client of shards
        for name in ("app", "web", "loop"):
            shard(url, name)
        listing = f"{url}/pypi/noarch/repodata.json"
        wait_until(lambda: len(requests.get(listing).json()["packages.conda"]) >= 4)
    classic("create", "-n", "one", "app")
    prefix = classic.home.envs / "one"
    assert imported(prefix, "app", "web", "loop") == ["1.0", "2.0", "1.5"]
    shown = classic("list", "-p", prefix).stdout
    assert re.search(r"^app .* (\S*/)?pypi$", shown, re.MULTILINE) and TOKEN not in shown


@pytest.fixture
def newer(home: Home, channel_url: str, channel: Path) -> Conda:
    """A conda whose solver reads shards."""
    return newer_conda(home, [channel_url, channel.as_uri()])


def newer_conda(home: Home, channels: list[str]) -> Conda:
    for command in OTHER_CONDAS.values():
        conda = Conda(command=command, home=home)
        offered = re.search(r"--solver \{(.*?)\}", conda("create", "--help").stdout)
        if solvers := {"rattler", "libmamba"} & set(offered[1].split(",") if offered else ()):
            home.configure(channels=channels, solver=max(solvers))
            return conda
    pytest.skip("no newer conda is here whose solver reads shards")


def test_a_newer_conda_installs_by_shards(newer: Conda) -> None:
    newer("create", "-n", "one", "app")
    assert imported(newer.home.envs / "one", "app", "web", "loop") == ["1.0", "2.0", "1.5"]


def test_a_curated_list_is_there_for_conda_without_anybody_asking(
    home: Home, index: IndexServer, vendored_conda: Path, channel: Path, tmp_path: Path
) -> None:
    curated = tmp_path / "curated.txt"
    curated.write_text("app\n")
    words = serve_words("-i", index.url, "--projects", curated, "--list", curated, "--subdir", SUBDIR)
    with Command(words, home.environment(), tmp_path / "log") as command:
        wait_until(
            lambda: any(line["event"] == "the curated list is published" for line in command.lines), 60
        )
        home.configure(channels=[command.url, channel.as_uri()], solver="classic")
        Conda(command=(str(vendored_conda),), home=home)("create", "-n", "one", "app")
        assert command.end(signal.SIGTERM)[0] == 0
    assert imported(home.envs / "one", "app", "web", "loop") == ["1.0", "2.0", "1.5"]


def test_many_who_ask_for_one_package_have_it_built_once(catalogue: Catalogue, index: IndexServer) -> None:
    with serving(catalogue) as url:
        gate = threading.Barrier(50)

        def ask(number: int) -> bytes:
            gate.wait()
            (entry,) = shard(url, "app")["packages.conda"].values()
            digest: bytes = entry["sha256"]
            return digest

        with ThreadPoolExecutor(50) as pool:
            digests = set(pool.map(ask, range(50)))
    assert len(digests) == 1
    fetched = Counter(call.path for call in index.calls if call.path.endswith(".whl"))
    assert [count for path, count in fetched.items() if "app-" in path] == [1]


def test_killed_while_it_builds_nothing_broken_is_ever_served(index: IndexServer, tmp_path: Path) -> None:
    """Killed again and again at random moments, over one store: what is listed is whole every time."""
    for number in range(12):
        content = {f"big{number}/data{n}.bin": os.urandom(1 << 18) for n in range(8)}
        index.add(f"big{number}", "1.0", files=content)
    listed = tmp_path / "projects.txt"
    listed.write_text("".join(f"big{number}\n" for number in range(12)))
    user = Home.make(tmp_path / "user", [])
    words = serve_words("-i", index.url, "--projects", listed, "--subdir", SUBDIR, "--python", "3.12")
    listed_when_started = []
    for life in range(4):
        with Command(words, user.environment(), tmp_path / "log") as command:
            listed_when_started.append(all_that_is_listed_is_whole(command.url))
            before = index.count(r"\.whl$")
            mine = [f"big{number}" for number in range(life, 12, 4)]
            client = threading.Thread(target=ask_until_it_dies, args=(command.url, mine))
            client.start()
            # The first is built; the second is on its way, each time somewhat farther.
            wait_until(lambda before=before: index.count(r"\.whl$") > before + 1, 60)
            time.sleep(0.04 * life)
            command.end(signal.SIGKILL)
            client.join()
    with Command(words, user.environment(), tmp_path / "log") as command:
        for number in range(12):
            assert len(shard(command.url.removesuffix("/pypi"), f"big{number}")["packages.conda"]) == 1
        assert all_that_is_listed_is_whole(command.url) == 12
    assert listed_when_started[0] == 0 and listed_when_started[-1] >= 3
    assert list((tmp_path / "user").rglob("*.part")) == []


def ask_until_it_dies(channel_url: str, names: list[str]) -> None:
    with contextlib.suppress(requests.ConnectionError):
        for name in names:
            shard(channel_url.removesuffix("/pypi"), name)


def all_that_is_listed_is_whole(channel_url: str) -> int:
    """How many packages ``repodata.json`` lists, each of which is what it says."""
    packages = requests.get(f"{channel_url}/noarch/repodata.json").json()["packages.conda"]
    for fn, entry in packages.items():
        content = requests.get(f"{channel_url}/noarch/{fn}").content
        assert (len(content), hashlib.sha256(content).hexdigest()) == (entry["size"], entry["sha256"])
    return len(packages)


@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
def test_the_load_benchmark_measures_what_it_says() -> None:
    rows = {row["what"]: row for row in load.measured(clients=2, seconds=0.2, size=1)}
    assert rows["cold shard, 50 at once"]["n"] == 50
    assert rows["warm shard"]["per second"] > 0 and rows["package"]["median"] > 0
    assert rows["memory: afterwards"]["now"] > 10_000_000
    assert "cold shard, 50 at once" in load.table([*rows.values()])


@pytest.mark.network
@pytest.mark.parametrize("client", ["rattler", "conda", "newer conda"])
def test_flask_and_pandas_come_from_a_real_index(
    client: str,
    home: Home,
    network_env: dict[str, str | None],
    vendored_conda: Path,
    channel: Path,
    pythons: list[Interpreter],
    tmp_path: Path,
) -> None:
    listed = tmp_path / "projects.txt"
    listed.write_text("flask\npandas\n")
    minor = ".".join(pythons[0].version.split(".")[:2])
    scope: list[str | Path]
    scope = ["--subdir", SUBDIR, "--python", minor, "--versions", "1", "--projects", listed, "--list", listed]
    # Where a proxy stands for the index's hosts, their addresses are inside of this network.
    scope += ["--allow-host", "*"]
    env = overlay(home.environment(), network_env)
    prefix = home.envs / "one"
    with Command(serve_words(*scope), env, tmp_path / "log") as command:
        channels = [command.url, channel.as_uri()]
        specs = ("flask", "pandas", f"python={minor}")
        if client == "rattler":
            rattler(home, tmp_path / "rattler", prefix, channels, *specs)
        elif client == "newer conda":
            newer_conda(home, channels)("create", "-p", prefix, *specs)
        else:
            done = "the curated list is published"
            wait_until(lambda: done in {line["event"] for line in command.lines}, 120)
            home.configure(channels=channels, solver="classic")
            Conda(command=(str(vendored_conda),), home=home)("create", "-p", prefix, *specs)
    code = "import flask, pandas; print(pandas.DataFrame({'a': [1, 2]}).a.sum())"
    assert run([python_of(prefix), "-c", code], {}).stdout == "3\n"
