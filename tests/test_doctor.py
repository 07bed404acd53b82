"""The verb ``doctor``: what it finds in real environments, and what fixing leaves behind."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from packaging.markers import default_environment

from conda_pypi_bridge.doctor import Deletion, Finding, diagnose, fix
from conda_pypi_bridge.doctor import Door as Command
from conda_pypi_bridge.locks import holding
from conda_pypi_bridge.model import ProjectName
from conda_pypi_bridge.names import Names
from conda_pypi_bridge.prefix import Prefix
from conda_pypi_bridge.prefix.health import read_health
from conda_pypi_bridge.report import Silent
from tests.doors import DOORS, Bridge, Door
from tests.indexserver import IndexServer
from tests.lab.channels import index_channel, make_python_package
from tests.lab.condas import Changes, Conda, Result, overlay, python_of, run, site_packages
from tests.lab.pythons import Interpreter
from tests.lab.trees import diff, snapshot
from tests.wheels import make_wheel


@pytest.fixture
def index() -> Iterator[IndexServer]:
    with IndexServer() as server:
        server.add("moo", "1.0", requires=["herd"], files={"moo.py": "", "moo_old.py": "x = 1\n"})
        server.add("moo", "2.0", requires=["herd<3"], entry_points={"moo": "moo:main"})
        server.add("herd", "1.5", files={"herd.py": "size = 15\n"})
        server.add("herd", "3.0", files={"herd.py": "size = 30\n"})
        yield server


@dataclass(frozen=True, kw_only=True)
class Patient:
    """An environment, a door to it, and pip."""

    door: Door
    index: IndexServer

    @property
    def prefix(self) -> Path:
        return self.door.prefix

    @property
    def site(self) -> Path:
        return site_packages(self.prefix)

    def doctor(self, *args: str | Path, env: Changes | None = None, **options: Any) -> Result:
        changes = {"PIP_INDEX_URL": self.index.url, **(env or {})}
        return self.door.call(
            *self.door.verb_words, "doctor", "-p", self.prefix, *args, env=changes, **options
        )

    def findings(self, *args: str, env: Changes | None = None) -> list[Any]:
        """The findings; the exit status goes with them."""
        result = self.doctor("--json", *args, env=env, check=False)
        document = result.json()
        rows: list[Any] = document["findings"]
        assert document["success"] is True
        assert result.returncode == any(row["severity"] == "problem" for row in rows)
        return rows

    def finding(self, kind: str, *args: str, env: Changes | None = None) -> Any:
        """The one finding, which is of that kind."""
        (row,) = self.findings(*args, env=env)
        assert row["kind"] == kind
        return row

    def obey(self, row: Any) -> None:
        """Run the command that a finding names, as it stands; then it is no more."""
        words = shlex.split(row["fix"])
        env = overlay(self.door.conda.home.environment(), {"PIP_INDEX_URL": self.index.url})
        if words[0] == "conda":
            self.door.conda(*words[1:], "-y", env={"PIP_INDEX_URL": self.index.url})
        else:
            run([*words, "-y"], env)
        assert row not in self.findings()

    def pip(self, *args: str | Path, env: Changes | None = None) -> None:
        """``pip install`` into the environment."""
        command = [
            sys.executable,
            "-m",
            "pip",
            "--python",
            python_of(self.prefix),
            "install",
            "-q",
            "--no-deps",
        ]
        run([*command, "-i", self.index.url, *args], overlay(self.door.conda.home.environment(), env))

    @property
    def later(self) -> Patient:
        """The same, two hours from now."""
        conda = self.door.conda
        call = in_two_hours(conda) if self.door.verb_words else _later(conda, sys.executable, MODULE)
        return replace(self, door=replace(self.door, call=call))

    def ours(self) -> set[str]:
        """The packages of the bridge, as conda lists them."""
        packages = self.door.conda.packages(self.prefix)
        return {name for name, row in packages.items() if row["channel"] == "pypi-bridge"}


#: Runs a module with a clock that is fast: nothing can date back when a file was last renamed.
CLOCK = """import runpy, sys, time

if __name__ == "__main__":
    now = time.time
    time.time = lambda: now() + 7200
    runpy.run_module(sys.argv.pop(1), run_name="__main__", alter_sys=True)
"""

MODULE = "conda_pypi_bridge"


def in_two_hours(conda: Conda) -> Conda:
    """A conda whose clock is two hours fast."""
    return _later(conda, python_of(Path(conda("info", "--json").json()["root_prefix"])), "conda")


def _later(conda: Conda, python: Path | str, module: str) -> Conda:
    script = conda.home.path / "clock" / "later.py"
    script.parent.mkdir(exist_ok=True)
    script.write_text(CLOCK)
    return replace(conda, command=(str(python), str(script), module))


@pytest.fixture(params=DOORS)
def patient(
    request: pytest.FixtureRequest, conda: Conda, conda_env: Path, bridge: Bridge, index: IndexServer
) -> Patient:
    """A fresh conda environment, through either door."""
    return Patient(door=Door.of(request.param, conda_env, conda, bridge, index), index=index)


#: What the doors share needs one of them.
one_door = pytest.mark.parametrize("patient", ["python -m"], indirect=True)


def test_a_healthy_environment_has_nothing_to_be_said_of(patient: Patient) -> None:
    patient.door.install("moo")
    result = patient.doctor("--deep")
    assert result.stdout.startswith("0 problems, 0 remarks (contents of files compared).")
    assert patient.findings() == []
    assert patient.findings("moo") == []


def test_a_name_that_nothing_here_has_is_an_error(patient: Patient) -> None:
    result = patient.doctor("nosuch", check=False)
    assert result.returncode == 1
    assert "nothing named 'nosuch' is installed" in result.stderr


# -- placed by pip -------------------------------------------------------------------------------------


def test_what_pip_placed_is_told_and_becomes_a_conda_package_of_the_same_version(patient: Patient) -> None:
    patient.pip("moo==1.0", "herd==1.5")
    rows = patient.findings()
    assert [(row["kind"], row["severity"], row["subject"]) for row in rows] == [
        ("mixed", "info", "herd 1.5"), ("mixed", "info", "moo 1.0")
    ]  # fmt: skip
    assert all(row["safe"] for row in rows)
    before = patient.door.versions()
    document = patient.doctor("--fix", "-y", "--json").json()
    assert document["fixed"] == ["herd 1.5", "moo 1.0"]
    assert (document["findings"], document["not_fixed"]) == ([], [])
    assert patient.door.versions() == before
    assert patient.ours() == {"moo", "herd"}
    assert (patient.site / "moo-1.0.dist-info" / "INSTALLER").read_text() == "conda\n"
    assert not (patient.site / "moo-1.0.dist-info" / "REQUESTED").exists()


def test_the_command_that_a_finding_names_fixes_that_package_alone(patient: Patient) -> None:
    patient.pip("moo==2.0", "herd==1.5")
    herd, moo = patient.findings()
    patient.obey(herd)
    assert patient.findings() == [moo]
    assert patient.ours() == {"herd"}


@one_door
def test_what_the_index_lacks_is_left_and_the_others_are_replaced(patient: Patient) -> None:
    patient.index.add("own", "1.0")
    patient.pip("own", "herd==1.5")
    del patient.index.pages["own"]
    document = patient.doctor("--fix", "-y", "--json").json()
    assert document["fixed"] == ["herd 1.5"]
    (left,) = document["not_fixed"]
    assert left["subject"] == "own 1.0"
    assert "no package named 'own'" in left["reason"]
    assert patient.door.versions() == {"herd": "1.5", "own": "1.0"}


def test_a_public_package_does_not_take_the_place_of_a_private_one(patient: Patient) -> None:
    patient.index.add("acme", "1.2", files={"acme.py": "ours = True\n"})
    patient.pip("acme==1.2", "herd==1.5")
    patient.index.pages["acme"].clear()
    patient.index.add("acme", "1.2", files={"acme.py": "ours = None\n"})
    document = patient.doctor("--fix", "-y", "--json", "--dry-run").json()
    assert document["fixed"] == ["herd 1.5"]
    document = patient.doctor("--fix", "-y", "--json").json()
    assert document["fixed"] == ["herd 1.5"]
    reason = "the index has another acme 1.2 than the one installed here"
    assert document["not_fixed"] == [{"subject": "acme 1.2", "reason": reason}]
    assert reason in patient.doctor("--fix", "-y", "acme").stdout
    assert (patient.site / "acme.py").read_text() == "ours = True\n"
    assert patient.ours() == {"herd"}


def test_nor_does_one_that_comes_along_as_a_requirement(patient: Patient) -> None:
    patient.pip("moo==1.0", "herd==1.5")
    patient.index.pages["herd"].clear()
    patient.index.add("herd", "1.5", files={"herd.py": "size = 51\n"})
    assert "the index has another herd 1.5" in patient.doctor("--fix", "-y", "herd").stdout
    patient.doctor("--fix", "-y", "moo")
    assert (patient.site / "herd.py").read_text() == "size = 15\n"
    assert "herd" not in patient.ours()


@one_door
def test_what_a_channel_has_takes_the_place_of_what_is_named_alone(
    patient: Patient, extra_channel: Path, channel: Path
) -> None:
    make_python_package(extra_channel, "herd", "1.5", modules={"herd.py": "size = 15\n"})
    index_channel(extra_channel)
    patient.door.conda.home.use_channels(extra_channel, channel)
    patient.pip("herd==1.5")
    (left,) = patient.doctor("--fix", "-y", "--json").json()["not_fixed"]
    assert left["reason"].endswith(
        "has herd 1.5, which cannot be compared with what pip placed; name it to have it replaced"
    )
    patient.doctor("--fix", "-y", "herd")
    assert patient.door.conda.packages(patient.prefix)["herd"]["version"] == "1.5"
    assert patient.findings() == []


@one_door
def test_scripts_data_and_headers_do_not_make_it_another_package(patient: Patient) -> None:
    data = "barn-1.0.data"
    files = {
        "barn.py": "doors = 2\n",
        f"{data}/data/share/barn/door.txt": "open\n",
        f"{data}/scripts/knock": "#!python\n",
        f"{data}/headers/barn.h": "",
        f"{data}/purelib/stall.py": "x = 1\n",
    }
    patient.index.add("barn", "1.0", files=files, entry_points={"barn": "barn:main"})
    patient.pip("barn")
    patient.doctor("--fix", "-y")
    assert patient.findings() == []
    assert patient.ours() == {"barn"}


@one_door
def test_what_came_from_a_file_or_is_worked_on_is_left_alone(patient: Patient, tmp_path: Path) -> None:
    patient.pip(make_wheel(tmp_path, "own", "1.0"))
    row = patient.finding("mixed")
    assert "from a file or an address of its own: left alone" in row["sentence"]
    assert (row["fix"], row["safe"]) == ("", False)
    url = patient.site / "own-1.0.dist-info" / "direct_url.json"
    url.write_text(json.dumps({"url": tmp_path.as_uri(), "dir_info": {"editable": True}}))
    assert "in editable mode: left alone" in patient.finding("mixed")["sentence"]


def test_what_this_command_runs_on_is_not_taken_away_under_it(conda_env: Path, tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path, "moo", "1.0")
    pip = [sys.executable, "-m", "pip", "--python", str(python_of(conda_env)), "install", "-q", "--no-index"]
    subprocess.run([*pip, str(wheel)], check=True)
    (site_packages(conda_env) / "moo-1.0.dist-info" / "direct_url.json").unlink()

    def offers(in_use: set[ProjectName]) -> list[bool]:
        health = read_health(conda_env, environ={}, home=tmp_path)
        found = diagnose(health, Names(), _markers(), Command(words=("x",)), in_use)
        return [finding.remedy is not None for finding in found]

    assert offers(set()) == [True]
    assert offers({ProjectName("moo")}) == [False]


def _markers() -> dict[str, str]:
    return {name: str(value) for name, value in default_environment().items()}


def test_pip_is_at_home_in_a_virtual_environment(bridge: Callable[..., Result], venv: Path) -> None:
    pip = [sys.executable, "-m", "pip", "--python", str(python_of(venv)), "install", "-q", "--no-index"]
    subprocess.run([*pip, str(make_wheel(venv.parent, "moo", "1.0"))], check=True)
    assert bridge("doctor", "-p", venv, "--json").json()["findings"] == []


def test_a_file_that_was_edited_is_never_lost(patient: Patient) -> None:
    patient.pip("herd==1.5")
    edited = patient.site / "herd.py"
    edited.write_text("size = 99\n")  # of the same size: no look without --deep sees it
    document = patient.doctor("--fix", "-y", "--json").json()
    (left,) = document["not_fixed"]
    assert "herd.py was changed since it was placed, and is not overwritten" in left["reason"]
    assert edited.read_text() == "size = 99\n"
    result = patient.doctor("--fix", "-y", "herd")
    assert "kept as herd.py.edited" in result.stderr
    assert (patient.site / "herd.py.edited").read_text() == "size = 99\n"
    assert edited.read_text() == "size = 15\n"
    assert patient.ours() == {"herd"}


def test_a_dry_run_shows_what_would_be_fixed_and_writes_nothing(patient: Patient) -> None:
    patient.pip("herd==1.5")
    (patient.site / "~erd").mkdir()
    before = snapshot(patient.prefix)
    result = patient.later.doctor("--fix", "--dry-run", check=False)
    assert result.stdout.count("Would fix: ") == 2
    assert not diff(before, snapshot(patient.prefix))


def test_no_is_an_answer(patient: Patient) -> None:
    patient.door.conda.home.configure(always_yes=False)
    patient.pip("herd==1.5")
    (patient.site / "~erd").mkdir()
    before = snapshot(patient.prefix)
    result = patient.later.doctor("--fix", input="n\nn\n", check=False)
    assert result.stdout.count("not wanted") == 2
    assert not diff(before, snapshot(patient.prefix))


# -- shadowed ------------------------------------------------------------------------------------------


def test_another_version_of_pips_over_a_conda_package_becomes_one(patient: Patient) -> None:
    patient.door.install("moo==1.0", "herd==1.5")
    patient.pip("herd==3.0")
    row = patient.finding("shadowed")
    assert row["subject"] == "herd 3.0"
    assert row["sentence"] == "placed by pip over the conda package herd 1.5"
    patient.obey(row)
    assert patient.findings() == []
    assert patient.door.versions()["herd"] == "3.0"
    assert patient.door.conda.packages(patient.prefix)["herd"]["version"] == "3.0"
    assert (patient.site / "herd.py").read_text() == "size = 30\n"


def test_the_same_version_of_pips_over_a_conda_package_is_placed_anew(patient: Patient) -> None:
    patient.door.install("herd==1.5")
    patient.pip("--force-reinstall", "herd==1.5")
    row = patient.finding("shadowed")
    assert row["sentence"] == "placed by pip over the conda package herd 1.5"
    patient.obey(row)
    assert patient.findings("--deep") == []
    assert (patient.site / "herd-1.5.dist-info" / "INSTALLER").read_text() == "conda\n"


@one_door
def test_two_metadata_folders_of_a_project(patient: Patient) -> None:
    patient.pip("herd==1.5")
    copy = patient.site / "herd-1.4.dist-info"
    copy.mkdir()
    for file in (patient.site / "herd-1.5.dist-info").iterdir():
        text = file.read_text().replace("1.5", "1.4")
        (copy / file.name).write_text(text)
    row = patient.finding("shadowed")
    assert row["sentence"] == "is there 2 times: herd-1.4.dist-info, herd-1.5.dist-info"
    assert shlex.split(row["fix"])[1:] == ["-m", "pip", "uninstall", "herd"]


@one_door
def test_files_of_a_conda_package_that_pip_wrote_over(patient: Patient) -> None:
    patient.index.add("thief", "1.0", files={"herd.py": "stolen = True\n"})
    patient.door.install("herd==1.5")
    patient.pip("thief")
    mixed, shadowed = sorted(patient.findings(), key=lambda row: str(row["kind"]))
    assert mixed["subject"] == "thief 1.0"
    assert shadowed["subject"] == "herd 1.5"
    assert "written over by thief 1.0" in shadowed["sentence"]
    patient.obey(shadowed)
    assert (patient.site / "herd.py").read_text() == "size = 15\n"


# -- broken --------------------------------------------------------------------------------------------


@pytest.fixture
def from_channel(patient: Patient, extra_channel: Path, channel: Path) -> Path:
    """A package of a channel, installed: the path of its module."""
    make_python_package(extra_channel, "barn", "1.2", modules={"barn.py": "doors = 2\n"})
    index_channel(extra_channel)
    patient.door.conda.home.use_channels(extra_channel, channel)
    patient.door.conda("install", "-p", patient.prefix, "-y", "barn")
    return patient.site / "barn.py"


def test_files_that_are_missing_are_placed_again(patient: Patient, from_channel: Path) -> None:
    patient.door.install("moo==2.0")
    from_channel.unlink()
    (patient.prefix / "bin" / "moo").unlink()
    barn, moo = patient.findings()
    assert (barn["kind"], barn["subject"]) == ("broken", "barn 1.2")
    assert barn["sentence"].startswith("1 of its 5 files is missing: ")
    assert moo["sentence"].endswith("is missing: bin/moo")
    patient.doctor("--fix", "-y")
    assert patient.findings("--deep") == []
    assert from_channel.read_text() == "doors = 2\n"


def test_a_changed_file_is_told_and_left_unless_its_package_is_named(
    patient: Patient, from_channel: Path
) -> None:
    from_channel.unlink()  # it may be a hard link into the package cache
    from_channel.write_text("doors = 1\n")
    assert patient.findings() == []
    row = patient.finding("broken", "--deep")
    assert row["sentence"].startswith("1 of its 5 files is not as it was placed: ")
    assert not row["safe"]
    patient.doctor("--deep", "--fix", "-y", check=False)
    assert from_channel.read_text() == "doors = 1\n"
    patient.obey(row)
    assert from_channel.read_text() == "doors = 2\n"
    assert from_channel.with_name("barn.py.edited").read_text() == "doors = 1\n"
    assert patient.findings("--deep", "barn") == []


@one_door
def test_a_changed_size_is_seen_at_once(patient: Patient, from_channel: Path) -> None:
    from_channel.unlink()
    from_channel.write_text("doors = 1000\n")
    assert "not as it was placed" in patient.finding("broken")["sentence"]


def test_a_record_whose_metadata_folder_is_gone(patient: Patient) -> None:
    patient.door.install("herd==1.5")
    for file in (patient.site / "herd-1.5.dist-info").iterdir():
        file.unlink()
    (patient.site / "herd-1.5.dist-info").rmdir()
    patient.obey(patient.finding("broken"))
    assert patient.door.versions() == {"herd": "1.5"}


@pytest.mark.parametrize("text", ["{", "[]", '{"name": "herd", "version": 1}'])
@one_door
def test_a_record_that_cannot_be_read_is_told_beside_the_others(patient: Patient, text: str) -> None:
    (patient.prefix / "conda-meta" / "herd-1.5-0.json").write_text(text)
    (patient.site / "~erd").mkdir()
    broken, leftover = patient.later.findings()
    assert broken["subject"] == "conda-meta/herd-1.5-0.json"
    assert "Move it out of conda-meta" in broken["sentence"]
    patient.later.doctor("--fix", "-y", leftover["name"])
    assert not (patient.site / "~erd").exists()


def test_no_door_stumbles_over_a_record_that_cannot_be_read(patient: Patient) -> None:
    (patient.prefix / "conda-meta" / "herd-1.5-0.json").write_text("{")
    assert patient.finding("broken")["severity"] == "problem"


@one_door
def test_metadata_that_is_missing(patient: Patient) -> None:
    patient.pip("herd==1.5")
    (patient.site / "herd-1.5.dist-info" / "METADATA").unlink()
    row = patient.finding("broken")
    assert row["sentence"] == "METADATA is missing"
    patient.obey(row)
    assert patient.findings() == []
    assert patient.ours() == {"herd"}


@one_door
def test_a_list_of_files_that_is_missing(patient: Patient) -> None:
    patient.pip("herd==1.5")
    (patient.site / "herd-1.5.dist-info" / "RECORD").unlink()
    broken, orphaned = patient.findings()
    assert broken["sentence"].startswith("RECORD is missing")
    assert orphaned["sentence"] == "1 module lies there that no package lists"
    assert shlex.split(broken["fix"])[1:] == [
        *("-m", "pip", "install", "--force-reinstall", "--no-deps", "herd==1.5")
    ]


def test_a_file_of_pips_that_is_missing(patient: Patient) -> None:
    patient.pip("moo==1.0", "herd==1.5")
    (patient.site / "moo_old.py").unlink()
    broken, mixed = patient.findings()
    assert (broken["kind"], broken["subject"], mixed["kind"]) == ("broken", "moo 1.0", "mixed")
    patient.obey(broken)
    assert (patient.site / "moo_old.py").read_text() == "x = 1\n"
    assert patient.door.versions() == {"moo": "1.0", "herd": "1.5"}


# -- requirements --------------------------------------------------------------------------------------


def test_requirements_that_do_not_hold(patient: Patient) -> None:
    patient.door.install("--no-deps", "moo==2.0")
    row = patient.finding("unmet")
    assert (row["subject"], row["sentence"]) == ("moo 2.0", "requires herd<3, but it is not installed")
    patient.obey(row)
    assert patient.door.versions() == {"moo": "2.0", "herd": "1.5"}
    assert patient.findings() == []


@one_door
def test_a_version_that_is_wrong_and_a_python_that_is(patient: Patient) -> None:
    patient.index.add("future", "1.0", requires_python=">=3.99")
    patient.pip("herd==3.0", "moo==2.0")
    patient.pip("--ignore-requires-python", "future")
    unmet = [row["sentence"] for row in patient.findings() if row["kind"] == "unmet"]
    assert "requires Python >=3.99, but this is Python 3." in unmet[0]
    assert unmet[1:] == ["requires herd<3, but herd 3.0 is installed"]


@one_door
def test_a_requirement_for_another_environment_or_an_extra_is_none(patient: Patient, tmp_path: Path) -> None:
    requires = ["barn; python_version < '3'", "stall; sys_platform == 'nothing'"]
    patient.index.add("moo", "4.0", requires=requires, extras={"fast": ["turbo"]})
    patient.pip("moo==4.0")
    assert patient.finding("mixed")["subject"] == "moo 4.0"


# -- leftovers -----------------------------------------------------------------------------------------


def test_what_commands_left_is_deleted_where_nobody_needs_it(patient: Patient) -> None:
    patient.door.install("moo==2.0")
    (patient.site / "~erd").mkdir()
    (patient.site / "~erd" / "old.py").touch()
    (patient.site / "herd.py.c~").write_text("size = 14\n")
    command = patient.prefix / "bin" / "moo"
    command.rename(command.with_name("moo.c~"))
    broken, *found = patient.later.findings()
    assert broken["sentence"].endswith("is missing: bin/moo")
    rows = {row["name"].rpartition("/")[2]: row for row in found}
    assert {row["kind"] for row in rows.values()} == {"leftover"}
    assert {name: row["safe"] for name, row in rows.items()} == {
        "~erd": True, "herd.py.c~": True, "moo.c~": False
    }  # fmt: skip
    names = [row["name"] for row in found]
    patient.later.doctor("--fix", "-y", *names, check=False)
    assert not (patient.site / "~erd").exists()
    assert not (patient.site / "herd.py.c~").exists()
    assert (patient.site / "herd.py").read_text() == "size = 15\n"
    assert patient.later.findings() == [broken, rows["moo.c~"]]


@one_door
def test_what_a_running_command_may_go_back_to_is_no_leftover(patient: Patient) -> None:
    patient.door.install("herd==1.5")
    (patient.site / "~erd").mkdir()
    (patient.site / "herd.py.c~").write_text("size = 14\n")
    (patient.site / "herd.dll.conda_trash").touch()
    assert patient.findings() == []
    assert len(patient.later.findings()) == 3


def test_a_leftover_is_looked_at_again_before_it_is_deleted(conda_env: Path) -> None:
    renamed, gone = conda_env / "bin" / "tool.c~", conda_env / "bin" / "other.c~"
    renamed.touch()
    renamed.with_name("tool").touch()
    findings = [
        Finding(kind="leftover", severity="problem", name=path.name, remedy=Deletion(path=path), sentence="")
        for path in (renamed, gone)
    ]
    repair = fix(findings, conda_env, opened=_no_engine, terminal=Agreeing())
    assert repair.fixed == []
    assert [reason for _, reason in repair.left] == ["it has changed since it was found"] * 2
    assert renamed.exists()


class Agreeing(Silent):
    """Says yes."""

    def agree(self, text: str) -> bool:
        return True


def _no_engine(prefix: Prefix) -> Any:
    raise AssertionError("deleting takes no engine")


@one_door
def test_an_editors_backup_is_no_file_that_conda_renamed(patient: Patient) -> None:
    for name in ("main", "main.c~"):
        (patient.prefix / "bin" / name).touch()
    assert patient.later.findings() == []


@one_door
def test_another_process_at_work_is_told(patient: Patient) -> None:
    with holding(patient.prefix):
        row = patient.finding("leftover")
    assert (row["severity"], row["subject"]) == ("info", "lock")


# -- what nobody needs, and what lies outside ----------------------------------------------------------


def test_what_came_along_and_is_not_required_any_more(patient: Patient) -> None:
    patient.door.install("moo==2.0")
    record = next((patient.prefix / "conda-meta").glob("moo-2.0-*.json"))
    (patient.prefix / "conda-meta" / "history").write_text("")
    document = json.loads(record.read_text())
    for file in document["files"]:
        (patient.prefix / file).unlink(missing_ok=True)
    (patient.site / "moo-2.0.dist-info").rmdir()
    record.unlink()
    row = patient.finding("orphaned")
    assert (row["severity"], row["subject"]) == ("info", "herd 1.5")
    patient.obey(row)
    assert patient.findings() == []
    assert not (patient.site / "herd.py").exists()


@one_door
def test_modules_that_no_package_lists_are_counted(patient: Patient) -> None:
    (patient.site / "mine.py").touch()
    (patient.site / "theirs").mkdir()
    (patient.site / "theirs" / "__init__.py").touch()
    row = patient.finding("orphaned")
    assert row["sentence"] == "2 modules lie there that no package lists"


@one_door
def test_what_comes_before_the_environment(patient: Patient) -> None:
    patient.door.install("herd==1.5")
    user = patient.door.conda.home.path / ".local" / "lib" / patient.site.parent.name / "site-packages"
    pip = [sys.executable, "-m", "pip", "install", "-q", "--target", user, "-i", patient.index.url]
    run([*pip, "--no-deps", "herd==3.0"], patient.door.conda.home.environment())
    row = patient.finding("outside")
    assert row["sentence"].endswith("and has: herd")
    assert patient.findings(env={"PYTHONNOUSERSITE": "1"}) == []
    row = patient.finding("outside", env={"PYTHONNOUSERSITE": "1", "PYTHONPATH": "elsewhere"})
    assert row["subject"] == "PYTHONPATH"


# -- how it is told ------------------------------------------------------------------------------------


@one_door
def test_text_groups_by_kind_and_tells_what_is_alike_once(patient: Patient) -> None:
    patient.pip("moo==2.0", "herd==1.5")
    (patient.site / "~erd").mkdir()
    result = patient.later.doctor(check=False)
    assert result.returncode == 1
    lines = result.stdout.splitlines()
    assert lines[0] == "Left over"
    heading = lines.index("Placed beside conda")
    assert lines[heading + 1] == "  herd 1.5, moo 2.0: placed by pip; conda does not see it"
    assert lines[heading + 2].endswith("--fix herd moo")
    assert "1 problem, 2 remarks (sizes of files compared; --deep compares contents)." in result.stdout
    assert lines[-1].startswith("To fix what is safe to fix: ")


def test_names_limit_what_is_looked_at(patient: Patient) -> None:
    patient.pip("moo==2.0", "herd==1.5")
    assert [row["name"] for row in patient.findings("Moo")] == ["moo"]


def test_conda_doctor_tells_it_too(conda: Conda, conda_env: Path) -> None:
    (site_packages(conda_env) / "~erd").mkdir()
    output = in_two_hours(conda)("doctor", "-p", conda_env).stdout
    assert "left by pip, needed by nobody" in output
    assert f"conda pypi-bridge doctor -p {conda_env} --fix" in output


def test_the_named_command_is_quoted_for_the_shell(pythons: list[Interpreter]) -> None:
    posix = Command(words=("conda", "pypi-bridge"), where=("-p", "/my env"))
    assert posix.command("install", "herd<3") == "conda pypi-bridge install -p '/my env' 'herd<3'"
    windows = replace(posix, windows=True)
    assert windows.command("install", "herd") == 'conda pypi-bridge install -p "/my env" herd'
