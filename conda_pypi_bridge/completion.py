"""The verb ``completion``: a script with which a shell completes our verbs and options.

The script is made once, from the parser, so that nothing of ours runs when a key is pressed.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator

import shtab

from .arguments import parser

#: What is called so that words are completed: the console script.
COMMAND = "conda-pypi-bridge"

#: Arguments whose values are files or folders, by destination.
_PATHS = {
    "requirement": shtab.FILE,
    "list": shtab.FILE,
    "svg": shtab.FILE,
    "output": shtab.DIR,
    "prefix": shtab.DIR,
}

#: ``conda pypi-bridge`` and ``conda pypi-install``, too; whatever completed conda before goes on doing so.
_FOR_CONDA = {
    "bash": r"""
if ! complete -p conda 2>/dev/null | grep -q _conda_pypi_bridge_of_conda; then
  _conda_pypi_bridge_former=$(complete -p conda 2>/dev/null | sed -n 's/.*-F \([^ ]*\).*/\1/p')
fi
_conda_pypi_bridge_of_conda() {
  if [ "$COMP_CWORD" -gt 1 ] && [ "${COMP_WORDS[1]}" = pypi-bridge ]; then
    COMP_WORDS=(conda-pypi-bridge "${COMP_WORDS[@]:2}")
    COMP_CWORD=$((COMP_CWORD - 1))
    _shtab_conda_pypi_bridge
  elif [ "$COMP_CWORD" -gt 1 ] && [ "${COMP_WORDS[1]}" = pypi-install ]; then
    COMP_WORDS=(conda-pypi-bridge install "${COMP_WORDS[@]:2}")
    _shtab_conda_pypi_bridge
  elif [ -n "$_conda_pypi_bridge_former" ]; then
    "$_conda_pypi_bridge_former" "$@"
  fi
}
complete -o bashdefault -o default -F _conda_pypi_bridge_of_conda conda
""",
    "fish": r"""
complete -c conda -n '__fish_seen_subcommand_from pypi-bridge' -f \
  -a '(complete -C (string replace -r "^.*?pypi-bridge" conda-pypi-bridge -- (commandline -cp)))'
complete -c conda -n '__fish_seen_subcommand_from pypi-install' -f \
  -a '(complete -C (string replace -r "^.*?pypi-install" "conda-pypi-bridge install" -- (commandline -cp)))'
""",
}


def script(shell: str) -> str:
    """The script for ``bash``, ``zsh`` or ``fish``."""
    made = parser(COMMAND, whole=True)
    for action in _actions(made):
        if action.dest in _PATHS:
            action.complete = _PATHS[action.dest]  # type: ignore[attr-defined]  # where shtab looks
    return str(shtab.complete(made, shell)) + _FOR_CONDA.get(shell, "")


def _actions(made: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """The arguments of a parser and of all verbs below it."""
    for action in made._actions:
        yield action
        if isinstance(action, argparse._SubParsersAction):
            for below in action.choices.values():
                yield from _actions(below)
