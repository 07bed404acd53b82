"""The oracle for files: what is in a folder, and what differs between two looks at it."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple


class Entry(NamedTuple):
    """`kind` is ``file``, ``link`` or ``dir``; `mode` the permission bits, 0 for a link.

    `content` is a file's sha256 in hex, a link's target, and empty for a folder.
    """

    kind: str
    mode: int
    content: str


Tree = Mapping[str, Entry]


@dataclass(frozen=True)
class Difference:
    """Sorted paths; false where the two trees are the same."""

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.added or self.removed or self.changed)


def snapshot(folder: Path, *, ignore: Collection[str] = ()) -> dict[str, Entry]:
    """Everything below `folder`, by POSIX path relative to it; links are not followed.

    `ignore` names files and folders (``__pycache__``) to leave out, wherever they are.
    """
    tree = {}
    for path, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if name not in ignore]
        for name in [*folders, *(name for name in files if name not in ignore)]:
            member = Path(path, name)
            tree[member.relative_to(folder).as_posix()] = _entry(member)
    return dict(sorted(tree.items()))


def _entry(path: Path) -> Entry:
    status = path.lstat()
    mode = stat.S_IMODE(status.st_mode)
    if stat.S_ISLNK(status.st_mode):
        return Entry("link", 0, str(path.readlink()))
    if stat.S_ISDIR(status.st_mode):
        return Entry("dir", mode, "")
    return Entry("file", mode, hashlib.sha256(path.read_bytes()).hexdigest())


def diff(before: Tree, after: Tree) -> Difference:
    """What `after` has, lacks, and holds otherwise than `before`."""
    return Difference(
        added=tuple(sorted(after.keys() - before.keys())),
        removed=tuple(sorted(before.keys() - after.keys())),
        changed=tuple(sorted(path for path in before.keys() & after.keys() if before[path] != after[path])),
    )
