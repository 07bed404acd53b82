"""What pyproject.toml and conda's environment files list, from their text."""

from __future__ import annotations

import codecs
import sys
from dataclasses import dataclass
from urllib.parse import urlsplit

from .errors import SpecError
from .redaction import redact


def decode(place: str, content: bytes) -> str:
    """The text of a file: UTF-8, or UTF-16 by its mark, which is what ``>`` writes in some shells.

    Raises `SpecError` for what is neither.
    """
    wide = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        return content.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise SpecError(redact(place), "the file is not UTF-8 text") from error


def pyproject(place: str, content: bytes, group: str | None) -> tuple[str, ...]:
    """The project's dependencies (PEP 621), or those of a dependency group (PEP 735), as they are written.

    Raises `SpecError` for a file that does not tell them, `place` being its path or URL.
    """
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib  # type: ignore[import-not-found, unused-ignore]

    shown = redact(place)
    try:
        document = tomllib.loads(decode(place, content))
    except tomllib.TOMLDecodeError as error:
        raise SpecError(shown, f"the file is not TOML: {error}") from error
    if group is not None:
        return _group(shown, document.get("dependency-groups", {}), group)
    project = document.get("project")
    if not isinstance(project, dict):
        hint = "Name a dependency group: pyproject.toml:GROUP"
        raise SpecError(shown, "it has no [project] table", hint=hint)
    dynamic = project.get("dynamic", [])
    if isinstance(dynamic, list) and "dependencies" in dynamic:
        raise SpecError(shown, "its dependencies are dynamic: only its build tells them (PEP 621)")
    texts = project.get("dependencies", [])
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise SpecError(shown, "its dependencies are not a list of strings (PEP 621)")
    return tuple(texts)


def _group(shown: str, groups: object, name: str) -> tuple[str, ...]:
    from packaging.dependency_groups import resolve_dependency_groups
    from packaging.errors import ExceptionGroup

    if not isinstance(groups, dict):
        raise SpecError(shown, "its [dependency-groups] is not a table (PEP 735)")
    try:
        return tuple(resolve_dependency_groups(groups, name))
    except ExceptionGroup as error:
        reason = str(error.exceptions[0]).partition("\n")[0]
        raise SpecError(shown, f"its dependency groups cannot be read: {reason}") from error


def is_environment(place: str) -> bool:
    """Whether a path or URL is that of an environment file, by its name."""
    name = urlsplit(place).path if "://" in place else place
    return name.lower().endswith((".yml", ".yaml"))


@dataclass(frozen=True, kw_only=True)
class Environment:
    """What an environment file lists; channels are best first, `pip` the lines of its ``pip:`` sections."""

    specs: tuple[str, ...]
    channels: tuple[str, ...]
    pip: tuple[str, ...]


def environment(place: str, content: bytes) -> Environment:
    """Read conda's environment file. Its name and prefix are left to the command line.

    Raises `SpecError` for what is none, and for what it has that is not supported.
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    shown = redact(place)
    try:
        document = YAML(typ="safe").load(decode(place, content))
    except YAMLError as error:
        # The rest of the error's words quotes the file.
        raise SpecError(shown, f"the file is not YAML: {str(error).splitlines()[0]}") from None
    if not isinstance(document, dict) or not isinstance(document.get("dependencies", []), list):
        raise SpecError(shown, "it is no environment file (dependencies: [...])")
    if document.get("variables"):
        hint = "Set them with: conda env config vars set NAME=VALUE, and take them out of the file."
        raise SpecError(shown, "its variables cannot be set from here", hint=hint)
    entries, channels = document.get("dependencies") or [], document.get("channels") or []
    sections = [entry for entry in entries if isinstance(entry, dict)]
    unknown = {str(name) for section in sections for name in section} - {"pip"}
    if unknown:
        raise SpecError(shown, f"its dependencies have a section {min(unknown)!r}, which nobody knows")
    specs = [entry for entry in entries if not isinstance(entry, dict)]
    return Environment(
        specs=_texts(shown, "dependencies", specs),
        channels=tuple(c for c in _texts(shown, "channels", channels) if c != "nodefaults"),
        pip=tuple(
            line for section in sections for line in _texts(shown, "pip section", section["pip"] or [])
        ),
    )


def _texts(shown: str, part: str, entries: object) -> tuple[str, ...]:
    """A list of texts. Any other would be guessed at: a text alone, for one, has a list's letters."""
    if not isinstance(entries, list) or not all(isinstance(entry, str) for entry in entries):
        raise SpecError(shown, f"its {part} must be a list of texts")
    return tuple(entries)
