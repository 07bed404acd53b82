"""How a process ends in which rattler was at work."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

_unfinished: list[Path] = []


@contextlib.contextmanager
def unfinished(prefix: Path) -> Iterator[None]:
    """While rattler works on a prefix: after a failure its threads may still do so."""
    try:
        yield
    except BaseException:
        _unfinished.append(prefix)
        raise


def exit_now(status: int) -> None:
    """End the process at once: rattler's threads may crash an interpreter that shuts down slowly.

    Where linking failed they may even go on linking. Another program in this process's place, which ends
    them, puts right what they have left.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    if _unfinished:
        module = f"{__name__.partition('.')[0]}.settle"
        os.execv(sys.executable, [sys.executable, "-m", module, str(status), *map(str, _unfinished)])
    os._exit(status)
