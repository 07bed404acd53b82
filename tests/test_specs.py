"""SPECs: one text, one meaning, in conda's grammar and in PEP 508's."""

from __future__ import annotations

import contextlib

import pytest
import rattler
from packaging.requirements import Requirement
from packaging.version import Version

from conda_pypi_bridge.errors import BridgeError, SpecError, Untranslatable
from conda_pypi_bridge.model import Request
from conda_pypi_bridge.specs import names_python, parse_spec

LINUX = {
    "implementation_name": "cpython",
    "implementation_version": "3.11.7",
    "os_name": "posix",
    "platform_machine": "x86_64",
    "platform_python_implementation": "CPython",
    "platform_release": "6.1",
    "platform_system": "Linux",
    "platform_version": "#1",
    "python_full_version": "3.11.7",
    "python_version": "3.11",
    "sys_platform": "linux",
}

VERSIONS = [
    "2.3",
    "2.9.9",
    "3",
    "3.0",
    "3.0.1",
    "3.1",
    "3.1.0",
    "3.1.2",
    "3.1.10",
    "3.2",
    "3.10",
    "3.11.1",
    "4.0",
    "10.0",
]


def read(text: str) -> Request:
    request = parse_spec(text, LINUX)
    assert request is not None
    return request


# Text, its PEP 508 reading, and the versions among VERSIONS that it means.
BOTH_GRAMMARS = [
    ("flask", "flask", VERSIONS),
    ("  flask  ", "flask", VERSIONS),
    ("flask *", "flask", VERSIONS),
    ("flask[]", "flask", VERSIONS),
    ("flask>=3", "flask>=3", VERSIONS[2:]),
    ("flask >= 3.1 , < 4", "flask>=3.1,<4", ["3.1", "3.1.0", "3.1.2", "3.1.10", "3.2", "3.10", "3.11.1"]),
    ("flask (>=3.1,<3.2)", "flask>=3.1,<3.2", ["3.1", "3.1.0", "3.1.2", "3.1.10"]),
    ("flask=3.1", "flask==3.1.*", ["3.1", "3.1.0", "3.1.2", "3.1.10"]),
    ("flask =3.1", "flask==3.1.*", ["3.1", "3.1.0", "3.1.2", "3.1.10"]),
    ("flask=3.1.*", "flask==3.1.*", ["3.1", "3.1.0", "3.1.2", "3.1.10"]),
    ("flask 3.1.*", "flask==3.1.*", ["3.1", "3.1.0", "3.1.2", "3.1.10"]),
    ("flask 3.1*", "flask==3.1.*", ["3.1", "3.1.0", "3.1.2", "3.1.10"]),
    ("flask==3.1.*", "flask==3.1.*", ["3.1", "3.1.0", "3.1.2", "3.1.10"]),
    ("flask[version='=3.1']", "flask==3.1.*", ["3.1", "3.1.0", "3.1.2", "3.1.10"]),
    ("flask=3", "flask==3.*", VERSIONS[2:-2]),
    ("flask==3.1", "flask==3.1", ["3.1", "3.1.0"]),
    ("flask 3.1", "flask==3.1", ["3.1", "3.1.0"]),
    ("flask!=3.1", "flask!=3.1", [v for v in VERSIONS if v not in {"3.1", "3.1.0"}]),
    ("flask!=3.1.*", "flask!=3.1.*", [v for v in VERSIONS if v != "3.1" and not v.startswith("3.1.")]),
    ("flask~=3.1", "flask~=3.1", ["3.1", "3.1.0", "3.1.2", "3.1.10", "3.2", "3.10", "3.11.1"]),
    ("flask>3", "flask>3", VERSIONS[4:]),
    ("flask<=3", "flask<=3", VERSIONS[:4]),
    ("flask>=3.10.*", "flask>=3.10", ["3.10", "3.11.1", "4.0", "10.0"]),
    ("flask=3.1,>=3.1.2", "flask==3.1.*,>=3.1.2", ["3.1.2", "3.1.10"]),
    ("flask[version='>=3.10']", "flask>=3.10", ["3.10", "3.11.1", "4.0", "10.0"]),
    ('flask[version=">=3,<3.1"]', "flask>=3,<3.1", ["3", "3.0", "3.0.1"]),
    ('flask>=4; python_version > "3.9"', "flask>=4", ["4.0", "10.0"]),
    ("flask>=4 ; sys_platform == 'linux' and python_version in '3.10 3.11'", "flask>=4", ["4.0", "10.0"]),
]


@pytest.mark.parametrize(("text", "requirement", "meant"), BOTH_GRAMMARS)
def test_both_readings_of_a_text_mean_the_same_versions(
    text: str, requirement: str, meant: list[str]
) -> None:
    request = read(text)
    assert request.requirement == Requirement(requirement)
    assert [v for v in VERSIONS if v in request.requirement.specifier] == meant
    assert request.spec is not None
    assert _admitted(request.spec) == meant


def _admitted(spec: str) -> list[str]:
    """What rattler takes the spec for: the channel reading, judged by a conda client."""
    version = rattler.MatchSpec(spec).version
    return [
        v for v in VERSIONS if version is None or rattler.VersionSpec(version).matches(rattler.Version(v))
    ]


CONDA_ONLY = [
    ("flask>=3|<2", "flask >=3|<2"),
    ("flask 3.1|3.2", "flask ==3.1|==3.2"),
    ("flask=3.1=py_0", "flask ==3.1 py_0"),
    ("flask 3.1 py_0", "flask ==3.1 py_0"),
    ("flask>=3=py_0", "flask >=3 py_0"),
    ("numpy=*=*mkl*", "numpy * *mkl*"),
    ("numpy * *mkl*", "numpy * *mkl*"),
    ("flask[build=py_0]", "flask * py_0"),
    ("flask[version='>=3',build=py_0]", "flask >=3 py_0"),
    ("flask[build_number=1]", "flask[build_number=1]"),
    ("flask>=3[md5=d41d8cd98f00b204e9800998ecf8427e]", "flask>=3[md5=d41d8cd98f00b204e9800998ecf8427e]"),
    ("conda-forge::flask", "conda-forge::flask"),
    ("conda-forge/linux-64::flask>=3", "conda-forge/linux-64::flask >=3"),
    ("https://conda.example/ch::flask=3", "https://conda.example/ch::flask 3.*"),
    ("openssl=1.1.1w", "openssl 1.1.1w.*"),
    ("openssl>=1.1.1w", "openssl >=1.1.1w"),
    ("jpeg=9e", "jpeg 9e.*"),
    ("tzdata=2024a", "tzdata 2024a.*"),
    ("_libgcc_mutex", "_libgcc_mutex"),
    ("__glibc>=2.17", "__glibc >=2.17"),
]


@pytest.mark.parametrize(("text", "spec"), CONDA_ONLY)
def test_what_only_conda_can_express_stays_with_conda(text: str, spec: str) -> None:
    request = read(text)
    assert (request.requirement, request.spec) == (None, spec)
    rattler.MatchSpec(spec)


@pytest.mark.parametrize(
    ("text", "requirement"),
    [
        ("flask[async]", "flask[async]"),
        ("flask[async,dotenv]>=3,<4", "flask[async,dotenv]>=3,<4"),
        ("flask[async]=3.1", "flask[async]==3.1.*"),
        ("flask[extras=[async]]", "flask[async]"),
        ("flask[version='>=3', extras=[async,dotenv]]", "flask[async,dotenv]>=3"),
        ('flask[async]>=3,<4; python_version>"3.9"', "flask[async]>=3,<4"),
        ("pypi-bridge::flask>=3", "flask>=3"),
    ],
)
def test_what_only_pep_508_can_express_stays_with_the_index(text: str, requirement: str) -> None:
    request = read(text)
    assert (request.requirement, request.spec) == (Requirement(requirement), None)


def test_names_are_normalised_for_the_index_and_lower_case_for_conda() -> None:
    request = read("Ruamel.YAML")
    assert (request.project, request.spec) == ("ruamel-yaml", "ruamel.yaml")
    assert read("Typing_Extensions>=4").project == "typing-extensions"


def test_a_marker_that_does_not_hold_in_the_target_leaves_nothing_to_install() -> None:
    assert parse_spec('flask; sys_platform == "win32"', LINUX) is None
    assert parse_spec('flask; sys_platform == "win32"', {**LINUX, "sys_platform": "win32"}) is not None


def test_a_version_that_is_a_pre_release_only_to_pep_440_keeps_the_words_of_conda() -> None:
    request = read("tzdata 2024a")
    assert request.spec == "tzdata ==2024a"
    assert request.requirement is not None
    assert Version("2024a0") in request.requirement.specifier


REFUSED = [
    ("", "empty"),
    ("   ", "empty"),
    ("flask\nnumpy", "control characters"),
    ("flask\x00", "control characters"),
    ("flask @ https://x.example/f-1-py3-none-any.whl", "URL requirements"),
    ("flask@https://x.example/f.zip", "URL requirements"),
    ("flask[async] @ https://x.example/f.zip ; python_version > '3'", "URL requirements"),
    ("https://x.example/f.whl", "URL requirements"),
    ("file:///x/f.whl", "URL requirements"),
    ("file:f.whl", "URL requirements"),
    ("flask @ git+https://x.example/f", "version control"),
    ("git+ssh://git@x.example/f.git", "version control"),
    ("-e .", "editable"),
    ("--editable=./foo", "editable"),
    ("--pre", "an option"),
    ("-r x.txt", "an option"),
    ("./foo", "files and folders"),
    ("../foo", "files and folders"),
    ("/abs/foo", "files and folders"),
    ("~/foo", "files and folders"),
    ("C:\\x\\foo", "files and folders"),
    ("foo-1.0-py3-none-any.whl", "files and folders"),
    ("foo-1.0.tar.gz", "files and folders"),
    ("numpy-1.0-0.conda", "files and folders"),
    ("requirements.txt", "a file of requirements"),
    ("pyproject.toml", "a file of requirements"),
    ("flask=>3", "'=>3' is no version constraint"),
    ("flask=<3", "'=<3' is no version constraint"),
    ("flask>>3", "no version constraint"),
    ("flask>", "no version constraint"),
    ("flask==", "no version constraint"),
    ("flask>=3,", "no version constraint"),
    ("flask ,>=3", "no version constraint"),
    ("flask~3", "'~3' is no version constraint"),
    ("flask^3", "'^3' is no version constraint"),
    ("flask@3", "'@3' is no version constraint"),
    ("flask@latest", "no version constraint"),
    ("flask >=3 <4", "no version constraint"),
    ("flask>=3 and <4", "no version constraint"),
    ("flask 3.1 py_0 extra", "no version constraint"),
    ("flask>=3 # comment", "no version constraint"),
    ("flask==3.1 --hash=sha256:abc", "no version constraint"),
    ("flask $(touch x)", "no version constraint"),
    ("flask=3.1=py-0", "no build string"),
    ("flask[build='a b']", "no build string"),
    ("flask[version='3.1 py_0']", "no part of a version"),
    ("flask;", "nothing follows"),
    ("flask; foo", "environment marker"),
    ("flask; foo == 'x'", "environment marker"),
    ("flask; python_version > '3' and", "environment marker"),
    ("flask[as ync]", "name of an extra"),
    ("flask[async", "no version constraint"),
    ("flask]", "no version constraint"),
    ("flask[foo=1]", "no key 'foo'"),
    ("flask[version='>=3'x]", "neither"),
    ("flask[async]>=1.1.1w", "PEP 440"),
    ("flask[async]=3.1=py_0", "extras cannot be combined"),
    ("conda-forge::flask[async]", "extras cannot be combined"),
    ("conda-forge::flask; python_version>'3'", "a marker cannot be combined"),
    ("::flask", "no channel"),
    ("[flask]", "name of a package"),
    ("==3", "name of a package"),
    ("*", "name of a package"),
    ("flask*", "name of a package"),
    ("'flask'", "name of a package"),
    ("фласк", "name of a package"),
    ("a/b", "no version constraint"),
]


@pytest.mark.parametrize(("text", "reason"), REFUSED)
def test_what_cannot_be_read_is_refused_in_one_line(text: str, reason: str) -> None:
    with pytest.raises(SpecError) as caught:
        parse_spec(text, LINUX)
    assert reason in str(caught.value)
    assert "\n" not in f"{caught.value}{caught.value.hint}"


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("flask=>3", ">="),
        ("flask=<3", "<="),
        ("flask~3", "~="),
        ("flask^3", ">=1.2,<2"),
        ("flask@3", "=="),
        ("flask >=3 <4", "comma"),
        ("requirements.txt", "-r requirements.txt"),
        ("-e .", "pip install"),
    ],
)
def test_a_common_slip_is_told_the_right_form(text: str, hint: str) -> None:
    with pytest.raises(SpecError) as caught:
        parse_spec(text, LINUX)
    assert hint in caught.value.hint


def test_arbitrary_equality_is_refused_because_conda_cannot_express_it() -> None:
    """PEP 440: ``===`` compares strings, "a simple string equality"."""
    with pytest.raises(Untranslatable):
        parse_spec("flask===3.1", LINUX)


@pytest.mark.parametrize(
    "text", ["python", "python=3.12", "Python>=3", "conda-forge::python", "python[version='3']"]
)
def test_a_spec_on_python_itself_is_recognised(text: str) -> None:
    assert names_python(text)


@pytest.mark.parametrize("text", ["python-dateutil", "pythonnet", "flask; python_version>'3'", "ipython", ""])
def test_a_spec_on_another_package_is_not_taken_for_python(text: str) -> None:
    assert not names_python(text)


def test_every_error_is_a_bridge_error() -> None:
    """Doors show `BridgeError`s; no text may raise anything else."""
    pieces = [
        "flask",
        "[",
        "]",
        "=",
        ">=3",
        ";",
        "::",
        ",",
        "|",
        " ",
        "*",
        "@",
        "'",
        "(",
        ")",
        "~",
        "-1",
        "%",
        "a b",
    ]
    for first in pieces:
        for second in pieces:
            for third in pieces:
                with contextlib.suppress(BridgeError):
                    parse_spec(f"flask{first}{second}{third}", LINUX)
