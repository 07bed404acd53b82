"""The verb ``serve``: from its options to a server that runs until it is told to stop."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import errno
import ipaddress
import os
import signal
import socket
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from packaging.requirements import Requirement

from .. import requirementfiles
from ..channelargs import configured, scope_of
from ..errors import BridgeError, ConfigError, NoLibrary
from ..index import Index
from ..names import Names
from ..requirementfiles import RequirementFile
from ..specs import parse_spec
from ..store import cache_folder, index_cache
from .curated import publish_curated
from .keeping import collect_unused, save
from .logs import log
from .permitted import PermittedIndex

if TYPE_CHECKING:
    from ..channel.catalogue import Catalogue
    from ..channel.usage import Usage
    from .limits import Limits

HOST, PORT = "127.0.0.1", 8650

#: The platforms that a channel is for, where the command line names none.
SUBDIRS = ("linux-64", "linux-aarch64", "osx-64", "osx-arm64", "win-64")

#: The most that a wheel may have, in MiB, to be made a package of: strangers choose what is built.
MAX_SIZE = 1024

#: What is to stay free on the disk, in MiB.
MIN_FREE = 1024

_OPEN = (
    "others than this machine can reach this server and need no token: what it has built for them, it asks "
    "the index for with your credentials (--token-file FILE)"
)

#: Exit statuses by the signal that ended the server.
_STATUS = {signal.SIGINT: 130, signal.SIGTERM: 0}


def carry_out(args: argparse.Namespace) -> int:
    """Serve until a signal comes. Returns the exit status; raises `BridgeError` where that cannot be."""
    _require_libraries()
    from .app import Server
    from .limits import Limits, Tokens
    from .logs import configure

    limits = Limits()
    file = getattr(args, "token_file", None)
    tokens = Tokens.read(Path(file)) if file else Tokens()
    host, port = getattr(args, "host", HOST), getattr(args, "port", PORT)
    configure(quiet=bool(getattr(args, "quiet", False)))
    with listen(host, port) as listening:
        channels, usage = _channels(args)
        if not (tokens or _is_loopback(listening)):
            log.warning(_OPEN)
        print(_welcome(listening, locked=bool(tokens)), flush=True)
        application = Server(channels, tokens=tokens, limits=limits).application()
        ended_by = _serve(application, listening, limits)
    _close(channels.values(), limits.grace)
    if usage is not None:
        save(usage)
    return _STATUS[ended_by]


def _close(catalogues: Iterable[Catalogue], grace: float) -> None:
    """Let what is being built end, if that is soon: what is cut off is neither listed nor in the way."""
    closing = [threading.Thread(target=catalogue.close, daemon=True) for catalogue in catalogues]
    for thread in closing:
        thread.start()
    end = time.monotonic() + grace
    for thread in closing:
        thread.join(max(0.0, end - time.monotonic()))


def _require_libraries() -> None:
    """Raises `NoLibrary` where the extra ``server`` is not installed."""
    try:
        import fsspec  # noqa: F401
        import msgpack  # noqa: F401
        import prometheus_client  # noqa: F401
        import starlette  # noqa: F401
        import uvicorn  # noqa: F401
    except ModuleNotFoundError as error:
        raise NoLibrary("serve", str(error.name), "server") from None


def _channels(args: argparse.Namespace) -> tuple[dict[str, Catalogue], Usage | None]:
    """What is to be served: packages, and wheels as they are; and what notes their use, where it matters.

    Raises `BridgeError` for unusable options.
    """
    from ..channel.catalogue import Budget, Catalogue
    from ..channel.packages import Packages
    from ..channel.store import ChannelStore
    from ..channel.usage import Usage
    from .app import CHANNEL, WHEELS

    scope = scope_of(args, SUBDIRS)
    first = getattr(args, "budget", Budget.first)
    budget = Budget(depth=getattr(args, "versions", Budget.depth), first=first, last=max(first, Budget.last))
    index, names = _index(args, budget.page_seconds)
    store = ChannelStore(getattr(args, "store", None) or cache_folder() / "channel")
    listed = getattr(args, "projects", None)
    projects = _requirements(listed) if listed else None
    curated = _requests(args.list) if getattr(args, "list", None) else []
    days = getattr(args, "keep_days", None)
    usage = None if days is None else Usage(store, days)
    packages = Packages(  # of both: an extra of a wheel is a package
        store,
        index,
        size_limit=getattr(args, "max_size", MAX_SIZE) << 20,
        floor=getattr(args, "min_free", MIN_FREE) << 20,
        usage=usage,
    )
    made = {
        label: Catalogue(
            scope,
            index,
            store,
            names,
            label=label,
            projects=projects,
            budget=budget,
            packages=packages,
            usage=usage,
            direct=label == WHEELS,
        )
        for label in (CHANNEL, WHEELS)
    }
    if curated:
        publish_curated(curated, made[CHANNEL], index, names, usage)
    if usage is not None:
        collect_unused(usage, ("noarch", *scope.subdirs))
    return made, usage


def _index(args: argparse.Namespace, page_seconds: float) -> tuple[Index, Names]:
    """The indexes as at the other doors, and what their projects are called; no environment is looked at."""
    given = configured(args, RequirementFile())
    config = replace(given.index, allowed_hosts=frozenset(getattr(args, "allow_host", ())))
    blocked = given.settings.block
    index = PermittedIndex(config, index_cache(), blocked=blocked, page_seconds=page_seconds)
    return index, given.names


def _requests(file: str) -> list[str]:
    return list(requirementfiles.read([file], environ=os.environ).requests)


def _requirements(file: str) -> list[Requirement]:
    """What a requirements file lists. Raises `SpecError` for what an index cannot have."""
    parsed = [parse_spec(text.partition(";")[0], {}) for text in _requests(file)]
    return [request.requirement for request in parsed if request is not None and request.requirement]


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens. Raises `ConfigError` for what is no address, `BridgeError` where it is taken."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except OSError as error:
        raise ConfigError(f"--host {host}: {error.strerror or error}") from None
    # asyncio turns off Nagle's algorithm for sockets that name their protocol, and for no others.
    listening = socket.socket(family, kind, protocol)
    try:
        if os.name == "posix":  # elsewhere it would let two servers have one port
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(2048)
    except OSError as error:
        listening.close()
        if error.errno == errno.EADDRINUSE:
            raise BridgeError(
                f"port {port} of {host} is in use", hint="Choose another: --port N, or --port 0 for any."
            ) from None
        raise BridgeError(f"cannot listen on port {port} of {host}: {error.strerror}") from None
    return listening


def _is_loopback(listening: socket.socket) -> bool:
    """Whether nobody but this machine reaches it."""
    return ipaddress.ip_address(listening.getsockname()[0].partition("%")[0]).is_loopback


def _welcome(listening: socket.socket, *, locked: bool) -> str:
    """One line that tells how to reach it."""
    host, port = listening.getsockname()[:2]
    shown = {"0.0.0.0": socket.gethostname(), "::": socket.gethostname()}.get(host, host)
    shown = f"[{shown}]" if ":" in shown else shown
    token = "t/TOKEN/" if locked else ""
    return f"The channel is at http://{shown}:{port}/{token}pypi (Ctrl-C stops)"


def _serve(application: Any, listening: socket.socket, limits: Limits) -> signal.Signals:
    """Answer requests until a signal comes, which is returned."""
    import uvicorn

    from .protocol import configuration

    class Server(uvicorn.Server):
        """uvicorn would end the process by the signal; we end it in our own way."""

        ended_by = signal.SIGINT

        @contextlib.contextmanager
        def capture_signals(self) -> Iterator[None]:
            before = {number: signal.signal(number, self.handle_exit) for number in _STATUS}
            try:
                yield
            finally:
                for number, handler in before.items():
                    signal.signal(number, handler)

        def handle_exit(self, sig: int, frame: FrameType | None) -> None:
            self.force_exit = self.should_exit  # at the second signal
            self.should_exit = True
            self.ended_by = signal.Signals(sig)

    server = Server(configuration(application, limits))
    asyncio.run(server.serve(sockets=[listening]))
    return server.ended_by
