"""Plain conda commands with the bridge enabled: what no channel has comes from the package index."""

from __future__ import annotations

import datetime as dt
import json
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from subprocess import PIPE

import pytest

from tests.indexserver import IndexServer
from tests.lab.channels import index_channel, make_python_package
from tests.lab.condas import Conda, overlay, python_of, run
from tests.lab.pythons import Interpreter
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
    assert "From PyPI, for what channels lack" in result.stdout
    assert "moo 2.0: requested, uploaded 2024-01-02" in result.stdout
    run([python_of(env), "-c", "import moo, herd"], enabled.home.environment())


def test_extras_are_heard_although_condas_specs_have_none(
    enabled: Conda, env: Path, index: IndexServer, extra_channel: Path, channel: Path
) -> None:
    index.add("calf", "1.0", extras={"fast": ["legs"]})
    index.add("legs", "4.0")
    enabled("install", "-p", env, "-y", "calf")
    enabled("install", "-p", env, "-y", "calf[fast]")
    assert versions(enabled, env) == {"calf": "1.0", "calf_extra_fast": "1.0", "legs": "4.0"}
    make_python_package(extra_channel, "lamb", "1.0")
    index.add("lamb", "1.0", extras={"fast": ["legs"]})
    index_channel(extra_channel)
    enabled.home.use_channels(extra_channel, channel)
    enabled("create", "-n", "x", "-y", "python", "lamb[fast]>=1")
    found = enabled.packages(enabled.home.envs / "x")
    assert found["lamb"]["channel"] == "extra"
    assert found["legs"]["channel"] == "pypi-bridge"


def test_asking_again_for_what_has_another_name_among_conda_packages_changes_nothing(
    enabled: Conda, env: Path, index: IndexServer
) -> None:
    for version in ("1.0", "2.0"):
        index.add("ant", version)
    enabled("install", "-p", env, "-y", "ant", "moo")
    assert versions(enabled, env) == {"ant_pypi": "2.0", "moo": "2.0", "herd": "1.5"}
    index.add("bee", "1.0")
    enabled("install", "-p", env, "-y", "ant", "moo", "bee")
    assert versions(enabled, env) == {"ant_pypi": "2.0", "moo": "2.0", "herd": "1.5", "bee": "1.0"}


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
    assert "no package index has nobody-has-this either" in result.stderr


def test_one_name_that_nobody_has_blames_no_other(enabled: Conda, env: Path) -> None:
    result = enabled("install", "-p", env, "-y", "nobody-has-this", "moo", check=False)
    assert result.returncode == 1
    assert "nobody-has-this" in result.stderr
    assert "moo" not in result.stderr.partition("Current channels")[0]


def test_what_changes_so_that_all_fit_was_not_requested(
    enabled: Conda, env: Path, index: IndexServer
) -> None:
    index.add("calf", "1.0", requires=["herd<2"])
    index.add("herd", "2.0")
    enabled("install", "-p", env, "-y", "moo", "herd")
    assert versions(enabled, env)["herd"] == "2.0"
    told = enabled("install", "-p", env, "-y", "calf").stdout
    assert "herd 1.5: required by calf 1.0" in told
    assert versions(enabled, env) == {"moo": "2.0", "herd": "1.5", "calf": "1.0"}


def test_without_the_setting_the_index_is_not_asked(conda: Conda, env: Path, index: IndexServer) -> None:
    result = conda("install", "-p", env, "-y", "moo", check=False, env={"PIP_INDEX_URL": index.url})
    assert result.returncode == 1
    assert versions(conda, env) == {}
    assert not index.calls or "error_hints" in hooks(conda)


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
    by_variable = conda("pypi-bridge", "status", *prefix, env={"CONDA_PLUGINS_PYPI_BRIDGE_ENABLED": "true"})
    assert "is enabled" in by_variable.stdout


def test_without_the_plugin_an_enabled_condarc_leaves_conda_working(enabled: Conda, env: Path) -> None:
    result = enabled("list", "-p", env, env={"CONDA_NO_PLUGINS": "true"})
    assert "python" in result.stdout
    enabled("create", "-n", "plain", "-y", "python", env={"CONDA_NO_PLUGINS": "true"})


def test_rollback_brings_back_what_came_from_the_index(enabled: Conda, env: Path) -> None:
    enabled("install", "-p", env, "-y", "moo=1")
    before = snapshot(env, ignore=["conda-meta", "__pycache__"])
    enabled("update", "-p", env, "-y", "moo")
    enabled("install", "-p", env, "-y", "--revision", "1")
    assert versions(enabled, env) == {"moo": "1.0", "herd": "1.5"}
    assert not diff(before, snapshot(env, ignore=["conda-meta", "__pycache__"]))
    records = [json.loads(file.read_text()) for file in (env / "conda-meta").glob("[hm]*.json")]
    assert [record["channel"] for record in records] == ["pypi-bridge", "pypi-bridge"]
    assert "moo  {2.0 (pypi-bridge/noarch) -> 1.0" in enabled("list", "-p", env, "--revisions").stdout


def test_rollback_builds_anew_what_no_cache_has(enabled: Conda, env: Path) -> None:
    enabled("install", "-p", env, "-y", "moo=1")
    enabled("remove", "-p", env, "-y", "moo", "herd")
    enabled("clean", "-y", "--packages", "--force-pkgs-dirs")
    enabled("install", "-p", env, "-y", "--revision", "1")
    assert versions(enabled, env) == {"moo": "1.0", "herd": "1.5"}
    run([python_of(env), "-c", "import moo, herd"], enabled.home.environment())


def test_rollback_says_what_is_nowhere_any_more(enabled: Conda, env: Path, index: IndexServer) -> None:
    enabled("install", "-p", env, "-y", "moo=1")
    enabled("remove", "-p", env, "-y", "moo", "herd")
    enabled("clean", "-y", "--packages", "--force-pkgs-dirs")
    del index.pages["moo"]
    result = enabled("install", "-p", env, "-y", "--revision", "1", check=False)
    assert result.returncode == 1
    assert "moo==1.0" in result.stderr
    assert versions(enabled, env) == {}


def test_rollback_asks_shows_and_obeys_dry_run(enabled: Conda, env: Path) -> None:
    enabled("install", "-p", env, "-y", "moo=1")
    enabled("remove", "-p", env, "-y", "moo", "herd")
    document = enabled("install", "-p", env, "--revision", "1", "--dry-run", "--json").json()
    assert {row["name"] for row in document["actions"]["LINK"]} == {"moo", "herd"}
    assert versions(enabled, env) == {}


@pytest.mark.parametrize("builds", [[], ["--no-builds"], ["--from-history"]])
def test_an_exported_environment_is_made_again(
    enabled: Conda, env: Path, tmp_path: Path, builds: list[str]
) -> None:
    enabled("install", "-p", env, "-y", "moo=1")
    file = tmp_path / "environment.yml"
    file.write_text(enabled("env", "export", "-p", env, *builds).stdout)
    enabled("clean", "-y", "--packages", "--force-pkgs-dirs")
    again = tmp_path / "again"
    enabled("env", "create", "-p", again, "-f", file)
    assert versions(enabled, again) == {"moo": "1.0", "herd": "1.5"}
    if not builds:
        assert builds_of(enabled, again) == builds_of(enabled, env)


def builds_of(conda: Conda, prefix: Path) -> dict[str, str]:
    return {name: row["build_string"] for name, row in conda.packages(prefix).items()}


def test_a_channels_package_takes_no_dependency_from_the_index(
    enabled: Conda, env: Path, index: IndexServer, extra_channel: Path, channel: Path
) -> None:
    make_python_package(extra_channel, "barn", "1.0", depends=["herd"])
    index_channel(extra_channel)
    enabled.home.use_channels(extra_channel, channel)
    result = enabled("install", "-p", env, "-y", "barn", check=False)
    assert result.returncode == 1
    assert not index.calls
    index.add("lamb", "1.0")
    result = enabled("install", "-p", env, "-y", "lamb", "barn", check=False)
    assert result.returncode == 1
    assert versions(enabled, env) == {}


def test_a_script_does_not_install_what_is_new_on_the_index(
    enabled: Conda, env: Path, index: IndexServer
) -> None:
    index.add("calf", "1.0", upload_time=dt.datetime.now(dt.timezone.utc) - dt.timedelta(days=2))
    result = enabled("install", "-p", env, "-y", "calf", check=False)
    assert result.returncode == 1
    assert "calf is new on PyPI" in result.stderr
    assert "conda pypi-install calf" in result.stderr
    enabled.home.configure(plugins={"pypi_bridge_enabled": True, "pypi_bridge_min_age_days": 1})
    enabled("install", "-p", env, "-y", "calf")
    assert versions(enabled, env) == {"calf": "1.0"}


def test_a_person_is_asked_about_what_is_new_on_the_index(
    enabled: Conda, env: Path, index: IndexServer
) -> None:
    enabled.home.configure(always_yes=False)
    uploaded = dt.datetime.now(dt.timezone.utc) - dt.timedelta(days=2)
    index.add("calf", "1.0", upload_time=uploaded)
    result = enabled("install", "-p", env, "calf", input="n\n", check=False)
    assert f"calf 1.0: requested, uploaded {uploaded:%Y-%m-%d}" in result.stdout
    assert versions(enabled, env) == {}
    enabled("install", "-p", env, "calf", input="y\n")
    assert versions(enabled, env) == {"calf": "1.0"}


@pytest.mark.parametrize("blocked", ["moo", "he*"])
def test_a_blocked_name_never_comes_from_the_index(enabled: Conda, env: Path, blocked: str) -> None:
    enabled.home.configure(plugins={"pypi_bridge_enabled": True, "pypi_bridge_block": [blocked]})
    for command in ("install", "pypi-install"):
        result = enabled(command, "-p", env, "-y", "moo", check=False)
        assert result.returncode == 1
        assert "block list" in result.stderr
    assert versions(enabled, env) == {}


def test_a_new_python_takes_packages_of_the_index_along(
    enabled: Conda, env: Path, pythons: list[Interpreter]
) -> None:
    if len(pythons) < 2:
        pytest.skip("one Python on this machine")
    enabled("install", "-p", env, "-y", "moo")
    enabled("clean", "-y", "--packages", "--force-pkgs-dirs")
    enabled("install", "-p", env, "-y", f"python={pythons[1].version}")
    assert versions(enabled, env) == {"moo": "2.0", "herd": "1.5"}
    records = [json.loads(file.read_text()) for file in (env / "conda-meta").glob("[hm]*.json")]
    assert [record["channel"] for record in records] == ["pypi-bridge", "pypi-bridge"]
    run([python_of(env), "-c", "import moo, herd"], enabled.home.environment())


def test_an_error_of_conda_says_that_the_index_has_it(conda: Conda, env: Path, index: IndexServer) -> None:
    if "error_hints" not in hooks(conda):
        pytest.skip("this conda has no hook for hints")
    named = {"PIP_INDEX_URL": index.url}
    for command in (("install", "-p", env, "-y"), ("create", "-n", "x", "-y")):
        result = conda(*command, "moo", check=False, env=named)
        assert result.returncode == 1
        assert "PyPI has moo: conda pypi-install moo" in result.stderr
        assert "PyPI has" not in conda(*command, "nobody-has-this", check=False, env=named).stderr
    index.add("calf", "1.0", upload_time=dt.datetime.now(dt.timezone.utc))
    assert "PyPI has" not in conda("install", "-p", env, "-y", "calf", check=False, env=named).stderr
    calls = len(index.calls)
    conda("search", "moo", check=False, env=named)
    conda("install", "-p", env, "-y", "moo", "--offline", check=False, env=named)
    conda.home.configure(plugins={"pypi_bridge_private": ["mo*"]})
    conda("install", "-p", env, "-y", "moo", check=False, env=named)
    conda.home.configure(plugins={"pypi_bridge_hints": False})
    conda("install", "-p", env, "-y", "moo", check=False, env=named)
    conda("remove", "-p", env, "-y", "moo", check=False, env=named)
    assert len(index.calls) == calls


def hooks(conda: Conda) -> str:
    """The names of the hooks that this conda offers to plugins."""
    code = "from conda.plugins.hookspec import CondaSpecs; print(*vars(CondaSpecs))"
    return run([python_of_conda(conda), "-c", code], conda.home.environment()).stdout


def python_of_conda(conda: Conda) -> str:
    """The Python that runs a conda."""
    named = [word for word in conda.command if Path(word).name.startswith("python")]
    return named[0] if named else str(Path(conda.command[0]).with_name("python"))


def test_search_says_where_else_to_look(enabled: Conda) -> None:
    result = enabled("search", "moo", check=False)
    assert "PyPI" in result.stderr


def test_what_channels_have_imports_nothing_of_the_index(
    enabled: Conda, env: Path, extra_channel: Path, channel: Path
) -> None:
    make_python_package(extra_channel, "barn", "1.0")
    index_channel(extra_channel)
    enabled.home.use_channels(extra_channel, channel)
    traced = {"PYTHONPROFILEIMPORTTIME": "1", "CONDA_SOLVER": None}
    loaded = enabled("install", "-p", env, "-y", "barn", env=traced).stderr
    assert "conda_pypi_bridge.fallback" in loaded
    assert "conda_pypi_bridge.model" not in loaded
    assert "conda_pypi_bridge.model" in enabled("install", "-p", env, "-y", "moo", env=traced).stderr


ENVIRONMENT = """\
channels: [{channel}]
dependencies:
  - python
  - pip
  - pip:
    - moo[horned]>=1  # with an extra
    - herd; python_version >= "3"
"""


def test_pip_sections_become_conda_packages_where_the_setting_says_so(
    enabled: Conda, tmp_path: Path, index: IndexServer, channel: Path
) -> None:
    index.add("moo", "3.0", requires=["herd"], extras={"horned": ["horn"]})
    index.add("horn", "1.0")
    file = tmp_path / "environment.yml"
    file.write_text(ENVIRONMENT.format(channel=channel.as_uri()))
    enabled.home.configure(plugins={"pypi_bridge_enabled": True, "pypi_bridge_pip_sections": True})
    for command in ("create", "update"):
        enabled("env", command, "-p", tmp_path / "new", "-f", file)
        found = enabled.packages(tmp_path / "new")
        assert {"moo": "3.0", "herd": "1.5", "horn": "1.0"}.items() <= {
            name: row["version"] for name, row in found.items() if row["channel"] == "pypi-bridge"
        }.items()
        assert not [name for name, row in found.items() if row["channel"] == "pypi"]


def test_without_the_setting_pip_sections_are_pips(enabled: Conda, tmp_path: Path, channel: Path) -> None:
    file = tmp_path / "environment.yml"
    file.write_text(ENVIRONMENT.format(channel=channel.as_uri()).replace("[horned]", ""))
    enabled("env", "create", "-p", tmp_path / "new", "-f", file)
    assert enabled.packages(tmp_path / "new")["moo"]["channel"] == "pypi"


def test_the_environments_own_condarc_counts(
    enabled: Conda, env: Path, index: IndexServer, extra_channel: Path
) -> None:
    make_python_package(extra_channel, "acme", "1.0")
    index_channel(extra_channel)
    index.add("acme", "99.0")
    (env / ".condarc").write_text(json.dumps({"channels": [extra_channel.as_uri()]}))
    enabled("install", "-p", env, "-y", "acme", "moo", env={"CONDA_PREFIX": str(env)})
    assert versions(enabled, env) == {"acme": "1.0", "moo": "2.0", "herd": "1.5"}


def test_an_environment_file_may_name_the_environment(enabled: Conda, tmp_path: Path) -> None:
    file = tmp_path / "environment.yml"
    file.write_text("name: named\ndependencies: [python, moo]\n")
    enabled("env", "create", "-f", file)
    assert versions(enabled, enabled.home.envs / "named") == {"moo": "2.0", "herd": "1.5"}


def test_a_dry_run_of_create_sees_the_index(enabled: Conda) -> None:
    document = enabled("create", "-n", "x", "--dry-run", "--json", "python", "moo").json()
    assert {"moo", "herd"} <= {row["name"] for row in document["actions"]["LINK"]}


def test_a_package_moves_to_another_channel_beside_one_of_the_index(
    enabled: Conda, env: Path, tmp_path: Path, channel: Path
) -> None:
    for name in ("first", "second"):
        make_python_package(tmp_path / name, "barn", "1.0")
        index_channel(tmp_path / name)
    channels = {name: (tmp_path / name).as_uri() for name in ("first", "second")}
    enabled.home.configure(custom_channels={name: tmp_path.as_uri() for name in channels})
    enabled("install", "-p", env, "-y", "first::barn")
    enabled("install", "-p", env, "-y", "second::barn", "moo")
    assert enabled.packages(env)["barn"]["channel"] == "second"


def test_extras_of_what_no_index_has_are_left_out_aloud(
    enabled: Conda, env: Path, extra_channel: Path, channel: Path
) -> None:
    if "extras=" in enabled("install", "-p", env, "--dry-run", "x[y]", check=False).stderr:
        pytest.skip("this conda reads extras itself")
    make_python_package(extra_channel, "barn", "1.0")
    index_channel(extra_channel)
    enabled.home.use_channels(extra_channel, channel)
    result = enabled("install", "-p", env, "-y", "barn[hay]")
    assert versions(enabled, env) == {"barn": "1.0"}
    assert "no index has barn, so its extras are left out" in result.stderr


def test_a_second_process_does_not_link_what_was_solved_for_another_state(
    enabled: Conda, env: Path, index: IndexServer
) -> None:
    enabled.home.configure(always_yes=False)
    command = [*enabled.command, "install", "-p", str(env), "moo"]
    variables = overlay(enabled.home.environment() | enabled.env, None)
    with subprocess.Popen(
        command, env=variables, text=True, stdin=PIPE, stdout=PIPE, stderr=PIPE, bufsize=1
    ) as waiting:
        assert waiting.stdout is not None
        for line in waiting.stdout:
            if line.startswith("From PyPI"):
                break
        enabled("install", "-p", env, "-y", "herd")
        _, told = waiting.communicate("y\n", timeout=60)
    assert waiting.returncode == 1
    assert "another process has changed this environment meanwhile" in told
    assert versions(enabled, env) == {"herd": "1.5"}
