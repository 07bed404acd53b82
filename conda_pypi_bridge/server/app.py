"""The server as an ASGI application: the routes of a channel, and those of whoever runs it."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import re
from collections.abc import AsyncIterator, Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from ..channel.formats import compressed
from . import page
from .limits import Limits, Tokens, Workers
from .metrics import CONTENT_TYPE, Metrics
from .middleware import PREFIX, ROUTE, Admission, Observer
from .responses import Content, FileAnswer, plain

if TYPE_CHECKING:
    from ..channel.catalogue import Catalogue

#: The path of the channel of packages: its last part is the name that ``conda list`` shows.
CHANNEL = "pypi"

#: The path of the channel of wheels as they are, for clients that read such records (CEP 48).
WHEELS = "wheels"

_INDEX = "repodata_shards.msgpack.zst"
_DIGEST = re.compile(r"(?P<digest>[0-9a-f]{64})\.msgpack\.zst")

#: What changes is asked for every time, and answered with 304 where it has not.
_CHANGING = "no-cache"
_FOR_EVER = "max-age=31536000, immutable"


class Server:
    """Answers requests from `channels`, by their paths, asked in threads. `tokens` open all but health."""

    def __init__(
        self,
        channels: Mapping[str, Catalogue],
        *,
        tokens: Tokens | None = None,
        limits: Limits | None = None,
    ) -> None:
        self._channels = channels
        self._main = channels[CHANNEL]
        self._tokens = tokens or Tokens()
        self._limits = limits or Limits()
        # Shards may wait for packages to be built, which must not keep anybody from what is there.
        self._making = Workers(self._limits, "shard")
        self._reading = Workers(self._limits, "read")
        self._metrics = Metrics()
        self._made: dict[str, tuple[bytes, bytes, str]] = {}
        # Behind a shared cache, an answer to one who has a token must not reach one who has none.
        self._shared = "private" if self._tokens else "public"

    def application(self) -> Starlette:
        """The application for an ASGI server."""
        self._metrics.watch("shard_calls", "", lambda: self._making.under_way)
        self._metrics.watch("read_calls", "", lambda: self._reading.under_way)
        for channel, catalogue in self._channels.items():
            for name in catalogue.statistics():
                self._metrics.watch(name, channel, partial(_statistic, catalogue, name))
        made = Starlette(
            routes=[
                Route("/", self._page),
                Route("/healthz", self._health),
                Route("/readyz", self._ready),
                Route("/metrics", self._figures),
                *(route for channel in self._channels for route in self._routes(channel)),
            ],
            middleware=[
                Middleware(Observer, metrics=self._metrics, limits=self._limits),
                Middleware(Admission, tokens=self._tokens, limits=self._limits),
            ],
            exception_handlers={404: _missing, 405: _not_allowed},
            lifespan=self._lifespan,
        )
        # It would lead to where the Host header says, and lose the token of the path.
        made.router.redirect_slashes = False
        return made

    def _routes(self, channel: str) -> list[Route]:
        return [
            Route(f"/{channel}", self._to_page),
            Route(f"/{channel}/", self._to_page),
            Route(f"/{channel}/{{subdir}}/shards/{{name}}", partial(self._shard, channel)),
            Route(f"/{channel}/{{subdir}}/{{name}}", partial(self._file, channel)),
        ]

    @contextlib.asynccontextmanager
    async def _lifespan(self, app: Starlette) -> AsyncIterator[None]:
        yield
        self._making.close()
        self._reading.close()

    # -- channels --------------------------------------------------------------------------------------

    async def _shard(self, channel: str, request: Request) -> Response:
        request.scope["state"][ROUTE] = "shard"
        catalogue = self._channels[channel]
        subdir, match = request.path_params["subdir"], _DIGEST.fullmatch(request.path_params["name"])
        if not _has(catalogue, subdir) or match is None:
            return await _missing()
        digest = match["digest"]
        data = catalogue.warm(subdir, digest)
        if data is None:
            data = await self._making(catalogue.shard, subdir, digest, key=f"{channel} {subdir} {digest}")
        return self._content(request, data, _etag(data), "shard.zst", _FOR_EVER)

    async def _file(self, channel: str, request: Request) -> Response:
        """A listing of a subdir, or a package of it."""
        catalogue = self._channels[channel]
        subdir, name = request.path_params["subdir"], request.path_params["name"]
        if not _has(catalogue, subdir):
            return await _missing()
        listings: dict[str, Callable[[str], bytes]] = {
            _INDEX: catalogue.shard_index,
            "repodata.json": catalogue.repodata,
            "current_repodata.json": catalogue.current_repodata,
        }
        make = listings.get(name.removesuffix(".zst") if name.endswith(".json.zst") else name)
        if make is None:
            return await self._package(request, catalogue, subdir, name)
        request.scope["state"][ROUTE] = "index" if name == _INDEX else "repodata"
        data, etag = await self._listed(f"{channel} {subdir}/{name}", make, subdir)
        return self._content(request, data, etag, name, _CHANGING)

    def _content(self, request: Request, data: bytes, etag: str, name: str, caching: str) -> Response:
        caching = f"{self._shared}, {caching}"
        return Content(request, data, etag, name, caching, patience=self._limits.patience)

    async def _listed(self, key: str, make: Callable[[str], bytes], subdir: str) -> tuple[bytes, str]:
        """A listing and its validator."""
        return await self._reading(self._listing, key, make, subdir, key=key)

    def _listing(self, key: str, make: Callable[[str], bytes], subdir: str) -> tuple[bytes, str]:
        """Packed and hashed only when it is another than before."""
        document = make(subdir)
        known = self._made.get(key)
        if known is None or known[0] is not document:
            data = compressed(document) if key.endswith(".json.zst") else document
            known = self._made[key] = document, data, _etag(data)
        return known[1:]

    async def _package(self, request: Request, catalogue: Catalogue, subdir: str, name: str) -> Response:
        request.scope["state"][ROUTE] = "package"
        if not name.endswith(".conda"):
            return await _missing()
        found = await self._reading(catalogue.package, subdir, name)
        if found is None:
            return await _missing()
        artefact, file = found
        return FileAnswer(
            request,
            file,
            artefact.size,
            f'"{artefact.sha256}"',
            f"{self._shared}, {_FOR_EVER}",
            read=self._reading,
            patience=self._limits.patience,
        )

    # -- people and machines that look after it --------------------------------------------------------

    async def _page(self, request: Request) -> Response:
        request.scope["state"][ROUTE] = "page"
        query = request.query_params
        wanted, text = query.get("project", "")[:200], query.get("q", "")[:200].strip()
        shown = await self._reading(page.look, self._main, wanted, text)
        channel = f"{request.url.scheme}://{request.url.netloc}{request.scope['state'][PREFIX]}/{CHANNEL}"
        return Response(
            page.html(shown, channel),
            200 if shown.found else 404,
            {"Content-Security-Policy": page.POLICY, "Cache-Control": "no-store"},
            "text/html; charset=utf-8",
        )

    async def _to_page(self, request: Request) -> Response:
        """Somebody opened the channel's own URL in a browser."""
        request.scope["state"][ROUTE] = "page"
        return RedirectResponse(f"{request.scope['state'][PREFIX]}/", 302)

    async def _health(self, request: Request) -> Response:
        """Whether the process answers at all."""
        request.scope["state"][ROUTE] = "health"
        return plain(200, "ok", {"Cache-Control": "no-store"})

    async def _ready(self, request: Request) -> Response:
        """Whether clients would get an answer: an index can be made of what the store and the index have."""
        request.scope["state"][ROUTE] = "health"
        await self._listed(f"{CHANNEL} noarch/{_INDEX}", self._main.shard_index, "noarch")
        restriction = self._main.restriction
        told = f"ready, but nothing new is built: {restriction}" if restriction else "ready"
        return plain(200, told, {"Cache-Control": "no-store"})

    async def _figures(self, request: Request) -> Response:
        request.scope["state"][ROUTE] = "metrics"
        text = await asyncio.to_thread(self._metrics.text)
        return Response(text, 200, {"Content-Type": CONTENT_TYPE, "Cache-Control": "no-store"})


def _has(catalogue: Catalogue, subdir: str) -> bool:
    return subdir == "noarch" or subdir in catalogue.scope.subdirs


def _statistic(catalogue: Catalogue, name: str) -> int:
    return catalogue.statistics()[name]


def _etag(data: bytes) -> str:
    return f'"{hashlib.sha256(data).hexdigest()[:32]}"'


async def _missing(*_: object) -> Response:
    return plain(404, "there is nothing of that name here", {"Cache-Control": "no-store"})


async def _not_allowed(*_: object) -> Response:
    return plain(405, "only GET and HEAD are understood", {"Allow": "GET, HEAD"})
