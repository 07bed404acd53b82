"""HTTP for package indexes: one session, many threads, and no server that can hold us up or fill us up.

What sends is imported with the first request: `requests` takes as long to start as Python itself, and many
commands are answered from caches.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, TypeVar
from urllib.request import getproxies

from ..config import IndexConfig
from ..credentials import Auth, Credentials, Redactor, public_url, split_credentials
from ..errors import ConfigError, IndexFailure
from .answers import ANSWERS, Answer, Limits, TryAgain
from .deadline import read_before
from .pages import printable

if TYPE_CHECKING:
    from .sending import Sender

T = TypeVar("T")

#: Loggers of libraries that log the URLs they fetch.
_FOREIGN_LOGGERS = ("urllib3.connectionpool", "urllib3.util.retry")


class Fetcher:
    """Fetches over HTTP with retries, limits and credentials; safe to share between threads.

    `requests` counts what was sent, by kind. `redact` cleans a text of the secrets known so far.
    """

    def __init__(self, config: IndexConfig, *, limits: Limits | None = None) -> None:
        self._config = config
        self._limits = limits or Limits()
        self.redact = Redactor()
        self.credentials = Credentials(self.redact, keyring=config.keyring)
        for url in (*config.indexes, *config.find_links, *config.private.values()):
            self.credentials.learn(url)
        for kind, proxy in (*config.proxies.items(), *getproxies().items()):
            try:
                self.redact.learn_auth(split_credentials(proxy)[1] or Auth("", ""))
            except ValueError:
                raise ConfigError(f"the {kind} proxy has no valid URL") from None
        self.requests: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._made: Sender | None = None
        for name in _FOREIGN_LOGGERS:
            logging.getLogger(name).addFilter(self.redact)

    def fetch(
        self,
        url: str,
        read: Callable[[Answer], T],
        *,
        kind: str,
        headers: Callable[[], Mapping[str, str]] = dict,
        accept: frozenset[int] = ANSWERS,
        gained: Callable[[], int] = int,
    ) -> T:
        """What `read` makes of the answer to ``GET url``. It runs anew on every try.

        `headers` gives the request headers of each try; `read` sees the statuses in `accept` only, and may
        raise `TryAgain`. Any other status, and what stays broken after the configured retries, raises
        `IndexFailure`. `kind` is what the requests are counted as. `gained` tells how far a transfer that
        can be resumed has come: tries that brought it forward are not counted.
        """
        sender, url = self._sender, split_credentials(url)[0]
        patience = max(self._limits.patience, self._config.timeout)
        tries, before, end = 0, gained(), time.monotonic() + patience
        while True:
            try:
                with read_before(end), sender.open(url, kind, headers(), accept, end) as answer:
                    return read(answer)
            except sender.FAULTS as error:
                late = time.monotonic() >= end
                fault = sender.judge(url, error, patience if late else self._config.timeout)
            except TryAgain as error:
                fault = error
            if gained() > before:
                tries, before, end = 0, gained(), time.monotonic() + patience
            tries += 1
            pause = self._limits.backoff * 2 ** (tries - 1) * random.uniform(0.5, 1.5)
            pause = pause if fault.delay is None else fault.delay
            if tries > self._config.retries or time.monotonic() + pause > end:
                raise self.failure(url, f"{fault} ({tries} tries)" if tries > 1 else str(fault), fault.hint)
            time.sleep(pause)

    @property
    def _sender(self) -> Sender:
        with self._lock:
            if self._made is None:
                from .sending import Sender

                self._made = Sender(
                    self._config, self._limits, self.credentials, self.redact, self.requests, self.failure
                )
            return self._made

    def failure(self, url: str, reason: str, hint: str = "", *, lasting: bool = False) -> IndexFailure:
        """The error to raise for `url`, free of secrets and of characters that a terminal would obey."""
        shown, told = printable(public_url(url)), printable(self.redact(reason))
        return IndexFailure(shown, told, hint=hint, lasting=lasting)

    def close(self) -> None:
        """Close the connections."""
        if self._made is not None:
            self._made.close()
        for name in _FOREIGN_LOGGERS:
            logging.getLogger(name).removeFilter(self.redact)
