"""What an environment and the folders around it hold, and what a fault has made of them."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from tests.lab.trees import Tree, diff, snapshot

if TYPE_CHECKING:
    from tests.faults.injection import Fault, Struck
    from tests.faults.laboratory import World
    from tests.faults.scenes import Scene

#: How errors are worded: by the operating system, in Python's and in Rust's error texts.
_CAUSES = {
    "ENOSPC": r"No space left on device|Errno 28|os error 28",
    "EACCES": r"Permission denied|Errno 13|os error 13|not have write permissions",
    "EROFS": r"Read-only file system|Errno 30|os error 30|read-only|not have write permissions",
    "EIO": r"Input/output error|Errno 5|os error 5",
}


def look(prefix: Path) -> Tree:
    """The whole tree of an environment, without what differs in any two runs."""
    return _plainly(prefix, {"history": _plain_history, ".pyc": _plain_pyc, ".json": _plain_record})


def outside(folder: Path) -> Tree:
    """The home and the TMPDIR of a world, by path relative to it, likewise."""
    plain = {"repodata_record.json": _plain_origin, "urls.txt": _plain_log, ".lock": _nothing}
    trees = {name: _plainly(folder / name, plain) for name in ("home", "tmp")}
    return {f"{name}/{path}": entry for name, tree in trees.items() for path, entry in tree.items()}


def _plainly(folder: Path, plain: Mapping[str, Callable[[bytes], bytes]]) -> Tree:
    """A snapshot, with the contents of files changed by their names or suffixes first."""
    tree = snapshot(folder)
    for path, entry in tree.items():
        name = PurePosixPath(path)
        change = plain.get(name.name) or plain.get(name.suffix)
        if entry.kind == "file" and change is not None:
            content = change((folder / path).read_bytes())
            tree[path] = entry._replace(content=hashlib.sha256(content).hexdigest())
    return tree


def _plain_history(content: bytes) -> bytes:
    """Each revision begins with its time; conda lists specs in the order of a set."""
    text = re.sub(rb"(?m)^==> .* <==$", b"==> <==", content)
    return re.sub(
        rb"(?m)^(# \w+ specs: )\[(.*)\]$", lambda m: m[1] + b",".join(sorted(m[2].split(b", "))), text
    )


def _plain_pyc(content: bytes) -> bytes:
    """The third word of the header is when the source was changed (PEP 552)."""
    return content[:8] + content[12:]


def _plain_record(content: bytes) -> bytes:
    """conda names an archive that it has fetched, and a folder in its place that it found in its cache.

    Of a file that it writes the prefix into rattler notes another size where the first try failed; the hash
    of what is in the prefix stands beside it.
    """
    content = re.sub(rb'("package_tarball_full_path": ".*?)\.conda"', rb'\1"', content)
    return re.sub(rb'("sha256_in_prefix": "\w+",\s*"size_in_bytes": )\d+', rb"\1", content)


def _plain_origin(content: bytes) -> bytes:
    """What conda notes of a package differs with whether it was fetched and unpacked by one command."""
    try:
        record = json.loads(content)
    except ValueError:
        return content
    return json.dumps([record[key] for key in ("name", "version", "build", "depends")]).encode()


def _plain_log(content: bytes) -> bytes:
    """conda notes the address of what it fetches, and once more where it has to fetch it again."""
    return b"\n".join(sorted(set(content.splitlines())))


def _nothing(content: bytes) -> bytes:
    """rattler counts in a lock's file."""
    return b""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What one fault did. `state` is the environment's after the next command: before, after or mixed.

    `struck` is the state right after the fault, empty where children were still at work. `leftovers` are
    paths outside of the environment that should not be there; `foreign` those that conda makes without
    us; `lasting` those of ours that the command, run again, does not sweep away either. `complaints` say what
    else was not as it must be; `rerun` whether the command then did its work.
    """

    setting: str
    fault: str
    fired: bool
    status: int
    struck: str
    state: str
    leftovers: tuple[str, ...]
    foreign: tuple[str, ...]
    lasting: tuple[str, ...]
    rerun: bool
    complaints: tuple[str, ...]
    seconds: float

    @property
    def is_good(self) -> bool:
        left = self.leftovers or self.lasting
        return self.state != "mixed" and self.rerun and not left and not self.complaints

    def document(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def state_of(scene: Scene, tree: Tree) -> str:
    """Which of the two an environment is: ``before`` or ``after``, or else ``mixed``."""
    if not diff(scene.before, tree):
        return "before"
    return "mixed" if diff(scene.after, tree) else "after"


def mixture(scene: Scene, tree: Tree) -> str:
    """How an environment differs from the nearer of the two."""
    if state_of(scene, tree) != "mixed":
        return f"as {state_of(scene, tree)}"
    differences = {"before": diff(scene.before, tree), "after": diff(scene.after, tree)}
    name, nearer = min(differences.items(), key=lambda item: sum(map(len, vars(item[1]).values())))
    words = {kind: " ".join(paths[:4]) for kind, paths in vars(nearer).items() if paths}
    return f"mixed, unlike {name}: {words}"


def strangers(world: World, known: Collection[str], door: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Paths outside of the environment that are not `known`: those of ours, and conda's own."""
    found = [path for path in outside(world.folder) if path not in known]
    foreign = [path for path in found if door == "conda" and _is_foreign(path)]
    return tuple(path for path in found if path not in foreign), tuple(foreign)


def _is_foreign(path: str) -> bool:
    """conda's temporary files, in TMPDIR, where ours have our name, and beside its cached repodata."""
    in_tmp = path.startswith("tmp/") and "pypi-bridge" not in path
    return in_tmp or re.fullmatch(r"home/pkgs/cache/\w+\.\w+\.tmp", path) is not None


def damage(world: World, caches: Tree) -> list[str]:
    """What is in the caches, but not as uninjured runs leave it."""
    found = outside(world.folder)
    return [f"{path} is damaged" for path, entry in caches.items() if found.get(path, entry) != entry]


def objections(struck: Struck, fault: Fault) -> Iterator[str]:
    """What is wrong with how a command ended: it hung, or failed without telling why."""
    if struck.hung:
        yield "hung"
    if "Traceback" in struck.output or "panicked" in struck.output:
        yield "the user sees a traceback"
    if fault.is_signal or struck.status == 0:
        return
    errors = [line for line in struck.output.splitlines() if re.match(r"error: |\w*Error|\[Errno", line)]
    if not any(re.search(_CAUSES[fault.what], line) for line in errors):
        yield f"the cause is not told: {errors or struck.output.strip()[-300:]}"
    elif len(errors) > 1:
        yield f"more than one error is told: {errors}"
