"""A change of a prefix, ended at each call that changes a file: all is as it was, or as it was to be."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from conda_pypi_bridge import JOURNAL
from conda_pypi_bridge.errors import PrefixError
from conda_pypi_bridge.prefix.change import Change
from conda_pypi_bridge.prefix.journal import journalled, recover
from tests.lab.trees import Tree, diff, snapshot

#: Audit events of calls that change a file system (PEP 578).
CHANGING = {
    *("os.link", "os.symlink", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.chmod", "os.utime"),
    *("os.truncate", "shutil.rmtree", "shutil.copyfile", "shutil.copymode", "shutil.copystat"),
}

CHANGE = Change(
    coming=(
        "bin/new",
        "lib/a/new.py",
        "lib/fresh/deep/x.py",
        "lib/a/over.txt",
        "conda-meta/history",
        "lib/late.py",
    ),
    going=("lib/a/old.py", "lib/gone/only.py", "bin/tool", "lib/link"),
    own=(".scratch*",),
)


@pytest.fixture
def prefix(tmp_path: Path) -> Path:
    """A prefix with files to replace, to delete, to write over and to leave alone."""
    place = tmp_path / "prefix"
    for file, text in {
        "conda-meta/history": "==> before <==\n",
        "lib/a/old.py": "old = 1\n",
        "lib/a/__pycache__/old.cpython-311.pyc": "old bytecode",
        "lib/a/__pycache__/other.cpython-311.pyc": "bytecode of another",
        "lib/a/over.txt": "mine",
        "lib/gone/only.py": "only = 1\n",
        "bin/tool": "#!/bin/sh\n",
        "mine.txt": "not of any package",
    }.items():
        (place / file).parent.mkdir(parents=True, exist_ok=True)
        (place / file).write_text(text)
    (place / "bin/tool").chmod(0o755)
    (place / "lib/gone").chmod(0o750)
    (place / "lib/link").symlink_to("a/old.py")
    return place


def carry_out(prefix: Path) -> None:
    """A change as an engine makes it."""
    with journalled(prefix, CHANGE):
        (prefix / ".scratch-1").mkdir()
        (prefix / ".scratch-1" / "x").write_text("x")
        (prefix / "bin/tool").rename(prefix / "bin/new")
        (prefix / "lib/a/old.py").unlink()
        (prefix / "lib/a/__pycache__/old.cpython-311.pyc").unlink()
        (prefix / "lib/link").unlink()
        (prefix / "lib/a/new.py").write_text("new = 1\n")
        (prefix / "lib/a/__pycache__/new.cpython-311.pyc").write_text("new bytecode")
        shutil.rmtree(prefix / "lib/gone")
        (prefix / "lib/fresh/deep/__pycache__").mkdir(parents=True)
        (prefix / "lib/fresh/deep/x.py").write_text("x = 1\n")
        (prefix / "lib/fresh/deep/__pycache__/x.cpython-311.opt-1.pyc").write_text("x bytecode")
        (prefix / "lib/a/over.txt").write_text("theirs")
        with (prefix / "conda-meta/history").open("a") as history:
            history.write("==> after <==\n")
        shutil.rmtree(prefix / ".scratch-1")


def ended_at(number: int, work: Callable[[], object]) -> bool:
    """Whether `work`, in a process that ends at its so-many-th changing call, came to its own end before."""
    child = os.fork()
    if child == 0:
        left = iter(range(number, 0, -1))

        def hook(event: str, _: tuple[object, ...]) -> None:
            writes = event == "open" and isinstance(_[2], int) and bool(_[2] & (os.O_WRONLY | os.O_RDWR))
            if (event in CHANGING or writes) and next(left) == 1:
                os.kill(os.getpid(), signal.SIGKILL)

        try:
            sys.addaudithook(hook)
            work()
        finally:
            os._exit(0)
    status = os.waitpid(child, 0)[1]
    assert os.WIFEXITED(status) or os.WTERMSIG(status) == signal.SIGKILL
    return os.WIFEXITED(status)


def copies(prefix: Path) -> Iterator[tuple[int, Path]]:
    """Fresh copies of the prefix, with numbers that count from one."""
    number = 0
    while True:
        number += 1
        copy = prefix.with_name(f"copy-{number}")
        shutil.copytree(prefix, copy, symlinks=True)
        yield number, copy


def before_and_after(prefix: Path) -> tuple[Tree, Tree]:
    before = snapshot(prefix)
    done = prefix.with_name("done")
    shutil.copytree(prefix, done, symlinks=True)
    carry_out(done)
    return before, snapshot(done)


def test_a_change_that_ends_well_leaves_no_trace_of_the_journal(prefix: Path) -> None:
    before, after = before_and_after(prefix)
    assert not any(JOURNAL in path for path in after)
    assert diff(before, after).added and diff(before, after).removed and diff(before, after).changed


def test_wherever_the_process_dies_the_next_finds_all_or_nothing(prefix: Path) -> None:
    before, after = before_and_after(prefix)
    found = {"before": 0, "after": 0}
    for number, copy in copies(prefix):
        if ended_at(number, partial(carry_out, copy)):
            break
        recover(copy)
        state = "before" if not diff(before, snapshot(copy)) else "after"
        assert not diff({"before": before, "after": after}[state], snapshot(copy)), f"call {number}"
        found[state] += 1
        shutil.rmtree(copy)
    assert found["before"] > 20 and found["after"] > 1


def test_undoing_may_be_interrupted_anywhere_and_begun_again(prefix: Path) -> None:
    before, _ = before_and_after(prefix)
    halfway = prefix.with_name("halfway")
    shutil.copytree(prefix, halfway, symlinks=True)
    assert not ended_at(40, partial(carry_out, halfway))
    assert diff(before, snapshot(halfway))
    times = 0
    for number, copy in copies(halfway):
        finished = ended_at(number, partial(recover, copy))
        recover(copy)
        assert not diff(before, snapshot(copy)), f"call {number}"
        if finished:
            break
        times += 1
        shutil.rmtree(copy)
    assert times > 10


@pytest.mark.parametrize("failure", [KeyboardInterrupt, OSError, SystemExit])
def test_a_change_that_fails_is_undone_at_once(prefix: Path, failure: type[BaseException]) -> None:
    before = snapshot(prefix)
    with pytest.raises(failure), journalled(prefix, CHANGE):
        (prefix / "lib/a/old.py").unlink()
        (prefix / "lib/a/new.py").touch()
        raise failure
    assert not diff(before, snapshot(prefix))


def test_threads_that_go_on_after_a_failure_are_undone_by_whoever_comes_next(prefix: Path) -> None:
    before = snapshot(prefix)
    with pytest.raises(OSError, match="full"), journalled(prefix, CHANGE, settled=False):
        (prefix / "lib/a/new.py").touch()
        raise OSError("full")
    (prefix / "lib/late.py").touch()  # a thread that nobody could stop
    assert diff(before, snapshot(prefix))
    assert recover(prefix)
    assert not diff(before, snapshot(prefix))


def test_what_the_user_put_there_meanwhile_stays(prefix: Path) -> None:
    with pytest.raises(KeyboardInterrupt), journalled(prefix, CHANGE):
        (prefix / "lib/fresh/deep").mkdir(parents=True)
        (prefix / "lib/fresh/deep/x.py").touch()
        (prefix / "lib/fresh/notes.txt").write_text("mine")
        raise KeyboardInterrupt
    assert (prefix / "lib/fresh/notes.txt").read_text() == "mine"
    assert not (prefix / "lib/fresh/deep").exists()


def test_a_prefix_that_was_not_there_before_is_none_after_a_failure(tmp_path: Path) -> None:
    prefix = tmp_path / "new"
    prefix.mkdir()
    with pytest.raises(KeyboardInterrupt), journalled(prefix, Change(coming=["bin/x"]), new=True):
        (prefix / "bin").mkdir()
        (prefix / "bin/x").touch()
        raise KeyboardInterrupt
    assert not prefix.exists()


def test_a_journal_that_cannot_be_written_changes_nothing(prefix: Path) -> None:
    (prefix / JOURNAL).write_text("")  # in the way of the folder
    before = snapshot(prefix)
    with pytest.raises(FileExistsError), journalled(prefix, CHANGE):
        raise AssertionError("the change has begun")
    (prefix / JOURNAL).unlink()
    assert not diff(before, {**snapshot(prefix), JOURNAL: before[JOURNAL]})


@pytest.mark.parametrize("text", ['{"created": [], "of_later_versions": 1}', "[]", "{", '{"kept": {"a": 1}}'])
def test_a_journal_that_cannot_be_read_is_told_and_kept(prefix: Path, text: str) -> None:
    (prefix / JOURNAL).mkdir()
    (prefix / JOURNAL / "journal.json").write_text(text)
    with pytest.raises(PrefixError, match="cannot be undone"):
        recover(prefix)
    assert (prefix / JOURNAL / "journal.json").read_text() == text


def test_what_cannot_be_undone_is_told_and_kept(prefix: Path) -> None:
    def cut_short() -> None:
        with journalled(prefix, CHANGE):
            (prefix / "lib/a/old.py").unlink()
            os.kill(os.getpid(), signal.SIGKILL)

    assert not ended_at(10**6, cut_short)
    kept = sorted((prefix / JOURNAL).iterdir())
    place = next(file for file in kept if file.read_bytes() == b"old = 1\n" and not file.is_symlink())
    place.rename(prefix / "elsewhere")
    with pytest.raises(PrefixError, match="cannot be undone") as caught:
        recover(prefix)
    assert str(prefix / JOURNAL) in caught.value.hint
    (prefix / "elsewhere").rename(place)
    assert recover(prefix)
    assert (prefix / "lib/a/old.py").read_text() == "old = 1\n"
