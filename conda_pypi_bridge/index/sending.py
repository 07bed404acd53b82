"""Requests on their way: redirects, credentials, proxies and certificates, and what failures mean."""

from __future__ import annotations

import contextlib
import datetime as dt
import email.utils
import socket
import ssl
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Protocol
from urllib.parse import urljoin, urlsplit

import requests
import urllib3
from requests.auth import HTTPBasicAuth
from requests.utils import select_proxy

from .. import __version__
from ..config import IndexConfig
from ..credentials import Credentials, Redactor, origin, public_url, split_credentials
from ..errors import IndexFailure
from .answers import CHUNK, GONE, Answer, Limits, TryAgain
from .connections import Adapter, TLSAdapter
from .deadline import read_before
from .upstream import Upstreams

_DRAIN_SECONDS = 0.5
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
#: Besides 5xx: request timeout, too early, too many requests (RFC 9110, 8470, 6585).
_TRY_AGAIN = frozenset({408, 425, 429})
_NETWORK_HINT = "Check the network and the proxy; --offline makes do with what is in the cache."


class Failure(Protocol):
    """Makes the error for a URL, of a reason and perhaps a hint, free of secrets."""

    def __call__(
        self, url: str, reason: str, hint: str = "", /, *, lasting: bool = False
    ) -> IndexFailure: ...


class Sender:
    """Sends requests, one try each, over connections that are used again; for many threads at once.

    `sent` counts the requests by kind.
    """

    #: What the libraries raise where a request or the reading of its answer fails.
    FAULTS = (requests.RequestException, urllib3.exceptions.HTTPError)

    def __init__(
        self,
        config: IndexConfig,
        limits: Limits,
        credentials: Credentials,
        redact: Redactor,
        sent: Counter[str],
        failure: Failure,
    ) -> None:
        self._config = config
        self._limits = limits
        self._credentials = credentials
        self._redact = redact
        self._sent = sent
        self._failure = failure
        self._lock = threading.Lock()
        self._adapters: dict[str, Adapter] = {}
        self._proxies: dict[tuple[str, str, int | None], Mapping[str, str]] = {}
        self._session = requests.Session()
        self._session.headers["User-Agent"] = f"conda-pypi-bridge/{__version__}"
        self._session.proxies.update(config.proxies)
        self._upstreams: Upstreams | None = None
        if config.allowed_hosts is not None:
            ours = (*config.indexes, *config.find_links, *config.private.values())
            self._upstreams = Upstreams(ours, config.allowed_hosts)

    def close(self) -> None:
        """Close the connections."""
        with self._lock:
            for adapter in self._adapters.values():
                adapter.close()
            self._adapters.clear()

    @contextlib.contextmanager
    def open(
        self, url: str, kind: str, headers: Mapping[str, str], accept: frozenset[int], end: float
    ) -> Iterator[Answer]:
        """The answer to one request, after redirects and, where asked for, authentication."""
        response, url = self._follow(url, kind, headers, end)
        if response.status_code == 401 and self._credentials.ask(url):
            response.close()
            response, url = self._follow(url, kind, headers, end)
        try:
            if response.status_code not in accept:
                self._refuse(url, response)
            yield Answer(response, url, self._limits)
            _drain(response)
        finally:
            response.close()

    def _follow(
        self, url: str, kind: str, headers: Mapping[str, str], end: float
    ) -> tuple[requests.Response, str]:
        for _ in range(self._limits.redirects + 1):
            response = self._send(url, kind, headers, end - time.monotonic())
            location = response.headers.get("Location")
            if response.status_code not in _REDIRECTS or location is None:
                return response, url
            _drain(response)
            response.close()
            url = self._redirected(url, location)
        raise self._failure(url, f"more than {self._limits.redirects} redirects")

    def _redirected(self, url: str, location: str) -> str:
        """Where a redirect leads, if we go there (no other scheme, no downgrade, no credentials in it)."""
        try:
            target, _ = split_credentials(urljoin(url, location))
        except ValueError:
            raise self._failure(url, "it redirects to a URL that is not valid") from None
        before, after = urlsplit(url).scheme, urlsplit(target).scheme
        if after not in ("http", "https"):
            raise self._failure(url, f"it redirects to a {after[:20]}: URL", lasting=True)
        if (before, after) == ("https", "http"):
            reason = f"it redirects from https to http ({public_url(target)})"
            raise self._failure(url, reason, lasting=True)
        return target

    def _send(self, url: str, kind: str, headers: Mapping[str, str], left: float) -> requests.Response:
        """One request, to this host alone: credentials are looked up for it, never carried over.

        It has `left` seconds to be answered.
        """
        proxies = self._proxies_of(url)
        if self._upstreams is not None:
            proxied = select_proxy(url, dict(proxies)) is not None
            if refusal := self._upstreams.refusal(url, proxied=proxied):
                raise self._failure(url, refusal, lasting=True)
        found = self._credentials.find(url)
        # In UTF-8, which RFC 7617 recommends; requests would take Latin-1. Without credentials of ours it
        # looks into netrc.
        auth = HTTPBasicAuth(found.user.encode(), found.password.encode()) if found else None
        request = self._session.prepare_request(
            requests.Request("GET", url, headers=dict(headers), auth=auth)
        )
        self._redact.learn_header(request.headers.get("Authorization"))
        adapter, verify = self._adapter(url)
        with self._lock:
            self._sent[kind] += 1
        timeout = max(0.001, min(left, self._config.timeout))
        # Not session.send: it would read the body of a redirect, however long.
        return adapter.send(request, stream=True, timeout=timeout, verify=verify, proxies=proxies)

    def _proxies_of(self, url: str) -> Mapping[str, str]:
        """Configured ones, else the environment's; the host alone decides."""
        host = origin(url)
        if host not in self._proxies:
            settings = self._session.merge_environment_settings(url, {}, True, None, None)
            self._proxies[host] = settings["proxies"]
        return self._proxies[host]

    def _adapter(self, url: str) -> tuple[Adapter, bool]:
        """Who sends to `url`, and whether it checks certificates; made when first needed."""
        parts = urlsplit(url)
        trusted = not self._config.trusted_hosts.isdisjoint((parts.hostname or "", parts.netloc))
        kind = "trusted" if parts.scheme == "https" and trusted else parts.scheme
        with self._lock:
            if kind not in self._adapters:
                self._adapters[kind] = (
                    Adapter(self._upstreams) if kind == "http" else self._tls(verify=kind != "trusted")
                )
            return self._adapters[kind], kind != "trusted"

    def _tls(self, *, verify: bool) -> Adapter:
        cert, client_cert = self._config.cert, self._config.client_cert
        return TLSAdapter(cert, client_cert, verify=verify, upstreams=self._upstreams)

    def _refuse(self, url: str, response: requests.Response) -> None:
        """Raise what a status stands for."""
        status = response.status_code
        if status == 401:
            known = "refuses the credentials" if self._credentials.find(url) else "asks for credentials"
            raise self._failure(
                url,
                f"HTTP 401: {urlsplit(url).hostname} {known}",
                "Give them in the index URL, in netrc or in the keyring.",
            )
        if status == 403:
            raise self._failure(url, f"HTTP 403: {urlsplit(url).hostname} refuses access", lasting=True)
        if status in _TRY_AGAIN or status >= 500:
            delay = _retry_after(response.headers.get("Retry-After", ""))
            reason = f"HTTP {status}" + (f": it asks to come back in {delay:.0f} s" if delay else "")
            if delay is not None and delay > self._limits.retry_after:
                raise self._failure(url, reason)
            raise TryAgain(reason, delay)
        raise self._failure(url, f"HTTP {status}", lasting=status in GONE)

    def judge(self, url: str, error: Exception, seconds: float) -> TryAgain:
        """A fault of the connection: one that may pass is returned, any other raised.

        Where it is one of time, `seconds` have passed.
        """
        root = _root_cause(error)
        if isinstance(root, ssl.SSLCertVerificationError):
            raise self._failure(
                url,
                f"its certificate is not trusted ({root.verify_message})",
                "Name your organisation's CA bundle in pip's `cert` setting or SSL_CERT_FILE.",
            )
        if isinstance(error, (requests.exceptions.SSLError, urllib3.exceptions.SSLError)):
            raise self._failure(url, f"TLS failed ({root})")
        if isinstance(error, ValueError):
            # That of a proxy, perhaps: the error's own words quote a part of it.
            raise self._failure(url, "its URL, or that of the proxy, is not valid") from None
        if isinstance(error, (requests.Timeout, urllib3.exceptions.TimeoutError)):
            return TryAgain(f"no complete answer within {seconds:g} s", hint=_NETWORK_HINT)
        if isinstance(root, socket.gaierror):
            return TryAgain(f"{urlsplit(url).hostname} has no address ({root.strerror})", hint=_NETWORK_HINT)
        reason = getattr(root, "strerror", None) or str(root) or type(root).__name__
        return TryAgain(reason, hint=_NETWORK_HINT)


def _drain(response: requests.Response) -> None:
    """Take a short rest of the body, so that the connection can be used again."""
    length = response.headers.get("Content-Length", "")
    if length.isdigit() and int(length) < CHUNK:
        end = time.monotonic() + _DRAIN_SECONDS
        with contextlib.suppress(urllib3.exceptions.HTTPError), read_before(end):
            response.raw.read1(CHUNK, decode_content=True)


def _retry_after(text: str) -> float | None:
    """Seconds to wait (RFC 9110, section 10.2.3: a number, or a date)."""
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        date = email.utils.parsedate_to_datetime(text)
    except (TypeError, ValueError):
        return None
    now = dt.datetime.now(dt.timezone.utc)
    return max(
        0.0, (date if date.tzinfo else date.replace(tzinfo=dt.timezone.utc)).timestamp() - now.timestamp()
    )


def _root_cause(error: BaseException) -> BaseException:
    """The innermost exception: requests and urllib3 wrap them as `reason`, arguments or causes."""
    for inner in (getattr(error, "reason", None), *reversed(error.args), error.__cause__):
        if isinstance(inner, BaseException) and inner is not error:
            return _root_cause(inner)
    return error
