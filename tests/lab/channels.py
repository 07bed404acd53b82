"""Local conda channels: make packages, and index them."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import platform
import stat
import sys
import tarfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from conda_package_streaming.create import CondaTarFile, conda_builder
from conda_package_streaming.package_streaming import stream_conda_info
from packaging.utils import canonicalize_name

#: Machine names as conda spells them, where they differ from Python's.
MACHINES = {"x86_64": "64", "AMD64": "64", "arm64": "arm64", "aarch64": "aarch64"}
SYSTEMS = {"linux": "linux", "darwin": "osx", "win32": "win"}

#: conda's platform name of this machine.
SUBDIR = f"{SYSTEMS[sys.platform]}-{MACHINES.get(platform.machine(), platform.machine())}"

#: Upload time of every package made here: milliseconds since the epoch, long past.
TIMESTAMP = 1_700_000_000_000


@dataclass(frozen=True)
class Symlink:
    """A symbolic link inside a package; `target` is as `os.readlink` gives it."""

    target: str


@dataclass(frozen=True)
class Placed:
    """A file with the installation prefix written in it, which conda replaces (text mode)."""

    data: bytes
    placeholder: str


#: What a package can hold at a path: text, bytes, a file on disk (its mode and mtime are kept)...
Content = str | bytes | Path | Symlink | Placed


def make_conda_package(
    channel: Path,
    name: str,
    version: str,
    files: Mapping[str, Content],
    depends: Sequence[str] = (),
    *,
    build: str = "0",
    build_number: int = 0,
    subdir: str = "noarch",
    noarch: str | None = "python",
    entry_points: Sequence[str] = (),
    executables: Iterable[str] = (),
    **index: Any,
) -> Path:
    """Write a ``.conda`` into ``channel/subdir`` and return its path; `index_channel` lists it.

    `files` maps paths in the package (``site-packages/...`` for ``noarch: python``, CEP 20) to
    contents, of which `executables` get mode 0755. `noarch` is None for a package of one platform.
    `index` adds to, or overrides, ``info/index.json``.
    """
    noarch_field = {"noarch": noarch} if noarch else {}
    about = {
        "name": name,
        "version": version,
        "build": build,
        "build_number": build_number,
        "depends": list(depends),
        "subdir": subdir,
        "timestamp": TIMESTAMP,
        **noarch_field,
        **index,
    }
    members = {path: _member(path, files[path], path in set(executables)) for path in sorted(files)}
    info: dict[str, Any] = {
        "index.json": about,
        "paths.json": {"paths_version": 1, "paths": [_path_row(*m, files) for m in members.values()]},
        "about.json": {},
    }
    if noarch == "python":
        info["link.json"] = {
            "package_metadata_version": 1,
            "noarch": {"type": "python", "entry_points": list(entry_points)},
        }
    folder = channel / subdir
    folder.mkdir(parents=True, exist_ok=True)
    stem = f"{name}-{version}-{build}"
    target = folder / f"{stem}.conda"
    target.unlink(missing_ok=True)
    with conda_builder(stem, folder, compression_level=1) as tar:
        for member, data in members.values():
            tar.addfile(member, io.BytesIO(data) if member.isfile() else None)
        for filename, document in info.items():
            _add_info(tar, filename, json.dumps(document))
        _add_info(tar, "files", "".join(f"{path}\n" for path in members))
    return target


def _member(path: str, content: Content, executable: bool) -> tuple[tarfile.TarInfo, bytes]:
    member = tarfile.TarInfo(path)
    member.mode = 0o755 if executable else 0o644
    member.mtime = TIMESTAMP // 1000
    if isinstance(content, Symlink):
        member.type, member.linkname = tarfile.SYMTYPE, content.target
        return member, b""
    if isinstance(content, Path):
        # A .pyc names the mtime and size of its source, so files from disk keep theirs.
        status = content.stat()
        member.mode, member.mtime = stat.S_IMODE(status.st_mode) | 0o200, int(status.st_mtime)
        data = content.read_bytes()
    elif isinstance(content, Placed):
        data = content.data
    else:
        data = content.encode() if isinstance(content, str) else content
    member.size = len(data)
    return member, data


def _path_row(member: tarfile.TarInfo, data: bytes, files: Mapping[str, Content]) -> dict[str, Any]:
    """The entry of ``info/paths.json`` (CEP 34)."""
    content = files[member.name]
    placed = (
        {"prefix_placeholder": content.placeholder, "file_mode": "text"}
        if isinstance(content, Placed)
        else {}
    )
    return {
        "_path": member.name,
        "path_type": "softlink" if member.issym() else "hardlink",
        "sha256": hashlib.sha256(data).hexdigest(),
        "size_in_bytes": len(data),
        **placed,
    }


def _add_info(tar: CondaTarFile, filename: str, text: str) -> None:
    member, data = _member(f"info/{filename}", text, False)
    tar.addfile(member, io.BytesIO(data))


def distribution_files(
    name: str, version: str, modules: Mapping[str, str], requires: Sequence[str] = ()
) -> dict[str, Content]:
    """Files of a small Python distribution in ``noarch: python`` form: its modules and its dist-info.

    `modules` maps paths below site-packages to text; `requires` are its ``Requires-Dist``.
    """
    folder = f"{canonicalize_name(name).replace('-', '_')}-{version}.dist-info"
    lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
    texts = {
        **modules,
        f"{folder}/METADATA": "\n".join(lines + [f"Requires-Dist: {text}" for text in requires]) + "\n",
        f"{folder}/INSTALLER": "conda\n",
        f"{folder}/WHEEL": "Wheel-Version: 1.0\nGenerator: lab\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    rows = [f"{path},{_record_hash(text)},{len(text.encode())}\n" for path, text in texts.items()]
    texts[f"{folder}/RECORD"] = "".join(rows) + f"{folder}/RECORD,,\n"
    return {f"site-packages/{path}": text for path, text in texts.items()}


def _record_hash(text: str) -> str:
    """A RECORD's digest: urlsafe base64 without padding (PEP 376, binary distribution format)."""
    digest = hashlib.sha256(text.encode()).digest()
    return "sha256=" + base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def make_python_package(
    channel: Path,
    name: str,
    version: str,
    *,
    modules: Mapping[str, str] | None = None,
    depends: Sequence[str] = (),
    requires: Sequence[str] = (),
    **options: Any,
) -> Path:
    """A pure Python distribution as a channel package: what conda-forge has of a small project.

    Without `modules` it holds one module, named like the project, with a ``__version__``.
    `depends` are conda's beside ``python``; `requires` are PEP 508; `options` as `make_conda_package`.
    """
    conda_name = canonicalize_name(name)
    module = {f"{conda_name.replace('-', '_')}.py": f'__version__ = "{version}"\n'}
    files = distribution_files(name, version, modules or module, requires)
    return make_conda_package(
        channel, conda_name, version, files, ("python", *depends), build="pyhlab_0", **options
    )


def index_channel(channel: Path) -> Path:
    """Write ``repodata.json`` of ``noarch`` and of every other folder of `channel`; returns `channel`."""
    (channel / "noarch").mkdir(parents=True, exist_ok=True)
    (channel / SUBDIR).mkdir(exist_ok=True)
    for folder in sorted(path for path in channel.iterdir() if path.is_dir()):
        packages = {path.name: _entry(path) for path in sorted(folder.glob("*.conda"))}
        document = {
            "info": {"subdir": folder.name},
            "packages": {},
            "packages.conda": packages,
            "removed": [],
            "repodata_version": 1,
        }
        (folder / "repodata.json").write_text(json.dumps(document, indent=1))
    return channel


def _entry(package: Path) -> dict[str, Any]:
    """A package's repodata entry: its ``info/index.json`` with size and hashes."""
    data = package.read_bytes()
    return {
        **_index_json(package),
        "size": len(data),
        "sha256": hashlib.sha256(data).hexdigest(),
        "md5": hashlib.md5(data, usedforsecurity=False).hexdigest(),
    }


def _index_json(package: Path) -> dict[str, Any]:
    stream = stream_conda_info(package)
    for tar, member in stream:
        if member.name == "info/index.json":
            file = tar.extractfile(member)
            assert file is not None
            document: dict[str, Any] = json.load(file)
            stream.close()
            return document
    raise ValueError(f"{package} has no info/index.json")
