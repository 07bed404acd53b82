"""The user's SPECs: conda's grammar and PEP 508's, read side by side.

One text has one meaning. Where both grammars read it, a `Request` gets both readings: the PEP 508
`requirement` decides for the package index, the conda `spec` for channels. What neither can
express, or what is not supported yet, is refused with the reason.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from packaging.markers import InvalidMarker, Marker, UndefinedComparison, UndefinedEnvironmentName
from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name

from . import versions
from .errors import SpecError
from .model import CHANNEL, OUR_BUILD, CondaName, ProjectName, Request
from .names import split_extra

#: Keys of conda's ``name[key=value]`` form beside ``version`` and ``build`` (conda's MatchSpec).
_CONDA_KEYS = frozenset(
    [
        "build_number",
        "channel",
        "features",
        "fn",
        "license",
        "license_family",
        "md5",
        "name",
        "sha256",
        "size",
        "subdir",
        "timestamp",
        "track_features",
        "url",
    ]
)

_NAME = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9._-]*[A-Za-z0-9_])?")
_PROJECT_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?")
_OPERATOR = r"===|==|!=|<=|>=|~=|<|>|=|"
_CLAUSE = re.compile(rf"(?P<operator>{_OPERATOR})(?P<version>[A-Za-z0-9*][A-Za-z0-9.*+!_-]*)")
_BUILD = re.compile(r"[A-Za-z0-9_.+*]+")
_OUR_BUILD = re.compile(OUR_BUILD)
_BRACKET = re.compile(r"\[(?P<inside>(?:[^\[\]]|\[[^\[\]]*\])*)\]")
_PAIR = re.compile(r"""\s*(?P<key>\w+)\s*=\s*(?P<value>'[^']*'|"[^"]*"|\[[^\]]*\]|[^,'"]+?)\s*(?:,|$)""")
_PATH = re.compile(r"[./~\\]|[A-Za-z]:[\\/]")
_ARCHIVE = re.compile(r"\.(?:whl|conda|zip|tar(?:\.\w+)?|tgz)$", re.IGNORECASE)
_FILE_OF_SPECS = re.compile(r"\.txt$|^pyproject\.toml$|^environment\S*\.ya?ml$", re.IGNORECASE)
_VCS = re.compile(r"(?:git|hg|svn|bzr)\+", re.IGNORECASE)

_HINTS = {
    r"=>": "Write >= for 'at least'.",
    r"=<": "Write <= for 'at most'.",
    r"\^": "Write the range: >=1.2,<2.",
    r"~(?!=)": "Write ~= for 'compatible with'.",
    r"@": "Write == for one version.",
    r"[\w*]\s*[<>=!~]": "Put a comma between constraints: >=1,<2.",
}


@dataclass(frozen=True)
class _Parts:
    """A SPEC taken apart; `version` is as the user wrote it, without white space in its clauses."""

    name: str
    channel: str = ""
    extras: tuple[str, ...] = ()
    version: str = ""
    build: str = ""
    conda_keys: bool = False
    marker: str = ""


def parse_spec(text: str, markers: Mapping[str, str]) -> Request | None:
    """The request that a SPEC makes in the target whose PEP 508 environment is `markers`.

    None where the SPEC's own marker does not hold there. Raises SpecError where the text cannot be
    read or asks for what is not supported, Untranslatable where conda cannot express its versions.
    """
    text = text.strip()
    _refuse_unsupported(text)
    parts = _of_extra(_split(text))
    if parts.marker and not _holds(text, parts.marker, markers):
        return None
    requirement = _requirement(text, parts)
    spec = _conda_spec(text, parts, requirement)
    if requirement is None and spec is None:
        raise SpecError(text, f"{parts.version!r} is no version specifier (PEP 440)")
    return Request(
        text=text,
        project=ProjectName(canonicalize_name(parts.name)),
        requirement=requirement,
        spec=spec,
        build=parts.build if requirement is not None else "",
    )


def names_python(text: str) -> bool:
    """Whether a SPEC is about Python itself; told before the target, whose Python it decides, is known."""
    named = _NAME.match(text.rpartition("::")[2].strip())
    return named is not None and named[0].lower() == "python"


def _of_extra(parts: _Parts) -> _Parts:
    """An exported environment names an extra by its metapackage; its project is named with its own build."""
    project, extra = split_extra(CondaName(parts.name))
    if not extra or not _OUR_BUILD.fullmatch(parts.build):
        return parts
    return replace(parts, name=project, extras=(extra,), build="")


def _refuse_unsupported(text: str) -> None:
    if not text:
        raise SpecError(text, "it is empty")
    if not text.isprintable():
        raise SpecError(text, "it contains control characters")
    if re.match(r"(?:-e|--editable)\b", text):
        raise SpecError(
            text,
            "editable installs are not supported yet",
            hint="Use: python -m pip install --no-deps -e FOLDER",
        )
    if text.startswith("-"):
        raise SpecError(
            text, "this is an option, not a package", hint="Write options without quotes, before any --."
        )
    url = re.match(r"[\w.-]+\s*(?:\[[^\]]*\])?\s*@\s*(\S+)", text)
    place = url[1] if url and not re.match(r"[\d.]+$|latest$", url[1]) else text.partition(";")[0].strip()
    if _VCS.match(place):
        raise SpecError(
            text,
            "version control requirements are not supported yet",
            hint="Build a wheel of it (python -m pip wheel), then: conda pypi-bridge build WHEEL",
        )
    if ("://" in place and "::" not in place) or place.startswith("file:"):
        raise SpecError(
            text,
            "URL requirements are not supported yet",
            hint="Name the package and its version, or download the wheel: conda pypi-bridge build WHEEL",
        )
    if _FILE_OF_SPECS.search(place):
        raise SpecError(text, "this looks like a file of requirements", hint=f"Read it with: -r {text}")
    if _PATH.match(place) or (_ARCHIVE.search(place) and "::" not in place):
        raise SpecError(
            text,
            "files and folders are not supported here",
            hint="Make a conda package of a wheel: conda pypi-bridge build WHEEL",
        )


def _split(text: str) -> _Parts:
    """The parts of a SPEC of either grammar."""
    body, _, marker = text.partition(";")
    if ";" in text and not marker.strip():
        raise SpecError(text, "nothing follows its ';'")
    channel, separator, rest = body.rpartition("::")
    if separator and not channel.strip():
        raise SpecError(text, "no channel is named before '::'")
    named = _NAME.match(rest.strip())
    if named is None or re.match(r"[*]", rest.strip()[named.end() :]):
        raise SpecError(text, "it does not start with the name of a package")
    after = rest.strip()[named.end() :]
    extras: tuple[str, ...] = ()
    keys: dict[str, str] = {}
    for bracket in _BRACKET.finditer(after):
        if "=" in bracket["inside"]:
            keys.update(_keys(text, bracket["inside"]))
        else:
            extras += _extras(text, bracket["inside"])
    version, build = _version_and_build(text, _BRACKET.sub(" ", after))
    if "version" in keys:
        version, stray = _version_and_build(text, keys.pop("version"))
        if stray:
            raise SpecError(text, f"{stray!r} is no part of a version")
    build = keys.pop("build", build)
    if "extras" in keys:  # newer condas: pkg[extras=[a,b]]
        extras += _extras(text, keys.pop("extras").strip("[]"))
    if build and not _BUILD.fullmatch(build):
        raise SpecError(text, f"{build!r} is no build string")
    return _Parts(
        name=named[0],
        channel=channel.strip(),
        extras=extras,
        version=version,
        build=build,
        conda_keys=bool(keys),
        marker=marker.strip(),
    )


def _keys(text: str, inside: str) -> dict[str, str]:
    """The pairs of conda's ``[version='>=3',build=0]``."""
    pairs: dict[str, str] = {}
    position = 0
    while position < len(inside):
        pair = _PAIR.match(inside, position)
        if pair is None:
            raise SpecError(text, f"[{inside}] is neither a list of extras nor conda's [key='value']")
        if pair["key"] not in _CONDA_KEYS | {"version", "build", "extras"}:
            raise SpecError(text, f"conda knows no key {pair['key']!r}")
        pairs[pair["key"]] = pair["value"].strip("'\"")
        position = pair.end()
    return pairs


def _extras(text: str, inside: str) -> tuple[str, ...]:
    extras = tuple(extra.strip() for extra in inside.split(",")) if inside.strip() else ()
    for extra in extras:
        if not _PROJECT_NAME.fullmatch(extra):
            raise SpecError(text, f"{extra!r} cannot be the name of an extra")
    return extras


def _version_and_build(text: str, rest: str) -> tuple[str, str]:
    """Version and build of ``>=3 , <4``, ``3.1 py_0``, ``=3.1=py_0`` or ``(>=3)``, validated."""
    rest = rest.strip()
    if rest.startswith("(") and rest.endswith(")"):
        rest = rest[1:-1].strip()
    rest = re.sub(r"\s*([,|]|[<>=!~]+)\s*", r"\1", rest)
    # conda: "name=version=build", where one "=" after a version starts the build.
    match = re.fullmatch(r"(?P<version>[^\s]*?[^\s<>=!~,|])(?:=|\s+)(?P<build>[^\s=<>!~,|]+)", rest)
    version, build = (match["version"], match["build"]) if match else (rest, "")
    if build and version.startswith("=") and not version.startswith("=="):
        # With a build the version is exact: "a=1.0=0" is "a 1.0 0".
        version = version.removeprefix("=")
    for clause in _clauses(version):
        if not _CLAUSE.fullmatch(clause):
            hint = next((hint for slip, hint in _HINTS.items() if re.search(slip, clause)), "")
            raise SpecError(text, f"{clause or rest!r} is no version constraint", hint=hint)
    return version, build


def _holds(text: str, marker: str, environment: Mapping[str, str]) -> bool:
    try:
        return Marker(marker).evaluate(dict(environment))
    except (InvalidMarker, UndefinedComparison, UndefinedEnvironmentName) as error:
        raise SpecError(text, f"{marker!r} is no environment marker (PEP 508)") from error


def _requirement(text: str, parts: _Parts) -> Requirement | None:
    """The PEP 508 reading; None where only conda can express the request."""
    build = "" if _OUR_BUILD.fullmatch(parts.build) else parts.build
    conda_only = build or parts.conda_keys or parts.channel not in {"", CHANNEL} or "|" in parts.version
    if parts.extras and conda_only:
        raise SpecError(text, "extras cannot be combined with a channel, a build, or '|'")
    if parts.marker and conda_only:
        raise SpecError(text, "a marker cannot be combined with a channel, a build, or '|'")
    if conda_only or not _PROJECT_NAME.fullmatch(parts.name):
        return None
    clauses = [_clause(clause) for clause in _clauses(parts.version)]
    extras = f"[{','.join(parts.extras)}]" if parts.extras else ""
    try:
        specifiers = SpecifierSet(",".join(f"{op}{version}" for op, version in clauses if version != "*"))
        return Requirement(f"{parts.name}{extras}{specifiers}")
    except (InvalidSpecifier, InvalidRequirement) as error:
        if parts.extras:
            raise SpecError(text, f"{parts.version!r} is no version specifier (PEP 440)") from error
        return None


def _clauses(version: str) -> list[str]:
    return re.split(r"[,|]", version) if version else []


def _clause(clause: str) -> tuple[str, str]:
    """Operator and version of a clause of either grammar, as PEP 440 spells them (``*`` is any).

    conda: a version alone is exact, ``=3.1`` and ``3.1*`` mean 3.1 and all that starts so, and a
    wildcard after ``>=`` says nothing more than the version does.
    """
    match = _CLAUSE.fullmatch(clause)
    assert match is not None, "validated when the SPEC was split"
    operator, version = match["operator"], match["version"]
    stem = re.sub(r"\.?\*$", "", version)
    if version == "*":
        return "", version
    if operator == "=" or (operator == "" and stem != version):
        return "==", f"{stem}.*"
    return (operator, stem) if operator in {"<", ">", "<=", ">="} else (operator or "==", version)


def _conda_spec(text: str, parts: _Parts, requirement: Requirement | None) -> str | None:
    """The conda reading; None where only PEP 508 can express the request."""
    if parts.extras or parts.channel == CHANNEL:
        return None
    name = parts.name.lower()
    if parts.conda_keys:
        return text
    if requirement is not None and not requirement.specifier:
        version = ""
    elif requirement is not None and _is_pep440(parts.version):
        version = versions.conda_spec(requirement.specifier)
    elif "===" in parts.version or ("~" in parts.version and requirement is None):
        return None
    else:
        version = _conda_version(parts.version)
    words = (name, version or ("*" if parts.build else ""), parts.build)
    spec = " ".join(word for word in words if word)
    return f"{parts.channel}::{spec}" if parts.channel else spec


def _is_pep440(version: str) -> bool:
    """Whether every clause has an operator of PEP 440, so that its rules decide."""
    return all(re.match(r"[<>=!~]=|[<>]", clause) for clause in _clauses(version))


def _conda_version(version: str) -> str:
    """conda's version constraint in the form that every conda and rattler reads alike."""

    def spelled(match: re.Match[str]) -> str:
        operator, value = _clause(match[0])
        return value if operator == "==" and value.endswith(".*") else f"{operator}{value}"

    return re.sub(r"[^,|]+", spelled, version)
