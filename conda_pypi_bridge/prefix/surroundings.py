"""What lies in and around a prefix that no package placed there."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..model import ProjectName
from . import dists
from .deletion import RENAMED, TRASH
from .environment import Prefix
from .interpreter import PythonInPrefix

#: Seconds. What was renamed later than this ago may be what a running pip or conda goes back to if it
#: fails; neither holds a lock that could be asked.
_SETTLED_AFTER = 3600

#: Folders of a conda installation that hold other environments and its cache.
_NOT_OURS = {"envs", "pkgs"}


@dataclass(frozen=True, kw_only=True)
class Leftover:
    """What a command that was cut short left: `by` is ``pip`` or ``conda``.

    `needless` is whether nothing of it is missed elsewhere.
    """

    path: Path
    by: str
    needless: bool


@dataclass(frozen=True, kw_only=True)
class Outside:
    """What comes before site-packages for the Python of the prefix, from outside of it."""

    python_path: str = ""
    user_site: Path | None = None
    shadowed: Sequence[ProjectName] = ()


def leftovers(prefix: Prefix) -> Iterator[Leftover]:
    """Everything in the prefix that a killed command left, in the order of who left it."""
    for path, by in _candidates(prefix):
        if is_settled(path):
            yield Leftover(path=path, by=by, needless=is_needless(path))


def is_settled(path: Path) -> bool:
    """Whether a leftover is there, and no running command can have made it."""
    try:
        # Renaming leaves the time of the content as it was, and sets this one.
        changed = path.lstat().st_ctime
    except FileNotFoundError:
        return False
    return time.time() - changed > _SETTLED_AFTER


def is_needless(path: Path) -> bool:
    """Whether nothing of a leftover is missed elsewhere, as things are now."""
    if path.name.endswith(RENAMED):
        original = _original(path)
        return original.exists() or original.is_symlink()
    return True


def _original(path: Path) -> Path:
    """What a file was called before conda renamed it."""
    return path.with_name(path.name.removesuffix(RENAMED))


def _candidates(prefix: Prefix) -> Iterator[tuple[Path, str]]:
    """What is named as a leftover, and who names them so."""
    if prefix.python is not None and prefix.python.site_packages.is_dir():
        # pip renames what it uninstalls: the first letters become tildes.
        for path in sorted(prefix.python.site_packages.glob("~*")):
            yield path, "pip"
    for path in _walk(prefix.path):
        # An editor's backup of main.c is called as conda calls a main that it is about to delete.
        file = _original(path).relative_to(prefix.path).as_posix()
        if path.name.endswith(TRASH) or file in prefix.owned_files:
            yield path, "conda"


def _walk(prefix: Path) -> Iterator[Path]:
    """The files that are named as conda renames them, in order."""
    for folder, folders, files in os.walk(prefix):
        if folder == str(prefix):
            folders[:] = [name for name in folders if name not in _NOT_OURS]
        folders.sort()
        for name in sorted(files):
            if name.endswith((RENAMED, TRASH)):
                yield Path(folder, name)


def count_unowned(prefix: Prefix, listed: Iterable[str]) -> int:
    """How many modules lie directly in site-packages that none of the `listed` paths is of."""
    python = prefix.python
    if python is None or not python.site_packages.is_dir():
        return 0
    site = python.site_packages.relative_to(prefix.path).as_posix() + "/"
    known = {path[len(site) :].partition("/")[0] for path in listed if path.startswith(site)}
    with os.scandir(python.site_packages) as entries:
        return sum(_is_module(entry) and entry.name not in known for entry in entries)


def _is_module(entry: os.DirEntry[str]) -> bool:
    if entry.is_dir():
        return entry.name.isidentifier() and entry.name != "__pycache__"
    return entry.name.endswith((".py", ".so", ".pyd"))


def outside(prefix: Prefix, environ: Mapping[str, str], home: Path) -> Outside:
    """What hides parts of the prefix from its Python, by variables and for this user."""
    python = prefix.python
    path = environ.get("PYTHONPATH", "")
    # A virtual environment does not see the user's site-packages (PEP 405).
    if python is None or python.is_venv or environ.get("PYTHONNOUSERSITE"):
        return Outside(python_path=path)
    site = _user_site(prefix, python, environ, home)
    if not site.is_dir():
        return Outside(python_path=path)
    folders = [entry.name for entry in site.iterdir() if entry.name.endswith(dists.METADATA_SUFFIXES)]
    there = {dists.project_of_folder(folder) for folder in folders}
    here = {dist.project for dist in prefix.dists}
    return Outside(python_path=path, user_site=site, shadowed=sorted(there & here))


def _user_site(prefix: Prefix, python: PythonInPrefix, environ: Mapping[str, str], home: Path) -> Path:
    """PEP 370."""
    minor = f"{python.version.major}.{python.version.minor}"
    if prefix.windows:
        base = Path(environ.get("PYTHONUSERBASE") or Path(environ.get("APPDATA", home)) / "Python")
        return base / f"Python{minor.replace('.', '')}" / "site-packages"
    base = Path(environ.get("PYTHONUSERBASE") or home / ".local")
    return base / "lib" / f"python{minor}" / "site-packages"
