"""A ZIP reader that accepts only archives with exactly one reading (APPNOTE.TXT 6.3).

ZIP keeps every fact twice: in the local headers along the file and in the central directory at its
end. Tools that trust different copies see different files, which is how a wheel can show one content
to a scanner and another to an installer. So nothing is skipped or repaired here: local records must
follow each other without gaps from the first byte, the central directory must come right after them,
must describe each of them once and in the same words, and must end the file.
"""

from __future__ import annotations

import io
import struct
import threading
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, NamedTuple

CHUNK = 1 << 20

#: The largest central directory, in bytes, that is read: it has to fit into memory.
MAX_DIRECTORY = 64 << 20

STORED, DEFLATED = 0, 8

_ENCRYPTED, _DESCRIPTOR, _UTF8 = 0x0001, 0x0008, 0x0800
_HARMLESS_FLAGS = _DESCRIPTOR | _UTF8 | 0x0006  # 0x0006: the deflate effort that was used
_ZIP64, _UNICODE_PATH = 0x0001, 0x7075
_IN_ZIP64 = 0xFFFFFFFF

_END = struct.Struct("<4s4H2LH")
_END64_LOCATOR = struct.Struct("<4sLQL")
_END64 = struct.Struct("<4sQ2H2L4Q")
_CENTRAL = struct.Struct("<4s6H3L5H2L")
_LOCAL = struct.Struct("<4s5H3L2H")


class BadArchive(Exception):
    """The archive is damaged or ambiguous. `rule` names what it breaks, `member` where (or "")."""

    def __init__(self, rule: str, detail: str, member: str = "") -> None:
        super().__init__(detail)
        self.rule = rule
        self.detail = detail
        self.member = member


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One member: sizes in bytes, `start` is the offset of its data, `mode` its Unix mode (0: not told)."""

    name: str
    mode: int
    method: int
    crc: int
    compressed_size: int
    size: int
    start: int

    @property
    def is_dir(self) -> bool:
        return self.name.endswith("/")


class _Header(NamedTuple):
    """What both copies of a member's header tell."""

    name: bytes
    flags: int
    method: int
    crc: int
    compressed_size: int
    size: int


class Archive:
    """The members of the ZIP archive in `file`, in the order of the archive.

    Every structural rule is checked on construction; `chunks` checks sizes and CRC as it goes.
    Raises `BadArchive`. Safe to read from several threads.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._lock = threading.Lock()
        self.size = file.seek(0, io.SEEK_END)
        self.entries = tuple(self._check_entries())

    def chunks(self, entry: Entry) -> Iterator[bytes]:
        """The content of `entry`, decompressed, in pieces of at most `CHUNK` bytes."""
        pieces = self._stored(entry) if entry.method == STORED else self._inflated(entry)
        crc = size = 0
        for piece in pieces:
            crc = zlib.crc32(piece, crc)
            size += len(piece)
            if size > entry.size:
                break
            yield piece
        if size != entry.size:
            raise BadArchive("size", f"declares {entry.size} bytes and holds another number", entry.name)
        if crc != entry.crc:
            raise BadArchive("crc", "the content does not match its checksum", entry.name)

    def _stored(self, entry: Entry) -> Iterator[bytes]:
        end = entry.start + entry.compressed_size
        for offset in range(entry.start, end, CHUNK):
            yield self._read(offset, min(CHUNK, end - offset))

    def _inflated(self, entry: Entry) -> Iterator[bytes]:
        decoder = zlib.decompressobj(-zlib.MAX_WBITS)
        try:
            for compressed in self._stored(entry):
                if decoder.eof:
                    raise BadArchive("deflate", "something follows the compressed data", entry.name)
                yield decoder.decompress(compressed, CHUNK)
                while decoder.unconsumed_tail:
                    yield decoder.decompress(decoder.unconsumed_tail, CHUNK)
            while not decoder.eof and (piece := decoder.decompress(b"", CHUNK)):
                yield piece
        except zlib.error as error:
            raise BadArchive("deflate", f"the compressed data is damaged: {error}", entry.name) from error
        if not decoder.eof or decoder.unused_data:
            raise BadArchive("deflate", "the compressed data ends too early or too late", entry.name)

    def _read(self, offset: int, size: int) -> bytes:
        if not 0 <= offset <= offset + size <= self.size:
            raise BadArchive("truncated", "the archive ends in the middle of a record")
        with self._lock:
            self._file.seek(offset)
            return self._file.read(size)

    def _check_entries(self) -> Iterator[Entry]:
        """Walk the central directory and the local records side by side."""
        count, start, size = self._find_directory()
        directory = self._read(start, size)
        offset = position = 0
        for _ in range(count):
            header, mode, local_offset, length = _central_header(directory, position)
            position += length
            if local_offset != offset:
                raise BadArchive("gap", "records overlap, are out of order or hide bytes", _shown(header))
            entry, offset = self._check_local(header, mode, offset)
            yield entry
        if position != size:
            raise BadArchive("directory", "the central directory does not hold what the archive's end says")
        if offset != start:
            raise BadArchive("gap", "there are hidden bytes before the central directory")

    def _find_directory(self) -> tuple[int, int, int]:
        """Number of entries, offset and size of the central directory, which must end the file."""
        at = self.size - _END.size
        signature, *fields, comment = _END.unpack(self._read(at, _END.size))
        if signature != b"PK\5\6" or comment:
            raise BadArchive("end", "the archive is truncated, or something follows its end")
        before = max(at - _END64_LOCATOR.size, 0)
        locator = self._read(before, at - before)
        if locator.startswith(b"PK\6\7"):
            fields, at = self._find_zip64(locator, before, fields)
        disk, start_disk, here, count, size, start = fields
        if disk or start_disk or here != count or start + size != at:
            raise BadArchive("end", "the archive's end does not point at its central directory")
        if size > MAX_DIRECTORY:
            raise BadArchive("bounded-size", f"the central directory has {size} bytes")
        return count, start, size

    def _find_zip64(self, locator: bytes, end: int, short: list[int]) -> tuple[list[int], int]:
        """The fields of the ZIP64 end record and its offset; `short` are those of the ordinary one."""
        _, disk, at, disks = _END64_LOCATOR.unpack(locator)
        if disk or disks > 1 or at != end - _END64.size:
            raise BadArchive("end", "the ZIP64 locator does not point at the ZIP64 end record")
        signature, length, _, _, *fields = _END64.unpack(self._read(at, _END64.size))
        if signature != b"PK\6\6" or length != _END64.size - 12:
            raise BadArchive("end", "the ZIP64 end record is malformed")
        if any(told not in (true, 0xFFFF, _IN_ZIP64) for told, true in zip(short, fields, strict=True)):
            raise BadArchive("end", "the two end records disagree")
        return fields, at

    def _check_local(self, central: _Header, mode: int, offset: int) -> tuple[Entry, int]:
        """The entry whose local record is at `offset`, and where the next record must start."""
        signature, _, flags, method, _, _, crc, packed, size, name_length, extra_length = _LOCAL.unpack(
            self._read(offset, _LOCAL.size)
        )
        if signature != b"PK\3\4":
            raise BadArchive("local-header", "no local header where the directory points", _shown(central))
        variable = self._read(offset + _LOCAL.size, name_length + extra_length)
        extra = _extra_fields(variable[name_length:], central.name)
        if flags & _DESCRIPTOR:
            # zeros, or the truth: the data descriptor, checked below, tells it
            crc, packed, size = (
                true if told in (0, _IN_ZIP64) else told
                for told, true in (
                    (crc, central.crc),
                    (packed, central.compressed_size),
                    (size, central.size),
                )
            )
        else:
            size, packed = _zip64_values(extra, (size, packed), central.name)
        local = _Header(variable[:name_length], flags, method, crc, packed, size)
        if local != central:
            raise BadArchive("local-header", "local header and central directory disagree", _shown(central))
        start = offset + _LOCAL.size + len(variable)
        end = start + packed
        if flags & _DESCRIPTOR:
            end += self._descriptor_length(central, end, zip64=_ZIP64 in extra)
        entry = Entry(
            name=_decode_name(central),
            mode=mode,
            method=method,
            crc=crc,
            compressed_size=packed,
            size=size,
            start=start,
        )
        return entry, end

    def _descriptor_length(self, central: _Header, at: int, *, zip64: bool) -> int:
        """Length in bytes of the data descriptor at `at`; its signature is optional (APPNOTE 4.3.9.3)."""
        sizes = "<L2Q" if zip64 or max(central.compressed_size, central.size) > _IN_ZIP64 else "<3L"
        values = struct.pack(sizes, central.crc, central.compressed_size, central.size)
        for descriptor in (b"PK\7\x08" + values, values):
            if at + len(descriptor) <= self.size and self._read(at, len(descriptor)) == descriptor:
                return len(descriptor)
        raise BadArchive("local-header", "data descriptor and central directory disagree", _shown(central))


def _central_header(directory: bytes, at: int) -> tuple[_Header, int, int, int]:
    """The header at `at`, its Unix mode, the offset of its local record and its own length in bytes."""
    if len(directory) < at + _CENTRAL.size:
        raise BadArchive("directory", "the central directory is truncated")
    signature, *_, external, offset = fields = _CENTRAL.unpack_from(directory, at)
    flags, method, _, _, crc, packed, size, name_length, extra_length, comment_length, disk = fields[3:14]
    end = at + _CENTRAL.size + name_length + extra_length
    if signature != b"PK\1\2" or end > len(directory) or comment_length:
        raise BadArchive("directory", "the central directory is damaged or holds comments")
    name = directory[at + _CENTRAL.size : end - extra_length]
    extra = _extra_fields(directory[end - extra_length : end], name)
    size, packed, offset = _zip64_values(extra, (size, packed, offset), name)
    header = _Header(name, flags, method, crc, packed, size)
    if flags & _ENCRYPTED or flags & ~_HARMLESS_FLAGS or disk:
        raise BadArchive("flags", "encrypted, patched or split over several files", _shown(header))
    if method not in (STORED, DEFLATED) or (method == STORED and packed != size):
        raise BadArchive("method", "neither stored nor deflated", _shown(header))
    return header, external >> 16, offset, end - at


def _extra_fields(data: bytes, name: bytes) -> dict[int, bytes]:
    fields: dict[int, bytes] = {}
    while data:
        kind, length = struct.unpack_from("<2H", data) if len(data) >= 4 else (0, len(data))
        if kind in fields or 4 + length > len(data):
            raise BadArchive("extra", "a malformed extra field", name.decode(errors="replace"))
        fields[kind] = data[4 : 4 + length]
        data = data[4 + length :]
    if _UNICODE_PATH in fields:
        raise BadArchive("extra", "a second name in an extra field", name.decode(errors="replace"))
    return fields


def _zip64_values(extra: dict[int, bytes], values: tuple[int, ...], name: bytes) -> tuple[int, ...]:
    """`values` with those that say "see the ZIP64 field" replaced by what it holds (APPNOTE 4.5.3)."""
    wanted = values.count(_IN_ZIP64)
    if not wanted:
        return values
    field = extra.get(_ZIP64, b"")
    if len(field) < 8 * wanted:
        raise BadArchive("extra", "the ZIP64 field lacks a value", name.decode(errors="replace"))
    stored = iter(struct.unpack_from(f"<{wanted}Q", field))
    return tuple(next(stored) if value == _IN_ZIP64 else value for value in values)


def _decode_name(header: _Header) -> str:
    """The member's name; without the UTF-8 flag each tool picks its own code page for bytes above 127."""
    try:
        return header.name.decode("utf-8" if header.flags & _UTF8 else "ascii")
    except UnicodeDecodeError:
        raise BadArchive("name-encoding", "the name is not flagged and valid UTF-8", _shown(header)) from None


def _shown(header: _Header) -> str:
    return header.name.decode(errors="replace")
