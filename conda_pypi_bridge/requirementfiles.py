"""Files that list what to install: pip's requirements files, conda's lists and environments, pyproject.toml.

pip's format is read as its documentation has it ("Requirements File Format"): comments, continued lines,
``${VARIABLE}``, nested files, ``--hash``, and the options that choose an index. What would change
the outcome and is not supported is refused, with the line it stands in.

Written here, since nothing fits: pip-requirements-parser is 3000 lines of a pip of 2022, and takes
options that nobody acts on without a word.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urljoin, urlsplit

from .condarc import expand
from .errors import SpecError
from .manifests import decode, environment, is_environment, pyproject
from .redaction import redact

#: Gets the content of a URL.
Fetch = Callable[[str], bytes]

_COMMENT = re.compile(r"(?:^|\s+)#.*$")
_VARIABLE = re.compile(r"\$\{([A-Z0-9_]+)\}")
_OPTIONS_OF_REQUIREMENT = re.compile(r"\s(?=-)")
_HASH = re.compile(r"sha256:([0-9a-f]{64})", re.IGNORECASE)
_PYPROJECT = re.compile(r"(?P<path>.*?pyproject\.toml)(?::(?P<group>[^:/\\]+))?")
_SHORT = {
    "-r": "--requirement",
    "-c": "--constraint",
    "-i": "--index-url",
    "-f": "--find-links",
    "-e": "--editable",
}

#: Options with a value, and without. Nothing but wheels is ever installed, so ``--only-binary`` and
#: ``--prefer-binary`` are always met.
_VALUED = frozenset(
    (
        *("--requirement", "--constraint", "--index-url", "--extra-index-url", "--find-links"),
        *("--trusted-host", "--only-binary"),
    )
)
_FLAGS = frozenset(("--no-index", "--pre", "--require-hashes", "--prefer-binary"))

_REFUSED = {
    "--editable": "editable installs are not supported yet",
    "--no-binary": "building from source is not supported yet",
}


@dataclass(frozen=True, kw_only=True)
class RequirementFile:
    """What files ask for, nested files included, in their order.

    `requests` are SPECs and `constraints` PEP 508 requirements that only limit versions. `hashes` maps a
    SPEC to the sha256 (lower-case hex) of the files it admits; with `require_hashes` each SPEC and
    each package it brings must have some. `channels` are those of environment files, best first. URLs may
    hold credentials, so ``repr`` hides them.
    """

    requests: tuple[str, ...] = ()
    channels: tuple[str, ...] = field(default=(), repr=False)
    constraints: tuple[str, ...] = ()
    hashes: Mapping[str, frozenset[str]] = field(default_factory=dict)
    require_hashes: bool = False
    index_url: str | None = field(default=None, repr=False)
    extra_index_urls: tuple[str, ...] = field(default=(), repr=False)
    find_links: tuple[str, ...] = field(default=(), repr=False)
    trusted_hosts: tuple[str, ...] = ()
    no_index: bool = False
    pre: bool = False


def read(places: Iterable[str], *, environ: Mapping[str, str], fetch: Fetch | None = None) -> RequirementFile:
    """What the files at these paths or URLs ask for together.

    A place is a requirements file, a list of conda specs, an environment file (``*.yml``, ``*.yaml``, its
    ``pip:`` section included), ``pyproject.toml`` (the project's dependencies) or ``pyproject.toml:GROUP`` (a
    dependency group, PEP 735). `fetch` gets a URL; without it URLs are refused. Raises SpecError, naming
    the line, for what cannot be read or is not supported.
    """
    reader = _Reader(environ, fetch)
    for place in places:
        reader.read(place)
    return reader.result()


def read_pip_sections(places: Iterable[str], *, environ: Mapping[str, str]) -> RequirementFile:
    """What the ``pip:`` sections of environment files ask for; nothing where they have none.

    Raises SpecError as `read` does.
    """
    reader = _Reader(environ, None)
    for place in places:
        reader.read_environment(place, pip_alone=True)
    return reader.result()


class _Reader:
    def __init__(self, environ: Mapping[str, str], fetch: Fetch | None) -> None:
        self._environ = environ
        self._fetch = fetch
        self._open: list[str] = []
        self._requests: dict[str, None] = {}
        self._constraints: dict[str, None] = {}
        self._hashes: dict[str, frozenset[str]] = {}
        self._channels: dict[str, None] = {}
        self._index_url: str | None = None
        self._lists: dict[str, dict[str, None]] = {
            option: {} for option in ("--extra-index-url", "--find-links", "--trusted-host")
        }
        self._flags: set[str] = set()

    def result(self) -> RequirementFile:
        return RequirementFile(
            requests=tuple(self._requests),
            channels=tuple(self._channels),
            constraints=tuple(self._constraints),
            hashes=self._hashes,
            require_hashes="--require-hashes" in self._flags or bool(self._hashes),
            index_url=self._index_url,
            extra_index_urls=tuple(self._lists["--extra-index-url"]),
            find_links=tuple(self._lists["--find-links"]),
            trusted_hosts=tuple(self._lists["--trusted-host"]),
            no_index="--no-index" in self._flags,
            pre="--pre" in self._flags,
        )

    def read(self, place: str, *, constraints: bool = False) -> None:
        """Take in one file and the files it names."""
        if project := _PYPROJECT.fullmatch(place):
            texts = pyproject(place, self._content(project["path"]), project["group"])
            (self._constraints if constraints else self._requests).update(dict.fromkeys(texts))
            return
        if is_environment(place):
            self.read_environment(place)
            return
        _refuse_other_formats(place)
        identity = place if _is_remote(place) else str(_path(place).expanduser().resolve())
        if identity in self._open:
            raise SpecError(redact(place), "the file names itself, by way of the files it names")
        self._open.append(identity)
        for number, text in _lines(decode(place, self._content(place))):
            line = _Line(place, number, constraints)
            self._take(line, self._expanded(line, text))
        self._open.pop()

    def read_environment(self, place: str, *, pip_alone: bool = False) -> None:
        """Take in conda's environment file, or the lines of its ``pip:`` section alone."""
        found = environment(place, self._content(place))
        if not pip_alone:
            self._requests.update(dict.fromkeys(found.specs))
            self._channels.update(dict.fromkeys(self._of_conda(place, found.channels)))
        for number, text in enumerate(found.pip, start=1):
            line = _Line(place, number, constraints=False, within="pip: ")
            self._take(line, self._expanded(line, _COMMENT.sub("", text).strip()))

    def _of_conda(self, place: str, channels: Iterable[str]) -> list[str]:
        """Channels with the environment variables that conda puts in; unknown ones stay."""
        found = [str(expand(channel, self._environ)) for channel in channels]
        if _is_remote(place) and found != [*channels]:
            raise SpecError(redact(place), "a file from the network may not see environment variables")
        return found

    def _content(self, place: str) -> bytes:
        if _is_remote(place):
            if self._fetch is None:
                raise SpecError(redact(place), "files of requirements are not read from the network here")
            return self._fetch(place)
        path = _path(place)
        try:
            return path.expanduser().read_bytes()
        except OSError as error:
            raise SpecError(redact(place), f"the file cannot be read: {error.strerror or error}") from error

    def _expanded(self, line: _Line, text: str) -> str:
        def value(match: re.Match[str]) -> str:
            if _is_remote(line.place):
                raise line.error("a file from the network may not see environment variables")
            if match[1] not in self._environ:
                raise line.error(f"the environment variable {match[1]} is not set")
            return self._environ[match[1]]

        return _VARIABLE.sub(value, text)

    def _take(self, line: _Line, text: str) -> None:
        if text.startswith(("@EXPLICIT", "dependencies:")):
            raise line.error("this is a file for conda itself", hint="Give it to: conda env update --file")
        if text.startswith("-"):
            self._take_options(line, text)
            return
        spec, *rest = _OPTIONS_OF_REQUIREMENT.split(text, maxsplit=1)
        if line.constraints:
            self._constraints[spec.strip()] = None
        else:
            self._requests[spec.strip()] = None
        if rest:
            hashes = frozenset(_sha256s(line, rest[0]))
            if self._hashes.setdefault(spec.strip(), hashes) != hashes:
                raise line.error("the same requirement has other hashes elsewhere")

    def _take_options(self, line: _Line, text: str) -> None:
        for option, value in _options(line, text):
            if option in _REFUSED:
                raise line.error(_REFUSED[option])
            if option in {"--requirement", "--constraint"}:
                constraints = line.constraints or option == "--constraint"
                self.read(_beside(line, value), constraints=constraints)
            elif option == "--index-url":
                self._index_url = value
            elif option == "--find-links":
                self._lists[option][_beside(line, value)] = None
            elif option in self._lists:
                self._lists[option][value] = None
            elif option in {"--no-index", "--pre", "--require-hashes"}:
                self._flags.add(option)


@dataclass(frozen=True)
class _Line:
    """Where something stands: for messages, which leave out what it says, since that may be secret."""

    place: str
    number: int
    constraints: bool
    within: str = ""

    def error(self, reason: str, *, hint: str = "") -> SpecError:
        return SpecError(f"{redact(self.place)}, {self.within}line {self.number}", reason, hint=hint)


def _options(line: _Line, text: str) -> Iterator[tuple[str, str]]:
    """The options of a line: ``--pre``, ``-r FILE``, ``--index-url=URL``, ``-rFILE``."""
    try:
        words = iter(shlex.split(text))
    except ValueError as error:
        raise line.error("its quotes do not match") from error
    for word in words:
        option, sign, value = word.partition("=")
        if word[:2] in _SHORT and len(word) > 2 and word[1] != "-":
            option, sign, value = word[:2], "=", word[2:].removeprefix("=")
        option = _SHORT.get(option, option)
        if option in _REFUSED:
            yield option, ""
        elif option in _VALUED:
            value = value if sign else next(words, "")
            if not value:
                raise line.error(f"{option} needs a value")
            yield option, value
        elif option in _FLAGS and not sign:
            yield option, ""
        else:
            raise line.error(
                f"the option {option} is not supported" if option[:1] == "-" else f"stray {option!r}"
            )


def _sha256s(line: _Line, text: str) -> Iterator[str]:
    """The sha256 of a requirement's ``--hash`` options."""
    found = re.findall(r"--hash[=\s]\s*(\S+)", text)
    if re.sub(r"--hash[=\s]\s*\S+", "", text).strip():
        raise line.error("an option of a requirement other than --hash is not supported")
    hashes = [match[1].lower() for text in found if (match := _HASH.fullmatch(text))]
    if not hashes:
        raise line.error("hashes other than sha256 are not supported")
    yield from hashes


def _lines(text: str) -> Iterator[tuple[int, str]]:
    """The lines that say something, with their numbers: continued ones joined, comments left out."""
    started, joined = 0, ""
    for number, line in enumerate([*text.splitlines(), ""], start=1):
        comment = line.lstrip().startswith("#")
        if line.endswith("\\") and not comment:
            started, joined = started or number, joined + line.removesuffix("\\")
            continue
        whole = _COMMENT.sub("", joined + (" " if comment else "") + line).strip()
        if whole:
            yield started or number, whole
        started, joined = 0, ""


def _refuse_other_formats(place: str) -> None:
    name = urlsplit(place).path if "://" in place else place
    if name.lower().endswith((".toml", ".lock")):
        raise SpecError(
            redact(place), "of TOML files only pyproject.toml is read; lock files are not supported yet"
        )


def _beside(line: _Line, value: str) -> str:
    """A file named in another one: relative to it."""
    if _is_remote(line.place):
        place = urljoin(line.place, value)
        if not _is_remote(place):
            raise line.error("a file from the network may not name files of this machine")
        return place
    if "://" in value or value.startswith("file:"):
        return value
    return str(_path(line.place).parent / value)


def _path(place: str) -> Path:
    if not place.startswith("file:"):
        return Path(place)
    from urllib.request import url2pathname

    return Path(url2pathname(urlsplit(place).path))


def _is_remote(place: str) -> bool:
    return place.lower().startswith(("http://", "https://"))
