"""PEP 508 markers: what holds in a target, and for which Pythons around its own that stays so."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache

from packaging.markers import Marker, UndefinedComparison, UndefinedEnvironmentName
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import Version

from .errors import Untranslatable
from .model import CoreMetadata, Target
from .versions import EVERYTHING, VersionSet, version_set

#: The environment of one evaluation: hashable, because truths are remembered.
Environment = tuple[tuple[str, str], ...]

_NOT_COMPUTED = ("platform_release", "platform_version", "implementation_version")
_PYTHON_VARIABLE = re.compile(r"\b(python_version|python_full_version|implementation_version)\b")
_FULL_VERSION = re.compile(
    r'python_full_version [<>=!~]{1,2} "(?P<right>[^"]*)"|"(?P<left>[^"]*)" [<>=!~]{1,2} python_full_version'
)
_RELEASE = re.compile(r"(\d+)(?:\.(\d+))?(?:\.(\d+))?(?:\.\*)?")
_MINORS = tuple(Version(f"{minor}.dev0") for minor in ("2.7", *(f"3.{n}" for n in range(41)), "4.0"))


def environment_of(target: Target) -> Environment:
    """The PEP 508 environment of a target."""
    return tuple(sorted(target.markers.items()))


def holds(requirement: Requirement, environment: Environment, extra: str = "") -> bool:
    """Whether a requirement holds, for the project itself or for one of its extras.

    Raises `Untranslatable` where its marker asks for something that is not known of the target.
    """
    return _holds(_marker(requirement), environment, extra)


def adds(requirement: Requirement, environment: Environment, extra: str = "") -> bool:
    """Whether a requirement holds for the project itself, or for an extra and not without it.

    Raises `Untranslatable` as `holds` does.
    """
    return _adds(_marker(requirement), environment, extra)


def applying(
    requirements: Iterable[Requirement], environment: Mapping[str, str], extra: str = ""
) -> Iterator[Requirement]:
    """Of the requirements of what is installed, those that hold; of an extra, those that it adds.

    Unlike with `holds`, what cannot be evaluated does not hold: nothing is chosen by it any more.
    """
    for requirement in requirements:
        already = bool(extra) and _applies(requirement, environment, "")
        if not already and _applies(requirement, environment, extra):
            yield requirement


def _applies(requirement: Requirement, environment: Mapping[str, str], extra: str) -> bool:
    if requirement.marker is None:
        return True
    try:
        return requirement.marker.evaluate({**environment, "extra": extra})
    except (UndefinedComparison, UndefinedEnvironmentName):
        return False


def _marker(requirement: Requirement) -> str:
    return str(requirement.marker or "")


def _adds(marker: str, environment: Environment, extra: str) -> bool:
    return _holds(marker, environment, extra) and not (extra and _holds(marker, environment, ""))


@lru_cache(maxsize=65536)
def _holds(marker: str, environment: Environment, extra: str) -> bool:
    if not marker:
        return True
    known = dict(environment)
    for variable in _NOT_COMPUTED:
        if variable in marker and not known.get(variable):
            raise Untranslatable(marker, f"{variable} of the target is not known")
    try:
        return _parsed_marker(marker).evaluate({**known, "extra": extra})
    except (UndefinedComparison, UndefinedEnvironmentName) as error:
        raise Untranslatable(marker, f"the marker cannot be evaluated: {error}") from error


_parsed_marker = lru_cache(maxsize=16384)(Marker)


def steady_pythons(metadata: CoreMetadata, target: Target, extra: str) -> VersionSet:
    """The Pythons around the target's for which the same requirements hold as for the target's.

    Those of the project itself, or those that an `extra` adds. Raises `Untranslatable` as `holds` does.
    """
    sensitive = [
        (marker, f"{r.name} {sorted(r.extras)} {r.specifier} {r.url}")
        for r in metadata.requires_dist
        if _PYTHON_VARIABLE.search(marker := _marker(r))
    ]
    if not sensitive:
        return EVERYTHING
    starts = _starts({marker for marker, _ in sensitive}, target)
    if starts is None:
        return version_set(SpecifierSet(f"=={target.python.public}"))

    def required(environment: Environment) -> frozenset[str]:
        return frozenset(what for marker, what in sensitive if _adds(marker, environment, extra))

    environment = environment_of(target)
    wanted = required(environment)
    low = max(index for index, start in enumerate(starts) if start <= target.python)
    high = low + 1
    while low > 0 and required(_probe(environment, starts[low - 1])) == wanted:
        low -= 1
    while high < len(starts) and required(_probe(environment, starts[high])) == wanted:
        high += 1
    bounds = [f">={starts[low]}"] if low > 0 else []
    bounds += [f"<{starts[high]}"] if high < len(starts) else []
    return version_set(SpecifierSet(",".join(bounds)))


def _starts(markers: Iterable[str], target: Target) -> list[Version] | None:
    """Where a marker's truth may change along the versions of Python; None where only == is certain.

    ``python_version`` changes with the minor version only; ``python_full_version`` may do so at
    each release that it is compared with: before its pre-releases, after them, and after it.
    """
    starts = set(_MINORS)
    for marker in markers:
        if "implementation_version" in marker:
            return None
        compared = list(_FULL_VERSION.finditer(marker))
        if len(compared) != marker.count("python_full_version") or (compared and target.python.is_prerelease):
            return None
        for match in compared:
            literal = _RELEASE.fullmatch(match["right"] or match["left"])
            if literal is None:
                return None
            major, minor, micro = (int(part or 0) for part in literal.groups())
            release = f"{major}.{minor}.{micro}"
            following = f"{major}.{minor}.{micro + 1}"
            starts |= {Version(f"{release}.dev0"), Version(release), Version(f"{following}.dev0")}
    return sorted(starts)


@lru_cache(maxsize=4096)
def _probe(environment: Environment, start: Version) -> Environment:
    changed = {"python_version": f"{start.major}.{start.minor}", "python_full_version": str(start)}
    return tuple(sorted({**dict(environment), **changed}.items()))
