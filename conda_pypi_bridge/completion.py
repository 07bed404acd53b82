"""The verb ``completion``: a script with which a shell completes our verbs and options.

The script is made once, from the parser, so that nothing of ours runs when a key is pressed.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import shtab

from .arguments import parser

#: What is called so that words are completed: the console script.
COMMAND = "conda-pypi-bridge"

#: Arguments whose values are files or folders, by destination.
_PATHS = {
    "requirement": shtab.FILE,
    "list": shtab.FILE,
    "projects": shtab.FILE,
    "token_file": shtab.FILE,
    "svg": shtab.FILE,
    "output": shtab.DIR,
    "prefix": shtab.DIR,
    "to": shtab.DIR,
}

#: How each shell comes to know the script. One that is looked up by the command's name would not be found for
#: conda and python.
_HEADS = {
    "bash": "# Made with shtab. ~/.bashrc is to source it.",
    "zsh": "#compdef conda-pypi-bridge conda python python3\n"
    "# Made with shtab. It is to be _conda-pypi-bridge in a folder of $fpath.",
    "fish": "# Made with shtab. It is to be in ~/.config/fish/conf.d.",
}


def script(shell: str) -> str:
    """The script for ``bash``, ``zsh`` or ``fish``."""
    made = parser(COMMAND, whole=True)
    for action in _actions(made):
        if action.dest in _PATHS:
            action.complete = _PATHS[action.dest]  # type: ignore[attr-defined]  # where shtab looks
    ours = Path(__file__).with_name("data") / f"completion.{shell}"
    return "\n".join([_HEADS[shell], _body(str(shtab.complete(made, shell)), shell), ours.read_text("utf-8")])


def _body(text: str, shell: str) -> str:
    """A script of shtab without what it tells people, and without the end by which zsh calls it."""
    lines = text.splitlines()
    first = next(number for number, line in enumerate(lines) if line and not line.startswith("#"))
    body = "\n".join(lines[first:])
    return body.partition("\nif [[ $zsh_eval_context")[0] if shell == "zsh" else body


def _actions(made: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """The arguments of a parser and of all verbs below it."""
    for action in made._actions:
        yield action
        if isinstance(action, argparse._SubParsersAction):
            for below in action.choices.values():
                yield from _actions(below)
