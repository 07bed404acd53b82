"""Folders that processes hold against each other, and what those leave that die."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from conda_pypi_bridge import ENTRIES, locks
from conda_pypi_bridge.locks import (
    delete_in_time,
    entry,
    holding,
    is_held,
    leave_word,
    own_folder,
    scratch,
    sweep,
)


def in_child(work: Callable[[], object], ready: Path) -> int:
    """A process that does `work`, and is killed or ends once `ready` is there."""
    child = os.fork()
    if child == 0:
        try:
            work()
        finally:
            os._exit(0)
    while not ready.exists():
        time.sleep(0.005)
    return child


def kill(child: int) -> None:
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


def test_a_held_folder_shows_nothing_and_is_free_once_its_holder_died(tmp_path: Path) -> None:
    folder, ready = tmp_path / "folder", tmp_path / "ready"
    folder.mkdir()

    def hold() -> None:
        with holding(folder):
            ready.touch()
            time.sleep(60)

    child = in_child(hold, ready)
    assert is_held(folder)
    assert list(folder.iterdir()) == []
    said: list[str] = []
    timer = threading.Timer(0.2, kill, [child])
    timer.start()
    with holding(folder, lambda: said.append("waiting")) as waited:
        assert waited
        assert said == ["waiting"]
    timer.join()
    assert not is_held(folder)


def test_who_holds_a_folder_may_hold_it_once_more(tmp_path: Path) -> None:
    with holding(tmp_path) as waited:
        with holding(tmp_path) as again:
            assert not (waited or again)
        assert is_held(tmp_path)
    assert not is_held(tmp_path)


def test_a_child_that_inherits_it_holds_the_folder_as_long_as_it_lives(tmp_path: Path) -> None:
    folder, ready = tmp_path / "folder", tmp_path / "ready"
    folder.mkdir()
    children = tmp_path / "children"

    def start() -> None:
        with holding(folder):
            descriptor = locks.descriptor_of(folder)
            assert descriptor is not None
            os.set_inheritable(descriptor, True)
            child = os.spawnlp(os.P_NOWAIT, "sleep", "sleep", "60")
            children.write_text(str(child))
            ready.touch()
            time.sleep(60)

    kill(in_child(start, ready))
    assert is_held(folder)
    os.kill(int(children.read_text()), signal.SIGKILL)
    deadline = time.monotonic() + 10
    while is_held(folder):
        assert time.monotonic() < deadline


def test_an_entry_is_one_processs_alone_and_gone_afterwards(tmp_path: Path) -> None:
    at_once, most = 0, 0
    lock = threading.Lock()

    def work() -> None:
        nonlocal at_once, most
        with entry(tmp_path, "package") as folder:
            with lock:
                at_once += 1
                most = max(most, at_once)
            assert list(folder.iterdir()) == []
            (folder / "half").touch()
            time.sleep(0.002)
            with lock:
                at_once -= 1

    threads = [threading.Thread(target=work) for _ in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1
    assert list(tmp_path.iterdir()) == []


def test_what_a_dead_process_left_is_swept_and_what_a_live_one_has_is_not(tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    cache = tmp_path / "cache"

    def work() -> None:
        with entry(cache, "package-1.0-0") as folder:
            (folder / "half").touch()
            (own_folder(cache) / "part").touch()
            ready.touch()
            time.sleep(60)

    child = in_child(work, ready)
    sweep(cache)
    assert len(list((cache / ENTRIES).iterdir())) == 2
    kill(child)
    sweep(cache)
    assert list(cache.iterdir()) == []


def test_what_a_dead_process_left_word_of_goes_with_its_entry(tmp_path: Path) -> None:
    cache, ready = tmp_path / "cache", tmp_path / "ready"
    for name in ("whole", "half", "half.conda", "read.json", "read.info.json"):
        (tmp_path / name).touch()

    def work() -> None:
        with entry(cache, "channels") as folder, scratch(cache) as other:
            leave_word(folder, [str(tmp_path / "half"), str(tmp_path / "half.conda")])
            leave_word(other, [str(tmp_path / "read.*")])
            ready.touch()
            time.sleep(60)

    child = in_child(work, ready)
    sweep(cache)
    assert (tmp_path / "half").exists()
    kill(child)
    with entry(cache, "channels"):  # whoever is next heeds it, as whoever sweeps does
        assert not (tmp_path / "half").exists()
    sweep(cache)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cache", "ready", "whole"]


def test_an_entry_that_a_dead_process_left_is_begun_anew(tmp_path: Path) -> None:
    (tmp_path / ENTRIES / "package" / "half").mkdir(parents=True)
    with entry(tmp_path, "package") as folder:
        assert list(folder.iterdir()) == []


def test_many_processes_that_make_and_sweep_do_not_take_from_each_other(tmp_path: Path) -> None:
    def work() -> None:
        for number in range(60):
            sweep(tmp_path)
            with entry(tmp_path, f"package-{number % 3}") as folder:
                (folder / "file").write_text("whole")
                assert (folder / "file").read_text() == "whole"

    children = []
    for _ in range(4):
        child = os.fork()
        if child == 0:
            status = 1
            try:
                work()
                status = 0
            finally:
                os._exit(status)
        children.append(child)
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * 4
    assert list(tmp_path.iterdir()) == []


def test_scratch_goes_to_temporary_files_where_the_cache_cannot_be_written(
    tmp_path: Path,
) -> None:
    (tmp_path / "file").touch()
    with scratch(tmp_path / "file" / "cache") as folder:
        assert folder.is_dir()
        assert tmp_path not in folder.parents
    locks.give_up()
    assert not folder.exists()


def test_a_forked_child_does_not_delete_what_its_parent_uses(tmp_path: Path) -> None:
    folder = own_folder(tmp_path)
    child = os.fork()
    if child == 0:
        locks.give_up()
        os._exit(0)
    os.waitpid(child, 0)
    assert folder.is_dir()
    locks.give_up()
    assert not folder.exists()


def test_what_cannot_be_deleted_now_is_deleted_when_the_process_ends(tmp_path: Path) -> None:
    stubborn, plain = tmp_path / "stubborn.json", tmp_path / "plain.json"
    (stubborn / "inside").mkdir(parents=True)  # as a file it cannot be deleted
    plain.touch()
    delete_in_time(tmp_path / "cache", [stubborn, plain, tmp_path / "absent.json"])
    assert stubborn.exists() and not plain.exists()
    locks.give_up()
    assert not stubborn.exists()
    assert not (tmp_path / "cache" / ENTRIES).exists()


def test_what_cannot_be_deleted_then_either_is_left_to_the_next_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stubborn = tmp_path / "stubborn.json"
    (stubborn / "inside").mkdir(parents=True)
    delete_in_time(tmp_path / "cache", [stubborn])
    with monkeypatch.context() as patched:
        patched.setattr(locks, "_delete", refuse)
        locks.give_up()
    assert stubborn.exists()
    sweep(tmp_path / "cache")
    assert not stubborn.exists()
    assert not (tmp_path / "cache" / ENTRIES).exists()


def refuse(path: Path) -> None:
    raise OSError(30, "Read-only file system", str(path))
