"""Who may see which password: credentials are split off URLs once, and kept out of every message."""

from __future__ import annotations

import base64
import contextlib
import importlib
import json
import logging
import re
import threading
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple
from urllib.parse import quote, quote_plus, unquote, urlsplit, urlunsplit

from .redaction import CONDA_TOKEN, redact

_log = logging.getLogger(__name__)

#: Also of a path without a host, as libraries log it.
_QUERY = re.compile(r"(?<=[\w/])\?[^\s'\"<>]+")
_STARS = "****"

#: So many characters of a secret are still worth hiding.
_BEGINNING = 4


class Auth(NamedTuple):
    """A user name and a password (or token)."""

    user: str
    password: str


class _Scope(NamedTuple):
    origin: tuple[str, str, int | None]
    path: str
    auth: Auth


def split_credentials(url: str) -> tuple[str, Auth | None]:
    """`url` without its user information, and that information (RFC 3986, section 3.2.1)."""
    parts = urlsplit(url)
    userinfo, at, host = parts.netloc.rpartition("@")
    if not at:
        return url, None
    user, _, password = userinfo.partition(":")
    return urlunsplit(parts._replace(netloc=host)), Auth(unquote(user), unquote(password))


def split_token(url: str) -> tuple[str, str]:
    """`url` without the token of a conda channel (``/t/TOKEN``), and that token, "" where it has none."""
    found = CONDA_TOKEN.search(url)
    return (url.replace(found[0], "", 1), found["token"]) if found else (url, "")


def public_url(url: str) -> str:
    """`url` as it may be shown: without user information, query and fragment, where tokens live."""
    return urlunsplit(urlsplit(split_credentials(url)[0])._replace(query="", fragment=""))


def origin(url: str) -> tuple[str, str, int | None]:
    """Scheme, host and port: what credentials are bound to (RFC 6454)."""
    parts = urlsplit(url)
    port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    return parts.scheme, parts.hostname or "", port


class Redactor:
    """Takes everything that may be secret out of a text: known passwords, what `redact` finds, queries.

    Also a filter for `logging`, for the loggers of libraries that log URLs.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._secrets: frozenset[str] = frozenset()
        for secret in secrets:
            self.learn(secret)

    def learn(self, secret: str) -> None:
        """From now on, `secret` is taken out wherever it stands, percent-encoded or not."""
        # Short texts ("", "a", "pip") would blank out half of every message.
        if len(secret) > 3:
            # A new set each time: other threads may be reading the old one.
            self._secrets = self._secrets | set(_spellings(secret))

    def learn_auth(self, auth: Auth) -> None:
        """From now on, a password is taken out, and what Authorization headers make of it."""
        self.learn(auth.password)
        if len(auth.password) > 3:
            for charset in ("utf-8", "latin-1"):  # RFC 7617 allows both
                with contextlib.suppress(UnicodeEncodeError):
                    self.learn(base64.b64encode(":".join(auth).encode(charset)).decode())

    def learn_header(self, value: str | bytes | None) -> None:
        """From now on, what an Authorization header holds is taken out (RFC 7617)."""
        text = value.decode("latin-1") if isinstance(value, bytes) else value or ""
        kind, _, content = text.partition(" ")
        if content in self._secrets:
            return
        self.learn(content)
        if kind.lower() == "basic":
            with contextlib.suppress(ValueError):
                user, _, password = base64.b64decode(content).decode("utf-8", "replace").partition(":")
                self.learn_auth(Auth(user, password))

    def __call__(self, text: str) -> str:
        """`text` without secrets, at its end without the beginning of one: it may have been cut there."""
        for secret in sorted(self._secrets, key=len, reverse=True):
            text = text.replace(secret, _STARS)
        begun = max((_overlap(text, secret) for secret in self._secrets), default=0)
        if begun >= _BEGINNING:
            text = f"{text[:-begun]}{_STARS}"
        return _QUERY.sub(f"?{_STARS}", redact(text))

    def finds(self, content: bytes) -> bool:
        """Whether a known secret stands in `content`."""
        return any(secret.encode() in content for secret in self._secrets)

    def filter(self, record: logging.LogRecord) -> bool:
        """Redact a record in place; part of the `logging` filter protocol."""
        record.msg, record.args = self(record.getMessage()), None
        return True


class Credentials:
    """The user names and passwords of indexes, each for its own origin only (RFC 6454).

    `keyring` allows looking into the `keyring` library, if it is installed.
    """

    def __init__(self, redact: Redactor, *, keyring: bool = True) -> None:
        self._redact = redact
        self._keyring = keyring
        self._scopes: list[_Scope] = []
        self._asked: dict[tuple[str, str], Auth | None] = {}
        self._lock = threading.Lock()

    def learn(self, url: str) -> None:
        """Remember the credentials in `url`, if any, for its origin."""
        clean, auth = split_credentials(url)
        if auth:
            self._redact.learn_auth(auth)
            if not auth.password:
                # A user name alone is a token on some indexes, and asks for the keyring on others.
                auth = self._from_keyring(clean, auth.user) or auth
                self._redact.learn(auth.user)
            self._add(clean, auth)

    def find(self, url: str) -> Auth | None:
        """What may be sent to `url`: of those of its origin, those with the longest common path."""
        here, path = origin(url), urlsplit(url).path
        known = [scope for scope in self._scopes if scope.origin == here]
        if not known:
            return None
        return max(known, key=lambda scope: _common_folders(scope.path, path)).auth

    def ask(self, url: str) -> Auth | None:
        """What the keyring has for the host of a `url` that answered 401; remembered for that host."""
        auth = self._from_keyring(url, None)
        if auth:
            with self._lock:
                self._scopes = [scope for scope in self._scopes if scope.origin != origin(url)]
            self._add(url, auth)
        return auth

    def _add(self, url: str, auth: Auth) -> None:
        with self._lock:
            self._scopes = [*self._scopes, _Scope(origin(url), urlsplit(url).path, auth)]

    def _from_keyring(self, url: str, user: str | None) -> Auth | None:
        if not self._keyring:
            return None
        service = urlsplit(url).netloc
        with self._lock:
            key = (service, user or "")
            if key not in self._asked:
                self._asked[key] = _keyring_lookup((url, service), user)
            auth = self._asked[key]
        if auth:
            self._redact.learn_auth(auth)
        return auth


def _overlap(text: str, secret: str) -> int:
    """How many characters at the end of a text are the beginning of a secret."""
    counts = range(min(len(text), len(secret) - 1), 0, -1)
    return next((count for count in counts if text.endswith(secret[:count])), 0)


def _spellings(secret: str) -> Iterator[str]:
    """A secret as it is, and as URLs, forms, JSON and HTML have it."""
    import html

    for encoded in (quote(secret, safe=""), quote(secret), quote_plus(secret)):
        yield encoded
        yield re.sub(r"%[0-9A-F]{2}", lambda octet: octet[0].lower(), encoded)
    yield secret
    yield json.dumps(secret)[1:-1]
    yield html.escape(secret)


def _keyring_lookup(services: Iterable[str], user: str | None) -> Auth | None:
    """Ask by URL, then by host, as pip does. A keyring that is missing or locked has no answer."""
    try:
        keyring: Any = importlib.import_module("keyring")
        for service in services:
            found = keyring.get_credential(service, user)
            if found:
                return Auth(found.username, found.password)
    except ImportError:
        return None
    except Exception as error:  # keyring backends raise whatever their service raises
        _log.debug("keyring: %s", type(error).__name__)
    return None


def _common_folders(left: str, right: str) -> int:
    count = 0
    for a, b in zip(left.split("/"), right.split("/"), strict=False):
        if a != b:
            break
        count += 1
    return count
