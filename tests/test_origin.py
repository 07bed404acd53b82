"""What came from one index is not looked for on another: not by any verb, and not at any door.

Two indexes: a private one, and one that anybody may publish on, where somebody has put a higher version
under the private project's name (dependency confusion).
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from conda_pypi_bridge.config import IndexConfig
from conda_pypi_bridge.errors import OtherIndex
from conda_pypi_bridge.index import Index
from conda_pypi_bridge.index.localindex import place_of, same_place
from conda_pypi_bridge.model import ProjectName
from tests.doors import DOORS, Bridge, Door
from tests.indexserver import IndexServer, says
from tests.lab.condas import Conda
from tests.wheels import wheel_bytes

ACME = ProjectName("acme")


@pytest.fixture
def private() -> Iterator[IndexServer]:
    with IndexServer(auth=("me", "canary-password")) as server:
        server.add("acme", "1.0")
        yield server


@pytest.fixture
def public() -> Iterator[IndexServer]:
    with IndexServer() as server:
        server.add("acme", "99.0")
        server.add("base", "1.0", requires=["lib<2"])
        server.add("app", "1.0", requires=["base"])
        server.add("lib", "1.0")
        yield server


@pytest.fixture(params=DOORS)
def door(
    request: pytest.FixtureRequest,
    conda: Conda,
    conda_env: Path,
    bridge: Bridge,
    public: IndexServer,
) -> Door:
    """A fresh conda environment and a door to it; the public index is what is configured."""
    return Door.of(request.param, conda_env, conda, bridge, env={"PIP_INDEX_URL": public.url})


@pytest.fixture
def acme(door: Door, private: IndexServer) -> Door:
    """The door, with what came from the private index behind it."""
    door.install("-i", private.url_with_credentials, "acme")
    return door


def unasked(server: IndexServer) -> bool:
    """Whether the server never heard the private project's name."""
    return server.count("acme") == 0


def test_a_package_tells_which_index_it_came_from_and_no_password(acme: Door, private: IndexServer) -> None:
    (found,) = acme.prefix.rglob("acme-1.0.dist-info/provenance_url.json")
    assert json.loads(found.read_text()) == {
        "archive_info": {"hashes": private.pages["acme"][0]["hashes"]},
        "index_url": private.url,
        "url": f"{private.base}/files/acme-1.0-py3-none-any.whl",
    }
    kept = [path for path in acme.conda.home.path.rglob("*") if path.is_file()]
    assert [path for path in kept if b"canary-password" in path.read_bytes()] == []


def test_a_wider_search_for_a_solution_does_not_tell_its_name(acme: Door, public: IndexServer) -> None:
    """Where the first solve fails, newer versions of what is installed are looked for."""
    acme.install("app")
    public.add("base", "2.0", requires=["lib>=2"])
    public.add("lib", "2.0")
    acme.install("lib>=2")
    assert acme.versions() == {"acme": "1.0", "app": "1.0", "base": "2.0", "lib": "2.0"}
    assert public.count("/base/") and unasked(public)


def test_what_another_package_requires_of_it_is_asked_for_only_there(
    acme: Door, public: IndexServer, private: IndexServer
) -> None:
    public.add("tool", "1.0", requires=["acme>=2"])
    refused = acme.refused("tool")
    assert f"acme came from {private.url}, which is not configured now" in refused
    assert f"--extra-index-url {private.url}" in refused
    assert unasked(public) and acme.versions() == {"acme": "1.0"}
    private.add("acme", "2.0")
    acme.install("tool", "--extra-index-url", private.url_with_credentials)
    assert acme.versions() == {"acme": "2.0", "tool": "1.0"}
    assert unasked(public)


def test_its_own_index_alone_is_asked_where_several_are_configured(
    acme: Door, public: IndexServer, private: IndexServer
) -> None:
    private.add("acme", "2.0")
    acme.install("-U", "acme", "--extra-index-url", private.url_with_credentials)
    assert acme.versions() == {"acme": "2.0"}
    private.on("/acme/", says(404))  # as indexes answer where a token has expired
    assert "'acme'" in acme.refused("-U", "acme", "--extra-index-url", private.url_with_credentials)
    assert unasked(public) and acme.versions() == {"acme": "2.0"}


def test_a_user_who_names_it_takes_it_from_the_index_they_name(
    acme: Door, public: IndexServer, private: IndexServer
) -> None:
    """A project may move, or be asked for through a mirror from now on."""
    result = acme.install("-U", "acme", "-i", public.url)
    assert acme.versions() == {"acme": "99.0"}
    assert f"acme came from {private.url}, and now comes from {public.url}" in result.stderr
    private.calls.clear()
    acme.install("-U", "acme", "-i", public.url)
    assert private.calls == []


def test_naming_it_where_no_index_has_it_tells_where_it_came_from(acme: Door, private: IndexServer) -> None:
    with IndexServer() as empty:
        refused = acme.refused("-U", "acme", "-i", empty.url)
    assert f"acme came from {private.url}, which is not configured now, and no other index has it" in refused


def test_what_is_installed_and_will_do_is_asked_for_nowhere(acme: Door, public: IndexServer) -> None:
    public.add("tool", "1.0", requires=["acme"])
    acme.install("tool", "acme")
    assert acme.versions() == {"acme": "1.0", "tool": "1.0"}
    assert unasked(public)


def test_a_name_of_one_index_alone_is_asked_for_there(
    door: Door, public: IndexServer, private: IndexServer
) -> None:
    public.add("tool", "1.0", requires=["acme"])
    door.conda.home.configure(plugins={"pypi_bridge_private": {"acme*": private.url_with_credentials}})
    door.install("tool")
    assert door.versions() == {"acme": "1.0", "tool": "1.0"}
    assert unasked(public) and private.count("tool") == 0


# -- plain conda commands --------------------------------------------------------------------------------


@pytest.fixture
def enabled(conda: Conda, public: IndexServer) -> Conda:
    """A conda whose user enabled the bridge; the public index is what is configured."""
    conda.home.configure(plugins={"pypi_bridge_enabled": True})
    return replace(conda, env={"PIP_INDEX_URL": public.url})


@pytest.fixture
def env(enabled: Conda, conda_env: Path, private: IndexServer) -> Path:
    """An environment with one package of each index."""
    enabled("pypi-install", "-p", conda_env, "-y", "acme", "-i", private.url_with_credentials)
    enabled("install", "-p", conda_env, "-y", "lib")
    return conda_env


def versions(conda: Conda, prefix: Path) -> dict[str, str]:
    return {name: row["version"] for name, row in conda.packages(prefix).items() if name != "python"}


def test_updating_all_leaves_it_as_it_is_and_says_so(
    enabled: Conda, env: Path, public: IndexServer, private: IndexServer
) -> None:
    public.add("lib", "2.0")
    private.add("acme", "2.0")
    result = enabled("update", "-p", env, "-y", "--all")
    assert versions(enabled, env) == {"acme": "1.0", "lib": "2.0"}
    assert (
        f"acme came from {private.url}, which is not configured now; it stays as it is"
        f" (to update: -U acme --extra-index-url {private.url})"
    ) in result.stderr
    assert unasked(public)
    extra = {"PIP_EXTRA_INDEX_URL": private.url_with_credentials}
    enabled("update", "-p", env, "-y", "--all", env=extra)
    assert versions(enabled, env) == {"acme": "2.0", "lib": "2.0"}
    assert unasked(public)


def test_an_environment_as_it_was_is_not_made_of_another_index(
    enabled: Conda, env: Path, public: IndexServer, private: IndexServer
) -> None:
    enabled("remove", "-p", env, "-y", "acme")
    shutil.rmtree(enabled.home.pkgs)
    private.calls.clear()
    result = enabled("install", "-p", env, "-y", "--revision", "1", check=False)
    assert result.returncode == 1 and "Traceback" not in result.stderr
    assert f"--extra-index-url {private.url}" in result.stderr
    assert unasked(public) and private.calls == []
    extra = {"PIP_EXTRA_INDEX_URL": private.url_with_credentials}
    enabled("install", "-p", env, "-y", "--revision", "1", env=extra)
    assert versions(enabled, env) == {"acme": "1.0"}
    assert unasked(public)


# -- the rule itself -------------------------------------------------------------------------------------


def index_of(tmp_path: Path, came_from: str, *urls: str, **config: Any) -> Index:
    return Index(
        IndexConfig(indexes=urls, keyring=False, **config), tmp_path, origins=lambda: {ACME: came_from}
    )


def test_a_folder_that_it_came_from_is_a_place_like_any_other(tmp_path: Path, public: IndexServer) -> None:
    """Not named, it is looked for in the folder alone; named, wherever it may be, as at the first time."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    filename, content = wheel_bytes("acme", "1.0")
    (folder / filename).write_bytes(content)
    (index := index_of(tmp_path, folder.as_uri(), public.url, find_links=(str(folder),)))
    page = index.page(ACME)
    assert page is not None and [wheel.index_url for wheel in page.wheels] == [folder.as_uri()]
    assert unasked(public)
    page = index.page(ACME, named=True)
    assert page is not None and {str(wheel.version) for wheel in page.wheels} == {"1.0", "99.0"}
    with pytest.raises(OtherIndex, match="which is not configured now"):
        index_of(tmp_path, folder.as_uri(), public.url).page(ACME)


def test_names_of_one_index_are_asked_for_there_wherever_they_came_from(
    tmp_path: Path, public: IndexServer
) -> None:
    with IndexServer() as private:
        private.add("acme", "1.0")
        index = index_of(tmp_path, public.url, public.url, private={"ac*": private.url})
        with pytest.raises(OtherIndex):
            index.page(ACME)
        page = index.page(ACME, named=True)
    assert page is not None and [str(wheel.version) for wheel in page.wheels] == ["1.0"]
    assert unasked(public)


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("https://me:secret@host/simple/", "https://host/simple/"),
        ("https://token@host:8443/simple/", "https://host:8443/simple/"),
        ("https://host/t/token/simple/", "https://host/simple/"),
        ("https://host/links.html?token=secret#x", "https://host/links.html"),
        ("file:///wheels/", "file:///wheels"),
    ],
)
def test_a_place_is_remembered_without_secrets(url: str, place: str) -> None:
    assert place_of(url) == place
    assert same_place(place, place_of(place))


def test_places_are_the_same_however_they_are_spelled() -> None:
    assert same_place("https://HOST/simple", "https://host:443/simple/")
    assert not same_place("https://host/simple/", "https://host/other/")
    assert not same_place("https://host/simple/", "http://host/simple/")
