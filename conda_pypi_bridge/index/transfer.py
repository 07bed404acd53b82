"""One file on its way from a server to the disk: resumed after a drop, and checked as it comes."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from typing import BinaryIO

from .answers import GONE, Answer, TryAgain
from .fetch import Fetcher

#: A try that brought so many bytes counts as progress, and is not held against the server.
_STEP = 1 << 20


class Transfer:
    """Downloads `url` into `file`, an empty file, and hashes it.

    `size` is the expected number of bytes, None where the index does not tell it; no more than `cap`
    are taken. `progress` is called with the bytes that each step brought, and with a negative
    number when the server makes us start over.
    """

    def __init__(
        self,
        url: str,
        file: BinaryIO,
        *,
        size: int | None,
        cap: int,
        progress: Callable[[int], None] = lambda count: None,
    ) -> None:
        self._url = url
        self._file = file
        self._size = size
        self._cap = cap if size is None else size
        self._progress = progress
        self._validator = ""
        self._hash = hashlib.sha256()
        #: Bytes that are in `file`.
        self.done = 0

    def run(self, fetcher: Fetcher) -> str:
        """Download everything and return its sha256 in hex. Raises `IndexFailure`."""
        self._fetcher = fetcher
        fetcher.fetch(
            self._url, self._read, kind="wheel", headers=self._headers, gained=lambda: self.done // _STEP
        )
        return self._hash.hexdigest()

    def _headers(self) -> dict[str, str]:
        """RFC 9110, section 13.1.5: If-Range takes a strong validator, else the date."""
        headers = {"Accept-Encoding": "identity"}
        if self.done:
            headers["Range"] = f"bytes={self.done}-"
            if self._validator:
                headers["If-Range"] = self._validator
        return headers

    def _read(self, answer: Answer) -> None:
        if not self._continues(answer):
            resuming = self.done > 0
            self._start_over()
            if resuming and answer.status in (206, 416):
                raise TryAgain(f"HTTP {answer.status} to a request for the rest of the file")
            if answer.status != 200:
                status = answer.status
                raise self._fetcher.failure(self._url, f"HTTP {status}", lasting=status in GONE)
        etag = answer.headers.get("ETag", "")
        self._validator = answer.headers.get("Last-Modified", "") if etag[:2] in ("", "W/") else etag
        for chunk in answer.chunks(self._cap - self.done):
            self._file.write(chunk)
            self._hash.update(chunk)
            self.done += len(chunk)
            self._progress(len(chunk))
        if self._size is not None and self.done < self._size:
            raise TryAgain(f"the answer ended after {self.done} of {self._size} bytes")

    def _continues(self, answer: Answer) -> bool:
        """Whether the answer begins where the file ends (RFC 9110, section 14.4)."""
        found = re.match(r"bytes (\d+)-", answer.headers.get("Content-Range", ""))
        return answer.status == 206 and self.done > 0 and found is not None and int(found[1]) == self.done

    def _start_over(self) -> None:
        if self.done:
            self._progress(-self.done)
        self._file.seek(0)
        self._file.truncate()
        self._hash = hashlib.sha256()
        self.done = 0
