"""What there is: programs on PATH, what a Python imports, who placed it. Standard library only.

A kernel asks of itself, so everything here works whatever its environment has.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import PrefixError
from . import _probe, kernelspec
from .changes import owner_of, source_of
from .condas import is_program
from .shell import is_venv

_PROGRAMS = ("python", "pip", "conda")


@dataclass(frozen=True, kw_only=True)
class Program:
    """A program on PATH, and the environment that it belongs to."""

    name: str
    path: Path
    prefix: Path


@dataclass(frozen=True, kw_only=True)
class Distribution:
    """A distribution and who placed it.

    `placed_by` is ``conda (channel NAME)``, ``conda-pypi-bridge (PyPI)``, or what its INSTALLER file says.
    """

    name: str
    version: str
    folder: Path
    placed_by: str
    by_conda: bool
    editable: bool


@dataclass(frozen=True, kw_only=True)
class Package:
    """What a name is to a Python. `file` is what would be imported, "" where nothing would.

    `copies` are all the files on sys.path that the name leads to, first the one that counts; `loaded` is
    the one that a kernel has already imported. `owner` is the conda package that placed `file`.
    """

    asked: str
    module: str
    file: str
    copies: tuple[str, ...]
    loaded: str
    dists: tuple[Distribution, ...]
    owner: str
    placed_by: str


@dataclass(frozen=True, kw_only=True)
class Spec:
    """An installed kernelspec, and the environment it starts; None where the server's PATH decides."""

    name: str
    display_name: str
    folder: Path
    python: Path | None
    prefix: Path | None


@dataclass(frozen=True, kw_only=True)
class Mismatch:
    """Something that does not agree, and what to do about it, one line each."""

    what: str
    fix: str


@dataclass(frozen=True, kw_only=True)
class Report:
    """`in_kernel` is whether the Python that is described is the one that runs."""

    prefix: Path
    python: Path
    version: str
    in_kernel: bool
    active: Path | None
    loads_bridge: bool
    conda: str
    programs: tuple[Program, ...]
    sys_path: tuple[str, ...]
    kernelspecs: tuple[Spec, ...]
    package: Package | None
    mismatches: tuple[Mismatch, ...]


def programs(path: str, *, windows: bool = os.name == "nt") -> Iterator[Program]:
    """Every python, pip and conda on a PATH, in its order; ``python3`` where a folder has no ``python``."""
    endings = (".exe", ".bat") if windows else ("",)
    for entry in dict.fromkeys(part for part in path.split(os.pathsep) if part):
        for name in _PROGRAMS:
            spellings = [name, "python3"] if name == "python" else [name]
            files = (Path(entry) / (spelling + ending) for spelling in spellings for ending in endings)
            file = next(filter(is_program, files), None)
            if file is not None:
                yield Program(name=name, path=file, prefix=kernelspec.prefix_of(file))


def ask(prefix: Path, environ: Mapping[str, str], package: str | None, windows: bool) -> dict[str, Any]:
    """What the environment's own Python says of itself: the document that `_probe.look` makes.

    Raises `PrefixError` where there is no Python, or none that runs and answers within a minute.
    """
    if windows:
        inside = prefix / "Scripts" / "python.exe"
        python = inside if is_venv(prefix) else prefix / "python.exe"
    else:
        python = prefix / "bin" / "python"
    if not python.exists():
        raise PrefixError(str(prefix), "this environment has no Python")
    command = [str(python), _probe.__file__, *([package] if package else [])]
    try:
        done = subprocess.run(
            command, env=dict(environ), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60
        )
        found: dict[str, Any] = json.loads(done.stdout)
    except (OSError, ValueError, subprocess.TimeoutExpired) as error:
        raise PrefixError(str(python), "this Python does not run") from error
    return found


def package_of(prefix: Path, found: Mapping[str, Any]) -> Package:
    """The probe's findings on a name, with who placed what."""
    dists = tuple(_distribution(prefix, dist) for dist in found["dists"])
    owner = owner_of(prefix, [Path(found["file"])]) if found["file"] else None
    return Package(
        asked=found["asked"],
        module=found["module"],
        file=found["file"],
        copies=tuple(found["copies"]),
        loaded=found["loaded"],
        dists=dists,
        owner=f"{owner['name']} {owner.get('version', '')}" if owner else "",
        placed_by=_placer(owner) if owner else "",
    )


def _distribution(prefix: Path, dist: Mapping[str, Any]) -> Distribution:
    folder = Path(dist["folder"])
    owner = owner_of(prefix, [folder / "METADATA", folder / "PKG-INFO", folder])
    return Distribution(
        name=dist["name"],
        version=dist["version"],
        folder=folder,
        placed_by=_placer(owner) if owner else dist["installer"] or "an unknown installer",
        by_conda=owner is not None,
        editable=dist["editable"],
    )


def _placer(record: Mapping[str, Any]) -> str:
    """Who makes packages of that record: ``conda-pypi-bridge (PyPI)`` or ``conda (channel NAME)``."""
    source = source_of(record)
    return f"conda-pypi-bridge ({source})" if source == "PyPI" else f"conda ({source or 'no channel'})"
