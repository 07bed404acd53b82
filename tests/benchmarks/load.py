"""What the channel server bears: a real one, a generated index on loopback, and many clients at once.

    python -m tests.benchmarks.load --seconds 5 --json load.json

warm: clients ask for shards, for repodata and for a package that are there, for so many seconds. cold: 50
clients ask at once for the shard of a project that nobody asked for before; it must be built once. The
clients run on the same machine and take their share of it. Memory is that of the server's process (Linux).
"""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from pathlib import Path
from statistics import median, quantiles
from typing import Any
from urllib.parse import urlsplit

from tests.benchmarks.compare import facts
from tests.benchmarks.server import BenchmarkIndex
from tests.benchmarks.tables import aligned
from tests.channelserver import Command, serve_words, unpacked
from tests.lab.condas import Home

#: How many ask at once for what is not there yet.
COLD = 50

Row = dict[str, Any]


def main(words: Sequence[str] | None = None) -> int:
    """Measure, print and keep; returns the exit status."""
    args = arguments(words)
    rows = measured(args.clients, args.seconds, args.size)
    print(table(rows))
    print("\n".join(f"- {fact}" for fact in facts("a generated index on loopback", 1)))
    if args.json:
        args.json.write_text(json.dumps(rows, indent=1))
    return 0


def arguments(words: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.load",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--clients", type=int, default=16, metavar="N", help="at once, for what is there (default: 16)")
    add("--seconds", type=float, default=5.0, metavar="S", help="of each kind of request (default: 5)")
    add("--size", type=int, default=4, metavar="MB", help="of the package that is built (default: 4)")
    add("--json", type=Path, metavar="FILE", help="keep the figures")
    return parser.parse_args(words)


def measured(clients: int, seconds: float, size: int) -> list[Row]:
    """All rows of the table."""
    with tempfile.TemporaryDirectory(prefix="load-") as place, BenchmarkIndex() as index:
        folder = Path(place).resolve()
        names = _fill(index, size)
        listed = folder / "projects.txt"
        listed.write_text("\n".join(names))
        words = serve_words("-i", index.url, "--projects", listed, "--subdir", "linux-64")
        with Command(words, Home.make(folder / "home", []).environment(), folder / "log") as command:
            rows = [_memory("started", command.process.pid)]
            paths = _shards(command.url)
            rows.append(_cold(command.url, paths["cold"], index))
            for name in names:
                _get(command.url, paths[name])
            rows.append(_memory(f"{len(names)} shards made", command.process.pid))
            package = next(iter(unpacked(_get(command.url, paths["cold"])[1])["packages.conda"]))
            kinds = {
                "warm shard": [paths[name] for name in names],
                "index, not changed": ["/noarch/repodata_shards.msgpack.zst"],
                "repodata.json.zst": ["/noarch/repodata.json.zst"],
                "package": [f"/noarch/{package}"],
            }
            rows += [_warm(command.url, kind, kinds[kind], clients, seconds) for kind in kinds]
            rows.append(_memory("afterwards", command.process.pid))
            command.end(signal.SIGTERM)
        return rows


def _fill(index: BenchmarkIndex, size: int) -> list[str]:
    """Projects of the index: one big one, ``cold``, and 20 small ones."""
    index.add("cold", "1.0", files={f"cold/{n}.bin": os.urandom(1 << 20) for n in range(size)})
    names = [f"small-{number}" for number in range(20)]
    for name in names:
        index.add(name, "1.0")
    return [*names, "cold"]


def _shards(channel: str) -> dict[str, str]:
    """The path of each name's shard below the channel."""
    index = unpacked(_get(channel, "/noarch/repodata_shards.msgpack.zst")[1])
    return {name: f"/noarch/shards/{digest.hex()}.msgpack.zst" for name, digest in index["shards"].items()}


def _cold(channel: str, path: str, index: BenchmarkIndex) -> Row:
    """Many ask at once for what has to be built."""
    index.calls.clear()
    gate = threading.Barrier(COLD)

    def ask(number: int) -> tuple[float, bytes]:
        gate.wait()
        began = time.perf_counter()
        status, body = _get(channel, path)
        assert status == 200, (status, body)
        return time.perf_counter() - began, body

    with ThreadPoolExecutor(COLD) as pool:
        answers = list(pool.map(ask, range(COLD)))
    assert len({body for _, body in answers}) == 1
    built = index.count(r"/cold-[^/]*\.whl$")
    assert built == 1, f"it was downloaded {built} times"
    return {"what": f"cold shard, {COLD} at once", "n": COLD, **_spread([took for took, _ in answers])}


def _warm(channel: str, what: str, paths: Sequence[str], clients: int, seconds: float) -> Row:
    """Clients that ask again and again over connections of their own."""
    end = time.perf_counter() + seconds

    def ask(number: int) -> list[float]:
        times: list[float] = []
        connection = HTTPConnection(urlsplit(channel).netloc)
        headers: dict[str, str] = {}
        while time.perf_counter() < end:
            path = paths[len(times) % len(paths)]
            began = time.perf_counter()
            connection.request("GET", urlsplit(channel).path + path, headers=headers)
            answer = connection.getresponse()
            answer.read()
            times.append(time.perf_counter() - began)
            assert answer.status in (200, 304), answer.status
            if what.endswith("not changed"):
                headers = {"If-None-Match": answer.headers["ETag"]}
        connection.close()
        return times

    began = time.perf_counter()
    with ThreadPoolExecutor(clients) as pool:
        times = [took for many in pool.map(ask, range(clients)) for took in many]
    elapsed = time.perf_counter() - began
    return {"what": what, "n": len(times), "per second": len(times) / elapsed, **_spread(times)}


def _spread(times: Sequence[float]) -> Row:
    return {
        "median": median(times),
        "p99": quantiles(times, n=100, method="inclusive")[98],
        "slowest": max(times),
    }


def _memory(what: str, pid: int) -> Row:
    """Resident memory of a process now, and the most that it ever was (proc(5)), in bytes."""
    status = Path(f"/proc/{pid}/status").read_text()
    found = dict(re.findall(r"^(Vm\w+):\s*(\d+) kB$", status, re.MULTILINE))
    now, peak = (int(found[key]) * 1024 for key in ("VmRSS", "VmHWM"))
    return {"what": f"memory: {what}", "now": now, "peak": peak}


def _get(channel: str, path: str) -> tuple[int, bytes]:
    parts = urlsplit(channel)
    connection = HTTPConnection(parts.netloc, timeout=120)
    connection.request("GET", parts.path + path)
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer.status, body


#: Columns: a key of a row, its title, and how it is written.
_COLUMNS: Sequence[tuple[str, str, Callable[[Any], str]]] = (
    ("n", "requests", str),
    ("per second", "per second", "{:.0f}".format),
    ("median", "median ms", lambda seconds: f"{seconds * 1000:.1f}"),
    ("p99", "p99 ms", lambda seconds: f"{seconds * 1000:.1f}"),
    ("slowest", "slowest ms", lambda seconds: f"{seconds * 1000:.1f}"),
    ("now", "MB", lambda size: f"{size / 1e6:.0f}"),
    ("peak", "peak MB", lambda size: f"{size / 1e6:.0f}"),
)


def table(rows: Sequence[Row]) -> str:
    """The figures for people."""
    head = ("what", *(title for _, title, _ in _COLUMNS))
    body = [
        (row["what"], *(write(row[key]) if key in row else "" for key, _, write in _COLUMNS)) for row in rows
    ]
    return aligned([head, *body], left=1)


if __name__ == "__main__":
    sys.exit(main())
