"""The oracle for installations: what wheels put into a prefix, and how two ways of installing them differ.

What may differ is in the tables `ALLOWED_...`, with the reason.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import json
import os
import re
import stat
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from tests.lab.trees import Entry, snapshot

#: Stands for the first line of a script that the prefix's own Python runs.
OWN_PYTHON = b"#!(the prefix's own Python)\n"

#: Files that only one side has, by a pattern of their path.
ALLOWED_FILES = {
    r"\.dist-info/REQUESTED$": "PEP 376: pip's note of what the user named; conda's is its history",
    r"\.dist-info/direct_url\.json$": "PEP 610: pip was given a file here; from an index it writes none",
    r"\.dist-info/provenance_url\.json$": "PEP 710: where the wheel came from",
    r"(^|/)__pycache__(/|$)": "caches of compiled code are made where the files are linked",
    r"^conda-meta(/|$)": "the engine's own record of the package",
    r"(^|/)bin/pip3\.\d+$": "pip names one script of its own wheel after the running Python",
    r"^\w+-1\.0\.data/scripts/(run|window)": "pip's RECORD still lists a script that it dropped",
}

#: Rows of RECORD that differ, by a pattern of their path. What we say there is true in any case.
ALLOWED_ROWS = {
    r"(^|/)bin/": "scripts get their first line when they are linked: before that they have no hash",
    r"\.dist-info/INSTALLER$": "the file names another tool",
}


@dataclass(frozen=True)
class Installation:
    """What installing some wheels added to `prefix`: its files, by the path that they should have there."""

    prefix: Path
    files: Mapping[str, Path]

    @classmethod
    def since(cls, before: Mapping[str, Entry], prefix: Path) -> Installation:
        """All that is new in `prefix` since the snapshot `before`; a folder counts by what is in it."""
        new = {
            path
            for path, entry in snapshot(prefix).items()
            if entry.kind != "dir" and before.get(path) != entry
        }
        return cls(prefix, {_place(path): prefix / path for path in new})

    @property
    def records(self) -> list[Path]:
        """The RECORD of each wheel."""
        return [path for place, path in self.files.items() if _is_dist_info(place, "RECORD")]

    def rows(self) -> dict[str, tuple[str, str]]:
        """All RECORDs: hash and size by path."""
        texts = [record.read_text("utf-8") for record in self.records]
        rows = (row for text in texts for row in csv.reader(text.splitlines()))
        return {_place(path): (digest, size) for path, digest, size in rows}

    def owned(self) -> set[Path]:
        """The files that the records in ``conda-meta`` list: what removing the packages removes."""
        records = map(Path.read_text, self.prefix.glob("conda-meta/*.json"))
        return {self.prefix / path for record in records for path in json.loads(record)["files"]}

    def content(self, place: str) -> bytes:
        """A file's content; the first line of a script for the prefix's own Python is `OWN_PYTHON`."""
        content = self.files[place].read_bytes()
        own = content.startswith(f"#!{self.prefix}/bin/python".encode())
        return OWN_PYTHON + content.partition(b"\n")[2] if own else content

    def mode(self, place: str) -> int:
        """A file's permission bits."""
        return stat.S_IMODE(self.files[place].lstat().st_mode)


def _place(path: str) -> str:
    """In a virtual environment pip puts headers below ``include/site``, else straight below ``include``."""
    return re.sub(r"(^|/)include/site/(?=python)", r"\1include/", path)


def _is_dist_info(place: str, name: str) -> bool:
    """Whether it is a wheel's own dist-info file of that name, not one of a vendored distribution."""
    return re.fullmatch(rf"lib/[^/]+/site-packages/[^/]+\.dist-info/{name}", place) is not None


class Pair(NamedTuple):
    """A file as both sides have it."""

    place: str
    theirs: bytes
    ours: bytes


def _is_record(pair: Pair) -> bool:
    return _is_dist_info(pair.place, "RECORD")


def _names_tool(pair: Pair) -> bool:
    return _is_dist_info(pair.place, "INSTALLER") and pair[1:] == (b"pip\n", b"conda\n")


def _is_same_launcher(pair: Pair) -> bool:
    return pair.place.startswith("bin/") and _calls(pair.theirs) == _calls(pair.ours) != []


def _calls(script: bytes) -> list[bytes]:
    """What a launcher imports and calls; empty for anything else."""
    found = re.findall(rb"^from .+ import .+$|sys\.exit\(.+\)", script, re.M)
    return found if script.startswith(OWN_PYTHON) and len(found) == 2 else []


#: Files of other content.
ALLOWED_CONTENT: dict[Callable[[Pair], bool], str] = {
    _is_record: "it is compared row by row",
    _names_tool: "PEP 376: INSTALLER is the tool that installed",
    _is_same_launcher: "a launcher's text is the engine's own; what it imports and calls is the same",
}

#: Files of another mode (pip's, ours).
ALLOWED_MODES: dict[tuple[Callable[[Pair], bool], int, int], str] = {
    (_is_same_launcher, 0o755, 0o775): "rattler makes launchers writable for the group",
}


def differences(theirs: Installation, ours: Installation) -> Iterator[str]:
    """Sentences about what differs between pip's installation and ours, and is not allowed."""
    yield from _one_sided("", theirs.files, ours.files)
    for place in sorted(set(theirs.files) & set(ours.files)):
        pair, modes = (
            Pair(place, theirs.content(place), ours.content(place)),
            (theirs.mode(place), ours.mode(place)),
        )
        if modes[0] != modes[1] and not any(modes == rule[1:] and rule[0](pair) for rule in ALLOWED_MODES):
            yield "{}: mode {:o} with pip, {:o} with us".format(place, *modes)
        if pair.theirs != pair.ours and not any(rule(pair) for rule in ALLOWED_CONTENT):
            yield f"{place}: the content differs"
    yield from _row_differences(theirs.rows(), ours.rows())
    yield from _false_rows(ours)
    yield from _unowned(ours)


def _matches(path: str, patterns: Iterable[str]) -> bool:
    return any(re.search(pattern, path) for pattern in patterns)


def _one_sided(where: str, theirs: Collection[str], ours: Collection[str]) -> Iterator[str]:
    for path in sorted(set(theirs) ^ set(ours)):
        if not _matches(path, ALLOWED_FILES):
            yield f"{where}{path}: only {'pip has' if path in theirs else 'we have'} it"


def _row_differences(
    theirs: Mapping[str, tuple[str, str]], ours: Mapping[str, tuple[str, str]]
) -> Iterator[str]:
    yield from _one_sided("RECORD: ", theirs, ours)
    for path in sorted(set(theirs) & set(ours)):
        if theirs[path] != ours[path] and not _matches(path, ALLOWED_ROWS):
            yield f"RECORD: {path}: {theirs[path]} with pip, {ours[path]} with us"


def _false_rows(ours: Installation) -> Iterator[str]:
    """RECORD lists what is installed, nothing else, with true hashes and sizes (PEP 376)."""
    listed = set()
    (site,) = {record.parents[1] for record in ours.records}
    for path, row in ours.rows().items():
        file = Path(os.path.normpath(site / path))
        listed.add(file)
        content = file.read_bytes() if file.exists() else b""
        true = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
        if not file.exists() or row not in (("", ""), (f"sha256={true}", str(len(content)))):
            yield f"RECORD: {path}: is not what is installed"
    for place, file in ours.files.items():
        if file not in listed and not _matches(place, ALLOWED_FILES):
            yield f"RECORD: {place}: is missing"


def _unowned(ours: Installation) -> Iterator[str]:
    """Each file belongs to one conda package, compiled code included."""
    owned = ours.owned()
    for place, file in sorted(ours.files.items()):
        if file not in owned and not place.startswith("conda-meta/"):
            yield f"{place}: no record in conda-meta lists it"
