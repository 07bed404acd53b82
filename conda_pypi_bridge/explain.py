"""Why requests cannot be met: which candidate fails on which requirement, down to where nothing is left.

Pure. Candidates whose requirements nothing can meet are dead; a requirement that only dead candidates
would meet kills in turn. That is a proof, however little of the index was read. What the user asked for
and is dead has a chain of reasons that a person can follow. Conflicts that show only in combination
are left to the solver's own words.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

from .closure import Closure, Edge
from .errors import NoFittingWheel
from .model import ProjectName

_Candidate = tuple[ProjectName, Version]


@dataclass(frozen=True)
class Conflict:
    """A chain of reasons in one sentence, and the projects along it, the requested one first."""

    sentence: str
    projects: tuple[ProjectName, ...]


def conflict(closure: Closure, held: Iterable[tuple[str, Requirement]] = ()) -> Conflict | None:
    """Why a request of the user is hopeless, None where no chain of single reasons shows it.

    `held` are requirements that must go on to hold, each with who has it.
    """
    return _Explainer(closure, held).conflict()


class _Explainer:
    def __init__(self, closure: Closure, held: Iterable[tuple[str, Requirement]]) -> None:
        self._closure = closure
        self._held: dict[ProjectName, list[tuple[str, Requirement]]] = {}
        for who, requirement in held:
            project = ProjectName(canonicalize_name(requirement.name))
            self._held.setdefault(project, []).append((who, requirement))
        self._dead: dict[_Candidate, Edge] = {}
        self._meeting: dict[tuple[ProjectName, SpecifierSet], list[Version]] = {}

    def conflict(self) -> Conflict | None:
        self._bury()
        for edges in self._closure.edges.values():
            for edge in edges:
                if not edge.required_by and not self._meetable(edge):
                    return self._chain(edge)
        return None

    def _bury(self) -> None:
        """Note each candidate that can be in no solution, with the requirement that it fails on."""
        while True:
            found = {
                candidate: edge
                for candidate, edges in self._closure.requires.items()
                if candidate not in self._dead
                for edge in edges
                if not self._meetable(edge)
            }
            if not found:
                return
            self._dead.update(found)

    def _meetable(self, edge: Edge) -> bool:
        if edge.project not in self._closure.overlaid:
            return edge.project not in self._closure.problems
        if self._closure.versions(edge) is None:
            return True
        return any((edge.project, version) not in self._dead for version in self._candidates(edge))

    def _candidates(self, edge: Edge) -> list[Version]:
        """All versions that meet an edge: one that is not in the overlay yet is not dead."""
        key = (edge.project, edge.specifier)
        if key not in self._meeting:
            versions = self._closure.versions(edge) or ()
            for _, requirement in self._held.get(edge.project, ()):
                versions = list(requirement.specifier.filter(versions, prereleases=True))
            wheels = ((version, self._closure.wheel(edge.project, version)) for version in versions)
            self._meeting[key] = [version for version, wheel in wheels if wheel is not None]
        return self._meeting[key]

    def _chain(self, edge: Edge) -> Conflict:
        clauses: list[str] = []
        projects = [edge.project]
        while versions := self._candidates(edge):
            newest = max(versions)
            edge = self._dead[projects[-1], newest]
            clauses.append(f"{projects[-1]} {newest} requires {edge}{_others(len(versions) - 1)}")
            if edge.project in projects:
                break
            projects.append(edge.project)
        return Conflict("; ".join([*clauses, self._end(edge)]), tuple(projects))

    def _end(self, edge: Edge) -> str:
        """Why nothing meets the last requirement of a chain."""
        held = self._held.get(edge.project)
        if held and self._closure.versions(edge):  # something would, if it were not for what must hold
            who, requirement = held[0]
            start = "" if edge.required_by else f"{edge} was requested, "
            return f"{start}but {who} requires {requirement}"
        asked = [other for other in self._closure.edges.get(edge.project, ()) if not other.required_by]
        if asked and edge.required_by:
            return f"but {asked[0]} was requested"
        problem = self._closure.problems.get(edge.project)
        if isinstance(problem, NoFittingWheel):
            return f"{edge.project}: {problem.reason}"
        return str(problem) if problem is not None else f"nothing that meets {edge} is left"


def _others(count: int) -> str:
    """How many more versions require the same."""
    return {0: "", 1: " (as does 1 other version)"}.get(count, f" (as do {count} other versions)")
