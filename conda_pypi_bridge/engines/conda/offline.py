"""What conda's caches hold of channels, for when no channel can be asked.

conda's own query passes over every channel on the network then, although what was last read of it is cached.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from conda.base.context import context
from conda.core.package_cache_data import PackageCacheData
from conda.core.subdir_data import SubdirData
from conda.models.channel import Channel, all_channel_urls
from conda.models.match_spec import MatchSpec

from ... import CHANNEL
from ...errors import OfflineError
from .records import dist_of, is_cached


def last_read(spec: MatchSpec, channels: Sequence[Any], subdirs: Sequence[str]) -> list[Any]:
    """The channels' packages that match, of what was last read of each channel.

    Raises `OfflineError` for a channel that was never read.
    """
    urls = all_channel_urls(channels, subdirs=subdirs)
    return [record for url in urls for record in _last_read(url).query(spec)]


def _last_read(url: str) -> SubdirData:
    data = SubdirData(Channel(url))
    if not url.startswith("file:") and not data.cache_path_json.exists():
        raise OfflineError(f"the channel {_shown(Channel(url))}")
    return data


def in_package_caches(spec: MatchSpec) -> bool:
    """Whether a channel's package that matches is cached, whatever is known of its channel."""
    found = PackageCacheData.query_all(spec)
    return any(entry.channel.canonical_name != CHANNEL for entry in found)


def require_packages(records: Iterable[Any]) -> None:
    """Raises `OfflineError` where conda is offline and would have to fetch a channel's package."""
    missing = [record for record in records if context.offline and not is_at_hand(record)]
    if missing:
        raise OfflineError(", ".join(map(_named, missing)))


def is_at_hand(record: Any) -> bool:
    """Whether a package needs no network: it is the bridge's own business, on this disk, or cached."""
    if record.channel.canonical_name == CHANNEL or str(record.url).startswith("file:"):
        return True
    folders = [Path(folder) for folder in context.pkgs_dirs]
    return any(is_cached(f, dist_of(record)) or (f / record.fn).is_file() for f in folders)


def _named(record: Any) -> str:
    return f"the package {dist_of(record)} of the channel {_shown(record.channel)}"


def _shown(channel: Channel) -> str:
    """The address of a channel, without credentials."""
    return str(Channel(channel.base_url).base_url or channel)
