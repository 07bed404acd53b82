"""Make the shipped table of names anew, and measure it.

    python -m tests.refresh_names MAPPING --commit COMMIT --date DATE

MAPPING is a path or URL of parselmouth's compressed mapping of conda-forge (BSD-3-Clause): conda name
-> names of the Python distributions that its packages were seen to hold, or null. COMMIT and DATE of the
mapping are recorded in the table. With --measure nothing is written.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import requests
from packaging.utils import canonicalize_name

import conda_pypi_bridge
from conda_pypi_bridge.model import ProjectName
from conda_pypi_bridge.namedata import load_table
from conda_pypi_bridge.names import Names, NameTable
from tests.nametable import build_table, table_text

Seen = Mapping[str, Sequence[str] | None]
TARGET = Path(conda_pypi_bridge.__file__).with_name("data") / "names.json"


def read_mapping(place: str) -> Seen:
    """The mapping at a path or URL."""
    if "://" in place:
        response = requests.get(place, timeout=60)
        response.raise_for_status()
        document = response.json()
    else:
        document = json.loads(Path(place).read_text("utf-8"))
    assert isinstance(document, dict)
    return document


def measure(seen: Seen, names: Names) -> Counter[str]:
    """For every project that some conda package holds, what the name leads to.

    ``hit`` is a package that holds the project, ``wrong`` one that does not, ``none`` no package.
    """
    held = {name: {canonicalize_name(dist) for dist in dists or ()} for name, dists in seen.items()}
    tally: Counter[str] = Counter()
    for project in {dist for dists in held.values() for dist in dists}:
        name = names.conda_name(ProjectName(project))
        tally["none" if name not in held else "hit" if project in held[name] else "wrong"] += 1
    return tally


def report(title: str, tally: Counter[str]) -> None:
    """One line: how good a way of naming is."""
    counts = ", ".join(f"{tally[outcome]} {outcome}" for outcome in ("hit", "wrong", "none"))
    print(f"{title}: {counts}")  # noqa: T201


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("mapping")
    parser.add_argument("--commit", default="")
    parser.add_argument("--date", default="")
    parser.add_argument("--measure", action="store_true")
    args = parser.parse_args()
    seen = read_mapping(args.mapping)
    if not args.measure:
        if not (args.commit and args.date):
            parser.error("a new table needs --commit and --date")
        source = {
            "mapping": "prefix-dev/parselmouth, files/v0/conda-forge/compressed_mapping.json",
            "license": "BSD-3-Clause",
            "commit": args.commit,
            "date": args.date,
        }
        TARGET.write_text(table_text(build_table(seen), source), "utf-8")
    report("normalised names alone", measure(seen, Names()))
    report("with the shipped table", measure(seen, Names(table=load_table())))
    without = NameTable(conda_names=load_table().conda_names)
    report("its names without its collisions", measure(seen, Names(table=without)))


if __name__ == "__main__":
    main()
