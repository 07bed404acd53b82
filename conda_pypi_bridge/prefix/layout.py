"""Where the files of an extracted conda package land in a prefix."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ..errors import PrefixError
from ..model import Plan, Row
from .environment import Prefix


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Where a prefix has the files of ``noarch: python`` packages: folders relative to it, with ``/``.

    `site_packages` is None where there is no Python.
    """

    site_packages: str | None
    windows: bool = False

    @property
    def scripts(self) -> str:
        """The folder of commands, for entry points and ``python-scripts/``."""
        return "Scripts" if self.windows else "bin"


def layout_of(prefix: Prefix, python: Row | None = None) -> Layout:
    """The layout of a prefix, or the one it will have with another `python`."""
    if python is not None:
        minor = ".".join(python.version.split(".")[:2])
        unix = f"lib/python{minor}{'t' if python.build.endswith('t') else ''}/site-packages"
        site: str | None = "Lib/site-packages" if prefix.windows else unix
    else:
        here = prefix.python
        site = here.site_packages.relative_to(prefix.path).as_posix() if here is not None else None
    return Layout(site_packages=site, windows=prefix.windows)


def refuse_clobbering(prefix: Prefix, plan: Plan, cache: Path) -> None:
    """Raises `PrefixError` where a package of the plan would write over another package's file.

    `cache` holds the plan's packages ready-extracted; those that it lacks are not looked at. Packages of
    an index may share a module's file (``tests/__init__.py``), as they do where pip places them.
    """
    going = {row.name for row in plan.unlink}
    owners = {
        file: (record["name"], str(record["name"]) in prefix.bridged_names)
        for record in prefix.conda_meta
        if record["name"] not in going
        for file in record.get("files", ())
    }
    for row in plan.link:
        if row.package is None:
            continue
        for path in placed_files(cache / row.package.dist, layout_of(prefix)):
            owner, ours = owners.get(path, ("", True))
            if owner and not (ours and "site-packages/" in path):
                reason = f"{row.name} {row.version} would write over {path}, which belongs to {owner}"
                raise PrefixError(str(prefix.path), reason, hint=f"Remove {owner} first, or do without it.")


def placed_files(package: Path, layout: Layout) -> Iterator[str]:
    """Paths, relative to the prefix, of the files that linking an extracted package places.

    CEP 20 and conda's ``noarch: python`` form: ``site-packages/`` and ``python-scripts/`` go where the
    prefix's Python has them, and entry points become scripts. Yields nothing for what is not there.
    """
    info = package / "info"
    if not (info / "paths.json").is_file():
        return
    link = json.loads((info / "link.json").read_text("utf-8")) if (info / "link.json").is_file() else {}
    noarch = link.get("noarch", {})
    python_form = noarch.get("type") == "python" and layout.site_packages is not None
    for entry in json.loads((info / "paths.json").read_text("utf-8"))["paths"]:
        path = str(entry["_path"])
        if python_form and path.startswith("site-packages/"):
            path = f"{layout.site_packages}/{path.removeprefix('site-packages/')}"
        elif python_form and path.startswith("python-scripts/"):
            path = f"{layout.scripts}/{path.removeprefix('python-scripts/')}"
        yield path
    for entry_point in noarch.get("entry_points", ()):
        name = entry_point.partition("=")[0].strip()
        yield f"{layout.scripts}/{name}"
        if layout.windows:
            yield from (f"{layout.scripts}/{name}.exe", f"{layout.scripts}/{name}-script.py")
