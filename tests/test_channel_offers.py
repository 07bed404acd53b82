"""What a channel offers of a project serves every user of its scope, and each only with what is theirs."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from itertools import product

import pytest
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name, parse_wheel_filename
from packaging.version import Version

from conda_pypi_bridge.channel import offers
from conda_pypi_bridge.channel.model import Scope
from conda_pypi_bridge.errors import ConfigError, NoFittingWheel, Untranslatable
from conda_pypi_bridge.model import Candidate, PackageRecord, ProjectName, ProjectPage, Target, Wheel
from conda_pypi_bridge.names import Names
from conda_pypi_bridge.tags import best_wheel, make_target
from conda_pypi_bridge.translate import parse_core_metadata, record
from conda_pypi_bridge.versions import read_spec
from tests.wheels import metadata_text

SUBDIRS = ("linux-64", "osx-arm64", "win-64")
UPLOADED = dt.datetime(2024, 1, 2, tzinfo=dt.timezone.utc)


def scope_of(*pythons: str, subdirs: Sequence[str] = SUBDIRS) -> Scope:
    return Scope(subdirs=tuple(subdirs), pythons=tuple(map(Version, pythons)))


SCOPE = scope_of("3.10", "3.11", "3.12", "3.13")


def wheel(filename: str, requires_python: str = "", yanked: str | None = None) -> Wheel:
    name, version, build, tags = parse_wheel_filename(filename)
    return Wheel(
        filename=filename,
        project=ProjectName(canonicalize_name(name)),
        version=version,
        build=build,
        tags=tags,
        url=f"https://index.invalid/{filename}",
        sha256="0" * 64,
        requires_python=requires_python,
        yanked=yanked,
        upload_time=UPLOADED,
    )


def page(*wheels: Wheel | str) -> ProjectPage:
    found = tuple(wheel(item) if isinstance(item, str) else item for item in wheels)
    return ProjectPage(project=found[0].project, index="https://index.invalid/simple/", wheels=found)


def pure(*versions: str) -> list[str]:
    return [f"pkg-{version}-py3-none-any.whl" for version in versions]


def offered(
    page: ProjectPage, subdir: str = "noarch", *specifiers: str, depth: int = 1, scope: Scope = SCOPE
) -> list[str]:
    found = offers.wheels(page, scope, subdir, map(SpecifierSet, specifiers), depth)
    return [wheel.filename.removeprefix("pkg-").removesuffix(".whl") for wheel in found]


def versions(page: ProjectPage, *specifiers: str, depth: int = 1) -> list[str]:
    return [name.split("-")[0] for name in offered(page, "noarch", *specifiers, depth=depth)]


# -- the scope -----------------------------------------------------------------------------------------


def test_a_scope_has_targets_of_old_and_new_systems() -> None:
    linux = scope_of("3.12").targets("linux-64")
    assert [target.glibc for target in linux][:2] == [(2, 17), (2, 28)]
    assert {(target.subdir, str(target.python)) for target in linux} == {("linux-64", "3.12")}
    assert len(SCOPE.targets("noarch")) == sum(len(SCOPE.targets(subdir)) for subdir in SUBDIRS)


def test_the_digest_of_a_scope_tells_scopes_apart() -> None:
    assert SCOPE.digest == scope_of("3.13", "3.12", "3.11", "3.10", subdirs=SUBDIRS[::-1]).digest
    assert SCOPE.digest != scope_of("3.10").digest
    assert SCOPE.digest != scope_of("3.10", "3.11", "3.12", "3.13", subdirs=["linux-64"]).digest


@pytest.mark.parametrize("python", ["3", "3.12.1", "3.13rc1", "2.7", "3.12.post1"])
def test_a_scope_is_for_minor_versions(python: str) -> None:
    with pytest.raises(ConfigError, match="minor versions"):
        scope_of(python)


def test_a_scope_is_for_platforms_that_have_wheels() -> None:
    with pytest.raises(ConfigError, match="no wheels for the platform"):
        scope_of("3.12", subdirs=["emscripten-wasm32"])
    with pytest.raises(ConfigError, match="needs a platform"):
        scope_of("3.12", subdirs=[])


# -- which wheels --------------------------------------------------------------------------------------


def test_the_newest_versions_come_first() -> None:
    assert versions(page(*pure("1.9", "1.10", "1.2")), depth=2) == ["1.10", "1.9"]


def test_what_somebody_needs_is_offered_beside_the_newest() -> None:
    found = versions(page(*pure("1.0", "1.5", "2.0", "3.0")), "<2", "==1.0", ">5")
    assert found == ["3.0", "1.5", "1.0"]


def test_yanked_wheels_are_not_offered() -> None:
    newest = wheel(pure("2.0")[0], yanked="broken")
    assert versions(page(newest, *pure("1.0")), "==2.0") == ["1.0"]


def test_pre_releases_are_offered_where_there_is_nothing_else_or_they_are_named() -> None:
    assert versions(page(*pure("1.0", "2.0rc1"))) == ["1.0"]
    assert versions(page(*pure("2.0rc1", "2.0a1"))) == ["2.0rc1"]
    assert versions(page(*pure("1.0", "2.0rc1")), ">=2.0rc1") == ["2.0rc1", "1.0"]


def test_a_pre_release_is_offered_to_those_for_whom_nothing_else_was_built() -> None:
    built = page("pkg-1.0-cp310-cp310-win_amd64.whl", "pkg-2.0rc1-cp313-cp313-win_amd64.whl")
    assert offered(built, "win-64") == ["2.0rc1-cp313-cp313-win_amd64", "1.0-cp310-cp310-win_amd64"]


def test_every_python_gets_the_newest_that_supports_it() -> None:
    wheels = [wheel(pure("2.0")[0], ">=3.12"), wheel(pure("1.5")[0], ">=3.11"), *pure("1.0", "0.9")]
    assert versions(page(*wheels)) == ["2.0", "1.5", "1.0"]


@pytest.mark.parametrize(
    "requires_python", [">=3.13.2", "!=3.13.0,>=3.13", ">=3.13.0", ">3.12", "<3.14,>3.13.1"]
)
def test_a_python_counts_where_one_of_its_micro_versions_does(requires_python: str) -> None:
    assert versions(page(wheel(pure("2.0")[0], requires_python), *pure("1.0"))) == ["2.0", "1.0"]


def test_every_libc_gets_the_newest_that_runs_on_it() -> None:
    native = page(
        "pkg-2.0-cp312-cp312-manylinux_2_28_x86_64.whl",
        "pkg-2.0-cp312-cp312-win_amd64.whl",
        "pkg-1.0-cp312-cp312-manylinux2014_x86_64.whl",
        "pkg-0.9-cp312-cp312-manylinux2014_x86_64.whl",
    )
    assert offered(native, "linux-64") == [
        "2.0-cp312-cp312-manylinux_2_28_x86_64",
        "1.0-cp312-cp312-manylinux2014_x86_64",
    ]
    assert offered(native, "win-64") == ["2.0-cp312-cp312-win_amd64"]
    assert offered(native, "noarch") == []


def test_a_wheel_without_native_code_stands_back_where_there_is_one_with() -> None:
    both = page("pkg-1.0-py3-none-any.whl", "pkg-1.0-cp310-abi3-manylinux2014_x86_64.whl")
    assert offered(both, "linux-64") == ["1.0-cp310-abi3-manylinux2014_x86_64"]
    assert offered(both, "win-64") == ["1.0-py3-none-any"]
    assert offered(both, "noarch") == ["1.0-py3-none-any"]


@pytest.mark.parametrize("target", SCOPE.targets("noarch"), ids=lambda t: f"{t.subdir}-{t.python}-{t.glibc}")
def test_everybody_is_offered_what_pip_would_take(target: Target) -> None:
    tags = ["cp310-abi3", "cp313-cp313", "cp311-cp311", "py3-none"]
    platforms = ["manylinux2014_x86_64", "manylinux_2_28_x86_64", "win_amd64", "macosx_12_0_arm64", "any"]
    names = [
        f"pkg-1.0-{tag}-{p}.whl" for tag, p in product(tags, platforms) if tag == "py3-none" or p != "any"
    ]
    everything = page(*names)
    best = best_wheel(everything.wheels, target)
    assert best is not None
    assert best.filename[4:-4] in offered(everything, target.subdir)
    assert target in offers.best_for(everything, SCOPE, best)


# -- their records -------------------------------------------------------------------------------------


def candidate(
    filename: str = "pkg-1.0-py3-none-any.whl", requires_python: str = "", **metadata: object
) -> Candidate:
    made = wheel(filename, requires_python)
    text = metadata_text("pkg", str(made.version), requires_python=requires_python, **metadata)  # type: ignore[arg-type]
    return Candidate(wheel=made, metadata=parse_core_metadata(text, filename))


def records(of: Candidate, scope: Scope = SCOPE) -> list[PackageRecord]:
    return offers.records(of, scope, Names().conda_name)


def table(of: Candidate, scope: Scope = SCOPE) -> set[tuple[str, str, str]]:
    return {(made.subdir, made.name, ", ".join(made.depends)) for made in records(of, scope)}


def test_one_record_serves_all_who_need_the_same() -> None:
    assert table(candidate(requires=["httpx"])) == {("noarch", "pkg", "httpx, python >=3")}


def test_a_requirement_of_some_pythons_makes_a_record_for_each_range() -> None:
    assert table(candidate(requires=["tomli; python_version<'3.11'"])) == {
        ("noarch", "pkg", "python >=3,<3.11dev0, tomli"),
        ("noarch", "pkg", "python >=3.11dev0"),
    }


def test_a_requirement_of_one_platform_makes_a_record_in_each_subdir() -> None:
    found = records(candidate(requires=["colorama; sys_platform=='win32'"]))
    assert {(made.subdir, made.depends) for made in found} == {
        ("linux-64", ("python >=3",)),
        ("osx-arm64", ("python >=3",)),
        ("win-64", ("colorama", "python >=3")),
    }
    assert len({made.build for made in found}) == 2


def test_records_that_agree_on_all_platforms_stay_in_noarch_beside_those_that_do_not() -> None:
    young = "python_version<'3.11'"
    found = table(candidate(requires=[f"tomli; {young}", f"colorama; {young} and sys_platform=='win32'"]))
    assert {(subdir, depends) for subdir, _, depends in found} == {
        ("noarch", "python >=3.11dev0"),
        ("linux-64", "python >=3,<3.11dev0, tomli"),
        ("osx-arm64", "python >=3,<3.11dev0, tomli"),
        ("win-64", "colorama, python >=3,<3.11dev0, tomli"),
    }


def test_micro_versions_of_python_have_records_of_their_own() -> None:
    found = table(candidate(requires=["backport; python_full_version<'3.11.4'"]))
    assert found == {
        ("noarch", "pkg", "backport, python >=3,<3.11.4dev0"),
        ("noarch", "pkg", "python >=3.11.4dev0"),
    }


MARKED = [
    ["tomli; python_version<'3.11'", "colorama; sys_platform=='win32'"],
    ["a; python_full_version>='3.11.4'", "b; python_full_version!='3.12.1' and platform_machine=='arm64'"],
    ["a>=1,<2; python_version>='3.12'", "a>=2; python_version<'3.12' or os_name=='nt'"],
    ["a; platform_python_implementation=='PyPy'", "b; python_version in '3.10 3.12'"],
]


@pytest.mark.parametrize("requires", MARKED, ids=" ".join)
@pytest.mark.parametrize("requires_python", ["", ">=3.10.2,!=3.12.0"])
@pytest.mark.parametrize("subdir", SUBDIRS)
@pytest.mark.parametrize(
    "python", ["3.10.0", "3.10.2", "3.11.3", "3.11.9", "3.12.0", "3.12.1", "3.12.2", "3.13.5"]
)
def test_a_user_finds_exactly_the_record_of_their_own_environment(
    requires: list[str], requires_python: str, subdir: str, python: str
) -> None:
    """As the bridge would make it in that environment: the same dependencies apart from Python's range."""
    of = candidate(requires_python=requires_python, requires=requires)
    here = [made for made in records(of) if made.subdir in ("noarch", subdir)]
    found = [depends_but_python(made) for made in here if Version(python) in pythons(made)]
    if not SpecifierSet(requires_python).contains(python):
        assert found == []
        return
    systems = {"linux-64": {"glibc": (2, 35)}, "osx-arm64": {"macos": (14, 0)}, "win-64": {}}[subdir]
    theirs = make_target(Version(python), subdir, **systems)  # type: ignore[arg-type]
    assert found == [depends_but_python(record(of, theirs, Names().conda_name))]


def depends_but_python(made: PackageRecord) -> list[str]:
    return [spec for spec in made.depends if not spec.startswith("python ")]


def pythons(made: PackageRecord) -> object:
    (spec,) = (spec for spec in made.depends if spec.split(" ")[0] == "python")
    return read_spec(spec.partition(" ")[2])


def test_native_code_is_listed_for_its_platform_and_python_alone() -> None:
    (made,) = records(candidate("pkg-1.0-cp311-cp311-manylinux2014_x86_64.whl"))
    assert made.subdir == "linux-64"
    assert made.depends == ("__glibc >=2.17", "python >=3.11dev0,<3.12dev0")


def test_free_threaded_pythons_are_kept_away_without_asking_for_a_package() -> None:
    """A channel without ``python_abi`` has no free-threaded Python either."""
    (made,) = records(candidate("pkg-1.0-cp313-cp313-win_amd64.whl"))
    assert made.constrains == ("python_abi 3.13.* *_cp313",)
    assert not [spec for spec in made.depends if "python_abi" in spec]


def test_a_wheel_for_two_platforms_is_listed_in_both() -> None:
    scope = scope_of("3.12", subdirs=["osx-64", "osx-arm64"])
    found = table(candidate("pkg-1.0-cp312-cp312-macosx_10_13_universal2.whl"), scope)
    assert {(subdir, depends) for subdir, _, depends in found} == {
        ("osx-64", "__osx >=10.13, python >=3.12dev0,<3.13dev0"),
        ("osx-arm64", "__osx >=11.0, python >=3.12dev0,<3.13dev0"),
    }


def test_a_wheel_that_is_best_on_one_platform_is_listed_for_that_one() -> None:
    both = page("pkg-1.0-py3-none-any.whl", "pkg-1.0-cp310-abi3-manylinux2014_x86_64.whl")
    of = Candidate(wheel=both.wheels[0], metadata=candidate().metadata)
    targets = offers.best_for(both, SCOPE, of.wheel)
    found = offers.records(of, SCOPE, Names().conda_name, targets=targets)
    assert sorted(made.subdir for made in found) == ["osx-arm64", "win-64"]


# -- extras --------------------------------------------------------------------------------------------


def test_every_extra_has_a_metapackage() -> None:
    of = candidate(requires=["base"], extras={"async": ["asgiref>=3"], "Dot_Env": []})
    assert table(of) == {
        ("noarch", "pkg", "base, python >=3"),
        ("noarch", "pkg_extra_async", "asgiref >=3, pkg ==1.0"),
        ("noarch", "pkg_extra_dot-env", "pkg ==1.0"),
    }


@pytest.mark.parametrize(
    ("marker", "added"),
    [
        ('extra == "a-b"', True),
        ("extra == 'A_B'", True),
        ('"a.b" == extra', True),
        ('extra == "other"', False),
        ('extra == "other" or extra == "a-b"', True),
        ('extra == "other" and extra == "a-b"', False),
        ('extra != "other" and extra != ""', True),
        ('python_version < "3"', False),
        ('os_name == "extra"', False),
        ("", False),
    ],
)
def test_an_extra_adds_what_its_markers_say(marker: str, added: bool) -> None:
    of = candidate(requires=[f"more; {marker}" if marker else "more"], extras={"a-b": [], "other": []})
    (made,) = (made for made in records(of) if made.extra == "a-b")
    assert ("more" in made.depends) == added


def test_an_extra_of_a_local_version_names_the_build_of_the_project() -> None:
    of = candidate("pkg-1.0+cu12-py3-none-any.whl", requires=["base"], extras={"x": ["httpx"], "y": []})
    found = {made.extra: made for made in records(of)}
    assert f"pkg ==1.0 {found[''].build}" in found["x"].depends


def test_an_extra_differs_by_platform_where_its_requirements_do() -> None:
    found = table(candidate(extras={"std": ["uvloop; sys_platform!='win32'"]}))
    assert {(subdir, depends) for subdir, name, depends in found if "_extra_" in name} == {
        ("linux-64", "pkg ==1.0, uvloop"),
        ("osx-arm64", "pkg ==1.0, uvloop"),
        ("win-64", "pkg ==1.0"),
    }


def test_the_wheels_of_a_version_have_one_metapackage_in_common() -> None:
    names = [f"pkg-1.0-cp{minor}-cp{minor}-win_amd64.whl" for minor in ("311", "312")]
    made = [
        made for name in names for made in records(candidate(name, extras={"x": ["httpx"]})) if made.extra
    ]
    assert len(made) == 2
    assert made[0] == made[1]


def test_what_cannot_be_translated_is_told_and_the_rest_stands() -> None:
    requires = ['tool @ https://index.invalid/tool.zip ; extra == "bad"']
    of = candidate(requires=requires, extras={"good": ["httpx"], "bad": []})
    found = offers.offer(of, SCOPE, Names().conda_name)
    assert {made.name for made in found.records} == {"pkg", "pkg_extra_good"}
    assert [type(error) for error in found.refused] == [Untranslatable]


def test_a_wheel_without_any_record_tells_why() -> None:
    with pytest.raises(Untranslatable, match="cannot be a URL"):
        records(candidate(requires=["tool @ https://index.invalid/tool.zip"]))
    with pytest.raises(NoFittingWheel, match="none of the channel's targets"):
        records(candidate("pkg-1.0-cp39-cp39-win_amd64.whl"))
    with pytest.raises(NoFittingWheel, match="none of the channel's targets"):
        records(candidate(requires_python="<3.8"))
