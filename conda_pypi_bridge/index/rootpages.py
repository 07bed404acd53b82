"""The list of all projects that an index over the network has: PEP 691 (JSON) and PEP 503 (HTML)."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from html.parser import HTMLParser
from typing import Any

from ..errors import IndexFailure
from ..roster import Roster
from .answers import Answer
from .fetch import Fetcher
from .pages import ACCEPT, JSON_TYPE

#: Bytes. The list of the largest public index has 50 MB.
ROOT_CAP = 1 << 28

_HINT = "A channel can be made of a list of projects instead."


@dataclass(frozen=True)
class _Known:
    """What an index answered, and the headers that ask whether it would still."""

    roster: Roster
    conditions: Mapping[str, str]


class RootPages:
    """The project lists of indexes, asked for again only if they changed (RFC 9110, section 13)."""

    def __init__(self, fetcher: Fetcher) -> None:
        self._fetcher = fetcher
        self._known: dict[str, _Known] = {}

    def get(self, url: str) -> Roster:
        """The projects of the index at `url`, as it tells now. Raises `IndexFailure`."""
        known = self._known.get(url)
        headers = {"Accept": ACCEPT, "Accept-Encoding": "gzip", **(known.conditions if known else {})}

        def read(answer: Answer) -> _Known:
            if answer.status == 304 and known is not None:
                return known
            if answer.status != 200:
                raise IndexFailure(url, f"its list of projects: HTTP {answer.status}", hint=_HINT)
            validators = {"ETag": "If-None-Match", "Last-Modified": "If-Modified-Since"}
            conditions = {to: answer.headers[of] for of, to in validators.items() if of in answer.headers}
            kind = answer.headers.get("Content-Type", "").partition(";")[0].strip().lower()
            return _Known(_roster(_body(answer), kind, url), conditions)

        found = self._fetcher.fetch(url, read, kind="root", headers=lambda: headers)
        self._known[url] = found
        return found.roster


def _body(answer: Answer) -> bytes:
    """The body, as large as it may be; it may take its time as long as it keeps coming."""
    if "gzip" not in answer.headers.get("Content-Encoding", "").lower():
        return b"".join(answer.chunks(ROOT_CAP))
    inflater, parts, size = zlib.decompressobj(16 + zlib.MAX_WBITS), [], 0
    try:
        for chunk in answer.chunks(ROOT_CAP):
            parts.append(inflater.decompress(chunk, ROOT_CAP - size + 1))
            size += len(parts[-1])
            if size > ROOT_CAP:
                raise IndexFailure(answer.url, f"its list of projects has more than {ROOT_CAP} bytes")
    except zlib.error:
        raise IndexFailure(answer.url, "its list of projects is compressed wrongly") from None
    return b"".join(parts)


def _roster(body: bytes, kind: str, url: str) -> Roster:
    serials = _from_json(body, url) if kind == JSON_TYPE else _from_html(body)
    if not serials and kind != JSON_TYPE and b"<" not in body:
        raise IndexFailure(url, f"its list of projects is of type {kind[:60]!r}", hint=_HINT)
    return Roster(serials)


def _from_json(body: bytes, url: str) -> dict[str, int]:
    """Names and serials, each taken out of its object as soon as that is read: there are many."""
    serials: dict[str, int] = {}

    def take(found: dict[str, Any]) -> dict[str, Any] | None:
        name, serial = found.get("name"), found.get("_last-serial")
        if not isinstance(name, str):
            return found
        serials[name] = serial if isinstance(serial, int) and 0 <= serial < 1 << 63 else 0
        return None

    try:
        document = json.loads(body, object_hook=take)
    except (ValueError, RecursionError):
        raise IndexFailure(url, "its list of projects is not readable JSON") from None
    if not isinstance(document, dict) or not isinstance(document.get("projects"), list):
        raise IndexFailure(url, "its list of projects has no projects in it (PEP 691)", hint=_HINT)
    return serials


def _from_html(body: bytes) -> dict[str, int]:
    parser = _Anchors()
    parser.feed(body.decode("utf-8", "replace"))
    parser.close()
    return dict.fromkeys(parser.texts, 0)


class _Anchors(HTMLParser):
    """PEP 503: "The text of the anchor tag MUST be the name of the project"."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []
        self._open: list[str] | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "a":
            self._open = []

    def handle_data(self, data: str) -> None:
        if self._open is not None:
            self._open.append(data)

    def handle_endtag(self, tag: str) -> None:
        if tag == "a" and self._open is not None:
            self.texts.append("".join(self._open).strip().strip("/"))
            self._open = None
