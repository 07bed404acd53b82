"""What the engine's caches lack, for when no channel can be asked."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import rattler
from rattler.exceptions import GatewayError

from ...credentials import public_url
from ...errors import OfflineError
from ...model import CHANNEL
from .records import PIP, VENV

#: rattler notes beside a cached package how often it was fetched (8 bytes), and the sha256 of the archive.
_LOCK_SUFFIX = ".lock"
_REVISION_SIZE = 8


def unread_channel(error: GatewayError) -> OfflineError:
    """What rattler says of a channel that it never read, or not in a form that serves offline."""
    line = next(iter(str(error).splitlines()), "")
    url = re.search(r"\w+://\S+", line)
    return OfflineError(f"the channel {public_url(url[0].rstrip('/')) if url else line}")


def require_packages(records: Iterable[rattler.RepoDataRecord], cache: Path) -> None:
    """Raises `OfflineError` where rattler would have to fetch a channel's package."""
    missing = [record for record in records if not _is_at_hand(record, cache)]
    if missing:
        raise OfflineError(", ".join(map(_named, missing)))


def _is_at_hand(record: rattler.RepoDataRecord, cache: Path) -> bool:
    if record.channel in (CHANNEL, PIP, VENV) or record.url.startswith("file:"):
        return True
    dist = _dist(record)
    if not (cache / dist / "info" / "index.json").is_file():
        return False
    try:
        fetched = (cache / f"{dist}{_LOCK_SUFFIX}").read_bytes()[_REVISION_SIZE:]
    except OSError:
        return True
    return not (fetched and record.sha256) or fetched == record.sha256


def _dist(record: rattler.RepoDataRecord) -> str:
    return f"{record.name.normalized}-{record.version}-{record.build}"


def _named(record: rattler.RepoDataRecord) -> str:
    return f"the package {_dist(record)} of the channel {public_url((record.channel or '').rstrip('/'))}"
