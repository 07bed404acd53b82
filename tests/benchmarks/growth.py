"""How time and memory of both doors grow with what there is to look at: generated projects and channels.

    python -m tests.benchmarks.growth --runs 3 --json growth.json --chart growth.svg

closure: one project that requires all others, directly or not. releases: five projects of so many releases
each. records: a channel of so many generated records, of which one is needed; conda without the bridge
installs that one, for comparison. Every run has empty caches and a fresh environment. An exponent is the
slope in the log-log chart: 1 means that twice as much takes twice as long; what is there at any size makes it
smaller.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from tests.benchmarks.compare import CACHE, advise, facts, tell
from tests.benchmarks.linechart import Panel, chart
from tests.benchmarks.rounds import Bench, Request
from tests.benchmarks.runs import Comparison, Run, middle
from tests.benchmarks.server import BenchmarkIndex
from tests.benchmarks.tables import aligned, notes
from tests.benchmarks.tools import CondaDoor, CondaTool, Laboratory, Module, Tool, Words
from tests.lab.channels import TIMESTAMP, index_channel, make_python_package

#: How many projects the step "releases" has.
_PROJECTS = 5

#: Generated records: versions of one name, and how many other names each depends on.
_VERSIONS, _DEPENDS = 10, 3


class PlainConda(CondaTool):
    """conda without the bridge, for what channels have."""

    name = "conda alone"

    def command(self, prefix: Path, index: str, specs: Sequence[str]) -> Words:
        return [*self.conda, "install", "-y", "-p", prefix, *specs]


#: Fills the index or a folder with something of a size, and tells what to ask for.
Make = Callable[[BenchmarkIndex, Path, int], Request]


def closure(index: BenchmarkIndex, folder: Path, size: int) -> Request:
    """A tree of `size` projects: each requires two others."""
    for number in range(size):
        children = (child for child in (2 * number + 1, 2 * number + 2) if child < size)
        index.add(f"tree{size}-{number}", "1.0", requires=[f"tree{size}-{child}" for child in children])
    return Request(specs=(f"tree{size}-0",))


def releases(index: BenchmarkIndex, folder: Path, size: int) -> Request:
    """Projects of `size` releases each, and one that requires them all."""
    names = [f"old{size}-{number}" for number in range(_PROJECTS)]
    for name in names:
        for number in range(size):
            index.add(name, f"1.{number}")
    index.add(f"old{size}", "1.0", requires=[f"{name}>=1.0" for name in names])
    return Request(specs=(f"old{size}",))


def records(index: BenchmarkIndex, folder: Path, size: int) -> Request:
    """A channel with `size` records beside the one that a project requires."""
    channel = folder / f"channel-{size}"
    make_python_package(channel, "present", "1.0")
    path = index_channel(channel) / "noarch" / "repodata.json"
    document = json.loads(path.read_text())
    document["packages.conda"].update(generated_records(size))
    path.write_text(json.dumps(document))
    if "needs-present" not in index.pages:
        index.add("needs-present", "1.0", requires=["present"])
    return Request(specs=("needs-present",), options=("-c", channel.as_uri()))


#: What grows, and how far.
STEPS: dict[str, tuple[Make, tuple[int, ...]]] = {
    "closure": (closure, (10, 100, 400)),
    "releases": (releases, (20, 200, 2_000)),
    "records": (records, (1_000, 10_000, 100_000)),
}


def generated_records(size: int) -> dict[str, dict[str, object]]:
    """So many entries of a repodata.json, of packages that nobody will fetch, by file name."""
    names = max(1, size // _VERSIONS)
    entries: dict[str, dict[str, object]] = {}
    for number in range(size):
        name, version = f"generated-{number % names}", f"1.{number // names}"
        needed = ((number * factor + 1) % names for factor in range(2, 2 + _DEPENDS))
        entries[f"{name}-{version}-py_0.conda"] = {
            "name": name,
            "version": version,
            "build": "py_0",
            "build_number": 0,
            "depends": ["python >=3.8", *(f"generated-{other} >=1.0" for other in needed)],
            "license": "MIT",
            "noarch": "python",
            "subdir": "noarch",
            "sha256": f"{number:064x}",
            "md5": f"{number:032x}",
            "size": 10_000 + number,
            "timestamp": TIMESTAMP,
        }
    return entries


def exponent(points: Sequence[tuple[float, float]]) -> float | None:
    """The slope of the line through the logarithms (least squares), None for fewer than two sizes."""
    if len({size for size, _ in points}) < 2:
        return None
    logs = [(math.log(size), math.log(value)) for size, value in points]
    mean_x, mean_y = (sum(column) / len(logs) for column in zip(*logs, strict=True))
    slope = sum((x - mean_x) * (y - mean_y) for x, y in logs) / sum((x - mean_x) ** 2 for x, _ in logs)
    return float(slope)


def main(words: Sequence[str] | None = None) -> int:
    """Measure, print and keep; returns the exit status."""
    args = arguments(words)
    if args.show:
        found = Comparison.from_json(args.show.read_text())
    else:
        advise()
        found = measured(args)
    print(table(found))
    if args.json:
        args.json.write_text(found.to_json())
    if args.chart:
        args.chart.write_text(drawn(found))
    return 0


def arguments(words: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.growth",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--runs", type=int, default=3, metavar="N", help="runs of each (default: 3)")
    add("--steps", nargs="+", choices=STEPS, default=list(STEPS), help="only these")
    add("--sizes", nargs="+", type=int, metavar="N", help="these sizes instead of the steps' own")
    add("--timeout", type=float, default=600.0, metavar="S", help="give up a run after this (default: 600)")
    add("--cache", type=Path, default=CACHE, metavar="DIR", help="where packed Pythons are kept")
    add("--work", type=Path, metavar="DIR", help="where environments are made")
    add("--json", type=Path, metavar="FILE", help="keep all runs")
    add("--chart", type=Path, metavar="FILE", help="draw the table (SVG)")
    add("--show", type=Path, metavar="FILE", help="measure nothing: table and chart of a file of --json")
    return parser.parse_args(words)


def measured(args: argparse.Namespace) -> Comparison:
    """All runs that the arguments ask for."""
    server = BenchmarkIndex()
    known = facts("a generated index on loopback", args.runs)
    with tempfile.TemporaryDirectory(prefix="growth-", dir=args.work) as place, server:
        folder = Path(place).resolve()
        laboratory = Laboratory(folder / "laboratory", args.cache / "pythons")
        tools: list[Tool] = [Module(), CondaDoor((), laboratory), PlainConda((), laboratory)]
        bench = Bench(folder=folder, url=server.url, server=server, timeout=args.timeout)
        runs: list[Run] = []
        for step in args.steps:
            make, sizes = STEPS[step]
            tell(f"{step}: generating")
            requests = {size: make(server, folder, size) for size in args.sizes or sizes}
            here = tools if step == "records" else tools[:-1]
            runs += in_turn(bench, here, step, requests, args.runs)
        return Comparison(tools={tool.name: tool.version() for tool in tools}, facts=known, runs=runs)


def in_turn(
    bench: Bench, tools: Sequence[Tool], step: str, requests: Mapping[int, Request], runs: int
) -> Iterator[Run]:
    """Runs of all sizes through all tools, in turn, after one of each tool that does not count."""
    for number in range(runs + 1):
        for size, request in list(requests.items())[: None if number else 1]:
            channels_alone = replace(request, specs=("present",))
            for tool in tools:
                asked = channels_alone if isinstance(tool, PlainConda) else request
                (run,) = bench.round(tool, asked, ["cold"])
                tell(f"{number}/{runs} {step} {size}: {tool.name}: {run.failure or f'{run.seconds:.2f} s'}")
                if number:
                    yield replace(run, situation=step, request=str(size))


def points(found: Comparison, step: str, tool: str, value: Callable[[Run], float]) -> list[tuple[int, float]]:
    """Size and median of a value, for the sizes of a step that a tool managed."""
    sizes = (request for request in found.requests if found.of(step, request, tool))
    medians = ((int(size), middle(found.of(step, size, tool), value)) for size in sizes)
    return sorted((size, median) for size, median in medians if median is not None)


_UNITS = {"closure": "packages", "releases": "releases each", "records": "records"}

#: What grows: its title, and where a run has it.
VALUES: dict[str, Callable[[Run], float]] = {
    "wall seconds": lambda run: run.seconds,
    "peak MB": lambda run: run.memory / 1e6,
}


def table(found: Comparison) -> str:
    """Medians by size, and exponents: between the last two sizes, and of the line through all."""
    rows: list[Sequence[str]] = [("step", "tool", "what", "by size", "last exponent", "exponent")]
    for step in found.situations:
        for tool in found.tools:
            for title, value in VALUES.items():
                if known := points(found, step, tool, value):
                    by_size = ", ".join(f"{size:,}: {number:.3g}" for size, number in known)
                    fits = (exponent(some) for some in (known[-2:], known))
                    shown = ("" if fit is None else f"{fit:.2f}" for fit in fits)
                    rows.append((step, tool, title, by_size, *shown))
    return f"{aligned(rows, left=4)}\n\n{notes(found)}\n"


def drawn(found: Comparison) -> str:
    """The table as a chart."""
    rows = [[_panel(found, step, title) for title in VALUES] for step in found.situations]
    versions = (f"{tool}: {version}" for tool, version in found.tools.items())
    return chart(rows, list(found.tools), [*found.facts, *versions])


def _panel(found: Comparison, step: str, title: str) -> Panel:
    known = {tool: points(found, step, tool, VALUES[title]) for tool in found.tools}
    fits = {tool: exponent(some[-2:]) for tool, some in known.items()}
    return Panel(
        title=f"{step}: {title}",
        unit=_UNITS[step],
        lines=known,
        labels={tool: "" if fit is None else f"{tool} ^{fit:.2f}" for tool, fit in fits.items()},
    )


if __name__ == "__main__":
    sys.exit(main())
