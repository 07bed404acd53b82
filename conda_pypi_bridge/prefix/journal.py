"""A change of a prefix's files that happens as a whole or not at all, whatever ends the process making it.

Before anything is changed, a folder in the prefix says which paths may appear, and keeps what may go or be
written over. While its list is there the change is not complete, and `recover` puts everything back; the
change is complete with the deletion of the list, and what else is in the folder is not needed any more.
"""

from __future__ import annotations

import contextlib
import filecmp
import json
import os
import re
import shutil
import signal
import stat
import threading
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .. import JOURNAL
from ..errors import PrefixError
from .change import Change
from .deletion import delete, prune_empty
from .environment import Prefix
from .layout import Layout, placed_files

_LIST = "journal.json"

#: A file beside the list where the prefix itself was not there before.
_NEW = "new"

#: ``NAME.cpython-311.opt-1.pyc``, which Python makes of ``NAME.py`` whenever that is imported.
_BYTECODE = re.compile(r"(?P<module>.+?)\.[A-Za-z]\w*-?\w*(\.opt-\w+)?\.pyc")


#: The prefixes that this process has changed.
_complete: list[Path] = []


@dataclass
class _Journal:
    """What stands in the list. `folders` maps those that were there to their modes; `kept` maps files to
    their number and whether they are copies; `spared` are what looks like the engine's own, and was there
    before; `unread` are packages, and `site` and `windows` their layout.
    """

    created: list[str] = field(default_factory=list)
    kept: dict[str, tuple[int, bool]] = field(default_factory=dict)
    folders: dict[str, int] = field(default_factory=dict)
    new_folders: list[str] = field(default_factory=list)
    own: list[str] = field(default_factory=list)
    spared: list[str] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)
    site: str | None = None
    windows: bool = False


@contextlib.contextmanager
def journalled(prefix: Path, change: Change, *, new: bool = False, settled: bool = True) -> Iterator[None]:
    """All that the body changes, or nothing of it.

    `new` tells that the prefix itself was not there before. Where the body may leave threads behind that go
    on changing the prefix, `settled` is false: then nothing is undone before `recover` is called, when they
    are gone. Raises `OSError`.
    """
    folder = prefix / JOURNAL
    try:
        folder.mkdir()
        _publish(folder, _written(prefix, folder, change, new=new))
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    try:
        yield
    except BaseException:
        if settled:
            _undo(prefix, folder)
            _finish(prefix, folder)
        raise
    with _uninterrupted():
        _finish(prefix, folder)
        _complete.append(prefix)


def is_anything_complete() -> bool:
    """Whether this process has changed a prefix, so that it cannot say that nothing was changed."""
    return bool(_complete)


@contextlib.contextmanager
def _uninterrupted() -> Iterator[None]:
    """Ctrl-C is not heard, where it would be: it is neither before the change nor after it."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    theirs = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, theirs)


def recover(prefix: Path) -> bool:
    """Put back what a change left that did not come to its end; whether there was one.

    Only who holds the prefix may call this. Raises `PrefixError` where it cannot be done, and leaves the
    journal for the next try.
    """
    folder = prefix / JOURNAL
    if not folder.is_dir():
        return False
    undone = (folder / _LIST).is_file()
    try:
        if undone:
            _undo(prefix, folder)
        _finish(prefix, folder)
    # TypeError: the journal is of another version of the bridge
    except (OSError, ValueError, LookupError, TypeError) as error:
        reason = f"an interrupted change cannot be undone: {error}"
        hint = f"Mend the cause and run the command again; what was there is in {folder}."
        raise PrefixError(str(prefix), reason, hint=hint) from error
    return undone


# -- before ----------------------------------------------------------------------------------------------


def _written(prefix: Path, folder: Path, change: Change, *, new: bool) -> _Journal:
    """The journal of a change; what may go is kept in `folder`."""
    journal = _Journal()
    if new:
        (folder / _NEW).touch()
    going = {*change.going, *_bytecode(prefix, change.going)}
    paths = {*change.coming, *going}
    _note_folders(prefix, paths, journal)
    new_folders = frozenset(journal.new_folders)
    for path in sorted(paths):
        there = path.rpartition("/")[0] not in new_folders
        if there and os.path.lexists(f"{prefix}/{path}"):  # a Path for each takes longer than to look
            if not (prefix / path).is_dir() or (prefix / path).is_symlink():
                journal.kept[path] = len(journal.kept), path not in going
        elif path in change.coming:
            journal.created.append(path)
    for path, (number, copied) in journal.kept.items():
        _keep(prefix / path, folder / str(number), copied=copied)
    if change.unread and change.layout is not None:
        journal.unread = [str(package) for package in change.unread]
        journal.site, journal.windows = change.layout.site_packages, change.layout.windows
    journal.own = list(change.own)
    journal.spared = [str(path) for path in _matching(prefix, change.own)]
    return journal


def _note_folders(prefix: Path, paths: Iterable[str], journal: _Journal) -> None:
    """The folders of these files, of their bytecode, and all above."""
    found = {path.rpartition("/")[0] for path in paths}
    found |= {f"{path.rpartition('/')[0]}/__pycache__".lstrip("/") for path in paths if path.endswith(".py")}
    for folder in tuple(found):
        while (folder := folder.rpartition("/")[0]) and folder not in found:
            found.add(folder)
    new: set[str] = set()
    for folder in sorted(found - {""}):  # those above come first
        try:
            if folder.rpartition("/")[0] in new:
                new.add(folder)
            else:
                journal.folders[folder] = stat.S_IMODE((prefix / folder).stat().st_mode)
        except OSError:
            new.add(folder)
    journal.new_folders = sorted(new)


def _bytecode(prefix: Path, sources: Iterable[str]) -> Iterator[str]:
    """The existing bytecode of Python files."""
    for folder, modules in _modules(sources).items():
        for name in _bytecode_names(prefix / folder / "__pycache__", modules):
            yield f"{folder}/__pycache__/{name}".lstrip("/")


def _modules(paths: Iterable[str]) -> dict[str, set[str]]:
    """Folder -> the modules that are in it."""
    found: dict[str, set[str]] = {}
    for path in paths:
        folder, _, name = path.rpartition("/")
        if name.endswith(".py"):
            found.setdefault(folder, set()).add(name[:-3])
    return found


def _bytecode_names(folder: Path, modules: Collection[str]) -> list[str]:
    try:
        names = [entry.name for entry in folder.iterdir()]
    except OSError:
        return []
    return [name for name in names if (match := _BYTECODE.fullmatch(name)) and match["module"] in modules]


def _keep(file: Path, place: Path, *, copied: bool) -> None:
    """A second name for a file that may be deleted, and a copy of what may be written over."""
    if not copied:
        try:
            os.link(file, place, follow_symlinks=False)
        except OSError:  # not on every file system, nor for every file
            pass
        else:
            return
    shutil.copy2(file, place, follow_symlinks=False)


def _publish(folder: Path, journal: _Journal) -> None:
    """Write the list, on the disk before it is in its place."""
    draft = folder / f"{_LIST}.new"
    with draft.open("w", encoding="utf-8") as stream:
        json.dump(vars(journal), stream)
        stream.flush()
        os.fsync(stream.fileno())
    draft.replace(folder / _LIST)
    _sync(folder)


def _sync(folder: Path) -> None:
    """Have what is in a folder on the disk, where a folder can be opened."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


# -- after -----------------------------------------------------------------------------------------------


def _finish(prefix: Path, folder: Path) -> None:
    """The change, or its undoing, is complete."""
    new = (folder / _NEW).exists()
    (folder / _LIST).unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)  # what cannot go now goes with the next command
    if new:
        with contextlib.suppress(OSError):  # it is not empty: the change is not undone, but complete
            prefix.rmdir()


def _undo(prefix: Path, folder: Path) -> None:
    """Make the prefix what it was; may be repeated, and interrupted, at will."""
    journal = _read(folder)
    for path in journal.created:
        _remove_file(prefix / path)
    _remove_bytecode(prefix, journal)
    for made in _matching(prefix, journal.own):
        if str(made) not in journal.spared:
            delete(made)
    for path in sorted(journal.folders, key=len):
        (prefix / path).mkdir(parents=True, exist_ok=True)
    for path, (number, copied) in journal.kept.items():
        _put_back(folder / str(number), prefix / path, folder / "again", copied=copied)
    _remove_unread(prefix, folder, journal)
    for path in sorted(journal.new_folders, key=len, reverse=True):
        with contextlib.suppress(OSError):  # somebody else may have put something there
            (prefix / path).rmdir()
    for path, mode in journal.folders.items():
        if stat.S_IMODE((prefix / path).stat().st_mode) != mode:
            (prefix / path).chmod(mode)


def _matching(prefix: Path, patterns: Iterable[str]) -> Iterator[Path]:
    for pattern in patterns:
        yield from sorted(prefix.glob(pattern))


def _read(folder: Path) -> _Journal:
    document: dict[str, Any] = json.loads((folder / _LIST).read_text("utf-8"))
    return _Journal(**document)


def _remove_file(path: Path) -> None:
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        if path.is_dir() and not path.is_symlink():
            return  # not what the change would have placed
        path.unlink()


def _remove_bytecode(prefix: Path, journal: _Journal) -> None:
    """Delete bytecode that was not there before: of new files, or of other versions of old ones."""
    for folder, modules in _modules([*journal.created, *journal.kept]).items():
        cache = prefix / folder / "__pycache__"
        for name in _bytecode_names(cache, modules):
            if f"{folder}/__pycache__/{name}".lstrip("/") not in journal.kept:
                _remove_file(cache / name)


def _remove_unread(prefix: Path, folder: Path, journal: _Journal) -> None:
    """Delete what packages placed whose files were not known beforehand: what is theirs, and new."""
    if not journal.unread:
        return
    layout = Layout(site_packages=journal.site, windows=journal.windows)
    placed = {path for package in journal.unread for path in placed_files(Path(package), layout)}
    there = Prefix(prefix)
    began = (folder / _LIST).lstat().st_ctime
    files = [prefix / path for path in sorted(placed - there.owned_files - journal.kept.keys())]
    new = [file for file in files if os.path.lexists(file) and file.lstat().st_ctime >= began]
    for file in new:
        _remove_file(file)
    prune_empty(there, files)


def _put_back(kept: Path, path: Path, draft: Path, *, copied: bool) -> None:
    if _is_same(kept, path, copied=copied):
        return
    draft.unlink(missing_ok=True)
    _keep(kept, draft, copied=copied)
    if path.is_dir() and not path.is_symlink():
        delete(path)
    draft.replace(path)


def _is_same(kept: Path, path: Path, *, copied: bool) -> bool:
    try:
        one, other = kept.lstat(), path.lstat()
    except FileNotFoundError:
        return False
    if os.path.samestat(one, other):
        return not copied
    if stat.S_IFMT(one.st_mode) != stat.S_IFMT(other.st_mode) or one.st_mode != other.st_mode:
        return False
    if path.is_symlink():
        return kept.readlink() == path.readlink()
    return filecmp.cmp(kept, path, shallow=False)
