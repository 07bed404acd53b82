"""What is deleted of a prefix: files of distributions that pip placed, and folders that are empty then."""

from __future__ import annotations

import errno
import glob
import json
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path

from ..errors import PrefixError
from ..model import InstalledDist
from .dists import text_of
from .environment import Prefix

#: How conda renames a file that it is about to delete, and one that it could not delete.
RENAMED, TRASH = ".c~", ".conda_trash"


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


def delete(path: Path) -> None:
    """Delete a file, a link or a folder with everything in it. Raises `OSError`."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def clear_away(gone: Iterable[Path], renamed: Mapping[Path, Path]) -> None:
    """Give files other names, and delete those of the others that are `gone`. Raises `OSError`."""
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


def _is_editable(prefix: Path, dist: InstalledDist) -> bool:
    """PEP 610: ``dir_info.editable`` of ``direct_url.json`` is true of editable installs."""
    for file in dist.files:
        if file.endswith(".dist-info/direct_url.json"):
            try:
                return bool(json.loads(text_of(prefix / file))["dir_info"]["editable"])
            except (OSError, ValueError, KeyError, TypeError):
                return False
    return False


def _is_inside(prefix: Path, path: Path) -> bool:
    """Whether deleting that path deletes something of the prefix, links of folders followed."""
    return prefix.resolve() in (path.parent.resolve() / path.name).parents
