"""The names in a channel's shard index: what each stands for, and which one a shard's URL asks for."""

from __future__ import annotations

import contextlib
import heapq
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from ..errors import Untranslatable
from ..model import CondaName, ProjectName
from ..names import CORE, Names, never_from_pypi
from ..roster import Roster, in_order
from ..translate import extra_name
from .formats import fingerprint

#: Room for the place of a name beside its fingerprint, in bits: enough for 16 million names.
_BITS = 24
_MASK = (1 << _BITS) - 1

#: All but a name's first byte.
_GROUP = _BITS + 40


@dataclass(frozen=True)
class Entry:
    """A name of the index, and whose records it stands for: those of `projects`, or of an `extra` of one."""

    name: str
    projects: tuple[ProjectName, ...]
    extra: str = ""


class Directory:
    """The conda names of a roster's projects and of those of their extras that are known.

    Names that are conda's own are left out. Where several projects have one conda name, those count of which
    that is certain. Takes 12 bytes a name beside the roster's.
    """

    def __init__(self, roster: Roster, names: Names) -> None:
        self.roster = roster
        self._others = _other_names(roster, names)
        self._shared = _shared_names(self._others, roster, names)
        keys = (_key(project) << _BITS | place for place, project in enumerate(roster))
        ranked = in_order(keys, lambda key: key >> _GROUP)
        self._places = array("I", (number & _MASK for number in ranked))
        self._keys = array("Q", (number >> _BITS for number in ranked))
        self._apart = frozenset({*self._others, *map(ProjectName, self._shared), *map(ProjectName, CORE)})
        self._rest: dict[int, list[Entry]] = {}
        for name, projects in self._shared.items():
            self._rest.setdefault(_key(name), []).append(Entry(name, projects))

    def names(self) -> Iterator[tuple[str, Sequence[ProjectName], int]]:
        """What the index lists, extras apart, in the order of names: each with its projects and serial."""
        rest = ((name, several, self.serial(several)) for name, several in sorted(self._shared.items()))
        own = (
            (project, (project,), serial)
            for project, serial in self.roster.items()
            if project not in self._apart
        )
        return heapq.merge(own, rest)

    def serial(self, projects: Iterable[ProjectName]) -> int:
        """A number that changes with each of the projects' serials."""
        return sum(map(self.roster.serial, projects))

    def find(self, ending: bytes) -> Sequence[Entry]:
        """The entries with that fingerprint: one, or none; more than one by a rare chance."""
        key = int.from_bytes(ending, "big")
        found = list(self._rest.get(key, ()))
        place = bisect_left(self._keys, key)
        while place < len(self._keys) and self._keys[place] == key:
            project = self.roster.at(self._places[place])
            if project not in self._apart:
                found.append(Entry(project, (project,)))
            place += 1
        return found


class Extras:
    """The extras of projects that are known, each with a name of its own in the index.

    `known` lists them in the order in which they became known.
    """

    def __init__(self, known: Mapping[ProjectName, Sequence[str]]) -> None:
        self.known = {
            project: names for project, extras in known.items() if (names := _named(project, extras))
        }
        entries = [
            Entry(name, (project,), extra)
            for project, names in self.known.items()
            for name, extra in names.items()
        ]
        self.entries = sorted(entries, key=lambda entry: entry.name)
        self._by_key = {_key(entry.name): entry for entry in entries}

    def find(self, ending: bytes) -> Sequence[Entry]:
        """The entries with that fingerprint."""
        entry = self._by_key.get(int.from_bytes(ending, "big"))
        return [] if entry is None else [entry]

    def names(self, projects: Sequence[ProjectName], count: int | None = None) -> list[str]:
        """The names of the extras of projects, of which the index has the first `count`."""
        return [name for project in projects for name in self.known.get(project, ())][:count]


def _named(project: ProjectName, extras: Sequence[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for extra in extras:
        with contextlib.suppress(Untranslatable):
            found[extra_name(project, extra)] = extra
    return found


def _key(name: str) -> int:
    return int.from_bytes(fingerprint(name), "big")


def _other_names(roster: Roster, names: Names) -> dict[ProjectName, CondaName]:
    """The projects whose conda name is not their own."""
    tables = (names.installed, names.user, names.table.conda_names, names.table.collisions)
    suspects = {ProjectName(name) for table in tables for name in table}
    found = {project: names.conda_name(project) for project in suspects if project in roster}
    return {project: name for project, name in found.items() if str(name) != project}


def _shared_names(
    others: Mapping[ProjectName, CondaName], roster: Roster, names: Names
) -> dict[str, tuple[ProjectName, ...]]:
    """The conda names of those, each with its projects."""
    found: dict[str, list[ProjectName]] = {}
    for project, name in sorted(others.items()):
        if not never_from_pypi(name):
            found.setdefault(name, []).append(project)
    for conda_name, projects in found.items():
        own = ProjectName(conda_name)
        if own in roster and own not in others:
            projects.append(own)
    return {name: tuple(filter(names.certain, several)) or tuple(several) for name, several in found.items()}
