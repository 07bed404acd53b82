"""Real requests are resolved as uv and pip resolve them. The whole set: ``python -m tests.resolution``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from packaging.version import Version

from tests.resolution.cases import CASES, Case
from tests.resolution.compare import Comparer, Comparison, Resolution, read_ours, read_pip, read_uv


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
        (resolution(failure="no"), resolution(failure="neither"), "no"),
    ],
)
def test_a_difference_is_told(ours: Resolution, theirs: Resolution, difference: str) -> None:
    comparison = Comparison(case=Case("a", ""), ours=ours, theirs=theirs, metadata=1)
    assert comparison.differences == [difference]


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
