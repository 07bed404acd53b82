"""What an index sends about one project, read into a `ProjectPage`: PEP 691 (JSON) and PEP 503 (HTML).

Pure: bytes in, values out. HTML is left to pypi-simple. JSON, which every install reads, in pages of up to
5000 files, is read here: pypi-simple takes 0.2 s to import and then twice as long for such a page. The tests
hold what is read against it.
"""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import unquote, urljoin, urlsplit
from warnings import simplefilter

from packaging.tags import parse_tag
from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename
from packaging.version import Version

from ..model import ProjectName, ProjectPage, Sdist, Wheel

if TYPE_CHECKING:
    from pypi_simple import Link, RepositoryPage

JSON_TYPE = "application/vnd.pypi.simple.v1+json"
HTML_TYPES = ("application/vnd.pypi.simple.v1+html", "text/html")

#: JSON first; older indexes have HTML alone (PEP 691, "Version + Format Selection").
ACCEPT = f"{JSON_TYPE}, {HTML_TYPES[0]};q=0.2, {HTML_TYPES[1]};q=0.01"

#: The API that is read here: PEP 629, 700, 708, 740, 792.
_MAJOR, _MINOR = 1, 4

#: What a flag says where a page may say more: why a file is yanked (PEP 592), the hash of its metadata (658).
_FLAG: dict[Any, Any] = {True: "", False: None}

_SHA256 = re.compile(r"[0-9a-fA-F]{64}")
#: Nothing that a path, a shell or a terminal could read as more than a name. `packaging` lets a build tag
#: and the tags hold anything.
_FILENAME = re.compile(r"[A-Za-z0-9][\w.!+-]*\.whl", re.ASCII)
#: A URL that needs nothing done to it: absolute, without fragment and user information.
_PLAIN = re.compile(r"https?://[\w.-]+(?::\d{1,5})?/[!\"$-~]*", re.ASCII)
_HOST = re.compile(r"(?:[\w.-]+|\[[0-9a-fA-F:.]+\])(?::\d{1,5})?")
_SDISTS = (".tar.gz", ".zip", ".tar.bz2", ".tar.xz", ".tgz")
_FILES = (".whl", *_SDISTS, ".egg", ".exe", ".msi", ".rpm", ".deb", ".dmg")


#: The longest text of an index that is shown.
_SHOWN = 200


class PageError(ValueError):
    """A page that must not be used; ``str()`` is the reason."""


class PageRefused(PageError):
    """A page that says itself that it must not be used: there is no use in asking again."""


def printable(text: str) -> str:
    """`text`, which a server may have written, as it may be shown on a terminal."""
    if text.isprintable():
        return text
    return "".join(character if character.isprintable() else "?" for character in text)


class Listing(NamedTuple):
    """One file as a page lists it, in wire values that are checked for their types alone.

    `yanked` is the reason, None for a file that is not yanked. `metadata` is the PEP 658 announcement: None
    where there is none, "" where it has no sha256.
    """

    filename: str
    url: str
    sha256: str = ""
    requires_python: str = ""
    yanked: str | None = None
    size: int | None = None
    upload_time: str = ""
    metadata: str | None = None


@dataclass(frozen=True, kw_only=True)
class Page:
    """A decoded page. `base` is what its relative URLs start from; `warnings` are sentences."""

    files: tuple[Listing, ...]
    base: str
    warnings: tuple[str, ...] = ()


def decode(body: bytes, content_type: str, url: str, project: ProjectName | None) -> Page:
    """Decode the page that `url` answered when it was asked for `project`.

    Without a project it is an HTML page with links to files of many (``--find-links``). Raises `PageError`
    for anything that is not a usable page.
    """
    kind, _, parameters = content_type.partition(";")
    kind = kind.strip().lower()
    if not body.strip():
        raise PageError("the answer is empty")
    if kind == JSON_TYPE and project:
        return _decode_json(body, url, project)
    if kind in HTML_TYPES:
        charset = re.search(r"charset=\"?([\w-]+)", parameters, re.IGNORECASE)
        page = decode_html(body, url, charset[1] if charset else "utf-8", project)
        if project and page.files and not only(page, project).files:
            raise PageError("the page is that of another project")
        return page
    raise PageError(f"the answer is of type {kind or 'unknown'!r}, not a package index page")


def project_page(page: Page, project: ProjectName, index: str, *, local: bool = False) -> ProjectPage:
    """Sort the files of `page` into wheels of `project`, sdists and refused ones.

    `local` pages come from the user's own disk: only they may list files on it.
    """
    wheels: dict[str, Wheel] = {}
    sdists: list[str] = []
    sources: list[Sdist] = []
    refused: dict[str, str] = {}
    unclear: set[str] = set()
    for listing in page.files:
        if listing.filename.endswith(_SDISTS):
            sdists.append(printable(listing.filename[:_SHOWN]))
            sources += _sdist(listing, page.base, local)
            continue
        try:
            wheel = _wheel(listing, project, page.base, index, local)
            if wheels.setdefault(wheel.filename, wheel).sha256 != wheel.sha256:
                unclear.add(wheel.filename)
                raise PageError("it is listed twice, with different hashes")
        except PageError as reason:
            refused[printable(listing.filename[:_SHOWN])] = str(reason)
    return ProjectPage(
        project=project,
        index=index,
        wheels=tuple(wheel for name, wheel in wheels.items() if name not in unclear),
        sdists=tuple(sdists),
        refused=refused,
        warnings=page.warnings,
        sources=tuple(sources),
    )


def only(page: Page, project: ProjectName) -> Page:
    """`page` with only those of its files that are named like files of `project`."""
    files = tuple(file for file in page.files if _is_named_like(file.filename, project))
    return Page(files=files, base=page.base, warnings=page.warnings)


def _is_named_like(filename: str, project: ProjectName) -> bool:
    """Whether the file can be one of `project`: in a wheel's name the project ends at the first hyphen
    (PEP 427); in the name of an old sdist it may hold hyphens itself."""
    if filename.endswith(".whl"):
        return str(canonicalize_name(filename.partition("-")[0])) == project
    return str(canonicalize_name(filename)).startswith(f"{project}-")


@lru_cache(maxsize=8192)
def _parse_head(head: str) -> tuple[str, Version, tuple[()] | tuple[int, str]]:
    """Project, version and build of ``{name}-{version}[-{build}]``. The wheels of one release share it."""
    name, version, build, _ = parse_wheel_filename(f"{head}-py3-none-any.whl")
    return str(name), version, build


_parse_tags = lru_cache(maxsize=8192)(parse_tag)


def _wheel(listing: Listing, project: ProjectName, base: str, index: str, local: bool) -> Wheel:
    """The wheel of one listing; `PageError` where a rule forbids it."""
    filename = listing.filename
    if not filename.endswith(".whl"):
        raise PageError("not a wheel")
    if not _FILENAME.fullmatch(filename):
        raise PageError("unsafe characters in the file name")
    try:
        head, *tags = filename[: -len(".whl")].rsplit("-", 3)
        name, version, build = _parse_head(head)
        fitting = _parse_tags("-".join(tags))
    except (InvalidWheelFilename, ValueError):
        raise PageError("not a valid wheel file name (PEP 427)") from None
    if name != project:
        raise PageError(f"a wheel of another project, {name}")
    if not _SHA256.fullmatch(listing.sha256):
        raise PageError("the sha256 hash is malformed" if listing.sha256 else "no sha256 hash")
    if listing.metadata and not _SHA256.fullmatch(listing.metadata):
        raise PageError("the sha256 hash of its metadata is malformed")
    return Wheel(
        filename=filename,
        project=project,
        version=version,
        build=build,
        tags=fitting,
        url=_absolute(listing.url, base, local),
        sha256=listing.sha256.lower(),
        size=listing.size,
        requires_python=listing.requires_python,
        yanked=listing.yanked,
        upload_time=_time(listing.upload_time),
        metadata_sha256=None if listing.metadata is None else listing.metadata.lower(),
        index_url=index,
    )


def _sdist(listing: Listing, base: str, local: bool) -> Iterator[Sdist]:
    """The source distribution of one listing, if it is a ``.tar.gz`` that has a sha256.

    Pages have thousands: what else there is to check is checked of the one that is wanted.
    """
    if listing.sha256 and listing.filename.endswith(".tar.gz"):
        with suppress(PageError):
            url = _absolute(listing.url, base, local)
            yield Sdist(listing.filename, url, listing.sha256.lower(), listing.size)


def _absolute(url: str, base: str, local: bool) -> str:
    """The URL of a file without fragment and user information, for records that others may read.

    The index's own credentials serve the files on its host.
    """
    if _PLAIN.fullmatch(url):
        return url
    try:
        url = (url if url.startswith(("https://", "http://")) else urljoin(base, url)).partition("#")[0]
    except ValueError:
        raise PageError("its URL is malformed") from None
    scheme, _, rest = url.partition("://")
    scheme = scheme.lower()
    if scheme == "file":
        if local:
            return url
        raise PageError("a page from the network lists a file: URL")
    if scheme not in ("http", "https"):
        raise PageError(f"its URL has the unsupported scheme {scheme[:20]!r}")
    host, slash, path = rest.partition("/")
    host = host.rpartition("@")[2]
    if not (_HOST.fullmatch(host) and path.isprintable()):
        raise PageError("its URL is malformed")
    return f"{scheme}://{host}{slash}{path}"


def _time(text: str) -> dt.datetime | None:
    """PEP 700's upload time, in UTC. An index that writes another format does not tell the time."""
    try:
        time = dt.datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        return None
    return time if time.tzinfo else time.replace(tzinfo=dt.timezone.utc)


def _decode_json(body: bytes, url: str, project: ProjectName) -> Page:
    try:
        page = json.loads(body)
    except (ValueError, RecursionError):
        raise PageError("the answer is not valid JSON") from None
    meta = _typed(page, "meta", dict, "the page") if isinstance(page, dict) else None
    if meta is None:
        raise PageError("the answer is not a project page (PEP 691)")
    warnings = _check_version(_typed(meta, "api-version", str, "meta") or "")
    name = _typed(page, "name", str, "the page") or ""
    if str(canonicalize_name(name)) != project:
        raise PageError(f"the page is that of another project, {name[:80]!r}")
    status = _typed(page, "project-status", dict, "the page") or {}
    warnings += _check_status(project, str(status.get("status", "active")), str(status.get("reason") or ""))
    files = _typed(page, "files", list, "the page")
    if files is None:
        raise PageError("the page has no list of files (PEP 691)")
    return Page(files=tuple(map(_json_listing, files)), base=url, warnings=warnings)


def _json_listing(row: Any) -> Listing:
    if not isinstance(row, dict):
        raise PageError("malformed page: a file is not an object")
    filename = _typed(row, "filename", str, "a file")
    url = _typed(row, "url", str, "a file")
    if not filename or not url:
        raise PageError("malformed page: a file has no name or no URL")
    hashes = _typed(row, "hashes", dict, filename) or {}
    size = row.get("size")
    if size is not None and (type(size) is not int or size < 0):
        raise PageError(f"malformed page: 'size' of {filename[:80]!r}")
    yanked = _typed(row, "yanked", (bool, str), filename)
    # PEP 714: the older name counts only where the newer one is missing.
    key = "core-metadata" if "core-metadata" in row else "dist-info-metadata"
    metadata = _typed(row, key, (bool, dict), filename)
    if isinstance(metadata, dict):
        metadata = str(metadata.get("sha256") or "")
    return Listing(
        filename,
        url,
        str(hashes.get("sha256") or ""),
        printable(_typed(row, "requires-python", str, filename) or ""),
        _reason(_FLAG.get(yanked, yanked)),
        size,
        _typed(row, "upload-time", str, filename) or "",
        _FLAG.get(metadata, metadata),
    )


def _reason(text: str | None) -> str | None:
    """Why a file is yanked, as a person may come to read it."""
    return text and printable(text[:_SHOWN])


def _typed(row: Mapping[str, Any], key: str, kind: type | tuple[type, ...], owner: str) -> Any:
    """A value that is missing (None) or of the right type."""
    value = row.get(key)
    if value is not None and not isinstance(value, kind):
        raise PageError(f"malformed page: {key!r} of {owner[:80]!r}")
    return value


def _check_version(text: str) -> tuple[str, ...]:
    """PEP 629: a greater major version must stop the client, a greater minor one should warn."""
    match = re.fullmatch(r"(\d{1,9})\.(\d{1,9})", text)
    if not match:
        raise PageError(f"the index gives no API version that can be read: {text[:20]!r}")
    if int(match[1]) != _MAJOR:
        raise PageRefused(f"the index speaks API version {text}, this client version {_MAJOR}")
    newer = int(match[2]) > _MINOR
    return (f"the index speaks API version {text}, newer than {_MAJOR}.{_MINOR}",) if newer else ()


def _check_status(project: str, status: str, reason: str) -> tuple[str, ...]:
    """PEP 792: files of a quarantined project must not be offered."""
    because = f": {reason[:2000]!r}" if reason else ""
    if status == "quarantined":
        raise PageRefused(f"the project is quarantined{because}")
    return (f"{project} is {status}{because}",) if status in ("archived", "deprecated") else ()


def decode_html(body: bytes, url: str, charset: str = "utf-8", project: ProjectName | None = None) -> Page:
    """Decode the PEP 503 page of `project`, or any HTML page with links to files (``--find-links``)."""
    try:
        text = body.decode(charset)
    except (UnicodeError, LookupError):
        raise PageError(f"the answer is not {charset} text") from None
    if "<" not in text:
        raise PageError("the answer is not HTML")
    page = _parse_html(text, url)
    files = tuple(filter(None, map(_html_listing, page.links)))
    if not files and any(not str(link.attrs["href"]).startswith("..") for link in page.links):
        raise PageError("the answer is a web page without links to files, not an index page")
    meta = {name: contents[0] for name, contents in page.pypi_meta.items()}
    warnings = _check_version(meta.get("repository-version", "1.0"))
    status, reason = meta.get("project-status", "active"), meta.get("project-status-reason", "")
    warnings += _check_status(project or "the project", status, reason)
    return Page(files=files, base=url, warnings=warnings)


def _parse_html(text: str, url: str) -> RepositoryPage:
    from pypi_simple import RepositoryPage, UnexpectedRepoVersionWarning, UnsupportedRepoVersionError

    # `_check_version` says it. Pages are read in threads, where `warnings.catch_warnings` is not safe.
    simplefilter("ignore", UnexpectedRepoVersionWarning)
    try:
        return RepositoryPage.from_html(text, url)
    except UnsupportedRepoVersionError as error:
        version = error.declared_version.strip()[:20]
        raise PageRefused(f"the index speaks API version {version}, this client version {_MAJOR}") from None
    except Exception as error:  # what the libraries raise for malformed pages has no common root
        raise PageError(f"the answer is not a readable HTML page ({type(error).__name__})") from error


def _html_listing(link: Link) -> Listing | None:
    """What `link` says of a file; None where it leads to something else."""
    url, _, fragment = link.url.partition("#")
    # PEP 503: the anchor's text must be the last component of the URL; the URL is what gets fetched.
    filename = unquote(urlsplit(url).path.rpartition("/")[2])
    if not filename.endswith(_FILES):
        return None
    values = {name: value for name, value in link.attrs.items() if isinstance(value, str)}
    algorithm, _, digest = fragment.partition("&")[0].partition("=")
    metadata = values.get("data-core-metadata", values.get("data-dist-info-metadata", "false"))  # PEP 714
    return Listing(
        filename,
        url,
        digest if algorithm == "sha256" else "",
        printable(values.get("data-requires-python", "")),
        _reason(values.get("data-yanked")),
        metadata=None if metadata == "false" else metadata.partition("sha256=")[2],
    )
