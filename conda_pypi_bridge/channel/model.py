"""The values of a channel: what it is for, and what it holds. Pure, frozen, keyword-only."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from packaging.version import Version

from ..errors import ConfigError
from ..model import ProjectName, Target
from ..tags import make_target

#: Goes into `Scope.digest`: to be raised when the same scope is answered otherwise than before.
_EDITION = 1

_Level = tuple[int, int]

#: The C libraries and systems whose users are answered apart, because wheels are built for these; the
#: last one stands for all that come (it admits every tag, and a record demands only what its tags say).
_GLIBC: tuple[_Level, ...] = ((2, 17), (2, 28), (2, 50))
_MACOS: Mapping[str, tuple[_Level, ...]] = {
    "osx-64": ((10, 13), (11, 0), (12, 0), (14, 0), (40, 0)),
    "osx-arm64": ((11, 0), (12, 0), (14, 0), (40, 0)),
}


@dataclass(frozen=True, kw_only=True)
class Scope:
    """What a channel is for: `subdirs` without ``noarch``, and minor versions of CPython (``3.12``).

    Raises `ConfigError` for a platform that has no wheels, and for what is no minor version.
    """

    subdirs: tuple[str, ...]
    pythons: tuple[Version, ...]

    def __post_init__(self) -> None:
        for python in self.pythons:
            if len(python.release) != 2 or python.release < (3, 8) or str(python) != python.base_version:
                raise ConfigError(f"a channel is for minor versions of Python such as 3.12, not for {python}")
        if not (self.subdirs and self.pythons):
            raise ConfigError("a channel needs a platform and a version of Python")
        for subdir in self.subdirs:
            self.targets(subdir)

    def targets(self, subdir: str) -> tuple[Target, ...]:
        """The environments of a platform that may be answered differently; all of them for ``noarch``.

        One for each Python and each of the older C libraries (or macOS) that wheels are built for. Their
        records may pin ``python_abi``.
        """
        subdirs = self.subdirs if subdir == "noarch" else (subdir,)
        return tuple(target for name in subdirs for target in _targets(name, self.pythons))

    @property
    def digest(self) -> str:
        """Hexadecimal; the same for the same answers, wherever and whenever it is computed."""
        content = [_EDITION, sorted(self.subdirs), sorted(map(str, self.pythons))]
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()


@lru_cache(maxsize=64)
def _targets(subdir: str, pythons: tuple[Version, ...]) -> tuple[Target, ...]:
    """Shared, because a target's list of tags is long."""
    return tuple(
        make_target(python, subdir, glibc=glibc, macos=macos, python_abi=True)
        for python in pythons
        for glibc, macos in _levels(subdir)
    )


def _levels(subdir: str) -> list[tuple[_Level | None, _Level | None]]:
    if subdir.startswith("linux-"):
        return [(glibc, None) for glibc in _GLIBC]
    return [(None, macos) for macos in _MACOS[subdir]] if subdir in _MACOS else [(None, None)]


@dataclass(frozen=True, kw_only=True)
class Artefact:
    """A ``.conda`` file by its contents: hashes in hexadecimal, `size` in bytes."""

    sha256: str
    md5: str
    size: int


@dataclass(frozen=True, kw_only=True)
class Published:
    """A package that the store holds whole.

    `project` is the index's project that it came from, also for a project's extra. `entry` is its
    repodata entry: `PackageRecord.index_json` with ``size``, ``sha256`` and ``md5`` (hexadecimal). `wheel` is
    the sha256 of the wheel that it was built from (hexadecimal), "" where there is none or it is not known.
    """

    fn: str
    subdir: str
    project: ProjectName
    entry: Mapping[str, Any]
    wheel: str = field(default="", compare=False)

    @property
    def path(self) -> str:
        """Where its file is in a channel."""
        return f"{self.subdir}/{self.fn}"

    @property
    def is_extra(self) -> bool:
        """Whether it is the metapackage of an extra, and made of no wheel."""
        return self.entry.get("noarch") == "generic"
