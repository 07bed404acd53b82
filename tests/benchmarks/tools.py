"""The tools that are compared: how each is started, and what its fresh environments are."""

from __future__ import annotations

import importlib.metadata
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import conda_pypi_bridge
from tests.lab.condas import Home, make_root, python_of, run, site_packages
from tests.lab.pythons import interpreters, make_channel

Words = Sequence[str | Path]


class Tool(ABC):
    """A way of installing; `name` is the column it has. Its caches are in the home it is run in."""

    name: str

    @abstractmethod
    def version(self) -> str:
        """What is measured: every version that matters."""

    @abstractmethod
    def command(self, prefix: Path, index: str, specs: Sequence[str]) -> Words:
        """What installs `specs` (PEP 508) from the index at the URL `index`, asking nothing.

        With ``--dry-run`` behind it, every tool looks everything up and installs nothing.
        """

    def home(self, path: Path) -> Home:
        """A home folder with empty caches."""
        return Home.make(path, [])

    def make_prefix(self, path: Path) -> None:
        """A fresh environment for the tool to install into."""
        venv.EnvBuilder(symlinks=os.name != "nt").create(path)


class Pip(Tool):
    """The newest pip of the index, in the environment that it installs into; `folder` is for a template.

    It caches nothing from a server without TLS that it is not told to trust.
    """

    name = "pip"

    def __init__(self, folder: Path, index: str, env: Mapping[str, str]) -> None:
        self._template = folder / "with-pip"
        venv.EnvBuilder(symlinks=True, with_pip=True).create(self._template)
        upgrade = self.command(self._template, index, ["pip"])
        run([*upgrade, "--upgrade"], {**self.home(folder / "pip-home").environment(), **env})

    def version(self) -> str:
        (info,) = site_packages(self._template).glob("pip-*.dist-info")
        return info.name.removesuffix(".dist-info").replace("-", " ")

    def make_prefix(self, path: Path) -> None:
        super().make_prefix(path)
        for part in site_packages(self._template).glob("pip*"):
            shutil.copytree(part, site_packages(path) / part.name)  # modification times too: bytecode counts

    def command(self, prefix: Path, index: str, specs: Sequence[str]) -> Words:
        trust = ["--trusted-host", index.split("/")[2]] if index.startswith("http:") else []
        return [python_of(prefix), "-m", "pip", "install", "--index-url", index, *trust, *specs]


@dataclass(frozen=True)
class Uv(Tool):
    """uv's pip interface, which leaves bytecode to the first import unless told to `compile`."""

    compile: bool = False

    @property
    def name(self) -> str:  # type: ignore[override]
        return "uv+pyc" if self.compile else "uv"

    def version(self) -> str:
        return f"uv {importlib.metadata.version('uv')}"

    def command(self, prefix: Path, index: str, specs: Sequence[str]) -> Words:
        uv = Path(sysconfig.get_path("scripts")) / "uv"
        extra = ["--compile-bytecode"] if self.compile else []
        words = [uv, "pip", "install", "--no-config", "--python", python_of(prefix), *extra]
        return [*map(str, words), "--index-url", index, *specs]


class Module(Tool):
    """``python -m conda_pypi_bridge`` of the running Python, into a virtual environment."""

    name = "python -m door"

    def version(self) -> str:
        rattler = importlib.metadata.version("py-rattler")
        return f"conda-pypi-bridge {_commit()}, py-rattler {rattler}"

    def command(self, prefix: Path, index: str, specs: Sequence[str]) -> Words:
        words = [sys.executable, "-m", "conda_pypi_bridge", "install", "-y", "-p", str(prefix)]
        return [*words, "-i", index, *specs]


class Laboratory:
    """A conda, and what any conda needs: a channel that has Python, and a cache that has it extracted."""

    def __init__(self, folder: Path, kept: Path) -> None:
        self.folder = folder
        self.python = next(iter(interpreters()))
        self.channel = folder / "channel"
        self.packages = folder / "packages"
        self.channel.mkdir(parents=True)
        make_channel(self.channel, [self.python], kept)

    @cached_property
    def conda(self) -> Path:
        """conda 24.7.1."""
        return make_root(self.folder / "conda")


class CondaTool(Tool):
    """A subcommand of the conda that `words` start; environments are conda's, with Python and no more.

    Its solver is the one that the variable CONDA_SOLVER names, else conda's default. Without `words` it is
    the laboratory's conda, with the only solver that it has.
    """

    def __init__(self, words: Sequence[str], laboratory: Laboratory) -> None:
        self._settings = {"solver": os.environ.get("CONDA_SOLVER"), "sat_solver": None} if words else {}
        self.conda = tuple(words or [str(laboratory.conda)])
        self._laboratory = laboratory
        self._maker = self.home(laboratory.folder / f"{self.name} home")
        self._maker.configure(pkgs_dirs=[str(laboratory.packages)])

    def home(self, path: Path) -> Home:
        home = Home.make(path, [self._laboratory.channel], [self._laboratory.packages])
        home.settings.update(self._settings)
        for name in [name for name, value in home.settings.items() if value is None]:
            del home.settings[name]
        home.configure()
        return home

    def make_prefix(self, path: Path) -> None:
        wanted = [f"python={self._laboratory.python.version}", "python_abi"]
        self._tell("create", "-y", "-p", path, *wanted)

    def version(self) -> str:
        solver = self._maker.settings.get("solver", "default")
        return f"{self._tell('--version').strip()}, {solver} solver"

    def root(self) -> Path:
        """The root prefix of this conda."""
        return Path(json.loads(self._tell("info", "--json"))["root_prefix"])

    def _tell(self, *words: str | Path) -> str:
        """What conda prints, apart from what is measured."""
        return run([*self.conda, *words], self._maker.environment(), cwd=self._maker.path).stdout


class CondaDoor(CondaTool):
    """``conda pypi-install``."""

    name = "conda door"

    def version(self) -> str:
        return f"conda-pypi-bridge {_commit()}, {super().version()}"

    def command(self, prefix: Path, index: str, specs: Sequence[str]) -> Words:
        return [*self.conda, "pypi-install", "-y", "-p", prefix, "-i", index, *specs]


class CondaPypi(CondaTool):
    """``conda pypi install`` of conda-pypi."""

    name = "conda-pypi"

    def version(self) -> str:
        found = sorted(self.root().glob("lib/python3.*/site-packages/conda_pypi-*.dist-info"))
        number = found[0].name.split("-")[1].removesuffix(".dist") if found else "of an unknown version"
        return f"conda-pypi {number}, {super().version()}"

    def command(self, prefix: Path, index: str, specs: Sequence[str]) -> Words:
        return [*self.conda, "pypi", "install", "-y", "-p", prefix, "--index-url", index, *specs]


def _commit() -> str:
    """Our version, with the commit where this is a clone."""
    version = conda_pypi_bridge.__version__
    command = ["git", "-C", str(Path(conda_pypi_bridge.__file__).parent), "describe", "--always", "--dirty"]
    done = subprocess.run(command, capture_output=True, text=True)
    return f"{version} ({done.stdout.strip()})" if done.stdout else version
