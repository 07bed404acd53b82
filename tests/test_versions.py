"""PEP 440 against conda's order: what a spec admits must be the same to packaging, conda and rattler."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import pytest
import rattler
from hypothesis import given, settings
from hypothesis import strategies as st
from packaging.specifiers import SpecifierSet
from packaging.version import Version

from conda_pypi_bridge.errors import Untranslatable
from conda_pypi_bridge.versions import (
    EVERYTHING,
    NO_VERSION,
    NOTHING,
    VersionSet,
    between,
    conda_spec,
    conda_version,
    read_spec,
    version_set,
)
from tests.lab.matching import MatchSpec as CondaMatchSpec
from tests.lab.matching import VersionOrder, VersionSpec


def pep440_admits(specifiers: str, version: str) -> bool:
    return SpecifierSet(specifiers).contains(version, prereleases=True)


def conda_admits(specifiers: str, version: str) -> bool:
    spec = conda_spec(SpecifierSet(specifiers))
    return not spec or bool(VersionSpec(spec).match(conda_version(Version(version))))


def rattler_admits(specifiers: str, version: str) -> bool:
    spec = conda_spec(SpecifierSet(specifiers))
    return not spec or rattler.VersionSpec(spec).matches(rattler.Version(conda_version(Version(version))))


def set_admits(specifiers: str, version: str) -> bool:
    return Version(version) in version_set(SpecifierSet(specifiers))


TRANSLATED: list[Callable[[str, str], bool]] = [conda_admits, rattler_admits, set_admits]


# Where a specifier handed on as it is written would be read otherwise by conda.
@pytest.mark.parametrize(
    ("specifiers", "version", "admitted"),
    [
        # "<V MUST NOT allow a pre-release of the specified version"
        ("<2", "2.0rc1", False),
        ("<2", "2.0.dev0", False),
        ("<2", "2.0a1.dev3", False),
        ("<2", "1.9.post1", True),
        ("<2.0a0", "2rc1", False),
        ("<2.0rc1", "2.0b1", True),
        ("<1.0.post1", "1.0.post1.dev0", False),
        ("<1.0.post1", "1.0rc1", True),
        ("<2.0rc1", "2.0rc1.dev0", True),
        # ">V MUST NOT allow a post-release of the given version"
        (">1.0", "1.0.post1", False),
        (">1.0", "1.post1", False),
        (">1.0", "1.0.0.post1.dev2", False),
        (">1.0", "1.0.0.1", True),
        (">1.0", "1.0.1", True),
        (">1.0.post1", "1.0.post2", True),
        (">1.0rc1", "1.0rc1.post1", False),
        (">1.0rc1", "1.0.post1", True),
        (">1.0rc1", "1.0rc2.dev0", True),
        # .dev sorts before a, b and rc
        (">=1.0.dev0", "1.0rc1", True),
        (">=1.0.dev0", "1rc1", True),
        (">=1.0.dev1", "1.0.dev0", False),
        (">=1.0a1", "1.0.dev5", False),
        ("<=1.0.dev3", "1.0a1", False),
        # zeros do not count, with a suffix either
        ("==1.0rc1", "1.0.0rc1", True),
        ("==1.0rc1", "1rc1", True),
        ("==1.0.post1", "1.0.0.post1", True),
        ("!=1.0rc1", "1.0.0rc1", False),
        (">=1.0.0rc1", "1.0rc2", True),
        ("==1.0", "1", True),
        ("==1.0", "1.0.post1", False),
        # the local part counts for nothing
        (">=1.0", "1.0+abc", True),
        ("==1.0", "1.0+abc", True),
        ("<=1.0", "1.0+abc", True),
        (">1.0", "1.0+abc", False),
        ("!=1.0", "1.0+abc", False),
        # prefixes
        (">=0.4.0,==0.4.*", "0.4.7", True),
        ("==1.0.*", "1rc1", True),
        ("==1.0.*", "1.post1", True),
        ("==1.1.*", "1.1.dev0", True),
        ("==1.1.*", "1.10", False),
        ("!=1.1.*", "1.1rc1", False),
        ("!=1.1.*", "1.10", True),
        ("~=1.2.3", "1.2.10", True),
        ("~=1.2.3", "1.3", False),
        ("~=1.2.3", "1.3rc1", False),
        ("~=1.0.post1", "1.9", True),
        ("~=1.0.post1", "1.0", False),
        ("~=2.2.0rc1", "2.2.0", True),
        # epochs stand above every release
        ("<1!2", "99", True),
        (">=1!1.0", "99", False),
        ("==1!1.0", "1!1", True),
        # "===" is string equality
        ("===1.0rc1", "1.0rc1", True),
        ("===1.0rc1", "1.0.0rc1", False),
        ("===1.0-rc1", "1.0rc1", False),
        ("===anything", "1.0", False),
        (">=2,<1", "1.5", False),
        # whole numbers, however long
        ("<20240101123456789", "20240101123456788", True),
        ("==20240101123456789", "20240101123456788", False),
    ],
)
def test_the_translation_admits_what_pep_440_admits(specifiers: str, version: str, admitted: bool) -> None:
    assert pep440_admits(specifiers, version) is admitted
    assert {read.__name__: read(specifiers, version) for read in TRANSLATED} == {
        read.__name__: admitted for read in TRANSLATED
    }


# The one class of versions given up for short specs: a post-release of a shorter release.
@pytest.mark.parametrize(
    ("specifiers", "version", "admitted"),
    [
        (">=1.0.1", "1.post1", False),
        ("<1.0.1", "1.post1", True),
        ("~=1.0.2", "1.post1", False),
        ("==1.0.0.*", "1.post1", True),
        (">=2024.0.3", "2024.post1", False),
        (">1.0.0.1", "1.0.post2", False),
    ],
)
def test_short_post_releases_are_the_known_exception(specifiers: str, version: str, admitted: bool) -> None:
    assert pep440_admits(specifiers, version) is admitted
    assert [read(specifiers, version) for read in TRANSLATED] == [not admitted] * len(TRANSLATED)
    assert is_short_post(specifiers, version)


def is_short_post(specifiers: str, version: str) -> bool:
    """Whether `version` is a post-release of a prefix of a bound's release, with a zero following there."""
    short = Version(version)
    if short.post is None or short.pre:
        return False
    for specifier in SpecifierSet(specifiers):
        bound = Version(specifier.version.removesuffix(".*"))
        last = {"~=": -2}.get(specifier.operator, -1)
        following = (*bound.release[:last], bound.release[last] + 1) if len(bound.release) >= -last else ()
        for release in (bound.release, following):
            significant = Version(".".join(map(str, release or (0,)))).release
            while len(significant) > 1 and not significant[-1]:
                significant = significant[:-1]
            here = len(short.release)
            same = bound.epoch == short.epoch and significant[:here] == short.release
            if same and len(significant) > here and significant[here] == 0:
                return True
    return False


@pytest.mark.parametrize(
    ("specifiers", "spec"),
    [
        ("", ""),
        (">=3,<4", ">=3,<4dev0"),
        (">=1.21.0", ">=1.21"),
        ("<=1.0", "<=1"),
        ("==1.4.2", "==1.4.2"),
        ("!=1.5,>=1", ">=1,!=1.5"),
        ("==1.2.*", ">=1.2dev0,<1.3dev0"),
        ("!=1.2.*", "<1.2dev0|>=1.3dev0"),
        ("~=1.2.3", ">=1.2.3,<1.3dev0"),
        (">=1.0.dev0", ">=1dev0"),
        (">=2.0,!=2.1.*,<3", ">=2,<2.1dev0|>=2.2dev0,<3dev0"),
        ("==1.0rc1", "==1rc1|==1.0rc1|==1.0.0rc1|==1.0.0.0rc1"),
        ("===1.0rc1", "==1.0rc1"),
        (">=1!2.0", ">=1!2"),
        (">2,<1", NO_VERSION),
    ],
)
def test_ordinary_specs_stay_short(specifiers: str, spec: str) -> None:
    assert conda_spec(SpecifierSet(specifiers)) == spec


@pytest.mark.parametrize("specifiers", ["===1.0", "==1.0+cpu", "!=1.0+cpu", "===1.0rc1+x", f"=={'1.' * 40}1"])
def test_what_conda_cannot_tell_apart_is_refused(specifiers: str) -> None:
    with pytest.raises(Untranslatable) as caught:
        conda_spec(SpecifierSet(specifiers))
    assert caught.value.text in specifiers


# -- properties ----------------------------------------------------------------------------------------

SUFFIXES = ["", "a0", "rc1", "rc1.dev1", "rc1.post1", ".dev0", ".dev1", ".post0", ".post1", ".post1.dev1"]
releases = st.lists(st.sampled_from([0, 1, 2, 10]), min_size=1, max_size=4).map(
    lambda segments: ".".join(map(str, segments))
)
versions = st.builds(
    "{}{}{}".format, st.sampled_from(["", "", "", "1!"]), releases, st.sampled_from(SUFFIXES)
)


@st.composite
def clauses(draw: st.DrawFn) -> str:
    if draw(st.booleans()):
        return draw(st.sampled_from(["==", "!="])) + draw(releases) + ".*"
    operator = draw(st.sampled_from(["<", "<=", ">", ">=", "==", "!=", "~="]))
    version = draw(versions)
    if operator == "~=" and len(Version(version).release) == 1:
        operator = ">="
    return operator + version


@st.composite
def neighbours(draw: st.DrawFn) -> tuple[str, list[str]]:
    """Specifiers, and versions of which most are near to their bounds."""
    specifiers = ",".join(draw(st.lists(clauses(), min_size=1, max_size=3)))
    bounds = [Version(s.version.removesuffix(".*")) for s in SpecifierSet(specifiers)]
    near = st.builds(
        lambda bound, zeros, suffix: f"{bound.base_version}{zeros}{suffix}",
        st.sampled_from(bounds),
        st.sampled_from(["", ".0", ".1"]),
        st.sampled_from(SUFFIXES),
    ).filter(lambda text: len(Version(text).release) <= 4)
    return specifiers, draw(st.lists(near | versions, min_size=5, max_size=20))


@settings(derandomize=True, max_examples=400, deadline=None)
@given(neighbours())
def test_packaging_conda_and_rattler_agree(case: tuple[str, list[str]]) -> None:
    specifiers, candidates = case
    for text in candidates:
        wanted = pep440_admits(specifiers, text)
        found = [read(specifiers, text) for read in TRANSLATED]
        assert found == [wanted] * len(found) or is_short_post(specifiers, text), text


def test_the_order_is_that_of_conda_and_rattler() -> None:
    every = [r + s for r, s in product(["0", "1", "1.0", "1.0.0", "1.0.1", "1.1", "1.10", "1!0"], SUFFIXES)]
    ours = [[Version(b) in between(a, None) for b in every] for a in every]
    assert ours == [[VersionOrder(b) >= VersionOrder(a) for b in every] for a in every]
    assert ours == [[rattler.Version(b) >= rattler.Version(a) for b in every] for a in every]


sets = clauses().map(lambda clause: version_set(SpecifierSet(clause)))


@settings(derandomize=True, max_examples=100, deadline=None)
@given(sets, sets, st.lists(versions, min_size=5, max_size=10))
def test_sets_obey_their_algebra(one: VersionSet, other: VersionSet, texts: list[str]) -> None:
    for version in map(Version, texts):
        assert (version in one & other) == (version in one and version in other)
        assert (version in one | other) == (version in one or version in other)
        assert (version in ~one) != (version in one)
    assert ~~one == one
    assert one & ~one == NOTHING
    assert one | ~one == EVERYTHING


@settings(derandomize=True, max_examples=200, deadline=None)
@given(sets, sets, st.lists(versions, min_size=5, max_size=10))
def test_what_was_written_is_read_back(one: VersionSet, other: VersionSet, texts: list[str]) -> None:
    for written in (one, one | other, one & other, ~one):
        found = read_spec(str(written))
        assert str(found) == str(written)
        assert [Version(v) in found for v in texts] == [Version(v) in written for v in texts]


@pytest.mark.parametrize("spec", ["1.0", "1.0.*", "~=1.0", ">=1,", "=1.0", "*"])
def test_no_other_form_is_read(spec: str) -> None:
    with pytest.raises(ValueError):
        read_spec(spec)


def test_around_is_the_stretch_that_holds_a_version_over_single_holes() -> None:
    holed = version_set(SpecifierSet(">=3.6,!=3.9.0,!=3.10.*"))
    assert str(holed.around(Version("3.8"))) == ">=3.6,!=3.9,<3.10dev0"
    assert str(holed.around(Version("3.12.1"))) == ">=3.11dev0"
    assert holed.around(Version("3.10.4")) == NOTHING
    assert Version("3.9") not in holed.around(Version("3.9"))


# -- the strings as conda and rattler get them ---------------------------------------------------------


@pytest.mark.parametrize("specifiers", ["", ">1.0", "!=1.0.*", ">=1rc1,<2", "~=1.4", "==1!1.0", ">2,<1"])
def test_specs_are_read_inside_a_dependency(specifiers: str) -> None:
    dependency = f"foo {conda_spec(SpecifierSet(specifiers))}".strip()
    conda, other = (
        CondaMatchSpec(dependency),
        rattler.VersionSpec(rattler.MatchSpec(dependency).version or "*"),
    )
    for version in [
        "0.9",
        "1.0rc1",
        "1.0",
        "1.0.post1",
        "1.1",
        "1.4.2",
        "2.0.dev1",
        "2.0",
        "3",
        "1!1",
        "1!1.1",
    ]:
        wanted = pep440_admits(specifiers, version)
        record = {"name": "foo", "version": version, "build": "0", "build_number": 0}
        assert conda.match(record) is wanted
        assert other.matches(rattler.Version(version)) is wanted


def test_a_version_loses_its_local_part() -> None:
    assert conda_version(Version("1!1.0RC1.post2.dev3+cu118.x")) == "1!1.0rc1.post2.dev3"


def test_a_version_that_is_too_long_is_refused() -> None:
    """CEP 26: "The maximum length of a version string MUST NOT exceed 64 characters"."""
    assert conda_version(Version("1." * 31 + "10")) == "1." * 31 + "10"
    with pytest.raises(Untranslatable, match="64 characters"):
        conda_version(Version("1." * 32 + "1"))
