"""conda's configuration files as conda itself reads them, and the bridge's settings in them."""

from __future__ import annotations

import traceback
from pathlib import Path

import pytest

from conda_pypi_bridge import condarc, settings
from conda_pypi_bridge.condarc import CondaConfig, load, root_prefix
from conda_pypi_bridge.condarcfile import set_plugin_setting
from conda_pypi_bridge.errors import ConfigError
from tests.lab.condas import Conda


def configure(folder: Path, text: str, name: str = ".condarc") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text)


def test_nothing_configured_is_condas_default(tmp_path: Path) -> None:
    assert load(tmp_path, {}, tmp_path / "home") == CondaConfig()


def test_the_files_of_root_user_and_prefix_are_merged_the_nearest_first(tmp_path: Path) -> None:
    prefix, home = tmp_path / "root" / "envs" / "x", tmp_path / "home"
    configure(tmp_path / "root", "channels: [of-root, shared]\nchannel_priority: strict\n")
    configure(home, "channels: [of-user, shared]\ncustom_channels: {a: https://a.example}\n")
    configure(prefix, "channels: [of-prefix]\ncustom_channels: {b: https://b.example}\n")
    found = load(prefix, {}, home)
    assert found.channels == ("of-prefix", "of-user", "shared", "of-root")
    assert found.custom_channels == {"a": "https://a.example", "b": "https://b.example"}
    assert found.channel_priority == "strict"


def test_environment_variables_go_over_files(tmp_path: Path) -> None:
    configure(tmp_path, "channels: [of-user]\nsubdir: linux-64\n")
    found = load(tmp_path / "x", {"CONDA_CHANNELS": "one,two", "CONDA_SUBDIR": "osx-arm64"}, tmp_path)
    assert found.channels == ("one", "two")
    assert found.subdir == "osx-arm64"


def test_the_file_that_condarc_names_goes_over_the_others(tmp_path: Path) -> None:
    configure(tmp_path, "channel_alias: https://one.example\n")
    configure(tmp_path / "other", "channel_alias: https://two.example\n", "condarc.yml")
    found = load(tmp_path / "x", {"CONDARC": str(tmp_path / "other" / "condarc.yml")}, tmp_path)
    assert found.channel_alias == "https://two.example"


def test_conda_reads_the_same(tmp_path: Path, conda: Conda) -> None:
    conda.home.configure(channels=["a", "b"], channel_priority="strict", pinned_packages=["numpy <2"])
    shown = conda("config", "--show", "--json").json()
    found = load(tmp_path / "x", {}, conda.home.path)
    assert list(found.channels) == shown["channels"]
    assert found.channel_priority == shown["channel_priority"]
    assert list(found.pinned_packages) == shown["pinned_packages"]


@pytest.mark.parametrize("text", ["channels: [", "- just\n- a list\n", "a: b: c"])
def test_a_broken_file_is_named(tmp_path: Path, text: str) -> None:
    configure(tmp_path, text)
    with pytest.raises(ConfigError, match=r"\.condarc: "):
        load(tmp_path / "x", {}, tmp_path)


@pytest.mark.parametrize(
    "text",
    [
        "channels: 5\n",
        "channels: [null]\n",
        "pkgs_dirs: {a: b}\n",
        "plugins: [a]\n",
        "custom_channels: a\n",
        "ssl_verify: [a]\n",
    ],
)
def test_a_setting_of_another_type_than_condas_is_named(tmp_path: Path, text: str) -> None:
    configure(tmp_path, text)
    with pytest.raises(ConfigError, match=rf"\.condarc: {text.partition(':')[0]} must be "):
        load(tmp_path / "x", {}, tmp_path)


def test_a_channel_priority_that_conda_does_not_know_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="strict, flexible or disabled, not 'stict'"):
        load(tmp_path / "x", {"CONDA_CHANNEL_PRIORITY": "stict"}, tmp_path)
    configure(tmp_path, "channel_priority: false\n")
    assert load(tmp_path / "x", {}, tmp_path).channel_priority == "disabled"


def test_settings_that_nothing_here_reads_may_be_anything(tmp_path: Path) -> None:
    configure(tmp_path, "envs_dirs: [a]\nreport_errors: {a: [b]}\n")
    assert load(tmp_path / "x", {}, tmp_path) == CondaConfig()


VARIABLES = {"WHO": "me", "SECRET": "pass", "STORE": "truststore"}


def test_environment_variables_are_put_in_as_conda_does(tmp_path: Path, conda: Conda) -> None:
    """conda documentation, "Expansion of environment variables": in some settings; unknown ones stay."""
    conda.home.configure(
        channels=["https://${WHO}:$SECRET@one.example/a", "$NOBODY/b"],
        default_channels=["https://two.example/$WHO"],
        custom_channels={"mine": "https://$WHO.example"},
        proxy_servers={"https": "https://$WHO:${SECRET}@proxy.example"},
        ssl_verify="$STORE",
        pinned_packages=["numpy $WHO"],
    )
    shown = conda("config", "--show", "--json", env=VARIABLES).json()
    found = load(tmp_path / "x", VARIABLES, conda.home.path)
    assert found.channels == ("https://me:pass@one.example/a", "$NOBODY/b")
    assert found.default_channels == ("https://two.example/me",)
    assert found.custom_channels["mine"] == "https://me.example"
    assert found.proxy_servers == shown["proxy_servers"] == {"https": "https://me:pass@proxy.example"}
    assert found.ssl_verify == shown["ssl_verify"] == "truststore"
    assert list(found.pinned_packages) == shown["pinned_packages"] == ["numpy $WHO"]


def test_condas_other_names_of_settings_are_read(tmp_path: Path) -> None:
    configure(tmp_path, "channel: [a]\nverify_ssl: false\nyes: true\n")
    found = load(tmp_path / "x", {}, tmp_path)
    assert (found.channels, found.ssl_verify, found.always_yes) == (("a",), False, True)


def test_windows_has_its_own_folder_of_the_whole_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Elsewhere that is a path in the working folder, which is none of conda's."""
    monkeypatch.chdir(tmp_path)
    machine = Path("C:/ProgramData/conda/.condarc")
    configure(machine.parent, "")
    places = tmp_path / "x", {}, tmp_path / "home", None
    assert machine in condarc.files(*places, windows=True)
    assert machine not in condarc.files(*places, windows=False)


@pytest.mark.parametrize("text", ["plugins: [a]\n", "plugins: a\n", "- a\n", "a: ["])
def test_a_file_that_is_no_mapping_is_not_changed(tmp_path: Path, text: str) -> None:
    configure(tmp_path, text)
    with pytest.raises(ConfigError, match=r"\.condarc: "):
        set_plugin_setting(tmp_path / ".condarc", "pypi_bridge_enabled", True)
    assert (tmp_path / ".condarc").read_text() == text


def test_what_a_broken_file_says_is_in_no_part_of_the_error(tmp_path: Path) -> None:
    configure(tmp_path, "plugins: {a: https://user:secret@index.example, b: [\n")
    with pytest.raises(ConfigError) as caught:
        set_plugin_setting(tmp_path / ".condarc", "pypi_bridge_enabled", True)
    assert "secret" not in "".join(traceback.format_exception(caught.value))


def test_the_root_of_a_named_environment_is_found_without_conda(tmp_path: Path) -> None:
    assert root_prefix(tmp_path / "root" / "envs" / "x", {}) == tmp_path / "root"
    assert root_prefix(tmp_path, {"CONDA_EXE": str(tmp_path / "root" / "bin" / "conda")}) == tmp_path / "root"
    assert root_prefix(tmp_path, {}) is None


def test_settings_are_read_from_condas_plugins_mapping() -> None:
    found = settings.read(
        {
            "pypi_bridge_private": ["acme-*"],
            "pypi_bridge_names": {"Some_Project": "its-name"},
            "pypi_bridge_index_url": "https://index.example/simple/",
            "other_plugin": 3,
        }
    )
    assert found.private == {"acme-*": ""}
    assert found.names == {"some-project": "its-name"}
    assert found.index_url == "https://index.example/simple/"


def test_credentials_in_settings_are_not_shown() -> None:
    found = settings.read({"pypi_bridge_index_url": "https://user:secret@index.example/"})
    assert "secret" not in repr(found)


@pytest.mark.parametrize(
    ("plugins", "message"),
    [
        ({"pypi_bridge_privat": []}, "no setting pypi_bridge_privat"),
        ({"pypi_bridge_private": "acme"}, "must be a list"),
        ({"pypi_bridge_names": ["a"]}, "must be a dict"),
        ({"pypi_bridge_min_age_days": True}, "must be a number"),
        ({"pypi_bridge_min_age_days": -1}, "must be from 0 to"),
        ({"pypi_bridge_min_age_days": 10**12}, "must be from 0 to"),
        ({"pypi_bridge_names": {"some-project": None}}, "says nothing"),
        ({"pypi_bridge_private": {"acme-*": None}}, "says nothing"),
        ({"pypi_bridge_block": [None]}, "says nothing"),
    ],
)
def test_a_wrong_setting_is_named(plugins: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        settings.read(plugins)
