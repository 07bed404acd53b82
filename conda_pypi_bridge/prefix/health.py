"""What has become of a prefix: its files beside what their packages say of them. Nothing is written.

Unlike `Prefix`, which refuses an environment that it cannot read in full, this tells what it cannot read.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
import stat
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from packaging.specifiers import InvalidSpecifier, SpecifierSet

from ..digests import file_sha256
from ..errors import PrefixError
from ..locks import is_held
from ..model import CondaName, InstalledDist
from . import dists
from .environment import Prefix, read_record
from .interpreter import PythonInPrefix
from .surroundings import Leftover, Outside, count_unowned, leftovers, outside

#: Python writes these anew whenever it needs them, so they tell nothing of a package.
_BYTECODE = (".pyc", ".pyo")

#: A size in RECORD, in bytes; `int` also reads digits of other scripts, and refuses thousands of them.
_SIZE = re.compile(r"[0-9]{1,18}")


class Expected(NamedTuple):
    """A file as its package describes it: `path` relative to the prefix, `size` in bytes, `sha256` in hex.

    Where `size` is None and `sha256` is "" nothing is known of its content. `link` is true of what the
    package holds as a symbolic link.
    """

    path: str
    size: int | None = None
    sha256: str = ""
    link: bool = False


@dataclass(frozen=True, kw_only=True)
class PackageState:
    """A conda package, and those of its files that are missing or not as it placed them."""

    name: CondaName
    version: str
    build: str
    channel: str
    depends: Sequence[str] = ()
    files: Sequence[Expected] = ()
    missing: Sequence[str] = ()
    changed: Sequence[str] = ()


@dataclass(frozen=True, kw_only=True)
class DistState:
    """A metadata folder of site-packages.

    `dist` is None where it does not say which distribution it is of. `has_record` is whether RECORD tells its
    files. `over` is true of one that conda placed and another installer wrote over. `files`, `missing` and
    `changed` follow its own RECORD, and are empty for what conda placed and nobody touched.
    """

    folder: str
    dist: InstalledDist | None
    problems: Sequence[str] = ()
    installer: str = ""
    requires_python: SpecifierSet = field(default_factory=SpecifierSet)
    has_metadata: bool = True
    has_record: bool = True
    editable: bool = False
    from_url: bool = False
    over: bool = False
    files: Sequence[Expected] = ()
    missing: Sequence[str] = ()
    changed: Sequence[str] = ()


@dataclass(frozen=True, kw_only=True)
class Health:
    """Everything that there is to judge a prefix by.

    `unreadable` maps files of ``conda-meta`` to the reason. `unowned` counts the modules directly in
    site-packages that no package and no RECORD lists. `busy` is whether a process of the bridge changes
    the prefix at this moment.
    """

    prefix: Prefix
    unreadable: Mapping[str, str]
    python_problem: str
    packages: Sequence[PackageState]
    dists: Sequence[DistState]
    leftovers: Sequence[Leftover]
    outside: Outside
    unowned: int
    busy: bool


class LenientPrefix(Prefix):
    """A prefix of which what cannot be read is left out."""

    @cached_property
    def _records(self) -> tuple[tuple[Mapping[str, Any], ...], Mapping[str, str]]:
        records: list[Mapping[str, Any]] = []
        problems: dict[str, str] = {}
        for file in sorted((self.path / "conda-meta").glob("*.json")):
            try:
                record = read_record(file)
                _check_form(record, file)
            except PrefixError as error:
                problems[file.name] = error.reason
            else:
                records.append(record)
        return tuple(records), problems

    @cached_property
    def conda_meta(self) -> tuple[Mapping[str, Any], ...]:
        """The records that can be read."""
        return self._records[0]

    @property
    def unreadable(self) -> Mapping[str, str]:
        """The files of ``conda-meta`` that are no records, and why."""
        return self._records[1]

    @cached_property
    def _python_or_problem(self) -> tuple[PythonInPrefix | None, str]:
        try:
            return super().python, ""
        except PrefixError as error:
            return None, error.reason

    @property
    def python(self) -> PythonInPrefix | None:
        """The Python of this prefix, None where it has none or cannot be told."""
        return self._python_or_problem[0]

    @property
    def python_problem(self) -> str:
        """Why the Python of the prefix cannot be told."""
        return self._python_or_problem[1]


def read_health(path: Path, *, environ: Mapping[str, str], home: Path, deep: bool = False) -> Health:
    """Look at every file that a package of the prefix at `path` lists; `deep` reads them, too."""
    found = LenientPrefix(path.absolute())
    owned = Counter(path for record in found.conda_meta for path in record.get("files", ()))
    packages = [_package(found, record, owned, deep) for record in found.conda_meta]
    states = list(_dists(found, deep))
    listed = (*owned, *(file.path for state in states for file in state.files))
    return Health(
        prefix=found,
        unreadable=found.unreadable,
        python_problem=found.python_problem,
        packages=packages,
        dists=states,
        leftovers=list(leftovers(found)),
        outside=outside(found, environ, home),
        unowned=count_unowned(found, listed),
        busy=is_held(found.path),
    )


def is_altered(prefix: Path, file: Expected) -> bool:
    """Whether a file that exists does not hold what its package describes."""
    path = prefix / file.path
    return path.is_file() and not file.link and _differs(path, path.stat().st_size, file, deep=True)


def _differs(path: Path, size: int, file: Expected, *, deep: bool) -> bool:
    if file.size is not None and size != file.size:
        return True
    return deep and bool(file.sha256) and file_sha256(path) != file.sha256


def _check_form(record: Mapping[str, Any], file: Path) -> None:
    """Raises `PrefixError` where a part that is looked at here is not of its type."""
    paths_data = record.get("paths_data", {})
    paths = paths_data.get("paths", []) if isinstance(paths_data, dict) else None
    texts = [record.get(key, []) for key in ("files", "depends")]
    if not (
        isinstance(record.get("version"), str)
        and all(isinstance(text, list) and all(isinstance(item, str) for item in text) for text in texts)
        and isinstance(paths, list)
        and all(isinstance(entry, dict) and isinstance(entry.get("_path"), str) for entry in paths)
    ):
        raise PrefixError(str(file), "the record of a conda package is not as conda writes it")


# -- conda packages ------------------------------------------------------------------------------------


def _package(
    prefix: LenientPrefix, record: Mapping[str, Any], owned: Mapping[str, int], deep: bool
) -> PackageState:
    files = tuple(_expected_files(prefix, record))
    missing, changed = _compare(prefix.path, files, deep)
    return PackageState(
        name=CondaName(record["name"]),
        version=record["version"],
        build=str(record.get("build", "")),
        channel=str(record.get("channel", "")),
        depends=tuple(record.get("depends", ())),
        files=files,
        missing=missing,
        # where packages share a file, it is as one of them has it
        changed=[path for path in changed if owned[path] < 2],
    )


def _expected_files(prefix: LenientPrefix, record: Mapping[str, Any]) -> Iterator[Expected]:
    """The files of a record where they are in the prefix, but bytecode.

    conda notes the paths of a ``noarch: python`` package as they are in the package (CEP 20), beside a
    list of those in the prefix.
    """
    entries = {
        _placed(prefix, entry["_path"]): entry for entry in record.get("paths_data", {}).get("paths", ())
    }
    for path in record.get("files") or entries:
        if not path.endswith(_BYTECODE):
            yield _expected(path, entries.get(path, {}))


def _placed(prefix: LenientPrefix, path: str) -> str:
    python = prefix.python
    if python is not None and path.startswith("site-packages/"):
        site = python.site_packages.relative_to(prefix.path).as_posix()
        return f"{site}/{path.removeprefix('site-packages/')}"
    if path.startswith("python-scripts/"):
        folder = "Scripts" if prefix.windows else "bin"
        return f"{folder}/{path.removeprefix('python-scripts/')}"
    return path


def _expected(path: str, entry: Mapping[str, Any]) -> Expected:
    """CEP 34: `sha256` and `size_in_bytes` are of the file in the package; linking writes the prefix in."""
    if entry.get("path_type") == "softlink":
        return Expected(path, link=True)
    if entry.get("prefix_placeholder"):
        return Expected(path, sha256=str(entry.get("sha256_in_prefix") or ""))
    size = entry.get("size_in_bytes")
    sha256 = entry.get("sha256_in_prefix") or entry.get("sha256") or ""
    return Expected(path, size if isinstance(size, int) else None, str(sha256))


def _compare(prefix: Path, files: Sequence[Expected], deep: bool) -> tuple[list[str], list[str]]:
    """The paths that are missing, and those that are altered."""
    missing: list[str] = []
    changed: list[str] = []
    for file in files:
        path = prefix / file.path
        try:
            status = path.lstat() if file.link else path.stat()
            is_file = stat.S_ISREG(status.st_mode) and not file.link
            if is_file and _differs(path, status.st_size, file, deep=deep):
                changed.append(file.path)
        except (OSError, ValueError):  # ValueError: a NUL is in no path
            missing.append(file.path)
    return missing, changed


# -- distributions -------------------------------------------------------------------------------------


def _dists(prefix: LenientPrefix, deep: bool) -> Iterator[DistState]:
    python = prefix.python
    if python is None or not python.site_packages.is_dir():
        return
    owners = {folder: name for name, folder in prefix.metadata_folders}
    recorded = {
        path: entry["sha256"]
        for record in prefix.conda_meta
        for entry in record.get("paths_data", {}).get("paths", ())
        if (path := _placed(prefix, entry["_path"])).endswith(".dist-info/INSTALLER") and "sha256" in entry
    }
    for folder in sorted(python.site_packages.iterdir()):
        if folder.name.endswith(dists.METADATA_SUFFIXES) and not folder.name.startswith("~"):
            yield _dist(prefix.path, folder, owners.get(folder.name), recorded, deep)


def _dist(
    prefix: Path, folder: Path, owner: CondaName | None, recorded: Mapping[str, str], deep: bool
) -> DistState:
    dist, problem = dists.read_dist(prefix, folder, owner)
    unreadable = dist.unreadable if dist is not None else ()
    problems = [f"{folder.name}: its requirement {text!r} cannot be read" for text in unreadable]
    installer = folder / "INSTALLER"
    name = installer.read_text("utf-8", "replace").strip() if installer.is_file() else ""
    over = owner is not None and name not in ("", "conda") and _is_foreign(prefix, installer, recorded)
    rows = dists.record_rows(prefix, folder) if owner is None or over else None
    files = tuple(_of_record(rows or ()))
    missing, changed = _compare(prefix, files, deep)
    is_folder, direct_url = folder.name.endswith(".dist-info"), _direct_url(folder)
    return DistState(
        folder=folder.name,
        dist=dist,
        problems=[problem] if problem else problems,
        installer=name,
        requires_python=_requires_python(folder),
        has_metadata=not is_folder or (folder / "METADATA").is_file(),
        has_record=not is_folder or ((folder / "RECORD").is_file() and rows != []),
        editable=direct_url.get("dir_info", {}).get("editable") is True,
        from_url=bool(direct_url),
        over=over,
        files=files,
        missing=missing,
        changed=changed,
    )


def _is_foreign(prefix: Path, installer: Path, recorded: Mapping[str, str]) -> bool:
    """Whether INSTALLER is not the one that the conda package brought; a few bring pip's."""
    path = installer.relative_to(prefix).as_posix()
    return recorded.get(path) != file_sha256(installer)


def _of_record(rows: Iterable[tuple[str, str, str]]) -> Iterator[Expected]:
    for path, digest, size in rows:
        if not path.endswith(_BYTECODE):
            yield Expected(path, int(size) if _SIZE.fullmatch(size) else None, _hex(digest))


def _hex(digest: str) -> str:
    """The hash of a RECORD in hex, where it is a sha256: urlsafe base64 without padding (PEP 376, 427)."""
    algorithm, _, text = digest.partition("=")
    if algorithm != "sha256":
        return ""
    try:
        return base64.urlsafe_b64decode(f"{text}{'=' * (-len(text) % 4)}").hex()
    except (binascii.Error, ValueError):
        return ""


def _requires_python(folder: Path) -> SpecifierSet:
    try:
        return SpecifierSet(dists.headers_of(folder)["Requires-Python"] or "")
    except InvalidSpecifier:
        return SpecifierSet()


def _direct_url(folder: Path) -> Mapping[str, Any]:
    """PEP 610: where a distribution came from that no index was asked for."""
    try:
        document = json.loads((folder / "direct_url.json").read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return document if isinstance(document, dict) and isinstance(document.get("dir_info", {}), dict) else {}
