"""Small random indexes, and what a solution of a request on one must be."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from packaging.requirements import Requirement
from packaging.version import Version

from tests.indexserver import IndexServer

_SPECIFIERS = ("", "", ">={a}", "<{a}", "!={a}", "~={a}", "=={b}.*", ">={a},<{b}.9")


@dataclass(frozen=True, kw_only=True)
class Release:
    """One wheel: what it requires, and what its extra ``x`` adds."""

    requires: tuple[str, ...]
    extra: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Universe:
    """An index by project and version, and a request on it."""

    releases: Mapping[tuple[str, Version], Release]
    request: Sequence[str] = field(default=())

    @classmethod
    def of(cls, seed: int) -> Universe:
        """A handful of projects with a few releases, which require each other at random."""
        chance = random.Random(seed)
        names = [f"p{number}" for number in range(chance.randint(5, 12))]
        releases = {}
        for name in names:
            others = [other for other in names if other != name]
            for version in {_version(chance) for _ in range(chance.randint(1, 6))}:
                wanted = chance.sample(others, chance.choice((0, 0, 1, 1, 2, 3)))
                releases[name, Version(version)] = Release(
                    requires=tuple(_requirement(chance, other) for other in wanted),
                    extra=(_requirement(chance, chance.choice(others)),) if chance.random() < 0.5 else (),
                )
        asked = chance.sample(names, chance.choice((1, 2, 2)))
        return cls(releases=releases, request=[name + chance.choice(("", ">=2", "<3")) for name in asked])

    def publish(self, index: IndexServer) -> None:
        """Put it all on an index."""
        for (name, version), release in self.releases.items():
            extras = {"x": release.extra} if release.extra else None
            index.add(name, str(version), requires=release.requires, extras=extras)

    def faults(self, chosen: Mapping[str, Version]) -> list[str]:
        """Why a choice is no solution: a requirement that is not met, or a package that nobody requires."""
        todo = [Requirement(text) for text in self.request]
        followed: set[str] = set()
        faults = []
        for requirement in todo:  # grows
            name = requirement.name
            if name not in chosen or not requirement.specifier.contains(chosen[name]):
                faults.append(f"{requirement} is not met by {chosen.get(name)}")
            elif str(requirement) not in followed:
                followed.add(str(requirement))
                release = self.releases[name, chosen[name]]
                todo += map(Requirement, (*release.requires, *(release.extra if requirement.extras else ())))
        needed = {requirement.name for requirement in todo}
        return faults + [f"nobody requires {name}" for name in chosen if name not in needed]


def _version(chance: random.Random) -> str:
    return f"{chance.randint(1, 4)}.{chance.randint(0, 3)}"


def _requirement(chance: random.Random, name: str) -> str:
    extra = "[x]" if chance.random() < 0.15 else ""
    return name + extra + chance.choice(_SPECIFIERS).format(a=_version(chance), b=chance.randint(1, 4))
