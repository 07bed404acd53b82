"""Plain conda commands with the bridge enabled: what no channel has comes from the package index."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.indexserver import IndexServer
from tests.lab.channels import index_channel, make_python_package
from tests.lab.condas import Conda, python_of, run
from tests.lab.trees import diff, snapshot


@pytest.fixture
def index() -> Iterator[IndexServer]:
    with IndexServer() as server:
        server.add("moo", "1.0", requires=["herd"])
        server.add("moo", "2.0", requires=["herd>=1"])
        server.add("herd", "1.5")
        yield server


@pytest.fixture
def enabled(conda: Conda, index: IndexServer) -> Conda:
    """A conda whose user enabled the bridge, on the loopback index."""
    conda.home.configure(plugins={"pypi_bridge_enabled": True})
    return replace(conda, env={"PIP_INDEX_URL": index.url})


@pytest.fixture
def env(conda_env: Path) -> Path:
    return conda_env


def versions(conda: Conda, prefix: Path) -> dict[str, str]:
    return {name: row["version"] for name, row in conda.packages(prefix).items() if name != "python"}


def test_install_takes_from_the_index_what_no_channel_has(enabled: Conda, env: Path) -> None:
    result = enabled("install", "-p", env, "-y", "moo")
    assert versions(enabled, env) == {"moo": "2.0", "herd": "1.5"}
    assert "From PyPI, because no channel has them" in result.stdout
    assert "moo 2.0: requested, uploaded 2024-01-02" in result.stdout
    run([python_of(env), "-c", "import moo, herd"], enabled.home.environment())


def test_create_makes_an_environment_with_it(enabled: Conda, tmp_path: Path) -> None:
    enabled("create", "-p", tmp_path / "new", "-y", "python", "moo")
    assert versions(enabled, tmp_path / "new") == {"moo": "2.0", "herd": "1.5"}


def test_update_sees_what_is_new_on_the_index(enabled: Conda, env: Path) -> None:
    enabled("install", "-p", env, "-y", "moo=1")
    assert versions(enabled, env)["moo"] == "1.0"
    enabled("update", "-p", env, "-y", "moo")
    assert versions(enabled, env)["moo"] == "2.0"


def test_update_all_sees_what_is_new_on_the_index(enabled: Conda, env: Path, index: IndexServer) -> None:
    enabled("install", "-p", env, "-y", "moo")
    index.add("herd", "1.6")
    enabled("update", "-p", env, "-y", "--all")
    assert versions(enabled, env) == {"moo": "2.0", "herd": "1.6"}


def test_remove_and_revisions_are_condas(enabled: Conda, env: Path) -> None:
    before = snapshot(env, ignore=["conda-meta", "__pycache__"])
    enabled("install", "-p", env, "-y", "moo")
    enabled("remove", "-p", env, "-y", "moo", "herd")
    assert not diff(before, snapshot(env, ignore=["conda-meta", "__pycache__"]))
    assert "+moo-2.0" in enabled("list", "-p", env, "--revisions").stdout.replace(" ", "")


def test_what_channels_have_costs_no_request_to_the_index(
    enabled: Conda, env: Path, index: IndexServer, extra_channel: Path, channel: Path
) -> None:
    make_python_package(extra_channel, "herd", "1.2")
    index_channel(extra_channel)
    enabled.home.use_channels(extra_channel, channel)
    enabled("install", "-p", env, "-y", "herd")
    assert versions(enabled, env) == {"herd": "1.2"}
    assert not index.calls


def test_a_name_that_nobody_has_is_condas_own_error(enabled: Conda, env: Path) -> None:
    result = enabled("install", "-p", env, "-y", "nobody-has-this", check=False)
    assert result.returncode == 1
    assert "PackagesNotFound" in result.stderr
    assert "nobody-has-this" in result.stderr


def test_without_the_setting_the_index_is_not_asked(conda: Conda, env: Path, index: IndexServer) -> None:
    result = conda("install", "-p", env, "-y", "moo", check=False, env={"PIP_INDEX_URL": index.url})
    assert result.returncode == 1
    assert not index.calls


def test_dry_run_and_json_are_condas(enabled: Conda, env: Path) -> None:
    before = snapshot(env)
    document = enabled("install", "-p", env, "--dry-run", "--json", "moo").json()
    assert document["success"] and document["dry_run"]
    assert {row["name"] for row in document["actions"]["LINK"]} == {"moo", "herd"}
    assert not diff(before, snapshot(env))


def test_an_unreachable_index_is_one_line(enabled: Conda, env: Path) -> None:
    before = snapshot(env)
    gone = replace(enabled, env={"PIP_INDEX_URL": "http://127.0.0.1:9/simple/"})
    result = gone("install", "-p", env, "-y", "moo", check=False)
    assert result.returncode == 1
    assert "127.0.0.1:9" in result.stderr
    assert "unexpected error" not in result.stderr
    assert not diff(before, snapshot(env))


def test_enable_and_disable_change_the_users_condarc_and_nothing_else_in_it(
    conda: Conda, env: Path, index: IndexServer
) -> None:
    condarc = conda.home.condarc
    condarc.write_text(
        "# mine\nsolver: classic  # for reasons\n" + condarc.read_text().replace("{", "", 1)[:0]
    )
    text = condarc.read_text()
    prefix = ("-p", env)
    conda("pypi-bridge", "enable", *prefix)
    assert "pypi_bridge_enabled: true" in condarc.read_text()
    assert condarc.read_text().startswith(text)
    assert "enabled" in conda("pypi-bridge", "status", *prefix).stdout
    assert "already" in conda("pypi-bridge", "enable", *prefix).stdout
    conda("pypi-bridge", "disable", *prefix)
    assert condarc.read_text() == text
    assert conda("pypi-bridge", "status", *prefix, "--json").json() == {"success": True, "enabled": False}


def test_without_the_plugin_an_enabled_condarc_leaves_conda_working(enabled: Conda, env: Path) -> None:
    result = enabled("list", "-p", env, env={"CONDA_NO_PLUGINS": "true"})
    assert "python" in result.stdout
    enabled("create", "-n", "plain", "-y", "python", env={"CONDA_NO_PLUGINS": "true"})
