"""What a channel offers of a project: which wheels of its page, and their records in each subdir. Pure.

Users of a channel have different Pythons and platforms, so what is newest is asked once for each target
of the channel's scope, and a wheel's records are those of all targets, the equal ones once.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import islice

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.tags import Tag
from packaging.utils import canonicalize_name
from packaging.version import Version

from ..errors import BridgeError, NoFittingWheel, Untranslatable
from ..model import Candidate, PackageRecord, ProjectPage, Target, Wheel
from ..tags import best_wheel
from ..translate import ConvertName, record
from ..versions import EVERYTHING, VersionSet, read_spec
from .model import Scope

_RELEASE = re.compile(r"\d+\.\d+(?:\.\d+)?")
_EXTRA = re.compile(r'\bextra == "(?P<right>[^"]*)"|"(?P<left>[^"]*)" == extra\b')
_ABI = "python_abi "

#: Extras of a wheel that have records, the first ones by name: hundreds are not rare, thousands are no use.
EXTRAS = 1000


@dataclass(frozen=True, kw_only=True)
class Offer:
    """The records of a wheel, and why it, or an extra of it, has none for some of the targets."""

    records: tuple[PackageRecord, ...]
    refused: tuple[BridgeError, ...] = ()


# -- which wheels --------------------------------------------------------------------------------------


def wheels(
    page: ProjectPage, scope: Scope, subdir: str, specifiers: Iterable[SpecifierSet], depth: int
) -> list[Wheel]:
    """The wheels of a page that the records of a subdir are made of, the newest version first.

    For each target the newest `depth` versions that have a wheel for it, and the newest that meets each of
    `specifiers`; of each version the wheel that pip would take (`best_wheel`). Yanked files are left out,
    and pre-releases where there is any other version (PEP 440). For ``noarch`` only wheels without
    native code, in a platform's subdir all that fit it: one with markers may have records of its own there.
    """
    by_version = _by_version(page)
    orders = [_Order.of(by_version, SpecifierSet(), depth)]
    orders += [_Order.of(by_version, specifier, 1) for specifier in specifiers]
    found: dict[str, Wheel] = {}
    for target in scope.targets(subdir):
        best = _Best(by_version, target)
        for wheel in (wheel for order in orders for wheel in order.fill(best)):
            if subdir != "noarch" or is_pure(wheel):
                found[wheel.filename] = wheel
    return sorted(sorted(found.values(), key=_filename), key=_version, reverse=True)


def best_for(page: ProjectPage, scope: Scope, wheel: Wheel) -> tuple[Target, ...]:
    """The targets for which no other wheel of the same version is better: those to make its records for."""
    rivals = _by_version(page).get(wheel.version, [])
    return tuple(target for target in scope.targets("noarch") if _best(rivals, target) == wheel)


class _Best(dict[Version, "Wheel | None"]):
    """The best wheel of each version for one target, found out when it is asked for."""

    def __init__(self, by_version: Mapping[Version, Sequence[Wheel]], target: Target) -> None:
        self._by_version = by_version
        self._target = target

    def __missing__(self, version: Version) -> Wheel | None:
        return self.setdefault(version, _best(self._by_version[version], self._target))


@dataclass(frozen=True)
class _Order:
    """The versions that meet a specifier, newest first, and how many of them are to be had.

    `finals` has pre-releases only where nothing else meets it, `versions` has them always (PEP 440).
    """

    finals: Sequence[Version]
    versions: Sequence[Version]
    count: int

    @classmethod
    def of(cls, versions: Iterable[Version], specifier: SpecifierSet, count: int) -> _Order:
        admitted = sorted(specifier.filter(versions, prereleases=True), reverse=True)
        return cls(list(specifier.filter(admitted)), admitted, count)

    def fill(self, best: _Best) -> list[Wheel]:
        """The wheels for one target; a pre-release where no other version has a wheel for it."""
        usable = (wheel for version in self.finals if (wheel := best[version]))
        others = (wheel for version in self.versions if (wheel := best[version]))
        return list(islice(usable, self.count)) or list(islice(others, self.count))


def _by_version(page: ProjectPage) -> dict[Version, list[Wheel]]:
    found: dict[Version, list[Wheel]] = defaultdict(list)
    for wheel in page.wheels:
        if wheel.yanked is None:
            found[wheel.version].append(wheel)
    return dict(found)


def _best(rivals: Iterable[Wheel], target: Target) -> Wheel | None:
    minor = f"{target.python.major}.{target.python.minor}"
    return best_wheel((wheel for wheel in rivals if _admits(wheel.requires_python, minor)), target)


@lru_cache(maxsize=16384)
def _admits(requires_python: str, minor: str) -> bool:
    """Whether a micro version of a minor one is admitted; an unreadable text admits all (PEP 503)."""
    try:
        specifiers = SpecifierSet(requires_python)
    except InvalidSpecifier:
        return True
    return any(specifiers.contains(python, prereleases=True) for python in _micros(requires_python, minor))


def _micros(text: str, minor: str) -> list[Version]:
    """The versions of Python `minor` at which the truth of specifiers and markers in a text may change.

    The first, every one that the text names, and the one after it.
    """
    named = {Version(release) for release in _RELEASE.findall(text)}
    first = Version(minor)
    micros = {version.micro for version in named if version.release[:2] == first.release[:2]}
    return [first, *(Version(f"{minor}.{m}") for m in sorted({*micros, *(m + 1 for m in micros)} - {0}))]


def is_pure(wheel: Wheel) -> bool:
    """Whether a wheel has no native code: its tags decide, not what WHEEL says."""
    return all(tag.abi == "none" and tag.platform == "any" for tag in wheel.tags)


def _filename(wheel: Wheel) -> str:
    return wheel.filename


def _version(wheel: Wheel) -> Version:
    return wheel.version


# -- their records -------------------------------------------------------------------------------------


def records(
    candidate: Candidate, scope: Scope, conda_name: ConvertName, *, targets: Sequence[Target] | None = None
) -> list[PackageRecord]:
    """The records of `offer`. Raises the reason, a `BridgeError`, where there are none."""
    found = offer(candidate, scope, conda_name, targets=targets)
    if not found.records:
        raise found.refused[0]
    return list(found.records)


def offer(
    candidate: Candidate, scope: Scope, conda_name: ConvertName, *, targets: Sequence[Target] | None = None
) -> Offer:
    """The distinct records of a wheel and of its extras, over `targets` (by default all of the scope).

    A record that is the same in all subdirs is listed in ``noarch``, where the wheel has no native code;
    otherwise one is listed in each subdir for which it is true. What keeps a free-threaded Python
    away stands in ``constrains``, so that channels without ``python_abi`` will do.
    """
    found: dict[PackageRecord, set[str]] = {}
    refused: dict[str, BridgeError] = {}
    for alike in _groups(candidate, scope.targets("noarch") if targets is None else targets):
        for made in _records(candidate, alike, conda_name, refused):
            found.setdefault(made, set()).add(alike[0].subdir)
    pure = is_pure(candidate.wheel)
    everywhere = set(scope.subdirs)
    listed = [
        replace(made, subdir=subdir)
        for made, subdirs in found.items()
        for subdir in (["noarch"] if pure and subdirs == everywhere else sorted(subdirs))
    ]
    if not found and not refused:
        reason = f"{candidate.wheel.filename} fits none of the channel's targets"
        return Offer(records=(), refused=(NoFittingWheel(candidate.wheel.project, reason),))
    return Offer(records=tuple(listed), refused=tuple(refused.values()))


def pythons(candidate: Candidate, target: Target) -> Iterator[Target]:
    """The target, and its like with other micro versions, where the metadata tells these apart."""
    metadata = candidate.metadata
    markers = (str(requirement.marker or "") for requirement in metadata.requires_dist)
    texts = [str(metadata.requires_python), *(text for text in markers if "python_full_version" in text)]
    for python in _micros(" ".join(texts), f"{target.python.major}.{target.python.minor}"):
        if python == target.python:
            yield target
        else:
            full = {"python_full_version": str(python), "implementation_version": str(python)}
            yield replace(target, python=python, markers={**target.markers, **full})


def python_of(made: PackageRecord) -> VersionSet:
    """The Pythons for which a record is true, as its dependencies tell."""
    specs = (spec.split(" ") for spec in made.depends)
    return next((read_spec(spec[1]) for spec in specs if spec[0] == "python" and spec[1:]), EVERYTHING)


def _groups(candidate: Candidate, targets: Iterable[Target]) -> list[list[Target]]:
    """The targets that can use a wheel, those together that differ in nothing but Python's version to it."""
    tags, requires_python = candidate.wheel.tags, candidate.metadata.requires_python
    found: dict[tuple[str, tuple[Tag, ...]], dict[Version, Target]] = defaultdict(dict)
    for target in targets:
        ranks = target.ranks
        fitting = tuple(sorted(tags & ranks.keys(), key=ranks.__getitem__))
        for like in pythons(candidate, target) if fitting else ():
            if requires_python.contains(like.python, prereleases=True):
                found[target.subdir, fitting].setdefault(like.python, like)
    return [list(alike.values()) for alike in found.values()]


def _records(
    candidate: Candidate, alike: Sequence[Target], conda_name: ConvertName, refused: dict[str, BridgeError]
) -> Iterator[PackageRecord]:
    """The records for a group; what cannot be expressed is noted in `refused`, the rest stands."""

    def distinct(candidate: Candidate, targets: Iterable[Target], extra: str = "") -> list[PackageRecord]:
        """A record is the same for all Pythons in its range: one is made of each."""
        found: list[PackageRecord] = []
        for target in targets:
            if not _covers(found, target):
                try:
                    found.append(record(candidate, target, conda_name, extra=extra))
                except (NoFittingWheel, Untranslatable) as error:
                    refused.setdefault(str(error), error)
        return found

    own = distinct(candidate, alike)
    yield from map(_relaxed, own)
    served = [target for target in alike if _covers(own, target)]
    extras = sorted(candidate.metadata.extras)
    if len(extras) > EXTRAS:
        reason = f"it has {len(extras)} extras, of which a channel takes {EXTRAS}"
        refused.setdefault(reason, Untranslatable(candidate.wheel.filename, reason))
    for extra in extras[:EXTRAS]:
        yield from map(_metapackage, distinct(_of_extra(candidate, extra), served, extra))


def _of_extra(candidate: Candidate, extra: str) -> Candidate:
    """The candidate without requirements that only other extras have: dozens of extras are not rare.

    A marker that compares ``extra`` with other names alone is as true for this extra as for none. Of a local
    version nothing is left out: its extra depends on the build string, which all requirements decide.
    """
    if candidate.wheel.version.local is not None:
        return candidate
    kept = tuple(r for r in candidate.metadata.requires_dist if _may_add(str(r.marker or ""), extra))
    return replace(candidate, metadata=replace(candidate.metadata, requires_dist=kept))


@lru_cache(maxsize=65536)
def _may_add(marker: str, extra: str) -> bool:
    named = [match["left"] or match["right"] for match in _EXTRA.finditer(marker)]
    if len(named) != len(re.findall(r"\bextra\b", marker)):
        return True
    return any(canonicalize_name(name) == extra for name in named)


def _covers(made: Iterable[PackageRecord], target: Target) -> bool:
    return any(target.python in python_of(one) for one in made)


def _relaxed(made: PackageRecord) -> PackageRecord:
    abi = tuple(spec for spec in made.depends if spec.startswith(_ABI))
    if not abi:
        return made
    depends = tuple(spec for spec in made.depends if spec not in abi)
    return replace(made, depends=depends, constrains=(*made.constrains, *abi))


def _metapackage(made: PackageRecord) -> PackageRecord:
    """An extra's record, the same from whichever of a version's wheels it was made."""
    content = json.dumps([made.name, made.version, made.depends, made.license, made.summary])
    digest = hashlib.sha256(content.encode()).hexdigest()[:12]
    return replace(made, build=f"py_{digest}", build_number=0, timestamp=0, subdir="noarch")
