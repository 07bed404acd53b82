"""The verb ``cache`` at every door: which caches there are for its user, and what is told of them."""

from __future__ import annotations

import argparse
import datetime as dt
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .caches import Cache, Cleaned, Fault, Item, clean, select, survey, verify
from .display import Terminal, columns, counted, human_size
from .errors import Cancelled, ConfigError
from .store import cache_folder

#: What ends by Ctrl-C has this exit status in every shell: 128 and the signal's number.
_INTERRUPTED = 130

_KINDS = {
    "index": "index pages, metadata",
    "wheels": "wheels",
    "packages": "packages",
    "channel packages": "channel packages",
    "repodata": "channel indexes",
    "unfinished": "unfinished",
}


@dataclass(frozen=True, kw_only=True)
class Told:
    """The outcome of an action: a JSON document, text, the exit status."""

    document: dict[str, Any]
    text: str
    status: int = 0


def carry_out(args: argparse.Namespace, terminal: Terminal, *, conda: bool) -> Told:
    """Carry out ``cache show``, ``verify`` or ``clean``; `conda` is whether conda runs this.

    Raises `SpecError` for a name that nothing in the caches has, `ConfigError` for a ``clean`` of nothing,
    and `Cancelled`.
    """
    actions = {"show": _show, "verify": _verify, "clean": _clean}
    return actions[args.cache_action](args, terminal, conda)


def _surveyed(conda: bool) -> list[Cache]:
    if not conda:
        return survey(cache_folder())
    from .engines.conda import package_folders

    return survey(cache_folder(), package_folders())


def _items(caches: Sequence[Cache]) -> list[Item]:
    return [item for cache in caches for item in cache.items]


# -- show ----------------------------------------------------------------------------------------------


def _show(args: argparse.Namespace, terminal: Terminal, conda: bool) -> Told:
    caches = _surveyed(conda)
    packages = [item for item in _items(caches) if item.build]
    size = sum(cache.size for cache in caches)
    document = {
        "success": True,
        "size": size,
        "caches": [_json_cache(cache) for cache in caches],
        "packages": [_json_item(item) for item in packages],
    }
    rows = [("Package", "Version", "Build", "Size", "Last used", "In")]
    rows += [
        (i.name, i.version, i.build, human_size(i.size), _date(i.last_used), str(i.path.parent))
        for i in packages
    ]
    total = f"{counted(len(packages), 'package')}, {human_size(size)} in all."
    tables = [columns(rows)] if packages else []
    return Told(document=document, text="\n\n".join([*tables, _table(caches), total]))


def _table(caches: Sequence[Cache]) -> str:
    rows = [("Cache", "Entries", "Files", "Size", "Last used", "Where")]
    for cache in caches:
        counts = (str(len(cache.items)), str(cache.files), human_size(cache.size))
        rows.append((_KINDS[cache.kind], *counts, _date(cache.last_used), str(cache.path)))
    return columns(rows)


def _date(seconds: float | None) -> str:
    return dt.datetime.fromtimestamp(seconds).strftime("%Y-%m-%d") if seconds is not None else "-"


def _json_cache(cache: Cache) -> dict[str, Any]:
    return {
        "kind": cache.kind,
        "path": str(cache.path),
        "entries": len(cache.items),
        "files": cache.files,
        "size": cache.size,
        "last_used": _json_time(cache.last_used),
    }


def _json_item(item: Item) -> dict[str, Any]:
    package = {"name": item.name, "version": item.version, "build_string": item.build}
    return {
        "kind": item.kind,
        **{key: value for key, value in package.items() if value},
        "path": str(item.path),
        "files": item.files,
        "size": item.size,
        "freed": item.freed,
        "last_used": _json_time(item.last_used),
    }


def _json_time(seconds: float | None) -> str | None:
    if seconds is None:
        return None
    return dt.datetime.fromtimestamp(seconds, dt.timezone.utc).isoformat(timespec="seconds")


# -- verify --------------------------------------------------------------------------------------------


def _verify(args: argparse.Namespace, terminal: Terminal, conda: bool) -> Told:
    items = [item for item in _items(_surveyed(conda)) if item.kind not in ("repodata", "unfinished")]
    if args.packages:
        items = select(items, names=args.packages, now=time.time())
    faults = _verified(items, terminal)
    document = {
        "success": True,
        "checked": {"entries": len(items), "size": sum(item.size for item in items)},
        "faults": [_json_fault(fault) for fault in faults],
    }
    broken = len({fault.item for fault in faults})
    size = human_size(sum(item.size for item in items))
    lines = [
        *_told_faults(faults),
        f"{counted(len(items), 'entry')} verified, {size}: {broken or 'none'} broken.",
    ]
    if faults:
        lines.append(f"To delete what is broken, so that it is made anew: {args.door} clean --broken")
    if any(fault.item.linked for fault in faults):
        lines.append("Environments share files with it; to look at one: doctor --deep")
    return Told(document=document, text="\n".join(lines), status=int(bool(faults)))


def _verified(items: Sequence[Item], terminal: Terminal) -> list[Fault]:
    terminal.phase("Verifying")
    terminal.expect(len(items), sum(item.size for item in items), "file")
    try:
        return verify(items, lambda item: terminal.advance(files=1, size=item.size))
    finally:
        terminal.close()


def _told_faults(faults: Sequence[Fault]) -> Iterator[str]:
    by_item: dict[Item, list[Fault]] = {}
    for fault in faults:
        by_item.setdefault(fault.item, []).append(fault)
    for item, found in by_item.items():
        yield f"{item.label} ({item.path.parent})"
        yield from (f"  {': '.join(filter(None, (fault.file, fault.reason)))}" for fault in found)


def _json_fault(fault: Fault) -> dict[str, Any]:
    return {
        "kind": fault.item.kind,
        "entry": fault.item.label,
        "path": str(fault.item.path),
        "file": fault.file,
        "reason": fault.reason,
    }


# -- clean ---------------------------------------------------------------------------------------------


def _clean(args: argparse.Namespace, terminal: Terminal, conda: bool) -> Told:
    caches = _surveyed(conda)
    items = _chosen(args, _items(caches), terminal)
    done, status = Cleaned(), 0
    dry_run = bool(getattr(args, "dry_run", False))
    if dry_run:
        done.deleted.extend(items)
    elif items:
        if not terminal.agree(f"{_deletions(items)}\n"):
            raise Cancelled
        terminal.phase("Deleting")
        try:
            clean(items, done, waiting=_waiting(terminal), needed=_needed(items) if conda else {})
        except KeyboardInterrupt:
            status = _INTERRUPTED
    return _told_cleaned(done, dry_run=dry_run, status=status)


def _chosen(args: argparse.Namespace, items: list[Item], terminal: Terminal) -> list[Item]:
    """What the arguments say to delete, and what was left unfinished.

    Raises `ConfigError` where they say nothing.
    """
    age = getattr(args, "older_than", None)
    everything, broken = (bool(getattr(args, name, False)) for name in ("all", "broken"))
    if not (args.packages or everything or broken or age is not None):
        hint = "Name packages, or give --broken, --older-than DAYS or --all."
        raise ConfigError("clean needs to be told what to delete", hint=hint)
    left = [item for item in items if item.kind == "unfinished" and not item.held]
    items = [item for item in items if item.kind != "unfinished"]
    found = {fault.item for fault in _verified(items, terminal)} if broken else set()
    now = time.time()
    return left + select(
        items, names=args.packages, broken=found, older_than=age, everything=everything, now=now
    )


def _deletions(items: Sequence[Item]) -> str:
    """What is about to go: packages and wheels by name, the rest by number."""
    rows = [("To delete", "Size", "In")]
    rows += [(item.label, human_size(item.size), str(item.path.parent)) for item in items if item.name]
    others: dict[str, list[Item]] = {}
    for item in items:
        if not item.name:
            others.setdefault(item.kind, []).append(item)
    for kind, group in others.items():
        size = human_size(sum(item.size for item in group))
        rows.append((f"{counted(len(group), 'entry')} of {_KINDS[kind]}", size, ""))
    return columns(rows)


def _waiting(terminal: Terminal) -> Callable[[], None]:
    return lambda: terminal.phase("Waiting for another process that installs from this cache")


def _needed(items: Sequence[Item]) -> dict[Path, str]:
    """The packages of conda's that must stay: an environment's files may be links to those of a cache."""
    from .engines.conda.caches import users_by_symlink

    users = users_by_symlink({item.label for item in items if item.build})
    return {
        item.path: f"files of {users[item.label]} are symbolic links to it"
        for item in items
        if item.label in users
    }


def _told_cleaned(done: Cleaned, *, dry_run: bool, status: int) -> Told:
    document = {
        "success": not status,
        **({"dry_run": True} if dry_run else {}),
        "deleted": [_json_item(item) for item in done.deleted],
        "kept": [{"path": str(item.path), "reason": reason} for item, reason in done.kept],
        "size": done.size,
        "freed": done.freed,
    }
    lines = [_deletions(done.deleted)] if dry_run and done.deleted else []
    lines += [f"Kept {item.path}: {reason}" for item, reason in done.kept]
    verb = "Would delete" if dry_run else "Deleted"
    sentence = f"{verb} {counted(len(done.deleted), 'entry')}, {human_size(done.size)}"
    if done.freed < done.size:
        sentence += f", of which {human_size(done.size - done.freed)} stay in use by environments"
    lines.append(f"{sentence}.")
    if status:
        lines.append("Interrupted: the rest is as it was.")
    return Told(document=document, text="\n".join(lines), status=status or int(bool(done.kept)))
