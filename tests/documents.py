"""The command lines of the documents and of ``--help``: what each document tells people to type."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import conda_pypi_bridge
from tests import reference

REPOSITORY = Path(__file__).parents[1]
DOCS = Path(conda_pypi_bridge.__file__).parent / "docs"

#: The kinds of fenced blocks: commands; commands with what they print; cells of a notebook; no commands.
COMMANDS, SESSION, CELL, TEXT = "sh", "console", "ipython", "text"
KINDS = (COMMANDS, SESSION, CELL, TEXT)

_FENCE = re.compile(r"^```(?P<kind>\w*)$")

#: An example of ``--help`` and of the reference: a command, and what it does two blanks or a line away.
_EXAMPLE = re.compile(r"^(?P<command>(?:python -m conda_pypi_bridge|conda pypi-\w+) .*?)(?:  .*)?$")

_INLINE = re.compile(r"`((?:CPB_[^`]+ pytest|(?:conda|python|pip|pytest|mamba|pixi) )[^`]*|\.ci/run)`")


@dataclass(frozen=True, kw_only=True)
class Line:
    """A command line, or a cell, of a document; `shown` is what the document says it prints."""

    document: str
    number: int
    kind: str
    text: str
    shown: Sequence[str] = ()


def documents() -> dict[str, Path]:
    """All that there are, by name; a source distribution or an installed package has fewer."""
    folders = (REPOSITORY, REPOSITORY / ".github", DOCS)
    return {path.name: path for folder in folders for path in sorted(folder.glob("*.md"))}


def lines_of(path: Path) -> Iterator[Line]:
    """The command lines of the fenced blocks of a document."""
    for kind, number, rows in _blocks(path):
        assert kind in KINDS, f"{path.name}:{number}: a block of the kind {kind!r}; there are {KINDS}"
        if kind == COMMANDS and path.name != reference.FILE.name:
            for offset, row in enumerate(rows):
                yield Line(document=path.name, number=number + offset, kind=kind, text=row)
        elif kind == SESSION:
            starts = [place for place, row in enumerate(rows) if row.startswith("$ ")]
            assert starts and starts[0] == 0, f"{path.name}:{number}: a session begins with a command"
            for start, end in pairwise([*starts, len(rows)]):
                yield Line(document=path.name, number=number + start, kind=kind,
                           text=rows[start].removeprefix("$ "), shown=rows[start + 1 : end])  # fmt: skip
        elif kind == CELL:
            yield Line(document=path.name, number=number, kind=kind, text="\n".join(rows))
        elif kind == TEXT:
            yield from _examples(path.name, rows, number)


def _blocks(path: Path) -> Iterator[tuple[str, int, list[str]]]:
    """The fenced blocks: kind, number of the first line, lines."""
    kind, first, rows = None, 0, list[str]()
    for number, row in enumerate(path.read_text("utf-8").splitlines(), 1):
        fence = _FENCE.match(row)
        if kind is None and fence:
            kind, first, rows = fence["kind"], number + 1, []
        elif kind is not None and fence:
            yield kind, first, rows
            kind = None
        elif kind is not None:
            rows.append(row)


def _examples(document: str, rows: Sequence[str], number: int = 0) -> Iterator[Line]:
    for offset, row in enumerate(rows):
        if match := _EXAMPLE.match(row):
            yield Line(document=document, number=number + offset, kind=COMMANDS, text=match["command"])


def help_lines() -> Iterator[Line]:
    """The examples of every verb's ``--help``, as ``python -m conda_pypi_bridge`` prints them."""
    made = reference.parser(whole=True)
    queue = list(reference.verbs(made).values())
    while queue:
        verb = queue.pop(0)
        queue[:0] = reference.verbs(verb).values()
        rows = str(verb.epilog).partition("\n\n")[0].splitlines()
        yield from _examples(f"{verb.prog} --help", [row.removeprefix("  ") for row in rows])


def inline_commands() -> dict[str, str]:
    """Commands within sentences, with the document that has each."""
    found = {}
    for name, path in documents().items():
        text = re.sub(r"^```.*?^```$", "", path.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
        found |= {" ".join(command.split()): name for command in _INLINE.findall(text)}
    return found
