"""What every request passes: it is counted and logged, has to fit, and shows its token."""

from __future__ import annotations

import time
from collections.abc import MutableMapping
from typing import Any

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..errors import BridgeError, Busy, IndexFailure
from ..redaction import CONDA_TOKEN
from .limits import Limits, Overloaded, Tokens
from .logs import log
from .metrics import Metrics
from .responses import plain

#: Where the parts of a request that the middleware found are, in the scope's ``state``.
PREFIX, ROUTE = "prefix", "route"

#: Open to everybody: what asks whether the server lives has no token.
_OPEN = frozenset({"/healthz", "/readyz"})

_SECURITY = {"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer"}


class Observer:
    """Counts and logs every request, and answers for errors. The outermost of all."""

    def __init__(self, app: ASGIApp, metrics: Metrics, limits: Limits) -> None:
        self._app = app
        self._metrics = metrics
        self._limits = limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        scope["state"] = {PREFIX: "", ROUTE: "other"}
        sent = _Sent(send)
        with self._metrics.in_flight.track_inprogress():
            try:
                await self._app(scope, receive, sent)
            except Exception as error:
                answer = self._answer_for(error)
                if sent.status:  # it has begun: all that can be said is that it has no end
                    raise
                await answer(scope, receive, sent)
            finally:
                self._note(scope, sent, time.perf_counter() - began)

    def _answer_for(self, error: Exception) -> Response:
        """What the client is told: to come back, but for what is a fault of ours."""
        if not isinstance(error, BridgeError | OSError):
            log.error("a request failed", exc_info=error)
            return plain(500, "the server failed; its log says more", {"Cache-Control": "no-store"})
        reason = error.kind if isinstance(error, Overloaded) else type(error).__name__
        self._metrics.refused.labels(reason).inc()
        after = error.retry_after if isinstance(error, Busy) else self._limits.retry_after
        later = {"Retry-After": str(after), "Cache-Control": "no-store"}
        if isinstance(error, BridgeError):
            log.warning(str(error))
            return plain(503, _told(error), later)
        log.error("the store cannot be used", exc_info=error)
        return plain(503, "the store cannot be used now; the server's log says more", later)

    def _note(self, scope: Scope, sent: _Sent, seconds: float) -> None:
        route, headers = scope["state"][ROUTE], Headers(scope=scope)
        # Without a status the client went, or the answer broke off.
        self._metrics.answered(route, sent.status, seconds, sent.size)
        fields = {
            "method": scope["method"],
            "path": CONDA_TOKEN.sub("", scope["path"])[: self._limits.target],
            "route": route,
            "status": sent.status,
            "bytes": sent.size,
            "ms": round(seconds * 1000, 1),
            "client": (scope.get("client") or ("",))[0],
            "agent": headers.get("User-Agent", "")[:200],
        }
        log.info("request", extra={"fields": fields})


def _told(error: BridgeError) -> str:
    """What everybody may know of an error: its own text can have the address of an index in it."""
    if isinstance(error, Overloaded):
        return str(error)
    if isinstance(error, IndexFailure) or isinstance(error.__cause__, IndexFailure):
        return "the index does not answer"
    return "not yet: try again" if isinstance(error, Busy) else "this cannot be answered now"


class _Sent:
    """Passes on what is sent, with the headers that all answers have, and remembers how much it was."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.status = 0
        self.size = 0

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            extra = [(name.lower().encode(), value.encode()) for name, value in _SECURITY.items()]
            message = {**message, "headers": [*message["headers"], *extra]}
        elif message["type"] == "http.response.body":
            self.size += len(message.get("body", b""))
        await self._send(message)


class Admission:
    """Lets in what fits and has its token; takes the token out of the path.

    A token comes as conda sends it (``/t/TOKEN/`` in front of the path) or as ``Authorization: Bearer``.
    """

    def __init__(self, app: ASGIApp, tokens: Tokens, limits: Limits) -> None:
        self._app = app
        self._tokens = tokens
        self._limits = limits
        self._in_flight = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        refusal = self._refusal(scope, token := _take_token(scope))
        if refusal is not None:
            await refusal(scope, receive, send)
            return
        if scope["path"] not in _OPEN and self._in_flight >= self._limits.in_flight:
            raise Overloaded("in flight")
        self._in_flight += 1
        try:
            scope["state"][PREFIX] = f"/t/{token}" if token else ""
            await self._app(scope, receive, send)
        finally:
            self._in_flight -= 1

    def _refusal(self, scope: Scope, token: str) -> Response | None:
        headers = Headers(scope=scope)
        size = len(scope.get("raw_path") or b"") + len(scope["query_string"])
        if size > self._limits.target:
            return plain(414, "this address is too long")
        if headers.get("Content-Length", "0") != "0" or "Transfer-Encoding" in headers:
            return plain(413, "no request has a body here", {"Connection": "close"})
        if scope["path"] in _OPEN:
            return None
        kind, _, bearer = headers.get("Authorization", "").partition(" ")
        given = (token, bearer.strip()) if kind.lower() == "bearer" else (token,)
        if not self._tokens.admit(*given):
            return plain(
                401, "a token is needed", {"WWW-Authenticate": "Bearer", "Cache-Control": "no-store"}
            )
        return None


def _take_token(scope: MutableMapping[str, Any]) -> str:
    """The token at the beginning of the path, which is left without it."""
    path: str = scope["path"]
    match = CONDA_TOKEN.match(path)
    if match is None:
        return ""
    scope["path"] = path[match.end() :] or "/"
    scope["raw_path"] = scope["path"].encode()
    return match["token"]
