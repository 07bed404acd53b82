"""A channel of wheels as files in a folder: made of the same values and bytes as a served one."""

from __future__ import annotations

import datetime as dt
import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from packaging.version import Version

from conda_pypi_bridge.building import pack, unpack, unpack_meta
from conda_pypi_bridge.channel import formats, offers
from conda_pypi_bridge.channel.model import Published, Scope
from conda_pypi_bridge.make import local_wheel
from conda_pypi_bridge.model import Candidate, PackageRecord
from conda_pypi_bridge.names import Names
from conda_pypi_bridge.translate import parse_core_metadata
from tests.wheels import metadata_of

CREATED = dt.datetime(2026, 1, 2, tzinfo=dt.timezone.utc)


def candidate_of(path: Path, url: str = "") -> Candidate:
    """A wheel on disk as the index would describe it."""
    url = url or f"https://index.invalid/{path.name}"
    uploaded = dt.datetime(2024, 1, 2, tzinfo=dt.timezone.utc)
    wheel = local_wheel(path)._replace(url=url, upload_time=uploaded)
    return Candidate(wheel=wheel, metadata=parse_core_metadata(metadata_of(path), path.name))


def publish(record: PackageRecord, wheel: Path, python: Version, channel: Path, scratch: Path) -> Published:
    """Build the package of a record into the channel's folder."""
    staged = scratch / record.dist / record.subdir
    staged.parent.mkdir(parents=True, exist_ok=True)
    if record.wheel is None:
        unpack_meta(record, staged)
    else:
        unpack(wheel, record, staged, python=str(python))
    folder = channel / record.subdir
    folder.mkdir(parents=True, exist_ok=True)
    content = pack(staged, folder).read_bytes()
    hashes = {name: hashlib.new(name, content).hexdigest() for name in ("sha256", "md5")}
    entry = {**record.index_json(), **hashes, "size": len(content)}
    return Published(fn=record.fn, subdir=record.subdir, project=record.project, entry=entry)


def write_channel(folder: Path, wheels: Iterable[Path], scope: Scope, scratch: Path) -> list[Published]:
    """Make packages of all `wheels`, list them in every format, and return them."""
    found = [
        publish(record, path, scope.pythons[0], folder, scratch)
        for path in wheels
        for record in offers.records(candidate_of(path), scope, Names().conda_name)
    ]
    write_lists(folder, found, scope)
    return found


def write_lists(
    folder: Path,
    published: Sequence[Published],
    scope: Scope,
    *,
    listed: bool = False,
    wheels: Mapping[str, Iterable[Mapping[str, Any]]] | None = None,
) -> None:
    """The lists of all subdirs. Shards are named by placeholders, as where they are made when asked for.

    With `listed`, an extra has a name of its own in the index; otherwise its project's shard carries it.
    `wheels` are entries of ``direct.entries`` by subdir.
    """
    names = {_shard_of(item, listed) for item in published}
    names |= {entry["name"] for entries in (wheels or {}).values() for entry in entries}
    for subdir in ("noarch", *scope.subdirs):
        place = folder / subdir
        (place / "shards").mkdir(parents=True, exist_ok=True)
        here = [item for item in published if item.subdir == subdir]
        (place / "repodata.json").write_bytes(formats.repodata(subdir, here))
        (place / "current_repodata.json").write_bytes(formats.repodata(subdir, formats.current(here)))
        shards = {
            name: formats.shard(
                [item for item in here if _shard_of(item, listed) == name],
                wheels=[entry for entry in (wheels or {}).get(subdir, ()) if entry["name"] == name],
            )
            for name in sorted(names)
        }
        salt = formats.salt(str(folder), subdir, scope.digest)
        digests = {name: formats.placeholder(salt, name, 1, shard) for name, shard in shards.items()}
        index = formats.shard_index(subdir, digests.items(), created=CREATED)
        _replace(place / "repodata_shards.msgpack.zst", index)
        for name, shard in shards.items():
            (place / "shards" / f"{digests[name].hex()}.msgpack.zst").write_bytes(shard)


def _shard_of(item: Published, listed: bool) -> str:
    name: str = item.entry["name"]
    return name if listed else Names().conda_name(item.project)


def _replace(path: Path, content: bytes) -> None:
    """Write a file again so that a client sees it: ``Last-Modified`` counts whole seconds."""
    before = path.stat().st_mtime if path.exists() else 0
    path.write_bytes(content)
    if (now := path.stat().st_mtime) < before + 1:
        os.utime(path, (now, before + 1))
