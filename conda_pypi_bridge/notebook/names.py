"""Names of packages that conda has on this machine, for finding the nearest to a misspelt one."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

#: In repodata, written compactly or not.
_NAME = re.compile(rb'"name":\s*"([a-z0-9_.-]+)"')

#: A channel's whole history is too much to read for a hint; conda caches its current packages, too.
_LIMIT = 64 << 20


def cache_folders(conda: Sequence[str], environ: Mapping[str, str]) -> list[Path]:
    """conda's package caches, as conda itself is configured; none where it does not tell."""
    command = [*conda, "config", "--show", "pkgs_dirs", "--json"]
    try:
        done = subprocess.run(
            command, env=environ, stdin=subprocess.DEVNULL, capture_output=True, timeout=30, check=True
        )
        return [Path(text) for text in json.loads(done.stdout)["pkgs_dirs"]]
    except (OSError, subprocess.SubprocessError, ValueError, KeyError):
        return []


def cached_names(folders: Iterable[Path]) -> set[str]:
    """The names in the channel indexes that conda's package caches hold."""
    found: set[bytes] = set()
    for folder in dict.fromkeys(folders):
        for file in (folder / "cache").glob("*.json"):
            try:
                if file.stat().st_size <= _LIMIT:
                    found.update(_NAME.findall(file.read_bytes()))
            except OSError:  # it is somebody else's cache
                continue
    return {name.decode() for name in found}
