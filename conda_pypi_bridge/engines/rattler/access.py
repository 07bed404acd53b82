"""What opens private channels: taken out of their URLs, and put into requests.

rattler writes a channel's URL into the environment's records, where conda stumbles over a token that rattler
made unreadable, and into its caches, where the whole of it is.
"""

from __future__ import annotations

import base64
from urllib.parse import urlsplit

from rattler.networking import (
    AddHeadersMiddleware,
    AuthenticationMiddleware,
    Client,
    GCSMiddleware,
    MirrorMiddleware,
    OciMiddleware,
    RetryMiddleware,
    S3Middleware,
)

from ...credentials import Auth, split_credentials, split_token

#: rattler's own number of tries after the first.
_RETRIES = 3


class Access:
    """The credentials of channels, each for the URLs below its own channel."""

    def __init__(self) -> None:
        self._headers: dict[tuple[str, str], str] = {}
        self._mirrors: dict[str, list[str]] = {}

    def public(self, url: str) -> str:
        """The `url` of a channel without user information (RFC 3986) and conda's ``/t/TOKEN``."""
        named, auth = split_credentials(url)
        public, token = split_token(named)
        if token:
            self._mirrors[public.rstrip("/")] = [named.rstrip("/")]
        if auth:
            parts = urlsplit(named)
            self._headers[parts.hostname or "", f"{parts.path.rstrip('/')}/"] = _basic(auth)
        return public

    def client(self) -> Client | None:
        """What reads channels with these credentials; None where rattler's own client does."""
        if not (self._headers or self._mirrors):
            return None
        return Client(
            [
                MirrorMiddleware(self._mirrors),
                AddHeadersMiddleware(self._header),
                RetryMiddleware(_RETRIES),
                AuthenticationMiddleware(),
                OciMiddleware(),
                GCSMiddleware(),
                S3Middleware(),
            ]
        )

    def _header(self, host: str, path: str) -> dict[str, str] | None:
        """The header for a request: that of the nearest channel which the path is below."""
        found = [place for place in self._headers if place[0] == host and path.startswith(place[1])]
        if not found:
            return None
        return {"Authorization": self._headers[max(found, key=lambda place: len(place[1]))]}


def _basic(auth: Auth) -> str:
    """RFC 7617."""
    return f"Basic {base64.b64encode(':'.join(auth).encode()).decode()}"
