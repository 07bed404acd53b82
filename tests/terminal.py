"""What a command shows in a terminal: run in a real one, its screen read, and drawn as an SVG."""

from __future__ import annotations

import os
import pty
import re
import select
import struct
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from fcntl import ioctl
from html import escape, unescape
from pathlib import Path
from termios import TIOCSCTTY, TIOCSWINSZ

import pyte

COLUMNS, ROWS = 100, 120

#: A question that ends with this is answered.
QUESTION, ANSWER = b"([y]/n)? ", b"y\n"

_WIDTH, _HEIGHT, _MARGIN, _BAR = 8.0, 19.0, 18.0, 34.0
_FONT = "ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace"


def screen_of(command: Sequence[str], env: Mapping[str, str], folder: Path) -> pyte.Screen:
    """The screen after a command that must succeed; every question of it is answered with yes."""
    ours, theirs = pty.openpty()
    ioctl(theirs, TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    settings = {**env, "TERM": "xterm-256color", "COLUMNS": str(COLUMNS), "LINES": str(ROWS)}
    process = subprocess.Popen(command, cwd=folder, env=settings, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    screen = pyte.Screen(COLUMNS, ROWS)
    stream = pyte.ByteStream(screen)
    for data in _output(ours):
        stream.feed(data)
        if data.endswith(QUESTION):
            os.write(ours, ANSWER)
    os.close(ours)
    assert process.wait(60) == 0, "\n".join(screen.display)
    return screen


def _output(terminal: int) -> Iterator[bytes]:
    """What arrives until the last process that has the terminal is gone; gathered while more is to come."""
    gathered = b""
    while True:
        ready, _, _ = select.select([terminal], [], [], 0.1)
        if not ready:
            if gathered:
                yield gathered
                gathered = b""
            continue
        try:
            data = os.read(terminal, 65536)
        except OSError:  # Linux: EIO once nobody has it any more
            data = b""
        if not data:
            yield gathered
            return
        gathered += data


def rows_of(screen: pyte.Screen) -> list[str]:
    """The lines of a screen, without the empty ones at its end."""
    rows = [row.rstrip() for row in screen.display]
    while rows and not rows[-1]:
        rows.pop()
    return rows


def picture(rows: Sequence[str], command: str) -> str:
    """A whole SVG of a terminal's window: a command, and the rows that it printed."""
    lines = [f"$ {command}", *rows]
    width = max(map(len, lines)) * _WIDTH + 2 * _MARGIN
    height = len(lines) * _HEIGHT + _BAR + 2 * _MARGIN
    dots = "".join(
        f'<circle cx="{_MARGIN + 4 + 18 * place:.0f}" cy="{_BAR / 2:.0f}" r="5.5" fill="{colour}"/>'
        for place, colour in enumerate(("#e5707a", "#dfb96f", "#8fc67c"))
    )
    texts = [
        f'<text x="{_MARGIN:.0f}" y="{_BAR + _MARGIN + number * _HEIGHT:.0f}" xml:space="preserve"'
        f' textLength="{len(line) * _WIDTH:.0f}" lengthAdjust="spacingAndGlyphs"'
        f' fill="{_colour(line)}">{escape(line)}</text>'
        for number, line in enumerate(lines)
        if line
    ]
    size = f'width="{width:.0f}" height="{height:.0f}" viewBox="0 0 {width:.0f} {height:.0f}"'
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img"'
            f' font-family="{_FONT}" font-size="13">',
            f"<title>{escape(command)}</title>",
            '<rect width="100%" height="100%" rx="9" fill="#20242b"/>',
            dots,
            *texts,
            "</svg>\n",
        ]
    )


def _colour(line: str) -> str:
    """What is typed stands out, what is left out stands back; what is printed has no colours of its own."""
    return {"$": "#8fc67c", "\u22ee": "#7d858f"}.get(line[:1], "#d6dbe1")


def rows_of_picture(text: str) -> list[str]:
    """The rows that a picture shows, without the empty ones; the command comes first."""
    return [unescape(row) for row in re.findall(r"<text [^>]*>(.*?)</text>", text)]


class Shell:
    """An interactive shell in a terminal, inside ``with``: keys are typed, and its screen is looked at."""

    def __init__(self, command: Sequence[str], env: Mapping[str, str], folder: Path) -> None:
        self._ours, theirs = pty.openpty()
        ioctl(theirs, TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
        self._process = subprocess.Popen(
            command, cwd=folder, env={**env, "TERM": "xterm"}, start_new_session=True,
            preexec_fn=lambda: ioctl(0, TIOCSCTTY, 0),
            stdin=theirs, stdout=theirs, stderr=theirs,
        )  # fmt: skip
        os.close(theirs)
        self._screen = pyte.Screen(COLUMNS, ROWS)
        self._stream = pyte.ByteStream(self._screen)

    def __enter__(self) -> Shell:
        return self

    def __exit__(self, *exc: object) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._ours)

    def clear(self) -> None:
        """Forget the line and the screen."""
        os.write(self._ours, b"\x15")  # Ctrl-U
        while select.select([self._ours], [], [], 0.2)[0]:
            self._stream.feed(os.read(self._ours, 65536))
        self._screen.reset()

    def types(self, keys: str, shows: str, timeout: float = 30) -> None:
        """Type, and wait until the screen shows something. Fails the test where it does not."""
        os.write(self._ours, keys.encode())
        end = time.monotonic() + timeout
        while not any(shows in row for row in self._screen.display):
            ready, _, _ = select.select([self._ours], [], [], 0.2)
            if ready:
                self._stream.feed(os.read(self._ours, 65536))
            assert time.monotonic() < end, "\n".join(rows_of(self._screen))
