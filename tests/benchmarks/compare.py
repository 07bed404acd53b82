"""The same requests through pip, uv, conda-pypi, and both doors of the bridge, in turn, on one machine.

    python -m tests.benchmarks.compare --runs 5 --json last.json --chart last.svg

All tools are served by one copy of the configured index on loopback, which counts what it sends: the index
itself is asked for each page and file once, and never while a run counts. ``--live`` lets the tools ask the
index itself. Situations: see tests/benchmarks/rounds.py. Wall time is that of the process; peak memory is
that of the largest process of its tree. Let nothing else run on the machine meanwhile.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime as dt
import hashlib
import os
import platform
import shlex
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from conda_pypi_bridge import config
from tests.benchmarks.barchart import bars
from tests.benchmarks.mirror import Mirror
from tests.benchmarks.rounds import SITUATIONS, Bench, Request
from tests.benchmarks.runs import Comparison, Run
from tests.benchmarks.tables import tables
from tests.benchmarks.tools import CondaDoor, CondaPypi, Laboratory, Module, Pip, Tool, Uv

#: A small pure one, a closure of 20, a big binary one, many packages, an extra, and what cannot be.
REQUESTS = (
    Request(specs=("flask",)),
    Request(specs=("ipython", "rich")),
    Request(specs=("pandas",)),
    Request(specs=("jupyterlab",)),
    Request(specs=("fastapi[standard]",)),
    Request(specs=("boto3==1.26.0", "urllib3>=2"), fits=False),
)
TOOLS = ("pip", "uv", "uv+pyc", "conda-pypi", "conda door", "python -m door")

#: Where what was fetched, and packed Pythons, are kept.
CACHE = Path(__file__).parents[2] / ".cache" / "benchmarks"


def arguments(words: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.compare",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--runs", type=int, default=5, metavar="N", help="runs of each (default: 5)")
    add("--requests", nargs="+", metavar="NAME", help="only requests whose text begins so")
    add("--situations", nargs="+", choices=SITUATIONS, default=SITUATIONS, help="only these")
    add("--tools", nargs="+", choices=TOOLS, default=TOOLS, help="only these")
    add(
        "--conda",
        default="",
        metavar="COMMAND",
        help='a conda with the bridge, such as "/x/bin/python -m conda" (default: the laboratory\'s 24.7.1)',
    )
    add(
        "--conda-pypi",
        default="",
        metavar="COMMAND",
        help="a conda with conda-pypi (default: none). CONDA_SOLVER names the solver of condas named here",
    )
    add("--index-url", metavar="URL", help="the index to copy (default: the configured one)")
    add("--live", action="store_true", help="let the tools ask the index itself; nothing is counted")
    add("--latency", type=float, default=0.0, metavar="MS", help="let each answer take so much longer")
    add("--timeout", type=float, default=600.0, metavar="S", help="give up a run after this (default: 600)")
    add("--cache", type=Path, default=CACHE, metavar="DIR", help="where copies of the index are kept")
    add(
        "--work", type=Path, metavar="DIR", help="where environments are made (default: the temporary folder)"
    )
    add("--json", type=Path, metavar="FILE", help="keep all runs")
    add("--chart", type=Path, metavar="FILE", help="draw the tables (SVG)")
    add("--show", type=Path, metavar="FILE", help="measure nothing: tables and chart of a file of --json")
    return parser.parse_args(words)


def main(words: Sequence[str] | None = None) -> int:
    """Measure, print and keep; returns the exit status."""
    args = arguments(words)
    if args.show:
        found = Comparison.from_json(args.show.read_text())
    else:
        advise()
        found = measured(args)
    print(tables(found))
    if args.json:
        args.json.write_text(found.to_json())
    if args.chart:
        args.chart.write_text(bars(found))
    return 0


def advise() -> None:
    """Say what makes figures worthless."""
    load, cpus = os.getloadavg()[0], os.cpu_count() or 1
    if load > 0.2 * cpus:
        tell(f"This machine is busy (load {load:.1f} on {cpus} CPUs): figures made now are no figures.")
    tell("Keep the machine quiet until the tables appear: no other work, no laptop on battery.")


def measured(args: argparse.Namespace) -> Comparison:
    """All runs that the arguments ask for."""
    requests = [r for r in REQUESTS if not args.requests or r.name.startswith(tuple(args.requests))]
    copy = f"a copy of the index on loopback, {args.latency:g} ms late"
    known = facts("the index itself" if args.live else copy, args.runs)
    with tempfile.TemporaryDirectory(prefix="benchmark-", dir=args.work) as scratch:
        folder = Path(scratch).resolve()
        with opened(args, folder) as bench:
            tools, absent = present(args, bench)
            versions = {tool.name: tool.version() for tool in tools}
            runs = list(in_turn(bench, tools, requests, args.situations, args.runs))
    return Comparison(tools=versions, absent=absent, facts=known, runs=runs)


def in_turn(
    bench: Bench, tools: Sequence[Tool], requests: Sequence[Request], situations: Sequence[str], runs: int
) -> Iterator[Run]:
    """Rounds of all tools, A B A B, once each has had a round that does not count: it compiles the tool."""
    for tool in tools:
        tell(f"rehearsal: {tool.name}")
        bench.round(tool, requests[0], ["cold", "impossible"])
    for number in range(1, runs + 1):
        for request in requests:
            for tool in tools:
                made = bench.round(tool, request, situations)
                taken = ", ".join(f"{run.situation} {run.failure or f'{run.seconds:.2f} s'}" for run in made)
                tell(f"{number}/{runs} {request.name}: {tool.name}: {taken}")
                yield from made


def tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


@contextlib.contextmanager
def opened(args: argparse.Namespace, folder: Path) -> Iterator[Bench]:
    """The bench: with a mirror of the index or, live, with the index itself."""
    found = config.load(index_url=args.index_url)
    upstream = next((url for url in found.indexes if urlsplit(url).scheme in ("http", "https")), "")
    if not upstream:
        raise SystemExit("no index over the network is configured: name one with --index-url")
    if args.live:
        certificates = {"PIP_CERT": found.cert} if found.cert else {}
        yield Bench(folder=folder, url=upstream, env=certificates, timeout=args.timeout)
        return
    kept = args.cache / hashlib.sha256(upstream.encode()).hexdigest()[:8]
    mirror = Mirror(upstream, kept, latency=args.latency / 1000)
    with mirror:
        yield Bench(folder=folder, url=mirror.url, server=mirror, timeout=args.timeout)


def present(args: argparse.Namespace, bench: Bench) -> tuple[list[Tool], dict[str, str]]:
    """The tools that are wanted and here, and why the others are not."""
    folder = bench.folder / "tools"
    laboratory = Laboratory(folder / "laboratory", args.cache / "pythons")
    tools: list[Tool] = []
    absent: dict[str, str] = {}
    for name in args.tools:
        if name == "pip":
            tools.append(Pip(folder, bench.url, bench.env))
        elif name == "python -m door":
            tools.append(Module())
        elif name == "conda door":
            tools.append(CondaDoor(shlex.split(args.conda), laboratory))
        elif name == "conda-pypi":
            if args.conda_pypi:
                tools.append(CondaPypi(shlex.split(args.conda_pypi), laboratory))
            else:
                absent[name] = "not measured: name a conda that has it with --conda-pypi"
        else:
            tools.append(Uv(compile=name == "uv+pyc"))
    return tools, absent


def facts(index: str, runs: int) -> list[str]:
    """What a reader of the figures must know, as it is now."""
    load = ", ".join(f"{number:.1f}" for number in os.getloadavg())
    return [
        f"{dt.datetime.now(dt.timezone.utc):%Y-%m-%d %H:%M} UTC, {platform.platform()}, CPython "
        f"{platform.python_version()}, {os.cpu_count()} CPUs, load {load} before",
        f"{index}; {runs} runs of each, in turn",
    ]


if __name__ == "__main__":
    sys.exit(main())
