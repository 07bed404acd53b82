"""``where``: which environment everything belongs to, and what does not agree, each with its remedy."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from conda_pypi_bridge.errors import PrefixError
from conda_pypi_bridge.notebook import where
from conda_pypi_bridge.notebook.findings import programs
from tests.indexserver import IndexServer
from tests.kernels import notebook, prepare
from tests.lab.channels import index_channel, make_conda_package
from tests.lab.condas import Conda, Home, Result, make_root, run, site_packages
from tests.lab.pythons import Interpreter
from tests.wheels import make_wheel

SYSTEM = "/usr/bin:/bin"


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory, channel: Path, shared_packages: Path) -> Conda:
    """A conda installation of this module's own, whose channel has a package ``ours``."""
    folder = tmp_path_factory.mktemp("where")
    extra = index_channel(folder / "extra")
    info = "site-packages/ours-1.0.dist-info"
    files = {
        "site-packages/ours.py": "",
        f"{info}/METADATA": "Metadata-Version: 2.1\nName: ours\nVersion: 1.0\n",
        f"{info}/RECORD": f"ours.py,,\n{info[14:]}/METADATA,,\n{info[14:]}/RECORD,,\n",
        f"{info}/INSTALLER": "conda\n",
    }
    make_conda_package(extra, "ours", "1.0", files, ["python"])
    index_channel(extra)
    root = folder / "base"
    root.mkdir()
    conda = make_root(root)
    conda.with_name("pip").symlink_to(conda)
    home = Home.make(folder / "home", [extra, channel], [shared_packages])
    return Conda(command=(str(conda),), home=home)


@pytest.fixture(scope="module")
def full(lab: Conda, pythons: list[Interpreter]) -> Path:
    """An environment with packages of a channel, of the bridge, and of pip; not to be changed."""
    root = Path(lab.command[0]).parents[1]
    prefix = root / "envs" / "test"
    lab("create", "-p", prefix, f"python={pythons[0].version}", "pip", "ours")
    with IndexServer() as server:
        server.add("Moo.Cow", "2.0", files={"moo/__init__.py": "", "moo/tail.py": ""})
        lab("pypi-install", "-p", prefix, "moo.cow", env={"PIP_INDEX_URL": server.url})
    wheel = make_wheel(lab.home.path / "wheels", "theirs", "3.0", files={"_theirs.py": "", "theirs.py": ""})
    pip_install(lab, prefix, wheel)
    return prefix


def pip_install(lab: Conda, prefix: Path, *words: str | Path) -> None:
    command = [prefix / "bin" / "python", "-m", "pip", "install", "--no-index", "--no-deps", *words]
    run(command, lab.home.environment())


@pytest.fixture
def environ(lab: Conda, full: Path) -> dict[str, str]:
    """The variables of a shell in which that environment is active."""
    path = {"PATH": f"{full}/bin:{SYSTEM}", "CONDA_PREFIX": str(full), "CONDA_SHLVL": "1"}
    return {**lab.home.environment(), **path}


@pytest.fixture
def kernels(lab: Conda) -> Iterator[Callable[..., Path]]:
    """Write a kernelspec of the user."""
    folder = lab.home.path / ".local" / "share" / "jupyter"

    def write(name: str, argv0: str | Path, into: Path = folder, **document: Any) -> Path:
        place = into / "kernels" / name
        place.mkdir(parents=True)
        argv = [str(argv0), "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        (place / "kernel.json").write_text(json.dumps({"argv": argv, "language": "python", **document}))
        return place

    yield write
    shutil.rmtree(folder, ignore_errors=True)


def found(lab: Conda, prefix: Path, environ: Mapping[str, str], package: str | None = None) -> dict[str, str]:
    """What does not agree -> the remedy."""
    report = where.report_of(prefix, environ, package=package, home=lab.home.path)
    return {mismatch.what: mismatch.fix for mismatch in report.mismatches}


# -- the environment -----------------------------------------------------------------------------------


def test_in_an_active_environment_everything_agrees(lab: Conda, full: Path, environ: dict[str, str]) -> None:
    report = where.report_of(full, environ, home=lab.home.path)
    assert report.mismatches == ()
    assert (report.prefix, report.python, report.active) == (full, full / "bin" / "python", full)
    assert report.conda == lab.command[0]
    assert str(site_packages(full)) in report.sys_path
    assert where.text(report).endswith("Everything agrees.")
    assert [program.path for program in report.programs if program.prefix == full] == [
        full / "bin" / "python",
        full / "bin" / "pip",
    ]


def test_programs_are_listed_in_the_order_of_path_with_their_environments(tmp_path: Path) -> None:
    for name in ("a/bin/python3", "a/bin/conda", "b/bin/pip", "b/bin/python", "b/bin/python3"):
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("#!/bin/sh\n")
        file.chmod(0o755)
    (tmp_path / "a" / "bin" / "pip").touch()  # not executable: a shell passes it over
    path = os.pathsep.join([f"{tmp_path}/a/bin", "", f"{tmp_path}/none", f"{tmp_path}/b/bin"])
    listed = [(program.name, program.path.name, program.prefix.name) for program in programs(path)]
    assert listed == [
        ("python", "python3", "a"),
        ("conda", "conda", "a"),
        ("python", "python", "b"),
        ("pip", "pip", "b"),
    ]


def test_a_foreign_shell_is_told_with_its_remedy(lab: Conda, full: Path, environ: dict[str, str]) -> None:
    root = Path(lab.command[0]).parents[1]
    environ |= {"PATH": f"{root}/bin:{full}/bin", "CONDA_PREFIX": str(root), "VIRTUAL_ENV": "/v"}
    assert found(lab, full, environ) == {
        f"python on PATH is {root}/bin/python, of another environment": f"conda activate {full}",
        f"pip on PATH is {root}/bin/pip, of another environment": f"conda activate {full}",
        f"the active environment is {root}": f"conda activate {full}",
        "VIRTUAL_ENV names /v, which uv believes before CONDA_PREFIX": "deactivate",
    }


def test_what_goes_before_the_environments_packages_is_told(
    lab: Conda, full: Path, environ: dict[str, str]
) -> None:
    code = "import site; print(site.getusersitepackages())"
    user = Path(run([full / "bin" / "python", "-c", code], environ).stdout.strip())
    (user / "x-1.0.dist-info").mkdir(parents=True)
    try:
        told = found(lab, full, {**environ, "PYTHONPATH": "/elsewhere"})
    finally:
        shutil.rmtree(user)
    assert told == {
        "PYTHONPATH puts /elsewhere before the environment's packages": (
            "Unset PYTHONPATH where Jupyter is started."
        ),
        f"1 distributions in {user} go before the environment's own": (
            f"conda env config vars set PYTHONNOUSERSITE=1 -p {full}"
        ),
    }


def test_kernelspecs_that_mean_another_environment_are_told(
    lab: Conda, full: Path, environ: dict[str, str], kernels: Callable[..., Path]
) -> None:
    root = Path(lab.command[0]).parents[1]
    gone = kernels("gone", "/gone/bin/python")
    torn = kernels("torn", root / "bin" / "python", env={"CONDA_PREFIX": str(full)})
    inside = kernels("inside", root / "bin" / "python", full / "share" / "jupyter")
    kernels("good", full / "bin" / "python")
    kernels("of-the-server", "python")
    kernels("julia", "/gone/bin/julia", language="julia")
    told = found(lab, full, environ)
    shutil.rmtree(full / "share" / "jupyter")
    verb = "python -m conda_pypi_bridge notebook kernelspec"
    assert told == {
        f"kernelspec gone ({gone}) starts /gone/bin/python, which is gone": f"Delete the folder {gone}",
        f"kernelspec torn ({torn}) starts the Python of {root} with CONDA_PREFIX={full}": (
            f"{verb} --kernel torn -p {root}"
        ),
        f"kernelspec inside ({inside}) lies in this environment, and starts the Python of {root}": (
            f"Delete the folder {inside}, or install ipykernel anew."
        ),
    }


def test_a_remedy_for_a_kernelspec_without_activation_scripts_is_one(
    lab: Conda, full: Path, environ: dict[str, str], kernels: Callable[..., Path]
) -> None:
    folder = kernels("plain", full / "bin" / "python")
    scripts = full / "etc" / "conda" / "activate.d"
    scripts.mkdir(parents=True)
    (scripts / "x.sh").touch()
    (site_packages(full) / "ipykernel").mkdir()
    try:
        told = found(lab, full, environ)
        (what,) = told
        assert what.startswith(f"kernelspec plain ({folder}) starts this environment without its activation")
        assert told == {what: f"python -m conda_pypi_bridge notebook kernelspec -p {full}"}
        lab("pypi-bridge", *told[what].split()[3:])
        assert found(lab, full, environ) == {}
    finally:
        shutil.rmtree(full / "etc" / "conda")
        (site_packages(full) / "ipykernel").rmdir()


# -- a package -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "module", "name", "placed_by"),
    [
        ("ours", "ours", "ours", "conda (channel extra)"),
        ("moo", "moo", "Moo.Cow", "conda-pypi-bridge (PyPI)"),
        ("moo-cow", "moo", "Moo.Cow", "conda-pypi-bridge (PyPI)"),
        ("moo.tail", "moo.tail", "Moo.Cow", "conda-pypi-bridge (PyPI)"),
        ("theirs", "theirs", "theirs", "pip"),
        ("_theirs", "_theirs", "theirs", "pip"),
    ],
)
def test_a_name_leads_to_the_file_the_distribution_and_who_placed_it(
    lab: Conda, full: Path, environ: dict[str, str], asked: str, module: str, name: str, placed_by: str
) -> None:
    package = where.report_of(full, environ, package=asked, home=lab.home.path).package
    assert package is not None
    assert package.module == module
    stem = module.replace(".", "/")
    files = {str(site_packages(full) / file) for file in (f"{stem}.py", f"{stem}/__init__.py")}
    assert package.file in files
    (dist,) = package.dists
    assert (dist.name, dist.placed_by, dist.by_conda) == (name, placed_by, placed_by != "pip")


@pytest.mark.parametrize(
    ("asked", "file"), [("sys", "built-in"), ("json", "json/__init__.py"), ("nobody", "")]
)
def test_modules_without_a_distribution(
    lab: Conda, full: Path, environ: dict[str, str], asked: str, file: str
) -> None:
    report = where.report_of(full, environ, package=asked, home=lab.home.path)
    assert report.package is not None
    assert report.package.file.endswith(file)
    assert bool(report.package.file) == bool(file)
    assert report.package.dists == ()
    assert ("there is no such module" in where.text(report)) == (asked == "nobody")


@pytest.mark.parametrize("asked", ["odd", "nobody"])
def test_half_deleted_distributions_are_in_nobodys_way(
    tmp_path: Path, pythons: list[Interpreter], asked: str
) -> None:
    """What pip leaves where it was cut short, and a direct_url.json that is not as PEP 610 has it."""
    for python in pythons:
        prefix = tmp_path / python.version
        run([python.executable, "-m", "venv", "--without-pip", prefix], {})
        site = site_packages(prefix)
        (site / "gone-1.0.dist-info").mkdir()
        odd = site / "odd-1.0.dist-info"
        odd.mkdir()
        (odd / "METADATA").write_text("Metadata-Version: 2.1\nName: odd\nVersion: 1.0\n")
        (odd / "direct_url.json").write_text('{"dir_info": {"editable": true}}')
        package = where.report_of(prefix, {}, package=asked, home=tmp_path).package
        assert package is not None
        assert [(dist.name, dist.editable) for dist in package.dists] == [("odd", False)] * (asked == "odd")


def test_hidden_copies_are_told(lab: Conda, full: Path, environ: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "ours.py").touch()
    told = found(lab, full, {**environ, "PYTHONPATH": str(tmp_path)}, "ours")
    assert f"{tmp_path}/ours.py hides {site_packages(full)}/ours.py" in told


def test_what_pip_wrote_over_conda_is_told(
    lab: Conda, full: Path, environ: dict[str, str], pythons: list[Interpreter], tmp_path: Path
) -> None:
    prefix = lab.home.envs / "rotten"
    lab("create", "-p", prefix, f"python={pythons[0].version}", "pip", "ours")
    pip_install(lab, prefix, make_wheel(tmp_path, "ours", "2.0"))
    told = found(lab, prefix, environ | {"PATH": f"{prefix}/bin", "CONDA_PREFIX": str(prefix)}, "ours")
    fix = f"conda install --force-reinstall -p {prefix} ours"
    assert told == {"pip wrote ours 2.0 over the conda package ours 1.0": fix}


# -- the doors -----------------------------------------------------------------------------------------


def test_both_doors_show_the_same_report(
    lab: Conda, full: Path, bridge: Callable[..., Result], environ: dict[str, str]
) -> None:
    conda = lab("pypi-bridge", "where", "moo", "-p", full, "--json", env=dict(environ)).json()
    python = bridge("where", "moo", "-p", full, "--json", env=dict(environ)).json()
    assert conda == python
    assert conda["success"] is True
    assert conda["package"]["dists"][0]["placed_by"] == "conda-pypi-bridge (PyPI)"
    shown = bridge("where", "moo", "-p", full, env=dict(environ)).stdout
    assert "distribution: Moo.Cow 2.0, placed by conda-pypi-bridge (PyPI)" in shown


def test_an_environment_without_a_python_has_no_imports(lab: Conda) -> None:
    prefix = lab.home.envs / "bare"
    (prefix / "conda-meta").mkdir(parents=True)
    with pytest.raises(PrefixError, match="this environment has no Python"):
        where.report_of(prefix, {}, home=lab.home.path)


def test_a_kernel_describes_itself_and_names_a_module_that_it_has_loaded_from_elsewhere(
    lab: Conda, full: Path, environ: dict[str, str], tmp_path: Path
) -> None:
    prepare(full)
    environ |= {"PATH": SYSTEM, "CONDA_PREFIX": str(tmp_path)}
    with notebook(full, environ, tmp_path / "work") as book:
        assert f"Kernel:      {full}/bin/python" in book.run("%conda where").text
        assert "Everything agrees." in book.run("%conda where").text, "the bridge made the shell agree"
        book.run("import moo; open('moo.py', 'w').close()")
        shown = book.run("%conda where moo").text
        assert f"the kernel has loaded {site_packages(full)}/moo/__init__.py, and would import" in shown
        assert "Restart the kernel." in shown
