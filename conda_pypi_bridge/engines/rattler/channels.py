"""What rattler reads of channels: where they are, what they hold, and the overlay beside them."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import rattler
from rattler.exceptions import GatewayError, InvalidChannelError, SolverError

from ...condarc import CondaConfig
from ...errors import BridgeError, ChannelFailure, ConfigError, Unsatisfiable
from ...model import CondaName
from .access import Access
from .offline import unread_channel

_T = TypeVar("_T")

#: What py-rattler before 0.24 called ``Platform``.
Subdir: Any = getattr(rattler, "Subdir", None) or rattler.Platform


class Overlay:
    """The overlay as rattler asks for it: records by name, no channel on disk."""

    def __init__(self, records: Sequence[rattler.RepoDataRecord]) -> None:
        self._by_name: dict[tuple[str, str], list[rattler.RepoDataRecord]] = {}
        for record in records:
            self._by_name.setdefault((record.subdir, record.name.normalized), []).append(record)

    async def fetch_package_records(
        self, platform: Any, name: rattler.PackageName
    ) -> list[rattler.RepoDataRecord]:
        return self._by_name.get((str(platform), name.normalized), [])

    def package_names(self, platform: Any) -> list[str]:
        return sorted(name for subdir, name in self._by_name if subdir == str(platform))


class Loop:
    """One event loop, in a thread of its own, for a library that is asynchronous throughout."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._starting = threading.Lock()

    def run(self, work: Coroutine[Any, Any, _T], *, wait: bool = True) -> _T:
        """The result of `work`. An interrupt waits for its end, unless whoever calls is prepared."""
        with self._starting:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                threading.Thread(target=self._loop.run_forever, name="rattler", daemon=True).start()
        running = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return running.result()
        except KeyboardInterrupt:
            # What runs changes the prefix or reads into caches: it must not go on behind our back.
            if wait:
                with suppress(Exception):
                    running.result()
            running.cancel()
            raise


class Channels:
    """The channels of one command, best first, for the platform `subdir`; what they hold is kept in `cache`.

    `names` are names, URLs or paths. Raises `ConfigError` for what is no channel.
    """

    def __init__(
        self, names: Sequence[str], config: CondaConfig, subdir: str, cache: Path, *, offline: bool
    ) -> None:
        access = Access()
        self._channels = [_channel(name, config, access) for name in names]
        self._subdirs = [Subdir(subdir), Subdir("noarch")]
        self._loop = Loop()
        self.subdir = subdir
        self.offline = offline
        self.priorities = _priorities(config.channel_priority)
        #: URL -> name, of channels that were given by their name.
        self.names = {
            found.base_url.rstrip("/"): name
            for found, name in zip(self._channels, names, strict=True)
            if _is_name(name)
        }
        self.client = access.client()
        settings = rattler.SourceConfig(cache_action="force-cache-only" if offline else "cache-or-fetch")
        self._gateway = rattler.Gateway(cache_dir=cache, default_config=settings, client=self.client)

    def run(self, work: Coroutine[Any, Any, _T], *, wait: bool = True) -> _T:
        """The result of what rattler does. An interrupt waits for its end, unless the caller is prepared."""
        return self._loop.run(work, wait=wait)

    def records(self, name: CondaName) -> list[rattler.RepoDataRecord]:
        """What the channels have under a name."""
        if not self._channels:
            return []
        query = self._gateway.query(self._channels, self._subdirs, [name], recursive=False)
        try:
            return [record for records in self.run(query) for record in records]
        except GatewayError as error:
            raise self._unread(error) from error

    def solve(self, overlay: Overlay, **problem: Any) -> list[rattler.RepoDataRecord]:
        """One solve over the overlay and the channels; `problem` is rattler's. Raises `Unsatisfiable`."""
        sources: list[Any] = [overlay, *self._channels]
        solve = rattler.solve(sources=sources, gateway=self._gateway, platforms=self._subdirs, **problem)
        try:
            return self.run(solve)
        except SolverError as error:
            raise Unsatisfiable(_first_lines(str(error))) from error
        except GatewayError as error:
            raise self._unread(error) from error

    def _unread(self, error: GatewayError) -> BridgeError:
        return unread_channel(error) if self.offline else ChannelFailure(_first_lines(str(error), 1))


def _is_name(channel: str) -> bool:
    """Whether a channel is given by its name, as opposed to a URL or a path."""
    return (
        "://" not in channel and not channel.startswith((".", "/", "~")) and not Path(channel).is_absolute()
    )


def _channel(name: str, config: CondaConfig, access: Access) -> rattler.Channel:
    """A channel by URL, path or name; names as conda's ``custom_channels`` and alias resolve them.

    What its URL holds of credentials goes to `access`. Raises `ConfigError` for what is none.
    """
    try:
        found = _located(name, config)
        public = access.public(found.base_url)
        return found if public == found.base_url else rattler.Channel(public)
    except InvalidChannelError as error:
        raise ConfigError(f"{name!r} is no channel: {error}") from error


def _located(name: str, config: CondaConfig) -> rattler.Channel:
    if "://" in name:
        return rattler.Channel(name)
    if not _is_name(name):
        return rattler.Channel(Path(name).expanduser().absolute().as_uri())
    first = name.partition("/")[0]
    for custom in (name, first):
        if custom in config.custom_channels:
            return rattler.Channel(f"{config.custom_channels[custom].rstrip('/')}/{name}")
    if config.channel_alias:
        return rattler.Channel(f"{config.channel_alias.rstrip('/')}/{name}")
    return rattler.Channel(name)


def _priorities(setting: str) -> Sequence[rattler.ChannelPriority]:
    """conda's flexible priority falls back to lower channels; rattler has strict and disabled."""
    strict, disabled = rattler.ChannelPriority.Strict, rattler.ChannelPriority.Disabled
    return {"strict": [strict], "disabled": [disabled]}.get(setting, [strict, disabled])


def _first_lines(text: str, limit: int = 12) -> str:
    lines = [line.rstrip() for line in text.splitlines() if line.strip()]
    more = ["..."] if len(lines) > limit > 1 else []
    return "\n".join([*lines[:limit], *more])
