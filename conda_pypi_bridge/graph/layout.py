"""Where the boxes of a picture stand: in layers, each box to the right of all that need it. Pure.

Sugiyama, Tagawa and Toda (1981): break rings, make layers, order each layer so that few lines cross, then
choose heights. Long lines to the same box are one line from where they meet, and what follows from other
lines is not drawn.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import fmean

Edges = Mapping[str, Sequence[str]]

#: How often the order and the heights of layers are adapted to their neighbours.
_ROUNDS = 12

#: So many lines from a layer to the next make the space between them twice as wide.
_MANY = 50

#: How much of a row a line takes that passes a layer.
_PASSING = 0.4


@dataclass(frozen=True)
class Stop:
    """A box in its layer; or, in a layer on the way to it, the place where lines to it pass."""

    key: str
    layer: int
    passing: bool = False


@dataclass(frozen=True, kw_only=True)
class Place:
    """The left end and the middle, in pixels, and the width of a box or of where a line passes.

    `end` is the right end of its layer.
    """

    x: float
    y: float
    width: float
    end: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Layout:
    """`boxes` by key; `lines` from place to place, and whether each ends at a box; `rings` lead back."""

    boxes: Mapping[str, Place]
    lines: Sequence[tuple[Place, Place, bool]]
    rings: Sequence[tuple[Place, Place]]
    width: float
    height: float


def layered(edges: Edges, widths: Mapping[str, float], *, row: float, gap: float, least: float) -> Layout:
    """Boxes of those widths; rows are `row` pixels apart and layers `gap`.

    What has no line at all stands below, as wide as the layers, but not less than `least` pixels.
    """
    forward, back = _without_rings(edges)
    reduced = _reduced(forward)
    joined = {
        *(key for key in reduced if reduced[key]),
        *(key for others in reduced.values() for key in others),
    }
    layers = _Layers.of({key: reduced[key] for key in reduced if key in joined})
    for number in range(_ROUNDS):
        layers.order(reverse=bool(number % 2))
    heights = layers.heights(row)
    places: dict[Stop, Place] = {}
    x, spaces = 0.0, [0.0]
    for number, stops in enumerate(layers.stops):
        wide = max(widths[stop.key] for stop in stops if not stop.passing)
        for stop in stops:
            width = wide if stop.passing else widths[stop.key]
            places[stop] = Place(x=x, y=heights[stop], width=width, end=x + wide)
        spaces.append(gap * (1 + min(layers.leaving(number) / _MANY, 1.5)))
        x += wide + spaces[-1]
    boxes = {stop.key: place for stop, place in places.items() if not stop.passing}
    top = max((place.y for place in places.values()), default=-row)
    alone = [key for key in edges if key not in joined]
    total = max(x - spaces[-1], least)
    boxes.update(
        _in_columns(alone, widths, width=total, row=row, gap=gap / 3, top=top + (2 * row if boxes else row))
    )
    return Layout(
        boxes=boxes,
        lines=[(places[a], places[b], not b.passing) for a, b in layers.links],
        rings=[(boxes[a], boxes[b]) for a, b in back],
        width=max((place.x + place.width for place in boxes.values()), default=0.0),
        height=max((place.y for place in boxes.values()), default=0.0) + row / 2,
    )


def _in_columns(
    keys: Sequence[str], widths: Mapping[str, float], *, width: float, row: float, gap: float, top: float
) -> Mapping[str, Place]:
    """Boxes in columns of the same width, read from the top down."""
    if not keys:
        return {}
    column = max(widths[key] for key in keys) + gap
    count = max(int((width + gap) // column), 1)
    rows = -(-len(keys) // count)
    return {
        key: Place(x=i // rows * column, y=top + i % rows * row, width=widths[key])
        for i, key in enumerate(keys)
    }


def _without_rings(edges: Edges) -> tuple[Edges, Sequence[tuple[str, str]]]:
    """Edges without those that lead back to where a search came from, and these."""
    back: list[tuple[str, str]] = []
    seen: set[str] = set()
    for start in edges:
        stack = [] if start in seen else [(start, iter(edges[start]))]
        seen.add(start)
        on_way = [key for key, _ in stack]
        while stack:
            key, rest = stack[-1]
            other = next(rest, None)
            if other is None:
                stack.pop()
                on_way.pop()
            elif other in on_way:
                back.append((key, other))
            elif other not in seen:
                seen.add(other)
                stack.append((other, iter(edges[other])))
                on_way.append(other)
    removed = set(back)
    kept = {key: [other for other in edges[key] if (key, other) not in removed] for key in edges}
    return kept, [(a, b) for a, b in back if a != b]


def _sorted(edges: Edges) -> Sequence[str]:
    """Keys, each before all that it leads to. There are no rings."""
    degree = dict.fromkeys(edges, 0)
    for others in edges.values():
        for other in others:
            degree[other] += 1
    found = [key for key in edges if not degree[key]]
    for key in found:
        for other in edges[key]:
            degree[other] -= 1
            if not degree[other]:
                found.append(other)
    return found


def _reduced(edges: Edges) -> Edges:
    """Edges without those that lead where others lead on the way (the transitive reduction)."""
    below: dict[str, set[str]] = {}
    kept: dict[str, Sequence[str]] = {}
    for key in reversed(_sorted(edges)):
        further = set().union(*(below[other] for other in edges[key]))
        kept[key] = [other for other in edges[key] if other not in further]
        below[key] = {*further, *edges[key]}
    return {key: kept[key] for key in edges}


@dataclass
class _Layers:
    """Stops by layer, in their order from the top; links lead from each layer to the next."""

    stops: list[list[Stop]]
    links: Collection[tuple[Stop, Stop]]
    before: dict[Stop, list[Stop]] = field(default_factory=dict)
    after: dict[Stop, list[Stop]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for a, b in self.links:
            self.after.setdefault(a, []).append(b)
            self.before.setdefault(b, []).append(a)

    @classmethod
    def of(cls, edges: Edges) -> _Layers:
        """Every key in the layer after the last of those that lead to it."""
        layer = dict.fromkeys(edges, 0)
        for key in _sorted(edges):
            for other in edges[key]:
                layer[other] = max(layer[other], layer[key] + 1)
        links: dict[tuple[Stop, Stop], None] = {}
        for key, others in edges.items():
            for other in others:
                way = [Stop(other, number, True) for number in range(layer[key] + 1, layer[other])]
                ends = [Stop(key, layer[key]), *way, Stop(other, layer[other])]
                links.update(dict.fromkeys(pairwise(ends)))
        stops: list[dict[Stop, None]] = [{} for _ in range(max(layer.values(), default=-1) + 1)]
        for key in _depth_first(edges):
            stops[layer[key]][Stop(key, layer[key])] = None
        for pair in links:
            for stop in pair:
                stops[stop.layer][stop] = None
        return cls([list(each) for each in stops], list(links))

    def leaving(self, number: int) -> int:
        """How many lines lead from a layer to the next."""
        return sum(len(self.after.get(stop, ())) for stop in self.stops[number])

    def order(self, *, reverse: bool) -> None:
        """Put each stop where its neighbours in the layer before (in `reverse`: after) are on average."""
        neighbours = self.after if reverse else self.before
        numbers = range(len(self.stops))
        for number in reversed(numbers) if reverse else numbers:
            beside = number + 1 if reverse else number - 1
            if beside in numbers:
                rank = {stop: i for i, stop in enumerate(self.stops[beside])}
                size, own = max(len(rank), 1), len(self.stops[number])
                places = {
                    stop: fmean(rank[other] for other in neighbours[stop]) / size
                    if stop in neighbours
                    else i / own
                    for i, stop in enumerate(self.stops[number])
                }
                self.stops[number].sort(key=places.__getitem__)

    def heights(self, row: float) -> Mapping[Stop, float]:
        """How far below the top each stop is: near its neighbours, in order, a row apart; the least is 0."""
        heights = {stop: i * row for stops in self.stops for i, stop in enumerate(stops)}
        for number in range(_ROUNDS):
            for stops in self.stops if number % 2 else reversed(self.stops):
                wanted = []
                for stop in stops:
                    beside = [*self.before.get(stop, ()), *self.after.get(stop, ())]
                    wanted.append(fmean(heights[other] for other in beside))
                heights.update(zip(stops, _spread(wanted, _offsets(stops, row)), strict=True))
        least = min(heights.values(), default=0.0)
        return {stop: height - least for stop, height in heights.items()}


def _depth_first(edges: Edges) -> Sequence[str]:
    """Keys as a search from each beginning meets them: what belongs together is together."""
    found: dict[str, None] = {}
    stack = list(reversed(_sorted(edges)))
    while stack:
        key = stack.pop()
        if key not in found:
            found[key] = None
            stack += reversed(edges[key])
    return list(found)


def _offsets(stops: Sequence[Stop], row: float) -> Sequence[float]:
    """How far below the first stop each must be at least."""
    found = [0.0]
    for a, b in pairwise(stops):
        found.append(
            found[-1] + row * (_PASSING if a.passing and b.passing else 0.7 if a.passing or b.passing else 1)
        )
    return found


def _spread(wanted: Sequence[float], offsets: Sequence[float]) -> Sequence[float]:
    """The places nearest to those wanted, by least squares, that keep the order and the offsets.

    Isotonic regression by pooling adjacent violators (Ayer et al., 1955).
    """
    pools: list[tuple[float, int]] = []
    for want, offset in zip(wanted, offsets, strict=True):
        mean, count = want - offset, 1
        while pools and pools[-1][0] > mean:
            other, more = pools.pop()
            mean, count = (mean * count + other * more) / (count + more), count + more
        pools.append((mean, count))
    base = [mean for mean, count in pools for _ in range(count)]
    return [mean + offset for mean, offset in zip(base, offsets, strict=True)]
