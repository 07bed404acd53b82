"""What was measured: one run of one tool, and all runs of one comparison, kept as JSON."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tests.benchmarks import timed


@dataclass(frozen=True, kw_only=True)
class Usage:
    """What a command took: wall seconds, user and system seconds, peak memory in bytes (`timed.run`).

    `status` is its exit status, and `output` the end of what it said.
    """

    status: int
    seconds: float
    cpu: float
    memory: int
    output: str = ""

    @classmethod
    def of(
        cls, command: Sequence[str | Path], env: Mapping[str, str], folder: Path, *, timeout: float = 600
    ) -> Usage:
        """Run `command` in exactly `env` and in `folder`, for `timeout` seconds at most."""
        report, said = folder / "usage", folder / "output"
        start = [sys.executable, "-I", "-S", timed.__file__, str(report), str(timeout)]
        with said.open("wb") as output:
            subprocess.run(
                [*start, *command],
                env=env,
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                check=True,
            )
        status, seconds, cpu, memory = report.read_text().split()
        return cls(
            status=int(status),
            seconds=float(seconds),
            cpu=float(cpu),
            memory=int(memory),
            output=said.read_text(errors="replace")[-2000:],
        )


@dataclass(frozen=True, kw_only=True)
class Run:
    """One measured command. `requests` and `size` are what the index sent (None where nobody counted).

    `packages` are the distributions that were there afterwards, `compiled` the part of their modules that
    has bytecode. `failure` says why the run does not count.
    """

    tool: str
    request: str
    situation: str
    seconds: float = 0.0
    cpu: float = 0.0
    memory: int = 0
    requests: int | None = None
    size: int | None = None
    packages: int = 0
    compiled: float = 0.0
    failure: str = ""


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Runs made on one machine, one after the other, with all that is needed to read them.

    `tools` maps names to versions, `absent` maps those that were not there to the reason; `facts` are
    sentences about machine, index and conditions.
    """

    tools: Mapping[str, str]
    absent: Mapping[str, str] = field(default_factory=dict)
    facts: Sequence[str] = ()
    runs: Sequence[Run] = ()

    @property
    def situations(self) -> list[str]:
        return list(dict.fromkeys(run.situation for run in self.runs))

    @property
    def requests(self) -> list[str]:
        return list(dict.fromkeys(run.request for run in self.runs))

    def of(self, situation: str, request: str, tool: str) -> list[Run]:
        """The runs of one cell, failed ones included."""
        wanted = (situation, request, tool)
        return [run for run in self.runs if (run.situation, run.request, run.tool) == wanted]

    def median(self, situation: str, request: str, tool: str) -> float | None:
        """The median of the wall seconds, None where there is no run that counts."""
        return middle(self.of(situation, request, tool), lambda run: run.seconds)

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Comparison:
        document: dict[str, Any] = json.loads(text)
        return cls(**{**document, "runs": [Run(**run) for run in document["runs"]]})


def counted(runs: Sequence[Run]) -> Iterator[Run]:
    """Those that did what was asked."""
    return (run for run in runs if not run.failure)


def middle(runs: Sequence[Run], value: Callable[[Run], float | None]) -> float | None:
    """The median of a value of the runs that count, None where there is none."""
    values = [number for run in counted(runs) if (number := value(run)) is not None]
    return statistics.median(values) if values else None
