"""A list of requirements becomes the packages of a channel, for all its targets: on a loopback index."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.version import Version

from conda_pypi_bridge.channel.model import Scope
from conda_pypi_bridge.channel.selection import Selection, select
from conda_pypi_bridge.config import IndexConfig
from conda_pypi_bridge.engines.rattler.trial import Trial
from conda_pypi_bridge.errors import SpecError, Unsatisfiable
from conda_pypi_bridge.index import Index
from conda_pypi_bridge.model import CondaName, ProjectName
from conda_pypi_bridge.names import Names, NameTable
from conda_pypi_bridge.options import Options
from tests.indexserver import IndexServer

LINUX, WINDOWS = "linux-64", "win-64"
MANYLINUX = "cp312-cp312-manylinux_2_17_x86_64"


@pytest.fixture
def server() -> Iterator[IndexServer]:
    with IndexServer() as found:
        yield found


class Mirror:
    """Selects from an index, for Python 3.12 on Linux unless told otherwise."""

    def __init__(self, server: IndexServer, folder: Path) -> None:
        self._index = Index(IndexConfig(indexes=(server.url,)), folder)

    def __call__(
        self,
        *texts: str,
        subdirs: tuple[str, ...] = (LINUX,),
        pythons: tuple[str, ...] = ("3.12",),
        options: Options | None = None,
        names: Names | None = None,
        versions: int = 1,
        together: bool = False,
    ) -> Selection:
        self.scope = Scope(subdirs=subdirs, pythons=tuple(map(Version, pythons)))
        return select(
            texts, self.scope, self._index, names or Names(), options, versions=versions, together=together
        )


@pytest.fixture
def mirror(server: IndexServer, tmp_path: Path) -> Mirror:
    return Mirror(server, tmp_path / "cache")


def listed(selection: Selection) -> list[str]:
    """``subdir/name version`` of each record."""
    return [f"{c.record.subdir}/{c.record.name} {c.record.version}" for c in selection.chosen]


def installable(selection: Selection, mirror: Mirror, *specs: str) -> set[str]:
    """The names that `specs` bring in each target of the scope, which must be the same in all."""
    found = set()
    for target in mirror.scope.targets("noarch"):
        here = [c.record for c in selection.chosen if c.record.subdir in ("noarch", target.subdir)]
        brought = Trial(here, target).solve(list(specs))
        found.add(frozenset(dist.rsplit("-", 2)[0] for dist in brought))
    (names,) = found
    return set(names)


def test_what_is_required_comes_along_and_python_does_not(server: IndexServer, mirror: Mirror) -> None:
    server.add("moo", "2.0", requires=["herd<3"])
    server.add("herd", "1.5")
    server.add("herd", "3.0")
    selection = mirror("moo")
    assert listed(selection) == ["noarch/herd 1.5", "noarch/moo 2.0"]
    assert not selection.misses


def test_a_requirement_with_another_marker_on_each_platform_is_listed_on_each(
    server: IndexServer, mirror: Mirror
) -> None:
    server.add("moo", "1.0", requires=["tint; sys_platform == 'win32'"])
    server.add("tint", "1.0")
    selection = mirror("moo", subdirs=(LINUX, WINDOWS))
    assert listed(selection) == ["linux-64/moo 1.0", "noarch/tint 1.0", "win-64/moo 1.0"]
    windows = next(c.record for c in selection.chosen if c.record.subdir == WINDOWS)
    linux = next(c.record for c in selection.chosen if c.record.subdir == LINUX)
    assert "tint" in windows.depends
    assert "tint" not in linux.depends


def test_each_python_gets_the_wheel_that_is_built_for_it(server: IndexServer, mirror: Mirror) -> None:
    server.add("fast", "1.0", tags="cp311-cp311-manylinux_2_17_x86_64")
    server.add("fast", "1.0", tags=MANYLINUX)
    selection = mirror("fast", pythons=("3.11", "3.12"))
    assert sorted((c.record.subdir, c.python) for c in selection.chosen) == [(LINUX, "3.11"), (LINUX, "3.12")]
    assert {str(c.record.wheel and c.record.wheel.filename) for c in selection.chosen} == set(server.files)


def test_a_platform_without_a_wheel_is_a_miss_of_that_platform_alone(
    server: IndexServer, mirror: Mirror
) -> None:
    server.add("fast", "1.0", tags=MANYLINUX)
    selection = mirror("fast", subdirs=(LINUX, WINDOWS))
    assert listed(selection) == ["linux-64/fast 1.0"]
    (miss,) = selection.misses
    assert (miss.text, miss.subdir, miss.python) == ("fast", WINDOWS, "3.12")
    assert "none fits" in str(miss)
    assert str(miss).startswith("fast: win-64, Python 3.12: ")


def test_an_older_c_library_that_is_left_out_is_noted(server: IndexServer, mirror: Mirror) -> None:
    server.add("fast", "1.0", tags="cp312-cp312-manylinux_2_28_x86_64")
    selection = mirror("fast")
    assert listed(selection) == ["linux-64/fast 1.0"]
    assert not selection.misses
    (note,) = selection.notes
    assert note.startswith("fast: linux-64, Python 3.12, glibc 2.17: ")


def test_extras_are_listed_with_what_they_bring_and_others_are_not(
    server: IndexServer, mirror: Mirror
) -> None:
    server.add("moo", "1.0", extras={"fast": ["turbo"], "slow": ["sloth"]})
    server.add("turbo", "0.1", requires=["moo[slow]"])
    server.add("sloth", "9")
    server.add("kit", "1", requires=["moo[fast]"])
    selection = mirror("moo[slow]")
    assert listed(selection) == ["noarch/moo 1.0", "noarch/moo_extra_slow 1.0", "noarch/sloth 9"]
    selection = mirror("kit")
    assert installable(selection, mirror, "kit") >= {"moo_extra_fast", "turbo", "moo_extra_slow", "sloth"}


def test_versions_that_do_not_agree_are_replaced_by_older_ones_that_do(
    server: IndexServer, mirror: Mirror
) -> None:
    for n in range(1, 9):
        server.add("app", f"{n}", requires=[f"base=={n}", "tool"])
        server.add("base", f"{n}")
    server.add("tool", "1", requires=["base<3"])
    selection = mirror("app")
    assert "noarch/app 2" in listed(selection)
    assert installable(selection, mirror, "app") == {"app", "base", "tool", "python"}


def test_requirements_that_limit_each_other_are_served_together_and_each_at_its_newest(
    server: IndexServer, mirror: Mirror
) -> None:
    for n in range(1, 7):
        server.add("app", f"{n}", requires=[f"base>={n}"])
        server.add("base", f"{n}")
    selection = mirror("app", "base==2")
    assert listed(selection) == [f"noarch/{name}" for name in ("app 2", "app 6", "base 2", "base 6")]
    assert not selection.notes


def test_what_nothing_can_meet_is_refused_with_the_reason(server: IndexServer, mirror: Mirror) -> None:
    server.add("app", "1", requires=["base>=2"])
    server.add("base", "1")
    selection = mirror("app")
    assert not selection.chosen
    (miss,) = selection.misses
    assert "app 1 requires base>=2" in str(miss)


def test_requirements_that_exclude_each_other_are_all_served(server: IndexServer, mirror: Mirror) -> None:
    server.add("moo", "1.0", requires=["herd<2"])
    server.add("moo", "2.0", requires=["herd>=2"])
    server.add("herd", "1.0")
    server.add("herd", "2.0")
    selection = mirror("moo==1.0", "moo==2.0")
    assert listed(selection) == ["noarch/herd 1.0", "noarch/herd 2.0", "noarch/moo 1.0", "noarch/moo 2.0"]
    assert not selection.misses
    assert any("each by itself" in note for note in selection.notes)
    refused = mirror("moo==1.0", "moo==2.0", together=True)
    assert not refused.chosen
    assert {miss.text for miss in refused.misses} == {"moo==1.0", "moo==2.0"}


def test_older_versions_are_listed_on_demand_each_with_what_it_requires(
    server: IndexServer, mirror: Mirror
) -> None:
    for n in (1, 2, 3):
        server.add("moo", f"{n}.0", requires=[f"herd=={n}.*"])
        server.add("herd", f"{n}.5")
    server.add("moo", "2.5", requires=["nowhere"])
    selection = mirror("moo", versions=2)
    assert listed(selection) == ["noarch/herd 2.5", "noarch/herd 3.5", "noarch/moo 2.0", "noarch/moo 3.0"]
    for version, herd in (("3.0", "3.5"), ("2.0", "2.5")):
        target = mirror.scope.targets(LINUX)[0]
        brought = Trial([c.record for c in selection.chosen], target).solve([f"moo =={version}"])
        assert any(dist.startswith(f"herd-{herd}-") for dist in brought)


def test_micro_versions_of_python_that_metadata_tells_apart_are_all_served(
    server: IndexServer, mirror: Mirror
) -> None:
    server.add("moo", "1.0", requires=['late; python_full_version < "3.11.3"'])
    server.add("late", "4")
    selection = mirror("moo", pythons=("3.11",))
    assert listed(selection) == ["noarch/late 4", "noarch/moo 1.0", "noarch/moo 1.0"]


def test_native_libraries_are_left_to_other_channels(server: IndexServer, mirror: Mirror) -> None:
    server.add("moo", "1.0", requires=["zlib>=99"])
    server.add("zlib", "1")
    selection = mirror("moo")
    assert listed(selection) == ["noarch/moo 1.0"]
    assert server.count("/simple/zlib/") == 0


def test_constraints_and_hashes_of_files_limit_what_is_listed(server: IndexServer, mirror: Mirror) -> None:
    server.add("moo", "1.0", requires=["herd"])
    server.add("herd", "1.0")
    server.add("herd", "2.0")
    selection = mirror("moo", options=Options(constraints=["herd<2"]))
    assert listed(selection) == ["noarch/herd 1.0", "noarch/moo 1.0"]
    refused = mirror("moo", options=Options(require_hashes=True))
    assert "hash" in str(refused.misses[0])


def test_a_marker_that_holds_nowhere_asks_for_nothing(server: IndexServer, mirror: Mirror) -> None:
    server.add("tint", "1.0")
    selection = mirror('tint; sys_platform == "win32"')
    assert (list(selection.chosen), list(selection.misses)) == ([], [])


def test_names_of_conda_packages_are_used(server: IndexServer, mirror: Mirror) -> None:
    server.add("moo", "1.0", requires=["milk"])
    server.add("milk", "1.0")
    table = NameTable(conda_names={ProjectName("milk"): CondaName("python-milk")})
    selection = mirror("moo", names=Names(table=table))
    assert listed(selection) == ["noarch/moo 1.0", "noarch/python-milk 1.0"]


@pytest.mark.parametrize("text", ["python=3.12", "conda-forge::flask", "flask=3.1=h123_0", "zlib", "a|b"])
def test_what_no_index_can_serve_is_refused(mirror: Mirror, text: str) -> None:
    with pytest.raises(SpecError):
        mirror(text)


def test_a_trial_tells_why_nothing_can_be_installed(server: IndexServer, mirror: Mirror) -> None:
    server.add("moo", "1.0")
    selection = mirror("moo")
    target = mirror.scope.targets(LINUX)[0]
    with pytest.raises(Unsatisfiable, match="herd"):
        Trial([c.record for c in selection.chosen], target).solve(["moo", "herd"])
