"""Records of wheels as they are: one says for all Pythons what the records of packages say in several."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import msgpack
import pytest
import zstandard
from packaging.version import Version

from conda_pypi_bridge.channel import direct, formats
from conda_pypi_bridge.errors import NoFittingWheel, Untranslatable
from conda_pypi_bridge.model import Candidate
from conda_pypi_bridge.names import Names
from conda_pypi_bridge.tags import make_target
from conda_pypi_bridge.translate import record
from conda_pypi_bridge.versions import read_spec
from tests.test_channel_offers import MARKED, SCOPE, SUBDIRS, candidate

SPEC = re.compile(r"(?P<name>[\w.-]+)(?:\[(?P<fields>.+)\])?")
FIELD = re.compile(r'(\w+)="([^"]*)"')


def sized(of: Candidate) -> Candidate:
    return replace(of, wheel=of.wheel._replace(size=1234))


def entries(of: Candidate) -> dict[str, dict[str, Any]]:
    return direct.entries(sized(of), SCOPE, Names().conda_name)


def entry(of: Candidate, subdir: str = "noarch") -> dict[str, Any]:
    return entries(of)[subdir]


def holds(condition: str, python: Version) -> bool:
    """Whether a condition of queries on ``python``, joined by ``and`` and ``or``, is met."""
    alternatives = [text.strip("()") for text in condition.split(" or ")]
    clauses = [text.split(" and ") for text in alternatives]
    return any(all(python in read_spec(c.removeprefix("python")) for c in some) for some in clauses)


def required(specs: list[str], python: Version) -> list[str]:
    """What entries require of a Python, in the plain form; what is said of Python itself is left out."""
    found = []
    for spec in specs:
        match = SPEC.fullmatch(spec)
        assert match is not None
        fields = dict(FIELD.findall(match["fields"] or ""))
        if match["name"] != "python" and holds(fields.pop("when", "python>=0"), python):
            found.append(" ".join([match["name"], *fields.values()]))
    return found


def test_a_wheel_is_listed_with_what_the_index_tells_of_it() -> None:
    of = sized(candidate(requires=["httpx>=2"]))
    found = entry(of)
    assert found["fn"] == "pkg-1.0-py3-none-any.whl"
    assert found["url"] == of.wheel.url
    assert (found["sha256"], found["size"]) == (of.wheel.sha256, 1234)
    assert (found["name"], found["version"], found["subdir"], found["noarch"]) == (
        "pkg",
        "1.0",
        "noarch",
        "python",
    )
    assert found["depends"] == ['httpx[version=">=2"]', 'python[version=">=3"]']
    assert direct.key_of(found) == f"pkg-1.0-{found['build']}"


def test_a_requirement_of_some_pythons_is_conditional() -> None:
    """CEP 43."""
    found = entry(candidate(requires=["tomli; python_version<'3.11'", "httpx"]))
    assert found["depends"] == ["httpx", 'python[version=">=3"]', 'tomli[when="python<3.11dev0"]']


def test_conditions_can_have_alternatives() -> None:
    found = entry(candidate(requires=["a>=2; python_version in '3.10 3.12'"]))
    condition = "(python<3.11dev0) or (python>=3.12dev0 and python<3.13dev0)"
    assert found["depends"][0] == f'a[version=">=2",when="{condition}"]'


def test_a_requirement_of_one_platform_is_listed_there_alone() -> None:
    found = entries(candidate(requires=["colorama; sys_platform=='win32'"]))
    assert set(found) == set(SUBDIRS)
    assert {subdir for subdir, made in found.items() if "colorama" in made["depends"]} == {"win-64"}


def test_native_code_is_listed_for_its_platform() -> None:
    found = entries(candidate("pkg-1.0-cp313-cp313-manylinux2014_x86_64.whl"))
    assert list(found) == ["linux-64"]
    assert found["linux-64"]["depends"] == [
        '__glibc[version=">=2.17"]',
        'python[version=">=3.13dev0,<3.14dev0"]',
    ]
    assert found["linux-64"]["constrains"] == ['python_abi[version="3.13.*",build="*_cp313"]']


def test_extras_are_groups_of_dependencies() -> None:
    """CEP 44; others depend on the metapackage, which every client understands."""
    found = entry(candidate(extras={"async": ["asgiref>=3", "tomli; python_version<'3.11'"], "none": []}))
    assert found["extra_depends"] == {
        "async": ['asgiref[version=">=3"]', 'tomli[when="python<3.11dev0"]'],
        "none": [],
    }
    assert entry(candidate(requires=["httpx[http2]>=1"]))["depends"][:2] == [
        'httpx[version=">=1"]',
        'httpx_extra_http2[version=">=1"]',
    ]


@pytest.mark.parametrize("requires", MARKED, ids=" ".join)
@pytest.mark.parametrize("subdir", SUBDIRS)
@pytest.mark.parametrize("python", ["3.10.0", "3.11.3", "3.11.9", "3.12.0", "3.12.1", "3.12.2", "3.13.5"])
def test_conditions_hold_where_the_markers_do(requires: list[str], subdir: str, python: str) -> None:
    """As the bridge would translate them in that environment."""
    of = candidate(requires=requires)
    found = entries(of)
    systems = {"linux-64": {"glibc": (2, 35)}, "osx-arm64": {"macos": (14, 0)}, "win-64": {}}[subdir]
    theirs = make_target(Version(python), subdir, **systems)  # type: ignore[arg-type]
    wanted = [s for s in record(of, theirs, Names().conda_name).depends if not s.startswith("python ")]
    assert sorted(required(found.get(subdir, found.get("noarch", {}))["depends"], Version(python))) == wanted


def test_a_wheel_whose_size_is_not_known_is_refused() -> None:
    """Some clients take a missing size for an empty file."""
    with pytest.raises(Untranslatable, match="size"):
        direct.entries(candidate(), SCOPE, Names().conda_name)


@pytest.mark.parametrize(
    "url",
    [
        "https://host/pkg-1.0-py3-none-any.whl?X-Signature=abc",
        "https://user:password@host/pkg-1.0-py3-none-any.whl",
        "https://token@host/pkg-1.0-py3-none-any.whl",
        "file:///srv/wheels/pkg-1.0-py3-none-any.whl",
    ],
)
def test_a_url_that_is_not_for_everybody_is_not_published(url: str) -> None:
    of = sized(candidate())
    with pytest.raises(Untranslatable, match="its URL") as caught:
        direct.entries(replace(of, wheel=of.wheel._replace(url=url)), SCOPE, Names().conda_name)
    assert url not in str(caught.value)


def test_a_wheel_for_nobody_is_refused() -> None:
    with pytest.raises(NoFittingWheel):
        entries(candidate("pkg-1.0-cp39-cp39-win_amd64.whl"))


def test_a_shard_lists_wheels_beside_packages() -> None:
    """CEP 48; hashes stay hexadecimal, because py-rattler 0.23 reads no others here."""
    found = entry(candidate())
    shard = msgpack.unpackb(zstandard.decompress(formats.shard([], wheels=[found])))
    assert shard["packages.conda"] == {}
    assert shard["v3"] == {"whl": {direct.key_of(found): found}}
    assert shard["v3"]["whl"][direct.key_of(found)]["sha256"] == "0" * 64
