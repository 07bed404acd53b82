"""What a channel holds, in a folder or at any URL that fsspec reads: for many processes and machines.

Nothing is ever changed in place. A package's ``.conda`` file is stored by its sha256 first and its entry
after it, so whatever is listed is whole; entries and notes are only added, so a listing tells what changed.

    artefacts/ab/ab12...                      ``.conda`` files
    projects/flask/noarch/FN.json             entries, for a project's shard
    packages/noarch/FN.json                   the same entries, for all that a platform has
    notes/flask/KIND/=TEXT                    short texts on a project
    documents/NAME                            whatever else is to survive a restart
"""

from __future__ import annotations

import contextlib
import hashlib
import inspect
import json
import os
import re
import threading
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import quote, unquote
from uuid import uuid4

from fsspec.core import url_to_fs

from ..errors import BridgeError, ConfigError
from ..model import ProjectName
from ..placing import place_blocks, place_file
from .listings import Fingerprints, Listings
from .model import Artefact, Published

_BLOCK = 1 << 20

#: Bytes of entries that are kept in memory.
_REMEMBERED = 1 << 26

#: How the names of notes begin that are the note, and how long these may be.
_LITERAL, _LONGEST = "=", 120

#: What packages and platforms are called: nothing that means something else in a path or a URL.
_FN, _SUBDIR = re.compile(r"[A-Za-z0-9._!+-]{1,240}\.conda"), re.compile(r"[a-z0-9-]{1,40}")

_HASH_SIZE = hashlib.sha256().digest_size


class Damaged(BridgeError):
    """A stored package is not what its entry says; it counts as not published from now on."""

    def __init__(self, fn: str, reason: str) -> None:
        super().__init__(
            f"{fn} in the channel's store is damaged: {reason}", hint="Ask again: it is rebuilt."
        )
        self.fn = fn


class ChannelStore:
    """The store at `url`, an fsspec URL or a path. Safe for threads, processes and replicas.

    Listings are up to `fresh_seconds` old where others write, longer where listing takes long; what this
    object wrote is in them at once. Methods raise `OSError` where the store cannot be used; the constructor
    raises `ConfigError` for a URL that no file system reads.
    """

    def __init__(self, url: str | Path, *, fresh_seconds: float = 2.0) -> None:
        try:
            self._fs, root = url_to_fs(str(url), use_listings_cache=False)
        except (ValueError, ImportError) as error:
            raise ConfigError(f"the store's URL cannot be used: {error}") from None
        self._root = root.rstrip("/")
        #: The store's folder where it is on this machine's disk.
        self.folder: Path | None = Path(self._root) if "file" in _protocols(self._fs) else None
        if self.folder is not None:
            self.folder.mkdir(parents=True, exist_ok=True)
        self._exclusive = {"mode": "create"} if _has_modes(self._fs) else {}
        self._listings = Listings(self._list, fresh_seconds)
        self._fingerprints = {prefix: Fingerprints() for prefix in ("projects", "notes")}
        self._lock = threading.Lock()
        self._read: dict[str, bytes] = {}
        self._remembered = 0

    # -- artefacts -------------------------------------------------------------------------------------

    def put_artefact(self, path: Path) -> Artefact:
        """Store a ``.conda`` file. It appears whole or not at all, under the hash of its contents."""
        artefact = measured(path)
        stored = _artefact_path(artefact.sha256)
        if self._size(stored) != artefact.size:
            if self.folder is None:
                self._fs.put_file(str(path), self._key(stored))
            else:
                place_file(self.folder, path, self.folder / stored)
        return artefact

    def open(self, sha256: str, size: int) -> BinaryIO:
        """The ``.conda`` file with that hash, to read and to close.

        Raises `Damaged` where there is none, or one of another size in bytes.
        """
        stored = _artefact_path(sha256)
        found = self._size(stored)
        if found != size:
            raise Damaged(sha256, "it is missing" if found is None else f"{found} bytes instead of {size}")
        opened: BinaryIO = self._fs.open(self._key(stored), "rb")
        return opened

    def local_path(self, sha256: str) -> Path | None:
        """Where the ``.conda`` file with that hash is on this machine's disk, if it is."""
        return None if self.folder is None else self.folder / _artefact_path(sha256)

    # -- entries ---------------------------------------------------------------------------------------

    def publish(self, item: Published) -> Published:
        """Make a package visible whose artefact is stored, and return what is published under its name.

        That is another build's where one came first: clients have its hash already.
        """
        told = {name: getattr(item, name) for name in ("fn", "subdir", "project", "wheel")}
        content = json.dumps({**told, "entry": dict(item.entry)}).encode()
        listed, found = _entry_paths(item)
        self._create(listed, content)
        # One that came first and got no further is taken up.
        self._create(found, self._contents([listed]).get(listed, content))
        self._listings.add(f"projects/{item.project}", f"{item.path}.json")
        self._listings.add("projects", f"{item.project}/{item.path}.json")
        self._listings.add(f"packages/{item.subdir}", f"{item.fn}.json")
        return self.find(item.subdir, item.fn) or item

    def retract(self, *items: Published) -> None:
        """Take packages away, so that they are built when they are asked for; another build's entry stays."""
        for item in items:
            sha256, listed = item.entry["sha256"], _entry_paths(item)
            self._forget(listed)
            there = [
                path for path in listed for one in self._entries([path]) if one.entry["sha256"] == sha256
            ]
            self._forget(there)
            for path in (*reversed(there), _artefact_path(str(sha256))):
                self._remove(path)
        self._listings.forget()

    def find(self, subdir: str, fn: str) -> Published | None:
        """The package published under that file name."""
        if not (_FN.fullmatch(fn) and _SUBDIR.fullmatch(subdir)):
            return None
        return next(self._entries([f"packages/{subdir}/{fn}.json"]), None)

    def published(self, project: ProjectName) -> Iterator[Published]:
        """All packages of a project, on every platform, in order of their names.

        One whose publication was cut short, so that it is not found, is none of them: it is to be taken up.
        """
        paths = self._listings.below(f"projects/{project}")
        return self._entries(f"packages/{path}" for path in sorted(paths))

    def published_in(self, subdir: str) -> Iterator[Published]:
        """All packages of a platform, in order of their names."""
        prefix = f"packages/{subdir}"
        return self._entries(f"{prefix}/{path}" for path in sorted(self._listings.below(prefix)))

    def renew(self, projects: Iterable[ProjectName]) -> None:
        """Look anew for what others have published and noted of projects."""
        for project in projects:
            self._listings.forget(f"projects/{project}", f"notes/{project}")

    def fingerprints(self) -> Mapping[str, int]:
        """For each project a 64-bit number that changes whenever something of it is published or noted."""
        numbers: dict[str, int] = {}
        for prefix, fingerprints in self._fingerprints.items():
            for project, number in fingerprints.of(self._listings.below(prefix)).items():
                numbers[project] = numbers.get(project, 0) ^ number
        return numbers

    # -- notes and documents -----------------------------------------------------------------------------

    def note(self, kind: str, project: ProjectName, texts: Iterable[str]) -> None:
        """Add short texts on a project; those that are there already cost nothing."""
        prefix = f"notes/{project}"
        names = {f"{kind}/{_note_name(text)}": text for text in texts}
        new = [name for name in names if name not in self._listings.below(prefix)]
        for name in new:
            self._create(f"{prefix}/{name}", names[name].encode())
        if new:
            self._listings.add(prefix, *new)
            self._listings.add("notes", *(f"{project}/{name}" for name in new))

    def noted(self, kind: str, project: ProjectName) -> frozenset[str]:
        """The texts of one kind on a project."""
        names = self._listings.below(f"notes/{project}")
        return frozenset(self._note(f"{project}/{name}") for name in names if name.startswith(f"{kind}/"))

    def all_noted(self, kind: str) -> dict[ProjectName, set[str]]:
        """The texts of one kind on every project that there are some on."""
        found: dict[ProjectName, set[str]] = {}
        for path in self._listings.below("notes"):
            project, of, _ = path.split("/")
            if of == kind:
                found.setdefault(ProjectName(project), set()).add(self._note(path))
        return found

    def _note(self, path: str) -> str:
        name = path.rpartition("/")[2]
        if name.startswith(_LITERAL):
            return unquote(name[len(_LITERAL) :])
        return b"".join(self._contents([f"notes/{path}"]).values()).decode()

    def keep(self, name: str, content: bytes) -> None:
        """Store a document, in place of the one of that name."""
        content = _stamped(content)
        path = f"documents/{name}"
        if self.folder is None:
            self._fs.pipe_file(self._key(path), content)
        else:
            place_blocks(self.folder, [content], self.folder / path)

    def kept(self, name: str) -> bytes | None:
        """The document of that name; None where there is none, or only a part of one."""
        try:
            raw: bytes = self._fs.cat_file(self._key(f"documents/{name}"))
        except FileNotFoundError:
            return None
        content = raw[_HASH_SIZE:]
        return content if hashlib.sha256(content).digest() == raw[:_HASH_SIZE] else None

    def documents(self, folder: str) -> list[str]:
        """The names of the documents in a folder of theirs, in order."""
        return sorted(self._list(f"documents/{folder}"))

    def drop(self, name: str) -> None:
        """Delete the document of that name, if it is there."""
        self._remove(f"documents/{name}")

    def identity(self) -> str:
        """Text that tells this store from any other, also from one that was at its place before."""
        known = self.kept("identity")
        if known is None:
            self._create("documents/identity", _stamped(uuid4().hex.encode()))
            known = self.kept("identity")
        if known is None:
            raise OSError(f"the store at {self._root} does not keep what is written to it")
        return known.decode()

    # -- files -----------------------------------------------------------------------------------------

    def _key(self, path: str) -> str:
        return f"{self._root}/{path}"

    def _size(self, path: str) -> int | None:
        try:
            return int(self._fs.info(self._key(path))["size"])
        except FileNotFoundError:
            return None

    def _create(self, path: str, content: bytes) -> None:
        """Write a file that is not there yet; one that is stays as it is.

        Of two that write at once the first one wins where the file system has such a mode (for S3:
        If-None-Match). Elsewhere it is the last one, with the same content: the same release makes the same
        package of a wheel, and a note's name tells its text.
        """
        if self.folder is not None:
            place_blocks(self.folder, [content], self.folder / path, replace=False)
        elif self._size(path) is None:
            with contextlib.suppress(FileExistsError):
                self._fs.pipe_file(self._key(path), content, **self._exclusive)

    def _remove(self, path: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            self._fs.rm_file(self._key(path))

    def _forget(self, paths: Iterable[str]) -> None:
        """Remember the contents of files no more."""
        with self._lock:
            for path in paths:
                self._remembered -= len(self._read.pop(path, b""))

    def _list(self, prefix: str) -> set[str]:
        if self.folder is not None:
            return set(_files_below(self.folder / prefix))
        start = len(self._key(prefix)) + 1
        return {path[start:] for path in self._fs.find(self._key(prefix))}

    def _entries(self, paths: Iterable[str]) -> Iterator[Published]:
        """The entries at paths; those that are not there, or not whole, are passed over."""
        for content in self._contents(paths).values():
            with contextlib.suppress(ValueError, KeyError, TypeError):
                yield Published(**json.loads(content))

    def _contents(self, paths: Iterable[str]) -> dict[str, bytes]:
        """Files that never change, by path, from memory where they were read before."""
        wanted = dict.fromkeys(paths, b"")
        with self._lock:
            found = {path: self._read[path] for path in wanted if path in self._read}
        missing = {self._key(path): path for path in wanted if path not in found}
        if missing:
            # Unlike `cat`, this takes names as they are, whatever they have in them of a pattern.
            fetched = self._fs.cat_ranges(list(missing), None, None, on_error="return")
            for path, content in zip(missing.values(), fetched, strict=True):
                if isinstance(content, bytes):
                    found[path] = content
                    self._remember(path, content)
                elif not isinstance(content, FileNotFoundError):
                    raise content
        return {path: found[path] for path in wanted if path in found}

    def _remember(self, path: str, content: bytes) -> None:
        with self._lock:
            self._remembered += len(content) - len(self._read.get(path, b""))
            self._read[path] = content
            while self._remembered > _REMEMBERED:
                self._remembered -= len(self._read.pop(next(iter(self._read))))


def measured(path: Path) -> Artefact:
    """Hashes and size of a file."""
    sha256, md5, size = hashlib.sha256(), hashlib.md5(usedforsecurity=False), 0
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            sha256.update(block)
            md5.update(block)
            size += len(block)
    return Artefact(sha256=sha256.hexdigest(), md5=md5.hexdigest(), size=size)


def _artefact_path(sha256: str) -> str:
    return f"artefacts/{sha256[:2]}/{sha256}.conda"


def _entry_paths(item: Published) -> tuple[str, str]:
    """Where its entry is listed, and where it is found, in the order of writing."""
    return (
        f"projects/{item.project}/{item.path}.json",
        f"packages/{item.path}.json",
    )


def _note_name(text: str) -> str:
    """The file name of a note: the text itself where it is short, so that a listing tells it."""
    quoted = quote(text, safe="")
    return f"{_LITERAL}{quoted}" if len(quoted) <= _LONGEST else hashlib.sha256(text.encode()).hexdigest()


def _stamped(content: bytes) -> bytes:
    return hashlib.sha256(content).digest() + content


def _protocols(fs: Any) -> tuple[str, ...]:
    return (fs.protocol,) if isinstance(fs.protocol, str) else tuple(fs.protocol)


def _has_modes(fs: Any) -> bool:
    """Whether a file system tells writing what is not there yet from writing over what is."""
    write = getattr(fs, "_pipe_file", None) or fs.pipe_file
    return "mode" in inspect.signature(write).parameters


def _files_below(folder: Path) -> Iterator[str]:
    start = len(str(folder)) + 1
    for place, _, names in os.walk(folder):
        relative = place[start:].replace(os.sep, "/")
        yield from (f"{relative}/{name}" if relative else name for name in names)
