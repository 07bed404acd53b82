"""Real condas, each run in a private home: nothing of the machine's configuration reaches a test."""

from __future__ import annotations

import importlib.util
import json
import os
import shlex
import shutil
import subprocess
import sysconfig
import venv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

#: Variables of the caller's environment that would change what conda, pip, Python or the bridge do.
SCRUBBED = ("CONDA", "_CE_", "MAMBA", "PIP_", "UV_", "PYTHON", "VIRTUAL_ENV", "XDG_", "JUPYTER", "IPYTHON")

#: No index listens there, so a test that forgot to name its own fails at once.
NO_INDEX = "http://127.0.0.1:9/simple/"

#: The SAT interface of conda's classic solver that is installed: python-sat has wheels, so a machine
#: without a compiler has it; conda's default, pycosat, comes as source alone.
SAT_SOLVER = "pysat" if importlib.util.find_spec("pysat") else "pycosat"

#: conda's own start script; guarded, because conda spawns worker processes, which import it.
SCRIPT = """import sys

if __name__ == "__main__":
    from conda.cli import main

    sys.exit(main())
"""

#: Changes to an environment; None removes a variable.
Changes = Mapping[str, str | None]


class Result(subprocess.CompletedProcess[str]):
    """What a command did; its streams are text."""

    def json(self) -> Any:
        """Standard output, which must be one JSON document and nothing else."""
        return json.loads(self.stdout)


def run(
    command: Sequence[str | Path],
    env: Mapping[str, str],
    *,
    check: bool = True,
    cwd: Path | None = None,
    input: str = "",
    timeout: float = 300,
) -> Result:
    """Run `command` in exactly `env`; `check` fails the test, with both streams, on a bad exit status."""
    __tracebackhide__ = True
    done = subprocess.run(
        command, env=env, cwd=cwd, input=input, timeout=timeout, capture_output=True, text=True
    )
    result = Result(done.args, done.returncode, done.stdout, done.stderr)
    if check and result.returncode:
        line = shlex.join(map(str, command))
        raise AssertionError(f"{line}\nexit {done.returncode}\n{done.stdout}\n{done.stderr}")
    return result


def overlay(env: Mapping[str, str], changes: Changes | None) -> dict[str, str]:
    """`env` with `changes` made."""
    merged = {**env, **(changes or {})}
    return {name: value for name, value in merged.items() if value is not None}


@dataclass(frozen=True, kw_only=True)
class Home:
    """A private home folder with a ``.condarc``: what one user sees, whichever tool they run."""

    path: Path
    settings: dict[str, Any]

    @classmethod
    def make(cls, path: Path, channels: Sequence[Path], packages: Sequence[Path] = ()) -> Home:
        """`packages` are package caches to read after the home's own, which is empty."""
        path.mkdir(parents=True)
        settings = {
            "channels": [channel.as_uri() for channel in channels],
            "default_channels": [],
            "solver": "classic",
            "sat_solver": SAT_SOLVER,
            "pkgs_dirs": [str(path / "pkgs"), *map(str, packages)],
            "envs_dirs": [str(path / "envs")],
            "add_pip_as_python_dependency": False,
            "always_yes": True,
            "notify_outdated_conda": False,
            "number_channel_notices": 0,
            "report_errors": False,
        }
        home = cls(path=path, settings=settings)
        home.configure()
        return home

    def configure(self, **changes: Any) -> None:
        """Write the condarc anew with `changes` to the settings it was made with (JSON is YAML)."""
        self.settings.update(changes)
        self.condarc.write_text(json.dumps(self.settings, indent=1))

    def use_channels(self, *channels: Path) -> None:
        """Make these the channels, first the one that wins."""
        self.configure(channels=[channel.as_uri() for channel in channels])

    @property
    def condarc(self) -> Path:
        return self.path / ".condarc"

    @property
    def envs(self) -> Path:
        """The folder of named environments."""
        return self.path / "envs"

    @property
    def pkgs(self) -> Path:
        """The home's own package cache, which comes first."""
        return self.path / "pkgs"

    def environment(self) -> dict[str, str]:
        """The variables of a process that belongs to this home."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(SCRUBBED)}
        return {
            **kept,
            "HOME": str(self.path),
            "USERPROFILE": str(self.path),
            "XDG_CACHE_HOME": str(self.path / ".cache"),
            "XDG_CONFIG_HOME": str(self.path / ".config"),
            "XDG_DATA_HOME": str(self.path / ".local" / "share"),
            "XDG_STATE_HOME": str(self.path / ".local" / "state"),
            "PIP_CONFIG_FILE": os.devnull,
            "PIP_INDEX_URL": NO_INDEX,
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
            "PYTHONUTF8": "1",
        }


@dataclass(frozen=True, kw_only=True)
class Conda:
    """A conda command as a user of `home` runs it; calling it runs one."""

    command: tuple[str, ...]
    home: Home
    env: dict[str, str] = field(default_factory=dict)

    def __call__(self, *args: str | Path, env: Changes | None = None, **options: Any) -> Result:
        """``conda ARGS``; `env` changes the environment, `options` are those of `run`."""
        return run([*self.command, *args], overlay(self.home.environment() | self.env, env), **options)

    def packages(self, prefix: Path) -> dict[str, dict[str, Any]]:
        """``conda list --json`` of a prefix, by name."""
        return {row["name"]: row for row in self("list", "-p", prefix, "--json").json()}


def make_root(folder: Path) -> Path:
    """A conda installation whose conda is the vendored one; returns its ``bin/conda``.

    It is an environment of its own, so that the root prefix, ``sys.prefix`` and ``python -m conda``
    are what they are in any conda. Its Python sees the packages of the running one, plugins included.
    """
    venv.EnvBuilder(symlinks=os.name != "nt").create(folder)
    python = python_of(folder)
    site = site_packages(folder)
    shutil.copy2(Path(__file__).with_name("conda_from_lock.py"), site)
    folders = sorted({sysconfig.get_path("purelib"), sysconfig.get_path("platlib")})
    lines = ["import conda_from_lock", *(f"import site; site.addsitedir({folder!r})" for folder in folders)]
    (site / "laboratory.pth").write_text("\n".join(lines) + "\n")
    conda = python.with_name("conda")
    # A path with spaces cannot follow "#!": this is how pip and conda start such scripts.
    start = f"#!/bin/sh\n'''exec' \"{python}\" \"$0\" \"$@\"\n' '''" if " " in str(python) else f"#!{python}"
    conda.write_text(f"{start}\n{SCRIPT}")
    conda.chmod(0o755)
    (folder / "condabin").mkdir()
    shutil.copy2(conda, folder / "condabin")
    (folder / "conda-meta").mkdir()
    (folder / "conda-meta" / "history").touch()
    return conda


def python_of(prefix: Path) -> Path:
    """The interpreter of a conda environment or a virtual environment."""
    if os.name != "nt":
        return prefix / "bin" / "python"
    inside = prefix / "Scripts" / "python.exe"
    return inside if inside.exists() else prefix / "python.exe"


def site_packages(prefix: Path) -> Path:
    """The one ``site-packages`` of a prefix."""
    if os.name == "nt":
        return prefix / "Lib" / "site-packages"
    (folder,) = (prefix / "lib").glob("python3.*/site-packages")
    return folder


def machine_index() -> dict[str, str | None]:
    """Environment changes that let a process use this machine's own package index (``network`` tests)."""
    files = [Path.home() / ".config" / "pip" / "pip.conf", Path.home() / ".pip" / "pip.conf"]
    return {
        "PIP_INDEX_URL": None,
        "PIP_CONFIG_FILE": next((str(path) for path in files if path.exists()), None),
        **{name: value for name, value in os.environ.items() if name.startswith("PIP_")},
    }


def other_condas() -> dict[str, tuple[str, ...]]:
    """Further real condas, by test id: ``path`` for the one on PATH, ``CPB_CONDA`` for the one that names.

    One on PATH counts where it loads the bridge's plugin; one that `CPB_CONDA` names must.
    """
    found = {}
    if named := shlex.split(os.environ.get("CPB_CONDA", "")):
        if not _loads_plugin(named):
            raise RuntimeError(f"CPB_CONDA: {shlex.join(named)} does not load the plugin")
        found["CPB_CONDA"] = tuple(named)
    on_path = shutil.which("conda")
    if on_path and _loads_plugin([on_path]):
        found["path"] = (on_path,)
    return found


def _loads_plugin(command: Sequence[str]) -> bool:
    done = subprocess.run([*command, "pypi-install", "--help"], capture_output=True, stdin=subprocess.DEVNULL)
    return done.returncode == 0
