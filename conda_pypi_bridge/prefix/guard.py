"""Holding a prefix against other processes, and taking files out of it in a way that can be undone."""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from ..errors import PrefixError
from ..model import CHANNEL, InstalledDist
from ..report import Reporter
from .dists import files_of, prune_empty
from .environment import Prefix
from .locate import is_writable


def lock_file(path: Path) -> Path:
    """The file that stands for a prefix, or a package in a cache, being changed.

    It lies apart, so that a dry run leaves no trace in a prefix and no cache holds strangers. The folder
    is this user's alone; one that somebody else made in its place is refused.
    """
    user = os.getuid() if hasattr(os, "getuid") else os.environ.get("USERNAME", "user")
    folder = Path(tempfile.gettempdir()) / f"{CHANNEL}-locks-{user}"
    folder.mkdir(mode=0o700, exist_ok=True)
    status = folder.lstat()
    if hasattr(os, "getuid") and (status.st_uid != os.getuid() or not stat.S_ISDIR(status.st_mode)):
        raise PrefixError(str(folder), "this folder for locks belongs to somebody else", hint="Set TMPDIR.")
    name = hashlib.sha256(os.fsencode(path.resolve())).hexdigest()[:24]
    return folder / f"{name}.lock"


@contextmanager
def held(prefix: Prefix, reporter: Reporter) -> Iterator[None]:
    """`exclusive`, for a prefix that may be changed.

    Raises `PrefixError` where it must not: it is read-only, or frozen (CEP 22).
    """
    hint = "Choose another with -n or -p."
    if not is_writable(prefix.path):
        raise PrefixError(str(prefix.path), "this environment is read-only", hint=hint)
    if prefix.frozen is not None:
        raise PrefixError(str(prefix.path), f"this environment is frozen. {prefix.frozen}".strip(), hint=hint)
    with exclusive(prefix, reporter):
        yield


@contextmanager
def exclusive(prefix: Prefix, reporter: Reporter) -> Iterator[None]:
    """Only one process of the bridge changes a prefix at a time; the others wait, and say so.

    Who holds it may hold it once more.
    """
    lock = FileLock(lock_file(prefix.path), is_singleton=True)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        reporter.phase("Waiting for another process that changes this environment")
        lock.acquire()
        prefix.forget()
    try:
        yield
    finally:
        lock.release()


@contextmanager
def set_aside(prefix: Prefix, dists: Sequence[InstalledDist]) -> Iterator[None]:
    """Move the files of pip-placed distributions away, for good unless the body fails.

    Raises `PrefixError`, and keeps the files, where they could not be moved back.
    """
    files = [file for dist in dists for file in files_of(prefix, dist)]
    if not files:
        yield
        return
    aside = Path(tempfile.mkdtemp(prefix=f".{CHANNEL}-", dir=prefix.path))
    places = {file: aside / str(number) for number, file in enumerate(files)}
    try:
        for file, place in places.items():
            file.replace(place)
        yield
    except BaseException as error:
        lost = [file for file, place in places.items() if not _moved_back(file, place)]
        if lost:
            hint = f"It is kept in {aside}, as {places[lost[0]].name}: move it back."
            raise PrefixError(str(lost[0]), "this file could not be put back", hint=hint) from error
        aside.rmdir()
        raise
    prune_empty(prefix, files)
    shutil.rmtree(aside, ignore_errors=True)


def _moved_back(file: Path, place: Path) -> bool:
    """Whether a file that was to be set aside is where it belongs."""
    if not (place.exists() or place.is_symlink()):
        return True
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        place.replace(file)
    except OSError:
        return False
    return True
