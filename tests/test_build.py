"""What a package holds, what a failure leaves (nothing), and that its packed bytes never change."""

from __future__ import annotations

import base64
import csv
import hashlib
import json
import os
import resource
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from conda_package_handling.api import extract
from conda_package_streaming.package_streaming import CondaComponent, stream_conda_component

from conda_pypi_bridge import building
from conda_pypi_bridge.errors import WheelRefused
from conda_pypi_bridge.model import CondaName, PackageRecord, ProjectName
from tests import hostile_wheels
from tests.hostile_wheels import FILENAME, Hostile, corpus, demo, parts_of, promise, with_files
from tests.lab.trees import snapshot

INFO = "site-packages/demo-1.0.dist-info"


@pytest.fixture(autouse=True)
def usual_umask() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


def record_of(filename: str, content: bytes, **changes: Any) -> PackageRecord:
    record = PackageRecord(
        name=CondaName("demo"),
        version="1.0",
        build="py_0",
        build_number=0,
        depends=("python >=3.9",),
        license="MIT",
        summary="Ünicode",
        timestamp=1_704_164_645_000,
        project=ProjectName("demo"),
        wheel=promise(filename, content),
    )
    return replace(record, **changes)


def unpacked(folder: Path, content: bytes, filename: str = FILENAME, **changes: Any) -> Path:
    """The package of a wheel, in a new folder below `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    wheel = folder / filename
    wheel.write_bytes(content)
    record = record_of(filename, content, **changes)
    building.unpack(wheel, record, folder / record.dist, python="3.12")
    return folder / record.dist


def load(path: Path) -> Any:
    return json.loads(path.read_bytes())


def rows(package: Path) -> dict[str, tuple[str, str]]:
    lines = (package / INFO / "RECORD").read_text("utf-8").splitlines()
    return {path: (digest, size) for path, digest, size in csv.reader(lines)}


def test_index_is_the_record(tmp_path: Path) -> None:
    content = demo()
    package = unpacked(tmp_path, content, subdir="linux-64")
    assert load(package / "info/index.json") == record_of(FILENAME, content, subdir="linux-64").index_json()


def test_paths_and_files_list_the_package_truly(tmp_path: Path) -> None:
    """Both engines believe these lists, and conda installs nothing, silently, without them."""
    names = ["pkg/a.py", "é, b.txt", "{data}/data/share/c", "{data}/headers/d.h"]
    package = unpacked(tmp_path, with_files(*names, entry_points={"run": "demo:main"}))
    listed = load(package / "info/paths.json")
    assert listed["paths_version"] == 1
    there = sorted(
        path.relative_to(package).as_posix()
        for path in package.rglob("*")
        if path.is_file() and path.relative_to(package).parts[0] != "info"
    )
    assert [row["_path"] for row in listed["paths"]] == there
    assert (package / "info/files").read_text("utf-8").splitlines() == there
    for row in listed["paths"]:
        content = (package / row["_path"]).read_bytes()
        assert row["path_type"] == "hardlink"
        assert (row["sha256"], row["size_in_bytes"]) == (hashlib.sha256(content).hexdigest(), len(content))


def test_rewritten_script_is_marked_for_the_prefix(tmp_path: Path) -> None:
    script = "#!python -E\r\nprint('#!python')\n"
    content = demo(files={"{data}/scripts/tool": script, "{data}/scripts/other": "#!/bin/sh\n"})
    package = unpacked(tmp_path, content)
    line = f"#!{building.PLACEHOLDER}/bin/python\n"
    assert (package / "python-scripts/tool").read_text() == line + "print('#!python')\n"
    marked = {row["_path"]: row for row in load(package / "info/paths.json")["paths"] if "file_mode" in row}
    assert set(marked) == {"python-scripts/tool"}
    assert marked["python-scripts/tool"]["prefix_placeholder"] == building.PLACEHOLDER
    assert marked["python-scripts/tool"]["file_mode"] == "text"
    assert len(building.PLACEHOLDER) == 255
    assert rows(package)["../../../bin/tool"] == ("", "")
    assert rows(package)["../../../bin/other"][1] == "10"


def test_link_names_the_entry_points(tmp_path: Path) -> None:
    """Both engines fail to link ``module:attr [extra]``."""
    text = "[console_scripts]\nrun = demo:main [fast]\n[gui_scripts]\nApp.Win = demo:App.show\n"
    link = load(unpacked(tmp_path, demo(entry_points=text)) / "info/link.json")
    assert link["noarch"] == {
        "type": "python",
        "entry_points": ["App.Win = demo:App.show", "run = demo:main"],
    }
    assert link["package_metadata_version"] == 1


def test_about_says_what_and_whence(tmp_path: Path) -> None:
    links = [
        "Project-URL: Home Page, https://home.invalid",
        "Project-URL: Source Code, https://code.invalid",
        "Project-URL: documentation, https://docs.invalid",
        "Project-URL: Funding, https://money.invalid",
    ]
    content = demo(headers=links)
    about = load(unpacked(tmp_path, content) / "info/about.json")
    assert about["home"] == "https://home.invalid"
    assert about["dev_url"] == "https://code.invalid"
    assert about["doc_url"] == "https://docs.invalid"
    assert (about["license"], about["summary"]) == ("MIT", "Ünicode")
    assert about["extra"]["wheel"] == {
        "index": "",
        "url": f"https://files.invalid/{FILENAME}",
        "sha256": hashlib.sha256(content).hexdigest(),
    }


def test_licences_are_copied_where_conda_looks(tmp_path: Path) -> None:
    files = ("{info}/licenses/LICENSE", "{info}/licenses/sub/NOTICE", "{info}/COPYING.txt", "{info}/terms.md")
    headers = ["License-File: terms.md", "License-File: RECORD.jws", "License-File: ../../etc/passwd"]
    package = unpacked(tmp_path, with_files(*files, "{info}/RECORD.jws", headers=headers))
    there = package / "info/licenses"
    found = {path.relative_to(there).as_posix() for path in there.rglob("*") if path.is_file()}
    assert found == {"licenses/LICENSE", "licenses/sub/NOTICE", "COPYING.txt", "terms.md"}


def test_provenance_holds_no_secret(tmp_path: Path) -> None:
    """PEP 710, as PEP 610: "security sensitive information [...] MUST be stripped"."""
    content = demo()
    url = f"https://canary:canary@files.invalid/a/{FILENAME}?signature=canary#canary"
    wheel = promise(FILENAME, content)._replace(url=url, index_url="https://index.invalid/simple/")
    package = unpacked(tmp_path, content, wheel=wheel)
    assert load(package / INFO / "provenance_url.json") == {
        "index_url": "https://index.invalid/simple/",
        "url": f"https://files.invalid/a/{FILENAME}",
        "archive_info": {"hashes": {"sha256": hashlib.sha256(content).hexdigest()}},
    }
    assert not [path for path in package.rglob("*") if path.is_file() and b"canary" in path.read_bytes()]


def test_provenance_url_can_be_another_one(tmp_path: Path) -> None:
    wheel = tmp_path / FILENAME
    wheel.write_bytes(demo())
    record = record_of(FILENAME, demo())
    building.unpack(wheel, record, tmp_path / "x", python="3.12", source_url="https://mirror.invalid/x.whl")
    assert load(tmp_path / "x" / INFO / "provenance_url.json")["url"] == "https://mirror.invalid/x.whl"


def test_dist_info_is_the_wheels_except_what_the_installer_owns(tmp_path: Path) -> None:
    """PEP 376, 427, 610: a wheel cannot say who installed it, from where, or on whose request."""
    lies = ["INSTALLER", "REQUESTED", "direct_url.json", "provenance_url.json", "RECORD.jws", "RECORD.p7s"]
    content = with_files(*(f"{{info}}/{name}" for name in lies), "{info}/extra.txt")
    package = unpacked(tmp_path, content)
    kept = {path.name for path in (package / INFO).iterdir()}
    assert kept == {"METADATA", "WHEEL", "RECORD", "INSTALLER", "provenance_url.json", "extra.txt"}
    assert (package / INFO / "INSTALLER").read_text() == "conda\n"
    (metadata,) = (part.content for part in parts_of(content) if part.name.endswith(b"METADATA"))
    assert (package / INFO / "METADATA").read_bytes() == metadata


def test_record_paths_are_those_of_the_platform(tmp_path: Path) -> None:
    """PEP 376: relative to site-packages; on Windows an entry point is a launcher and its script."""
    files = {"demo.py": "", "{data}/scripts/tool": "", "{data}/data/share/d": "", "{data}/headers/d.h": ""}
    content = demo(files=files, entry_points={"run": "demo:main"})
    unix = set(rows(unpacked(tmp_path / "unix", content, subdir="linux-64")))
    assert {"demo.py", "../../../bin/tool", "../../../bin/run", "../../../share/d"} < unix
    assert "../../../include/python3.12/demo/d.h" in unix
    windows = set(rows(unpacked(tmp_path / "windows", content, subdir="win-64")))
    assert {"demo.py", "../../Scripts/tool", "../../Scripts/run.exe", "../../Scripts/run-script.py"} < windows
    assert "../../Include/demo/d.h" in windows


def test_compiled_caches_are_dropped_and_sourceless_modules_kept(tmp_path: Path) -> None:
    names = ["pkg/__pycache__/a.cpython-311.pyc", "pkg/b.pyc", "pkg/__pycache__/numba.nbi"]
    package = unpacked(tmp_path, with_files(*names))
    kept = {path.name for path in package.rglob("*") if path.suffix in (".pyc", ".nbi")}
    assert kept == {"b.pyc", "numba.nbi"}


def test_modes_are_pips_under_any_umask(tmp_path: Path) -> None:
    """pip writes 0o666, or 0o777 where the archive marks a file executable, less the umask."""
    content = demo(files={"a": "", "b": ""}, modes={"a": 0o700})
    os.umask(0o027)
    package = unpacked(tmp_path, content)
    tree = snapshot(package)
    assert (tree["site-packages/a"].mode, tree["site-packages/b"].mode) == (0o750, 0o640)
    assert tree["site-packages"].mode == 0o750


def test_metapackage_is_info_alone(tmp_path: Path) -> None:
    """Without paths.json and files, even empty ones, conda installs nothing and says nothing."""
    record = record_of(FILENAME, demo(), wheel=None, extra="x")
    building.unpack_meta(record, tmp_path / record.dist)
    package = tmp_path / record.dist
    assert load(package / "info/index.json") == record.index_json()
    assert load(package / "info/paths.json") == {"paths": [], "paths_version": 1}
    assert (package / "info/files").read_bytes() == b""
    assert {path.name for path in package.iterdir()} == {"info"}
    assert building.pack(package, tmp_path).name == record.fn


@pytest.mark.parametrize("python", ["3", "3.12.1", "cp312", "../3.12"])
def test_python_is_a_minor_version(python: str, tmp_path: Path) -> None:
    """It becomes the name of a folder."""
    with pytest.raises(ValueError, match="minor version"):
        building.unpack(tmp_path / FILENAME, record_of(FILENAME, demo()), tmp_path / "x", python=python)


def test_headers_and_data_of_one_name_are_two_files(tmp_path: Path) -> None:
    package = unpacked(tmp_path, with_files("{data}/headers/a.h", "{data}/data/headers/a.h"))
    assert (package / "include/python3.12/demo/a.h").exists()
    assert (package / "headers/a.h").exists()


def test_metapackage_has_no_wheel_to_unpack(tmp_path: Path) -> None:
    record = record_of(FILENAME, demo(), wheel=None)
    with pytest.raises(ValueError, match="metapackage"):
        building.unpack(tmp_path / FILENAME, record, tmp_path / "x", python="3.12")


@pytest.mark.parametrize("hostile", [*corpus()], ids=lambda hostile: hostile.id)
def test_hostile_wheel_leaves_nothing(hostile: Hostile, tmp_path: Path) -> None:
    wheel = tmp_path / "wheels" / hostile.filename
    wheel.parent.mkdir()
    wheel.write_bytes(hostile.content)
    (tmp_path / "pkgs").mkdir()
    before = snapshot(tmp_path)
    record = record_of(FILENAME, b"", wheel=hostile.expected)
    with pytest.raises(WheelRefused):
        building.unpack(wheel, record, tmp_path / "pkgs/demo", python="3.12")
    assert snapshot(tmp_path) == before


@contextmanager
def small_disk(size: int) -> Iterator[None]:
    """No file can grow beyond `size` bytes: the system's own limit stands in for a full disk."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_full_disk_leaves_nothing(tmp_path: Path) -> None:
    content = demo(files={"a.py": "x", "big.bin": os.urandom(1 << 20)})
    wheel = tmp_path / FILENAME
    wheel.write_bytes(content)
    before = snapshot(tmp_path)
    with small_disk(1 << 19), pytest.raises(OSError):
        building.unpack(wheel, record_of(FILENAME, content), tmp_path / "x", python="3.12")
    assert snapshot(tmp_path) == before


def test_existing_destination_is_not_touched(tmp_path: Path) -> None:
    package = unpacked(tmp_path, demo())
    before = snapshot(tmp_path)
    with pytest.raises(FileExistsError):
        unpacked(tmp_path, demo())
    assert snapshot(tmp_path) == before
    assert package.exists()


def test_packed_bytes_do_not_depend_on_the_day_or_the_machine(tmp_path: Path) -> None:
    """Another time zone, hash seed, umask, folder and order of creation give the same file."""
    content = with_files("pkg/b.py", "pkg/a.py", "{data}/scripts/tool", "{info}/LICENSE")
    package = unpacked(tmp_path / "one", content)
    first = building.pack(package, tmp_path)
    other = tmp_path / "other" / package.name
    os.umask(0o077)
    for path in sorted((path for path in package.rglob("*") if path.is_file()), reverse=True):
        copy = other / path.relative_to(package)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copy)
        copy.chmod(0o755 if path.stat().st_mode & 0o100 else 0o600)
        os.utime(copy, (1e9, 1e9))
    code = "import sys, pathlib, conda_pypi_bridge.building as b; b.pack(*map(pathlib.Path, sys.argv[1:]))"
    env = os.environ | {"TZ": "Pacific/Kiritimati", "PYTHONHASHSEED": "7", "SOURCE_DATE_EPOCH": "1"}
    subprocess.run([sys.executable, "-c", code, other, tmp_path / "other"], env=env, check=True)
    assert (tmp_path / "other" / first.name).read_bytes() == first.read_bytes()


def test_unpacking_twice_gives_the_same_package(tmp_path: Path) -> None:
    content = with_files("pkg/b.py", "pkg/a.py", "{data}/scripts/tool")
    assert snapshot(unpacked(tmp_path / "a", content)) == snapshot(unpacked(tmp_path / "b", content))


def test_packed_file_is_what_condas_own_tools_read(tmp_path: Path) -> None:
    package = unpacked(
        tmp_path, with_files("pkg/é.py", "x" * 200 + "/" + "y" * 150), "demo-1.0-py3-none-any.whl"
    )
    packed = building.pack(package, tmp_path)
    extract(str(packed), str(tmp_path / "extracted"))
    assert snapshot(tmp_path / "extracted") == snapshot(package)
    for component in CondaComponent.pkg, CondaComponent.info:
        with packed.open("rb") as file:
            members = [member for _, member in stream_conda_component(str(packed), file, component)]
        assert [member.name for member in members] == sorted(member.name for member in members)
        assert {(member.uid, member.gid, member.uname, member.gname) for member in members} == {
            (0, 0, "", "")
        }
        assert {member.mtime for member in members} == {1_704_164_645}
    with zipfile.ZipFile(packed) as archive:
        assert {entry.compress_type for entry in archive.infolist()} == {zipfile.ZIP_STORED}
        assert archive.namelist()[0] == "metadata.json"


def test_packing_replaces_an_older_file_whole(tmp_path: Path) -> None:
    package = unpacked(tmp_path, demo())
    packed = building.pack(package, tmp_path)
    content = packed.read_bytes()
    packed.write_bytes(b"older")
    assert building.pack(package, tmp_path).read_bytes() == content
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_failed_packing_leaves_nothing(tmp_path: Path) -> None:
    package = unpacked(tmp_path, demo())
    before = snapshot(tmp_path)
    with small_disk(100), pytest.raises(OSError):
        building.pack(package, tmp_path)
    assert snapshot(tmp_path) == before


def write_gigabyte_wheel(path: Path) -> str:
    """A sound wheel with one member of 1 GiB; returns its sha256."""
    block, digest = os.urandom(1 << 20), hashlib.sha256()
    for _ in range(1024):
        digest.update(block)
    encoded = base64.urlsafe_b64encode(digest.digest()).rstrip(b"=").decode()
    listing = hostile_wheels.record_of(demo()) + f"big.bin,sha256={encoded},{1 << 30}\n"
    with zipfile.ZipFile(path, "w") as archive:
        for part in parts_of(demo(members={"{info}/RECORD": listing})):
            archive.writestr(part.name.decode(), part.content)
        with archive.open("big.bin", "w", force_zip64=True) as member:
            for _ in range(1024):
                member.write(block)
    with path.open("rb") as file:
        whole = hashlib.sha256()
        while piece := file.read(1 << 20):
            whole.update(piece)
    return whole.hexdigest()


MEASURE = """
import resource, sys
from pathlib import Path
from conda_pypi_bridge import building
from tests.hostile_wheels import promise
from tests.test_build import record_of

wheel, folder, sha256 = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
expected = promise(wheel.name, b"")._replace(sha256=sha256, size=None)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
building.unpack(wheel, record_of(wheel.name, b"", wheel=expected), folder / "x", python="3.12")
building.pack(folder / "x", folder)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere ru_maxrss has another unit")
def test_memory_is_flat_for_a_wheel_of_a_gigabyte(tmp_path: Path) -> None:
    sha256 = write_gigabyte_wheel(tmp_path / FILENAME)
    command = [sys.executable, "-c", MEASURE, str(tmp_path / FILENAME), str(tmp_path), sha256]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    (tmp_path / "x/site-packages/big.bin").unlink()
    assert int(done.stdout) < 64 << 10, "KiB more than before"
