"""The package as a product: recipe, environment, wheel and sdist say the same, and work where installed."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import venv as stdlib_venv
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from ruamel.yaml import YAML

from conda_pypi_bridge.model import ProjectName
from conda_pypi_bridge.namedata import load_table
from conda_pypi_bridge.names import Names
from conda_pypi_bridge.versions import conda_spec
from tests.lab.condas import Conda, Home, overlay, python_of, run, site_packages
from tests.lab.pythons import Interpreter
from tests.rendering import render

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

REPOSITORY = Path(__file__).parents[1]
RECIPE = REPOSITORY / "recipe"
PROJECT: Mapping[str, Any] = tomllib.loads((REPOSITORY / "pyproject.toml").read_text("utf-8"))["project"]
NAMES = Names(table=load_table())

#: Extras for those who install the package, as opposed to those who test it.
EXTRAS = ("cluster", "notebook", "server")

#: The verbs that have no spaces in them, which ``VERB --help`` explains.
VERBS = re.compile(r"^    ([a-z]+) {2,}\S", re.MULTILINE)


#: Has every verb print its help, in one process.
HELP = """
import contextlib, sys
from conda_pypi_bridge.cli import main
for verb in sys.argv[1:]:
    with contextlib.suppress(SystemExit):
        main([verb, "--help"])
"""


def as_conda(requirements: Iterable[str]) -> dict[str, str]:
    """PEP 508 requirements as conda packages: name and version."""
    found = {}
    for text in requirements:
        requirement = Requirement(text)
        name = NAMES.conda_name(ProjectName(canonicalize_name(requirement.name)))
        found[name] = conda_spec(requirement.specifier)
    return found


def listed(specs: Sequence[str]) -> dict[str, str]:
    return {name: version for name, _, version in (spec.partition(" ") for spec in specs)}


NEEDED = as_conda(PROJECT["dependencies"])
OPTIONAL = as_conda(text for extra in EXTRAS for text in PROJECT["optional-dependencies"][extra])


def test_the_recipe_requires_what_the_project_requires() -> None:
    recipe = render(RECIPE / "meta.yaml")
    run_requirements = listed(recipe["requirements"]["run"])
    python = run_requirements.pop("python")
    assert SpecifierSet(python) == SpecifierSet(f"{PROJECT['requires-python']},<3.14")
    assert run_requirements == NEEDED
    assert listed(recipe["requirements"]["run_constrained"]) == {**OPTIONAL, "conda": ">=24.7"}
    assert listed(recipe["requirements"]["host"]) == {"python": ">=3.10", "pip": "", "hatchling": ""}


def test_the_recipe_is_of_this_version_and_is_the_same_everywhere() -> None:
    recipe = render(RECIPE / "meta.yaml")
    assert recipe["package"] == {"name": PROJECT["name"], "version": PROJECT["version"]}
    assert recipe["about"]["summary"] == PROJECT["description"]
    assert (recipe["about"]["license"], recipe["about"]["license_file"]) == (PROJECT["license"], "LICENSE")
    assert recipe["build"]["entry_points"] == [f"{name} = {to}" for name, to in PROJECT["scripts"].items()]
    for subdir in ("linux-aarch64", "osx-arm64", "win-64"):
        assert render(RECIPE / "meta.yaml", subdir, 310) == recipe


def test_the_environment_has_the_package_its_conda_and_its_extras() -> None:
    text = (REPOSITORY / "environment.yml").read_text("utf-8")
    document = YAML(typ="safe").load(text)
    specs = listed([item for item in document["dependencies"] if isinstance(item, str)])
    offered = listed(re.findall(r"^  # - (.+)$", text, re.MULTILINE))
    assert specs.pop("python") == render(RECIPE / "meta.yaml")["requirements"]["run"][0].partition(" ")[2]
    assert {**specs, **offered} == {**NEEDED, **OPTIONAL, "conda": ">=24.7", "pip": ""}
    assert offered.keys() == as_conda(PROJECT["optional-dependencies"]["cluster"]).keys()
    assert document["dependencies"][-1] == {"pip": ["-e ."]}


def test_the_recipes_install_from_loopback_works_without_conda(venv: Path, home: Home) -> None:
    """As the recipe's test runs it; the index and the wheel are its own."""
    script = RECIPE / "install_from_loopback.py"
    assert render(RECIPE / "meta.yaml")["test"]["files"] == [script.name]
    command = [sys.executable, script, "--prefix", venv, "python", "-m", "conda_pypi_bridge", "install"]
    assert run(command, home.environment()).stdout.endswith("from loopback\n")
    failed = run([*command, "--no-such-option"], home.environment(), check=False)
    assert failed.returncode == 2


def test_the_recipes_install_from_loopback_works_with_conda(conda: Conda, conda_env: Path) -> None:
    script = RECIPE / "install_from_loopback.py"
    command = [sys.executable, script, "--prefix", conda_env, *conda.command, "pypi-install"]
    done = run(command, overlay(conda.home.environment(), conda.env))
    assert done.stdout.endswith("from loopback\n")


@pytest.mark.network
@pytest.mark.slow
def test_wheel_and_sdist_hold_what_they_promise(tmp_path: Path) -> None:
    """The sdist carries the tests and all that they read; the wheel is the package alone.

    Where nothing but the wheel is installed, the tests of the sdist pass: here those that need no laboratory.
    """
    sdist, wheel = _built(tmp_path)
    with tarfile.open(sdist) as archive:
        inside = {name.partition("/")[2] for name in archive.getnames()}
    with zipfile.ZipFile(wheel) as packed:
        members = {name for name in packed.namelist() if ".dist-info/" not in name}
    carried = {
        path.relative_to(REPOSITORY).as_posix() for path in _sources("conda_pypi_bridge", "tests", "recipe")
    }
    assert carried | {*OTHERS} <= inside
    assert members == {name for name in carried if name.startswith("conda_pypi_bridge/")}
    python = _installed(wheel, tmp_path / "installed")
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path / "unpacked", filter="data")
    (source,) = (tmp_path / "unpacked").iterdir()
    shutil.rmtree(source / "conda_pypi_bridge")
    place = [python, "-c", "import conda_pypi_bridge as b; print(b.__file__)"]
    where = subprocess.run(place, cwd=source, check=True, capture_output=True, text=True).stdout
    assert Path(where).is_relative_to(tmp_path / "installed")
    run([python, "-m", "pytest", "-q", "-m", "not network and not slow", *PURE], dict(os.environ), cwd=source)


#: What else an sdist carries.
OTHERS = ("README.md", "LICENSE", "environment.yml", "pyproject.toml", ".github/SECURITY.md")

#: Tests that need neither a conda nor an index.
PURE = [
    f"tests/test_{name}.py"
    for name in ("layers", "names", "specs", "tags", "translate", "versions", "voice", "wheelfile")
]


def _built(folder: Path) -> tuple[Path, Path]:
    """The sdist and the wheel, as a release has them."""
    program = "import hatchling.build as b, sys; b.build_sdist(sys.argv[1]); b.build_wheel(sys.argv[1])"
    stdlib_venv.EnvBuilder(symlinks=True, with_pip=True).create(folder / "v")
    python = python_of(folder / "v")
    subprocess.run([python, "-m", "pip", "install", "-q", "hatchling"], check=True)
    subprocess.run([python, "-c", program, folder], cwd=REPOSITORY, check=True, capture_output=True)
    (sdist,), (wheel,) = folder.glob("*.tar.gz"), folder.glob("*.whl")
    return sdist, wheel


def _installed(wheel: Path, prefix: Path) -> Path:
    """The Python of an environment that has the wheel, and sees all else that the running one has."""
    stdlib_venv.EnvBuilder(symlinks=True).create(prefix)
    python = python_of(prefix)
    pip = [sys.executable, "-m", "pip", "--python", python, "install", "-q", "--no-deps", "--no-index", wheel]
    subprocess.run(pip, check=True)
    folders = sorted({sysconfig.get_path("purelib"), sysconfig.get_path("platlib")})
    lines = [f"import site; site.addsitedir({folder!r})" for folder in folders]
    (site_packages(prefix) / "others.pth").write_text("\n".join(lines) + "\n")
    return python


def _sources(*folders: str) -> Iterable[Path]:
    for folder in folders:
        for path in (REPOSITORY / folder).rglob("*"):
            if path.is_file() and not any(part.startswith((".", "__pycache__")) for part in path.parts[-3:]):
                yield path


@pytest.mark.network
@pytest.mark.slow
def test_every_python_installs_the_wheel_and_a_package_with_it(
    pythons: Sequence[Interpreter],
    bridge_wheel: Path,
    tmp_path: Path,
    home: Home,
    network_env: Mapping[str, str | None],
) -> None:
    """Nothing is there but the wheel and what it requires: every verb tells its help, cowsay is installed."""
    env = overlay(home.environment(), network_env)
    by_minor = {interpreter.minor: interpreter for interpreter in reversed(pythons)}
    for interpreter in by_minor.values():
        prefix = tmp_path / interpreter.minor
        subprocess.run([interpreter.executable, "-m", "venv", "--without-pip", prefix], check=True)
        python = python_of(prefix)
        run(
            [sys.executable, "-m", "pip", "--python", python, "install", "-q", "--no-compile", bridge_wheel],
            env,
        )
        bridge = [python, "-m", "conda_pypi_bridge"]
        verbs = VERBS.findall(run([*bridge, "--help"], env).stdout)
        assert {"install", "remove", "build", "recipe", "doctor"} <= set(verbs)
        helped = run([python, "-c", HELP, *verbs], env).stdout
        assert helped.count("usage: python -m conda_pypi_bridge ") == len(verbs)
        run([*bridge, "install", "-y", "cowsay"], env)
        assert "moo" in run([python, "-m", "cowsay", "-t", "moo"], env).stdout
