"""Commands that run at once lose nothing: a few of the rounds of ``python -m tests.faults.rounds``."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.faults.laboratory import equipped
from tests.faults.rounds import CONTESTS, PAIRS, run_rounds
from tests.lab.pythons import Interpreter


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="worlds are copied by cp")
@pytest.mark.parametrize(
    ("contest", "doors"),
    [
        ("different packages", "conda and python-m"),
        ("different packages", "python-m"),
        ("the same package", "conda"),
        ("install and remove", "venv"),
        ("one cold cache", "conda"),
        ("one cold cache", "python-m"),
    ],
)
def test_commands_that_run_at_once_lose_nothing(
    tmp_path: Path,
    channel: Path,
    vendored_conda: Path,
    shared_packages: Path,
    pythons: list[Interpreter],
    contest: str,
    doors: str,
) -> None:
    with equipped(tmp_path, vendored_conda, channel, shared_packages, pythons[0].version) as made:
        assert run_rounds(made, CONTESTS[contest], PAIRS[doors], 2, seed=1) == []
