"""HTTP for package indexes: one session, many threads, and no server that can hold us up or fill us up."""

from __future__ import annotations

import contextlib
import datetime as dt
import email.utils
import logging
import random
import socket
import ssl
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import urljoin, urlsplit
from urllib.request import getproxies

import requests
import urllib3
from requests.auth import HTTPBasicAuth

from . import __version__
from .config import IndexConfig
from .connections import Adapter, TLSAdapter, read_before
from .credentials import Auth, Credentials, Redactor, public_url, split_credentials
from .errors import ConfigError, IndexFailure
from .pages import printable

T = TypeVar("T")

_CHUNK = 1 << 16
_DRAIN_SECONDS = 0.5
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
#: What a caller is to judge itself.
ANSWERS = frozenset({200, 206, 304, 404, 410, 416})
#: Besides 5xx: request timeout, too early, too many requests (RFC 9110, 8470, 6585).
_TRY_AGAIN = frozenset({408, 425, 429})
#: Loggers of libraries that log the URLs they fetch.
_FOREIGN_LOGGERS = ("urllib3.connectionpool", "urllib3.util.retry")
_NETWORK_HINT = "Check the network and the proxy; --offline makes do with what is in the cache."


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a server may take from us; times in seconds, sizes in bytes.

    All tries together, with their redirects and the pauses between them, must end within `patience`, or the
    read timeout if longer; a transfer that comes forward is bound by its pace alone. A body read with a
    deadline must be complete within `body_seconds`; every body must bring `rate` bytes a second, measured
    over `stall_seconds`. A Retry-After beyond `retry_after` is not waited for. The n-th pause between tries
    is about `backoff` * 2**n.
    """

    redirects: int = 5
    body_seconds: float = 20.0
    stall_seconds: float = 10.0
    rate: int = 1024
    patience: float = 20.0
    retry_after: float = 15.0
    backoff: float = 0.25


class TryAgain(Exception):
    """A fault that may pass, after `delay` seconds where the server said so. `hint` is for the user."""

    def __init__(self, reason: str, delay: float | None = None, *, hint: str = "") -> None:
        super().__init__(reason)
        self.delay = delay
        self.hint = hint


class Answer:
    """An open response. `url` is where it came from after redirects; the body can be read once."""

    def __init__(self, response: requests.Response, url: str, limits: Limits) -> None:
        self.status: int = response.status_code
        self.headers: Mapping[str, str] = response.headers
        self.url = url
        self._raw: Any = response.raw
        self._limits = limits

    def read(self, cap: int) -> bytes:
        """The whole body, decoded, within the deadline. `IndexFailure` when it has more than `cap` bytes."""
        return b"".join(self._chunks(cap, deadline=True))

    def chunks(self, cap: int) -> Iterator[bytes]:
        """The body as it was sent, in pieces as they come.

        `IndexFailure` beyond `cap` bytes, or when it is too slow.
        """
        chunks = self._chunks(cap, deadline=False)
        while True:
            with read_before(time.monotonic() + self._limits.patience):  # anew for each
                chunk = next(chunks, b"")
            if not chunk:
                return
            yield chunk

    def _chunks(self, cap: int, *, deadline: bool) -> Iterator[bytes]:
        pace = _Pace(self._limits, deadline)
        total = 0
        # read1 returns what one read of the socket brings. read would wait until the chunk is full, and a
        # server that sends a byte a second would hold us for a day.
        while chunk := self._raw.read1(_CHUNK, decode_content=deadline):
            total += len(chunk)
            if total > cap:
                raise IndexFailure(public_url(self.url), f"the answer is larger than {cap} bytes")
            if reason := pace.fault(total):
                raise IndexFailure(public_url(self.url), reason)
            yield chunk


class _Pace:
    """Whether a transfer keeps up with the limits."""

    def __init__(self, limits: Limits, deadline: bool) -> None:
        self._limits = limits
        self._window = time.monotonic()
        self._end = self._window + limits.body_seconds if deadline else float("inf")
        self._before = 0

    def fault(self, total: int) -> str:
        """Why to give up after `total` bytes, or nothing."""
        now = time.monotonic()
        if now > self._end:
            return f"the answer was not complete after {self._limits.body_seconds:g} s"
        elapsed = now - self._window
        if elapsed >= self._limits.stall_seconds:
            if total - self._before < self._limits.rate * elapsed:
                return f"the answer came slower than {self._limits.rate} bytes a second"
            self._window, self._before = now, total
        return ""


class Fetcher:
    """Fetches over HTTP with retries, limits and credentials; safe to share between threads.

    `requests` counts what was sent, by kind. `redact` cleans a text of the secrets known so far.
    """

    def __init__(self, config: IndexConfig, *, limits: Limits | None = None) -> None:
        self._config = config
        self._limits = limits or Limits()
        self.redact = Redactor()
        self.credentials = Credentials(self.redact, keyring=config.keyring)
        for url in (*config.indexes, *config.find_links, *config.private.values()):
            self.credentials.learn(url)
        for kind, proxy in (*config.proxies.items(), *getproxies().items()):
            try:
                self.redact.learn_auth(split_credentials(proxy)[1] or Auth("", ""))
            except ValueError:
                raise ConfigError(f"the {kind} proxy has no valid URL") from None
        self.requests: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._adapters: dict[str, Adapter] = {}
        self._session = requests.Session()
        self._session.headers["User-Agent"] = f"conda-pypi-bridge/{__version__}"
        self._session.proxies.update(config.proxies)
        for name in _FOREIGN_LOGGERS:
            logging.getLogger(name).addFilter(self.redact)

    def fetch(
        self,
        url: str,
        read: Callable[[Answer], T],
        *,
        kind: str,
        headers: Callable[[], Mapping[str, str]] = dict,
        accept: frozenset[int] = ANSWERS,
        gained: Callable[[], int] = int,
    ) -> T:
        """What `read` makes of the answer to ``GET url``. It runs anew on every try.

        `headers` gives the request headers of each try; `read` sees the statuses in `accept` only, and may
        raise `TryAgain`. Any other status, and what stays broken after the configured retries, raises
        `IndexFailure`. `kind` is what the requests are counted as. `gained` tells how far a transfer that
        can be resumed has come: tries that brought it forward are not counted.
        """
        url = split_credentials(url)[0]
        patience = max(self._limits.patience, self._config.timeout)
        tries, before, end = 0, gained(), time.monotonic() + patience
        while True:
            try:
                with read_before(end), self._open(url, kind, headers(), accept, end) as answer:
                    return read(answer)
            except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
                late = time.monotonic() >= end
                fault = self._judge(url, error, patience if late else self._config.timeout)
            except TryAgain as error:
                fault = error
            if gained() > before:
                tries, before, end = 0, gained(), time.monotonic() + patience
            tries += 1
            pause = self._limits.backoff * 2 ** (tries - 1) * random.uniform(0.5, 1.5)
            pause = pause if fault.delay is None else fault.delay
            if tries > self._config.retries or time.monotonic() + pause > end:
                raise self.failure(url, f"{fault} ({tries} tries)" if tries > 1 else str(fault), fault.hint)
            time.sleep(pause)

    def failure(self, url: str, reason: str, hint: str = "") -> IndexFailure:
        """The error to raise for `url`, free of secrets and of characters that a terminal would obey."""
        return IndexFailure(printable(public_url(url)), printable(self.redact(reason)), hint=hint)

    @contextlib.contextmanager
    def _open(
        self, url: str, kind: str, headers: Mapping[str, str], accept: frozenset[int], end: float
    ) -> Iterator[Answer]:
        """The answer to one request, after redirects and, where asked for, authentication."""
        response, url = self._follow(url, kind, headers, end)
        if response.status_code == 401 and self.credentials.ask(url):
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
        raise self.failure(url, f"more than {self._limits.redirects} redirects")

    def _redirected(self, url: str, location: str) -> str:
        """Where a redirect leads, if we go there (no other scheme, no downgrade, no credentials in it)."""
        try:
            target, _ = split_credentials(urljoin(url, location))
        except ValueError:
            raise self.failure(url, "it redirects to a URL that is not valid") from None
        before, after = urlsplit(url).scheme, urlsplit(target).scheme
        if after not in ("http", "https"):
            raise self.failure(url, f"it redirects to a {after[:20]}: URL")
        if (before, after) == ("https", "http"):
            raise self.failure(url, f"it redirects from https to http ({public_url(target)})")
        return target

    def _send(self, url: str, kind: str, headers: Mapping[str, str], left: float) -> requests.Response:
        """One request, to this host alone: credentials are looked up for it, never carried over.

        It has `left` seconds to be answered.
        """
        found = self.credentials.find(url)
        # In UTF-8, which RFC 7617 recommends; requests would take Latin-1. Without credentials of ours it
        # looks into netrc.
        auth = HTTPBasicAuth(found.user.encode(), found.password.encode()) if found else None
        request = self._session.prepare_request(
            requests.Request("GET", url, headers=dict(headers), auth=auth)
        )
        self.redact.learn_header(request.headers.get("Authorization"))
        proxies = self._session.merge_environment_settings(url, {}, True, None, None)["proxies"]
        adapter, verify = self._adapter(url)
        with self._lock:
            self.requests[kind] += 1
        timeout = max(0.001, min(left, self._config.timeout))
        # Not session.send: it would read the body of a redirect, however long.
        return adapter.send(request, stream=True, timeout=timeout, verify=verify, proxies=proxies)

    def _adapter(self, url: str) -> tuple[Adapter, bool]:
        """Who sends to `url`, and whether it checks certificates; made when first needed."""
        parts = urlsplit(url)
        trusted = not self._config.trusted_hosts.isdisjoint((parts.hostname or "", parts.netloc))
        kind = "trusted" if parts.scheme == "https" and trusted else parts.scheme
        with self._lock:
            if kind not in self._adapters:
                self._adapters[kind] = Adapter() if kind == "http" else self._tls(verify=kind != "trusted")
            return self._adapters[kind], kind != "trusted"

    def _tls(self, *, verify: bool) -> Adapter:
        return TLSAdapter(self._config.cert, self._config.client_cert, verify=verify)

    def close(self) -> None:
        """Close the connections."""
        with self._lock:
            for adapter in self._adapters.values():
                adapter.close()
            self._adapters.clear()
        for name in _FOREIGN_LOGGERS:
            logging.getLogger(name).removeFilter(self.redact)

    def _refuse(self, url: str, response: requests.Response) -> None:
        """Raise what a status stands for."""
        status = response.status_code
        if status == 401:
            known = "refuses the credentials" if self.credentials.find(url) else "asks for credentials"
            raise self.failure(
                url,
                f"HTTP 401: {urlsplit(url).hostname} {known}",
                "Give them in the index URL, in netrc or in the keyring.",
            )
        if status == 403:
            raise self.failure(url, f"HTTP 403: {urlsplit(url).hostname} refuses access")
        if status in _TRY_AGAIN or status >= 500:
            delay = _retry_after(response.headers.get("Retry-After", ""))
            reason = f"HTTP {status}" + (f": it asks to come back in {delay:.0f} s" if delay else "")
            if delay is not None and delay > self._limits.retry_after:
                raise self.failure(url, reason)
            raise TryAgain(reason, delay)
        raise self.failure(url, f"HTTP {status}")

    def _judge(self, url: str, error: Exception, seconds: float) -> TryAgain:
        """A fault of the connection: one that may pass is returned, any other raised.

        Where it is one of time, `seconds` have passed.
        """
        root = _root_cause(error)
        if isinstance(root, ssl.SSLCertVerificationError):
            raise self.failure(
                url,
                f"its certificate is not trusted ({root.verify_message})",
                "Name your organisation's CA bundle in pip's `cert` setting or SSL_CERT_FILE.",
            )
        if isinstance(error, (requests.exceptions.SSLError, urllib3.exceptions.SSLError)):
            raise self.failure(url, f"TLS failed ({root})")
        if isinstance(error, ValueError):
            # That of a proxy, perhaps: the error's own words quote a part of it.
            raise self.failure(url, "its URL, or that of the proxy, is not valid") from None
        if isinstance(error, (requests.Timeout, urllib3.exceptions.TimeoutError)):
            return TryAgain(f"no complete answer within {seconds:g} s", hint=_NETWORK_HINT)
        if isinstance(root, socket.gaierror):
            return TryAgain(f"{urlsplit(url).hostname} has no address ({root.strerror})", hint=_NETWORK_HINT)
        reason = getattr(root, "strerror", None) or str(root) or type(root).__name__
        return TryAgain(reason, hint=_NETWORK_HINT)


def _drain(response: requests.Response) -> None:
    """Take a short rest of the body, so that the connection can be used again."""
    length = response.headers.get("Content-Length", "")
    if length.isdigit() and int(length) < _CHUNK:
        end = time.monotonic() + _DRAIN_SECONDS
        with contextlib.suppress(urllib3.exceptions.HTTPError), read_before(end):
            response.raw.read1(_CHUNK, decode_content=True)


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
