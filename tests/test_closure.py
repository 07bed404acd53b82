"""Which projects and versions the closure asks about and lists, on an index held in memory."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name, parse_wheel_filename
from packaging.version import Version

from conda_pypi_bridge.closure import Closure, Edge
from conda_pypi_bridge.closure.candidates import Limits
from conda_pypi_bridge.closure.wants import ChannelWant, MetadataWant, PageWant, Want
from conda_pypi_bridge.errors import BridgeError, NoFittingWheel, NotFound, WheelRefused
from conda_pypi_bridge.model import CondaName, CoreMetadata, ProjectName, ProjectPage, Target, Wheel
from conda_pypi_bridge.names import Names, NameTable
from conda_pypi_bridge.tags import make_target
from conda_pypi_bridge.translate import parse_core_metadata
from tests.wheels import metadata_text

LINUX = make_target(Version("3.11.7"), "linux-64", glibc=(2, 35))


class Book:
    """An index and channels in memory; `asked` is everything that was looked up, in order."""

    def __init__(self, **channels: Sequence[str]) -> None:
        self.channels = channels
        self.wheels: dict[str, list[Wheel]] = {}
        self.sdists: dict[str, tuple[str, ...]] = {}
        self.metadata: dict[str, CoreMetadata | BridgeError] = {}
        self.asked: dict[Want, None] = {}

    def add(
        self,
        name: str,
        version: str,
        *requires: str,
        extras: Mapping[str, Sequence[str]] | None = None,
        python: str = "",
        page_python: str | None = None,
        yanked: str | None = None,
        tags: str = "py3-none-any",
    ) -> Wheel:
        """Publish a wheel; `python` is its Requires-Python, on the page too unless `page_python` is given."""
        filename = f"{canonicalize_name(name).replace('-', '_')}-{version}-{tags}.whl"
        project, parsed, build, parsed_tags = parse_wheel_filename(filename)
        wheel = Wheel(
            filename=filename,
            project=ProjectName(project),
            version=parsed,
            build=build,
            tags=parsed_tags,
            url=f"https://index.invalid/{filename}",
            sha256=hashlib.sha256(filename.encode()).hexdigest(),
            requires_python=python if page_python is None else page_python,
            yanked=yanked,
        )
        text = metadata_text(name, version, requires=requires, extras=extras, requires_python=python)
        self.wheels.setdefault(project, []).append(wheel)
        self.metadata[wheel.sha256] = parse_core_metadata(text, filename)
        return wheel

    def refuse(self, wheel: Wheel) -> None:
        """Have the wheel's METADATA be unusable."""
        self.metadata[wheel.sha256] = WheelRefused(wheel.filename, "metadata-agrees", "it is of another")

    def look_up(self, want: Want) -> object:
        self.asked[want] = None
        match want:
            case ChannelWant(name):
                return self.channels.get(name, ())
            case PageWant(project):
                wheels, sdists = self.wheels.get(project, []), self.sdists.get(project, ())
                page = ProjectPage(
                    project=project, index="https://index.invalid/", wheels=tuple(wheels), sdists=sdists
                )
                return page if wheels or sdists else None
        return self.metadata[want.wheel.sha256]

    def pages(self) -> list[str]:
        """The projects whose page was looked up."""
        return [want.project for want in self.asked if isinstance(want, PageWant)]

    def read(self) -> list[str]:
        """The wheels whose metadata was looked up: ``name version``."""
        wheels = (want.wheel for want in self.asked if isinstance(want, MetadataWant))
        return [f"{wheel.project} {wheel.version}" for wheel in wheels]


def close(
    book: Book,
    *specs: str,
    target: Target = LINUX,
    installed: Mapping[str, str] | None = None,
    conda_names: Mapping[str, str] | None = None,
    constraints: Mapping[str, str] | None = None,
    hashes: Mapping[str, Collection[str]] | None = None,
    require_hashes: bool = False,
    pre: bool = False,
    follow: bool = True,
) -> Closure:
    """The closure of what a user asks for, all its wants answered."""
    closure = Closure(
        target=target,
        names=Names(
            table=NameTable(
                conda_names={ProjectName(p): CondaName(n) for p, n in (conda_names or {}).items()}
            )
        ),
        installed={CondaName(name): version for name, version in (installed or {}).items()},
        limits=Limits(
            versions={ProjectName(p): SpecifierSet(s) for p, s in (constraints or {}).items()},
            hashes={ProjectName(p): frozenset(h) for p, h in (hashes or {}).items()},
            require_hashes=require_hashes,
        ),
        pre=pre,
        follow=follow,
    )
    closure.require(Edge.of_user(Requirement(spec)) for spec in specs)
    answer(closure, book)
    return closure


def answer(closure: Closure, book: Book, order: random.Random | None = None) -> None:
    """Answer all wants, in the order in which they come or at random."""
    waiting = closure.wants()
    while waiting:
        want = waiting.pop(order.randrange(len(waiting)) if order else 0)
        assert want not in book.asked  # each is handed out once
        closure.answer(want, book.look_up(want))
        waiting += closure.wants()


def widen(closure: Closure, book: Book, depth: int | None) -> None:
    closure.widen(depth)
    answer(closure, book)


def listed(closure: Closure) -> list[str]:
    """The overlay: ``name version`` of every record."""
    return sorted(f"{record.name} {record.version}" for record in closure.records)


def depends(closure: Closure, name: str) -> list[str]:
    """What a record depends on, Python left out."""
    (record,) = (record for record in closure.records if record.name == name)
    return [text for text in record.depends if text.partition(" ")[0] != "python"]


def notes(closure: Closure) -> list[str]:
    return [text for texts in closure.notes.values() for text in texts]


# -- what is followed ----------------------------------------------------------------------------------


def test_each_project_of_a_chain_is_asked_about_once() -> None:
    book = Book()
    for number in range(15):
        book.add(f"p{number}", "1.0", f"p{number + 1}")
        book.add(f"p{number}", "2.0", f"p{number + 1}")
    book.add("p15", "2.0")
    closure = close(book, "p0")
    assert listed(closure) == sorted(f"p{number} 2.0" for number in range(16))
    assert len(book.pages()) == len(book.read()) == 16
    assert not closure.wants()


def test_a_long_chain_needs_no_deep_stack() -> None:
    book = Book()
    for number in range(3000):
        book.add(f"p{number}", "1", f"p{number + 1}")
    book.add("p3000", "1")
    assert len(close(book, "p0").records) == 3001


def test_the_parts_of_a_fan_are_asked_for_together() -> None:
    book = Book()
    book.add("hub", "1", *(f"p{number}" for number in range(15)))
    closure = Closure(target=LINUX, names=Names())
    closure.require([Edge.of(Requirement("hub"))])
    for want in (ChannelWant(CondaName("hub")), PageWant(ProjectName("hub"))):
        assert closure.wants() == [want]
        closure.answer(want, book.look_up(want))
    (metadata,) = closure.wants()
    closure.answer(metadata, book.look_up(metadata))
    assert {want.name for want in closure.wants() if isinstance(want, ChannelWant)} == {
        f"p{number}" for number in range(15)
    }


def test_a_cycle_is_followed_once_around() -> None:
    book = Book()
    book.add("a", "1", "b")
    book.add("b", "1", "c[x]")
    book.add("c", "1", extras={"x": ["a"]})
    closure = close(book, "a")
    assert listed(closure) == ["a 1", "b 1", "c 1", "c_extra_x 1"]
    assert len(book.pages()) == len(book.read()) == 3


@pytest.mark.parametrize("requirement", ["a", "a>=1", "A==2.0"])
def test_a_project_that_requires_itself_is_no_trouble(requirement: str) -> None:
    book = Book()
    book.add("a", "1.0")
    book.add("a", "2.0", requirement)
    closure = close(book, "a")
    assert listed(closure) == ["a 2.0"]
    assert book.pages() == ["a"]


def test_an_old_version_that_requires_its_project_does_not_bring_the_newest() -> None:
    book = Book()
    book.add("a", "1.0", "a")
    book.add("a", "2.0")
    assert listed(close(book, "a<2")) == ["a 1.0"]


def test_without_dependencies_nothing_is_followed() -> None:
    book = Book()
    book.add("a", "1", "b")
    closure = close(book, "a", follow=False)
    assert listed(closure) == ["a 1"]
    assert book.pages() == ["a"]


def test_the_newest_version_of_every_edge_is_listed() -> None:
    book = Book()
    book.add("a", "1", "c<2")
    book.add("b", "1", "c>=1")
    for version in ("0.9", "1.0", "1.1", "2.0", "3.0"):
        book.add("c", version)
    closure = close(book, "a", "b")
    assert listed(closure) == ["a 1", "b 1", "c 1.1", "c 3.0"]


@pytest.mark.parametrize("seed", range(8))
def test_the_order_of_answers_makes_no_difference(seed: int) -> None:
    def book() -> Book:
        made = Book(b=["0.5"], d=["1.0"])
        made.add("a", "1", "b>=1", "c", "d<2")
        made.add("b", "1", "d>=1.5", "c[x]")
        made.add("c", "1", "a", extras={"x": ["d==2"]})
        for version in ("1.5", "1.9", "2.0"):
            made.add("d", version)
        return made

    expected = close(book(), "a")
    closure = Closure(target=LINUX, names=Names())
    closure.require([Edge.of(Requirement("a"))])
    answer(closure, book(), random.Random(seed))
    assert listed(closure) == listed(expected)
    assert {record.dist for record in closure.records} == {record.dist for record in expected.records}


def test_the_edges_tell_who_requires_what() -> None:
    book = Book()
    book.add("a", "1", "b", extras={"x": ["c"]})
    book.add("b", "1")
    book.add("c", "1")
    closure = close(book, "a[x]")
    users = {project: {edge.required_by for edge in edges} for project, edges in closure.edges.items()}
    assert users == {"a": {""}, "b": {"a 1", "a 1 [x]"}, "c": {"a 1 [x]"}}
    assert closure.asked(ProjectName("a"))
    assert not closure.asked(ProjectName("b"))


# -- extras --------------------------------------------------------------------------------------------


def test_an_extra_is_a_record_that_pins_its_project() -> None:
    book = Book()
    book.add("a", "1.5", "b", extras={"Fast_IO": ["c>=2"]})
    book.add("b", "1")
    book.add("c", "2")
    closure = close(book, "a[fast.io]")
    assert listed(closure) == ["a 1.5", "a_extra_fast-io 1.5", "b 1", "c 2"]
    assert depends(closure, "a_extra_fast-io") == ["a ==1.5", "c >=2"]


def test_extras_of_a_project_that_refer_to_the_project_are_followed() -> None:
    book = Book()
    extras = {"all": ["a[x,y]"], "x": ["b"], "y": ["a[z]"], "z": ["c"]}
    book.add("a", "1", extras=extras)
    book.add("b", "1")
    book.add("c", "1")
    closure = close(book, "a[all]")
    names = ["a 1", "a_extra_all 1", "a_extra_x 1", "a_extra_y 1", "a_extra_z 1", "b 1", "c 1"]
    assert listed(closure) == names
    assert depends(closure, "a_extra_all") == ["a ==1", "a_extra_x ==1", "a_extra_y ==1"]
    assert book.read().count("a 1") == 1


def test_extras_that_refer_to_each_other_come_to_an_end() -> None:
    book = Book()
    book.add("a", "1", extras={"x": ["a[y]"], "y": ["a[x]", "b"]})
    book.add("b", "1")
    assert listed(close(book, "a[x]")) == ["a 1", "a_extra_x 1", "a_extra_y 1", "b 1"]


def test_an_extra_is_listed_for_the_versions_that_its_edge_admits() -> None:
    book = Book()
    book.add("a", "1", "c[x]>=1,<2")
    for version in ("1.0", "1.5", "2.0"):
        book.add("c", version, extras={"x": ["d"] if version < "2" else ["e"]})
    book.add("d", "1")
    closure = close(book, "a", "c")
    assert listed(closure) == ["a 1", "c 1.5", "c 2.0", "c_extra_x 1.5", "d 1"]
    assert "e" not in book.pages()


def test_an_unknown_extra_is_told_with_those_there_are() -> None:
    book = Book()
    book.add("a", "1", extras={"fast": [], "slow": []})
    closure = close(book, "a[quick]")
    assert [*closure.remarks] == ["a 1 has no extra 'quick' (it has: fast, slow)"]
    assert listed(closure) == ["a 1", "a_extra_quick 1"]


def test_an_unknown_extra_where_there_are_none() -> None:
    book = Book()
    book.add("a", "1")
    assert [*close(book, "a[quick]").remarks] == ["a 1 has no extra 'quick' (it has: none)"]


# -- which versions ------------------------------------------------------------------------------------


@pytest.mark.parametrize("reason", ["python", "tags", "request", "requirement"])
def test_of_hundreds_of_releases_only_the_newest_that_fits_is_read(reason: str) -> None:
    book = Book()
    for number in range(600):
        fits = number < 100
        book.add(
            "a",
            f"1.{number}",
            python=">=4" if reason == "python" and not fits else "",
            tags="cp27-cp27m-win32" if reason == "tags" and not fits else "py3-none-any",
        )
    book.add("user", "1", "a<1.100")
    spec = {"request": "a<1.100", "requirement": "user"}.get(reason, "a")
    closure = close(book, spec)
    assert "a 1.99" in listed(closure)
    assert [text for text in book.read() if text.startswith("a ")] == ["a 1.99"]


@pytest.mark.parametrize(
    ("spec", "pre", "version"),
    [
        ("a", False, "1.5"),
        ("a", True, "2.0rc1"),
        ("a>=2.0b1", False, "2.0rc1"),  # PEP 440: a specifier that names a pre-release admits them
        ("a==2.0b1", False, "2.0b1"),
        ("a>1.5", False, "2.0rc1"),  # PEP 440: "... if there is no other version that satisfies"
        ("a<2", False, "1.5"),
        ("only", False, "0.5b2"),
        ("dev", False, "1.0.dev3"),
    ],
)
def test_a_pre_release_has_to_be_asked_for_or_be_all_there_is(spec: str, pre: bool, version: str) -> None:
    book = Book()
    for each in ("1.0", "1.5", "2.0b1", "2.0rc1"):
        book.add("a", each)
    for each in ("0.5b1", "0.5b2"):
        book.add("only", each)
    book.add("dev", "1.0.dev3")
    project = str(Requirement(spec).name)
    assert listed(close(book, spec, pre=pre)) == [f"{project} {version}"]


@pytest.mark.parametrize(
    ("spec", "version"), [("a", "1.0"), ("a==1.5", "1.5"), ("a>=1,==1.5", "1.5"), ("a>=1", "1.0")]
)
def test_a_yanked_release_is_for_those_who_pin_it(spec: str, version: str) -> None:
    book = Book()
    book.add("a", "1.0")
    book.add("a", "1.5rc1")
    book.add("a", "1.5", yanked="it eats data")
    closure = close(book, spec)
    assert listed(closure) == [f"a {version}"]
    expected = ["a 1.5 was yanked by its author: it eats data"] if version == "1.5" else []
    assert notes(closure) == expected


@pytest.mark.parametrize("spec", ["a>=1.5", "a==1.5.*", "a"])
def test_where_all_is_yanked_nothing_is_listed_without_a_pin(spec: str) -> None:
    book = Book()
    book.add("a", "1.5", yanked="")
    closure = close(book, spec)
    assert not closure.records
    assert "yanked; pin one with ==" in str(closure.problems[ProjectName("a")])


def test_a_yank_without_a_reason_is_told_too() -> None:
    book = Book()
    book.add("a", "1.5", yanked="")
    assert notes(close(book, "a==1.5")) == ["a 1.5 was yanked by its author: no reason given"]


def test_a_wheel_whose_own_metadata_excludes_the_python_is_left_out() -> None:
    book = Book()
    book.add("a", "1.0")
    wheel = book.add("a", "2.0", python=">=4", page_python="")
    closure = close(book, "a")
    assert listed(closure) == ["a 1.0"]
    assert isinstance(closure.refused[wheel.filename], NoFittingWheel)


def test_a_wheel_that_cannot_be_read_is_left_out_and_older_ones_are_not() -> None:
    book = Book()
    book.add("a", "1.0")
    book.add("a", "1.5")
    book.refuse(book.add("a", "2.0"))
    closure = close(book, "a")
    assert listed(closure) == ["a 1.5"]
    assert isinstance(closure.problems[ProjectName("a")], WheelRefused)
    widen(closure, book, 4)
    assert listed(closure) == ["a 1.0", "a 1.5"]
    assert book.read() == ["a 2.0", "a 1.5", "a 1.0"]
    assert not closure.problems


# -- limits --------------------------------------------------------------------------------------------


def test_a_constraint_limits_a_project_and_does_not_ask_for_it() -> None:
    book = Book()
    book.add("a", "1", "b")
    for version in ("1", "2"):
        book.add("b", version)
        book.add("c", version)
    closure = close(book, "a", constraints={"b": "<2", "c": "<2"})
    assert listed(closure) == ["a 1", "b 1"]
    assert "c" not in book.pages()


def test_a_constraint_may_name_a_pre_release() -> None:
    book = Book()
    book.add("a", "1")
    book.add("a", "2rc1")
    assert listed(close(book, "a", constraints={"a": ">=2rc1"})) == ["a 2rc1"]


def test_a_project_with_hashes_comes_from_the_index_in_one_of_those_files() -> None:
    book = Book(a=["3"])
    old = book.add("a", "1")
    book.add("a", "2")
    closure = close(book, "a", hashes={"a": {old.sha256}})
    assert listed(closure) == ["a 1"]
    assert ChannelWant(CondaName("a")) not in book.asked


def test_a_file_with_another_hash_is_refused() -> None:
    book = Book(a=["3"])
    book.add("a", "1")
    closure = close(book, "a", hashes={"a": {"0" * 64}})
    assert not closure.records
    assert "hash" in str(closure.problems[ProjectName("a")])


def test_with_hashes_required_nothing_comes_from_the_index_without() -> None:
    book = Book()
    wheel = book.add("a", "1", "b")
    book.add("b", "1")
    closure = close(book, "a", hashes={"a": {wheel.sha256}}, require_hashes=True)
    assert listed(closure) == ["a 1"]
    assert "hash" in str(closure.problems[ProjectName("b")])


# -- other targets than the one that runs ----------------------------------------------------------------

MARKED = (
    "on-windows; sys_platform == 'win32'",
    "on-mac; platform_system == 'Darwin'",
    "on-linux; sys_platform == 'linux'",
    "on-arm; platform_machine == 'arm64' or platform_machine == 'aarch64'",
    "old-python; python_version < '3.11'",
    "new-python; python_full_version >= '3.13.0'",
)


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (LINUX, {"on-linux"}),
        (make_target(Version("3.13.1"), "win-64"), {"on-windows", "new-python"}),
        (make_target(Version("3.10.4"), "osx-arm64", macos=(14, 0)), {"on-mac", "on-arm", "old-python"}),
        (make_target(Version("3.12.0"), "linux-aarch64", glibc=(2, 28)), {"on-linux", "on-arm"}),
    ],
    ids=["linux-64", "win-64", "osx-arm64", "linux-aarch64"],
)
def test_markers_and_wheels_are_those_of_the_target(target: Target, expected: set[str]) -> None:
    book = Book()
    book.add("a", "1", *MARKED)
    for text in MARKED:
        book.add(Requirement(text).name, "1")
    native = {"linux-64": "manylinux_2_17_x86_64", "win-64": "win_amd64"}
    abi = f"cp{target.python.major}{target.python.minor}"
    platform = native.get(target.subdir, "macosx_11_0_arm64" if target.macos else "manylinux_2_17_aarch64")
    for each in ("manylinux_2_17_x86_64", "win_amd64", "macosx_11_0_arm64", "manylinux_2_17_aarch64"):
        book.add("binary", "1", tags=f"{abi}-{abi}-{each}")
    closure = close(book, "a", "binary", target=target)
    names = {record.name: record for record in closure.records}
    assert names.keys() - {"a", "binary"} == expected
    wheel = names[CondaName("binary")].wheel
    assert wheel is not None
    assert wheel.filename.endswith(f"{platform}.whl")
    assert names[CondaName("binary")].subdir == target.subdir


# -- channels and the prefix ---------------------------------------------------------------------------


def test_what_a_channel_has_in_a_version_that_fits_is_left_to_it() -> None:
    book = Book(b=["1.0", "2.0"])
    book.add("a", "1", "b>=1,<2", "c")
    book.add("b", "1.5")
    book.add("c", "1", "b")
    closure = close(book, "a")
    assert listed(closure) == ["a 1", "c 1"]
    assert "b" not in book.pages()


def test_a_name_that_only_a_conda_package_can_have_is_left_to_the_channel_that_has_it() -> None:
    """PEP 503 leaves no underscore in the names of projects; conda packages of other things have some."""
    book = Book(**{"gcc_linux-64": ["13.1"], "python_abi": ["3.12"]})
    book.add("gcc-linux-64", "14")
    assert listed(close(book, "gcc_linux-64", "python_abi")) == []
    assert book.pages() == []


def test_a_name_that_a_project_can_have_means_the_project() -> None:
    """Whatever else a channel has of that name: its conda package is called otherwise."""
    book = Book(torch=["7"], pytorch=["1"])
    book.add("torch", "2")
    assert listed(close(book, "Torch>=2", conda_names={"torch": "pytorch"})) == ["pytorch 2"]


def test_a_requirement_of_a_wheel_is_on_a_project_however_it_is_spelled() -> None:
    book = Book(**{"gcc_linux-64": ["13.1"]})
    book.add("a", "1", "gcc_linux-64")
    book.add("gcc-linux-64", "14")
    assert listed(close(book, "a")) == ["a 1", "gcc-linux-64 14"]


@pytest.mark.parametrize("versions", [["0.5"], ["1.1.1w"], []])
def test_what_a_channel_has_in_no_version_that_fits_comes_from_the_index(versions: list[str]) -> None:
    book = Book(b=versions)
    book.add("b", "1.5")
    assert listed(close(book, "b>=1")) == ["b 1.5"]


def test_a_project_in_the_overlay_serves_all_who_require_it() -> None:
    """The overlay stands before the channels, which then offer nothing of the project."""
    book = Book(b=["1.0"])
    book.add("a", "1", "b<2", "c")
    book.add("c", "1", "b>=2")
    for version in ("1.0", "1.5", "2.5"):
        book.add("b", version)
    assert listed(close(book, "a")) == ["a 1", "b 1.5", "b 2.5", "c 1"]


def test_extras_of_what_a_channel_has_come_from_the_metadata_of_that_version() -> None:
    book = Book(b=["1.0", "1.2"])
    for version in ("1.0", "1.2", "1.4"):
        book.add("b", version, extras={"x": ["c"]})
    book.add("c", "1")
    closure = close(book, "b[x]")
    assert listed(closure) == ["b_extra_x 1.2", "c 1"]
    assert depends(closure, "b_extra_x") == ["b ==1.2", "c"]


@pytest.mark.parametrize(("pre", "version"), [(False, "1.0"), (True, "2.0rc1")])
def test_a_channels_pre_releases_have_to_be_asked_for(pre: bool, version: str) -> None:
    book = Book(b=["1.0", "2.0rc1"])
    for each in ("1.0", "2.0rc1"):
        book.add("b", each, extras={"x": []})
    assert listed(close(book, "b[x]", pre=pre)) == [f"b_extra_x {version}"]


def test_an_extra_of_what_is_installed_is_looked_up() -> None:
    book = Book()
    book.add("b", "1.5", extras={"x": ["c"]})
    book.add("c", "1")
    assert listed(close(book, "b[x]", installed={"b": "1.5"})) == ["b 1.5", "b_extra_x 1.5", "c 1"]


def test_a_project_stands_under_its_conda_name() -> None:
    book = Book(pytables=["3.8"])
    book.add("a", "1", "tables>=3.9", "msgpack")
    book.add("tables", "3.9")
    book.add("msgpack", "1")
    closure = close(book, "a", conda_names={"tables": "pytables", "msgpack": "msgpack-python"})
    assert listed(closure) == ["a 1", "msgpack-python 1", "pytables 3.9"]
    assert depends(closure, "a") == ["msgpack-python", "pytables >=3.9"]
    assert ChannelWant(CondaName("pytables")) in book.asked


def test_what_is_installed_and_fits_is_not_looked_up() -> None:
    book = Book()
    book.add("a", "1", "b>=1")
    book.add("b", "2")
    closure = close(book, "a", installed={"b": "1.5"})
    assert listed(closure) == ["a 1"]
    assert ChannelWant(CondaName("b")) not in book.asked
    widen(closure, book, 4)
    assert listed(closure) == ["a 1", "b 2"]


def test_what_is_installed_and_does_not_fit_is_looked_up() -> None:
    book = Book()
    book.add("a", "1", "b>=1")
    book.add("b", "2")
    assert listed(close(book, "a", installed={"b": "0.5"})) == ["a 1", "b 2"]


@pytest.mark.parametrize("name", ["openssl", "python", "Python", "sqlite", "conda", "ca-certificates"])
def test_names_that_are_condas_own_are_never_asked_of_the_index(name: str) -> None:
    book = Book()
    book.add("a", "1", name)
    book.add(name, "9")
    closure = close(book, "a")
    assert listed(closure) == ["a 1"]
    assert book.pages() == ["a"]
    problem = closure.problems[ProjectName(canonicalize_name(name))]
    assert isinstance(problem, NotFound)
    assert str(problem) == f"no package named {canonicalize_name(name)!r} (required by a 1) in the channels"


# -- what cannot be met --------------------------------------------------------------------------------


def test_a_project_that_no_index_has_is_told_with_who_requires_it() -> None:
    book = Book()
    book.add("a", "1", "ghost")
    problem = close(book, "a").problems[ProjectName("ghost")]
    assert isinstance(problem, NotFound)
    assert problem.required_by == "a 1"


def test_a_project_without_wheels_is_told_with_its_sdist() -> None:
    book = Book()
    book.sdists["a"] = ("a-0.9.tar.gz", "a-1.0.tar.gz")
    problem = close(book, "a").problems[ProjectName("a")]
    assert isinstance(problem, NoFittingWheel)
    assert problem.reason == (
        "the index has only source distributions (a-1.0.tar.gz), and no wheel for Python 3.11.7 on linux-64"
    )


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        ("a>=9", "no version matches >=9 (the newest wheel is 3.0)"),
        ("a>=3", "3.0 has wheels for cp27-cp27m-win32; none fits Python 3.11.7 on linux-64"),
        ("a==2.*", "2.0 needs Python >=4, and the target is Python 3.11.7 on linux-64"),
    ],
)
def test_why_no_wheel_fits(spec: str, reason: str) -> None:
    book = Book()
    book.add("a", "1.0")
    book.add("a", "2.0", python=">=4")
    book.add("a", "3.0", tags="cp27-cp27m-win32")
    problem = close(book, spec).problems[ProjectName("a")]
    assert isinstance(problem, NoFittingWheel)
    assert problem.reason == reason


# -- newest versions that agree, ahead of the solver ---------------------------------------------------------


def test_a_version_that_requires_what_there_is_not_makes_room_for_the_next() -> None:
    book = Book()
    book.add("a", "1", "b")
    book.add("b", "1")
    book.add("b", "2", "c>=2")
    book.add("b", "3", "ghost")
    book.add("c", "1")
    closure = close(book, "a")
    assert listed(closure) == ["a 1", "b 1", "b 2", "b 3"]


def test_of_a_requirement_the_newest_that_agrees_with_its_rivals_is_listed() -> None:
    """What is required first is chosen first, however many versions of the others that rules out."""
    book = Book()
    book.add("a", "1", "frame<2", "plugin")
    book.add("a", "0", "plugin")
    for number in range(40):
        book.add("plugin", f"1.{number}", "frame>=2" if number >= 20 else "frame")
    for version in ("1", "2"):
        book.add("frame", version)
    closure = close(book, "a")
    overlay = listed(closure)
    assert {"a 1", "frame 1", "plugin 1.19"} <= set(overlay)
    assert "a 0" not in overlay
    assert len(book.read()) < 40


def test_a_project_that_stands_in_the_way_of_all_others_is_decided_later() -> None:
    book = Book()
    book.add("a", "1", "frame", "plugin")
    book.add("plugin", "1", "frame<2")
    for version in ("1.0", "1.5", "2", "3", "4", "5", "6"):
        book.add("frame", version)
    closure = close(book, "a")
    assert listed(closure) == ["a 1", "frame 1.5", "frame 6", "plugin 1"]


def test_what_the_user_asked_for_gives_way_where_nothing_else_can() -> None:
    book = Book()
    book.add("a", "1", "c")
    book.add("a", "2", "c<2")
    book.add("b", "1", "c>=2")
    for version in ("1", "2"):
        book.add("c", version)
    closure = close(book, "a", "b")
    assert listed(closure) == ["a 1", "a 2", "b 1", "c 1", "c 2"]


def test_extras_of_a_version_that_makes_room_come_along() -> None:
    book = Book()
    book.add("a", "1", extras={"x": ["b"]})
    book.add("a", "2", extras={"x": ["ghost"]})
    book.add("b", "1")
    assert listed(close(book, "a[x]")) == ["a 1", "a 2", "a_extra_x 1", "a_extra_x 2", "b 1"]


def test_what_channels_have_is_no_rival() -> None:
    book = Book(c=["1", "2"])
    book.add("a", "1", "b")
    book.add("a", "0", "b")
    book.add("b", "1", "c<2")
    assert listed(close(book, "a")) == ["a 1", "b 1"]
    assert "c" not in book.pages()


def test_requests_that_cannot_be_met_together_come_to_an_end() -> None:
    book = Book()
    for number in range(50):
        book.add("a", f"{number}", "c<2")
        book.add("b", f"{number}", "c>=2")
    for version in ("1", "2"):
        book.add("c", version)
    closure = close(book, "a", "b")
    assert {"a 49", "b 49"} <= set(listed(closure))


# -- wider overlays ------------------------------------------------------------------------------------


def test_a_wider_overlay_lists_more_versions_of_everything_and_reads_nothing_twice() -> None:
    book = Book()
    for number in range(1, 7):
        book.add("a", f"{number}", "b")
        book.add("b", f"{number}")
    closure = close(book, "a")
    assert listed(closure) == ["a 6", "b 6"]
    widen(closure, book, 4)
    assert listed(closure) == [f"{name} {number}" for name in "ab" for number in (3, 4, 5, 6)]
    widen(closure, book, None)
    assert len(listed(closure)) == 12


def test_a_wider_overlay_follows_what_older_versions_require() -> None:
    book = Book()
    book.add("a", "2", "b")
    book.add("a", "1", "c")
    book.add("b", "1")
    book.add("c", "1")
    closure = close(book, "a")
    assert "c" not in book.pages()
    widen(closure, book, 4)
    assert listed(closure) == ["a 1", "a 2", "b 1", "c 1"]


def test_a_wider_overlay_holds_nothing_that_a_pinned_request_excludes() -> None:
    """What the only candidate of a request requires must hold in every solution."""
    book = Book()
    book.add("a", "1", "b<3", "c")
    book.add("a", "2", "b")
    book.add("c", "1", "b")
    for number in range(1, 9):
        book.add("b", f"{number}")
    closure = close(book, "a==1", constraints={"a": "==1"})
    widen(closure, book, None)
    assert listed(closure) == ["a 1", "b 1", "b 2", "b 8", "c 1"]  # b 8: listed before that was known


def test_a_wider_overlay_supposes_nothing_of_a_request_with_several_candidates() -> None:
    book = Book()
    book.add("a", "2", "b<2")
    book.add("a", "1", "b")
    for number in range(1, 4):
        book.add("b", f"{number}")
    closure = close(book, "a")
    widen(closure, book, 4)
    assert listed(closure) == ["a 1", "a 2", "b 1", "b 2", "b 3"]


def test_edges_compare_by_what_they_ask() -> None:
    edge = Edge.of(Requirement("A_b[X.y,z]>=1,<2"), "c 1")
    assert edge.project == "a-b"
    assert edge.extras == {"x-y", "z"}
    assert str(edge) == "a-b[x-y,z]<2,>=1"
    assert edge == Edge.of(Requirement("a-b[z,x-y]<2,>=1"), "c 1")
    assert edge != replace(edge, required_by="d 1")
