"""What the running interpreter has loaded, and what of it a command has replaced on disk.

A kernel goes on with the code that it imported. Whether it must be restarted is a question of facts: did
the file of a loaded module, or a mapped library, become another one? Standard library only.
"""

from __future__ import annotations

import hashlib
import importlib
import os
import re
import site
import sys
import sysconfig
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import Any

from .changes import Change, canonical

#: Larger files (libraries) are compared by size and time alone.
_HASHED = 1 << 20

_MAPS = Path("/proc/self/maps")


@dataclass(frozen=True, kw_only=True)
class Stamp:
    """What tells one content of a file from another.

    `touched` is of the file: packages have fixed times, and inodes are used again, but nobody chooses the
    time of a change (ctime). `size`, `time` and `digest` are of the content.
    """

    touched: tuple[int, int]
    size: int
    time: int
    digest: bytes = b""

    def is_content_of(self, other: Stamp | None) -> bool:
        """Whether a file with the stamp `other` still has what this one had."""
        if other is None:
            return False
        return (self.size, self.digest or self.time) == (other.size, other.digest or other.time)


@dataclass(kw_only=True)
class Loaded:
    """The modules of a process whose files are in one environment, as they were when they were loaded.

    It lasts as long as the kernel: a package that is upgraded twice is still loaded in its first version.
    """

    prefix: Path
    _modules: dict[str, tuple[Any, str, Stamp]] = field(default_factory=dict)
    _versions: dict[str, str] = field(default_factory=dict)

    def look(self, modules: Mapping[str, ModuleType | None] | None = None) -> None:
        """Remember what has been loaded since the last look."""
        # A copy: other threads import while this one looks.
        for name, module in dict(sys.modules if modules is None else modules).items():
            spec = getattr(module, "__spec__", None)
            path = _origin(spec)
            if not path or self._relative(path) is None:
                continue
            known = self._modules.get(name)
            if known and known[0] is spec:  # a reloaded module has a new spec
                continue
            if stamp := stamp_of(path):
                self._modules[name] = spec, path, stamp

    def stale(self) -> set[str]:
        """The paths of modules, relative to the environment, that are not what was loaded."""
        found = set()
        for _, path, loaded in self._modules.values():
            if not loaded.is_content_of(stamp_of(path, loaded)):
                found.add(self._relative(path) or path)
        return found | self._stale_libraries()

    def outdated(self, before: Collection[str], changes: Sequence[Change]) -> list[str]:
        """A clause for each package that `changes` left loaded otherwise than it is on disk.

        `before` is what was `stale` already. A clause is like "x 1.0 is loaded, 2.0 is on disk".
        """
        owners = {path: change for change in changes for path in change.files}
        by_name = {canonical(change.name): change for change in changes}
        clauses: dict[str, str] = {}
        for path in sorted(self.stale()):
            top = _top_level(path)
            change = owners.get(path) or by_name.get(canonical(top))
            if change or path not in before:
                name = change.name if change else top
                clauses[name] = self._clause(name, change)
        return list(clauses.values())

    def _clause(self, name: str, change: Change | None) -> str:
        if change is None:
            return f"{name} is loaded, its files have changed on disk"
        loaded = self._versions.setdefault(name, change.old or change.new)
        if not change.new:
            return f"{name} {loaded} is loaded, it is no longer on disk"
        if loaded == change.new:
            return f"{name} {loaded} is loaded, its files have changed on disk"
        return f"{name} {loaded} is loaded, {change.new} is on disk"

    def _stale_libraries(self) -> set[str]:
        """Mapped files that were replaced (Linux tells; elsewhere only modules are known)."""
        found = set()
        for inode, path in _deleted_mappings():
            relative = self._relative(path)
            # A file that was unlinked and linked anew is the same one.
            if relative is not None and _inode(path) != inode:
                found.add(relative)
        return found

    def _relative(self, path: str) -> str | None:
        """The path within the environment, None for what is outside."""
        for root in (str(self.prefix), self._real_prefix):
            if path.startswith(root + os.sep):
                return path[len(root) + 1 :].replace(os.sep, "/")
        return None

    @cached_property
    def _real_prefix(self) -> str:
        return os.path.realpath(self.prefix)


def stamp_of(path: str, known: Stamp | None = None) -> Stamp | None:
    """The stamp of a file, None where there is none. `known` spares reading a file that was not touched."""
    try:
        stat = Path(path).stat()
        touched = stat.st_ino, stat.st_ctime_ns
        if known and known.touched == touched:
            return known
        digest = hashlib.blake2b(Path(path).read_bytes()).digest() if stat.st_size <= _HASHED else b""
    except OSError:
        return None
    return Stamp(touched=touched, size=stat.st_size, time=stat.st_mtime_ns, digest=digest)


def site_folders() -> list[Path]:
    """Where this interpreter's packages are."""
    return [Path(text) for text in dict.fromkeys(map(sysconfig.get_path, ("purelib", "platlib"))) if text]


def path_files(folders: Iterable[Path]) -> dict[Path, Stamp]:
    """The ``.pth`` files in `folders`."""
    files = [file for folder in folders for file in folder.glob("*.pth")]
    return {file: stamp for file in files if (stamp := stamp_of(str(file)))}


def refresh(before: Mapping[Path, Stamp], folders: Iterable[Path]) -> None:
    """Let the import system see what is new on disk, and honour ``.pth`` files that are new or changed.

    `site.addsitedir` would run the others a second time.
    """
    importlib.invalidate_caches()
    for file, stamp in path_files(folders).items():
        if not stamp.is_content_of(before.get(file)):
            site.addpackage(str(file.parent), file.name, None)


def _origin(spec: Any) -> str:
    """The file that a module was loaded from, "" for what has none."""
    origin = getattr(spec, "origin", None)
    return origin if isinstance(origin, str) and getattr(spec, "has_location", False) else ""


def _top_level(path: str) -> str:
    inside = path.rpartition("site-packages/")[2]
    return re.split(r"[/.]", inside)[0] if "site-packages/" in path else path.rpartition("/")[2]


def _deleted_mappings() -> Iterator[tuple[int, str]]:
    """(inode, path) of mapped files that are no longer what is at their path; see proc_pid_maps(5)."""
    try:
        text = _MAPS.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return
    for line in text.splitlines():
        fields = line.split(maxsplit=5)
        if len(fields) == 6 and fields[5].startswith("/") and fields[5].endswith(" (deleted)"):
            yield int(fields[4]), fields[5].removesuffix(" (deleted)")


def _inode(path: str) -> int | None:
    try:
        return Path(path).stat().st_ino
    except OSError:
        return None
