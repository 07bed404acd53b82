"""The options that several verbs have, and the values that they take.

Destinations are named as conda names them, so that conda's own context reads its options from the same
arguments.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from typing import Any

#: What an option to accept them tells.
HOOKS = "accept wheels with files that run when an environment is activated, or that make menu entries"


def _between(kind: Callable[[str], float], least: float, most: float, words: str) -> Callable[[str], float]:
    """Reads a number of that kind and within those limits, which `words` tell."""

    def read(text: str) -> float:
        try:
            number = kind(text)
        except ValueError:
            number = math.nan
        if not least <= number <= most:
            raise argparse.ArgumentTypeError(f"{text!r} is not {words}")
        return number

    return read


DAYS = _between(float, 0, 1e6, "a number of days")
DEPTH = _between(int, 0, 10**6, "a number from 0 on")
LEVEL = _between(int, 1, 22, "a number from 1 to 22")
COUNT = _between(int, 1, 10**6, "a number from 1 on")
PORT = _between(int, 0, 65535, "a number from 0 to 65535")
SECONDS = _between(float, 0.001, 45, "a number of seconds up to 45: conda waits 60 for an answer")


def option(group: Any, *names: str, **settings: Any) -> None:
    """An option that leaves no trace where it is not given: conda fills in its own configuration."""
    group.add_argument(*names, default=argparse.SUPPRESS, **settings)


def add_prefix(made: argparse.ArgumentParser) -> None:
    """Options that name the environment."""
    group = made.add_argument_group("environment").add_mutually_exclusive_group()
    option(group, "-n", "--name", metavar="NAME", help="an environment by its name")
    option(group, "-p", "--prefix", metavar="PATH", help="an environment by its path")


def add_common(made: argparse.ArgumentParser) -> None:
    """The options of verbs that neither solve nor ask."""
    add_prefix(made)
    option(made, "--json", action="store_true", help="print one JSON document")
    option(made, "-v", "--verbose", action="count", dest="verbosity", help="say more; -vv adds tracebacks")


def add_said(made: argparse.ArgumentParser) -> None:
    """The options of what asks nothing and changes nothing."""
    option(made, "--json", action="store_true", help="print one JSON document")
    option(made, "-q", "--quiet", action="store_true", help="print no progress")
    option(made, "-v", "--verbose", action="count", dest="verbosity", help="say more; -vv adds tracebacks")


def add_output(made: argparse.ArgumentParser) -> None:
    """The options of what asks before it changes something."""
    group = made.add_argument_group("output and questions")
    option(group, "-y", "--yes", action="store_true", help="do not ask before changing anything")
    option(group, "-d", "--dry-run", action="store_true", help="only show what would happen")
    option(group, "--json", action="store_true", help="print one JSON document")
    option(group, "-q", "--quiet", action="store_true", help="print no progress")
    option(group, "-v", "--verbose", action="count", dest="verbosity", help="say more; -vv adds tracebacks")


def add_sources(made: argparse.ArgumentParser) -> None:
    """Options on channels, indexes and solving, shared by all that resolves."""
    channels = made.add_argument_group("channels")
    option(channels, "-c", "--channel", action="append", metavar="CHANNEL", help="a channel to search first")
    option(channels, "--override-channels", action="store_true", help="search no channel but those of -c")
    add_index(made)
    solving = made.add_argument_group("solving")
    option(solving, "--no-deps", action="store_true", help="install the named packages alone")
    option(solving, "--offline", action="store_true", help="use nothing but caches")


def add_index(made: argparse.ArgumentParser) -> None:
    """Options on package indexes, and files that tell what is wanted of them."""
    index = made.add_argument_group("package index")
    option(index, "-r", "--requirement", action="append", metavar="FILE", help="what a file lists, too")
    add_indexes(index)
    option(index, "--pre", action="store_true", help="allow pre-releases")


def add_indexes(group: Any) -> None:
    """Options that name package indexes."""
    option(group, "-i", "--index-url", metavar="URL", help="the package index (PEP 503 or 691)")
    option(
        group, "--extra-index-url", action="append", metavar="URL",
        help="a further index; the first that has a project serves it",
    )  # fmt: skip


def add_scope(made: argparse.ArgumentParser, platforms: str) -> None:
    """Options that tell for which environments a channel is; `platforms` is the default in words."""
    scope = made.add_argument_group("environments")
    option(
        scope, "--python", action="append", dest="pythons", metavar="X.Y",
        help="a minor version of Python; may be repeated (default: 3.10 to 3.13)",
    )  # fmt: skip
    # conda's context has a ``subdir`` of its own.
    option(
        scope, "--subdir", action="append", dest="platforms", metavar="SUBDIR",
        help=f"a platform, such as linux-64; may be repeated (default: {platforms})",
    )  # fmt: skip
