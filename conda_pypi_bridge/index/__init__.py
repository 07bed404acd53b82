"""The package index: project pages, metadata and wheels, from whatever indexes the user configured."""

from __future__ import annotations

import contextlib
import hashlib
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import chain
from pathlib import Path
from urllib.parse import urlsplit

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from ..config import IndexConfig
from ..credentials import origin, public_url
from ..digests import file_sha256
from ..errors import IndexFailure, MetadataRefused, OfflineError, OtherIndex
from ..locks import own_folder
from ..model import ProjectName, ProjectPage, Sdist, Wheel
from ..once import Once
from ..roster import Roster
from ..store import Store, staged
from .answers import ANSWERS, Answer, Limits
from .fetch import Fetcher
from .localindex import LocalIndexes, local_path, place_of, wheel_projects
from .origins import Origins
from .pages import Page, only, project_page
from .remotepages import RemotePages
from .remotezip import BadWheel, NoRanges, local_metadata, remote_metadata
from .rootpages import RootPages
from .transfer import Transfer

#: Bytes. The largest METADATA on public indexes have 2 MB.
METADATA_CAP = 1 << 23

#: Bytes, for a wheel whose page does not tell its size.
WHEEL_CAP = 1 << 34

#: A server that has no ``.metadata`` files may say so in more ways than 404.
_NOT_OFFERED = frozenset({400, 403, 404, 405, 406, 410})

_BLOCK = 1 << 20
_EVER = float("inf")

#: So many pages are remembered where they are not remembered for ever, and the metadata of as many wheels.
_PAGES = 500


class Index:
    """The indexes of `config`, as one. Its methods may be called from many threads at once.

    The first index over the network that has a project owns it, and no other is asked; files of the user's
    own ``file:`` indexes and --find-links places join what the owner has. `cache_dir` may be shared with
    other processes. `offline` answers from there alone. `origins` tells which index installed projects came
    from: nobody who took over a private name elsewhere can replace those. What a page says counts for
    `page_seconds`; for ever, by default, as one command must not see an index change. Where it does not, a
    bounded number of pages is remembered.
    """

    def __init__(
        self,
        config: IndexConfig,
        cache_dir: Path,
        *,
        offline: bool = False,
        limits: Limits | None = None,
        origins: Callable[[], Mapping[ProjectName, str]] = dict,
        page_seconds: float | None = None,
    ) -> None:
        self._config = config
        self._offline = offline
        self._fetcher = Fetcher(config, limits=limits)
        self._store = Store(cache_dir / "store")
        self._origins = Origins(config, origins, self._store)
        self._wheels = cache_dir / "wheels"
        #: The cache, where there is room for scratch folders too.
        self.folder = cache_dir
        seconds, most = (_EVER, _EVER) if page_seconds is None else (page_seconds, _PAGES)
        self._remote = RemotePages(self._fetcher, self._store, offline=offline, most_fresh=seconds)
        self._local = LocalIndexes(config.indexes, config.find_links, self._store, seconds=seconds)
        self._roots = RootPages(self._fetcher)
        self._pages: Once[tuple[ProjectName, Sequence[str]], ProjectPage | None] = Once(seconds, most)
        self._links: Once[str, Page] = Once(seconds)
        self._metadata: Once[str, bytes] = Once(_EVER, most)
        self._offers_metadata: Once[tuple[str, str, int | None], bool] = Once()

    @property
    def config(self) -> IndexConfig:
        """How the indexes are reached; it may hold credentials."""
        return self._config

    @property
    def requests(self) -> Counter[str]:
        """How many HTTP requests were sent, by kind: page, metadata, wheel."""
        return self._fetcher.requests

    def redact(self, text: str) -> str:
        """`text` without the secrets that this index knows of."""
        return self._fetcher.redact(text)

    def close(self) -> None:
        """Close the connections."""
        self._fetcher.close()

    def page(
        self, project: ProjectName, *, named: bool = False, version: str = "", renew: bool = False
    ) -> ProjectPage | None:
        """What there is of `project`, or None where no index has it.

        What is installed is asked for only where it came from; if that is not configured, only where the
        user `named` it. A `version` that was installed before is likewise asked for where that came from.
        With `renew` the index is asked whatever is remembered and however long it may be used.
        Raises `IndexFailure` when an index cannot be asked or gives no usable answer, which is never taken
        for absence; `OfflineError` when the answer is in no cache; `OtherIndex`.
        """
        came_from = self._origins.of(project, version)
        strayed = bool(came_from) and not self._origins.is_configured(came_from, project)
        if strayed and not named:
            raise OtherIndex(project, came_from)
        urls = self._origins.urls(project, came_from, named=named)
        if renew:
            self._pages.forget((project, urls))
        page = self._pages.get((project, urls), lambda: self._find(project, urls, renew))
        if strayed and page is None:
            raise OtherIndex(project, came_from, absent=True)
        return page

    def projects(self) -> Roster:
        """All projects of all indexes, as they tell now. Raises `IndexFailure` or `OfflineError`."""
        if self._offline:
            raise OfflineError("the list of all projects")
        remote = [url for url in self._config.indexes if local_path(url) is None]
        places = [url for url in self._config.find_links if local_path(url) is None]
        linked = [wheel_projects(self._links.get(url, partial(self._read_links, url))) for url in places]
        local = dict.fromkeys([*self._local.projects(), *chain(*linked)], 0)
        rosters = [self._roots.get(url) for url in remote]
        return Roster.joined([*rosters, Roster(local)] if local else rosters)

    def origin(self, project: ProjectName) -> str:
        """The index that the installed `project` came from; "" where nothing tells."""
        return self._origins.of(project)

    def strayed(self, project: ProjectName) -> str:
        """That index, if it is not configured now."""
        url = self._origins.of(project)
        return "" if not url or self._origins.is_configured(url, project) else url

    def metadata(self, wheel: Wheel) -> bytes:
        """The METADATA file of `wheel`, without downloading the wheel where that can be avoided.

        Raises `IndexFailure` or `OfflineError`.
        """
        return self._metadata.get(self._metadata_key(wheel), lambda: self._find_metadata(wheel))

    def download(
        self, wheel: Wheel, destination: Path, progress: Callable[[int], None] | None = None
    ) -> Path:
        """Bring `wheel` to the path `destination`, where it appears only once its sha256 is verified.

        `progress` is called with numbers of bytes, negative ones when the server makes us start over. Raises
        `IndexFailure`, also when the wheel's METADATA is not what the index said, or `OfflineError`.
        """
        self._bring(wheel, destination, progress or _nothing)
        self._check_promise(wheel, destination)
        self._origins.remember(wheel)
        return destination

    def download_source(self, sdist: Sdist, destination: Path) -> Path:
        """Bring a source distribution to the path `destination`, verified. Raises as `download`."""
        self._bring(sdist, destination, _nothing)
        return destination

    # Pages

    def _find(self, project: ProjectName, urls: Sequence[str], renew: bool) -> ProjectPage | None:
        pages = [*self._local.pages(project), *self._linked(project)]
        try:
            owner = self._owner(project, urls, renew)
        except OfflineError:
            if not pages:
                raise
            owner = None
        return _joined([*pages, owner] if owner else pages)

    def _owner(self, project: ProjectName, urls: Sequence[str], renew: bool) -> ProjectPage | None:
        """The page of the first of these indexes that has the project."""
        for url in urls:
            page = self._remote.get(f"{url}{project}/", project, renew=renew)
            if page is not None:
                return project_page(page, project, place_of(url))
        return None

    def _linked(self, project: ProjectName) -> list[ProjectPage]:
        """What the HTML pages that --find-links names have of the project."""
        pages = []
        for url in self._config.find_links:
            if local_path(url) is None:
                own = only(self._links.get(url, partial(self._read_links, url)), project)
                if own.files:
                    pages.append(project_page(own, project, place_of(url)))
        return pages

    def _read_links(self, url: str) -> Page:
        page = self._remote.get(url, None)
        if page is None:
            raise IndexFailure(public_url(url), "HTTP 404 (this URL comes from find-links)")
        return page

    # Metadata

    def _metadata_key(self, wheel: Wheel) -> str:
        """What an index said about a wheel is never taken for what another index says about it."""
        said_by = wheel.metadata_sha256 or origin(wheel.url)
        return f"metadata of {wheel.sha256} {said_by}"

    def _find_metadata(self, wheel: Wheel) -> bytes:
        key = self._metadata_key(wheel)
        content = self._store.get(key)
        if content is None:
            try:
                content = self._read_metadata(wheel)
            except BadWheel as error:
                raise MetadataRefused(public_url(wheel.url), str(error)) from None
            if fault := _fault(content, wheel):
                raise MetadataRefused(public_url(wheel.url), fault)
            self._store.put(key, content)
        return content

    def _read_metadata(self, wheel: Wheel) -> bytes:
        """METADATA from the cheapest place that has it. Raises `BadWheel`."""
        path = self._on_disk(wheel)
        if path:
            return local_metadata(path, wheel, METADATA_CAP)
        if self._offline:
            raise OfflineError(f"the metadata of {wheel.filename}")
        content = self._published(wheel)
        if content is not None:
            return content
        try:
            return remote_metadata(self._fetcher, wheel, METADATA_CAP)
        except NoRanges:
            kept = self._kept(wheel)
            self._transfer(wheel, kept, _nothing, parts=own_folder(self.folder))
            return local_metadata(kept, wheel, METADATA_CAP)

    def _published(self, wheel: Wheel) -> bytes | None:
        """The ``.metadata`` file beside the wheel (PEP 658), None where there is none.

        Some indexes have it but do not announce it: it is tried once on each host.
        """
        if wheel.metadata_sha256 is not None:
            return self._metadata_file(wheel)
        tried: list[bytes | None] = []

        def offers() -> bool:
            tried.append(self._metadata_file(wheel))
            return tried[0] is not None

        if not self._offers_metadata.get(origin(wheel.url), offers):
            return None
        return tried[0] if tried else self._metadata_file(wheel)

    def _metadata_file(self, wheel: Wheel) -> bytes | None:
        parts = urlsplit(wheel.url)
        url = parts._replace(path=f"{parts.path}.metadata").geturl()

        def read(answer: Answer) -> bytes | None:
            return answer.read(METADATA_CAP) if answer.status == 200 else None

        content = self._fetcher.fetch(url, read, kind="metadata", accept=ANSWERS | _NOT_OFFERED)
        if content is None or wheel.metadata_sha256:
            return content
        # A server may answer 200 with a page that says "not found".
        return content if _header(content, "Metadata-Version") else None

    # Wheels, and source distributions

    def _bring(self, wheel: Wheel | Sdist, destination: Path, progress: Callable[[int], None]) -> None:
        source = self._on_disk(wheel)
        if source:
            self._copy(wheel, source, destination, progress)
        elif self._offline:
            raise OfflineError(wheel.filename)
        else:
            self._transfer(wheel, destination, progress)

    def _kept(self, wheel: Wheel | Sdist) -> Path:
        """Where a wheel is kept that had to be downloaded for its metadata."""
        return self._wheels / wheel.sha256 / wheel.filename

    def _on_disk(self, wheel: Wheel | Sdist) -> Path | None:
        """The wheel's file, if it is on this disk already."""
        path = local_path(wheel.url)
        if path:
            if not path.is_file():
                raise IndexFailure(wheel.url, "the index lists a file that does not exist", lasting=True)
            return path
        kept = self._kept(wheel)
        if not kept.is_file():
            return None
        if file_sha256(kept) != wheel.sha256:
            kept.unlink()
            return None
        return kept

    def _transfer(
        self,
        wheel: Wheel | Sdist,
        destination: Path,
        progress: Callable[[int], None],
        parts: Path | None = None,
    ) -> None:
        with staged(destination, parts) as file:
            transfer = Transfer(wheel.url, file, size=wheel.size, cap=WHEEL_CAP, progress=progress)
            _check_hash(wheel, transfer.run(self._fetcher))

    def _copy(
        self, wheel: Wheel | Sdist, source: Path, destination: Path, progress: Callable[[int], None]
    ) -> None:
        digest = hashlib.sha256()
        with staged(destination) as file, source.open("rb") as original:
            while block := original.read(_BLOCK):
                digest.update(block)
                file.write(block)
                progress(len(block))
            _check_hash(wheel, digest.hexdigest())

    def _check_promise(self, wheel: Wheel, path: Path) -> None:
        """The wheel must hold the METADATA that was resolved with; else both are forgotten."""
        key = self._metadata_key(wheel)
        promised = self._metadata.known(key) or self._store.get(key)
        if promised is None:
            return
        with contextlib.suppress(BadWheel):  # the builder says better what is wrong with it
            if local_metadata(path, wheel, METADATA_CAP) != promised:
                self._metadata.forget(key)
                self._store.remove(key)
                path.unlink()
                reason = "the wheel's METADATA differs from the one that the index gave"
                raise IndexFailure(public_url(wheel.url), reason, lasting=True)


def _joined(pages: Sequence[ProjectPage]) -> ProjectPage | None:
    """One page with the files of all; of files with one name, the first counts."""
    if not pages:
        return None
    wheels = {wheel.filename: wheel for page in reversed(pages) for wheel in page.wheels}
    return replace(
        pages[-1],
        wheels=tuple(wheels.values()),
        sdists=tuple(dict.fromkeys(name for page in pages for name in page.sdists)),
        sources=tuple(sdist for page in pages for sdist in page.sources),
        refused={name: why for page in pages for name, why in page.refused.items() if name not in wheels},
    )


def _check_hash(wheel: Wheel | Sdist, digest: str) -> None:
    if digest != wheel.sha256:
        reason = f"its sha256 is {digest}, and the index says {wheel.sha256}"
        raise IndexFailure(public_url(wheel.url), reason, lasting=True)


def _header(content: bytes, name: str) -> str:
    """A header of a METADATA file: those come before the first empty line."""
    head = re.split(rb"\r?\n\r?\n", content, maxsplit=1)[0]
    found = re.search(rb"^%s[ \t]*:[ \t]*(.*?)[ \t]*\r?$" % name.encode(), head, re.MULTILINE | re.IGNORECASE)
    return found[1].decode("utf-8", "replace") if found else ""


def _fault(content: bytes, wheel: Wheel) -> str:
    """What is wrong with a METADATA that is to be that of `wheel`, wherever it came from, or nothing."""
    announced = wheel.metadata_sha256
    if announced and hashlib.sha256(content).hexdigest() != announced:
        return "the sha256 of its METADATA is not the one that the index announces"
    name, version = _header(content, "Name"), _header(content, "Version")
    try:
        same = str(canonicalize_name(name)) == wheel.project and Version(version) == wheel.version
    except InvalidVersion:
        same = False
    return "" if same else f"its METADATA is that of {name[:80]!r} {version[:80]!r}"


def _nothing(count: int) -> None:
    """Takes progress that nobody watches."""
