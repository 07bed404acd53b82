"""The packages of an environment and what each needs, as a graph. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Literal, get_args

from packaging.utils import canonicalize_name

#: From a conda channel, from a package index through the bridge, placed by pip and its like, or not in the
#: environment itself: the Python that a virtual environment was made of.
Origin = Literal["channel", "pypi", "pip", "outside"]

#: In the order of their telling.
ORIGINS: Sequence[Origin] = get_args(Origin)

#: What a new virtual environment holds, marked as if asked for: nothing tells whether somebody did ask.
SEEDS = frozenset({"pip", "setuptools", "wheel"})


@dataclass(frozen=True, kw_only=True)
class Need:
    """A requirement of a package: `key` is the package that meets it, "" where none is installed.

    `spec` is what of it is required, without the name ("" for any version): ``>=8.1.3``.
    """

    key: str
    name: str
    spec: str = ""


@dataclass(frozen=True, kw_only=True)
class Package:
    """An installed package.

    `key` tells it from all others of the environment. `name` is conda's, or for what pip placed the
    project's; `title` is what people call it: ``flask[async]``. `place` is the channel, the URL of the
    index, or the installer; `url` the file it was made of, "" where nothing tells. `requested` is the
    spec it was asked for with, None where nobody is known to have done so.
    """

    key: str
    name: str
    title: str
    version: str
    origin: Origin
    place: str = ""
    url: str = ""
    requested: str | None = None
    needs: Sequence[Need] = ()


@dataclass(frozen=True)
class Graph:
    """Packages by key, in the order of their titles; `aliases` has further names of some."""

    packages: Mapping[str, Package]
    aliases: Mapping[str, Collection[str]] = field(default_factory=dict)

    @cached_property
    def below(self) -> Mapping[str, Sequence[str]]:
        """What each package needs."""
        return {
            key: tuple(dict.fromkeys(need.key for need in package.needs if need.key))
            for key, package in self.packages.items()
        }

    @cached_property
    def above(self) -> Mapping[str, Sequence[str]]:
        """What needs each package."""
        found: dict[str, list[str]] = {key: [] for key in self.packages}
        for key, needs in self.below.items():
            for need in needs:
                found[need].append(key)
        return found

    def neighbours(self, *, reverse: bool) -> Mapping[str, Sequence[str]]:
        """`below`, or `above` where `reverse` is true."""
        return self.above if reverse else self.below

    def ends(self, *, reverse: bool = False) -> Sequence[str]:
        """Where to begin so that every package is reached: few, and none below another without a reason.

        What was asked for comes first, then what nobody needs; of packages that need each other in a ring
        that nothing else needs, one. In `reverse`, what needs nothing.
        """
        requested = [key for key, package in self.packages.items() if package.requested is not None]
        opposite = self.neighbours(reverse=not reverse)
        ends = [*(() if reverse else requested), *(key for key in self.packages if not opposite[key])]
        ends = list(dict.fromkeys(ends))
        reached = set(self.reach(ends, reverse=reverse))
        for key in self._latest_first(reverse=reverse):
            if key not in reached:
                ends.append(key)
                reached.update(self.reach([key], reverse=reverse))
        return ends

    def reach(
        self, keys: Iterable[str], *, reverse: bool = False, depth: int | None = None
    ) -> dict[str, int]:
        """The packages at most `depth` steps away, nearest first: key -> steps."""
        steps = dict.fromkeys(keys, 0)
        queue = deque(steps)
        neighbours = self.neighbours(reverse=reverse)
        while queue:
            key = queue.popleft()
            if steps[key] != depth:
                for other in neighbours[key]:
                    if other not in steps:
                        steps[other] = steps[key] + 1
                        queue.append(other)
        return steps

    def chains(self, key: str) -> Iterator[Sequence[str]]:
        """Every way down to `key`, from what nobody needs or somebody asked for, without going in circles."""
        stack: list[tuple[str, ...]] = [(key,)]
        while stack:
            chain = stack.pop()
            first = self.packages[chain[0]]
            more = [other for other in self.above[chain[0]] if other not in chain]
            if first.requested is not None or not more:
                yield chain
            stack += [(other, *chain) for other in reversed(more)]

    def find(self, name: str) -> Sequence[str]:
        """The packages that somebody means by a name, of conda or of a project, in whatever spelling."""
        wanted = _normal(name)
        exact = [key for key, package in self.packages.items() if name.lower() == package.name]
        return exact or [key for key, names in self._names.items() if wanted in names]

    @property
    def names(self) -> frozenset[str]:
        """Every name that finds a package, in its normal form."""
        return frozenset().union(*self._names.values())

    def part(self, keys: Collection[str]) -> Graph:
        """Those packages alone; needs that lead out of them are left out."""
        kept = {}
        for key, package in self.packages.items():
            if key in keys:
                needs = tuple(need for need in package.needs if not need.key or need.key in keys)
                kept[key] = replace(package, needs=needs)
        return Graph(kept, self.aliases)

    def without_lines_to(self, key: str) -> Graph:
        """The same packages, as if none needed that one."""
        kept = {}
        for other, package in self.packages.items():
            needs = tuple(need for need in package.needs if need.key != key)
            kept[other] = replace(package, needs=needs)
        return Graph(kept, self.aliases)

    @cached_property
    def _names(self) -> Mapping[str, Collection[str]]:
        return {
            key: {_normal(package.name), _normal(package.title), *map(_normal, self.aliases.get(key, ()))}
            for key, package in self.packages.items()
        }

    def _latest_first(self, *, reverse: bool) -> Sequence[str]:
        """Every package, so that of a ring that nothing leads into some member comes before all it leads to.

        Depth-first search finishes such a member last.
        """
        neighbours = self.neighbours(reverse=reverse)
        finished: dict[str, None] = {}
        seen: set[str] = set()
        for start in self.packages:
            stack = [(start, iter(neighbours[start]))] if start not in seen else []
            seen.add(start)
            while stack:
                key, rest = stack[-1]
                following = next((other for other in rest if other not in seen), None)
                if following is None:
                    finished[key] = None
                    stack.pop()
                else:
                    seen.add(following)
                    stack.append((following, iter(neighbours[following])))
        return list(reversed(finished))


def _normal(name: str) -> str:
    """PEP 503, the brackets of extras apart."""
    project, bracket, extras = name.partition("[")
    return canonicalize_name(project) + bracket + extras.lower()
