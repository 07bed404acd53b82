"""Which prefix is meant, and whether it may be changed."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

from ..errors import PrefixError


def locate(
    name: str | None, prefix: Path | None, *, environ: Mapping[str, str], home: Path, running: Path
) -> Path:
    """The prefix that ``-n NAME`` or ``-p PREFIX`` means; without both, the `running` one.

    conda is not asked, since it may be absent. A name is looked up in the folders that conda and
    mamba announce in environment variables, then beside the running prefix, then in conda's list
    ``~/.conda/environments.txt``. Raises PrefixError where nothing, or more than one environment of
    that list, has the name.
    """
    if name is not None and prefix is not None:
        raise PrefixError(name, "an environment is chosen by name or by path, not by both")
    if prefix is not None:
        return prefix.expanduser().absolute()
    if name is None:
        return running
    if not name or re.search(r"[/\\]", name):
        raise PrefixError(name, "this cannot be the name of an environment", hint="Give a path with -p.")
    roots = _roots(environ, running)
    folders = (*_envs_dirs(environ), *(root / "envs" for root in roots))
    for place in roots if name == "base" else [folder / name for folder in folders]:
        if (place / "conda-meta").is_dir() and not (name == "base" and (place / "pyvenv.cfg").exists()):
            return place
    matches = [path for path in _listed(home) if path.name == name and (path / "conda-meta").is_dir()]
    if len(matches) > 1:
        several = ", ".join(str(path) for path in matches)
        raise PrefixError(name, f"several environments have this name: {several}", hint="Choose with -p.")
    if not matches:
        raise PrefixError(name, "no environment of this name was found", hint="Give its path with -p.")
    return matches[0]


def is_writable(prefix: Path) -> bool:
    """Whether this process may change the prefix: permissions let it, and it is not marked read-only.

    Permissions let root write anywhere; a folder that nobody may write to was closed on purpose.
    """
    folders = [folder for folder in (prefix, prefix / "conda-meta") if folder.exists()]
    marked = any(not folder.stat().st_mode & 0o222 for folder in folders)
    return not marked and all(os.access(folder, os.W_OK | os.X_OK) for folder in folders)


def refuse_system_python(prefix: Path) -> None:
    """Raises PrefixError unless the prefix is a conda environment or a virtual environment.

    PEP 668: an ``EXTERNALLY-MANAGED`` file beside the standard library says that installers must keep
    out, unless they run in a virtual environment. In a conda environment the file tells pip to leave
    the work to conda packages, which is what we make, so there it does not stop us.
    """
    if (prefix / "conda-meta").is_dir() or (prefix / "pyvenv.cfg").is_file():
        return
    managed = [*prefix.glob("lib/*/EXTERNALLY-MANAGED"), *prefix.glob("Lib/EXTERNALLY-MANAGED")]
    reason = "this Python is managed by the operating system" if managed else "this is not an environment"
    raise PrefixError(
        str(prefix),
        f"{reason} (it has neither conda-meta nor pyvenv.cfg)",
        hint="Choose an environment with -n or -p, or make one: python -m venv FOLDER",
    )


def _envs_dirs(environ: Mapping[str, str]) -> list[Path]:
    """conda's ``envs_dirs``, as far as environment variables tell them."""
    lists = (environ.get(key, "") for key in ("CONDA_ENVS_DIRS", "CONDA_ENVS_PATH"))
    return [Path(part).expanduser() for listed in lists for part in listed.split(os.pathsep) if part]


def _roots(environ: Mapping[str, str], running: Path) -> list[Path]:
    """Base environments: their ``envs`` folders hold the named ones."""
    roots = [running.parent.parent if running.parent.name == "envs" else running]
    if executable := environ.get("CONDA_EXE"):
        roots.append(Path(executable).parent.parent)
    if root := environ.get("MAMBA_ROOT_PREFIX"):
        roots.append(Path(root))
    return roots


def _listed(home: Path) -> list[Path]:
    file = home / ".conda" / "environments.txt"
    text = file.read_text(encoding="utf-8", errors="surrogateescape") if file.is_file() else ""
    return sorted({Path(line.strip()) for line in text.splitlines() if line.strip()})
