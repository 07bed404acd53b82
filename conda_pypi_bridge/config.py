"""Where the package index is and how to reach it: pip's configuration, read as pip reads it.

Precedence, highest first: command line, ``PIP_*`` variables, pip's configuration files (PIP_CONFIG_FILE,
site, user, global), pip's defaults (pip documentation, "Configuration"). Proxies and netrc are left to
`requests`, which reads them from the process environment.
"""

from __future__ import annotations

import ast
import configparser
import importlib.util
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import MappingProxyType
from urllib.parse import urlsplit

from .errors import ConfigError
from .redaction import redact

#: Seconds of silence before a connection is given up: pip's default.
TIMEOUT = 15.0

#: Tries after the first.
RETRIES = 3

#: Sections of a configuration file that concern ``pip install``, in increasing precedence.
_SECTIONS = ("global", "install")

#: Where a CA bundle is named outside pip: what `requests` reads, then what OpenSSL reads.
_BUNDLE_VARIABLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE")

_TRUTH = dict.fromkeys(("y", "yes", "t", "true", "on", "1"), True) | dict.fromkeys(
    ("n", "no", "f", "false", "off", "0"), False
)


@dataclass(frozen=True, kw_only=True)
class IndexConfig:
    """How to reach the package indexes.

    `indexes` are base URLs ending in ``/``, which may hold credentials (so ``repr`` hides them): the
    first one over the network that has a project owns it. What ``file:`` indexes and `find_links` (folders,
    HTML files or URLs of HTML pages) offer joins what the owner offers. `cert` is a CA bundle,
    `client_cert` a PEM file. `timeout` is in seconds of silence; `retries` counts tries after the first.
    `trusted_hosts` (``host`` or ``host:port``) have their certificates unchecked. `private` maps patterns
    (fnmatch) of normalised names to the only index that may be asked for them; "" stands for all but
    `public_index`. `allowed_hosts`, where it is not None, are the only hosts that are asked beside those of
    the indexes (patterns; empty: all that have public addresses).
    """

    indexes: tuple[str, ...] = field(default=(), repr=False)
    find_links: tuple[str, ...] = field(default=(), repr=False)
    public_index: str = ""
    cert: str | None = None
    client_cert: str | None = None
    proxies: Mapping[str, str] = field(default_factory=dict, repr=False)
    timeout: float = TIMEOUT
    retries: int = RETRIES
    trusted_hosts: frozenset[str] = frozenset()
    private: Mapping[str, str] = field(default_factory=dict, repr=False)
    keyring: bool = True
    allowed_hosts: frozenset[str] | None = None


def load(
    index_url: str | None = None,
    extra_index_urls: Iterable[str] = (),
    *,
    environ: Mapping[str, str] = os.environ,
    home: Path | None = None,
    prefix: Path | None = None,
    private: Mapping[str, str] = MappingProxyType({}),
    platform: str = sys.platform,
) -> IndexConfig:
    """The configuration that ``pip install`` would have in the environment `prefix`.

    `index_url` replaces pip's setting and `extra_index_urls` add to it, as on pip's command line. The
    public index is asked last wherever it stands, so that nobody can take over a private name there.
    Raises `ConfigError` for a file or a value that cannot be used.
    """
    home = home or Path.home()
    settings = _settings(environ, home, prefix, platform)
    public = default_index()
    extra = (*settings.get("extra-index-url", "").split(), *extra_index_urls)
    urls = () if _boolean(settings, "no-index") else (index_url or settings.get("index-url", public), *extra)
    indexes = dict.fromkeys(_index_url(url) for url in urls)
    proxy = settings.get("proxy")
    return IndexConfig(
        indexes=tuple(sorted(indexes, key=lambda url: url == public)),
        find_links=tuple(_find_links(text, home) for text in settings.get("find-links", "").split()),
        public_index=public,
        cert=settings.get("cert") or next(filter(None, map(environ.get, _BUNDLE_VARIABLES)), None),
        client_cert=settings.get("client-cert"),
        proxies={"http": proxy, "https": proxy} if proxy else {},
        timeout=_number(settings, "timeout", _number(settings, "default-timeout", TIMEOUT)),
        retries=int(_number(settings, "retries", RETRIES)),
        trusted_hosts=frozenset(settings.get("trusted-host", "").split()),
        private={pattern: url and _index_url(url) for pattern, url in private.items()},
        keyring=settings.get("keyring-provider") != "disabled",
    )


def default_index() -> str:
    """The default index: pypi-simple's own constant.

    It is read out of the package's source, because the import takes 0.2 s; where the source is missing or
    written otherwise, the package is imported.
    """
    spec = importlib.util.find_spec("pypi_simple")
    source = spec.loader.get_source(spec.name) if spec and isinstance(spec.loader, SourceFileLoader) else None
    for node in ast.parse(source or "").body:
        match node:
            case ast.AnnAssign(target=ast.Name("PYPI_SIMPLE_ENDPOINT"), value=ast.Constant(str(url))):
                return url
    from pypi_simple import PYPI_SIMPLE_ENDPOINT

    return PYPI_SIMPLE_ENDPOINT


def pip_config_files(
    environ: Mapping[str, str], home: Path, prefix: Path | None, platform: str
) -> Iterator[Path]:
    """pip's configuration files in increasing precedence, whether they exist or not.

    None where PIP_CONFIG_FILE is the null device (pip documentation, "PIP_CONFIG_FILE").
    """
    named = environ.get("PIP_CONFIG_FILE")
    if named == os.devnull:
        return
    basename = "pip.ini" if platform == "win32" else "pip.conf"
    yield from (folder / basename for folder in _global_folders(environ, platform))
    # A PIP_CONFIG_FILE that exists replaces the user's files.
    if not (named and Path(named).exists()):
        yield home / ("pip" if platform == "win32" else ".pip") / basename
        yield _user_folder(environ, home, platform) / basename
    if prefix:
        yield prefix / basename
    if named:
        yield Path(named)


def _global_folders(environ: Mapping[str, str], platform: str) -> list[Path]:
    if platform == "win32":
        return [Path(environ.get("PROGRAMDATA", r"C:\ProgramData"), "pip")]
    if platform == "darwin":
        return [Path("/Library/Application Support/pip")]
    folders = environ.get("XDG_CONFIG_DIRS") or "/etc/xdg"
    return [*(Path(folder, "pip") for folder in folders.split(":")), Path("/etc")]


def _user_folder(environ: Mapping[str, str], home: Path, platform: str) -> Path:
    if platform == "win32":
        return Path(environ.get("APPDATA") or home / "AppData" / "Roaming", "pip")
    if platform == "darwin":
        folder = home / "Library" / "Application Support" / "pip"
        return folder if folder.is_dir() else home / ".config" / "pip"
    return Path(environ.get("XDG_CONFIG_HOME") or home / ".config", "pip")


def _settings(environ: Mapping[str, str], home: Path, prefix: Path | None, platform: str) -> dict[str, str]:
    """pip's non-empty settings by long option name; sections outrank files, variables outrank both."""
    sections: dict[str, dict[str, str]] = {name: {} for name in _SECTIONS}
    for path in pip_config_files(environ, home, prefix, platform):
        parser = _read(path)
        for name in sections:
            if parser.has_section(name):
                sections[name].update((_option(key), value) for key, value in parser.items(name))
    variables = {_option(key[4:]): value for key, value in environ.items() if key.startswith("PIP_")}
    merged: dict[str, str] = {}
    for source in (*sections.values(), variables):
        merged.update({key: value for key, value in source.items() if value})
    return merged


def _read(path: Path) -> configparser.RawConfigParser:
    parser = configparser.RawConfigParser()
    try:
        parser.read(path, encoding="utf-8")
    except (configparser.Error, UnicodeDecodeError, OSError) as error:
        # The parser's own message quotes the line, which may hold a password.
        raise ConfigError(f"pip configuration {path} cannot be read ({type(error).__name__})") from None
    return parser


def _option(name: str) -> str:
    return name.lower().replace("_", "-").removeprefix("--")


def _boolean(settings: Mapping[str, str], key: str) -> bool:
    try:
        return _TRUTH[settings.get(key, "no").lower()]
    except KeyError:
        raise ConfigError(f"pip setting {key} must be yes or no") from None


def _number(settings: Mapping[str, str], key: str, default: float) -> float:
    try:
        value = float(settings.get(key, default))
    except ValueError:
        value = -1
    if not 0 <= value < 1e6:
        raise ConfigError(f"pip setting {key} must be a number that is not negative")
    return value


def _index_url(text: str) -> str:
    """An index URL as it is used: with a trailing slash; a folder becomes a ``file:`` URL."""
    if Path(text).is_dir():
        text = Path(text).resolve().as_uri()
    parts = urlsplit(_valid(text))
    if parts.scheme not in ("http", "https", "file") or (parts.scheme != "file" and not parts.hostname):
        raise ConfigError("an index URL must start with https://, http:// or file://")
    if parts.query or parts.fragment:
        raise ConfigError(f"the index URL {redact(text)} must not have a query or a fragment")
    return text.rstrip("/") + "/"


def _find_links(text: str, home: Path) -> str:
    """A --find-links value: pip expands the home folder in it."""
    return str(home / text[2:]) if text.startswith("~/") else _valid(text)


def _valid(url: str) -> str:
    """`url`, if it is one: where a password has signs of a URL, its parts are not what they seem."""
    try:
        urlsplit(url).port  # noqa: B018
    except ValueError:
        hint = "In a password / is written as %2F, @ as %40, : as %3A, # as %23 and ? as %3F."
        raise ConfigError(f"{redact(url)} is not a valid URL", hint=hint) from None
    return url
