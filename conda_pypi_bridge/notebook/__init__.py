"""The notebook's door: ``%load_ext conda_pypi_bridge.notebook``, or ``notebook enable`` for every kernel."""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path
from typing import Any


def load_ipython_extension(ipython: Any) -> None:
    """Make ``%conda`` the bridge's, and the shell's environment the kernel's (IPython's extension API)."""
    from . import magic, shell

    magic.load(ipython)
    try:
        shell.settle(Path(sys.prefix), os.environ, windows=os.name == "nt")
    except Exception:  # the magics work without it
        logging.getLogger(__name__).warning("the shell keeps its own environment", exc_info=True)


def unload_ipython_extension(ipython: Any) -> None:
    """Give IPython its own magics back."""
    from . import magic

    magic.unload(ipython)
