"""Whatever happens to a wheel's bytes: it is refused in words, or it still holds exactly the same files."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from conda_pypi_bridge.building.wheelfile import open_wheel
from conda_pypi_bridge.errors import WheelRefused
from tests.hostile_wheels import FILENAME, demo, promise

FILES = {
    "demo/__init__.py": "x = 1\n" * 50,
    "demo/data.bin": bytes(range(256)),
    "{data}/scripts/tool": "#!python\nprint()\n",
    "{data}/data/share/demo.txt": "",
}
WHEEL = demo(files=FILES, entry_points={"run": "demo:main"})


def contents(wheel: bytes) -> Mapping[str, bytes] | None:
    """The files of `wheel` by place; None where it is refused."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, FILENAME)
        path.write_bytes(wheel)
        try:
            with open_wheel(path, promise(FILENAME, wheel)) as opened:
                found = {}
                for member in opened.members:
                    pieces: list[bytes] = []
                    opened.copy(member.entry, pieces.append)
                    found[member.place] = b"".join(pieces)
                list(opened.warnings)
                return found
        except WheelRefused as refused:
            assert "\n" not in str(refused)
            return None


SOUND = contents(WHEEL)


@st.composite
def edits(draw: st.DrawFn) -> bytes:
    """`WHEEL` with a few places overwritten, cut out or enlarged."""
    data = bytearray(WHEEL)
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(data)))
        length = draw(st.integers(0, 8))
        data[start : start + length] = draw(st.binary(max_size=8))
    return bytes(data)


@settings(max_examples=500, deadline=None)
@given(edits())
@example(WHEEL)
def test_edited_bytes(wheel: bytes) -> None:
    assert SOUND is not None
    assert contents(wheel) in (None, SOUND)


@settings(max_examples=500, deadline=None)
@given(st.integers(0, len(WHEEL) - 1), st.integers(0, 7))
def test_flipped_bit(position: int, bit: int) -> None:
    flipped = WHEEL[:position] + bytes([WHEEL[position] ^ 1 << bit]) + WHEEL[position + 1 :]
    assert contents(flipped) in (None, SOUND)


@settings(max_examples=100, deadline=None)
@given(st.integers(0, len(WHEEL) - 1))
def test_truncated(length: int) -> None:
    assert contents(WHEEL[:length]) is None


TEXT = st.text(
    st.sampled_from("\n\r\t ,;:=[]#\"'%_-./\\0a1Aé\u2028\ud7ff\x00\x1c") | st.characters(codec="utf-8")
)


@settings(max_examples=400, deadline=None)
@given(
    st.sampled_from(["METADATA", "WHEEL", "RECORD", "entry_points.txt"]),
    TEXT,
    st.sampled_from(["", "Wheel-Version: 1.0\nTag: ", "Name: demo\nVersion: ", "[console_scripts]\n"]),
)
def test_any_text_in_dist_info_is_read_or_refused(name: str, text: str, start: str) -> None:
    """Never another exception."""
    members: dict[str, Any] = {f"{{info}}/{name}": start + text}
    contents(demo(files=FILES, members=members))
