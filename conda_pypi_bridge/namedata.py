"""The shipped table of names, as package data: one entry a line, with its source and date."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.resources import files

from .model import CondaName, ProjectName
from .names import NameTable

_FILE = "names.json"


def load_table() -> NameTable:
    """The table that this release was shipped with."""
    return parse_table((files(__package__) / "data" / _FILE).read_text(encoding="utf-8"))


def parse_table(text: str) -> NameTable:
    """The table that `table_text` wrote."""
    document = json.loads(text)
    return NameTable(
        conda_names={
            ProjectName(project): CondaName(name) for project, name in document["conda_names"].items()
        },
        collisions=frozenset(map(CondaName, document["collisions"])),
    )


def table_text(table: NameTable, source: Mapping[str, str]) -> str:
    """The table as JSON, sorted, one entry a line; `source` says what it was made from."""
    document = {
        "source": dict(source),
        "conda_names": dict(sorted(table.conda_names.items())),
        "collisions": sorted(table.collisions),
    }
    return json.dumps(document, indent=0, ensure_ascii=False) + "\n"
