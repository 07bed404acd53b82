"""A SPEC becomes a recipe: it says of every platform and Python what a package made for it says."""

from __future__ import annotations

import hashlib
import io
import json
import shlex
import subprocess
import sys
import tarfile
import venv as stdlib_venv
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.version import Version
from ruamel.yaml import YAML

from conda_pypi_bridge import translate
from conda_pypi_bridge.building import unpack
from conda_pypi_bridge.errors import SdistRefused
from conda_pypi_bridge.model import CondaName
from conda_pypi_bridge.recipe import importable
from conda_pypi_bridge.recipe.content import PLATFORMS, PYTHONS
from conda_pypi_bridge.recipe.sdist import read_sdist
from conda_pypi_bridge.recipe.selectors import Place, bare, only, selector
from conda_pypi_bridge.recipe.text import quoted, scalar
from conda_pypi_bridge.tags import make_target
from tests.indexserver import IndexServer
from tests.lab.channels import index_channel, make_python_package
from tests.lab.condas import Home, Result, python_of, site_packages
from tests.lab.staticchannel import candidate_of
from tests.lab.trees import snapshot
from tests.rendering import holds, render
from tests.wheels import make_wheel

Write = Callable[..., Result]
PLACES = [(subdir, 300 + python.minor) for subdir in PLATFORMS for python in PYTHONS]

#: Places that no recipe names, where nothing may be built.
ELSEWHERE = [("linux-ppc64le", 312), ("win-arm64", 312), ("osx-arm64", 309), ("linux-64", 315)]


#: The Python that runs, as conda-build's ``py``, and one that does not.
RUNNING = 300 + sys.version_info.minor
ANOTHER = 312 if RUNNING != 312 else 313


@pytest.fixture
def server() -> Iterator[IndexServer]:
    with IndexServer() as server:
        yield server


@pytest.fixture
def write(bridge: Callable[..., Result], venv: Path, server: IndexServer, tmp_path: Path) -> Write:
    """Write recipes into ``tmp_path/recipes``."""

    def call(*args: str | Path, **options: Any) -> Result:
        words = ("recipe", "-p", venv, "-i", server.url, "-o", tmp_path / "recipes")
        return bridge(*words, *args, **options)

    return call


def meta(tmp_path: Path, name: str) -> Path:
    return tmp_path / "recipes" / name / "meta.yaml"


# -- selectors and text --------------------------------------------------------------------------------

some_places = st.sets(st.sampled_from(PLACES), min_size=1)


@given(among=some_places, data=st.data())
def test_a_selector_tells_the_chosen_places_from_the_others(among: set[Place], data: st.DataObject) -> None:
    chosen = data.draw(st.sets(st.sampled_from(sorted(among)), min_size=1))
    text = bare(selector(chosen, among))
    assert {place for place in among if not text or holds(text, *place)} == chosen


@given(chosen=some_places)
def test_what_is_skipped_is_everything_else_in_the_world(chosen: set[Place]) -> None:
    text = f"not {only(chosen)}"
    assert {place for place in [*PLACES, *ELSEWHERE] if not holds(text, *place)} == chosen


@given(
    text=st.text()
    | st.sampled_from(["no", "1.0", "a: b", "{{ x }}", "a # [win]", "a\x85b: c", "a\u2028b", "\ufffe"])
)
def test_a_text_is_read_as_it_was_written_and_is_nothing_but_text(text: str) -> None:
    for written in (scalar(text), quoted(text)):
        assert YAML(typ="safe").load(f"key: {written}\n") == {"key": text}
        assert len(written.splitlines()) == 1
        assert not {"{{", "{%", "{#", "#", "["} & {
            written[i : i + n] for n in (1, 2) for i in range(len(written))
        }


@pytest.mark.parametrize(
    ("paths", "imports"),
    [
        (["demo/__init__.py", "demo/deep/__init__.py", "demo/x.py"], ["demo"]),
        (["one.py", "two.cpython-312-x86_64-linux-gnu.so", "three.abi3.so", "four.cp312-win_amd64.pyd"],
         ["four", "one", "three", "two"]),
        (["space/name/__init__.py", "space/other.py"], ["space.name", "space.other"]),
        (["demo.py", "_demo.py", "tests/__init__.py", "demo.pth", "a-b.py"], ["demo"]),
        (["_demo.py"], ["_demo"]),
    ],
)  # fmt: skip
def test_what_to_import(paths: Sequence[str], imports: Sequence[str]) -> None:
    assert importable(paths) == imports


# -- wheels --------------------------------------------------------------------------------------------


def test_a_pure_project_is_noarch_and_has_all_that_its_wheel_tells(
    server: IndexServer, write: Write, tmp_path: Path
) -> None:
    filename = server.add(
        "Demo.Project", "1.10", requires=["idna>=2,<4"], requires_python=">=3.8",
        entry_points={"demo": "demo_project:main"},
        headers=["License-Expression: MIT", "License-File: LICENSE", "Project-URL: Source Code, https://x.invalid/s"],
        members={"{info}/licenses/LICENSE": "MIT\n"},
    )  # fmt: skip
    server.add("idna", "3.1")
    done = write("demo-project", "--maintainer", "me", "--json").json()
    recipes = [render(meta(tmp_path, "demo-project"), *place) for place in PLACES]
    assert all(recipe == recipes[0] for recipe in recipes)
    assert recipes[0] == {
        "package": {"name": "demo-project", "version": "1.10"},
        "source": {
            "url": f"{server.base}/files/{filename}",
            "sha256": hashlib.sha256(server.files[filename]).hexdigest(),
        },
        "build": {
            "number": 0,
            "noarch": "python",
            "script": "PYTHON -m pip install demo-project==1.10"
            " --no-deps --no-compile --no-index --find-links . -vv",
            "entry_points": ["demo = demo_project:main"],
        },
        "requirements": {
            "host": ["python >=3.8", "pip"],
            "run": ["python >=3.8", "idna >=2,<4dev0"],
        },
        "test": {"imports": ["demo_project"], "requires": ["pip"], "commands": ["pip check", "demo --help"]},
        "about": {
            "dev_url": "https://x.invalid/s",
            "summary": "Demo.Project for tests",
            "license": "MIT",
            "license_file": ["demo_project-1.10.dist-info/licenses/LICENSE"],
        },
        "extra": {"recipe-maintainers": ["me"]},
    }
    assert [(row["name"], row["noarch"], row["lacking"]) for row in done["recipes"]] == [
        ("demo-project", "python", ["idna >=2,<4dev0"])
    ]


def test_the_script_gives_the_files_of_the_package_that_build_makes(
    server: IndexServer, write: Write, tmp_path: Path
) -> None:
    """pip runs as in conda-build, in a folder with the wheel; but for what installers write, all is alike."""
    wheel = make_wheel(
        tmp_path / "source", "demo", "1.0",
        files={"demo/__init__.py": "x = 1\n", "demo/data.bin": b"\0\1", "{data}/data/share/demo.txt": "text"},
        entry_points={"demo": "demo:main"},
    )  # fmt: skip
    server.publish(wheel.name, wheel.read_bytes())
    write("demo")
    prefix = tmp_path / "built"
    stdlib_venv.EnvBuilder(symlinks=True, with_pip=True).create(prefix)
    before = snapshot(prefix)
    script = render(meta(tmp_path, "demo"))["build"]["script"]
    command = [str(python_of(prefix)) if word == "PYTHON" else word for word in shlex.split(script)]
    subprocess.run(command, cwd=wheel.parent, check=True, capture_output=True)

    candidate = candidate_of(wheel)
    record = translate.record(candidate, make_target(Version("3.12"), "linux-64"), CondaName)
    unpack(wheel, record, tmp_path / "package", python="3.12")
    site = site_packages(prefix).relative_to(prefix).as_posix()
    ours = {
        path.relative_to(tmp_path / "package").as_posix().replace("site-packages", site, 1): path.read_bytes()
        for path in (tmp_path / "package").rglob("*")
        if path.is_file() and "info" not in path.relative_to(tmp_path / "package").parts[:1]
    }
    theirs = {
        path: (prefix / path).read_bytes() for path in snapshot(prefix).keys() - before.keys()
        if (prefix / path).is_file()
    }  # fmt: skip
    info = f"{site}/demo-1.0.dist-info"
    installers = {f"{info}/{name}" for name in ("INSTALLER", "RECORD", "REQUESTED", "provenance_url.json")}
    assert theirs.pop("bin/demo")  # the entry point, which conda makes where it links
    assert {k: v for k, v in ours.items() if k not in installers} == {
        k: v for k, v in theirs.items() if k not in installers
    }
    assert len(ours.keys() - installers) == 6


def test_requirements_of_some_platforms_and_pythons_have_selectors(
    server: IndexServer, write: Write, tmp_path: Path
) -> None:
    """In every place the recipe requires what the bridge's own record for that place requires."""
    requires = [
        'tomli>=2; python_version < "3.11"', 'colorama; sys_platform == "win32"', "idna",
        'uvloop; sys_platform != "win32" and python_version >= "3.12"',
        'greenlet>=1; platform_machine == "aarch64" or platform_machine == "arm64"',
    ]  # fmt: skip
    filename = server.add("demo", "1.0", requires=requires, requires_python=f">=3.10,!=3.{ANOTHER - 300}.*")
    for name in ("tomli", "colorama", "idna", "uvloop", "greenlet"):
        server.add(name, "9.0")
    write("demo")
    (tmp_path / filename).write_bytes(server.files[filename])
    candidate = candidate_of(tmp_path / filename)
    for subdir, py in PLACES:
        recipe = render(meta(tmp_path, "demo"), subdir, py)
        assert "noarch" not in recipe["build"]
        assert recipe["build"].get("skip", False) == (py == ANOTHER), (subdir, py)
        if py == ANOTHER:
            continue
        target = make_target(Version(f"3.{py - 300}"), subdir)
        depends = translate.record(candidate, target, CondaName).depends
        expected = {text for text in depends if not text.startswith("python")} | {"python"}
        assert set(recipe["requirements"]["run"]) == expected, (subdir, py)
    assert all(render(meta(tmp_path, "demo"), *place)["build"]["skip"] for place in ELSEWHERE)


def test_native_code_comes_from_the_wheel_of_each_platform_and_python(
    server: IndexServer, write: Write, tmp_path: Path
) -> None:
    systems = {
        "linux-64": "manylinux_2_17_x86_64",
        "linux-aarch64": "manylinux_2_28_aarch64",
        "osx-arm64": "macosx_11_0_arm64",
    }
    tags = {(s, py): f"cp{py}-cp{py}-{tag}" for s, tag in systems.items() for py in (RUNNING, ANOTHER)}
    names = {place: server.add("demo", "1.0", tags=tag) for place, tag in tags.items()}
    server.add(
        "demo", "1.0", tags=f"cp{RUNNING}-cp{RUNNING}-manylinux_2_34_x86_64"
    )  # for newer systems alone
    write("demo")
    for place in [*PLACES, *ELSEWHERE]:
        recipe = render(meta(tmp_path, "demo"), *place)
        assert recipe["build"].get("skip", False) == (place not in names), place
        if place in names:
            assert recipe["source"]["url"].endswith(f"/{names[place]}")
            assert recipe["source"]["sha256"] == hashlib.sha256(server.files[names[place]]).hexdigest()
            libc = {
                "linux-64": "__glibc >=2.17",
                "linux-aarch64": "__glibc >=2.28",
                "osx-arm64": "__osx >=11.0",
            }
            assert recipe["requirements"]["run"] == ["python", libc[place[0]]]
    text = meta(tmp_path, "demo").read_text()
    assert "# LOOK at osx-64, win-64: the index has no wheel" in text
    assert recipe["build"]["binary_relocation"] is False


def test_a_hostile_summary_stays_text(server: IndexServer, write: Write, tmp_path: Path) -> None:
    summary = "{{ environ }} {% raw %} # [win] \"quoted\" 'too': yes"
    wheel = make_wheel(tmp_path / "w", "demo", "1.0")
    metadata = f"Metadata-Version: 2.1\nName: demo\nVersion: 1.0\nSummary: {summary}\n"
    wheel = make_wheel(tmp_path / "w", "demo", "1.0", members={"{info}/METADATA": metadata})
    server.publish(wheel.name, wheel.read_bytes())
    write("demo")
    assert render(meta(tmp_path, "demo"))["about"]["summary"] == summary


# -- more than one recipe ------------------------------------------------------------------------------


def test_an_extra_is_a_metapackage_and_deps_are_the_closure(
    server: IndexServer, write: Write, tmp_path: Path
) -> None:
    server.add("demo", "1.0", extras={"fast": ["quick>=2"]}, requires=["slow"])
    server.add("quick", "2.5")
    server.add("slow", "1.0", requires=["slower"])
    server.add("slower", "3")
    some = write("demo[fast]", "--json").json()["recipes"]
    assert {row["name"]: row["lacking"] for row in some} == {
        "demo": ["slow"],
        "demo_extra_fast": ["quick >=2"],
    }
    recipe = render(meta(tmp_path, "demo_extra_fast"))
    assert recipe["build"] == {"number": 0, "noarch": "generic"}
    assert recipe["requirements"] == {"run": ["demo ==1.0", "quick >=2"]}
    every = write("demo[fast]", "--deps", "--json").json()["recipes"]
    assert {row["name"] for row in every} == {"demo", "demo_extra_fast", "quick", "slow", "slower"}
    assert all(row["lacking"] == [] for row in every)
    for row in every:
        render(Path(row["path"]))


def test_what_channels_have_needs_no_recipe(
    server: IndexServer, write: Write, home: Home, extra_channel: Path, tmp_path: Path
) -> None:
    make_python_package(extra_channel, "onchannel", "2.0")
    make_python_package(extra_channel, "winonly", "1.0")
    index_channel(extra_channel)
    requires = ["onchannel>=1", 'winonly; sys_platform == "win32"', 'nowhere; sys_platform == "win32"']
    server.add("demo", "1.0", requires=requires)
    channel = ("-c", extra_channel.as_uri())
    (row,) = write("demo", *channel, "--deps", "--json").json()["recipes"]
    assert row["lacking"] == ["nowhere"]
    server.add("onchannel", "3.0")
    refused = write("onchannel", *channel, check=False)
    assert (refused.returncode, "channels have it" in refused.stderr) == (1, True)


def test_a_recipe_is_the_same_each_time_and_never_written_over_unasked(
    server: IndexServer, write: Write, tmp_path: Path
) -> None:
    server.add("demo", "1.0")
    write("demo")
    path = meta(tmp_path, "demo")
    first = path.read_bytes()
    write("demo")
    assert path.read_bytes() == first
    path.write_bytes(first + b"# edited\n")
    refused = write("demo", check=False)
    assert refused.returncode == 1
    assert "--force" in refused.stderr
    assert path.read_bytes() == first + b"# edited\n"
    write("demo", "--force")
    assert path.read_bytes() == first


def test_what_a_recipe_cannot_say_is_refused_and_nothing_is_written(
    server: IndexServer, write: Write, tmp_path: Path
) -> None:
    server.add("demo", "1.0", requires=['idna; python_full_version < "3.12.4"', 'colorama; os_name == "nt"'])
    server.add("idna", "3.0")
    refused = write("demo", "--json", check=False)
    assert refused.returncode == 1
    assert "no exact conda equivalent" in json.loads(refused.stdout)["error"]
    assert not (tmp_path / "recipes").exists()


# -- source distributions ------------------------------------------------------------------------------


def sdist_bytes(files: dict[str, str], folder: str = "demo-1.0") -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name, text in files.items():
            member = tarfile.TarInfo(f"{folder}/{name}")
            member.size = len(text.encode())
            archive.addfile(member, io.BytesIO(text.encode()))
    return packed.getvalue()


PKG_INFO = "Metadata-Version: 2.2\nName: demo\nVersion: 1.0\n"
PYPROJECT = '[build-system]\nrequires = ["hatchling>=1.5", "tomli; python_version < \'3.11\'"]\n'


def publish_sdist(server: IndexServer, files: dict[str, str]) -> str:
    content = sdist_bytes(files)
    server.publish("demo-1.0.tar.gz", content, project="demo")
    return hashlib.sha256(content).hexdigest()


def test_a_source_distribution_is_built_with_what_it_needs(
    server: IndexServer, write: Write, tmp_path: Path
) -> None:
    server.add("demo", "1.0", requires=["idna"], headers=["License-File: LICENSE"],
               members={"{info}/licenses/LICENSE": "x"})  # fmt: skip
    server.add("idna", "3.0")
    files = {"PKG-INFO": f"{PKG_INFO}Requires-Dist: idna\n", "pyproject.toml": PYPROJECT, "LICENSE": "x"}
    sha256 = publish_sdist(server, files)
    write("demo", "--sdist")
    recipe = render(meta(tmp_path, "demo"))
    assert recipe["source"] == {"url": f"{server.base}/files/demo-1.0.tar.gz", "sha256": sha256}
    assert recipe["build"]["script"] == "PYTHON -m pip install . --no-deps --no-build-isolation -vv"
    assert recipe["build"]["noarch"] == "python"
    host, *others = recipe["requirements"]["host"]
    assert (host, others) == ("python >=3.11dev0", ["pip", "hatchling >=1.5"])
    assert recipe["requirements"]["run"] == ["python >=3", "idna"]
    assert recipe["about"]["license_file"] == ["LICENSE"]


def test_a_project_that_is_source_alone_needs_a_wheel_which_a_person_builds(
    server: IndexServer, write: Write, tmp_path: Path
) -> None:
    """Nothing but a build tells what it requires and which files it has; what to do is told, and works."""
    server.add("idna", "3.0")
    sha256 = publish_sdist(
        server, {"PKG-INFO": f"{PKG_INFO}Requires-Dist: idna\n", "pyproject.toml": PYPROJECT}
    )
    for options in (), ("--sdist",):
        refused = write("demo", *options, check=False)
        assert refused.returncode == 1
        assert "demo: the index has only source distributions (demo-1.0.tar.gz)" in refused.stderr
        assert refused.stderr.endswith(
            "  Build a wheel yourself, and run this again with PIP_FIND_LINKS=wheels: "
            "python -m pip wheel --no-deps -w wheels demo\n"
        )
    assert not (tmp_path / "recipes").exists()
    make_wheel(tmp_path / "wheels", "demo", "1.0", requires=["idna"])  # as that command would have
    write("demo", "--sdist", env={"PIP_FIND_LINKS": "wheels"}, cwd=tmp_path)
    recipe = render(meta(tmp_path, "demo"))
    assert recipe["source"] == {"url": f"{server.base}/files/demo-1.0.tar.gz", "sha256": sha256}
    assert recipe["requirements"]["run"] == ["python >=3", "idna"]


@pytest.mark.parametrize(
    ("tags", "files", "why"),
    [
        ("py3-none-any", {"PKG-INFO": f"{PKG_INFO}Requires-Dist: other\n"}, "it requires other things"),
        ("py3-none-any", {"pyproject.toml": PYPROJECT}, "it has no PKG-INFO"),
        ("cp39-abi3-manylinux_2_17_x86_64", {"PKG-INFO": PKG_INFO}, "which compilers and libraries"),
    ],
)
def test_a_source_distribution_that_no_recipe_can_be_certain_of_is_refused(
    tags: str, files: dict[str, str], why: str, server: IndexServer, write: Write, tmp_path: Path
) -> None:
    server.add("demo", "1.0", tags=tags)
    publish_sdist(server, files)
    refused = write("demo", "--sdist", check=False)
    assert (refused.returncode, why in refused.stderr) == (1, True), refused.stderr
    assert not (tmp_path / "recipes").exists()


def test_without_pyproject_setuptools_builds(tmp_path: Path) -> None:
    """PyPA: "lacking the [build-system] table then the default value is ["setuptools"]"."""
    path = tmp_path / "demo-1.0.tar.gz"
    for files in ({"PKG-INFO": PKG_INFO}, {"PKG-INFO": PKG_INFO, "pyproject.toml": "[project]\n"}):
        path.write_bytes(sdist_bytes(files))
        assert [str(r) for r in read_sdist(path).build_requires] == ["setuptools"]


@pytest.mark.parametrize(
    "header",
    ["Metadata-Version: 2.1\nName: demo\n", "Metadata-Version: 2.2\nName: demo\nDynamic: Requires-Dist\n"],
)
def test_a_source_that_promises_nothing_is_not_taken_at_its_word(header: str, tmp_path: Path) -> None:
    path = tmp_path / "demo-1.0.tar.gz"
    path.write_bytes(sdist_bytes({"PKG-INFO": header}))
    assert read_sdist(path).requires_dist is None


@pytest.mark.parametrize(
    "content",
    [
        b"", b"no archive", sdist_bytes({"PKG-INFO": PKG_INFO})[:-30],
        sdist_bytes({"PKG-INFO": PKG_INFO, "pyproject.toml": "["}),
        sdist_bytes({"PKG-INFO": PKG_INFO, "pyproject.toml": "build-system = 3"}),
        sdist_bytes({"PKG-INFO": PKG_INFO, "pyproject.toml": "[build-system]\nrequires = 'x'"}),
        sdist_bytes({"PKG-INFO": PKG_INFO, "pyproject.toml": "[build-system]\nrequires = ['x y z']"}),
    ],
)  # fmt: skip
def test_a_broken_source_distribution_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "demo-1.0.tar.gz"
    path.write_bytes(content)
    with pytest.raises(SdistRefused, match=r"demo-1\.0\.tar\.gz"):
        read_sdist(path)
