"""The graph as an SVG: a box for each package, coloured by where it came from. Pure.

The file needs no other. It is light unless the viewer is known to be dark; the ground is painted, so that
it reads on any page.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape

from .layout import Layout, Place, layered
from .model import ORIGINS, Graph, Origin, Package

_BOX, _ROW, _GAP, _MARGIN, _HEAD = 22.0, 30.0, 56.0, 24.0, 88.0

#: The width of a character in pixels, wide enough for the usual sans-serif fonts at 12 pixels.
_CHARACTER = 7.1

#: The widest box; longer names are cut.
_MOST = 36

_LEAST = 560.0

_WORDS: dict[Origin, str] = {
    "channel": "from channels",
    "pypi": "from PyPI",
    "pip": "placed by pip",
    "outside": "from outside",
}

#: Fill, border and text of the boxes; blue and orange are told apart with any kind of sight (Okabe and Ito).
_LIGHT = {
    "channel": ("#dcebf7", "#0072b2", "#0b2b40"),
    "pypi": ("#fdebc8", "#d98200", "#402600"),
    "pip": ("#f6e1ee", "#b0568d", "#40102e"),
    "outside": ("#ececec", "#808080", "#262626"),
}
_DARK = {
    "channel": ("#12344d", "#56b4e9", "#e3f2fd"),
    "pypi": ("#4a3208", "#f0ab2e", "#fff1d6"),
    "pip": ("#4a1f39", "#e08fbf", "#fde7f4"),
    "outside": ("#333333", "#a0a0a0", "#eeeeee"),
}
_LIGHT_PAGE, _DARK_PAGE = ("#ffffff", "#1a1a1a", "#8a8f98"), ("#15181c", "#ececec", "#7d858f")


def picture(graph: Graph, *, title: str) -> str:
    """A whole SVG document of the packages and what needs what, the needy to the left.

    Nearly everything needs python, so the lines to it are left out.
    """
    edges = graph.without_lines_to("python").below
    widths = {key: (len(_label(package)) + 2.2) * _CHARACTER for key, package in graph.packages.items()}
    found = layered(edges, widths, row=_ROW, gap=_GAP, least=_LEAST)
    width = max(found.width, _LEAST) + 2 * _MARGIN
    height = found.height + _HEAD + _ROW / 2 + _MARGIN
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
            f'viewBox="0 0 {width:.0f} {height:.0f}" role="img">',
            f"<title>{escape(f'Packages of {title}')}</title>",
            _style(),
            f'<rect class="page" width="{width:.0f}" height="{height:.0f}"/>',
            *_head(graph, title),
            f'<g transform="translate({_MARGIN:g} {_HEAD + _ROW / 2:g})">',
            *_lines(found),
            *(_box(graph, package, found.boxes[package.key]) for package in graph.packages.values()),
            "</g>",
            "</svg>",
            "",
        ]
    )


def _style() -> str:
    """Colours are written out for each class: many viewers know no CSS variables."""
    dark = "\n".join(f"  {line}" for line in _rules(_DARK_PAGE, _DARK))
    return "\n".join(
        [
            "<style>",
            'text { font: 12px "Helvetica Neue", Arial, "Liberation Sans", sans-serif; }',
            ".title { font-size: 15px; font-weight: bold; }",
            ".asked { font-weight: bold; }",
            ".version { font-weight: normal; opacity: 0.72; }",
            "rect.box { stroke-width: 1; } rect.asked { stroke-width: 2.5; }",
            "rect.pip { stroke-dasharray: 4 2; }",
            ".line { fill: none; stroke-width: 1.1; opacity: 0.75; } .ring { stroke-dasharray: 5 4; }",
            *_rules(_LIGHT_PAGE, _LIGHT),
            "@media (prefers-color-scheme: dark) {",
            dark,
            "}",
            "</style>",
        ]
    )


def _rules(page: tuple[str, str, str], colours: dict[str, tuple[str, str, str]]) -> Iterator[str]:
    ground, ink, line = page
    yield f".page {{ fill: {ground}; }} .ink {{ fill: {ink}; }}"
    yield f".line {{ stroke: {line}; }} .tip {{ fill: {line}; }}"
    for origin, (fill, border, ink) in colours.items():
        yield f"rect.{origin} {{ fill: {fill}; stroke: {border}; }} text.{origin} {{ fill: {ink}; }}"


def _head(graph: Graph, title: str) -> Iterator[str]:
    """The title, what the colours and the lines mean, and how many packages there are of each."""
    origins = [package.origin for package in graph.packages.values()]
    yield f'<text class="ink title" x="{_MARGIN:g}" y="32">{escape(f"Packages of {title}")}</text>'
    x = _MARGIN
    for origin in (origin for origin in ORIGINS if origin in origins):
        words = f"{origins.count(origin)} {_WORDS[origin]}"
        yield f'<rect class="box {origin}" x="{x:.1f}" y="47" width="16" height="14" rx="3"/>'
        yield f'<text class="ink" x="{x + 22:.1f}" y="58">{words}</text>'
        x += 22 + (len(words) + 3) * _CHARACTER
    notes = ["bold: asked for", "what is needed is to the right"]
    if "python" in graph.packages:
        notes.append("lines to python are left out")
    yield f'<text class="ink version" x="{_MARGIN:g}" y="80">{"; ".join(notes)}</text>'


def _lines(found: Layout) -> Iterator[str]:
    """A line is straight within a layer, so that it crosses no box there, and bends between two."""
    for a, b, arrives in found.lines:
        bend = (b.x - a.end) / 2
        start = f"M{a.x + a.width:.1f} {a.y:.1f}H{a.end:.1f}"
        curve = f"C{a.end + bend:.1f} {a.y:.1f} {b.x - bend:.1f} {b.y:.1f} {b.x:.1f} {b.y:.1f}"
        through = "" if arrives else f"H{b.end:.1f}"
        yield f'<path class="line" d="{start}{curve}{through}"/>'
        if arrives:
            yield f'<path class="tip" d="M{b.x:.1f} {b.y:.1f}l-6 -3v6z"/>'
    for a, b in found.rings:
        low, left, right = max(a.y, b.y) + _ROW, b.x + b.width / 2, a.x + a.width / 2
        curve = f"M{right:.1f} {a.y:.1f}C{right:.1f} {low:.1f} {left:.1f} {low:.1f} {left:.1f} {b.y:.1f}"
        yield f'<path class="line ring" d="{curve}"/>'


def _box(graph: Graph, package: Package, place: Place) -> str:
    """A package; its tooltip says where it came from, what it needs and what needs it."""
    asked = " asked" if package.requested is not None else ""
    name, _, version = _label(package).partition(" ")
    at = f'x="{place.x:.1f}" y="{place.y - _BOX / 2:.1f}"'
    return (
        f"<g><title>{escape(_tooltip(graph, package))}</title>"
        f'<rect class="box {package.origin}{asked}" {at} '
        f'width="{place.width:.1f}" height="{_BOX:g}" rx="4"/>'
        f'<text class="{package.origin}{asked}" x="{place.x + 8:.1f}" y="{place.y + 4:.1f}">{escape(name)}'
        f' <tspan class="version">{escape(version)}</tspan></text></g>'
    )


def _tooltip(graph: Graph, package: Package) -> str:
    lines = [f"{package.title} {package.version}, {_WORDS[package.origin]}"]
    if package.url or package.place:
        lines.append(package.url or package.place)
    for words, keys in (("needs", graph.below[package.key]), ("needed by", graph.above[package.key])):
        if keys:
            lines.append(f"{words}: {_listed([graph.packages[key].title for key in keys])}")
    return "\n".join(lines)


def _listed(names: Sequence[str]) -> str:
    more = len(names) - 12
    return ", ".join(names[:12]) + (f" and {more} more" if more > 0 else "")


def _label(package: Package) -> str:
    text = f"{package.title} {package.version}"
    return text if len(text) <= _MOST else f"{text[: _MOST - 1]}…"
