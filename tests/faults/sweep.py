"""Fault after fault: each on a world put back as it was, then the next command, then the same once more."""

from __future__ import annotations

import itertools
import shlex
import time
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from tests.faults.choice import choose, lasting_paths
from tests.faults.injection import Fault, ends, strike
from tests.faults.laboratory import PATIENCE, Laboratory
from tests.faults.oracle import Outcome, damage, look, mixture, objections, state_of, strangers
from tests.faults.scenes import Scene, Setting, prepare

#: Seconds that a command's children may take to end before the next command begins all the same.
_GRACE = 0.1

#: Outcomes by setting and fault.
Known = Mapping[tuple[str, str], Outcome]

#: Of so many faults that were aimed at a scene, for each that is wanted, some must fire.
_TRIES = 4


def inflict(scene: Scene, fault: Fault) -> Outcome:
    """Have one fault happen, and judge what it leaves."""
    began = time.monotonic()
    scene.world.restore(scene.pristine)
    paths = lasting_paths(scene, fault) if fault.lasting else {}
    struck = strike(scene.world, scene.command, fault, paths)
    quiet = ends(struck.group, _GRACE)
    at_once = state_of(scene, look(scene.world.prefix)) if quiet else ""
    complaints = [*objections(struck, fault), *_next_command(scene, fault)]
    if not ends(struck.group, PATIENCE):
        complaints.append("a child of the command does not end")
    tree = look(scene.world.prefix)
    state = state_of(scene, tree)
    if state == "mixed":
        complaints.append(mixture(scene, tree))
    elif state == "before" and struck.status == 0:
        complaints.append("the command succeeded, but did nothing")
    left, foreign = strangers(scene.world, scene.known, scene.setting.door)
    again = list(_rerun(scene, state))
    lasting, _ = strangers(scene.world, scene.known, scene.setting.door)
    return Outcome(
        setting=str(scene.setting),
        fault=str(fault),
        fired=struck.fired,
        status=struck.status,
        struck=at_once,
        state=state,
        leftovers=left,
        foreign=foreign,
        lasting=lasting,
        rerun=not again,
        complaints=(*complaints, *again, *damage(scene.world, scene.caches)),
        seconds=round(time.monotonic() - began, 2),
    )


def _next_command(scene: Scene, fault: Fault) -> Iterator[str]:
    """What is wrong with the command that follows, which is the same whenever this fault is repeated."""
    commands = scene.world.next_commands(scene.setting.door)
    done = scene.world.run(commands[zlib.crc32(str(fault).encode()) % len(commands)], check=False)
    if "Traceback" in done.stderr or done.returncode not in (0, 1):
        yield f"the next command failed: {done.stderr[-300:]}"


def _rerun(scene: Scene, state: str) -> Iterator[str]:
    """What is wrong once the command has run again: nothing where it does what an uninjured one would do."""
    done = scene.world.run(scene.command, check=False)
    wanted, status = (scene.again, scene.again_status) if state == "after" else (scene.after, 0)
    if done.returncode != status:
        yield f"the same command again: exit {done.returncode}: {done.stderr.strip()[-300:]}"
    tree = look(scene.world.prefix)
    if tree != wanted:
        yield f"the same command again left it {mixture(scene, tree)}"


def run_scene(
    laboratory: Laboratory,
    setting: Setting,
    wanted: int,
    seed: int,
    known: Known,
    tell: Callable[[Outcome], None],
) -> None:
    """Inflict faults on one scene until so many have fired; those that are `known` already count."""
    scene = prepare(laboratory, setting)
    fired = 0
    for fault in itertools.islice(choose(scene, seed), wanted * _TRIES):
        outcome = known.get((str(setting), str(fault))) or inflict(scene, fault)
        tell(outcome)
        fired += outcome.fired
        if fired >= wanted:
            return


def run_settings(
    laboratory: Laboratory,
    wanted: Mapping[Setting, int],
    seed: int,
    jobs: int,
    known: Known,
    tell: Callable[[Outcome], None],
) -> None:
    """Sweep over scenes, `jobs` of them at once; `tell` may be called from any thread."""
    rooms = [laboratory.apart(f"job{number}") for number in range(jobs)]

    def one(setting: Setting) -> None:
        room = rooms.pop()
        try:
            run_scene(room, setting, wanted[setting], seed, known, tell)
        finally:
            rooms.append(room)

    with ThreadPoolExecutor(jobs) as pool:
        for job in [pool.submit(one, setting) for setting in wanted if wanted[setting]]:
            job.result()


def account(outcome: Outcome) -> str:
    """How to have one fault happen again, and what was wrong after it."""
    door, case, cache = outcome.setting.split("/")
    words = ["--door", door, "--case", case, "--cache", cache, "--fault", outcome.fault]
    again = "ok" if outcome.rerun else "FAILED"
    lines = [f"state {outcome.state}, exit {outcome.status}, again {again}", *outcome.complaints]
    lines += [f"left {path}" for path in outcome.leftovers]
    lines += [f"left for good {path}" for path in outcome.lasting]
    return "\n  ".join([shlex.join(["python", "-m", "tests.faults", *words]), *lines])


def figures(outcomes: Sequence[Outcome]) -> str:
    """A table by door and case, of the faults that fired, and the sums below."""
    groups: dict[str, list[Outcome]] = {}
    for outcome in sorted(outcomes, key=lambda outcome: outcome.setting):
        groups.setdefault(outcome.setting.rpartition("/")[0], []).append(outcome)
    rows = [*groups.items(), ("all", list(outcomes))]
    titles = (
        "injected",
        "fired",
        "before",
        "after",
        "mixed",
        "leftover",
        "rerun ok",
        "good",
        "foreign",
        "torn",
    )
    lines = [f"{'door/case':28}" + "".join(f"{title:>10}" for title in titles)]
    lines += [f"{name:28}" + "".join(f"{number:>10}" for number in _counts(some)) for name, some in rows]
    return "\n".join(lines)


def _counts(outcomes: Sequence[Outcome]) -> list[int]:
    fired = [outcome for outcome in outcomes if outcome.fired]
    states = [sum(outcome.state == state for outcome in fired) for state in ("before", "after", "mixed")]
    return [
        len(outcomes),
        len(fired),
        *states,
        sum(bool(outcome.leftovers) for outcome in fired),
        sum(bool(outcome.lasting) for outcome in fired),
        sum(outcome.rerun for outcome in fired),
        sum(outcome.is_good for outcome in fired),
        sum(bool(outcome.foreign) for outcome in fired),
        sum(outcome.struck == "mixed" for outcome in fired),
    ]
