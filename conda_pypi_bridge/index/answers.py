"""What a server answers, and how much of anything it may take from us."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..credentials import public_url
from ..errors import IndexFailure
from .deadline import read_before

if TYPE_CHECKING:
    import requests

#: Bytes that are read at once.
CHUNK = 1 << 16

#: What a caller is to judge itself.
ANSWERS = frozenset({200, 206, 304, 404, 410, 416})

#: Not here, and not to be: not found, gone, unavailable for legal reasons (RFC 9110, 7725).
GONE = frozenset({404, 410, 451})


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a server may take from us; times in seconds, sizes in bytes.

    All tries together, with their redirects and the pauses between them, must end within `patience`, or the
    read timeout if longer; a transfer that comes forward is bound by its pace alone. A body read with a
    deadline must be complete within `body_seconds`; every body must bring `rate` bytes a second, measured
    over `stall_seconds`. A Retry-After beyond `retry_after` is not waited for. The n-th pause between tries
    is about `backoff` * 2**n.
    """

    redirects: int = 5
    body_seconds: float = 20.0
    stall_seconds: float = 10.0
    rate: int = 1024
    patience: float = 20.0
    retry_after: float = 15.0
    backoff: float = 0.25


class TryAgain(Exception):
    """A fault that may pass, after `delay` seconds where the server said so. `hint` is for the user."""

    def __init__(self, reason: str, delay: float | None = None, *, hint: str = "") -> None:
        super().__init__(reason)
        self.delay = delay
        self.hint = hint


class Answer:
    """An open response. `url` is where it came from after redirects; the body can be read once."""

    def __init__(self, response: requests.Response, url: str, limits: Limits) -> None:
        self.status: int = response.status_code
        self.headers: Mapping[str, str] = response.headers
        self.url = url
        self._raw: Any = response.raw
        self._limits = limits

    def read(self, cap: int) -> bytes:
        """The whole body, decoded, within the deadline. `IndexFailure` when it has more than `cap` bytes."""
        return b"".join(self._chunks(cap, deadline=True))

    def chunks(self, cap: int) -> Iterator[bytes]:
        """The body as it was sent, in pieces as they come.

        `IndexFailure` beyond `cap` bytes, or when it is too slow.
        """
        chunks = self._chunks(cap, deadline=False)
        while True:
            with read_before(time.monotonic() + self._limits.patience):  # anew for each
                chunk = next(chunks, b"")
            if not chunk:
                return
            yield chunk

    def _chunks(self, cap: int, *, deadline: bool) -> Iterator[bytes]:
        pace = _Pace(self._limits, deadline)
        total = 0
        # read1 returns what one read of the socket brings. read would wait until the chunk is full, and a
        # server that sends a byte a second would hold us for a day.
        while chunk := self._raw.read1(CHUNK, decode_content=deadline):
            total += len(chunk)
            if total > cap:
                raise IndexFailure(
                    public_url(self.url), f"the answer is larger than {cap} bytes", lasting=True
                )
            if reason := pace.fault(total):
                raise IndexFailure(public_url(self.url), reason)
            yield chunk


class _Pace:
    """Whether a transfer keeps up with the limits."""

    def __init__(self, limits: Limits, deadline: bool) -> None:
        self._limits = limits
        self._window = time.monotonic()
        self._end = self._window + limits.body_seconds if deadline else float("inf")
        self._before = 0

    def fault(self, total: int) -> str:
        """Why to give up after `total` bytes, or nothing."""
        now = time.monotonic()
        if now > self._end:
            return f"the answer was not complete after {self._limits.body_seconds:g} s"
        elapsed = now - self._window
        if elapsed >= self._limits.stall_seconds:
            if total - self._before < self._limits.rate * elapsed:
                return f"the answer came slower than {self._limits.rate} bytes a second"
            self._window, self._before = now, total
        return ""
