"""A static channel: its packages, and the files that tell clients of them.

Whoever reads it meanwhile never sees an entry whose package is not there: packages come first, then
shards, then what lists these. An entry waits in a file of its own until it is listed, so that a run that was
killed is taken up where it was.

    noarch/flask-3.1-py_0.conda                     packages
    noarch/shards/HASH.msgpack.zst                  entries by name (CEP 16), named by their sha256
    noarch/repodata_shards.msgpack.zst              the names, and the hashes of their shards
    noarch/repodata.json, .json.zst                 all entries (CEP 36)
    noarch/current_repodata.json, .json.zst         the newest ones
    .mirror/noarch/flask-3.1-py_0.conda.json        an entry that is not listed yet
    .mirrored                                       that all of this is a mirror's, to change and to delete
"""

from __future__ import annotations

import contextlib
import datetime as dt
import hashlib
import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from ..channel import formats
from ..channel.model import Published
from ..errors import BridgeError
from ..lookup import FETCHERS
from ..model import ProjectName
from .place import Place

NOARCH = "noarch"

_WAITING = ".mirror"
_MARK = ".mirrored"
_SHARDS = "shards"
_REPODATA = "repodata.json"
SHARD_INDEX = "repodata_shards.msgpack.zst"

#: Identity of a package in a channel: its subdir and file name.
Key = tuple[str, str]


class DamagedChannel(BridgeError):
    """A file of the channel is not what a mirror writes."""

    def __init__(self, path: str, reason: str) -> None:
        hint = "If this channel is somebody else's, choose another place; else delete the file."
        super().__init__(f"{path}: {reason}", hint=hint)
        self.path = path
        self.reason = reason


class ForeignChannel(BridgeError):
    """A place has what no mirror put there."""

    def __init__(self, place: str, subdir: str) -> None:
        hint = "A mirror changes and deletes what is at its place: choose one that is empty, or a mirror's."
        super().__init__(f"{place} is no mirror: there are files of others in {subdir}", hint=hint)


class StaticChannel:
    """The channel at a place."""

    def __init__(self, place: Place) -> None:
        self.place = place

    def require_own(self, subdirs: Iterable[str]) -> None:
        """Raises `ForeignChannel` where any of `subdirs` has files, and none of a mirror."""
        if self.place.read(_MARK) is None:
            for subdir in subdirs:
                if self.place.sizes(subdir):
                    raise ForeignChannel(str(self.place), subdir)

    def claim(self) -> None:
        """Note that what comes to be here is a mirror's."""
        if self.place.read(_MARK) is None:
            self.place.write(_MARK, b"Written by conda-pypi-bridge mirror, which may delete what is here.\n")

    # -- packages --------------------------------------------------------------------------------------

    def add(self, package: Path, item: Published) -> None:
        """Put a package's file in its place, and have its entry wait until it is listed."""
        self.place.put(package, item.path)
        self.place.write(_waiting(item), json.dumps(asdict(item), default=dict).encode())

    def listed(self, subdirs: Iterable[str]) -> dict[Key, Published]:
        """The entries that clients see. Raises `DamagedChannel`."""
        found: dict[Key, Published] = {}
        for subdir in subdirs:
            for fn, entry in self.entries(subdir, _REPODATA).items():
                found[subdir, fn] = _published(subdir, fn, entry)
        return found

    def subdirs(self, among: Iterable[str]) -> list[str]:
        """Those that clients find."""
        return [subdir for subdir in among if _REPODATA in self.place.sizes(subdir)]

    def waiting(self) -> dict[Key, Published]:
        """The entries of whole packages that no client sees yet."""
        found: dict[Key, Published] = {}
        for path in self.place.below(_WAITING):
            with contextlib.suppress(ValueError, TypeError, KeyError):
                item = Published(**json.loads(self.place.read(path) or b""))
                found[item.subdir, item.fn] = item
        return found

    def whole(self, items: Mapping[Key, Published]) -> dict[Key, Published]:
        """Those of `items` whose files are there, as far as their sizes tell."""
        subdirs = {subdir for subdir, _ in items}
        sizes = {subdir: self.place.sizes(subdir) for subdir in subdirs}
        return {
            (subdir, fn): item
            for (subdir, fn), item in items.items()
            if sizes[subdir].get(fn) == item.entry.get("size")
        }

    def entries(self, subdir: str, name: str) -> dict[str, dict[str, Any]]:
        """The entries in a document of a subdir, by file name; none where there is no such document.

        Raises `DamagedChannel`.
        """
        path = f"{subdir}/{name}"
        content = self.place.read(path)
        if content is None:
            return {}
        try:
            document = json.loads(content)
            found: dict[str, dict[str, Any]] = document["packages.conda"]
            others = document.get("packages")
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise DamagedChannel(path, "it is not what a mirror writes") from error
        if others or not all(isinstance(entry, dict) for entry in found.values()):
            raise DamagedChannel(path, "it lists packages that no mirror has written")
        return found

    # -- what lists them -------------------------------------------------------------------------------

    def list_all(
        self, items: Mapping[Key, Published], subdirs: Collection[str], *, read: bool = False
    ) -> list[str]:
        """Have clients see exactly `items`, in these subdirs; returns the paths of the files that changed.

        Shards that are there, of the right size, are only looked into where they are to be `read`.
        """
        changed: list[str] = []
        for subdir in sorted(subdirs, key=lambda name: (name != NOARCH, name)):
            own = [item for (where, _), item in sorted(items.items()) if where == subdir]
            known = self.place.sizes(f"{subdir}/{_SHARDS}")
            named = {_digest(content): content for _, content in shards(own)}
            new = {
                f"{subdir}/{shard_path(digest)}": content
                for digest, content in named.items()
                if known.get(shard_path(digest).rpartition("/")[2]) != len(content)
                or (read and self.place.read(f"{subdir}/{shard_path(digest)}") != content)
            }
            with ThreadPoolExecutor(FETCHERS) as pool:
                list(pool.map(self.place.write, new, new.values()))
            changed += new
            for name, content in documents(subdir, own):
                if self.place.read(f"{subdir}/{name}") != content:
                    self.place.write(f"{subdir}/{name}", content)
                    changed.append(f"{subdir}/{name}")
        return changed

    def settle(self) -> None:
        """No entry waits any more: all are listed."""
        self.place.delete_folder(_WAITING)
        self.place.sweep()

    def prune(self, items: Mapping[Key, Published], subdirs: Iterable[str]) -> list[str]:
        """Delete packages and shards that are not of `items`, which are listed; returns their paths."""
        gone: list[str] = []
        for subdir in subdirs:
            own = [item for (where, _), item in items.items() if where == subdir]
            kept = {item.fn for item in own} | {shard_path(_digest(content)) for _, content in shards(own)}
            packages = [fn for fn in self.place.sizes(subdir) if fn.endswith(".conda")]
            others = [f"{_SHARDS}/{name}" for name in self.place.sizes(f"{subdir}/{_SHARDS}")]
            gone += [f"{subdir}/{path}" for path in (*packages, *others) if path not in kept]
        with ThreadPoolExecutor(FETCHERS) as pool:
            list(pool.map(self.place.delete, gone))
        return sorted(gone)


def documents(subdir: str, items: Sequence[Published]) -> Iterator[tuple[str, bytes]]:
    """The files of a subdir beside packages and shards, by name, in the order of writing."""
    digests = [(name, hashlib.sha256(content).digest()) for name, content in shards(items)]
    yield SHARD_INDEX, formats.shard_index(subdir, digests, created=_newest(items))
    for name, listed in ((_REPODATA, items), ("current_repodata.json", formats.current(items))):
        content = formats.repodata(subdir, listed)
        yield f"{name}.zst", formats.compressed(content)
        yield name, content


def shards(items: Iterable[Published]) -> Iterator[tuple[str, bytes]]:
    """The shard of each name, in the order of names."""
    by_name: dict[str, list[Published]] = {}
    for item in items:  # one that was read back has its keys in another order than a new one
        ordered = replace(item, entry=dict(sorted(item.entry.items())))
        by_name.setdefault(item.entry["name"], []).append(ordered)
    for name in sorted(by_name):
        yield name, formats.shard(by_name[name])


def shard_path(digest: str) -> str:
    """Where the shard with this sha256 (hexadecimal) is in its subdir."""
    return f"{_SHARDS}/{digest}.msgpack.zst"


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _newest(items: Iterable[Published]) -> dt.datetime:
    """When the newest package was uploaded: the same content has the same bytes, whenever it is written."""
    stamp = max((int(item.entry.get("timestamp") or 0) for item in items), default=0)
    return dt.datetime.fromtimestamp(stamp / 1000, dt.timezone.utc)


def _waiting(item: Published) -> str:
    return f"{_WAITING}/{item.path}.json"


def _published(subdir: str, fn: str, entry: Mapping[str, Any]) -> Published:
    """An entry as it is read back; of its project no more is known than its name."""
    return Published(fn=fn, subdir=subdir, project=ProjectName(str(entry.get("name", ""))), entry=entry)
