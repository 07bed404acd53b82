"""Arguments of subcommands, which are many, and of which a command line uses one."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Callable
from typing import Any


def when_used(parser: ArgumentParser, configure: Callable[[ArgumentParser], None]) -> None:
    """Let `configure` add the arguments of a subcommand's parser once it is this one that parses.

    conda makes the parsers of all subcommands at every command.
    """
    parse = parser.parse_known_args

    def configured(*args: Any, **keywords: Any) -> Any:
        parser.parse_known_args = parse  # type: ignore[method-assign]
        configure(parser)
        return parser.parse_known_args(*args, **keywords)  # which may have been covered

    parser.parse_known_args = configured  # type: ignore[method-assign]
