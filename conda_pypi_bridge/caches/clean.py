"""Deleting what lies in the caches, so that nothing half-deleted ever counts as whole."""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from filelock import FileLock, Timeout

from .. import ENTRIES
from ..locks import entry, holding, is_held, sweep
from .model import Item
from .survey import LOCK_SUFFIX

#: What rattler holds as long as it installs from a package folder.
_RATTLER_LOCK = ".cache.lock"


@dataclass(frozen=True, kw_only=True)
class Cleaned:
    """What was deleted, and what was kept for which reason."""

    deleted: list[Item] = field(default_factory=list)
    kept: list[tuple[Item, str]] = field(default_factory=list)

    @property
    def size(self) -> int:
        """Bytes of what was deleted."""
        return sum(item.size for item in self.deleted)

    @property
    def freed(self) -> int:
        """Of these, the bytes of files that nothing else links to."""
        return sum(item.freed for item in self.deleted)


def clean(
    items: Sequence[Item],
    done: Cleaned,
    *,
    waiting: Callable[[], None] = lambda: None,
    needed: Mapping[Path, str],
) -> None:
    """Delete `items`, each noted in `done` at once, so that it is true after an interrupt, too.

    `needed` maps paths of items that must stay to the reason. What another process works on is kept;
    `waiting` is called before waiting for one that installs from the same folder.
    """
    groups: defaultdict[Path, list[Item]] = defaultdict(list)
    for item in items:
        groups[item.cache].append(item)
    for folder, group in groups.items():
        try:
            with _alone(folder, waiting):
                for item in group:
                    _clean_one(item, done, needed)
        except OSError as error:
            handled = {*done.deleted, *(item for item, _ in done.kept)}
            done.kept.extend((item, _sentence(error)) for item in group if item not in handled)


@contextlib.contextmanager
def _alone(folder: Path, waiting: Callable[[], None]) -> Iterator[None]:
    """Hold a cache against processes of the bridge, and against rattler where it uses the folder."""
    with contextlib.ExitStack() as stack:
        stack.enter_context(holding(folder, waiting))
        if (folder / _RATTLER_LOCK).exists():
            lock = FileLock(folder / _RATTLER_LOCK)
            try:
                lock.acquire(timeout=0)
            except Timeout:
                waiting()
                lock.acquire()
            stack.callback(lock.release)
        yield


def _clean_one(item: Item, done: Cleaned, needed: Mapping[Path, str]) -> None:
    reason = "a process is at work on it" if _is_busy(item) else needed.get(item.path, "")
    try:
        if not reason:
            _delete(item)
    except OSError as error:
        reason = _sentence(error)
    if reason:
        done.kept.append((item, reason))
    else:
        done.deleted.append(item)


def _is_busy(item: Item) -> bool:
    """Whether a process makes the item at this moment: what is unfinished, or comes to its place."""
    return is_held(item.cache / ENTRIES / item.path.name)


def _delete(item: Item) -> None:
    if item.kind == "unfinished":
        sweep(item.cache)
    elif not item.path.is_dir():
        item.path.unlink(missing_ok=True)
        if item.kind == "wheels":
            with contextlib.suppress(OSError):  # another process has just put something there
                item.path.parent.rmdir()
    else:
        # in one step out of its place: what an interrupt leaves then is swept like anything unfinished
        with entry(item.cache, item.path.name) as place:
            item.path.rename(place / item.path.name)
            item.path.with_name(f"{item.path.name}{LOCK_SUFFIX}").unlink(missing_ok=True)


def _sentence(error: OSError) -> str:
    return error.strerror or str(error)
