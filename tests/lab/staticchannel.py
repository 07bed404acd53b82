"""A channel of wheels as files in a folder: made of the same values and bytes as a served one."""

from __future__ import annotations

import datetime as dt
import hashlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

from packaging.utils import canonicalize_name, parse_wheel_filename
from packaging.version import Version

from conda_pypi_bridge.build import pack, unpack, unpack_meta
from conda_pypi_bridge.channel import formats, offers
from conda_pypi_bridge.channel.model import Published, Scope
from conda_pypi_bridge.model import Candidate, CondaName, PackageRecord, ProjectName, Wheel
from conda_pypi_bridge.names import Names
from conda_pypi_bridge.translate import parse_core_metadata
from tests.wheels import metadata_of

CREATED = dt.datetime(2026, 1, 2, tzinfo=dt.timezone.utc)


def candidate_of(path: Path, url: str = "") -> Candidate:
    """A wheel on disk as the index would describe it."""
    name, version, build, tags = parse_wheel_filename(path.name)
    wheel = Wheel(
        filename=path.name,
        project=ProjectName(canonicalize_name(name)),
        version=version,
        build=build,
        tags=tags,
        url=url or f"https://index.invalid/{path.name}",
        sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        size=path.stat().st_size,
        upload_time=dt.datetime(2024, 1, 2, tzinfo=dt.timezone.utc),
    )
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
    found = []
    for path in wheels:
        for record in offers.records(candidate_of(path), scope, Names().conda_name):
            found.append(publish(record, path, scope.pythons[0], folder, scratch))
    write_lists(folder, found, scope)
    return found


def write_lists(folder: Path, published: Sequence[Published], scope: Scope, edition: bytes = b"") -> None:
    """The indexes of all subdirs; shards are named by placeholders, an extra's name is in no index."""
    for subdir in ("noarch", *scope.subdirs):
        place = folder / subdir
        (place / "shards").mkdir(parents=True, exist_ok=True)
        here = [item for item in published if item.subdir == subdir]
        (place / "repodata.json").write_bytes(formats.repodata(subdir, here))
        (place / "current_repodata.json").write_bytes(formats.repodata(subdir, formats.current(here)))
        by_project: dict[CondaName, list[Published]] = defaultdict(list)
        for item in published:
            name = Names().conda_name(item.project)
            by_project[name] += [item] if item.subdir == subdir else []
        salt = formats.salt(str(folder), subdir, scope.digest)
        digests = [(name, formats.placeholder(salt, name, 1, edition)) for name in sorted(by_project)]
        (place / "repodata_shards.msgpack.zst").write_bytes(
            formats.shard_index(subdir, digests, created=CREATED)
        )
        for name, digest in digests:
            (place / "shards" / f"{digest.hex()}.msgpack.zst").write_bytes(
                formats.shard(by_project[CondaName(name)])
            )
