"""The kernel's process made what ``conda activate`` would make of it. Standard library only.

``!python``, ``!pip``, ``%%bash`` and `subprocess` go by PATH and conda's variables, which a kernel inherits
from wherever Jupyter was started. What activation sets is set here, in the order that it has there, except
that the kernel's environment always comes first on PATH. Activation scripts need a shell: they are left to
the kernelspec. Where the kernel runs in a virtual environment, its own activation is followed instead.
"""

from __future__ import annotations

import ntpath
import posixpath
import re
from collections.abc import Iterator, Mapping, MutableMapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .condas import find_conda
from .files import mapping
from .options import switch

#: Changes to an environment; None removes a variable.
Changes = dict[str, "str | None"]

#: What conda writes for a variable that ``conda env config vars unset`` took out.
_UNSET = "***unset***"

#: MSYS2's environments, of which the first that a prefix has goes on PATH.
_MSYS = ("ucrt64", "clang64", "mingw64", "clangarm64")


@dataclass(frozen=True, kw_only=True)
class Target:
    """What activation needs to know of an environment; paths are text of its own platform.

    `root` is the conda installation, `conda` its command, `condabin` the folder for PATH, each "" where
    unknown. `variables` are those that the environment's packages and its user settled. `msys` is the
    MSYS2 environment it has (``"ucrt64"``), if any.
    """

    prefix: str
    windows: bool
    is_venv: bool = False
    root: str = ""
    conda: str = ""
    condabin: str = ""
    variables: Mapping[str, str] = field(default_factory=dict)
    msys: str = ""


def settle(prefix: Path, environ: MutableMapping[str, str], *, windows: bool) -> Changes:
    """Make the process agree with its environment, and return what was changed.

    Nothing is where ``plugins: pypi_bridge_notebook_shell: false`` says so, or the Python that runs is of no
    environment.
    """
    if not switch("notebook_shell", default=True, prefix=prefix, environ=environ):
        return {}
    target = read_target(prefix, environ, windows=windows)
    if target is None:
        return {}
    changes = agree(target, environ)
    for name, value in changes.items():
        if value is None:
            environ.pop(name, None)
        else:
            environ[name] = value
    return changes


def read_target(prefix: Path, environ: Mapping[str, str], *, windows: bool) -> Target | None:
    """The environment at `prefix`, None where there is neither a conda nor a virtual environment."""
    if is_venv(prefix):
        return Target(prefix=str(prefix), windows=windows, is_venv=True)
    if not (prefix / "conda-meta").is_dir():
        return None
    conda = find_conda(prefix, environ, windows=windows).found
    # A conda run from source starts with a Python, which is no command of its own.
    root = conda.root if conda and len(conda.argv) == 1 else None
    condabin = root / "condabin" if root and (root / "condabin").is_dir() else None
    return Target(
        prefix=str(prefix),
        windows=windows,
        root=str(root or ""),
        conda=conda.argv[0] if conda and root else "",
        condabin=str(condabin or ""),
        variables=variables(prefix),
        msys=next((name for name in _MSYS if (prefix / "Library" / name).is_dir()), "") if windows else "",
    )


def is_venv(prefix: Path) -> bool:
    """Whether that is a virtual environment (PEP 405)."""
    return (prefix / "pyvenv.cfg").is_file()


def agree(target: Target, environ: Mapping[str, str]) -> Changes:
    """The changes to `environ` that make it the target's; none where it is already. Pure."""
    wanted = _venv(target, environ) if target.is_venv else _conda(target, environ)
    return {name: value for name, value in wanted.items() if environ.get(name) != value}


def folders(prefix: str, *, windows: bool, msys: str = "") -> list[str]:
    """The folders that activation puts on PATH, first to last."""
    if not windows:
        return [posixpath.join(prefix, "bin")]
    library = [msys] if msys else []
    inside = [*(rf"Library\{name}\bin" for name in (*library, "mingw-w64", "usr")), r"Library\bin"]
    return [prefix, *(ntpath.join(prefix, part) for part in (*inside, "Scripts", "bin"))]


def scripts_folder(prefix: str, *, windows: bool) -> str:
    """The folder of a virtual environment that its activation puts on PATH."""
    return ntpath.join(prefix, "Scripts") if windows else posixpath.join(prefix, "bin")


def default_env(prefix: str, root: str, *, windows: bool) -> str:
    """CONDA_DEFAULT_ENV: ``base``, the name of an environment below ``envs``, else its path."""
    path = ntpath if windows else posixpath
    if root and _key(prefix, windows) == _key(root, windows):
        return "base"
    return path.basename(prefix) if path.basename(path.dirname(prefix)) == "envs" else prefix


def variables(prefix: Path) -> dict[str, str]:
    """Variables that activation sets: of packages (``etc/conda/env_vars.d``), then of the user.

    The user's are those of ``conda env config vars set``, in ``conda-meta/state``.
    """
    found: dict[str, Any] = {}
    for file in sorted((prefix / "etc" / "conda" / "env_vars.d").glob("*")):
        found.update(mapping(file) or {})
    settled = (mapping(prefix / "conda-meta" / "state") or {}).get("env_vars")
    found.update(settled if isinstance(settled, dict) else {})
    return {name: str(value) for name, value in found.items() if value != _UNSET}


def activation_scripts(prefix: Path, *, windows: bool) -> list[Path]:
    """The scripts of ``etc/conda/activate.d`` that the platform's shell runs, in conda's order."""
    return sorted((prefix / "etc" / "conda" / "activate.d").glob("*.bat" if windows else "*.sh"))


def _conda(target: Target, environ: Mapping[str, str]) -> Changes:
    """conda's ``activate``: a formerly active environment is replaced, and remembered for ``deactivate``."""
    name = default_env(target.prefix, target.root, windows=target.windows)
    level = _level(environ)
    former = environ.get("CONDA_PREFIX", "")
    inside = _key(former, target.windows) == _key(target.prefix, target.windows)
    wanted: Changes = {
        "PATH": _path(target, environ),
        "CONDA_PREFIX": target.prefix,
        "CONDA_SHLVL": str(max(level, 1) if inside else level + 1),
        "CONDA_DEFAULT_ENV": name,
        "CONDA_PROMPT_MODIFIER": f"({name}) ",
        # uv and others believe this one before CONDA_PREFIX.
        "VIRTUAL_ENV": None,
        "VIRTUAL_ENV_PROMPT": None,
    }
    if former and level and not inside:
        wanted[f"CONDA_PREFIX_{level}"] = former
    if target.conda and environ.get("CONDA_EXE") != target.conda:
        python = ntpath.join(target.root, "python.exe") if target.windows else f"{target.root}/bin/python"
        wanted |= {"CONDA_EXE": target.conda, "CONDA_PYTHON_EXE": python, "_CE_M": "", "_CE_CONDA": ""}
    for variable, value in target.variables.items():
        if not inside and variable in environ:
            wanted[f"__CONDA_SHLVL_{level}_{variable}"] = environ[variable]
        wanted[variable] = value
    return wanted


def _venv(target: Target, environ: Mapping[str, str]) -> Changes:
    """The ``activate`` script of a virtual environment."""
    path = ntpath if target.windows else posixpath
    return {
        "PATH": _path(target, environ),
        "VIRTUAL_ENV": target.prefix,
        "VIRTUAL_ENV_PROMPT": path.basename(target.prefix),
        "PYTHONHOME": None,
    }


def _path(target: Target, environ: Mapping[str, str]) -> str:
    """PATH with the target's own folders first, and those of a formerly active environment gone."""
    windows = target.windows
    if target.is_venv:
        own = [scripts_folder(target.prefix, windows=windows)]
        gone: list[str] = []
    else:
        own = folders(target.prefix, windows=windows, msys=target.msys)
        gone = list(_former_folders(environ.get("CONDA_PREFIX", ""), windows))
    if former := environ.get("VIRTUAL_ENV"):
        gone.append(scripts_folder(former, windows=windows))
    dropped = {_key(folder, windows) for folder in (*own, *gone)}
    separator = ";" if windows else ":"
    inherited = environ.get("PATH", "").split(separator) if environ.get("PATH") else []
    kept = [entry for entry in inherited if _key(entry, windows) not in dropped]
    known = {_key(entry, windows) for entry in kept}
    condabin = [target.condabin] if target.condabin and _key(target.condabin, windows) not in known else []
    return separator.join([*own, *condabin, *kept])


def _former_folders(prefix: str, windows: bool) -> Iterator[str]:
    """Every folder that an activation may have put on PATH, whichever MSYS2 environment it had."""
    if prefix:
        for msys in ("", *(_MSYS if windows else ())):
            yield from folders(prefix, windows=windows, msys=msys)


def _level(environ: Mapping[str, str]) -> int:
    text = environ.get("CONDA_SHLVL", "").strip()
    return int(text) if re.fullmatch(r"\d{1,4}", text) else 0


def _key(path: str, windows: bool) -> str:
    """What is equal of two spellings of one path; an empty entry of PATH stays what it is."""
    if not path:
        return ""
    return ntpath.normcase(ntpath.normpath(path)) if windows else posixpath.normpath(path)
