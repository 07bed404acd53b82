"""Where a static channel is: a folder, or any URL that a driver of fsspec writes to."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from fsspec.core import url_to_fs

from ..credentials import public_url
from ..errors import BridgeError, ConfigError
from ..locks import sweep
from ..lookup import FETCHERS
from ..placing import place_blocks, place_file


class PlaceFailure(BridgeError):
    """The place of a channel cannot be read or written."""

    def __init__(self, url: str, error: Exception) -> None:
        hint = "Look whether the place is there, and whether you may read and write it."
        super().__init__(f"{public_url(url)}: {type(error).__name__}: {error}", hint=hint)
        self.url = url


class Place:
    """The files of a channel by their paths (``noarch/repodata.json``). Safe for threads.

    A file appears whole or not at all: in a folder it is renamed into place once it is on the disk, elsewhere
    it is written in one go, which object stores carry out as a whole. `url` is a path or a URL. Methods raise
    `PlaceFailure`; the constructor `ConfigError` for what no driver that is installed can open.
    """

    def __init__(self, url: str) -> None:
        try:
            self._fs, root = url_to_fs(url, use_listings_cache=False, skip_instance_cache=False)
        except (ValueError, ImportError) as error:
            hint = "Name a folder, or a URL whose driver is installed: s3fs for s3://, gcsfs for gs://."
            raise ConfigError(f"{public_url(url)} cannot be a channel: {error}", hint=hint) from None
        self._root = root.rstrip("/")
        protocols = (self._fs.protocol,) if isinstance(self._fs.protocol, str) else self._fs.protocol
        #: The folder, where it is one of this machine.
        self.folder: Path | None = Path(self._root) if "file" in protocols else None
        #: Whether other processes see what is written.
        self.shared = "memory" not in protocols
        #: What opens the same place from any working folder.
        self.url = self.folder.as_uri() if self.folder is not None else url

    def __str__(self) -> str:
        return str(self.folder) if self.folder is not None else public_url(self.url)

    def make(self) -> None:
        """Make the folder, where it is one."""
        if self.folder is not None:
            self.folder.mkdir(parents=True, exist_ok=True)

    def sweep(self) -> None:
        """Delete what processes that died had not finished."""
        if self.folder is not None:
            sweep(self.folder)

    def read(self, path: str) -> bytes | None:
        """The content of a file; None where there is none."""
        with self._told():
            try:
                content: bytes = self._fs.cat_file(self._key(path))
            except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
                return None
            return content

    @contextlib.contextmanager
    def opened(self, path: str) -> Iterator[Any]:
        """A file to read in pieces, None where there is none."""
        with self._told():
            try:
                file = self._fs.open(self._key(path), "rb")
            except FileNotFoundError:
                file = None
        if file is None:
            yield None
        else:
            with file:
                yield file

    def write(self, path: str, content: bytes) -> None:
        """Have a file hold `content`."""
        with self._told():
            if self.folder is None:
                self._fs.pipe_file(self._key(path), content)
                return
            place_blocks(self.folder, [content], self.folder / path)

    def put(self, source: Path, path: str) -> None:
        """Have a file hold what the file `source` of this machine holds."""
        with self._told():
            if self.folder is None:
                self._fs.put_file(str(source), self._key(path))
                return
            place_file(self.folder, source, self.folder / path)

    def sizes(self, folder: str) -> dict[str, int]:
        """The files right in a folder, with their sizes in bytes."""
        with self._told():
            try:
                found = self._fs.ls(self._key(folder), detail=True)
            except (FileNotFoundError, NotADirectoryError):
                return {}
            files = (row for row in found if row["type"] == "file")
            return {row["name"].rpartition("/")[2]: int(row["size"]) for row in files}

    def below(self, folder: str) -> list[str]:
        """The paths of the files in a folder, and in those within."""
        with self._told():
            try:
                found = self._fs.find(self._key(folder))
            except FileNotFoundError:
                return []
            start = len(self._key(""))
            return sorted(path[start:] for path in found)

    def delete(self, path: str) -> None:
        """Delete a file, if it is there."""
        with self._told(), contextlib.suppress(FileNotFoundError):
            self._fs.rm_file(self._key(path))

    def delete_folder(self, path: str) -> None:
        """Delete the files in a folder, and those within; where folders exist by themselves, them too."""
        with ThreadPoolExecutor(FETCHERS) as pool:
            list(pool.map(self.delete, self.below(path)))
        if self.folder is not None:
            shutil.rmtree(self.folder / path, ignore_errors=True)

    def _key(self, path: str) -> str:
        return f"{self._root}/{path}"

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        """A driver's own errors, which are of any kind, as one of ours."""
        try:
            yield
        except BridgeError:
            raise
        except Exception as error:
            raise PlaceFailure(self.url, error) from error
