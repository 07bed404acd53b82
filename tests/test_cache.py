"""The verb ``cache``: what lies in caches, whether it is whole, and how it goes; at both doors."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from conda_pypi_bridge import locks
from conda_pypi_bridge.building import unpack
from conda_pypi_bridge.caches import Item, select, survey, verify
from conda_pypi_bridge.caches.model import Found, Listed, compare
from conda_pypi_bridge.errors import SpecError
from conda_pypi_bridge.make import local_record
from conda_pypi_bridge.names import Names
from conda_pypi_bridge.store import Store
from conda_pypi_bridge.tags import make_target
from tests.doors import DOORS, Bridge, Door
from tests.faults.tracing import strace
from tests.indexserver import IndexServer
from tests.lab.channels import index_channel, make_conda_package
from tests.lab.condas import Conda, Home, Result
from tests.lab.trees import diff, snapshot
from tests.wheels import make_wheel

DAY = 86400.0


@pytest.fixture
def index() -> Iterator[IndexServer]:
    with IndexServer() as server:
        server.add("moo", "1.0", requires=["milk"], files={"moo.py": "print('moo')\n", "moo.txt": "data\n"})
        server.add("milk", "2.0")
        yield server


@pytest.fixture(params=DOORS)
def door(
    request: pytest.FixtureRequest, conda: Conda, conda_env: Path, bridge: Bridge, index: IndexServer
) -> Door:
    """A fresh conda environment and a door to it, on the loopback index."""
    return Door.of(request.param, conda_env, conda, bridge, index)


def cache(door: Door, *args: str | Path, **options: Any) -> Result:
    return door.call(*door.verb_words, "cache", *args, **options)


def own_cache(home: Home) -> Path:
    return home.path / ".cache" / "conda-pypi-bridge"


def packages_of(door: Door) -> Path:
    """The package folder that the door fills."""
    return door.conda.home.pkgs if door.call is door.conda else own_cache(door.conda.home) / "pkgs"


def package_of(door: Door, name: str) -> Path:
    (found,) = (path for path in packages_of(door).glob(f"{name}-*-py_*") if path.is_dir())
    return found


def damage(file: Path) -> None:
    """Another content of the same size, as a bad disk leaves it; other links to the file keep theirs."""
    content = bytearray(file.read_bytes())
    content[0] ^= 1
    status = file.stat()
    file.unlink()
    file.write_bytes(bytes(content))
    file.chmod(stat.S_IMODE(status.st_mode))


# -- show ----------------------------------------------------------------------------------------------


def test_show_tells_what_an_install_left_and_where(door: Door) -> None:
    door.install("moo")
    told = cache(door, "--json").json()
    packages = {row["name"]: row for row in told["packages"]}
    assert {name: row["version"] for name, row in packages.items()} == {"moo": "1.0", "milk": "2.0"}
    moo = package_of(door, "moo")
    assert packages["moo"]["path"] == str(moo)
    assert packages["moo"]["size"] == sum(p.stat().st_size for p in moo.rglob("*") if p.is_file())
    caches = {(row["kind"], row["path"]): row for row in told["caches"]}
    assert caches["packages", str(packages_of(door))]["entries"] == 2
    store = own_cache(door.conda.home) / "index" / "store"
    assert caches["index", str(store)]["files"] == sum(path.is_file() for path in store.rglob("*"))
    assert told["size"] == sum(row["size"] for row in told["caches"])
    text = cache(door, "show").stdout
    assert str(store) in text and "moo " in text
    # files that the environment shares are not gained by deleting them
    alone = [path for path in moo.rglob("*") if path.is_file() and path.stat().st_nlink == 1]
    assert moo / "site-packages" / "moo.py" not in alone
    assert packages["moo"]["freed"] == sum(path.stat().st_size for path in alone)


def test_hard_links_count_once(tmp_path: Path) -> None:
    folder = tmp_path / "pkgs" / "moo-1.0-py_0123456789ab"
    folder.mkdir(parents=True)
    (folder / "a").write_bytes(b"x" * 1000)
    (folder / "b").hardlink_to(folder / "a")
    shutil.copytree(folder, tmp_path / "pkgs" / "moo-2.0-py_0123456789ab", copy_function=os.link)
    sizes = [item.size for item in _items(tmp_path)]
    assert sum(sizes) == 1000
    assert [item.freed for item in _items(tmp_path)] == [0, 0]  # the other one keeps it


def test_looking_is_no_use(tmp_path: Path, kept_package: Path) -> None:
    """Neither showing nor verifying makes a package look used."""
    old = time.time() - 30 * DAY
    files = [path for path in kept_package.rglob("*") if path.is_file()]
    for file in files:
        os.utime(file, (old, old))
    assert not verify(_items(tmp_path))
    assert all(file.stat().st_atime == pytest.approx(old) for file in files)


def _items(own: Path) -> list[Item]:
    """What is in caches, apart from what this process has open."""
    return [item for cache in survey(own) for item in cache.items if item.kind != "unfinished"]


# -- verify --------------------------------------------------------------------------------------------


@pytest.fixture
def kept_package(tmp_path: Path) -> Path:
    """A package as the bridge builds it, in a package folder below `tmp_path`."""
    wheel = make_wheel(
        tmp_path / "wheels", "moo", "1.0", files={"moo.py": "x = 1\n", "moo/data.txt": "data\n"},
        entry_points={"moo": "moo:main"},
    )  # fmt: skip
    from packaging.version import Version

    target = make_target(Version("3.12"), "linux-64", glibc=(2, 39))
    record = local_record(wheel, target, Names())
    place = tmp_path / "pkgs" / record.dist
    place.parent.mkdir()
    unpack(wheel, record, place, python="3.12")
    return place


def _flip(package: Path) -> None:
    damage(package / "site-packages" / "moo.py")


def _cut(package: Path) -> None:
    os.truncate(package / "site-packages" / "moo" / "data.txt", 2)


def _lose(package: Path) -> None:
    (package / "site-packages" / "moo.py").unlink()


def _add(package: Path) -> None:
    (package / "site-packages" / "sitecustomize.py").write_text("import evil\n")


def _link_instead(package: Path) -> None:
    file = package / "site-packages" / "moo.py"
    file.rename(package / "info" / "moo.py")
    file.symlink_to("../info/moo.py")


def _setuid(package: Path) -> None:
    (package / "site-packages" / "moo.py").chmod(0o4755)


def _unreadable(package: Path) -> None:
    (package / "site-packages" / "moo.py").chmod(0o000)


def _empty_paths(package: Path) -> None:
    os.truncate(package / "info" / "paths.json", 0)


def _lose_paths(package: Path) -> None:
    (package / "info" / "paths.json").unlink()


def _fewer_paths(package: Path) -> None:
    (package / "info" / "paths.json").write_text('{"paths": [], "paths_version": 1}')


def _no_list(package: Path) -> None:
    (package / "info" / "paths.json").write_text('["site-packages/moo.py"]')


def _another(package: Path) -> None:
    index = json.loads((package / "info" / "index.json").read_text())
    (package / "info" / "index.json").write_text(json.dumps({**index, "version": "9"}))


def _no_link(package: Path) -> None:
    (package / "info" / "link.json").write_text("{")


def _record_differs(package: Path) -> None:
    index = json.loads((package / "info" / "index.json").read_text())
    (package / "info" / "repodata_record.json").write_text(json.dumps({**index, "depends": ["evil"]}))


@pytest.mark.parametrize(
    ("break_it", "file", "reason"),
    [
        (_flip, "site-packages/moo.py", "content has changed"),
        (_cut, "site-packages/moo/data.txt", "it has 2 bytes, not 5"),
        (_lose, "site-packages/moo.py", "missing"),
        (_add, "site-packages/sitecustomize.py", "does not list it"),
        (_link_instead, "site-packages/moo.py", "it is a link, not a file"),
        (_setuid, "site-packages/moo.py", "mode is 4755"),
        (_unreadable, "site-packages/moo.py" if os.geteuid() == 0 else "", "mode is 0000|cannot be read"),
        (_empty_paths, "info/paths.json", "no JSON"),
        (_lose_paths, "info/paths.json", "missing"),
        (_fewer_paths, "site-packages/moo.py", "does not list it"),
        (_no_list, "info/paths.json", "no JSON object"),
        (_another, "info/index.json", "it is that of moo-9-"),
        (_no_link, "info/link.json", "no JSON"),
        (_record_differs, "info/repodata_record.json", "depends is not that of"),
    ],
)
def test_verify_names_each_fault_of_a_package(
    tmp_path: Path, kept_package: Path, break_it: Callable[[Path], None], file: str, reason: str
) -> None:
    assert not verify(_items(tmp_path))
    break_it(kept_package)
    faults = {fault.file: fault for fault in verify(_items(tmp_path))}
    assert faults[file].item.label == kept_package.name
    assert re.search(reason, faults[file].reason)


def test_verify_reads_wheels_and_stored_files(tmp_path: Path) -> None:
    store = Store(tmp_path / "index" / "store")
    store.put("a page", b"of a project")
    store.put("another", b"page")
    wheel = make_wheel(tmp_path, "moo", "1.0")
    from conda_pypi_bridge.digests import file_sha256

    kept = tmp_path / "index" / "wheels" / file_sha256(wheel) / wheel.name
    kept.parent.mkdir(parents=True)
    wheel.rename(kept)
    assert not verify(_items(tmp_path))
    damage(kept)
    os.truncate(store.path("another"), 30)
    faults = {fault.item.path: fault.reason for fault in verify(_items(tmp_path))}
    assert faults.keys() == {kept, store.path("another")}
    assert "sha256" in faults[kept] and "checksum" in faults[store.path("another")]


def test_a_file_that_must_be_a_file_is_told_from_what_the_package_lists_otherwise() -> None:
    listed = {"lib": Listed("directory"), "a": Listed("softlink"), "b": Listed("hardlink", 1, "00")}
    as_listed = {
        "lib": Found("dir", 0, 0o755),
        "a": Found("link", 3, 0o777),
        "b": Found("file", 1, 0o644, "00"),
    }
    assert not list(compare(listed, as_listed))
    turned = {"lib": Found("link", 0, 0o777), "a": Found("file", 3, 0o644), "b": Found("dir", 0, 0o755)}
    assert dict(compare(listed, turned)) == {
        "lib": "it is a link, not a dir",
        "a": "it is a file, not a link",
        "b": "it is a dir, not a file",
    }
    odd = {**as_listed, "b": Found("file", 1, 0o2644, "00")}
    assert dict(compare(listed, odd)) == {"b": "its mode is 2644"}
    assert not list(compare(listed, odd, modes=False))


def test_what_is_broken_is_told_and_deleted_and_so_is_what_is_named(door: Door) -> None:
    """The exit status is 1 where something is broken; the environment that had it keeps its files."""
    door.install("moo")
    assert "none broken" in cache(door, "verify").stdout
    moo = package_of(door, "moo")
    damage(moo / "site-packages" / "moo.txt")
    before = snapshot(door.prefix)
    found = cache(door, "verify", "--json", check=False)
    assert found.returncode == 1
    (fault,) = found.json()["faults"]
    assert (fault["path"], fault["file"]) == (str(moo), "site-packages/moo.txt")
    told = cache(door, "clean", "--broken", "-y", "--json").json()
    assert [row["path"] for row in told["deleted"]] == [str(moo)]
    assert not moo.exists() and package_of(door, "milk").exists()
    assert not diff(before, snapshot(door.prefix))
    door.remove("moo")
    door.install("moo")
    assert (moo / "site-packages" / "moo.txt").read_text() == "data\n"
    assert door.python("-m", "moo") == "moo\n"
    shown = cache(door, "clean", "MOO", "--dry-run").stdout
    assert moo.name in shown and "milk" not in shown and moo.exists()
    cache(door, "clean", "MOO", "-y")
    assert {row["name"] for row in cache(door, "--json").json()["packages"]} == {"milk"}


def test_channel_packages_of_our_own_cache_are_verified_and_cleaned_too(
    home: Home, channel: Path, extra_channel: Path, venv: Path, bridge: Callable[..., Result]
) -> None:
    files = {"site-packages/corn.py": "corn = 1\n", "site-packages/corn.txt": "data\n"}
    make_conda_package(extra_channel, "corn", "1.0", files)
    index_channel(extra_channel)
    bridge("install", "-p", venv, "-y", "-c", extra_channel.as_uri(), "corn")
    corn = own_cache(home) / "pkgs" / "corn-1.0-0"
    (row,) = bridge("cache", "--json").json()["packages"]
    assert (row["kind"], row["path"]) == ("channel packages", str(corn))
    damage(corn / "site-packages" / "corn.txt")
    assert "corn.txt" in bridge("cache", "verify", check=False).stdout
    bridge("cache", "clean", "corn", "-y")
    assert not list((own_cache(home) / "pkgs").glob("corn*"))
    bridge("remove", "-p", venv, "-y", "corn")
    bridge("install", "-p", venv, "-y", "-c", extra_channel.as_uri(), "corn")
    assert not bridge("cache", "verify", "--json").json()["faults"]


# -- clean ---------------------------------------------------------------------------------------------


def test_all_is_deleted_but_what_is_condas_and_environments_stay_whole(
    door: Door, extra_channel: Path, channel: Path
) -> None:
    home = door.conda.home
    make_conda_package(extra_channel, "corn", "1.0", {"site-packages/corn.py": "corn = 1\n"})
    index_channel(extra_channel)
    home.use_channels(extra_channel, channel)
    door.conda("install", "-p", door.prefix, "corn")
    door.install("moo")
    before = snapshot(door.prefix)
    kept = snapshot(home.pkgs / "corn-1.0-0")
    told = cache(door, "clean", "--all", "-y", "--json").json()
    assert told["kept"] == []
    assert not diff(before, snapshot(door.prefix))
    assert not diff(kept, snapshot(home.pkgs / "corn-1.0-0"))
    left = [path for path in own_cache(home).rglob("*") if path.is_file() and path.name != ".cache.lock"]
    assert not left and not list(packages_of(door).glob("*-py_*"))
    assert not list(home.path.rglob(locks.ENTRIES))
    assert door.python("-m", "moo") == "moo\n"
    door.remove("moo")
    door.install("moo")


def test_clean_wants_to_be_told_what(home: Home, bridge: Callable[..., Result]) -> None:
    refused = bridge("cache", "clean", "-y", check=False)
    assert refused.returncode == 1 and "--older-than" in refused.stderr
    unknown = bridge("cache", "clean", "nobody", "-y", check=False)
    assert unknown.returncode == 1 and "nobody" in unknown.stderr


def test_clean_asks_first(home: Home, venv: Path, bridge: Callable[..., Result], index: IndexServer) -> None:
    bridge("install", "-p", venv, "-y", "-i", index.url, "moo")
    before = snapshot(own_cache(home))
    home.configure(always_yes=False)
    refused = bridge("cache", "clean", "--all", input="n\n", check=False)
    assert refused.returncode == 1 and "nothing was changed" in refused.stderr
    assert "moo-1.0-py_" in refused.stdout
    assert not diff(before, snapshot(own_cache(home)))
    bridge("cache", "clean", "--all", input="y\n")
    assert "milk" not in bridge("cache").stdout


def test_age_is_counted_from_the_last_use(
    home: Home, venv: Path, bridge: Callable[..., Result], index: IndexServer
) -> None:
    bridge("install", "-p", venv, "-y", "-i", index.url, "moo")
    assert bridge("cache", "clean", "--older-than", "1", "-y", "--json").json()["deleted"] == []
    assert len(bridge("cache", "clean", "--older-than", "0", "-y", "--json").json()["deleted"]) > 3
    assert bridge("cache", "--json").json()["packages"] == []


def _item(name: str, *, used: float | None = None, label: str = "") -> Item:
    path = Path("pkgs", label or f"{name}-1-0")
    return Item(kind="packages", cache=path.parent, path=path, label=path.name, name=name, last_used=used)


def test_select_by_age_name_and_fault() -> None:
    now = 1000 * DAY
    items = [_item("old", used=900 * DAY), _item("new", used=999 * DAY), _item("unknown")]
    old, new, unknown = items
    assert select(items, older_than=50, now=now) == [old]
    assert select(items, older_than=100, now=now) == [old]
    assert select(items, older_than=101, now=now) == []
    assert select(items, older_than=50, names=["New"], now=now) == [old, new]
    assert select(items, broken=[unknown], now=now) == [unknown]
    assert select(items, everything=True, now=now) == items
    assert select(items, names=["new-1-0"], now=now) == [new]
    with pytest.raises(SpecError, match="nobody"):
        select(items, names=["new", "nobody"], now=now)


def test_dates_in_the_future_tell_no_use(tmp_path: Path) -> None:
    """A clock that was ahead may not keep a page for ever, nor make it old."""
    store = Store(tmp_path / "index" / "store")
    store.put("page", b"content")
    file = store.path("page")
    os.utime(file, (time.time() + 1000 * DAY, time.time() + 1000 * DAY))
    (item,) = _items(tmp_path)
    assert item.last_used == pytest.approx(file.stat().st_ctime)


# -- other processes -----------------------------------------------------------------------------------


def test_what_a_process_is_making_is_kept(
    home: Home, venv: Path, bridge: Callable[..., Result], index: IndexServer
) -> None:
    bridge("install", "-p", venv, "-y", "-i", index.url, "moo")
    pkgs = own_cache(home) / "pkgs"
    (moo,) = (path for path in pkgs.glob("moo-*") if path.is_dir())
    with locks.entry(pkgs, moo.name) as place:
        (place / "half").touch()
        told = bridge("cache", "clean", "--all", "-y", "--json", check=False)
        assert (place / "half").exists() and moo.exists()
    assert told.returncode == 1
    (kept,) = told.json()["kept"]
    assert kept == {"path": str(moo), "reason": "a process is at work on it"}


@pytest.mark.parametrize("lock", ["ours", "rattler's"])
def test_clean_waits_for_who_installs_from_the_folder(
    home: Home, venv: Path, bridge: Callable[..., Result], index: IndexServer, lock: str
) -> None:
    from filelock import FileLock

    bridge("install", "-p", venv, "-y", "-i", index.url, "moo")
    pkgs = own_cache(home) / "pkgs"
    (moo,) = (path for path in pkgs.glob("moo-*") if path.is_dir())
    command = [sys.executable, "-m", "conda_pypi_bridge", "cache", "clean", "moo", "-y"]
    with locks.holding(pkgs) if lock == "ours" else FileLock(pkgs / ".cache.lock"):
        process = subprocess.Popen(command, env=home.environment(), stderr=subprocess.PIPE, text=True)
        assert process.stderr is not None
        said = [process.stderr.readline(), process.stderr.readline()]
        assert moo.exists()
    process.communicate(timeout=60)
    assert any("Waiting" in line for line in said)
    assert process.returncode == 0 and not moo.exists()


@pytest.mark.skipif(sys.platform != "linux", reason="deleting is slowed down by strace")
@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGINT], ids=["SIGKILL", "SIGINT"])
def test_a_package_is_never_half_deleted(
    home: Home, venv: Path, bridge: Callable[..., Result], index: IndexServer, sent: signal.Signals
) -> None:
    """Interrupted in the middle: what counts as a package is whole, and the rest goes with the next one."""
    bridge("install", "-p", venv, "-y", "-i", index.url, "moo")
    pkgs = own_cache(home) / "pkgs"
    (moo,) = (path for path in pkgs.glob("moo-*") if path.is_dir())
    (moo / "many").mkdir()
    for number in range(1000):
        (moo / "many" / str(number)).touch()
    # Each file takes 20 ms to go: the middle is not over before it is noticed. With -D, strace is the child.
    slowly = [strace(), "-D", "-f", "-qq", "-o", os.devnull, "-e", "inject=unlinkat:delay_enter=20000"]
    command = [*slowly, sys.executable, "-m", "conda_pypi_bridge", "cache", "clean", "--all", "-y"]
    process = subprocess.Popen(
        command,
        env=home.environment(),
        stdout=subprocess.PIPE,
        text=True,
        # Shells have their background jobs ignore it, and these tests with them.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    while moo.exists() and process.poll() is None:
        time.sleep(0.001)
    process.send_signal(sent)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == (-sent if sent == signal.SIGKILL else 130), output
    assert list((pkgs / locks.ENTRIES / moo.name).iterdir())
    assert bridge("cache", "verify", "--json").json()["faults"] == []
    bridge("remove", "-p", venv, "-y", "moo")
    bridge("install", "-p", venv, "-y", "-i", index.url, "moo")
    bridge("cache", "clean", "--older-than", "1000", "-y")
    assert moo.exists() and not (pkgs / locks.ENTRIES).exists()


# -- links and permissions -----------------------------------------------------------------------------


def test_a_package_that_an_environment_links_to_symbolically_stays(
    conda: Conda, conda_env: Path, index: IndexServer
) -> None:
    conda.home.configure(always_softlink=True, allow_softlinks=True)
    conda("pypi-install", "-p", conda_env, "-i", index.url, "moo")
    assert (next(conda_env.glob("lib/python3*/site-packages/moo.py"))).is_symlink()
    told = conda("pypi-bridge", "cache", "clean", "--all", "-y", "--json", check=False)
    assert told.returncode == 1
    kept = {Path(row["path"]).name.partition("-")[0]: row["reason"] for row in told.json()["kept"]}
    assert kept.keys() == {"moo", "milk"} and str(conda_env) in kept["moo"]
    assert next(conda_env.glob("lib/python3*/site-packages/moo.py")).read_text() == "print('moo')\n"
