"""What lies in and around a prefix that no package placed there."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from ..model import CHANNEL, ProjectName
from . import dists
from .environment import Prefix
from .guard import lock_file
from .interpreter import PythonInPrefix

#: What conda calls a file that it is about to delete, and one that it could not delete.
_SET_ASIDE_BY_CONDA = (".c~", ".conda_trash")

#: Folders of a conda installation that hold other environments and its cache.
_NOT_OURS = {"envs", "pkgs"}


@dataclass(frozen=True, kw_only=True)
class Leftover:
    """What a command that was cut short left: `by` is ``pip``, ``conda`` or ``bridge``.

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
    for path in sorted(prefix.path.glob(f".{CHANNEL}-*")):
        yield Leftover(path=path, by="bridge", needless=not any(path.iterdir()))
    if prefix.python is not None and prefix.python.site_packages.is_dir():
        # pip renames what it uninstalls: the first letters become tildes.
        for path in sorted(prefix.python.site_packages.glob("~*")):
            yield Leftover(path=path, by="pip", needless=True)
    for path in _walk(prefix.path):
        original = path.with_name(path.name[: -len(".c~")])
        needless = not path.name.endswith(".c~") or original.exists() or original.is_symlink()
        yield Leftover(path=path, by="conda", needless=needless)


def _walk(prefix: Path) -> Iterator[Path]:
    """The files that conda renamed, in order."""
    for folder, folders, files in os.walk(prefix):
        if folder == str(prefix):
            folders[:] = [name for name in folders if name not in _NOT_OURS]
        folders.sort()
        for name in sorted(files):
            if name.endswith(_SET_ASIDE_BY_CONDA):
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


def is_busy(prefix: Path) -> bool:
    """Whether a process of the bridge holds the prefix."""
    lock = FileLock(lock_file(prefix))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return True
    lock.release()
    return False
