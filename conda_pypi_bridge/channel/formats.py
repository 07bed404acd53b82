"""A channel's files: values become the bytes that clients read. Pure.

Sharded repodata (CEP 16): one msgpack document for each package name, named by 32 bytes that an index
maps the name to. The CEP calls these bytes the shard's sha256, so that it may be cached for ever. A channel
that makes shards only when they are asked for cannot know that; `placeholder` stands in for it.

``repodata.json`` and ``current_repodata.json`` (CEP 36) are for the clients that read no shards.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

import msgpack
from packaging.version import Version

from ..versions import read_spec
from .direct import key_of
from .model import Published

try:
    from compression import zstd
except ImportError:  # Python before 3.14
    from backports import zstd

#: Parts of a placeholder in bytes: first what is alike in most names of an index, so that it compresses.
_SALT, _LISTED, _GENERATION, _SERIAL, _FINGERPRINT = 12, 2, 6, 6, 6

_MOST_LISTED = (1 << 8 * _LISTED) - 1

#: Higher ones save a hundredth and take several times as long.
_LEVEL = 6


# -- shards --------------------------------------------------------------------------------------------


def shard(published: Iterable[Published], *, wheels: Iterable[Mapping[str, Any]] = ()) -> bytes:
    """One name's records in one subdir: ``<hash>.msgpack.zst`` (CEP 16), the same bytes for the same records.

    A project's shard also carries the records of extras that no index lists (see `placeholder`). `wheels`
    are entries of `direct.entries`, for the ``v3`` section (CEP 48). Hashes are bytes: "The sha256 and md5
    from the original repodata fields are converted from their hex representation to bytes"; those of the
    ``v3`` section are not, as the older clients that read it expect.
    """
    packages = {item.fn: _with_bytes(item.entry) for item in sorted(published, key=_fn)}
    document: dict[str, Any] = {"packages": {}, "packages.conda": packages, "removed": []}
    if keyed := {key_of(entry): dict(entry) for entry in wheels}:
        document["v3"] = {"whl": dict(sorted(keyed.items()))}
    return _compressed(msgpack.packb(document))


def salt(*parts: str) -> bytes:
    """What tells one channel's shards from another's (clients cache them across channels): 12 bytes.

    `parts` are all that its answers depend on beside a project and what is published of it: the channel's
    name, the subdir, `Scope.digest`, the release and settings, and whatever distinguishes two stores.
    """
    return _hash("\0".join(parts).encode(), _SALT)


def placeholder(salt: bytes, name: str, serial: int, generation: bytes = b"", *, listed: int = 0) -> bytes:
    """32 bytes in place of the sha256 of a shard that is not made yet.

    No client compares them with the shard, and all keep the shard by them for ever. So they differ with
    the channel (`salt`), the name, the index's `serial` of the project (0 where it tells none), and with what
    is known of it: `generation` is empty until then, afterwards any bytes that change with the shard.

    `listed` tells how many of the project's extras have a name of their own in the same index, from the
    beginning of a list that only grows. The project's shard carries the others: clients take them from there
    for want of a name, rattler refuses a record that two shards have, and it sees what a shard carries
    only where the user did not ask for the project itself. So extras are to be listed once they are known.
    """
    known = _hash(generation, _GENERATION) if generation else bytes(_GENERATION)
    numbers = min(listed, _MOST_LISTED).to_bytes(_LISTED, "big") + known + serial.to_bytes(_SERIAL, "big")
    return salt + numbers + fingerprint(name)


def listed_in(digest: bytes) -> int:
    """How many extras were `listed` in the index from which a client has this placeholder."""
    return int.from_bytes(digest[_SALT : _SALT + _LISTED], "big")


def fingerprint(name: str) -> bytes:
    """How a placeholder ends: all that tells the name of the shard that a URL asks for."""
    return _hash(name.encode(), _FINGERPRINT)


def fingerprint_of(digest: bytes) -> bytes:
    """The `fingerprint` in a placeholder."""
    return digest[-_FINGERPRINT:]


def shard_index(
    subdir: str,
    digests: Iterable[tuple[str, bytes]],
    *,
    created: dt.datetime,
    base_url: str = "",
    shards_base_url: str = "./shards/",
) -> bytes:
    """``repodata_shards.msgpack.zst``: the names of a subdir and what their shards are called (CEP 16).

    Both URLs may be relative to the index itself; some clients demand both. Sorted names compress best.
    """
    packer = msgpack.Packer(autoreset=False)
    count = 0
    for name, digest in digests:
        packer.pack(name)
        packer.pack(digest)
        count += 1
    header = msgpack.Packer(autoreset=False)
    header.pack_map_header(3)
    info = {
        "subdir": subdir,
        "base_url": base_url,
        "shards_base_url": shards_base_url,
        "created_at": f"{created.astimezone(dt.timezone.utc):%Y-%m-%dT%H:%M:%SZ}",
    }
    for value in ("version", 1, "info", info, "shards"):
        header.pack(value)
    header.pack_map_header(count)
    with packer.getbuffer() as names:
        return _compressed(header.bytes(), names)


# -- whole documents -----------------------------------------------------------------------------------


def repodata(subdir: str, published: Iterable[Published]) -> bytes:
    """``repodata.json`` of a subdir (CEP 36); the same bytes for the same packages."""
    document = {
        "info": {"subdir": subdir},
        "packages": {},
        "packages.conda": {item.fn: item.entry for item in sorted(published, key=_fn)},
        "removed": [],
        "repodata_version": 1,
    }
    return (json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False) + "\n").encode()


def compressed(document: bytes) -> bytes:
    """A document as ``.zst``."""
    return _compressed(document)


def current(published: Iterable[Published]) -> list[Published]:
    """What ``current_repodata.json`` lists: the newest version of each name, and what these depend on.

    Where the newest version of a dependency does not meet it, the newest that does is listed too.
    """
    versions: dict[str, dict[Version, list[Published]]] = defaultdict(lambda: defaultdict(list))
    for item in published:
        versions[item.entry["name"]][Version(item.entry["version"])].append(item)
    listed: set[tuple[str, Version]] = set()
    waiting = [(name, max(found)) for name, found in versions.items()]
    while waiting:
        name, version = chosen = waiting.pop()
        if chosen in listed:
            continue
        listed.add(chosen)
        for spec in {spec for item in versions[name][version] for spec in item.entry["depends"]}:
            needed, _, constraint = spec.partition(" ")
            if (met := _newest(versions.get(needed, {}), constraint)) is not None:
                waiting.append((needed, met))
    return sorted((item for name, version in listed for item in versions[name][version]), key=_fn)


def _newest(versions: Iterable[Version], constraint: str) -> Version | None:
    admitted = read_spec(constraint.partition(" ")[0].removeprefix("*"))
    return max((version for version in versions if version in admitted), default=None)


# -- parts ---------------------------------------------------------------------------------------------


def _with_bytes(entry: Mapping[str, Any]) -> dict[str, Any]:
    hashes = {key: bytes.fromhex(entry[key]) for key in ("sha256", "md5") if entry.get(key)}
    return {**entry, **hashes}


def _compressed(*parts: bytes | memoryview) -> bytes:
    """One frame that tells its size, which some clients check before they unpack it."""
    frame: bytes = zstd.compress(b"".join(parts), level=_LEVEL)
    return frame


def _hash(content: bytes, size: int) -> bytes:
    return hashlib.blake2b(content, digest_size=size).digest()


def _fn(item: Published) -> str:
    return item.fn
