"""What a door hands to the story: the channels that are searched without conda, and how to reach indexes."""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path

import pytest

from conda_pypi_bridge import session
from conda_pypi_bridge.condarc import CondaConfig
from conda_pypi_bridge.errors import ConfigError
from conda_pypi_bridge.prefix import read_prefix
from conda_pypi_bridge.requirementfiles import RequirementFile
from conda_pypi_bridge.settings import Settings

FORGE, MAIN = "https://forge.example/forge", "https://main.example/pkgs/main"


def channels(prefix: Path, *given: str, config: CondaConfig | None = None, alone: bool = False) -> list[str]:
    """The channels for ``-c`` of each `given`, with ``--override-channels`` where they stand alone."""
    args = argparse.Namespace(channel=list(given), override_channels=alone)
    return session._channels(args, config or CondaConfig(), read_prefix(prefix))


@pytest.fixture
def conda_env(tmp_path: Path) -> Path:
    """An environment with a package of each of two channels."""
    (tmp_path / "conda-meta").mkdir()
    for name, channel in {"a": FORGE, "b": MAIN}.items():
        record = {"name": name, "version": "1", "build": "0", "subdir": "noarch"}
        text = json.dumps({**record, "channel": f"{channel}/noarch"})
        (tmp_path / "conda-meta" / f"{name}-1-0.json").write_text(text)
    return tmp_path


def test_an_environment_that_nothing_is_configured_for_uses_the_channels_it_was_made_from(
    conda_env: Path,
) -> None:
    assert channels(conda_env) == [FORGE, MAIN]
    assert channels(conda_env, "mine") == ["mine", FORGE, MAIN]
    assert channels(conda_env, "mine", alone=True) == ["mine"]
    with pytest.raises(ConfigError, match="--override-channels"):
        channels(conda_env, alone=True)


def test_a_virtual_environment_has_the_named_channels_alone(tmp_path: Path) -> None:
    (tmp_path / "pyvenv.cfg").write_text("version = 3.12.1\n")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").touch()
    (tmp_path / "lib" / "python3.12" / "site-packages").mkdir(parents=True)
    config = CondaConfig(channels=("of-condarc",))
    assert channels(tmp_path, config=config) == []
    assert channels(tmp_path, "mine", config=config) == ["mine"]


@pytest.mark.parametrize("alone", [True, False])
def test_defaults_is_what_condarc_says_it_is(conda_env: Path, alone: bool) -> None:
    config = CondaConfig(channels=("defaults",), default_channels=("one", "two"))
    assert channels(conda_env, "defaults", config=config, alone=alone) == ["one", "two"]
    assert channels(conda_env, config=config) == ["one", "two"]


def test_defaults_is_else_where_packages_came_from(conda_env: Path) -> None:
    """conda's built-in list is conda's alone; its channels lie below ``/pkgs/``."""
    assert channels(conda_env, "defaults", alone=True) == [MAIN]


def test_defaults_that_nothing_tells_of_are_refused_where_they_are_asked_for(conda_env: Path) -> None:
    (conda_env / "conda-meta" / "b-1-0.json").unlink()
    with pytest.raises(ConfigError, match="defaults") as caught:
        channels(conda_env, "defaults")
    assert "default_channels" in caught.value.hint


def certificates(prefix: Path, ssl_verify: bool | str) -> str | None:
    """The CA bundle for indexes, where conda's setting is that one."""
    config = CondaConfig(ssl_verify=ssl_verify)
    return session.index_config(argparse.Namespace(), RequirementFile(), prefix, config, Settings()).cert


@pytest.fixture
def pip_tells_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """No certificates of pip's and of libraries' variables, which go first."""
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "PIP_CERT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)


@pytest.mark.usefixtures("pip_tells_nothing")
def test_indexes_are_trusted_by_the_certificates_that_conda_was_told_of(tmp_path: Path) -> None:
    bundle = tmp_path / "bundle.pem"
    bundle.touch()
    assert certificates(tmp_path, str(bundle)) == str(bundle)
    assert [certificates(tmp_path, other) for other in (True, False, "truststore")] == [None, None, None]


@pytest.mark.usefixtures("pip_tells_nothing")
def test_a_certificate_file_that_is_not_there_is_told_as_conda_does(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"ssl_verify names .*gone\.pem, which"):
        certificates(tmp_path, str(tmp_path / "gone.pem"))
