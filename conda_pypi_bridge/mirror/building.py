"""Packages are built and put into a static channel, by threads of this process or by workers of a cluster."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from .. import PROJECT
from ..channel.model import Published
from ..channel.packages import build_package, published
from ..channel.selection import Chosen
from ..channel.store import measured
from ..config import IndexConfig
from ..errors import BridgeError, Cancelled, ConfigError, NoLibrary
from ..index import Index
from ..locks import scratch
from ..lookup import FETCHERS
from ..store import index_cache
from .channel import StaticChannel
from .place import Place


@dataclass(frozen=True, kw_only=True)
class Failed:
    """A package that could not be built, and why: text, since errors do not travel between processes."""

    dist: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How packages are built, wherever that is. `level` is zstd's."""

    level: int
    allow_hooks: bool = False


#: Seconds to wait for a scheduler.
_PATIENCE = 10

#: Seconds for which a cluster may be without workers, as while a scheduler starts others, and between looks.
_WORKERLESS, _GLANCE = 60.0, 0.1

#: The distributions whose objects are sent to workers: pickles are read by the versions that wrote them.
_SENT = (PROJECT, "packaging")

_AGAIN = "Run again: what was built is there."

#: What becomes of packages, in the order in which they are done.
Outcomes = Iterator[Published | Failed]


def build(
    chosen: Chosen,
    recipe: Recipe,
    channel: StaticChannel,
    index: Index,
    progress: Callable[[int], None] | None = None,
) -> Published | Failed:
    """Build a package and put it into the channel. Raises `OSError` for what this machine's disk refuses."""
    try:
        with scratch(index.folder) as folder:
            package = build_package(
                chosen.record,
                chosen.python,
                index,
                folder,
                level=recipe.level,
                allow_hooks=recipe.allow_hooks,
                progress=progress,
            )
            item = published(chosen.record, measured(package))
            channel.add(package, item)
            return item
    except Cancelled:
        raise
    except BridgeError as error:
        return Failed(dist=chosen.record.dist, reason=str(error))


@contextmanager
def in_threads(
    todo: Sequence[Chosen],
    recipe: Recipe,
    channel: StaticChannel,
    index: Index,
    progress: Callable[[int], None],
) -> Iterator[Outcomes]:
    """Build packages in this process, many at a time; what has not begun when the block ends never does."""
    stopped = False

    def report(size: int) -> None:
        if stopped:
            raise Cancelled
        progress(size)

    with ThreadPoolExecutor(FETCHERS, thread_name_prefix="build") as pool:
        jobs = [pool.submit(build, one, recipe, channel, index, report) for one in todo]
        try:
            yield (job.result() for job in as_completed(jobs))
        finally:
            stopped = True
            pool.shutdown(wait=False, cancel_futures=True)


# -- on a cluster --------------------------------------------------------------------------------------


@contextmanager
def on_cluster(
    address: str, todo: Sequence[Chosen], recipe: Recipe, channel: StaticChannel, config: IndexConfig
) -> Iterator[Outcomes]:
    """Build packages on the workers of a Dask scheduler, which write into the channel themselves.

    Workers have this package, and reach the index and the place of the channel as this machine does. What a
    worker that dies was building another one builds. Raises `NoLibrary` or `ConfigError`.
    """
    if not channel.place.shared:
        raise ConfigError(
            f"the workers of {address} cannot write to {channel.place}, which is in this process"
        )
    try:
        from distributed import Client
    except ImportError:
        raise NoLibrary("a cluster", "distributed", "cluster") from None
    try:
        client: Any = Client(address, timeout=_PATIENCE, set_as_default=False)
    except (OSError, ValueError) as error:
        raise ConfigError(f"the scheduler at {address} does not answer: {error}") from error
    with client:
        _check_versions(client)
        jobs = client.map(
            _build_there,
            todo,
            recipe=recipe,
            url=channel.place.url,
            config=config,
            pure=False,
            batch_size=1000,
        )
        try:
            names = {job: one.record.dist for job, one in zip(jobs, todo, strict=True)}
            yield _gathered(names, client)
        finally:
            client.cancel(jobs, force=True)


def _check_versions(client: Any) -> None:
    """Refuse workers that could not read what they are sent. Raises `ConfigError`."""
    versions = client.get_versions(packages=_SENT)
    ours = versions["client"]["packages"]
    for address, worker in versions["workers"].items():
        for package in _SENT:
            theirs = worker["packages"][package] if isinstance(worker, dict) else None
            if theirs != ours[package]:
                told = f"the worker {address} has {package} {theirs or 'in no version'}"
                hint = "Give workers the same versions."
                raise ConfigError(f"{told}, and this process {ours[package]}", hint=hint)


def _gathered(jobs: Mapping[Any, str], client: Any) -> Outcomes:
    """The outcomes of jobs, which are named by their packages."""
    from distributed import as_completed as completed
    from distributed.scheduler import KilledWorker

    running = completed(list(jobs), loop=client.loop)
    served = time.monotonic()
    while not running.is_empty():
        batch = running.next_batch(block=False)
        for job in batch:
            try:
                yield job.result()
            except KilledWorker as error:
                yield Failed(dist=jobs[job], reason=f"the workers that were to build it died: {error}")
            except CancelledError:
                raise BridgeError("the cluster forgot what it was to build", hint=_AGAIN) from None
        if batch or client.nthreads():
            served = time.monotonic()
        elif time.monotonic() - served > _WORKERLESS:
            raise BridgeError("the cluster has no workers", hint=_AGAIN)
        time.sleep(0 if batch else _GLANCE)


def _build_there(chosen: Chosen, *, recipe: Recipe, url: str, config: IndexConfig) -> Published | Failed:
    """What a worker does."""
    index, channel = _opened(url, config)
    return build(chosen, recipe, channel, index)


def _opened(url: str, config: IndexConfig) -> tuple[Index, StaticChannel]:
    """An index and a channel for as long as a worker has tasks of one mirror: connections are kept."""
    with _lock:
        if _last.get("opened", (None, None))[:2] != (url, config):
            _last["opened"] = url, config, Index(config, index_cache()), StaticChannel(Place(url))
        _, _, index, channel = _last["opened"]
        return index, channel


_last: dict[str, Any] = {}
_lock = threading.Lock()
