"""A comparison as a chart (SVG): bars by request and tool, one panel for each situation, on a log scale."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from tests.benchmarks.runs import Comparison
from tests.benchmarks.svg import INK, PALE, PALETTE, decades, line, page, rect, text

#: Pixels.
_LEFT, _RIGHT, _WIDTH = 190, 120, 900
_BAR, _GAP, _HEAD, _FOOT, _TOP = 15, 12, 34, 30, 76

_TITLE = "Wall seconds of an installation (median, logarithmic scale)"
_WORDS = {
    "cold": "cold: empty caches",
    "warm metadata": "warm metadata: pages and metadata cached, packages not",
    "warm packages": "warm packages: everything cached, fresh environment",
    "satisfied": "satisfied: already installed",
    "impossible": "impossible: until the tool says so",
}


class Bar(NamedTuple):
    """`seconds` is None where every run failed."""

    tool: str
    seconds: float | None


@dataclass(frozen=True, kw_only=True)
class Panel:
    """One situation: the bars of each request."""

    situation: str
    groups: Sequence[tuple[str, Sequence[Bar]]]

    @property
    def height(self) -> int:
        return _HEAD + _FOOT + sum(len(bars) * _BAR + _GAP for _, bars in self.groups)


def bars(found: Comparison) -> str:
    """The chart as an SVG document."""
    panels = list(_panels(found))
    known = [bar.seconds for panel in panels for _, group in panel.groups for bar in group if bar.seconds]
    if not known:
        raise ValueError("no run counts: there is nothing to draw")
    low, high = decades(min(known), max(known))
    scale = _Scale(low=low, high=high)
    tools = {tool: PALETTE[number % len(PALETTE)] for number, tool in enumerate(found.tools)}
    body = [
        text(20, 28, _TITLE, size=18, weight="bold"),
        *_legend(tools),
    ]
    top = _TOP
    for panel in panels:
        body += _panel(panel, top, scale, tools)
        top += panel.height
    notes = [*found.facts, *(f"{tool}: {version}" for tool, version in found.tools.items())]
    body += [text(20, top + 16 * (n + 1), note, size=11, fill=PALE) for n, note in enumerate(notes)]
    return page(_WIDTH, top + 16 * (len(notes) + 1), body)


def _panels(found: Comparison) -> Iterator[Panel]:
    for situation in found.situations:
        groups = []
        for request in found.requests:
            runs = {tool: found.of(situation, request, tool) for tool in found.tools}
            shown = [Bar(t, found.median(situation, request, t)) for t in found.tools if runs[t]]
            if shown:
                groups.append((request, shown))
        yield Panel(situation=situation, groups=groups)


@dataclass(frozen=True, kw_only=True)
class _Scale:
    """Seconds to pixels: powers of ten from 10**`low` to 10**`high`."""

    low: int
    high: int

    def x(self, seconds: float) -> float:
        part = (math.log10(seconds) - self.low) / (self.high - self.low)
        return _LEFT + part * (_WIDTH - _LEFT - _RIGHT)


def _legend(tools: dict[str, str]) -> Iterator[str]:
    x = 20.0
    for tool, colour in tools.items():
        yield rect(x, 44, 12, 12, colour)
        yield text(x + 17, 54, tool)
        x += 32 + 7 * len(tool)


def _panel(panel: Panel, top: int, scale: _Scale, tools: dict[str, str]) -> Iterator[str]:
    bottom = top + panel.height - _FOOT
    yield text(20, top + 18, _WORDS.get(panel.situation, panel.situation), size=14, weight="bold")
    for power in range(scale.low, scale.high + 1):
        x = scale.x(10**power)
        yield line(x, top + _HEAD - 6, x, bottom)
        yield text(x, bottom + 14, f"{10.0**power:g} s", anchor="middle", fill=PALE)
    y = top + _HEAD
    for request, group in panel.groups:
        middle = y + len(group) * _BAR / 2 + 4
        yield text(_LEFT - 8, middle, request, anchor="end", size=13)
        for bar in group:
            yield from _bar(bar, y, scale, tools[bar.tool])
            y += _BAR
        y += _GAP


def _bar(bar: Bar, y: float, scale: _Scale, colour: str) -> Iterator[str]:
    if bar.seconds is None:
        yield text(_LEFT + 6, y + _BAR - 4, f"{bar.tool}: failed", fill=PALE)
        return
    end = scale.x(bar.seconds)
    yield rect(_LEFT, y + 1, end - _LEFT, _BAR - 2, colour, title=f"{bar.tool}: {bar.seconds:.2f} s")
    yield text(end + 5, y + _BAR - 4, f"{bar.seconds:.2f} s", fill=INK)
