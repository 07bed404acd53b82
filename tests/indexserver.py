"""A real package index on loopback: real wheels over real HTTP, with faults on demand.

It speaks PEP 691 (JSON) or PEP 503 (HTML), PEP 658/714 metadata files, range requests, conditional
requests and basic authentication. `IndexServer.on` lets a test bend any answer.
"""

from __future__ import annotations

import base64
import datetime as dt
import email
import hashlib
import html
import io
import json
import os
import posixpath
import re
import socket
import ssl
import struct
import threading
import time
import zipfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from packaging.utils import canonicalize_name, parse_wheel_filename

from tests.wheels import wheel_bytes

JSON_TYPE = "application/vnd.pypi.simple.v1+json"
HTML_TYPE = "application/vnd.pypi.simple.v1+html"
UPLOADED = dt.datetime(2024, 1, 2, 3, 4, 5, 678000, dt.timezone.utc)


@dataclass(frozen=True)
class Call:
    """One request that the server received."""

    method: str
    path: str
    headers: Message = field(repr=False)


@dataclass(frozen=True)
class Answer:
    """What the server sends.

    `body` may be an endless iterable of chunks, sent without Content-Length. `stop_after` closes the
    connection after that many bytes of the body, though Content-Length promises all of it. `wire` does what
    it likes with the connection, and nothing else is sent.
    """

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | Iterable[bytes] = b""
    stop_after: int | None = None
    wire: Callable[[socket.socket], None] | None = None


#: Bends an answer: gets the request and what the server would have said, returns what it says.
Behaviour = Callable[[Call, Answer], Answer]


def says(status: int, body: bytes = b"", /, **headers: str) -> Behaviour:
    """Always this answer; underscores in header names stand for hyphens."""
    fixed = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda call, answer: Answer(status, fixed, body)


def drops_after(count: int) -> Behaviour:
    """The usual answer, but the connection closes after `count` bytes of its body."""
    return lambda call, answer: replace(answer, stop_after=count)


def trickles(interval: float) -> Behaviour:
    """The usual answer, one byte every `interval` seconds."""

    def one_by_one(body: bytes) -> Iterable[bytes]:
        for number in range(len(body)):
            time.sleep(interval)
            yield body[number : number + 1]

    return lambda call, answer: replace(answer, body=one_by_one(bytes(answer.body)))  # type: ignore[arg-type]


def sleeps(seconds: float) -> Behaviour:
    """The usual answer, late."""

    def late(call: Call, answer: Answer) -> Answer:
        time.sleep(seconds)
        return answer

    return late


def hang_up(connection: socket.socket) -> None:
    """Reset a connection: what was sent may be lost, and nothing says goodbye."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    os.close(connection.detach())


class IndexServer:
    """An index that listens on a free loopback port inside ``with``.

    `announce` lists ``core-metadata`` on pages; `metadata` answers ``FILE.metadata``; `ranges` honours
    Range; `auth` is the ``(user, password)`` that every request must carry; `etags` sends validators
    and 304; `max_age` is the Cache-Control of pages, in seconds; `tls` is a PEM file of certificate and
    key; `serials` tells the projects' serials in the list of all. While `deaf`, connections are reset as soon
    as they are made. `calls` is the log, `sent` the statuses, `bytes_sent` the size of all bodies,
    `connections` how many connections were opened.
    """

    def __init__(
        self,
        *,
        html: bool = False,
        announce: bool = True,
        metadata: bool = True,
        ranges: bool = True,
        auth: tuple[str, str] | None = None,
        etags: bool = False,
        max_age: int | None = None,
        tls: Path | None = None,
        serials: bool = False,
    ) -> None:
        self.html = html
        self.announce = announce
        self.metadata = metadata
        self.ranges = ranges
        self.auth = auth
        self.etags = etags
        self.max_age = max_age
        self.serials = serials
        self.deaf = False
        self.calls: list[Call] = []
        self.connections = 0
        self.sent: list[int] = []
        self.bytes_sent = 0
        self.files: dict[str, bytes] = {}
        self.pages: dict[str, list[dict[str, Any]]] = {}
        self.status: dict[str, dict[str, str]] = {}
        self._bends: list[tuple[re.Pattern[str], Behaviour, list[int]]] = []
        self._lock = threading.Lock()
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.index = self
        self._server.socket = _tls(self._server.socket, tls) if tls else self._server.socket
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self.base = f"{'https' if tls else 'http'}://127.0.0.1:{self._server.server_port}"
        self.url = f"{self.base}/simple/"

    def __enter__(self) -> IndexServer:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def url_with_credentials(self) -> str:
        """The index URL with `auth` written into it."""
        assert self.auth
        user, password = (quote(part, safe="") for part in self.auth)
        return self.url.replace("://", f"://{user}:{password}@")

    def add(
        self,
        name: str,
        version: str,
        *,
        yanked: str | None = None,
        upload_time: dt.datetime = UPLOADED,
        entry: dict[str, Any] | None = None,
        **wheel: Any,
    ) -> str:
        """Make a wheel (options of `wheels.wheel_bytes`), publish it, return its file name.

        `entry` overrides keys of its PEP 691 entry; None as a value drops the key.
        """
        filename, content = wheel_bytes(name, version, **wheel)
        self.publish(filename, content, yanked=yanked, upload_time=upload_time, entry=entry)
        return filename

    def add_folder(self, folder: Path) -> None:
        """Publish every wheel of a folder."""
        for path in sorted(folder.glob("*.whl")):
            self.publish(path.name, path.read_bytes())

    def publish(
        self,
        filename: str,
        content: bytes,
        *,
        project: str = "",
        yanked: str | None = None,
        upload_time: dt.datetime = UPLOADED,
        entry: dict[str, Any] | None = None,
    ) -> None:
        """List `content` as `filename` on the page of `project` (default: the wheel's own)."""
        project = canonicalize_name(project) or parse_wheel_filename(filename)[0]
        self.files[filename] = content
        row: dict[str, Any] = {
            "filename": filename,
            "url": f"../../files/{filename}",
            "hashes": {"sha256": hashlib.sha256(content).hexdigest()},
            "size": len(content),
            "upload-time": upload_time.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            "yanked": False if yanked is None else (yanked or True),
        }
        metadata = _metadata_of(content)
        if metadata is not None:
            row["requires-python"] = email.message_from_bytes(metadata)["Requires-Python"]
            row["core-metadata"] = {"sha256": hashlib.sha256(metadata).hexdigest()}
        row.update(entry or {})
        rows = self.pages.setdefault(project, [])
        rows.append({key: value for key, value in row.items() if value is not None})

    def on(self, path: str, behaviour: Behaviour, *, times: int | None = None) -> None:
        """Bend the answers of every path that `path` (a regular expression) is found in.

        Only the first `times` of them, where given. The first match wins.
        """
        self._bends.append((re.compile(path), behaviour, [-1 if times is None else times]))

    def heal(self) -> None:
        """Bend no more answers."""
        self._bends.clear()
        self.deaf = False

    def count(self, path: str = "") -> int:
        """How many requests had `path` (a regular expression) in their path."""
        return sum(bool(re.search(path, call.path)) for call in self.calls)

    def respond(self, call: Call) -> Answer:
        """The answer to one request, bent where a test says so, once the client has shown who it is."""
        self.calls.append(call)
        if self.auth and call.headers.get("Authorization") != _basic(self.auth):
            answer = Answer(401, {"WWW-Authenticate": 'Basic realm="index"'})
        else:
            answer = self._bent(call, self._plain(call))
        self.sent.append(answer.status)
        return answer

    def _bent(self, call: Call, answer: Answer) -> Answer:
        for pattern, behaviour, left in self._bends:
            with self._lock:
                chosen = bool(left[0]) and bool(pattern.search(call.path))
                left[0] -= chosen
            if chosen:
                return behaviour(call, answer)
        return answer

    def _plain(self, call: Call) -> Answer:
        path = unquote(urlsplit(call.path).path)
        if path == "/simple/":
            return self._root(call)
        if match := re.fullmatch(r"/simple/([^/]+)/", path):
            return self._page(call, match[1])
        if re.fullmatch(r"/simple/[^/]+", path):
            return Answer(301, {"Location": f"{posixpath.basename(path)}/"})
        if match := re.fullmatch(r"/files/([^/]+)", path):
            return self._file(call, match[1])
        return Answer(404)

    def _page(self, call: Call, project: str) -> Answer:
        if project not in self.pages:
            return Answer(404)
        return self._document(call, self._html(project) if self.html else self._json(project))

    def _root(self, call: Call) -> Answer:
        """All projects (PEP 691, PEP 503); a serial counts the files that were published."""
        if self.html:
            links = "".join(f'<a href="{name}/">{html.escape(name)}</a>\n' for name in self.pages)
            return self._document(call, f"<!DOCTYPE html><html><body>{links}</body></html>".encode())
        rows: list[dict[str, Any]] = [{"name": name} for name in self.pages]
        for row in rows if self.serials else ():
            row["_last-serial"] = len(self.pages[row["name"]])
        meta = {"api-version": "1.1", "_last-serial": sum(map(len, self.pages.values()))}
        return self._document(call, json.dumps({"meta": meta, "projects": rows}).encode())

    def _document(self, call: Call, body: bytes) -> Answer:
        headers = {"Content-Type": HTML_TYPE if self.html else JSON_TYPE}
        if self.max_age is not None:
            headers["Cache-Control"] = f"max-age={self.max_age}"
        if self.etags:
            headers["ETag"] = f'"{hashlib.sha256(body).hexdigest()}"'
            if call.headers.get("If-None-Match") == headers["ETag"]:
                return Answer(304, headers)
        return Answer(200, headers, body)

    def _json(self, project: str) -> bytes:
        rows = [dict(row) for row in self.pages[project]]
        for row in rows:
            if not self.announce:
                row.pop("core-metadata", None)
        page = {"meta": {"api-version": "1.1"}, "name": project, "files": rows}
        if project in self.status:
            page["project-status"] = self.status[project]
        return json.dumps(page).encode()

    def _html(self, project: str) -> bytes:
        links = []
        for row in self.pages[project]:
            attributes = {"href": row["url"] + "".join(f"#{k}={v}" for k, v in row["hashes"].items())}
            if row.get("requires-python"):
                attributes["data-requires-python"] = row["requires-python"]
            if row.get("yanked"):
                attributes["data-yanked"] = "" if row["yanked"] is True else row["yanked"]
            if self.announce and row.get("core-metadata"):
                attributes["data-core-metadata"] = f"sha256={row['core-metadata']['sha256']}"
            text = " ".join(f'{key}="{html.escape(value)}"' for key, value in attributes.items())
            links.append(f"<a {text}>{html.escape(row['filename'])}</a><br/>")
        names = {"status": "project-status", "reason": "project-status-reason"}
        metas = "".join(
            f'<meta name="pypi:{names[key]}" content="{html.escape(value)}">'
            for key, value in self.status.get(project, {}).items()
        )
        head = f'<meta name="pypi:repository-version" content="1.1">{metas}'
        return f"<!DOCTYPE html><html><head>{head}</head><body>{''.join(links)}</body></html>".encode()

    def _file(self, call: Call, filename: str) -> Answer:
        if filename in self.files:
            return self._content(call, self.files[filename])
        wheel = filename.removesuffix(".metadata")
        if wheel != filename and wheel in self.files and self.metadata:
            content = _metadata_of(self.files[wheel])
            if content is not None:
                return Answer(200, {"Content-Type": "application/octet-stream"}, content)
        return Answer(404)

    def _content(self, call: Call, content: bytes) -> Answer:
        headers = {"Content-Type": "application/octet-stream"}
        if not self.ranges:
            return Answer(200, headers, content)
        headers["Accept-Ranges"] = "bytes"
        headers["ETag"] = f'"{hashlib.sha256(content).hexdigest()}"'
        match = re.fullmatch(r"bytes=(\d*)-(\d*)", call.headers.get("Range", ""))
        if not match or call.headers.get("If-Range", headers["ETag"]) != headers["ETag"]:
            return Answer(200, headers, content)
        size = len(content)
        first, last = match[1], match[2]
        start = int(first) if first else max(0, size - int(last))
        stop = min(int(last) + 1, size) if first and last else size
        if start >= size:
            return Answer(416, {**headers, "Content-Range": f"bytes */{size}"})
        headers["Content-Range"] = f"bytes {start}-{stop - 1}/{size}"
        return Answer(206, headers, content[start:stop])


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64
    index: IndexServer

    def process_request(self, request: Any, client_address: Any) -> None:
        self.index.connections += 1
        if self.index.deaf:
            hang_up(request)
            return
        super().process_request(request, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is part of many tests: say nothing."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def do_GET(self) -> None:
        answer = self.server.index.respond(Call(self.command, self.path, self.headers))
        if answer.wire is not None:
            self.close_connection = True
            answer.wire(self.connection)
            return
        fixed = isinstance(answer.body, bytes)
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        if fixed and "Content-Length" not in answer.headers and answer.status != 304:
            self.send_header("Content-Length", str(len(answer.body)))  # type: ignore[arg-type]
        elif not fixed:
            self.send_header("Connection", "close")
            self.close_connection = True
        self.end_headers()
        for chunk in [answer.body[: answer.stop_after]] if isinstance(answer.body, bytes) else answer.body:
            self.wfile.write(chunk)
            self.server.index.bytes_sent += len(chunk)
        if answer.stop_after is not None:
            self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:
        """`IndexServer.calls` is the log."""


def _tls(socket: Any, pem: Path) -> ssl.SSLSocket:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    return context.wrap_socket(socket, server_side=True, do_handshake_on_connect=False)


def _basic(auth: tuple[str, str]) -> str:
    return "Basic " + base64.b64encode(":".join(auth).encode()).decode()


def _metadata_of(wheel: bytes) -> bytes | None:
    try:
        with zipfile.ZipFile(io.BytesIO(wheel)) as archive:
            for name in archive.namelist():
                if re.fullmatch(r"[^/]+\.dist-info/METADATA", name):
                    return archive.read(name)
    except zipfile.BadZipFile:
        return None
    return None
