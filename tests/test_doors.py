"""What every door promises, on a loopback index: the conda subcommand and ``python -m``, alike."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.doors import DOORS, Bridge, Door
from tests.indexserver import IndexServer
from tests.lab.channels import index_channel, make_conda_package, make_python_package
from tests.lab.condas import NO_INDEX, Conda, Home, Result, python_of, run, site_packages
from tests.lab.pythons import Interpreter
from tests.lab.trees import diff, snapshot
from tests.wheels import make_wheel

PLATFORM = "manylinux_2_17_x86_64.manylinux2014_x86_64"


@pytest.fixture
def index() -> Iterator[IndexServer]:
    with IndexServer() as server:
        server.add("moo", "1.0", files={"moo.py": "def main():\n    print('moo 1.0')\n"})
        server.add(
            "moo",
            "2.0",
            requires=["Herd>=1,<3", "barn; python_version < '3'", "milk[cold]~=1.1"],
            files={
                "moo/__init__.py": "import herd\ndef main():\n    print('moo 2.0')\n",
                "moo/data.txt": "x",
            },
            entry_points={"moo": "moo:main"},
            extras={"fast": ["turbo"]},
        )
        server.add("herd", "1.5")
        server.add("herd", "3.0")
        server.add("milk", "1.1.4", extras={"cold": ["fridge==1.*"]})
        server.add("fridge", "1.2")
        server.add("turbo", "0.1")
        yield server


@pytest.fixture(params=DOORS)
def door(
    request: pytest.FixtureRequest, conda: Conda, conda_env: Path, bridge: Bridge, index: IndexServer
) -> Door:
    """A fresh conda environment and a door to it, on the loopback index."""
    return Door.of(request.param, conda_env, conda, bridge, index)


def test_a_project_arrives_with_what_it_requires_as_conda_packages(door: Door) -> None:
    door.install("moo")
    assert door.python("-c", "import moo; moo.main()") == "moo 2.0\n"
    assert door.versions() == {"moo": "2.0", "herd": "1.5", "milk": "1.1.4", "fridge": "1.2"}
    packages = door.conda.packages(door.prefix)
    ours = {name: row["channel"] for name, row in packages.items() if row["channel"] == "pypi-bridge"}
    assert sorted(ours) == ["fridge", "herd", "milk", "milk_extra_cold", "moo"]


def test_its_command_runs_with_the_python_of_the_environment(door: Door) -> None:
    door.install("moo")
    result = run([door.prefix / "bin" / "moo"], door.conda.home.environment())
    assert result.stdout == "moo 2.0\n"


def test_conda_list_names_the_channel_and_no_path(door: Door) -> None:
    door.install("moo==1.0")
    (row,) = [line for line in door.conda("list", "-p", door.prefix).stdout.splitlines() if "moo" in line]
    assert row.split()[::3] == ["moo", "pypi-bridge"]
    record = json.loads(next((door.prefix / "conda-meta").glob("moo-*.json")).read_text())
    assert record["channel"] == "pypi-bridge"
    assert record["url"].startswith("https://pypi-bridge.invalid/pypi-bridge/noarch/moo-1.0-")


def test_the_channels_name_leads_nowhere(door: Door) -> None:
    door.install("moo==1.0")
    row = door.conda.packages(door.prefix)["moo"]
    assert (row["channel"], row["base_url"]) == ("pypi-bridge", "https://pypi-bridge.invalid/pypi-bridge")


def test_conda_remove_removes_it_and_nothing_else(door: Door) -> None:
    before = snapshot(door.prefix, ignore=["conda-meta", "__pycache__"])
    door.install("herd<3")
    kept = snapshot(door.prefix, ignore=["conda-meta", "__pycache__"])
    door.install("moo==1.0")
    door.conda("remove", "-p", door.prefix, "-y", "moo")
    assert not diff(kept, snapshot(door.prefix, ignore=["conda-meta", "__pycache__"]))
    door.conda("remove", "-p", door.prefix, "-y", "herd")
    after = snapshot(door.prefix, ignore=["conda-meta", "__pycache__"])
    assert not diff(before, after)


def test_the_door_itself_removes_too(door: Door) -> None:
    door.install("moo")
    door.remove("moo")
    assert "moo" not in door.versions()
    assert "moo" not in door.conda.packages(door.prefix)


def test_conda_reads_the_revisions_back(door: Door) -> None:
    door.install("herd<3")
    revisions = door.conda("list", "-p", door.prefix, "--revisions").stdout
    assert "+herd-1.5" in revisions.replace(" ", "")


def test_version_constraints_of_both_grammars_hold(door: Door) -> None:
    door.install("moo=1")
    assert door.versions()["moo"] == "1.0"
    door.install("moo>=1,!=1.0", "herd~=1.0")
    assert door.versions()["moo"] == "2.0"


def test_what_cannot_be_is_answered_with_what_would_work_in_words_for_the_shell(door: Door) -> None:
    done = door.install("moo==2.0", "herd>=3", "turbo>=0.1", check=False)
    assert done.returncode == 1
    assert "moo 2.0 requires herd<3,>=1" in done.stderr
    assert "This would work: moo==2.0 herd==1.5 'turbo>=0.1'" in done.stderr


def test_words_may_follow_options(door: Door) -> None:
    """argparse alone reads one run of words, and refuses those that come later."""
    options = ("-p", door.prefix, *door.index)
    door.call(*door.install_words, "moo==1.0", *options, "herd<3", "-y", "turbo")
    assert door.versions() == {"moo": "1.0", "herd": "1.5", "turbo": "0.1"}
    unknown = door.call(*door.install_words, "moo", "-y", "herd", "--nosuch", "turbo", check=False)
    assert (unknown.returncode, "unrecognized arguments: " in unknown.stderr) == (2, True)
    if not door.verb_words:  # at conda's door conda itself removes
        door.call("remove", "moo", "-p", door.prefix, "herd", "-y")
        assert door.versions() == {"turbo": "0.1"}


def test_an_extra_brings_its_requirements(door: Door) -> None:
    door.install("moo[fast]")
    assert door.versions()["turbo"] == "0.1"


def test_several_specs_are_one_transaction(door: Door) -> None:
    document = door.install("moo==1.0", "herd<2", "turbo", "--json").json()
    linked = {row["name"]: row["version"] for row in document["actions"]["LINK"]}
    assert linked == {"moo": "1.0", "herd": "1.5", "turbo": "0.1"}


def test_what_channels_have_comes_from_channels(
    door: Door, extra_channel: Path, channel: Path, index: IndexServer
) -> None:
    make_conda_package(
        extra_channel, "herd", "1.2", {"site-packages/herd.py": "origin = 'channel'\n"}, ["python"]
    )
    index_channel(extra_channel)
    door.conda.home.use_channels(extra_channel, channel)
    document = door.install("moo", "--json").json()
    origins = {row["name"]: row["origin"] for row in document["actions"]["LINK"]}
    assert origins["herd"] == "channel"
    assert origins["moo"] == "pypi"
    assert door.python("-c", "import herd; print(herd.origin)") == "channel\n"
    assert index.count("/simple/herd/") == 0


def test_a_name_that_no_project_can_have_is_the_channels(
    door: Door, extra_channel: Path, channel: Path, index: IndexServer
) -> None:
    for version in ("1.2", "1.3"):
        make_conda_package(extra_channel, "barn_linux-64", version, {"share/barn": version}, [])
    index_channel(extra_channel)
    door.conda.home.use_channels(extra_channel, channel)
    document = door.install("barn_linux-64<1.3", "moo", "--json").json()
    origins = {row["name"]: row["origin"] for row in document["actions"]["LINK"]}
    assert origins["barn_linux-64"] == "channel" and origins["moo"] == "pypi"
    document = door.install("-U", "barn_linux-64", "--json").json()
    assert {row["name"]: row["version"] for row in document["actions"]["LINK"]} == {"barn_linux-64": "1.3"}
    assert (door.prefix / "share" / "barn").read_text() == "1.3"


def test_a_request_that_is_satisfied_already_does_nothing_and_asks_no_index(
    door: Door, index: IndexServer
) -> None:
    door.install("moo")
    before = snapshot(door.prefix)
    index.calls.clear()
    result = door.install("moo>=1")
    assert "already installed" in result.stdout
    assert not index.calls
    assert not diff(before, snapshot(door.prefix))


def test_dry_run_changes_no_file_of_prefix_and_package_cache(door: Door) -> None:
    home = door.conda.home
    door.install("turbo")  # so that folders are there
    # conda keeps what it has read of channels in the folder `cache` of its package cache
    prefix, packages = snapshot(door.prefix), snapshot(home.pkgs, ignore=["cache"])
    cached = snapshot(home.path / ".cache" / "conda-pypi-bridge" / "pkgs")
    result = door.install("--dry-run", "moo")
    assert "moo" in result.stdout
    assert not diff(prefix, snapshot(door.prefix))
    assert not diff(packages, snapshot(home.pkgs, ignore=["cache"]))
    assert not diff(cached, snapshot(home.path / ".cache" / "conda-pypi-bridge" / "pkgs"))


@pytest.mark.parametrize("flags", [[], ["--dry-run"]], ids=["", "dry-run"])
def test_json_is_one_document_in_condas_shape(door: Door, flags: list[str]) -> None:
    document = door.install("moo", "--json", *flags).json()
    assert document["success"] is True
    assert document["prefix"] == str(door.prefix)
    rows = {row["name"]: row for row in document["actions"]["LINK"]}
    row = rows["moo"]
    assert row["version"] == "2.0"
    assert (row["origin"], row["channel"]) == ("pypi", "pypi-bridge")
    assert row["wheel"] == "moo-2.0-py3-none-any.whl"
    assert row["url"].endswith("/moo-2.0-py3-none-any.whl")
    assert len(row["sha256"]) == 64
    assert set(row) >= {"base_url", "build_number", "build_string", "dist_name", "platform"}


def test_the_table_at_the_end_tells_where_everything_came_from(door: Door) -> None:
    output = door.install("moo").stdout
    rows = {line.split()[0]: line.split()[1:] for line in output.splitlines() if line}
    assert rows["moo"] == ["2.0", "PyPI", "requested"]
    assert rows["herd"] == ["1.5", "PyPI", "required", "by", "moo", "2.0"]
    assert "from PyPI" in output.splitlines()[-2]


def test_no_deps_installs_the_named_package_alone(door: Door) -> None:
    door.install("--no-deps", "moo")
    assert door.versions() == {"moo": "2.0"}


def test_pre_releases_need_to_be_asked_for(door: Door, index: IndexServer) -> None:
    index.add("moo", "3.0rc1")
    door.install("--no-deps", "moo")
    assert door.versions()["moo"] == "2.0"
    door.install("--no-deps", "--pre", "moo>2.0")
    assert door.versions()["moo"] == "3.0rc1"


def test_offline_installs_what_is_cached_and_names_what_is_not(door: Door) -> None:
    door.install("moo==1.0")
    door.remove("moo")
    door.install("--offline", "moo==1.0")
    assert door.versions()["moo"] == "1.0"
    assert "offline" in door.refused("--offline", "turbo")


def test_a_binary_wheel_is_a_package_of_its_platform(
    door: Door, index: IndexServer, pythons: list[Interpreter]
) -> None:
    abi = pythons[0].abi
    index.add("fast", "1.0", tags=f"{abi}-{abi}-{PLATFORM}", files={"fast.py": "", "_fast.so": b"\x7fELF"})
    document = door.install("fast", "--json").json()
    (row,) = document["actions"]["LINK"]
    assert row["platform"] == "linux-64"
    assert door.conda.packages(door.prefix)["fast"]["platform"] == "linux-64"


def test_upgrade_brings_what_is_named_to_its_newest_version(door: Door, index: IndexServer) -> None:
    door.install("moo==1.0", "herd==1.5")
    door.install("moo")
    assert door.versions()["moo"] == "1.0"
    door.install("--upgrade", "moo")
    assert (door.versions()["moo"], door.versions()["herd"]) == ("2.0", "1.5")
    index.add("moo", "1.9")
    assert "already installed" in door.install("-U", "moo").stdout
    assert door.versions()["moo"] == "2.0"


def test_a_requirements_file_is_installed(door: Door, tmp_path: Path, index: IndexServer) -> None:
    path = tmp_path / "requirements.txt"
    path.write_text("# the herd\nmoo >=2 ; python_version >= '3'\nherd==1.5\n")
    door.install("-r", path)
    assert door.versions()["moo"] == "2.0"


def test_a_channel_package_that_bounds_python_is_taken_where_it_fits(
    door: Door, extra_channel: Path, channel: Path, index: IndexServer
) -> None:
    for version, python in ("1.2", "python >=3.7"), ("1.9", "python >=3.99"):
        make_python_package(extra_channel, "herd", version, depends=[python])
    index_channel(extra_channel)
    door.conda.home.use_channels(extra_channel, channel)
    rows = door.install("moo", "--json").json()["actions"]["LINK"]
    assert {row["name"]: row["version"] for row in rows if row["origin"] == "channel"} == {"herd": "1.2"}


def test_what_something_else_deleted_is_installed_again(door: Door) -> None:
    door.install("turbo")
    site = site_packages(door.prefix)
    for path in [site / "turbo.py", *(site / "turbo-0.1.dist-info").iterdir()]:
        path.unlink()
    (site / "turbo-0.1.dist-info").rmdir()
    door.install("turbo")
    assert door.versions() == {"turbo": "0.1"}
    door.python("-c", "import turbo")


def test_an_environment_file_is_installed_with_its_channels_and_its_pip_section(
    door: Door, tmp_path: Path, extra_channel: Path
) -> None:
    make_python_package(extra_channel, "sheep", "1.0")
    index_channel(extra_channel)
    path = tmp_path / "environment.yml"
    lines = (f"channels: [{extra_channel.as_uri()}]", "dependencies: [sheep, pip: ['moo[fast]==2.*']]")
    path.write_text("\n".join(lines))
    door.install("-r", path)
    channels = {name: row["channel"] for name, row in door.conda.packages(door.prefix).items()}
    assert channels["sheep"] == "extra"
    assert channels["moo"] == channels["turbo"] == "pypi-bridge"


def test_a_requirement_of_what_pip_placed_is_respected(door: Door, tmp_path: Path) -> None:
    for name, version, requires in ("shepherd", "1.0", ["herd<3"]), ("herd", "2.0", []):
        wheel = make_wheel(tmp_path, name, version, requires=requires)
        pip = [sys.executable, "-m", "pip", "--python", python_of(door.prefix), "install", "-q", "--no-deps"]
        subprocess.run([*pip, "--no-index", wheel], check=True)
    message = door.refused("herd==3.0")
    assert "shepherd" in message
    assert door.versions()["herd"] == "2.0"


def test_what_pip_placed_and_must_go_is_named(door: Door, tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path, "herd", "0.5")
    pip = [sys.executable, "-m", "pip", "--python", python_of(door.prefix), "install", "-q", "--no-deps"]
    subprocess.run([*pip, "--no-index", wheel], check=True)
    told = door.install("moo").stderr
    assert "herd 0.5, which pip placed here, is replaced" in told
    assert door.versions()["herd"] == "1.5"


def test_packages_survive_another_minor_version_of_python(door: Door, pythons: list[Interpreter]) -> None:
    if len(pythons) < 2:
        pytest.skip("this machine has one CPython only, so there is no other minor version to go to")
    door.install("moo")
    door.install(f"python={pythons[1].minor}", "turbo")
    assert door.versions() == {
        "moo": "2.0", "herd": "1.5", "milk": "1.1.4", "fridge": "1.2", "turbo": "0.1"
    }  # fmt: skip
    assert door.python("-c", "import moo; moo.main()") == "moo 2.0\n"


def test_constraints_limit_without_asking(door: Door, tmp_path: Path) -> None:
    (tmp_path / "limits.txt").write_text("herd<1.5\nunrelated<3\n")
    (tmp_path / "requirements.txt").write_text("-c limits.txt\nmoo>=2\n")
    index_message = door.refused("-r", tmp_path / "requirements.txt")
    assert "herd" in index_message
    (tmp_path / "limits.txt").write_text("herd<2\nunrelated<3\n")
    door.install("-r", tmp_path / "requirements.txt")
    assert door.versions()["herd"] == "1.5"


def test_no_password_is_left_behind(door: Door, index: IndexServer) -> None:
    secret = index.url.replace("://", "://somebody:CANARY@")
    result = replace(door, index=("-i", secret)).install("moo==1.0", "-vv")
    assert "CANARY" not in result.stdout + result.stderr
    for folder in (door.prefix / "conda-meta", door.conda.home.path / ".cache", door.conda.home.pkgs):
        for path in folder.rglob("*"):
            assert not path.is_file() or b"CANARY" not in path.read_bytes()


def test_conda_offline_counts(door: Door, index: IndexServer) -> None:
    result = door.install("turbo", check=False, env={"CONDA_OFFLINE": "1"})
    assert result.returncode == 1
    assert not index.calls


def test_an_unknown_extra_warns_and_lists_the_known_ones(door: Door) -> None:
    result = door.install("moo[nosuch]")
    assert "moo 2.0 has no extra 'nosuch' (it has: fast)" in result.stderr
    assert door.versions()["moo"] == "2.0"
    assert "moo_extra_nosuch" not in door.conda.packages(door.prefix)


# -- refusals: one clear line, exit status 1, nothing changed ------------------------------------------


@pytest.fixture
def untouched(door: Door) -> Iterator[None]:
    before = snapshot(door.prefix)
    yield
    assert not diff(before, snapshot(door.prefix))


@pytest.mark.usefixtures("untouched")
def test_a_name_that_exists_nowhere(door: Door) -> None:
    message = door.refused("mooo")
    assert "error: no package named 'mooo'" in message
    assert "spelling" in message


@pytest.mark.usefixtures("untouched")
def test_a_project_that_has_only_an_sdist(door: Door, index: IndexServer) -> None:
    index.pages["sourced"] = [
        {
            "filename": "sourced-1.0.tar.gz",
            "url": "../../files/sourced-1.0.tar.gz",
            "hashes": {"sha256": "0" * 64},
        }
    ]
    message = door.refused("sourced")
    assert "sourced: the index has only source distributions (sourced-1.0.tar.gz)" in message


@pytest.mark.usefixtures("untouched")
def test_an_index_that_cannot_be_reached(door: Door) -> None:
    unreachable = replace(door, index=("-i", NO_INDEX))
    message = unreachable.refused("moo")
    assert "127.0.0.1:9" in message
    assert len(message.strip().splitlines()) <= 4


@pytest.mark.usefixtures("untouched")
def test_a_python_that_no_wheel_supports(door: Door, index: IndexServer) -> None:
    index.add("future", "1.0", requires_python=">=4")
    assert "future: 1.0 needs Python >=4" in door.refused("future")
    index.add("other", "1.0", tags="cp27-cp27m-win32")
    assert "none fits Python" in door.refused("other")


@pytest.mark.usefixtures("untouched")
def test_a_version_that_does_not_exist(door: Door) -> None:
    assert "moo: no version matches ==9" in door.refused("moo==9")


def test_a_read_only_prefix(door: Door) -> None:
    before = snapshot(door.prefix)
    folders = [door.prefix, door.prefix / "conda-meta"]
    modes = [folder.stat().st_mode for folder in folders]
    try:
        for folder in folders:
            folder.chmod(0o555)  # root could write all the same: marked read-only is read-only
        message = door.refused("moo")
    finally:
        for folder, mode in zip(folders, modes, strict=True):
            folder.chmod(mode)
    assert "read-only" in message
    assert not diff(before, snapshot(door.prefix))


@pytest.mark.usefixtures("untouched")
def test_requests_that_cannot_be_met_together(door: Door) -> None:
    message = door.refused("moo==2.0", "herd>=3")
    assert "herd" in message


def test_a_wheel_that_would_write_over_another_packages_file(
    door: Door, index: IndexServer, extra_channel: Path, channel: Path
) -> None:
    make_python_package(extra_channel, "victim", "1.0")
    index_channel(extra_channel)
    door.conda.home.use_channels(extra_channel, channel)
    door.conda("install", "-p", door.prefix, "-y", "victim")
    before = snapshot(door.prefix)
    index.add("evil", "1.0", files={"victim.py": "stolen = True\n"})
    message = door.refused("evil")
    assert "victim.py, which belongs to victim" in message
    assert not diff(before, snapshot(door.prefix))


def test_errors_in_json_are_one_document(door: Door) -> None:
    result = door.install("mooo", "--json", check=False)
    document = result.json()
    assert result.returncode == 1
    assert document["success"] is False
    assert "mooo" in document["error"] and document["message"]


# -- build ---------------------------------------------------------------------------------------------


def build(door: Door, *args: str | Path, **options: object) -> Result:
    return door.call(*door.verb_words, "build", "-p", door.prefix, *door.index, *args, **options)


def test_build_writes_files_that_conda_installs_from_a_channel(
    door: Door, extra_channel: Path, channel: Path, tmp_path: Path
) -> None:
    result = build(door, "-o", extra_channel / "noarch", "moo", "--json")
    names = [package["name"] for package in result.json()["packages"]]
    assert names == ["fridge", "herd", "milk", "milk_extra_cold", "moo"]
    assert door.versions() == {}
    index_channel(extra_channel)
    door.conda.home.use_channels(extra_channel, channel)
    door.conda("install", "-p", door.prefix, "-y", "moo")
    assert door.python("-c", "import moo; moo.main()") == "moo 2.0\n"


def test_build_is_the_same_whatever_is_installed(door: Door, tmp_path: Path) -> None:
    build(door, "-o", tmp_path / "one", "moo")
    door.install("herd==1.5", "fridge")
    build(door, "-o", tmp_path / "two", "moo")
    assert not diff(snapshot(tmp_path / "one"), snapshot(tmp_path / "two"))


def test_build_of_a_wheel_file_needs_no_index(door: Door, tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path, "own", "1.0+local.1", requires=["herd>=1"])
    offline = replace(door, index=("-i", NO_INDEX))
    (package,) = build(offline, "-o", tmp_path / "out", wheel, "--json").json()["packages"]
    assert package["version"] == "1.0"
    assert package["build_string"].startswith("local_1_py_")
    assert Path(package["path"]).parent == tmp_path / "out"


def test_build_without_dependencies(door: Door, tmp_path: Path) -> None:
    build(door, "-o", tmp_path, "--no-deps", "moo")
    assert [path.name.split("-")[0] for path in tmp_path.glob("*.conda")] == ["moo"]


def test_build_refuses_what_is_no_wheel(door: Door, tmp_path: Path) -> None:
    (tmp_path / "moo.whl").write_bytes(b"PK")
    result = build(door, "-o", tmp_path / "out", tmp_path / "moo.whl", check=False)
    assert result.returncode == 1
    assert "not named as a wheel" in result.stderr
    assert not (tmp_path / "out").exists()


def test_hooks_need_to_be_accepted(door: Door, index: IndexServer) -> None:
    script = {"{data}/data/etc/conda/activate.d/hooked.sh": "export HOOKED=1\n", "hooked.py": ""}
    index.add("hooked", "1.0", files=script)
    before = snapshot(door.prefix)
    assert "activate.d" in door.refused("hooked")
    assert not diff(before, snapshot(door.prefix))
    door.install("--allow-hooks", "hooked")
    assert (door.prefix / "etc" / "conda" / "activate.d" / "hooked.sh").is_file()


def test_no_code_of_a_package_runs_while_it_is_installed_and_removed(
    door: Door, index: IndexServer, tmp_path: Path
) -> None:
    ran = tmp_path / "ran"
    code = f"open({str(ran)!r}, 'a').write(__file__)\n"
    names = ("evil/__init__.py", "evil/__main__.py", "setup.py", "conftest.py", "{data}/scripts/evil-setup")
    index.add("evil", "1.0", files=dict.fromkeys(names, code), entry_points={"evil": "evil:main"})
    door.install("evil")
    assert (site_packages(door.prefix) / "evil" / "__init__.py").read_text() == code
    door.remove("evil")
    assert not ran.exists()


def test_a_file_that_every_start_of_python_reads_is_named(
    door: Door, index: IndexServer, tmp_path: Path
) -> None:
    """conda starts the environment's Python to compile byte-code, which reads such files then."""
    ran = tmp_path / "ran"
    index.add("evil", "1.0", files={"evil.py": "", "evil.pth": f"import os; open({str(ran)!r}, 'w')\n"})
    told = door.install("evil").stderr
    assert "warning: evil-1.0-py3-none-any.whl: evil.pth is read at every start of Python" in told
    assert bool(door.verb_words) == ran.exists()


def test_what_does_not_fit_onto_the_disk_is_not_begun(door: Door, index: IndexServer) -> None:
    index.add("whale", "1.0", requires=["moo==1.0"], entry={"size": 10**18})
    before = snapshot(door.prefix)
    message = door.refused("whale")
    assert "not enough room: 1000000000000.0 MB are to come" in message
    assert index.count(r"\.whl$") == 0
    assert not diff(before, snapshot(door.prefix))


def test_what_a_power_cut_took_from_a_cached_package_is_made_anew(door: Door, home: Home) -> None:
    door.install("moo==1.0")
    (cached,) = (path for path in home.path.rglob("moo-1.0-*/site-packages/moo.py") if path.is_file())
    content = cached.read_bytes()
    door.remove("moo")
    cached.unlink()
    cached.touch()
    started = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
    os.utime(cached.parents[1] / "info" / "index.json", (started - 60, started - 60))
    door.install("moo==1.0")
    assert cached.read_bytes() == content
    assert door.python("-c", "import moo; moo.main()") == "moo 1.0\n"
