"""How the project ``demo`` of an `IndexServer` goes wrong: behaviours, and bends that put them in place."""

from __future__ import annotations

import gzip
import json
import socket
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from tests.indexserver import HTML_TYPE, JSON_TYPE, Answer, Behaviour, Call, IndexServer, hang_up, says
from tests.wheels import metadata_text

PAGE = r"^/simple/demo/$"
METADATA = r"\.metadata$"
WHEEL = r"\.whl$"

#: Makes a server go wrong.
Bend = Callable[[IndexServer], object]


def at(path: str, *behaviours: Behaviour, times: int | None = None) -> Bend:
    def bend(server: IndexServer) -> None:
        for behaviour in behaviours:
            server.on(path, behaviour, times=times)

    return bend


def silent(*bends: Bend) -> Bend:
    """The index neither announces ``.metadata`` files nor, unless bent, has them."""

    def bend(server: IndexServer) -> None:
        server.announce = server.metadata = False
        for other in bends:
            other(server)

    return bend


def page(**changes: Any) -> Bend:
    """The usual JSON page with some keys replaced (``_`` stands for a hyphen), None to drop one."""

    def change(call: Call, answer: Answer) -> Answer:
        content = {**json.loads(whole(answer)), **{k.replace("_", "-"): v for k, v in changes.items()}}
        return replace(answer, body=json.dumps({k: v for k, v in content.items() if v is not None}).encode())

    return at(PAGE, change)


def entry(**changes: Any) -> Bend:
    """The page lists its file with some keys replaced."""
    return lambda server: server.pages["demo"][0].update({k.replace("_", "-"): v for k, v in changes.items()})


def whole(answer: Answer) -> bytes:
    assert isinstance(answer.body, bytes)
    return answer.body


def body(content: bytes, kind: str = JSON_TYPE) -> Behaviour:
    return says(200, content, Content_Type=kind)


def html(content: bytes, charset: str) -> Behaviour:
    return body(content, f"{HTML_TYPE}; charset={charset}")


def redirect(target: str) -> Bend:
    return at(PAGE, says(302, Location=target))


def endless(call: Call, answer: Answer) -> Answer:
    def chunks() -> Iterable[bytes]:
        while True:
            yield b" " * (1 << 20)

    return replace(answer, body=chunks())


def ambling(call: Call, answer: Answer) -> Answer:
    """Fast enough at every moment, and without end."""

    def chunks() -> Iterable[bytes]:
        while True:
            time.sleep(0.01)
            yield b" " * 1000

    return replace(answer, body=chunks())


def gzipped(content: bytes) -> Behaviour:
    return says(200, content, Content_Type=JSON_TYPE, Content_Encoding="gzip")


def compressed(call: Call, answer: Answer) -> Answer:
    return gzipped(gzip.compress(whole(answer)))(call, answer)


def flipped(call: Call, answer: Answer) -> Answer:
    changed = bytearray(whole(answer))
    changed[len(changed) // 2] ^= 1
    return replace(answer, body=bytes(changed))


def damaged(call: Call, answer: Answer) -> Answer:
    """A byte of the compressed METADATA is wrong."""
    content = bytearray(whole(answer))
    content[content.index(b"METADATA") + len("METADATA") + 4] ^= 0xFF
    return replace(answer, body=bytes(content))


def longer(call: Call, answer: Answer) -> Answer:
    return replace(answer, body=whole(answer) + b"more")


def hops(count: int) -> Bend:
    """`count` redirects before the page."""

    def bend(server: IndexServer) -> None:
        for number in range(count):
            target = f"/hop/{number + 1}" if number + 1 < count else "/simple/demo/?last"
            server.on(PAGE if number == 0 else rf"^/hop/{number}$", says(302, Location=target))

    return bend


def another_wheel(server: IndexServer) -> None:
    """The metadata file promises other requirements than the wheel, whose hash is right, has."""
    server.pages["demo"][0]["core-metadata"] = True
    server.on(METADATA, body(metadata_text("demo", "1.0", requires=["harmless"]).encode()))


# -- below HTTP ------------------------------------------------------------------------------------------


def sends(*pieces: bytes, interval: float = 0, forever: bool = False, reset: bool = False) -> Behaviour:
    """These bytes in place of an answer; then the connection is closed, or `reset`.

    `interval` seconds pass after each piece; `forever` sends the last one again and again.
    """

    def wire(connection: socket.socket) -> None:
        for piece in pieces:
            connection.sendall(piece)
            time.sleep(interval)
        while forever:
            connection.sendall(pieces[-1])
            time.sleep(interval)
        if reset:
            hang_up(connection)

    return lambda call, answer: Answer(wire=wire)


def resets_after(count: int) -> Behaviour:
    """The usual answer, but the connection is reset after `count` bytes of its body."""

    def bend(call: Call, answer: Answer) -> Answer:
        content = whole(answer)
        head = f"HTTP/1.1 200 OK\r\nContent-Type: {answer.headers['Content-Type']}\r\n"
        start = f"{head}Content-Length: {len(content)}\r\n\r\n".encode() + content[:count]
        return sends(start, interval=0.1, reset=True)(call, answer)

    return bend


def one_by_one(content: bytes, interval: float) -> Behaviour:
    """These bytes in place of an answer, one every `interval` seconds."""
    return sends(*(content[number : number + 1] for number in range(len(content))), interval=interval)
