"""What a channel is to hold without being asked: a list of requirements, and all that they require."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from concurrent.futures import CancelledError, Future
from typing import TYPE_CHECKING

from ..errors import BridgeError, Busy, IndexFailure
from ..index import Index
from ..model import PackageRecord
from ..names import Names
from .logs import log

if TYPE_CHECKING:
    from ..channel.catalogue import Catalogue
    from ..channel.model import Published
    from ..channel.selection import Selection
    from ..channel.usage import Usage

#: How many packages wait among others.
_AT_ONCE = 16

#: Seconds until an index that could not be asked is asked again.
_PAUSE = 30.0


def publish_curated(
    texts: Sequence[str], catalogue: Catalogue, index: Index, names: Names, usage: Usage | None
) -> None:
    """Have SPECs and their closure published in the background, behind everything that somebody waits for.

    They stay, whether or not somebody asks for them.
    """
    threading.Thread(
        target=_publish, args=(texts, catalogue, index, names, usage), name="curated", daemon=True
    ).start()


def _publish(
    texts: Sequence[str], catalogue: Catalogue, index: Index, names: Names, usage: Usage | None
) -> None:
    try:
        selection = _select(texts, catalogue, index, names)
    except BridgeError as error:
        log.error("the curated list cannot be used: %s", error)
        return
    for miss in selection.misses:
        log.warning("the curated list has what cannot be had: %s", miss)
    records = [chosen.record for chosen in selection.chosen]
    failed = 0
    for start in range(0, len(records), _AT_ONCE):
        for future in _submit(records[start : start + _AT_ONCE], catalogue):
            try:
                item = future.result()
                if usage is not None:
                    usage.keep(item)
            except CancelledError:
                return  # the server stops
            except (BridgeError, OSError) as error:
                failed += 1
                log.warning("a package of the curated list cannot be built: %s", error)
    told = {"packages": len(records) - failed, "failed": failed}
    log.info("the curated list is published", extra={"fields": told})


def _select(texts: Sequence[str], catalogue: Catalogue, index: Index, names: Names) -> Selection:
    """The records of the list and its closure. Raises `BridgeError` for a list that cannot be used."""
    from ..channel.selection import select

    while True:
        try:
            return select(texts, catalogue.scope, index, names)
        except IndexFailure as error:
            if error.lasting:
                raise
            log.warning("the curated list waits for the index: %s", error)
            time.sleep(_PAUSE)


def _submit(records: Sequence[PackageRecord], catalogue: Catalogue) -> Sequence[Future[Published]]:
    while True:
        try:
            return catalogue.publish_later(records)
        except Busy as error:
            time.sleep(error.retry_after)
