"""What caches hold, as values; which of it a user means, and what is wrong with a package. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

from packaging.utils import canonicalize_name

from ..errors import SpecError

#: ``index``: project pages and metadata; ``packages``: those of an index; ``channel packages``: those that
#: the engine without conda keeps; ``unfinished``: what a process works on, or left when it died.
Kind = Literal["index", "wheels", "packages", "channel packages", "repodata", "unfinished"]

#: Bits of a mode that no installer gives a file: setuid, setgid and sticky.
_SPECIAL = 0o7000

_DAY = 86400.0


@dataclass(frozen=True, kw_only=True)
class Item:
    """What is deleted as a whole: a package, a wheel, a file of another cache.

    `path` is a file or a folder in the folder `cache`, `label` what people know it by. `name` is a package's
    or a project's, "" where there is none. `size` is in bytes; of these `freed` are of files that nothing
    else links to. `last_used` is in seconds since the epoch, None where nothing tells. `held` is whether a
    process is at work on it.
    """

    kind: Kind
    cache: Path
    path: Path
    label: str
    name: str = ""
    version: str = ""
    build: str = ""
    files: int = 1
    size: int = 0
    freed: int = 0
    last_used: float | None = None
    held: bool = False

    @property
    def linked(self) -> bool:
        """Whether an environment shares files with it."""
        return self.freed < self.size


@dataclass(frozen=True, kw_only=True)
class Cache:
    """One folder, and what it holds of one kind."""

    kind: Kind
    path: Path
    items: Sequence[Item] = ()

    @property
    def files(self) -> int:
        """How many files it holds."""
        return sum(item.files for item in self.items)

    @property
    def size(self) -> int:
        """Bytes; files that items share by hard links count once."""
        return sum(item.size for item in self.items)

    @property
    def last_used(self) -> float | None:
        """Seconds since the epoch, None where nothing tells."""
        return max((item.last_used for item in self.items if item.last_used is not None), default=None)


@dataclass(frozen=True, kw_only=True)
class Fault:
    """What is wrong with an item: `file` of it, "" where it is the item itself, is not as it must be."""

    item: Item
    file: str
    reason: str


class Listed(NamedTuple):
    """A file as ``info/paths.json`` describes it (CEP 34); what it does not tell is None, or ""."""

    kind: str = "hardlink"
    size: int | None = None
    sha256: str = ""


class Found(NamedTuple):
    """A file as it is: `kind` is ``file``, ``link``, ``dir`` or ``other``; `sha256` is "" where not read."""

    kind: str
    size: int
    mode: int
    sha256: str = ""


#: What stands in a package's folder for each ``path_type``.
_FORMS = {"hardlink": "file", "softlink": "link", "directory": "dir"}


def compare(
    listed: Mapping[str, Listed], found: Mapping[str, Found], *, modes: bool = True
) -> Iterator[tuple[str, str]]:
    """Each file of a package that is not as it is listed, and what is wrong with it.

    `modes` is whether permissions mean something on this system.
    """
    for path, entry in listed.items():
        if path not in found:
            yield path, "it is missing"
        elif reason := _difference(entry, found[path], modes=modes):
            yield path, reason
    for path in found.keys() - listed.keys():
        if not path.startswith("info/") and found[path].kind != "dir":
            yield path, "the package does not list it"


def _difference(entry: Listed, file: Found, *, modes: bool) -> str:
    form = _FORMS.get(entry.kind, "file")
    if file.kind != form:
        return f"it is a {file.kind}, not a {form}"
    if form != "file":
        return ""
    if entry.size is not None and file.size != entry.size:
        return f"it has {file.size} bytes, not {entry.size}"
    if entry.sha256 and file.sha256 and file.sha256 != entry.sha256:
        return "its content has changed (sha256)"
    if modes and (file.mode & _SPECIAL or not file.mode & 0o400):
        return f"its mode is {file.mode:04o}"
    return ""


def select(
    items: Collection[Item],
    *,
    names: Collection[str] = (),
    broken: Collection[Item] = (),
    older_than: float | None = None,
    everything: bool = False,
    now: float,
) -> list[Item]:
    """What is meant by names of packages or projects, by being broken, by days without use, or by all of it.

    Where more than one is given, what any of them means. Nothing is old of which no use is known, or only
    uses in a future that a wrong clock wrote. Raises `SpecError` for a name that nothing in a cache has.
    """
    wanted = {canonicalize_name(name): name for name in names}
    known = {canonicalize_name(item.name) for item in items if item.name} | {item.label for item in items}
    for canonical, name in wanted.items():
        if canonical not in known and name not in known:
            raise SpecError(name, "nothing of that name is in the caches")
    limit = None if older_than is None else now - older_than * _DAY

    def meant(item: Item) -> bool:
        named = bool(item.name) and canonicalize_name(item.name) in wanted
        old = limit is not None and item.last_used is not None and item.last_used <= limit
        return everything or named or item.label in wanted.values() or item in broken or old

    return [item for item in items if meant(item)]
