"""Wheels that break one rule each, made byte by byte; every installer should refuse them all."""

from __future__ import annotations

import hashlib
import io
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from packaging.utils import parse_wheel_filename

from conda_pypi_bridge.model import ProjectName, Wheel
from tests.wheels import wheel_bytes

FILENAME = "demo-1.0-py3-none-any.whl"
INFO = "demo-1.0.dist-info"

_UTF8, _DESCRIPTOR = 0x0800, 0x0008


@dataclass(frozen=True, kw_only=True)
class Hostile:
    """A wheel and the rule it breaks.

    `late` is true where only unpacking can tell. `promised` replaces fields of what the index says.
    """

    id: str
    rule: str
    content: bytes
    filename: str = FILENAME
    late: bool = False
    promised: Mapping[str, Any] = field(default_factory=dict)

    @property
    def expected(self) -> Wheel:
        return promise(self.filename, self.content)._replace(**self.promised)


def promise(filename: str, content: bytes) -> Wheel:
    """What an honest index says of a wheel."""
    project, version, build, tags = parse_wheel_filename(filename)
    return Wheel(
        filename=filename,
        project=ProjectName(project),
        version=version,
        build=build,
        tags=tags,
        url=f"https://files.invalid/{filename}",
        sha256=hashlib.sha256(content).hexdigest(),
        size=len(content),
    )


@dataclass(frozen=True, kw_only=True)
class Part:
    """One member, and the lies its two headers tell: `local` and `central` replace fields.

    Their keys: name, flags, method, crc, packed, size, extra; `central` also comment, disk, offset.
    `data` is the compressed content where it is not what `method` makes of `content`.
    """

    name: bytes
    content: bytes = b""
    mode: int = 0o100644
    flags: int = 0
    method: int = zipfile.ZIP_DEFLATED
    data: bytes | None = None
    before: bytes = b""
    descriptor: bytes = b""
    local: Mapping[str, Any] = field(default_factory=dict)
    central: Mapping[str, Any] = field(default_factory=dict)

    @property
    def packed(self) -> bytes:
        if self.data is not None:
            return self.data
        return deflate(self.content) if self.method == zipfile.ZIP_DEFLATED else self.content

    def header(self, lies: Mapping[str, Any]) -> dict[str, Any]:
        truth = {
            "name": self.name,
            "flags": self.flags,
            "method": self.method,
            "crc": zlib.crc32(self.content),
            "packed": len(self.packed),
            "size": len(self.content),
            "extra": b"",
            "comment": b"",
            "disk": 0,
        }
        return {**truth, **lies}


def deflate(content: bytes) -> bytes:
    return zlib.compress(content, 9)[2:-4]


def parts_of(archive: bytes) -> list[Part]:
    """The members of a sound archive, to be made unsound."""
    with zipfile.ZipFile(io.BytesIO(archive)) as opened:
        return [
            Part(name=entry.filename.encode(), content=opened.read(entry), mode=entry.external_attr >> 16)
            for entry in opened.infolist()
        ]


def assemble(
    parts: Sequence[Part],
    *,
    shift: int = 0,
    gap: bytes = b"",
    zip64: Mapping[str, int] | None = None,
    **end: Any,
) -> bytes:
    """A ZIP archive of `parts`.

    `shift` is added to every offset, `gap` stands before the central directory; `zip64`, where given,
    adds the ZIP64 end records with these lies; `end` are lies of the end record: count, here, size,
    start, disk, comment.
    """
    body, directory = b"", b""
    for part in parts:
        body += part.before
        told = part.header({"offset": len(body) + shift, **part.central})
        directory += _central(told, part.mode)
        body += _local(part.header(part.local)) + part.packed + part.descriptor
    body += gap
    truth = {"count": len(parts), "size": len(directory), "start": len(body) + shift, "disk": 0}
    told = {**truth, "here": truth["count"], "comment": b"", **end}
    tail = b""
    if zip64 is not None:
        tail = _zip64_end(truth, len(body) + len(directory), zip64)
        told |= {"count": 0xFFFF, "here": 0xFFFF, "size": 0xFFFFFFFF, "start": 0xFFFFFFFF} | end
    tail += struct.pack(
        "<4s4H2LH",
        b"PK\5\6",
        told["disk"],
        told["disk"],
        told["here"],
        told["count"],
        told["size"],
        told["start"],
        len(told["comment"]),
    )
    comment: bytes = told["comment"]
    return body + directory + tail + comment


def _local(told: Mapping[str, Any]) -> bytes:
    sizes = (told["crc"], told["packed"], told["size"], len(told["name"]), len(told["extra"]))
    fixed = struct.pack("<4s5H3L2H", b"PK\3\4", 20, told["flags"], told["method"], 0, 0x5821, *sizes)
    return b"".join([fixed, told["name"], told["extra"]])


def _central(told: Mapping[str, Any], mode: int) -> bytes:
    sizes = (told["crc"], told["packed"], told["size"])
    lengths = (len(told["name"]), len(told["extra"]), len(told["comment"]), told["disk"], 0)
    fixed = struct.pack(
        "<4s6H3L5H2L",
        b"PK\1\2",
        *(0x0314, 20, told["flags"], told["method"], 0, 0x5821),
        *sizes,
        *lengths,
        mode << 16,
        told["offset"],
    )
    return b"".join([fixed, told["name"], told["extra"], told["comment"]])


def _zip64_end(truth: Mapping[str, int], at: int, lies: Mapping[str, int]) -> bytes:
    told = {**truth, "length": 44, "at": at, "disks": 1, **lies}
    fields = (told["disk"], told["disk"], told["count"], told["count"], told["size"], told["start"])
    record = struct.pack("<4sQ2H2L4Q", b"PK\6\6", told["length"], 45, 45, *fields)
    return record + struct.pack("<4sLQL", b"PK\6\7", 0, told["at"], told["disks"])


def demo(**options: Any) -> bytes:
    """A sound wheel of the project ``demo``; options as of `wheel_bytes`."""
    return wheel_bytes("demo", "1.0", **options)[1]


def record_of(wheel: bytes) -> str:
    """The text of a sound wheel's RECORD."""
    (record,) = (part for part in parts_of(wheel) if part.name.endswith(b"RECORD"))
    return record.content.decode()


def with_files(*names: str, **options: Any) -> bytes:
    """A wheel that holds ``demo.py`` and the files `names`, all of them properly listed in RECORD."""
    return demo(files={"demo.py": "x = 1\n", **{name: f"{name}\n" for name in names}}, **options)


def with_part(**changes: Any) -> bytes:
    """A wheel whose first member, ``demo.py``, is changed."""
    first, *rest = parts_of(demo())
    return assemble([replace(first, **changes), *rest])


def corpus() -> Iterator[Hostile]:
    """All of them."""
    yield from _damaged()
    yield from _ambiguous_archives()
    yield from _lying_headers()
    yield from _bombs()
    yield from _names()
    yield from _collisions()
    yield from _dist_info()
    yield from _metadata()
    yield from _entry_points()
    yield from _places()


def _damaged() -> Iterator[Hostile]:
    good = demo()
    yield Hostile(id="other-hash", rule="wheel-hash", content=good, promised={"sha256": "0" * 64})
    yield Hostile(id="no-hash", rule="wheel-hash", content=good, promised={"sha256": ""})
    md5 = hashlib.md5(good).hexdigest()
    yield Hostile(id="md5-only", rule="wheel-hash", content=good, promised={"sha256": md5})
    yield Hostile(id="other-size", rule="wheel-hash", content=good, promised={"size": len(good) + 1})
    yield Hostile(id="empty-file", rule="truncated", content=b"")
    yield Hostile(id="not-a-zip", rule="end", content=b"<html>" * 100)
    for cut in (1, 21, 22, len(good) // 2):
        yield Hostile(id=f"truncated-by-{cut}", rule="end", content=good[:-cut])
    data = parts_of(good)[0].packed
    yield Hostile(
        id="flipped-deflated",
        rule="deflate",
        content=with_part(data=bytes([data[0] ^ 6]) + data[1:]),
        late=True,
    )
    flipped: dict[str, Any] = {"method": 0, "data": b"__version__ = '2.0'\n"}
    yield Hostile(id="flipped-stored", rule="crc", content=with_part(**flipped), late=True)
    lies = {"local": {"crc": 1}, "central": {"crc": 1}}
    yield Hostile(id="other-crc", rule="crc", content=with_part(**lies), late=True)
    short = {"data": data[:-1], **_packed(len(data) - 1)}
    yield Hostile(id="cut-deflate-stream", rule="deflate", content=with_part(**short), late=True)
    more = {"data": data + b"PK", **_packed(len(data) + 2)}
    yield Hostile(id="data-after-deflate-stream", rule="deflate", content=with_part(**more), late=True)


def _packed(packed: int, size: int | None = None) -> dict[str, Any]:
    lies = {"packed": packed} | ({} if size is None else {"size": size})
    return {"local": lies, "central": lies}


def _ambiguous_archives() -> Iterator[Hostile]:
    good = demo()
    parts = parts_of(good)
    first, *rest = parts
    for id, rule, content in (
        ("prefix", "end", b"#!/bin/sh\n" + good),
        ("prefix-with-offsets", "gap", b"#!/bin/sh\n" + assemble(parts, shift=10)),
        ("trailing-bytes", "end", good + b"\0"),
        ("comment", "end", assemble(parts, comment=b"PK\5\6")),
        ("two-archives", "gap", good + assemble(parts, shift=len(good))),
        ("hidden-between", "gap", assemble([first, replace(rest[0], before=b"hidden"), *rest[1:]])),
        ("hidden-before-directory", "gap", assemble(parts, gap=b"hidden")),
        (
            "hidden-member",
            "gap",
            assemble([first, replace(rest[0], before=_local(first.header({}))), *rest[1:]]),
        ),
        ("one-record-twice", "gap", assemble([first, replace(first, central={"offset": 0}), *rest])),
        ("swapped-offsets", "gap", assemble([replace(first, central={"offset": 60}), *rest])),
        ("count-too-low", "directory", assemble(parts, count=len(parts) - 1, here=len(parts) - 1)),
        ("count-too-high", "directory", assemble(parts, count=len(parts) + 1, here=len(parts) + 1)),
        ("count-differs", "end", assemble(parts, here=len(parts) + 1)),
        ("directory-elsewhere", "end", assemble(parts, start=0)),
        ("several-disks", "end", assemble(parts, disk=1)),
        ("zip64-elsewhere", "end", assemble(parts, zip64={"at": 0})),
        ("zip64-extended", "end", assemble(parts, zip64={"length": 60})),
        ("zip64-disks", "end", assemble(parts, zip64={"disks": 2})),
        ("zip64-other-start", "end", assemble(parts, zip64={}, start=0)),
        ("zip64-other-count", "directory", assemble(parts, zip64={"count": 1})),
    ):
        yield Hostile(id=id, rule=rule, content=content)


def _lying_headers() -> Iterator[Hostile]:
    name = b"demo.py"
    size = len(parts_of(demo())[0].content)
    for id, rule, changes in (
        ("local-name", "local-header", {"local": {"name": b"evil.py"}}),
        ("local-size", "local-header", {"local": {"size": size + 1}}),
        ("local-method", "local-header", {"local": {"method": 0}}),
        ("local-crc", "local-header", {"local": {"crc": 1}}),
        ("local-flags", "local-header", {"local": {"flags": _UTF8}}),
        ("descriptor-missing", "local-header", {"flags": _DESCRIPTOR}),
        ("descriptor-lies", "local-header", {"flags": _DESCRIPTOR, "descriptor": bytes(12)}),
        ("local-zip64-size", "local-header", {"local": _zip64_extra(size + 1, 12)}),
        ("zip64-value-missing", "extra", {"central": {"size": 0xFFFFFFFF}}),
        ("member-comment", "directory", {"central": {"comment": b"x"}}),
        ("member-disk", "flags", {"central": {"disk": 1}}),
        ("encrypted", "flags", {"flags": 1}),
        ("strong-encryption", "flags", {"flags": 0x41}),
        ("patched-data", "flags", {"flags": 0x20}),
        ("bzip2", "method", {"method": 12}),
        ("lzma", "method", {"method": 14}),
        ("stored-sizes-differ", "method", {"method": 0, **_packed(1)}),
        ("second-name", "extra", {"central": {"extra": _extra(0x7075, b"\1\0\0\0\0evil.py")}}),
        ("second-name-locally", "extra", {"local": {"extra": _extra(0x7075, b"\1\0\0\0\0evil.py")}}),
        ("extra-too-long", "extra", {"central": {"extra": struct.pack("<2H", 0x5455, 99)}}),
        ("extra-twice", "extra", {"central": {"extra": _extra(1, b"") * 2}}),
        ("extra-cut", "extra", {"local": {"extra": b"\1"}}),
    ):
        yield Hostile(id=id, rule=rule, content=with_part(name=name, **changes))


def _extra(kind: int, data: bytes) -> bytes:
    return struct.pack("<2H", kind, len(data)) + data


def _zip64_extra(size: int, packed: int) -> dict[str, Any]:
    return {"size": 0xFFFFFFFF, "packed": 0xFFFFFFFF, "extra": _extra(1, struct.pack("<2Q", size, packed))}


def _bombs() -> Iterator[Hostile]:
    zeros = bytes(70 << 20)
    first, *rest = parts_of(demo())
    yield Hostile(id="bomb", rule="bounded-size", content=with_part(content=zeros))
    many = [Part(name=f"z{number}".encode(), content=zeros[: 1 << 20]) for number in range(80)]
    yield Hostile(id="bomb-in-pieces", rule="bounded-size", content=assemble([first, *rest, *many]))
    huge = 1 << 40
    lies = _zip64_extra(huge, len(first.packed))
    yield Hostile(id="claims-a-terabyte", rule="bounded-size", content=with_part(local=lies, central=lies))
    small = {"size": len(first.content)}
    quiet = with_part(content=zeros, local=small, central=small)
    yield Hostile(id="bomb-that-claims-little", rule="size", content=quiet, late=True)
    yield Hostile(id="too-many-members", rule="bounded-size", content=_many_members(200_001))


def _many_members(count: int) -> bytes:
    parts = [Part(name=b"%d" % number, method=0) for number in range(count)]
    local = [_local(part.header({})) for part in parts]
    offset, central = 0, []
    for part, record in zip(parts, local, strict=True):
        central.append(_central(part.header({"offset": offset}), 0))
        offset += len(record)
    directory = b"".join(central)
    truth = {"count": count, "size": len(directory), "start": offset, "disk": 0}
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    return b"".join([*local, directory, _zip64_end(truth, offset + len(directory), {}), end])


def _names() -> Iterator[Hostile]:
    for id, rule, name in (
        ("parent", "relative-names", "../evil.py"),
        ("parent-inside", "relative-names", "demo/../../evil.py"),
        ("parent-at-end", "relative-names", "demo/.."),
        ("parent-in-data", "relative-names", "{data}/scripts/../../../evil"),
        ("windows-parent", "relative-names", "demo/.. /evil.py"),
        ("absolute", "relative-names", "/tmp/evil.py"),
        ("double-slash", "relative-names", "demo//evil.py"),
        ("dot", "relative-names", "./evil.py"),
        ("trailing-dot", "relative-names", "evil.py."),
        ("trailing-space", "relative-names", "evil.py "),
        ("drive", "plain-names", "C:/evil.py"),
        ("drive-relative", "plain-names", "C:evil.py"),
        ("stream", "plain-names", "demo.py:evil"),
        ("backslash", "plain-names", "..\\evil.py"),
        ("unc", "plain-names", "\\\\host\\share\\evil.py"),
        ("newline", "plain-names", "evil\n.py"),
        ("escape", "plain-names", "evil\x1b[2J.py"),
        ("delete", "plain-names", "evil\x7f.py"),
        ("c1-control", "plain-names", "evil\x85.py"),
        ("bidi", "plain-names", "evil\u202eyp.exe"),
        ("zero-width", "plain-names", "de\u200bmo.py"),
        ("long-part", "short-names", "e" * 253 + ".py"),
        ("long-path", "short-names", "evil/" * 250 + "x.py"),
    ):
        yield Hostile(id=f"name-{id}", rule=rule, content=with_files(name))
    for id, rule, changes in (
        ("nul", "plain-names", {"name": b"demo.py\0.txt"}),
        ("not-utf8", "name-encoding", {"name": b"\xff\xfe.py", "flags": _UTF8}),
        ("latin1", "name-encoding", {"name": "évil.py".encode("latin-1")}),
        ("unflagged-utf8", "name-encoding", {"name": "évil.py".encode()}),
        ("empty", "relative-names", {"name": b""}),
        ("symlink", "regular-files", {"mode": 0o120777, "content": b"/etc/passwd"}),
        ("fifo", "regular-files", {"mode": 0o010644}),
        ("device", "regular-files", {"mode": 0o020644}),
        ("folder-with-content", "regular-files", {"name": b"demo/", "mode": 0o040755}),
        ("folder-as-file", "regular-files", {"mode": 0o040755}),
    ):
        yield Hostile(id=f"member-{id}", rule=rule, content=with_part(**changes))


def _collisions() -> Iterator[Hostile]:
    first, *rest = parts_of(demo())
    twice = assemble([first, replace(first, content=b"evil\n"), *rest])
    yield Hostile(id="name-twice", rule="unique-names", content=twice)
    for id, names in (
        ("case", ["Demo.py"]),
        ("case-of-folders", ["pkg/a.py", "Pkg/b.py"]),
        ("composed", ["caf\u00e9.py", "cafe\u0301.py"]),
        ("casefold", ["stra\u00dfe.py", "STRASSE.py"]),
        ("kelvin", ["k.py", "\u212a.py"]),
        ("file-and-folder", ["pkg", "pkg/a.py"]),
        ("file-and-folder-by-case", ["PKG", "pkg/a.py"]),
        ("schemes", ["{data}/purelib/DEMO.py"]),
        ("script-and-data", ["{data}/scripts/tool", "{data}/data/bin/tool"]),
        ("scripts-by-case", ["{data}/scripts/tool", "{data}/scripts/Tool"]),
        ("root-and-purelib", ["{data}/purelib/demo.py"]),
        ("root-and-platlib", ["{data}/platlib/demo.py"]),
        ("purelib-and-platlib", ["{data}/purelib/pkg/a.py", "{data}/platlib/pkg/a.py"]),
    ):
        yield Hostile(id=f"collision-{id}", rule="distinct-places", content=with_files(*names))
    both = with_files("{data}/scripts/Tool", entry_points={"tool": "demo:main"})
    yield Hostile(id="collision-entry-point-by-case", rule="distinct-places", content=both)
    both = with_files("{data}/data/bin/tool", entry_points={"tool": "demo:main"})
    yield Hostile(id="collision-entry-point-and-data", rule="distinct-places", content=both)


def _dist_info() -> Iterator[Hostile]:
    for name in ("METADATA", "WHEEL", "RECORD"):
        content = demo(members={f"{{info}}/{name}": None})
        if name == "RECORD":
            content = assemble([part for part in parts_of(demo()) if not part.name.endswith(b"RECORD")])
        yield Hostile(id=f"no-{name}", rule="complete-dist-info", content=content)
    none = assemble([part for part in parts_of(demo()) if not part.name.startswith(INFO.encode())])
    yield Hostile(id="no-dist-info", rule="one-dist-info", content=none)
    yield Hostile(
        id="two-dist-infos", rule="one-dist-info", content=with_files("evil-1.0.dist-info/METADATA")
    )
    by_case = with_files("evil-1.0.DIST-INFO/METADATA")
    yield Hostile(id="two-dist-infos-by-case", rule="one-dist-info", content=by_case)
    for id, name in (
        ("squatting", "{data}/purelib/numpy-9.9.dist-info/METADATA"),
        ("squatting-platlib", "{data}/platlib/numpy-9.9.dist-info/METADATA"),
        ("squatting-by-case", "{data}/purelib/numpy-9.9.Dist-Info/METADATA"),
        ("squatting-file", "{data}/purelib/numpy-9.9.dist-info"),
        ("replaced-metadata", "{data}/purelib/{info}/METADATA"),
        ("replaced-metadata-platlib", "{data}/platlib/{info}/METADATA"),
        ("replaced-record", "{data}/purelib/{info}/RECORD"),
        ("added-to", "{data}/purelib/{info}/direct_url.json"),
        ("egg-info", "numpy-9.9.egg-info/PKG-INFO"),
        ("egg-info-file", "numpy-9.9.egg-info"),
        ("egg-info-by-case", "{data}/platlib/numpy-9.9.EGG-INFO/PKG-INFO"),
    ):
        yield Hostile(id=f"dist-info-{id}", rule="one-dist-info", content=with_files(name))
    other = wheel_bytes("evil", "1.0")[1]
    yield Hostile(id="dist-info-of-other-project", rule="folder-names", content=other)
    other = wheel_bytes("demo", "2.0")[1]
    yield Hostile(id="dist-info-of-other-version", rule="folder-names", content=other)
    yield Hostile(
        id="data-of-other-project", rule="folder-names", content=with_files("evil-1.0.data/scripts/tool")
    )
    yield Hostile(id="unknown-scheme", rule="data-scheme", content=with_files("{data}/stdlib/os.py"))
    yield Hostile(id="no-scheme", rule="data-scheme", content=with_files("{data}/evil"))
    yield from _records()


def _records() -> Iterator[Hostile]:
    lie = {"demo.py": "evil = 1\n"}
    yield Hostile(id="record-size", rule="record-true", content=demo(after_record=lie))
    swapped = demo(files={"demo.py": "x = 1\n"}, after_record={"demo.py": "x = 2\n"})
    yield Hostile(id="record-hash", rule="record-hash", content=swapped, late=True)
    swapped = demo(members={"{info}/extra.txt": "1"}, after_record={"{info}/METADATA": _metadata_of("Demo")})
    yield Hostile(id="record-hash-of-metadata", rule="record-hash", content=swapped)
    yield Hostile(
        id="unlisted-file", rule="record-complete", content=demo(after_record={"evil.pth": "import x"})
    )
    yield Hostile(id="listed-file-missing", rule="record-true", content=demo(after_record={"demo.py": None}))
    words = ",many\n".join(record_of(demo()).rsplit(",20\n", 1))
    yield Hostile(
        id="record-size-in-words", rule="record-true", content=demo(members={"{info}/RECORD": words})
    )
    for id, rule, row in (
        ("md5", "record-hashes", "demo.py,md5=1B2M2Y8AsgTpgAmY7PhCfg,"),
        ("sha1", "record-hashes", "demo.py,sha1=2jmj7l5rSw0yVb_vlWAYkK_YBwk,"),
        ("sha224", "record-hashes", "demo.py,sha224=0UoCjCo6K8lHYQK7KII0xBWisB-CjqYqxbPkLw,"),
        ("unknown", "record-hashes", "demo.py,rot13=AAAA,"),
        ("none", "record-hashes", "demo.py,,"),
        ("two-columns", "record-malformed", "demo.py,sha256=AAAA"),
        ("four-columns", "record-malformed", "demo.py,sha256=AAAA,1,2"),
        ("bad-base64", "record-malformed", "demo.py,sha256=A,1"),
        ("open-quote", "record-malformed", '"demo.py,sha256=AAAA,1'),
        ("twice", "record-malformed", "demo.py,sha256=AAAA,1\ndemo.py,sha256=AAAA,1"),
    ):
        text = f"{row}\n{INFO}/RECORD,,\n"
        yield Hostile(id=f"record-{id}", rule=rule, content=demo(members={"{info}/RECORD": text}))
    yield Hostile(
        id="record-encoding", rule="encoding", content=demo(members={"{info}/RECORD": b"caf\xe9.py,,\n"})
    )


def _metadata_of(name: str = "demo", version: str = "1.0") -> str:
    return f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\nSummary: demo for tests\n"


def _metadata() -> Iterator[Hostile]:
    for id, text in (
        ("other-name", _metadata_of("evil")),
        ("other-version", _metadata_of(version="2.0")),
        ("no-version", "Metadata-Version: 2.1\nName: demo\n"),
        ("no-name", "Metadata-Version: 2.1\nVersion: 1.0\n"),
        ("two-names", _metadata_of() + "Name: evil\n"),
        ("bad-version", _metadata_of(version="one")),
        ("empty", ""),
    ):
        content = demo(members={"{info}/METADATA": text})
        yield Hostile(id=f"metadata-{id}", rule="metadata-identity", content=content)
    content = demo(members={"{info}/METADATA": _metadata_of().encode() + b"Author: \xe9\n"})
    yield Hostile(id="metadata-encoding", rule="encoding", content=content)
    announced = {"metadata_sha256": "0" * 64}
    yield Hostile(id="metadata-announced", rule="metadata-announced", content=demo(), promised=announced)
    for id, version in (("2", "2.0"), ("none", ""), ("words", "one"), ("10", "10.0")):
        text = f"Wheel-Version: {version}\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        content = demo(members={"{info}/WHEEL": text})
        yield Hostile(id=f"wheel-version-{id}", rule="known-wheel-version", content=content)
    yield from _tags()


def _tags() -> Iterator[Hostile]:
    for id, built, name in (
        ("interpreter", "cp310-cp310-linux_x86_64", "cp311-cp311-manylinux_2_17_x86_64"),
        ("abi", "cp311-cp311-linux_x86_64", "cp311-abi3-manylinux_2_17_x86_64"),
        ("machine", "py3-none-linux_aarch64", "py3-none-manylinux_2_17_x86_64"),
        ("system", "py3-none-win_amd64", "py3-none-manylinux_2_17_x86_64"),
        ("native-as-any", "py3-none-manylinux_2_17_x86_64", "py3-none-any"),
        ("malformed", "py3", "py3-none-any"),
    ):
        text = f"Wheel-Version: 1.0\nTag: {built}\n"
        filename, content = wheel_bytes("demo", "1.0", tags=name, members={"{info}/WHEEL": text})
        yield Hostile(id=f"tags-{id}", rule="covered-tags", content=content, filename=filename)
    none = demo(members={"{info}/WHEEL": "Wheel-Version: 1.0\n"})
    yield Hostile(id="tags-none", rule="covered-tags", content=none)


def _entry_points() -> Iterator[Hostile]:
    for id, line in (
        ("parent", "../evil = demo:main"),
        ("slash", "sub/evil = demo:main"),
        ("backslash", "sub\\evil = demo:main"),
        ("hidden", ".evil = demo:main"),
        ("space", "evil tool = demo:main"),
        ("shell", "evil;rm = demo:main"),
        ("no-name", "= demo:main"),
        ("no-attribute", "tool = demo"),
        ("empty-attribute", "tool = demo:"),
        ("empty", "tool ="),
        ("no-target", "tool"),
        ("call", "tool = os:system('evil')"),
        ("injection", "tool = demo:main;import evil"),
        ("newline", "tool = demo:main\r\x0bimport evil"),
        ("number", "tool = demo:1main"),
        ("dots", "tool = demo..x:main"),
        ("bad-extra", "tool = demo:main [a"),
        ("gui", None),
    ):
        text = f"[console_scripts]\n{line}\n" if line else "[gui_scripts]\n../evil = demo:main\n"
        yield Hostile(
            id=f"entry-point-{id}", rule="entry-point-names", content=demo(entry_points=text), late=False
        )
    tools = "python python3.11 Python3 conda conda-env mamba Micromamba activate deactivate"
    for name in tools.split():
        content = demo(entry_points={name: "demo:main"})
        yield Hostile(id=f"entry-point-{name}", rule="no-interpreter-files", content=content)


def _places() -> Iterator[Hostile]:
    for rule, names in (
        (
            "no-conda-files",
            "info/index.json conda-meta/demo.json Conda-Meta/history pkgs/x envs/x site-packages/x "
            "python-scripts/x condabin/conda .condarc condarc.d/x.yml etc/profile.d/conda.sh INFO/paths.json "
            "condarc Condarc.d/y.yaml .condarc.d/x.yml .mambarc shell/condabin/conda-hook.ps1 "
            "Shell/CondaBin/Conda.psm1 etc/profile.d/Conda.csh etc/profile.d/mamba.sh "
            "etc/fish/conf.d/conda.fish ETC/fish/conf.d/micromamba.fish",
        ),
        (
            "no-interpreter-files",
            "bin/python bin/python3 bin/python3.11 bin/python3.13t bin/Python bin/python3-config bin/conda "
            "bin/activate bin/deactivate Scripts/activate.bat Scripts/conda.exe python.exe pythonw.exe "
            "python311.dll pyvenv.cfg bin/pyvenv.cfg PyVenv.cfg pip.conf pip.ini PIP.INI bin/conda-env "
            "bin/mamba bin/micromamba bin/Activate.ps1 Scripts/conda-env-script.py "
            "scripts/Conda-anything.exe Scripts/activate-anything.ps1 Library/bin/conda.bat "
            "Library/usr/bin/python.exe PYTHON3.DLL python312_d.dll vcruntime140.dll VCRUNTIME140_1.dll "
            "python312._pth",
        ),
        (
            "no-standard-library",
            "lib/python3.11/os.py Lib/Python3.11/site-packages/x.py lib/python312.zip "
            "lib/libpython3.12.so.1.0 lib/libpython3.12.dylib LIB/libPython3.so Lib/os.py "
            "lib/encodings/__init__.py Lib/site-packages/numpy-9.9.dist-info/METADATA DLLs/_ssl.pyd "
            "dlls/sqlite3.dll",
        ),
        (
            "no-link-scripts",
            "bin/.demo-post-link.sh bin/.demo-pre-link.sh bin/.other-pre-unlink.sh bin/.demo-post-unlink.sh "
            "Scripts/.demo-post-link.bat SCRIPTS/.demo-Pre-Unlink.BAT",
        ),
        (
            "no-hooks",
            "etc/conda/activate.d/demo.sh etc/conda/deactivate.d/demo.sh etc/conda/env_vars.d/demo.json "
            "ETC/conda/Activate.d/demo.bat Menu/demo.json menu/demo.json",
        ),
    ):
        for name in names.split():
            yield Hostile(id=f"data-{name}", rule=rule, content=with_files(f"{{data}}/data/{name}"))
    for rule, names in (
        (
            "no-interpreter-files",
            "python python3.12 activate conda pythonw.exe activate.bat conda-env mamba "
            "micromamba.exe pyvenv.cfg",
        ),
        ("no-link-scripts", ".demo-post-link.sh .demo-pre-unlink.bat"),
    ):
        for name in names.split():
            yield Hostile(id=f"script-{name}", rule=rule, content=with_files(f"{{data}}/scripts/{name}"))
    for name in ("lib/python3.12/os.py", "Lib/Python3.12/site.py", "lib/libpython3.12.so", "DLLs/_ssl.pyd"):
        for tags in ("py3-none-manylinux_2_17_x86_64", "py3-none-macosx_11_0_arm64", "py3-none-win_amd64"):
            filename, content = wheel_bytes("demo", "1.0", tags=tags, files={f"{{data}}/data/{name}": ""})
            id = f"data-{name}-{tags}"
            yield Hostile(id=id, rule="no-standard-library", content=content, filename=filename)
    filename, content = wheel_bytes("demo", "1.0", tags="py3-none-win32", files={"{data}/data/Lib/os.py": ""})
    yield Hostile(id="data-Lib-os-win32", rule="no-standard-library", content=content, filename=filename)
