"""Wheel -> conda package: the files that pip would install, in conda's ``noarch: python`` form (CEP 20).

The form says how files are laid out (``site-packages/``, ``python-scripts/``, ``info/link.json``), so
that one package fits every Python it declares; it serves wheels with native code just as well.
"""

from __future__ import annotations

import base64
import csv
import io
import json
import os
import posixpath
import re
import shutil
import sys
import tarfile
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

from ..errors import BridgeError
from ..locks import entry
from ..model import PackageRecord
from ..projecturls import links
from .turns import Turns
from .wheelfile import folders_above, open_wheel
from .wheelreader import HEADERS, SCRIPTS, SITE_PACKAGES, Digest, Member, WheelFile

#: What stands for the prefix in a rewritten file until conda or rattler puts the real one in its
#: place. 255 characters, as conda-build makes it, though only binary files would need the room.
PLACEHOLDER = "/" + ("conda_pypi_bridge_placeholder_" * 9)[:254]

#: dist-info files that the installer owns (PEP 376, 610, 710) or that no longer hold (PEP 427: a
#: signature of the wheel's RECORD); those of a wheel are never installed.
_INSTALLER_OWNED = frozenset(
    ["RECORD", "RECORD.jws", "RECORD.p7s", "INSTALLER", "REQUESTED", "direct_url.json", "provenance_url.json"]
)
_LICENCE = re.compile(r"(licen[cs]es?|license_files)/.|(licen[cs]e|copying|notice|authors)[^/]*$", re.I)
#: What follows an entry point's name in the names of the files that Windows needs for it.
_WRAPPER = re.compile(r"(\.exe|-script\.py|\.pya)$", re.IGNORECASE)

#: From this size in bytes on, handing a member to another thread costs less than it saves.
_LARGE = 1 << 16
_WORKERS = min(4, os.cpu_count() or 1)

#: For those who unpack wheels at the same time.
_turns = Turns(most=8)


@dataclass(frozen=True, kw_only=True)
class _File:
    """A file of the package: its `path` there; `rewritten` if it holds `PLACEHOLDER`."""

    path: str
    digest: Digest
    rewritten: bool = False


def unpack(
    wheel_path: Path,
    record: PackageRecord,
    destination: Path,
    *,
    python: str,
    source_url: str | None = None,
    allow_hooks: bool = False,
) -> tuple[str, ...]:
    """Write the package of one wheel, ready-extracted, to the new folder `destination`.

    `python` is the minor version of the target, ``3.12`` or ``3.13t``: headers go to a folder of that
    name. `source_url` is the wheel's URL for provenance, by default the one in `record`; a wheel
    from nowhere ("") gets no provenance file.
    `allow_hooks` accepts activation scripts and menu entries. Returns sentences worth showing to the
    user. Raises `WheelRefused` for a wheel that breaks a rule and `OSError` for what the disk refuses;
    both leave nothing behind.
    """
    if record.wheel is None:
        raise ValueError(f"{record.dist} is a metapackage: it has no wheel to unpack")
    if not re.fullmatch(r"3\.\d+t?", python):
        raise ValueError(f"{python!r} is no minor version of Python")
    url = _public_url(record.wheel.url if source_url is None else source_url)
    with _turns.turn(), open_wheel(wheel_path, record.wheel, allow_hooks=allow_hooks) as wheel:
        members = _chosen_members(wheel, _headers_folder(record, python))
        with _made(destination) as stage:
            files = _write_members(wheel, members, stage)
            files += _write_installer_files(wheel, record, files, stage, url)
            _copy_licences(wheel, files, stage)
            _write_info(record, files, stage, about=_about(record, wheel, url))
            _write(stage, "info/link.json", _json(_link(wheel)))
        return tuple(wheel.warnings)


def pack(package_dir: Path, out_dir: Path, *, level: int = 3) -> Path:
    """Write the ``.conda`` file of the unpacked package `package_dir` into `out_dir` and return its path.

    Its bytes depend only on names, contents and modes (and on the zstd library): order, times and
    owners are fixed. `level` is zstd's: 3 is quick, for local use; 9 to 12 suit publishing.
    """
    index = json.loads((package_dir / "info/index.json").read_bytes())
    stem = f"{index['name']}-{index['version']}-{index['build']}"
    files = sorted(path for path in package_dir.rglob("*") if not path.is_dir())
    info = [path for path in files if path.is_relative_to(package_dir / "info")]
    rest = [path for path in files if not path.is_relative_to(package_dir / "info")]
    mtime = index.get("timestamp", 0) // 1000
    with entry(out_dir, f"{stem}.conda") as folder:
        draft = folder / f"{stem}.conda"
        _write_archive(draft, stem, {"pkg": rest, "info": info}, package_dir, mtime, level)
        _read_back(draft, {path.relative_to(package_dir).as_posix() for path in rest})
        return draft.replace(out_dir / draft.name)


def _write_archive(
    path: Path, stem: str, parts: Mapping[str, Sequence[Path]], package_dir: Path, mtime: int, level: int
) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(_zip_entry("metadata.json"), b'{"conda_pkg_format_version": 2}')
        for kind, members in parts.items():
            entry = _zip_entry(f"{kind}-{stem}.tar.zst")
            with (
                archive.open(entry, "w", force_zip64=True) as packed,
                zstd.open(packed, "wb", level=level) as plain,
                tarfile.open(fileobj=plain, mode="w|", format=tarfile.PAX_FORMAT) as tar,
            ):
                for file in members:
                    _add(tar, file, file.relative_to(package_dir).as_posix(), mtime)


def _read_back(package: Path, expected: set[str]) -> None:
    """That the library every conda reads packages with finds in it what was put in."""
    from conda_package_streaming.package_streaming import stream_conda_component

    with package.open("rb") as file:
        found = {member.name for _, member in stream_conda_component(package.name, file, "pkg")}
    if found != expected:
        raise BridgeError(f"{package.name} cannot be read back as it was written, and is not kept")


def _zip_entry(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name)  # dated 1980, the earliest ZIP knows
    entry.create_system = 3  # Unix, on every system
    entry.external_attr = 0o644 << 16
    return entry


def _add(tar: tarfile.TarFile, path: Path, name: str, mtime: int) -> None:
    status = path.stat()
    member = tarfile.TarInfo(name)
    member.size = status.st_size
    member.mtime = mtime
    member.mode = 0o755 if status.st_mode & 0o100 else 0o644
    with path.open("rb") as file:
        tar.addfile(member, file)


def unpack_meta(record: PackageRecord, destination: Path) -> None:
    """Write the package of a `record` without a wheel to the new folder `destination`: ``info/`` alone."""
    with _made(destination) as stage:
        _write_info(record, [], stage, about={"license": record.license, "summary": record.summary})


@contextmanager
def _made(destination: Path) -> Iterator[Path]:
    """The new folder `destination`, which vanishes on failure."""
    destination.mkdir()
    try:
        yield destination
    except BaseException:
        shutil.rmtree(destination, ignore_errors=True)
        raise


def _chosen_members(wheel: WheelFile, headers: str) -> dict[str, Member]:
    """The members to install by their path in the package, in pip's order: the last one of a path wins."""
    chosen: dict[str, Member] = {}
    for member in wheel.members:
        if _is_installed(wheel, member):
            root = headers if member.root == HEADERS else member.root
            chosen[f"{root}/{member.path}" if root else member.path] = member
    return chosen


def _is_installed(wheel: WheelFile, member: Member) -> bool:
    folder, _, name = member.path.rpartition("/")
    if member.root == SCRIPTS:
        return (
            _WRAPPER.sub("", member.path) not in wheel.entry_points
        )  # as pip: the generated one replaces it
    if member.root != SITE_PACKAGES:
        return True
    if folder == wheel.dist_info and name in _INSTALLER_OWNED:
        return False
    # conda compiles for the Python it links with; a stale cache of another machine would stay behind
    return not (name.endswith(".pyc") and folder.rpartition("/")[2] == "__pycache__")


def _headers_folder(record: PackageRecord, python: str) -> str:
    """Where C headers go: sysconfig's ``include`` path plus the project's name, as pip has it."""
    include = "Include" if record.subdir.startswith("win-") else f"include/python{python}"
    return f"{include}/{record.project}"


def _write_members(wheel: WheelFile, members: Mapping[str, Member], stage: Path) -> list[_File]:
    """Unpack `members`, large ones in threads: decompressing and hashing release the interpreter lock."""
    for folder in sorted(folders_above(members)):  # those above come first
        os.mkdir(f"{stage}/{folder}")  # noqa: PTH102 -- a Path takes longer than the making
    with ThreadPoolExecutor(_WORKERS) as pool:
        large = [path for path, member in members.items() if member.entry.size >= _LARGE]
        pending = [pool.submit(_write_member, wheel, members[path], path, stage) for path in large]
        small = [path for path, member in members.items() if member.entry.size < _LARGE]
        written = [_write_member(wheel, members[path], path, stage) for path in small]
    return written + [future.result() for future in pending]


def _write_member(wheel: WheelFile, member: Member, path: str, stage: Path) -> _File:
    with _create(stage, path, executable=member.executable) as write:
        if member.root != SCRIPTS:
            return _File(path=path, digest=wheel.copy(member.entry, write))
        shebang = _ShebangWriter(write)
        digest = wheel.copy(member.entry, shebang)
    if shebang.rewritten:
        digest = _digest((stage / path).read_bytes())
    return _File(path=path, digest=digest, rewritten=shebang.rewritten)


class _ShebangWriter:
    """Passes on what it is given, with a first line ``#!python...`` replaced by the target's interpreter.

    PEP 427: "python scripts must ... begin with exactly b'#!python' [...] to enjoy script wrapper
    generation and #!python rewriting at install time". Arguments are dropped, as pip does.
    """

    def __init__(self, write: Callable[[bytes], object]) -> None:
        self._write = write
        self._at_start = True
        self._in_shebang = False
        self.rewritten = False

    def __call__(self, piece: bytes) -> None:
        if self._at_start and piece.startswith(b"#!python"):
            self.rewritten = self._in_shebang = True
            self._write(f"#!{PLACEHOLDER}/bin/python\n".encode())
        self._at_start = False
        if self._in_shebang:
            _, newline, piece = piece.partition(b"\n")
            self._in_shebang = not newline
        self._write(piece)


def _write_installer_files(
    wheel: WheelFile, record: PackageRecord, files: list[_File], stage: Path, url: str
) -> list[_File]:
    """INSTALLER, provenance_url.json and RECORD (PEP 376, 710)."""
    assert record.wheel is not None
    folder = f"{SITE_PACKAGES}/{wheel.dist_info}"
    provenance = {
        "archive_info": {"hashes": {"sha256": record.wheel.sha256}},
        "index_url": record.wheel.index_url,
        "url": url,
    }
    added = [_write(stage, f"{folder}/INSTALLER", b"conda\n")]
    if url:
        added.append(_write(stage, f"{folder}/provenance_url.json", _json(provenance)))
    windows = record.subdir.startswith("win-")
    rows = _record_rows([*files, *added], wheel, windows=windows)
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows(sorted(rows))
    return [*added, _write(stage, f"{folder}/RECORD", text.getvalue().encode())]


def _record_rows(files: list[_File], wheel: WheelFile, *, windows: bool) -> Iterator[tuple[str, str, str]]:
    """RECORD's rows: paths relative to site-packages, no hash for what linking still changes."""
    site, scripts = ("Lib/site-packages", "Scripts") if windows else ("lib/pythonX.Y/site-packages", "bin")
    for file in files:
        root, _, path = file.path.partition("/")
        if root != SITE_PACKAGES:
            path = posixpath.relpath(f"{scripts}/{path}" if root == SCRIPTS else file.path, site)
        digest = base64.urlsafe_b64encode(bytes.fromhex(file.digest.sha256)).rstrip(b"=").decode()
        yield (path, "", "") if file.rewritten else (path, f"sha256={digest}", str(file.digest.size))
    for name in wheel.entry_points:
        for suffix in (".exe", "-script.py") if windows else ("",):
            yield posixpath.relpath(f"{scripts}/{name}{suffix}", site), "", ""
    yield f"{wheel.dist_info}/RECORD", "", ""


def _copy_licences(wheel: WheelFile, files: list[_File], stage: Path) -> None:
    """Copies of the licence texts where conda's tools look, named as in the dist-info folder."""
    listed = {name.strip() for name in wheel.metadata.get_all("License-File", [])}
    folder = f"{SITE_PACKAGES}/{wheel.dist_info}/"
    for file in files:
        name = file.path.removeprefix(folder)
        if name != file.path and (name in listed or _LICENCE.match(name)):
            target = stage / "info/licenses" / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(stage / file.path, target)


def _link(wheel: WheelFile) -> dict[str, Any]:
    scripts = [f"{name} = {target}" for name, target in sorted(wheel.entry_points.items())]
    return {"noarch": {"type": "python", "entry_points": scripts}, "package_metadata_version": 1}


def _about(record: PackageRecord, wheel: WheelFile, url: str) -> dict[str, Any]:
    """``info/about.json``: what a person wants to know, and where the wheel came from."""
    assert record.wheel is not None
    return {
        "license": record.license,
        "summary": record.summary,
        **links(wheel.metadata.get("Home-page", ""), wheel.metadata.get_all("Project-URL", ())),
        "extra": {"wheel": {"index": record.wheel.index_url, "url": url, "sha256": record.wheel.sha256}},
    }


def _write_info(record: PackageRecord, files: list[_File], stage: Path, *, about: Mapping[str, Any]) -> None:
    """The files of ``info/`` that every package has; without both lists conda installs nothing, silently."""
    ordered = sorted(files, key=lambda file: file.path)
    paths = [
        {
            "_path": file.path,
            "path_type": "hardlink",
            "sha256": file.digest.sha256,
            "size_in_bytes": file.digest.size,
            **({"file_mode": "text", "prefix_placeholder": PLACEHOLDER} if file.rewritten else {}),
        }
        for file in ordered
    ]
    _write(stage, "info/index.json", _json(record.index_json()))
    _write(stage, "info/paths.json", json.dumps({"paths": paths, "paths_version": 1}).encode())
    _write(stage, "info/files", "".join(f"{file.path}\n" for file in ordered).encode())
    _write(stage, "info/about.json", _json(about))


def _public_url(url: str) -> str:
    """`url` without what may be secret: credentials, and a query that may sign the request (PEP 710)."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment=""))


def _json(value: Any) -> bytes:
    return (json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode()


def _digest(content: bytes) -> Digest:
    return Digest(sha256(content).hexdigest(), len(content))


def _write(stage: Path, path: str, content: bytes) -> _File:
    (stage / path).parent.mkdir(parents=True, exist_ok=True)
    with _create(stage, path) as write:
        write(content)
    return _File(path=path, digest=_digest(content))


@contextmanager
def _create(stage: Path, path: str, *, executable: bool = False) -> Iterator[Callable[[bytes], None]]:
    """What writes to a new file, with the mode that pip gives: 0644 or 0755 under the usual umask.

    A file object would ask the system four things about each of tens of thousands of small files.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    descriptor = os.open(f"{stage}/{path}", flags, 0o777 if executable else 0o666)

    def write(content: bytes) -> None:
        while content:
            content = content[os.write(descriptor, content) :]

    try:
        yield write
    finally:
        os.close(descriptor)
