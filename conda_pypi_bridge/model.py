"""The values that flow through the bridge: parsed once at the border, frozen, keyword-only.

In order of flow: `Request` (what the user asked for), `Target` (the environment asked for),
`ProjectPage` and `Wheel` (what an index offers), `CoreMetadata`, `Candidate` (a fitting wheel with
its metadata), `PackageRecord` (the conda package it becomes).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple, NewType

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import SpecifierSet
from packaging.tags import Tag
from packaging.version import Version

from . import CHANNEL as CHANNEL

#: Base of the ``url`` field of our records: where ``data/condarc.yml`` lets the channel's name lead, so that
#: conda knows the channel by its address too. ``.invalid`` never resolves (RFC 2606), so no client can be
#: led to a public channel that somebody registered under our name.
CHANNEL_URL = f"https://{CHANNEL}.invalid/{CHANNEL}"

#: A regular expression: the build strings of our packages, which `translate.record` makes.
OUR_BUILD = r"(?:[^-]+_)?py_[0-9a-f]{12}"

#: A PEP 503 normalised project name: ``canonicalize_name`` made it.
ProjectName = NewType("ProjectName", str)

#: The name of a conda package, lower case (CEP 26).
CondaName = NewType("CondaName", str)


@dataclass(frozen=True, kw_only=True)
class MatchSpec:
    """A conda dependency in its plain, old-style form, that every conda and rattler reads."""

    name: CondaName
    version: str = ""
    build: str = ""

    def __str__(self) -> str:
        return " ".join(
            part for part in (self.name, self.version or ("*" if self.build else ""), self.build) if part
        )


@dataclass(frozen=True, kw_only=True)
class Request:
    """One SPEC of the user.

    `requirement` is its PEP 508 reading, None where only conda can express it (a build string, a
    channel, ``|``). `spec` is its conda reading, None where only PEP 508 can (extras). `build` is the
    build string of a package of the bridge, as an exported environment names it.
    """

    text: str
    project: ProjectName
    requirement: Requirement | None = None
    spec: str | None = None
    build: str = ""


@dataclass(frozen=True, kw_only=True)
class Target:
    """The environment that packages are chosen for.

    `markers` is the PEP 508 environment; `tags` lists the wheel tags it accepts, best first
    (PEP 425); `subdir` is conda's platform name, ``linux-64``; `glibc`, `musl` and `macos` are
    ``(major, minor)`` where they apply; `python_abi` tells whether records may pin conda's
    ``python_abi`` package (it is installed, or a channel has it); `free_threaded` is PEP 703.
    """

    python: Version
    subdir: str
    markers: Mapping[str, str]
    tags: tuple[Tag, ...]
    implementation: str = "cpython"
    free_threaded: bool = False
    glibc: tuple[int, int] | None = None
    musl: tuple[int, int] | None = None
    macos: tuple[int, int] | None = None
    python_abi: bool = False

    @cached_property
    def ranks(self) -> Mapping[Tag, int]:
        """The place of each accepted tag: 0 is the best."""
        return {tag: rank for rank, tag in reversed(list(enumerate(self.tags)))}


class Wheel(NamedTuple):
    """One wheel of a project page (PEP 427 name, PEP 691 entry).

    A large resolution reads tens of thousands: a tuple is made in a fifth of the time of a dataclass.

    `sha256` is lower-case hex; `size` is in bytes; `build` is the wheel's build tag as
    `packaging` reads it. `yanked` is the reason (possibly empty), or None (PEP 592).
    `metadata_sha256` is the PEP 658 hash: None where the index does not announce the file, "" where
    it announces it without a hash. `index_url` is the URL of the index (or --find-links place) that lists it,
    without credentials.
    """

    filename: str
    project: ProjectName
    version: Version
    build: tuple[()] | tuple[int, str]
    tags: frozenset[Tag]
    url: str
    sha256: str
    size: int | None = None
    requires_python: str = ""
    yanked: str | None = None
    upload_time: dt.datetime | None = None
    metadata_sha256: str | None = None
    index_url: str = ""


class Sdist(NamedTuple):
    """One source distribution of a project page, as it is listed. `sha256` is hexadecimal, `size` bytes."""

    filename: str
    url: str
    sha256: str
    size: int | None = None


@dataclass(frozen=True, kw_only=True)
class ProjectPage:
    """What one index says of one project: its wheels, and the names of its other files.

    `index` is the index URL without credentials. `refused` maps the files that cannot be used
    (no sha256, a hostile name...) to the reason. `warnings` are sentences of the index on the project.
    `sources` are those of `sdists` that are a ``.tar.gz`` (PEP 625) and have a sha256.
    """

    project: ProjectName
    index: str
    wheels: tuple[Wheel, ...]
    sdists: tuple[str, ...] = ()
    refused: Mapping[str, str] = field(default_factory=dict)
    warnings: Sequence[str] = ()
    sources: tuple[Sdist, ...] = ()

    @property
    def first_release(self) -> dt.datetime | None:
        """When its first wheel was uploaded, where the index tells (PEP 700)."""
        return min((wheel.upload_time for wheel in self.wheels if wheel.upload_time), default=None)


@dataclass(frozen=True, kw_only=True)
class CoreMetadata:
    """The part of a distribution's METADATA that resolution needs (PEP 566, 643).

    `warnings` are sentences about legacy constructs that were tolerated.
    """

    name: str
    version: Version
    requires_dist: tuple[Requirement, ...] = ()
    requires_python: SpecifierSet = field(default_factory=SpecifierSet)
    extras: frozenset[str] = frozenset()
    license: str = ""
    summary: str = ""
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A wheel that fits the target, with its metadata."""

    wheel: Wheel
    metadata: CoreMetadata


@dataclass(frozen=True, kw_only=True)
class PackageRecord:
    """A conda package that a wheel becomes: its ``info/index.json``, which is its repodata entry.

    `subdir` is where it is listed: a wheel with a native library is never ``noarch``. `python_form`
    is conda's ``noarch: python`` file layout, which says how files are laid out, not where they run
    (CEP 20). `timestamp` is in milliseconds since the epoch: the wheel's upload time. `wheel` is
    None for a metapackage (a project's extra), which holds no files.
    """

    name: CondaName
    version: str
    build: str
    build_number: int
    depends: tuple[str, ...]
    constrains: tuple[str, ...] = ()
    subdir: str = "noarch"
    license: str = ""
    summary: str = ""
    timestamp: int = 0
    size: int = 0
    project: ProjectName
    extra: str = ""
    wheel: Wheel | None = None

    @property
    def dist(self) -> str:
        """``name-version-build``: the stem of file names and cache folders."""
        return f"{self.name}-{self.version}-{self.build}"

    @property
    def fn(self) -> str:
        """The name of its file, as repodata has it (CEP 36)."""
        return f"{self.dist}.conda"

    @property
    def path(self) -> str:
        """Where its file is in a channel."""
        return f"{self.subdir}/{self.fn}"

    @property
    def url(self) -> str:
        """An address that leads nowhere: conda wants one, and tells the channel by it."""
        return f"{CHANNEL_URL}/{self.path}"

    def index_json(self) -> dict[str, Any]:
        """The record as ``info/index.json`` and repodata spell it (CEP 34)."""
        noarch = {"noarch": "python" if self.wheel else "generic"}
        arch = (
            {} if self.subdir == "noarch" else dict(zip(("platform", "arch"), self._platform(), strict=True))
        )
        return {
            "name": self.name,
            "version": self.version,
            "build": self.build,
            "build_number": self.build_number,
            "depends": list(self.depends),
            "constrains": list(self.constrains),
            "license": self.license,
            "subdir": self.subdir,
            "timestamp": self.timestamp,
            **arch,
            **noarch,
        }

    def _platform(self) -> tuple[str, str]:
        platform, _, arch = self.subdir.partition("-")
        return platform, {"64": "x86_64", "32": "x86"}.get(arch, arch)


@dataclass(frozen=True, kw_only=True)
class InstalledDist:
    """A Python distribution found in a prefix.

    `requires_dist` are its requirements as it spells them. `owner` is the conda package that installed it,
    None where pip (or another tool) did. `files` are its RECORD's paths, relative to the prefix, of
    pip-placed ones only.
    """

    project: ProjectName
    version: Version
    requires_dist: tuple[str, ...] = ()
    owner: CondaName | None = None
    files: tuple[str, ...] = ()

    @property
    def requires(self) -> tuple[Requirement, ...]:
        """The requirements, apart from unreadable ones (PEP 508)."""
        return tuple(requirement for _, requirement in self._read if requirement is not None)

    @property
    def unreadable(self) -> tuple[str, ...]:
        """Those of the requirements that are none."""
        return tuple(text for text, requirement in self._read if requirement is None)

    @cached_property
    def _read(self) -> Sequence[tuple[str, Requirement | None]]:
        return [(text, _requirement(text)) for text in self.requires_dist]


def _requirement(text: str) -> Requirement | None:
    try:
        return Requirement(text)
    except InvalidRequirement:
        return None


@dataclass(frozen=True, kw_only=True)
class Row:
    """One package of a transaction, as the report shows it.

    `channel` is the short name that ``conda list`` shows. `size` is in bytes, 0 where nothing is
    known. `package` is ours, None for a package of a channel. `why` says why it comes or goes.
    """

    name: str
    version: str
    build: str
    build_number: int
    channel: str
    base_url: str
    subdir: str
    size: int = 0
    package: PackageRecord | None = None
    why: str = ""

    @property
    def origin(self) -> str:
        """``"pypi"`` or ``"channel"``."""
        return "pypi" if self.channel == CHANNEL else "channel"

    @property
    def dist(self) -> str:
        """``name-version-build``, as `PackageRecord.dist`."""
        return f"{self.name}-{self.version}-{self.build}"


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a transaction will do: rows to link, rows to unlink (a change of version is both)."""

    link: Sequence[Row] = ()
    unlink: Sequence[Row] = ()

    @property
    def empty(self) -> bool:
        """Whether there is nothing to do."""
        return not (self.link or self.unlink)
