"""All projects of an index, in little memory: a public one has 800,000. Pure."""

from __future__ import annotations

import re
from array import array
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TypeVar

from packaging.utils import canonicalize_name

from .model import ProjectName

V = TypeVar("V", str, int)
T = TypeVar("T", str, int)

_END = b"\n"

#: Most names are (PEP 503), and asking that is quicker than to normalise them.
_NORMALISED = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")


class Roster:
    """The projects of an index in order of their names, each with its serial.

    A serial changes with everything that happens to a project (PEP 691's ``_last-serial``); it is 0 where the
    index tells none. Takes 24 bytes and the name for each.
    """

    def __init__(self, serials: Mapping[str, int]) -> None:
        """`serials` are by name; the names are normalised here (PEP 503), and what is none is left out."""
        found: dict[str, int] = {}
        normalised = _NORMALISED.fullmatch
        for name, serial in serials.items():
            project = name if normalised(name) else str(canonicalize_name(name))
            if normalised(project) and (project not in found or found[project] < serial):
                found[project] = serial
        names = in_order(found, lambda name: name[:2])
        self._serials = array("Q", (found[name] for name in names))
        self._names = b"".join(name.encode() + _END for name in names)
        self._starts = array("Q", _starts(names))

    def __len__(self) -> int:
        return len(self._serials)

    def __iter__(self) -> Iterator[ProjectName]:
        return (ProjectName(name) for name in self._names.decode().split("\n")[:-1])

    def __contains__(self, project: object) -> bool:
        return isinstance(project, str) and self._place(project) is not None

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Roster):
            return NotImplemented
        return self._names == other._names and self._serials == other._serials

    __hash__ = None  # type: ignore[assignment]

    def items(self) -> Iterator[tuple[ProjectName, int]]:
        """Projects with their serials."""
        return zip(self, self._serials, strict=True)

    def serial(self, project: ProjectName) -> int:
        """The serial of a project, 0 where none is known."""
        place = self._place(project)
        return 0 if place is None else self._serials[place]

    @property
    def tells_serials(self) -> bool:
        """Whether the index tells serials."""
        return any(self._serials[:1])

    def at(self, place: int) -> ProjectName:
        """The project at a place in the order of names."""
        start = self._starts[place]
        return ProjectName(self._names[start : self._names.index(_END, start)].decode())

    def search(self, text: str, most: int) -> list[ProjectName]:
        """Up to `most` projects with `text` in the name: those that begin with it first, short ones first."""
        wanted = str(canonicalize_name(text)).encode()
        if not wanted or _END in wanted:
            return []
        found = {text for text in (ProjectName(wanted.decode()),) if text in self}
        begin = bisect_left(range(len(self)), wanted, key=lambda place: self.at(place).encode())
        for place in range(begin, min(begin + most * 4, len(self))):
            if not (project := self.at(place)).startswith(wanted.decode()):
                break
            found.add(project)
        start = self._names.find(wanted)
        while start >= 0 and len(found) < most * 4:
            line = self._names.rfind(_END, 0, start) + 1
            end = self._names.index(_END, start)
            found.add(ProjectName(self._names[line:end].decode()))
            start = self._names.find(wanted, end)
        head = wanted.decode()
        return sorted(found, key=lambda name: (not name.startswith(head), len(name), name))[:most]

    def to_bytes(self) -> bytes:
        """All of it, to be kept."""
        return b"".join(b"%s %d\n" % (name.encode(), serial) for name, serial in self.items())

    @classmethod
    def from_bytes(cls, content: bytes) -> Roster:
        """What `to_bytes` made."""
        rows = (line.split(" ") for line in content.decode().split("\n")[:-1])
        return cls({name: int(serial) for name, serial in rows})

    @classmethod
    def joined(cls, rosters: Iterable[Roster]) -> Roster:
        """The projects of several indexes; the first that has one tells its serial."""
        several = list(rosters)
        if len(several) == 1:
            return several[0]
        return cls({name: serial for roster in reversed(several) for name, serial in roster.items()})

    def _place(self, project: str) -> int | None:
        place = bisect_left(range(len(self)), project, key=self.at)
        return place if place < len(self) and self.at(place) == project else None


def in_order(values: Iterable[V], group: Callable[[V], T]) -> list[V]:
    """`values` sorted, `group` being the same for neighbours: in pieces, since sorting lets no thread run."""
    groups: defaultdict[T, list[V]] = defaultdict(list)
    for value in values:
        groups[group(value)].append(value)
    return [value for key in sorted(groups) for value in sorted(groups[key])]


def _starts(names: Iterable[str]) -> Iterator[int]:
    start = 0
    for name in names:
        yield start
        start += len(name) + 1
