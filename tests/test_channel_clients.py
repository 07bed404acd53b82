"""Clients that know nothing of the bridge install from a channel of files that the channel's functions wrote.

A plain web server has the files. py-rattler reads shards; conda's classic solver reads ``repodata.json``; a
newer conda with another solver, where there is one (``CPB_CONDA``), reads shards and records of wheels.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import pytest
from packaging.version import Version

from conda_pypi_bridge.channel import direct, offers
from conda_pypi_bridge.channel.model import Published, Scope
from conda_pypi_bridge.names import Names
from tests.conftest import OTHER_CONDAS, REPOSITORY
from tests.lab.channels import SUBDIR
from tests.lab.condas import Conda, Home, Result, python_of, run
from tests.lab.pythons import Interpreter
from tests.lab.servers import ChannelServer
from tests.lab.staticchannel import candidate_of, publish, write_channel, write_lists
from tests.wheels import make_wheel

FOREIGN = "win-64" if not SUBDIR.startswith("win") else "linux-64"


class Rattler(Protocol):
    def __call__(self, *specs: str, prefix: Path | str = "-", check: bool = True) -> Result: ...


@pytest.fixture
def scope(pythons: list[Interpreter]) -> Scope:
    minors = {Version(".".join(interpreter.version.split(".")[:2])) for interpreter in pythons}
    return Scope(subdirs=(SUBDIR, FOREIGN), pythons=tuple(sorted(minors)))


@pytest.fixture
def wheels(tmp_path: Path) -> list[Path]:
    """``app`` requires an extra of ``web``, and on one platform something that nobody has."""
    folder = tmp_path / "wheels"
    foreign = "win32" if FOREIGN.startswith("win") else "linux"
    return [
        make_wheel(folder, "web", "1.0"),
        make_wheel(folder, "web", "2.0", extras={"fast": ["loop>=1", f"nowhere; sys_platform=='{foreign}'"]}),
        make_wheel(folder, "loop", "1.5"),
        make_wheel(folder, "app", "1.0", requires=["web[fast]>=2", "nowhere; python_version<'3.9'"]),
    ]


@pytest.fixture
def packages(tmp_path: Path, wheels: list[Path], scope: Scope) -> list[Published]:
    return write_channel(tmp_path / "pypi", wheels, scope, tmp_path / "scratch")


@pytest.fixture
def server(tmp_path: Path, packages: list[Published]) -> Iterator[ChannelServer]:
    with ChannelServer(tmp_path / "pypi") as serving:
        yield serving


@pytest.fixture
def rattler(tmp_path: Path, home: Home, channel: Path, server: ChannelServer) -> Rattler:
    """Solve for `specs`, and install them where a prefix is named."""

    def call(*specs: str, prefix: Path | str = "-", check: bool = True) -> Result:
        cache = tmp_path / "rattler"
        command = [sys.executable, "-m", "tests.lab.rattlerclient", cache, prefix]
        channels = [server.url, channel.as_uri()]
        return run([*command, *channels, "--", *specs], home.environment(), cwd=REPOSITORY, check=check)

    return call


@pytest.fixture
def classic(conda: Conda, server: ChannelServer, channel: Path) -> Conda:
    """A conda that reads ``repodata.json`` alone."""
    conda.home.configure(channels=[server.url, channel.as_uri()], solver="classic")
    return conda


@pytest.fixture
def newer(home: Home, server: ChannelServer, channel: Path) -> Conda:
    """A conda whose solver reads shards."""
    for command in OTHER_CONDAS.values():
        conda = Conda(command=command, home=home)
        offered = re.search(r"--solver \{(.*?)\}", conda("create", "--help").stdout)
        if solvers := {"rattler", "libmamba"} & set(offered[1].split(",") if offered else ()):
            home.configure(channels=[server.url, channel.as_uri()], solver=max(solvers))
            return conda
    pytest.skip("no newer conda is here whose solver reads shards")


def imported(prefix: Path, *modules: str) -> list[str]:
    """The versions that the environment's Python finds."""
    code = f"import {', '.join(modules)}; print({', '.join(f'{name}.__version__' for name in modules)})"
    return run([python_of(prefix), "-c", code], {}).stdout.split()


def versions(solved: Result) -> dict[str, str]:
    return {row["name"]: row["version"] for row in solved.json() if row["name"] != "python"}


EVERYTHING = {"app": "1.0", "loop": "1.5", "web": "2.0", "web_extra_fast": "2.0"}


# -- py-rattler, shards --------------------------------------------------------------------------------


def test_rattler_installs_from_shards(rattler: Rattler, server: ChannelServer, tmp_path: Path) -> None:
    assert versions(rattler("app", prefix=tmp_path / "env")) == EVERYTHING
    assert imported(tmp_path / "env", "app", "web", "loop") == ["1.0", "2.0", "1.5"]
    assert not [path for path in server.paths if "repodata.json" in path]


def test_rattler_takes_an_extra_that_a_projects_shard_carries(rattler: Rattler) -> None:
    assert versions(rattler("app")) == EVERYTHING


@pytest.mark.parametrize("specs", [["app"], ["app", "web"], ["web_extra_fast"], ["web", "web_extra_fast"]])
def test_rattler_takes_an_extra_that_the_index_lists(
    specs: list[str], rattler: Rattler, packages: list[Published], scope: Scope, tmp_path: Path
) -> None:
    write_lists(tmp_path / "pypi", packages, scope, listed=True)
    found = versions(rattler(*specs))
    assert found == {name: EVERYTHING[name] for name in found}
    assert {"web", "web_extra_fast", "loop"} <= found.keys()


def test_why_extras_are_listed_once_they_are_known(rattler: Rattler) -> None:
    """rattler drops what a shard carries where the user asked for the project itself."""
    refused = rattler("app", "web", check=False)
    assert "web_extra_fast" in refused.stderr


def test_rattler_sees_a_change_by_its_placeholder(
    rattler: Rattler, packages: list[Published], scope: Scope, tmp_path: Path
) -> None:
    """The cache that it keeps by these bytes for ever does not hide a new version."""
    assert versions(rattler("loop")) == {"loop": "1.5"}
    (added,) = offers.records(
        candidate_of(path := make_wheel(tmp_path / "wheels", "loop", "1.6")), scope, Names().conda_name
    )
    newest = publish(added, path, scope.pythons[0], tmp_path / "pypi", tmp_path / "scratch")
    write_lists(tmp_path / "pypi", [*packages, newest], scope)
    assert versions(rattler("loop")) == {"loop": "1.6"}


# -- conda, repodata.json ------------------------------------------------------------------------------


def test_conda_installs_from_repodata(classic: Conda, server: ChannelServer) -> None:
    classic("create", "-n", "one", "app")
    prefix = classic.home.envs / "one"
    listed = classic.packages(prefix)
    assert {name: row["version"] for name, row in listed.items() if name != "python"} == EVERYTHING
    assert imported(prefix, "app", "web", "loop") == ["1.0", "2.0", "1.5"]
    assert not [path for path in server.paths if "shards" in path]


def test_what_is_current_suffices_for_what_is_newest(classic: Conda, server: ChannelServer) -> None:
    classic("create", "-n", "one", "app", "--dry-run")
    assert "/noarch/current_repodata.json" in server.paths
    assert "/noarch/repodata.json" not in server.paths


def test_conda_finds_an_older_version(classic: Conda, server: ChannelServer) -> None:
    classic("create", "-n", "one", "web=1.0")
    assert imported(classic.home.envs / "one", "web") == ["1.0"]


# -- a newer conda, shards -----------------------------------------------------------------------------


@pytest.mark.parametrize("listed", [False, True], ids=["carried", "listed"])
@pytest.mark.parametrize("specs", [["app"], ["app", "web"], ["web", "web_extra_fast"]])
def test_a_newer_conda_installs_from_shards(
    specs: list[str],
    listed: bool,
    newer: Conda,
    server: ChannelServer,
    packages: list[Published],
    scope: Scope,
    tmp_path: Path,
) -> None:
    write_lists(tmp_path / "pypi", packages, scope, listed=listed)
    newer("create", "-n", "one", *specs)
    assert imported(newer.home.envs / "one", "web", "loop") == ["2.0", "1.5"]
    assert [path for path in server.paths if "/shards/" in path]
    assert not [path for path in server.paths if "repodata.json" in path]


# -- wheels as they are --------------------------------------------------------------------------------


@pytest.fixture
def files(tmp_path: Path, wheels: list[Path]) -> Iterator[ChannelServer]:
    """Has the wheels, as an index has them."""
    with ChannelServer(tmp_path / "wheels") as serving:
        yield serving


@pytest.fixture
def wheel_channel(
    tmp_path: Path, wheels: list[Path], packages: list[Published], scope: Scope, files: ChannelServer
) -> None:
    """The channel lists wheels, and packages of extras alone; the packages of wheels are gone."""
    wheels.append(native := _native(tmp_path / "wheels", scope))
    by_subdir: dict[str, list[dict[str, Any]]] = {}
    for path in wheels:
        made = direct.entries(candidate_of(path, f"{files.url}/{path.name}"), scope, Names().conda_name)
        for subdir, entry in made.items():
            by_subdir.setdefault(subdir, []).append(entry)
    assert [entry["fn"] for entry in by_subdir[SUBDIR] if entry["name"] == "native"] == [native.name]
    extras = [item for item in packages if "_extra_" in item.fn]
    write_lists(tmp_path / "pypi", extras, scope, listed=True, wheels=by_subdir)


def _native(folder: Path, scope: Scope) -> Path:
    """A wheel for this platform that any of the scope's Pythons can take, and none before them."""
    platform = {"linux": "manylinux2014_x86_64", "osx": "macosx_11_0_universal2", "win": "win_amd64"}
    minor = f"{scope.pythons[0].major}{scope.pythons[0].minor}"
    tags = f"cp{minor}-abi3-{platform[SUBDIR.partition('-')[0]]}"
    requires = ["loop; python_version>='3.9'", "nowhere; python_version<'3.9'"]
    return make_wheel(folder, "native", "3.0", tags=tags, requires=requires)


@pytest.mark.usefixtures("wheel_channel")
def test_rattler_reads_records_of_wheels_and_installs_none(rattler: Rattler, tmp_path: Path) -> None:
    solved = rattler("app", "native")
    assert versions(solved) == EVERYTHING | {"native": "3.0"}
    refused = rattler("app", prefix=tmp_path / "env", check=False)
    assert "unsupported package archive format" in refused.stderr


@pytest.mark.usefixtures("wheel_channel")
def test_a_newer_conda_installs_wheels_as_they_are(newer: Conda, files: ChannelServer) -> None:
    """Needs conda-pypi in that conda, which unpacks wheels."""
    if "conda-pypi" not in _distributions(newer):
        pytest.skip("the newer conda has no conda-pypi")
    newer("create", "-n", "one", "app", "native")
    prefix = newer.home.envs / "one"
    assert imported(prefix, "app", "web", "loop", "native") == ["1.0", "2.0", "1.5", "3.0"]
    assert {path.partition("-")[0] for path in files.paths} == {"/app", "/web", "/loop", "/native"}


def _distributions(conda: Conda) -> list[str]:
    """What is installed beside a conda that a Python starts."""
    code = "import importlib.metadata as m; print(*(d.name for d in m.distributions()))"
    return run([conda.command[0], "-c", code], conda.home.environment()).stdout.split()
