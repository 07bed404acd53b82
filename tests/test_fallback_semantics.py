"""Plain conda commands mean the same for packages of the index as for packages of channels.

Most tests run one command twice: with the bridge for ``moo``, which only the index has, and in plain conda
for ``cow``, its twin on a channel. What conda does to the one it must do to the other.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from tests.indexserver import IndexServer
from tests.lab.channels import index_channel, make_python_package
from tests.lab.condas import Changes, Conda, Result, python_of, run, site_packages
from tests.lab.trees import Tree, diff, snapshot

#: Packages of the index, and their twins on a channel.
TWINS = {"moo": "cow", "herd": "hay", "calf": "kid"}

#: The bridge is there and not enabled: plain conda.
PLAIN = {"CONDA_PLUGINS_PYPI_BRIDGE_ENABLED": "false"}


@pytest.fixture
def index() -> Iterator[IndexServer]:
    with IndexServer() as server:
        server.add("moo", "1.0", requires=["herd"])
        server.add("moo", "2.0", requires=["herd>=1"])
        server.add("herd", "1.5")
        server.add("calf", "1.0", requires=["herd"])
        yield server


@pytest.fixture
def enabled(conda: Conda, index: IndexServer, extra_channel: Path, channel: Path) -> Conda:
    """A conda whose user enabled the bridge, on the loopback index and a channel with the twins."""
    add_to(extra_channel, ("cow", "1.0"), ("kid", "1.0"), depends=["hay"])
    add_to(extra_channel, ("cow", "2.0"), depends=["hay >=1"])
    add_to(extra_channel, ("hay", "1.5"))
    conda.home.use_channels(extra_channel, channel)
    conda.home.configure(plugins={"pypi_bridge_enabled": True})
    return replace(conda, env={"PIP_INDEX_URL": index.url})


@pytest.fixture
def env(conda_env: Path) -> Path:
    return conda_env


@dataclass(frozen=True)
class Both:
    """The same command for packages of the index with the bridge, and for their twins in plain conda."""

    conda: Conda
    prefix: Path

    def __call__(
        self, verb: str, *args: str, check: bool = True, env: Changes | None = None, **options: Any
    ) -> tuple[Result, Result]:
        """Both results, whose exit statuses are the same."""
        command = (verb, "-p", self.prefix)
        ours = self.conda(*command, *args, check=check, env=env, **options)
        twins = [twin(text) for text in args]
        plain = self.conda(*command, *twins, check=check, env={**(env or {}), **PLAIN}, **options)
        assert ours.returncode == plain.returncode
        return ours, plain

    def have(self, *specs: str) -> None:
        """Install packages of the index and their twins, with the bridge, for what a test does next."""
        self.conda("install", "-p", self.prefix, *specs, *map(twin, specs))

    @property
    def state(self) -> dict[str, str]:
        """What is installed of the index's packages, which is what is installed of their twins."""
        there = installed(self.prefix)
        ours = {name: there[name] for name in TWINS if name in there}
        assert ours == {name: there[other] for name, other in TWINS.items() if other in there}
        return ours


@pytest.fixture
def both(enabled: Conda, env: Path) -> Both:
    return Both(enabled, env)


def twin(text: str) -> str:
    for name, other in TWINS.items():
        text = text.replace(name, other)
    return text


def installed(prefix: Path) -> dict[str, str]:
    """Versions by name; not Python's."""
    records = [json.loads(path.read_text()) for path in (prefix / "conda-meta").glob("*.json")]
    return {record["name"]: record["version"] for record in records if record["name"] != "python"}


def linked(conda: Conda, prefix: Path, *args: str, env: Mapping[str, str] | None = None) -> dict[str, str]:
    """What ``conda install ARGS`` would link: channels and versions, by name."""
    document = conda("install", "-p", prefix, "--dry-run", "--json", *args, env=env).json()
    return {row["name"]: f"{row['channel']} {row['version']}" for row in document["actions"]["LINK"]}


def add_to(channel: Path, *packages: tuple[str, str], depends: tuple[str, ...] | list[str] = ()) -> Path:
    """Put small packages, by name and version, on a channel."""
    for name, version in packages:
        make_python_package(channel, name, version, depends=depends)
    return index_channel(channel)


def pin(prefix: Path, *lines: str) -> None:
    (prefix / "conda-meta" / "pinned").write_text("".join(f"{line}\n" for line in lines))


def same(before: Tree, prefix: Path) -> bool:
    return not diff(before, snapshot(prefix, ignore=["__pycache__"]))


# -- channels --------------------------------------------------------------------------------------


def test_channel_priority_chooses_what_a_package_of_the_index_requires(
    enabled: Conda, env: Path, index: IndexServer, extra_channel: Path, channel: Path, tmp_path: Path
) -> None:
    second = add_to(tmp_path / "second", ("fence", "2.0"))
    add_to(extra_channel, ("fence", "1.0"))
    add_to(extra_channel, ("yard", "1.0"), depends=["fence"])
    index.add("field", "1.0", requires=["fence"])
    enabled.home.use_channels(extra_channel, second, channel)
    for priority in ("strict", "flexible", "disabled"):
        chosen = {"CONDA_CHANNEL_PRIORITY": priority}
        plain = linked(enabled, env, "yard", env={**chosen, **PLAIN})["fence"]
        assert linked(enabled, env, "field", env=chosen) == {"field": "pypi-bridge 1.0", "fence": plain}


def test_strict_priority_hides_what_a_package_of_the_index_requires(
    enabled: Conda, env: Path, index: IndexServer, extra_channel: Path, channel: Path, tmp_path: Path
) -> None:
    second = add_to(tmp_path / "second", ("fence", "2.0"))
    add_to(extra_channel, ("fence", "1.0"))
    index.add("field", "1.0", requires=["fence>=2"])
    enabled.home.use_channels(extra_channel, second, channel)
    assert linked(enabled, env, "field")["fence"] == "second 2.0"
    result = enabled("install", "-p", env, "--strict-channel-priority", "field", check=False)
    assert result.returncode == 1
    assert "field 1.0 requires fence>=2" in result.stderr
    assert installed(env) == {}


def test_a_channel_named_for_one_command_has_what_the_index_has_too(
    enabled: Conda, env: Path, index: IndexServer, channel: Path, tmp_path: Path
) -> None:
    other = add_to(tmp_path / "other", ("moo", "0.5"))
    assert linked(enabled, env, "-c", other.as_uri(), "moo") == {"moo": "other 0.5"}
    assert not index.calls
    enabled.home.use_channels(other, channel)
    found = linked(enabled, env, "--override-channels", "-c", channel.as_uri(), "moo")
    assert found == {"moo": "pypi-bridge 2.0", "herd": "pypi-bridge 1.5"}


def test_a_spec_that_names_a_channel_is_that_channels(
    enabled: Conda, env: Path, index: IndexServer, tmp_path: Path
) -> None:
    other = add_to(tmp_path / "other", ("moo", "0.5"))
    enabled.home.configure(custom_channels={"other": other.parent.as_uri()})
    assert linked(enabled, env, "other::moo") == {"moo": "other 0.5"}
    result = enabled("install", "-p", env, "other::herd", check=False)
    assert result.returncode == 1
    assert "PackagesNotFound" in result.stderr
    assert not index.calls


def test_a_spec_that_names_the_bridges_channel_asks_no_other_host(
    enabled: Conda, env: Path, tmp_path: Path
) -> None:
    (tmp_path / "alias").mkdir()
    enabled.home.configure(channel_alias=(tmp_path / "alias").as_uri())
    assert linked(enabled, env, "-c", "pypi-bridge", "moo").keys() == {"moo", "herd"}
    assert linked(enabled, env, "pypi-bridge::moo") == {"moo": "pypi-bridge 2.0", "herd": "pypi-bridge 1.5"}


# -- pins ------------------------------------------------------------------------------------------


def test_a_pin_limits_an_update_from_the_index(both: Both) -> None:
    both.have("moo=1")
    pin(both.prefix, "moo 1.*", "cow 1.*")
    both("update", "moo")
    assert both.state["moo"] == "1.0"
    both.conda("update", "-p", both.prefix, "--all")
    assert both.state["moo"] == "1.0"


def test_a_pin_limits_what_packages_of_the_index_require(
    both: Both, index: IndexServer, extra_channel: Path
) -> None:
    index.add("herd", "1.4")
    add_to(extra_channel, ("hay", "1.4"))
    pin(both.prefix, "herd 1.4", "hay 1.4")
    both("install", "moo")
    assert both.state == {"moo": "2.0", "herd": "1.4"}


def test_a_pin_on_a_channels_package_chooses_a_version_of_the_index_that_respects_it(
    both: Both, index: IndexServer, extra_channel: Path
) -> None:
    add_to(extra_channel, ("fence", "1.0"), ("fence", "2.0"))
    add_to(extra_channel, ("kid", "2.0"), depends=["fence >=2"])
    index.add("calf", "2.0", requires=["fence>=2"])
    pin(both.prefix, "fence 1.*")
    both("install", "calf")
    assert both.state == {"calf": "1.0", "herd": "1.5"}
    before = snapshot(both.prefix, ignore=["__pycache__"])
    ours, _ = both("install", "calf=2", check=False)
    assert ours.returncode == 1
    assert same(before, both.prefix)


# -- what may change -------------------------------------------------------------------------------


def test_what_is_there_stays_until_it_must_change(
    both: Both, index: IndexServer, extra_channel: Path
) -> None:
    both.have("moo=1")
    index.add("herd", "1.6")
    add_to(extra_channel, ("hay", "1.6"))
    both("install", "--freeze-installed", "calf")
    assert both.state == {"moo": "1.0", "herd": "1.5", "calf": "1.0"}
    index.add("calf", "1.1", requires=["herd>=1.6"])
    add_to(extra_channel, ("kid", "1.1"), depends=["hay >=1.6"])
    both("install", "calf=1.1")
    assert both.state == {"moo": "1.0", "herd": "1.6", "calf": "1.1"}


def test_asking_again_changes_nothing(both: Both) -> None:
    both.have("moo")
    before = snapshot(both.prefix, ignore=["__pycache__", "history"])
    for result in both("install", "moo>=1", "herd"):
        assert "already installed" in result.stdout
    assert not diff(before, snapshot(both.prefix, ignore=["__pycache__", "history"]))


def test_update_all_updates_what_came_from_either(
    both: Both, index: IndexServer, extra_channel: Path
) -> None:
    both.have("moo=1")
    index.add("herd", "1.6")
    add_to(extra_channel, ("hay", "1.6"))
    both.conda("update", "-p", both.prefix, "--all")
    assert both.state == {"moo": "2.0", "herd": "1.6"}


def test_force_reinstall_puts_files_back(enabled: Conda, env: Path) -> None:
    enabled("install", "-p", env, "moo", "cow")
    modules = [site_packages(env) / name for name in ("moo.py", "cow.py")]
    for module in modules:
        module.unlink()
    enabled("install", "-p", env, "--force-reinstall", "moo", "cow")
    assert all(module.is_file() for module in modules)
    assert installed(env) == {"moo": "2.0", "herd": "1.5", "cow": "2.0", "hay": "1.5"}


# -- parts of a request ----------------------------------------------------------------------------


@pytest.mark.parametrize(("option", "expected"), [("--no-deps", {"moo"}), ("--only-deps", {"herd"})])
def test_deps_are_left_out_or_come_alone(enabled: Conda, env: Path, option: str, expected: set[str]) -> None:
    assert linked(enabled, env, option, "cow", env=PLAIN).keys() == {TWINS[name] for name in expected}
    enabled("install", "-p", env, option, "moo")
    assert installed(env).keys() == expected


def test_download_only_fills_the_cache_which_serves_offline(
    enabled: Conda, env: Path, index: IndexServer
) -> None:
    before = snapshot(env, ignore=["__pycache__"])
    enabled("install", "-p", env, "--download-only", "moo", "cow")
    assert same(before, env)
    kept = {path.parents[1].name.rpartition("-")[0] for path in enabled.home.pkgs.glob("*/info/index.json")}
    assert {"moo-2.0", "herd-1.5", "cow-2.0", "hay-1.5"} <= kept
    calls = len(index.calls)
    enabled("install", "-p", env, "--offline", "moo", "cow")
    assert installed(env) == {"moo": "2.0", "herd": "1.5", "cow": "2.0", "hay": "1.5"}
    assert len(index.calls) == calls


def test_offline_with_nothing_cached_is_one_clear_line(enabled: Conda, env: Path, index: IndexServer) -> None:
    result = enabled("install", "-p", env, "--offline", "moo", check=False)
    assert result.returncode == 1
    assert "offline, and not in the cache" in result.stderr
    assert "/moo/" in result.stderr
    assert "unexpected error" not in result.stderr
    assert not index.calls


def test_a_dry_run_and_a_no_change_nothing_and_download_nothing(both: Both, index: IndexServer) -> None:
    both.conda.home.configure(always_yes=False)
    before = snapshot(both.conda.home.path, ignore=["cache", ".cache"])
    both("install", "--dry-run", "moo", check=False)
    ours, plain = both("install", "moo", check=False, input="n\n")
    assert "Proceed" in ours.stdout and "Proceed" in plain.stdout
    assert not diff(before, snapshot(both.conda.home.path, ignore=["cache", ".cache"]))
    assert not index.count(r"\.whl$")


def test_files_list_specs_of_both(enabled: Conda, env: Path, tmp_path: Path) -> None:
    file = tmp_path / "specs.txt"
    file.write_text("# what we need\nmoo >=1,<2\ncow\n")
    wanted = {"moo": "1.0", "herd": "1.5", "cow": "2.0", "hay": "1.5"}
    enabled("install", "-p", env, "--file", file)
    assert installed(env) == wanted
    enabled("create", "-n", "other", "--file", file)
    assert installed(enabled.home.envs / "other") == wanted


# -- what is said ----------------------------------------------------------------------------------


def test_json_is_condas(both: Both) -> None:
    ours, plain = (result.json() for result in both("install", "--json", "moo"))
    assert ours["success"] and ours.keys() == plain.keys()
    assert ours["actions"].keys() == plain["actions"].keys()
    (row,) = (row for row in ours["actions"]["LINK"] if row["name"] == "moo")
    (other,) = (row for row in plain["actions"]["LINK"] if row["name"] == "cow")
    assert row.keys() == other.keys()
    ours, plain = (result.json() for result in both("install", "--json", "moo"))
    assert ours == plain


def test_a_failure_in_json_is_one_document(enabled: Conda, env: Path, index: IndexServer) -> None:
    index.add("lonely", "1.0", requires=["herd<1"])
    for name, spec in {"nobody-has-this": "nobody-has-this", "moo": "moo=9", "lonely": "lonely"}.items():
        result = enabled("install", "-p", env, "--json", spec, check=False)
        assert result.returncode == 1
        document = result.json()
        assert not document.get("success")
        assert {"error", "message", "exception_name"} <= document.keys()
        assert name in document["message"]


# -- environments ----------------------------------------------------------------------------------


def test_a_frozen_environment_is_protected_as_this_conda_protects_it(both: Both, index: IndexServer) -> None:
    """CEP 22: "the environment has been marked as frozen"; older condas know nothing of it."""
    (both.prefix / "conda-meta" / "frozen").write_text("{}")
    ours, plain = both("install", "moo", check=False)
    assert ("EnvironmentIsFrozenError" in ours.stderr) == ("EnvironmentIsFrozenError" in plain.stderr)
    if ours.returncode:
        assert both.state == {}
        assert not index.calls


def test_environment_files_list_packages_of_the_index(enabled: Conda, tmp_path: Path) -> None:
    file = tmp_path / "environment.yml"
    prefix = tmp_path / "made"

    def write(*specs: str) -> None:
        lines = "".join(f"  - {spec}\n" for spec in ("python", *specs))
        file.write_text(f"name: made\ndependencies:\n{lines}")

    write("moo=1", "cow=1")
    enabled("env", "create", "-p", prefix, "-f", file)
    made = {"moo": "1.0", "herd": "1.5", "cow": "1.0", "hay": "1.5"}
    assert installed(prefix) == made
    write("calf", "kid")
    enabled("env", "update", "-p", prefix, "-f", file)
    assert installed(prefix) == {**made, "calf": "1.0", "kid": "1.0"}
    enabled("env", "update", "-p", prefix, "-f", file, "--prune")
    assert installed(prefix) == {"calf": "1.0", "herd": "1.5", "kid": "1.0", "hay": "1.5"}


def test_an_environment_file_that_cannot_be_met_makes_no_environment(enabled: Conda, tmp_path: Path) -> None:
    file = tmp_path / "environment.yml"
    file.write_text("dependencies:\n  - python\n  - moo=7\n")
    result = enabled("env", "create", "-p", tmp_path / "made", "-f", file, check=False)
    assert result.returncode == 1
    assert "moo: no version matches" in result.stderr
    assert not (tmp_path / "made" / "conda-meta").exists()


# -- removing --------------------------------------------------------------------------------------


def test_removing_takes_along_what_requires_it_and_what_was_removed_comes_back(
    both: Both, index: IndexServer
) -> None:
    index.add("ranch", "1.0", requires=["hay"])
    both.have("moo")
    both.conda("install", "-p", both.prefix, "ranch")
    calls = len(index.calls)
    both.conda("remove", "-p", both.prefix, "herd", "hay")
    assert installed(both.prefix) == {}
    assert len(index.calls) == calls
    both.have("moo")
    both("remove", "moo")
    assert "moo" not in both.state
    both.have("moo")
    assert both.state == {"moo": "2.0", "herd": "1.5"}
    run([python_of(both.prefix), "-c", "import moo, cow"], both.conda.home.environment())
    assert not any(call.path.endswith(".whl") for call in index.calls[calls:])
    both.conda("remove", "-p", both.prefix, "--all")
    assert not (both.prefix / "conda-meta").exists()


# -- names -----------------------------------------------------------------------------------------


def test_what_a_channels_package_requires_never_comes_from_the_index(
    enabled: Conda, env: Path, index: IndexServer, extra_channel: Path
) -> None:
    add_to(extra_channel, ("beta", "1.0"), depends=["calf"])
    ours = enabled("install", "-p", env, "beta", check=False)
    plain = enabled("install", "-p", env, "beta", check=False, env=PLAIN)
    assert ours.returncode and plain.returncode
    assert error_of(ours) == error_of(plain)
    assert not index.calls
    assert enabled("install", "-p", env, "moo", "beta", check=False).returncode == 1
    assert not index.count("calf")
    assert installed(env) == {}


def error_of(result: Result) -> str:
    """The name of conda's error."""
    (line,) = (line for line in result.stderr.splitlines() if "Error:" in line)
    return line.partition(":")[0]


def test_a_project_is_found_by_any_spelling(enabled: Conda, env: Path, index: IndexServer) -> None:
    index.add("Flask_Moo", "1.0")
    for name in ("Flask_Moo", "flask.moo"):
        enabled("install", "-p", env, name)
        assert installed(env) == {"flask-moo": "1.0"}
    index.add("Flask_Moo", "1.1")
    enabled("update", "-p", env, "flask-moo")
    assert installed(env) == {"flask-moo": "1.1"}


def test_what_pip_placed_is_replaced_and_the_summary_says_so(enabled: Conda, env: Path) -> None:
    enabled("install", "-p", env, "pip")
    pip: list[str | Path] = [python_of(env), "-m", "pip"]
    variables = enabled.home.environment() | enabled.env
    run([*pip, "install", "-q", "moo==1.0"], variables)
    result = enabled("install", "-p", env, "moo")
    assert "moo 1.0, which pip placed here, is replaced" in result.stdout
    assert "herd 1.5, which pip placed here, is replaced" in result.stdout
    rows = enabled.packages(env)
    assert {name: (rows[name]["version"], rows[name]["channel"]) for name in ("moo", "herd")} == {
        "moo": ("2.0", "pypi-bridge"),
        "herd": ("1.5", "pypi-bridge"),
    }
    assert "No broken requirements" in run([*pip, "check"], variables).stdout


# -- settings --------------------------------------------------------------------------------------


def test_variables_enable_and_choose_the_solver(enabled: Conda, env: Path) -> None:
    enabled.home.configure(plugins={})
    assert enabled("install", "-p", env, "calf", check=False).returncode
    chosen = {"CONDA_PLUGINS_PYPI_BRIDGE_ENABLED": "true", "CONDA_SOLVER": "classic"}
    enabled("install", "-p", env, "calf", env=chosen)
    assert installed(env) == {"calf": "1.0", "herd": "1.5"}


def test_conda_pypi_works_beside_the_bridge(enabled: Conda, env: Path) -> None:
    told = enabled("pypi", "--help", check=False)
    if told.returncode:
        pytest.skip("this conda has no conda-pypi")
    assert "convert" in told.stdout
    enabled("install", "-p", env, "moo")
    assert installed(env) == {"moo": "2.0", "herd": "1.5"}


def test_a_pin_limits_what_comes_from_the_index(both: Both) -> None:
    pin(both.prefix, "moo 1.*", "cow 1.*")
    both("install", "moo")
    assert both.state["moo"] == "1.0"


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_a_wheel_that_is_refused_is_one_clear_line(
    enabled: Conda, env: Path, index: IndexServer, options: list[str]
) -> None:
    index.add("torn", "1.0", after_record={"torn.py": "not what RECORD says"})
    before = snapshot(env, ignore=["__pycache__"])
    result = enabled("install", "-p", env, *options, "torn", check=False)
    assert result.returncode == 1
    told = result.json().get("message", "") if options else result.stderr
    assert "torn-1.0-py3-none-any.whl" in told
    assert "Traceback" not in result.stdout + result.stderr
    assert same(before, env)


def test_what_only_the_whole_channel_has_is_found_beside_the_index(both: Both, extra_channel: Path) -> None:
    """conda reads current_repodata.json first, where a channel has it: its newest packages alone."""
    add_to(extra_channel, ("fence", "1.0"), ("fence", "2.0"))
    whole = json.loads((extra_channel / "noarch" / "repodata.json").read_text())
    rows = whole["packages.conda"].items()
    whole["packages.conda"] = {name: row for name, row in rows if not name.startswith("fence-1")}
    (extra_channel / "noarch" / "current_repodata.json").write_text(json.dumps(whole))
    both("install", "moo", "fence=1")
    assert installed(both.prefix)["fence"] == "1.0"


def test_a_solver_option_is_no_way_around_the_bridge(enabled: Conda, env: Path) -> None:
    enabled("install", "-p", env, "--solver", "classic", "calf")
    assert installed(env) == {"calf": "1.0", "herd": "1.5"}


def test_update_specs_updates_what_is_named(both: Both, index: IndexServer, extra_channel: Path) -> None:
    both.have("moo=1")
    index.add("herd", "1.6")
    add_to(extra_channel, ("hay", "1.6"))
    both("install", "--update-specs", "herd")
    assert both.state == {"moo": "1.0", "herd": "1.6"}


def test_what_is_named_becomes_the_newest_as_conda_install_does_it(both: Both) -> None:
    both.have("moo=1")
    both("install", "moo")
    assert both.state == {"moo": "2.0", "herd": "1.5"}


def test_update_deps_updates_what_the_named_ones_require(
    both: Both, index: IndexServer, extra_channel: Path
) -> None:
    both.have("moo")
    index.add("herd", "1.6")
    add_to(extra_channel, ("hay", "1.6"))
    both("install", "--update-deps", "moo")
    assert both.state == {"moo": "2.0", "herd": "1.6"}


def test_a_dry_run_of_an_environment_file(enabled: Conda, tmp_path: Path) -> None:
    file = tmp_path / "environment.yml"
    file.write_text("name: made\ndependencies:\n  - python\n  - moo\n  - cow\n")
    result = enabled("env", "create", "-p", tmp_path / "made", "-f", file, "--dry-run", check=False)
    assert "herd" in result.stdout, result.stderr
    assert not (tmp_path / "made").exists()


def test_a_clone_has_what_came_from_the_index(enabled: Conda, env: Path) -> None:
    enabled.home.configure(remote_max_retries=0)
    enabled("install", "-p", env, "moo=1")
    enabled("create", "-n", "clone", "--clone", env)
    assert installed(enabled.home.envs / "clone") == {"moo": "1.0", "herd": "1.5"}


def test_an_explicit_file_names_packages_that_the_cache_has(
    enabled: Conda, env: Path, tmp_path: Path
) -> None:
    enabled.home.configure(remote_max_retries=0)
    enabled("install", "-p", env, "moo=1")
    file = tmp_path / "explicit.txt"
    file.write_text(enabled("list", "-p", env, "--explicit").stdout)
    enabled("create", "-n", "again", "--file", file)
    assert installed(enabled.home.envs / "again") == {"moo": "1.0", "herd": "1.5"}


def test_a_message_about_a_pin_names_the_pin(both: Both, index: IndexServer, extra_channel: Path) -> None:
    add_to(extra_channel, ("fence", "1.0"), ("fence", "2.0"))
    add_to(extra_channel, ("kid", "2.0"), depends=["fence >=2"])
    index.add("calf", "2.0", requires=["fence>=2"])
    pin(both.prefix, "fence 1.*")
    for result in both("install", "calf=2", check=False):
        assert result.returncode == 1
        assert "fence" in result.stderr


def test_a_conflict_of_a_channels_package_is_named(enabled: Conda, env: Path, extra_channel: Path) -> None:
    add_to(extra_channel, ("beta", "1.0"), depends=["fence >=2"])
    add_to(extra_channel, ("delta", "1.0"), depends=["fence <2"])
    add_to(extra_channel, ("fence", "1.0"), ("fence", "2.0"))
    plain = enabled("install", "-p", env, "beta", "delta", check=False, env=PLAIN)
    ours = enabled("install", "-p", env, "moo", "beta", "delta", check=False)
    assert error_of(ours) == error_of(plain)


def test_a_channels_name_spelled_otherwise_is_condas_own_error(
    enabled: Conda, env: Path, extra_channel: Path
) -> None:
    add_to(extra_channel, ("fence-post", "1.0"))
    plain = enabled("install", "-p", env, "fence_post", check=False, env=PLAIN)
    ours = enabled("install", "-p", env, "fence_post", check=False)
    assert error_of(ours) == error_of(plain)


def test_a_package_of_the_index_gives_way_to_one_of_a_channel(
    enabled: Conda, env: Path, index: IndexServer, extra_channel: Path
) -> None:
    add_to(extra_channel, ("fence", "1.0"), ("fence", "2.0"))
    index.add("field", "0.9", requires=["fence"])
    index.add("field", "1.0", requires=["fence>=2"])
    add_to(extra_channel, ("yard", "0.9"), depends=["fence"])
    add_to(extra_channel, ("yard", "1.0"), depends=["fence >=2"])
    enabled("install", "-p", env, "yard", env=PLAIN)
    enabled("install", "-p", env, "fence=1", env=PLAIN)
    assert installed(env) == {"fence": "1.0", "yard": "0.9"}
    enabled("remove", "-p", env, "yard", "fence")
    enabled("install", "-p", env, "field")
    enabled("install", "-p", env, "fence=1")
    assert installed(env) == {"fence": "1.0", "field": "0.9"}


def test_history_holds_the_users_own_words(both: Both) -> None:
    both("install", "moo=1")
    exported = both.conda("env", "export", "-p", both.prefix, "--from-history").stdout
    assert "- cow=1\n" in exported
    assert "- moo=1\n" in exported


def test_no_deps_asks_nothing_about_dependencies(enabled: Conda, env: Path, index: IndexServer) -> None:
    enabled("install", "-p", env, "--no-deps", "moo")
    assert not index.count("herd")


def test_a_name_on_a_channel_is_not_said_to_be_on_none(
    enabled: Conda, env: Path, index: IndexServer, extra_channel: Path
) -> None:
    add_to(extra_channel, ("fence", "1.0"))
    index.add("field", "1.0", requires=["fence>=2"])
    result = enabled("install", "-p", env, "field", check=False)
    assert result.returncode == 1
    assert "field 1.0 requires fence>=2" in result.stderr
    assert "no package named 'fence'" not in result.stderr


def test_a_name_nobody_has_is_asked_for_once(enabled: Conda, env: Path, index: IndexServer) -> None:
    enabled("install", "-p", env, "nobody-has-this", check=False)
    assert index.count("nobody-has-this") == 1
