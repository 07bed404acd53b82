"""A cache folder on disk: small files that are whole or absent, shared by any number of processes."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from platformdirs import user_cache_path

from . import ENTRIES, PROJECT
from .locks import is_held, own_folder, sweep

_HASH_SIZE = hashlib.sha256().digest_size


def cache_folder() -> Path:
    """Where the bridge keeps what it may lose: the platform's own place for caches."""
    return user_cache_path(PROJECT)


def index_cache() -> Path:
    """Where pages, metadata and wheels of indexes are kept."""
    return cache_folder() / "index"


def package_cache() -> Path:
    """Where the engine without conda keeps packages ready-extracted."""
    return cache_folder() / "pkgs"


def overlays() -> Path:
    """Where overlays are for the length of a solve of conda's."""
    return cache_folder() / "overlays"


def sweep_caches(*others: Path) -> None:
    """Delete what processes that died left unfinished in the caches, and in `others`."""
    for folder in (cache_folder(), index_cache(), package_cache(), overlays(), *others):
        sweep(folder)
    _sweep_drafts(package_cache())


def _sweep_drafts(packages: Path) -> None:
    """Delete packages of channels that rattler did not extract to the end: their names begin with a dot."""
    drafts = [path for path in _entries(packages) if path.name.startswith(".") and path.name != ENTRIES]
    if drafts and not is_held(packages / ENTRIES / FETCHING):
        for draft in drafts:
            shutil.rmtree(draft, ignore_errors=True)


def _entries(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError:
        return []


#: The entry of a package cache that is held while packages of channels are fetched into it.
FETCHING = "channels"


class Store:
    """Content by key under one folder.

    Every file starts with the sha256 of the rest, so that what a power loss or a bad disk left behind reads
    as absent; that costs less than an fsync for each of hundreds of small files. A folder that
    cannot be written means no cache, not a failure. Files are readable by their owner only: pages
    of private indexes are among them.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._parts = folder.parent

    def path(self, key: str) -> Path:
        """Where the content of `key` is, or would be."""
        name = hashlib.sha256(key.encode()).hexdigest()
        return self.folder / name[:2] / name[2:]

    def get(self, key: str) -> bytes | None:
        """The content stored under `key`, or None."""
        try:
            raw = self.path(key).read_bytes()
        except OSError:
            return None
        content = raw[_HASH_SIZE:]
        return content if hashlib.sha256(content).digest() == raw[:_HASH_SIZE] else None

    def remove(self, key: str) -> None:
        """Forget what is stored under `key`."""
        with contextlib.suppress(OSError):
            self.path(key).unlink()

    def put(self, key: str, content: bytes) -> None:
        """Store `content` under `key`, replacing what was there in one step."""
        with contextlib.suppress(OSError), staged(self.path(key), own_folder(self._parts)) as file:
            file.write(hashlib.sha256(content).digest())
            file.write(content)


@contextlib.contextmanager
def staged(path: Path, parts: Path | None = None) -> Iterator[BinaryIO]:
    """A file that appears at `path`, whole, when the block ends well, and not at all otherwise.

    Until then it is in the folder `parts`, or beside its place. It is not flushed to the disk: whoever reads
    it later verifies its hash.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=".", suffix=".part", dir=parts or path.parent)
    stage = Path(name)
    try:
        with os.fdopen(handle, "w+b") as file:
            yield file
        stage.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            stage.unlink()
        raise
