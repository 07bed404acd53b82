"""A conda channel over HTTP on loopback: what a channel's folder holds, and a log of what was asked for."""

from __future__ import annotations

import threading
from functools import partial
from http import HTTPStatus
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


class ChannelServer:
    """Serves the folder of a channel inside ``with``; `paths` are the requests that came."""

    def __init__(self, folder: Path) -> None:
        self.paths: list[str] = []
        handler = partial(_Handler, directory=str(folder))
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.paths = self.paths  # type: ignore[attr-defined]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> ChannelServer:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Handler(SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def send_response(self, code: int, message: str | None = None) -> None:
        super().send_response(code, message)
        if code == HTTPStatus.NOT_MODIFIED:
            # RFC 9110: a 304 has what would tell the file apart; rattler takes one without it for an error.
            changed = Path(self.translate_path(self.path)).stat().st_mtime
            self.send_header("Last-Modified", self.date_time_string(int(changed)))

    def send_head(self) -> Any:
        self.server.paths.append(self.path)  # type: ignore[attr-defined]
        return super().send_head()

    def log_message(self, format: str, *args: object) -> None:
        """`ChannelServer.paths` is the log."""
