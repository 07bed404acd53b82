"""What a command did to an environment, read from ``conda-meta`` before and after, whoever did it.

Standard library only. A snapshot is names, sizes and times of files, so that it costs nothing; only the
records that are new are read.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ..redaction import redact
from .files import mapping

#: The channel name of what comes from the package index (`conda_pypi_bridge.model.CHANNEL`).
CHANNEL = "pypi-bridge"

#: File name of a record: (modification time in ns, size, inode).
Snapshot = Mapping[str, tuple[int, int, int]]

_SPEC_NAME = re.compile(r"(?:\S*::)?\s*(?P<name>[A-Za-z0-9_][\w.-]*)")
_DEPEND_NAME = re.compile(r"[^\s=<>!~\[]+")
_MODULE = re.compile(
    r"(?:.*/)?site-packages/(?P<name>[A-Za-z]\w*)(?:/__init__)?(?:\.py|\.[\w-]*\.?(?:so|pyd))$"
)


@dataclass(frozen=True, kw_only=True)
class Change:
    """A package that came, went, or changed. Versions are "" where it was not, or is no longer, there.

    `source` is ``"PyPI"`` or ``"channel NAME"``; `why` is ``"requested"``, ``"required by X 1.0"`` or "".
    `files` are relative to the environment, `modules` what can be imported by their top-level names.
    """

    name: str
    old: str = ""
    new: str = ""
    source: str = ""
    why: str = ""
    files: frozenset[str] = field(default=frozenset(), repr=False)
    modules: tuple[str, ...] = ()


#: The record of a virtual environment's own Python, which no command installs.
_ADOPTED = "-venv.json"


def snapshot(prefix: Path) -> Snapshot:
    """The records of an environment now; none where there is no environment."""
    try:
        files = list((prefix / "conda-meta").glob("*-*-*.json"))
        files = [file for file in files if not file.name.endswith(_ADOPTED)]
        stats = {file.name: file.stat() for file in files}
    except OSError:  # a command is at work, or it is no folder
        return {}
    return {name: (stat.st_mtime_ns, stat.st_size, stat.st_ino) for name, stat in stats.items()}


def changes(prefix: Path, before: Snapshot, specs: Sequence[str] = ()) -> list[Change]:
    """What is different since `before`, by name; `specs` are what the user asked for."""
    after = snapshot(prefix)
    gone = dict(_name_and_version(file) for file in before.keys() - after.keys())
    changed = [file for file, stamp in after.items() if before.get(file) != stamp]
    read = [mapping(prefix / "conda-meta" / file) for file in changed]
    records = [record for record in read if record and "name" in record]
    asked = {name for spec in specs if (name := name_of(spec))}
    found = [_change(record, gone, asked, records) for record in records]
    names = {change.name for change in found}
    found += [
        Change(name=name, old=version, why="requested" if canonical(name) in asked else "")
        for name, version in gone.items()
        if name not in names
    ]
    return sorted(found, key=lambda change: change.name)


def installed_names(prefix: Path) -> set[str]:
    """The names of an environment's packages."""
    return {_name_and_version(file)[0] for file in snapshot(prefix)}


def missing(prefix: Path, specs: Iterable[str]) -> list[str]:
    """Those of `specs` that no record and no installed distribution answers to: success was not one."""
    known = {canonical(name) for name in installed_names(prefix)}
    absent = [spec for spec in specs if (name := name_of(spec)) and name not in known]
    if not absent:
        return []
    folders = [*prefix.glob("lib/python3*/site-packages"), prefix / "Lib" / "site-packages"]
    for folder in folders:
        known |= {canonical(info.name.split("-")[0]) for info in folder.glob("*.dist-info")}
    return [spec for spec in absent if name_of(spec) not in known]


def owner_of(prefix: Path, files: Iterable[Path]) -> Mapping[str, Any] | None:
    """The record of the conda package that placed one of the files, None where none did."""
    inside = set()
    for file in files:
        for root in (prefix, prefix.resolve()):
            if file.is_relative_to(root):
                inside.add(file.relative_to(root).as_posix())
    for path in sorted((prefix / "conda-meta").glob("*.json")) if inside else ():
        text = path.read_text(encoding="utf-8", errors="replace")
        # Reading all of a large environment's JSON takes a second; its text, a twentieth of that.
        if any(file in text for file in inside):
            record = mapping(path) or {}
            if inside.intersection(record.get("files") or ()):
                return record
    return None


def name_of(spec: str) -> str:
    """The canonical name (PEP 503) in a spec, "" for what names none: a path, a URL."""
    if re.search(r"://|[\\/].*\.(?:conda|tar\.bz2|whl)$", spec):
        return ""
    match = _SPEC_NAME.match(spec)
    return canonical(match["name"]) if match else ""


def canonical(name: str) -> str:
    """PEP 503, which makes one of what conda and the index spell differently."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _name_and_version(file: str) -> tuple[str, str]:
    name, version, _ = file.removesuffix(".json").rsplit("-", 2)
    return name, version


def _change(
    record: Mapping[str, Any],
    gone: Mapping[str, str],
    asked: set[str],
    records: Sequence[Mapping[str, Any]],
) -> Change:
    # ``files`` holds the places in the environment. ``paths_data`` would not do: for a noarch package
    # conda writes there where a file is in the package ("site-packages/x.py"), other engines do not.
    files = frozenset(map(str, record.get("files") or ()))
    name, version = str(record["name"]), str(record.get("version", ""))
    return Change(
        name=name,
        old=gone.get(name, ""),
        new=version,
        source=source_of(record),
        why=_why(record, asked, records),
        files=files,
        modules=tuple(sorted(_modules(files))),
    )


def _why(record: Mapping[str, Any], asked: set[str], records: Sequence[Mapping[str, Any]]) -> str:
    name = str(record["name"])
    if canonical(name) in asked:
        return "requested"
    users = [other for other in records if other is not record and name in _required(other)]
    # What the user asked for explains more than another requirement does.
    users.sort(key=lambda other: (canonical(str(other["name"])) not in asked, str(other["name"])))
    if users:
        return f"required by {users[0]['name']} {users[0].get('version', '')}".rstrip()
    # A project may have another name as a conda package; engines note what was asked for.
    return "requested" if asked and (record.get("requested_spec") or record.get("requested_specs")) else ""


def _required(record: Mapping[str, Any]) -> Iterator[str]:
    for depend in record.get("depends") or ():
        if match := _DEPEND_NAME.match(str(depend)):
            yield match[0]


def source_of(record: Mapping[str, Any]) -> str:
    """``PyPI`` or ``channel NAME``, from a record of ``conda-meta``; "" where it does not tell."""
    channel = redact(str(record.get("channel") or ""))
    if channel.rstrip("/").rsplit("/", 1)[-1] == CHANNEL:
        return "PyPI"
    name = channel.rstrip("/").removesuffix(f"/{record.get('subdir')}")
    if "://" in name:
        path = urlsplit(name).path.strip("/")
        name = path if urlsplit(name).scheme != "file" else path.rsplit("/", 1)[-1]
    return f"channel {name}" if name else ""


def _modules(files: Iterable[str]) -> set[str]:
    return {match["name"] for file in files if (match := _MODULE.match(file.replace("\\", "/")))}
