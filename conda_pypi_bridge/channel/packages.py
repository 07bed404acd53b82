"""A record becomes a published package: built once however many ask, and listed only when it is whole."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from ..building import pack, unpack, unpack_meta
from ..errors import Busy, WheelRefused
from ..index import Index
from ..locks import entry, scratch
from ..model import PackageRecord
from .flights import Flights
from .model import Artefact, Published
from .store import ChannelStore
from .usage import Usage

#: The compression level of packages: they are built while somebody waits.
LEVEL = 3

#: When to come back, in seconds, where a disk is full.
_FULL_SECONDS = 60


class Packages:
    """Makes packages of records and publishes them in `store`; safe for threads.

    Where the store is a folder, processes that share it build a package once, too; replicas that share a
    bucket may each build it, to the same bytes. `size_limit` is the most that a wheel may have, and `floor`
    what must be free on the disks of the index's cache and of a store's folder, both in bytes. `usage` is
    told of what was built.
    """

    def __init__(
        self,
        store: ChannelStore,
        index: Index,
        *,
        level: int = LEVEL,
        size_limit: int | None = None,
        floor: int = 0,
        usage: Usage | None = None,
        allow_hooks: bool = False,
    ) -> None:
        self._store = store
        self._index = index
        self._level = level
        self._size_limit = size_limit
        self._floor = floor
        self._usage = usage
        self._allow_hooks = allow_hooks
        self._flights: Flights[str, Published] = Flights()

    @property
    def free(self) -> int:
        """Bytes that are free where packages are made and stored, on the disk that has the least."""
        folders = (self._index.folder, self._store.folder)
        return min(shutil.disk_usage(_existing(folder)).free for folder in folders if folder is not None)

    @property
    def full(self) -> str:
        """Why nothing new is built; "" where it is."""
        free = self.free
        if free >= self._floor:
            return ""
        return f"only {free >> 20} MiB are free on the disk, of {self._floor >> 20} MiB that are to stay free"

    def publish(self, record: PackageRecord, target_python: str) -> Published:
        """The published package of `record`, which is built if it is not there yet.

        `target_python` is the minor version whose folder C headers go to (``3.12``). Raises `WheelRefused`,
        `IndexFailure` or `OfflineError`, `Busy` where a disk is full, and `OSError` for what the disk or the
        store refuses; nothing is visible then.
        """
        known = self._store.find(record.subdir, record.fn)
        if known is not None:
            return known
        return self._flights.one(record.path, lambda: self._build_once(record, target_python))

    def _build_once(self, record: PackageRecord, python: str) -> Published:
        with self._alone(record):
            return self._store.find(record.subdir, record.fn) or self._build(record, python)

    @contextlib.contextmanager
    def _alone(self, record: PackageRecord) -> Iterator[None]:
        """Keep other processes from building it too."""
        folder = self._store.folder
        if folder is None:
            yield
        else:
            with entry(folder, f"{record.subdir}-{record.fn}"):
                yield

    def _build(self, record: PackageRecord, python: str) -> Published:
        if full := self.full:
            raise Busy(full, _FULL_SECONDS)
        with scratch(self._index.folder) as folder:
            package = build_package(
                record,
                python,
                self._index,
                folder,
                level=self._level,
                allow_hooks=self._allow_hooks,
                progress=self._limited(record),
            )
            artefact = self._store.put_artefact(package)
        item = self._store.publish(published(record, artefact))
        if self._usage is not None:
            self._usage.asked(item)
        return item

    def _limited(self, record: PackageRecord) -> Callable[[int], None]:
        """Takes the bytes of a download as they come, and ends it where they are too many."""
        received = 0

        def check(size: int) -> None:
            nonlocal received
            received += size
            if self._size_limit is not None and received > self._size_limit:
                assert record.wheel is not None
                limit = f"it is larger than the {self._size_limit} bytes that this channel takes"
                raise WheelRefused(record.wheel.filename, "size-limit", limit)

        if record.wheel is not None:
            check(record.wheel.size or 0)
            received = 0
        return check


def _existing(folder: Path) -> Path:
    """The folder, or the nearest one above that is there."""
    return next(path for path in (folder, *folder.absolute().parents) if path.exists())


def build_package(
    record: PackageRecord,
    python: str,
    index: Index,
    folder: Path,
    *,
    level: int,
    allow_hooks: bool = False,
    progress: Callable[[int], None] | None = None,
) -> Path:
    """Write the ``.conda`` file of `record` into a folder of its own, and return its path.

    `python` and the errors are as for `Packages.publish`; `progress` takes the bytes of the download.
    """
    place = folder / "package"
    if record.wheel is None:
        unpack_meta(record, place)
    else:
        wheel = index.download(record.wheel, folder / record.wheel.filename, progress)
        unpack(wheel, record, place, python=python, allow_hooks=allow_hooks)
        wheel.unlink()
    return pack(place, folder, level=level)


def published(record: PackageRecord, artefact: Artefact) -> Published:
    """The package of `record` as a channel lists it."""
    sizes = {"size": artefact.size, "sha256": artefact.sha256, "md5": artefact.md5}
    entry = record.index_json() | sizes
    wheel = record.wheel.sha256 if record.wheel else ""
    return Published(fn=record.fn, subdir=record.subdir, project=record.project, entry=entry, wheel=wheel)
