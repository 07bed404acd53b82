"""One round: a tool meets a request in every situation, each in a fresh environment made before the clock.

What a tool finds in its caches is what it left there itself:

cold: nothing. warm metadata: what a dry run left (which of conda-pypi is all: it has no other way to tell).
warm packages: what an installation left. satisfied: the same, and the very environment of that installation.
impossible: nothing, and a request that cannot be met.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.benchmarks.mirror import Mirror
from tests.benchmarks.runs import Run, Usage
from tests.benchmarks.server import BenchmarkIndex
from tests.benchmarks.tools import Tool
from tests.lab.condas import Home, site_packages

SITUATIONS = ("cold", "warm metadata", "warm packages", "satisfied", "impossible")

#: How often a round is begun anew because the mirror had to ask the index that it copies.
_TRIES = 5


@dataclass(frozen=True, kw_only=True)
class Request:
    """What is asked for (PEP 508), and further words; `fits` is false of what cannot be met."""

    specs: tuple[str, ...]
    options: tuple[str, ...] = ()
    fits: bool = True

    @property
    def name(self) -> str:
        return " ".join(self.specs)

    @property
    def projects(self) -> set[str]:
        return {canonicalize_name(Requirement(spec).name) for spec in self.specs}


@dataclass(frozen=True, kw_only=True)
class Bench:
    """Where runs are made: scratch `folder`, the index and its `url`, changes to the `env` of every tool.

    `server` is the index where it is on loopback, and counts.
    """

    folder: Path
    url: str
    server: BenchmarkIndex | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    timeout: float = 600

    def round(self, tool: Tool, request: Request, situations: Collection[str] = SITUATIONS) -> list[Run]:
        """What `tool` takes for `request`, in those of `situations` that it can be in.

        Only a round during which the mirror asked nobody counts.
        """
        for _ in range(_TRIES):
            before = self._fetched
            with _scratch(self.folder / "round") as folder:
                runs = _Round(bench=self, tool=tool, request=request, folder=folder).runs(situations)
            if self._fetched == before:
                return runs
        raise RuntimeError(f"{tool.name} asks the index for something new at every try for {request.name}")

    @property
    def _fetched(self) -> int:
        return self.server.fetched if isinstance(self.server, Mirror) else 0


@contextmanager
def _scratch(folder: Path) -> Iterator[Path]:
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


@dataclass(frozen=True, kw_only=True)
class _Round:
    bench: Bench
    tool: Tool
    request: Request
    folder: Path

    def runs(self, situations: Collection[str]) -> list[Run]:
        """The runs that are wanted; once one fails, those that need what it leaves fail for that."""
        if not self.request.fits:
            run = self._run("impossible", self._home("first"), self._prefix("first"))
            return [run] if "impossible" in situations else []
        used, first = self._home("first"), self._prefix("first")
        made = [self._run("cold", used, first)]
        after: dict[str, Callable[[], Run]] = {
            "satisfied": lambda: self._run("satisfied", used, first),
            "warm packages": lambda: self._run("warm packages", used, self._prefix("second")),
            "warm metadata": self._after_dry_run,
        }
        for situation, measure in after.items():
            if situation in situations:
                failed = replace(made[0], situation=situation)
                made.append(failed if made[0].failure else measure())
        wanted = [run for run in made if run.situation in situations]
        return sorted(wanted, key=lambda run: SITUATIONS.index(run.situation))

    def _after_dry_run(self) -> Run:
        home, prefix = self._home("second"), self._prefix("third")
        usage = self._usage(home, prefix, "--dry-run")
        run = self._run("warm metadata", home, prefix)
        return replace(run, failure=_last_words(usage)) if usage.status else run

    def _run(self, situation: str, home: Home, prefix: Path) -> Run:
        """One run, counted: in no situation but `impossible` may it fail, there it must."""
        server = self.bench.server
        os.sync()  # what making the environment left to write is not to be waited for in this run
        if server:
            server.reset()
        usage = self._usage(home, prefix)
        there = distributions(prefix)
        run = Run(
            tool=self.tool.name,
            request=self.request.name,
            situation=situation,
            seconds=usage.seconds,
            cpu=usage.cpu,
            memory=usage.memory,
            requests=server.sent_requests if server else None,
            size=server.sent_size if server else None,
            packages=len(there - {"pip"}),
            compiled=compiled(prefix),
        )
        return replace(run, failure=self._fault(usage, there))

    def _usage(self, home: Home, prefix: Path, *more: str) -> Usage:
        command = [*self.tool.command(prefix, self.bench.url, self.request.specs), *self.request.options]
        env = {**home.environment(), **self.bench.env}
        return Usage.of([*command, *more], env, home.path, timeout=self.bench.timeout)

    def _fault(self, usage: Usage, there: set[str]) -> str:
        """Why a run does not count, or nothing."""
        if usage.status < 0:
            return f"not done after {self.bench.timeout:g} s" if usage.status == -9 else "killed"
        if not self.request.fits:
            return "" if usage.status else "it found a solution"
        if usage.status:
            return _last_words(usage)
        missing = sorted(self.request.projects - there)
        return f"said it is done, but {missing[0]} is missing" if missing else ""

    def _home(self, name: str) -> Home:
        return self.tool.home(self.folder / f"home-{name}")

    def _prefix(self, name: str) -> Path:
        path = self.folder / f"env-{name}"
        self.tool.make_prefix(path)
        return path


def _last_words(usage: Usage) -> str:
    """Why a tool says it failed, as far as its last lines tell."""
    lines = [line.strip() for line in usage.output.splitlines() if line.strip()]
    return " ".join(lines[-3:])[-300:] or f"exit status {usage.status}"


def distributions(prefix: Path) -> set[str]:
    """The normalised names of the distributions in an environment."""
    found = site_packages(prefix).glob("*.dist-info")
    return {canonicalize_name(path.name.partition("-")[0]) for path in found}


def compiled(prefix: Path) -> float:
    """The part of the installed modules that has bytecode, pip's own aside; 0 where there is none."""
    site = site_packages(prefix)
    modules = caches = 0
    for path in site.rglob("*.py*"):
        if path.relative_to(site).parts[0] != "pip":
            modules += path.suffix == ".py"
            caches += path.suffix == ".pyc"
    return caches / modules if modules else 0.0
