"""Which wheels of a project page can serve a specifier in the target, newest first; and if none, why.

Pure, and asked thousands of times in a large resolution: what does not depend on the specifier is
found out once for a page.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cached_property, lru_cache

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import Version

from ..errors import NoFittingWheel
from ..model import ProjectName, ProjectPage, Target, Wheel
from ..tags import best_wheel


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What may be chosen, apart from what is required.

    `versions` are constraints, and what the user asked of a project. `hashes` lists the sha256 of the
    only files admitted of a project; with `require_hashes` no other project may come from an index.
    `blocked` are patterns of project names that never may.
    """

    versions: Mapping[ProjectName, SpecifierSet] = field(default_factory=dict)
    hashes: Mapping[ProjectName, frozenset[str]] = field(default_factory=dict)
    require_hashes: bool = False
    blocked: Sequence[str] = ()

    def blocks(self, project: ProjectName) -> bool:
        """Whether nothing of the project may be used."""
        return any(fnmatchcase(project, pattern) for pattern in self.blocked)

    def admits(self, wheel: Wheel) -> bool:
        """Whether the file is one of those that may be used."""
        if wheel.project in self.hashes:
            return wheel.sha256 in self.hashes[wheel.project]
        return not self.require_hashes


class Shelf:
    """A project's wheels that the target can use. `pre` admits pre-releases everywhere."""

    def __init__(self, page: ProjectPage, target: Target, limits: Limits, *, pre: bool) -> None:
        self._page = page
        self._target = target
        self._limits = limits
        self._pre = pre
        self._best: dict[tuple[Version, bool], Wheel | None] = {}
        self._admitted: dict[SpecifierSet, list[Version]] = {}

    def fitting(self, specifier: SpecifierSet) -> Iterator[Wheel]:
        """Wheels that meet the specifier, one a version, newest first (PEP 440)."""
        pinned = _pins(specifier)
        for version in self.versions(specifier):
            wheel = self._best_of(version, pinned)
            if wheel is not None:
                yield wheel

    def versions(self, specifier: SpecifierSet) -> Sequence[Version]:
        """Versions that meet the specifier, newest first, whether or not a wheel of them fits."""
        if specifier not in self._admitted:
            usable = self._usable[_pins(specifier)]
            found = specifier.filter(usable, prereleases=True if self._pre else None)
            self._admitted[specifier] = sorted(found, reverse=True)
        return self._admitted[specifier]

    def wheel(self, version: Version) -> Wheel | None:
        """The wheel of a version, a yanked one where there is no other."""
        return self._best_of(version, pinned=True)

    def misfit(self, specifier: SpecifierSet, required_by: str) -> NoFittingWheel:
        """Why nothing meets the specifier: what was found, and what was wanted."""
        reason = self._reason(specifier)
        return NoFittingWheel(self._page.project, reason, required_by=required_by, hint=self._hint())

    @cached_property
    def _by_version(self) -> Mapping[Version, Sequence[Wheel]]:
        """What the limits and Requires-Python (PEP 503) leave."""
        found: dict[Version, list[Wheel]] = {}
        for wheel in self._page.wheels:
            if self._limits.admits(wheel) and _python_admits(wheel.requires_python, self._target.python):
                found.setdefault(wheel.version, []).append(wheel)
        return found

    @cached_property
    def _usable(self) -> Mapping[bool, Sequence[Version]]:
        """Versions for a specifier that does not pin, and one that does.

        PEP 592: a yanked file is ignored "unless it is the only file that matches a version specifier
        that pins to an exact version".
        """
        kept = [v for v, wheels in self._by_version.items() if any(w.yanked is None for w in wheels)]
        return {False: kept, True: list(self._by_version)}

    def _best_of(self, version: Version, pinned: bool) -> Wheel | None:
        key = (version, pinned)
        if key not in self._best:
            wheels = self._by_version[version]
            kept = [wheel for wheel in wheels if wheel.yanked is None]
            best = best_wheel(kept, self._target)
            self._best[key] = best_wheel(wheels, self._target) if best is None and pinned else best
        return self._best[key]

    def _reason(self, specifier: SpecifierSet) -> str:
        page, wanted = self._page, f"Python {self._target.python} on {self._target.subdir}"
        if not page.wheels:
            return self._nothing(wanted)
        matching = [w for w in page.wheels if specifier.contains(w.version, prereleases=True)]
        if not matching:
            newest = max(wheel.version for wheel in page.wheels)
            return f"no version matches {specifier or 'any'} (the newest wheel is {newest})"
        if not any(self._limits.admits(wheel) for wheel in matching):
            return "no file has a hash that the requirements file gives"
        python = self._target.python
        running = [wheel for wheel in matching if _python_admits(wheel.requires_python, python)]
        version = max(wheel.version for wheel in running or matching)
        if not running:
            pythons = sorted({wheel.requires_python for wheel in matching if wheel.version == version})
            return f"{version} needs Python {' or '.join(pythons)}, and the target is {wanted}"
        if all(wheel.yanked is not None for wheel in running):
            return f"every version that matches {specifier or 'any'} was yanked; pin one with == to use it"
        newest_wheels = [wheel for wheel in running if wheel.version == version]
        return f"{version} has wheels for {_tags(newest_wheels)}; none fits {wanted}"

    def _nothing(self, wanted: str) -> str:
        for filename, reason in self._page.refused.items():
            if filename.endswith(".whl"):
                return f"no usable wheel: {filename}: {reason}"
        sdists = self._page.sdists
        found = f"only source distributions ({sdists[-1]})" if sdists else "no files"
        return f"the index has {found}, and no wheel for {wanted}"

    def _hint(self) -> str:
        if not self._page.wheels and self._page.sdists:
            build = f"python -m pip wheel --no-deps -w wheels {self._page.project}"
            return f"Build a wheel yourself, and run this again with PIP_FIND_LINKS=wheels: {build}"
        return "Ask for another version; other Pythons and platforms may have others."


def _tags(wheels: Sequence[Wheel], shown: int = 4) -> str:
    """The tags of the wheels' file names, the first few."""
    tags = sorted({"-".join(wheel.filename.removesuffix(".whl").split("-")[-3:]) for wheel in wheels})
    rest = f" and {len(tags) - shown} more" if len(tags) > shown else ""
    return ", ".join(tags[:shown]) + rest


def _pins(specifier: SpecifierSet) -> bool:
    """PEP 592: "either == (without any modifiers that make it a range, such as .*) or ==="."""
    return any(
        s.operator == "===" or (s.operator == "==" and not s.version.endswith(".*")) for s in specifier
    )


@lru_cache(maxsize=4096)
def _python_admits(requires_python: str, python: Version) -> bool:
    """An unreadable Requires-Python counts as absent, as installers do."""
    if not requires_python:
        return True
    try:
        return SpecifierSet(requires_python).contains(python, prereleases=True)
    except InvalidSpecifier:
        return True
