"""Nothing is lost, whatever ends a command: a sample of the faults of ``python -m tests.faults``."""

from __future__ import annotations

import itertools
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.choice import choose
from tests.faults.injection import Fault, strike
from tests.faults.laboratory import Laboratory, equipped
from tests.faults.oracle import damage, look, state_of, strangers
from tests.faults.scenes import Setting, prepare
from tests.faults.sweep import account, inflict
from tests.faults.tracing import strace
from tests.lab.pythons import Interpreter

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="faults are injected by strace")


@pytest.fixture
def laboratory(
    tmp_path: Path, channel: Path, vendored_conda: Path, shared_packages: Path, pythons: list[Interpreter]
) -> Iterator[Laboratory]:
    python = pythons[0].version
    with equipped(tmp_path, vendored_conda, channel, shared_packages, python) as made:
        yield made


@pytest.mark.slow
@pytest.mark.parametrize(
    ("setting", "count"),
    [
        (Setting(door="conda", case="upgrade+channel", cache="cold"), 5),
        (Setting(door="python-m", case="install+channel", cache="cold"), 5),
        (Setting(door="venv", case="remove", cache="warm"), 4),
    ],
    ids=str,
)
def test_a_command_that_a_fault_ends_did_nothing_or_everything(
    laboratory: Laboratory, setting: Setting, count: int
) -> None:
    scene = prepare(laboratory, setting)
    # Faults at a path are the same in every run; threads take turns at the others.
    faults = [f for f in itertools.islice(choose(scene, seed=1), 100) if f.path][:count]
    outcomes = [inflict(scene, fault) for fault in faults]
    assert [outcome.fault for outcome in outcomes if not outcome.fired] == []
    bad = [account(outcome) for outcome in outcomes if not outcome.is_good]
    assert not bad, "\n".join(bad)


def test_what_is_left_torn_or_lying_about_is_seen(laboratory: Laboratory) -> None:
    scene = prepare(laboratory, Setting(door="venv", case="remove", cache="cold"))
    world = scene.world
    world.restore(scene.pristine)
    assert state_of(scene, look(world.prefix)) == "before"
    (world.prefix / "bin" / "moo").unlink()
    assert state_of(scene, look(world.prefix)) == "mixed"
    (world.tmp / "left").touch()
    assert strangers(world, scene.known, "venv") == (("tmp/left",), ())
    path = next(path for path, entry in scene.caches.items() if entry.kind == "file")
    (world.folder / path).write_text("")
    assert damage(world, scene.caches) == [f"{path} is damaged"]
    world.run(scene.command, check=False)


def test_a_fault_fires_at_the_call_that_it_names(laboratory: Laboratory) -> None:
    world = laboratory.fresh("venv")
    code = "import pathlib\nfor name in 'abc': pathlib.Path('prefix', name).mkdir(exist_ok=True)"
    makes_three = [sys.executable, "-c", code.replace("'prefix'", repr(str(world.prefix)))]
    killed = strike(world, makes_three, Fault(what="SIGKILL", call="mkdir", number=2), {})
    assert (killed.fired, killed.status) == (True, -9)
    assert [name for name in "abc" if (world.prefix / name).exists()] == ["a", "b"]
    refused = strike(world, makes_three, Fault(what="EIO", call="mkdir", number=1, path="prefix/c"), {})
    assert (refused.fired, refused.status) == (True, 1)
    assert "Input/output error" in refused.output
    missed = strike(world, makes_three, Fault(what="SIGINT", call="mkdir", number=1, path="prefix/d"), {})
    assert (missed.fired, missed.status) == (False, 0)


@pytest.mark.parametrize("text", ["SIGKILL@linkat:3:", "ENOSPC+@write:1:prefix/a:b"])
def test_a_fault_is_repeated_by_its_name(text: str) -> None:
    assert str(Fault.parse(text)) == text


def test_who_lacks_strace_is_told_how_to_get_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", os.fspath(tmp_path))
    with pytest.raises(RuntimeError, match="apt-get install strace"):
        strace()
