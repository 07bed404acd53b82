"""Indexes on the user's own disk: ``file:`` indexes and --find-links folders, as pip reads them."""

from __future__ import annotations

import urllib.request
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from urllib.parse import urljoin, urlsplit

from ..credentials import origin, public_url
from ..digests import file_sha256
from ..errors import IndexFailure
from ..model import ProjectName, ProjectPage
from ..once import Once
from ..redaction import redact
from ..store import Store
from .pages import Listing, Page, PageError, decode_html, only, project_page


def local_path(place: str) -> Path | None:
    """The path of a ``file:`` URL or of a plain path; None for the URL of something else."""
    parts = urlsplit(place)
    if parts.scheme == "file":
        return Path(urllib.request.url2pathname(parts.path))
    return None if parts.scheme in ("http", "https") else Path(place)


def place_of(text: str) -> str:
    """The URL of an index or a --find-links place as packages made of its wheels remember it: no secrets."""
    path = local_path(text)
    return path.absolute().as_uri() if path else redact(public_url(text))


def same_place(one: str, other: str) -> bool:
    """Whether two such URLs lead to the same place."""
    return origin(one) == origin(other) and urlsplit(one).path.rstrip("/") == urlsplit(other).path.rstrip("/")


class LocalIndexes:
    """What simple indexes (a folder for each project) and --find-links places on the disk have.

    A --find-links place is a folder of files, or an HTML file with links. Places that do not exist are
    passed over, as pip does; those that cannot be read raise `IndexFailure`. `store` remembers the hashes
    of files that come without. A --find-links place is looked at again after `seconds`.
    """

    def __init__(
        self,
        indexes: Iterable[str],
        find_links: Iterable[str],
        store: Store,
        *,
        seconds: float = float("inf"),
    ) -> None:
        self._indexes = [path for path in map(local_path, indexes) if path]
        self._find_links = [path for path in map(local_path, find_links) if path]
        self._store = store
        self._mixed: Once[Path, Page | None] = Once(seconds)

    def pages(self, project: ProjectName) -> list[ProjectPage]:
        """What each place has of `project`, places without any of its files left out."""
        found = [(index, _read_index(index / project)) for index in self._indexes]
        for place in self._find_links:
            mixed = self._mixed.get(place, partial(_read_place, place))
            found.append((place, only(mixed, project) if mixed else None))
        return [self._page(page, place, project) for place, page in found if page and page.files]

    def projects(self) -> Iterator[str]:
        """The names of all projects, as they are spelled."""
        for index in filter(Path.is_dir, self._indexes):
            yield from (folder.name for folder in index.iterdir() if folder.is_dir())
        for place in self._find_links:
            mixed = self._mixed.get(place, partial(_read_place, place))
            yield from wheel_projects(mixed) if mixed else ()

    def _page(self, page: Page, place: Path, project: ProjectName) -> ProjectPage:
        files = tuple(self._with_hash(listing, page.base) for listing in page.files)
        page = Page(files=files, base=page.base, warnings=page.warnings)
        return project_page(page, project, place_of(str(place)), local=True)

    def _with_hash(self, listing: Listing, base: str) -> Listing:
        """A file on this disk needs no hash from its page: it is what the user put there."""
        path = local_path(urljoin(base, listing.url))
        if listing.sha256 or path is None or not path.is_file():
            return listing
        status = path.stat()
        key = f"sha256 of {path} {status.st_size} {status.st_mtime_ns}"
        known = self._store.get(key)
        digest = known.decode() if known else file_sha256(path)
        if not known:
            self._store.put(key, digest.encode())
        return listing._replace(sha256=digest, size=status.st_size)


def wheel_projects(page: Page) -> Iterator[str]:
    """The projects that a page of many has wheels of (PEP 427)."""
    return (file.filename.partition("-")[0] for file in page.files if file.filename.endswith(".whl"))


def _read_index(folder: Path) -> Page | None:
    """The page of one project in a simple index: ``index.html``, or just the files."""
    html = folder / "index.html"
    return _read_place(html if html.is_file() else folder)


def _read_place(place: Path) -> Page | None:
    """An HTML file with links to files, or a folder of files; None where there is neither."""
    url = place.absolute().as_uri()
    try:
        if place.is_file():
            return decode_html(place.read_bytes(), url)
        if not place.is_dir():
            return None
        files = sorted(file.absolute() for file in place.iterdir() if file.suffix == ".whl")
    except (PageError, OSError) as error:
        raise IndexFailure(url, str(error)) from None
    listings = tuple(Listing(file.name, file.as_uri(), "", "", None, None, "", None) for file in files)
    return Page(files=listings, base=f"{url}/")
