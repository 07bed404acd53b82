"""Which hosts may be asked, for a server that asks on behalf of others.

A page of an index can name any URL as that of a file, and a host can redirect anywhere. What runs inside of a
network must not be led to the services of that network so (server-side request forgery).
"""

from __future__ import annotations

import ipaddress
import socket
import threading
import time
from collections.abc import Iterable
from fnmatch import fnmatchcase
from urllib.parse import urlsplit

#: Seconds for which a host's addresses are believed.
_BELIEVED = 60.0

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address

#: IPv6 addresses that stand for the IPv4 address in their last 32 bits (RFC 6052).
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


class Upstreams:
    """The hosts of `indexes` (URLs) at their ports, and those that match one of `patterns` (fnmatch) at any.

    Without patterns: every host, too, all of whose addresses are public ones, or are where an index itself is
    asked (a gateway of the network may stand for index and files alike). Safe for threads.
    """

    def __init__(self, indexes: Iterable[str], patterns: Iterable[str] = ()) -> None:
        self._indexes = [
            (parts.hostname, port_of(url)) for url in indexes if (parts := urlsplit(url)).hostname
        ]
        self._patterns = tuple(pattern.lower() for pattern in patterns)
        self._seen: dict[tuple[str, int], tuple[float, bool]] = {}
        self._lock = threading.Lock()

    def refusal(self, url: str, *, proxied: bool = False) -> str:
        """Why `url` is not asked; "" where it may be. A proxy looks up addresses itself."""
        host, port = urlsplit(url).hostname or "", port_of(url)
        if self._is_named(host, port):
            return ""
        if self._patterns:
            return f"{host} is none of the hosts that may be asked (--allow-host {host})"
        if proxied and not _is_address(host):
            return ""
        if self._is_outside(host, port):
            return ""
        where = f"{host} is inside of this network"
        return f"{where}, and no index of ours has port {port} (--allow-host {host} admits it)"

    def misled(self, host: str, address: str, port: int) -> bool:
        """Whether a connection to `host` leads into this network after all: names change their address."""
        host = host.strip("[]").lower()
        return not (self._is_named(host, port) or self._is_open(address, port))

    def _is_named(self, host: str, port: int) -> bool:
        """Whether it is an index, or matches a pattern. At other ports of its machine are other services."""
        named = any(fnmatchcase(host, pattern) for pattern in self._patterns)
        return named or (host, port) in self._indexes

    def _is_outside(self, host: str, port: int) -> bool:
        now = time.monotonic()
        with self._lock:
            until, known = self._seen.get((host, port), (0.0, False))
        if now < until:
            return known
        found = all(self._is_open(address, port) for address in _addresses(host))
        with self._lock:
            self._seen[host, port] = now + _BELIEVED, found
        return found

    def _is_open(self, address: str, port: int) -> bool:
        """Whether an address is a public one, or that of an index."""
        return is_public(address) or any(
            port == own and address in _addresses(host) for host, own in self._indexes
        )


def port_of(url: str) -> int:
    """The port that a URL leads to."""
    parts = urlsplit(url)
    return parts.port or {"http": 80}.get(parts.scheme, 443)


def is_public(address: str) -> bool:
    """Whether an IP address is one that everybody on the Internet reaches."""
    parsed: _Address = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(parsed, ipaddress.IPv6Address):
        parsed = _within(parsed)
    return parsed.is_global and not parsed.is_multicast


def _within(address: ipaddress.IPv6Address) -> _Address:
    """The IPv4 address that an IPv6 one leads to, where it does (RFC 4291, 3056, 4380, 6052)."""
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    teredo = address.teredo
    return address.ipv4_mapped or address.sixtofour or (teredo[1] if teredo else address)


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _addresses(host: str) -> set[str]:
    """None for a host that has none: asking it says so better."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return set()
    return {str(address[0]).partition("%")[0] for *_, address in found}
