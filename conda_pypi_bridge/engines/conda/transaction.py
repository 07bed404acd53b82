"""conda's transaction, with packages of the bridge built before it links, and pip's copies out of the way."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from conda.core.link import UnlinkLinkTransaction


class BridgeTransaction(UnlinkLinkTransaction):  # type: ignore[misc]
    """`build` puts the packages into conda's cache; `alone` is what linking happens within: nobody else
    changes the prefix, and what pip placed is held away.

    `note` is what there is to say below conda's summary.
    """

    def __init__(
        self,
        setup: Any,
        *,
        build: Callable[[], None],
        alone: Callable[[], AbstractContextManager[None]],
        note: str = "",
    ) -> None:
        super().__init__(setup)
        self._build = build
        self._alone = alone
        self._note = note

    def print_transaction_summary(self) -> Any:
        groups = super().print_transaction_summary()
        if self._note:
            print(self._note)
        return groups

    def download_and_extract(self) -> None:
        self._build()
        self._pfe = None  # the summary looked for packages that are in the cache only now
        super().download_and_extract()

    def execute(self) -> None:
        with self._alone():
            super().execute()
