"""Debian's Python as a stand-in for conda's: a copy that installs where CPython's own source does.

Debian's Python installs into, and imports from, ``dist-packages``, wherever it is copied to, unless it
runs in a virtual environment. Two seams undo that. `sysconfig._get_preferred_schemes` is what
redistributors change (so the documentation of `sysconfig`): the copy's is overridden. ``site.py`` cannot
be edited, for since Python 3.11 `site` is frozen into the executable; but it imports ``sitecustomize``,
which Debian keeps in the standard library: the copy has one of its own there.

A package with a ``pyvenv.cfg`` would be simpler, but no stand-in: conda's Pythons have the same
``sys.prefix`` and ``sys.base_prefix``, by which pip, uv and others tell that they are not in a virtual
environment, and a standard library of their own.
"""

from __future__ import annotations

import re
from pathlib import Path

from tests.lab.channels import Content, Placed

#: Of Debian's standard library: its hook of `site`, and what it tells setuptools about its layout.
LEFT_OUT = re.compile(r"(^|/)dist-packages/|^sitecustomize\.py$|^_distutils_system_mod\.py$")

SITECUSTOMIZE = '''\
"""site-packages, where CPython's own source has it; virtual environments have it in any case."""

import os
import site
import sys


def getsitepackages(prefixes=None):
    """A list of all global site-packages directories."""
    found = dict.fromkeys(filter(None, site.PREFIXES if prefixes is None else prefixes))
    minor = "python%d.%d" % sys.version_info[:2]
    return [os.path.join(prefix, "lib", minor, "site-packages") for prefix in found]


if sys.prefix == sys.base_prefix:
    site.getsitepackages = getsitepackages
    for folder in getsitepackages():
        site.addsitedir(folder)
'''

#: What conda replaces with the path of the prefix. ``/usr`` itself stands for other things as well.
PLACEHOLDER = "/prefix_of_the_laboratory"

#: Debian's folder of libraries of one platform, which conda's Pythons do not have.
_MULTIARCH = re.compile(r"/usr/lib/\w+-linux-gnu\w*")

#: Where this Python is; but time zones, pip's wheel and ``install`` are found where Debian has them.
_BASE = re.compile(r"/usr(?!/share|/bin/)")

_SCHEMES = """\
for _name in ("deb_system", "posix_local"):
    del _INSTALL_SCHEMES[_name]


def _get_preferred_schemes():
    return {"prefix": "posix_prefix", "home": "posix_home", "user": "posix_user"}


"""

#: What `_SCHEMES` goes before: from here on, the preferred scheme is a default argument.
_NEXT = "def get_preferred_scheme("


def edited(name: str, file: Path) -> Content:
    """A file of the standard library as the copy has it; `name` is relative to the library.

    ``_sysconfigdata`` tells builders where the headers and libraries are: in the prefix.
    """
    # `sysconfig` is a package since Python 3.13.
    if name in ("sysconfig.py", "sysconfig/__init__.py"):
        before, sign, after = file.read_text("utf-8").partition(_NEXT)
        assert sign, f"{file} is not the sysconfig that this knows"
        return before + _SCHEMES + sign + after
    if name.startswith("_sysconfigdata"):
        text = _MULTIARCH.sub("/usr/lib", file.read_text("utf-8"))
        return Placed(_BASE.sub(PLACEHOLDER, text).encode(), PLACEHOLDER)
    return file
