"""What runs in place of a process whose linking failed: ``python -m conda_pypi_bridge.settle STATUS PREFIX``.

It says nothing where all is well, since the failure has been told.
"""

from __future__ import annotations

import signal
import sys
from pathlib import Path

from .errors import BridgeError
from .prefix import settle


def main(status: str, *prefixes: str) -> int:
    """Put the prefixes back, and return `status`: that of the process that was here before."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for prefix in prefixes:
        try:
            settle(Path(prefix), quiet=True)
        except (BridgeError, OSError) as error:
            hint = getattr(error, "hint", "")
            sys.stderr.write(f"error: {error}\n" + (f"  {hint}\n" if hint else ""))
    return int(status)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
