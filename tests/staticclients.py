"""A process that installs from channels with py-rattler alone: what pixi and its like do.

python -m tests.staticclients PREFIX CACHE SUBDIR CHANNEL... -- SPEC...
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import Any

import rattler

Subdir: Any = getattr(rattler, "Subdir", None) or rattler.Platform  # its name before py-rattler 0.24


async def install(prefix: Path, cache: Path, subdir: str, channels: list[str], specs: list[str]) -> None:
    """Solve over the channels, first the one that wins, and install into a new environment."""
    platforms = [Subdir(subdir), Subdir("noarch")]
    records = await rattler.solve(
        sources=[rattler.Channel(channel) for channel in channels],
        specs=specs,
        gateway=rattler.Gateway(cache_dir=cache / "repodata"),
        platforms=platforms,
        virtual_packages=rattler.VirtualPackage.detect(),
    )
    await rattler.install(
        records, prefix, cache_dir=cache / "pkgs", platform=platforms[0], show_progress=False
    )


def main() -> None:
    prefix, cache, subdir, *rest = sys.argv[1:]
    split = rest.index("--")
    asyncio.run(install(Path(prefix), Path(cache), subdir, rest[:split], rest[split + 1 :]))
    sys.stdout.flush()
    os._exit(0)  # rattler's threads may crash an interpreter that shuts down slowly


if __name__ == "__main__":
    main()
