"""``conda-meta/history``: conda's log of an environment, read and written in conda's own form."""

from __future__ import annotations

import ast
import datetime as dt
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from ..model import CHANNEL, CHANNEL_URL, Row
from ..redaction import redact

_SPECS = re.compile(r"#\s*(?P<action>\w+)\s+specs:\s*(?P<specs>.+)")
_NAME = re.compile(r"(?:\S*::)?\s*(?P<name>[A-Za-z0-9_][\w.-]*)")


def requested_specs(text: str) -> dict[str, str]:
    """Name -> spec that the user last gave, from the text of a history file.

    As conda reads it: removed specs go, neutered ones (their versions given up in a conflict) stay
    with the spec that was left of them.
    """
    asked: dict[str, str] = {}
    for line in text.splitlines():
        match = _SPECS.match(line.strip())
        if match is None:
            continue
        for spec in _spec_list(match["specs"]):
            name = _NAME.match(spec)
            if name is None or spec.endswith("@"):
                continue
            if match["action"] in {"remove", "uninstall"}:
                asked.pop(name["name"].lower(), None)
            elif match["action"] in {"update", "install", "create", "neutered"}:
                asked[name["name"].lower()] = spec
    return asked


def append_history(
    prefix: Path,
    command: Sequence[str],
    *,
    linked: Iterable[Row] = (),
    unlinked: Iterable[Row] = (),
    update_specs: Iterable[str] = (),
    remove_specs: Iterable[str] = (),
    tool: str,
    channel_names: Mapping[str, str] | None = None,
    now: dt.datetime | None = None,
) -> None:
    """Add a revision to the history file, as ``conda list --revisions`` reads it. Raises `OSError`.

    `command` is the command's argv, `tool` its name and version (``conda version: 24.7.1``). Line breaks
    and credentials are taken out. Specs must be conda's: conda parses them back.

    `channel_names` maps base URLs to the names that conda has for them (``conda-forge``,
    ``defaults``). conda compares the entry with the records it finds, and knows a channel that no
    setting names by its URL, so that is what is written of the others.
    """
    names = {CHANNEL_URL: CHANNEL, **(channel_names or {})}
    specs = {
        "remove": [redact(spec) for spec in remove_specs],
        "update": [redact(spec) for spec in update_specs],
    }
    lines = [
        f"==> {now or dt.datetime.now():%Y-%m-%d %H:%M:%S} <==",
        f"# cmd: {redact(' '.join(' '.join(command).split()))}",
        f"# {tool}",
        *(f"-{dist}" for dist in sorted(_dist(row, names) for row in unlinked)),
        *(f"+{dist}" for dist in sorted(_dist(row, names) for row in linked)),
        *(f"# {action} specs: {listed}" for action, listed in specs.items() if listed),
    ]
    file = prefix / "conda-meta" / "history"
    file.parent.mkdir(exist_ok=True)
    with file.open("a", encoding="utf-8") as stream:
        stream.write("".join(f"{line}\n" for line in lines))


def _dist(row: Row, names: Mapping[str, str]) -> str:
    channel = names.get(row.base_url, row.base_url) or row.channel
    return redact(f"{channel}/{row.subdir}::{row.dist}")


def _spec_list(text: str) -> list[str]:
    """The specs of a line: a Python list, or comma-separated as before conda 4.5."""
    if text.startswith("["):
        try:
            listed = ast.literal_eval(text)
        except (SyntaxError, ValueError):
            return []
        return [spec for spec in listed if isinstance(spec, str)]
    specs: list[str] = []
    for part in text.split(","):
        # "a >=1,<2" is one spec: a part that starts with an operator continues the last one.
        if specs and re.match(r"\s*[<>=!~]", part):
            specs[-1] += f",{part}"
        else:
            specs.append(part)
    return specs
