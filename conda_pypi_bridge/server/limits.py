"""What the server takes upon itself: how much at once, for how long, and from whom."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import re
from collections.abc import Callable, Hashable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from ..errors import BridgeError, ConfigError

#: What conda takes for a token in a URL, and so long that nobody guesses it.
_TOKEN = re.compile(r"[A-Za-z0-9-]{16,256}")

V = TypeVar("V")


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Sizes in bytes, times in seconds.

    `in_flight` requests are answered at a time; `threads` make answers, for as many more as `waiting`.
    An answer is begun within `deadline` (conda waits 60 seconds), and a piece of a file sent within
    `patience`. Who is turned away is told to come back after `retry_after`. `grace` is what requests have
    to end when the server is to stop.
    """

    in_flight: int = 256
    threads: int = 16
    waiting: int = 240
    deadline: float = 50.0
    patience: float = 60.0
    retry_after: int = 2
    target: int = 2048
    grace: float = 10.0


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
        self._limits = limits
        self._pool = ThreadPoolExecutor(limits.threads, thread_name_prefix=name)
        self._calls: dict[Hashable, asyncio.Future[Any]] = {}

    @property
    def under_way(self) -> int:
        """How many calls run or wait for a thread."""
        return len(self._calls)

    async def __call__(self, function: Callable[..., V], *args: Any, key: Hashable = None) -> V:
        """What the blocking `function` returns or raises; calls of one `key` are one. Raises `Overloaded`."""
        key = object() if key is None else key
        call = self._calls.get(key)
        if call is None:
            if len(self._calls) >= self._limits.threads + self._limits.waiting:
                raise Overloaded("queue")
            call = asyncio.get_running_loop().run_in_executor(self._pool, function, *args)
            self._calls[key] = call
            call.add_done_callback(lambda done: self._ended(key, done))
        try:
            result: V = await asyncio.wait_for(asyncio.shield(call), self._limits.deadline)
        except asyncio.TimeoutError:
            if call.done():
                raise
            raise Overloaded("deadline") from None
        return result

    def _ended(self, key: Hashable, call: asyncio.Future[Any]) -> None:
        del self._calls[key]
        if not call.cancelled():
            call.exception()  # seen, even where everybody who waited for it has gone

    def close(self) -> None:
        """Start no more calls; those that run are not waited for."""
        self._pool.shutdown(wait=False, cancel_futures=True)


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
