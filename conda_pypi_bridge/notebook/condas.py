"""Which conda serves an environment, wherever the kernel was started from. Standard library only.

A kernel's environment seldom holds a conda, and a Jupyter that was started from elsewhere does not
announce the one that made it. So every place that can tell is asked, the surest first.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

_DISTRIBUTION = "conda-pypi-bridge"

#: Where an installation keeps the command, by platform; the first one serves even without activation.
_COMMANDS = {
    False: ("bin/conda", "condabin/conda"),
    True: ("Scripts/conda.exe", "condabin/conda.bat", "Library/bin/conda.bat"),
}

#: ``# cmd: /base/bin/conda create -n x``: the path may hold spaces, but an option is past its end.
_COMMAND_LINE = (
    r"#\s*cmd:\s*(?P<program>(?:/|[A-Za-z]:\\)(?:(?!\s-).)*?[/\\](?:conda|mamba|__main__)[\w.-]*)(?:\s|$)"
)

#: What lies between an installation and its programs: ``bin/mamba``, ``.../site-packages/conda/__main__.py``.
_INSIDE = r"[/\\](?:bin|condabin|Scripts|(?:lib[/\\]python3\.\d+t?|Lib)[/\\]site-packages[/\\]conda)$"


@dataclass(frozen=True, kw_only=True)
class CondaProgram:
    """A conda command. `argv` is what starts it.

    `found_by` is ``"CONDA_EXE"``, ``"the environment's place"``, ``"its history"`` or ``"PATH"``.
    """

    argv: tuple[str, ...]
    found_by: str
    windows: bool

    @cached_property
    def root(self) -> Path:
        """Its installation: ``/base`` of ``/base/bin/conda``, links followed where needed."""
        program = Path(self.argv[0])
        for path in (program, program.resolve()):
            if (path.parent.parent / "conda-meta").is_dir():
                return path.parent.parent
        return program.parent.parent

    @cached_property
    def has_bridge(self) -> bool:
        """Whether its installation has this package, so that its conda loads our plugin.

        An installation, editable or not, puts its metadata into site-packages. Only where a ``.pth`` file
        adds further folders must its Python be asked.
        """
        root = self.root
        pattern = "Lib/site-packages" if self.windows else "lib/python3*/site-packages"
        sites = sorted(root.glob(pattern))
        if any(any(site.glob(f"{_DISTRIBUTION.replace('-', '_')}-*.dist-info")) for site in sites):
            return True
        python = root / ("python.exe" if self.windows else "bin/python")
        return any(any(site.glob("*.pth")) for site in sites) and is_program(python) and _asked(python)


@dataclass(frozen=True, kw_only=True)
class Search:
    """`tried` are sentences without a full stop: a place that had no conda, and why not."""

    found: CondaProgram | None
    tried: tuple[str, ...]


def find_conda(prefix: Path, environ: Mapping[str, str], *, windows: bool = os.name == "nt") -> Search:
    """The conda for an environment: of CONDA_EXE, its place, its history, or PATH; the first that exists.

    It starts no process, so a kernel can afford it at every start.
    """
    tried: list[str] = []
    for found_by, argv, why_not in _candidates(prefix, environ, windows):
        if argv:
            program = CondaProgram(argv=argv, found_by=found_by, windows=windows)
            return Search(found=program, tried=tuple(tried))
        tried.append(why_not)
    return Search(found=None, tried=tuple(tried))


def _candidates(
    prefix: Path, environ: Mapping[str, str], windows: bool
) -> Iterator[tuple[str, tuple[str, ...], str]]:
    """(where it was found, argv, why there is none): argv is empty where there is none."""
    yield "CONDA_EXE", *_announced(environ)
    for root in _places(prefix):
        program = _command_in(root, windows)
        yield "the environment's place", (str(program),) if program else (), f"there is no conda in {root}"
    for path in dict.fromkeys(_history(prefix)):
        program = _near(path, windows)
        why_not = f"conda-meta/history names {path}, which is not there"
        yield "its history", (str(program),) if program else (), why_not
    on_path = _on_path(environ, windows)
    yield "PATH", (str(on_path),) if on_path else (), "no folder of PATH has a conda"


def _announced(environ: Mapping[str, str]) -> tuple[tuple[str, ...], str]:
    """What conda's activation tells: CONDA_EXE, and for a conda run from source how to start it."""
    named = environ.get("CONDA_EXE", "")
    if not named:
        return (), "CONDA_EXE is not set"
    if not Path(named).is_absolute():
        return (), f"CONDA_EXE names {named}, which is no absolute path"
    if not is_program(Path(named)):
        return (), f"CONDA_EXE names {named}, which is not there"
    module = (environ.get("_CE_M", ""), environ.get("_CE_CONDA", ""))
    return (named, *(module if all(module) else ())), ""


def _on_path(environ: Mapping[str, str], windows: bool) -> Path | None:
    """The first conda on PATH, relative folders aside: a notebook's folder may hold one of anybody's.

    `shutil.which` would look there, for an empty entry, and on Windows before any other.
    """
    endings = environ.get("PATHEXT", ".COM;.EXE;.BAT;.CMD").lower().split(";") if windows else [""]
    folders = [Path(entry) for entry in environ.get("PATH", "").split(os.pathsep)]
    files = (folder / f"conda{end}" for folder in folders if folder.is_absolute() for end in endings)
    return next(filter(is_program, files), None)


def _places(prefix: Path) -> Iterator[Path]:
    """The installations that an environment may belong to by where it lies."""
    if prefix.parent.name == "envs":
        yield prefix.parent.parent
    if (prefix / "conda-meta").is_dir():
        yield prefix


def _history(prefix: Path) -> Iterator[str]:
    """The programs that changed the environment, the last one first."""
    try:
        text = (prefix / "conda-meta" / "history").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return
    for line in reversed(text.splitlines()):
        if match := re.match(_COMMAND_LINE, line):
            yield match["program"]


def _near(program: str, windows: bool) -> Path | None:
    """The conda command of the installation that a program of conda's is or was in."""
    root, changed = re.subn(_INSIDE, "", re.split(r"[/\\](?=[^/\\]*$)", program)[0])
    return _command_in(Path(root), windows) if changed else None


def _command_in(root: Path, windows: bool) -> Path | None:
    """The conda command of an installation, None where it has none."""
    return next((root / name for name in _COMMANDS[windows] if is_program(root / name)), None)


def _asked(python: Path) -> bool:
    code = f"import importlib.metadata as m; m.version({_DISTRIBUTION!r})"
    try:
        done = subprocess.run(
            [python, "-I", "-c", code], stdin=subprocess.DEVNULL, capture_output=True, timeout=10
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def is_program(path: Path) -> bool:
    """Whether this user can run that file; a folder that is closed to them raises nothing."""
    return os.access(path, os.X_OK) and path.is_file()
