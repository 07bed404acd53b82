"""Which faults: spread over all the calls of a run, with weight on those that touch the environment."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence

from tests.faults.injection import SIGNALS, Fault
from tests.faults.scenes import Scene
from tests.faults.tracing import ENDING, GROWING, MAKING, MARKING, OPENING, SYNCING, matching

#: How often calls in each folder of a world are chosen.
AREAS = {"prefix": 6, "home": 3, "tmp": 1}

#: What can go wrong with a call, beside a signal that comes just then.
_ERRORS: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys((*GROWING, *SYNCING), ("ENOSPC", "EIO")),
    **dict.fromkeys((*MAKING, *OPENING), ("ENOSPC", "EACCES", "EROFS", "EIO")),
    **dict.fromkeys((*ENDING, *MARKING), ("EACCES", "EROFS", "EIO")),
}

#: Errors that stay once they are there, and the calls that they are about. Not those that open files: strace
#: cannot tell which only read, and reading goes on.
_LASTING: Mapping[str, tuple[str, ...]] = {
    "ENOSPC": (*GROWING, *MAKING),
    "EROFS": (*GROWING, *MAKING, *ENDING, *MARKING),
}

#: Calls at which a fault can be put: name, number, and path; by area and name.
Places = Mapping[str, Mapping[str, Sequence[tuple[str, int, str]]]]


def choose(scene: Scene, seed: int) -> Iterator[Fault]:
    """Faults without end and, as long as there are new ones, without repetition."""
    rng = random.Random(f"{seed} {scene.setting}")
    places, seen = places_of(scene), set[Fault]()
    areas = [area for area in AREAS if places[area]]
    while True:
        for _ in range(100):
            area = rng.choices(areas, [AREAS[area] for area in areas])[0]
            names = sorted(places[area])
            name = rng.choices(names, [len(places[area][name]) ** 0.5 for name in names])[0]
            fault = _fault(rng, *rng.choice(places[area][name]))
            if fault not in seen:
                break
        seen.add(fault)
        yield fault


def _fault(rng: random.Random, call: str, number: int, path: str) -> Fault:
    """Half are signals, and some of the errors stay.

    Without a path, calls that not only files know get no errors.
    """
    what, lasting = rng.choice((*SIGNALS, "SIGKILL")), False
    if (path or call in (*MAKING, *ENDING)) and rng.random() < 0.5:
        what = rng.choice(_ERRORS[call])
        stays = path and what in _LASTING and call in _LASTING[what]
        lasting = bool(stays) and rng.random() < 0.5
    return Fault(what=what, call=call, number=number, path=path, lasting=lasting)


def places_of(scene: Scene) -> Places:
    """Where in an uninjured run something can happen.

    A path that is the same in every run names a call exactly, whichever thread makes it. Other calls,
    on files with random names, are named by their number among all of that name in one thread.
    """
    found: dict[str, dict[str, set[tuple[str, int, str]]]] = {area: defaultdict(set) for area in AREAS}
    total = Counter((call.name, path) for call in scene.calls for path in call.paths)
    so_far = Counter[tuple[int, str, str]]()
    for call in scene.calls:
        so_far.update((call.tid, call.name, path) for path in ("", *call.paths))
        inside = [path for path in call.paths if _relative(path, scene)]
        if not call.changes or not inside:
            continue
        steady = [path for path in inside if (call.name, path) in scene.steady]
        path = min(steady, key=lambda path, name=call.name: total[name, path], default="")  # type: ignore[misc]
        place = (call.name, so_far[call.tid, call.name, path], _relative(path, scene))
        found[_relative(inside[-1], scene).partition("/")[0]][call.name].add(place)
    return {area: {name: sorted(some) for name, some in names.items()} for area, names in found.items()}


def _relative(path: str, scene: Scene) -> str:
    """A path below the world, relative to it; empty for any other, and for the world's own folders."""
    folder = f"{scene.world.folder}/"
    relative = path.removeprefix(folder)
    return relative if path.startswith(folder) and relative.partition("/")[0] in AREAS else ""


def _absolute(path: str, scene: Scene) -> str:
    return str(scene.world.folder / path)


def lasting_paths(scene: Scene, fault: Fault) -> dict[str, list[str]]:
    """What an error that stays is about: names of calls, and the paths that such calls still touch.

    A full disk is full everywhere; a folder that cannot be written is the environment, or the home.
    """
    places = matching(scene.calls, fault.call, _absolute(fault.path, scene))
    area = fault.path.partition("/")[0]
    paths: dict[str, set[str]] = defaultdict(set)
    for call in scene.calls[places[min(fault.number, len(places)) - 1] :]:
        for path in call.paths if call.name in _LASTING[fault.what] else ():
            relative = _relative(path, scene)
            if relative and (fault.what == "ENOSPC" or relative.partition("/")[0] == area):
                paths[call.name].add(path)
    return {name: sorted(some) for name, some in sorted(paths.items())}
