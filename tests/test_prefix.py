"""What is in a prefix: told from files, checked against real conda, pip and venv."""

from __future__ import annotations

import datetime as dt
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import rattler
from packaging.requirements import Requirement
from packaging.version import Version

from conda_pypi_bridge.errors import PrefixError
from conda_pypi_bridge.model import InstalledDist, Row
from conda_pypi_bridge.prefix import (
    append_history,
    dist_mapping,
    files_of,
    is_writable,
    locate,
    own_subdir,
    prune_empty,
    read_prefix,
    refuse_system_python,
    requested_specs,
)
from conda_pypi_bridge.prefix.health import read_health
from conda_pypi_bridge.prefix.interpreter import subdir_of
from tests.lab.channels import index_channel, make_conda_package, make_python_package
from tests.lab.condas import Conda, python_of, site_packages
from tests.lab.pythons import Interpreter
from tests.wheels import make_wheel


def pip_install(prefix: Path, *args: str | Path) -> None:
    """What a user's ``pip install`` leaves in the prefix."""
    command: list[str | Path] = [
        sys.executable,
        "-m",
        "pip",
        "--python",
        python_of(prefix),
        "install",
        "--no-index",
        "--no-deps",
    ]
    subprocess.run([*command, "--quiet", *args], check=True, stdin=subprocess.DEVNULL)


def dist(prefix: Path, project: str) -> InstalledDist:
    (found,) = (dist for dist in read_prefix(prefix).dists if dist.project == project)
    return found


@pytest.fixture
def wheel(tmp_path: Path) -> Path:
    """A wheel with a package, a script, a data file and a console entry point."""
    return make_wheel(
        tmp_path / "wheels",
        "Foo.Bar",
        "1.5",
        requires=["numpy>=1.2", "colorama; sys_platform == 'win32'"],
        files={
            "foo_bar/__init__.py": "",
            "foo_bar/sub/deep.py": "x = 1\n",
            "{data}/scripts/foo-script": "#!python\nprint(1)\n",
            "{data}/data/share/foo/note.txt": "note\n",
        },
        entry_points={"foo-run": "foo_bar:main"},
    )


# -- a virtual environment ---------------------------------------------------------------------------


def test_a_virtual_environment_tells_its_python(venv: Path) -> None:
    python = read_prefix(venv).python
    assert python is not None
    asked = subprocess.run(
        [
            python.executable,
            "-c",
            "import sys, sysconfig; print(sys.version.split()[0], sysconfig.get_path('purelib'))",
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    assert asked.stdout.split() == [str(python.version), str(python.site_packages)]
    assert (python.implementation, python.is_venv) == (sys.implementation.name, True)


def test_a_virtual_environment_of_another_tool_tells_its_python(tmp_path: Path) -> None:
    """virtualenv and uv write ``version_info``; keys are read without regard to case."""
    folder = make_venv(tmp_path, "implementation = CPython\nVersion_Info = 3.13.0.final.0\n", "python3.13t")
    python = read_prefix(folder, windows=False).python
    assert python is not None
    assert (str(python.version), python.free_threaded) == ("3.13.0", True)
    assert python.site_packages == folder / "lib" / "python3.13t" / "site-packages"


def test_a_pypy_is_told_by_its_folder(tmp_path: Path) -> None:
    python = read_prefix(make_venv(tmp_path, "version = 3.10.14\n", "pypy3.10"), windows=False).python
    assert python is not None
    assert (python.implementation, str(python.version)) == ("pypy", "3.10.14")


def test_a_virtual_environment_on_windows_has_other_folders(tmp_path: Path) -> None:
    make_venv(tmp_path, "version = 3.12.1\n", "python3.12")
    (tmp_path / "Scripts").mkdir()
    (tmp_path / "Scripts" / "python.exe").touch()
    python = read_prefix(tmp_path, windows=True).python
    assert python is not None
    assert python.executable == tmp_path / "Scripts" / "python.exe"
    assert python.site_packages == tmp_path / "Lib" / "site-packages"


def test_this_platform_is_called_as_rattler_calls_it() -> None:
    assert own_subdir() == str(rattler.Subdir.current())


@pytest.mark.parametrize(
    ("system", "machine", "wide", "subdir"),
    [
        ("linux", "x86_64", True, "linux-64"),
        ("linux", "x86_64", False, "linux-32"),
        ("linux", "i686", False, "linux-32"),
        ("linux", "aarch64", True, "linux-aarch64"),
        ("linux", "aarch64", False, "linux-armv7l"),
        ("linux", "ppc64le", True, "linux-ppc64le"),
        ("darwin", "x86_64", True, "osx-64"),
        ("darwin", "arm64", True, "osx-arm64"),
        ("win32", "AMD64", True, "win-64"),
        ("win32", "AMD64", False, "win-32"),
        ("win32", "ARM64", True, "win-arm64"),
    ],
)
def test_platforms_are_called_as_conda_calls_them(system: str, machine: str, wide: bool, subdir: str) -> None:
    assert subdir_of(system, machine, wide=wide) == subdir


@pytest.mark.parametrize(
    ("config", "folder", "reason"),
    [
        ("home = /x\n", "python3.12", "does not tell the version"),
        ("home = /h\udce9\n", "python3.12", "does not tell the version"),
        ("version = 3.12.1\n", "python3.11", "no single site-packages"),
        ("version = 3.12.1\n", "", "no single site-packages"),
    ],
)
def test_a_broken_virtual_environment_is_refused(
    tmp_path: Path, config: str, folder: str, reason: str
) -> None:
    make_venv(tmp_path, config, folder)
    with pytest.raises(PrefixError, match=reason):
        _ = read_prefix(tmp_path, windows=False).python


def test_a_virtual_environment_whose_interpreter_is_gone_is_refused(tmp_path: Path) -> None:
    make_venv(tmp_path, "version = 3.12.1\n", "python3.12")
    (tmp_path / "bin" / "python").unlink()
    (tmp_path / "bin" / "python").symlink_to("/nowhere/python3")
    with pytest.raises(PrefixError, match="is gone"):
        _ = read_prefix(tmp_path, windows=False).python


def make_venv(folder: Path, config: str, library: str) -> Path:
    """The files of a virtual environment of a Python that this machine need not have."""
    (folder / "pyvenv.cfg").write_text(config, "utf-8", "surrogateescape")
    (folder / "bin").mkdir()
    (folder / "bin" / "python").touch()
    if library:
        (folder / "lib" / library / "site-packages").mkdir(parents=True)
    return folder


# -- what pip placed ---------------------------------------------------------------------------------


def test_what_pip_placed_is_seen_with_its_requirements_and_files(venv: Path, wheel: Path) -> None:
    pip_install(venv, wheel)
    found = dist(venv, "foo-bar")
    assert (found.version, found.owner) == (Version("1.5"), None)
    assert found.requires == (Requirement("numpy>=1.2"), Requirement("colorama; sys_platform == 'win32'"))
    site = site_packages(venv).relative_to(venv).as_posix()
    assert {"bin/foo-run", "bin/foo-script", "share/foo/note.txt", f"{site}/foo_bar/sub/deep.py"} <= set(
        found.files
    )
    assert dist_mapping(read_prefix(venv)) == {}


def test_deleting_the_files_of_a_distribution_leaves_no_trace_of_it(venv: Path, wheel: Path) -> None:
    before = tree(venv)
    pip_install(venv, wheel)
    # Bytecode that the interpreter wrote later is in no RECORD.
    subprocess.run([python_of(venv), "-m", "compileall", "-q", site_packages(venv) / "foo_bar"], check=True)
    files = files_of(read_prefix(venv), dist(venv, "foo-bar"))
    for file in files:
        file.unlink()
    prune_empty(read_prefix(venv), files)
    assert tree(venv) == before


def tree(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*")}


@pytest.mark.parametrize("line", ["../../../../outside.txt,,\n", "/etc/hostname,,\n", "link/inside.txt,,\n"])
def test_a_distribution_that_lists_files_outside_of_the_prefix_is_not_deleted(
    venv: Path, wheel: Path, tmp_path: Path, line: str
) -> None:
    (tmp_path / "outside.txt").touch()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "inside.txt").touch()
    pip_install(venv, wheel)
    site = site_packages(venv)
    (site / "link").symlink_to(tmp_path / "elsewhere")
    with (site / "foo_bar-1.5.dist-info" / "RECORD").open("a") as record:
        record.write(line)
    with pytest.raises(PrefixError, match="outside"):
        files_of(read_prefix(venv), dist(venv, "foo-bar"))


def test_a_distribution_without_record_is_not_deleted(venv: Path, wheel: Path) -> None:
    pip_install(venv, wheel)
    (site_packages(venv) / "foo_bar-1.5.dist-info" / "RECORD").unlink()
    with pytest.raises(PrefixError, match="no list of its files") as caught:
        files_of(read_prefix(venv), dist(venv, "foo-bar"))
    assert "pip uninstall foo-bar" in caught.value.hint


#: No end of a quotation, for so long that `csv` gives up.
ENDLESS = b'"foo_bar/a.py,,\n' + b"foo_bar/b.py,sha256=abc,12\n" * 10_000


def test_a_distribution_whose_record_cannot_be_read_is_not_deleted(venv: Path, wheel: Path) -> None:
    pip_install(venv, wheel)
    with (site_packages(venv) / "foo_bar-1.5.dist-info" / "RECORD").open("ab") as record:
        record.write(ENDLESS)
    with pytest.raises(PrefixError, match="no list of its files"):
        files_of(read_prefix(venv), dist(venv, "foo-bar"))
    states = {state.folder: state for state in read_health(venv, environ={}, home=venv).dists}
    assert not states["foo_bar-1.5.dist-info"].has_record


@pytest.mark.parametrize(
    "row", ["foo_bar/\0.py,,", "foo_bar/gone.py,,\u00b2", f"foo_bar/gone.py,,{'9' * 5000}"]
)
def test_whatever_a_record_says_health_is_told(venv: Path, wheel: Path, row: str) -> None:
    """A NUL, which older `csv` modules do not read, digits that are none, more of them than `int` reads."""
    pip_install(venv, wheel)
    with (site_packages(venv) / "foo_bar-1.5.dist-info" / "RECORD").open("a", encoding="utf-8") as record:
        record.write(f"{row}\n")
    states = {state.folder: state for state in read_health(venv, environ={}, home=venv).dists}
    state = states["foo_bar-1.5.dist-info"]
    assert not state.has_record or state.missing


def test_an_editable_install_is_not_deleted(venv: Path, wheel: Path) -> None:
    pip_install(venv, wheel)
    info = site_packages(venv) / "foo_bar-1.5.dist-info"
    (info / "direct_url.json").write_text('{"url": "file:///src", "dir_info": {"editable": true}}')
    with (info / "RECORD").open("a") as record:
        record.write("foo_bar-1.5.dist-info/direct_url.json,,\n")
    with pytest.raises(PrefixError, match="editable"):
        files_of(read_prefix(venv), dist(venv, "foo-bar"))


def test_old_metadata_formats_are_seen_too(venv: Path) -> None:
    folder = site_packages(venv) / "old_thing.egg-info"
    folder.mkdir()
    (folder / "PKG-INFO").write_text("Metadata-Version: 1.2\nName: Old_Thing\nVersion: 0.9\n")
    (folder / "requires.txt").write_text("six>=1.5\n\n[test]\npytest\n")
    (site_packages(venv) / "flat-2.0-py3.11.egg-info").write_text(
        "Metadata-Version: 1.0\nName: flat\nVersion: 2.0\n"
    )
    old, flat = dist(venv, "old-thing"), dist(venv, "flat")
    assert old.requires == (Requirement("six>=1.5"), Requirement('pytest; extra == "test"'))
    assert (str(old.version), str(flat.version)) == ("0.9", "2.0")


def test_what_cannot_be_read_of_a_distribution_is_reported(venv: Path) -> None:
    for folder, text in {
        "bad-1.dist-info": "Name: bad\nVersion: not a version\n",
        "anon-1.dist-info": "Version: 1\n",
        "odd-1.dist-info": "Name: odd\nVersion: 1\nRequires-Dist: x (>=1.*.y)\nRequires-Dist: six\n",
        "empty-1.dist-info": "",
    }.items():
        (site_packages(venv) / folder).mkdir()
        (site_packages(venv) / folder / "METADATA").write_text(text)
    (odd,) = read_prefix(venv).dists
    assert (odd.project, odd.requires, odd.unreadable) == ("odd", (Requirement("six"),), ("x (>=1.*.y)",))
    states = {state.folder: state for state in read_health(venv, environ={}, home=venv, deep=False).dists}
    for folder in ("bad-1.dist-info", "anon-1.dist-info", "odd-1.dist-info", "empty-1.dist-info"):
        assert [problem.partition(":")[0] for problem in states[folder].problems] == [folder]


# -- a conda environment -----------------------------------------------------------------------------


def test_a_conda_environment_tells_its_python(conda_env: Path, pythons: list[Interpreter]) -> None:
    python = read_prefix(conda_env).python
    assert python is not None
    assert str(python.version) == pythons[0].version
    assert (python.executable, python.is_venv) == (python_of(conda_env), False)
    assert python.site_packages == site_packages(conda_env)


@pytest.mark.parametrize(
    ("record", "windows", "expected"),
    [
        ({"build": "h1_0_cpython"}, False, ("cpython", False, "bin/python", "lib/python3.13/site-packages")),
        ({"build": "h1_0_cpython"}, True, ("cpython", False, "python.exe", "Lib/site-packages")),
        ({"build": "0_73_pypy"}, False, ("pypy", False, "bin/python", "lib/pypy3.13/site-packages")),
        (
            {"build": "h1_2_cp313t", "python_site_packages_path": "lib/python3.13t/site-packages"},
            False,
            ("cpython", True, "bin/python", "lib/python3.13t/site-packages"),
        ),
    ],
)
def test_the_record_of_python_tells_implementation_and_folders(
    tmp_path: Path, record: dict[str, str], windows: bool, expected: tuple[str, bool, str, str]
) -> None:
    (tmp_path / "conda-meta").mkdir()
    full = {"name": "python", "version": "3.13.2", "files": ["bin/python"], **record}
    (tmp_path / "conda-meta" / "python.json").write_text(json.dumps(full))
    python = read_prefix(tmp_path, windows=windows).python
    assert python is not None
    implementation, free_threaded, executable, site = expected
    assert (python.implementation, python.free_threaded) == (implementation, free_threaded)
    assert (python.executable, python.site_packages) == (tmp_path / executable, tmp_path / site)


def test_conda_packages_own_the_distributions_they_placed(
    conda: Conda, conda_env: Path, extra_channel: Path, channel: Path, wheel: Path
) -> None:
    vendored = {
        "site-packages/holder/__init__.py": "",
        "site-packages/holder/_vendor/six-1.0.dist-info/METADATA": "Name: six\nVersion: 1.0\n",
        "site-packages/Real_Holder-3.0.dist-info/METADATA": "Name: Real.Holder\nVersion: 3.0\n",
    }
    make_conda_package(extra_channel, "holder", "3.0", vendored, ["python"])
    make_python_package(extra_channel, "msgpack", "1.0")
    index_channel(extra_channel)
    conda.home.use_channels(extra_channel, channel)
    conda("install", "-p", conda_env, "holder", "msgpack")
    pip_install(conda_env, wheel)
    prefix = read_prefix(conda_env)
    assert {d.project: d.owner for d in prefix.dists} == {
        "real-holder": "holder",
        "msgpack": "msgpack",
        "foo-bar": None,
    }
    assert dist_mapping(prefix) == {"real-holder": "holder", "msgpack": "msgpack"}
    with pytest.raises(PrefixError, match="belongs to the conda package holder"):
        files_of(prefix, dist(conda_env, "real-holder"))


def test_files_that_a_conda_package_lists_too_are_not_pips_to_delete(
    conda: Conda, conda_env: Path, extra_channel: Path, channel: Path, wheel: Path
) -> None:
    shared = "site-packages/foo_bar/__init__.py"
    make_conda_package(extra_channel, "namespace", "1", {shared: ""}, ["python"])
    index_channel(extra_channel)
    conda.home.use_channels(extra_channel, channel)
    conda("install", "-p", conda_env, "namespace")
    pip_install(conda_env, wheel)
    files = files_of(read_prefix(conda_env), dist(conda_env, "foo-bar"))
    assert site_packages(conda_env) / "foo_bar" / "sub" / "deep.py" in files
    assert site_packages(conda_env) / "foo_bar" / "__init__.py" not in files


def test_a_project_that_two_conda_packages_claim_is_not_mapped(tmp_path: Path) -> None:
    (tmp_path / "conda-meta").mkdir()
    site = "lib/python3.11/site-packages"
    for record in (
        {"name": "python", "version": "3.11.7", "build": "0", "files": ["bin/python"]},
        {"name": "one", "files": [f"{site}/shared-1.dist-info/METADATA"]},
        # conda keeps the package's own path of a noarch file in paths_data.
        {"name": "two", "paths_data": {"paths": [{"_path": "site-packages/shared-1.dist-info/RECORD"}]}},
        {
            "name": "three",
            "files": [f"{site}/ruamel.yaml-0.18.dist-info/METADATA", f"{site}/a-b-2.0-py3.11.egg-info"],
        },
    ):
        (tmp_path / "conda-meta" / f"{record['name']}.json").write_text(json.dumps(record))
    assert dist_mapping(read_prefix(tmp_path, windows=False)) == {"ruamel-yaml": "three", "a-b": "three"}


def test_the_record_of_an_adopted_interpreter_does_not_hide_the_virtual_environment(venv: Path) -> None:
    (venv / "conda-meta").mkdir()
    record = {"name": "python", "version": "3.11.7", "build": "venv", "files": []}
    (venv / "conda-meta" / "python.json").write_text(json.dumps(record))
    python = read_prefix(venv).python
    assert python is not None
    assert python.is_venv


def test_a_python_without_a_version_is_refused(tmp_path: Path) -> None:
    (tmp_path / "conda-meta").mkdir()
    (tmp_path / "conda-meta" / "python.json").write_text('{"name": "python", "files": ["bin/python"]}')
    with pytest.raises(PrefixError, match="version that cannot be read"):
        _ = read_prefix(tmp_path).python


def test_a_damaged_record_is_named(tmp_path: Path) -> None:
    (tmp_path / "conda-meta").mkdir()
    (tmp_path / "conda-meta" / "half-1-0.json").write_text('{"name": "ha')
    with pytest.raises(PrefixError, match=r"half-1-0\.json"):
        _ = read_prefix(tmp_path).conda_meta


def test_pins_and_the_mark_of_a_frozen_environment_are_read(tmp_path: Path) -> None:
    meta = tmp_path / "conda-meta"
    meta.mkdir()
    assert (read_prefix(tmp_path).pinned, read_prefix(tmp_path).frozen) == ((), None)
    (meta / "pinned").write_text("# mine\nnumpy 1.26.*\n\n  python=3.11  \n")
    (meta / "frozen").write_text("")
    assert read_prefix(tmp_path).pinned == ("numpy 1.26.*", "python=3.11")
    assert read_prefix(tmp_path).frozen == ""
    (meta / "frozen").write_text('{"message": "Ask the admins."}')
    assert read_prefix(tmp_path).frozen == "Ask the admins."


# -- history -----------------------------------------------------------------------------------------


def test_requested_specs_are_read_as_conda_reads_them() -> None:
    text = """\
==> 2018-01-01 00:00:00 <==
# cmd: conda install old
# install specs: param >=1.5.1,<2.0,old
==> 2024-01-01 00:00:00 <==
# cmd: conda create -n x python=3.11 flask
# conda version: 24.7.1
+ch/noarch::flask-3.0-0
# update specs: ['python=3.11', "conda-forge::flask[version='>=3']", 'Gone']
==> 2024-01-02 00:00:00 <==
# remove specs: ['gone']
# neutered specs: ['python']
"""
    assert requested_specs(text) == {
        "param": "param >=1.5.1,<2.0",
        "old": "old",
        "python": "python",
        "flask": "conda-forge::flask[version='>=3']",
    }


def test_what_conda_was_asked_for_is_read_back(
    conda: Conda, conda_env: Path, pythons: list[Interpreter]
) -> None:
    assert read_prefix(conda_env).requested == {"python": f"python={pythons[0].version}"}


def test_what_rattler_was_asked_for_is_read_back_without_a_history(tmp_path: Path) -> None:
    (tmp_path / "conda-meta").mkdir()
    records: dict[str, dict[str, Any]] = {
        "flask": {"requested_specs": ["flask >=3"]},
        "numpy": {"requested_spec": "numpy"},
        "click": {"requested_spec": "None"},
    }
    for name, fields in records.items():
        (tmp_path / "conda-meta" / f"{name}.json").write_text(json.dumps({"name": name, **fields}))
    assert read_prefix(tmp_path).requested == {"flask": "flask >=3", "numpy": "numpy"}


def row(record: Mapping[str, Any]) -> Row:
    return Row(
        name=record["name"],
        version=record["version"],
        build=record["build"],
        channel=record["channel"],
        subdir=record["subdir"],
        build_number=0,
        base_url=record.get("base_url", ""),
    )


def test_conda_reads_our_history_as_its_own(
    conda: Conda, conda_env: Path, extra_channel: Path, channel: Path
) -> None:
    make_python_package(extra_channel, "flask", "3.0")
    index_channel(extra_channel)
    conda.home.use_channels(extra_channel, channel)
    history = conda_env / "conda-meta" / "history"
    before = history.read_text()
    conda("install", "-p", conda_env, "flask>=2")
    theirs = history.read_text().removeprefix(before).splitlines()
    (flask,) = (record for record in read_prefix(conda_env).conda_meta if record["name"] == "flask")
    linked = row(conda.packages(conda_env)["flask"] | {"subdir": "noarch", "build": flask["build"]})

    history.write_text(before)
    append_history(
        conda_env,
        ["conda-pypi-bridge", "install", "flask>=2"],
        linked=[linked],
        update_specs=["flask[version='>=2']"],
        tool="conda version: 24.7.1",
        now=dt.datetime(2024, 5, 6, 7, 8, 9),
    )
    ours = history.read_text().removeprefix(before).splitlines()
    assert ours[0] == "==> 2024-05-06 07:08:09 <=="
    assert ours[1] == "# cmd: conda-pypi-bridge install flask>=2"
    assert [line for line in ours[3:] if line[0] == "+"] == [line for line in theirs[3:] if line[0] == "+"]
    assert "# update specs: [\"flask[version='>=2']\"]" in ours

    revisions = conda("list", "-p", conda_env, "--revisions", "--json").json()
    assert [entry.partition("-3.0-")[0] for entry in revisions[-1]["install"]] == ["flask"]
    # Nothing is left to log: conda's next entry would otherwise repeat what it thinks is missing.
    conda("remove", "-p", conda_env, "flask")
    last = history.read_text().rpartition("==>")[2]
    assert [line[0] for line in last.splitlines() if line[0] in "+-"] == ["-"]
    assert read_prefix(conda_env).requested.keys() == {"python"}


def test_a_removal_is_logged(tmp_path: Path) -> None:
    gone = row({"name": "x", "version": "1", "build": "0", "channel": "ch", "subdir": "noarch"})
    append_history(tmp_path, ["x"], unlinked=[gone], remove_specs=["x"], tool="conda version: 24.7.1")
    lines = (tmp_path / "conda-meta" / "history").read_text().splitlines()
    assert lines[3:] == ["-ch/noarch::x-1-0", "# remove specs: ['x']"]


def test_no_secret_and_no_line_break_reaches_the_history(tmp_path: Path) -> None:
    secret = "canary"
    append_history(
        tmp_path,
        [
            "x",
            "-i",
            f"https://user:{secret}@host.example/simple",
            "a\n==> 1 <==\n+evil",
            f"https://{secret}@h.example",
        ],
        linked=[
            row(
                {
                    "name": "x",
                    "version": "1",
                    "build": "0",
                    "channel": f"https://h.example/t/{secret}/ch",
                    "subdir": "noarch",
                }
            )
        ],
        update_specs=[f"https://u:{secret}@host.example/ch::x"],
        tool="conda version: 24.7.1",
    )
    text = (tmp_path / "conda-meta" / "history").read_text()
    assert secret not in text
    assert "https://host.example/simple" in text
    assert len(text.splitlines()) == 5


# -- which prefix ------------------------------------------------------------------------------------


def make_env(folder: Path) -> Path:
    (folder / "conda-meta").mkdir(parents=True)
    return folder


def find(name: str | None, prefix: Path | None, home: Path, running: Path, **environ: str) -> Path:
    return locate(name, prefix, environ=environ, home=home, running=running)


def test_without_a_choice_the_running_prefix_is_meant(tmp_path: Path) -> None:
    assert find(None, None, tmp_path, tmp_path / "here") == tmp_path / "here"
    assert find(None, tmp_path / "there", tmp_path, tmp_path / "here") == tmp_path / "there"


def test_a_name_is_found_where_conda_keeps_environments(tmp_path: Path) -> None:
    root = make_env(tmp_path / "root")
    sibling = make_env(root / "envs" / "sibling")
    announced = make_env(tmp_path / "a" / "announced")
    mamba = make_env(tmp_path / "m" / "envs" / "mamba")
    listed = make_env(tmp_path / "far" / "listed")
    home = tmp_path / "home"
    (home / ".conda").mkdir(parents=True)
    (home / ".conda" / "environments.txt").write_text(f"{root}\n{listed}\n\n")
    environ = {
        "CONDA_ENVS_DIRS": f"{tmp_path / 'none'}{os.pathsep}{tmp_path / 'a'}",
        "MAMBA_ROOT_PREFIX": str(tmp_path / "m"),
    }
    for name, expected in {
        "sibling": sibling,
        "announced": announced,
        "mamba": mamba,
        "listed": listed,
        "base": root,
    }.items():
        assert find(name, None, home, make_env(root / "envs" / f"x{name}"), **environ) == expected
    assert find("sibling", None, home, tmp_path / "v", CONDA_EXE=str(root / "bin" / "conda")) == sibling


def test_condas_list_may_name_folders_in_any_encoding(tmp_path: Path) -> None:
    odd = make_env(tmp_path / "far\udce9" / "odd")
    (tmp_path / ".conda").mkdir()
    (tmp_path / ".conda" / "environments.txt").write_bytes(os.fsencode(f"{odd}\n"))
    assert find("odd", None, tmp_path, tmp_path / "here") == odd


def test_a_name_that_nothing_or_too_much_has_is_refused(tmp_path: Path) -> None:
    (tmp_path / ".conda").mkdir()
    paths = [make_env(tmp_path / folder / "same") for folder in "ab"]
    (tmp_path / ".conda" / "environments.txt").write_text("\n".join(map(str, paths)))
    with pytest.raises(PrefixError, match="several environments"):
        find("same", None, tmp_path, tmp_path)
    with pytest.raises(PrefixError, match="no environment of this name"):
        find("other", None, tmp_path, tmp_path)
    with pytest.raises(PrefixError, match="cannot be the name"):
        find("../same", None, tmp_path, tmp_path)
    with pytest.raises(PrefixError, match="not by both"):
        find("same", tmp_path, tmp_path, tmp_path)


def test_the_systems_python_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PrefixError, match="not an environment"):
        refuse_system_python(tmp_path)
    (tmp_path / "lib" / "python3.11").mkdir(parents=True)
    (tmp_path / "lib" / "python3.11" / "EXTERNALLY-MANAGED").touch()
    with pytest.raises(PrefixError, match="managed by the operating system") as caught:
        refuse_system_python(tmp_path)
    assert "-n or -p" in caught.value.hint


def test_a_conda_environment_that_keeps_pip_out_is_not_refused(tmp_path: Path) -> None:
    make_env(tmp_path)
    (tmp_path / "lib" / "python3.11").mkdir(parents=True)
    (tmp_path / "lib" / "python3.11" / "EXTERNALLY-MANAGED").touch()
    refuse_system_python(tmp_path)


def test_a_virtual_environment_is_not_refused(venv: Path) -> None:
    refuse_system_python(venv)


@pytest.mark.skipif(os.name == "nt", reason="permissions of POSIX")
def test_a_read_only_prefix_is_told() -> None:
    with tempfile.TemporaryDirectory() as folder:
        prefix = make_env(Path(folder, "env"))
        for path in (prefix.parent, prefix, prefix / "conda-meta"):
            path.chmod(0o777)
        assert as_plain_user(lambda: is_writable(prefix))
        (prefix / "conda-meta").chmod(0o555)
        assert not as_plain_user(lambda: is_writable(prefix))


def as_plain_user(check: Callable[[], bool]) -> bool:
    """Its answer in a process that permissions hold for: root may write everywhere."""
    child = os.fork()
    if child == 0:
        if os.geteuid() == 0:
            os.setuid(65534)
        os._exit(0 if check() else 1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_a_missing_prefix_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PrefixError, match="no environment here"):
        read_prefix(tmp_path / "nowhere")
