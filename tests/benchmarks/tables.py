"""Runs as tables that a person can read in a terminal, and Markdown shows as such."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tests.benchmarks.runs import Comparison, Run, counted, middle

_WORDS = ("request", "tool")
_NUMBERS = ("s", "range", "x pip", "x uv", "CPU s", "peak MB", "requests", "sent MB", ".pyc", "n")
_HEAD = (*_WORDS, *_NUMBERS)

_LEGEND = """\
s: median wall seconds of the process; range: fastest to slowest. x pip, x uv: s divided by theirs.
CPU s: user and system time of the process and all it started. peak MB: the largest process of that tree.
requests, sent MB: what the index was asked and sent. .pyc: how many of the installed modules have bytecode.
n: runs that count. In brackets: how many distributions there are afterwards."""

_MB = 1e6


def tables(found: Comparison) -> str:
    """A table for each situation, then what the columns mean, versions, conditions, and what failed."""
    made = ((name, aligned([_HEAD, *_rows(found, name)])) for name in found.situations)
    parts = [f"## {situation}\n\n{table}" for situation, table in made]
    return "\n\n".join([*parts, _LEGEND, notes(found)]) + "\n"


def notes(found: Comparison) -> str:
    """A list: conditions, versions, and each failure once."""
    told = [*found.facts, *(f"{name}: {text}" for name, text in {**found.tools, **found.absent}.items())]
    failed = (run for run in found.runs if run.failure)
    told += dict.fromkeys(f"{run.tool}, {run.request}, {run.situation}: {run.failure}" for run in failed)
    return "\n".join(f"- {text}" for text in told)


def _rows(found: Comparison, situation: str) -> Iterator[Sequence[str]]:
    for request in found.requests:
        for tool in found.tools:
            if runs := found.of(situation, request, tool):
                bases = [found.median(situation, request, base) for base in ("pip", "uv")]
                yield _row(request, tool, runs, bases)
        if found.requests and any(found.of(situation, request, tool) for tool in found.tools):
            for tool in found.absent:
                yield [request, tool, "absent", *[""] * (len(_HEAD) - 3)]


def _row(request: str, tool: str, runs: Sequence[Run], bases: Sequence[float | None]) -> Sequence[str]:
    good = list(counted(runs))
    if not good:
        return [request, tool, "failed", *[""] * (len(_HEAD) - 4), f"0/{len(runs)}"]
    times = [run.seconds for run in good]
    seconds = middle(runs, lambda run: run.seconds) or 0.0
    sent, size = middle(runs, lambda run: run.requests), middle(runs, lambda run: run.size)
    return [
        f"{request} ({good[0].packages})" if good[0].packages else request,
        tool,
        f"{seconds:.2f}",
        f"{min(times):.2f}-{max(times):.2f}",
        *(f"{seconds / base:.2f}" if base else "" for base in bases),
        f"{middle(runs, lambda run: run.cpu):.2f}",
        f"{(middle(runs, lambda run: run.memory) or 0) / _MB:.0f}",
        "" if sent is None else f"{sent:.0f}",
        "" if size is None else f"{size / _MB:.1f}",
        f"{min(1.0, good[0].compiled):.0%}",
        f"{len(good)}/{len(runs)}" if len(good) < len(runs) else str(len(good)),
    ]


def aligned(rows: Sequence[Sequence[str]], *, left: int = len(_WORDS)) -> str:
    """A Markdown table whose columns are as wide as need be; the first `left` of them hold text."""
    widths = [max(2, *(len(row[column]) for row in rows)) for column in range(len(rows[0]))]
    sides = ["<" if column < left else ">" for column in range(len(widths))]
    rules = ["-" * width if column < left else "-" * (width - 1) + ":" for column, width in enumerate(widths)]
    lines = []
    for row in [rows[0], rules, *rows[1:]]:
        cells = (f"{cell:{side}{width}}" for cell, side, width in zip(row, sides, widths, strict=True))
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)
