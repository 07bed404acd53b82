"""What may be chosen of each project, from what the user said: constraints, hashes, the block list."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from packaging.specifiers import SpecifierSet

from . import specs
from .closure.candidates import Limits
from .model import ProjectName, Request
from .options import Options


def constraints(options: Options, markers: Mapping[str, str]) -> dict[ProjectName, SpecifierSet]:
    """Constraints by project; one whose marker does not hold in the environment `markers` limits nothing.

    Raises `SpecError`.
    """
    return _versions(filter(None, (specs.parse_spec(text, markers) for text in options.constraints)))


def limits(options: Options, markers: Mapping[str, str], requests: Iterable[Request] = ()) -> Limits:
    """Constraints, hashes and blocks, and what `requests` (the user's own, pins) admit of their projects.

    Raises `SpecError`.
    """
    versions = constraints(options, markers)
    for project, specifier in _versions(requests).items():
        versions[project] = versions.get(project, SpecifierSet()) & specifier
    hashes: dict[ProjectName, frozenset[str]] = {}
    for text, allowed in options.hashes.items():
        hashed = specs.parse_spec(text, markers)
        if hashed is not None:
            hashes[hashed.project] = hashes.get(hashed.project, frozenset()) | allowed
    return Limits(
        versions=versions, hashes=hashes, require_hashes=options.require_hashes, blocked=options.blocked
    )


def _versions(requests: Iterable[Request]) -> dict[ProjectName, SpecifierSet]:
    """What requests admit of each project, all together."""
    found: dict[ProjectName, SpecifierSet] = {}
    for request in requests:
        if request.requirement is not None:
            before = found.get(request.project, SpecifierSet())
            found[request.project] = before & request.requirement.specifier
    return found
