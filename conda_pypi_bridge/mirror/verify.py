"""Whether a static channel is what it says: every entry's package is there and sound, every list agrees."""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import msgpack
from conda_package_streaming.package_streaming import stream_conda_component

from ..channel.model import Published
from ..errors import BridgeError
from ..locks import scratch
from ..lookup import FETCHERS
from ..report import Reporter
from .channel import NOARCH, SHARD_INDEX, DamagedChannel, StaticChannel, documents, shard_path, shards

try:
    from compression import zstd
except ImportError:  # Python before 3.14
    from backports import zstd

_BLOCK = 1 << 20

#: What an entry and its package's own ``info/index.json`` must agree on.
_IDENTITY = ("name", "version", "build", "build_number", "subdir", "depends", "constrains", "noarch")


class NoChannel(BridgeError):
    """There is nothing at a place that could be verified."""

    def __init__(self, place: str) -> None:
        hint = "Name the place with --to, or mirror something there first: mirror SPEC --to PLACE"
        super().__init__(f"{place}: there is no channel", hint=hint)
        self.place = place


@dataclass(frozen=True, kw_only=True)
class Fault:
    """A file of the channel, and what is wrong with it."""

    path: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What was looked at, and the faults that were found, by path."""

    subdirs: tuple[str, ...]
    packages: int
    size: int
    faults: tuple[Fault, ...]


def verify(
    channel: StaticChannel, subdirs: Iterable[str], scratch_folder: Path, reporter: Reporter
) -> Verdict:
    """Read the whole channel in those of `subdirs` that it has. Raises `PlaceFailure` or `NoChannel`."""
    subdirs = list(subdirs)
    if not any(channel.place.sizes(subdir) for subdir in subdirs):
        raise NoChannel(str(channel.place))
    faults: list[Fault] = []
    items: dict[str, list[Published]] = {}
    for subdir in subdirs:
        try:
            found = channel.listed([subdir])
        except DamagedChannel as error:
            faults.append(Fault(path=error.path, reason=error.reason))
            continue
        if found or channel.subdirs([subdir]):
            items[subdir] = [found[key] for key in sorted(found)]
    if NOARCH not in items:
        faults.append(Fault(path=f"{NOARCH}/repodata.json", reason="it is missing: this is no channel"))
    for subdir, own in items.items():
        faults += _documents(channel, subdir, own)
    everything = [item for own in items.values() for item in own]
    faults += faults_of(channel, everything, scratch_folder, reporter)
    return Verdict(
        subdirs=tuple(items),
        packages=len(everything),
        size=sum(int(item.entry.get("size") or 0) for item in everything),
        faults=tuple(sorted(faults, key=lambda fault: fault.path)),
    )


def faults_of(
    channel: StaticChannel, items: Sequence[Published], scratch_folder: Path, reporter: Reporter
) -> list[Fault]:
    """What is wrong with packages, all of which are read. Raises `PlaceFailure`."""
    reporter.phase("Verifying")
    reporter.expect(len(items), sum(int(item.entry.get("size") or 0) for item in items))
    check = partial(_package, channel, scratch_folder=scratch_folder, reporter=reporter)
    with ThreadPoolExecutor(FETCHERS) as pool:
        return [
            Fault(path=item.path, reason=reason)
            for reasons, item in zip(pool.map(check, items), items, strict=True)
            for reason in reasons
        ]


# -- packages ------------------------------------------------------------------------------------------


def _package(
    channel: StaticChannel, item: Published, *, scratch_folder: Path, reporter: Reporter
) -> list[str]:
    """What is wrong with the package of an entry."""
    with ExitStack() as stack:
        file = stack.enter_context(channel.place.opened(item.path))
        if file is None:
            return ["its file is missing"]
        copy = stack.enter_context(scratch(scratch_folder)) / item.fn
        sha256, md5, size = hashlib.sha256(), hashlib.md5(usedforsecurity=False), 0
        with copy.open("wb") as written:
            while block := file.read(_BLOCK):
                written.write(block)
                sha256.update(block)
                md5.update(block)
                size += len(block)
                reporter.advance(size=len(block))
        reporter.advance(files=1)
        found = {"size": size, "sha256": sha256.hexdigest(), "md5": md5.hexdigest()}
        for key, value in found.items():
            if value != item.entry.get(key):
                return [f"its {key} is {value}, and its entry says {item.entry.get(key)}"]
        return _contents(copy, item)


def _contents(package: Path, item: Published) -> list[str]:
    """What is wrong inside a package."""
    try:
        own = _read(package)
    except (OSError, ValueError, LookupError, EOFError, zipfile.BadZipFile, zstd.ZstdError) as error:
        return [f"it cannot be opened: {error}"]
    return [
        f"its entry has another {key} than the package itself"
        for key in _IDENTITY
        if own.get(key) != item.entry.get(key)
    ]


def _read(package: Path) -> dict[str, Any]:
    """Its ``info/index.json``, once all of it was read."""
    own: dict[str, Any] | None = None
    for component in ("pkg", "info"):
        with package.open("rb") as file:
            for tar, member in stream_conda_component(package.name, file, component):
                content = tar.extractfile(member) if member.isfile() else None
                if member.name == "info/index.json" and content is not None:
                    own = json.load(content)
                while content is not None and content.read(_BLOCK):
                    pass
    if own is None:
        raise LookupError("it has no info/index.json")
    return own


# -- what lists them -----------------------------------------------------------------------------------


def _documents(channel: StaticChannel, subdir: str, items: list[Published]) -> Iterator[Fault]:
    """The other lists of a subdir must tell the same as ``repodata.json``."""
    for name, expected in documents(subdir, items):
        path = f"{subdir}/{name}"
        content = channel.place.read(path)
        if content is None:
            yield Fault(path=path, reason="it is missing")
        elif name == SHARD_INDEX:
            yield from _shards(channel, subdir, items, content)
        elif content != expected and _meaning(name, content) != _meaning(name, expected):
            yield Fault(path=path, reason="it does not list what repodata.json lists")


def _shards(channel: StaticChannel, subdir: str, items: list[Published], index: bytes) -> Iterator[Fault]:
    """Every name must have a shard with its entries, called by its sha256."""
    expected = dict(shards(items))
    document = _meaning(SHARD_INDEX, index)
    listed = document.get("shards") if isinstance(document, dict) else None
    if not isinstance(listed, dict) or listed.keys() != expected.keys():
        yield Fault(path=f"{subdir}/{SHARD_INDEX}", reason="it does not list the names of repodata.json")
        return
    paths = {name: f"{subdir}/{shard_path(digest.hex())}" for name, digest in listed.items()}
    with ThreadPoolExecutor(FETCHERS) as pool:
        contents = dict(zip(paths, pool.map(channel.place.read, paths.values()), strict=True))
    for name, content in contents.items():
        if content is None:
            yield Fault(path=paths[name], reason=f"it is missing, the shard of {name}")
        elif hashlib.sha256(content).digest() != listed[name]:
            yield Fault(path=paths[name], reason=f"its sha256 is {hashlib.sha256(content).hexdigest()}")
        elif _meaning(SHARD_INDEX, content) != _meaning(SHARD_INDEX, expected[name]):
            yield Fault(path=paths[name], reason=f"it does not list what repodata.json lists of {name}")


def _meaning(name: str, content: bytes) -> object:
    """What a document says: other versions of zstd write it otherwise. None where it cannot be read."""
    try:
        plain = zstd.decompress(content) if name.endswith(".zst") else content
        found: object = msgpack.unpackb(plain) if ".msgpack" in name else json.loads(plain)
    except (ValueError, zstd.ZstdError, msgpack.exceptions.UnpackException):
        return None
    return found
