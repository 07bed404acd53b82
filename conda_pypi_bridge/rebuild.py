"""Packages that came from the index once, and are wanted again when no cache has them any more.

A build string is made of the wheel's hash and of what the package depends on: whatever the index gives
today, a record whose build string is the same is the same package.
"""

from __future__ import annotations

from dataclasses import replace

from packaging.utils import canonicalize_name

from . import translate
from .engines import Engine
from .errors import MetadataRefused, NoFittingWheel, PrefixError, Untranslatable
from .index import Index
from .model import Candidate, CondaName, PackageRecord, Plan, ProjectName, Row, Target, Wheel
from .names import Names, split_extra
from .versions import conda_version


def restored(plan: Plan, target: Target, engine: Engine, index: Index) -> Plan:
    """The plan, with the records of those packages that are linked anew and are in no cache.

    Raises `PrefixError` for a package that the index does not give any more, `OtherIndex` for one that came
    from an index that is not configured now.
    """
    link = [_restored(row, target, engine, index) for row in plan.link]
    return replace(plan, link=link)


def _restored(row: Row, target: Target, engine: Engine, index: Index) -> Row:
    if row.origin != "pypi" or row.package is not None or engine.has(row.dist):
        return row
    package = rebuilt(row.dist, target, engine.names, index)
    if package is None:
        raise PrefixError(
            str(engine.path),
            f"{row.name} {row.version} is needed as it was, and neither a cache nor the index has it",
            hint=f"Remove {row.name} first, and install it again afterwards.",
        )
    return replace(row, package=package)


def rebuilt(dist: str, target: Target, names: Names, index: Index) -> PackageRecord | None:
    """The record whose ``name-version-build`` is `dist`; None where the index does not give it exactly.

    Raises `OtherIndex` where it came from one that is not configured now.
    """
    name, version, _ = dist.rsplit("-", 2)
    project, extra = _project(CondaName(name), names)
    page = index.page(project, version=version)
    wheels = [] if page is None else [w for w in page.wheels if conda_version(w.version) == version]
    records = (_record(wheel, extra, target, names, index) for wheel in wheels)
    return next((record for record in records if record is not None and record.dist == dist), None)


def _project(name: CondaName, names: Names) -> tuple[ProjectName, str]:
    """The project that a conda package of ours was made of, and of which of its extras."""
    project, extra = split_extra(name)
    if extra:
        return ProjectName(project), extra
    return names.project_of(name) or ProjectName(canonicalize_name(name)), ""


def _record(wheel: Wheel, extra: str, target: Target, names: Names, index: Index) -> PackageRecord | None:
    try:
        metadata = translate.parse_core_metadata(index.metadata(wheel), wheel.filename)
        candidate = Candidate(wheel=wheel, metadata=metadata)
        return translate.record(candidate, target, names.conda_name, extra=extra)
    except (MetadataRefused, NoFittingWheel, Untranslatable):
        return None  # then it is not the wheel that the package was made of
