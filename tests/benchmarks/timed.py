"""Run a command and write down what it took: ``timed.py REPORT TIMEOUT COMMAND...``.

A small process of its own, because Linux counts the memory of the process that forks as memory of the
one that is forked: measured from a large one, every command would seem large.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

#: Bytes in a unit of ``ru_maxrss`` (getrusage(2)): macOS has bytes, all others kilobytes.
RSS_UNIT = 1 if sys.platform == "darwin" else 1024


def run(command: list[str], timeout: float) -> tuple[int, float, float, int]:
    """Exit status, wall seconds, user and system seconds, and peak memory in bytes, of a whole process tree.

    The memory is that of its largest process; a status below zero is the number of a signal, which after
    `timeout` seconds is SIGKILL's. Processes that nobody waits for are not counted (wait4(2)).
    """
    began = time.perf_counter()
    pid = os.fork()
    if not pid:
        os.setsid()
        try:
            os.execvp(command[0], command)
        finally:
            os._exit(127)
    signal.signal(signal.SIGALRM, lambda *_: os.killpg(pid, signal.SIGKILL))
    signal.setitimer(signal.ITIMER_REAL, timeout)
    _, status, usage = os.wait4(pid, 0)
    seconds = time.perf_counter() - began
    signal.setitimer(signal.ITIMER_REAL, 0)
    cpu = usage.ru_utime + usage.ru_stime
    return os.waitstatus_to_exitcode(status), seconds, cpu, usage.ru_maxrss * RSS_UNIT


if __name__ == "__main__":
    measured = run(sys.argv[3:], float(sys.argv[2]))
    Path(sys.argv[1]).write_text(" ".join(map(str, measured)))
