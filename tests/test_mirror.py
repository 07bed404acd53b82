"""A static channel is written, kept up, taken up after a kill, and verified: on a loopback index."""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from uuid import uuid4

import msgpack
import pytest
from packaging.version import Version

from conda_pypi_bridge.building import zstd
from conda_pypi_bridge.channel.model import Scope
from conda_pypi_bridge.config import IndexConfig
from conda_pypi_bridge.errors import BridgeError, ConfigError
from conda_pypi_bridge.index import Index
from conda_pypi_bridge.index.answers import Limits
from conda_pypi_bridge.mirror import (
    BuildFailure,
    Mirrored,
    NoChannel,
    Order,
    Place,
    Recipe,
    Unmet,
    check,
    mirror,
)
from conda_pypi_bridge.mirror.channel import DamagedChannel, ForeignChannel
from conda_pypi_bridge.names import Names
from conda_pypi_bridge.report import Silent
from conda_pypi_bridge.resolve import Options
from tests.indexserver import IndexServer, says, sleeps
from tests.lab.condas import Conda, Home, Result, run

LINUX, WINDOWS = "linux-64", "win-64"
LISTS = (
    "current_repodata.json",
    "current_repodata.json.zst",
    "repodata.json",
    "repodata.json.zst",
    "repodata_shards.msgpack.zst",
)


@pytest.fixture
def server() -> Iterator[IndexServer]:
    with IndexServer() as server:
        server.add("moo", "1.0", requires=["herd<2"])
        server.add(
            "moo", "2.0", requires=["herd<3", "tint; sys_platform == 'win32'"], extras={"fast": ["turbo"]}
        )
        server.add("herd", "1.5")
        server.add("herd", "3.0")
        server.add("tint", "1.0")
        server.add("turbo", "0.1", tags="cp312-cp312-manylinux_2_17_x86_64")
        yield server


class Runner:
    """Mirrors from an index in this process."""

    def __init__(self, server: IndexServer, cache: Path) -> None:
        self.index = Index(IndexConfig(indexes=(server.url,)), cache, limits=Limits(backoff=0.002))

    def __call__(
        self,
        to: Path | str | Place,
        *texts: str,
        subdirs: tuple[str, ...] = (LINUX,),
        options: Options | None = None,
        **order: Any,
    ) -> Mirrored:
        place = to if isinstance(to, Place) else Place(str(to))
        scope = Scope(subdirs=subdirs, pythons=(Version("3.12"),))
        return mirror(
            Order(texts=texts, scope=scope, options=options or Options(), recipe=Recipe(level=3), **order),
            place,
            self.index,
            Names(),
            Silent(),
        )

    def faults(self, to: Path | str) -> list[str]:
        """What verifying finds: paths and reasons."""
        return [
            f"{fault.path}: {fault.reason}" for fault in check(Place(str(to)), self.index, Silent()).faults
        ]


@pytest.fixture
def run_mirror(server: IndexServer, tmp_path: Path) -> Runner:
    return Runner(server, tmp_path / "cache")


def anew(server: IndexServer, folder: Path) -> Runner:
    """One that has read nothing of the index yet."""
    return Runner(server, folder / uuid4().hex)


def tree(folder: Path) -> dict[str, bytes]:
    """Every file below a folder."""
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def names(found: Mirrored) -> list[str]:
    return sorted(f"{one.record.subdir}/{one.record.name} {one.record.version}" for one in found.added)


def assert_readable(folder: Path) -> int:
    """No list of a channel has an entry whose package is not there, whole; returns how many there are."""
    count = 0
    for file in folder.glob("*/*repodata.json"):
        for fn, entry in json.loads(file.read_bytes())["packages.conda"].items():
            content = (file.parent / fn).read_bytes()
            assert (len(content), hashlib.sha256(content).hexdigest()) == (entry["size"], entry["sha256"])
            count += 1
    for file in folder.glob("*/repodata_shards.msgpack.zst"):
        index = msgpack.unpackb(zstd.decompress(file.read_bytes()))
        for digest in index["shards"].values():
            shard = (file.parent / "shards" / f"{digest.hex()}.msgpack.zst").read_bytes()
            assert hashlib.sha256(shard).digest() == digest
            for fn, entry in msgpack.unpackb(zstd.decompress(shard))["packages.conda"].items():
                content = (file.parent / fn).read_bytes()
                assert hashlib.sha256(content).digest() == entry["sha256"]
    return count


# -- what is written -----------------------------------------------------------------------------------


def test_every_subdir_has_every_list_and_all_agree(run_mirror: Runner, tmp_path: Path) -> None:
    done = run_mirror(tmp_path / "to", "moo[fast]", subdirs=(LINUX,))
    assert names(done) == [
        "linux-64/turbo 0.1",
        "noarch/herd 1.5",
        "noarch/moo 2.0",
        "noarch/moo_extra_fast 2.0",
    ]
    found = tree(tmp_path / "to")
    assert {f"{subdir}/{name}" for subdir in (LINUX, "noarch") for name in LISTS} <= found.keys()
    assert assert_readable(tmp_path / "to") == 8
    assert run_mirror.faults(tmp_path / "to") == []
    assert {path.partition("/")[0] for path in found} == {LINUX, "noarch", ".mirrored"}


def test_a_platform_that_nothing_is_for_is_there_and_empty(run_mirror: Runner, tmp_path: Path) -> None:
    run_mirror(tmp_path / "to", "herd", subdirs=(LINUX, WINDOWS))
    document = json.loads((tmp_path / "to" / WINDOWS / "repodata.json").read_bytes())
    assert document["packages.conda"] == {}
    assert run_mirror.faults(tmp_path / "to") == []


def test_files_can_be_read_by_a_web_server(run_mirror: Runner, tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        run_mirror(tmp_path / "to", "herd")
    finally:
        os.umask(before)
    modes = {stat.S_IMODE(p.stat().st_mode) for p in (tmp_path / "to").rglob("*") if p.is_file()}
    assert modes == {0o644}


def test_a_url_of_fsspec_holds_the_same_as_a_folder(
    run_mirror: Runner, server: IndexServer, tmp_path: Path
) -> None:
    url = f"memory://{uuid4().hex}/channel"
    run_mirror(url, "moo", subdirs=(LINUX, WINDOWS))
    anew(server, tmp_path)(tmp_path / "to", "moo", subdirs=(LINUX, WINDOWS))
    place = Place(url)
    assert {path: place.read(path) for path in place.below("")} == tree(tmp_path / "to")
    assert run_mirror.faults(url) == []


def test_a_dry_run_writes_nothing(run_mirror: Runner, tmp_path: Path) -> None:
    done = run_mirror(tmp_path / "to", "moo", options=Options(dry_run=True))
    assert names(done) == ["noarch/herd 1.5", "noarch/moo 2.0"]
    assert not (tmp_path / "to").exists()


# -- the next run --------------------------------------------------------------------------------------


def test_a_second_run_writes_and_downloads_nothing(
    run_mirror: Runner, server: IndexServer, tmp_path: Path
) -> None:
    run_mirror(tmp_path / "to", "moo[fast]")
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "to").rglob("*")}
    downloads = server.count(r"\.whl$")
    done = anew(server, tmp_path)(tmp_path / "to", "moo[fast]")
    assert (list(done.added), done.kept, list(done.changed)) == ([], 4, [])
    assert {p: p.stat().st_mtime_ns for p in (tmp_path / "to").rglob("*")} == before
    assert server.count(r"\.whl$") == downloads


def test_a_new_release_is_added_and_the_old_one_stays(
    run_mirror: Runner, server: IndexServer, tmp_path: Path
) -> None:
    run_mirror(tmp_path / "to", "moo")
    server.add("moo", "3.0", requires=["herd<3"])
    done = anew(server, tmp_path)(tmp_path / "to", "moo")
    assert names(done) == ["noarch/moo 3.0"]
    assert len(list((tmp_path / "to" / "noarch").glob("moo-*.conda"))) == 2
    assert not [path for path in done.changed if path.startswith(LINUX)]
    assert run_mirror.faults(tmp_path / "to") == []


def test_pruning_leaves_exactly_what_is_asked_for(
    run_mirror: Runner, server: IndexServer, tmp_path: Path
) -> None:
    run_mirror(tmp_path / "to", "moo[fast]", "moo==1.0", subdirs=(LINUX,))
    there = {path.name for path in (tmp_path / "to").glob("*/*.conda")}
    told = run_mirror(tmp_path / "to", "herd", prune=True, options=Options(dry_run=True))
    assert {path.rpartition("/")[2] for path in told.gone} == there
    assert {path.name for path in (tmp_path / "to").glob("*/*.conda")} == there
    done = run_mirror(tmp_path / "to", "herd", prune=True)
    assert (done.kept, names(done)) == (0, ["noarch/herd 3.0"])
    assert [path.name.partition("-")[0] for path in (tmp_path / "to").glob("*/*.conda")] == ["herd"]
    anew(server, tmp_path)(tmp_path / "fresh", "herd")
    assert tree(tmp_path / "to") == tree(tmp_path / "fresh")
    assert run_mirror.faults(tmp_path / "to") == []


def test_a_package_that_was_lost_is_built_again(run_mirror: Runner, tmp_path: Path) -> None:
    run_mirror(tmp_path / "to", "moo")
    whole = tree(tmp_path / "to")
    (lost,) = (tmp_path / "to" / "noarch").glob("herd-*.conda")
    lost.unlink()
    (short,) = (tmp_path / "to" / "noarch").glob("moo-*.conda")
    short.write_bytes(short.read_bytes()[:-1])
    assert len(run_mirror.faults(tmp_path / "to")) == 2
    run_mirror(tmp_path / "to", "moo")
    assert tree(tmp_path / "to") == whole


# -- what goes wrong -----------------------------------------------------------------------------------


class Dying(Place):
    """A place that dies at the `last` write, before or after it."""

    def __init__(self, url: str, last: int, *, after: bool) -> None:
        super().__init__(url)
        self.last = last
        self._after = after

    def write(self, path: str, content: bytes) -> None:
        self._do(lambda: super(Dying, self).write(path, content))

    def put(self, source: Path, path: str) -> None:
        self._do(lambda: super(Dying, self).put(source, path))

    def _do(self, work: Callable[[], None]) -> None:
        self.last -= 1
        if self.last > 0 or (self.last == 0 and self._after):
            work()
        if self.last <= 0:
            raise KeyboardInterrupt


@pytest.mark.parametrize("after", [False, True])
def test_whatever_write_is_the_last_readers_are_safe_and_the_next_run_ends_the_same(
    server: IndexServer, run_mirror: Runner, tmp_path: Path, after: bool
) -> None:
    run_mirror(tmp_path / "old", "moo==1.0")
    server.add("moo", "4.0", requires=["herd>=3"])
    texts = ("moo", "turbo")
    expected = tmp_path / "expected"
    subprocess.run(["cp", "-a", tmp_path / "old", expected], check=True)
    anew(server, tmp_path)(expected, *texts)
    finished = anew(server, tmp_path)
    number = 0
    while True:
        number += 1
        to = tmp_path / f"to{number}"
        subprocess.run(["cp", "-a", tmp_path / "old", to], check=True)
        place = Dying(str(to), number, after=after)
        try:
            finished(place, *texts)
        except KeyboardInterrupt:
            assert assert_readable(to) >= 4
            done = finished(to, *texts)
            assert done.kept >= 2
        assert tree(to) == tree(expected)
        if place.last > 0:
            break
    assert number > 15


def mirror_command(server: IndexServer, to: Path, *args: str) -> list[str]:
    return [
        *(sys.executable, "-m", "conda_pypi_bridge", "mirror", "--to", str(to), "-i", server.url),
        *("--python", "3.12", "--subdir", LINUX, *args),
    ]


def test_a_killed_run_is_taken_up(server: IndexServer, home: Home, tmp_path: Path) -> None:
    for number in range(12):
        server.add(f"p{number}", "1.0", requires=[f"p{number + 1}"] if number < 11 else [])
    server.on(r"\.whl$", sleeps(0.05))
    env = home.environment()
    subprocess.run(mirror_command(server, tmp_path / "expected", "p0"), env=env, check=True)
    to = tmp_path / "to"
    rng = random.Random(9)
    for _ in range(6):
        process = subprocess.Popen(
            mirror_command(server, to, "p0"),
            env=env,
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            text=True,
        )
        assert process.stderr is not None
        while "Downloading" not in (line := process.stderr.readline()) and line:
            pass
        time.sleep(rng.uniform(0, 0.4))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        if to.exists():
            assert_readable(to)
    subprocess.run(mirror_command(server, to, "p0"), env=env, check=True)
    assert tree(to) == tree(tmp_path / "expected")


def test_two_mirrors_of_one_folder_take_turns(server: IndexServer, home: Home, tmp_path: Path) -> None:
    to = tmp_path / "to"
    server.on(r"\.whl$", sleeps(0.2))
    commands = [mirror_command(server, to, text) for text in ("moo==1.0", "turbo")]
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda command: subprocess.run(command, env=home.environment(), check=True), commands))
    assert sorted(path.name.partition("-")[0] for path in to.glob("*/*.conda")) == ["herd", "moo", "turbo"]
    assert assert_readable(to) == 6


def test_what_cannot_be_had_is_refused_before_anything_is_written(run_mirror: Runner, tmp_path: Path) -> None:
    with pytest.raises(Unmet) as refused:
        run_mirror(tmp_path / "to", "turbo", "herd", "nowhere", subdirs=(LINUX, WINDOWS))
    assert "turbo: win-64, Python 3.12: " in str(refused.value)
    assert "nowhere: linux-64, Python 3.12: " in str(refused.value)
    assert "turbo: linux-64" not in str(refused.value)
    assert not (tmp_path / "to").exists()


def test_the_rest_is_mirrored_on_demand(run_mirror: Runner, tmp_path: Path) -> None:
    done = run_mirror(tmp_path / "to", "turbo", "herd", subdirs=(LINUX, WINDOWS), keep_going=True)
    assert names(done) == ["linux-64/turbo 0.1", "noarch/herd 3.0"]
    assert [(miss.text, miss.subdir) for miss in done.misses] == [("turbo", WINDOWS)]
    assert run_mirror.faults(tmp_path / "to") == []


def test_a_package_that_cannot_be_built_keeps_the_lists_as_they_were(
    run_mirror: Runner, server: IndexServer, tmp_path: Path
) -> None:
    run_mirror(tmp_path / "to", "turbo")
    before = {path: content for path, content in tree(tmp_path / "to").items() if "json" in path}
    server.on(r"herd-1\.5.*\.whl$", says(200, b"not what was promised"))
    with pytest.raises(BuildFailure, match=r"herd-1\.5"):
        run_mirror(tmp_path / "to", "moo")
    lists = {path: content for path, content in tree(tmp_path / "to").items() if "json" in path}
    assert {path: lists[path] for path in before} == before
    server.heal()
    run_mirror(tmp_path / "to", "moo")
    assert run_mirror.faults(tmp_path / "to") == []


def test_a_package_that_cannot_be_built_is_left_out_on_demand(
    run_mirror: Runner, server: IndexServer, tmp_path: Path
) -> None:
    server.on(r"herd-1\.5.*\.whl$", says(200, b"not what was promised"))
    done = run_mirror(tmp_path / "to", "moo", "turbo", keep_going=True)
    assert [one.dist.partition("-")[0] for one in done.failed] == ["herd"]
    assert sorted(item.entry["name"] for item in done.built) == ["moo", "turbo"]


@pytest.mark.parametrize("name", ["repodata.json", "mine-1.0-0.conda"])
@pytest.mark.parametrize("options", [{}, {"prune": True}], ids=["", "prune"])
def test_a_channel_that_no_mirror_wrote_is_left_alone(
    run_mirror: Runner, name: str, options: dict[str, bool], tmp_path: Path
) -> None:
    (tmp_path / "to" / "linux-64").mkdir(parents=True)
    (tmp_path / "to" / "linux-64" / name).write_text('{"packages": {}, "packages.conda": {}}')
    before = tree(tmp_path / "to")
    with pytest.raises(ForeignChannel, match="linux-64"):
        run_mirror(tmp_path / "to", "moo", **options)
    assert tree(tmp_path / "to") == before


def test_entries_that_no_mirror_has_written_are_refused(run_mirror: Runner, tmp_path: Path) -> None:
    run_mirror(tmp_path / "to", "herd")
    foreign = {"packages": {"old-1-0.tar.bz2": {"name": "old"}}, "packages.conda": {}}
    (tmp_path / "to" / "noarch" / "repodata.json").write_text(json.dumps(foreign))
    before = tree(tmp_path / "to")
    with pytest.raises(DamagedChannel):
        run_mirror(tmp_path / "to", "moo")
    assert tree(tmp_path / "to") == before


@pytest.mark.parametrize("url", ["nosuch://bucket/x", "simplecache::nosuch://x"])
def test_a_url_that_no_driver_opens_is_refused(url: str) -> None:
    with pytest.raises(ConfigError) as raised:
        Place(url)
    assert "driver" in raised.value.hint


def test_a_driver_s_own_error_names_the_place(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises((BridgeError, OSError), match="file"):
        Place(str(tmp_path / "file")).write("noarch/repodata.json", b"")


# -- verifying -----------------------------------------------------------------------------------------


def entry_changed(folder: Path) -> str:
    """The entry of a package tells other dependencies than the package itself, in every list."""
    path = folder / "noarch" / "repodata.json"
    document = json.loads(path.read_bytes())
    fn = next(fn for fn in document["packages.conda"] if fn.startswith("moo-"))
    document["packages.conda"][fn]["depends"] = ["python"]
    path.write_text(json.dumps(document))
    return f"noarch/{fn}: its entry has another depends than the package itself"


def byte_changed(folder: Path) -> str:
    (package,) = folder.glob("noarch/moo-*.conda")
    content = bytearray(package.read_bytes())
    content[len(content) // 2] ^= 1
    package.write_bytes(content)
    return f"noarch/{package.name}: its sha256 is "


def package_lost(folder: Path) -> str:
    (package,) = folder.glob("noarch/herd-*.conda")
    package.unlink()
    return f"noarch/{package.name}: its file is missing"


def truncated_but_listed(folder: Path) -> str:
    """A package that is broken in itself; its entry has its hashes."""
    (package,) = folder.glob("noarch/herd-*.conda")
    package.write_bytes(package.read_bytes()[:-40])
    path = folder / "noarch" / "repodata.json"
    document = json.loads(path.read_bytes())
    content = package.read_bytes()
    document["packages.conda"][package.name] |= {
        "size": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
        "md5": hashlib.md5(content, usedforsecurity=False).hexdigest(),
    }
    path.write_text(json.dumps(document))
    return f"noarch/{package.name}: it cannot be opened: "


def shard_lost(folder: Path) -> str:
    shard = next(folder.glob("noarch/shards/*"))
    shard.unlink()
    return f"noarch/shards/{shard.name}: it is missing, the shard of "


def shard_changed(folder: Path) -> str:
    one, other = sorted(folder.glob("noarch/shards/*"))[:2]
    one.write_bytes(other.read_bytes())
    return f"noarch/shards/{one.name}: its sha256 is "


def list_lost(folder: Path) -> str:
    (folder / LINUX / "current_repodata.json").unlink()
    return f"{LINUX}/current_repodata.json: it is missing"


def list_old(folder: Path) -> str:
    path = folder / "noarch" / "repodata.json.zst"
    path.write_bytes((folder / LINUX / "repodata.json.zst").read_bytes())
    return "noarch/repodata.json.zst: it does not list what repodata.json lists"


def index_broken(folder: Path) -> str:
    (folder / "noarch" / "repodata_shards.msgpack.zst").write_bytes(b"no")
    return "noarch/repodata_shards.msgpack.zst: it does not list the names of repodata.json"


def repodata_broken(folder: Path) -> str:
    (folder / "noarch" / "repodata.json").write_text("{")
    return "noarch/repodata.json: it is not what a mirror writes"


def noarch_lost(folder: Path) -> str:
    (folder / "noarch" / "repodata.json").unlink()
    return "noarch/repodata.json: it is missing"


@pytest.mark.parametrize(
    "damage",
    [
        *(entry_changed, byte_changed, package_lost, truncated_but_listed, shard_lost, shard_changed),
        *(list_lost, list_old, index_broken, repodata_broken, noarch_lost),
    ],
    ids=lambda damage: damage.__name__,
)
def test_verifying_names_what_is_wrong(
    run_mirror: Runner, tmp_path: Path, damage: Callable[[Path], str]
) -> None:
    run_mirror(tmp_path / "to", "moo", "turbo")
    expected = damage(tmp_path / "to")
    faults = run_mirror.faults(tmp_path / "to")
    assert any(fault.startswith(expected) for fault in faults), faults


@pytest.mark.parametrize(
    "damage",
    [
        *(entry_changed, byte_changed, package_lost, truncated_but_listed, shard_lost, shard_changed),
        *(list_lost, list_old, index_broken, noarch_lost),
    ],
    ids=lambda damage: damage.__name__,
)
def test_what_is_damaged_is_repaired_where_that_is_asked(
    run_mirror: Runner, server: IndexServer, tmp_path: Path, damage: Callable[[Path], str]
) -> None:
    run_mirror(tmp_path / "to", "moo", "turbo")
    whole = tree(tmp_path / "to")
    damage(tmp_path / "to")
    anew(server, tmp_path)(tmp_path / "to", "moo", "turbo", repair=True)
    assert run_mirror.faults(tmp_path / "to") == []
    assert tree(tmp_path / "to") == whole


def test_what_is_damaged_and_not_asked_for_any_more_is_listed_no_more(
    run_mirror: Runner, tmp_path: Path
) -> None:
    run_mirror(tmp_path / "to", "moo", "turbo")
    byte_changed(tmp_path / "to")
    done = run_mirror(tmp_path / "to", "turbo", repair=True)
    assert names(done) == []
    assert run_mirror.faults(tmp_path / "to") == []


def test_nothing_cannot_be_verified(run_mirror: Runner, tmp_path: Path) -> None:
    with pytest.raises(NoChannel, match="there is no channel") as raised:
        run_mirror.faults(tmp_path / "nowhere")
    assert "--to" in raised.value.hint


# -- the command line ----------------------------------------------------------------------------------


def test_the_command_line_mirrors_verifies_and_tells(
    bridge: Callable[..., Result], server: IndexServer, tmp_path: Path
) -> None:
    to = tmp_path / "to"
    words = ("mirror", "moo", "--to", to, "-i", server.url, "--python", "3.12", "--subdir", LINUX)
    told = bridge(*words, "--json").json()
    assert told["success"]
    assert [(row["name"], row["version"], row["subdir"]) for row in told["added"]] == [
        ("herd", "1.5", "noarch"),
        ("moo", "2.0", "noarch"),
    ]
    assert all(len(row["sha256"]) == 64 and row["size"] > 0 for row in told["added"])
    again = bridge(*words)
    assert "0 packages added" in again.stdout
    assert "2 packages there before" in again.stdout
    assert bridge("mirror", "--verify", "--to", to, "-q").stdout == ""
    package_lost(to)
    judged = bridge("mirror", "--verify", "--to", to, "--json", check=False)
    assert judged.returncode == 1
    assert [fault["reason"] for fault in judged.json()["faults"]] == ["its file is missing"]
    shown = bridge("mirror", "--verify", "--to", to, "-q", check=False)
    assert (shown.returncode, "its file is missing" in shown.stdout) == (1, True)
    assert "--repair" in shown.stdout
    assert bridge(*words, "--repair", "--json").json()["success"]
    assert bridge("mirror", "--verify", "--to", to, "-q").stdout == ""


def test_a_requirements_file_is_mirrored_with_its_limits(
    bridge: Callable[..., Result], server: IndexServer, tmp_path: Path
) -> None:
    (tmp_path / "list.txt").write_text(f"-i {server.url}\nmoo\n-c limits.txt\n")
    (tmp_path / "limits.txt").write_text("moo<2\n")
    words = ("--to", tmp_path / "to", "--python", "3.12", "--subdir", LINUX, "--json")
    told = bridge("mirror", "-r", tmp_path / "list.txt", *words).json()
    assert [(row["name"], row["version"]) for row in told["added"]] == [("herd", "1.5"), ("moo", "1.0")]


def test_conda_s_door_mirrors_too(conda: Conda, server: IndexServer, tmp_path: Path) -> None:
    words = ("--to", tmp_path / "to", "-i", server.url, "--python", "3.12", "--subdir", LINUX, "--json")
    told = conda("pypi-bridge", "mirror", "moo", *words).json()
    assert [row["name"] for row in told["added"]] == ["herd", "moo"]
    assert assert_readable(tmp_path / "to") == 4


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], "nothing to mirror"),
        (["--verify"], "mirror something there first"),
        (["moo", "--verify"], "name no SPEC"),
        (["moo", "--prune", "--keep-going"], "--prune would delete"),
        (["moo", "--python", "3"], "minor versions"),
        (["moo", "--subdir", "beos-64"], "beos-64"),
        (["moo", "--scheduler", "tcp://127.0.0.1:9", "--offline"], "--scheduler"),
        (["python=3.12"], "--python 3.12"),
    ],
)
def test_what_makes_no_sense_is_refused(
    bridge: Callable[..., Result], tmp_path: Path, words: list[str], expected: str
) -> None:
    done = bridge("mirror", "--to", tmp_path / "to", *words, check=False)
    assert done.returncode == 1
    assert expected in done.stderr
    assert not (tmp_path / "to").exists()


def test_the_other_verbs_load_nothing_of_it(home: Home) -> None:
    code = "import sys, conda_pypi_bridge.cli, conda_pypi_bridge.bridge; print(*sys.modules)"
    done = run([sys.executable, "-c", code], home.environment())
    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    assert not loaded & {"fsspec", "msgpack", "distributed", "dask"}
