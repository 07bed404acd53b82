"""The laboratory itself: what the other tests rest on is what it claims to be."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.lab.channels import SUBDIR, Content, index_channel, make_conda_package, make_python_package
from tests.lab.condas import Changes, Conda, Home, Result, overlay, python_of, run, site_packages
from tests.lab.pythons import Interpreter, interpreters, make_channel, probe
from tests.lab.trees import diff, snapshot

LAUNCHER = Path(__file__).with_name("lab") / "conda_from_lock.py"


def test_launcher_runs_conda_under_its_own_name(home: Home) -> None:
    """The launcher alone, without an installation around it, is a conda too."""
    done = run([sys.executable, LAUNCHER, "--version"], home.environment())
    assert done.stdout == "conda 24.7.1\n"


def test_launcher_gives_each_module_one_identity(home: Home) -> None:
    """The vendored name and conda's own lead to the same modules, under conda's name."""
    code = (
        "from conda_lock._vendor.conda.base.context import context as vendored\n"
        "import conda, conda.base.context, conda_lock._vendor.conda\n"
        "assert conda.base.context.context is vendored\n"
        "assert conda_lock._vendor.conda is conda\n"
        "assert conda.base.context.__spec__.name == 'conda.base.context'\n"
    )
    env = home.environment() | {"PYTHONPATH": str(LAUNCHER.parent)}
    run([sys.executable, "-c", f"import conda_from_lock\n{code}"], env)


def test_worker_processes_of_conda_can_import_conda(home: Home) -> None:
    """``conda info`` asks a spawned process, which unpickles one of conda's functions."""
    done = run([sys.executable, LAUNCHER, "info", "--json"], home.environment())
    assert "__archspec" in {name for name, _, _ in done.json()["virtual_pkgs"]}
    assert "Traceback" not in done.stderr


def test_installation_is_its_own_root(conda: Conda, vendored_conda: Path) -> None:
    info = conda("info", "--json").json()
    if conda.command == (str(vendored_conda),):
        assert info["conda_version"] == "24.7.1"
        assert info["root_prefix"] == info["sys.prefix"] == str(vendored_conda.parents[1])
    assert info["pkgs_dirs"][0] == str(conda.home.pkgs)
    assert info["channels"] == [
        f"{url}/{subdir}" for url in conda.home.settings["channels"] for subdir in (SUBDIR, "noarch")
    ]
    plugins_own = "conda_pypi_bridge/data/condarc.yml"
    files = [path for path in info["config_files"] if not path.endswith(plugins_own)]
    assert files == [str(conda.home.condarc)]


def test_python_dash_m_conda_is_the_same_conda(home: Home, vendored_conda: Path) -> None:
    done = run([python_of(vendored_conda.parents[1]), "-m", "conda", "--version"], home.environment())
    assert done.stdout == "conda 24.7.1\n"


def test_shell_function_of_conda_answers(conda: Conda, conda_env: Path) -> None:
    """What ``conda activate`` evaluates."""
    assert f"export CONDA_PREFIX='{conda_env}'" in conda("shell.posix", "activate", conda_env).stdout


PLACES = """
import json, site, sys, sysconfig
print(json.dumps({
    "prefixes": [sys.prefix, sys.base_prefix],
    "libraries": sysconfig.get_config_var("LIBDIR"),
    "scheme": sysconfig.get_preferred_scheme("prefix"),
    "installs into": [sysconfig.get_path("purelib"), sysconfig.get_path("platlib")],
    "imports from": [path for path in sys.path if path.endswith("-packages")],
    "sites": site.getsitepackages(),
}))
"""


def places(prefix: Path) -> dict[str, Any]:
    """Where the Python of `prefix` looks for what, as it says itself."""
    return run([python_of(prefix), "-I", "-c", PLACES], {}).json()  # type: ignore[no-any-return]


def as_built_from_source(prefix: Path) -> dict[str, Any]:
    """The `places` of a Python that was configured with ``--prefix``, as conda's are."""
    site = str(site_packages(prefix))
    return {
        "prefixes": [str(prefix), str(prefix)],
        "libraries": str(prefix / "lib"),
        "scheme": "posix_prefix",
        "installs into": [site, site],
        "imports from": [site],
        "sites": [site],
    }


def test_fresh_environment_is_whole(conda: Conda, conda_env: Path, pythons: list[Interpreter]) -> None:
    """Its Python runs out of the prefix, not out of the interpreter it was packed from."""
    code = "import ctypes, ensurepip, sqlite3, ssl, sys; print(sys.prefix, sys.base_prefix, *sys.path)"
    done = run([python_of(conda_env), "-c", code], conda.home.environment())
    assert all(path.startswith(str(conda_env)) for path in done.stdout.split())
    assert places(conda_env) == as_built_from_source(conda_env)
    assert list(conda.packages(conda_env)) == ["python"]
    assert conda.packages(conda_env)["python"]["version"] == pythons[0].version


def test_every_python_of_the_machine_makes_an_environment(home: Home, vendored_conda: Path) -> None:
    conda = Conda(command=(str(vendored_conda),), home=home)
    for interpreter in interpreters():
        prefix = home.envs / interpreter.minor
        conda("create", "-p", prefix, f"python={interpreter.minor}", "python_abi")
        assert conda.packages(prefix)["python_abi"]["build_string"].endswith(interpreter.abi)
        done = run([python_of(prefix), "-c", "import sys; print(sys.prefix, *sys.version_info[:2])"], {})
        assert done.stdout.split() == [str(prefix), *interpreter.minor.split(".")]


def test_debians_python_stands_in_for_condas(
    home: Home, vendored_conda: Path, tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    """Debian's looks for packages in ``dist-packages``, wherever it is; conda's does not, nor does this."""
    found = probe(Path("/usr/bin/python3"))
    if found is None or not found.is_debian:
        pytest.skip("this machine has no Debian Python")
    assert pytestconfig.cache is not None
    channel = make_channel(tmp_path / "channel", [found], pytestconfig.cache.mkdir("laboratory"))
    home.use_channels(channel)
    prefix, inner = home.envs / "debian", tmp_path / "venv"
    Conda(command=(str(vendored_conda),), home=home)("create", "-p", prefix, "python", "pip")
    assert places(prefix) == as_built_from_source(prefix)
    assert list((site_packages(prefix) / "pip" / "__pycache__").glob("*.pyc")), "conda compiled nothing"
    run([prefix / "bin" / "pip", "check"], home.environment())
    code = "import ctypes, ensurepip, sqlite3, ssl, zoneinfo; zoneinfo.ZoneInfo('Europe/Paris')"
    run([python_of(prefix), "-c", code], {})
    run([python_of(prefix), "-m", "venv", "--without-pip", inner], {})
    assert places(inner)["imports from"] == [str(site_packages(inner))]


def test_pip_comes_from_the_channel_and_goes(conda: Conda, conda_env: Path) -> None:
    before = snapshot(conda_env, ignore=["conda-meta", "__pycache__"])
    conda("install", "-p", conda_env, "pip")
    assert list(conda.packages(conda_env)) == ["pip", "python"]
    for command in ([python_of(conda_env), "-m", "pip"], [conda_env / "bin" / "pip"]):
        assert "No broken requirements found" in run([*command, "check"], conda.home.environment()).stdout
    assert list((site_packages(conda_env) / "pip" / "__pycache__").glob("*.pyc")), "conda compiled nothing"
    conda("remove", "-p", conda_env, "pip")
    assert list(conda.packages(conda_env)) == ["python"]
    assert not diff(before, snapshot(conda_env, ignore=["conda-meta", "__pycache__"]))


def test_made_packages_are_solved_installed_and_seen_by_pip(
    conda: Conda, conda_env: Path, extra_channel: Path, channel: Path
) -> None:
    make_python_package(extra_channel, "Lab-Base", "1.0")
    make_python_package(extra_channel, "Lab-Base", "2.0")
    make_python_package(
        extra_channel, "lab-app", "0.1", depends=["lab-base >=1,<2"], requires=["Lab-Base>=1,<2"]
    )
    conda.home.use_channels(index_channel(extra_channel), channel)
    conda("install", "-p", conda_env, "lab-app", "pip")
    assert conda.packages(conda_env)["lab-base"]["version"] == "1.0"
    code = "import lab_base, importlib.metadata as m; print(lab_base.__version__, m.version('lab-app'))"
    assert run([python_of(conda_env), "-c", code], {}).stdout == "1.0 0.1\n"
    run([python_of(conda_env), "-m", "pip", "check"], conda.home.environment())


def test_platform_package_lands_at_the_root_of_the_prefix(
    conda: Conda, extra_channel: Path, channel: Path
) -> None:
    files: dict[str, Content] = {"bin/lab-tool": "#!/bin/sh\necho here\n", "share/lab/data.bin": b"\0\1"}
    make_conda_package(
        extra_channel, "lab-tool", "1", files, subdir=SUBDIR, noarch=None, executables=["bin/lab-tool"]
    )
    conda.home.use_channels(index_channel(extra_channel), channel)
    prefix = conda.home.envs / "tool"
    conda("create", "-p", prefix, "lab-tool")
    assert run([prefix / "bin" / "lab-tool"], {}).stdout == "here\n"
    assert (prefix / "share" / "lab" / "data.bin").read_bytes() == b"\0\1"


PLUGIN = """
from conda.plugins import hookimpl
from conda.plugins.types import CondaSubcommand

@hookimpl
def conda_subcommands():
    yield CondaSubcommand(name="lab-probe", summary="says so", action=lambda args: print("probed", *args))
"""


def test_entry_point_plugins_are_loaded(conda: Conda, tmp_path: Path) -> None:
    """A distribution with an entry point of the group ``conda`` adds a subcommand, as in any conda."""
    info = tmp_path / "lab_probe-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: lab-probe\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[conda]\nlab-probe = lab_probe_plugin\n")
    (tmp_path / "lab_probe_plugin.py").write_text(PLUGIN)
    done = conda("lab-probe", "now", env={"PYTHONPATH": str(tmp_path)})
    assert done.stdout == "probed now\n"


def test_bridge_plugin_is_loaded_by_every_conda(conda: Conda) -> None:
    done = conda("pypi-install", "--help")
    assert "--dry-run" in done.stdout
    assert "Error while loading conda entry point" not in done.stderr


def test_bridge_runs_in_the_private_home(bridge: Callable[..., Result], home: Home) -> None:
    assert "usage: " in bridge("--help").stdout
    assert home.environment()["HOME"] == str(home.path)


def test_venv_is_bare(venv: Path, home: Home) -> None:
    done = run([python_of(venv), "-m", "pip"], home.environment(), check=False)
    assert done.returncode == 1
    assert "No module named pip" in done.stderr


def test_environment_of_a_home_has_nothing_of_the_callers(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in (
        "CONDA_PREFIX",
        "CONDA_CHANNELS",
        "PIP_EXTRA_INDEX_URL",
        "PYTHONPATH",
        "_CE_CONDA",
        "VIRTUAL_ENV",
    ):
        monkeypatch.setenv(name, "/elsewhere")
    assert "/elsewhere" not in home.environment().values()


def test_diff_tells_added_removed_and_changed_files(tmp_path: Path) -> None:
    for name in ("same", "gone", "edited", "mode"):
        (tmp_path / name).write_text(name)
    (tmp_path / "link").symlink_to("same")
    before = snapshot(tmp_path)
    assert not diff(before, snapshot(tmp_path))
    (tmp_path / "gone").unlink()
    (tmp_path / "edited").write_text("new")
    (tmp_path / "mode").chmod(0o755)
    (tmp_path / "link").unlink()
    (tmp_path / "link").symlink_to("mode")
    (tmp_path / "new").mkdir()
    found = diff(before, snapshot(tmp_path))
    assert (found.added, found.removed, found.changed) == (("new",), ("gone",), ("edited", "link", "mode"))


def test_failing_command_shows_both_streams() -> None:
    code = "import sys; print('out'); print('err', file=sys.stderr); sys.exit(3)"
    with pytest.raises(AssertionError, match=r"(?s)exit 3\nout\n.*err"):
        run([sys.executable, "-c", code], {})


PIP_DOWNLOAD = [sys.executable, "-m", "pip", "download", "--no-deps", "--retries=0", "iniconfig", "-d"]


def test_no_index_is_reachable_unless_asked_for(home: Home, tmp_path: Path) -> None:
    done = run([*PIP_DOWNLOAD, tmp_path], home.environment(), check=False)
    assert done.returncode == 1
    assert "No matching distribution found for iniconfig" in done.stderr


@pytest.mark.network
def test_network_environment_reaches_the_index_of_the_machine(
    home: Home, network_env: Changes, tmp_path: Path
) -> None:
    run([*PIP_DOWNLOAD, tmp_path], overlay(home.environment(), network_env))
    assert list(tmp_path.glob("iniconfig-*.whl"))


@pytest.mark.network
@pytest.mark.slow
def test_our_wheel_installs_with_pip_and_runs(installed_bridge: Path, bridge: Callable[..., Result]) -> None:
    assert "usage: " in bridge("--help", python=installed_bridge).stdout
    done = subprocess.run([installed_bridge, "-m", "pip", "check"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
