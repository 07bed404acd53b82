"""Whether an environment is what its records say: conda-meta against disk, and distributions against both."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

from tests.lab.condas import Home, python_of, run, site_packages

#: What programs write beside what packages placed.
_UNOWNED = ("conda-meta", "__pycache__", ".nonadmin")


def complaints(prefix: Path, home: Home) -> list[str]:
    """What does not fit together in a conda environment that has pip; nothing where all does."""
    records = [json.loads(file.read_text("utf-8")) for file in sorted((prefix / "conda-meta").glob("*.json"))]
    found = [*_files(prefix, records), *_names(prefix, records), *_distributions(prefix, records)]
    check = run([python_of(prefix), "-m", "pip", "check"], home.environment(), check=False)
    return found if check.returncode == 0 else [*found, check.stdout]


def _files(prefix: Path, records: list[dict[str, Any]]) -> Iterator[str]:
    """Every file is of one record and as that record says; no file is of none."""
    owners = Counter(file for record in records for file in record["files"])
    yield from (f"{file} is of {count} records" for file, count in owners.items() if count > 1)
    for record in records:
        paths = {entry["_path"]: entry for entry in record["paths_data"]["paths"]}
        for file in record["files"]:
            path = prefix / file
            told = paths.get(file, {})
            digest = told.get("sha256_in_prefix") or told.get("sha256")
            if not path.exists() and not path.is_symlink():
                yield f"{record['name']}: {file} is missing"
            elif digest and not path.is_symlink() and path.suffix != ".pyc" and digest != _sha256(path):
                yield f"{record['name']}: {file} is not as it was"
    here = (path for path in prefix.rglob("*") if path.is_file() or path.is_symlink())
    for path in here:
        file = path.relative_to(prefix).as_posix()
        if file not in owners and not any(part in file.split("/") for part in _UNOWNED):
            yield f"{file} is of nobody"


def _names(prefix: Path, records: list[dict[str, Any]]) -> Iterator[str]:
    """One record a name, in a file of its own name; those of the bridge are under its name alone."""
    names = Counter(record["name"] for record in records)
    yield from (f"{name} has {count} records" for name, count in names.items() if count > 1)
    for record in records:
        file = f"{record['name']}-{record['version']}-{record['build']}.json"
        if not (prefix / "conda-meta" / file).exists():
            yield f"{file} is not there"
        if "pypi-bridge" in record["channel"] and record["channel"] != "pypi-bridge":
            yield f"{record['name']} is of {record['channel']}"


def _distributions(prefix: Path, records: list[dict[str, Any]]) -> Iterator[str]:
    """Distributions that came through the bridge have the versions of their records."""
    versions = {record["name"]: record["version"] for record in records if record["channel"] == "pypi-bridge"}
    for dist in distributions(path=[str(site_packages(prefix))]):
        if versions.pop(dist.name, dist.version) != dist.version:
            yield f"{dist.name} {dist.version} is not the version of its record"
    yield from (f"{name} has a record and no distribution" for name in versions)


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
