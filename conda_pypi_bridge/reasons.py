"""Why each package of a plan comes, and what else there is to say of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from .closure import Closure
from .model import CondaName, InstalledDist, Plan, ProjectName, Row
from .resolve import ENVIRONMENT


def reasoned(closure: Closure, plan: Plan) -> Plan:
    """The plan with why each package comes: it was asked for, or who requires it."""
    chosen = {row.package.project: row.package.version for row in plan.link if row.package is not None}
    return replace(plan, link=[replace(row, why=_why(row, closure, chosen)) for row in plan.link])


def _why(row: Row, closure: Closure, chosen: Mapping[ProjectName, str]) -> str:
    project = (
        row.package.project if row.package is not None else closure.names.project_of(CondaName(row.name))
    )
    users = [edge.required_by for edge in closure.edges.get(project, ())] if project else []
    needed = [user for user in users if not user or _is_chosen(user, chosen)]
    if "" in needed:
        return "requested"
    return f"required by {needed[0]}" if needed else "so that all fit" if ENVIRONMENT in users else ""


def notes(closure: Closure, plan: Plan) -> Iterator[str]:
    """What there is to say of the requests and of the chosen wheels."""
    yield from closure.remarks
    for row in plan.link:
        if row.package is not None and row.package.wheel is not None:
            yield from closure.notes.get((row.package.project, row.package.wheel.version), ())


def replacement(dist: InstalledDist) -> str:
    """The sentence on what pip placed and a package takes the place of."""
    return f"{dist.project} {dist.version}, which pip placed here, is replaced"


def _is_chosen(user: str, chosen: Mapping[ProjectName, str]) -> bool:
    project, _, version = user.partition(" ")
    return chosen.get(ProjectName(project)) == version.partition(" ")[0]
