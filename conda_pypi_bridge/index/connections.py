"""Connections over which no server can hold a thread up: every read of a socket keeps to a deadline.

A timeout alone bounds the silence between two bytes. A server that sends its status line, its headers or the
length of a chunk one byte at a time would hold a reader for hours, inside of a library that waits for all of
it. The deadline belongs to the thread that reads.
"""

from __future__ import annotations

import http.client
import io
import socket
import ssl
from pathlib import Path
from typing import Any

import urllib3
from requests.adapters import DEFAULT_CA_BUNDLE_PATH, HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.util.ssl_ import create_urllib3_context

from ..errors import ConfigError, IndexFailure
from .deadline import time_left
from .upstream import Upstreams

#: Connections kept open to one host: as many as there are fetching threads.
POOL = 16


class _Reader(io.RawIOBase):
    """What a socket brings; nothing once the deadline of the reading thread has passed."""

    def __init__(self, raw: io.RawIOBase, sock: socket.socket) -> None:
        self._raw = raw
        self._sock = sock
        self._silence = sock.gettimeout()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        left = time_left()
        if left <= 0:
            raise TimeoutError("the deadline has passed")
        if left < (self._silence or float("inf")):
            self._sock.settimeout(left)
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Response(http.client.HTTPResponse):
    def __init__(self, sock: socket.socket, *args: Any, **options: Any) -> None:
        super().__init__(sock, *args, **options)
        self.fp = io.BufferedReader(_Reader(self.fp.detach(), sock))


class _HTTPConnection(HTTPConnection):
    response_class = _Response


class _HTTPSConnection(HTTPSConnection):
    response_class = _Response


class _Bound(HTTPConnection):
    """Keeps to `upstreams` by the address that it has come to: a checked name may change its own."""

    upstreams: Upstreams

    def _new_conn(self) -> socket.socket:
        sock = super()._new_conn()
        address, port = sock.getpeername()[:2]
        if self.proxy is None and self.upstreams.misled(self.host, str(address), port):
            sock.close()
            reason = "it has come to be inside of this network, and is no index of ours"
            raise IndexFailure(self.host, reason, lasting=True)
        return sock


def _pools(upstreams: Upstreams | None) -> dict[str, type[HTTPConnectionPool]]:
    """Who makes connections, by scheme."""
    found: dict[str, type[HTTPConnectionPool]] = {}
    for pool, connection in ((HTTPConnectionPool, _HTTPConnection), (HTTPSConnectionPool, _HTTPSConnection)):
        bound = type("Connection", (_Bound, connection), {"upstreams": upstreams})
        made = connection if upstreams is None else bound
        found[pool.scheme] = type("Pool", (pool,), {"ConnectionCls": made})
    return found


class Adapter(HTTPAdapter):
    """An adapter of `requests` whose connections keep to deadlines, and to `upstreams`."""

    def __init__(self, upstreams: Upstreams | None = None) -> None:
        self._pools = _pools(upstreams)
        super().__init__(POOL, POOL)

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, **options)
        self.poolmanager.pool_classes_by_scheme = self._pools

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
        manager = super().proxy_manager_for(proxy, **options)
        manager.pool_classes_by_scheme = self._pools
        return manager


class TLSAdapter(Adapter):
    """An adapter whose connections share one TLS context: reading a CA bundle takes 20 ms each time.

    `cert` is a CA bundle (default: that of `requests`), `client_cert` a PEM file. Raises `ConfigError` for
    certificates that cannot be used.
    """

    def __init__(
        self,
        cert: str | None,
        client_cert: str | None,
        *,
        verify: bool,
        upstreams: Upstreams | None = None,
    ) -> None:
        self._context = _tls_context(cert or DEFAULT_CA_BUNDLE_PATH, client_cert, verify=verify)
        super().__init__(upstreams)

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, ssl_context=self._context, **options)

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
        return super().proxy_manager_for(proxy, ssl_context=self._context, **options)

    def cert_verify(self, conn: Any, url: str, verify: Any, cert: Any) -> None:
        """The context holds the trust: keep `requests` from loading its own bundle on top."""
        conn.cert_reqs = "CERT_REQUIRED" if verify else "CERT_NONE"


def _tls_context(bundle: str, client_cert: str | None, *, verify: bool) -> ssl.SSLContext:
    context = create_urllib3_context(cert_reqs=ssl.CERT_REQUIRED if verify else ssl.CERT_NONE)
    used = bundle
    try:
        if not verify:
            urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
        elif Path(bundle).is_dir():
            context.load_verify_locations(capath=bundle)
        else:
            context.load_verify_locations(cafile=bundle)
        if client_cert:
            used = client_cert
            context.load_cert_chain(client_cert)
    except OSError as error:  # ssl.SSLError is one
        raise ConfigError(f"cannot use the certificates in {used}: {error}") from None
    return context
