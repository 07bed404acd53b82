"""The system calls by which a command changes files, as strace sees them."""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

#: Calls that grow what is on the disk, by what can go wrong with them; a full disk stops these alone.
GROWING = ("write", "pwrite64", "writev", "copy_file_range", "fallocate", "ftruncate")
MAKING = ("link", "linkat", "symlink", "symlinkat", "mkdir", "mkdirat", "rename", "renameat", "renameat2")
OPENING = ("open", "openat", "creat")
ENDING = ("unlink", "unlinkat", "rmdir")
MARKING = ("chmod", "fchmod", "fchmodat", "utimensat")
SYNCING = ("fsync", "fdatasync")
CHANGING = (*GROWING, *MAKING, *OPENING, *ENDING, *MARKING, *SYNCING)

_LINE = re.compile(r"(\d+) +(\w+)\((.*)")
_STRING = re.compile(r'"((?:[^"\\]|\\.)*)"')
_DESCRIPTOR = re.compile(r"(?<![\w<])\d+<(/[^>]*)>")
_WRITING_FLAGS = re.compile(r"O_(WRONLY|RDWR|CREAT|TRUNC)")


#: Of these calls, strace's path filter compares the first path alone (as of 6.1).
_SEEN = {"rename": 1, "symlink": 1}


@dataclass(frozen=True, kw_only=True)
class Call:
    """One call of the thread `tid`; `paths` are what strace's path filter would see of it.

    `changes` is false for an `openat` that only reads.
    """

    tid: int
    name: str
    paths: tuple[str, ...]
    changes: bool


def strace() -> str:
    """The command; whoever lacks it is told how to get it, because no fault means no proof."""
    found = shutil.which("strace")
    if found is None:
        raise RuntimeError("faults are injected with strace, which is missing: apt-get install strace")
    return found


def tracing(log: Path) -> list[str]:
    """Words before a command that have its calls written to `log`."""
    names = ",".join(f"?{name}" for name in CHANGING)
    return [*following(log), *FAST, "-y", "-s", "0", "-e", f"trace={names}"]


#: Only calls of interest stop a process. strace then loses the signals that it is to inject (as of 6.1).
FAST = ("--seccomp-bpf",)


def following(log: Path) -> list[str]:
    """What every use of strace begins with: the command stays a child of the caller."""
    return [strace(), "-D", "-f", "--quiet=attach,exit", "-e", "signal=SIGSTOP", "-o", str(log)]


def read_calls(log: Path) -> list[Call]:
    """The calls in the order in which they began."""
    matches = (_LINE.match(line) for line in log.read_text(errors="replace").splitlines())
    return [_call(int(match[1]), match[2], match[3]) for match in matches if match]


def _call(tid: int, name: str, arguments: str) -> Call:
    asked = arguments.rpartition(") = ")[0] or arguments
    strings = [] if name in GROWING else _STRING.findall(asked)[: _SEEN.get(name)]
    paths = dict.fromkeys([*strings, *_DESCRIPTOR.findall(asked)])
    changes = name not in OPENING or name == "creat" or bool(_WRITING_FLAGS.search(asked))
    return Call(tid=tid, name=name, paths=tuple(paths), changes=changes)


def matching(calls: Sequence[Call], name: str, path: str) -> list[int]:
    """Where the calls of that name are that touch `path`; every path where it is empty."""
    return [n for n, call in enumerate(calls) if call.name == name and (not path or path in call.paths)]
