"""The engine without conda: virtual environments, what pip placed, waiting, going back."""

from __future__ import annotations

import ast
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from venv import EnvBuilder

import pytest

from conda_pypi_bridge.condarc import CondaConfig
from conda_pypi_bridge.engines.rattler import RattlerEngine
from conda_pypi_bridge.locks import holding
from conda_pypi_bridge.model import Target
from conda_pypi_bridge.names import Names
from conda_pypi_bridge.prefix import read_prefix
from tests.doors import Bridge
from tests.indexserver import IndexServer
from tests.lab.condas import Conda, Home, Result, python_of, run, site_packages
from tests.lab.trees import diff, snapshot
from tests.wheels import make_wheel


@pytest.fixture
def index() -> Iterator[IndexServer]:
    with IndexServer() as server:
        server.add("moo", "1.0")
        server.add("moo", "2.0", requires=["herd>=2"], entry_points={"moo": "moo:main"})
        server.add("herd", "1.0")
        server.add("herd", "2.0")
        server.add("herd", "3.0")
        yield server


@pytest.fixture
def install(bridge: Bridge, venv: Path, index: IndexServer) -> Bridge:
    """Install into the virtual environment from the loopback index."""

    def call(*args: str | Path, **options: object) -> Result:
        return bridge("install", "-p", venv, "-y", "-i", index.url, *args, **options)

    return call


@pytest.fixture
def pip_install(venv: Path, tmp_path: Path) -> Callable[..., None]:
    """Let pip place a wheel in the virtual environment."""

    def call(name: str, version: str, **options: object) -> None:
        wheel = make_wheel(tmp_path / "wheels", name, version, **options)
        command = [sys.executable, "-m", "pip", "--python", python_of(venv), "install", "-q"]
        subprocess.run([*map(str, command), "--no-deps", "--no-index", str(wheel)], check=True)

    return call


def versions(venv: Path) -> dict[str, str]:
    code = "from importlib.metadata import *; print({d.name: d.version for d in distributions()})"
    found: dict[str, str] = ast.literal_eval(run([python_of(venv), "-c", code], {}).stdout)
    return found


def test_a_virtual_environment_is_adopted(install: Bridge, venv: Path, conda: Conda) -> None:
    python = snapshot(venv / "bin")
    install("moo")
    assert versions(venv) == {"moo": "2.0", "herd": "3.0"}
    after = snapshot(venv / "bin")
    assert {path for path in after if path not in python} == {"moo"}
    listed = conda.packages(venv)
    assert listed["moo"]["channel"] == "pypi-bridge"
    running = ".".join(map(str, sys.version_info[:3]))
    assert listed["python"]["version"] == running


def test_removing_all_leaves_the_files_of_the_virtual_environment(
    install: Bridge, bridge: Bridge, venv: Path
) -> None:
    before = snapshot(venv)
    install("moo")
    bridge("remove", "-p", venv, "-y", "moo")
    difference = diff(before, snapshot(venv))
    assert {path.partition("/")[0] for path in difference.added} == {"conda-meta"}
    assert not difference.removed and not difference.changed
    assert versions(venv) == {}


def test_remove_keeps_what_was_asked_for(install: Bridge, bridge: Bridge, venv: Path) -> None:
    install("herd")
    install("moo")
    bridge("remove", "-p", venv, "-y", "moo")
    assert versions(venv) == {"herd": "3.0"}


def test_remove_takes_what_needs_it(install: Bridge, bridge: Bridge, venv: Path) -> None:
    install("moo")
    result = bridge("remove", "-p", venv, "-y", "herd", "--json")
    assert {row["name"] for row in result.json()["actions"]["UNLINK"]} == {"moo", "herd"}


def test_what_pip_placed_satisfies(
    install: Bridge, pip_install: Callable[..., None], venv: Path, index: IndexServer
) -> None:
    pip_install("herd", "2.0")
    before = snapshot(site_packages(venv) / "herd-2.0.dist-info")
    install("moo")
    assert versions(venv) == {"moo": "2.0", "herd": "2.0"}
    assert index.count("/simple/herd/") == 0
    assert not diff(before, snapshot(site_packages(venv) / "herd-2.0.dist-info"))


def test_what_pip_placed_is_replaced_by_its_own_list_of_files(
    install: Bridge, pip_install: Callable[..., None], venv: Path
) -> None:
    pip_install("herd", "1.0", files={"herd.py": "", "herd_old/__init__.py": ""})
    result = install("moo", "--json")
    assert {row["name"] for row in result.json()["actions"]["UNLINK"]} == {"herd"}
    assert versions(venv) == {"moo": "2.0", "herd": "3.0"}
    assert not (site_packages(venv) / "herd_old").exists()


def test_what_pip_placed_is_not_the_bridges_to_remove(
    bridge: Bridge, pip_install: Callable[..., None], venv: Path
) -> None:
    pip_install("herd", "1.0")
    result = bridge("remove", "-p", venv, "-y", "herd", check=False)
    assert result.returncode == 1
    assert "pip placed it" in result.stderr
    assert versions(venv) == {"herd": "1.0"}


def test_a_requirement_of_what_pip_placed_is_respected(
    install: Bridge, pip_install: Callable[..., None], venv: Path, index: IndexServer
) -> None:
    pip_install("shepherd", "1.0", requires=["herd<3"])
    pip_install("herd", "2.0")
    told = "shepherd 1.0, which pip placed here, requires herd<3"
    assert f"herd==3.0 was requested, but {told}" in install("herd==3.0", check=False).stderr
    index.add("flock", "1.0", requires=["herd>=3"])
    chain = f"flock 1.0 requires herd>=3; but {told}"
    assert chain in install("flock", check=False).stderr
    assert versions(venv)["herd"] == "2.0"


def test_an_upgrade_replaces_the_older_version(install: Bridge, venv: Path) -> None:
    install("moo==1.0")
    result = install("moo>1")
    assert "1.0 -> 2.0" in result.stdout
    assert versions(venv)["moo"] == "2.0"
    assert len(list((venv / "conda-meta").glob("moo-*.json"))) == 1


def test_a_version_once_asked_for_is_kept(install: Bridge, venv: Path) -> None:
    install("herd<3")
    install("moo")
    assert versions(venv) == {"moo": "2.0", "herd": "2.0"}


def test_a_second_process_waits_and_says_so(install: Bridge, venv: Path) -> None:
    with holding(venv):
        process = subprocess.Popen(
            [sys.executable, "-m", "conda_pypi_bridge", "remove", "-p", str(venv), "-y", "moo"],
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stderr is not None
        assert "Waiting for another process" in process.stderr.readline()
        time.sleep(0.2)
        assert process.poll() is None
    process.communicate(timeout=60)
    assert process.returncode == 1  # moo was never installed


def test_a_link_that_fails_leaves_everything_as_it_was(
    install: Bridge, pip_install: Callable[..., None], venv: Path
) -> None:
    pip_install("herd", "1.0")
    (site_packages(venv) / "moo.py").mkdir()  # in the way of a file
    before = snapshot(venv)
    result = install("moo", check=False)
    assert result.returncode == 1
    assert not diff(before, snapshot(venv))


def test_the_python_of_a_virtual_environment_cannot_be_changed(install: Bridge) -> None:
    assert "cannot be changed" in install("python=3.10", "moo", check=False).stderr


def test_a_folder_that_is_no_environment_is_refused(
    bridge: Bridge, tmp_path: Path, index: IndexServer
) -> None:
    (tmp_path / "folder").mkdir()
    result = bridge("install", "-p", tmp_path / "folder", "-y", "-i", index.url, "moo", check=False)
    assert result.returncode == 1
    assert "this is not an environment" in result.stderr
    assert not list((tmp_path / "folder").iterdir())


def test_what_is_heavy_is_imported_only_where_it_is_needed(install: Bridge, tmp_path: Path) -> None:
    """`requests`, and rattler, take as long to start as Python itself; what uses them, longer."""
    heavy = {
        "requests",
        "rattler",
        *(f"conda_pypi_bridge.{name}" for name in ("building", "index", "resolve")),
    }

    def imported(*args: str | Path) -> set[str]:
        told = install("moo", *args, env={"PYTHONPROFILEIMPORTTIME": "1"}).stderr
        return heavy & {line.rpartition("|")[2].strip() for line in told.splitlines()}

    EnvBuilder(symlinks=True).create(tmp_path / "other")
    assert imported() == heavy
    assert "conda_pypi_bridge.building" not in imported("-p", tmp_path / "other")  # the packages are there
    assert imported() == set()


def test_the_question_can_be_answered_with_no(bridge: Bridge, venv: Path, index: IndexServer) -> None:
    before = snapshot(venv)
    result = bridge("install", "-p", venv, "-i", index.url, "moo", input="n\n", check=False)
    assert result.returncode == 1
    assert "cancelled; nothing was changed" in result.stderr
    assert not diff(before, snapshot(venv))


def test_conda_takes_over_what_this_engine_made(
    bridge: Bridge, conda: Conda, conda_env: Path, index: IndexServer, home: Home
) -> None:
    bridge("install", "-p", conda_env, "-y", "-i", index.url, "moo")
    conda("pypi-install", "-p", conda_env, "-y", "-i", index.url, "herd==2.0")
    bridge("install", "-p", conda_env, "-y", "-i", index.url, "herd>2")
    assert conda.packages(conda_env)["herd"]["version"] == "3.0"
    conda("remove", "-p", conda_env, "-y", "herd")
    assert set(conda.packages(conda_env)) == {"python"}


@pytest.mark.parametrize("delay", [0.3, 0.5, 0.7, 0.9, 1.1])
def test_ctrl_c_leaves_the_environment_as_it_was_or_as_it_will_be(
    venv: Path, index: IndexServer, home: Home, delay: float
) -> None:
    for number in range(30):
        index.add(f"calf-{number}", "1.0", files={f"calf{number}/m{i}.py": "x = 1\n" * 50 for i in range(20)})
    index.add("cow", "1.0", requires=[f"calf-{number}" for number in range(30)])
    before = snapshot(venv)
    command = [sys.executable, "-m", "conda_pypi_bridge", "install", "-p", str(venv), "-y", "-i", index.url]
    process = subprocess.Popen(
        [*command, "cow"], env=home.environment(), stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    time.sleep(delay)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    if process.returncode == 0:
        assert len(versions(venv)) == 31
        return
    if process.returncode != -signal.SIGINT:  # Python itself was still starting
        assert process.returncode == 130
        assert "interrupted; nothing was changed" in errors
        assert "Traceback" not in errors
    assert not diff(before, snapshot(venv))


@pytest.mark.parametrize("glibc", [None, "2.17", "2.99"])
def test_what_is_told_of_the_machine_without_rattler_is_what_rattler_tells(
    venv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, glibc: str | None
) -> None:
    if glibc is not None:
        monkeypatch.setenv("CONDA_OVERRIDE_GLIBC", glibc)

    def target(*channels: str) -> Target:
        config = CondaConfig(channels=channels)
        where = {"cache": tmp_path, "command": [], "names": Names()}
        return RattlerEngine(read_prefix(venv), channels=channels, config=config, **where).target([])

    assert target() == target(tmp_path.as_uri())  # rattler is asked where there are channels
