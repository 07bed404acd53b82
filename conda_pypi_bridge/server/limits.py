"""What the server takes upon itself: how much at once, for how long, and from whom."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import itertools
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from ..channel.tasks import Tasks
from ..errors import BridgeError, Busy, ConfigError

#: What conda takes for a token in a URL, and so long that nobody guesses it.
_TOKEN = re.compile(r"[A-Za-z0-9-]{16,256}")

V = TypeVar("V")


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Sizes in bytes, times in seconds.

    The head of a request must come within `head`. `in_flight` requests are answered at a time, on at most so
    many `connections`; `threads` make answers, for as many more as `waiting`. An answer is begun within
    `deadline` (conda waits 60 seconds), and a piece of a file sent within `patience`. Who is turned away is
    told to come back after `retry_after`. `target` is the length of an address. When the server is to stop,
    requests have `grace` to end, and then builds as long again.
    """

    head: float = 10.0
    in_flight: int = 256
    connections: int = 1024
    threads: int = 16
    waiting: int = 240
    deadline: float = 50.0
    patience: float = 60.0
    retry_after: int = 2
    target: int = 2048
    grace: float = 5.0


class Overloaded(BridgeError):
    """There is more to do than can be done now. `kind` tells what there is too much of, for the metrics."""

    def __init__(self, kind: str) -> None:
        super().__init__("the server has more to do than it can do now; try again")
        self.kind = kind


class Workers:
    """Threads for blocking calls, so many and no more; equal calls under way are one.

    A call that is given up goes on, and its thread with it: what it brings is there for the next one.
    """

    def __init__(self, limits: Limits, name: str) -> None:
        self._deadline = limits.deadline
        self._tasks: Tasks[Any] = Tasks(name, limits.threads, limits.waiting)
        self._count = itertools.count()

    @property
    def under_way(self) -> int:
        """How many calls run or wait for a thread."""
        return self._tasks.running + self._tasks.waiting

    async def __call__(self, function: Callable[..., V], *args: Any, key: str = "") -> V:
        """What the blocking `function` returns or raises; calls of one `key` are one. Raises `Overloaded`."""
        try:
            task = self._tasks.submit(key or f"call {next(self._count)}", partial(function, *args))
        except Busy:
            raise Overloaded("queue") from None
        call = asyncio.wrap_future(task)
        call.add_done_callback(_see)
        try:
            result: V = await asyncio.wait_for(asyncio.shield(call), self._deadline)
        except asyncio.TimeoutError:
            if call.done():
                raise
            raise Overloaded("deadline") from None
        return result

    def close(self) -> None:
        """Start no more calls; those that run are not waited for."""
        self._tasks.close(0)


def _see(call: asyncio.Future[Any]) -> None:
    """Take note of a failure, even where everybody who waited for it has gone."""
    if not call.cancelled():
        call.exception()


class Tokens:
    """The tokens that open the server; without any, everybody may come in."""

    def __init__(self, tokens: Iterable[str] = ()) -> None:
        self._digests = [hashlib.sha256(token.encode()).digest() for token in tokens]

    def __bool__(self) -> bool:
        return bool(self._digests)

    def admit(self, *given: str) -> bool:
        """Whether one of `given` is a token, in a time that tells nothing of how nearly."""
        found = not self._digests
        for digest in (hashlib.sha256(text.encode("utf-8", "replace")).digest() for text in given):
            for known in self._digests:
                found |= hmac.compare_digest(digest, known)
        return found

    @classmethod
    def read(cls, path: Path) -> Tokens:
        """The tokens of a file, one a line; ``#`` begins a comment. Raises `ConfigError`."""
        try:
            lines = [line.strip() for line in path.read_text("utf-8").splitlines()]
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "it is not text"
            raise ConfigError(f"{path}: the tokens cannot be read: {reason}") from None
        numbered = [(n, line) for n, line in enumerate(lines, 1) if line and not line.startswith("#")]
        if not numbered:
            raise ConfigError(f"{path}: there is no token in it")
        for number, line in numbered:
            if not _TOKEN.fullmatch(line):
                raise ConfigError(
                    f"{path}, line {number}: a token has 16 to 256 letters, digits and hyphens",
                    hint="conda takes no other characters. Make one: python -c "
                    '"import secrets; print(secrets.token_hex(20))"',
                )
        return cls(line for _, line in numbered)
