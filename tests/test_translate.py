"""Core metadata becomes conda records: markers as packaging has them, depends as every conda reads them."""

from __future__ import annotations

import datetime as dt
import importlib.metadata
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
import rattler
from hypothesis import given, settings
from hypothesis import strategies as st
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name, parse_wheel_filename
from packaging.version import Version

from conda_pypi_bridge.errors import NoFittingWheel, Untranslatable
from conda_pypi_bridge.model import Candidate, CondaName, PackageRecord, ProjectName, Target, Wheel
from conda_pypi_bridge.tags import make_target
from conda_pypi_bridge.translate import (
    extra_name,
    parse_core_metadata,
    python_range,
    record,
    requirements,
)
from tests.lab.matching import MatchSpec as CondaMatchSpec
from tests.lab.matching import VersionSpec
from tests.wheels import metadata_text

LINUX = make_target(Version("3.11.7"), "linux-64", glibc=(2, 35))
WINDOWS = make_target(Version("3.11.7"), "win-64")


def candidate(filename: str, metadata: str = "", **of_wheel: Any) -> Candidate:
    """A wheel of that name, whose METADATA has the given lines after Name and Version."""
    name, version, build, tags = parse_wheel_filename(filename)
    text = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{metadata.strip()}\n\nA description.\n"
    wheel = Wheel(
        filename=filename,
        project=ProjectName(name),
        version=version,
        build=build,
        tags=tags,
        url=f"https://index.invalid/{filename}",
        sha256="0" * 64,
        **of_wheel,
    )
    return Candidate(wheel=wheel, metadata=parse_core_metadata(text, filename))


def requiring(*lines: str, requires_python: str = "") -> Candidate:
    python = f"Requires-Python: {requires_python}\n" if requires_python else ""
    return candidate("pkg-1.0-py3-none-any.whl", python + "".join(f"Requires-Dist: {r}\n" for r in lines))


def same_name(project: ProjectName) -> CondaName:
    return CondaName(project)


def depends(*lines: str, target: Target = LINUX, extra: str = "") -> list[str]:
    """The record's depends, without those on Python and on the project itself."""
    made = record(requiring(*lines), target, same_name, extra=extra)
    return [text for text in made.depends if text.partition(" ")[0] not in ("python", "pkg")]


# -- core metadata -------------------------------------------------------------------------------------


def test_core_metadata_of_a_modern_wheel() -> None:
    text = metadata_text(
        "Foo_Bar",
        "1.0rc1",
        requires=["Baz>=1"],
        extras={"Async_IO": ["trio"]},
        requires_python=">=3.9",
        headers=["License-Expression: MIT OR Apache-2.0", "License: Other"],
    )
    metadata = parse_core_metadata(text.encode(), "foo.whl")
    assert (metadata.name, metadata.version) == ("Foo_Bar", Version("1.0rc1"))
    assert [str(r) for r in metadata.requires_dist] == ["Baz>=1", 'trio; extra == "async-io"']
    assert metadata.requires_python == SpecifierSet(">=3.9")
    assert metadata.extras == {"async-io"}  # PEP 685
    assert metadata.license == "MIT OR Apache-2.0"
    assert metadata.summary == "Foo_Bar for tests"
    assert metadata.warnings == ()


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_the_description_is_no_metadata(newline: str) -> None:
    lines = ["Metadata-Version: 2.1", "Name: foo", "Version: 1", "", "Requires-Dist: not-a-dependency", ""]
    assert parse_core_metadata(newline.join(lines).encode(), "foo.whl").requires_dist == ()


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ("License: BSD-3-Clause\nClassifier: License :: OSI Approved :: MIT License", "BSD-3-Clause"),
        ("License: UNKNOWN\nClassifier: License :: OSI Approved :: MIT License", "MIT License"),
        (f"License: {'word ' * 40}\nClassifier: License :: OSI Approved :: MIT License", "MIT License"),
        ("License: Copyright A\n        All rights\nClassifier: License :: Other", "Other"),
        ("Classifier: Programming Language :: Python", ""),
    ],
)
def test_the_license_is_a_name_never_a_text(headers: str, expected: str) -> None:
    assert candidate("foo-1-py3-none-any.whl", headers).metadata.license == expected


# What pip 24.0, the last to read legacy specifiers, made of them: 3.6.* is a version just below 3.6.
@pytest.mark.parametrize(
    ("legacy", "read"),
    [
        ("foo (>=1.0.*)", "foo>=1.0"),
        ("foo>1.0.*", "foo>=1.0"),
        ("foo<1.0.*", "foo<1.0"),
        ("foo (<=1.0.*)", "foo<1.0"),
        ("foo>=1.0.*,<2", "foo<2,>=1.0"),
        ("foo >=1.0 <2", "foo<2,>=1.0"),
        ("foo (>=1.0<2)", "foo<2,>=1.0"),
        ("foo[a,b]>=1.0.* ; extra == 'x'", 'foo[a,b]>=1.0; extra == "x"'),
        ("foo !=1.3*,>=1", "foo!=1.3.*,>=1"),
    ],
)
def test_legacy_requirements_are_read_with_a_warning(legacy: str, read: str) -> None:
    metadata = requiring(legacy).metadata
    assert str(metadata.requires_dist[0]) == read
    (warning,) = metadata.warnings
    assert "pkg-1.0-py3-none-any.whl" in warning
    assert repr(legacy) in warning


@pytest.mark.parametrize(
    ("legacy", "read"),
    [
        (">=3.6.*", ">=3.6"),
        (">=2.7,!=3.0.*,!=3.1*", "!=3.0.*,!=3.1.*,>=2.7"),
        (">=3.6<4", "<4,>=3.6"),
        ("<=3.6.*", "<3.6"),
    ],
)
def test_legacy_requires_python_is_read_with_a_warning(legacy: str, read: str) -> None:
    metadata = requiring(requires_python=legacy).metadata
    assert metadata.requires_python == SpecifierSet(read)
    assert len(metadata.warnings) == 1


@pytest.mark.parametrize(
    "line",
    [
        "foo>=dev",
        "foo ==",
        "foo bar",
        "foo>=1; python_version",
        "foo; no_such_variable == 'x'",
        "foo @ not a url; extra ==",
        "",
    ],
)
def test_a_requirement_that_cannot_be_read_refuses_the_wheel(line: str) -> None:
    with pytest.raises(Untranslatable) as caught:
        requiring(line)
    assert caught.value.text == line
    assert "pkg-1.0-py3-none-any.whl" in str(caught.value)


def test_a_hostile_requirement_is_refused_in_linear_time() -> None:
    with pytest.raises(Untranslatable):
        requiring(f"foo{' ' * 200_000}@")
    with pytest.raises(Untranslatable):
        requiring(f"foo >{'1.' * 100_000}")


@pytest.mark.parametrize("text", ["Name: foo\n\n", "Version: 1\n\n", "Name: foo\nVersion: one\n\n", ""])
def test_metadata_without_name_or_version_is_refused(text: str) -> None:
    with pytest.raises(Untranslatable, match=r"foo\.whl"):
        parse_core_metadata(text, "foo.whl")


@pytest.mark.parametrize("line", ["Requires-Python: >=3.8", "Name: other", "Version: 2"])
def test_a_field_that_is_given_twice_is_refused(line: str) -> None:
    """Which of the two counts is anybody's guess; a parser that drops both would lose a condition."""
    with pytest.raises(Untranslatable, match="more than once"):
        candidate("pkg-1.0-py3-none-any.whl", f"Requires-Python: >=3.9\n{line}")


def test_an_unreadable_requires_python_is_refused() -> None:
    with pytest.raises(Untranslatable, match="no specifier"):
        requiring(requires_python="three")


# -- markers -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("marker", "on_linux", "on_windows"),
    [
        ("python_version == '3.11'", True, True),
        ("python_version == '3.11.7'", False, False),
        ("python_full_version == '3.11.7'", True, True),
        ("python_version < '3.9' or sys_platform == 'win32'", False, True),
        ("python_version >= '3.9' and sys_platform == 'win32'", False, True),
        ("python_version in '3.10 3.11'", True, True),
        ("python_version not in '3.10, 3.11'", False, False),
        ("(os_name == 'nt' or sys_platform == 'linux') and python_version > '3.8'", True, True),
        ("os_name == 'nt' or (sys_platform == 'linux' and python_version < '3.8')", False, True),
        ("platform_machine == 'x86_64'", True, False),
        ("platform_machine != 'x86_64' and platform_machine != 'AMD64'", False, False),
        ("platform_machine in 'x86_64 AMD64'", True, True),
        ("implementation_name == 'pypy'", False, False),
        ("platform_python_implementation != 'PyPy'", True, True),
        ("implementation_name == 'cpython' and platform_system == 'Linux'", True, False),
        ("'linux' in sys_platform", True, False),
        ("implementation_version >= '3.11'", True, True),
        ("extra == 'x'", False, False),
        ("extra != 'x'", True, True),
    ],
)
def test_requirements_hold_as_their_markers_do(marker: str, on_linux: bool, on_windows: bool) -> None:
    metadata = requiring(f"foo; {marker}").metadata
    assert bool(requirements(metadata, LINUX)) is on_linux
    assert bool(requirements(metadata, WINDOWS)) is on_windows
    assert Marker(marker).evaluate({**LINUX.markers, "extra": ""}) is on_linux


def test_extras_are_compared_normalised_and_nested() -> None:
    """PEP 685: "tools MUST normalize the names being compared"."""
    metadata = requiring(
        "one; extra == 'Foo_Bar'",
        "two; (extra == 'a' or extra == 'foo.bar') and sys_platform == 'linux'",
        "three; (extra == 'a' or extra == 'b') and sys_platform == 'win32'",
        "always",
    ).metadata

    def names(*extras: str) -> list[str]:
        return [r.name for r in requirements(metadata, LINUX, frozenset(extras))]

    assert names() == ["always"]
    assert names("foo-bar") == ["one", "two", "always"]
    assert names("a") == ["two", "always"]
    assert names("b") == ["always"]
    assert names("a", "foo-bar") == ["one", "two", "always"]


def test_every_clause_of_one_project_is_kept() -> None:
    lines = ["foo>=1", "foo<3; python_version < '3.12'", "foo!=1.5; sys_platform == 'linux'"]
    assert len(requirements(requiring(*lines).metadata, LINUX)) == 3
    assert depends(*lines) == ["foo !=1.5", "foo <3dev0", "foo >=1"]


@pytest.mark.parametrize("variable", ["platform_release", "platform_version"])
def test_a_marker_on_what_is_not_known_of_the_target_is_refused(variable: str) -> None:
    metadata = requiring(f"foo; {variable} == 'v1'").metadata
    with pytest.raises(Untranslatable, match=f"{variable} of the target is not known"):
        requirements(metadata, LINUX)
    known = make_target(Version("3.11.7"), "osx-arm64", macos=(13, 0), markers={variable: "v1"})
    assert [r.name for r in requirements(metadata, known)] == ["foo"]


def test_pypy_has_requirements_of_its_own() -> None:
    pypy = make_target(Version("3.10.14"), "linux-64", glibc=(2, 35), implementation="pypy")
    metadata = requiring(
        "cffi; implementation_name != 'pypy'", "pypy-only; implementation_name == 'pypy'"
    ).metadata
    assert [r.name for r in requirements(metadata, LINUX)] == ["cffi"]
    assert [r.name for r in requirements(metadata, pypy)] == ["pypy-only"]


# -- the Pythons of a record ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("requires_python", "markers", "expected"),
    [
        (">=3.8", [], ">=3.8"),
        ("", [], ">=3"),
        (">=3.8,<4", [], ">=3.8,<4dev0"),
        (">=3.7,!=3.9.7", [], ">=3.7,!=3.9.7"),
        # only the stretch around the target's Python
        (">=2.7,!=3.0.*,!=3.1.*", [], ">=3.2dev0"),
        (">=3.8,!=3.12.*", [], ">=3.8,<3.12dev0"),
        # where a marker would turn out otherwise, the record is no longer true
        (">=3.8", ["python_version < '3.10'"], ">=3.10dev0"),
        (">=3.8", ["python_version >= '3.10'"], ">=3.10dev0"),
        (">=3.8", ["python_version <= '3.11'"], ">=3.8,<3.12dev0"),
        (">=3.8", ["python_version == '3.11'"], ">=3.11dev0,<3.12dev0"),
        (">=3.8", ["python_version in '3.10 3.11'"], ">=3.10dev0,<3.12dev0"),
        (">=3.8", ["python_version < '3.8'"], ">=3.8"),
        (">=3.8", ["python_version < '3'"], ">=3.8"),
        ("", ["python_version < '3'"], ">=3"),
        (">=3.8", ["python_version < '4'"], ">=3.8,<4dev0"),
        (">=3.8", ["python_version < '3.10' and sys_platform == 'win32'"], ">=3.8"),
        (">=3.8", ["python_version < '3.10' and extra == 'x'"], ">=3.8"),
        (">=3.8", ["python_version < '3.10'", "python_version >= '3.13'"], ">=3.10dev0,<3.13dev0"),
        # full versions: to the patch release
        (">=3.8", ["python_full_version < '3.11.4'"], ">=3.11.4dev0"),
        (">=3.8", ["python_full_version >= '3.11.4'"], ">=3.11.4"),
        (">=3.8", ["python_full_version <= '3.11.7'"], ">=3.8,<3.11.8dev0"),
        (">=3.8", ["python_full_version != '3.11.7'"], ">=3.11.7,<3.11.8dev0"),
        (">=3.8", ["'3.11.9' <= python_full_version"], ">=3.8,<3.11.9dev0"),
        (">=3.8", ["os_name == 'posix' and python_full_version < '3.12.1'"], ">=3.8,<3.12.1dev0"),
        (">=3.8", ["python_full_version == '3.11.*'"], ">=3.11dev0,<3.12dev0"),
        (">=3.8", ["python_full_version < '3.13.0a5'"], "==3.11.7"),
        (">=3.8", ["python_full_version in '3.11.7 3.11.8'"], "==3.11.7"),
        (">=3.8", ["implementation_version >= '3.11'"], "==3.11.7"),
    ],
)
def test_a_record_is_pinned_to_the_pythons_for_which_it_is_true(
    requires_python: str, markers: list[str], expected: str
) -> None:
    lines = [f"dep{number}; {marker}" for number, marker in enumerate(markers)]
    assert python_range(requiring(*lines, requires_python=requires_python), LINUX) == expected


def test_the_same_requirement_under_other_markers_needs_no_pin() -> None:
    split = ["foo>=1; python_version < '3.9'", "foo>=1; python_version >= '3.9'"]
    assert python_range(requiring(*split, requires_python=">=3.8"), LINUX) == ">=3.8"
    other = ["foo>=1; python_version < '3.9'", "foo>=2; python_version >= '3.9'"]
    assert python_range(requiring(*other, requires_python=">=3.8"), LINUX) == ">=3.9dev0"
    extra = ["foo[a]; python_version < '3.9'", "foo; python_version >= '3.9'"]
    assert python_range(requiring(*extra, requires_python=">=3.8"), LINUX) == ">=3.9dev0"


def test_a_wheel_for_python_2_and_3_is_not_true_for_both_where_a_marker_parts_them() -> None:
    universal = candidate("pkg-1.0-py2.py3-none-any.whl", "Requires-Dist: foo; python_version < '3'")
    assert python_range(candidate("pkg-1.0-py2.py3-none-any.whl"), LINUX) == ""
    assert python_range(universal, LINUX) == ">=3dev0"


def test_the_target_of_a_pre_release_python_is_admitted_by_its_own_pin() -> None:
    target = make_target(Version("3.14.0rc1"), "linux-64", glibc=(2, 35))
    by_minor = requiring("foo; python_version >= '3.14'", requires_python=">=3.8")
    assert python_range(by_minor, target) == ">=3.14dev0"
    by_patch = requiring("foo; python_full_version >= '3.14.0'", requires_python=">=3.8")
    assert python_range(by_patch, target) == "==3.14.0rc1"


def test_a_wheel_for_other_pythons_is_refused() -> None:
    with pytest.raises(NoFittingWheel, match=r"requires Python >=3\.12, not 3\.11\.7"):
        python_range(requiring(requires_python=">=3.12"), LINUX)


PYTHONS = [
    *(f"3.{minor}.{patch}" for minor in range(9, 15) for patch in (0, 1, 2, 5, 9)),
    *("2.7.18", "3.4.0", "3.12.0rc1", "3.11.2rc1", "3.13.0a4", "3.11.7", "4.0.0"),
]
literals = st.sampled_from(
    ["3", "3.9", "3.10", "3.11", "3.11.0", "3.11.2", "3.11.9", "3.12.0", "3.12.1", "4"]
)
python_markers = st.builds(
    '{} {} "{}"'.format,
    st.sampled_from(["python_version", "python_full_version"]),
    st.sampled_from(["<", "<=", ">", ">=", "==", "!="]),
    literals,
)
markers = st.one_of(
    python_markers,
    st.builds("({} or {})".format, python_markers, python_markers),
    st.builds("({} and {})".format, python_markers, python_markers),
    st.builds('{} and extra == "x"'.format, python_markers),
)


def evaluated(metadata: Any, python: str, extra: str) -> set[str]:
    """What packaging itself finds required by the project, or by its extra, for a Python."""
    release = Version(python)
    env = {
        **LINUX.markers,
        "python_version": f"{release.major}.{release.minor}",
        "python_full_version": python,
        "implementation_version": python,
    }
    found = set()
    for r in metadata.requires_dist:
        holds = [r.marker is None or r.marker.evaluate({**env, "extra": e}) for e in ("", extra)]
        if holds[1] and (not extra or not holds[0]):
            found.add(r.name)
    return found


@settings(derandomize=True, max_examples=150, deadline=None)
@given(st.lists(markers, min_size=1, max_size=3), st.sampled_from(["", "x"]))
def test_a_record_is_true_for_every_python_that_it_admits(conditions: list[str], extra: str) -> None:
    made_of = requiring(*(f"dep{i}; {marker}" for i, marker in enumerate(conditions)))
    made = record(made_of, LINUX, same_name, extra=extra)
    (spec,) = [text[7:] for text in made.depends if text.startswith("python ")] or ["*"]
    wanted = evaluated(made_of.metadata, "3.11.7", extra)
    assert {text for text in made.depends if text.startswith("dep")} == wanted
    admitted = [python for python in PYTHONS if VersionSpec(spec).match(python)]
    assert "3.11.7" in admitted
    for python in admitted:
        assert evaluated(made_of.metadata, python, extra) == wanted, python


# -- records -------------------------------------------------------------------------------------------

FLASK = """
Requires-Python: >=3.9
License-Expression: BSD-3-Clause
Summary: A simple framework for building complex web applications.
Provides-Extra: async
Provides-Extra: dotenv
Requires-Dist: blinker>=1.9.0
Requires-Dist: click>=8.1.3
Requires-Dist: importlib-metadata>=3.6.0; python_version < '3.10'
Requires-Dist: itsdangerous>=2.2.0
Requires-Dist: Jinja2>=3.1.2
Requires-Dist: MarkupSafe>=2.1.1
Requires-Dist: Werkzeug>=3.1.0
Requires-Dist: asgiref>=3.2 ; extra == "async"
Requires-Dist: python-dotenv ; extra == "dotenv"
"""

FASTAPI = """
Requires-Python: >=3.8
Classifier: License :: OSI Approved :: MIT License
Requires-Dist: starlette<0.49.0,>=0.40.0
Requires-Dist: pydantic!=1.8,!=1.8.1,!=2.0.0,!=2.0.1,!=2.1.0,<3.0.0,>=1.7.4
Requires-Dist: typing-extensions>=4.8.0
Provides-Extra: standard
Requires-Dist: fastapi-cli[standard]>=0.0.8; extra == "standard"
Requires-Dist: httpx<1.0.0,>=0.23.0; extra == "standard"
Requires-Dist: uvicorn[standard]>=0.12.0; extra == "standard"
Provides-Extra: all
Requires-Dist: fastapi[standard]; extra == "all"
Requires-Dist: orjson>=3.2.1; extra == "all"
"""


def test_a_pure_wheel_becomes_a_noarch_record() -> None:
    made_of = candidate(
        "flask-3.1.0-py3-none-any.whl",
        FLASK,
        size=102979,
        upload_time=dt.datetime(2024, 11, 13, 18, 24, 36, 135000, tzinfo=dt.timezone.utc),
    )
    made = record(made_of, LINUX, same_name)
    assert made == PackageRecord(
        name=CondaName("flask"),
        version="3.1.0",
        build=made.build,
        build_number=0,
        depends=(
            "blinker >=1.9",
            "click >=8.1.3",
            "itsdangerous >=2.2",
            "jinja2 >=3.1.2",
            "markupsafe >=2.1.1",
            "python >=3.10dev0",
            "werkzeug >=3.1",
        ),
        subdir="noarch",
        license="BSD-3-Clause",
        summary="A simple framework for building complex web applications.",
        timestamp=1731522276135,
        size=102979,
        project=ProjectName("flask"),
        wheel=made_of.wheel,
    )
    assert re.fullmatch(r"py_[0-9a-f]{12}", made.build)


def test_a_binary_wheel_becomes_a_record_of_its_platform() -> None:
    target = replace(LINUX, python_abi=True)
    name = "numpy-2.2.1-cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64.whl"
    made = record(candidate(name, "Requires-Python: >=3.10"), target, same_name)
    assert made.subdir == "linux-64"
    assert made.depends == ("__glibc >=2.17", "python >=3.11dev0,<3.12dev0", "python_abi 3.11.* *_cp311")
    assert made.index_json()["noarch"] == "python"  # CEP 20


def test_extras_become_metapackages_pinned_to_their_project() -> None:
    made_of = candidate("fastapi-0.116.0-py3-none-any.whl", FASTAPI, size=10)
    base = record(made_of, LINUX, same_name)
    standard = record(made_of, LINUX, same_name, extra="standard")
    everything = record(made_of, LINUX, same_name, extra="All")
    assert base.depends == (
        "pydantic >=1.7.4,!=1.8,!=1.8.1,!=2,!=2.0.1,!=2.1,<3dev0",
        "python >=3.8",
        "starlette >=0.40,<0.49dev0",
        "typing-extensions >=4.8",
    )
    assert standard.depends == (
        "fastapi ==0.116.0",
        "fastapi-cli >=0.0.8",
        "fastapi-cli_extra_standard >=0.0.8",
        "httpx >=0.23,<1dev0",
        "uvicorn >=0.12",
        "uvicorn_extra_standard >=0.12",
    )
    assert everything.depends == ("fastapi ==0.116.0", "fastapi_extra_standard ==0.116.0", "orjson >=3.2.1")
    assert (standard.name, standard.extra, standard.project) == (
        "fastapi_extra_standard",
        "standard",
        "fastapi",
    )
    assert (standard.version, standard.subdir, standard.size, standard.wheel) == (
        "0.116.0",
        "noarch",
        0,
        None,
    )
    assert everything.name == "fastapi_extra_all"
    assert standard.index_json()["noarch"] == "generic"


def test_an_extra_is_pinned_to_the_pythons_of_its_own_markers() -> None:
    lines = ["foo; extra == 'x' and python_version < '3.12'", "bar; python_version >= '3.9'"]
    made = record(requiring(*lines), LINUX, same_name, extra="x")
    assert made.depends == ("foo", "pkg ==1.0", "python <3.12dev0")


def test_an_extra_nobody_provides_is_an_empty_metapackage() -> None:
    """pip: "does not provide the extra", a warning; the install goes on."""
    assert record(requiring("foo"), LINUX, same_name, extra="nope").depends == ("pkg ==1.0",)


def test_extras_that_name_each_other_do_not_loop() -> None:
    lines = [
        "pkg[b]; extra == 'a'",
        "pkg[a]; extra == 'b'",
        "pkg[all,a]>=1; extra == 'all'",
        "pkg[c]",
        "foo; extra == 'c'",
    ]
    made_of = requiring(*lines)
    assert record(made_of, LINUX, same_name).depends == ("pkg_extra_c ==1.0", "python >=3")
    assert record(made_of, LINUX, same_name, extra="a").depends == ("pkg ==1.0", "pkg_extra_b ==1.0")
    assert record(made_of, LINUX, same_name, extra="b").depends == ("pkg ==1.0", "pkg_extra_a ==1.0")
    assert record(made_of, LINUX, same_name, extra="all").depends == ("pkg ==1.0", "pkg_extra_a ==1.0")


def test_a_project_that_requires_another_version_of_itself_stays_impossible() -> None:
    made = record(requiring("pkg[a]>=2; extra == 'x'"), LINUX, same_name, extra="x")
    assert made.depends == ("pkg ==1.0", "pkg >=2", "pkg_extra_a >=2")


def test_names_are_conda_s() -> None:
    names = {"pkg": "py-pkg", "torch": "pytorch"}

    def conda_name(project: ProjectName) -> CondaName:
        return CondaName(names.get(project, project))

    made_of = requiring("Torch[Opt_Einsum]>=2", "PyYAML")
    base = record(made_of, LINUX, conda_name)
    assert base.name == "py-pkg"
    assert base.depends == ("python >=3", "pytorch >=2", "pyyaml", "torch_extra_opt-einsum >=2")
    assert record(made_of, LINUX, conda_name, extra="x").depends == ("py-pkg ==1.0",)


@pytest.mark.parametrize(
    ("lines", "names"),
    [
        (["foo @ https://host.invalid/foo.whl"], "foo @ https://host.invalid/foo.whl"),
        (["foo==1.0+cpu"], "==1.0+cpu"),
        (["foo===1.0"], "===1.0"),
        (["x" * 65], "x" * 65),
        ([f"{'x' * 50}[{'y' * 10}]"], "_extra_"),
    ],
)
def test_what_no_record_can_say_is_refused_by_name(lines: list[str], names: str) -> None:
    with pytest.raises(Untranslatable) as caught:
        record(requiring(*lines), LINUX, same_name)
    assert names in caught.value.text


def test_what_does_not_hold_in_the_target_is_not_translated() -> None:
    lines = ["foo @ https://host.invalid/foo.whl ; sys_platform == 'win32'", "foo===1.0; extra == 'x'"]
    assert depends(*lines) == []


def test_no_project_can_have_the_name_of_an_extra() -> None:
    assert extra_name(ProjectName("foo-bar"), "x-y") == "foo-bar_extra_x-y"
    assert canonicalize_name("foo-bar_extra_x-y") != "foo-bar_extra_x-y"


def test_an_extra_name_that_conda_does_not_permit_is_refused() -> None:
    """CEP 26: at most 64 characters, no two consecutive separators."""
    assert len(extra_name(ProjectName("p" * 50), "e" * 7)) == 64
    for project, extra in [("p" * 50, "e" * 8), ("p", "-x")]:
        with pytest.raises(Untranslatable, match="CEP 26"):
            extra_name(ProjectName(project), extra)


def test_the_build_string_tells_contents_and_dependencies_apart() -> None:
    """Caches key on name, version and build."""
    plain = record(candidate("pkg-1.0-py3-none-any.whl"), LINUX, same_name)
    builds = [
        plain.build,
        record(requiring("foo"), LINUX, same_name).build,
        record(candidate("pkg-1.0-1-py3-none-any.whl"), LINUX, same_name).build,
        record(candidate("pkg-1.0-1b-py3-none-any.whl"), LINUX, same_name).build,
        record(with_hash(candidate("pkg-1.0-py3-none-any.whl"), "1" * 64), LINUX, same_name).build,
        record(candidate("pkg-1.0-py3-none-any.whl"), LINUX, same_name, extra="x").build,
        record(candidate("pkg-1.0+cpu-py3-none-any.whl"), LINUX, same_name).build,
    ]
    assert len(set(builds)) == len(builds)
    assert record(candidate("pkg-1.0-py3-none-any.whl"), LINUX, same_name) == plain


def with_hash(made_of: Candidate, sha256: str) -> Candidate:
    return replace(made_of, wheel=made_of.wheel._replace(sha256=sha256))


def test_the_build_tag_is_the_build_number() -> None:
    assert record(candidate("pkg-1.0-3foo-py3-none-any.whl"), LINUX, same_name).build_number == 3
    assert record(candidate("pkg-1.0-py3-none-any.whl"), LINUX, same_name).build_number == 0


def test_a_local_version_goes_into_the_build_string() -> None:
    made_of = candidate("torch-2.1.0+cu118.x-py3-none-any.whl", "Requires-Dist: foo; extra == 'x'")
    base = record(made_of, LINUX, same_name)
    assert base.version == "2.1.0"
    assert base.build.startswith("cu118_x_py_")
    # the version no longer tells which wheel the extra belongs to: the build does
    extra = record(made_of, LINUX, same_name, extra="x")
    assert extra.depends == ("foo", f"torch ==2.1.0 {base.build}")
    assert CondaMatchSpec(extra.depends[1]).match(
        {"name": "torch", "version": "2.1.0", "build": base.build, "build_number": 0}
    )


def test_a_long_local_version_still_fits_the_build_string() -> None:
    """CEP 26: "The maximum length of a build string MUST NOT exceed 64 characters"."""
    made = record(candidate(f"pkg-1+{'a' * 90}-py3-none-any.whl"), LINUX, same_name)
    assert len(made.build) == 64
    assert re.fullmatch(r"a+_py_[0-9a-f]{12}", made.build)


# -- real metadata -------------------------------------------------------------------------------------

DISTRIBUTIONS = sorted(
    {d.metadata["Name"]: d for d in importlib.metadata.distributions()}.items(), key=lambda item: item[0]
)


@pytest.fixture(scope="module")
def real() -> Mapping[str, Candidate]:
    """The metadata of everything installed here, as if each came in a wheel for any Python."""
    found = {}
    for name, dist in DISTRIBUTIONS:
        filename = f"{canonicalize_name(name).replace('-', '_')}-{dist.version}-py2.py3-none-any.whl"
        made = candidate(filename)
        text = dist.read_text("METADATA")
        assert text
        found[name] = replace(made, metadata=parse_core_metadata(text, filename))
    return found


def test_real_requirements_are_those_that_packaging_finds(real: Mapping[str, Candidate]) -> None:
    for name, dist in DISTRIBUTIONS:
        metadata = real[name].metadata
        for extra in ["", *metadata.extras]:
            environment = {**LINUX.markers, "extra": extra}
            every = [Requirement(line) for line in dist.requires or ()]
            wanted = [r for r in every if r.marker is None or r.marker.evaluate(environment)]
            if extra:
                without = {**LINUX.markers, "extra": ""}
                wanted = [r for r in every if r in wanted or r.marker is None or r.marker.evaluate(without)]
            assert requirements(metadata, LINUX, frozenset({extra} - {""})) == wanted


def test_real_records_are_read_by_conda_and_rattler(real: Mapping[str, Candidate]) -> None:
    checked = 0
    for made_of in real.values():
        for extra in ["", *made_of.metadata.extras]:
            for text in record(made_of, LINUX, same_name, extra=extra).depends:
                name, _, spec = text.partition(" ")
                assert CondaMatchSpec(text).name == rattler.MatchSpec(text).name.normalized == name
                if name == "python" and spec:
                    assert VersionSpec(spec).match("3.11.7")
                    assert rattler.VersionSpec(spec).matches(rattler.Version("3.11.7"))
                checked += 1
    assert checked > len(real)


@pytest.mark.parametrize("header", ["Requires-Dist: base===\x1b[2J", "Requires-Python: ===\x1b[2J"])
def test_what_would_move_the_cursor_is_refused(header: str) -> None:
    """PEP 440: arbitrary equality "is simple string equality" with any text."""
    with pytest.raises(Untranslatable, match="control characters") as caught:
        parse_core_metadata(f"Metadata-Version: 2.1\nName: demo\nVersion: 1.0\n{header}\n", "demo.whl")
    assert str(caught.value).isprintable()


def test_texts_for_people_have_no_control_characters() -> None:
    lines = "Metadata-Version: 2.1\nName: demo\nVersion: 1.0\nSummary: a\x1b[2Jb\nLicense: c\x07d\n"
    metadata = parse_core_metadata(lines, "demo.whl")
    assert (metadata.summary, metadata.license) == ("a[2Jb", "cd")
