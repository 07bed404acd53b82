"""How long it takes to turn wheels into .conda files, next to other converters on the same machine.

    python -m tests.benchmarks.convert [--repeat N] WHEEL...

Compared are ``whl2conda`` and ``conda pypi convert``, each where it is on PATH, with their own default
compression; of us, packing (level 3) and the extracted package, which is what installing uses. Every
run is a process of its own, converters take turns, and the median counts.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from conda_pypi_bridge import building
from tests.test_build_conformance import MINOR, record_for

Command = Callable[[Path, Path], Sequence[str | Path]]


def converters() -> dict[str, Command]:
    """The command of each converter that is here, made from a wheel and an output folder."""
    this = (sys.executable, "-m", "tests.benchmarks.convert")
    found: dict[str, Command] = {
        "ours": lambda wheel, out: [*this, "--convert", "pack", out, wheel],
        "ours, extracted": lambda wheel, out: [*this, "--convert", "unpack", out, wheel],
    }
    if tool := shutil.which("whl2conda"):
        flags = ["--allow-impure", "--yes", "--format", "conda"]
        found["whl2conda"] = lambda wheel, out: [tool, "convert", wheel, *flags, "--out-dir", out]
    conda = shutil.which("conda")
    if conda and subprocess.run([conda, "pypi", "convert", "--help"], capture_output=True).returncode == 0:
        peer = [conda, "pypi", "convert", "--output-folder"]
        found["conda pypi convert"] = lambda wheel, out: [*peer, out, wheel]
    return found


def convert(wheel: Path, out: Path, *, pack: bool) -> None:
    """Our conversion, as one of the processes that are timed."""
    record = record_for(wheel)
    building.unpack(wheel, record, out / record.dist, python=MINOR)
    if pack:
        building.pack(out / record.dist, out)


def seconds(command: Command, wheel: Path) -> float | None:
    """How long `command` takes for `wheel`; None where it fails."""
    with tempfile.TemporaryDirectory() as out:
        start = time.perf_counter()
        done = subprocess.run(command(wheel, Path(out)), capture_output=True, stdin=subprocess.DEVNULL)
        taken = time.perf_counter() - start
    return taken if done.returncode == 0 else None


def measure(wheel: Path, commands: Mapping[str, Command], repeat: int) -> dict[str, float | None]:
    """The median time of each converter; None for one that failed."""
    taken: dict[str, list[float | None]] = {name: [] for name in commands}
    for _ in range(repeat):
        for name, command in commands.items():
            taken[name].append(seconds(command, wheel))
    return {
        name: statistics.median(times) if None not in times else None  # type: ignore[type-var]
        for name, times in taken.items()
    }


def report(results: Mapping[Path, Mapping[str, float | None]], names: Sequence[str]) -> str:
    """A table: seconds, and in brackets the multiple of our time; last the sums over what all convert."""
    everywhere = [times for times in results.values() if None not in times.values()]
    sums = {name: sum(times[name] or 0 for times in everywhere) for name in names}
    rows = [(wheel.name[:40], times) for wheel, times in results.items()]
    lines = [f"{'seconds':42}" + "".join(f"{name:>22}" for name in names)]
    for label, times in [*rows, (f"sum of {len(everywhere)}", sums)]:
        base = times["ours"]
        cells = []
        for name in names:
            taken = times[name]
            ratio = f" ({taken / base:5.1f}x)" if taken and base else ""
            cells.append(f"{f'{taken:.2f}{ratio}' if taken is not None else 'failed':>22}")
        lines.append(f"{label:42}" + "".join(cells))
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure and print; with --convert, be one of the measured processes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--repeat", type=int, default=3, help="runs of each converter per wheel (default: 3)")
    parser.add_argument("--convert", nargs=2, metavar=("FORM", "OUT"), help=argparse.SUPPRESS)
    parser.add_argument("wheels", nargs="+", type=Path)
    options = parser.parse_args()
    if options.convert:
        form, out = options.convert
        convert(options.wheels[0], Path(out), pack=form == "pack")
        return
    commands = converters()
    results = {wheel: measure(wheel, commands, options.repeat) for wheel in options.wheels}
    sys.stdout.write(report(results, list(commands)))


if __name__ == "__main__":
    main()
