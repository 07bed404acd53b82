"""From a package for one environment to a recipe for a channel: files are looked into, text is written."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import InvalidSdistFilename, parse_sdist_filename
from packaging.version import InvalidVersion, Version

from ..bridge import requests_of
from ..building.wheelfile import open_wheel
from ..building.wheelreader import SITE_PACKAGES, WheelFile
from ..credentials import public_url
from ..engines import Engine
from ..errors import BridgeError, ConfigError, NoFittingWheel, SdistRefused, SpecError
from ..index import Index
from ..locks import scratch
from ..lookup import metadata
from ..model import (
    Candidate,
    CondaName,
    CoreMetadata,
    PackageRecord,
    Plan,
    ProjectName,
    ProjectPage,
    Sdist,
    Wheel,
)
from ..options import Options
from ..projecturls import links
from ..report import Reporter
from ..resolve import Resolver
from ..versions import read_spec
from . import content
from .content import Contents, Recipe, Source
from .sdist import SdistContents, read_sdist
from .selectors import Place
from .text import text

#: What may stand after a module's name in the name of a file with native code.
_NATIVE = re.compile(r"\.(cpython-\w+(-[\w-]+)?|abi3|cp\d+-\w+)?\.?(so|pyd)$")

#: Folders that some wheels install beside their packages, unasked, and that need what nobody has.
_STRAY = frozenset({"test", "tests", "testing", "docs", "doc", "examples", "example", "benchmarks", "setup"})


@dataclass(frozen=True, kw_only=True)
class Wishes:
    """What the user wants of recipes.

    `sdist` builds from source distributions; `deps` writes recipes of requirements, too; `force` writes over
    recipes that somebody changed.
    """

    sdist: bool = False
    deps: bool = False
    force: bool = False
    maintainers: Sequence[str] = ()


@dataclass(frozen=True, kw_only=True)
class Written:
    """A recipe, its ``meta.yaml``, and the requirements that no channel was seen to have."""

    recipe: Recipe
    path: Path
    lacking: Sequence[str]


def write(
    texts: Sequence[str],
    engine: Engine,
    index: Index,
    options: Options,
    folder: Path,
    wishes: Wishes,
    reporter: Reporter,
) -> list[Written]:
    """Write ``NAME/meta.yaml`` into `folder` for each SPEC, in the version that an install would choose.

    Raises `SpecError` for what channels have, `Untranslatable` for what a recipe cannot say exactly,
    `ConfigError` for a recipe that is there and differs, and as `Resolver.resolve` and `Index` do; nothing
    was written then.
    """
    reporter.phase("Reading the environment")
    target = engine.target([])
    requests = requests_of(texts, target.markers, engine.names)
    options = replace(options, bare=True)
    resolver = Resolver(target=target, engine=engine, index=index, options=options, reporter=reporter)
    closure, plan = resolver.resolve(requests)
    ours = [row.package for row in plan.link if row.package is not None]
    wanted = [package for package in ours if wishes.deps or closure.asked(package.project)]
    if not any(closure.asked(package.project) for package in ours):
        raise SpecError(" ".join(texts), "channels have it, so it needs no recipe")
    reporter.phase("Writing recipes")
    writer = _Writer(engine, index, wishes)
    made = {package: writer.recipe(package) for package in wanted}
    paths = [folder / recipe.name / "meta.yaml" for recipe in made.values()]
    contents = [text(recipe).encode() for recipe in made.values()]
    if not wishes.force:
        _refuse_changed(dict(zip(paths, contents, strict=True)))
    for path, written in zip(paths, contents, strict=True):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(written)
    there = {recipe.name for recipe in made.values()}
    return [
        Written(recipe=recipe, path=path, lacking=[*_lacking(recipe, plan, there, engine)])
        for recipe, path in zip(made.values(), paths, strict=True)
    ]


def _refuse_changed(contents: Mapping[Path, bytes]) -> None:
    for path, written in contents.items():
        if path.exists() and path.read_bytes() != written:
            raise ConfigError(f"{path}: there is another recipe already", hint="To write over it: --force")


def _lacking(recipe: Recipe, plan: Plan, there: set[str], engine: Engine) -> Iterator[str]:
    """The requirements that neither these recipes nor a channel have, for any platform."""
    rows = {row.name: row for row in plan.link}
    for spec in recipe.requires:
        name, _, versions = spec.partition(" ")
        if name in there or (name in rows and rows[name].package is None):
            continue
        offered = engine.on_channels(CondaName(name)) if name not in rows else ()
        if not any(_admits(versions, version) for version in offered):
            yield spec


def _admits(spec: str, version: str) -> bool:
    try:
        return Version(version) in read_spec(spec.partition(" ")[0])
    except InvalidVersion:
        return False


# -- one project ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Writer:
    engine: Engine
    index: Index
    wishes: Wishes

    def recipe(self, package: PackageRecord) -> Recipe:
        """The recipe of a chosen package."""
        made = self._extra(package) if package.wheel is None else self._project(package.wheel)
        local = any(source.url.startswith("file:") for source in made.sources)
        looks = ["source: it is a file of this machine"] if local else []
        return replace(made, maintainers=self.wishes.maintainers, looks=[*made.looks, *looks])

    def _extra(self, package: PackageRecord) -> Recipe:
        page = self._page(package)
        version = next(w.version for w in page.wheels if w.version.public == package.version)
        candidates, looks = self._candidates(page, version)
        made = content.of_extra(candidates, package.extra, self.engine.names.conda_name)
        return replace(made, looks=[*made.looks, *looks])

    def _project(self, wheel: Wheel) -> Recipe:
        page = self._page(wheel)
        candidates, looks = self._candidates(page, wheel.version)
        name = self.engine.names.conda_name
        with scratch(self.index.folder) as folder:
            path = self.index.download(wheel, folder / wheel.filename)
            with open_wheel(path, wheel) as opened:
                contents = contents_of(opened)
        if not self.wishes.sdist:
            made = content.of_wheels(candidates, contents, name, public_url)
        else:
            known = next((c for c in candidates.values() if c.wheel == wheel), None)
            required = known.metadata.requires_dist if known else ()
            sdist, inside = self._sdist(page, wheel.version, required)
            licenses = [name for name in _source_licenses(contents) if name in inside.files]
            made = content.of_sdist(
                candidates,
                Source(url=public_url(sdist.url), sha256=sdist.sha256),
                inside.build_requires,
                replace(contents, licenses=licenses),
                name,
            )
            looks = [*looks, *_sdist_looks(inside)]
        if len({c.wheel.sha256 for c in candidates.values()}) > 1:
            looks = [*looks, f"test and about: they are from {wheel.filename} alone"]
        return replace(made, looks=[*made.looks, *looks])

    def _page(self, package: PackageRecord | Wheel) -> ProjectPage:
        page = self.index.page(package.project, named=True)
        assert page is not None, "the package was chosen from it"
        return page

    def _candidates(self, page: ProjectPage, version: Version) -> tuple[dict[Place, Candidate], list[str]]:
        """The candidate of each place, and what there is to say of places without one."""
        chosen = content.wheels(page, version)
        known: dict[str, CoreMetadata] = {}
        for wheel in chosen.values():
            if wheel.sha256 not in known:
                found = metadata(self.index, wheel)
                if isinstance(found, BridgeError):
                    raise found
                known[wheel.sha256] = found
        every = {place: Candidate(wheel=w, metadata=known[w.sha256]) for place, w in chosen.items()}
        candidates = content.fitting(every)
        if not candidates:
            raise NoFittingWheel(page.project, f"{version} is for none of the Pythons that recipes are for")
        pure = all(content.is_pure(candidate.wheel) for candidate in candidates.values())
        missing = [subdir for subdir in content.PLATFORMS if subdir not in {place[0] for place in candidates}]
        looks = [f"{', '.join(missing)}: the index has no wheel"] if missing and not pure else []
        return candidates, looks

    def _sdist(
        self, page: ProjectPage, version: Version, required: Sequence[Requirement]
    ) -> tuple[Sdist, SdistContents]:
        """The source distribution of a version. Raises `SdistRefused` where it requires other things."""
        found = next((sdist for sdist in page.sources if _is_of(sdist, page.project, version)), None)
        if found is None:
            raise NoFittingWheel(page.project, f"{version} has no source distribution (PEP 625)")
        with scratch(self.index.folder) as folder:
            inside = read_sdist(self.index.download_source(found, folder / found.filename))
        promised = inside.requires_dist
        if promised is not None and {str(Requirement(r)) for r in promised} != set(map(str, required)):
            raise SdistRefused(found.filename, f"it requires other things than the wheel of {version}")
        return found, inside


def _is_of(sdist: Sdist, project: ProjectName, version: Version) -> bool:
    try:
        name, found = parse_sdist_filename(sdist.filename)
    except InvalidSdistFilename:
        return False
    return str(name) == project and found == version


def _sdist_looks(inside: SdistContents) -> Iterator[str]:
    yield "requirements/host: a build backend may ask for more when it runs"
    if inside.requires_dist is None:
        yield "requirements/run: they are those of the wheel; the source promises nothing (PEP 643)"


def _source_licenses(contents: Contents) -> Iterator[str]:
    """Where the source has the licence texts that its wheel has (PEP 639)."""
    for path in contents.licenses:
        _, _, name = path.partition("/")
        yield name.removeprefix("licenses/")


# -- files ---------------------------------------------------------------------------------------------


def contents_of(wheel: WheelFile) -> Contents:
    """What the files of a wheel tell: scripts, what to import, licences (PEP 639), addresses."""
    listed = wheel.metadata.get_all("License-File", [])
    folder = f"{wheel.dist_info}/"
    named = {f"{folder}{place}{name.strip()}" for name in listed for place in ("", "licenses/")}
    beside = re.compile(rf"{re.escape(folder)}(licen[cs]e|copying|notice)[^/]*", re.IGNORECASE)
    return Contents(
        entry_points=[f"{name} = {target}" for name, target in sorted(wheel.entry_points.items())],
        imports=importable(member.path for member in wheel.members if member.root == SITE_PACKAGES),
        licenses=sorted(path for path in wheel.files if path in named or beside.fullmatch(path)),
        links=links(wheel.metadata.get("Home-page", ""), wheel.metadata.get_all("Project-URL", [])),
    )


def importable(paths: Iterable[str]) -> list[str]:
    """The packages and modules that a project installs, none of them part of another one.

    Those whose names are private, or such as tests have, are left out where there are others.
    """
    files = {_NATIVE.sub(".so", path) for path in paths}
    packages = {path.rpartition("/")[0] for path in files if re.search(r"/__init__\.(py|so)$", path)}
    found: set[str] = set()
    for path in files:
        stem, dot, _ = path.rpartition(".")
        if not dot or not path.endswith((".py", ".so")):
            continue
        parts = stem.split("/")
        parents = ("/".join(parts[:count]) for count in range(1, len(parts)))
        module = next((parent for parent in parents if parent in packages), stem)
        if all(part.isidentifier() for part in module.split("/")):
            found.add(module.replace("/", "."))
    public = {name for name in found if not _is_private(name)}
    return sorted(public or found)


def _is_private(name: str) -> bool:
    parts = name.split(".")
    return parts[0] in _STRAY or any(part.startswith("_") for part in parts)
