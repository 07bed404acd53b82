"""Chosen records become packages: downloaded, checked and unpacked, many at a time."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename

from . import translate
from .building import unpack, unpack_meta
from .building.wheelfile import open_wheel
from .digests import file_sha256
from .errors import Cancelled, NoRoom, SpecError
from .index import Index
from .locks import scratch
from .lookup import FETCHERS
from .model import Candidate, PackageRecord, ProjectName, Target, Wheel
from .names import Names
from .options import Options
from .report import Reporter

#: Takes a record, and what writes its package to a folder that is not there yet.
Stage = Callable[[PackageRecord, Callable[[Path], object]], None]


def make(
    records: Sequence[PackageRecord],
    target: Target,
    stage: Stage,
    index: Index,
    options: Options,
    reporter: Reporter,
    *,
    local: Mapping[PackageRecord, Path] | None = None,
) -> None:
    """Hand every record to `stage`; those in `local` have their wheel on disk already."""
    if not records:
        return
    local = local or {}
    python = f"{target.python.major}.{target.python.minor}" + ("t" if target.free_threaded else "")
    remote = [record.wheel for record in records if record.wheel is not None and record not in local]
    size = sum(wheel.size or 0 for wheel in remote)
    _require_room(index.folder, size)
    reporter.phase("Downloading and building")
    reporter.expect(len(records), size)

    stopped = threading.Event()

    def progress(size: int) -> None:
        if stopped.is_set():
            raise Cancelled
        reporter.advance(size=size)

    def one(record: PackageRecord, folder: Path) -> None:
        if record.wheel is None:
            stage(record, lambda place: unpack_meta(record, place))
        elif record in local:
            stage(record, lambda place: unpacked(local[record], record, place))
        else:
            path = index.download(record.wheel, folder / record.wheel.filename, progress)
            stage(record, lambda place: unpacked(path, record, place))
            path.unlink()
        reporter.advance(files=1)

    def unpacked(wheel: Path, record: PackageRecord, place: Path) -> None:
        for warning in unpack(wheel, record, place, python=python, allow_hooks=options.allow_hooks):
            reporter.warn(warning)

    with scratch(index.folder) as folder:
        _for_each(records, lambda record: one(record, folder), stopped)


def _for_each(
    records: Sequence[PackageRecord], one: Callable[[PackageRecord], None], stopped: threading.Event
) -> None:
    """Call `one` for every record, by threads; the first error sets `stopped`, and is raised."""
    with ThreadPoolExecutor(FETCHERS) as pool:
        jobs = [pool.submit(one, record) for record in records]
        try:
            for job in jobs:
                job.result()
        except BaseException:
            stopped.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _require_room(folder: Path, size: int) -> None:
    """Raises `NoRoom` where the wheels alone, of `size` bytes, would fill the disk."""
    there = next(place for place in (folder, *folder.absolute().parents) if place.exists())
    disk = shutil.disk_usage(there)
    if disk.total and disk.free < size:  # not every file system tells
        raise NoRoom(str(there), size, disk.free)


def local_record(path: Path, target: Target, names: Names) -> PackageRecord:
    """The record of a wheel file, whose name and METADATA tell everything.

    Raises `SpecError` for what is no wheel, `WheelRefused`, `NoFittingWheel` or `Untranslatable`.
    """
    wheel = local_wheel(path)
    with open_wheel(path, wheel, allow_hooks=True) as opened:
        text = opened.read("METADATA")
    metadata = translate.parse_core_metadata(text, path.name)
    return translate.record(Candidate(wheel=wheel, metadata=metadata), target, names.conda_name)


def local_wheel(path: Path) -> Wheel:
    """What a wheel file says of itself by its name and bytes. Raises `SpecError` for what is no wheel."""
    if not path.is_file():
        raise SpecError(str(path), "there is no such file")
    try:
        name, version, build, tags = parse_wheel_filename(path.name)
    except (InvalidWheelFilename, ValueError) as error:
        raise SpecError(str(path), f"it is not named as a wheel (PEP 427): {error}") from error
    return Wheel(
        filename=path.name,
        project=ProjectName(canonicalize_name(name)),
        version=version,
        build=build,
        tags=tags,
        url="",
        sha256=file_sha256(path),
        size=path.stat().st_size,
    )
