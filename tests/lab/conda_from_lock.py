"""Run the conda that conda-lock vendors (24.7.1) under its own name: ``conda_from_lock.py ARGS...``.

PyPI has no current conda, but conda-lock carries a complete one, renamed ``conda_lock._vendor.conda``.
Plugins import ``conda``, so importing this module gives the vendored tree its own name back: the
modules are loaded *as* ``conda.*``, and the few absolute imports of the vendored name lead to those
same modules. Entry points of the group ``conda`` are found as in any conda, because
`importlib.metadata` sees the distributions of the interpreter that runs this.

conda-lock leaves out conda's shell scripts, so ``conda run`` and ``conda shell.posix hook`` fail here.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType

PARENTS = ("conda_lock", "conda_lock._vendor")
VENDORED = "conda_lock._vendor.conda"


class VendoredConda:
    """Finds ``conda`` in conda-lock's vendor folder, and makes the vendored name an alias of it.

    A finder and loader without their abstract bases, which cost every process 15 ms.
    """

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname == "conda":
            return PathFinder.find_spec("conda", _folders("conda_lock._vendor"))
        if fullname == VENDORED or fullname.startswith(VENDORED + "."):
            return ModuleSpec(fullname, self)  # type: ignore[arg-type]
        if fullname in PARENTS:
            # Bare packages: conda-lock's own code takes 0.3 s to import, and conda uses none of it.
            spec = ModuleSpec(fullname, None, is_package=True)
            spec.submodule_search_locations = _folders(fullname)
            return spec
        return None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        module = importlib.import_module("conda" + spec.name.removeprefix(VENDORED))
        # The import system stamps the alias's spec on the module; `exec_module` restores its own.
        self._own_spec = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__ = self._own_spec


def _folders(package: str) -> list[str]:
    """The folders of a package, found without running its code."""
    parent, _, _ = package.rpartition(".")
    spec = PathFinder.find_spec(package, _folders(parent) if parent else None)
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError(f"no {package}: the laboratory's conda is in conda-lock (test extra)")
    return list(spec.submodule_search_locations)


# At import, not in `main`: worker processes that conda spawns import this file and unpickle ``conda``.
sys.meta_path.insert(0, VendoredConda())

if sys.version_info >= (3, 13):
    # conda 24.7.1 takes logging's module lock through two functions that Python 3.13 removed.
    import logging

    logging._acquireLock = logging._lock.acquire  # type: ignore[attr-defined]
    logging._releaseLock = logging._lock.release  # type: ignore[attr-defined]


def main() -> int:
    """Run ``conda`` with this process's arguments; returns its exit status."""
    from conda.cli import main as conda_main

    sys.argv[0] = "conda"
    return int(conda_main() or 0)


if __name__ == "__main__":
    # The script's folder holds modules of the laboratory, which conda must not see as top-level ones.
    sys.path.pop(0)
    sys.exit(main())
