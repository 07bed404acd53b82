"""Whether what lies in the caches is what was put there."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from ..digests import sha256_of
from .model import Fault, Found, Item, Listed, compare
from .survey import read, read_json

_WORKERS = min(4, os.cpu_count() or 1)

#: `store.Store` begins each file with the sha256 of the rest.
_STORED_HASH = hashlib.sha256().digest_size

#: What a package's record in a cache and its own must agree on.
_IDENTITY = ("name", "version", "build", "build_number", "depends", "subdir")


def verify(items: Collection[Item], advance: Callable[[Item], None] = lambda item: None) -> list[Fault]:
    """Everything that is wrong with `items`, by threads; `advance` is called when one is done."""

    def one(item: Item) -> list[Fault]:
        faults = [Fault(item=item, file=file, reason=reason) for file, reason in sorted(_faults(item))]
        advance(item)
        return faults

    with ThreadPoolExecutor(_WORKERS) as pool:
        jobs = [pool.submit(one, item) for item in items]
        try:
            return [fault for job in jobs for fault in job.result()]
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _faults(item: Item) -> Iterator[tuple[str, str]]:
    """What is wrong with an item: the file of it, and the reason."""
    try:
        if item.kind in ("packages", "channel packages"):
            yield from _package_faults(item.path, ours=item.kind == "packages")
        elif item.kind == "index" and not _is_whole(item.path):
            yield "", "it does not match its own checksum"
        elif item.kind == "wheels" and (digest := _sha256(item.path)) != item.path.parent.name:
            yield "", f"its sha256 is {digest}, not that of its folder"
    except OSError as error:
        yield "", f"it cannot be read: {error.strerror or error}"


def _is_whole(path: Path) -> bool:
    with read(path) as file:
        promised = file.read(_STORED_HASH)
        return hashlib.sha256(file.read()).digest() == promised


def _sha256(path: Path) -> str:
    with read(path) as file:
        return sha256_of(file)


# -- packages ------------------------------------------------------------------------------------------


def _package_faults(package: Path, *, ours: bool) -> Iterator[tuple[str, str]]:
    info = package / "info"
    try:
        index = _document(info / "index.json")
        paths = _listed(info / "paths.json")
    except _Unreadable as error:
        yield f"info/{error.path.name}", error.reason
        return
    dist = "{name}-{version}-{build}".format(**dict.fromkeys(("name", "version", "build")) | index)
    if dist != package.name:
        yield "info/index.json", f"it is that of {dist}"
    yield from compare(paths, _found(package, paths), modes=os.name != "nt")
    if ours:
        yield from _own_faults(info, index, paths)


def _own_faults(
    info: Path, index: Mapping[str, Any], paths: Mapping[str, Listed]
) -> Iterator[tuple[str, str]]:
    """What only packages that the bridge made must fulfil; conda adds its record to them."""
    try:
        if index.get("noarch") == "python":
            _document(info / "link.json")
        with read(info / "files") as file:
            if set(file.read().decode("utf-8", "replace").splitlines()) != set(paths):
                yield "info/files", "it does not list what info/paths.json lists"
        if (info / "repodata_record.json").exists():
            record = _document(info / "repodata_record.json")
            wrong = [key for key in _IDENTITY if record.get(key) != index.get(key)]
            if wrong:
                yield "info/repodata_record.json", f"{wrong[0]} is not that of info/index.json"
    except _Unreadable as error:
        yield f"info/{error.path.name}", error.reason
    except FileNotFoundError:
        yield "info/files", "it is missing"


class _Unreadable(Exception):
    """A document of a package that is not there, or not what it must be."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(path, reason)
        self.path = path
        self.reason = reason


def _document(path: Path) -> dict[str, Any]:
    try:
        document = read_json(path)
    except FileNotFoundError:
        raise _Unreadable(path, "it is missing") from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no JSON"
        raise _Unreadable(path, str(reason)) from None
    if not isinstance(document, dict):
        raise _Unreadable(path, "it is no JSON object")
    return document


def _listed(path: Path) -> dict[str, Listed]:
    """The files of ``info/paths.json`` (CEP 34)."""
    rows = _document(path).get("paths")
    if not isinstance(rows, list) or not all(isinstance(row, dict) and "_path" in row for row in rows):
        raise _Unreadable(path, "it lists no paths")
    return {str(row["_path"]): _row(row) for row in rows}


def _row(row: Mapping[str, Any]) -> Listed:
    size, sha256 = row.get("size_in_bytes"), row.get("sha256")
    return Listed(
        kind=str(row.get("path_type", "hardlink")),
        size=size if isinstance(size, int) else None,
        sha256=sha256 if isinstance(sha256, str) else "",
    )


def _found(package: Path, listed: Mapping[str, Listed]) -> dict[str, Found]:
    """What is in a package's folder; contents are read only of what has the listed size. Raises `OSError`."""
    found = {}
    for folder, folders, files in os.walk(package):
        for name in (*folders, *files):
            path = Path(folder, name)
            place = path.relative_to(package).as_posix()
            found[place] = _look(path, listed.get(place))
    return found


def _look(path: Path, listed: Listed | None) -> Found:
    status = path.lstat()
    kind = next((name for name, test in _KINDS.items() if test(status.st_mode)), "other")
    wanted = kind == "file" and listed is not None and listed.size in (None, status.st_size)
    digest = _sha256(path) if wanted and listed is not None and listed.sha256 else ""
    return Found(kind, status.st_size, stat.S_IMODE(status.st_mode), digest)


_KINDS: dict[str, Callable[[int], bool]] = {"file": stat.S_ISREG, "link": stat.S_ISLNK, "dir": stat.S_ISDIR}
