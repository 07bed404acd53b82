"""The METADATA of a wheel that stays on its server: a file for `zipfile`, read by HTTP range requests."""

from __future__ import annotations

import io
import re
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from ..model import Wheel
from .answers import Answer
from .fetch import Fetcher

#: The first read: the central directory of most wheels, and METADATA itself, which tools put last.
_TAIL = 1 << 16
#: More than the largest central directory in practice; a wheel that wants more is downloaded instead.
_MOST = 1 << 24
_LOCAL_HEADER, _LOCAL_EXTRA = 30, 256

#: What `zipfile` raises for a damaged archive.
_ZIP_ERRORS = (zipfile.BadZipFile, zlib.error, EOFError, ValueError, NotImplementedError, RuntimeError)


class NoRanges(Exception):
    """The server does not answer range requests."""


class BadWheel(Exception):
    """The archive cannot be read; ``str()`` is the reason."""


class RemoteFile(io.RawIOBase):
    """A seekable, read-only file at `url`; what was fetched once is kept.

    Raises `NoRanges` where the server sends something else than the range asked for, and `BadWheel`
    when more is read than a wheel's directory can take.
    """

    def __init__(self, fetcher: Fetcher, url: str, size: int | None) -> None:
        self._fetcher = fetcher
        self._url = url
        self._blocks: list[tuple[int, bytes]] = []
        self._position = 0
        self._fetched = 0
        self._size = -1 if size is None else size
        if size is None:
            self._get(f"bytes=-{_TAIL}")
        else:
            self.prefetch(max(0, size - _TAIL), size)

    def prefetch(self, start: int, stop: int) -> None:
        """Fetch the bytes from `start` to `stop` in one request, unless they are here."""
        stop = min(stop, self._size)
        if start < stop and not self._here(start, stop):
            self._get(f"bytes={start}-{stop - 1}")

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        self._position = max(0, base + offset)
        return self._position

    def read(self, size: int | None = -1) -> bytes:
        stop = self._size if size is None or size < 0 else min(self._position + size, self._size)
        if stop <= self._position:
            return b""
        self.prefetch(self._position, stop)
        start, block = self._here(self._position, stop) or (0, b"")
        content = block[self._position - start : stop - start]
        self._position = stop
        return content

    def _here(self, start: int, stop: int) -> tuple[int, bytes] | None:
        for first, block in self._blocks:
            if first <= start and stop <= first + len(block):
                return first, block
        return None

    def _get(self, wanted: str) -> None:
        def read(answer: Answer) -> tuple[int, int, bytes]:
            found = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+)", answer.headers.get("Content-Range", ""))
            if answer.status != 206 or not found:
                raise NoRanges
            first, last, size = map(int, found.groups())
            return first, size, answer.read(last - first + 1)

        headers = {"Range": wanted, "Accept-Encoding": "identity"}
        first, size, block = self._fetcher.fetch(self._url, read, kind="metadata", headers=lambda: headers)
        self._fetched += len(block)
        if self._size not in (-1, size) or self._fetched > _MOST:
            raise BadWheel(f"it has {size} bytes and needs {self._fetched} to be read")
        self._size = size
        self._blocks.append((first, block))


def remote_metadata(fetcher: Fetcher, wheel: Wheel, cap: int) -> bytes:
    """METADATA of `wheel`, of at most `cap` bytes, without downloading the wheel.

    Raises `NoRanges` or `BadWheel`.
    """
    file = RemoteFile(fetcher, wheel.url, wheel.size)

    def fetch_member(member: zipfile.ZipInfo) -> None:
        # The local header repeats the name and may carry an extra field of its own.
        overhead = _LOCAL_HEADER + len(member.orig_filename.encode()) + _LOCAL_EXTRA
        file.prefetch(member.header_offset, member.header_offset + overhead + member.compress_size)

    return read_metadata(file, wheel, cap, before=fetch_member)


def local_metadata(path: Path, wheel: Wheel, cap: int) -> bytes:
    """METADATA of `wheel`, whose file is at `path`. Raises `BadWheel`."""
    with path.open("rb") as file:
        return read_metadata(file, wheel, cap)


def read_metadata(
    file: BinaryIO | RemoteFile,
    wheel: Wheel,
    cap: int,
    *,
    before: Callable[[zipfile.ZipInfo], None] = lambda member: None,
) -> bytes:
    """METADATA out of the archive `file`; `before` is told which member is about to be read.

    This only looks for requirements; what is installed goes through the strict reader of the builder,
    and must have the same METADATA.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            members = [member for member in archive.infolist() if _is_metadata(member.filename, wheel)]
            if len(members) != 1:
                raise BadWheel(f"it has {len(members)} METADATA files of its own")
            if members[0].file_size > cap:
                raise BadWheel(f"its METADATA has more than {cap} bytes")
            before(members[0])
            with archive.open(members[0]) as stream:
                return stream.read(cap)
    except _ZIP_ERRORS as error:
        raise BadWheel(f"it is not a readable ZIP archive ({type(error).__name__})") from None


def _is_metadata(path: str, wheel: Wheel) -> bool:
    """Whether `path` is ``{name}-{version}.dist-info/METADATA`` of `wheel` (PEP 427)."""
    folder, _, file = path.partition("/")
    name, _, version = folder.removesuffix(".dist-info").partition("-")
    if (
        file != "METADATA"
        or not folder.endswith(".dist-info")
        or canonicalize_name(name) != str(wheel.project)
    ):
        return False
    try:
        return Version(version) == wheel.version
    except InvalidVersion:
        return False
