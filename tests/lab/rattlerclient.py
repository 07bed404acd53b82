"""py-rattler as a client of channels, in a process of its own: what pixi does, without the bridge.

    python -m tests.lab.rattlerclient CACHE PREFIX|- CHANNEL... -- SPEC...

Prints the chosen packages as JSON: ``[{"name":, "version":, "fn":, "url":, "size":}]``; PREFIX ``-`` is for
a solve alone. On failure the exit status is 1 and the error is on stderr.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path

import rattler
from rattler import Channel, ChannelPriority, Gateway, MatchSpec, VirtualPackage

from .channels import SUBDIR


async def solve(cache: Path, channels: list[str], specs: list[str]) -> list[rattler.RepoDataRecord]:
    return await rattler.solve(
        sources=[Channel(channel) for channel in channels],
        specs=[MatchSpec(spec) for spec in specs],
        gateway=Gateway(cache_dir=cache / "repodata"),
        platforms=[SUBDIR, "noarch"],
        virtual_packages=VirtualPackage.detect(),
        channel_priority=ChannelPriority.Strict,
    )


async def main(cache: Path, prefix: str, channels: list[str], specs: list[str]) -> None:
    chosen = await solve(cache, channels, specs)
    rows = [
        {"name": r.name.source, "version": str(r.version), "fn": r.file_name, "url": r.url, "size": r.size}
        for r in chosen
    ]
    sys.stdout.write(json.dumps(rows))
    sys.stdout.flush()
    if prefix != "-":
        await rattler.install(chosen, target_prefix=prefix, cache_dir=cache / "pkgs", show_progress=False)


if __name__ == "__main__":
    cache, prefix, *rest = sys.argv[1:]
    middle = rest.index("--")
    status = 0
    try:
        asyncio.run(main(Path(cache), prefix, rest[:middle], rest[middle + 1 :]))
    except Exception as error:
        sys.stderr.write(f"{type(error).__name__}: {error}\n")
        status = 1
    sys.stderr.flush()
    os._exit(status)  # py-rattler may crash an interpreter that exits just after its event loop
