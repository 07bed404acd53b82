"""The newest versions that agree with each other, found before the solver is asked.

A solver chooses well only from what it is offered. Where the newest version of one project cannot stand
beside the newest of another, to list more versions of *everything* is slow, and what is found then
may be an old version of what the user came for. So a walk goes over what is known, as installers do: project
after project in the order in which they are first required, of each the newest version whose
requirements agree with what was chosen before. A version that the walk needs and the overlay lacks
is listed, and the walk begins anew once it is known.

Pure, and a heuristic: it proves nothing. What it cannot settle is left to wider overlays.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Protocol

from packaging.specifiers import SpecifierSet
from packaging.version import Version

from ..model import ProjectName, Wheel

#: How many choices are reconsidered before the rest is left to wider overlays.
_RECONSIDERED = 100

#: How often a project that is in the way of others is decided later, before its version is given up.
_DELAYS = 2


class Need(Protocol):
    """A requirement on a project."""

    @property
    def project(self) -> ProjectName: ...

    @property
    def specifier(self) -> SpecifierSet: ...

    @property
    def extras(self) -> frozenset[str]: ...


class Known(Protocol):
    """What the walk goes over."""

    def versions(self, need: Need) -> Sequence[Version] | None:
        """The versions that meet a need, newest first; None where the index is not to serve it."""
        ...

    def wheel(self, project: ProjectName, version: Version) -> Wheel | None:
        """The wheel of a version for the target."""
        ...

    def include(self, wheel: Wheel, extras: frozenset[str]) -> bool:
        """Put a wheel and extras of it into the overlay; whether all that this takes is known."""
        ...

    def needs(self, wheel: Wheel, extras: frozenset[str]) -> Sequence[Need] | None:
        """What a wheel of the overlay requires for itself and for extras; None where it was refused."""
        ...


class Lookahead:
    """The walk. `advance` takes it as far as what is known allows, and may be called again and again."""

    def __init__(self, known: Known) -> None:
        self._known = known
        self._delays: Counter[ProjectName] = Counter()
        self._given_up: set[tuple[ProjectName, Version]] = set()
        self._left = _RECONSIDERED

    def advance(self, asked: Iterable[Need]) -> None:
        """Walk from what the user asked for until something must be looked up, or nothing is left."""
        asked = list(asked)
        while self._left:
            try:
                obstacles = _Walk(self._known, self._delays, self._given_up).walk(asked)
            except _Unknown:
                return
            if not obstacles:
                self._left = 0
                return
            self._left -= 1
            self._reconsider(obstacles[-1])

    def _reconsider(self, wheel: Wheel) -> None:
        """Decide a project later, when more is known of what others require of it; or otherwise."""
        if self._delays[wheel.project] < _DELAYS:
            self._delays[wheel.project] += 1
        else:
            self._given_up.add((wheel.project, wheel.version))


class _Unknown(Exception):
    """Something was put into the overlay and must be looked up first."""


@dataclass
class _State:
    """What the walk knows of one project so far."""

    versions: list[Version]
    extras: frozenset[str] = frozenset()
    users: set[ProjectName] = field(default_factory=set)
    chosen: Wheel | None = None


class _Walk:
    """One walk from the beginning."""

    def __init__(
        self, known: Known, delays: Counter[ProjectName], given_up: set[tuple[ProjectName, Version]]
    ) -> None:
        self._known = known
        self._delays = delays
        self._given_up = given_up
        self._states: dict[ProjectName, _State] = {}
        self._waiting: dict[ProjectName, None] = {}
        self._order: dict[ProjectName, None] = {}

    def walk(self, asked: Iterable[Need]) -> list[Wheel]:
        """Choose all; return the choices that are in the way of the first project without any, oldest first.

        Nothing where all could be chosen, or where nothing that was chosen is in the way. Raises
        `_Unknown`.
        """
        for need in asked:
            self._demand(need, None)
        while self._waiting:
            project = min(self._waiting, key=self._delays.__getitem__)  # of equals the first
            del self._waiting[project]
            obstacles = self._choose(project, self._states[project])
            if obstacles is not None:
                chosen = (self._states[name].chosen for name in self._order if name in obstacles)
                return [wheel for wheel in chosen if wheel is not None]
        return []

    def _choose(self, project: ProjectName, state: _State) -> set[ProjectName] | None:
        """Choose a version; where none can be, return the projects that are in the way."""
        if state.chosen is not None:  # a further extra of it
            return self._try(state.chosen, state)
        obstacles = set(state.users)
        wheels = (self._known.wheel(project, version) for version in state.versions)
        usable = (wheel for wheel in wheels if wheel is not None)
        for number, wheel in enumerate(usable):
            if not self._known.include(wheel, state.extras):
                for further in islice(usable, number):  # the more failed, the more are looked up at once
                    self._known.include(further, state.extras)
                raise _Unknown
            clash = self._try(wheel, state)
            if clash is None:
                return None
            obstacles |= clash
        return obstacles

    def _try(self, wheel: Wheel, state: _State) -> set[ProjectName] | None:
        """Choose a wheel, unless its needs clash with what was chosen: by the projects returned."""
        needs = self._known.needs(wheel, state.extras)
        if needs is None:
            return set()
        for need in needs:
            clash = self._clash(need)
            if clash is not None:
                return clash
        state.chosen = wheel
        self._order[wheel.project] = None
        for need in needs:
            self._demand(need, wheel.project)
        return None

    def _clash(self, need: Need) -> set[ProjectName] | None:
        versions = self._known.versions(need)
        if versions is None:
            return None
        state = self._states.get(need.project)
        if state is None:
            return None if self._any(need.project, versions) else set()
        if state.chosen is not None:
            return None if state.chosen.version in versions else {need.project, *state.users}
        return None if self._any(need.project, _both(state.versions, versions)) else set(state.users)

    def _any(self, project: ProjectName, versions: Sequence[Version]) -> bool:
        """Whether one of the versions can be had."""
        return any(
            (project, version) not in self._given_up and self._known.wheel(project, version) is not None
            for version in versions
        )

    def _demand(self, need: Need, user: ProjectName | None) -> None:
        versions = self._known.versions(need)
        if versions is None:
            return
        project = need.project
        if project not in self._states:
            left = [version for version in versions if (project, version) not in self._given_up]
            self._states[project] = _State(left)
            self._waiting[project] = None
        state = self._states[project]
        if state.chosen is not None and need.extras - state.extras:
            self._waiting[project] = None
        state.versions = _both(state.versions, versions)
        state.extras |= need.extras
        if user is not None:
            state.users.add(user)


def _both(some: Sequence[Version], others: Sequence[Version]) -> list[Version]:
    allowed = set(others)
    return [version for version in some if version in allowed]
