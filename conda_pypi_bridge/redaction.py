"""Text without what may be secret in its URLs, and in headers. Standard library only: kernels use it, too.

People and tools write URLs that RFC 3986 does not allow, with ``@``, ``/`` and ``?`` in a password, so
nothing is parsed here: what might belong to a secret goes, even if a harmless URL loses its host by it.
"""

from __future__ import annotations

import re

_STARS = "***"

#: A URL's words: up to white space or a quote. A file has no user information, and ``@`` in its path.
_URL = re.compile(r"(?<!file)://(?P<rest>[^\s'\"]+)")
#: conda's token in the path of a channel's URL.
CONDA_TOKEN = re.compile(r"/t/(?P<token>[^/]+)")
_HEADER = re.compile(r"(?i)((?:proxy-)?authorization['\"]?\s*[:=]\s*['\"]?(?:basic|bearer|digest)\s+)\S+")


def redact(text: str) -> str:
    """`text` as others may read it.

    URLs lose their user information (all up to the last ``@``) and conda's ``/t/TOKEN``; the values of their
    queries become ``***``, and so do credentials in Authorization headers.
    """
    text = _URL.sub(lambda url: f"://{_shown(url['rest'])}", text)
    return _HEADER.sub(rf"\1{_STARS}", text)


def _shown(rest: str) -> str:
    """What follows ``://``, without secrets."""
    hidden, _, place = rest.rpartition("@")
    if "?" in hidden:  # of a password, or the beginning of a query with an "@" in it
        return _STARS
    if "/" in hidden:  # of a password, or the host of a path with an "@" in it
        place = f"{_STARS}@{place}"
    place, mark, query = place.partition("?")
    return CONDA_TOKEN.sub("", place) + mark + "&".join(map(_masked, query.split("&")))


def _masked(parameter: str) -> str:
    """``key=***``; a parameter without a value may be a token itself."""
    key, _, value = parameter.partition("=")
    if value.strip("="):  # not the padding of base64
        return f"{key}={_STARS}"
    return _STARS if parameter else ""
