"""Project pages over the network, kept on disk and asked for again only if they changed (RFC 9111)."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace

from ..credentials import public_url, split_credentials
from ..errors import OfflineError, PageUnusable
from ..model import ProjectName
from ..store import Store
from .answers import Answer
from .fetch import Fetcher
from .pages import ACCEPT, Page, PageError, PageRefused, decode

#: Bytes. The largest pages in practice, of 10,000 files, have 4 MB.
PAGE_CAP = 1 << 25

#: How often a page that makes no sense is asked for: a proxy may have cut it short.
_TRIES = 3

#: One that took longer, in seconds, is not asked for again.
_SLOW = 4.0

#: The longest that an index may have us not look for new releases, in seconds.
_LONGEST_FRESH = 600

#: Characters of what an index has to say that are shown.
_SENTENCE = 400

_ABSENT = (404, 410)
_USERINFO = re.compile(rb"(?<=://)[^/\s'\"<>]*@")

#: The query of a file's URL, in JSON and in HTML.
_QUERY = re.compile(rb"""((?:"url"\s*:\s*|\bhref\s*=\s*)["']?[^\s"'?#>]*)\?[^\s"'#>]*""", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class Entry:
    """An answer as the cache keeps it; times are seconds since the epoch, `fresh_for` is in seconds."""

    status: int
    url: str
    content_type: str = ""
    etag: str = ""
    last_modified: str = ""
    checked: float = 0.0
    fresh_for: int = 0
    body: bytes = b""

    def to_bytes(self) -> bytes:
        header = {key: value for key, value in asdict(self).items() if key != "body"}
        return json.dumps(header).encode() + b"\n" + self.body

    @classmethod
    def from_bytes(cls, content: bytes) -> Entry:
        header, _, body = content.partition(b"\n")
        return cls(**json.loads(header), body=body)

    def is_fresh(self, most: float) -> bool:
        """Whether it may be used unasked, and is no more than `most` seconds old."""
        return 0 <= time.time() - self.checked < min(self.fresh_for, most)

    @property
    def conditions(self) -> dict[str, str]:
        """Headers that ask for the page only if it changed."""
        headers = {"If-None-Match": self.etag, "If-Modified-Since": self.last_modified}
        return {name: value for name, value in headers.items() if value}


class RemotePages:
    """Pages of indexes over the network. `offline` answers from the cache, however old.

    No page is used unasked for longer than `most_fresh`, in seconds, whatever the index allows.
    """

    def __init__(
        self, fetcher: Fetcher, store: Store, *, offline: bool = False, most_fresh: float = _LONGEST_FRESH
    ) -> None:
        self._fetcher = fetcher
        self._store = store
        self._offline = offline
        self._most_fresh = most_fresh

    def get(self, url: str, project: ProjectName | None, *, renew: bool = False) -> Page | None:
        """The page at `url`, None where the server has none.

        It must be the page of `project`; None stands for an HTML page of many. With `renew` the server is
        asked even where it said that this is not needed yet. Raises `IndexFailure` or, offline,
        `OfflineError`.
        """
        key = f"page 1 {split_credentials(url)[0]}"
        cached = self._cached(key)
        if self._offline and cached is None:
            raise OfflineError(f"the index page {public_url(url)}")
        if cached and (self._offline or (not renew and cached.is_fresh(self._most_fresh))):
            return self._checked(url, lambda: self._decode(cached, project))
        return self._checked(url, lambda: self._renew(url, key, cached, project))

    def _checked(self, url: str, decode: Callable[[], Page | None]) -> Page | None:
        try:
            return decode()
        except PageError as error:
            failure = self._fetcher.failure(url, self._fetcher.redact(str(error))[:_SENTENCE])
            if isinstance(error, PageRefused):
                raise PageUnusable(failure.url, failure.reason) from None
            raise failure from None

    def _decode(self, entry: Entry, project: ProjectName | None) -> Page | None:
        """The page of an answer, without our secrets in what it has to say."""
        if entry.status in _ABSENT:
            return None
        page = decode(entry.body, entry.content_type, entry.url, project)
        redact = self._fetcher.redact
        if not redact.finds(entry.body):
            return page
        files = tuple(file._replace(yanked=file.yanked and redact(file.yanked)) for file in page.files)
        return replace(page, files=files, warnings=tuple(map(redact, page.warnings)))

    def _renew(self, url: str, key: str, cached: Entry | None, project: ProjectName | None) -> Page | None:
        """Ask for a page, again if it makes no sense, and keep it if it does."""
        tries, begun = _TRIES, time.monotonic()
        while True:
            entry = self._ask(url, cached)
            try:
                page = self._decode(entry, project)
            except PageRefused:
                raise
            except PageError:
                cached, tries = None, tries - 1
                if not tries or time.monotonic() - begun > _SLOW:
                    raise
            else:
                self._keep(key, entry)
                return page

    def _cached(self, key: str) -> Entry | None:
        content = self._store.get(key)
        return None if content is None else Entry.from_bytes(content)

    def _keep(self, key: str, entry: Entry) -> None:
        """Store an answer, unless the index forbids it or has written one of our secrets into it."""
        if entry.fresh_for >= 0 and not self._fetcher.redact.finds(entry.to_bytes()):
            body = _USERINFO.sub(b"", entry.body) if b"@" in entry.body else entry.body
            body, queries = _QUERY.subn(rb"\1", body) if b"?" in body else (body, 0)
            if queries:
                # Tokens are in there. Without them the page serves offline; online it is fetched anew.
                entry = replace(entry, etag="", last_modified="", fresh_for=0)
            self._store.put(key, replace(entry, body=body).to_bytes())

    def _ask(self, url: str, cached: Entry | None) -> Entry:
        headers = {"Accept": ACCEPT, **(cached.conditions if cached else {})}

        def read(answer: Answer) -> Entry:
            fresh_for = _fresh_for(answer)
            if answer.status == 304 and cached is not None:
                return replace(cached, checked=time.time(), fresh_for=fresh_for)
            if answer.status not in (200, *_ABSENT):
                raise self._fetcher.failure(url, f"HTTP {answer.status}")
            return Entry(
                status=answer.status,
                url=public_url(answer.url),
                content_type=answer.headers.get("Content-Type", ""),
                etag=answer.headers.get("ETag", ""),
                last_modified=answer.headers.get("Last-Modified", ""),
                checked=time.time(),
                fresh_for=fresh_for,
                body=answer.read(PAGE_CAP) if answer.status == 200 else b"",
            )

        return self._fetcher.fetch(url, read, kind="page", headers=lambda: headers)


def _fresh_for(answer: Answer) -> int:
    """For how many seconds the answer may be used unasked; -1 where it must not be stored."""
    control = answer.headers.get("Cache-Control", "").lower()
    if "no-store" in control:
        return -1
    age = re.search(r"\bmax-age=(\d{1,9})", control)
    if answer.status in _ABSENT or "no-cache" in control or not age:
        return 0
    passed = answer.headers.get("Age", "0")
    return max(0, min(int(age[1]), _LONGEST_FRESH) - (int(passed) if passed.isdigit() else 0))
