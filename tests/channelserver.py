"""The channel server on loopback: its application in uvicorn, in a thread of the test's process."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgpack
import uvicorn
from packaging.requirements import Requirement
from packaging.version import Version

from conda_pypi_bridge.channel.catalogue import Budget, Catalogue
from conda_pypi_bridge.channel.model import Scope
from conda_pypi_bridge.channel.store import ChannelStore
from conda_pypi_bridge.config import IndexConfig
from conda_pypi_bridge.index import Index
from conda_pypi_bridge.index.answers import Limits as IndexLimits
from conda_pypi_bridge.names import Names
from conda_pypi_bridge.server.app import CHANNEL, WHEELS, Server
from conda_pypi_bridge.server.limits import Limits, Tokens
from conda_pypi_bridge.server.protocol import configuration
from conda_pypi_bridge.server.running import listen
from tests.indexserver import IndexServer

try:
    from compression import zstd
except ImportError:  # Python before 3.14
    from backports import zstd

SCOPE = Scope(subdirs=("linux-64",), pythons=(Version("3.11"), Version("3.12")))


@contextlib.contextmanager
def catalogue_of(
    index: IndexServer,
    folder: Path,
    projects: Sequence[str] | None,
    *,
    scope: Scope = SCOPE,
    budget: Budget | None = None,
    direct: bool = False,
) -> Iterator[Catalogue]:
    """The catalogue of some projects of a loopback index, or of all; its store is ``folder/store``."""
    config = IndexConfig(indexes=(index.url,), timeout=5.0, keyring=False)
    asked = Index(config, folder / "cache", limits=IndexLimits(backoff=0.002), page_seconds=0.1)
    made = Catalogue(
        scope,
        asked,
        ChannelStore(folder / "store", fresh_seconds=0.1),
        Names(),
        projects=None if projects is None else map(Requirement, projects),
        budget=budget or Budget(index_seconds=0.1, page_seconds=0.1),
        label=WHEELS if direct else CHANNEL,
        direct=direct,
    )
    with contextlib.closing(made):
        yield made


@contextlib.contextmanager
def serving(
    catalogue: Catalogue,
    *,
    wheels: Catalogue | None = None,
    tokens: Tokens | None = None,
    limits: Limits | None = None,
) -> Iterator[str]:
    """The base URL of a server that answers from `catalogue` (and `wheels`), for the length of a block."""
    channels = {CHANNEL: catalogue, **({WHEELS: wheels} if wheels else {})}
    application = Server(channels, tokens=tokens, limits=limits).application()
    listening = listen("127.0.0.1", 0)
    server = uvicorn.Server(configuration(application, limits or Limits(grace=2.0)))
    thread = threading.Thread(target=server.run, args=([listening],), daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(10)
        listening.close()


def unpacked(content: bytes, read: Callable[[bytes], Any] = msgpack.unpackb) -> Any:
    """What a ``.zst`` holds, as msgpack or as `read` reads it."""
    return read(zstd.decompress(content))


class Command:
    """The command ``serve``, which runs inside ``with``. `url` is where it says the channel is.

    `lines` are those of its log so far.
    """

    def __init__(self, words: Iterable[str | Path], env: Mapping[str, str], log: Path) -> None:
        self._log = log
        with log.open("wb") as stderr:
            self.process = subprocess.Popen(
                [*map(str, words)], env=env, stdout=subprocess.PIPE, stderr=stderr, text=True
            )
        assert self.process.stdout is not None
        self.welcome = self.process.stdout.readline()
        found = re.search(r"http://\S+", self.welcome)
        assert found, f"{self.welcome}\n{log.read_text()}"
        self.url = found[0]

    def __enter__(self) -> Command:
        return self

    def __exit__(self, *exc: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

    def end(self, number: int) -> tuple[int, str]:
        """Send a signal: the exit status, and what was printed since the first line."""
        os.kill(self.process.pid, number)
        assert self.process.stdout is not None
        text = self.process.stdout.read()
        return self.process.wait(30), text

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self._log.read_text().splitlines()]


def serve_words(*words: str | Path) -> list[str | Path]:
    """``python -m conda_pypi_bridge serve`` on any free port."""
    return [sys.executable, "-m", "conda_pypi_bridge", "serve", "--port", "0", *words]
