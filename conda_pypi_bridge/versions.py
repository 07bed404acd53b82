"""PEP 440 versions and specifiers in conda's terms, exactly.

Conda orders versions otherwise than PEP 440 does (CEP 33): ``.dev`` stands after ``a``, ``b`` and
``rc`` when it has a dot before it, zeros count before a letter (``1rc1`` is not ``1.0rc1``), a
post-release of a shorter release stands above the longer releases (``1.post1`` above ``1.0.1``).
So a specifier is never passed on as it is written. It becomes a set of intervals over *conda's*
order, and the set is written down as one conda version spec.

`conda_spec` is exact, for conda's and for rattler's reading, on every normalised version whose
release has at most `SEGMENTS` segments (or as many as the specifier's own), with one class of
exceptions, taken on so that ordinary specs stay short: a *short post-release* (``1.post1``) against
a bound with an inner zero (``>=1.0.1``), which conda admits and PEP 440 does not, and the reverse for
``<1.0.1``. Excluding them would double the length of every such spec.

The reading of PEP 440 is that of packaging 26 and newer: ``<1.post1`` excludes only the pre-releases
of ``1.post1``, and ``>1rc1`` excludes only the post-releases of ``1rc1``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache, reduce
from operator import or_

from packaging.specifiers import Specifier, SpecifierSet
from packaging.version import InvalidVersion, Version

from .errors import Untranslatable

#: Releases are compared in every zero-padded spelling up to this many segments.
SEGMENTS = 4

#: CEP 26: "The maximum length of a version string MUST NOT exceed 64 characters."
MAX_LENGTH = 64

# A version of MAX_LENGTH characters has at most 33 components, an epoch, and the two of a tail.
_COMPONENTS = MAX_LENGTH // 2 + 1 + 1 + 2 + SEGMENTS

# CEP 33: strings sort before numbers, "dev" before all other strings, "post" after all numbers.
_ELEMENTS = {"dev": -4, "a": -3, "b": -2, "rc": -1, "post": math.inf}
_PART = re.compile(r"\d+|[a-z]+")
_Component = tuple[float, float, float]
_ZERO: _Component = (0, 0, 0)


@dataclass(frozen=True, order=True)
class _Edge:
    """A place in conda's version order: just below (-1) or just above (+1) the version `text`."""

    key: tuple[_Component, ...]
    side: int
    text: str = field(compare=False)


_LOWEST = _Edge(((-math.inf, 0, 0),), 0, "")
_HIGHEST = _Edge(((math.inf, 0, 0),), 0, "")
_Interval = tuple[_Edge, _Edge]


@dataclass(frozen=True)
class VersionSet:
    """A set of versions: intervals of conda's order, ascending, apart from each other.

    ``&``, ``|`` and ``~`` are intersection, union and complement; ``str()`` is the conda version
    spec, "" for the set of all versions.
    """

    intervals: tuple[_Interval, ...]

    @classmethod
    def _joined(cls, intervals: Iterable[_Interval]) -> VersionSet:
        joined: list[_Interval] = []
        for low, high in sorted(pair for pair in intervals if pair[0] < pair[1]):
            if joined and low <= joined[-1][1]:
                joined[-1] = (joined[-1][0], max(high, joined[-1][1]))
            else:
                joined.append((low, high))
        return cls(tuple(joined))

    def __or__(self, other: VersionSet) -> VersionSet:
        return self._joined((*self.intervals, *other.intervals))

    def __and__(self, other: VersionSet) -> VersionSet:
        return self._joined(
            (max(low, other_low), min(high, other_high))
            for low, high in self.intervals
            for other_low, other_high in other.intervals
        )

    def __invert__(self) -> VersionSet:
        edges = [_LOWEST, *(edge for interval in self.intervals for edge in interval), _HIGHEST]
        return self._joined(zip(edges[::2], edges[1::2], strict=True))

    def __contains__(self, version: Version) -> bool:
        edge = _edge(version.public, 0)
        return any(low < edge < high for low, high in self.intervals)

    def around(self, version: Version) -> VersionSet:
        """The stretch that holds `version`, over gaps of a single version; empty where none does."""
        for run in self._runs():
            piece = VersionSet(tuple(run))
            if version in VersionSet(((run[0][0], run[-1][1]),)):
                return piece
        return NOTHING

    def _runs(self) -> Iterator[list[_Interval]]:
        """Intervals grouped where only a single version lies between them."""
        run: list[_Interval] = []
        for interval in self.intervals:
            if run and run[-1][1].key != interval[0].key:
                yield run
                run = []
            run.append(interval)
        if run:
            yield run

    def __str__(self) -> str:
        if self == EVERYTHING:
            return ""
        return "|".join(map(_clauses, self._runs())) or NO_VERSION


def _clauses(run: list[_Interval]) -> str:
    low, high = run[0][0], run[-1][1]
    if low.key == high.key:
        return f"=={low.text}"
    clauses = [] if low == _LOWEST else [(">=" if low.side < 0 else ">") + low.text]
    clauses += [f"!={left.text}" for _, left in run[:-1]]
    clauses += [] if high == _HIGHEST else [("<" if high.side < 0 else "<=") + high.text]
    return ",".join(clauses)


EVERYTHING = VersionSet(((_LOWEST, _HIGHEST),))
NOTHING = VersionSet(())


def between(low: str | None, high: str | None) -> VersionSet:
    """Versions from `low` on and below `high`, both conda versions in PEP 440's words; None is no bound."""
    return _interval(
        _LOWEST if low is None else _edge(low, -1), _HIGHEST if high is None else _edge(high, -1)
    )


#: The conda spec of the empty set: no normalised version is below it.
NO_VERSION = "<0dev0"


def conda_version(version: Version) -> str:
    """The conda version of a PEP 440 version, without its local part (that goes into the build string).

    Raises `Untranslatable` where it is longer than CEP 26 permits.
    """
    if len(version.public) > MAX_LENGTH:
        raise Untranslatable(str(version), f"conda versions have at most {MAX_LENGTH} characters (CEP 26)")
    return version.public


@lru_cache(maxsize=16384)
def conda_spec(specifiers: SpecifierSet) -> str:
    """The conda version spec that admits what ``specifiers.contains(v, prereleases=True)`` admits.

    Plain, old-style text such as ``>=3,<4dev0``; "" for the empty set of specifiers. Raises
    `Untranslatable` for what conda versions cannot express: ``===`` on a final release, local versions.
    """
    return str(version_set(specifiers))


_CLAUSE = re.compile(r"([<>!=]=|[<>])(.+)")


@lru_cache(maxsize=16384)
def read_spec(spec: str) -> VersionSet:
    """What a version spec admits that `conda_spec` wrote; no other form is read. Raises `ValueError`."""
    alternatives = (_read_alternative(alternative) for alternative in spec.split("|"))
    return reduce(or_, alternatives) if spec else EVERYTHING


def _read_alternative(spec: str) -> VersionSet:
    admitted = EVERYTHING
    for clause in spec.split(","):
        match = _CLAUSE.fullmatch(clause)
        if match is None:
            raise ValueError(f"{clause!r} is no clause of a version spec of ours")
        below, above = _edge(match[2], -1), _edge(match[2], +1)
        exact = _interval(below, above)
        admitted &= {
            "==": exact,
            "!=": ~exact,
            ">=": _interval(below, _HIGHEST),
            ">": _interval(above, _HIGHEST),
            "<": _interval(_LOWEST, below),
            "<=": _interval(_LOWEST, above),
        }[match[1]]
    return admitted


@lru_cache(maxsize=16384)
def version_set(specifiers: SpecifierSet) -> VersionSet:
    """The versions that all of `specifiers` admit. Raises `Untranslatable` as `conda_spec` does."""
    admitted = EVERYTHING
    for specifier in sorted(specifiers, key=str):
        admitted &= _admitted(specifier)
    return admitted


def _admitted(specifier: Specifier) -> VersionSet:
    """PEP 440, "Version specifiers", one operator each."""
    operator, text = specifier.operator, specifier.version
    if "+" in text:
        raise Untranslatable(str(specifier), "conda versions hold no local version")
    if len(text) > MAX_LENGTH:
        raise Untranslatable(str(specifier), f"conda versions have at most {MAX_LENGTH} characters (CEP 26)")
    if operator == "===":
        return _identical(text)
    if text.endswith(".*"):
        prefix = Version(text.removesuffix(".*"))
        found = _prefixed(prefix.epoch, prefix.release)
        return ~found if operator == "!=" else found
    version = Version(text)
    match operator:
        case ">=":
            return _since(version)
        case "<":
            # "MUST NOT allow a pre-release of the specified version unless [it] is itself a pre-release"
            return ~_since(version if version.is_prerelease else _variant(version, version.post, 0))
        case ">":
            return _after(version)
        case "<=":
            return ~_since(_next(version))
        case "==":
            return _equal(version)
        case "!=":
            return ~_equal(version)
    assert operator == "~="
    return _since(version) & _prefixed(version.epoch, version.release[:-1])


def _identical(text: str) -> VersionSet:
    """``===``: "simple string equality". Only a suffix keeps conda from equating 1.0 and 1.0.0."""
    try:
        version = Version(text)
    except InvalidVersion:
        return NOTHING
    if str(version) != text.lower():
        return NOTHING
    if not _suffix(version):
        raise Untranslatable(f"==={text}", "conda cannot tell apart releases that differ in trailing zeros")
    return _interval(_edge(version.public, -1), _edge(version.public, +1))


def _prefixed(epoch: int, release: tuple[int, ...]) -> VersionSet:
    """``==1.2.*``: from the first development release of 1.2 up to that of 1.3."""
    following = (*release[:-1], release[-1] + 1)
    low, high = (_spell(epoch, _stripped(r)) + "dev0" for r in (release, following))
    return _interval(_edge(low, -1), _edge(high, -1))


def _since(version: Version) -> VersionSet:
    """Everything from `version` on in PEP 440's order."""
    spellings, suffix = _spellings(version), _suffix(version)
    final = _edge(spellings[0], -1)
    if version.pre or (version.dev is not None and version.post is None):
        # Conda puts the pre-releases of 1 before those of 1.0, these before those of 1.0.0, ...
        lows = [_edge(spelling + suffix.removeprefix("."), -1) for spelling in spellings]
        highs = [_edge(spelling + "dev0", -1) for spelling in spellings[1:]] + [final]
        return VersionSet._joined([*zip(lows, highs, strict=True), (final, _HIGHEST)])
    if version.post is None:
        return _interval(final, _HIGHEST)
    earlier = ((_edge(s + ".post0.dev0", -1), _edge(s + suffix, -1)) for s in spellings[:-1])
    return _interval(_edge(spellings[0], +1), _HIGHEST) & ~VersionSet._joined(earlier)


def _after(version: Version) -> VersionSet:
    """``>``: "MUST NOT allow a post-release of the given version unless V itself is a post release"."""
    if version.dev is not None or version.post is not None:
        return _since(_next(version))
    if version.pre:
        letter, number = version.pre
        return _since(Version(f"{version.base_version}{letter}{number + 1}.dev0"))
    posts = ((_edge(s + ".post0.dev0", -1), _edge(s + ".1dev0", -1)) for s in _spellings(version)[:-1])
    return _interval(_edge(_spellings(version)[0], +1), _HIGHEST) & ~VersionSet._joined(posts)


def _equal(version: Version) -> VersionSet:
    suffix = _suffix(version)
    texts = [s + suffix for s in _spellings(version)[:-1]] if suffix else _spellings(version)[:1]
    return VersionSet._joined((_edge(text, -1), _edge(text, +1)) for text in texts)


def _next(version: Version) -> Version:
    """The least version above `version` in PEP 440's order, local versions aside."""
    if version.dev is not None:
        return _variant(version, version.post, version.dev + 1)
    return _variant(version, 0 if version.post is None else version.post + 1, 0)


def _variant(version: Version, post: int | None, dev: int) -> Version:
    pre = "".join(map(str, version.pre or ()))
    return Version(f"{version.base_version}{pre}{'' if post is None else f'.post{post}'}.dev{dev}")


def _suffix(version: Version) -> str:
    """What follows the release: ``rc1.post2.dev3``, ``.dev3``."""
    return version.public.removeprefix(version.base_version)


def _spellings(version: Version) -> list[str]:
    """The release zero-padded in every way that versions spell it, and once more.

    Once more, because ``1.dev1`` is to conda what ``1.0dev1`` is: the next longer release.
    """
    release = _stripped(version.release)
    zeros = range(max(SEGMENTS - len(release), 0) + 2)
    return [_spell(version.epoch, (*release, *(0,) * count)) for count in zeros]


def _spell(epoch: int, release: tuple[int, ...]) -> str:
    return (f"{epoch}!" if epoch else "") + ".".join(map(str, release))


def _stripped(release: tuple[int, ...]) -> tuple[int, ...]:
    while len(release) > 1 and not release[-1]:
        release = release[:-1]
    return release


def _interval(low: _Edge, high: _Edge) -> VersionSet:
    return VersionSet(((low, high),))


@lru_cache(maxsize=16384)
def _edge(text: str, side: int) -> _Edge:
    """CEP 33: components apart by dots, each of numbers and strings; what is missing counts as zero."""
    epoch, _, release = text.rpartition("!")
    components: list[_Component] = [(int(epoch or 0), 0, 0)]
    for part in release.split("."):
        elements: list[float] = [_ELEMENTS[e] if e in _ELEMENTS else int(e) for e in _PART.findall(part)]
        if not part[0].isdigit():
            elements.insert(0, 0)
        first, second, third = (*elements, 0, 0)[:3]
        components.append((first, second, third))
    return _Edge((*components, *(_ZERO,) * (_COMPONENTS - len(components))), side, text)
