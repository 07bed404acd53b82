"""Python distributions in site-packages: what they are, and which files are theirs."""

from __future__ import annotations

import csv
import posixpath
import re
from email.message import Message
from email.parser import HeaderParser
from pathlib import Path

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from ..model import CondaName, InstalledDist, ProjectName

METADATA_SUFFIXES = (".dist-info", ".egg-info")


def read_dist(prefix: Path, folder: Path, owner: CondaName | None) -> tuple[InstalledDist | None, str]:
    """The distribution of a metadata folder, or a sentence on why it cannot be read."""
    headers = headers_of(folder)
    try:
        version = Version(headers["Version"] or "")
    except InvalidVersion as error:
        return None, f"{folder.name}: {error}"
    if not headers["Name"]:
        return None, f"{folder.name}: its metadata gives no name"
    dist = InstalledDist(
        project=ProjectName(canonicalize_name(headers["Name"])),
        version=version,
        requires_dist=tuple(_requires_dist(folder, headers)),
        owner=owner,
        files=tuple(path for path, _, _ in record_rows(prefix, folder)) if owner is None else (),
    )
    return dist, ""


def project_of_folder(folder: str) -> ProjectName:
    """``Foo_Bar-1.0.dist-info`` -> ``foo-bar``, ``foo.egg-info`` -> ``foo``.

    Neither spelling leaves a ``-`` in the version; very old tools left some in the name.
    """
    stem = folder.rpartition(".")[0]
    match = re.fullmatch(r"(?P<name>.+?)-\d[^-]*(-py\d[^-]*)?(-[^-]+)?", stem)
    return ProjectName(canonicalize_name(match["name"] if match else stem))


def record_rows(prefix: Path, folder: Path) -> list[tuple[str, str, str]]:
    """(path, hash, size) of every row of a metadata folder's RECORD, as it spells them (PEP 376).

    No rows without a RECORD, or where part of it cannot be read: files are deleted by it. Paths are
    relative to the prefix; those outside of it keep their ``..`` or root.
    """
    record = folder / "RECORD"
    if not record.is_file():
        return []
    site = folder.parent.relative_to(prefix).as_posix()
    try:
        rows = [row for row in csv.reader(text_of(record).splitlines()) if row]
    except csv.Error:  # a quotation without an end
        return []
    found = []
    for row in rows:
        path = posixpath.normpath(posixpath.join(site, row[0].replace("\\", "/")))
        _, digest, size = (*row, "", "")[:3]
        found.append((path.removeprefix(f"{prefix.as_posix()}/"), digest, size))
    return found


def headers_of(folder: Path) -> Message:
    """The headers of a metadata folder's METADATA or PKG-INFO; none where there is neither."""
    # An .egg-info may be a file: then it is the metadata itself.
    for file in (folder / "METADATA", folder / "PKG-INFO", folder):
        if file.is_file():
            return HeaderParser().parsestr(text_of(file).partition("\n\n")[0])
    return Message()


def _requires_dist(folder: Path, headers: Message) -> list[str]:
    if folder.name.endswith(".egg-info"):
        from importlib.metadata import Distribution

        return Distribution.at(folder).requires or []
    return headers.get_all("Requires-Dist", [])


def text_of(file: Path) -> str:
    """What a metadata file says, whatever its bytes."""
    return file.read_text(encoding="utf-8", errors="replace")
