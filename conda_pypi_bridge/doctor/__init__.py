"""What is wrong with an environment, and what puts it right: ``doctor``.

`diagnose` judges the state that `prefix.read_health` read, and `fix` carries out what is safe.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from itertools import chain

from ..model import ProjectName
from ..names import Names
from ..prefix.health import Health
from . import contents, context
from .case import Case
from .fixes import Repair, Terminal, fix
from .model import KINDS, Deletion, Door, Finding, Kind, Replacement


def diagnose(
    health: Health,
    names: Names,
    markers: Mapping[str, str],
    door: Door,
    in_use: Collection[ProjectName] = frozenset(),
) -> list[Finding]:
    """Everything that is to be said of a prefix, the worst first. Pure.

    `markers` is the PEP 508 environment of its Python. `in_use` are the projects that this very process
    runs on: they are not taken away under it.
    """
    case = Case(health=health, names=names, markers=markers, door=door, in_use=in_use)
    looks = (contents.unreadable, contents.packages, contents.metadata, contents.copies, contents.twice)
    found = chain.from_iterable(look(case) for look in (*looks, context.everything))
    return sorted(found, key=lambda finding: (KINDS.index(finding.kind), finding.name, finding.sentence))


__all__ = [
    "KINDS",
    "Deletion",
    "Door",
    "Finding",
    "Kind",
    "Repair",
    "Replacement",
    "Terminal",
    "diagnose",
    "fix",
]
