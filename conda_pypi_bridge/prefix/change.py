"""What carrying out a plan does to the files of a prefix: beforehand, and whether it was done."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import PrefixError
from ..model import CondaName, Plan, Row
from .deletion import RENAMED, TRASH, prune_empty
from .environment import Prefix
from .layout import Layout, layout_of, placed_files

_HISTORY = "conda-meta/history"

#: The ends of names that conda gives files that go.
_RENAMED = (RENAMED, f"{RENAMED}{TRASH}")


@dataclass(frozen=True, kw_only=True)
class Change:
    """What a change may do to a prefix: paths relative to it, with ``/``.

    Files `coming` may appear or be written over, and those `placed` will; those `going` may be deleted, and
    are `trash` by other names before that. `own` are patterns of what the engine makes for its own use.
    `unread` are packages which come and whose files nobody knows yet: where the cache will have them,
    ready-extracted. `layout` is the one that the prefix will have.
    """

    coming: Collection[str] = ()
    placed: Collection[str] = ()
    going: Collection[str] = ()
    trash: Collection[str] = ()
    own: Sequence[str] = ()
    unread: Sequence[Path] = ()
    layout: Layout | None = None


def change_of(
    prefix: Prefix,
    plan: Plan,
    package_of: Callable[[Row], Path | None],
    *,
    gone: Sequence[Path] = (),
    renamed: Mapping[Path, Path] | None = None,
    own: Sequence[str] = (),
) -> Change:
    """What carrying out a plan may do to a prefix.

    `package_of` tells where a package is, ready-extracted, or will be; None where there is no such place.
    `gone` are files of nobody that are deleted, `renamed` those that get another name.
    """
    renamed = renamed or {}
    placed = {_relative(prefix, place) for place in renamed.values()}
    going = {_relative(prefix, file) for file in (*gone, *renamed)}
    layout = layout_of(prefix, next((row for row in plan.link if row.name == "python"), None))
    unread = []
    for row in plan.link:
        package = package_of(row)
        placed.add(f"conda-meta/{row.dist}.json")
        if package is not None and (package / "info" / "paths.json").is_file():
            placed.update(placed_files(package, layout))
        elif package is not None:
            unread.append(package)
    for row in plan.unlink:
        going.add(f"conda-meta/{row.dist}.json")
        going.update(prefix.files_of_package.get(CondaName(row.name), ()))
    records = {f"conda-meta/{dist}.json" for dist in prefix.packages}  # who asked for them may change
    trash = {f"{path}{suffix}" for path in (*going, _HISTORY) for suffix in _RENAMED}
    return Change(
        coming={_HISTORY, *placed, *trash, *records},
        placed=placed,
        going=going,
        trash=trash - {*_present(prefix.path, trash)},
        own=own,
        unread=unread,
        layout=layout,
    )


def require_done(prefix: Prefix, plan: Plan, change: Change) -> None:
    """Look whether a plan was carried out to the end: engines let some failures pass.

    Deletes what was renamed and not deleted. Raises `PrefixError` for a file that is missing or left, and
    `OSError`.
    """
    trash = [prefix.path / path for path in _present(prefix.path, change.trash)]
    for file in trash:
        file.unlink()
    prune_empty(prefix, trash)
    there = {row.name for row in plan.unlink}
    kept = {path for name, paths in prefix.files_of_package.items() if name not in there for path in paths}
    placed = {*change.placed}
    if change.layout is not None:  # by now they are in the cache
        placed.update(path for package in change.unread for path in placed_files(package, change.layout))
    for path in placed.difference(_present(prefix.path, placed)):
        if not os.path.lexists(prefix.path / path):  # names of another case may be those of the same file
            raise PrefixError(str(prefix.path), f"linking failed: {path} is missing afterwards")
    for path in {*change.going} - placed - kept:
        # bytecode may be made anew, of the new version
        if os.path.lexists(prefix.path / path) and not path.endswith(".pyc"):
            raise PrefixError(str(prefix.path), f"linking failed: {path} could not be deleted")


def _present(prefix: Path, paths: Collection[str]) -> Iterator[str]:
    """Those of many files that are there; every folder is looked into once."""
    for folder in {path.rpartition("/")[0] for path in paths}:
        with contextlib.suppress(OSError):
            names = (entry.name for entry in os.scandir(prefix / folder))
            yield from {f"{folder}/{name}".lstrip("/") for name in names}.intersection(paths)


def _relative(prefix: Prefix, file: Path) -> str:
    return file.relative_to(prefix.path).as_posix()
