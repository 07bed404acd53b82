"""Real wheels, made in memory (PEP 427), for tests of every room."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from packaging.utils import canonicalize_name

_DATE = (2024, 1, 2, 3, 4, 6)
_REGULAR_FILE = 0o100000


def make_wheel(folder: Path, name: str, version: str, **options: Any) -> Path:
    """Write one wheel into `folder` (made if missing) and return its path; `wheel_bytes` has the options."""
    filename, content = wheel_bytes(name, version, **options)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / filename
    path.write_bytes(content)
    return path


def wheel_bytes(
    name: str,
    version: str,
    *,
    requires: Iterable[str] = (),
    extras: Mapping[str, Iterable[str]] | None = None,
    requires_python: str = "",
    files: Mapping[str, bytes | str] | None = None,
    modes: Mapping[str, int] | None = None,
    entry_points: Mapping[str, str] | str | None = None,
    tags: str = "py3-none-any",
    build: str = "",
    headers: Iterable[str] = (),
    members: Mapping[str, bytes | str | None] | None = None,
    after_record: Mapping[str, bytes | str | None] | None = None,
) -> tuple[str, bytes]:
    """File name and content of one wheel.

    `requires` are Requires-Dist values; `extras` maps an extra to its own requirements.
    `files` maps paths in the archive to contents (default: one module that defines ``__version__``);
    ``{data}`` in a path stands for the ``.data`` folder and ``{info}`` for the ``.dist-info`` folder.
    `modes` gives permission bits by path (default 0o644). `entry_points` is the text of
    ``entry_points.txt``, or maps console scripts to their targets. `tags` is the compressed tag set of
    the file name; `headers` are extra METADATA lines. `members` replaces generated members (None
    leaves one out); `after_record` does so once RECORD is written, to make a wheel that lies.
    """
    module = canonicalize_name(name).replace("-", "_")
    info = f"{module}-{version}.dist-info"
    places = {"info": info, "data": f"{module}-{version}.data"}
    if files is None:
        files = {f"{module}.py": f"__version__ = {version!r}\n"}
    contents: dict[str, bytes] = {}
    _put(contents, places, files)
    contents[f"{info}/METADATA"] = metadata_text(
        name, version, requires=requires, extras=extras, requires_python=requires_python, headers=headers
    ).encode()
    contents[f"{info}/WHEEL"] = _wheel_text(tags, build).encode()
    if entry_points:
        contents[f"{info}/entry_points.txt"] = _entry_points_text(entry_points).encode()
    _put(contents, places, members or {})
    record = f"{info}/RECORD"
    if record not in {path.format_map(places) for path in members or {}}:
        contents[record] = _record(contents, record)
    _put(contents, places, after_record or {})
    permissions = {path.format_map(places): mode for path, mode in (modes or {}).items()}
    build_part = f"-{build}" if build else ""
    return f"{module}-{version}{build_part}-{tags}.whl", _zip(contents, permissions)


def metadata_text(
    name: str,
    version: str,
    *,
    requires: Iterable[str] = (),
    extras: Mapping[str, Iterable[str]] | None = None,
    requires_python: str = "",
    headers: Iterable[str] = (),
) -> str:
    """A METADATA file (core metadata 2.1)."""
    lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}", f"Summary: {name} for tests"]
    if requires_python:
        lines.append(f"Requires-Python: {requires_python}")
    lines += headers
    lines += [f"Requires-Dist: {requirement}" for requirement in requires]
    for extra, wanted in (extras or {}).items():
        lines.append(f"Provides-Extra: {extra}")
        lines += [f"Requires-Dist: {_with_extra(requirement, extra)}" for requirement in wanted]
    return "\n".join(lines) + "\n"


def _with_extra(requirement: str, extra: str) -> str:
    base, _, marker = requirement.partition(";")
    condition = f'extra == "{extra}"'
    return f"{base.strip()}; {f'({marker.strip()}) and {condition}' if marker else condition}"


def _wheel_text(tags: str, build: str) -> str:
    interpreters, abis, platforms = (part.split(".") for part in tags.split("-"))
    pure = platforms == ["any"]
    lines = ["Wheel-Version: 1.0", "Generator: tests", f"Root-Is-Purelib: {str(pure).lower()}"]
    lines += [f"Tag: {i}-{a}-{p}" for i in interpreters for a in abis for p in platforms]
    lines += [f"Build: {build}"] if build else []
    return "\n".join(lines) + "\n"


def _entry_points_text(entry_points: Mapping[str, str] | str) -> str:
    if isinstance(entry_points, str):
        return entry_points
    return "[console_scripts]\n" + "".join(f"{script} = {to}\n" for script, to in entry_points.items())


def _put(
    contents: dict[str, bytes], places: Mapping[str, str], changes: Mapping[str, bytes | str | None]
) -> None:
    for template, content in changes.items():
        path = template.format_map(places)
        if content is None:
            contents.pop(path, None)
        else:
            contents[path] = content.encode() if isinstance(content, str) else content


def _record(contents: Mapping[str, bytes], record: str) -> bytes:
    rows = io.StringIO(newline="")
    writer = csv.writer(rows, lineterminator="\n")
    for path, content in contents.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
        writer.writerow((path, f"sha256={digest}", len(content)))
    writer.writerow((record, "", ""))
    return rows.getvalue().encode()


def _zip(contents: Mapping[str, bytes], permissions: Mapping[str, int]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, content in contents.items():
            entry = zipfile.ZipInfo(path, _DATE)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = (_REGULAR_FILE | permissions.get(path, 0o644)) << 16
            archive.writestr(entry, content)
    return buffer.getvalue()


def metadata_of(path: Path) -> bytes:
    """The METADATA of a wheel on disk."""
    with zipfile.ZipFile(path) as archive:
        (member,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        return archive.read(member)
