"""The same wheels through pip, and through us and each engine: the two trees must be the same.

Run as a script it does so with real wheels, which it keeps in the folder CACHE: those named, else some
eighty popular ones of every kind (`realwheels.POPULAR`). That they are installed as by pip, with both
engines, and that none is refused::

    python -m tests.test_build_conformance compare CACHE [ruff 'jmespath==1.0.1' ...]
    python -m tests.test_build_conformance accept CACHE [ruff 'jmespath==1.0.1' ...]

What may differ is in the tables ``ALLOWED_...`` of `installations`, with the reason.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import venv
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from packaging.tags import sys_tags

from conda_pypi_bridge import building
from conda_pypi_bridge.model import CondaName, PackageRecord
from tests.conftest import once
from tests.hostile_wheels import promise
from tests.indexserver import IndexServer
from tests.lab.channels import index_channel
from tests.lab.condas import Conda, Home, make_root, run
from tests.lab.installations import Installation, differences
from tests.lab.pythons import Interpreter, pack_python, probe
from tests.lab.realwheels import everything, fetch, spec_of
from tests.lab.trees import snapshot
from tests.wheels import make_wheel

MINOR = "{}.{}".format(*sys.version_info[:2])

#: Installs wheels into a prefix that is there.
Installer = Callable[[Sequence[Path], Path], object]


def record_for(wheel: Path) -> PackageRecord:
    """A record that is good enough to build and link `wheel` with."""
    expected = promise(wheel.name, wheel.read_bytes())
    pure = all(tag.platform == "any" for tag in expected.tags)
    return PackageRecord(
        name=CondaName(expected.project),
        version=str(expected.version),
        build="py_0",
        build_number=0,
        depends=("python",),
        subdir="noarch" if pure else "linux-64",
        project=expected.project,
        timestamp=1_700_000_000_000,
        wheel=expected,
    )


def with_pip(wheels: Sequence[Path], prefix: Path) -> None:
    """As a user would with pip."""
    command = [sys.executable, "-m", "pip", "--python", str(prefix / "bin/python"), "install", "--no-deps"]
    options = ["--no-index", "--no-compile", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*command, *options, *wheels], check=True, stdin=subprocess.DEVNULL)


def with_bridge(words: Sequence[str | Path], env: Mapping[str, str]) -> Installer:
    """As a user would with that command of the bridge, from an index that has those wheels."""

    def install(wheels: Sequence[Path], prefix: Path) -> None:
        with IndexServer() as index:
            for wheel in wheels:
                index.publish(wheel.name, wheel.read_bytes())
            options: list[str | Path] = ["-p", prefix, "-y", "--no-deps", "-i", index.url]
            run([*words, *options, *map(spec_of, wheels)], env, timeout=1800)

    return install


def with_rattler(home: Home) -> Installer:
    """By way of the rattler engine."""
    return with_bridge([sys.executable, "-m", "conda_pypi_bridge", "install"], home.environment())


def with_conda(conda: Conda) -> Installer:
    """By way of conda's own transaction."""
    return with_bridge([*conda.command, "pypi-install"], conda.home.environment())


def install(how: Installer, wheels: Sequence[Path], prefix: Path) -> Installation:
    """Install `wheels` into `prefix`, which is made a virtual environment unless it is there."""
    if not prefix.exists():
        venv.EnvBuilder(symlinks=True).create(prefix)
    before = snapshot(prefix)
    how(wheels, prefix)
    return Installation.since(before, prefix)


EVERYTHING: dict[str, Any] = {
    "files": {
        "demo/__init__.py": "x = 1\n",
        "demo/empty.py": "",
        "demo/ünïcode name, with comma.txt": "ü",
        "demo/.hidden": "h",
        "demo/tool.so": "binary",
        "demo/only.pyc": "no source",
        "demo/__pycache__/stale.cpython-311.pyc": "stale",
        "demo.pth": "",
        "{data}/purelib/pure.py": "p = 1\n",
        "{data}/platlib/demo/plat.so": "native",
        "{data}/scripts/plain": "#!python\nprint('plain')\n",
        "{data}/scripts/windowed": "#!pythonw -E -s\nprint('gui')\n",
        "{data}/scripts/versioned": "#!python3\r\nprint('v')\n",
        "{data}/scripts/bare": "#!python",
        "{data}/scripts/env": "#!/usr/bin/env python\nprint('env')\n",
        "{data}/scripts/shell.sh": "#!/bin/sh\necho\n",
        "{data}/scripts/binary": b"\x7fELF\0\xff",
        "{data}/scripts/not executable": "#!python\n",
        "{data}/scripts/run": "#!python\nreplaced by the entry point of that name\n",
        "{data}/scripts/run-script.py": "#!python\nreplaced too\n",
        "{data}/scripts/window.EXE": "replaced too",
        "{data}/data/share/demo/file.txt": "data",
        "{data}/data/etc/demo.conf": "#!python\nnot a script: left alone\n",
        "{data}/data/share/demo/libdemo.so": "library",
        "{data}/headers/demo.h": "#define DEMO\n",
        "{data}/headers/sub/more.h": "#define MORE\n",
        "{info}/licenses/LICENSE": "licence\n",
        "{info}/licenses/vendored/COPYING.txt": "another\n",
        "{info}/INSTALLER": "a lie\n",
    },
    "modes": {
        "demo/tool.so": 0o755,
        "{data}/scripts/plain": 0o755,
        "{data}/scripts/windowed": 0o775,
        "{data}/scripts/versioned": 0o755,
        "{data}/scripts/binary": 0o711,
        "{data}/data/share/demo/libdemo.so": 0o555,
        "demo/__init__.py": 0o600,
    },
    "entry_points": """\
[console_scripts]
run = demo:main
Extra.Cli = demo.cli:App.launch [fast]
[gui_scripts]
window = demo:show
""",
}


#: Installs wheels into the prefix of a test.
Ours = Callable[[Sequence[Path]], Installation]


@pytest.fixture
def by_rattler(home: Home, tmp_path: Path) -> Ours:
    return lambda wheels: install(with_rattler(home), wheels, tmp_path / "with-us")


@pytest.fixture
def by_conda(conda: Conda, conda_env: Path) -> Ours:
    return lambda wheels: install(with_conda(conda), wheels, conda_env)


def unequal(wheels: Sequence[Path], ours: Ours, folder: Path) -> list[str]:
    """What differs from pip's installation, which goes to a new virtual environment in `folder`."""
    return list(differences(install(with_pip, wheels, folder / "with-pip"), ours(wheels)))


@pytest.fixture(params=["py3-none-any", str(next(iter(sys_tags())))])
def wheel_with_everything(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return make_wheel(tmp_path, "Demo.Project", "1.0", tags=request.param, **EVERYTHING)


def test_rattler_makes_the_tree_that_pip_makes(
    wheel_with_everything: Path, by_rattler: Ours, tmp_path: Path
) -> None:
    assert unequal([wheel_with_everything], by_rattler, tmp_path) == []


def test_conda_makes_the_tree_that_pip_makes(
    wheel_with_everything: Path, by_conda: Ours, tmp_path: Path
) -> None:
    assert unequal([wheel_with_everything], by_conda, tmp_path) == []


def test_comparison_sees_a_wrong_tree(by_rattler: Ours, tmp_path: Path) -> None:
    """The oracle itself: what a careless converter does is reported."""
    wheel = make_wheel(tmp_path, "demo", "1.0", **EVERYTHING)
    theirs = install(with_pip, [wheel], tmp_path / "with-pip")
    ours = by_rattler([wheel])
    ours.files["bin/plain"].write_text("#!python\nprint('plain')\n")
    ours.files["bin/window"].unlink()
    package = ours.prefix / f"lib/python{MINOR}/site-packages/demo"
    (package / "tool.so").chmod(0o644)
    (package / "__init__.py").write_text("x = 2\n")
    (ours.prefix / "share/unlisted").write_text("")
    seen = " ".join(differences(theirs, Installation.since({}, ours.prefix)))
    for name in ("demo/tool.so:", "demo/__init__.py:", "bin/plain:", "bin/window:", "share/unlisted:"):
        assert name in seen
    assert "share/unlisted: no record in conda-meta lists it" in seen


def test_packed_file_installs_with_conda(
    conda: Conda, conda_env: Path, pythons: Sequence[Interpreter], tmp_path: Path
) -> None:
    """The .conda file by itself: the same tree, without the plugin having a say."""
    assert ".".join(pythons[0].version.split(".")[:2]) == MINOR, "conda_env runs our Python's minor version"
    wheel = make_wheel(tmp_path, "demo", "1.0", **EVERYTHING)
    record = record_for(wheel)
    building.unpack(wheel, record, tmp_path / record.dist, python=MINOR)
    before = snapshot(conda_env)
    conda("install", "-p", conda_env, building.pack(tmp_path / record.dist, tmp_path))
    ours = Installation.since(before, conda_env)
    assert set(conda.packages(conda_env)) >= {"demo", "python"}
    assert list(differences(install(with_pip, [wheel], tmp_path / "with-pip"), ours)) == []
    assert [path for path in ours.files if "/demo/__pycache__/__init__" in path], "conda compiles"


#: Native, abi3, scripts, headers, data files, extras in entry points, a ``#!python`` script.
REAL = ["markupsafe", "ruff", "greenlet", "watchdog", "jmespath", "cowsay", "black"]


@pytest.fixture(scope="session")
def real_wheels(session_folder: Path) -> list[Path]:
    return sorted(once(session_folder / "real-wheels", lambda folder: fetch(folder, REAL)).glob("*.whl"))


@pytest.mark.network
def test_rattler_installs_real_wheels_as_pip_does(
    real_wheels: list[Path], by_rattler: Ours, tmp_path: Path
) -> None:
    assert len(real_wheels) == len(REAL)
    assert unequal(real_wheels, by_rattler, tmp_path) == []


@pytest.mark.network
def test_conda_installs_real_wheels_as_pip_does(
    real_wheels: list[Path], by_conda: Ours, tmp_path: Path
) -> None:
    assert len(real_wheels) == len(REAL)
    assert unequal(real_wheels, by_conda, tmp_path) == []


def compare(wheels: Sequence[Path], cache: Path) -> Iterator[str]:
    """Install all `wheels` at once with pip and with each engine; yields what differs."""
    with tempfile.TemporaryDirectory() as name:
        conda = laboratory(folder := Path(name), cache)
        conda("create", "-p", folder / "conda", "python")
        theirs = install(with_pip, wheels, folder / "pip")
        for engine, how in {"rattler": with_rattler(conda.home), "conda": with_conda(conda)}.items():
            ours = install(how, wheels, folder / engine)
            yield from (f"{engine}: {line}" for line in differences(theirs, ours))


def laboratory(folder: Path, cache: Path) -> Conda:
    """conda 24.7.1, in a private home whose channel has the running Python alone."""
    python = probe(Path(sys.executable))
    assert python, "this needs a CPython >= 3.10"
    pack_python(python, folder / "channel", cache / "laboratory")
    home = Home.make(folder / "home", [index_channel(folder / "channel")])
    return Conda(command=(str(make_root(folder / "root")),), home=home)


def accept(wheels: Sequence[Path]) -> Iterator[str]:
    """Turn each of `wheels` into a ``.conda`` file; yields why one is refused."""
    with tempfile.TemporaryDirectory() as name:
        venv.EnvBuilder(symlinks=True).create(prefix := Path(name, "venv"))
        words = [sys.executable, "-m", "conda_pypi_bridge", "build", "--no-deps", "--compression-level=1"]
        for wheel in wheels:
            command: list[str | Path] = [*words, "-p", prefix, "-o", Path(name, "out"), wheel]
            done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
            if done.returncode:
                yield f"{wheel.name}: {done.stderr}"


def main() -> int:
    """What the docstring of this module says; the exit status is 1 where it is not so."""
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("what", choices=["compare", "accept"])
    made.add_argument("cache", type=Path, metavar="CACHE")
    made.add_argument("specs", nargs="*", metavar="SPEC")
    args = made.parse_args()
    wheels = fetch(args.cache, args.specs or everything())
    found = list(compare(wheels, args.cache) if args.what == "compare" else accept(wheels))
    noun = "differences from pip" if args.what == "compare" else "refused"
    sys.stdout.write("\n".join([*found, f"{len(wheels)} wheels: {len(found)} {noun}", ""]))
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
