"""A wheel is opened only when it keeps every rule; the corpus of hostile ones is in `hostile_wheels`."""

from __future__ import annotations

import base64
import hashlib
import io
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from conda_pypi_bridge.building import wheelfile
from conda_pypi_bridge.building.wheelfile import open_wheel
from conda_pypi_bridge.errors import WheelRefused
from tests.hostile_wheels import (
    FILENAME,
    Hostile,
    assemble,
    corpus,
    demo,
    parts_of,
    promise,
    record_of,
    with_files,
)
from tests.wheels import wheel_bytes

HOSTILE = list(corpus())


@pytest.mark.parametrize("hostile", HOSTILE, ids=lambda hostile: hostile.id)
def test_hostile_wheel_is_refused(hostile: Hostile, tmp_path: Path) -> None:
    path = tmp_path / hostile.filename
    path.write_bytes(hostile.content)
    with pytest.raises(WheelRefused) as caught, open_wheel(path, hostile.expected) as wheel:
        assert hostile.late, "this one can be told without unpacking"
        for entry in wheel.files.values():
            wheel.copy(entry, lambda piece: None)
    assert caught.value.rule == hostile.rule
    assert caught.value.filename == hostile.filename
    assert "\n" not in str(caught.value)


def test_every_rule_has_a_hostile_wheel() -> None:
    rules = {rule.__name__.replace("_", "-") for rule in (*wheelfile.RULES, wheelfile.no_hooks)}
    assert rules <= {hostile.rule for hostile in HOSTILE}
    assert len({hostile.id for hostile in HOSTILE}) == len(HOSTILE) > 200


def opened(folder: Path, content: bytes, filename: str = FILENAME, **options: Any) -> tuple[Any, ...]:
    """Of a wheel that is accepted: contents by installed place, entry points and warnings."""
    path = folder / filename
    path.write_bytes(content)
    with open_wheel(path, promise(filename, content), **options) as wheel:
        contents = {}
        for member in wheel.members:
            pieces: list[bytes] = []
            wheel.copy(member.entry, pieces.append)
            contents[member.place] = b"".join(pieces)
        return contents, dict(wheel.entry_points), list(wheel.warnings)


class Unseekable(io.RawIOBase):
    """A pipe: zipfile then writes sizes after the data, in data descriptors."""

    def __init__(self) -> None:
        self.content = b""

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self.content += bytes(data)
        return len(bytes(data))


def streamed(parts: Mapping[str, bytes], *, zip64: bool, method: int) -> bytes:
    pipe = Unseekable()
    with zipfile.ZipFile(pipe, "w", method) as archive:
        for name, content in parts.items():
            with archive.open(zipfile.ZipInfo(name), "w", force_zip64=zip64) as member:
                member.write(content)
    return pipe.content


def rewritten(parts: Mapping[str, bytes], *, zip64: bool, method: int) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, content in parts.items():
            entry = zipfile.ZipInfo(name)
            entry.compress_type = method
            with archive.open(entry, "w", force_zip64=zip64) as member:
                member.write(content)
    return buffer.getvalue()


@pytest.mark.parametrize("write", [streamed, rewritten])
@pytest.mark.parametrize("zip64", [False, True])
@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_every_form_that_zipfile_writes_is_read(
    write: Callable[..., bytes], zip64: bool, method: int, tmp_path: Path
) -> None:
    parts = {part.name.decode(): part.content for part in parts_of(with_files("big.bin"))}
    contents, _, _ = opened(tmp_path, write(parts, zip64=zip64, method=method))
    assert {f"site-packages/{name}": content for name, content in parts.items()} == contents


def test_archive_with_zip64_end_is_read(tmp_path: Path) -> None:
    """APPNOTE 4.3.14: more than 65,535 members need it, any archive may have it."""
    contents, _, _ = opened(tmp_path, assemble(parts_of(demo()), zip64={}))
    assert len(contents) == 4


def test_member_of_many_chunks_is_read_whole(tmp_path: Path) -> None:
    big = bytes(range(256)) * (3 << 12) + b"end"
    contents, _, _ = opened(tmp_path, demo(files={"big.bin": big}))
    assert contents["site-packages/big.bin"] == big


def test_names_that_are_only_unusual_are_kept(tmp_path: Path) -> None:
    names = [
        "caf\u00e9 au lait.txt",
        "a,b;c'd.txt",
        ".hidden/x",
        "pkg/-dash",
        "日本/語.txt",
        "@x/[y]#.js",
        '"q".txt',
    ]
    contents, _, _ = opened(tmp_path, with_files(*names))
    assert {f"site-packages/{name}" for name in names} < set(contents)


@pytest.mark.parametrize("scheme", ["purelib", "platlib"])
def test_replaced_metadata_is_refused_even_where_it_is_the_same(scheme: str, tmp_path: Path) -> None:
    (metadata,) = (part.content for part in parts_of(demo()) if part.name.endswith(b"METADATA"))
    with pytest.raises(WheelRefused, match="one-dist-info"):
        opened(tmp_path, demo(files={f"{{data}}/{scheme}/{{info}}/METADATA": metadata}))


def test_dist_info_folders_deeper_than_site_packages_are_kept(tmp_path: Path) -> None:
    """importlib.metadata does not look there; setuptools vendors its dependencies so."""
    names = ["demo/_vendor/other-1.0.dist-info/METADATA", "{data}/purelib/demo/tests/x.egg-info/PKG-INFO"]
    contents, _, _ = opened(tmp_path, with_files(*names))
    assert "site-packages/demo/_vendor/other-1.0.dist-info/METADATA" in contents
    assert "site-packages/demo/tests/x.egg-info/PKG-INFO" in contents


def test_script_that_an_entry_point_replaces_is_no_collision(tmp_path: Path) -> None:
    both = with_files("{data}/scripts/tool", entry_points={"tool": "demo:main"})
    _, entry_points, _ = opened(tmp_path, both)
    assert entry_points == {"tool": "demo:main"}


@pytest.mark.parametrize("tags", ["py3-none-manylinux_2_17_x86_64", "py3-none-macosx_11_0_arm64"])
def test_libraries_below_lib_are_kept_where_it_is_not_the_standard_library(tags: str, tmp_path: Path) -> None:
    """As of mkl and tbb; on Windows theirs go to ``Library``."""
    names = ["lib/libdemo.so.1", "lib/pkgconfig/demo.pc", "lib/cmake/demo/Demo.cmake"]
    filename, content = wheel_bytes(
        "demo", "1.0", tags=tags, files={f"{{data}}/data/{name}": name for name in names}
    )
    contents, _, _ = opened(tmp_path, content, filename)
    assert set(names) < set(contents)


@pytest.mark.parametrize(
    "name",
    [
        "etc/profile.d/demo.sh",
        "etc/fish/conf.d/demo.fish",
        "etc/jupyter/jupyter_config.d/demo.json",
        "share/demo/pip.conf",
        "share/vcruntime140.dll",
        "Library/bin/demo.dll",
        "bin/conda-lock",
        "libexec/os.py",
    ],
)
def test_data_near_the_forbidden_places_is_kept(name: str, tmp_path: Path) -> None:
    contents, _, _ = opened(tmp_path, with_files(f"{{data}}/data/{name}"))
    assert name in contents


def test_signatures_need_no_row_in_record(tmp_path: Path) -> None:
    """PEP 427: RECORD lists all files except its signatures, which cannot be known when it is made."""
    signed = demo(after_record={"{info}/RECORD.jws": "{}", "{info}/RECORD.p7s": "x"})
    contents, _, _ = opened(tmp_path, signed)
    assert len(contents) == 6


@pytest.mark.parametrize("algorithm", ["sha384", "sha512"])
def test_stronger_hashes_are_verified_too(algorithm: str, tmp_path: Path) -> None:
    """PEP 427: "sha256 or better"."""
    content = b"x = 1\n"
    digest = base64.urlsafe_b64encode(hashlib.new(algorithm, content).digest()).rstrip(b"=").decode()
    _, *others = record_of(demo()).splitlines()
    record = "\n".join([f"demo.py,{algorithm}={digest},{len(content)}", *others])
    good: dict[str, Any] = {"files": {"demo.py": content}, "members": {"{info}/RECORD": record}}
    opened(tmp_path, demo(**good))
    with pytest.raises(WheelRefused, match="record-hash"):
        opened(tmp_path, demo(**good, after_record={"demo.py": "x = 2\n"}))


@pytest.mark.parametrize(
    ("named", "built"),
    [
        ("cp311-cp311-manylinux1_x86_64", "cp311-cp311-linux_x86_64"),
        ("cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64", "cp311-cp311-manylinux_2_28_x86_64"),
        ("cp311-cp311-macosx_11_0_arm64", "cp311-cp311-macosx_10_9_arm64"),
        ("py3-none-manylinux1_x86_64", "py3-none-any"),
        ("py3-none-any", "py2.py3-none-any"),
    ],
)
def test_renamed_wheel_is_accepted_with_a_warning(named: str, built: str, tmp_path: Path) -> None:
    """Of 176 wheels looked at, 16 were of this kind, all of torch, torchvision, ray and playwright."""
    text = f"Wheel-Version: 1.0\nTag: {built}\n"
    filename, content = wheel_bytes("demo", "1.0", tags=named, members={"{info}/WHEEL": text})
    _, _, warnings = opened(tmp_path, content, filename)
    assert len(warnings) == 1
    assert "the file name counts" in warnings[0]


def test_newer_minor_wheel_version_is_accepted_with_a_warning(tmp_path: Path) -> None:
    """PEP 427: "warn if minor version is greater, abort if major version is greater"."""
    text = "Wheel-Version: 1.9\nTag: py3-none-any\n"
    _, _, warnings = opened(tmp_path, demo(members={"{info}/WHEEL": text}))
    assert [warning for warning in warnings if "1.9" in warning] == warnings != []


def test_pth_files_are_listed(tmp_path: Path) -> None:
    _, _, warnings = opened(tmp_path, with_files("demo.pth", "pkg/data.pth", "{data}/platlib/other.pth"))
    assert len(warnings) == 2
    assert all(name in " ".join(warnings) for name in ("demo.pth", "other.pth"))


@pytest.mark.parametrize("name", ["etc/conda/activate.d/demo.sh", "Menu/demo.json"])
def test_hooks_are_accepted_when_asked_for(name: str, tmp_path: Path) -> None:
    contents, _, _ = opened(tmp_path, with_files(f"{{data}}/data/{name}"), allow_hooks=True)
    assert name in contents


@pytest.mark.parametrize(
    "name",
    ["python-argcomplete-tcsh", "pythonic", "register-python", "ipython3", "conda-lock", "activate-global"],
)
def test_script_names_near_the_forbidden_ones_are_kept(name: str, tmp_path: Path) -> None:
    contents, entry_points, _ = opened(
        tmp_path, with_files(f"{{data}}/scripts/{name}.py", entry_points={name: "demo:main"})
    )
    assert f"bin/{name}.py" in contents
    assert entry_points == {name: "demo:main"}


def test_announced_metadata_hash_is_compared(tmp_path: Path) -> None:
    """PEP 658; the refusal of another one is in the corpus."""
    content = demo()
    (metadata,) = (part.content for part in parts_of(content) if part.name.endswith(b"METADATA"))
    path = tmp_path / FILENAME
    path.write_bytes(content)
    expected = promise(FILENAME, content)._replace(metadata_sha256=hashlib.sha256(metadata).hexdigest())
    with open_wheel(path, expected) as wheel:
        assert wheel.metadata["Name"] == "demo"


def test_entry_points_are_read_as_the_specification_says(tmp_path: Path) -> None:
    """Extras are for the installer to ignore; case, dots and dotted attributes belong to the names."""
    text = """\
# a comment
[console_scripts]
plain = demo:main
with-extra = demo.cli:main [fast,slow]
Cased.Name=demo:App.launch
clang++ = demo : main

[gui_scripts]
window = demo:show

[demo.plugins]
../not a script = whatever
"""
    _, entry_points, _ = opened(tmp_path, demo(entry_points=text))
    assert entry_points == {
        "plain": "demo:main",
        "with-extra": "demo.cli:main",
        "Cased.Name": "demo:App.launch",
        "clang++": "demo:main",
        "window": "demo:show",
    }


@pytest.mark.parametrize(
    ("mode", "executable"),
    [(0o100755, True), (0o100744, True), (0o100644, False), (0, False), (0o755, False)],
)
def test_only_the_mode_of_a_regular_file_makes_it_executable(
    mode: int, executable: bool, tmp_path: Path
) -> None:
    """As pip: permission bits without a file type (0o755 alone) do not count."""
    first, *rest = parts_of(demo())
    content = assemble([replace(first, mode=mode), *rest])
    path = tmp_path / FILENAME
    path.write_bytes(content)
    with open_wheel(path, promise(FILENAME, content)) as wheel:
        assert wheel.members[0].executable is executable
