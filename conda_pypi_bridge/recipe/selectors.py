"""Which platforms and Pythons a line of a recipe is for, as conda-build's selectors say it.

conda-build reads ``# [...]`` at the end of a line of ``meta.yaml`` as a condition on the platform
(``linux``, ``osx``, ``win``, ``unix``, ``linux64``, an architecture) and on the Python (``py``, a number:
312 for Python 3.12).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence

#: A platform (conda's subdir) and a minor version of Python as conda-build's ``py`` has it.
Place = tuple[str, int]

#: What is true of one platform alone.
_ALONE = {
    "linux-64": "linux64",
    "linux-aarch64": "(linux and aarch64)",
    "osx-64": "(osx and x86_64)",
    "osx-arm64": "(osx and arm64)",
    "win-64": "win64",
    "win-arm64": "(win and arm64)",
}

_FAMILIES = ("linux", "osx", "win")


def selector(chosen: Collection[Place], among: Collection[Place]) -> str:
    """What holds in the `chosen` places and in no other place of `among`; "" where it is all of them.

    Whatever is not among them may meet it or not: the recipe skips that.
    """
    here, there = _pythons_of(chosen), _pythons_of(among)
    alike: dict[str, list[str]] = defaultdict(list)
    for subdir, pythons in here.items():
        alike[_python_text(pythons, there[subdir])].append(subdir)
    texts = [_both(_platform_text(subdirs, list(there)), python) for python, subdirs in alike.items()]
    return _any_of(texts)


def only(chosen: Collection[Place]) -> str:
    """What holds in the `chosen` places, and nowhere else in the world."""
    alike: dict[str, list[str]] = defaultdict(list)
    for subdir, pythons in _pythons_of(chosen).items():
        alike[_any_of(_run_text(run) for run in _runs(pythons, range(pythons[0], pythons[-1] + 1)))].append(
            subdir
        )
    return _any_of(
        _both(_any_of(_ALONE[subdir] for subdir in subdirs), python) for python, subdirs in alike.items()
    )


def _pythons_of(places: Collection[Place]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {subdir: [] for subdir in _ALONE if any(p[0] == subdir for p in places)}
    for subdir, python in sorted(places):
        found[subdir].append(python)
    return found


def _python_text(chosen: Sequence[int], among: Sequence[int]) -> str:
    """A condition on ``py`` that tells these from the others there are; "" where there are no others."""
    return _any_of(_bounded(run, among) for run in _runs(chosen, among))


def _bounded(run: Sequence[int], among: Sequence[int]) -> str:
    if run[0] == among[0] and run[-1] == among[-1]:
        return ""
    if run[0] == among[0]:
        return f"py < {among[among.index(run[-1]) + 1]}"
    return f"py >= {run[0]}" if run[-1] == among[-1] else _run_text(run)


def _run_text(run: Sequence[int]) -> str:
    return f"py == {run[0]}" if len(run) == 1 else f"(py >= {run[0]} and py <= {run[-1]})"


def _runs(chosen: Sequence[int], among: Sequence[int]) -> list[list[int]]:
    """The chosen ones, those together that have no others of `among` between them."""
    runs: list[list[int]] = []
    for python in chosen:
        if runs and not any(runs[-1][-1] < other < python for other in among):
            runs[-1].append(python)
        else:
            runs.append([python])
    return runs


def _platform_text(chosen: Sequence[str], among: Sequence[str]) -> str:
    """The shortest condition that tells these platforms from the others there are."""
    if len(chosen) == len(among):
        return ""
    if set(chosen) == {subdir for subdir in among if not subdir.startswith("win-")}:
        return "unix"
    texts: list[str] = []
    left = list(chosen)
    for family in _FAMILIES:
        members = [subdir for subdir in among if subdir.startswith(f"{family}-")]
        if members and set(members) <= set(left):
            texts.append(family)
            left = [subdir for subdir in left if subdir not in members]
    return _any_of([*texts, *(_ALONE[subdir] for subdir in left)])


def _any_of(texts: Iterable[str]) -> str:
    found = list(dict.fromkeys(texts))
    if "" in found:
        return ""
    return found[0] if len(found) == 1 else f"({' or '.join(found)})" if found else ""


def _both(platform: str, python: str) -> str:
    return f"({platform} and {python})" if platform and python else platform or python


def bare(text: str) -> str:
    """A condition without parentheses around the whole of it."""
    depth = 0
    for index, char in enumerate(text):
        depth += (char == "(") - (char == ")")
        if depth == 0 and index < len(text) - 1:
            return text
    return text[1:-1] if text.startswith("(") else text
