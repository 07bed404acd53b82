"""Real clients install from a static channel, out of a folder and from a plain web server."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.indexserver import IndexServer
from tests.lab.channels import SUBDIR, index_channel, make_conda_package
from tests.lab.condas import Conda, Home, Result, python_of, run
from tests.lab.pythons import Interpreter
from tests.lab.servers import ChannelServer

REPOSITORY = Path(__file__).parents[1]

#: What the environment must be able to do.
PROOF = "import moo, herd, turbo; print(moo.__version__, herd.__version__, turbo.__version__)"
SPECS = ("moo", "moo_extra_fast")


@pytest.fixture
def server(pythons: list[Interpreter]) -> Iterator[IndexServer]:
    """An index with a project, an extra of it, and a wheel for this Python and platform alone."""
    abi = pythons[0].abi
    with IndexServer() as server:
        server.add("moo", "2.0", requires=["herd<3"], extras={"fast": ["turbo>=0.1"], "slow": ["sloth"]})
        server.add("herd", "1.5")
        server.add("herd", "3.0")
        server.add(
            "turbo",
            "0.1",
            tags=f"{abi}-{abi}-manylinux_2_17_x86_64.manylinux2014_x86_64",
            files={"turbo/__init__.py": "__version__ = '0.1'\n", "turbo/_native.so": b"\x7fELF..."},
        )
        yield server


@pytest.fixture
def static(
    server: IndexServer, bridge: Callable[..., Result], pythons: list[Interpreter], tmp_path: Path
) -> Path:
    """The folder of a mirror, made by the command line."""
    folder = tmp_path / "static channel"
    bridge("mirror", "moo[fast]", "--to", folder, "-i", server.url, "--python", pythons[0].minor)
    return folder


@pytest.fixture(params=["file", "http"])
def url(request: pytest.FixtureRequest, static: Path) -> Iterator[str]:
    """Where clients find it; the index is gone by then."""
    if request.param == "file":
        yield static.as_uri()
    else:
        with ChannelServer(static) as server:
            yield server.url


def test_conda_installs_from_it(
    url: str, conda: Conda, channel: Path, pythons: list[Interpreter], server: IndexServer
) -> None:
    before = len(server.calls)
    prefix = conda.home.envs / "mirrored"
    offline = ["--offline"] if url.startswith("file:") else []
    channels = ["--override-channels", "-c", url, "-c", channel.as_uri()]
    conda("create", "-p", prefix, *channels, *offline, f"python={pythons[0].version}", *SPECS)
    proved = run([python_of(prefix), "-c", PROOF], conda.home.environment())
    assert proved.stdout == "2.0 1.5 0.1\n"
    packages = conda.packages(prefix)
    assert packages["turbo"]["platform"] == SUBDIR
    assert packages["moo"]["platform"] == "noarch"
    assert "moo_extra_fast" in packages
    assert len(server.calls) == before


def test_rattler_installs_from_it(
    url: str, home: Home, channel: Path, pythons: list[Interpreter], tmp_path: Path
) -> None:
    prefix = tmp_path / "mirrored"
    rattler_installs(prefix, home, url, channel, pythons[0])
    proved = run([python_of(prefix), "-c", PROOF], home.environment())
    assert proved.stdout == "2.0 1.5 0.1\n"


def test_rattler_reads_the_shards(
    static: Path, home: Home, channel: Path, pythons: list[Interpreter], tmp_path: Path
) -> None:
    with ChannelServer(static) as web:
        rattler_installs(tmp_path / "mirrored", home, web.url, channel, pythons[0])
    assert "/noarch/repodata_shards.msgpack.zst" in web.paths
    assert [path for path in web.paths if path.startswith("/noarch/shards/")]
    assert not [path for path in web.paths if path.endswith(("/repodata.json", "/repodata.json.zst"))]


def rattler_installs(prefix: Path, home: Home, url: str, channel: Path, python: Interpreter) -> None:
    sources = [url, channel.as_uri(), "--", f"python=={python.version}", *SPECS]
    command = [sys.executable, "-m", "tests.staticclients", prefix, home.path / "cache", SUBDIR, *sources]
    run(command, home.environment(), cwd=REPOSITORY)


def test_other_pythons_get_nothing_that_cannot_run(static: Path, conda: Conda, extra_channel: Path) -> None:
    make_conda_package(extra_channel, "python", "3.99.0", {}, subdir=SUBDIR, noarch=None)
    index_channel(extra_channel)
    channels = ["--override-channels", "-c", static.as_uri(), "-c", extra_channel.as_uri(), "--offline"]
    conda("create", "-n", "other", *channels, "--dry-run", "python=3.99", "moo")
    done = conda("create", "-n", "other", *channels, "--dry-run", "python=3.99", "turbo", check=False)
    assert done.returncode == 1
    assert "turbo" in done.stdout + done.stderr


def test_what_came_from_a_mirror_does_not_stand_in_the_way_of_the_same_from_the_index(
    static: Path, server: IndexServer, conda: Conda, channel: Path, pythons: list[Interpreter]
) -> None:
    """They have the same names, and to conda they are packages of different channels."""
    python = f"python={pythons[0].version}"
    channels = ["--override-channels", "-c", channel.as_uri()]
    first, second = conda.home.envs / "first", conda.home.envs / "second"
    conda("create", "-p", first, *channels, "-c", static.as_uri(), python, "moo")
    conda("create", "-p", second, *channels, python)
    conda("pypi-install", "-p", second, *channels, "-i", server.url, "moo")
    for prefix, origin in ((first, static.name), (second, "pypi-bridge")):
        assert conda.packages(prefix)["moo"]["channel"].rpartition("/")[2] in (
            origin,
            origin.replace(" ", "%20"),
        )
        proved = run([python_of(prefix), "-c", "import moo, herd"], conda.home.environment())
        assert proved.returncode == 0
