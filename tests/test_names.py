"""Names: which conda package is which project, and which merely has its name.

The whole mapping is measured by ``python -m tests.refresh_names MAPPING --measure``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest
from packaging.utils import canonicalize_name

from conda_pypi_bridge.model import CondaName, ProjectName
from conda_pypi_bridge.namedata import load_table, parse_table
from conda_pypi_bridge.names import Names, NameTable, never_from_pypi
from tests.nametable import build_table, table_text
from tests.refresh_names import measure

SHIPPED = Names(table=load_table())


def conda_name(project: str, names: Names = SHIPPED) -> str:
    return names.conda_name(ProjectName(project))


@pytest.mark.parametrize(
    ("project", "expected"),
    [
        ("numpy", "numpy"),
        ("flask", "flask"),
        ("msgpack", "msgpack-python"),
        ("torch", "pytorch"),
        ("opencv-python", "py-opencv"),
        ("opencv-python-headless", "py-opencv"),
        ("build", "python-build"),
        ("tables", "pytables"),
        ("ruamel-yaml", "ruamel.yaml"),
        ("typing-extensions", "typing_extensions"),
        ("importlib-metadata", "importlib-metadata"),
        ("pyqt5", "pyqt"),
        # Something else has the name:
        ("graphviz", "python-graphviz"),
        ("brotli", "brotli-python"),
        ("tzdata", "python-tzdata"),
        ("docker", "docker-py"),
        # The equal name is a metapackage that brings more:
        ("matplotlib", "matplotlib-base"),
        ("dask", "dask-core"),
        ("vtk", "vtk-base"),
        # Others merely carry a copy, or were split once and are whole again:
        ("ray", "ray-core"),
        ("requests", "requests"),
        ("six", "six"),
        ("starlette", "starlette"),
        ("panel", "panel"),
    ],
)
def test_a_project_is_found_under_its_conda_name(project: str, expected: str) -> None:
    assert conda_name(project) == expected


@pytest.mark.parametrize("name", ["graphviz", "brotli", "tzdata", "snappy", "wget", "zstd"])
def test_a_channel_package_that_is_another_thing_is_a_collision(name: str) -> None:
    assert SHIPPED.collides(CondaName(name))
    assert SHIPPED.project_of(CondaName(name)) is None


@pytest.mark.parametrize("name", ["numpy", "typing-extensions", "mkl", "tensorflow-cpu", "not-seen"])
def test_a_channel_package_that_is_the_project_is_none(name: str) -> None:
    assert not SHIPPED.collides(CondaName(name))


def test_a_project_whose_name_is_taken_gets_one_that_no_project_can_have() -> None:
    """PEP 503: runs of "-", "_" and "." become a single "-", so no project name has an underscore."""
    name = conda_name("snappy")
    assert name == "snappy_pypi"
    assert canonicalize_name(name) != name
    assert SHIPPED.project_of(CondaName(name)) == "snappy"


@pytest.mark.parametrize("name", ["tk", "readline", "openssl"])
def test_a_core_name_is_never_given_another(name: str) -> None:
    assert conda_name(name) == name


def names(**sources: Mapping[str, str]) -> Names:
    cast = {
        source: {ProjectName(project): CondaName(name) for project, name in pairs.items()}
        for source, pairs in sources.items()
    }
    table = NameTable(conda_names=cast.get("table", {}), collisions=frozenset({CondaName("taken")}))
    return Names(installed=cast.get("installed", {}), user=cast.get("user", {}), table=table)


def test_the_environment_comes_before_the_user_before_the_table_before_the_name() -> None:
    found = names(installed={"a": "1"}, user={"a": "2", "b": "2"}, table={"a": "3", "b": "3", "c": "3"})
    assert [conda_name(project, found) for project in "abcd"] == ["1", "2", "3", "d"]
    assert [found.certain(ProjectName(project)) for project in "abcd"] == [True, True, True, False]


def test_a_name_that_the_environment_or_the_user_knows_does_not_collide() -> None:
    assert conda_name("taken", names()) == "taken_pypi"
    assert conda_name("taken", names(installed={"taken": "taken"})) == "taken"
    assert not names(user={"mine": "taken"}).collides(CondaName("taken"))


def test_a_conda_name_leads_back_to_its_project() -> None:
    found = names(installed={"x": "lib-x"}, table={"y": "py-y", "z": "lib-x", "one": "both", "two": "both"})
    backward = {
        name: found.project_of(CondaName(name)) for name in ("lib-x", "py-y", "both", "Other.Name", "taken")
    }
    assert backward == {"lib-x": "x", "py-y": "y", "both": None, "Other.Name": "other-name", "taken": None}
    assert SHIPPED.project_of(CondaName("pytorch")) == "torch"
    assert SHIPPED.project_of(CondaName("py-opencv")) is None


@pytest.mark.parametrize(
    "name",
    ["python", "python_abi", "openssl", "conda", "__glibc", "_libgcc_mutex", "ca-certificates", "libgcc-ng"],
)
def test_core_and_native_names_never_come_from_the_index(name: str) -> None:
    assert never_from_pypi(name)


@pytest.mark.parametrize("name", ["pip", "setuptools", "numpy", "python-dateutil", "pyopenssl", "conda-lock"])
def test_other_names_may_come_from_the_index(name: str) -> None:
    assert not never_from_pypi(name)


# -- making a table ----------------------------------------------------------------------------------

SEEN: dict[str, Sequence[str] | None] = {
    "numpy": ["numpy"],
    "kitchen-sink": ["kitchen-sink", "numpy", "six", "only-here"],
    "six": ["six"],
    "Typing_X": ["typing-x"],
    "python-graph": ["graph"],
    "graph": None,
    "pytorch": ["torch"],
    "pytorch-cpu": ["torch"],
    "vtk": None,
    "vtk-base": ["vtk"],
    "split": ["split"],
    "split-base": ["split"],
    "left-one": ["unlike"],
    "right-one": ["unlike"],
    "msgpack-python": ["msgpack", "msgpack-python"],
    "iris": ["iris", "scitools-iris"],
    "vendor": ["vendor", "copied"],
    "libfoo": None,
    "unknown-to-the-index": None,
    "tango": ["other-tango"],
}


def test_a_table_holds_what_differs_and_what_collides() -> None:
    table = build_table(SEEN)
    assert table.conda_names == {
        "graph": "python-graph",
        "msgpack": "msgpack-python",
        "other-tango": "tango",
        "scitools-iris": "iris",
        "torch": "pytorch",
        "typing-x": "Typing_X",
        "vtk": "vtk-base",
    }
    assert table.collisions == {
        *("graph", "libfoo", "tango", "unknown-to-the-index", "vtk"),
        # They hold projects of other names, and none of their own:
        *("left-one", "python-graph", "pytorch", "pytorch-cpu", "right-one", "split-base", "vtk-base"),
    }


def test_a_table_survives_being_written() -> None:
    table = build_table(SEEN)
    text = table_text(table, {"commit": "abc"})
    assert parse_table(text) == table
    assert '"torch": "pytorch",\n' in text


@pytest.mark.parametrize(
    "name",
    ["cairo", "curl", "git", "hdf5", "libcurl", "libopenblas", "libprotobuf", "libxml2", "r-ggplot2"],
)
def test_no_upload_takes_the_place_of_a_native_package(name: str) -> None:
    """Whether the index has a project of that name or not: it may have one tomorrow."""
    names = Names(table=load_table())
    assert names.conda_name(ProjectName(name)) == f"{name}_pypi"
    assert names.project_of(CondaName(name)) is None


def test_the_shipped_table_tells_its_source() -> None:
    from importlib.resources import files

    text = (files("conda_pypi_bridge") / "data" / "names.json").read_text("utf-8")
    assert '"commit": "345e9bfb"' in text
    assert '"license": "BSD-3-Clause"' in text
    assert len(text) < 300_000


def test_measuring_tells_hits_from_wrong_names_and_from_none() -> None:
    tally = measure(SEEN, Names())
    # graph and vtk lead to what is not them; only packages of other names hold these eight.
    assert tally == {"hit": 7, "wrong": 2, "none": 8}
    better = measure(SEEN, Names(table=build_table(SEEN)))
    assert better["wrong"] == 0
    assert better["none"] == 3
