"""The bridge's records as conda holds them, and the overlay as a channel that every backend reads."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from conda.base.context import context
from conda.gateways.repodata import cache_fn_url
from conda.models.channel import Channel
from conda.models.records import PackageRecord as CondaRecord

from ...locks import delete_in_time, leave_word, scratch
from ...model import CHANNEL, CHANNEL_URL, PackageRecord
from ...store import overlays, sweep_caches
from .. import is_sound


class BridgeChannel(Channel):  # type: ignore[misc]
    """The bridge's channel as conda records it: a name alone.

    conda would write the name's full address, which is a public host where anyone may register it.
    """

    def __init__(self, *, subdir: str) -> None:
        super().__init__(name=CHANNEL, platform=subdir)

    @property
    def canonical_name(self) -> str:
        return CHANNEL

    @property
    def base_url(self) -> str:
        return CHANNEL

    def __str__(self) -> str:
        return CHANNEL


def conda_record(package: PackageRecord) -> Any:
    """Our record as conda's, under the bridge's channel."""
    fields = package.index_json()
    return CondaRecord(
        **fields,
        channel=BridgeChannel(subdir=package.subdir),
        url=package.url,
        fn=package.fn,
        size=package.size,
    )


def renamed(record: Any) -> Any:
    """A record of ours that conda read back, which makes an address of the channel's name."""
    return CondaRecord.from_objects(record, channel=BridgeChannel(subdir=record.subdir))


def is_cached(folder: Path, dist: str) -> bool:
    """Whether a package cache holds the package ready-extracted, its record included."""
    return (folder / dist / "info" / "repodata_record.json").is_file()


def dist_of(item: Any) -> str:
    """``name-version-build`` of a record, or of a spec that names one exactly."""
    return f"{item.get('name')}-{item.get('version')}-{item.get('build')}"


def has_whole(folder: Path, dist: str) -> bool:
    """Whether a package cache holds a package of the bridge, and all of it.

    A channel made by the bridge has packages of the same names, which conda takes for another channel's.
    """
    return _is_ours(folder / dist) and is_sound(folder / dist)


def _is_ours(package: Path) -> bool:
    try:
        record = json.loads((package / "info" / "repodata_record.json").read_bytes())
    except (OSError, ValueError):
        return False
    return str(record.get("url")).startswith(f"{CHANNEL_URL}/")


def in_a_cache(dist: str) -> bool:
    """Whether any of conda's package caches holds the package of the bridge."""
    return any(has_whole(Path(folder), dist) for folder in context.pkgs_dirs)


@contextmanager
def written(overlay: Sequence[PackageRecord], *, deps: bool, limits: Sequence[str] = ()) -> Iterator[Channel]:
    """The overlay as a channel on disk, as every solver backend reads it.

    Without `deps` the records depend on nothing for the solve: even a backend that is told to leave
    dependencies alone wants to find them. `limits` constrain whatever is installed beside the records.
    """
    with scratch(overlays()) as folder:
        root = folder / "overlay"
        for subdir in {*context.subdirs, "noarch"}:
            entries = {p.fn: _entry(p, deps=deps, limits=limits) for p in overlay if p.subdir == subdir}
            document = {
                "info": {"subdir": subdir},
                "packages": {},
                "packages.conda": entries,
                "repodata_version": 1,
            }
            (root / subdir).mkdir(parents=True)
            (root / subdir / "repodata.json").write_text(json.dumps(document), "utf-8")
        channel = Channel(root.as_uri())
        leave_word(folder, map(str, _read_of(channel)))
        try:
            yield channel
        finally:
            kept = (file for files in _read_of(channel) for file in files.parent.glob(files.name))
            delete_in_time(overlays(), kept)


def _entry(package: PackageRecord, *, deps: bool, limits: Sequence[str]) -> dict[str, Any]:
    entry = {**package.index_json(), "size": package.size}
    entry["constrains"] = [*entry["constrains"], *limits]
    return entry if deps else {**entry, "depends": []}


def tidy_caches() -> None:
    """Delete what commands left in the caches that died."""
    sweep_caches(*map(Path, context.pkgs_dirs))


def _read_of(channel: Channel) -> Iterator[Path]:
    """The files, as patterns, in which conda keeps what it read of a channel that is never seen again."""
    for pkgs_dir in context.pkgs_dirs:
        for url in channel.urls(with_credentials=True, subdirs=(*context.subdirs, "noarch")):
            for name in ("repodata.json", "current_repodata.json"):
                yield Path(pkgs_dir) / "cache" / f"{cache_fn_url(url, name).removesuffix('.json')}.*"
