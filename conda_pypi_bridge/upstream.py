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


class Upstreams:
    """The hosts of `indexes` (URLs), and those that match one of `patterns` (fnmatch).

    Without patterns: every host, too, all of whose addresses are public ones. Safe for threads.
    """

    def __init__(self, indexes: Iterable[str], patterns: Iterable[str] = ()) -> None:
        hosts = (urlsplit(url).hostname for url in indexes)
        self._hosts = frozenset(host for host in hosts if host)
        self._patterns = tuple(pattern.lower() for pattern in patterns)
        self._seen: dict[str, tuple[float, bool]] = {}
        self._lock = threading.Lock()

    def refusal(self, url: str, *, proxied: bool = False) -> str:
        """Why `url` is not asked; "" where it may be. A proxy looks up addresses itself."""
        host = urlsplit(url).hostname or ""
        if host in self._hosts or any(fnmatchcase(host, pattern) for pattern in self._patterns):
            return ""
        if self._patterns:
            return f"{host} is none of the hosts that may be asked"
        if proxied and not _is_address(host):
            return ""
        return "" if self._is_public(host) else f"{host} is inside of this network, and no index of ours"

    def _is_public(self, host: str) -> bool:
        now = time.monotonic()
        with self._lock:
            until, known = self._seen.get(host, (0.0, False))
        if now < until:
            return known
        found = all(ipaddress.ip_address(address).is_global for address in _addresses(host))
        with self._lock:
            self._seen[host] = now + _BELIEVED, found
        return found


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
