"""HTTP/1.1 over connections that nobody can hold without asking for something."""

from __future__ import annotations

import asyncio
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from .limits import Limits


class _Impatient(H11Protocol):
    """Closes connections on which the head of a request does not come whole within `patience` seconds.

    uvicorn knows a limit for connections between two requests, and none before the first or within a head.
    """

    patience: float
    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._wait()

    def data_received(self, data: bytes) -> None:
        before = self.cycle
        super().data_received(data)
        if self.cycle is not before:
            self._stop()
        elif self._timer is None and (before is None or before.response_complete):
            self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop()
        super().connection_lost(exc)

    def _wait(self) -> None:
        self._timer = self.loop.call_later(self.patience, self.transport.close)

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def configuration(application: Any, limits: Limits) -> uvicorn.Config:
    """uvicorn's configuration for an ASGI application."""
    return uvicorn.Config(
        application,
        http=type("Protocol", (_Impatient,), {"patience": limits.head}),
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=30,
        limit_concurrency=limits.connections,
        timeout_graceful_shutdown=int(limits.grace),
    )
