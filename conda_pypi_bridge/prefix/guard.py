"""Holding a prefix against other processes, which first puts right what one that died left in it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .. import JOURNAL
from ..errors import PrefixError
from ..locks import holding
from ..report import Reporter
from .environment import Prefix
from .journal import recover
from .locate import is_writable

_WAITING = "waiting for another process that changes this environment"
_UNDONE = "a command that was cut short here is undone: the environment is as it was before"


@contextmanager
def held(prefix: Prefix, reporter: Reporter) -> Iterator[None]:
    """`exclusive`, for a prefix that may be changed.

    Raises `PrefixError` where it must not: it is read-only, or frozen (CEP 22).
    """
    hint = "Choose another with -n or -p."
    if not is_writable(prefix.path):
        raise PrefixError(str(prefix.path), "this environment is read-only", hint=hint)
    if prefix.frozen is not None:
        raise PrefixError(str(prefix.path), f"this environment is frozen. {prefix.frozen}".strip(), hint=hint)
    with exclusive(prefix, reporter):
        yield


@contextmanager
def exclusive(prefix: Prefix, reporter: Reporter) -> Iterator[None]:
    """Only one process of the bridge changes a prefix at a time; the others wait, and say so.

    Who holds it may hold it once more.
    """
    with holding(prefix.path, lambda: reporter.phase(_WAITING.capitalize())) as waited:
        undone = recover(prefix.path)
        if undone:
            reporter.warn(_UNDONE)
        if waited or undone or prefix.outdated:  # another process may have been quicker
            prefix.forget()
        yield


def settle(prefix: Path, *, quiet: bool = False) -> None:
    """Undo what a command left that was cut short, before anybody reads the prefix.

    A prefix that this process may not write is left as it is. Raises `PrefixError` where it cannot be done.
    """

    def tell(text: str) -> None:
        if not quiet:
            sys.stderr.write(f"warning: {text}\n")

    if (prefix / JOURNAL).is_dir() and is_writable(prefix):
        with holding(prefix, lambda: tell(_WAITING)):
            if recover(prefix):
                tell(_UNDONE)
