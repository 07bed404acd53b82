"""One fault: what happens at which call, and a command to which it happens."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.faults.laboratory import PATIENCE, World
from tests.faults.tracing import FAST, following

SIGNALS = ("SIGKILL", "SIGINT", "SIGTERM")
ERRORS = ("ENOSPC", "EACCES", "EROFS", "EIO")

_FAULT = re.compile(r"(?P<what>\w+)(?P<lasting>\+?)@(?P<call>\w+):(?P<number>\d+):(?P<path>.*)")
_STOPPED = "stopped by SIGSTOP"

#: Seconds between two looks at a command.
_PAUSE = 0.004


@dataclass(frozen=True, kw_only=True)
class Fault:
    """`what` happens at the `number`-th call of that name that touches `path`, relative to the world.

    An empty path means any. `what` is a signal or an error; one that is `lasting` stays: a disk that is
    full, a folder that cannot be written, from that call on.
    """

    what: str
    call: str
    number: int
    path: str = ""
    lasting: bool = False

    def __str__(self) -> str:
        return f"{self.what}{'+' * self.lasting}@{self.call}:{self.number}:{self.path}"

    @classmethod
    def parse(cls, text: str) -> Fault:
        """What `str` wrote."""
        match = _FAULT.fullmatch(text)
        if match is None:
            raise ValueError(f"{text!r} names no fault")
        named = match.groupdict()
        return cls(
            what=named["what"],
            call=named["call"],
            number=int(named["number"]),
            path=named["path"],
            lasting=bool(named["lasting"]),
        )

    @property
    def is_signal(self) -> bool:
        return self.what in SIGNALS


@dataclass(frozen=True, kw_only=True)
class Struck:
    """What became of a command: whether the fault `fired`, the exit status, both streams.

    `hung` is true of one that had to be ended; `group` is its process group, in which children of it may
    still be at work.
    """

    fired: bool
    hung: bool
    status: int
    output: str
    group: int


def strike(world: World, command: Sequence[str], fault: Fault, paths: dict[str, list[str]]) -> Struck:
    """Run a command to which `fault` happens.

    A signal is sent from outside, as ``kill`` and a terminal do: strace only stops the process at the
    call. `paths` are those that a lasting error is about, by the name of the call.
    """
    log = world.folder.with_name("strace.log")
    log.unlink(missing_ok=True)
    output = world.folder.with_name("output")
    began = time.monotonic()
    with output.open("w") as streams:
        process = subprocess.Popen(
            [*following(log), *_expressions(world, fault, paths), *command],
            env=world.environment(),
            cwd=world.folder,
            stdin=subprocess.DEVNULL,
            stdout=streams,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        sent = False
        while process.poll() is None and time.monotonic() - began < PATIENCE:
            if _STOPPED in _text(log):
                if not sent:
                    _send(process.pid, fault.what)
                sent = True
                resume(process.pid)
            time.sleep(_PAUSE)
    hung = process.poll() is None
    if hung:
        os.killpg(process.pid, signal.SIGKILL)
    status = process.wait()
    fired = sent if fault.is_signal else "(INJECTED)" in _text(log)
    text = output.read_text(errors="replace")
    return Struck(fired=fired, hung=hung, status=status, output=text, group=process.pid)


def _send(pid: int, name: str) -> None:
    """Ctrl-C reaches the whole process group of a terminal; ``kill`` one process."""
    number = getattr(signal, name)
    if name == "SIGINT":
        os.killpg(pid, number)
    else:
        os.kill(pid, number)


def resume(group: int) -> None:
    """Let those go on that strace stopped: a call counts anew in every thread and child."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, signal.SIGCONT)


def _expressions(world: World, fault: Fault, paths: dict[str, list[str]]) -> list[str]:
    """The filter and the injection, in strace's words."""
    if fault.lasting:
        names = ",".join(sorted(paths))
        everything = sorted({path for some in paths.values() for path in some})
        filters = [word for path in everything for word in ("-P", path)]
        return [*FAST, *filters, "-e", f"trace={names}", "-e", f"inject={names}:error={fault.what}"]
    filters = ["-P", str(world.folder / fault.path)] if fault.path else []
    happens, fast = ("signal=SIGSTOP", ()) if fault.is_signal else (f"error={fault.what}", FAST)
    injection = f"inject={fault.call}:{happens}:when={fault.number}"
    return [*fast, *filters, "-e", f"trace={fault.call}", "-e", injection]


def _text(log: Path) -> str:
    try:
        return log.read_text(errors="replace")
    except FileNotFoundError:
        return ""


def is_alive(group: int) -> bool:
    """Whether a process group has members that run."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, _, pgrp = stat.read_text().rpartition(")")[2].split()[:3]
            if int(pgrp) == group and state != "Z":
                return True
    return False


def ends(group: int, seconds: float) -> bool:
    """Whether a process group comes to its end in time."""
    deadline = time.monotonic() + seconds
    while is_alive(group):
        if time.monotonic() > deadline:
            return False
        resume(group)
        time.sleep(_PAUSE)
    return True
