"""The verb ``mirror``: from its options to a channel, and what is told of it."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from .. import requirementfiles
from ..channel.model import Published
from ..channel.selection import Chosen
from ..channelargs import configured, scope_of
from ..display import columns, counted, human_size, plain
from ..errors import ConfigError
from ..index import Index
from ..options import Options
from ..prefix import own_subdir
from ..report import Reporter
from ..store import index_cache
from . import Mirrored, Order, Place, Recipe, Verdict, check, grouped, mirror

_REPAIR = "To have what is damaged built again, mirror the same SPECs with --repair."

#: How many new packages are shown to people.
_SHOWN = 40


@dataclass(frozen=True, kw_only=True)
class Result:
    """What the verb has to say, and its exit status."""

    document: dict[str, Any]
    text: Callable[[float], str]
    status: int = 0


def carry_out(args: argparse.Namespace, reporter: Reporter) -> Result:
    """Mirror, or verify. Raises `ConfigError` for arguments that do not go together, and as `mirror` does."""
    files = requirementfiles.read(getattr(args, "requirement", []), environ=os.environ)
    given = configured(args, files)
    offline = bool(getattr(args, "offline", False)) or given.conda.offline
    place = Place(args.to)
    index = Index(given.index, index_cache(), offline=offline)
    texts = [*args.packages, *files.requests]
    if _is_on(args, "verify_only"):
        if texts:
            raise ConfigError("--verify looks at what is there: name no SPEC and no file", hint=_REPAIR)
        return _verified(place, check(place, index, reporter))
    if not texts:
        raise ConfigError("nothing to mirror: name at least one SPEC, or a file with -r")
    if _is_on(args, "prune") and _is_on(args, "keep_going"):
        hint = "Run them one after the other."
        raise ConfigError("--prune would delete what --keep-going could not have again", hint=hint)
    scheduler = getattr(args, "scheduler", "")
    if scheduler and offline:
        raise ConfigError("a cluster has no caches of this machine: --scheduler needs the network")
    options = Options.listed(
        files,
        pre=_is_on(args, "pre"),
        deps=not _is_on(args, "no_deps"),
        dry_run=_is_on(args, "dry_run"),
        allow_hooks=_is_on(args, "allow_hooks"),
        blocked=given.settings.block,
    )
    order = Order(
        texts=list(dict.fromkeys(texts)),
        scope=scope_of(args, [given.conda.subdir or own_subdir()]),
        options=options,
        recipe=Recipe(level=getattr(args, "compression_level", 9), allow_hooks=options.allow_hooks),
        versions=getattr(args, "versions", 1),
        together=_is_on(args, "together"),
        keep_going=_is_on(args, "keep_going"),
        prune=_is_on(args, "prune"),
        repair=_is_on(args, "repair"),
        scheduler=scheduler,
    )
    return _mirrored(mirror(order, place, index, given.names, reporter))


def _is_on(args: argparse.Namespace, name: str) -> bool:
    return bool(getattr(args, name, False))


# -- what is told --------------------------------------------------------------------------------------


def _mirrored(done: Mirrored) -> Result:
    built = {(item.subdir, item.fn): item for item in done.built}
    document: dict[str, Any] = {
        "success": True,
        "channel": str(done.place),
        **({"dry_run": True} if done.dry_run else {}),
        "added": [_row(one, built.get((one.record.subdir, one.record.fn))) for one in done.added],
        "kept": done.kept,
        "changed": list(done.changed),
        "deleted": list(done.gone),
        "missing": [
            {"spec": m.text, "subdir": m.subdir, "python": m.python, "reason": str(m.error)}
            for m in done.misses
        ],
        "failed": [{"package": one.dist, "reason": one.reason} for one in done.failed],
    }
    return Result(document=document, text=lambda seconds: plain(_summary(done, seconds)))


def _row(one: Chosen, item: Published | None) -> dict[str, Any]:
    record = one.record
    made = {
        "name": record.name,
        "version": record.version,
        "build_string": record.build,
        "subdir": record.subdir,
        "fn": record.fn,
    }
    if record.wheel is not None:
        made["wheel"] = record.wheel.filename
    return made if item is None else made | {key: item.entry[key] for key in ("size", "sha256")}


def _summary(done: Mirrored, seconds: float) -> str:
    size = sum(int(item.entry["size"]) for item in done.built)
    kept = f"{counted(done.kept, 'package')} there before"
    if done.dry_run:
        gone = f", {counted(len(done.gone), 'package')} to delete" if done.gone else ""
        sentence = f"Dry run: {counted(len(done.added), 'package')} to build, {kept}{gone}."
    else:
        new = f"{counted(len(done.built), 'package')} added ({human_size(size)})"
        gone = f", {counted(len(done.gone), 'file')} deleted" if done.gone else ""
        sentence = f"Done in {seconds:.1f} s: {new}, {kept}{gone}."
    rows = [("Package", "Version", "Platform"), *_shown(done.added)]
    table = [columns(rows), ""] if done.added else []
    left_out = [f"Left out: {text}" for text in grouped(done.misses)]
    return "\n".join([*table, *left_out, sentence, f"Channel: {done.place}"])


def _shown(added: Sequence[Chosen]) -> list[tuple[str, str, str]]:
    records = (one.record for one in added)
    rows = dict.fromkeys((str(record.name), record.version, record.subdir) for record in records)
    some = [*rows][:_SHOWN]
    more = len(rows) - len(some)
    return [*some, (f"... and {more} more", "", "")] if more else some


def _verified(place: Place, verdict: Verdict) -> Result:
    document = {
        "success": not verdict.faults,
        "channel": str(place),
        "subdirs": list(verdict.subdirs),
        "packages": verdict.packages,
        "size": verdict.size,
        "faults": [{"path": fault.path, "reason": fault.reason} for fault in verdict.faults],
    }
    if verdict.faults:
        message = f"{counted(len(verdict.faults), 'fault')} found in {place}"
        document |= {"error": message, "message": message, "hint": _REPAIR}

    def text(seconds: float) -> str:
        lines = [f"{fault.path}: {fault.reason}" for fault in verdict.faults]
        found = counted(len(verdict.faults), "fault") if verdict.faults else "no fault"
        read = f"{counted(verdict.packages, 'package')} ({human_size(verdict.size)}) read"
        lines += [f"Done in {seconds:.1f} s: {read}, {found}.", f"Channel: {place}"]
        return plain("\n".join([*lines, *([_REPAIR] if verdict.faults else [])]))

    return Result(document=document, text=text, status=1 if verdict.faults else 0)
