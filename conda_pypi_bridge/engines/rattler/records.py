"""Records as rattler holds them: from the overlay, from ``conda-meta``, and for what nobody recorded."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import rattler
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from ...errors import Unsatisfiable, Untranslatable
from ...locks import own_folder
from ...model import CHANNEL, CHANNEL_URL, CondaName, InstalledDist, PackageRecord, ProjectName
from ...names import Names
from ...prefix import Prefix
from ...store import cache_folder
from ...versions import conda_spec, conda_version

#: Channel names of records that stand for what no channel offers. They are never fetched.
PIP, VENV = "pip", "venv"

State = Mapping[str, rattler.RepoDataRecord]


def overlay_record(package: PackageRecord) -> rattler.RepoDataRecord:
    """A record of ours as the solver takes it."""
    return read_record({**package.index_json(), "channel": CHANNEL, "url": package.url, "fn": package.fn})


def installed_state(
    prefix: Prefix, pip: Mapping[CondaName, InstalledDist], names: Names, subdir: str
) -> State:
    """The records of everything in the prefix, by name; `pip` is what pip placed."""
    python = prefix.python
    state: dict[str, rattler.RepoDataRecord] = {
        record.name.normalized: record for record in installed_records(prefix.path)
    }
    if python is not None and python.is_venv:
        state["python"] = read_record(venv_python(python.version, subdir))
    for name, dist in pip.items():
        state[name] = read_record(pip_record(name, dist, prefix.holding(dist), names))
    return state


def installed_records(prefix: Path) -> list[rattler.PrefixRecord]:
    """The records of ``conda-meta``, each with the paths of its files as they are in the prefix.

    conda notes those of a ``noarch: python`` package as they are in the package; rattler would look
    there for what it is to delete, and leave it behind.
    """
    found = []
    for file in sorted((prefix / "conda-meta").glob("*.json")):
        document = json.loads(file.read_text("utf-8"))
        files = document.get("files", [])
        if document.get("noarch") == "python" and files:
            paths = [{"_path": path, "path_type": "hardlink"} for path in files]
            found.append(read_record({**document, "paths_data": {"paths_version": 1, "paths": paths}}))
        else:
            found.append(rattler.PrefixRecord.from_path(file))
    return found


def read_record(record: Mapping[str, Any]) -> rattler.PrefixRecord:
    """A record of rattler from conda's JSON.

    Its constructor insists on a channel that is a URL; read from a file, as an installed package's
    record, the channel may be a name.
    """
    document = {"files": [], "paths_data": {"paths_version": 1, "paths": []}, **record}
    file = own_folder(cache_folder()) / f"{uuid.uuid4().hex}.json"
    try:
        file.write_text(json.dumps(document), "utf-8")
        return rattler.PrefixRecord.from_path(file)
    finally:
        file.unlink(missing_ok=True)


def venv_python(version: Version, subdir: str) -> dict[str, Any]:
    """The record that stands for the interpreter of a virtual environment: it has no files."""
    return {
        "name": "python",
        "version": str(version),
        "build": VENV,
        "build_number": 0,
        "depends": [],
        "subdir": subdir,
        "channel": VENV,
        "url": f"{CHANNEL_URL}/{subdir}/python-{version}-{VENV}.conda",
        "fn": f"python-{version}-{VENV}.conda",
        "files": [],
        "paths_data": {"paths_version": 1, "paths": []},
    }


def pip_record(
    name: CondaName, dist: InstalledDist, holding: Iterable[Requirement], names: Names
) -> dict[str, Any]:
    """The record that stands for what pip placed, with those of its requirements that hold now."""
    version = conda_version(dist.version)
    return {
        "name": name,
        "version": version,
        "build": f"{PIP}_0",
        "build_number": 0,
        "depends": sorted(_depends(holding, names)),
        "subdir": "noarch",
        "channel": PIP,
        "url": f"{CHANNEL_URL}/noarch/{name}-{version}-{PIP}_0.conda",
        "fn": f"{name}-{version}-{PIP}_0.conda",
    }


def _depends(holding: Iterable[Requirement], names: Names) -> Iterator[str]:
    for requirement in holding:
        project = ProjectName(canonicalize_name(requirement.name))
        try:
            yield f"{names.conda_name(project)} {conda_spec(requirement.specifier)}".strip()
        except Untranslatable:
            continue


def without_deps(
    overlay: Sequence[rattler.RepoDataRecord],
    state: State,
    requests: Sequence[str],
) -> list[rattler.RepoDataRecord]:
    """The state plus the newest record of each request, whatever these depend on. Raises `Unsatisfiable`."""
    final = dict(state)
    for text in requests:
        spec = rattler.MatchSpec(text)
        fitting = [record for record in overlay if record.matches(spec)]
        if not fitting:
            raise Unsatisfiable(f"nothing on the index matches {text}")
        best = max(fitting, key=lambda record: (record.version, record.build_number))
        final[best.name.normalized] = best
    return list(final.values())


def with_users(names: set[str], state: State) -> set[str]:
    """The names and everything that depends on them."""
    gone: set[str] = set()
    queue = list(names)
    while queue:
        name = queue.pop()
        gone.add(name)
        queue += [user for user, r in state.items() if user not in gone and name in needs(r)]
    return gone


def with_orphans(gone: set[str], state: State, brought: set[str]) -> set[str]:
    """The names and, of what was brought along for them, everything that nobody else needs."""
    gone = set(gone)
    while True:
        needed = {name for other, r in state.items() if other not in gone for name in needs(r)}
        freed = {name for left in gone for name in needs(state[left])}
        orphans = (freed & brought) - needed - gone
        if not orphans:
            return gone
        gone |= orphans


def needs(record: rattler.RepoDataRecord) -> set[str]:
    """The names of what a record depends on."""
    return {name_of(text) for text in record.depends}


def name_of(spec: str) -> str:
    """The name that a spec is about; "" where it names none."""
    name = rattler.MatchSpec(spec).name
    return name.normalized if name is not None else ""


def same_package(record: rattler.RepoDataRecord, other: rattler.RepoDataRecord | None) -> bool:
    """Whether two records are one build, whichever channel has it; but what pip placed is not a package's."""
    return (
        other is not None
        and (str(record.version), str(record.build)) == (str(other.version), str(other.build))
        and record.build_number == other.build_number
        and (record.channel in (CHANNEL, PIP, VENV)) == (other.channel in (CHANNEL, PIP, VENV))
    )
