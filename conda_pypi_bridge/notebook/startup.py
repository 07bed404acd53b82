"""The start-up file that loads the bridge in every kernel of an environment. Standard library only.

IPython runs ``PREFIX/etc/ipython/startup/*.py`` in each kernel and terminal session of that environment,
whichever profile and extensions the user has. The file must never stop a kernel: whatever goes wrong, the
kernel starts without the bridge.
"""

from __future__ import annotations

import ast
import contextlib
import sys
from dataclasses import dataclass
from pathlib import Path

from ..errors import PrefixError
from . import files

#: Where the file is, relative to the prefix. The name sorts before those of other start-up files.
FILE = "etc/ipython/startup/00-conda-pypi-bridge.py"

#: The Pythons that the bridge runs with; under an older one the file does nothing.
MINIMUM = (3, 10)

_MARK = "# conda-pypi-bridge: start-up file.\n"

_NAMES = "_conda_pypi_bridge"

_TEMPLATE = (
    _MARK
    + """\
# It makes %conda in the kernels of this environment take from the package index what channels lack.
# `notebook enable` of conda-pypi-bridge wrote it, `notebook disable` deletes it, and so may you.
_conda_pypi_bridge = {recorded}


def _load_conda_pypi_bridge(folder):
    import os
    import sys
    from importlib.machinery import PathFinder
    from importlib.util import module_from_spec, spec_from_file_location

    name = "conda_pypi_bridge"
    if sys.version_info < {minimum}:
        return
    if name not in sys.modules:
        # The folder of a notebook is on sys.path too: opening one must not run what came along with it.
        here = os.path.realpath(os.curdir)
        places = [place for place in sys.path if place and os.path.realpath(place) != here]
        spec = PathFinder.find_spec(name, places)
        if spec is None or spec.origin is None:
            # By its path, so that nothing else of the other installation can be imported here.
            init = os.path.join(folder, "__init__.py")
            if not os.path.isfile(init):
                return
            spec = spec_from_file_location(name, init)
        sys.modules[name] = module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    get_ipython().extension_manager.load_extension(name + ".notebook")


try:
    _load_conda_pypi_bridge(_conda_pypi_bridge[0])
except BaseException as _conda_pypi_bridge:  # a kernel starts, whatever is broken here
    get_ipython().log.warning("conda-pypi-bridge was not loaded: %r", _conda_pypi_bridge)
else:
    del _conda_pypi_bridge
del _load_conda_pypi_bridge
"""
)


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """The installation that wrote a start-up file: the folder of the package, and its Python."""

    package: Path
    python: Path


def this_installation() -> Recorded:
    """The running one."""
    return Recorded(package=Path(__file__).resolve().parents[1], python=Path(sys.executable))


def text(recorded: Recorded) -> str:
    """The start-up file that loads the kernel environment's own bridge, else the recorded one."""
    pair = f"({str(recorded.package)!a}, {str(recorded.python)!a})"
    return _TEMPLATE.replace("{recorded}", pair).replace("{minimum}", repr(MINIMUM))


def read(prefix: Path) -> Recorded | None:
    """What the prefix's start-up file records, None where there is no file of ours."""
    content = _ours(prefix / FILE)
    for line in (content or "").splitlines():
        name, sign, value = line.partition(" = ")
        if name == _NAMES and sign:
            package, python = ast.literal_eval(value)
            return Recorded(package=Path(package), python=Path(python))
    return None


def write(prefix: Path, recorded: Recorded) -> bool:
    """Write the start-up file; returns whether anything changed.

    Raises `PrefixError` where somebody else's file has its name.
    """
    file, wanted = prefix / FILE, text(recorded)
    if file.exists() and _ours(file) is None:
        raise PrefixError(
            str(file), "this start-up file is not of conda-pypi-bridge", hint="Rename it or delete it."
        )
    if _ours(file) == wanted:
        return False
    files.write(file, wanted)
    return True


def remove(prefix: Path) -> bool:
    """Delete the start-up file, if it is ours, and the folders left empty; returns whether there was one."""
    file = prefix / FILE
    if _ours(file) is None:
        return False
    file.unlink()
    for folder in list(file.relative_to(prefix).parents)[:-1]:
        with contextlib.suppress(OSError):
            (prefix / folder).rmdir()
    return True


def bridge_python(prefix: Path) -> Path:
    """The Python that can run the bridge that this process has loaded.

    In a kernel whose environment lacks the bridge, that is the Python of the installation which the
    start-up file named; else the running one.
    """
    recorded = read(prefix)
    if recorded is not None and recorded.package == this_installation().package and recorded.python.exists():
        return recorded.python
    return Path(sys.executable)


def _ours(file: Path) -> str | None:
    """The text of a file that carries our mark, None where it does not or there is none."""
    try:
        content = file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    return content if content.startswith(_MARK) else None
