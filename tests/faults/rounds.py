# ruff: noqa: T201 -- a command: it prints its figures
"""Have commands run at once, round after round: two change one environment, or four fill one cold cache.

``python -m tests.faults.rounds`` has every contest held 50 times, and those for a cold cache 200 times, at
each door. A round is good where every command succeeds, and all environments and caches are exactly what the
same commands leave one after the other, in one order or another.
"""

from __future__ import annotations

import argparse
import itertools
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.faults.laboratory import DOORS, PATIENCE, Laboratory, World, laboratory
from tests.faults.oracle import damage, look, outside, strangers
from tests.lab.trees import Tree, diff

#: Seconds between the first command's start and the last one's, at most.
_APART = 0.3

#: The most orders of commands that are tried one after the other.
_ORDERS = 2

_LAMB, _GOAT, _ALL = ("lamb",), ("goat",), ("moo==2.0", "milk")


@dataclass(frozen=True, kw_only=True)
class Contest:
    """Commands that begin at once, each a verb and its specs; `before` are steps that come first.

    `apart` has each command change an environment of its own.
    """

    commands: tuple[tuple[str, tuple[str, ...]], ...]
    before: tuple[tuple[str, tuple[str, ...]], ...] = ()
    apart: bool = False


#: By name. Those of the last kind share nothing but caches, which are empty.
CONTESTS: Mapping[str, Contest] = {
    "different packages": Contest(commands=(("install", _LAMB), ("install", _GOAT))),
    "the same package": Contest(commands=(("install", _LAMB), ("install", _LAMB))),
    "install and remove": Contest(
        commands=(("install", _LAMB), ("remove", _GOAT)), before=(("install", _GOAT),)
    ),
    "one cold cache": Contest(commands=(("install", _ALL),) * 4, apart=True),
}

#: Which doors the commands go through, in turn.
PAIRS: Mapping[str, tuple[str, ...]] = {
    **{door: (door,) for door in DOORS},
    "conda and python-m": ("conda", "python-m"),
}


@dataclass(frozen=True, kw_only=True)
class Arena:
    """A contest at its doors: a world to begin with, and what it may be like in the end.

    `ends` are the environments, by path, after the commands in some order; `known` and `caches` as in a
    `Scene`.
    """

    world: World
    pristine: Path
    door: str
    commands: tuple[tuple[str, ...], ...]
    prefixes: tuple[Path, ...]
    ends: tuple[tuple[Tree, ...], ...]
    known: frozenset[str]
    caches: Tree


def prepare(made: Laboratory, contest: Contest, doors: Sequence[str]) -> Arena:
    """Make the world of a contest, and have its commands run one after the other, in two orders."""
    world = made.fresh(doors[0])
    prefixes = [world.prefix]
    if contest.apart:
        prefixes = [world.folder / f"prefix{number}" for number in range(len(contest.commands))]
        for prefix in prefixes:
            made.make_prefix(world, doors[0], prefix)
    world.take(doors[0], contest.before)
    pristine = world.save(made.folder / "arena")
    places = zip(contest.commands, itertools.cycle(doors), itertools.cycle(prefixes), strict=False)
    commands = [tuple(world.command(door, *words, prefix)) for words, door, prefix in places]
    ends, surroundings = [], []
    for order in (commands, commands[::-1]):
        world.restore(pristine)
        for command in order:
            world.run(command)
        ends.append(tuple(look(prefix) for prefix in prefixes))
        surroundings.append(outside(world.folder))
    first, second = surroundings
    return Arena(
        world=world,
        pristine=pristine,
        door="conda" if "conda" in doors else doors[0],
        commands=tuple(commands),
        prefixes=tuple(prefixes),
        ends=tuple(ends),
        known=frozenset(first.keys() | second.keys()),
        caches={path: entry for path, entry in first.items() if second.get(path) == entry},
    )


def hold(arena: Arena, rng: random.Random) -> list[str]:
    """One round; what was wrong with it."""
    arena.world.restore(arena.pristine)
    found = list(_run_at_once(arena, rng))
    end = tuple(look(prefix) for prefix in arena.prefixes)
    if end not in arena.ends:
        found += [str(diff(a, b)) for a, b in zip(arena.ends[0], end, strict=True) if diff(a, b)]
    left, _ = strangers(arena.world, arena.known, arena.door)
    return [*found, *(f"left {path}" for path in left), *damage(arena.world, arena.caches)]


def _run_at_once(arena: Arena, rng: random.Random) -> Iterator[str]:
    """Start the commands in any order, a little apart, and say which failed."""
    processes = []
    for command in rng.sample(arena.commands, len(arena.commands)):
        process = subprocess.Popen(
            command,
            env=arena.world.environment(),
            cwd=arena.world.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        processes.append(process)
        time.sleep(rng.uniform(0, _APART / len(arena.commands)))
    for process in processes:
        try:
            output, _ = process.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            output, _ = process.communicate()
        if process.returncode:
            yield f"exit {process.returncode}: {output.strip()[-300:]}"


def run_rounds(made: Laboratory, contest: Contest, doors: Sequence[str], count: int, seed: int) -> list[str]:
    """Hold rounds; one text for each bad one."""
    arena = prepare(made, contest, doors)
    rng = random.Random(f"{seed} {contest} {doors}")
    results = [(number, hold(arena, rng)) for number in range(count)]
    return [f"round {number}: " + "\n    ".join(found) for number, found in results if found]


def main() -> int:
    """Hold the rounds that were asked for, print the figures, and return the exit status."""
    args = _arguments()
    failed = False
    print(f"{'contest':22}{'doors':22}{'rounds':>8}{'good':>8}{'minutes':>9}")
    with (
        tempfile.TemporaryDirectory(prefix="rounds-", dir=args.folder) as folder,
        laboratory(Path(folder)) as made,
    ):
        for name, pair in itertools.product(args.contest or CONTESTS, args.door or PAIRS):
            contest = CONTESTS[name]
            if contest.apart and len(PAIRS[pair]) > 1:
                continue
            began = time.monotonic()
            count = args.cold if contest.apart else args.rounds
            bad = run_rounds(made, contest, PAIRS[pair], count, args.seed)
            minutes = (time.monotonic() - began) / 60
            print(f"{name:22}{pair:22}{count:>8}{count - len(bad):>8}{minutes:>9.1f}", flush=True)
            print("".join(f"  {text}\n" for text in bad), end="", flush=True)
            failed = failed or bool(bad)
    return int(failed)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.faults.rounds",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--rounds", type=int, default=50, help="for one environment (default: 50)")
    parser.add_argument("--cold", type=int, default=200, help="for one cold cache (default: 200)")
    parser.add_argument("--seed", type=int, default=0, help="chooses the starts (default: 0)")
    parser.add_argument("--contest", action="append", choices=list(CONTESTS), help="only this one")
    parser.add_argument("--door", action="append", choices=list(PAIRS), help="only this one")
    parser.add_argument("--folder", type=Path, help="where to work (default: the folder for temporary files)")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
