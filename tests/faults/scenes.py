"""A case at a door, with cold or warm caches: how it goes when nothing happens."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from pathlib import Path

from tests.faults.cases import CASES, Case
from tests.faults.laboratory import DOORS, Laboratory, World
from tests.faults.oracle import look, outside
from tests.faults.tracing import Call, read_calls, tracing
from tests.lab.trees import Tree, diff

CACHES = ("cold", "warm")


@dataclass(frozen=True, kw_only=True, order=True)
class Setting:
    """Names a scene: `case` is a key of `CASES`, `cache` one of `CACHES`."""

    door: str
    case: str
    cache: str

    def __str__(self) -> str:
        return f"{self.door}/{self.case}/{self.cache}"


def settings() -> list[Setting]:
    """Every combination."""
    return [Setting(door=d, case=c, cache=h) for d, c, h in itertools.product(DOORS, CASES, CACHES)]


@dataclass(frozen=True, kw_only=True)
class Scene:
    """Everything that is known about an uninjured run, and a copy of the world it starts from.

    `before`, `after` and `again` are the environment at first, after the command, and after it ran once
    more, which ended with `again_status`. `known` are the paths that may be outside of the environment,
    `caches` what is there after each of two runs, alike. `calls` are those of the first run; `lasting` are
    the names and paths of calls that the second run made too.
    """

    setting: Setting
    world: World
    pristine: Path
    before: Tree
    after: Tree
    again: Tree
    again_status: int
    known: frozenset[str]
    caches: Tree
    calls: tuple[Call, ...] = field(repr=False)
    steady: frozenset[tuple[str, str]] = field(repr=False)

    @property
    def case(self) -> Case:
        return CASES[self.setting.case]

    @property
    def command(self) -> list[str]:
        return self.world.command(self.setting.door, self.case.verb, self.case.specs)


def prepare(laboratory: Laboratory, setting: Setting) -> Scene:
    """Make the world of a setting, and run its command twice to learn what it does.

    Raises `AssertionError` where the two runs do not end alike: such an oracle would be worth nothing.
    """
    case = CASES[setting.case]
    world = laboratory.fresh(setting.door)
    world.take(setting.door, case.before)
    if setting.cache == "warm":
        world.warm(setting.door, case)
    pristine = world.save(laboratory.folder / "scenes" / str(setting))
    before = look(world.prefix)
    known = _after_next_commands(world, setting)
    runs = [_traced(world, setting, pristine) for _ in range(2)]
    (after, caches, calls), (after_too, caches_too, calls_too) = runs
    assert not diff(after, after_too), f"{setting}: {diff(after, after_too)}"
    assert diff(before, after), f"{setting}: nothing changes"
    again_status = world.run(world.command(setting.door, case.verb, case.specs), check=False).returncode
    again = look(world.prefix)
    known |= _after_next_commands(world, setting) | caches.keys() | caches_too.keys()
    return Scene(
        setting=setting,
        world=world,
        pristine=pristine,
        before=before,
        after=after,
        again=again,
        again_status=again_status,
        known=frozenset(known),
        caches={path: entry for path, entry in caches.items() if caches_too.get(path) == entry},
        calls=tuple(calls),
        steady=frozenset((call.name, path) for call in calls_too for path in call.paths),
    )


def _traced(world: World, setting: Setting, pristine: Path) -> tuple[Tree, Tree, list[Call]]:
    """The environment and what is outside of it after an uninjured run, and its calls."""
    case = CASES[setting.case]
    world.restore(pristine)
    log = world.folder.with_name("strace.log")
    world.run([*tracing(log), *world.command(setting.door, case.verb, case.specs)])
    return look(world.prefix), outside(world.folder), read_calls(log)


def _after_next_commands(world: World, setting: Setting) -> set[str]:
    """What is outside of the environment once commands that somebody may run next have run."""
    for command in world.next_commands(setting.door):
        world.run(command)
    return set(outside(world.folder))
