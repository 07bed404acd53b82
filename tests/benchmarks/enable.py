"""What enabling the bridge costs conda commands that need nothing of it.

    python -m tests.benchmarks.enable [--repeat N] [CONDA ...]

The same commands, in the laboratory's conda or the one given, with the setting on and off in turn; the
channels are local, so that start-up, which is what enabling adds to, is most of what is timed.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tests.lab.condas import Conda, Home, make_root
from tests.lab.pythons import interpreters, make_channel

COMMANDS = (
    ("list", "-n", "e"),
    ("install", "-n", "e", "-y", "--dry-run", "pip"),
    ("search", "pip"),
)


def laboratory(folder: Path, command: Sequence[str]) -> Conda:
    """A conda with one environment, ``e``."""
    pythons = list(interpreters())
    for name in ("channel", "kept", "root"):
        (folder / name).mkdir()
    make_channel(folder / "channel", pythons, folder / "kept")
    home = Home.make(folder / "home", [folder / "channel"])
    conda = Conda(command=tuple(command) or (str(make_root(folder / "root")),), home=home)
    conda("create", "-n", "e", f"python={pythons[0].version}")
    return conda


def seconds(conda: Conda, command: Sequence[str], *, enabled: bool) -> float:
    """How long `command` takes."""
    conda.home.configure(plugins={"pypi_bridge_enabled": enabled})
    start = time.perf_counter()
    conda(*command, check=False)
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeat", type=int, default=15, metavar="N")
    parser.add_argument("conda", nargs="*")
    args = parser.parse_args()
    print(f"{'command':45} {'off, s':>8} {'on, s':>8} {'on/off':>8} {'ms more':>8}")
    with tempfile.TemporaryDirectory() as folder:
        conda = laboratory(Path(folder), args.conda)
        for command in COMMANDS:
            runs = [[seconds(conda, command, enabled=on) for on in (False, True)] for _ in range(args.repeat)]
            off, on = (statistics.median(column) for column in zip(*runs[1:], strict=True))
            words = " ".join(command)
            print(f"{words:45} {off:8.3f} {on:8.3f} {on / off:8.3f} {1000 * (on - off):8.1f}")


if __name__ == "__main__":
    main()
