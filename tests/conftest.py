"""The laboratory as fixtures: real Pythons, a real conda, private homes. See tests/lab."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv as stdlib_venv
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from tests.lab.channels import index_channel
from tests.lab.condas import (
    Changes,
    Conda,
    Home,
    Result,
    machine_index,
    make_root,
    other_condas,
    overlay,
    python_of,
    run,
)
from tests.lab.pythons import Interpreter, interpreters, make_channel

REPOSITORY = Path(__file__).parents[1]
OTHER_CONDAS = other_condas()


@pytest.fixture(scope="session")
def session_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder for the whole run: the workers of pytest-xdist share it."""
    base = tmp_path_factory.getbasetemp()
    return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base


def once(folder: Path, make: Callable[[Path], Any]) -> Path:
    """Have `make` fill `folder` in the first process that asks; later ones use it as it is."""
    done = folder.with_name(f"{folder.name}.done")
    with FileLock(f"{folder}.lock"):
        if not done.exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            make(folder)
            done.touch()
    return folder


@pytest.fixture(scope="session")
def pythons() -> list[Interpreter]:
    """The CPythons of this machine; the first one is what a plain ``python`` means in `conda_env`."""
    found = list(interpreters())
    assert found, "the laboratory needs a CPython >= 3.10"
    return found


@pytest.fixture(scope="session")
def channel(session_folder: Path, pythons: list[Interpreter], pytestconfig: pytest.Config) -> Path:
    """A local channel of real packages: python (one of each minor version), python_abi and pip."""
    assert pytestconfig.cache is not None
    kept = pytestconfig.cache.mkdir("laboratory")
    return once(session_folder / "channel", lambda folder: make_channel(folder, pythons, kept))


@pytest.fixture
def extra_channel(tmp_path: Path) -> Path:
    """An empty channel of the test's own: fill it, `index_channel` it, and let a home use it."""
    return index_channel(tmp_path / "extra")


@pytest.fixture(scope="session")
def vendored_conda(session_folder: Path) -> Path:
    """``bin/conda`` of an installation of conda 24.7.1."""
    return once(session_folder / "condabase", make_root) / "bin" / "conda"


@pytest.fixture(scope="session")
def shared_packages(
    session_folder: Path, channel: Path, vendored_conda: Path, pythons: list[Interpreter]
) -> Path:
    """A package cache that holds the channel's python and pip ready-extracted; only to be read."""

    def fill(folder: Path) -> None:
        home = Home.make(folder / "home", [channel])
        home.configure(pkgs_dirs=[str(folder)])
        conda = Conda(command=(str(vendored_conda),), home=home)
        conda("create", "-n", "any", f"python={pythons[0].version}", "python_abi", "pip", "--download-only")

    return once(session_folder / "packages", fill)


@pytest.fixture
def home(tmp_path: Path, channel: Path, shared_packages: Path) -> Home:
    """A private home whose condarc knows the local channel alone."""
    return Home.make(tmp_path / "home", [channel], [shared_packages])


@pytest.fixture(params=["24.7.1", *OTHER_CONDAS])
def conda(request: pytest.FixtureRequest, home: Home, vendored_conda: Path) -> Conda:
    """A real conda that has the plugin: ``conda("create", "-n", "x", "python")``."""
    return Conda(command=OTHER_CONDAS.get(request.param, (str(vendored_conda),)), home=home)


@pytest.fixture
def conda_env(conda: Conda, pythons: list[Interpreter]) -> Path:
    """A fresh conda environment that holds python and nothing else."""
    prefix = conda.home.envs / "test"
    conda("create", "-p", prefix, f"python={pythons[0].version}")
    return prefix


@pytest.fixture
def venv(tmp_path: Path) -> Path:
    """A fresh virtual environment of the running Python, without pip."""
    prefix = tmp_path / "venv"
    stdlib_venv.EnvBuilder(symlinks=True).create(prefix)
    return prefix


@pytest.fixture
def bridge(home: Home) -> Callable[..., Result]:
    """Run ``python -m conda_pypi_bridge ARGS`` with the running Python, as a user of `home`.

    Name the prefix with ``-p``: the interpreter that runs the bridge need not be the prefix's.
    `python` is another one that has the bridge; `env` changes the environment; options as of `run`.
    """

    def call(
        *args: str | Path, python: Path | str = sys.executable, env: Changes | None = None, **options: Any
    ) -> Result:
        command: Sequence[str | Path] = [python, "-m", "conda_pypi_bridge", *args]
        return run(command, overlay(home.environment(), env), **options)

    return call


@pytest.fixture(scope="session")
def network_env() -> dict[str, str | None]:
    """Environment changes for ``network`` tests: this machine's own package index is reachable."""
    return machine_index()


@pytest.fixture(scope="session")
def bridge_wheel(session_folder: Path) -> Path:
    """Our wheel, built as a release is; needs the network for the build backend."""

    def build(folder: Path) -> None:
        source = shutil.copytree(REPOSITORY, folder / "source", ignore=shutil.ignore_patterns(".*", "tests"))
        command: Sequence[str | Path] = [
            sys.executable,
            "-m",
            "pip",
            "wheel",
            "-q",
            "--no-deps",
            "-w",
            folder,
            source,
        ]
        subprocess.run(command, check=True, stdin=subprocess.DEVNULL)

    (wheel,) = once(session_folder / "wheel", build).glob("*.whl")
    return wheel


@pytest.fixture(scope="session")
def installed_bridge(session_folder: Path, bridge_wheel: Path) -> Path:
    """The Python of a virtual environment in which pip installed our wheel, and nothing else did."""

    def install(prefix: Path) -> None:
        stdlib_venv.EnvBuilder(symlinks=True, with_pip=True).create(prefix)
        command: Sequence[str | Path] = [python_of(prefix), "-m", "pip", "install", "-q", bridge_wheel]
        subprocess.run(command, check=True, stdin=subprocess.DEVNULL)

    return python_of(once(session_folder / "installed", install))


def pytest_report_header() -> str:
    return f"laboratory: conda 24.7.1 and {', '.join(OTHER_CONDAS) or 'no other'}"
