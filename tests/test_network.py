"""Real projects from the machine's own package index, through both doors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.doors import DOORS, Bridge, Door
from tests.lab.condas import Conda, run
from tests.lab.trees import diff, snapshot

pytestmark = pytest.mark.network


@pytest.fixture(params=DOORS)
def door(
    request: pytest.FixtureRequest,
    conda: Conda,
    conda_env: Path,
    bridge: Bridge,
    network_env: Mapping[str, str | None],
) -> Door:
    """A fresh conda environment with pip, and a door that reaches the machine's package index."""
    conda("install", "-p", conda_env, "-y", "pip")
    conda = replace(conda, env={k: v for k, v in network_env.items() if v is not None})
    return Door.of(request.param, conda_env, conda, bridge, env=network_env)


def command(door: Door, name: str, *args: str) -> str:
    return run([door.prefix / "bin" / name, *args], door.conda.home.environment()).stdout


def test_cowsay_flask_and_markupsafe(door: Door) -> None:
    door.install("cowsay", "flask>=3", "markupsafe")
    door.python("-c", "import flask, cowsay, markupsafe._speedups")
    assert "Flask 3" in command(door, "flask", "--version")
    assert "No broken requirements" in door.python("-m", "pip", "check")
    listed = door.conda.packages(door.prefix)
    for name in ("cowsay", "flask", "markupsafe", "werkzeug"):
        assert listed[name]["channel"] == "pypi-bridge"
    assert listed["markupsafe"]["platform"] == "linux-64"
    assert listed["flask"]["platform"] == "noarch"
    before = set(door.versions())
    door.conda("remove", "-p", door.prefix, "-y", "cowsay")
    assert before - set(door.versions()) == {"cowsay"}


def test_pandas_and_numpy_are_packages_of_their_platform(door: Door) -> None:
    door.install("pandas")
    door.python("-c", "import pandas, numpy; print(pandas.DataFrame({'a': numpy.arange(3)}).sum())")
    listed = door.conda.packages(door.prefix)
    assert listed["pandas"]["platform"] == listed["numpy"]["platform"] == "linux-64"
    assert "No broken requirements" in door.python("-m", "pip", "check")


def test_an_extra_of_fastapi(door: Door) -> None:
    door.install("fastapi[standard]")
    assert "FastAPI CLI version" in command(door, "fastapi", "--version")
    assert "No broken requirements" in door.python("-m", "pip", "check")


@pytest.mark.slow
def test_a_fresh_virtual_environment_with_this_project_alone(
    installed_bridge: Path, network_env: Mapping[str, str | None], home: Any
) -> None:
    prefix = installed_bridge.parent.parent
    before = snapshot(prefix, ignore=["__pycache__", "conda-meta"])
    environment = {k: v for k, v in {**home.environment(), **network_env}.items() if v is not None}

    def bridge(*args: str) -> str:
        return run([installed_bridge, "-m", "conda_pypi_bridge", *args], environment).stdout

    bridge("install", "-y", "rich")
    assert run([installed_bridge, "-c", "import rich; print(rich.__name__)"], environment).stdout == "rich\n"
    bridge("remove", "-y", "rich")
    assert not diff(before, snapshot(prefix, ignore=["__pycache__", "conda-meta"]))
