"""Environments and caches in places that few people have: at both doors, with real installs."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import stat
import sys
import tempfile
import time
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from conda_pypi_bridge.errors import PrefixError
from conda_pypi_bridge.prefix.startable import refuse_unstartable
from conda_pypi_bridge.store import Store
from tests.doors import DOORS, Bridge, Door
from tests.indexserver import IndexServer
from tests.lab.channels import index_channel, make_conda_package
from tests.lab.condas import Conda, Result, overlay, run, site_packages
from tests.lab.pythons import Interpreter
from tests.lab.servers import ChannelServer
from tests.lab.trees import Entry, diff, snapshot

#: Root may write anywhere by two capabilities; without them permissions mean to root what they mean to all.
_POWERLESS = ("setpriv", "--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-all")
AS_A_USER = () if os.name == "nt" or os.geteuid() else _POWERLESS

#: Bytes that Linux reads of a script's first line.
SHEBANG_LIMIT = 127

IGNORED = ("conda-meta", "__pycache__")


@pytest.fixture
def index() -> Iterator[IndexServer]:
    with IndexServer() as server:
        module = "import sys\ndef main():\n    print('moo of', sys.prefix)\n"
        server.add(
            "moo",
            "1.0",
            files={"moo.py": module, "{data}/scripts/mooh": "#!python\nimport moo\nmoo.main()\n"},
            modes={"{data}/scripts/mooh": 0o755},
            entry_points={"moo": "moo:main"},
        )
        yield server


@pytest.fixture(params=DOORS)
def door(request: pytest.FixtureRequest, conda: Conda, bridge: Bridge, index: IndexServer) -> Door:
    """A door, to an environment that is yet to be made."""
    return Door.of(request.param, conda.home.envs / "test", conda, bridge, index)


def create(door: Door, prefix: Path, pythons: list[Interpreter]) -> Door:
    """The door to a new environment that holds Python."""
    door.conda("create", "-p", prefix, f"python={pythons[0].version}")
    return replace(door, prefix=prefix)


@pytest.fixture
def env_door(door: Door, pythons: list[Interpreter]) -> Door:
    return create(door, door.prefix, pythons)


def through(door: Door, *words: str) -> Door:
    """The door whose commands are run by another command."""
    if door.call is door.conda:
        conda = replace(door.conda, command=(*words, *door.conda.command))
        return replace(door, conda=conda, call=conda)

    def call(*args: str | Path, env: Any = None, **options: Any) -> Result:
        command: Sequence[str | Path] = [*words, sys.executable, "-m", "conda_pypi_bridge", *args]
        return run(command, overlay(door.conda.home.environment(), env), **options)

    return replace(door, call=call)


def started(door: Door, *names: str, activated: bool = True) -> set[str]:
    """What scripts of the prefix print."""
    environ = door.conda.home.environment()
    path = f"{door.prefix / 'bin'}{os.pathsep}{environ['PATH']}" if activated else environ["PATH"]
    return {run([door.prefix / "bin" / name], {**environ, "PATH": path}).stdout for name in names}


def comes_works_and_goes(door: Door) -> None:
    """conda leaves it to the PATH of an activated environment to start a wheel's own scripts (`mooh`)."""
    before = snapshot(door.prefix, ignore=IGNORED)
    door.install("moo")
    assert started(door, "moo", activated=False) == {f"moo of {door.prefix}\n"}
    assert started(door, "mooh") == {f"moo of {door.prefix}\n"}
    door.remove("moo")
    assert not diff(before, snapshot(door.prefix, ignore=IGNORED))


# -- the path of the environment -----------------------------------------------------------------------


def test_spaces_accents_emoji_and_quotes(door: Door, pythons: list[Interpreter], tmp_path: Path) -> None:
    """All in one path, which needs more than a first line to start its Python."""
    composed, decomposed = (unicodedata.normalize(form, "Ünïcode") for form in ("NFC", "NFD"))
    folder = tmp_path / "my envs" / f"{composed} {decomposed}" / "\N{SNAKE} o'clock #1; (a&b) 100%"
    comes_works_and_goes(create(door, folder / f"{composed}\N{SNAKE}", pythons))


def test_what_a_shell_would_read_in_a_path(door: Door, pythons: list[Interpreter]) -> None:
    """Without a space, the kernel itself reads the first line: nothing in it has a meaning."""
    with tempfile.TemporaryDirectory(dir="/tmp") as short:
        comes_works_and_goes(create(door, Path(short, "pay$5`id`\"x\"'y'&#1;%(a)", "env"), pythons))


def test_a_path_longer_than_a_first_line_and_than_the_placeholder(
    door: Door, pythons: list[Interpreter], tmp_path: Path
) -> None:
    prefix = tmp_path / ("long" * 25) / ("longer" * 20) / "env"
    assert len(os.fsencode(prefix)) > 255 > SHEBANG_LIMIT
    comes_works_and_goes(create(door, prefix, pythons))


def test_a_path_from_which_scripts_cannot_start_is_refused(
    door: Door, pythons: list[Interpreter], tmp_path: Path
) -> None:
    """Both engines quote a path with a space for the shell, and neither minds what that reads in quotes."""
    there = create(door, tmp_path / 'say "moo" for $5' / "env", pythons)
    before = snapshot(there.prefix)
    assert "scripts cannot start from a path like this, because of '\"' and '$'" in there.refused("moo")
    assert not diff(before, snapshot(there.prefix))


@pytest.mark.parametrize(
    ("path", "startable"),
    [
        ("/opt/env", True),
        ('/opt/pay$5`x`"y"', True),
        ("/opt/my env/o'clock #1;&(é)", True),
        ("/opt/" + "long" * 60, True),
        ("/opt/my env$5", False),
        ("/opt/my `env`", False),
        ("/opt/" + "long" * 30 + '"', False),
        ("/opt/two\nlines", False),
        ("/opt/back\\slash", False),
    ],
)
def test_which_paths_scripts_can_start_from(path: str, startable: bool) -> None:
    if startable:
        refuse_unstartable(Path(path))
    else:
        with pytest.raises(PrefixError, match="scripts cannot start"):
            refuse_unstartable(Path(path))


def test_symbolic_links_to_environment_and_caches(env_door: Door, tmp_path: Path) -> None:
    home, link = env_door.conda.home, tmp_path / "link to env"
    link.symlink_to(env_door.prefix)
    for folder in (home.pkgs, home.path / ".cache"):
        real = tmp_path / f"real {folder.name}"
        shutil.move(folder, real) if folder.exists() else real.mkdir()
        folder.symlink_to(real)
    before = snapshot(env_door.prefix, ignore=IGNORED)
    linked = replace(env_door, prefix=link)
    linked.install("moo")
    assert started(linked, "moo", "mooh") == {f"moo of {link}\n"}
    linked.remove("moo")
    assert link.is_symlink() and not diff(before, snapshot(env_door.prefix, ignore=IGNORED))


# -- file systems --------------------------------------------------------------------------------------


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[Path]:
    """A folder of a file system other than that of the caches."""
    others = [Path(place) for place in ("/dev/shm", "/run/shm", "/tmp", str(Path.home()))]
    device = tmp_path.stat().st_dev
    for place in others:
        if place.is_dir() and place.stat().st_dev != device and os.access(place, os.W_OK):
            with tempfile.TemporaryDirectory(dir=place) as folder:
                yield Path(folder).resolve()
            return
    pytest.skip("this machine has one file system")


def test_an_environment_on_another_file_system_gets_copies(
    door: Door, pythons: list[Interpreter], elsewhere: Path
) -> None:
    there = create(door, elsewhere / "env", pythons)
    there.install("moo")
    assert (site_packages(there.prefix) / "moo.py").stat().st_nlink == 1
    assert started(there, "moo", "mooh") == {f"moo of {there.prefix}\n"}
    assert door.call(*door.verb_words, "cache", "verify", "--json").json()["faults"] == []


def test_caches_and_temporary_files_on_another_file_system(env_door: Door, elsewhere: Path) -> None:
    home = env_door.conda.home
    home.configure(pkgs_dirs=[str(elsewhere / "pkgs"), *home.settings["pkgs_dirs"][1:]])
    (elsewhere / "tmp").mkdir()
    changes = {"XDG_CACHE_HOME": str(elsewhere / "cache"), "TMPDIR": str(elsewhere / "tmp")}
    env_door.install("moo", env=changes)
    assert started(env_door, "moo", "mooh") == {f"moo of {env_door.prefix}\n"}
    assert not list((elsewhere / "tmp").iterdir())


def test_an_environment_that_is_a_mount_point(door: Door, pythons: list[Interpreter], tmp_path: Path) -> None:
    namespace = ("unshare", "-m") if os.geteuid() == 0 else ("unshare", "-rm")
    if not shutil.which("unshare") or run([*namespace, "true"], os.environ, check=False).returncode:
        pytest.skip("this machine lets nobody mount")
    prefix = tmp_path / "mount"
    prefix.mkdir()
    conda = list(door.conda.command)
    command = conda if door.call is door.conda else [sys.executable, "-m", "conda_pypi_bridge"]
    steps: list[Sequence[str | Path]] = [
        ["mount", "-t", "tmpfs", "none", prefix],
        [*conda, "create", "-q", "-p", prefix, f"python={pythons[0].version}"],
        [*command, *door.install_words, "-q", "-p", prefix, "-y", *door.index, "moo"],
        [prefix / "bin" / "moo"],
        [*command, "remove", "-q", "-p", prefix, "-y", "moo"],
    ]
    script = "\n".join(shlex.join(map(str, step)) for step in steps)
    done = run([*namespace, "sh", "-e", "-c", script], door.conda.home.environment())
    assert f"moo of {prefix}\n" in done.stdout


# -- permissions ---------------------------------------------------------------------------------------


def test_files_have_the_modes_that_pip_gives_them(env_door: Door, index: IndexServer) -> None:
    """0666 and 0777 without the umask, in the prefix and in the cache; launchers are the engine's own."""
    for umask in (0o000, 0o077, 0o027):
        name = f"herd{umask:03o}"
        files = {f"{name}/__init__.py": "", f"{name}/data": "x", "{data}/scripts/run" + name: "#!python\n"}
        index.add(name, "1.0", files=files, modes={"{data}/scripts/run" + name: 0o755})
        before = snapshot(env_door.prefix)
        through(env_door, "sh", "-c", f'umask {umask:03o}; exec "$@"', "sh").install(name)
        after = snapshot(env_door.prefix, ignore=IGNORED)
        new = {path: entry for path, entry in after.items() if before.get(path) != entry}
        assert {f"bin/run{name}", f"{_site(env_door)}/{name}/data"} <= new.keys()
        modes = {
            path: (f"{entry.mode:o}", f"{(0o777 if _is_executable(path, entry) else 0o666) & ~umask:o}")
            for path, entry in new.items()
        }
        assert {path: pair for path, pair in modes.items() if pair[0] != pair[1]} == {}


def _is_executable(path: str, entry: Entry) -> bool:
    return entry.kind == "dir" or path.startswith("bin/")


def _site(door: Door) -> str:
    return site_packages(door.prefix).relative_to(door.prefix).as_posix()


def closed(folder: Path) -> None:
    """Nobody may write below `folder`."""
    for path in (folder, *folder.rglob("*")):
        if not path.is_symlink():
            path.chmod(stat.S_IMODE(path.stat().st_mode) & ~0o222)


def reopened(folder: Path) -> None:
    for path in (folder, *folder.rglob("*")):
        if not path.is_symlink():
            path.chmod(stat.S_IMODE(path.stat().st_mode) | 0o200)


def test_a_read_only_environment_stays_as_it_was(env_door: Door) -> None:
    """Refused where it is closed itself; linking fails in the middle where a folder of it is."""
    door, site = through(env_door, *AS_A_USER), site_packages(env_door.prefix)
    for folder in (env_door.prefix, site):
        folder.chmod(0o555)
        before = snapshot(env_door.prefix)
        result = door.install("moo", check=False)
        assert result.returncode == 1 and str(env_door.prefix) in result.stderr
        assert re.search("read-only|Permission denied", result.stderr)
        assert not diff(before, snapshot(env_door.prefix))
        folder.chmod(0o755)
    comes_works_and_goes(env_door)


def test_read_only_caches_are_done_without(env_door: Door, tmp_path: Path) -> None:
    """conda has another package folder then, as it must; nothing comes into the closed ones, nothing goes."""
    home = env_door.conda.home
    env_door.install("moo")
    env_door.remove("moo")
    home.configure(pkgs_dirs=[str(home.pkgs), str(tmp_path / "pkgs2"), *home.settings["pkgs_dirs"][1:]])
    caches = [folder for folder in (home.pkgs, home.path / ".cache") if folder.exists()]
    for folder in caches:
        closed(folder)
    before = [contents(folder) for folder in caches]
    comes_works_and_goes(through(env_door, *AS_A_USER))
    closed_home = {"HOME": str(home.pkgs), "XDG_CACHE_HOME": None, "CONDARC": str(home.condarc)}
    through(env_door, *AS_A_USER).install("moo", env=closed_home)
    assert [contents(folder) for folder in caches] == before
    for folder in caches:
        reopened(folder)


def contents(folder: Path) -> dict[str, str]:
    """Modes apart: where hard links are shared, conda makes files writable before it removes them."""
    return {path: entry.content for path, entry in snapshot(folder).items()}


# -- variables -----------------------------------------------------------------------------------------


def test_variables_that_lead_nowhere(env_door: Door, tmp_path: Path) -> None:
    """An install needs no cache that lasts; nothing is written where a relative path leads by accident."""
    ways: dict[str, dict[str, str | None]] = {
        "no HOME": {"HOME": None, "USERPROFILE": None},
        "a file": {"XDG_CACHE_HOME": os.devnull},
        "relative": {"XDG_CACHE_HOME": "relative/cache"},
        "no TMPDIR": {"TMPDIR": "/nowhere/tmp"},
    }
    for way, changes in ways.items():
        condarc = {"CONDARC": str(env_door.conda.home.condarc)}
        env_door.install("moo", env={**changes, **condarc}, cwd=tmp_path)
        assert started(env_door, "moo") == {f"moo of {env_door.prefix}\n"}, way
        assert not (tmp_path / "relative").exists()
        env_door.remove("moo")


# -- clocks --------------------------------------------------------------------------------------------


def test_what_a_clock_that_was_ahead_wrote_is_asked_for_again(
    env_door: Door, index: IndexServer, extra_channel: Path, channel: Path
) -> None:
    """Pages and channels that were cached in the future are not trusted until then."""
    home, ahead = env_door.conda.home, time.time() + 1e9
    index.max_age = 600
    make_conda_package(extra_channel, "corn", "1.0", {}, noarch="generic")
    index_channel(extra_channel)
    with ChannelServer(extra_channel) as server:
        home.configure(channels=[server.url, channel.as_uri()])
        env_door.install("moo", "corn")
        for folder in (home.pkgs, home.path / ".cache", env_door.prefix / "conda-meta"):
            for path in folder.rglob("*"):
                os.utime(path, (ahead, ahead), follow_symlinks=False)
        store = Store(home.path / ".cache" / "conda-pypi-bridge" / "index" / "store")
        key = f"page 1 {index.url}moo/"
        header, _, body = (store.get(key) or b"").partition(b"\n")
        store.put(key, json.dumps({**json.loads(header), "checked": ahead}).encode() + b"\n" + body)
        index.add("moo", "2.0")
        make_conda_package(extra_channel, "corn", "2.0", {}, noarch="generic")
        index_channel(extra_channel)
        for file in extra_channel.rglob("repodata*"):  # the server tells times by the second
            os.utime(file, (time.time() + 5, time.time() + 5))
        env_door.install("-U", "moo", "corn")
        versions = {name: row["version"] for name, row in env_door.conda.packages(env_door.prefix).items()}
        assert (versions["moo"], versions["corn"]) == ("2.0", "2.0")
        env_door.install("moo==1.0")  # whose package in the cache is of the future
        env_door.remove("moo")
