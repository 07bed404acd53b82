"""What a recipe says of a project: a package made for one environment graduates to one for a channel. Pure.

Requirements are those that the records have which the bridge installs, made for each platform and Python
apart. Where all are alike the recipe is ``noarch: python``; otherwise lines have selectors. What no
line of a recipe says exactly is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache

from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression
from packaging.requirements import Requirement
from packaging.version import Version

from ..channel.model import Scope
from ..channel.offers import pythons
from ..errors import Untranslatable
from ..model import Candidate, PackageRecord, ProjectPage, Target, Wheel
from ..tags import best_wheel, make_target
from ..translate import ConvertName, record
from .selectors import Place, only, selector

#: Where a recipe that is not ``noarch`` builds; every other place is skipped by name.
PLATFORMS = ("linux-64", "linux-aarch64", "osx-64", "osx-arm64", "win-64")
PYTHONS = tuple(Version(f"3.{minor}") for minor in range(10, 15))

#: Where else a package must be the same to be ``noarch``.
_FURTHER = ("linux-ppc64le", "linux-s390x", "linux-riscv64", "win-arm64")

#: Dependencies that conda-build adds of itself to what is built for one Python.
_OF_PYTHON = ("python", "python_abi")


@dataclass(frozen=True, kw_only=True)
class Line:
    """An item of a list; `selector` says where it holds, "" for everywhere. `look` is for people."""

    text: str
    selector: str = ""
    look: str = ""


@dataclass(frozen=True, kw_only=True)
class Source:
    """A file that a recipe builds from; `sha256` is lower-case hex, `selector` as in `Line`."""

    url: str
    sha256: str
    selector: str = ""


@dataclass(frozen=True, kw_only=True)
class Contents:
    """What a look into the files of a project tells.

    `entry_points` are ``name = module:attr``; `imports` what can be imported; `licenses` the paths of
    licence texts in the source; `links` has ``home``, ``dev_url`` and ``doc_url``.
    """

    entry_points: Sequence[str] = ()
    imports: Sequence[str] = ()
    licenses: Sequence[str] = ()
    links: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """A recipe of conda-build. `noarch` is ``python``, ``generic`` (without files) or "".

    `skip` is the selector of places where nothing is built. `project` and `made_of` are for people, as are
    the sentences of `looks`.
    """

    name: str
    version: str
    project: str
    made_of: str
    sources: Sequence[Source] = ()
    script: str = ""
    noarch: str = ""
    skip: str = ""
    relocate: bool = True
    host: Sequence[Line] = ()
    run: Sequence[Line] = ()
    license: str = ""
    summary: str = ""
    contents: Contents = field(default_factory=Contents)
    maintainers: Sequence[str] = ()
    looks: Sequence[str] = ()

    @property
    def requires(self) -> Sequence[str]:
        """The conda specs of `run`, apart from Python and virtual packages."""
        names = (line.text for line in self.run)
        return [text for text in names if not text.startswith("__") and _name(text) not in _OF_PYTHON]


# -- which wheels, and for which places ----------------------------------------------------------------


def wheels(page: ProjectPage, version: Version) -> dict[Place, Wheel]:
    """The wheel of a version for each place that a recipe can be for.

    Of those that fit, the one for the oldest C library or macOS, as a channel's users have old ones, too.
    """
    rivals = [wheel for wheel in page.wheels if wheel.version == version]
    found = ((place, _first(rivals, targets)) for place, targets in _targets().items())
    return {place: wheel for place, wheel in found if wheel is not None}


def _first(rivals: Sequence[Wheel], targets: Iterable[Target]) -> Wheel | None:
    return next(filter(None, (best_wheel(rivals, target) for target in targets)), None)


@lru_cache(maxsize=1)
def _targets() -> Mapping[Place, Sequence[Target]]:
    """The targets of each place, the oldest C library or macOS first."""
    found: dict[Place, list[Target]] = {}
    for target in Scope(subdirs=PLATFORMS, pythons=PYTHONS).targets("noarch"):
        found.setdefault(_place(target), []).append(target)
    return found


def _place(target: Target) -> Place:
    return target.subdir, int(f"{target.python.major}{target.python.minor}")


def fitting(candidates: Mapping[Place, Candidate]) -> dict[Place, Candidate]:
    """Those for places whose Python is admitted in all its releases: selectors tell minor versions alone."""
    return {place: candidate for place, candidate in candidates.items() if _admits(candidate, place)}


def _admits(candidate: Candidate, place: Place) -> bool:
    requires_python = candidate.metadata.requires_python
    releases = pythons(candidate, _of_place(candidate, place))
    return all(requires_python.contains(target.python, prereleases=True) for target in releases)


def is_pure(wheel: Wheel) -> bool:
    """Whether it is a wheel for any platform and ABI."""
    return all(tag.abi == "none" and tag.platform == "any" for tag in wheel.tags)


# -- a recipe ------------------------------------------------------------------------------------------


def of_wheels(
    candidates: Mapping[Place, Candidate],
    contents: Contents,
    conda_name: ConvertName,
    urls: Callable[[str], str],
) -> Recipe:
    """The recipe that installs wheels: `candidates` has that of each place. `urls` makes addresses public.

    Raises `Untranslatable` where a recipe cannot say exactly what the wheels require.
    """
    first = next(iter(candidates.values()))
    same = len({candidate.wheel.sha256 for candidate in candidates.values()}) == 1
    everywhere = _alike(first, conda_name) if same and is_pure(first.wheel) else None
    made = everywhere or record(first, _target(first, candidates), conda_name)
    recipe = Recipe(
        name=made.name,
        version=made.version,
        project=first.metadata.name,
        made_of="its wheel" if same else "its wheels",
        script=f"{{{{ PYTHON }}}} -m pip install {first.wheel.project}=={first.wheel.version}"
        " --no-deps --no-compile --no-index --find-links . -vv",
        license=made.license,
        summary=made.summary,
        contents=contents,
        looks=[*_license_looks(made.license, contents)],
    )
    if everywhere is not None:
        wheel = first.wheel
        return replace(
            recipe,
            sources=[Source(url=urls(wheel.url), sha256=wheel.sha256)],
            noarch="python",
            host=[Line(text=_python(everywhere)), Line(text="pip")],
            run=_lines(everywhere.depends),
        )
    required = {place: _required(c, place, conda_name) for place, c in candidates.items()}
    return replace(
        _for_places(recipe, required),
        sources=_sources(candidates, urls),
        relocate=is_pure(first.wheel),
        host=[Line(text="python"), Line(text="pip")],
    )


def of_extra(candidates: Mapping[Place, Candidate], extra: str, conda_name: ConvertName) -> Recipe:
    """The recipe of a metapackage: what an extra of a project adds. Raises `Untranslatable`."""
    first = next(iter(candidates.values()))
    same = len({candidate.metadata.requires_dist for candidate in candidates.values()}) == 1
    everywhere = _alike(first, conda_name, extra) if same else None
    made = everywhere or record(first, _target(first, candidates), conda_name, extra=extra)
    recipe = Recipe(
        name=made.name,
        version=made.version,
        project=first.metadata.name,
        made_of=f"the extra {extra}",
        license=made.license,
        summary=made.summary,
        looks=["a package without files: an extra has no other form among conda packages"],
    )
    if everywhere is not None:
        noarch = "python" if any(_name(text) == "python" for text in everywhere.depends) else "generic"
        host = [Line(text=_python(everywhere))] if noarch == "python" else []
        return replace(recipe, noarch=noarch, host=host, run=_lines(everywhere.depends))
    required = {place: _required(c, place, conda_name, extra) for place, c in candidates.items()}
    return replace(_for_places(recipe, required), host=[Line(text="python")])


def of_sdist(
    candidates: Mapping[Place, Candidate],
    source: Source,
    build_requires: Sequence[Requirement],
    contents: Contents,
    conda_name: ConvertName,
) -> Recipe:
    """The recipe that builds a source distribution, whose wheels require what it will require.

    Raises `Untranslatable` for what is not pure Python, and as `of_wheels` does.
    """
    first = next(iter(candidates.values()))
    if not is_pure(first.wheel):
        raise Untranslatable(
            first.wheel.filename,
            "which compilers and libraries its source needs, no source distribution tells",
        )
    recipe = replace(
        of_wheels(candidates, contents, conda_name, str),
        made_of="its source distribution",
        script="{{ PYTHON }} -m pip install . --no-deps --no-build-isolation -vv",
    )
    building = replace(first, metadata=replace(first.metadata, requires_dist=tuple(build_requires)))
    if recipe.noarch and (host := _on_builders(building, conda_name)) is not None:
        return replace(
            recipe,
            sources=[source],
            host=[Line(text=_python(host)), Line(text="pip"), *_lines(host.depends)[1:]],
        )
    required = {place: _required(building, place, conda_name) for place in candidates}
    if recipe.noarch:
        runs = {place: _required(candidate, place, conda_name) for place, candidate in candidates.items()}
        recipe = replace(_for_places(recipe, runs), noarch="")
    built = _for_places(recipe, required)
    return replace(recipe, sources=[source], host=[Line(text="python"), Line(text="pip"), *built.run[1:]])


def _on_builders(building: Candidate, conda_name: ConvertName) -> PackageRecord | None:
    """What building needs with the newest Python, where that is the same on all platforms."""
    newest = max(python for subdir in PLATFORMS for python in _minors(building, subdir))
    targets = [make_target(newest, subdir) for subdir in PLATFORMS]
    made = {_comparable(record(building, target, conda_name)) for target in targets}
    return made.pop() if len(made) == 1 else None


# -- requirements --------------------------------------------------------------------------------------


def _alike(candidate: Candidate, conda_name: ConvertName, extra: str = "") -> PackageRecord | None:
    """The one record of a wheel without native code on all platforms and Pythons; None where they differ."""
    found: set[PackageRecord] = set()
    for subdir in (*PLATFORMS, *_FURTHER):
        for minor in PYTHONS if extra else _minors(candidate, subdir):
            for target in pythons(candidate, make_target(minor, subdir)):
                if candidate.metadata.requires_python.contains(target.python, prereleases=True):
                    found.add(_comparable(record(candidate, target, conda_name, extra=extra)))
    return found.pop() if len(found) == 1 else None


def _minors(candidate: Candidate, subdir: str) -> list[Version]:
    """The Pythons that the tags of a wheel without native code admit, and some release of which may do."""
    targets = [make_target(minor, subdir) for minor in PYTHONS]
    return [t.python for t in targets if not t.ranks.keys().isdisjoint(candidate.wheel.tags)]


def _comparable(made: PackageRecord) -> PackageRecord:
    return replace(made, subdir="noarch")


def _required(candidate: Candidate, place: Place, conda_name: ConvertName, extra: str = "") -> frozenset[str]:
    """The conda specs that hold in a place, apart from its Python. Raises `Untranslatable`."""
    target = _of_place(candidate, place)
    made = [record(candidate, python, conda_name, extra=extra) for python in pythons(candidate, target)]
    found = {frozenset(text for text in one.depends if _name(text) not in _OF_PYTHON) for one in made}
    if len(found) > 1:
        minor = f"{target.python.major}.{target.python.minor}"
        raise Untranslatable(
            candidate.wheel.filename,
            f"it requires one thing of a Python {minor} and another thing of the next",
        )
    return found.pop()


def _target(candidate: Candidate, candidates: Mapping[Place, Candidate]) -> Target:
    return _of_place(candidate, next(place for place, other in candidates.items() if other is candidate))


def _of_place(candidate: Candidate, place: Place) -> Target:
    targets = _targets()[place]
    return next(t for t in targets if not t.ranks.keys().isdisjoint(candidate.wheel.tags))


def _for_places(recipe: Recipe, required: Mapping[Place, Collection[str]]) -> Recipe:
    """The recipe with what is required in each place, for these places alone."""
    lines = [Line(text="python")]
    for text in sorted({text for texts in required.values() for text in texts}):
        where = [place for place, texts in required.items() if text in texts]
        lines.append(Line(text=text, selector=selector(where, required)))
    return replace(
        recipe,
        skip=f"not {only(required)}",
        run=lines,
        looks=[*recipe.looks, "the skip line: a later Python, or another platform, may do as well"],
    )


def _sources(candidates: Mapping[Place, Candidate], urls: Callable[[str], str]) -> list[Source]:
    found: dict[Wheel, list[Place]] = {}
    for place, candidate in candidates.items():
        found.setdefault(candidate.wheel, []).append(place)
    return [
        Source(url=urls(wheel.url), sha256=wheel.sha256, selector=selector(places, candidates))
        for wheel, places in sorted(found.items(), key=lambda item: item[0].filename)
    ]


def _lines(depends: Iterable[str]) -> list[Line]:
    """Python first, then by name."""
    return [Line(text=text) for text in sorted(depends, key=lambda text: (_name(text) != "python", text))]


def _python(made: PackageRecord) -> str:
    return next(text for text in made.depends if _name(text) == "python")


def _name(spec: str) -> str:
    return spec.partition(" ")[0]


def _license_looks(license: str, contents: Contents) -> Iterable[str]:
    try:
        canonicalize_license_expression(license)
    except InvalidLicenseExpression:
        yield "about/license: channels want an SPDX expression, and this is what the project says"
    if not contents.licenses:
        yield "about/license_file: the source has no licence text"
