"""Where faults happen: a home, an environment and a TMPDIR in one folder that can be put back as it was."""

from __future__ import annotations

import shutil
import subprocess
import sys
import venv
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from tests.faults.cases import Case, fill_channel, fill_index
from tests.indexserver import IndexServer
from tests.lab.condas import Conda, Home, Result, make_root, run
from tests.lab.pythons import interpreters, make_channel

#: The index, by a name that no port is part of, so that records and caches are alike in every run: the
#: server is reached as the proxy for it.
INDEX_HOST = "index.invalid"
INDEX = f"http://{INDEX_HOST}/simple/"

#: Ways to the bridge: conda's subcommand; ``python -m`` for a conda environment; the same for a virtual one.
DOORS = ("conda", "python-m", "venv")

#: Seconds after which a command counts as hung.
PATIENCE = 120.0


@dataclass(frozen=True, kw_only=True)
class World:
    """What one user has: all that a command may change is below `folder`."""

    folder: Path
    conda: Path
    channel: Path
    proxy: str

    @property
    def prefix(self) -> Path:
        return self.folder / "prefix"

    @property
    def tmp(self) -> Path:
        return self.folder / "tmp"

    @property
    def home(self) -> Home:
        return Home(path=self.folder / "home", settings={})

    def environment(self) -> dict[str, str]:
        """The variables of every command: nothing is written beside the modules that it imports."""
        proxies = dict.fromkeys(("http_proxy", "HTTP_PROXY"), self.proxy)
        direct = {"no_proxy": "", "NO_PROXY": ""}
        fixed = {
            "TMPDIR": str(self.tmp),
            "PIP_INDEX_URL": INDEX,
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONHASHSEED": "0",
        }
        return {**self.home.environment(), **proxies, **direct, **fixed}

    def run(self, command: Sequence[str], *, check: bool = True) -> Result:
        """One command, to its end."""
        return run(command, self.environment(), cwd=self.folder, check=check, timeout=PATIENCE)

    def command(self, door: str, verb: str, specs: Sequence[str], prefix: Path | None = None) -> list[str]:
        """The words that install `specs`, or remove them, through a door.

        A virtual environment has no channels until somebody names one.
        """
        where = ["-p", str(prefix or self.prefix), "-y", *specs]
        if door == "venv" and verb == "install":
            where += ["-c", self.channel.as_uri()]
        if door != "conda":
            return [sys.executable, "-m", "conda_pypi_bridge", verb, *where]
        words = ["pypi-install"] if verb == "install" else ["pypi-bridge", verb]
        return [str(self.conda), *words, *where]

    def next_commands(self, door: str) -> list[list[str]]:
        """Commands that somebody may run next; a virtual environment is none that conda lists."""
        doctor = [sys.executable, "-m", "conda_pypi_bridge", "doctor", "-p", str(self.prefix)]
        listing = [str(self.conda), "list", "-p", str(self.prefix)]
        return [doctor] if door == "venv" else [doctor, listing]

    def take(self, door: str, steps: Sequence[tuple[str, tuple[str, ...]]]) -> None:
        """Take steps that lead to where a case begins: ``pip`` or a verb, and its specs."""
        for verb, specs in steps:
            if verb == "pip":
                self._pip_install(specs)
            else:
                self.run(self.command(door, verb, specs))

    def warm(self, door: str, case: Case) -> None:
        """Have the caches hold what the case needs: another environment gets it first."""
        other = self.folder / "other"
        self.run(["cp", "-a", str(self.prefix), str(other)])
        self.run(self.command(door, case.verb, case.specs, other))
        shutil.rmtree(other)

    def save(self, place: Path) -> Path:
        """Copy everything to `place`, links among the files included; returns `place`."""
        return _copy(self.folder, place)

    def restore(self, place: Path) -> None:
        """Have everything as it was at `save`."""
        _copy(place, self.folder)

    def _pip_install(self, specs: Sequence[str]) -> None:
        pip = [sys.executable, "-m", "pip", "--python", str(self.prefix / "bin" / "python"), "install", "-q"]
        self.run([*pip, "--no-deps", "--no-cache-dir", "--trusted-host", INDEX_HOST, *specs])


@dataclass(frozen=True, kw_only=True)
class Laboratory:
    """What worlds are made of: conda, channels, a package cache with their Python, an index at `proxy`.

    `folder` takes the worlds; whoever works at the same time needs another one (`apart`).
    """

    folder: Path
    conda: Path
    channels: tuple[Path, ...]
    packages: Path
    python: str
    proxy: str

    def world(self, name: str = "world") -> World:
        """A world, which may not be there yet."""
        channel = self.channels[0]
        return World(folder=self.folder / name, conda=self.conda, channel=channel, proxy=self.proxy)

    def fresh(self, door: str) -> World:
        """The world anew: empty caches, and an environment that holds Python alone."""
        world, kept = self.world(), self.folder / "fresh" / door
        if kept.exists():
            world.restore(kept)
            return world
        shutil.rmtree(world.folder, ignore_errors=True)
        Home.make(world.home.path, self.channels, [self.packages])
        world.tmp.mkdir()
        self.make_prefix(world, door, world.prefix)
        world.save(kept)
        return world

    def make_prefix(self, world: World, door: str, prefix: Path) -> None:
        """An environment that holds Python alone."""
        if door == "venv":
            venv.EnvBuilder(symlinks=True).create(prefix)
        else:
            world.run([str(self.conda), "create", "-p", str(prefix), f"python={self.python}"])

    def apart(self, name: str) -> Laboratory:
        """The same with a folder of its own."""
        folder = self.folder / name
        folder.mkdir(exist_ok=True)
        return replace(self, folder=folder)


@contextmanager
def equipped(folder: Path, conda: Path, channel: Path, packages: Path, python: str) -> Iterator[Laboratory]:
    """A laboratory whose parts are there; it adds a second channel, and an index as long as it is open."""
    with IndexServer() as index:
        fill_index(index)
        yield Laboratory(
            folder=folder,
            conda=conda,
            channels=(fill_channel(folder / "extra"), channel),
            packages=packages,
            python=python,
            proxy=index.base,
        )


@contextmanager
def laboratory(folder: Path) -> Iterator[Laboratory]:
    """A laboratory with everything new, in an empty folder."""
    python = next(interpreters())
    channel = make_channel(folder / "channel", [python], folder / "kept")
    (folder / "root").mkdir()
    conda = make_root(folder / "root")
    home = Home.make(folder / "home", [channel])
    home.configure(pkgs_dirs=[str(folder / "packages")])
    words = ("create", "-n", "any", f"python={python.version}", "--download-only")
    Conda(command=(str(conda),), home=home)(*words)
    with equipped(folder, conda, channel, folder / "packages", python.version) as made:
        yield made


def _copy(source: Path, target: Path) -> Path:
    shutil.rmtree(target, ignore_errors=True)
    target.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(["cp", "-a", str(source), str(target)], check=True)
    return target
