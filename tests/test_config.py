"""Where index settings come from: pip's configuration, held against pip itself where pip can tell."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pypi_simple
import pytest

from conda_pypi_bridge import config
from conda_pypi_bridge.errors import ConfigError


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder, beside ``tmp_path/global`` as the only folder of files for all users."""
    monkeypatch.setattr(config, "_global_folders", lambda environ, platform: [tmp_path / "global"])
    folder = tmp_path / "home"
    folder.mkdir()
    return folder


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def user_file(home: Path, text: str) -> Path:
    return write(home / ".config" / "pip" / "pip.conf", text)


def load(home: Path, environ: Mapping[str, str] | None = None, **options: object) -> config.IndexConfig:
    return config.load(environ=environ or {}, home=home, platform="linux", **options)  # type: ignore[arg-type]


def test_default_index_is_the_client_librarys_constant() -> None:
    assert config.default_index() == pypi_simple.PYPI_SIMPLE_ENDPOINT


def test_default_index_is_found_without_importing_the_client_library() -> None:
    code = (
        "import sys; from conda_pypi_bridge.config import default_index as index; index()\n"
        "print('pypi_simple' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def zipped(folder: Path) -> Path:
    """The library itself in an archive, where its source is no file."""
    package = Path(pypi_simple.__file__).parent
    return Path(shutil.make_archive(str(folder / "library"), "zip", package.parent, package.name))


def written_otherwise(folder: Path) -> Path:
    write(
        folder / "pypi_simple" / "__init__.py", f"PYPI_SIMPLE_ENDPOINT = {pypi_simple.PYPI_SIMPLE_ENDPOINT!r}"
    )
    return folder


@pytest.mark.parametrize("make", [zipped, written_otherwise])
def test_the_client_library_is_imported_where_its_source_does_not_tell(
    make: Callable[[Path], Path], tmp_path: Path
) -> None:
    code = (
        "import sys; from conda_pypi_bridge.config import default_index as index\n"
        "print(index(), sys.modules['pypi_simple'].__file__)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": str(make(tmp_path))},
        capture_output=True,
        text=True,
        check=True,
    )
    index, _, origin = done.stdout.strip().partition(" ")
    assert index == pypi_simple.PYPI_SIMPLE_ENDPOINT
    assert origin.startswith(str(tmp_path))


def test_without_any_setting_the_default_index_is_asked(home: Path) -> None:
    found = load(home)
    assert found.indexes == (pypi_simple.PYPI_SIMPLE_ENDPOINT,)
    assert found.public_index == pypi_simple.PYPI_SIMPLE_ENDPOINT
    assert (found.timeout, found.retries, found.find_links) == (config.TIMEOUT, config.RETRIES, ())


def test_command_line_beats_environment_beats_file(home: Path) -> None:
    user_file(home, "[global]\nindex-url = https://file.example/simple\n")
    assert load(home).indexes == ("https://file.example/simple/",)
    variable = {"PIP_INDEX_URL": "https://variable.example/simple"}
    assert load(home, variable).indexes == ("https://variable.example/simple/",)
    assert load(home, variable, index_url="https://option.example").indexes == ("https://option.example/",)


def test_user_file_beats_the_file_for_all_users(home: Path) -> None:
    write(home.parent / "global" / "pip.conf", "[global]\ntimeout = 1\nretries = 7\n")
    user_file(home, "[global]\ntimeout = 2\n")
    assert (load(home).timeout, load(home).retries) == (2, 7)


def test_site_file_beats_user_file_and_pip_config_file_beats_both(home: Path, tmp_path: Path) -> None:
    user_file(home, "[global]\ntimeout = 1\nretries = 1\ncert = user.pem\nindex-url = https://user.example\n")
    prefix = tmp_path / "env"
    write(prefix / "pip.conf", "[global]\ntimeout = 2\nretries = 2\n")
    found = load(home, prefix=prefix)
    assert (found.timeout, found.retries, found.cert) == (2, 2, "user.pem")
    named = write(tmp_path / "named.conf", "[global]\ntimeout = 3\n")
    found = load(home, {"PIP_CONFIG_FILE": str(named)}, prefix=prefix)
    assert (found.timeout, found.retries) == (3, 2)
    # A PIP_CONFIG_FILE that exists replaces the user's own.
    assert found.indexes == (pypi_simple.PYPI_SIMPLE_ENDPOINT,)


def test_newer_user_file_beats_the_legacy_one(home: Path) -> None:
    write(home / ".pip" / "pip.conf", "[global]\ntimeout = 1\nretries = 7\n")
    user_file(home, "[global]\ntimeout = 2\n")
    assert (load(home).timeout, load(home).retries) == (2, 7)


def test_section_install_beats_section_global_of_any_file(home: Path, tmp_path: Path) -> None:
    user_file(home, "[install]\ntimeout = 1\n[download]\ntimeout = 9\n")
    write(tmp_path / "pip.conf", "[global]\ntimeout = 2\n")
    assert load(home, prefix=tmp_path).timeout == 1


def test_null_device_switches_all_files_off(home: Path) -> None:
    write(home.parent / "global" / "pip.conf", "[global]\ntimeout = 2\n")
    user_file(home, "[global]\ntimeout = 1\n")
    assert load(home, {"PIP_CONFIG_FILE": os.devnull}).timeout == config.TIMEOUT
    assert load(home, {"PIP_CONFIG_FILE": os.devnull, "PIP_TIMEOUT": "4"}).timeout == 4


def test_missing_pip_config_file_is_passed_over(home: Path) -> None:
    user_file(home, "[global]\ntimeout = 1\n")
    assert load(home, {"PIP_CONFIG_FILE": str(home / "none.conf")}).timeout == 1


def test_empty_values_count_as_absent(home: Path) -> None:
    user_file(home, "[global]\nindex-url = https://file.example/\n")
    assert load(home, {"PIP_INDEX_URL": ""}).indexes == ("https://file.example/",)


def test_names_are_spelled_with_hyphens_or_underscores(home: Path) -> None:
    user_file(home, "[global]\nextra_index_url = https://one.example\n--trusted-host = a.example b:8443\n")
    found = load(home)
    assert "https://one.example/" in found.indexes
    assert found.trusted_hosts == {"a.example", "b:8443"}


def test_lists_are_split_at_blanks_and_lines(home: Path) -> None:
    user_file(home, "[global]\nextra-index-url =\n    https://one.example\n    https://two.example\n")
    assert load(home).indexes[:2] == ("https://one.example/", "https://two.example/")


def test_indexes_of_the_command_line_join_the_configured_ones(home: Path) -> None:
    user_file(home, "[global]\nextra-index-url = https://one.example\n")
    found = load(
        home,
        index_url="https://main.example",
        extra_index_urls=["https://two.example", "https://one.example"],
    )
    assert found.indexes == ("https://main.example/", "https://one.example/", "https://two.example/")


def test_public_index_is_asked_last(home: Path) -> None:
    """A name that a private index has cannot be taken over by someone who registers it publicly."""
    assert load(home, extra_index_urls=["https://private.example/"]).indexes == (
        "https://private.example/",
        pypi_simple.PYPI_SIMPLE_ENDPOINT,
    )


@pytest.mark.parametrize("value", ["1", "true", "YES", "on"])
def test_no_index_leaves_find_links_alone(home: Path, value: str) -> None:
    environ = {"PIP_NO_INDEX": value, "PIP_FIND_LINKS": "/wheels", "PIP_INDEX_URL": "https://x.example"}
    found = load(home, environ)
    assert (found.indexes, found.find_links) == ((), ("/wheels",))


def test_no_index_switched_off(home: Path) -> None:
    assert load(home, {"PIP_NO_INDEX": "0"}).indexes


def test_home_is_expanded_in_find_links(home: Path) -> None:
    assert load(home, {"PIP_FIND_LINKS": "~/wheels /other"}).find_links == (str(home / "wheels"), "/other")


def test_a_folder_is_an_index(home: Path, tmp_path: Path) -> None:
    assert load(home, index_url=str(tmp_path)).indexes == (tmp_path.as_uri() + "/",)


def test_certificates_pip_first_then_requests_then_openssl(home: Path) -> None:
    bundles = {"SSL_CERT_FILE": "openssl.pem"}
    assert load(home, bundles).cert == "openssl.pem"
    bundles["REQUESTS_CA_BUNDLE"] = "requests.pem"
    assert load(home, bundles).cert == "requests.pem"
    assert load(home, {"PIP_CERT": "pip.pem", **bundles}).cert == "pip.pem"


def test_proxy_client_certificate_and_keyring(home: Path) -> None:
    user_file(
        home,
        "[global]\nproxy = http://p:3128\nclient-cert = me.pem\nkeyring-provider = disabled\n",
    )
    found = load(home)
    assert found.proxies == {"http": "http://p:3128", "https": "http://p:3128"}
    assert (found.client_cert, found.keyring) == ("me.pem", False)


def test_private_patterns_are_handed_through(home: Path) -> None:
    given = {"corp-*": "", "acme-*": "https://me:secret@acme.invalid/simple"}
    found = load(home, private=given)
    assert found.private == {"corp-*": "", "acme-*": "https://me:secret@acme.invalid/simple/"}
    assert "secret" not in repr(found)


@pytest.mark.parametrize(
    "text",
    ["index-url = x", "[global\nx=1", "[global]\nx = 1\nx = 2\n", "\xff\xfe"],
)
def test_unreadable_file_is_named_but_not_quoted(home: Path, text: str) -> None:
    path = user_file(home, "")
    path.write_bytes(f"{text}\n# https://user:s3cret@host.example\n".encode("latin-1"))
    with pytest.raises(ConfigError) as caught:
        load(home)
    assert str(path) in str(caught.value) and "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PIP_TIMEOUT", "soon"),
        ("PIP_TIMEOUT", "-1"),
        ("PIP_TIMEOUT", "nan"),
        ("PIP_RETRIES", "inf"),
        ("PIP_NO_INDEX", "perhaps"),
        ("PIP_INDEX_URL", "ftp://host.example/simple"),
        ("PIP_INDEX_URL", "simple"),
        ("PIP_INDEX_URL", "https:///simple"),
        ("PIP_INDEX_URL", "https://user:s3cret@host.example/simple?token=s3cret"),
        ("PIP_EXTRA_INDEX_URL", "git+https://user:s3cret@host.example/simple"),
    ],
)
def test_values_that_make_no_sense_are_refused_unquoted(home: Path, name: str, value: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(home, {name: value})
    assert "s3cret" not in str(caught.value)


def test_credentials_are_not_in_the_repr(home: Path) -> None:
    environ = {
        "PIP_PROXY": "http://u:s3cret@proxy.example",
        "PIP_FIND_LINKS": "https://u:s3cret@l.example/x.html",
    }
    found = load(home, environ, index_url="https://user:s3cret@host.example/simple")
    assert "s3cret" in found.indexes[0] and "s3cret" not in repr(found)


@pytest.mark.parametrize(
    ("platform", "environ", "expected"),
    [
        (
            "linux",
            {},
            "/etc/xdg/pip/pip.conf, /etc/pip.conf, /h/.pip/pip.conf, /h/.config/pip/pip.conf, /env/pip.conf",
        ),
        (
            "linux",
            {"XDG_CONFIG_DIRS": "/a:/b", "XDG_CONFIG_HOME": "/me"},
            "/a/pip/pip.conf, /b/pip/pip.conf, /etc/pip.conf, /h/.pip/pip.conf, /me/pip/pip.conf, "
            "/env/pip.conf",
        ),
        (
            "darwin",
            {},
            "/Library/Application Support/pip/pip.conf, /h/.pip/pip.conf, /h/.config/pip/pip.conf, "
            "/env/pip.conf",
        ),
        (
            "win32",
            {"PROGRAMDATA": "/all", "APPDATA": "/me"},
            "/all/pip/pip.ini, /h/pip/pip.ini, /me/pip/pip.ini, /env/pip.ini",
        ),
    ],
)
def test_files_of_each_platform(platform: str, environ: dict[str, str], expected: str) -> None:
    """pip documentation, "Configuration Files"."""
    found = config.pip_config_files(environ, Path("/h"), Path("/env"), platform)
    assert [str(path) for path in found] == expected.split(", ")


def test_macos_folder_counts_where_it_exists(home: Path) -> None:
    folder = home / "Library" / "Application Support" / "pip"
    folder.mkdir(parents=True)
    assert list(config.pip_config_files({}, home, None, "darwin"))[-1] == folder / "pip.conf"


def test_reads_what_pip_reads(tmp_path: Path) -> None:
    """pip says which value wins where files, sections and variables disagree."""
    user_file(tmp_path, "[global]\nindex-url = https://user.example/\ntimeout = 3\n[install]\nretries = 6\n")
    write(
        tmp_path / ".pip" / "pip.conf", "[global]\ncert = legacy.pem\nindex-url = https://legacy.example/\n"
    )
    environ = {"HOME": str(tmp_path), "PIP_TIMEOUT": "8", "PIP_CONFIG_FILE": str(tmp_path / "missing.conf")}
    probe = (
        "from pip._internal.commands import create_command\n"
        "options, _ = create_command('install').parse_args([])\n"
        "print(options.index_url, options.timeout, options.retries, options.cert)\n"
    )
    command = [sys.executable, "-c", probe]
    pip = subprocess.run(command, env=environ, capture_output=True, text=True, check=True)
    ours = config.load(environ=environ, home=tmp_path, prefix=Path(sys.prefix))
    assert pip.stdout.split() == [ours.indexes[0], f"{ours.timeout}", f"{ours.retries}", str(ours.cert)]
