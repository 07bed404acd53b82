"""What processes hold against each other: folders, and the places where things are made.

A folder is held by an advisory lock on itself: that leaves no file behind, other users see it, and it ends
with the process, however that ends. What is not finished lies in entries below ``PARENT/.pypi-bridge``, each
held while somebody works on it; an entry that nobody holds is what a process that died has left, and goes.
"""

from __future__ import annotations

import atexit
import contextlib
import errno
import os
import shutil
import stat
import tempfile
import threading
import uuid
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

from . import CHANNEL, ENTRIES

#: Where a folder cannot be locked itself, as on Windows and on NFS, a file in it stands for it.
_LOCK_FILE = f".{CHANNEL}.lock"

#: The file in an entry that lists what else its process has not finished.
_WORD = "unfinished"

#: The file in an entry that lists what could not be deleted, and is to be tried again.
_REMAINS = "remains"

#: How often others may delete an entry between its making and its locking.
_ATTEMPTS = 1000


class _Hold:
    """An exclusive lock on a folder. `descriptor` may be handed to children, which hold it too then."""

    def __init__(self, folder: Path, descriptor: int | None, file: Any = None) -> None:
        self._folder = folder
        self._file = file
        self.descriptor = descriptor

    @property
    def valid(self) -> bool:
        """Whether the folder is still the one at its path: another process may have deleted it meanwhile."""
        try:
            there = self._folder.stat()
        except OSError:
            return False
        return self.descriptor is None or os.path.samestat(os.fstat(self.descriptor), there)

    def release(self) -> None:
        if self.descriptor is not None:
            os.close(self.descriptor)
        if self._file is not None:
            self._file.release()


def _hold(folder: Path, *, wait: bool) -> _Hold | None:
    """Lock `folder`; None where another process has it, and this one is not to wait. Raises `OSError`."""
    if fcntl is None:
        return _hold_file(folder, wait=wait)
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        os.close(descriptor)
        return None
    except OSError:
        os.close(descriptor)
        return _hold_file(folder, wait=wait)
    except BaseException:
        os.close(descriptor)
        raise
    return _Hold(folder, descriptor)


def _hold_file(folder: Path, *, wait: bool) -> _Hold | None:
    from filelock import FileLock, Timeout

    lock = FileLock(folder / _LOCK_FILE)
    try:
        lock.acquire(timeout=-1 if wait else 0)
    except Timeout:
        return None
    return _Hold(folder, None, lock)


# -- folders -------------------------------------------------------------------------------------------


@dataclass
class _Mine:
    """The folders that this process holds, each with how often."""

    holds: dict[Path, tuple[_Hold, int]] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)


_mine = _Mine()


@contextlib.contextmanager
def holding(folder: Path, waiting: Callable[[], None] = lambda: None) -> Iterator[bool]:
    """Hold an existing folder against other processes; who holds it may hold it once more.

    `waiting` is called before waiting for another process. Yields whether there was one. Raises `OSError`.
    """
    path = folder.resolve()
    with _mine.lock:
        hold, count = _mine.holds.get(path, (None, 0))
        waited = False
        if hold is None:
            hold = _hold(path, wait=False)
            if hold is None:
                waited = True
                waiting()
                hold = _hold(path, wait=True)
                assert hold is not None
        _mine.holds[path] = hold, count + 1
    try:
        yield waited
    finally:
        with _mine.lock:
            hold, count = _mine.holds.pop(path)
            if count > 1:
                _mine.holds[path] = hold, count - 1
            else:
                hold.release()


def descriptor_of(folder: Path) -> int | None:
    """What a child must inherit to hold `folder` as long as it lives; None where there is no such thing."""
    hold, _ = _mine.holds.get(folder.resolve(), (None, 0))
    return None if hold is None else hold.descriptor


def is_held(folder: Path) -> bool:
    """Whether any process holds `folder` at this moment."""
    if folder.resolve() in _mine.holds:
        return True
    try:
        hold = _hold(folder, wait=False)
    except OSError:
        return False
    if hold is None:
        return True
    hold.release()
    return False


# -- entries -------------------------------------------------------------------------------------------


class _Entry:
    """A folder that is this process's until it is closed."""

    def __init__(self, path: Path, hold: _Hold) -> None:
        self.path = path
        self._hold = hold

    def close(self) -> None:
        with contextlib.suppress(OSError):  # then the entry stays, for the next one to sweep
            _heed(self.path / _REMAINS)
            shutil.rmtree(self.path, ignore_errors=True)
        self._hold.release()
        if self._hold.descriptor is None:  # its lock was a file in it
            shutil.rmtree(self.path, ignore_errors=True)
        with contextlib.suppress(OSError):
            self.path.parent.rmdir()


def _open_entry(parent: Path, name: str) -> _Entry:
    path = parent / ENTRIES / name
    for _ in range(_ATTEMPTS):
        with contextlib.suppress(FileNotFoundError):  # whoever had it last has just deleted it
            with contextlib.suppress(FileExistsError):  # which may be so no longer
                path.mkdir(parents=True)
            hold = _hold(path, wait=True)
            assert hold is not None
            if hold.valid:
                return _Entry(path, hold)
            hold.release()
    raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))


@contextlib.contextmanager
def entry(parent: Path, name: str) -> Iterator[Path]:
    """A folder for what is to become `name` in `parent`, this process's alone; it is deleted in the end.

    Waits for a process that has it. It is empty, whatever became of the last one. Raises `OSError`.
    """
    opened = _open_entry(parent, name)
    try:
        _heed_word(opened.path)
        for left in opened.path.iterdir():
            if left.name != _LOCK_FILE:
                _delete(left)
        yield opened.path
    except BaseException:
        _heed_word(opened.path)
        raise
    finally:
        opened.close()


def leave_word(folder: Path, patterns: Iterable[str]) -> None:
    """Note in an entry, or in a `scratch` folder, what else is to be deleted if its block does not end well.

    Of each path the last part may be a pattern.
    """
    _note(folder / _WORD, patterns, "w")


def delete_in_time(parent: Path, paths: Iterable[Path]) -> None:
    """Delete files; what cannot be deleted now is tried again when this process ends, and by later ones."""
    for path in paths:
        try:
            path.unlink()
        except FileNotFoundError:
            pass
        except OSError:
            with contextlib.suppress(OSError):
                _note(own_folder(parent) / _REMAINS, [str(path)], "a")


def _note(file: Path, lines: Iterable[str], mode: str) -> None:
    with file.open(mode, encoding="utf-8", errors="surrogateescape") as opened:
        opened.writelines(f"{line}\n" for line in lines)


def _heed_word(entry: Path) -> None:
    for word in (*entry.glob(_WORD), *entry.glob(f"*/{_WORD}")):
        _heed(word)


def _heed(word: Path) -> None:
    if word.exists():
        for line in word.read_text("utf-8", "surrogateescape").splitlines():
            for path in Path(line).parent.glob(Path(line).name):
                _delete(path)


def sweep(parent: Path) -> None:
    """Delete what processes that died left unfinished below `parent`, and what they left word of."""
    try:
        entries = list((parent / ENTRIES).iterdir())
    except OSError:
        return
    for path in entries:
        with contextlib.suppress(OSError):
            hold = _hold(path, wait=False)
            if hold is not None and hold.valid:
                _heed_word(path)
                _Entry(path, hold).close()
            elif hold is not None:
                hold.release()
    with contextlib.suppress(OSError):
        (parent / ENTRIES).rmdir()


def _delete(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


# -- one entry for a process ---------------------------------------------------------------------------

_own: dict[Path, _Entry] = {}
_own_lock = threading.Lock()


def own_folder(parent: Path) -> Path:
    """A folder below `parent` for whatever this process needs; `give_up` deletes it.

    What others left below `parent` is swept first. Where nothing can be written below `parent`, the folder is
    in the system's place for temporary files. Raises `OSError`.
    """
    with _own_lock:
        if parent not in _own:
            sweep(parent)
            try:
                _own[parent] = _open_entry(parent, uuid.uuid4().hex[:12])
            except OSError:
                parent_there = _temporary()
                sweep(parent_there)
                _own[parent] = _open_entry(parent_there, uuid.uuid4().hex[:12])
        return _own[parent].path


def give_up() -> None:
    """Delete what `own_folder` made."""
    with _own_lock:
        while _own:
            parent, opened = _own.popitem()
            opened.close()
            if parent not in opened.path.parents:  # the folder for temporary files was made for it
                with contextlib.suppress(OSError):
                    opened.path.parents[1].rmdir()


@contextlib.contextmanager
def scratch(parent: Path) -> Iterator[Path]:
    """A folder of its own for the length of a block, in `own_folder`."""
    with tempfile.TemporaryDirectory(dir=own_folder(parent), prefix="") as folder:
        yield Path(folder)


def _temporary() -> Path:
    """A folder for temporary files that is this user's alone. Raises `PermissionError` where it is not."""
    user = os.getuid() if hasattr(os, "getuid") else os.environ.get("USERNAME", "user")
    folder = Path(tempfile.gettempdir()) / f"{CHANNEL}-{user}"
    folder.mkdir(mode=0o700, exist_ok=True)
    status = folder.lstat()
    if hasattr(os, "getuid") and (status.st_uid != os.getuid() or not stat.S_ISDIR(status.st_mode)):
        raise PermissionError(1, "this folder for temporary files belongs to somebody else", str(folder))
    return folder


atexit.register(give_up)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_own.clear)  # they are the parent's
