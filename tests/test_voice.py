"""What people are told has one voice: errors, warnings, what doctor finds, and the hints after them.

The rule, as CONTRIBUTING has it: a message is one line that begins in lower case, but for a name, and ends
without a period. A hint begins with a capital, or a command, and is sentences that end with a period, or ends
with what to type, after a colon.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from pathlib import Path

import pytest

import conda_pypi_bridge
from conda_pypi_bridge import errors

PACKAGE = Path(conda_pypi_bridge.__file__).parent
MESSAGE, HINT = "message", "hint"

#: What is called with a message, and which argument it is.
CALLS = {
    **{
        name: -1
        for name, kind in inspect.getmembers(errors, inspect.isclass)
        if kind.__module__ == errors.__name__
    },
    "Refused": -1,
    "warn": -1,
    "problem": 2,
    "info": 2,
}

#: What a text is called that is told later.
VARIABLES = {"sentence": MESSAGE, "reason": MESSAGE, "hint": HINT, "hints": HINT}

#: Beginnings that have a capital wherever they stand.
NAMES = ("Python", "PyPI", "PEP ", "HTTP ", "URL ", "METADATA ", "RECORD ")

#: Beginnings of the last words of a command, which are sentences.
SUMMARIES = ("Done in ", "Dry run: ")


def _texts() -> Iterator[tuple[str, str, str]]:
    """The kind of each text, where it stands, and the text; what is put into it stands as ``{}``."""
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            for kind, value in _told(node):
                for text in filter(None, map(_written, _choices(value))):
                    if text.startswith(SUMMARIES):
                        continue
                    yield kind, f"{path.relative_to(PACKAGE).as_posix()}:{value.lineno}", text


def _told(node: ast.AST) -> Iterator[tuple[str, ast.expr]]:
    if isinstance(node, ast.Call):
        yield from ((HINT, keyword.value) for keyword in node.keywords if keyword.arg == "hint")
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        place = CALLS.get(name)
        if place is not None and len(node.args) > max(place, 0):
            yield MESSAGE, node.args[place]
    if isinstance(node, ast.Assign):
        for target in node.targets:
            kind = VARIABLES.get(target.id.strip("_").lower()) if isinstance(target, ast.Name) else None
            if kind:
                yield kind, node.value


def _choices(value: ast.expr) -> list[ast.expr]:
    """The texts of which one is told."""
    if isinstance(value, ast.IfExp):
        return [*_choices(value.body), *_choices(value.orelse)]
    if isinstance(value, ast.Dict):
        return value.values
    return [value]


def _written(value: ast.expr) -> str:
    if isinstance(value, ast.JoinedStr):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in value.values)
    return value.value if isinstance(value, ast.Constant) and isinstance(value.value, str) else ""


TEXTS = list(_texts())


def _is_in_voice(kind: str, text: str) -> bool:
    if "\n" in text or text != text.strip():
        return False
    if kind == MESSAGE:
        return not text.endswith(".") and (not text[0].isupper() or text.isupper() or text.startswith(NAMES))
    begins = text[0].isupper() or text[0] in "%{" or text.startswith("conda ")
    return begins and (text.endswith(".") or ": " in text)


def test_all_that_is_told_has_one_voice() -> None:
    assert [row for row in TEXTS if not _is_in_voice(row[0], row[2])] == []


def test_the_texts_are_found() -> None:
    kinds = [kind for kind, _, _ in TEXTS]
    assert kinds.count(MESSAGE) > 200
    assert kinds.count(HINT) > 60


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (MESSAGE, "It cannot be read"),
        (MESSAGE, "it cannot be read."),
        (HINT, "try again."),
        (HINT, "Try again"),
    ],
)
def test_another_voice_is_heard(kind: str, text: str) -> None:
    assert not _is_in_voice(kind, text)
