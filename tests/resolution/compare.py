"""Have the bridge, and uv or pip, resolve the same request, and say where they differ."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name, parse_wheel_filename
from packaging.version import Version

from conda_pypi_bridge import config
from tests.lab.condas import SCRUBBED, python_of
from tests.resolution.cases import Case

#: What would be installed: the version of each project, by its normalised name.
Chosen = Mapping[str, Version]

#: Seconds for one resolution; pip can try for hours.
PATIENCE = 900

UV = (sys.executable, "-m", "uv")

#: How a METADATA file begins; a hash may stand before it in a cache.
_METADATA = b"Metadata-Version:"


@dataclass(frozen=True, kw_only=True)
class Resolution:
    """What one tool chose in `seconds`, or, with nothing chosen, why it failed."""

    chosen: Chosen
    seconds: float
    failure: str = ""


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Two answers to one request; `metadata` is how many metadata files ours took from the index."""

    case: Case
    ours: Resolution
    theirs: Resolution
    metadata: int

    @property
    def refused(self) -> bool:
        """Whether both refused the request: an old pin has no wheels for a newer Python."""
        return bool(self.ours.failure and self.theirs.failure)

    @property
    def differences(self) -> list[str]:
        """What was not chosen alike, one sentence each; empty where all was, or both refused."""
        if self.refused:
            return []
        if failure := self.ours.failure or self.theirs.failure:
            return [failure]
        ours, theirs = self.ours.chosen, self.theirs.chosen
        return [
            f"{project}: ours {ours.get(project, 'none')}, theirs {theirs.get(project, 'none')}"
            for project in sorted(ours.keys() | theirs.keys())
            if ours.get(project) != theirs.get(project)
        ]


class Comparer:
    """The bridge, uv and pip, for one Python, over the indexes that this machine's pip is configured with.

    `folder` takes a virtual environment and the caches of ours and of pip. Indexes and files on this
    machine's own disk are left out: they would make a result hard to repeat elsewhere.
    """

    def __init__(self, folder: Path, python: str = sys.executable) -> None:
        self._folder = folder
        prefix = folder / "venv"
        subprocess.run([python, "-m", "venv", "--without-pip", prefix], check=True)
        self._prefix, self._python = prefix, python_of(prefix)
        self.environment = _environment(folder)

    def compare(self, case: Case, oracle: str = "") -> Comparison:
        """Resolve with the bridge and with `oracle` (``uv`` or ``pip``; the case's own by default)."""
        ours = self.ours(case)
        metadata = self._metadata_taken()
        theirs = self.pip(case) if (oracle or case.oracle) == "pip" else self.uv(case)
        return Comparison(case=case, ours=ours, theirs=theirs, metadata=metadata)

    def ours(self, case: Case) -> Resolution:
        """The bridge's choice, with nothing in its cache."""
        shutil.rmtree(self._folder / "cache", ignore_errors=True)
        command = ["-m", "conda_pypi_bridge", "install", "--dry-run", "--json", "-p", str(self._prefix)]
        pre = ["--pre"] if case.pre else []
        return self._resolve([sys.executable, *command, *pre, *case.specs.split()], read_ours)

    def uv(self, case: Case) -> Resolution:
        """uv's choice; its cache is the user's own."""
        options = ["--no-config", "--no-header", "--no-annotate", "--only-binary", ":all:"]
        pre = ["--prerelease", "allow"] if case.pre else []
        command = [*UV, "pip", "compile", "--python", str(self._python), *options, *pre, "-"]
        return self._resolve(command, read_uv, "\n".join(case.specs.split()))

    def pip(self, case: Case) -> Resolution:
        """pip's choice."""
        command = [sys.executable, "-m", "pip", "--python", str(self._python), "install", "--quiet"]
        options = ["--dry-run", "--report", "-", "--only-binary", ":all:"]
        pre = ["--pre"] if case.pre else []
        return self._resolve([*command, *options, *pre, *case.specs.split()], read_pip)

    def _resolve(self, command: Sequence[str], read: Callable[[str], Chosen], text: str = "") -> Resolution:
        began = time.monotonic()
        try:
            done = subprocess.run(
                command, env=self.environment, input=text, capture_output=True, text=True, timeout=PATIENCE
            )
        except subprocess.TimeoutExpired:
            return Resolution(chosen={}, seconds=PATIENCE, failure=f"{command[2]} took too long")
        seconds = time.monotonic() - began
        if done.returncode:
            return Resolution(chosen={}, seconds=seconds, failure=(done.stderr or done.stdout).strip())
        return Resolution(chosen=read(done.stdout), seconds=seconds)

    def _metadata_taken(self) -> int:
        """How many METADATA files the bridge's cache holds: it was empty, and each is asked for once."""
        files = (path for path in (self._folder / "cache").rglob("*") if path.is_file())
        return sum(_METADATA in path.read_bytes()[:200] for path in files)


def read_ours(output: str) -> Chosen:
    """The wheels among the rows of a plan: an extra has none."""
    wheels = (row["wheel"] for row in json.loads(output)["actions"]["LINK"] if "wheel" in row)
    return {str(name): version for name, version, *_ in map(parse_wheel_filename, wheels)}


def read_uv(output: str) -> Chosen:
    """``name==version``, one a line."""
    pins = (Requirement(line) for line in output.splitlines() if line.strip())
    return {canonicalize_name(pin.name): Version(next(iter(pin.specifier)).version) for pin in pins}


def read_pip(output: str) -> Chosen:
    """An installation report."""
    rows = (row["metadata"] for row in json.loads(output)["install"])
    return {canonicalize_name(row["name"]): Version(row["version"]) for row in rows}


def _environment(folder: Path) -> dict[str, str]:
    """One index configuration in the words of all three; settings of the caller's are out of the way."""
    found = config.load()
    indexes = [url for url in found.indexes if url.startswith("http")]
    kept = {name: value for name, value in os.environ.items() if not name.startswith(SCRUBBED)}
    made = {
        **kept,
        "HOME": str(folder),
        "USERPROFILE": str(folder),
        "XDG_CACHE_HOME": str(folder / "cache"),
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_INDEX_URL": indexes[0],
        "PIP_EXTRA_INDEX_URL": " ".join(indexes[1:]),
        "PIP_TRUSTED_HOST": " ".join(found.trusted_hosts),
        "PIP_CACHE_DIR": str(folder / "pip-cache"),
        # uv asks the default index last, and its others in their order: the first that has a project owns it
        "UV_DEFAULT_INDEX": indexes[-1],
        "UV_INDEX": " ".join(indexes[:-1]),
        "UV_INSECURE_HOST": " ".join(found.trusted_hosts),
        "UV_CACHE_DIR": _uv_cache(),
    }
    return made | ({"PIP_CERT": found.cert, "SSL_CERT_FILE": found.cert} if found.cert else {})


def _uv_cache() -> str:
    done = subprocess.run([*UV, "cache", "dir"], check=True, capture_output=True, text=True)
    return done.stdout.strip()
