"""A command in a process of its own, which neither a prompt, a killed kernel nor an interrupt can spoil.

It has its own session, so that what ends the kernel does not end it, and writes into files, so that nobody
need read along for it to go on. Standard library only.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import BinaryIO

from ..redaction import redact

#: How often the command is looked at, in seconds, and how much of its output, in bytes.
_STEP = 0.1
_TAIL = 1 << 16

#: What conda announces on standard output, and what is shown of it.
_CONDA_PHASES = (
    ("Collecting package metadata", "Reading channels"),
    ("Channels:", "Reading channels"),
    ("Solving environment", "Solving"),
    ("Downloading and Extracting", "Downloading"),
    ("Preparing transaction", "Linking"),
    ("Verifying transaction", "Linking"),
    ("Executing transaction", "Linking"),
    ("Installing pip dependencies", "Running pip"),
)

#: A line of ours on standard error: a few words that begin with a verb in -ing.
_BRIDGE_PHASE = re.compile(r"[A-Z][a-z]+ing\b[^:.]{0,60}")

#: A package in conda's summary: "  moo   pypi-bridge/noarch::moo-1.0-0", and our own count of them.
_PLANNED = re.compile(r"^  \S+ .*(?:::\S+-\S+-\S+|\S --> \S+)", re.MULTILINE)
_COUNTED = re.compile(r"^  (\d+) packages?$", re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class Progress:
    """Where a command is: its `phase` in a few words ("" at first), how many `packages` (0: unknown)."""

    seconds: float
    phase: str = ""
    packages: int = 0
    interrupts: int = 0


@dataclass(frozen=True, kw_only=True)
class Finished:
    """What a command did. `status` is the exit status, negative for a signal; texts are for people."""

    status: int
    out: str
    err: str
    seconds: float
    interrupted: bool


class Output:
    """A stream of a process as a file without a name, which lasts as long as somebody has it open."""

    def __init__(self) -> None:
        handle, name = tempfile.mkstemp(prefix="conda-")
        self.writer = os.fdopen(handle, "wb")
        self._reader: BinaryIO = Path(name).open("rb")  # noqa: SIM115
        self._path = Path(name)
        if os.name != "nt":  # where a file that is open cannot be deleted
            self._path.unlink()

    def text(self, last: int | None = None) -> str:
        """All of it so far, or about the `last` so many bytes."""
        size = self._reader.seek(0, os.SEEK_END)
        self._reader.seek(max(0, size - last) if last else 0)
        return self._reader.read().decode("utf-8", "replace")

    def close(self) -> None:
        """Let go of the file; a process that still writes keeps it."""
        self.writer.close()
        self._reader.close()
        self._path.unlink(missing_ok=True)


def run(
    argv: Sequence[str],
    environ: Mapping[str, str],
    watch: Callable[[Progress], None],
    interrupts: Sequence[int] = (),
) -> Finished:
    """Run `argv` to its end, telling `watch` every moment where it is. Raises `OSError` if it cannot start.

    The first of `interrupts` (see `interrupts_kept`) is passed on, once: conda then undoes what it began, and
    is waited for. Later ones change nothing, since to stop conda while it undoes would leave the environment
    broken.
    """
    out, err = Output(), Output()
    began = time.monotonic()
    try:
        process = _start(argv, environ, out, err)
        passed_on = False
        while (status := _ended(process)) is None:
            if interrupts and not passed_on:
                passed_on = True
                _interrupt(process)
            seconds = time.monotonic() - began
            watch(progress(out.text(_TAIL), err.text(_TAIL), seconds, len(interrupts)))
        return Finished(
            status=status,
            out=readable(out.text()),
            err=readable(err.text()),
            seconds=time.monotonic() - began,
            interrupted=passed_on,
        )
    finally:
        out.close()
        err.close()


def progress(out: str, err: str, seconds: float, interrupts: int = 0) -> Progress:
    """What a command's output so far says; words that are not known are not shown."""
    phase = ""
    for line in out.splitlines():
        phase = next((shown for start, shown in _CONDA_PHASES if line.startswith(start)), phase)
    ours = [line for line in err.splitlines() if _BRIDGE_PHASE.fullmatch(line)]
    # While the bridge works inside conda, conda's last word is "Downloading" or "Solving".
    if ours and phase in ("", "Solving", "Downloading"):
        phase = ours[-1]
    counted = _COUNTED.findall(err)
    packages = len(_PLANNED.findall(out)) or (int(counted[-1]) if counted else 0)
    return Progress(seconds=seconds, phase=phase, packages=packages, interrupts=interrupts)


def readable(text: str) -> str:
    """Output for a saved notebook: as a terminal would show it in the end, and without credentials."""
    text = re.sub(r"\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b[@-Z\\-_]", "", text).replace("\r\n", "\n")
    lines = [_typed_over(line) for line in text.split("\n")]
    text = "\n".join(line.rsplit("\r", 1)[-1].rstrip() for line in lines)
    return redact("".join(char for char in text if char.isprintable() or char in "\n\t"))


def _typed_over(line: str) -> str:
    """A line in which backspaces have taken back what stood before them: what spinners leave."""
    if "\b" not in line:
        return line
    kept: list[str] = []
    for char in line:
        if char != "\b":
            kept.append(char)
        elif kept:
            kept.pop()
    return "".join(kept)


def _start(
    argv: Sequence[str], environ: Mapping[str, str], out: Output, err: Output
) -> subprocess.Popen[bytes]:
    # Without a buffer of the child's own, phases arrive when they begin.
    env = {**environ, "PYTHONUNBUFFERED": "1", "PYTHONIOENCODING": "utf-8"}
    return subprocess.Popen(
        argv,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=out.writer,
        stderr=err.writer,
        start_new_session=True,
    )


def _ended(process: subprocess.Popen[bytes]) -> int | None:
    try:
        return process.wait(_STEP)
    except subprocess.TimeoutExpired:
        return None


def _interrupt(process: subprocess.Popen[bytes]) -> None:
    """What Ctrl-C does in a terminal. Windows has nothing like it for another console: there it goes on."""
    if os.name != "nt":
        try:
            os.killpg(process.pid, signal.SIGINT)
        except ProcessLookupError:
            return  # it has just ended by itself


@contextmanager
def interrupts_kept() -> Iterator[list[int]]:
    """The interrupts since the start, kept from raising ``KeyboardInterrupt`` just anywhere."""
    seen: list[int] = []

    def remember(number: int, frame: FrameType | None) -> None:
        seen.append(number)

    if threading.current_thread() is not threading.main_thread():
        yield seen  # interrupts never come here
        return
    former = signal.signal(signal.SIGINT, remember)
    try:
        yield seen
    finally:
        signal.signal(signal.SIGINT, former)
