"""What lies in the caches: a look at every file's status, and at the content of none but small records."""

from __future__ import annotations

import json
import os
import re
import stat
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from packaging.utils import InvalidWheelFilename, parse_wheel_filename

from .. import CHANNEL, ENTRIES
from ..locks import is_held
from ..model import OUR_BUILD
from .model import Cache, Item, Kind

#: ``name-version-build`` of a package of ours, and of any.
_OURS = re.compile(rf"(?P<name>.+)-(?P<version>[^-]+)-(?P<build>{OUR_BUILD})")
_DIST = re.compile(r"(?P<name>.+)-(?P<version>[^-]+)-(?P<build>[^-]+)")

#: What belongs to a package of the engine without conda, and lies beside it.
LOCK_SUFFIX = ".lock"


def survey(own: Path, shared: Sequence[Path] = ()) -> list[Cache]:
    """All caches: those below the bridge's `own` folder, and its part of conda's package folders.

    Files that items share by hard links count once.
    """
    walk, index = _Walk(now=time.time()), own / "index"
    caches = [
        Cache(kind="index", path=index / "store", items=_files(walk, "index", index / "store")),
        Cache(kind="wheels", path=index / "wheels", items=_wheels(walk, index / "wheels")),
        *_packages(walk, own / "pkgs"),
        Cache(kind="repodata", path=own / "repodata", items=_files(walk, "repodata", own / "repodata")),
        *(Cache(kind="packages", path=folder, items=_bridged(walk, folder)) for folder in shared),
    ]
    for folder in dict.fromkeys([own, index, own / "pkgs", *shared]):
        if items := _unfinished(walk, folder):
            caches.append(Cache(kind="unfinished", path=folder / ENTRIES, items=items))
    return caches


def read(path: Path) -> BinaryIO:
    """The file, opened so that reading it does not count as a use. Raises `OSError`."""
    flags = os.O_RDONLY | getattr(os, "O_BINARY", 0)
    try:
        return os.fdopen(os.open(path, flags | getattr(os, "O_NOATIME", 0)), "rb")
    except PermissionError:  # only a file's owner may read it unnoticed
        return os.fdopen(os.open(path, flags), "rb")


def read_json(path: Path) -> Any:
    """A JSON document. Raises `OSError` or `ValueError`."""
    with read(path) as file:
        return json.loads(file.read())


@dataclass
class _Walk:
    """Looks at folders; `now` is when it began, `_seen` the files with several links that were counted."""

    now: float
    _seen: set[tuple[int, int]] = field(default_factory=set)

    def item(self, kind: Kind, cache: Path, path: str, label: str, **fields: Any) -> Item:
        """What is at `path`, a file or a folder with all that is below it."""
        own: Counter[tuple[int, int]] = Counter()
        files = size = freed = 0
        used: float | None = None
        for status in _statuses(path):
            used = self._later(used, status)
            files += 1
            inode = status.st_dev, status.st_ino
            own[inode] += 1
            if inode not in self._seen:
                size += status.st_size
                if status.st_nlink > 1:
                    self._seen.add(inode)
            if own[inode] == status.st_nlink:
                freed += status.st_size
        return Item(
            kind=kind,
            cache=cache,
            path=Path(path),
            label=label,
            files=files,
            size=size,
            freed=min(freed, size),
            last_used=used,
            **fields,
        )

    def _later(self, used: float | None, status: os.stat_result) -> float | None:
        """A file was used when it was read, and when an environment linked it or let go of it."""
        times = [t for t in (status.st_atime, status.st_ctime, status.st_mtime) if t <= self.now]
        return max([*times, *([] if used is None else [used])], default=None)


def _statuses(path: str) -> Iterator[os.stat_result]:
    """The status of every file at or below `path`; links are not followed, and what is gone is left out."""
    try:
        if not stat.S_ISDIR((status := os.lstat(path)).st_mode):
            yield status
            return
        folders = [path]
        while folders:
            with os.scandir(folders.pop()) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(entry.path)
                    else:
                        yield entry.stat(follow_symlinks=False)
    except OSError:
        return


def _listed(folder: Path) -> list[os.DirEntry[str]]:
    """What is directly in a folder, by name; nothing where it is not there or may not be read."""
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except OSError:
        return []


def _files(walk: _Walk, kind: Kind, cache: Path, above: str = "") -> list[Item]:
    """Every file below a cache, labelled with the folders `above` it."""
    found = []
    for entry in _listed(cache / above):
        label = f"{above}{entry.name}"
        if entry.is_dir(follow_symlinks=False):
            found += _files(walk, kind, cache, f"{label}/")
        else:
            found.append(walk.item(kind, cache, entry.path, label))
    return found


def _wheels(walk: _Walk, folder: Path) -> list[Item]:
    """Wheels by the folder that is named for their sha256."""
    found = []
    for place in _listed(folder):
        for entry in _listed(Path(place.path)):
            try:
                name, version, *_ = parse_wheel_filename(entry.name)
            except (InvalidWheelFilename, ValueError):
                continue
            fields = {"name": str(name), "version": str(version)}
            found.append(walk.item("wheels", folder, entry.path, entry.name, **fields))
    return found


def _packages(walk: _Walk, folder: Path) -> list[Cache]:
    """The package folder of the engine without conda: packages of indexes, and those of channels."""
    kinds: dict[Kind, list[Item]] = {"packages": [], "channel packages": []}
    for entry in _listed(folder):
        dist = _DIST.fullmatch(entry.name)
        if dist and entry.is_dir(follow_symlinks=False):
            kind: Kind = "packages" if _OURS.fullmatch(entry.name) else "channel packages"
            kinds[kind].append(walk.item(kind, folder, entry.path, entry.name, **dist.groupdict()))
    return [Cache(kind=kind, path=folder, items=items) for kind, items in kinds.items()]


def _bridged(walk: _Walk, folder: Path) -> list[Item]:
    """The packages of indexes in a package folder of conda's."""
    found = []
    for entry in _listed(folder):
        dist = _OURS.fullmatch(entry.name)
        if dist and entry.is_dir(follow_symlinks=False) and _is_ours(Path(entry.path)):
            found.append(walk.item("packages", folder, entry.path, entry.name, **dist.groupdict()))
    return found


def _is_ours(package: Path) -> bool:
    """Whether conda's record of a cached package names the bridge's channel; no record is that of nobody."""
    try:
        record = read_json(package / "info" / "repodata_record.json")
    except (OSError, ValueError):
        return True
    return isinstance(record, dict) and CHANNEL in str(record.get("channel", CHANNEL))


def _unfinished(walk: _Walk, folder: Path) -> list[Item]:
    return [
        walk.item("unfinished", folder, entry.path, entry.name, held=is_held(Path(entry.path)))
        for entry in _listed(folder / ENTRIES)
    ]
