"""Reading a source distribution: what building it needs, what it says of itself (PEP 517, 518, 625, 643)."""

from __future__ import annotations

import re
import sys
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from email.parser import HeaderParser
from pathlib import Path
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement

from ..errors import SdistRefused

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib  # type: ignore[import-not-found, unused-ignore]

#: Bytes. The largest pyproject.toml and PKG-INFO on public indexes are far smaller.
_CAP = 8 << 20

#: PyPA, "pyproject.toml specification": "If the file exists but is lacking the [build-system] table then the
#: default value is ["setuptools"]"; the same where there is no such file.
_DEFAULT = ("setuptools",)


@dataclass(frozen=True, kw_only=True)
class SdistContents:
    """What a source distribution tells.

    `build_requires` are those of pyproject.toml. `requires_dist` are the lines of PKG-INFO, None where it
    does not promise that every wheel has the same (PEP 643). `files` are paths below its one folder.
    """

    build_requires: Sequence[Requirement]
    requires_dist: Sequence[str] | None
    files: frozenset[str]


def read_sdist(path: Path) -> SdistContents:
    """Read a ``.tar.gz``; nothing of it is unpacked or run. Raises `SdistRefused`."""
    texts: dict[str, str] = {}
    files: set[str] = set()
    try:
        with tarfile.open(path, "r:gz") as archive:
            for member in archive:
                _, _, name = member.name.removeprefix("./").partition("/")
                if not member.isfile():
                    continue
                files.add(name)
                if name in ("pyproject.toml", "PKG-INFO"):
                    texts[name] = _text(archive, member, path.name)
    except (tarfile.TarError, EOFError, OSError, ValueError) as error:
        raise SdistRefused(path.name, f"it cannot be read: {error}") from error
    if "PKG-INFO" not in texts:
        raise SdistRefused(path.name, "it has no PKG-INFO (PEP 643)")
    return SdistContents(
        build_requires=_build_requires(texts.get("pyproject.toml", ""), path.name),
        requires_dist=_requires_dist(texts["PKG-INFO"]),
        files=frozenset(files),
    )


def _text(archive: tarfile.TarFile, member: tarfile.TarInfo, filename: str) -> str:
    if member.size > _CAP:
        raise SdistRefused(filename, f"{member.name[:80]!r} has more than {_CAP} bytes")
    file = archive.extractfile(member)
    assert file is not None
    return file.read().decode()


def _build_requires(text: str, filename: str) -> list[Requirement]:
    """PEP 518: "requires" is a list of strings that are PEP 508 requirements."""
    try:
        table: Any = tomllib.loads(text).get("build-system", {})
    except tomllib.TOMLDecodeError as error:
        raise SdistRefused(filename, f"its pyproject.toml cannot be read: {error}") from error
    found = table.get("requires", _DEFAULT) if isinstance(table, dict) else None
    if not isinstance(found, list | tuple) or not all(isinstance(item, str) for item in found):
        raise SdistRefused(filename, "build-system.requires of its pyproject.toml is no list of strings")
    try:
        return [Requirement(item) for item in found]
    except InvalidRequirement as error:
        reason = str(error).partition("\n")[0]
        raise SdistRefused(filename, f"build-system.requires cannot be read: {reason}") from error


def _requires_dist(text: str) -> list[str] | None:
    """PEP 643: from version 2.2 on, a field that is not marked Dynamic is the same in every wheel."""
    headers = HeaderParser().parsestr(text)
    version = re.fullmatch(r"(\d+)\.(\d+)", headers.get("Metadata-Version", "").strip())
    if version is None or (int(version[1]), int(version[2])) < (2, 2):
        return None
    dynamic = {name.strip().lower() for name in headers.get_all("Dynamic", [])}
    return None if "requires-dist" in dynamic else headers.get_all("Requires-Dist", [])
