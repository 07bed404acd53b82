"""The graph of a prefix: conda's records, what pip placed beside them, and where all of it came from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from packaging.utils import canonicalize_name

from ..markers import applying
from ..model import CHANNEL, CondaName, InstalledDist, ProjectName
from ..names import EXTRA, split_extra
from ..prefix import Prefix, Provenance, own_subdir
from ..redaction import redact
from .model import SEEDS, Graph, Need, Origin, Package

#: Marks the key of what pip placed, so that a conda package may have the same name.
_PIP = "pip:"


def graph_of(prefix: Prefix) -> Graph:
    """Every package of a prefix. Raises `PrefixError` where it cannot be read."""
    reader = _Reader(prefix)
    found = [*reader.conda_packages(), *reader.pip_packages(), *reader.extras()]
    found.sort(key=lambda package: (package.title, package.key))
    aliases: dict[str, list[str]] = {}
    for dist in prefix.dists:
        if dist.owner is not None:
            aliases.setdefault(dist.owner, []).append(dist.project)
    return Graph({package.key: package for package in found}, aliases)


@dataclass(frozen=True)
class _Reader:
    prefix: Prefix

    @cached_property
    def _records(self) -> Mapping[str, Mapping[str, Any]]:
        return {record["name"]: record for record in self.prefix.conda_meta}

    @cached_property
    def _dists(self) -> Mapping[ProjectName, InstalledDist]:
        return {dist.project: dist for dist in self.prefix.dists}

    @cached_property
    def _provenance(self) -> Mapping[str, Provenance]:
        """By conda name, or the key of what pip placed."""
        return {dist.owner or _PIP + dist.project: told for dist, told in self.prefix.provenance()}

    def conda_packages(self) -> Iterator[Package]:
        """The packages of ``conda-meta``; those that stand for an extra carry its name."""
        for name, record in self._records.items():
            origin, place, url = self._source(record)
            title = _title(name) if origin == "pypi" else name
            requested = self.prefix.requested.get(name)
            yield Package(
                key=name,
                name=name,
                title=title,
                version=str(record.get("version", "")),
                origin=origin,
                place=redact(place),
                url=redact(url),
                requested=None if requested is None else redact(requested).replace(name, title, 1),
                needs=tuple(self._conda_needs(record)),
            )

    def _source(self, record: Mapping[str, Any]) -> tuple[Origin, str, str]:
        """The origin, the place and the file that a conda package came from."""
        if record.get("channel") == CHANNEL:
            told = self._provenance.get(record["name"], Provenance())
            return "pypi", told.index, told.url
        # A python record that placed no file stands for the interpreter of an adopted venv.
        if record["name"] == "python" and not record.get("files"):
            return "outside", "", ""
        return "channel", _channel(record), str(record.get("url") or "")

    def pip_packages(self) -> Iterator[Package]:
        """The distributions that no conda package placed; pip marks those that were named to it (PEP 376)."""
        for dist in self._dists.values():
            if dist.owner is None:
                told = self._provenance[_PIP + dist.project]
                yield Package(
                    key=_PIP + dist.project,
                    name=dist.project,
                    title=dist.project,
                    version=str(dist.version),
                    origin="pip",
                    place=told.installer or "pip",
                    url=redact(told.url),
                    requested=dist.project if told.requested and dist.project not in SEEDS else None,
                    needs=tuple(self._pip_needs(dist, "")),
                )

    def extras(self) -> Iterator[Package]:
        """The extras that what pip placed requires: no package stands for them, so one is made up."""
        done: set[tuple[ProjectName, str]] = set()
        queue = [
            pair
            for dist in self._dists.values()
            if dist.owner is None
            for pair in self._asked_extras(dist, "")
        ]
        while queue:
            project, extra = queue.pop()
            if (project, extra) in done or project not in self._dists or self._extra_package(project, extra):
                continue
            done.add((project, extra))
            dist = self._dists[project]
            queue += self._asked_extras(dist, extra)
            yield Package(
                key=_extra_key(project, extra),
                name=f"{project}[{extra}]",
                title=f"{project}[{extra}]",
                version=str(dist.version),
                origin="pip",
                place="pip",
                needs=(Need(key=self._key_of(project), name=project), *self._pip_needs(dist, extra)),
            )

    def _conda_needs(self, record: Mapping[str, Any]) -> Iterator[Need]:
        """CEP 26, 34: ``name version build`` each; virtual packages are of the machine, not installed."""
        for text in record.get("depends", ()):
            name, _, spec = str(text).partition(" ")
            if name and not name.startswith("__"):
                yield Need(key=self._key_of(ProjectName(name)), name=_title(name), spec=spec.strip())

    def _pip_needs(self, dist: InstalledDist, extra: str) -> Iterator[Need]:
        """What a distribution requires, or one of its extras requires besides."""
        for requirement in applying(dist.requires, self._markers, extra):
            project = ProjectName(canonicalize_name(requirement.name))
            key, spec = self._key_of(project), str(requirement.specifier)
            yield Need(key=key, name=project, spec=spec)
            for one in sorted(map(canonicalize_name, requirement.extras)):
                key = self._extra_package(project, one) or _extra_key(project, one)
                present = project in self._dists
                yield Need(key=key if present else "", name=f"{project}[{one}]", spec=spec)

    def _asked_extras(self, dist: InstalledDist, extra: str) -> Sequence[tuple[ProjectName, str]]:
        return [
            (ProjectName(canonicalize_name(requirement.name)), canonicalize_name(one))
            for requirement in applying(dist.requires, self._markers, extra)
            for one in requirement.extras
        ]

    def _extra_package(self, project: str, extra: str) -> str:
        name = f"{project}{EXTRA}{extra}"
        return name if name in self._records else ""

    def _key_of(self, name: ProjectName) -> str:
        """The package that is called so, or holds the project of that name; "" where there is none."""
        if name in self._records:
            return name
        dist = self._dists.get(ProjectName(canonicalize_name(name)))
        return "" if dist is None else dist.owner or _PIP + dist.project

    @cached_property
    def _markers(self) -> Mapping[str, str]:
        return self.prefix.markers(own_subdir())


def _channel(record: Mapping[str, Any]) -> str:
    """A channel's name or address, without the platform's folder."""
    return str(record.get("channel") or "").rstrip("/").removesuffix(f"/{record.get('subdir')}")


def _title(name: str) -> str:
    project, extra = split_extra(CondaName(name))
    return f"{project}[{extra}]" if extra else name


def _extra_key(project: str, extra: str) -> str:
    return f"{_PIP}{project}[{extra}]"
