"""Reading a wheel: its members, where they go, and what its ``.dist-info`` folder says (PEP 427, PEP 376).

What is read here need not be good: `wheelfile` has the rules.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import re
import stat
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from email.message import Message
from email.parser import HeaderParser
from functools import cached_property
from typing import BinaryIO, NamedTuple

from packaging.tags import Tag, parse_tag

from ..errors import WheelRefused
from ..model import Wheel
from .strictzip import Archive, BadArchive, Entry

#: The largest dist-info file, in bytes, that is read into memory.
MAX_IN_MEMORY = 64 << 20

#: The places a member can be installed to: roots of the package, as conda's ``noarch: python`` form
#: names them, and one for headers, whose place depends on the Python version (no file is named so).
SITE_PACKAGES, SCRIPTS, DATA, HEADERS = "site-packages", "python-scripts", "", "headers:"
_SCHEMES = {
    "purelib": SITE_PACKAGES,
    "platlib": SITE_PACKAGES,
    "scripts": SCRIPTS,
    "data": DATA,
    "headers": HEADERS,
}

_SCRIPT_GROUPS = ("console_scripts", "gui_scripts")
_ENTRY_POINT = re.compile(r"(?P<module>[\w.]+)\s*:\s*(?P<attr>[\w.]+)\s*(\[[^\[\]]*\])?")


class Digest(NamedTuple):
    """SHA-256 (lower-case hex) and size in bytes of a file's content."""

    sha256: str
    size: int


class RecordRow(NamedTuple):
    """One line of RECORD: `digest` is raw; where no hash is given, `algorithm` is empty."""

    algorithm: str
    digest: bytes
    size: str


@dataclass(frozen=True, kw_only=True)
class Member:
    """A file to install at `path`, which is relative to its `root` (one of the four constants above)."""

    entry: Entry
    root: str
    path: str

    @property
    def place(self) -> str:
        """Where it lands relative to a prefix, as Unix has it."""
        return f"{'bin' if self.root == SCRIPTS else self.root}/{self.path}".removeprefix("/")

    @property
    def executable(self) -> bool:
        """Whether the archive marks it so; like pip, only a regular file's mode counts."""
        return stat.S_ISREG(self.entry.mode) and bool(self.entry.mode & 0o111)


class WheelFile:
    """An open wheel. Properties raise `WheelRefused` where the wheel cannot be read as they promise."""

    def __init__(self, file: BinaryIO, expected: Wheel) -> None:
        self.expected = expected
        try:
            self._archive = Archive(file)
        except BadArchive as bad:
            raise self.refusal(bad.rule, bad.detail, bad.member) from bad

    @property
    def entries(self) -> tuple[Entry, ...]:
        """Every member of the archive, directories too."""
        return self._archive.entries

    @cached_property
    def files(self) -> Mapping[str, Entry]:
        """The members that are files, by their name in the archive."""
        return {entry.name: entry for entry in self.entries if not entry.is_dir}

    @property
    def archive_size(self) -> int:
        return self._archive.size

    @cached_property
    def dist_info(self) -> str:
        """The name of the one ``.dist-info`` folder."""
        tops = {name.partition("/")[0] for name in self.files}
        found = sorted(top for top in tops if top.lower().endswith(".dist-info"))
        if len(found) != 1:
            raise self.refusal("one-dist-info", f"expected one .dist-info folder, found {found}")
        return found[0]

    @cached_property
    def metadata(self) -> Message:
        """METADATA (core metadata, PEP 566)."""
        return self._headers("METADATA")

    @cached_property
    def wheel(self) -> Message:
        """WHEEL (PEP 427)."""
        return self._headers("WHEEL")

    @cached_property
    def tags(self) -> frozenset[Tag]:
        """What the wheel was built for: the Tag lines of WHEEL (PEP 425)."""
        try:
            return frozenset(tag for line in self.wheel.get_all("Tag", []) for tag in parse_tag(line.strip()))
        except ValueError as error:
            raise self.refusal("covered-tags", f"a tag in WHEEL cannot be read: {error}") from error

    @cached_property
    def record(self) -> Mapping[str, RecordRow]:
        """RECORD (PEP 376): its rows by path."""
        rows = {}
        try:
            for path, digest, size in csv.reader(io.StringIO(self._text("RECORD"), newline=""), strict=True):
                algorithm, _, value = digest.partition("=")
                raw = base64.urlsafe_b64decode(value + "=" * (-len(value) % 4))
                if path in rows:
                    raise ValueError(f"{path!r} is listed twice")
                rows[path] = RecordRow(algorithm, raw, size)
        except (csv.Error, ValueError) as error:
            raise self.refusal("record-malformed", f"RECORD cannot be read: {error}") from error
        return rows

    @cached_property
    def entry_points(self) -> Mapping[str, str]:
        """Scripts to generate: ``module:attr`` by name, console and GUI ones alike."""
        if f"{self.dist_info}/entry_points.txt" not in self.files:
            return {}
        found, group = {}, ""
        for line in map(str.strip, self._text("entry_points.txt").splitlines()):
            if line.startswith("[") and line.endswith("]"):
                group = line[1:-1].strip()
            elif line and line[0] not in "#;" and group in _SCRIPT_GROUPS:
                name, _, target = map(str.strip, line.partition("="))
                match = _ENTRY_POINT.fullmatch(target)
                found[name] = f"{match['module']}:{match['attr']}" if match else target
        return found

    @cached_property
    def members(self) -> tuple[Member, ...]:
        """The files to install, in pip's order: the wheel's root, its ``.data`` folder, then scripts."""
        members = [self._place(entry) for entry in self.files.values()]
        return tuple(sorted(members, key=lambda member: (is_data(member.entry.name), member.root == SCRIPTS)))

    @property
    def warnings(self) -> Iterator[str]:
        """Sentences about what is allowed but worth knowing."""
        version = self.wheel.get("Wheel-Version", "").strip()
        named, built = self.expected.tags, self.tags
        if named != built:
            extra = ", ".join(sorted(map(str, built - named))) or "fewer tags"
            yield f"{self.expected.filename}: its WHEEL file says {extra}; the file name counts"
        if version != "1.0":
            yield f"{self.expected.filename}: Wheel-Version {version} is newer than 1.0, which is known here"
        for member in self.members:
            if member.root == SITE_PACKAGES and "/" not in member.path and member.path.endswith(".pth"):
                yield f"{self.expected.filename}: {member.path} is read at every start of Python"

    def copy(self, entry: Entry, write: Callable[[bytes], object]) -> Digest:
        """Give the content of `entry` to `write`, piece by piece, and return its digest.

        Raises `WheelRefused` where the content is not what the archive and RECORD say.
        """
        row = self.record.get(entry.name) if entry.name != f"{self.dist_info}/RECORD" else None
        ours = hashlib.sha256()
        theirs = hashlib.new(row.algorithm) if row and row.algorithm not in ("", "sha256") else ours
        try:
            for piece in self._archive.chunks(entry):
                ours.update(piece)
                if theirs is not ours:
                    theirs.update(piece)
                write(piece)
        except BadArchive as bad:
            raise self.refusal(bad.rule, bad.detail, bad.member) from bad
        if row and row.algorithm and theirs.digest() != row.digest:
            raise self.refusal("record-hash", "the content is not what RECORD says", entry.name)
        return Digest(ours.hexdigest(), entry.size)

    def read(self, name: str) -> bytes:
        """The whole content of the dist-info file `name`."""
        path = f"{self.dist_info}/{name}"
        entry = self.files.get(path)
        if entry is None:
            raise self.refusal("complete-dist-info", "the file is missing", path)
        if entry.size > MAX_IN_MEMORY:
            raise self.refusal("too-large", f"more than {MAX_IN_MEMORY} bytes", path)
        pieces: list[bytes] = []
        self.copy(entry, pieces.append)
        return b"".join(pieces)

    def refusal(self, rule: str, detail: str, member: str = "") -> WheelRefused:
        return WheelRefused(self.expected.filename, rule, detail, member=member)

    def _text(self, name: str) -> str:
        try:
            return self.read(name).decode()
        except UnicodeDecodeError as error:
            raise self.refusal("encoding", f"{name} is not UTF-8") from error

    def _headers(self, name: str) -> Message:
        return HeaderParser().parsestr(self._text(name))

    def _place(self, entry: Entry) -> Member:
        if not is_data(entry.name):
            return Member(entry=entry, root=SITE_PACKAGES, path=entry.name)
        _, _, rest = entry.name.partition("/")
        scheme, _, path = rest.partition("/")
        if scheme not in _SCHEMES or not path:
            raise self.refusal("data-scheme", f"{scheme!r} is no install scheme", entry.name)
        return Member(entry=entry, root=_SCHEMES[scheme], path=path)


def is_data(name: str) -> bool:
    """Whether a member is below ``{distribution}-{version}.data`` (PEP 427)."""
    top, slash, _ = name.partition("/")
    return bool(slash) and top.endswith(".data")
