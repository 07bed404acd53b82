"""The same wheel through pip, and through us and an engine: the two trees must be the same.

Run as a script, it compares any number of real wheels, which it keeps in a cache folder::

    python -m tests.test_build_conformance CACHE ruff black 'jmespath==1.0.1' ...

What may differ is in `ALLOWED`, with the reason.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import json
import os
import re
import stat
import subprocess
import sys
import tempfile
import venv
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from packaging.tags import sys_tags

from conda_pypi_bridge import build
from conda_pypi_bridge.model import CondaName, PackageRecord
from tests.hostile_wheels import promise
from tests.lab.condas import Conda
from tests.lab.pythons import Interpreter
from tests.lab.trees import Entry, snapshot
from tests.wheels import make_wheel

MINOR = "{}.{}".format(*sys.version_info[:2])

#: Files that only one side has, by a pattern of their path, and why that is right.
ALLOWED = {
    r"\.dist-info/REQUESTED$": "PEP 376: pip's note of what the user named; conda's is its history",
    r"\.dist-info/direct_url\.json$": "PEP 610: pip was given a file here; from an index it writes none",
    r"\.dist-info/provenance_url\.json$": "PEP 710: where the wheel came from",
    r"(^|/)__pycache__(/|$)": "caches of compiled code are made where the files are linked",
    r"^conda-meta(/|$)": "the engine's own record of the package",
    r"(^|/)bin/pip3\.\d+$": "pip names one script of its own wheel after the running Python",
    r"^CACHEDIR\.TAG$": "rattler marks every prefix so",
    r"^\w+-1\.0\.data/scripts/(run|window)": "pip's RECORD still lists a script that it dropped",
}

LINK = """
import asyncio, json, os, sys
import rattler

async def main(cache, records, prefix):
    await rattler.install(
        [rattler.PrefixRecord.from_path(record) for record in records], prefix, cache_dir=cache,
        ignored_packages={"python"}, show_progress=False)

try:
    asyncio.run(main(sys.argv[1], sys.argv[3:], sys.argv[2]))
except Exception as error:
    print(error, file=sys.stderr, flush=True)
    os._exit(1)
os._exit(0)  # rattler may crash in an orderly exit right after its event loop
"""


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


def with_pip(wheel: Path, prefix: Path) -> None:
    """Install `wheel` into the virtual environment `prefix`, as a user would with pip."""
    command = [sys.executable, "-m", "pip", "--python", str(prefix / "bin/python"), "install", "--no-deps"]
    options = ["--no-index", "--no-compile", "--quiet", "--disable-pip-version-check", str(wheel)]
    subprocess.run([*command, *options], check=True, stdin=subprocess.DEVNULL)


def with_rattler(wheel: Path, prefix: Path) -> None:
    """Install `wheel` into the virtual environment `prefix` by way of a conda package."""
    with tempfile.TemporaryDirectory(dir=prefix.parent) as folder:
        cache, record = Path(folder, "cache"), record_for(wheel)
        cache.mkdir()
        build.unpack(wheel, record, cache / record.dist, python=MINOR)
        external = record_for(wheel).index_json() | {
            "name": "python",
            "version": "{}.{}.{}".format(*sys.version_info),
            "depends": [],
        }
        files = []
        for row in (record.index_json(), external):
            stem = f"{row['name']}-{row['version']}-{row['build']}"
            origin = {"channel": "pypi-bridge", "fn": f"{stem}.conda", "size": 1}
            origin["url"] = f"https://pypi-bridge.invalid/{row['subdir']}/{stem}.conda"
            content = {"files": [], "paths_data": {"paths_version": 1, "paths": []}}
            files.append(Path(folder, f"{stem}.json"))
            files[-1].write_text(json.dumps(row | origin | content))
        subprocess.run([sys.executable, "-c", LINK, cache, prefix, *files], check=True)


@dataclass(frozen=True)
class Installation:
    """What installing one wheel added to `prefix`: its files, by the path that they should have there."""

    prefix: Path
    files: Mapping[str, Path]

    @classmethod
    def since(cls, before: Mapping[str, Entry], prefix: Path) -> Installation:
        """All that is new in `prefix` since the snapshot `before`; a folder counts by what is in it."""
        new = {
            path
            for path, entry in snapshot(prefix).items()
            if entry.kind != "dir" and before.get(path) != entry
        }
        return cls(prefix, {_place(path): prefix / path for path in new})

    def rows(self) -> dict[str, tuple[str, str]]:
        """RECORD: hash and size by path."""
        rows = csv.reader(self.record.read_text("utf-8").splitlines())
        return {_place(path): (digest, size) for path, digest, size in rows}

    @property
    def record(self) -> Path:
        (record,) = (path for place, path in self.files.items() if _is_dist_info(place, "RECORD"))
        return record

    def starts_with_own_python(self, content: bytes) -> bool:
        return content.startswith(f"#!{self.prefix}/bin/python".encode())


def _place(path: str) -> str:
    """In a virtual environment pip puts headers below ``include/site``, else straight below ``include``."""
    return re.sub(r"(^|/)include/site/(?=python)", r"\1include/", path)


def _is_dist_info(place: str, name: str) -> bool:
    """Whether it is the wheel's own dist-info file of that name, not one of a vendored distribution."""
    return re.fullmatch(rf"lib/[^/]+/site-packages/[^/]+\.dist-info/{name}", place) is not None


def differences(theirs: Installation, ours: Installation) -> Iterator[str]:
    """Sentences about what differs between pip's installation and ours, and is not in `ALLOWED`."""
    yield from _one_sided("", theirs.files, ours.files)
    for place in sorted(set(theirs.files) & set(ours.files)):
        their_file, our_file = theirs.files[place], ours.files[place]
        contents = their_file.read_bytes(), our_file.read_bytes()
        their_mode, our_mode = (stat.S_IMODE(file.lstat().st_mode) for file in (their_file, our_file))
        generated = place.startswith("bin/") and _is_same_entry_point(*contents)
        if their_mode != our_mode and not (generated and our_mode & 0o755 == their_mode):
            yield f"{place}: mode {their_mode:o} with pip, {our_mode:o} with us"
        scripts = theirs.starts_with_own_python(contents[0]) and ours.starts_with_own_python(contents[1])
        if scripts and contents[0].split(b"\n", 1)[1] == contents[1].split(b"\n", 1)[1]:
            continue
        if contents[0] != contents[1] and not (scripts and generated) and not _names_tool(place, *contents):
            yield f"{place}: the content differs"
    yield from _row_differences(theirs.rows(), ours.rows())
    yield from _false_rows(ours)


def _one_sided(where: str, theirs: Collection[str], ours: Collection[str]) -> Iterator[str]:
    for path in sorted(set(theirs) ^ set(ours)):
        if not any(re.search(pattern, path) for pattern in ALLOWED):
            yield f"{where}{path}: only {'pip has' if path in theirs else 'we have'} it"


def _is_same_entry_point(theirs: bytes, ours: bytes) -> bool:
    """The body of such a script is the engine's own: what it imports and calls must be the same."""
    theirs_does, ours_does = (
        re.findall(rb"^from .+ import .+$|sys\.exit\(.+\)", text, re.M) for text in (theirs, ours)
    )
    return theirs_does == ours_does and len(ours_does) == 2


def _names_tool(place: str, theirs: bytes, ours: bytes) -> bool:
    """RECORD is compared row by row; INSTALLER names who installed (PEP 376)."""
    if _is_dist_info(place, "RECORD"):
        return True
    return _is_dist_info(place, "INSTALLER") and (theirs, ours) == (b"pip\n", b"conda\n")


def _row_differences(
    theirs: Mapping[str, tuple[str, str]], ours: Mapping[str, tuple[str, str]]
) -> Iterator[str]:
    yield from _one_sided("RECORD: ", theirs, ours)
    for path in sorted(set(theirs) & set(ours)):
        linked_later = ours[path] == ("", "") and "/bin/" in path
        if theirs[path] != ours[path] and not linked_later and not path.endswith("/INSTALLER"):
            yield f"RECORD: {path}: {theirs[path]} with pip, {ours[path]} with us"


def _false_rows(ours: Installation) -> Iterator[str]:
    """RECORD lists what is installed, nothing else, with true hashes and sizes (PEP 376)."""
    listed = set()
    for path, row in ours.rows().items():
        file = Path(os.path.normpath(ours.record.parents[1] / path))
        listed.add(file)
        content = file.read_bytes() if file.exists() else b""
        true = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
        if not file.exists() or row not in (("", ""), (f"sha256={true}", str(len(content)))):
            yield f"RECORD: {path}: is not what is installed"
    for place, file in ours.files.items():
        if file not in listed and not any(re.search(pattern, place) for pattern in ALLOWED):
            yield f"RECORD: {place}: is missing"


def install(how: Callable[[Path, Path], None], wheel: Path, prefix: Path) -> Installation:
    """Make the virtual environment `prefix` and install `wheel` into it."""
    venv.EnvBuilder(symlinks=True).create(prefix)
    before = snapshot(prefix)
    how(wheel, prefix)
    return Installation.since(before, prefix)


def compare(wheel: Path, folder: Path) -> list[str]:
    """Install `wheel` both ways into new environments below `folder` and list what differs."""
    theirs = install(with_pip, wheel, folder / "with-pip")
    return list(differences(theirs, install(with_rattler, wheel, folder / "with-us")))


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
        "{data}/platlib/demo/empty.py": "# the last one wins\n",
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
        "{data}/data/lib/libdemo.so": "library",
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
        "{data}/data/lib/libdemo.so": 0o555,
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


@pytest.mark.parametrize("tags", ["py3-none-any", str(next(iter(sys_tags())))])
def test_tree_is_the_one_that_pip_makes(tags: str, tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path, "Demo.Project", "1.0", tags=tags, **EVERYTHING)
    assert compare(wheel, tmp_path) == []


def test_comparison_sees_a_wrong_tree(tmp_path: Path) -> None:
    """The oracle itself: what a careless converter does is reported."""
    wheel = make_wheel(tmp_path, "demo", "1.0", **EVERYTHING)
    theirs = install(with_pip, wheel, tmp_path / "with-pip")
    ours = install(with_rattler, wheel, tmp_path / "with-us")
    ours.files["bin/plain"].write_text("#!python\nprint('plain')\n")
    ours.files["bin/window"].unlink()
    package = ours.prefix / f"lib/python{MINOR}/site-packages/demo"
    (package / "tool.so").chmod(0o644)
    (package / "__init__.py").write_text("x = 2\n")
    (ours.prefix / "share/unlisted").write_text("")
    seen = " ".join(differences(theirs, Installation.since({}, ours.prefix)))
    for name in ("demo/tool.so:", "demo/__init__.py:", "bin/plain:", "bin/window:", "share/unlisted:"):
        assert name in seen


def test_packed_file_installs_with_conda(
    conda: Conda, conda_env: Path, pythons: Sequence[Interpreter], tmp_path: Path
) -> None:
    """The .conda file through a real conda: the same tree, in a prefix with a Python of its own."""
    assert ".".join(pythons[0].version.split(".")[:2]) == MINOR, "conda_env runs our Python's minor version"
    wheel = make_wheel(tmp_path, "demo", "1.0", **EVERYTHING)
    record = record_for(wheel)
    build.unpack(wheel, record, tmp_path / record.dist, python=MINOR)
    before = snapshot(conda_env)
    conda("install", "-p", conda_env, build.pack(tmp_path / record.dist, tmp_path))
    ours = Installation.since(before, conda_env)
    assert set(conda.packages(conda_env)) >= {"demo", "python"}
    assert list(differences(install(with_pip, wheel, tmp_path / "with-pip"), ours)) == []
    assert [path for path in ours.files if "/demo/__pycache__/__init__" in path], "conda compiles"


REAL = ["markupsafe", "ruff", "greenlet", "watchdog", "jmespath", "cowsay", "black"]


@pytest.mark.network
@pytest.mark.parametrize("spec", REAL)
def test_real_wheel_is_installed_as_by_pip(spec: str, tmp_path: Path) -> None:
    """Native, abi3, scripts, headers, data files, extras in entry points, a ``#!python`` script."""
    (wheel,) = download(tmp_path / "wheels", spec)
    assert compare(wheel, tmp_path) == []


def download(folder: Path, *specs: str) -> list[Path]:
    """The wheels of `specs` that fit the running Python."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
    subprocess.run([*command, "--dest", folder, *specs], check=True, stdin=subprocess.DEVNULL)
    return sorted(folder.glob("*.whl"))


def main(folder: str, *specs: str) -> int:
    """Compare each wheel of `specs` (none: all in `folder`); the exit status says whether all are equal."""
    wheels = download(Path(folder), *specs) if specs else sorted(Path(folder).glob("*.whl"))
    failed = 0
    for wheel in wheels:
        with tempfile.TemporaryDirectory() as scratch:
            found = compare(wheel, Path(scratch))
        failed += bool(found)
        sys.stdout.write("\n    ".join([f"{'DIFFERS' if found else 'equal'} {wheel.name}", *found]) + "\n")
    sys.stdout.write(f"{len(wheels) - failed} of {len(wheels)} wheels are installed as by pip\n")
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
