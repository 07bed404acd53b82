"""Whether what is installed is whole, and whose it is: broken, shadowed and mixed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from ..model import CHANNEL, InstalledDist
from ..prefix.health import DistState, PackageState
from .case import Case, Copy, info, problem
from .model import Finding, Kind, Replacement

#: So many files are named; the others are counted.
_NAMED = 3


def unreadable(case: Case) -> Iterator[Finding]:
    """Records that are none, and a Python that cannot be told."""
    for file, reason in case.health.unreadable.items():
        sentence = f"{reason}. Move it out of conda-meta, then install the package again"
        yield problem("broken", f"conda-meta/{file}", sentence)
    if case.health.python_problem:
        yield problem("broken", "python", case.health.python_problem)


def packages(case: Case) -> Iterator[Finding]:
    """Conda packages whose files are missing, or not as they were placed."""
    replaced = {copy.owner.name for copy in case.copies if copy.owner is not None}
    writers = {file.path: copy for copy in case.copies for file in copy.state.files}
    for package in case.health.packages:
        if package.name in replaced or not (package.missing or package.changed):
            continue
        over = [path for path in package.changed if path in writers]
        changed = [path for path in package.changed if path not in writers]
        by = ", ".join(
            dict.fromkeys(f"{w.dist.project} {w.dist.version}" for w in map(writers.get, over) if w)
        )
        parts = [
            _files(package.missing, package, "missing"),
            _files(changed, package, "not as it was placed", "not as they were placed"),
            _files(over, package, f"written over by {by}"),
        ]
        kind: Kind = "shadowed" if over else "broken"
        found = problem(kind, package.name, "; ".join(filter(None, parts)), version=package.version)
        if package.name == "python":
            yield found  # whatever could link it anew runs on it
        else:
            remedy = Replacement(
                spec=_spec(case, package),
                edited=bool(package.changed),
                again=(package.name,),
                files=package.files,
            )
            yield _offer(case, remedy, found)


def metadata(case: Case) -> Iterator[Finding]:
    """Metadata folders that do not tell what they should, of what conda did not place."""
    for state in case.health.dists:
        if state.dist is None:
            yield _nameless(case, state)
        elif state.dist.owner is None and not state.has_record:
            sentence = "RECORD is missing or no list: nothing can tell which files are its own"
            yield problem("broken", state.folder, sentence, fix=_pip_anew(case, state.dist))
        elif state.problems:
            yield problem("broken", state.folder, "; ".join(state.problems))


def _nameless(case: Case, state: DistState) -> Finding:
    name, _, version = state.folder.rpartition(".")[0].partition("-")
    reason = "; ".join(state.problems) if state.has_metadata else "METADATA is missing"
    fix = case.door.command("install", f"{name}=={version}") if version else ""
    return problem("broken", state.folder, reason, fix=fix)


def _pip_anew(case: Case, dist: InstalledDist) -> str:
    return case.pip("install", "--force-reinstall", "--no-deps", f"{dist.project}=={dist.version}")


def copies(case: Case) -> Iterator[Finding]:
    """What pip placed: beside conda's packages, over one of them, or in part."""
    for copy in case.copies:
        if not copy.state.has_record or _is_one_of_several(case, copy):
            continue
        project, version = copy.dist.project, copy.dist.version
        if copy.owner is not None:
            sentence = (
                f"placed by {copy.installer} over the conda package {copy.owner.name} {copy.owner.version}"
            )
            yield _replace(case, copy, problem("shadowed", project, sentence, version=version))
        elif copy.state.missing:
            sentence = _files(copy.state.missing, copy.state, "missing")
            yield _replace(case, copy, problem("broken", project, sentence, version=version))
        elif not case.is_venv:
            sentence = f"placed by {copy.installer}; conda does not see it"
            yield _replace(case, copy, info("mixed", project, sentence, version=version))


def _is_one_of_several(case: Case, copy: Copy) -> bool:
    return sum(other.dist.project == copy.dist.project for other in case.copies) > 1


def _replace(case: Case, copy: Copy, found: Finding) -> Finding:
    """The finding, with the replacement by a conda package where it is safe to offer one."""
    reason = ""
    if copy.state.editable:
        reason = "installed in editable mode"
    elif copy.state.from_url:
        reason = "from a file or an address of its own"
    elif copy.dist.project in case.in_use:
        reason = "this command runs on it"
    if reason:
        return replace(found, sentence=f"{found.sentence} ({reason}: left alone)")
    theirs = {file.path for file in copy.state.files}
    rest = [file for file in (copy.owner.files if copy.owner else ()) if file.path not in theirs]
    same = copy.owner if copy.state.over else None
    remedy = Replacement(
        spec=_spec(case, same) if same else f"{copy.dist.project}=={copy.dist.version}",
        edited=bool(copy.state.changed),
        dists=(copy.dist,),
        again=(same.name,) if same else (),
        files=(*copy.state.files, *rest),
    )
    return _offer(case, remedy, found)


def _offer(case: Case, remedy: Replacement, found: Finding) -> Finding:
    return replace(found, remedy=remedy, fix=case.door.fix(found.name))


def _spec(case: Case, package: PackageState) -> str:
    """What asks for exactly the installed package."""
    project = case.names.project_of(package.name)
    if package.channel == CHANNEL and project is not None:
        return f"{project}=={case.versions.get(project, package.version)}"
    return f"{package.name}={package.version}={package.build}"


def twice(case: Case) -> Iterator[Finding]:
    """Projects with several metadata folders, of which Python reads whichever it finds first."""
    folders: dict[str, list[DistState]] = {}
    for state in case.health.dists:
        if state.dist is not None:
            folders.setdefault(state.dist.project, []).append(state)
    for project, states in folders.items():
        placed = [state for state in states if state.dist and state.dist.owner is None]
        if len(placed) > 1 or len(states) - len(placed) > 1:
            listed = ", ".join(state.folder for state in states)
            fix = case.pip("uninstall", project) if placed else ""
            yield problem("shadowed", project, f"is there {len(states)} times: {listed}", fix=fix)


def _files(paths: Sequence[str], whole: PackageState | DistState, one: str, many: str = "") -> str:
    """``2 of its 14 files are missing: a, b``; "" of no paths."""
    if not paths:
        return ""
    what = f"is {one}" if len(paths) == 1 else f"are {many or one}"
    named = ", ".join(sorted(paths)[:_NAMED])
    more = ", ..." if len(paths) > _NAMED else ""
    return f"{len(paths)} of its {len(whole.files)} files {what}: {named}{more}"
