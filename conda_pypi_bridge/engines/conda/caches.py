"""Where conda keeps packages, and which environments there are that may use them."""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path

from conda.core.envs_manager import list_all_known_prefixes
from conda.models.enums import LinkType


def users_by_symlink(dists: Collection[str]) -> dict[str, Path]:
    """Packages whose files are symbolic links into a cache, in an environment that conda knows of."""
    found = {}
    for prefix in map(Path, list_all_known_prefixes()):
        for dist in set(dists) & _installed(prefix):
            if _link_type(prefix / "conda-meta" / f"{dist}.json") == LinkType.softlink.value:
                found[dist] = prefix
    return found


def _installed(prefix: Path) -> set[str]:
    return {file.stem for file in (prefix / "conda-meta").glob("*.json")}


def _link_type(record: Path) -> int | None:
    try:
        content = json.loads(record.read_bytes())
        return int(content["link"]["type"])
    except (OSError, ValueError, TypeError, KeyError):
        return None
