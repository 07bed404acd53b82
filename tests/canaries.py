"""A canary: a secret that nobody else has, and the search for it, however it is written."""

from __future__ import annotations

import base64
import io
import os
import re
import threading
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import quote

from conda_pypi_bridge.building import zstd
from tests.indexserver import Answer, Call, IndexServer

#: Letters and digits alone, which neither URLs nor JSON nor HTML write in another way.
MARK = f"k{os.getpid():x}nary"

#: What readers of URLs stumble over stands between copies of the mark: whatever part of the secret stays
#: behind, a mark is in it.
SECRET = MARK + "".join(f"{sign}{MARK}" for sign in "@/:%#?& ;=")

ENCODED = quote(SECRET, safe="")


def _base64_of(word: bytes) -> Iterator[bytes]:
    """What base64 makes of a word, at each of the three places that it can begin at."""
    for shift in range(3):
        encoded = base64.b64encode(bytes(shift) + word + bytes(2))
        # characters that hold no bit of a neighbour
        yield encoded[-(-shift * 8 // 6) : (shift + len(word)) * 8 // 6]


IN_BASE64 = tuple(_base64_of(MARK.encode()))


def sightings(content: bytes) -> list[bytes]:
    """What stands around the first canary of each kind in `content`; nothing where there is none."""
    found = [content.lower().find(MARK.encode()), *map(content.find, IN_BASE64)]
    return [content[max(0, at - 60) : at + 80] for at in found if at >= 0]


def sightings_in(folder: Path, since: float = 0.0) -> list[tuple[str, bytes]]:
    """Canaries in the names and the contents of all files below `folder` that changed `since` (Unix time)."""
    found = []
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        found += [(name, seen) for seen in sightings(os.fsencode(name))]
        if path.is_file() and path.lstat().st_ctime >= since:
            found += [
                (f"{name}{inside}", seen)
                for inside, content in _contents(path.read_bytes())
                for seen in sightings(content)
            ]
    return found


def _contents(content: bytes) -> Iterator[tuple[str, bytes]]:
    """A file's content, and what is packed in it: wheels and ``.conda`` files are ZIP, and hold zstd."""
    yield "", content
    if content.startswith(b"PK\3\4"):
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            for name in archive.namelist():
                yield from ((f"!{name}{rest}", inner) for rest, inner in _contents(archive.read(name)))
    elif content.startswith(b"\x28\xb5\x2f\xfd"):
        yield "!", zstd.decompress(content)


def command_lines(but: Iterable[int] = ()) -> list[tuple[str, bytes]]:
    """Canaries on the command lines of processes, which every user of a machine may read."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes()
        except OSError:  # it has just ended
            continue
        if int(path.parent.name) not in {os.getpid(), *but}:
            found += [(str(path), seen) for seen in sightings(line)]
    return found


@dataclass
class Watch:
    """What was seen on command lines while servers were asked; `started` are processes of the test's own."""

    seen: list[tuple[str, bytes]] = field(default_factory=list)
    started: list[int] = field(default_factory=list)

    def look(self) -> None:
        self.seen += command_lines(self.started)


class PrivateIndex(IndexServer):
    """An index that nobody gets anything of without the secret.

    It looks at the command lines of all processes whenever it is asked. `demands` is where the secret is to
    be: ``"authorization"`` of the user `user`, ``"proxy-authorization"``, or a ``"token"`` in the query of
    each file, which its pages have in their links. Nothing is good enough once it is `closed`.
    """

    def __init__(self, watch: Watch, *, user: str = "me", demands: str = "authorization") -> None:
        super().__init__()
        self.user = user
        self.demands = demands
        self.closed = False
        #: How often the secret came.
        self.opened = 0
        self._watch = watch

    @property
    def private_url(self) -> str:
        """The index URL with the credentials in it."""
        return self.url.replace("://", f"://{self.user}:{ENCODED}@")

    def respond(self, call: Call) -> Answer:
        self._watch.look()
        if refusal := self._refusal(call):
            self.calls.append(call)
            self.sent.append(refusal.status)
            return refusal
        answer = super().respond(replace(call, path=call.path.partition("?")[0]))
        if self.demands != "token" or not isinstance(answer.body, bytes):
            return answer
        links = re.compile(rb"(/files/[^\"#]+)")
        return replace(answer, body=links.sub(rb"\1?token=%s&x=1" % ENCODED.encode(), answer.body))

    def _refusal(self, call: Call) -> Answer | None:
        """What whoever lacks the secret gets."""
        if self.demands == "token":
            opens = call.path.endswith(f"?token={ENCODED}&x=1")
            demanded, refusal = call.path.startswith("/files/"), Answer(403)
        else:
            opens = call.headers.get(self.demands) == basic(self.user)
            demanded, refusal = True, Answer(401, {"WWW-Authenticate": 'Basic realm="index"'})
            if self.demands == "proxy-authorization":
                refusal = Answer(407, {"Proxy-Authenticate": 'Basic realm="proxy"'})
        self.opened += opens
        return refusal if demanded and (self.closed or not opens) else None


def basic(user: str, password: str = SECRET) -> str:
    """The value of an Authorization header (RFC 7617)."""
    return f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"


class PrivateChannel:
    """A folder of channels over HTTP on loopback, inside ``with``, for those alone who have the secret.

    `demands` is ``"authorization"`` or a ``"token"`` in the path, as conda has it.
    """

    def __init__(self, folder: Path, watch: Watch, *, demands: str) -> None:
        self.closed = False
        self.opened = 0
        owner = self

        class Handler(SimpleHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                watch.look()
                if not owner._opens(self):
                    status = 401 if demands == "authorization" else 403
                    self.send_response(status)
                    self.send_header("WWW-Authenticate", 'Basic realm="channel"')
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                    return
                self.path = self.path.removeprefix(f"/t/{MARK}")
                super().do_GET()

            do_HEAD = do_GET  # noqa: N815

            def log_message(self, format: str, *args: object) -> None:
                """Nothing."""

        self._demands = demands
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder)))
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        host = f"127.0.0.1:{self._server.server_port}"
        self.private_url = {
            "authorization": f"http://me:{ENCODED}@{host}",
            "token": f"http://{host}/t/{MARK}",
        }[demands]

    def __enter__(self) -> PrivateChannel:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _opens(self, request: BaseHTTPRequestHandler) -> bool:
        """Whether a request has the secret, and that is good enough."""
        if self._demands == "token":
            has = request.path.startswith(f"/t/{MARK}/")
        else:
            has = request.headers.get("Authorization") == basic("me")
        self.opened += has
        return has and not self.closed
