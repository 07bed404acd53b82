"""The engine without conda: py-rattler solves and links, in this process.

What rattler leaves to its caller is done here: configuration from condarc files, the installed state
as solver input, distributions that pip placed, the history file, and going back when linking fails.
"""

from __future__ import annotations

from .ending import exit_now
from .engine import RattlerEngine

__all__ = ["RattlerEngine", "exit_now"]
