"""The engine without conda: py-rattler solves and links, in this process.

What rattler leaves to its caller is done here: configuration from condarc files, the installed state
as solver input, distributions that pip placed, the history file, and going back when linking fails.
"""

from __future__ import annotations

import os
import sys

from .engine import RattlerEngine

__all__ = ["RattlerEngine", "exit_now"]


def exit_now(status: int) -> None:
    """End the process at once: rattler's threads may crash an interpreter that shuts down slowly."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)
