"""The shipped table of names, as package data: JSON, one entry a line, with its source and date.

``tests/refresh_names.py`` of the repository makes it anew.
"""

from __future__ import annotations

import json
from importlib.resources import files

from .model import CondaName, ProjectName
from .names import NameTable

_FILE = "names.json"


def load_table() -> NameTable:
    """The table that this release was shipped with."""
    return parse_table((files(__package__) / "data" / _FILE).read_text(encoding="utf-8"))


def parse_table(text: str) -> NameTable:
    """The table in a JSON document of that form. Raises `KeyError` or `ValueError` for another."""
    document = json.loads(text)
    return NameTable(
        conda_names={
            ProjectName(project): CondaName(name) for project, name in document["conda_names"].items()
        },
        collisions=frozenset(map(CondaName, document["collisions"])),
    )
