"""Where conda keeps packages, and which environments there are that may use them."""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path
from typing import Any

from conda.base.context import context
from conda.core.envs_manager import list_all_known_prefixes
from conda.core.package_cache_data import PackageCacheData
from conda.models.enums import LinkType
from conda.models.match_spec import MatchSpec
from conda.models.records import PackageCacheRecord

from ...model import PackageRecord, Row
from .records import BridgeChannel, conda_record


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


def cached_at(row: Row) -> Path | None:
    """Where conda links a package from."""
    found = (Path(folder) / row.dist for folder in context.pkgs_dirs)
    return next((package for package in found if (package / "info" / "paths.json").is_file()), None)


def is_known(row: Row) -> bool:
    """Whether conda knows of a cached package, if it is one of ours."""
    if row.package is None:
        return True
    return any(PackageCacheData.query_all(MatchSpec(f"{row.name}=={row.version}={row.build}")))


def made_known(cache: Any, record: PackageRecord, place: Path) -> PackageCacheRecord:
    """Have conda know of a package that is at `place`; that writes its record there, too."""
    fields = {**conda_record(record).dump(), "channel": BridgeChannel(subdir=record.subdir)}
    entry = PackageCacheRecord(
        **fields,
        package_tarball_full_path=str(Path(cache.pkgs_dir) / record.fn),
        extracted_package_dir=str(place),
    )
    cache.insert(entry)
    return entry
