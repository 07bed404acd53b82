"""A wheel's core metadata becomes a conda package record (PEP 440, 508, 566 -> repodata).

Every marker is evaluated against the target, so a record's ``depends`` are plain and hold for that
target; the range of Pythons for which they hold is part of the record.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from .errors import NoFittingWheel, Untranslatable
from .markers import Environment, adds, environment_of, holds, steady_pythons
from .model import Candidate, CondaName, CoreMetadata, MatchSpec, PackageRecord, ProjectName, Target
from .names import EXTRA
from .tags import platform_constraints, record_subdir
from .versions import EVERYTHING, conda_spec, conda_version, version_set

#: CEP 26: the greatest length of a name, of a version, and of a build string.
_MAX_LENGTH = 64

#: CEP 26: "MUST NOT include two consecutive separators".
_CONDA_NAME = re.compile(r"_?[a-z0-9]+(?:[._-][a-z0-9]+)*[._-]?")

# -- core metadata -------------------------------------------------------------------------------------

_BODY = re.compile(r"\r?\n\r?\n")

#: The fields that resolution needs. `parse_email` sets aside a field that is repeated against the rules.
_NEEDED = {"name", "version", "requires-dist", "requires-python", "provides-extra"}

#: A License field longer than this is the text of a licence, not its name.
_LICENSE_NAME = 100

_NAME_AND_EXTRAS = re.compile(r"[\w.-]+(?:\s*\[[^\]]*\])?")
_MISSING_COMMA = re.compile(r"(?<=[\w*])\s*(?=[<>=!~]=|[<>])")
_MISSING_DOT = re.compile(r"(?<=[=!]=)(\s*\d+(?:\.\d+)*)\*")
_STAR_AFTER_ORDER = re.compile(r"(?P<sign>[<>])=?\s*(?P<version>\d+(?:\.\d+)*)\.\*")


def parse_core_metadata(text: bytes | str, filename: str) -> CoreMetadata:
    """Read a METADATA file (PEP 566, 643). `filename` is the wheel's, for messages.

    Version specifiers older than PEP 440 are read as pip did before it dropped them in 24.1, with a
    sentence in `warnings`. Raises `Untranslatable` where a field that resolution needs cannot be
    read: nothing is ever dropped.
    """
    from packaging.metadata import parse_email

    decoded = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
    raw, unparsed = parse_email(_BODY.split(decoded, 1)[0] + "\n\n")
    warnings: list[str] = []
    if broken := _NEEDED & unparsed.keys():
        raise Untranslatable(filename, f"its metadata has {', '.join(sorted(broken))} more than once")
    if "name" not in raw:
        raise Untranslatable(filename, "its metadata has no name")
    try:
        version = Version(raw.get("version", ""))
    except InvalidVersion as error:
        raise Untranslatable(filename, f"its metadata has no usable version: {error}") from error
    return CoreMetadata(
        name=raw["name"],
        version=version,
        requires_dist=tuple(_requirement(line, filename, warnings) for line in raw.get("requires_dist", ())),
        requires_python=_requires_python(raw.get("requires_python", ""), filename, warnings),
        extras=frozenset(canonicalize_name(extra) for extra in raw.get("provides_extra", ())),
        license=_one_line(
            _license(raw.get("license_expression", ""), raw.get("license", ""), raw.get("classifiers", ()))
        ),
        summary=_one_line(raw.get("summary", "")),
        warnings=tuple(warnings),
    )


def _one_line(text: str) -> str:
    """A text that people may come to read, on one line and without what a terminal would obey."""
    return "".join(filter(str.isprintable, " ".join(text.split())))


def _requirement(text: str, filename: str, warnings: list[str]) -> Requirement:
    if not text.isprintable():  # PEP 440's === takes what a terminal would obey
        raise Untranslatable(text, f"{filename} requires it, and it has control characters")
    try:
        return _parsed(text)
    except InvalidRequirement as error:
        try:
            requirement = _parsed(_repaired_requirement(text))
        except InvalidRequirement:
            reason = str(error).partition("\n")[0]
            raise Untranslatable(text, f"{filename} requires it, and it cannot be read: {reason}") from error
        warnings.append(f"{filename}: read the requirement {text!r} as {str(requirement)!r}")
        return requirement


def _repaired_requirement(text: str) -> str:
    """A requirement with its version specifiers repaired; the rest of it is left alone."""
    named, separator, marker = text.strip().partition(";")
    match = _NAME_AND_EXTRAS.match(named)
    if match is None or "@" in named:
        return text
    return f"{match[0]} {_repaired(named[match.end() :])}{separator}{marker}"


@lru_cache(maxsize=16384)
def _parsed(text: str) -> Requirement:
    """The requirement; one object serves all who ask, and nobody changes it."""
    return Requirement(text)


def _requires_python(text: str, filename: str, warnings: list[str]) -> SpecifierSet:
    if not text.isprintable():
        raise Untranslatable(text, f"{filename} requires it of Python, and it has control characters")
    try:
        return SpecifierSet(text)
    except InvalidSpecifier as error:
        try:
            specifiers = SpecifierSet(_repaired(text))
        except InvalidSpecifier:
            raise Untranslatable(text, f"{filename} requires it of Python, and it is no specifier") from error
        warnings.append(f"{filename}: read Requires-Python {text!r} as {str(specifiers)!r}")
        return specifiers


def _repaired(specifiers: str) -> str:
    """Legacy version specifiers as PEP 440 spells them; missing commas and the dot of ``==1.0*`` added.

    pip compared ``1.0.*`` after an order sign as a version just below 1.0: ``>`` admits 1.0 and
    ``<=`` does not.
    """
    text = specifiers.strip().removeprefix("(").removesuffix(")")
    text = _MISSING_COMMA.sub(",", text)
    text = _MISSING_DOT.sub(r"\1.*", text)
    text = _STAR_AFTER_ORDER.sub(lambda m: {">": ">=", "<": "<"}[m["sign"]] + m["version"], text)
    return ",".join(clause.strip() for clause in text.split(",") if clause.strip())


def _license(expression: str, name: str, classifiers: Iterable[str]) -> str:
    """PEP 639: the expression; before it, the License field where it is a name, or a classifier."""
    if expression:
        return expression
    if name.strip() not in ("", "UNKNOWN") and len(name) <= _LICENSE_NAME and "\n" not in name.strip():
        return name.strip()
    licenses = (c.rpartition(" :: ")[2] for c in classifiers if c.startswith("License :: "))
    return next(licenses, "")


# -- requirements --------------------------------------------------------------------------------------


def requirements(
    metadata: CoreMetadata, target: Target, extras: frozenset[str] = frozenset()
) -> list[Requirement]:
    """The requirements that hold in the target, for the project itself and for `extras`.

    Raises `Untranslatable` where a marker asks for something that is not known of the target.
    """
    environment = environment_of(target)
    contexts = ("", *sorted(extras))
    return [r for r in metadata.requires_dist if any(holds(r, environment, e) for e in contexts)]


def _required(candidates: Iterable[Requirement], environment: Environment, extra: str) -> list[Requirement]:
    """What a record requires: the project's own requirements, or those that an extra adds to them."""
    return [r for r in candidates if adds(r, environment, extra)]


def python_range(candidate: Candidate, target: Target) -> str:
    """The conda spec of the Pythons for which the record of `candidate` is true, "" for any.

    The stretch around the target's Python that Requires-Python and the wheel's tags admit, and in
    which every marker evaluates as it does in the target. Raises `NoFittingWheel` where
    Requires-Python excludes the target's Python.
    """
    wheel, requires_python = candidate.wheel, candidate.metadata.requires_python
    admitted = version_set(requires_python) & platform_constraints(wheel.tags, target).python
    around = (admitted & steady_pythons(candidate.metadata, target, "")).around(target.python)
    if target.python not in around:
        reason = f"{wheel.filename} requires Python {requires_python}, not {target.python}"
        raise NoFittingWheel(wheel.project, reason)
    return str(around)


# -- records -------------------------------------------------------------------------------------------

ConvertName = Callable[[ProjectName], CondaName]


def extra_name(project: ProjectName, extra: str) -> CondaName:
    """The conda name of a project's extra: a name no project has (PEP 503 leaves no underscore)."""
    return _checked(f"{project}{EXTRA}{extra}")


def _checked(name: str) -> CondaName:
    if len(name) > _MAX_LENGTH:
        raise Untranslatable(name, f"conda names have at most {_MAX_LENGTH} characters (CEP 26)")
    if not _CONDA_NAME.fullmatch(name):
        raise Untranslatable(name, "it is not a conda name (CEP 26)")
    return CondaName(name)


def record(
    candidate: Candidate, target: Target, conda_name: ConvertName, *, extra: str = ""
) -> PackageRecord:
    """The conda record of a wheel, or of one of its extras (a metapackage without files).

    Raises `Untranslatable` for what no conda record expresses, `NoFittingWheel` where the wheel is
    for other Pythons.
    """
    if extra:
        return _extra_record(candidate, target, conda_name, canonicalize_name(extra))
    wheel, metadata = candidate.wheel, candidate.metadata
    demands = platform_constraints(wheel.tags, target)
    python = MatchSpec(name=CondaName("python"), version=python_range(candidate, target))
    required = _required(metadata.requires_dist, environment_of(target), "")
    depends = _sorted([python, *demands.depends, *_depends(required, candidate, conda_name)])
    return PackageRecord(
        name=_checked(conda_name(wheel.project)),
        version=conda_version(wheel.version),
        build=_build_string(candidate, depends),
        build_number=wheel.build[0] if wheel.build else 0,
        depends=depends,
        subdir=record_subdir(wheel.tags, target),
        license=metadata.license,
        summary=metadata.summary,
        timestamp=_timestamp(candidate),
        size=wheel.size or 0,
        project=wheel.project,
        wheel=wheel,
    )


def _extra_record(candidate: Candidate, target: Target, conda_name: ConvertName, extra: str) -> PackageRecord:
    wheel, metadata = candidate.wheel, candidate.metadata
    base = _base_pin(candidate, target, conda_name)
    pythons = steady_pythons(metadata, target, extra)
    python = [MatchSpec(name=CondaName("python"), version=str(pythons))] if pythons != EVERYTHING else []
    required = _required(metadata.requires_dist, environment_of(target), extra)
    depends = _sorted([base, *python, *_depends(required, candidate, conda_name, extra)])
    return PackageRecord(
        name=extra_name(wheel.project, extra),
        version=conda_version(wheel.version),
        build=_build_string(candidate, depends),
        build_number=wheel.build[0] if wheel.build else 0,
        depends=depends,
        license=metadata.license,
        summary=f"Extra {extra!r} of {metadata.name}",
        timestamp=_timestamp(candidate),
        project=wheel.project,
        extra=extra,
    )


def _base_pin(candidate: Candidate, target: Target, conda_name: ConvertName) -> MatchSpec:
    """Exactly the version an extra belongs to, from wherever it comes.

    A channel's build of that version has the same extras. Only where a local version is left out of
    the conda version does the version not tell, and the build string must.
    """
    wheel = candidate.wheel
    build = record(candidate, target, conda_name).build if wheel.version.local else ""
    name = _checked(conda_name(wheel.project))
    return MatchSpec(name=name, version=f"=={conda_version(wheel.version)}", build=build)


def _depends(
    required: Iterable[Requirement], candidate: Candidate, conda_name: ConvertName, extra: str = ""
) -> Iterator[MatchSpec]:
    for requirement in required:
        if requirement.url:
            raise Untranslatable(str(requirement), "a conda dependency cannot be a URL")
        project = ProjectName(canonicalize_name(requirement.name))
        extras = sorted({canonicalize_name(e) for e in requirement.extras})
        version = candidate.wheel.version
        if project == candidate.wheel.project and requirement.specifier.contains(version, prereleases=True):
            # pkg[all] -> pkg[a,b]: extras of this very version, which pin the project themselves
            spec = f"=={conda_version(version)}"
            extras = [e for e in extras if e != extra]
        else:
            spec = conda_spec(requirement.specifier)
            yield MatchSpec(name=_checked(conda_name(project)), version=spec)
        for name in extras:
            yield MatchSpec(name=extra_name(project, name), version=spec)


def _sorted(specs: Iterable[MatchSpec]) -> tuple[str, ...]:
    return tuple(sorted(set(map(str, specs))))


def _build_string(candidate: Candidate, depends: tuple[str, ...]) -> str:
    """Caches key on name, version and build, so the build tells contents and dependencies apart."""
    wheel = candidate.wheel
    content = json.dumps([wheel.sha256, depends, wheel.build])
    digest = hashlib.sha256(content.encode()).hexdigest()[:12]
    ending = f"py_{digest}"
    if wheel.version.local is None:
        return ending
    local = re.sub(r"[^a-z0-9]", "_", wheel.version.local.lower())
    return f"{local[: _MAX_LENGTH - len(ending) - 1]}_{ending}"


def _timestamp(candidate: Candidate) -> int:
    uploaded = candidate.wheel.upload_time
    return int(uploaded.timestamp() * 1000) if uploaded else 0
