"""The Python of a prefix, told from files alone: no interpreter is started."""

from __future__ import annotations

import os
import platform
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packaging.version import InvalidVersion, Version

from ..errors import PrefixError

_LIB_FOLDER = re.compile(r"(?P<name>python|pypy|graalpy)(?P<minor>\d+\.\d+)(?P<threads>t?)")


@dataclass(frozen=True, kw_only=True)
class PythonInPrefix:
    """The Python that a prefix runs.

    `implementation` is ``sys.implementation.name``. `is_venv` is true of a virtual environment
    (PEP 405), whose interpreter belongs to another prefix. `free_threaded` is PEP 703.
    """

    version: Version
    implementation: str
    executable: Path
    site_packages: Path
    free_threaded: bool = False
    is_venv: bool = False


def conda_python(prefix: Path, record: Mapping[str, Any], *, windows: bool) -> PythonInPrefix:
    """The Python that conda installed, from its ``conda-meta`` record.

    Raises `PrefixError` for a version that cannot be read.
    """
    try:
        version = Version(str(record.get("version", "")))
    except InvalidVersion as error:
        raise PrefixError(str(prefix), f"its Python has a version that cannot be read: {error}") from error
    minor = f"{version.major}.{version.minor}"
    build = str(record.get("build", ""))
    implementation = next((name for name in ("pypy", "graalpy") if name in build), "cpython")
    folder = f"{'python' if implementation == 'cpython' else implementation}{minor}"
    # CEP 17: python_site_packages_path says where it is; without it, the usual place.
    site = record.get("python_site_packages_path") or (
        "Lib/site-packages" if windows else f"lib/{folder}/site-packages"
    )
    return PythonInPrefix(
        version=version,
        implementation=implementation,
        executable=prefix / ("python.exe" if windows else "bin/python"),
        site_packages=prefix / site,
        free_threaded=build.endswith(f"_cp{version.major}{version.minor}t"),
    )


def venv_python(prefix: Path, *, windows: bool) -> PythonInPrefix:
    """The Python of a virtual environment (PEP 405). Raises `PrefixError` where the environment is broken."""
    config = _pyvenv_cfg(prefix / "pyvenv.cfg")
    executable = prefix / ("Scripts/python.exe" if windows else "bin/python")
    if not executable.exists():
        raise PrefixError(
            str(prefix),
            f"the interpreter of this virtual environment is gone: {executable}",
            hint="Make the virtual environment anew.",
        )
    # venv writes `version`; virtualenv and uv write `version_info`, which may read 3.13.0.final.0.
    match = re.match(r"\d+\.\d+\.\d+", config.get("version_info") or config.get("version", ""))
    if match is None:
        raise PrefixError(str(prefix), "pyvenv.cfg does not tell the version of Python")
    version = Version(match[0])
    if windows:
        implementation = config.get("implementation", "cpython").lower()
        site, free_threaded = prefix / "Lib" / "site-packages", False
    else:
        folder = _lib_folder(prefix, version)
        implementation = folder["name"].replace("python", "cpython")
        site, free_threaded = prefix / "lib" / folder[0] / "site-packages", bool(folder["threads"])
    return PythonInPrefix(
        version=version,
        implementation=implementation,
        executable=executable,
        site_packages=site,
        free_threaded=free_threaded,
        is_venv=True,
    )


def _lib_folder(prefix: Path, version: Version) -> re.Match[str]:
    """The folder of ``lib`` that holds the site-packages of that version."""
    names = sorted(path.parent.name for path in prefix.glob("lib/*/site-packages"))
    minor = f"{version.major}.{version.minor}"
    fitting = [match for name in names if (match := _LIB_FOLDER.fullmatch(name)) and match["minor"] == minor]
    if len(fitting) != 1:
        found = ", ".join(names) or "none"
        raise PrefixError(str(prefix), f"no single site-packages folder for Python {minor} (found: {found})")
    return fitting[0]


def _pyvenv_cfg(file: Path) -> dict[str, str]:
    """PEP 405: lines of ``key = value``; `site` reads the keys without regard to case."""
    text = file.read_text(encoding="utf-8", errors="replace")  # of what is read here all is ASCII
    pairs = (line.partition("=") for line in text.splitlines())
    return {key.strip().lower(): value.strip() for key, sign, value in pairs if sign}


def own_subdir() -> str:
    """conda's name of the platform that the running Python is made for, such as ``linux-64``."""
    return subdir_of(sys.platform, platform.machine(), wide=sys.maxsize > 2**32)


def subdir_of(system: str, machine: str, *, wide: bool) -> str:
    """conda's name of a platform, of `sys.platform` and `platform.machine`; `wide` tells of 64 bits."""
    system = {"darwin": "osx", "win32": "win"}.get(system, system)
    arch = machine.lower()
    if arch in ("x86_64", "amd64", "i386", "i486", "i586", "i686", "x86"):
        arch = "64" if wide and arch.endswith("64") else "32"
    elif not wide and arch in ("aarch64", "armv8l"):  # a kernel of 64 bits below a Python of 32
        arch = "armv7l"
    return f"{system}-{arch}"


def own_glibc(environ: Mapping[str, str]) -> str:
    """The version of the C library that runs this process; "" where it is none of GNU, or overridden.

    conda's ``CONDA_OVERRIDE_GLIBC`` is for the engines to understand.
    """
    if "CONDA_OVERRIDE_GLIBC" in environ or "CS_GNU_LIBC_VERSION" not in getattr(os, "confstr_names", ()):
        return ""
    name, _, version = (os.confstr("CS_GNU_LIBC_VERSION") or "").partition(" ")
    return version if name == "glibc" else ""


def native_markers(subdir: str) -> dict[str, str]:
    """The PEP 508 variables that only this machine can tell, where it is of the target's platform."""
    if subdir != own_subdir():
        return {}
    return {"platform_release": platform.release(), "platform_version": platform.version()}
