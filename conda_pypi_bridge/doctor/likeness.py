"""Whether what would take the place of pip's copies is the same: a private project and a public one may
share a name and a version.
"""

from __future__ import annotations

import base64
import shutil
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

from packaging.version import Version

from ..building.wheelfile import open_wheel
from ..building.wheelreader import DATA, SITE_PACKAGES
from ..errors import BridgeError
from ..index import Index
from ..model import InstalledDist, Plan, ProjectName, ProjectPage, Row, Wheel
from ..names import Names
from ..prefix import Prefix
from ..prefix.dists import record_rows

#: Files of a .dist-info folder that are the installer's own (PEP 376, 610, 710).
_OF_INSTALLERS = frozenset(["RECORD", "INSTALLER", "REQUESTED", "direct_url.json", "provenance_url.json"])

#: Folders of scripts, which installers write anew, and of headers, which each puts elsewhere.
_ELSEWHERE = frozenset(["bin", "Scripts", "include", "Include"])


class Unlike(BridgeError):
    """Something else would take the place of what pip placed; `reasons` says what, for each project."""

    def __init__(self, reasons: Mapping[ProjectName, str]) -> None:
        super().__init__("; ".join(reasons.values()))
        self.reasons = reasons


class IndexForRepair:
    """An index that has, of the projects in `versions`, that version alone.

    It keeps the wheels that were looked into in `folder`, so that none is fetched twice.
    """

    def __init__(self, index: Index, folder: Path, versions: Mapping[ProjectName, Version]) -> None:
        self._index = index
        self._folder = folder
        self._versions = versions

    def __getattr__(self, name: str) -> Any:
        return getattr(self._index, name)

    def page(self, project: ProjectName, *, named: bool = False) -> ProjectPage | None:
        """As `Index.page`."""
        page, version = self._index.page(project, named=named), self._versions.get(project)
        if page is None or version is None:
            return page
        return replace(page, wheels=tuple(wheel for wheel in page.wheels if wheel.version == version))

    def file(self, wheel: Wheel) -> Path:
        """The wheel's file. Raises as `Index.download` does."""
        kept = self._kept(wheel)
        if not kept.is_file():
            kept.parent.mkdir(exist_ok=True)
            self._index.download(wheel, kept)
        return kept

    def download(
        self, wheel: Wheel, destination: Path, progress: Callable[[int], None] | None = None
    ) -> Path:
        """As `Index.download`."""
        kept = self._kept(wheel)
        if not kept.is_file():
            return self._index.download(wheel, destination, progress)
        shutil.copyfile(kept, destination)
        if progress is not None:
            progress(kept.stat().st_size)
        return destination

    def _kept(self, wheel: Wheel) -> Path:
        return self._folder / wheel.sha256 / wheel.filename


def check(
    plan: Plan,
    dists: Sequence[InstalledDist],
    prefix: Prefix,
    names: Names,
    index: IndexForRepair,
    named: Collection[ProjectName],
) -> None:
    """Raises `Unlike` where a package of the plan is not what pip placed.

    What a channel has was built otherwise, and cannot be compared: it takes the place of those projects
    only that the user `named`.
    """
    coming = {row.name: row for row in plan.link}
    reasons: dict[ProjectName, str] = {}
    for dist in dists:
        row = coming.get(names.conda_name(dist.project))
        if row is not None and (reason := _difference(row, dist, prefix, index, named)):
            reasons[dist.project] = reason
    if reasons:
        raise Unlike(reasons)


def _difference(
    row: Row, dist: InstalledDist, prefix: Prefix, index: IndexForRepair, named: Collection[ProjectName]
) -> str:
    """Why a package is not to take the place of what pip placed; "" where it may."""
    wheel = row.package.wheel if row.package is not None else None
    if wheel is None:
        there = f"{row.channel} has {row.name} {row.version}, which cannot be compared with what pip placed"
        return "" if dist.project in named else f"{there}; name it to have it replaced"
    if wheel.version != dist.version:
        return f"{wheel.project} {wheel.version} would take the place of {dist.version}, which pip placed"
    if _offered(index.file(wheel), wheel, prefix) != _installed(dist, prefix):
        return f"the index has another {dist.project} {dist.version} than the one installed here"
    return ""


def _offered(path: Path, wheel: Wheel, prefix: Prefix) -> dict[str, str]:
    """Hashes of a wheel's files, by where they would be in the prefix."""
    roots = {SITE_PACKAGES: f"{_site(prefix)}/", DATA: ""}
    found: dict[str, str] = {}
    with open_wheel(path, wheel, allow_hooks=True) as opened:
        for member in opened.members:
            row = opened.record.get(member.entry.name)
            if row is not None and row.algorithm and member.root in roots:
                digest = base64.urlsafe_b64encode(row.digest).decode().rstrip("=")
                found[f"{roots[member.root]}{member.path}"] = f"{row.algorithm}={digest}"
    return {place: digest for place, digest in found.items() if _counts(place)}


def _installed(dist: InstalledDist, prefix: Prefix) -> dict[str, str]:
    """Hashes of an installed distribution's files, by where they are, as its RECORD has them (PEP 376)."""
    parents = (PurePosixPath(file).parent for file in dist.files if file.endswith(".dist-info/RECORD"))
    folders = [prefix.path / parent for parent in parents if parent.parent.as_posix() == _site(prefix)]
    rows = (row for folder in folders for row in record_rows(prefix.path, folder))
    return {path: digest.rstrip("=") for path, digest, _ in rows if digest and _counts(path)}


def _site(prefix: Prefix) -> str:
    assert prefix.python is not None  # there are no distributions without one
    return prefix.python.site_packages.relative_to(prefix.path).as_posix()


def _counts(place: str) -> bool:
    """Whether every installer places the file there as the wheel has it."""
    path = PurePosixPath(place)
    if path.parts[0] in _ELSEWHERE or path.parent.name == "__pycache__":
        return False
    return not (path.parent.suffix == ".dist-info" and path.name in _OF_INSTALLERS)
