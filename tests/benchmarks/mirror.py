"""A copy of a package index on loopback, of what was asked for: every tool sees the same, counted.

What it lacks it takes from the index that it copies, once, and keeps in a folder; `fetched` tells a
measurement that this happened while it ran. A page that is kept is never asked for again: newer releases
are seen once the folder is deleted. It has, and announces, the metadata of every wheel (PEP 658), as the
public index does, although the index that it copies may have it for some.
"""

from __future__ import annotations

import io
import json
import os
import re
import tempfile
import threading
import zipfile
from collections import defaultdict
from pathlib import Path
from typing import Any
from urllib.parse import quote, urljoin

import requests

from conda_pypi_bridge.index.pages import ACCEPT, Listing, decode
from conda_pypi_bridge.model import ProjectName
from tests.benchmarks.server import BenchmarkIndex, lasting
from tests.indexserver import Answer, Call

#: Seconds of silence from the index that is copied.
_TIMEOUT = 180


class Mirror(BenchmarkIndex):
    """A mirror of `upstream`, the URL of an index; `folder` keeps pages and files."""

    def __init__(self, upstream: str, folder: Path, *, latency: float = 0.0) -> None:
        super().__init__(latency=latency)
        self.fetched = 0
        self._upstream = upstream.rstrip("/") + "/"
        self._folder = folder
        self._urls: dict[str, str] = {}
        self._session = requests.Session()
        self._locks: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)

    def _plain(self, call: Call) -> Answer:
        try:
            return super()._plain(call)
        except requests.RequestException as error:
            return Answer(502, {"Content-Type": "text/plain"}, str(error).encode())

    def _page(self, call: Call, project: str) -> Answer:
        with self._locks[project]:
            if project not in self.pages:
                self._load(project)
        return super()._page(call, project)

    def _file(self, call: Call, filename: str) -> Answer:
        path = self._folder / "files" / filename
        url = self._urls.get(filename.removesuffix(".metadata"))
        if url is None:
            return Answer(404)
        with self._locks[filename]:
            if not path.exists():
                content = self._content_of(filename, url)
                if content is None:
                    return Answer(404)
                _write(path, content)
        if "Range" in call.headers:
            return lasting(self._content(call, path.read_bytes()))
        headers = {"Content-Type": "application/octet-stream", "Accept-Ranges": "bytes"}
        return lasting(Answer(200, headers, path.read_bytes()))

    def _load(self, project: str) -> None:
        """Have the page of `project` among `pages`, where the index has one."""
        path = self._folder / "pages" / f"{project}.json"
        if not path.exists():
            _write(path, json.dumps(self._copy(project)).encode())
        rows: list[dict[str, Any]] | None = json.loads(path.read_bytes())
        if rows is not None:
            self._urls.update((row["filename"], row["url"]) for row in rows)
            here = (f"{self.base}/files/{quote(row['filename'])}" for row in rows)
            self.pages[project] = [{**row, "url": url} for row, url in zip(rows, here, strict=True)]

    def _copy(self, project: str) -> list[dict[str, Any]] | None:
        """The files of a project as PEP 691 lists them, with full URLs; None where there is no project."""
        answer = self._get(f"{self._upstream}{project}/", Accept=ACCEPT)
        if answer is None:
            return None
        page = decode(answer.content, answer.headers["Content-Type"], answer.url, ProjectName(project))
        return [_row(listing, urljoin(page.base, listing.url)) for listing in page.files]

    def _content_of(self, filename: str, url: str) -> bytes | None:
        """A file of the index that is copied, or the metadata of a wheel that it has."""
        if not filename.endswith(".metadata"):
            answer = self._get(url)
            return answer.content if answer else None
        answer = self._get(f"{url}.metadata")
        return answer.content if answer else _metadata(RemoteFile(self._session, url))

    def _get(self, url: str, **headers: str) -> requests.Response | None:
        """An answer of the index that is copied, None where it has no such thing."""
        self.fetched += 1
        answer = self._session.get(url, headers=headers, timeout=_TIMEOUT)
        if answer.status_code in (404, 410):
            return None
        answer.raise_for_status()
        return answer


def _row(listing: Listing, url: str) -> dict[str, Any]:
    """A file as PEP 691 lists it."""
    row: dict[str, Any] = {
        "filename": listing.filename,
        "url": url,
        "hashes": {"sha256": listing.sha256} if listing.sha256 else {},
        "requires-python": listing.requires_python or None,
        "size": listing.size,
        "upload-time": listing.upload_time or None,
        "yanked": listing.yanked or listing.yanked is not None,
    }
    if listing.filename.endswith(".whl"):
        row["core-metadata"] = {"sha256": listing.metadata} if listing.metadata else True
    return {key: value for key, value in row.items() if value is not None}


class RemoteFile(io.RawIOBase):
    """The file at a URL, for reading a little of it: every read is a range request (RFC 9110)."""

    def __init__(self, session: requests.Session, url: str) -> None:
        self._session, self._url, self._position = session, url, 0
        first = session.get(url, headers={"Range": "bytes=0-0"}, timeout=_TIMEOUT)
        first.raise_for_status()
        self._size = int(first.headers["Content-Range"].rpartition("/")[2])

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._position = (
            offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        )
        return self._position

    def tell(self) -> int:
        return self._position

    def read(self, size: int = -1) -> bytes:
        stop = self._size if size < 0 else min(self._size, self._position + size)
        if stop <= self._position:
            return b""
        headers = {"Range": f"bytes={self._position}-{stop - 1}", "Accept-Encoding": "identity"}
        answer = self._session.get(self._url, headers=headers, timeout=_TIMEOUT)
        answer.raise_for_status()
        self._position += len(answer.content)
        return answer.content


def _metadata(wheel: io.RawIOBase) -> bytes | None:
    """A wheel's METADATA."""
    with zipfile.ZipFile(wheel) as archive:
        names = (name for name in archive.namelist() if re.fullmatch(r"[^/]+\.dist-info/METADATA", name))
        return next(map(archive.read, names), None)


def _write(path: Path, content: bytes) -> None:
    """A file appears whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
        file.write(content)
    os.replace(file.name, path)  # noqa: PTH105 -- the name is text
