"""What keeps a store from growing without end: packages that nobody asks for go."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from .logs import log

if TYPE_CHECKING:
    from ..channel.usage import Usage

#: Seconds between two times that the store is told what was asked for, and that others are looked for.
_SAVE, _COLLECT = 600.0, 86400.0


def collect_unused(usage: Usage, subdirs: Sequence[str]) -> None:
    """Delete packages in the background, once a day, that nobody has asked for lately."""
    threading.Thread(target=_collect, args=(usage, subdirs), name="keeping", daemon=True).start()


def _collect(usage: Usage, subdirs: Sequence[str]) -> None:
    due = time.monotonic()
    while True:
        save(usage)
        if time.monotonic() >= due:
            try:
                gone = usage.collect(subdirs)
            except OSError as error:
                log.warning("unused packages cannot be deleted: %s", error)
            else:
                fields = {"packages": gone, "days": usage.days}
                log.info("packages that nobody asked for were deleted", extra={"fields": fields})
                due += _COLLECT
        time.sleep(_SAVE)


def save(usage: Usage) -> None:
    """Have the store remember what was asked for, if it can."""
    try:
        usage.save()
    except OSError as error:
        log.warning("what was asked for cannot be stored: %s", error)
