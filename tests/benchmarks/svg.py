"""The few parts of SVG that charts are drawn with."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from html import escape

#: Colours that people who see colours otherwise can tell apart (Okabe and Ito).
PALETTE = ("#999999", "#0072B2", "#56B4E9", "#E69F00", "#009E73", "#D55E00", "#CC79A7")
INK, PALE, GRID = "#1a1a1a", "#5f5f5f", "#dddddd"


def page(width: float, height: float, body: Iterable[str]) -> str:
    """A document on white, as readable on a dark page."""
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:g}" height="{height:g}" '
        f'viewBox="0 0 {width:g} {height:g}" font-family="sans-serif" font-size="12">'
    )
    return "\n".join([head, rect(0, 0, width, height, "#ffffff"), *body, "</svg>", ""])


def text(
    x: float,
    y: float,
    words: str,
    *,
    size: int = 12,
    anchor: str = "start",
    weight: str = "normal",
    fill: str = INK,
) -> str:
    """Words whose base line begins (or, by `anchor`, has its middle or end) at a place."""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}" '
        f'font-weight="{weight}" fill="{fill}">{escape(words)}</text>'
    )


def rect(x: float, y: float, width: float, height: float, fill: str, *, title: str = "") -> str:
    """A filled box; `title` is what shows when one points at it."""
    inner = f"<title>{escape(title)}</title>" if title else ""
    box = f'x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}"'
    return f'<rect {box} fill="{fill}">{inner}</rect>'


def line(x1: float, y1: float, x2: float, y2: float, *, stroke: str = GRID, width: float = 1) -> str:
    """A straight line."""
    ends = f'x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"'
    return f'<line {ends} stroke="{stroke}" stroke-width="{width:g}"/>'


def polyline(places: Sequence[tuple[float, float]], *, stroke: str) -> str:
    """A line from place to place."""
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    return f'<polyline points="{path}" fill="none" stroke="{stroke}" stroke-width="2"/>'


def circle(x: float, y: float, radius: float, fill: str) -> str:
    """A filled dot."""
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius:g}" fill="{fill}"/>'


def decades(low: float, high: float) -> tuple[int, int]:
    """The powers of ten, at least two, that `low` to `high` lie between."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    return first, max(last, first + 1)
