"""One environment, changed by conda and by the engine without conda in turn: nobody is misled."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.indexserver import IndexServer
from tests.lab.condas import Conda, Result
from tests.lab.consistency import complaints

Step = Callable[[], object]


@pytest.fixture
def index() -> Iterator[IndexServer]:
    with IndexServer() as server:
        server.add("moo", "1.0", requires=["herd<2"], entry_points={"moo": "moo:main"})
        server.add("moo", "2.0", requires=["herd>=2"], entry_points={"moo": "moo:main"})
        server.add("herd", "1.5")
        server.add("herd", "2.5")
        server.add("lamb", "1.0", requires=["herd"])
        yield server


@pytest.mark.parametrize("first", ["conda", "python -m"])
def test_an_environment_that_both_change_stays_consistent(
    conda: Conda, conda_env: Path, bridge: Callable[..., Result], index: IndexServer, first: str
) -> None:
    conda.home.configure(plugins={"pypi_bridge_enabled": True})
    named = {"PIP_INDEX_URL": index.url}
    conda = replace(conda, env=named)
    conda("install", "-p", conda_env, "-y", "pip")

    def without(verb: str, *args: str) -> Step:
        return lambda: bridge(verb, "-p", conda_env, "-y", *args, env=named)

    def with_conda(verb: str, *args: str) -> Step:
        return lambda: conda(verb, "-p", conda_env, "-y", *args)

    install = (with_conda, without) if first == "conda" else (without, with_conda)
    steps: list[tuple[Step, dict[str, str]]] = [
        (install[0]("install", "moo==1.0"), {"moo": "1.0", "herd": "1.5"}),
        (install[1]("install", "lamb"), {"moo": "1.0", "herd": "1.5", "lamb": "1.0"}),
        (install[0]("install", "moo==2.0"), {"moo": "2.0", "herd": "2.5", "lamb": "1.0"}),
        (install[1]("install", "moo==1.0"), {"moo": "1.0", "herd": "1.5", "lamb": "1.0"}),
        (with_conda("update", "moo"), {"moo": "2.0", "herd": "2.5", "lamb": "1.0"}),
        (install[1]("remove", "lamb"), {"moo": "2.0", "herd": "2.5"}),
        (with_conda("install", "--revision", "2"), {"moo": "1.0", "herd": "1.5"}),
        (without("remove", "moo"), {}),
        (install[0]("install", "lamb"), {"lamb": "1.0", "herd": "2.5"}),
    ]
    for number, (step, expected) in enumerate(steps):
        step()
        assert complaints(conda_env, conda.home) == [], number
        found = conda.packages(conda_env)
        assert {n: r["version"] for n, r in found.items() if r["channel"] == "pypi-bridge"} == expected, (
            number
        )
