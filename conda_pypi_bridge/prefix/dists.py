"""Python distributions in site-packages: what they are, and which files are theirs."""

from __future__ import annotations

import csv
import errno
import glob
import json
import posixpath
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping
from email.message import Message
from email.parser import HeaderParser
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from ..errors import PrefixError
from ..model import CondaName, InstalledDist, ProjectName

if TYPE_CHECKING:
    from .environment import Prefix

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


def files_of(prefix: Prefix, dist: InstalledDist) -> tuple[Path, ...]:
    """The existing files to delete so that a pip-placed distribution is gone, bytecode included.

    Files that a conda package lists too belong to it and are left out. Raises PrefixError where no
    RECORD tells the files, where one lies outside of the prefix, and for an editable install, which
    somebody is working on.
    """
    where, hint = str(prefix.path), f"Remove it first: python -m pip uninstall {dist.project}"
    if dist.owner is not None:
        raise PrefixError(where, f"{dist.project} belongs to the conda package {dist.owner}")
    if not any(file.endswith(".dist-info/RECORD") for file in dist.files):
        raise PrefixError(where, f"{dist.project} has no list of its files (RECORD)", hint=hint)
    if _is_editable(prefix.path, dist):
        raise PrefixError(where, f"{dist.project} is installed in editable mode", hint=hint)
    found: set[Path] = set()
    for file in set(dist.files) - prefix.owned_files:
        path = prefix.path / file
        if not _is_inside(prefix.path, path):
            raise PrefixError(where, f"{dist.project} lists a file outside of it: {file}", hint=hint)
        found.add(path)
        if path.suffix == ".py":
            found.update((path.parent / "__pycache__").glob(f"{glob.escape(path.stem)}.*.pyc"))
    return tuple(sorted(path for path in found if path.is_symlink() or path.is_file()))


def record_rows(prefix: Path, folder: Path) -> Iterator[tuple[str, str, str]]:
    """(path, hash, size) of every row of a metadata folder's RECORD, as it spells them; none without one.

    Paths are relative to the prefix; those outside of it keep their ``..`` or root.
    """
    record = folder / "RECORD"
    if not record.is_file():
        return
    site = folder.parent.relative_to(prefix).as_posix()
    for row in csv.reader(_text(record).splitlines()):
        if row:
            path = posixpath.normpath(posixpath.join(site, row[0].replace("\\", "/")))
            _, digest, size = (*row, "", "")[:3]
            yield path.removeprefix(f"{prefix.as_posix()}/"), digest, size


def delete(path: Path) -> None:
    """A file, a link or a folder with everything in it."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def clear_away(gone: Iterable[Path], renamed: Mapping[Path, Path]) -> None:
    """Give files other names, and delete those of the others that are `gone`."""
    for file, place in renamed.items():
        file.rename(place)
    for file in set(gone) - renamed.keys():
        file.unlink(missing_ok=True)


def prune_empty(prefix: Prefix, deleted: Iterable[Path]) -> None:
    """Removes the folders that deleting those files left empty, but not site-packages. Raises `OSError`."""
    for folder in sorted({path.parent for path in deleted}, key=lambda path: len(path.parts), reverse=True):
        while folder != prefix.path and folder.name != "site-packages":
            try:
                folder.rmdir()
            except FileNotFoundError:
                pass
            except OSError as error:
                if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                    raise
                break
            folder = folder.parent


def headers_of(folder: Path) -> Message:
    """The headers of a metadata folder's METADATA or PKG-INFO; none where there is neither."""
    # An .egg-info may be a file: then it is the metadata itself.
    for file in (folder / "METADATA", folder / "PKG-INFO", folder):
        if file.is_file():
            return HeaderParser().parsestr(_text(file).partition("\n\n")[0])
    return Message()


def _requires_dist(folder: Path, headers: Message) -> list[str]:
    if folder.name.endswith(".egg-info"):
        from importlib.metadata import Distribution

        return Distribution.at(folder).requires or []
    return headers.get_all("Requires-Dist", [])


def _is_editable(prefix: Path, dist: InstalledDist) -> bool:
    """PEP 610: ``dir_info.editable`` of ``direct_url.json`` is true of editable installs."""
    for file in dist.files:
        if file.endswith(".dist-info/direct_url.json"):
            try:
                return bool(json.loads(_text(prefix / file))["dir_info"]["editable"])
            except (OSError, ValueError, KeyError, TypeError):
                return False
    return False


def _is_inside(prefix: Path, path: Path) -> bool:
    """Whether deleting that path deletes something of the prefix, links of folders followed."""
    return prefix.resolve() in (path.parent.resolve() / path.name).parents


def _text(file: Path) -> str:
    return file.read_text(encoding="utf-8", errors="replace")
