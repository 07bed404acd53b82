"""Writes the reference of every verb and option, from the parser: ``python -m tests.reference``."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import conda_pypi_bridge
from conda_pypi_bridge.arguments import configure_install, parser
from conda_pypi_bridge.teaching import STATUSES

FILE = Path(conda_pypi_bridge.__file__).parent / "docs" / "reference.md"

DOOR = "conda pypi-bridge"

INTRODUCTION = f"""\
# Reference

Written by `python -m tests.reference` from the parser; `--help` of each verb says the same. Every verb of
`{DOOR}` is a verb of `python -m conda_pypi_bridge` and of the command `conda-pypi-bridge`, too, with the same
options. `conda pypi-install` is `{DOOR} install`.
"""


def reference() -> str:
    """The whole document."""
    made = parser(DOOR, whole=True)
    install = argparse.ArgumentParser(prog="conda pypi-install")
    configure_install(install)
    own = {action.dest for action in install._actions}
    assert own == {action.dest for action in verbs(made)["install"]._actions}
    sections = [section for verb in verbs(made).values() for section in described(verb, 2)]
    return "\n\n".join([INTRODUCTION.rstrip(), statuses(), *sections]) + "\n"


def statuses() -> str:
    rows = "\n".join(f"| {status} | {meaning} |" for status, meaning in STATUSES)
    return f"## Exit status\n\n| status | meaning |\n|---|---|\n{rows}"


def verbs(made: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    """The parsers directly below one, by what calls them."""
    kinds = (action for action in made._actions if isinstance(action, argparse._SubParsersAction))
    return {name: below for action in kinds for name, below in action.choices.items()}


def described(made: argparse.ArgumentParser, level: int) -> Iterator[str]:
    """A verb: its name, what it does and changes, its arguments, examples; then the actions below it."""
    yield f"{'#' * level} {made.prog.removeprefix(DOOR).strip()}"
    yield f"```sh\n{synopsis(made)}\n```"
    yield str(made.description)
    for group in made._action_groups:
        rows = [row(action) for action in group._group_actions if is_told(action)]
        if rows:
            head = str(group.title).removeprefix("positional ")
            yield "\n".join([f"| {head} | |", "|---|---|", *rows])
    examples = str(made.epilog).partition("\n\n")[0].removeprefix("examples:\n")
    lines = (line.removeprefix("  ") for line in examples.splitlines())
    yield "\n".join(["```text", *lines, "```"])
    for below in verbs(made).values():
        yield from described(below, level + 1)


def synopsis(made: argparse.ArgumentParser) -> str:
    words = [made.prog]
    if any(is_told(action) and action.option_strings for action in made._actions):
        words.append("[OPTION ...]")
    for action in (action for action in made._actions if not action.option_strings):
        name = str(action.metavar)
        forms = {"*": f"[{name} ...]", "+": f"{name} [{name} ...]", "?": f"[{name}]"}
        words.append(forms.get(str(action.nargs), name))
    return " ".join(words)


def is_told(action: argparse.Action) -> bool:
    kinds = (argparse._SubParsersAction, argparse._HelpAction)
    return action.help is not argparse.SUPPRESS and not isinstance(action, kinds)


def row(action: argparse.Action) -> str:
    """An argument with its names; the value stands behind the last of them."""
    names = ", ".join(action.option_strings)
    value = str(action.metavar) if action.metavar else ""
    text = str(action.help).replace("|", "\\|")
    return f"| `{f'{names} {value}'.strip()}` | {text} |"


if __name__ == "__main__":
    FILE.parent.mkdir(exist_ok=True)
    FILE.write_text(reference(), encoding="utf-8")
