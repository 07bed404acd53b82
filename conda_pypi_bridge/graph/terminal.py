"""The graph as a tree of lines: each package in full once, where it stands highest. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from .model import Graph


@dataclass(frozen=True)
class Signs:
    """What a tree is drawn with: the branches, the end of a cut line, and the marks behind a package.

    `again` marks what stands in full elsewhere, `cycle` what stands above on the same branch.
    """

    branch: str
    last: str
    stem: str
    ellipsis: str
    again: str = "(*)"
    cycle: str = "(cycle)"

    @property
    def blank(self) -> str:
        """As wide as `stem`, where no branch goes on."""
        return " " * len(self.stem)


UNICODE = Signs(branch="├─ ", last="└─ ", stem="│  ", ellipsis="…")
ASCII = Signs(branch="|-- ", last="`-- ", stem="|   ", ellipsis="...")

#: The text of a package (its key), given the key of the package above it, "" at the top.
Label = Callable[[str, str], str]


def tree_lines(
    graph: Graph,
    tops: Sequence[str],
    label: Label,
    *,
    reverse: bool = False,
    depth: int | None = None,
    width: int | None = None,
    signs: Signs = UNICODE,
) -> Iterator[str]:
    """The packages `tops` and what they need (in `reverse`: what needs them), `depth` levels of it.

    `label` is given a package's key and that of the package above it. No line is wider than `width`
    characters. A package whose own branches stand elsewhere is marked, and so is one that closes a ring.
    """
    neighbours = graph.neighbours(reverse=reverse)
    homes = _homes(neighbours, tops)
    waiting: list[tuple[str, str, tuple[str, ...]]] = [("", "", (top,)) for top in reversed(tops)]
    while waiting:
        before, branch, path = waiting.pop()
        key, parent = path[-1], path[-2] if path[1:] else ""
        text, following = label(key, parent), neighbours[key]
        if key in path[:-1]:
            text, following = f"{text} {signs.cycle}", ()
        elif following and homes[key] != path:
            text, following = f"{text} {signs.again}", ()
        elif following and len(path) - 1 == depth:
            text, following = f"{text} (+{len(following)})", ()
        yield _cut(before + branch, text, width, signs)
        after = before + {"": "", signs.last: signs.blank}.get(branch, signs.stem)
        for i, other in reversed(list(enumerate(following))):
            sign = signs.last if i == len(following) - 1 else signs.branch
            waiting.append((after, sign, (*path, other)))


def _homes(neighbours: Mapping[str, Collection[str]], tops: Sequence[str]) -> Mapping[str, tuple[str, ...]]:
    """Where each package stands in full: the way to its highest place, the first of several."""
    homes: dict[str, tuple[str, ...]] = {top: (top,) for top in tops}
    queue = deque(homes)
    while queue:
        key = queue.popleft()
        for other in neighbours[key]:
            if other not in homes:
                homes[other] = (*homes[key], other)
                queue.append(other)
    return homes


def _cut(indent: str, text: str, width: int | None, signs: Signs) -> str:
    """A line that fits: of a deep indent the left is left out, of a long text the right."""
    if width is None or len(indent) + len(text) <= width:
        return indent + text
    most = width // 2
    if len(indent) > most:
        indent = signs.ellipsis + indent[len(indent) - most + len(signs.ellipsis) :]
    room = width - len(indent)
    if len(text) <= room:
        return indent + text
    return indent + text[: max(room - len(signs.ellipsis), 0)] + signs.ellipsis
