"""A prefix as its files describe it."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from ..errors import PrefixError
from ..model import CHANNEL, CondaName, InstalledDist, ProjectName
from ..tags import marker_environment
from . import dists, history, interpreter, provenance
from .provenance import Provenance

_METADATA_FILE = re.compile(r"(?P<folder>[^/]+\.(?:dist|egg)-info)(?:/(?:METADATA|RECORD|PKG-INFO))?")


@dataclass(frozen=True)
class Prefix:
    """The prefix at an absolute `path`; every part is read when first asked for, then kept.

    `windows` says which of the two file layouts it has.
    """

    path: Path
    windows: bool = os.name == "nt"

    def forget(self) -> None:
        """Read everything anew when asked next: another process has changed the prefix."""
        given = {field.name for field in fields(self)}
        for name in [name for name in vars(self) if name not in given]:
            del self.__dict__[name]

    @cached_property
    def _records_as_read(self) -> frozenset[tuple[str, int, int]]:
        return self._records_now()

    def _records_now(self) -> frozenset[tuple[str, int, int]]:
        files = [(file, file.stat()) for file in (self.path / "conda-meta").glob("*.json")]
        return frozenset((file.name, status.st_mtime_ns, status.st_ino) for file, status in files)

    @property
    def outdated(self) -> bool:
        """Whether the records are others than those that were read."""
        return "conda_meta" in vars(self) and self._records_as_read != self._records_now()

    @cached_property
    def conda_meta(self) -> tuple[Mapping[str, Any], ...]:
        """The records of ``conda-meta/*.json``, in the order of their file names."""
        assert self._records_as_read is not None  # taken first: what changes meanwhile is noticed
        return tuple(read_record(file) for file in sorted((self.path / "conda-meta").glob("*.json")))

    def packages_now(self) -> frozenset[str]:
        """The names of the records' files, as they are at this moment."""
        return frozenset(file.name for file in (self.path / "conda-meta").glob("*.json"))

    @cached_property
    def python(self) -> interpreter.PythonInPrefix | None:
        """The Python of this prefix, None where it has none."""
        record = next((record for record in self.conda_meta if record["name"] == "python"), None)
        # A python record that placed no file stands for the interpreter of an adopted venv.
        if record is not None and record.get("files"):
            return interpreter.conda_python(self.path, record, windows=self.windows)
        if (self.path / "pyvenv.cfg").is_file():
            return interpreter.venv_python(self.path, windows=self.windows)
        return None

    def markers(self, subdir: str) -> Mapping[str, str]:
        """The PEP 508 environment of this Python on the platform `subdir`; empty where there is no Python.

        Raises `ConfigError` for a platform or implementation that has no wheels.
        """
        if self.python is None:
            return {}
        known = marker_environment(self.python.version, subdir, self.python.implementation)
        return {**known, **interpreter.native_markers(subdir)}

    @cached_property
    def dists(self) -> tuple[InstalledDist, ...]:
        """The distributions directly in site-packages, in the order of their folders' names.

        What cannot be read as one is left out.
        """
        return tuple(dist for _, dist in self._dists_as_read)

    def provenance(self) -> Iterator[tuple[InstalledDist, Provenance]]:
        """Each of `dists`, with where it came from as its own files tell."""
        for folder, dist in self._dists_as_read:
            yield dist, provenance.read(folder)

    @cached_property
    def _dists_as_read(self) -> Sequence[tuple[Path, InstalledDist]]:
        """Each metadata folder with its distribution."""
        if self.python is None or not self.python.site_packages.is_dir():
            return ()
        owners = {folder: name for name, folder in self.metadata_folders}
        folders = sorted(self.python.site_packages.iterdir())
        found = (
            (folder, dists.read_dist(self.path, folder, owners.get(folder.name))[0])
            for folder in folders
            if folder.name.endswith(dists.METADATA_SUFFIXES)
        )
        return [(folder, dist) for folder, dist in found if dist is not None]

    @cached_property
    def bridged_names(self) -> frozenset[CondaName]:
        """The conda packages that came from an index through the bridge."""
        ours = (record["name"] for record in self.conda_meta if record.get("channel") == CHANNEL)
        return frozenset(map(CondaName, ours))

    @cached_property
    def broken(self) -> frozenset[CondaName]:
        """Packages of the bridge whose distribution is gone: something else deleted it."""
        python = {record["name"] for record in self.conda_meta if record.get("noarch") == "python"}
        owners = {dist.owner for dist in self.dists}
        return frozenset(name for name in self.bridged_names if name in python and name not in owners)

    @cached_property
    def _versions(self) -> Mapping[ProjectName, Version]:
        return {dist.project: dist.version for dist in self.dists}

    def holding(self, dist: InstalledDist) -> list[Requirement]:
        """Those requirements of a distribution that hold now, extras apart."""
        present = self._versions

        def holds(requirement: Requirement) -> bool:
            version = present.get(ProjectName(canonicalize_name(requirement.name)))
            optional = requirement.marker is not None and "extra" in str(requirement.marker)
            met = version is not None and requirement.specifier.contains(version, prereleases=True)
            return met and not optional

        return [requirement for requirement in dist.requires if holds(requirement)]

    @property
    def held_by_pip(self) -> Iterator[tuple[InstalledDist, Requirement]]:
        """What pip placed, with each of its requirements that holds now."""
        for dist in self.dists:
            if dist.owner is None:
                yield from ((dist, requirement) for requirement in self.holding(dist))

    @property
    def bridged(self) -> tuple[ProjectName, ...]:
        """The projects that these packages hold."""
        return tuple(dist.project for dist in self.dists if dist.owner in self.bridged_names)

    @cached_property
    def origins(self) -> Mapping[ProjectName, str]:
        """The index that each of these projects came from, where its files tell."""
        if self.python is None:
            return {}
        site = self.python.site_packages
        folders = {folder for name, folder in self.metadata_folders if name in self.bridged_names}
        found = {dists.project_of_folder(folder): provenance.read(site / folder).index for folder in folders}
        return {project: url for project, url in found.items() if url}

    @cached_property
    def owned_files(self) -> frozenset[str]:
        """The paths, relative to the prefix, that conda packages placed."""
        return frozenset(file for record in self.conda_meta for file in record.get("files", ()))

    @property
    def packages(self) -> Iterator[str]:
        """``name-version-build`` of the conda packages, as the files of their records are named."""
        for record in self.conda_meta:
            yield f"{record['name']}-{record.get('version')}-{record.get('build')}"

    @cached_property
    def files_of_package(self) -> Mapping[CondaName, tuple[str, ...]]:
        """The paths, relative to the prefix, that each conda package placed."""
        return {CondaName(record["name"]): tuple(record.get("files", ())) for record in self.conda_meta}

    @cached_property
    def requested(self) -> dict[str, str]:
        """Name -> spec of the installed packages that were asked for by name.

        ``conda-meta/history`` tells; for a package that it does not mention, the record itself does
        (rattler and its kin leave the history empty).
        """
        asked = {
            record["name"]: spec
            for record in self.conda_meta
            for spec in (record.get("requested_spec"), *record.get("requested_specs", ()))
            # conda writes the word None for packages that nobody asked for.
            if spec and spec != "None"
        }
        asked.update(history.requested_specs(_text(self.path / "conda-meta" / "history")))
        installed = {record["name"] for record in self.conda_meta}
        return {name: spec for name, spec in asked.items() if name in installed}

    @cached_property
    def pinned(self) -> tuple[str, ...]:
        """The specs of ``conda-meta/pinned``."""
        lines = (line.strip() for line in _text(self.path / "conda-meta" / "pinned").splitlines())
        return tuple(line for line in lines if line and not line.startswith("#"))

    @cached_property
    def frozen(self) -> str | None:
        """The message of a frozen environment ("" where it gives none), None where it is not frozen.

        CEP 22: the environment is protected while ``conda-meta/frozen`` exists; the file is empty,
        or JSON whose ``message`` is for the user.
        """
        file = self.path / "conda-meta" / "frozen"
        if not file.is_file():
            return None
        try:
            document = json.loads(_text(file))
        except ValueError:
            return ""
        message = document.get("message") if isinstance(document, dict) else None
        return message if isinstance(message, str) else ""

    @cached_property
    def metadata_folders(self) -> Sequence[tuple[CondaName, str]]:
        """(conda package, name of a metadata folder that it placed directly in site-packages).

        Deeper ones belong to vendored copies, which nothing else can import.
        """
        return [] if self.python is None else list(self._metadata_folders(self.python.site_packages))

    def _metadata_folders(self, site_packages: Path) -> Iterator[tuple[CondaName, str]]:
        site = site_packages.relative_to(self.path).as_posix() + "/"
        for record in self.conda_meta:
            for path in _paths(record):
                if "-info" not in path:  # of tens of thousands, nearly all
                    continue
                inside = path.removeprefix(site).removeprefix("site-packages/")
                if inside != path and (match := _METADATA_FILE.fullmatch(inside)):
                    yield CondaName(record["name"]), match["folder"]


def read_prefix(prefix: Path, *, windows: bool = os.name == "nt") -> Prefix:
    """The prefix at that path. Raises PrefixError where there is no such folder."""
    if not prefix.is_dir():
        raise PrefixError(
            str(prefix), "there is no environment here", hint="Check -n or -p, or create it first."
        )
    return Prefix(prefix.absolute(), windows)


def dist_mapping(prefix: Prefix) -> dict[ProjectName, CondaName]:
    """Which conda package holds which project, as the installed packages' own files say.

    A project that two conda packages claim is left out: the mapping is for certain names only.
    """
    claims: dict[ProjectName, set[CondaName]] = {}
    for conda_name, folder in prefix.metadata_folders:
        claims.setdefault(dists.project_of_folder(folder), set()).add(conda_name)
    return {project: names.pop() for project, names in claims.items() if len(names) == 1}


def read_record(file: Path) -> Mapping[str, Any]:
    """A record of ``conda-meta``. Raises PrefixError where it cannot be read as one."""
    try:
        record = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise PrefixError(str(file), f"the record of a conda package cannot be read: {error}") from error
    if not isinstance(record, dict) or not isinstance(record.get("name"), str):
        raise PrefixError(str(file), "the record of a conda package has no name")
    return record


def _paths(record: Mapping[str, Any]) -> Iterator[str]:
    """The paths of a record; in `paths_data` those of noarch packages may start at ``site-packages``."""
    yield from record.get("files", ())
    for entry in record.get("paths_data", {}).get("paths", ()):
        yield entry["_path"]


def _text(file: Path) -> str:
    """The text of a file that may be absent."""
    try:
        return file.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return ""
