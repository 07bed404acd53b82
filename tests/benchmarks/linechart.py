"""Growth as a chart (SVG): size against time and memory, log-log, one row of panels for each step."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from tests.benchmarks.svg import INK, PALE, PALETTE, circle, decades, line, page, polyline, text

#: Size and value, by size.
Points = Sequence[tuple[int, float]]

#: Pixels: the place of a panel, and its axes within it.
_WIDTH, _HEIGHT, _LEFT, _RIGHT, _UP, _DOWN = 450, 270, 64, 130, 44, 42


@dataclass(frozen=True, kw_only=True)
class Panel:
    """The lines of one panel, by tool; `labels` stand at their ends."""

    title: str
    unit: str
    lines: Mapping[str, Points]
    labels: Mapping[str, str]


def chart(rows: Sequence[Sequence[Panel]], tools: Sequence[str], notes: Sequence[str]) -> str:
    """Panels in rows, as an SVG document."""
    colours = {tool: PALETTE[(number + 1) % len(PALETTE)] for number, tool in enumerate(tools)}
    body = [text(20, 28, "How time and memory grow (both axes logarithmic)", size=18, weight="bold")]
    x = 20.0
    for tool, colour in colours.items():
        body += [line(x, 50, x + 18, 50, stroke=colour, width=3), text(x + 24, 54, tool)]
        x += 46 + 7 * len(tool)
    for down, row in enumerate(rows):
        for across, panel in enumerate(row):
            body += _panel(panel, across * _WIDTH, 70 + down * _HEIGHT, colours)
    bottom = 70 + len(rows) * _HEIGHT
    body += [text(20, bottom + 16 * (n + 1), note, size=11, fill=PALE) for n, note in enumerate(notes)]
    return page(max(map(len, rows)) * _WIDTH, bottom + 16 * (len(notes) + 1), body)


@dataclass(frozen=True, kw_only=True)
class _Axis:
    """Powers of ten from 10**`low` to 10**`high`, from pixel `start` to pixel `stop`."""

    low: int
    high: int
    start: float
    stop: float

    def at(self, value: float) -> float:
        part = (math.log10(value) - self.low) / (self.high - self.low)
        return self.start + part * (self.stop - self.start)

    def ticks(self) -> Iterator[tuple[float, str]]:
        for power in range(self.low, self.high + 1):
            yield self.at(10.0**power), f"{10.0**power:,.9g}"


def _axis(values: Sequence[float], start: float, stop: float) -> _Axis:
    low, high = decades(min(values), max(values))
    return _Axis(low=low, high=high, start=start, stop=stop)


def _panel(panel: Panel, left: float, top: float, colours: Mapping[str, str]) -> Iterator[str]:
    yield text(left + 20, top + 24, panel.title, size=14, weight="bold")
    known = [point for points in panel.lines.values() for point in points]
    if not known:
        yield text(left + _LEFT, top + 60, "no run counts", fill=PALE)
        return
    right, bottom = left + _WIDTH - _RIGHT, top + _HEIGHT - _DOWN
    across = _axis([size for size, _ in known], left + _LEFT, right)
    up = _axis([value for _, value in known], bottom, top + _UP)
    for x, label in across.ticks():
        yield line(x, top + _UP, x, bottom)
        yield text(x, bottom + 15, label, size=11, anchor="middle", fill=PALE)
    for y, label in up.ticks():
        yield line(left + _LEFT, y, right, y)
        yield text(left + _LEFT - 6, y + 4, label, size=11, anchor="end", fill=PALE)
    yield text((left + _LEFT + right) / 2, bottom + 30, panel.unit, size=11, anchor="middle", fill=PALE)
    free = top + _UP
    ends = sorted(((up.at(points[-1][1]), tool) for tool, points in panel.lines.items() if points))
    for end, tool in ends:
        places = [(across.at(size), up.at(value)) for size, value in panel.lines[tool]]
        yield polyline(places, stroke=colours[tool])
        for x, y in places:
            yield circle(x, y, 3.5, colours[tool])
        free = max(free, end + 4)
        yield text(right + 8, free, panel.labels[tool], size=11, fill=INK)
        free += 14
