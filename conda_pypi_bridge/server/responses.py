"""Answers with validators: conditional requests and ranges (RFC 9110), for bytes and for files.

Nothing is ever sent with a Content-Encoding: clients take ``.zst`` as the content it is, and compare sizes.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import BinaryIO

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

#: Bytes that are read of a file and sent at once.
CHUNK = 1 << 18

_RANGE = re.compile(r"bytes=(?:(?P<first>\d{1,18})-(?P<last>\d{0,18})|-(?P<suffix>\d{1,18}))")
_MEDIA = {".json": "application/json", ".zst": "application/zstd", ".conda": "application/octet-stream"}


def media_type(name: str) -> str:
    """The Content-Type of a file of a channel."""
    return next((kind for suffix, kind in _MEDIA.items() if name.endswith(suffix)), "text/plain")


def plain(status: int, text: str, headers: Mapping[str, str] | None = None) -> Response:
    """One line for people and logs of clients."""
    return Response(f"{text}\n", status, dict(headers or {}), "text/plain; charset=utf-8")


def not_modified(request: Request, etag: str) -> bool:
    """Whether the client has it already (RFC 9110, section 13.1.2: weak comparison, or ``*``)."""
    given = request.headers.get("If-None-Match", "")
    return given.strip() == "*" or etag in (tag.strip().removeprefix("W/") for tag in given.split(","))


def wanted(request: Request, etag: str, size: int) -> slice | None:
    """The part of a content of `size` bytes that the client asks for; None where it asks for none of it.

    One range is understood; what RFC 9110 lets a server ignore (other units, several ranges, an
    ``If-Range`` that does not hold) means the whole.
    """
    whole = slice(0, size)
    match = _RANGE.fullmatch(request.headers.get("Range", "").strip())
    if match is None or request.headers.get("If-Range", etag) != etag:
        return whole
    if match["suffix"] is not None:
        length = min(int(match["suffix"]), size)
        return slice(size - length, size) if length else None
    first = int(match["first"])
    last = min(int(match["last"]), size - 1) if match["last"] else size - 1
    if match["last"] and int(match["last"]) < first:
        return whole  # not a valid range at all (section 14.1.1)
    return slice(first, last + 1) if first < size else None


def _head(
    request: Request, etag: str, size: int, name: str, caching: str
) -> tuple[int, dict[str, str], slice]:
    """Status, headers and the part to send of a content."""
    headers = {"ETag": etag, "Cache-Control": caching, "Accept-Ranges": "bytes"}
    if not_modified(request, etag):
        return 304, headers, slice(0, 0)
    part = wanted(request, etag, size)
    if part is None:
        return 416, {**headers, "Content-Range": f"bytes */{size}", "Content-Length": "0"}, slice(0, 0)
    status = 200
    if (part.start, part.stop) != (0, size):
        status = 206
        headers["Content-Range"] = f"bytes {part.start}-{part.stop - 1}/{size}"
    headers |= {"Content-Type": media_type(name), "Content-Length": str(part.stop - part.start)}
    return status, headers, part


class Content(Response):
    """An answer with what is in memory; `etag` with its quotes, `name` tells the type.

    It is sent in pieces, so that those who do not read hold no copy of it; a client that takes longer than
    `patience` seconds for a piece is given up.
    """

    def __init__(
        self, request: Request, data: bytes, etag: str, name: str, caching: str, *, patience: float
    ) -> None:
        status, headers, part = _head(request, etag, len(data), name, caching)
        super().__init__(None, status, headers)
        self._data = memoryview(data)[part] if request.method != "HEAD" else memoryview(b"")
        self._patience = patience

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        for start in range(0, len(self._data), CHUNK):
            message = _piece(bytes(self._data[start : start + CHUNK]))
            await asyncio.wait_for(send(message), self._patience)
        await send(_piece(b"", more=False))


def _piece(body: bytes, *, more: bool = True) -> dict[str, object]:
    return {"type": "http.response.body", "body": body, "more_body": more}


class FileAnswer(Response):
    """An answer with a file, read in pieces by `read`, which runs blocking calls; closed in the end.

    A client that takes longer than `patience` seconds for a piece is given up.
    """

    def __init__(
        self,
        request: Request,
        file: BinaryIO,
        size: int,
        etag: str,
        caching: str,
        *,
        read: Callable[..., Awaitable[bytes]],
        patience: float,
    ) -> None:
        status, headers, self._part = _head(request, etag, size, ".conda", caching)
        super().__init__(None, status, headers)
        self._file = file
        self._read = read
        self._patience = patience
        self._only_head = request.method == "HEAD"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await send(
                {"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers}
            )
            left = 0 if self._only_head else self._part.stop - self._part.start
            if left and self._part.start:
                await self._read(self._file.seek, self._part.start)
            while left:
                piece = await self._read(self._file.read, min(CHUNK, left))
                if not piece:
                    raise OSError("a file of the store is shorter than it was")
                left -= len(piece)
                await asyncio.wait_for(send(_piece(piece)), self._patience)
            await send(_piece(b"", more=False))
        finally:
            self._file.close()
