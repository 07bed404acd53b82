"""Wheel tags: what a target accepts, against packaging and pip; what a wheel's tags demand of a record."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import packaging
import pip
import pytest
from packaging import _manylinux, _musllinux
from packaging.specifiers import SpecifierSet
from packaging.tags import Tag, mac_platforms, parse_tag
from packaging.utils import parse_wheel_filename
from packaging.version import Version
from pip._internal.utils.compatibility_tags import get_supported

from conda_pypi_bridge.errors import ConfigError, Untranslatable
from conda_pypi_bridge.model import ProjectName, Target, Wheel
from conda_pypi_bridge.tags import best_wheel, make_target, platform_constraints, record_subdir, target_tags
from conda_pypi_bridge.versions import version_set
from tests.lab.channels import SUBDIR
from tests.lab.pythons import Interpreter

PYTHON = Version("3.11.7")
LINUX = make_target(PYTHON, "linux-64", glibc=(2, 35))


def texts(tags: Iterable[object]) -> list[str]:
    return [str(tag) for tag in tags]


def platforms(tags: Iterable[Tag]) -> list[str]:
    return list(dict.fromkeys(tag.platform for tag in tags if tag.platform != "any"))


def native(python: Version) -> Target:
    """The target of an interpreter of this machine."""
    macos = platform.mac_ver()[0].split(".")
    glibc = platform.libc_ver()[1].split(".") if platform.libc_ver()[0] == "glibc" else []
    return make_target(
        python,
        SUBDIR,
        glibc=(int(glibc[0]), int(glibc[1])) if glibc else None,
        macos=(int(macos[0]), int(macos[1])) if macos[0] else None,
        markers={"platform_release": platform.release(), "platform_version": platform.version()},
    )


def ask(interpreter: Interpreter, code: str, *libraries: Path) -> Any:
    """The JSON that `code` prints in an interpreter that can import the given pure-Python libraries."""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, libraries))}
    done = subprocess.run(
        [interpreter.executable, "-S", "-c", code], env=env, capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout)


# -- the running machine -------------------------------------------------------------------------------


def test_tags_are_those_that_every_interpreter_computes_of_itself(pythons: list[Interpreter]) -> None:
    code = "import json; from packaging.tags import sys_tags; print(json.dumps([str(t) for t in sys_tags()]))"
    library = Path(packaging.__file__).parents[1]
    for interpreter in pythons:
        own = ask(interpreter, code, library)
        assert texts(native(Version(interpreter.version)).tags) == own
        assert own


def test_tags_are_those_of_pip(pythons: list[Interpreter]) -> None:
    """Some pips put ``linux_x86_64`` last, others first: no index has such wheels."""
    code = (
        "import json; from pip._internal.utils.compatibility_tags import get_supported\n"
        "print(json.dumps([str(t) for t in get_supported()]))"
    )
    for interpreter in pythons:
        theirs = ask(interpreter, code, Path(pip.__file__).parents[1])
        ours = texts(native(Version(interpreter.version)).tags)
        assert set(ours) == set(theirs)
        assert [t for t in ours if "-linux_" not in t] == [t for t in theirs if "-linux_" not in t]


def test_markers_are_those_that_every_interpreter_computes_of_itself(pythons: list[Interpreter]) -> None:
    code = "import json; from packaging.markers import default_environment as e; print(json.dumps(dict(e())))"
    library = Path(packaging.__file__).parents[1]
    for interpreter in pythons:
        own = ask(interpreter, code, library)
        assert native(Version(interpreter.version)).markers == own


# -- other machines ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("subdir", "arch", "glibc"),
    [
        ("linux-64", "x86_64", (2, 28)),
        ("linux-32", "i686", (2, 17)),
        ("linux-aarch64", "aarch64", (2, 34)),
        ("linux-ppc64le", "ppc64le", (2, 17)),
        ("linux-s390x", "s390x", (2, 31)),
        ("linux-riscv64", "riscv64", (2, 39)),
    ],
)
def test_manylinux_platforms_are_those_of_packaging(
    subdir: str, arch: str, glibc: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """PEP 600; the oldest are manylinux1 on x86, manylinux2014 elsewhere (PEP 513, 599)."""
    monkeypatch.setattr(_manylinux, "_get_glibc_version", lambda: glibc)
    monkeypatch.setattr(_manylinux, "_have_compatible_abi", lambda executable, archs: True)
    theirs = list(_manylinux.platform_tags([arch]))
    ours = target_tags(PYTHON, subdir, glibc=glibc)
    assert platforms(ours) == [f"linux_{arch}", *theirs]
    assert theirs[0] == f"manylinux_2_{glibc[1]}_{arch}"


def test_musllinux_platforms_are_those_of_packaging(monkeypatch: pytest.MonkeyPatch) -> None:
    """PEP 656. A musl target accepts no manylinux wheel, a glibc target no musllinux wheel."""
    monkeypatch.setattr(_musllinux, "_get_musl_version", lambda executable: _musllinux._MuslVersion(1, 2))
    theirs = list(_musllinux.platform_tags(["aarch64"]))
    ours = platforms(target_tags(PYTHON, "linux-aarch64", musl=(1, 2)))
    assert ours == ["linux_aarch64", *theirs]
    assert ours[1] == "musllinux_1_2_aarch64"
    assert not [name for name in platforms(LINUX.tags) if "musl" in name]


def test_no_manylinux_wheel_is_accepted_where_glibc_is_too_old_or_not_known() -> None:
    assert platforms(target_tags(PYTHON, "linux-aarch64", glibc=(2, 16))) == ["linux_aarch64"]
    assert platforms(target_tags(PYTHON, "linux-64")) == ["linux_x86_64"]
    assert platforms(target_tags(PYTHON, "linux-armv6l", glibc=(2, 31))) == ["linux_armv6l"]


@pytest.mark.parametrize(
    ("subdir", "arch", "macos"),
    [("osx-64", "x86_64", (10, 15)), ("osx-64", "x86_64", (13, 6)), ("osx-arm64", "arm64", (14, 5))],
)
def test_macos_tags_are_those_of_pip(subdir: str, arch: str, macos: tuple[int, int]) -> None:
    """``fat3``, for machines of three architectures, is ``fat32`` to older pips."""
    release = f"macosx_{macos[0]}_{macos[1]}_{arch}"
    theirs = get_supported(version="311", platforms=[release], impl="cp", abis=["cp311"])
    ours = target_tags(PYTHON, subdir, macos=macos)
    assert texts(ours) == [text.replace("_fat32", "_fat3") for text in texts(theirs)]
    assert platforms(ours) == list(mac_platforms(macos, arch))


@pytest.mark.parametrize(
    ("subdir", "name"), [("win-64", "win_amd64"), ("win-32", "win32"), ("win-arm64", "win_arm64")]
)
def test_windows_tags_are_those_of_pip(subdir: str, name: str) -> None:
    theirs = get_supported(version="311", platforms=[name], impl="cp", abis=["cp311"])
    assert texts(target_tags(PYTHON, subdir)) == texts(theirs)


def test_a_macos_of_unknown_version_accepts_pure_wheels_only() -> None:
    """CEP 30: ``__osx`` is 0 where it cannot be estimated. The running machine's tags never leak in."""
    for macos in (None, (0, 0)):
        target = make_target(PYTHON, "osx-arm64", macos=macos)
        assert fits("py3-none-any", target)
        assert fits("cp311-none-any", target)
        assert platforms(target.tags) == ["unknown"]


def test_a_free_threaded_python_has_its_own_abi_and_no_abi3() -> None:
    """PEP 703: cp313t; "the stable ABI is not available"."""
    target = make_target(Version("3.13.0"), "linux-64", glibc=(2, 28), free_threaded=True)
    assert str(target.tags[0]) == "cp313-cp313t-linux_x86_64"
    assert fits("cp313-cp313t-manylinux_2_17_x86_64", target)
    assert fits("py3-none-any", target)
    assert not fits("cp313-cp313-manylinux_2_17_x86_64", target)
    assert not fits("cp39-abi3-manylinux_2_17_x86_64", target)


def test_pypy_has_tags_of_its_own() -> None:
    target = make_target(Version("3.10.14"), "linux-64", glibc=(2, 28), implementation="pypy")
    assert str(target.tags[0]) == "pp310-pypy310_pp73-linux_x86_64"
    assert fits("pp310-pypy310_pp73-manylinux_2_17_x86_64", target)
    assert fits("pp3-none-any", target)
    assert fits("py310-none-any", target)
    assert not fits("cp310-cp310-manylinux_2_17_x86_64", target)
    assert target.markers["implementation_name"] == "pypy"
    assert target.markers["platform_python_implementation"] == "PyPy"
    assert target.markers["implementation_version"] == ""


def fits(tags: str, target: Target) -> bool:
    return not parse_tag(tags).isdisjoint(target.tags)


@pytest.mark.parametrize("subdir", ["linux", "emscripten-wasm32", "noarch", "osx-32", "freebsd-64"])
def test_a_platform_without_wheels_is_refused(subdir: str) -> None:
    with pytest.raises(ConfigError, match=subdir):
        make_target(PYTHON, subdir)


def test_an_implementation_without_wheels_is_refused() -> None:
    with pytest.raises(ConfigError, match="graalpy"):
        make_target(PYTHON, "linux-64", implementation="graalpy")


@pytest.mark.parametrize(
    ("subdir", "expected"),
    [
        ("linux-64", ("posix", "linux", "Linux", "x86_64")),
        ("linux-aarch64", ("posix", "linux", "Linux", "aarch64")),
        ("osx-64", ("posix", "darwin", "Darwin", "x86_64")),
        ("osx-arm64", ("posix", "darwin", "Darwin", "arm64")),
        ("win-64", ("nt", "win32", "Windows", "AMD64")),
        ("win-32", ("nt", "win32", "Windows", "x86")),
        ("win-arm64", ("nt", "win32", "Windows", "ARM64")),
    ],
)
def test_markers_of_other_platforms(subdir: str, expected: tuple[str, ...]) -> None:
    markers = make_target(Version("3.13.0rc2"), subdir).markers
    names = ("os_name", "sys_platform", "platform_system", "platform_machine")
    assert tuple(markers[name] for name in names) == expected
    assert markers["python_version"] == "3.13"
    assert markers["python_full_version"] == markers["implementation_version"] == "3.13.0rc2"


def test_a_python_given_by_its_minor_version_still_has_a_full_version() -> None:
    assert make_target(Version("3.12"), "linux-64").markers["python_full_version"] == "3.12.0"


def test_given_markers_go_before_computed_ones() -> None:
    markers = make_target(PYTHON, "linux-64", markers={"platform_release": "6.1"}).markers
    assert (markers["platform_release"], markers["platform_version"]) == ("6.1", "")


# -- the choice of a wheel -----------------------------------------------------------------------------


def wheel(filename: str, *, yanked: str | None = None) -> Wheel:
    name, version, build, tags = parse_wheel_filename(filename)
    return Wheel(
        filename=filename,
        project=ProjectName(name),
        version=version,
        build=build,
        tags=tags,
        url=f"https://index.invalid/{filename}",
        sha256="0" * 64,
        yanked=yanked,
    )


@pytest.mark.parametrize(
    ("filenames", "best"),
    [
        (["foo-1-py3-none-any.whl", "foo-1-cp311-cp311-manylinux_2_17_x86_64.whl"], 1),
        (["foo-1-cp39-abi3-manylinux_2_17_x86_64.whl", "foo-1-cp311-cp311-manylinux1_x86_64.whl"], 1),
        (["foo-1-cp39-abi3-manylinux1_x86_64.whl", "foo-1-cp310-abi3-manylinux1_x86_64.whl"], 1),
        (["foo-1-cp311-none-any.whl", "foo-1-py3-none-manylinux1_x86_64.whl"], 1),
        (
            [
                "foo-1-cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64.whl",
                "foo-1-cp311-cp311-manylinux_2_28_x86_64.whl",
                "foo-1-cp311-cp311-manylinux_2_39_x86_64.whl",
            ],
            1,
        ),
        # PEP 427: the build tag is a tie-breaker, "1" above none, numbers as numbers
        (["foo-1-py3-none-any.whl", "foo-1-1-py3-none-any.whl"], 1),
        (["foo-1-10-py3-none-any.whl", "foo-1-9-py3-none-any.whl"], 0),
        (["foo-1-1a-py3-none-any.whl", "foo-1-1b-py3-none-any.whl"], 1),
        (["foo-1-cp311-none-any.whl", "foo-1-9-py3-none-any.whl"], 0),
        (["foo-1-py3-none-any.whl", "foo-1-py2.py3-none-any.whl"], 0),
        (["foo-1-cp312-cp312-manylinux1_x86_64.whl", "foo-1-py2-none-any.whl"], None),
        (["foo-1-cp311-cp311-win_amd64.whl", "foo-1-cp311-cp311-musllinux_1_1_x86_64.whl"], None),
        ([], None),
    ],
)
def test_the_best_wheel_is_that_of_pip(filenames: list[str], best: int | None) -> None:
    wheels = [wheel(filename) for filename in filenames]
    assert best_wheel(wheels, LINUX) == (None if best is None else wheels[best])


def test_a_yanked_wheel_is_the_last_choice() -> None:
    """PEP 592: a yanked file only where nothing else satisfies the request."""
    yanked = wheel("foo-1-cp311-cp311-manylinux1_x86_64.whl", yanked="broken")
    pure = wheel("foo-1-py3-none-any.whl")
    assert best_wheel([yanked, pure], LINUX) == pure
    assert best_wheel([yanked], LINUX) == yanked


# -- what tags demand of a record ----------------------------------------------------------------------

ABI = make_target(PYTHON, "linux-64", glibc=(2, 35), python_abi=True)
THREADS = make_target(Version("3.13.0"), "linux-64", glibc=(2, 35), python_abi=True, free_threaded=True)
NEXT = make_target(Version("3.16.0"), "linux-64", glibc=(2, 35), python_abi=True, free_threaded=True)
MUSL = make_target(PYTHON, "linux-64", musl=(1, 2))
MAC = make_target(PYTHON, "osx-64", macos=(13, 0))
ARM_MAC = make_target(PYTHON, "osx-arm64", macos=(13, 0))
WINDOWS = make_target(PYTHON, "win-64")
PYPY = make_target(Version("3.10.14"), "linux-64", glibc=(2, 35), implementation="pypy", python_abi=True)


@pytest.mark.parametrize(
    ("tags", "target", "subdir", "python", "depends"),
    [
        ("py3-none-any", LINUX, "noarch", ">=3", []),
        ("py2.py3-none-any", LINUX, "noarch", "", []),
        ("py2.py3-none-any", WINDOWS, "noarch", "", []),
        ("py311-none-any", LINUX, "noarch", ">=3.11dev0", []),
        ("py27.py310-none-any", LINUX, "noarch", ">=2.7dev0,<3|>=3.10dev0", []),
        ("cp311-none-any", LINUX, "noarch", ">=3.11dev0,<3.12dev0", []),
        ("cp311-none-any", ABI, "noarch", ">=3.11dev0,<3.12dev0", []),
        ("cp310.cp311-none-any", LINUX, "noarch", ">=3.10dev0,<3.12dev0", []),
        # the tag decides, whatever Root-Is-Purelib says
        ("py3-none-manylinux_2_17_x86_64", LINUX, "linux-64", ">=3", ["__glibc >=2.17"]),
        ("py3-none-win_amd64", WINDOWS, "win-64", ">=3", []),
        ("py3-none-linux_x86_64", LINUX, "linux-64", ">=3", []),
        ("py3-none-linux_x86_64.manylinux1_x86_64", LINUX, "linux-64", ">=3", []),
        # "the minimum over compressed tags"
        (
            "cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64",
            ABI,
            "linux-64",
            ">=3.11dev0,<3.12dev0",
            ["__glibc >=2.17", "python_abi 3.11.* *_cp311"],
        ),
        ("py3-none-manylinux_2_28_x86_64.manylinux2010_x86_64", LINUX, "linux-64", ">=3", ["__glibc >=2.12"]),
        ("py3-none-manylinux1_x86_64", LINUX, "linux-64", ">=3", ["__glibc >=2.5"]),
        (
            "cp311-cp311-manylinux_2_39_x86_64.manylinux_2_28_x86_64",
            LINUX,
            "linux-64",
            ">=3.11dev0,<3.12dev0",
            ["__glibc >=2.28"],
        ),
        (
            "cp311-cp311-manylinux_2_17_x86_64.musllinux_1_1_x86_64",
            MUSL,
            "linux-64",
            ">=3.11dev0,<3.12dev0",
            ["__musl >=1.1"],
        ),
        ("py3-none.cp311-any", LINUX, "linux-64", ">=3", []),
        # CEP 20
        ("cp39-abi3-manylinux_2_17_x86_64", ABI, "linux-64", ">=3.9dev0", ["__glibc >=2.17"]),
        (
            "cp313-cp313t-manylinux_2_17_x86_64",
            THREADS,
            "linux-64",
            ">=3.13dev0,<3.14dev0",
            ["__glibc >=2.17", "python_abi 3.13.* *_cp313t"],
        ),
        # PEP 803
        ("cp315-abi3t-manylinux_2_17_x86_64", NEXT, "linux-64", ">=3.15dev0", ["__glibc >=2.17"]),
        (
            "pp310-pypy310_pp73-manylinux_2_17_x86_64",
            PYPY,
            "linux-64",
            ">=3.10dev0,<3.11dev0",
            ["__glibc >=2.17", "python_abi 3.10.* *_pypy310_pp73"],
        ),
        ("cp310.pp310-none-manylinux1_x86_64", PYPY, "linux-64", ">=3.10dev0,<3.11dev0", ["__glibc >=2.5"]),
        ("cp311-cp311-macosx_10_9_x86_64", MAC, "osx-64", ">=3.11dev0,<3.12dev0", ["__osx >=10.9"]),
        ("py3-none-macosx_10_9_x86_64.macosx_11_0_x86_64", MAC, "osx-64", ">=3", ["__osx >=10.9"]),
        ("cp311-cp311-macosx_10_9_universal2", MAC, "osx-64", ">=3.11dev0,<3.12dev0", ["__osx >=10.9"]),
        (
            "cp311-cp311-macosx_10_9_universal2",
            ARM_MAC,
            "osx-arm64",
            ">=3.11dev0,<3.12dev0",
            ["__osx >=11.0"],
        ),
        (
            "cp311-cp311-macosx_10_9_x86_64.macosx_12_0_arm64",
            ARM_MAC,
            "osx-arm64",
            ">=3.11dev0,<3.12dev0",
            ["__osx >=12.0"],
        ),
        ("cp311-cp311-win_amd64", WINDOWS, "win-64", ">=3.11dev0,<3.12dev0", []),
    ],
)
def test_tags_become_the_terms_of_a_record(
    tags: str, target: Target, subdir: str, python: str, depends: list[str]
) -> None:
    demands = platform_constraints(parse_tag(tags), target)
    assert record_subdir(parse_tag(tags), target) == subdir
    assert str(demands.python) == python
    assert sorted(map(str, demands.depends)) == depends


@pytest.mark.parametrize("tags", ["py3-none-any", "cp39-abi3-manylinux1_x86_64", "py311-none-any"])
def test_requires_python_meets_the_tags(tags: str) -> None:
    python = platform_constraints(parse_tag(tags), LINUX).python & version_set(SpecifierSet(">=3.12"))
    assert str(python) == ">=3.12"


@pytest.mark.parametrize(
    ("tags", "reason"),
    [
        ("py2-none-any", "Python 2 only"),
        ("py27-none-any", "Python 2 only"),
        ("cp312-cp312-manylinux1_x86_64", "cpython 3.11.7 on linux-64"),
        ("cp311-cp311-musllinux_1_1_x86_64", "cpython 3.11.7 on linux-64"),
        ("cp311-cp311-manylinux_2_39_x86_64", "cpython 3.11.7 on linux-64"),
    ],
)
def test_a_wheel_that_does_not_fit_is_refused(tags: str, reason: str) -> None:
    for function in (platform_constraints, record_subdir):
        with pytest.raises(Untranslatable, match=reason):
            function(parse_tag(tags), LINUX)
