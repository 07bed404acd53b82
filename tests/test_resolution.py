"""Real requests are resolved as uv and pip resolve them. The whole set: ``python -m tests.resolution``."""

from __future__ import annotations

import ast
import hashlib
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from packaging.version import Version

from tests.indexserver import IndexServer
from tests.lab.channels import index_channel, make_python_package
from tests.lab.condas import Home, Result, python_of, run
from tests.resolution.cases import CASES, Case
from tests.resolution.compare import UV, Comparer, Comparison, Resolution, read_ours, read_pip, read_uv
from tests.resolution.universe import Universe


@pytest.fixture(scope="module")
def comparer(tmp_path_factory: pytest.TempPathFactory) -> Comparer:
    return Comparer(tmp_path_factory.mktemp("resolution"))


@pytest.mark.network
@pytest.mark.parametrize("case", [case for case in CASES if case.sample], ids=str)
def test_a_request_is_resolved_as_other_installers_do(case: Case, comparer: Comparer) -> None:
    comparison = comparer.compare(case)
    assert not comparison.differences
    assert comparison.ours.chosen
    # a solution that is found at the first try costs one metadata file a package
    assert comparison.metadata <= 1.2 * len(comparison.ours.chosen)


def test_the_set_is_large_and_nothing_stands_in_it_twice() -> None:
    assert len({str(case) for case in CASES}) == len(CASES) >= 40
    assert 6 <= sum(case.sample for case in CASES) <= 10


# -- the comparer itself -------------------------------------------------------------------------------


def resolution(failure: str = "", **versions: str) -> Resolution:
    chosen = {name: Version(version) for name, version in versions.items()}
    return Resolution(chosen=chosen, seconds=0, failure=failure)


@pytest.mark.parametrize(
    ("ours", "theirs", "difference"),
    [
        (resolution(a="1"), resolution(a="2"), "a: ours 1, theirs 2"),
        (resolution(a="1"), resolution(a="1", b="1"), "b: ours none, theirs 1"),
        (resolution(a="1", b="1"), resolution(a="1"), "b: ours 1, theirs none"),
        (resolution(failure="no"), resolution(a="1"), "no"),
        (resolution(a="1"), resolution(failure="no"), "no"),
    ],
)
def test_a_difference_is_told(ours: Resolution, theirs: Resolution, difference: str) -> None:
    comparison = Comparison(case=Case("a", ""), ours=ours, theirs=theirs, metadata=1)
    assert comparison.differences == [difference]


def test_what_both_refuse_is_neither_the_same_nor_different() -> None:
    no = resolution(failure="no")
    both = Comparison(case=Case("a", ""), ours=no, theirs=no, metadata=0)
    assert both.refused
    assert not both.differences
    assert not replace(both, ours=resolution(a="1")).refused


def test_versions_are_compared_and_not_their_spelling() -> None:
    comparison = Comparison(
        case=Case("a", ""), ours=resolution(a="1.0"), theirs=resolution(a="1"), metadata=1
    )
    assert not comparison.differences


def test_a_project_counts_by_its_own_name_and_an_extra_not_at_all() -> None:
    rows = [
        {"name": "ruamel.yaml", "wheel": "ruamel_yaml-1.0-py3-none-any.whl"},
        {"name": "ruamel.yaml_extra_jinja2"},
    ]
    expected = {"ruamel-yaml": Version("1.0")}
    assert read_ours(json.dumps({"actions": {"LINK": rows}})) == expected
    assert read_uv("ruamel-yaml==1.0\n") == expected
    assert (
        read_pip(json.dumps({"install": [{"metadata": {"name": "ruamel.yaml", "version": "1.0"}}]}))
        == expected
    )


def test_no_setting_of_the_caller_reaches_a_resolver(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("UV_PRERELEASE", "allow")
    monkeypatch.setenv("PIP_PRE", "1")
    monkeypatch.setenv("PIP_INDEX_URL", "https://index.example/simple")
    environment = Comparer(tmp_path).environment
    assert not {"UV_PRERELEASE", "PIP_PRE"} & environment.keys()
    assert environment["PIP_INDEX_URL"] == environment["UV_DEFAULT_INDEX"] == "https://index.example/simple/"


# -- on loopback indexes, through ``python -m`` -------------------------------------------------------------

Bridge = Callable[..., Result]


@pytest.fixture
def index() -> Iterator[IndexServer]:
    with IndexServer() as server:
        yield server


@pytest.fixture
def install(bridge: Bridge, venv: Path, index: IndexServer) -> Bridge:
    """Install into a virtual environment from the loopback index."""

    def call(*args: str | Path, **options: object) -> Result:
        return bridge("install", "-p", venv, "-y", "-i", index.url, *args, **options)

    return call


@pytest.fixture
def resolve(install: Bridge) -> Callable[..., dict[str, str]]:
    """What would be installed: versions by conda name."""

    def call(*args: str | Path) -> dict[str, str]:
        rows = install("--dry-run", "--json", *args).json()["actions"]["LINK"]
        return {row["name"]: row["version"] for row in rows}

    return call


@pytest.fixture
def refused(install: Bridge) -> Callable[..., str]:
    """The message of an install that must fail."""

    def call(*args: str | Path) -> str:
        result = install("--json", *args, check=False)
        assert result.returncode == 1, result.stdout
        return str(result.json()["error"])

    return call


Resolve = Callable[..., dict[str, str]]
Refused = Callable[..., str]


def asked(index: IndexServer) -> tuple[int, int, int]:
    """How many pages, metadata files and wheels were asked for."""
    return index.count("^/simple/"), index.count(r"\.metadata$"), index.count(r"\.whl$")


@pytest.mark.parametrize("shape", ["chain", "fan"])
def test_fifteen_projects_are_resolved_in_one_solve(shape: str, resolve: Resolve, index: IndexServer) -> None:
    names = [f"p{number}" for number in range(15)]
    for number, name in enumerate(names):
        later = names[number + 1 :] if shape == "fan" and not number else names[number + 1 : number + 2]
        for version in ("1.0", "2.0", "3.0"):
            index.add(name, version, requires=later if shape == "chain" or not number else [])
    assert resolve("p0") == dict.fromkeys(names, "3.0")
    # a second solve would have listed older versions too
    assert asked(index) == (15, 15, 0)


def test_what_is_asked_of_the_index_is_little_more_than_what_is_installed(
    install: Bridge, venv: Path, index: IndexServer
) -> None:
    """A cycle, extras that refer to their own project, a project that requires itself, bounds that meet."""
    index.add("app", "2.0", requires=["web[all]>=1,<3", "core<5", "log", "app"])
    index.add("web", "2.5", requires=["core>=3"], extras={"all": ["web[a,b]"], "a": ["fast"], "b": ["log"]})
    index.add("web", "3.0", requires=["nowhere"])
    for version in ("3.0", "4.0", "5.0"):
        index.add("core", version, requires=["log"])
    index.add("log", "1.0", requires=["app>=1"])
    for number in range(10):
        index.add("fast", f"1.{number}", requires=[f"part{number}" for number in range(10)])
        index.add(f"part{number}", "1.0")
        index.add(f"part{number}", "1.1", requires=["log"])
    install("app", "fast<2")
    code = "from importlib.metadata import *; print({d.name: d.version for d in distributions()})"
    installed = ast.literal_eval(run([python_of(venv), "-c", code], {}).stdout)
    parts = {f"part{number}": "1.1" for number in range(10)}
    assert installed == {"app": "2.0", "web": "2.5", "core": "4.0", "log": "1.0", "fast": "1.9", **parts}
    pages, metadata, wheels = asked(index)
    assert pages == len(installed)
    assert metadata <= 1.2 * len(installed)
    assert wheels == len(installed)


def test_an_old_release_among_hundreds_is_found(resolve: Resolve, index: IndexServer) -> None:
    for number in range(600):
        index.add("many", f"1.{number}", requires=["lib<2" if number < 550 else "lib>=2"])
    index.add("lib", "1.0")
    index.add("lib", "2.0")
    index.add("user", "1.0", requires=["lib==1.*"])
    assert resolve("many", "user") == {"many": "1.549", "user": "1.0", "lib": "1.0"}


@pytest.mark.parametrize(
    ("specs", "version"),
    [
        (["a"], "1.0"),
        (["a", "b>=2.0b1"], "2.0rc1"),
        (["a", "--pre"], "2.0rc1"),
        (["c"], "2.0rc1"),
    ],
    ids=" ".join,
)
def test_a_pre_release_of_a_requirement_has_to_be_asked_for(
    specs: list[str], version: str, resolve: Resolve, index: IndexServer
) -> None:
    index.add("a", "1.0", requires=["b"])
    index.add("c", "1.0", requires=["b>=2.0a1"])
    index.add("b", "1.0")
    index.add("b", "2.0rc1")
    assert resolve(*specs)["b"] == version


def test_what_is_odd_about_a_chosen_version_is_told_and_of_others_not(
    install: Bridge, index: IndexServer
) -> None:
    index.add("a", "1.0", extras={"fast": [], "slow": []})
    index.add("a", "2.0", yanked="it eats data", extras={"fast": []})
    told = install("--dry-run", "a==2.0").stderr
    assert "a 2.0 was yanked by its author: it eats data" in told
    told = install("--dry-run", "a[quick]").stderr
    assert "a 1.0 has no extra 'quick' (it has: fast, slow)" in told
    assert "yanked" not in told


def test_constraints_in_a_nested_file_limit_what_others_require(
    resolve: Resolve, refused: Refused, index: IndexServer, tmp_path: Path
) -> None:
    for version in ("1.0", "2.0", "3.0"):
        index.add("a", version, requires=["b"])
        index.add("b", version)
        index.add("unasked", version)
    (tmp_path / "limits").mkdir()
    (tmp_path / "limits" / "constraints.txt").write_text("b<3\nunasked==1.0\na!=3.0\n")
    (tmp_path / "nested.txt").write_text("-c limits/constraints.txt\n")
    path = tmp_path / "requirements.txt"
    path.write_text("a\n-r nested.txt\n")
    assert resolve("-r", path) == {"a": "2.0", "b": "2.0"}
    assert "a" in refused("-r", path, "a>=3")
    assert index.count("unasked") == 0


def test_with_hashes_only_those_files_are_installed(
    install: Bridge, refused: Refused, index: IndexServer, extra_channel: Path, tmp_path: Path
) -> None:
    """Not a newer one, not another of that name and version, and not what a channel has."""
    filename = index.add("a", "1.0")
    index.add("a", "2.0")
    make_python_package(extra_channel, "a", "1.0")
    channel = ("-c", index_channel(extra_channel).as_uri())
    path = tmp_path / "requirements.txt"
    path.write_text(f"a --hash=sha256:{'0' * 64}\n")
    assert "hash" in refused("-r", path, *channel)
    digest = hashlib.sha256(index.files[filename]).hexdigest()
    path.write_text(f"a --hash=sha256:{digest}\n")
    (row,) = install("-r", path, *channel, "--json").json()["actions"]["LINK"]
    assert (row["wheel"], row["origin"], row["sha256"]) == (filename, "pypi", digest)


def test_with_hashes_a_requirement_without_is_refused(
    refused: Refused, index: IndexServer, tmp_path: Path
) -> None:
    digest = hashlib.sha256(index.files[index.add("a", "1.0", requires=["b"])]).hexdigest()
    index.add("b", "1.0")
    path = tmp_path / "requirements.txt"
    path.write_text(f"a --hash=sha256:{digest}\n")
    message = refused("-r", path)
    assert "b" in message
    assert "hash" in message


def test_the_first_index_that_has_a_project_owns_it(resolve: Resolve, index: IndexServer) -> None:
    index.add("inner", "1.0", requires=["shared"])
    index.add("shared", "1.0")
    with IndexServer() as other:
        other.add("inner", "9.0")
        other.add("shared", "9.0")
        other.add("outer", "2.0", requires=["shared"])
        extra = ("--extra-index-url", other.url)
        assert resolve(*extra, "inner", "outer") == {"inner": "1.0", "outer": "2.0", "shared": "1.0"}
        assert other.count("inner") == other.count("shared") == 0


@pytest.mark.parametrize("request_", ["station", "line"])
def test_what_a_conda_package_lacks_is_never_taken_from_the_index(
    request_: str, refused: Refused, index: IndexServer, extra_channel: Path
) -> None:
    make_python_package(extra_channel, "station", "1.0", depends=["ghost"])
    index.add("line", "1.0", requires=["station"])
    index.add("station", "0.5")
    index.add("ghost", "1.0")
    assert "ghost" in refused("-c", index_channel(extra_channel).as_uri(), request_)
    assert index.count("ghost") == 0


@pytest.mark.parametrize("request_", ["openssl", "user"])
def test_native_and_core_names_are_never_taken_from_the_index(
    request_: str, refused: Refused, index: IndexServer
) -> None:
    index.add("user", "1.0", requires=["openssl"])
    index.add("openssl", "3.0")
    assert "no package named 'openssl'" in refused(request_)
    assert index.count("openssl") == 0


@pytest.mark.parametrize("seed", range(12))
def test_a_solution_is_found_where_uv_finds_one_and_meets_all_requirements(
    seed: int, install: Bridge, index: IndexServer, home: Home
) -> None:
    universe = Universe.of(seed)
    universe.publish(index)
    ours = install("--dry-run", "--json", *universe.request, check=False)
    command = [
        *UV,
        "pip",
        "compile",
        "--no-config",
        "--python",
        sys.executable,
        "--index-url",
        index.url,
        "-",
    ]
    theirs = run(command, home.environment(), check=False, input="\n".join(universe.request))
    assert (ours.returncode, theirs.returncode) in {(0, 0), (1, 1)}, ours.stdout + theirs.stderr
    if ours.returncode == 0:
        assert not universe.faults(read_ours(ours.stdout))
    else:
        assert ours.json()["exception_name"] in {"Unsatisfiable", "NoFittingWheel"}


def test_a_version_whose_metadata_is_another_s_is_passed_over(resolve: Resolve, index: IndexServer) -> None:
    """As pip does ("inconsistent version"): one bad file is not the end of a project."""
    index.add("a", "1.0")
    index.add("a", "2.0", members={"{info}/METADATA": "Metadata-Version: 2.1\nName: a\nVersion: 3.0\n"})
    assert resolve("a") == {"a": "1.0"}
