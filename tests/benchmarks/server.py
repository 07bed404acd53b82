"""A package index on loopback that is fast enough to measure clients with, and counts what it sends.

The headers of caching and the compression of pages are those of the public index: clients behave by them.
"""

from __future__ import annotations

import gzip
import hashlib
import threading
from html import escape

from tests import indexserver
from tests.indexserver import HTML_TYPE, JSON_TYPE, Answer, Call, IndexServer, sleeps


class BenchmarkIndex(IndexServer):
    """An `IndexServer` of which every page is made once. `latency` is in seconds, before each answer.

    `sent_requests` and `sent_size` count since the last `reset`.
    """

    def __init__(self, *, latency: float = 0.0) -> None:
        super().__init__(etags=True, max_age=600)
        self._server.RequestHandlerClass = _Handler
        if latency:
            self.on("", sleeps(latency))
        self.sent_requests = self.sent_size = 0
        self._made: dict[tuple[str, str], Answer] = {}
        self._counting = threading.Lock()

    def reset(self) -> None:
        """Count from zero."""
        self.sent_requests = self.sent_size = 0
        self.calls.clear()

    def respond(self, call: Call) -> Answer:
        answer = super().respond(call)
        assert isinstance(answer.body, bytes)
        only_head = call.method == "HEAD"
        with self._counting:
            self.sent_requests += 1
            self.sent_size += 0 if only_head else len(answer.body)
        length = {"Content-Length": str(len(answer.body))}
        return Answer(answer.status, {**answer.headers, **length}) if only_head else answer

    def _page(self, call: Call, project: str) -> Answer:
        if project not in self.pages:
            return Answer(404)
        kind = next(kind for kind in (JSON_TYPE, HTML_TYPE, "text/html") if _accepts(call, kind))
        if (project, kind) not in self._made:
            self._made[project, kind] = self._make(project, kind)
        page = self._made[project, kind]
        if call.headers.get("If-None-Match") == page.headers["ETag"]:
            return Answer(304, {name: page.headers[name] for name in ("ETag", "Cache-Control")})
        return page

    def _make(self, project: str, kind: str) -> Answer:
        """A page as every client takes it: compressed."""
        body = self._json(project) if kind == JSON_TYPE else self._html(project)
        headers = {
            "Content-Type": kind,
            "Content-Encoding": "gzip",
            "Cache-Control": f"max-age={self.max_age}, public",
            "ETag": f'"{hashlib.sha256(body).hexdigest()}"',
            "Vary": "Accept, Accept-Encoding",
        }
        return Answer(200, headers, gzip.compress(body, 6, mtime=0))

    def _html(self, project: str) -> bytes:
        """The page for who asks for no JSON (PEP 503): links, with what is true of metadata (PEP 714)."""
        links = []
        for row in self.pages[project]:
            metadata = row.get("core-metadata")
            digest = f"sha256={metadata['sha256']}" if isinstance(metadata, dict) else "true"
            told = {
                "href": row["url"] + "".join(f"#{kind}={value}" for kind, value in row["hashes"].items()),
                "data-requires-python": row.get("requires-python"),
                "data-yanked": "" if row.get("yanked") is True else row.get("yanked") or None,
                "data-core-metadata": digest if metadata else None,
            }
            words = (f' {key}="{escape(value)}"' for key, value in told.items() if value is not None)
            links.append(f"<a{''.join(words)}>{escape(row['filename'])}</a><br/>")
        return f"<!DOCTYPE html><html><body>{''.join(links)}</body></html>".encode()

    def _file(self, call: Call, filename: str) -> Answer:
        return lasting(super()._file(call, filename))


class _Handler(indexserver._Handler):
    """uv looks with HEAD whether a server has ranges, where no metadata is announced."""

    def do_HEAD(self) -> None:  # noqa: N802 -- the name that the library calls
        self.do_GET()


def lasting(answer: Answer) -> Answer:
    """The answer with a file, which never changes."""
    if answer.status in (200, 206):
        answer.headers["Cache-Control"] = "max-age=365000000, immutable, public"
    return answer


def _accepts(call: Call, kind: str) -> bool:
    """Whether a page of this type may be sent; who says nothing gets what browsers get."""
    accept = call.headers.get("Accept", "*/*")
    return kind in accept or kind == "text/html"
