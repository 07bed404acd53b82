"""``--offline``: what caches hold is enough, nothing else is asked, and what is missing is named."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.doors import DOORS, Bridge, Door
from tests.indexserver import IndexServer
from tests.lab.channels import index_channel, make_conda_package
from tests.lab.condas import Conda, Home
from tests.lab.pythons import Interpreter
from tests.lab.servers import ChannelServer
from tests.lab.trees import diff, snapshot


@pytest.fixture
def index() -> Iterator[IndexServer]:
    with IndexServer() as server:
        server.add("moo", "1.0", requires=["herd"], files={"moo.py": "import herd\nprint('moo', herd.of)\n"})
        server.add("turbo", "1.0")
        yield server


@pytest.fixture
def server(extra_channel: Path) -> Iterator[ChannelServer]:
    """A channel over HTTP that has a package which the index's ``moo`` requires."""
    make_conda_package(extra_channel, "herd", "1.2", {"site-packages/herd.py": "of = 'cows'\n"}, ["python"])
    index_channel(extra_channel)
    with ChannelServer(extra_channel) as running:
        yield running


@pytest.fixture
def two(home: Home, pythons: list[Interpreter], vendored_conda: Path) -> Path:
    """A second environment, to install into from caches."""
    prefix = home.envs / "two"
    Conda(command=(str(vendored_conda),), home=home)("create", "-p", prefix, f"python={pythons[0].version}")
    return prefix


@pytest.fixture(params=DOORS)
def door(
    request: pytest.FixtureRequest,
    conda: Conda,
    conda_env: Path,
    bridge: Bridge,
    index: IndexServer,
    server: ChannelServer,
    channel: Path,
    two: Path,
) -> Door:
    """A door to an environment with nothing in it, after an install into another has filled caches."""
    made = Door.of(request.param, conda_env, conda, bridge, index)
    conda.home.configure(channels=[server.url, channel.as_uri()])
    made.install("moo")
    index.calls.clear()
    server.paths.clear()
    return replace(made, prefix=two)


def store_of(door: Door) -> Path:
    return door.conda.home.path / ".cache" / "conda-pypi-bridge" / "index" / "store"


def packages_of(door: Door) -> Path:
    home = door.conda.home
    return home.pkgs if door.call is door.conda else home.path / ".cache" / "conda-pypi-bridge" / "pkgs"


def test_caches_are_enough_once_the_servers_are_gone(
    door: Door, index: IndexServer, server: ChannelServer
) -> None:
    index.__exit__()
    server.__exit__()
    door.install("--offline", "moo")
    assert door.python("-m", "moo") == "moo cows\n"
    assert door.conda.packages(door.prefix)["herd"]["base_url"] == server.url


def test_condas_own_settings_count(door: Door, index: IndexServer, server: ChannelServer) -> None:
    """``CONDA_OFFLINE``, and ``offline: true`` in a condarc file."""
    for changes in ({"CONDA_OFFLINE": "true"}, {}):
        if not changes:
            door.conda.home.configure(offline=True)
        assert "/simple/turbo/" in door.refused("turbo", env=changes)
        door.install("moo", env=changes)
        assert door.python("-m", "moo") == "moo cows\n"
        door.remove("moo", env=changes)
    assert (index.calls, server.paths) == ([], [])


def channels_read(door: Door) -> Path:
    """Where what was read of channels is kept."""
    home = door.conda.home
    if door.call is door.conda:
        return home.pkgs / "cache"
    return home.path / ".cache" / "conda-pypi-bridge" / "repodata"


def test_each_missing_part_is_named_and_nothing_is_asked_for(
    door: Door, index: IndexServer, server: ChannelServer
) -> None:
    """An index page, metadata, a wheel, a channel, a channel's package; the prefix stays as it is."""
    pages = [file for file in store_of(door).rglob("*") if file.is_file() and b'"files"' in file.read_bytes()]
    metadata = [
        file for file in store_of(door).rglob("*") if file.is_file() and b"Name: moo" in file.read_bytes()
    ]
    parts = {
        f"the index page {index.url}moo/": pages,
        "the metadata of moo-1.0-py3-none-any.whl": metadata,
        "moo-1.0-py3-none-any.whl": [*packages_of(door).glob("moo-1.0-py_*")],
        f"the channel {server.url}": [channels_read(door)],
        f"the package herd-1.2-0 of the channel {server.url}": [*packages_of(door).glob("herd-1.2-0*")],
    }
    before = snapshot(door.prefix)
    said = {}
    for part, places in parts.items():
        assert places
        with taken_away(places, door.conda.home.path / "aside"):
            said[part] = door.refused("--offline", "moo")
        assert not diff(before, snapshot(door.prefix)), part
    assert {part for part in parts if f"offline, and not in the cache: {part}" not in said[part]} == set()
    assert (index.calls, server.paths) == ([], [])
    door.install("--offline", "moo")


@contextlib.contextmanager
def taken_away(places: list[Path], aside: Path) -> Iterator[None]:
    """Without what lies at some places, which comes back; in its place may be something else meanwhile."""
    aside.mkdir()
    for number, place in enumerate(places):
        place.rename(aside / str(number))
    yield
    for number, place in enumerate(places):
        if place.is_dir():
            shutil.rmtree(place)
        (aside / str(number)).rename(place)
    aside.rmdir()


@pytest.mark.parametrize("door", ["conda"], indirect=True)
def test_plain_conda_commands_are_offline_too(door: Door, index: IndexServer, server: ChannelServer) -> None:
    """While enabled: a channel's package comes out of the cache as without the bridge; the index's, too."""
    door.conda("pypi-bridge", "enable")
    named = {"PIP_INDEX_URL": index.url}
    door.conda("install", "-p", door.prefix, "--offline", "herd", env=named)
    door.conda("install", "-p", door.prefix, "--offline", "moo", env=named)
    assert door.python("-m", "moo") == "moo cows\n"
    refused = door.conda("install", "-p", door.prefix, "--offline", "turbo", env=named, check=False)
    assert f"the index page {index.url}turbo/" in refused.stderr
    assert (index.calls, server.paths) == ([], [])
