"""Jupyter's kernelspecs: which there are, and one that starts an environment's kernel as if activated.

What a kernel's process loads at its start (shared libraries, say) sees the variables that it is started
with; only the kernelspec can set those. Standard library only.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import ConfigError, PrefixError
from . import shell
from .changes import owner_of
from .files import mapping, write

#: Our entry in ``metadata`` of kernel.json: the environment, and what stood there before us.
_OURS = "conda_pypi_bridge"

#: The program beside kernel.json that runs activation scripts.
_STARTER = "activate.py"

#: Jupyter's rule for names of kernels.
_NAME = re.compile(r"[A-Za-z0-9._-]+")

_PYTHON = re.compile(r"pythonw?[\d.]*t?(?:\.exe)?", re.IGNORECASE)

_LAUNCH = ("-m", "ipykernel_launcher", "-f", "{connection_file}")


@dataclass(frozen=True, kw_only=True)
class Kernelspec:
    """One installed kernelspec; `document` is its kernel.json."""

    name: str
    folder: Path
    document: Mapping[str, Any] = field(repr=False)

    @property
    def argv(self) -> list[str]:
        """The words that start the kernel; none where the file is not as Jupyter writes it."""
        return [str(word) for word in self.document.get("argv") or []]

    @property
    def env(self) -> dict[str, str]:
        """The variables that it sets, with Jupyter's templates (``${PATH}``) as they are."""
        return {str(name): str(value) for name, value in (self.document.get("env") or {}).items()}

    @property
    def display_name(self) -> str:
        """What people see in Jupyter's launcher."""
        return str(self.document.get("display_name") or self.name)

    @property
    def is_python(self) -> bool:
        """Whether it starts a Python, which has Python's options; ``conda run`` and xeus have others."""
        program = re.split(r"[/\\]", self.argv[0])[-1] if self.argv else ""
        is_language = str(self.document.get("language", "")).lower() == "python"
        return is_language and bool(_PYTHON.fullmatch(program))

    @property
    def interpreter(self) -> Path | None:
        """The program it starts; None for one that the server's PATH decides (``python``)."""
        first = Path(self.argv[0]) if self.argv else Path()
        return first if first.is_absolute() else None

    @property
    def activates(self) -> bool:
        """Whether it runs activation scripts through our starter."""
        return any(word.endswith(_STARTER) for word in self.argv)

    def is_of(self, prefix: Path) -> bool:
        """Whether it starts a program of that environment."""
        return self.interpreter is not None and prefix_of(self.interpreter) == prefix.resolve()


@dataclass(frozen=True, kw_only=True)
class Written:
    """What was done to a kernelspec. `action` is ``written``, ``repaired``, ``unchanged`` or ``removed``."""

    name: str
    folder: Path
    action: str


def prefix_of(program: Path) -> Path:
    """The environment of a program: the folder above ``bin`` or ``Scripts``, else its own (on Windows)."""
    folder = program.parent
    inside = folder.name in ("bin", "Scripts", "condabin")
    return (folder.parent if inside else folder).resolve()


def user_data_folder(environ: Mapping[str, str], home: Path, *, platform: str = sys.platform) -> Path:
    """Jupyter's data folder of the user, as `jupyter_core.paths.jupyter_data_dir` has it."""
    if named := environ.get("JUPYTER_DATA_DIR"):
        return Path(named)
    modern = environ.get("JUPYTER_PLATFORM_DIRS", "no").lower() not in ("no", "n", "false", "off", "0", "0.0")
    if platform == "darwin":
        return home / "Library" / ("Application Support/jupyter" if modern else "Jupyter")
    if platform == "win32":
        if modern:
            return Path(environ.get("LOCALAPPDATA") or home / "AppData" / "Local") / "jupyter"
        appdata = environ.get("APPDATA")
        return Path(appdata) / "jupyter" if appdata else home / ".jupyter" / "data"
    return Path(environ.get("XDG_DATA_HOME") or home / ".local" / "share") / "jupyter"


def data_folders(
    prefixes: Iterable[Path], environ: Mapping[str, str], home: Path, *, platform: str = sys.platform
) -> list[Path]:
    """Where Jupyters look for kernelspecs: JUPYTER_PATH, the user's folder, environments, the system's."""
    named = [Path(part) for part in environ.get("JUPYTER_PATH", "").split(os.pathsep) if part]
    system = [Path("/usr/local/share/jupyter"), Path("/usr/share/jupyter")]
    found = [
        *named,
        user_data_folder(environ, home, platform=platform),
        *(prefix / "share" / "jupyter" for prefix in prefixes),
        *([] if platform == "win32" else system),
    ]
    return list(dict.fromkeys(found))


def installed(folders: Iterable[Path]) -> Iterator[Kernelspec]:
    """Every kernelspec in Jupyter's data folders that can be read."""
    for folder in folders:
        for file in sorted((folder / "kernels").glob("*/kernel.json")):
            document = mapping(file)
            if document is not None:
                yield Kernelspec(name=file.parent.name, folder=file.parent, document=document)


def environment(target: shell.Target) -> dict[str, str]:
    """``env`` of a kernel.json that activates; `jupyter_client` fills in ``${PATH}``, ``$$`` means $."""
    if target.is_venv:
        own = [shell.scripts_folder(target.prefix, windows=target.windows)]
        found = {"VIRTUAL_ENV": target.prefix}
    else:
        name = shell.default_env(target.prefix, target.root, windows=target.windows)
        own = shell.folders(target.prefix, windows=target.windows, msys=target.msys)
        found = {
            "CONDA_PREFIX": target.prefix,
            "CONDA_SHLVL": "1",
            "CONDA_DEFAULT_ENV": name,
            "CONDA_PROMPT_MODIFIER": f"({name}) ",
        }
    escaped = {key: value.replace("$", "$$") for key, value in found.items()}
    path = [folder.replace("$", "$$") for folder in own]
    return {"PATH": (";" if target.windows else ":").join([*path, "${PATH}"]), **escaped}


def amended(
    before: Mapping[str, Any], target: shell.Target, *, python: str, display_name: str, starter: bool
) -> dict[str, Any]:
    """kernel.json for the target: `before` with what activates the environment put right; {} makes a new one.

    `starter` is whether activation does more than variables can tell, so that a program of ours runs it.
    """
    new = {
        "argv": [python, *_LAUNCH],
        "display_name": display_name,
        "language": "python",
        "metadata": {"debugger": True},
    }
    start = dict(before or new)
    metadata = dict(start.get("metadata") or {})
    kept = {key: before[key] for key in ("argv", "env") if key in before}
    metadata.setdefault(_OURS, {"before": kept or None})
    interpreter, *words = start["argv"]
    plain = words[3:] if words[:2] == ["-I", "-S"] and words[2].endswith(_STARTER) else words
    guard = ["-I", "-S", f"{{resource_dir}}/{_STARTER}"] if starter else []
    env = dict(start.get("env") or {})
    wanted = environment(target)
    if path := str(env.get("PATH", "")):
        first = wanted["PATH"].removesuffix("${PATH}")
        wanted["PATH"] = path if path.startswith(first) else first + path
    return {**start, "argv": [interpreter, *guard, *plain], "env": {**env, **wanted}, "metadata": metadata}


def repair(
    prefix: Path, target: shell.Target, folder: Path, *, python: Path, name: str = ""
) -> list[Written]:
    """Put every kernelspec of `folder` that starts this environment's Python right, or else write one.

    `folder` is a data folder of Jupyter's. With a `name`, that one alone. Raises `ConfigError` for what is
    no name, and `PrefixError` for a kernelspec that is not to be changed.
    """
    if name and (not _NAME.fullmatch(name) or name in (".", "..")):
        raise ConfigError(
            f"{name!r} is no name of a kernel, which has letters, digits, '-', '.' and '_' only"
        )
    there = {spec.name: spec for spec in installed([folder])}
    chosen = [spec for spec in there.values() if not name and not _objection(prefix, spec)]
    if not chosen:
        name = name or _kernel_name(target)
        taken = there.get(name)
        if taken and (reason := _objection(prefix, taken)):
            raise PrefixError(str(taken.folder), reason, hint="Give another name: --kernel NAME")
        chosen = [taken or Kernelspec(name=name, folder=folder / "kernels" / name, document={})]
    return [_write(spec, prefix, target, python) for spec in chosen]


def _objection(prefix: Path, spec: Kernelspec) -> str:
    """Why a kernelspec is not to be changed, "" where it may be."""
    if not spec.is_of(prefix):
        return "this kernelspec starts another program"
    if not spec.is_python:
        return "this kernelspec is not of a Python kernel"
    if owner := owner_of(prefix, [spec.folder.resolve() / "kernel.json"]):
        return f"the package {owner['name']} placed this kernelspec, and its next update writes over it"
    return ""


def undo(prefix: Path, folder: Path, *, name: str = "") -> list[Written]:
    """Take what `repair` did out of the kernelspecs of `folder`: ours go, others are as they were."""
    done = []
    for spec in installed([folder]):
        ours = (spec.document.get("metadata") or {}).get(_OURS)
        if not ours or not spec.is_of(prefix) or (name and spec.name != name):
            continue
        (spec.folder / _STARTER).unlink(missing_ok=True)
        if ours["before"] is None:
            (spec.folder / "kernel.json").unlink()
            if not any(spec.folder.iterdir()):
                spec.folder.rmdir()
        else:
            document = {key: value for key, value in spec.document.items() if key not in ("argv", "env")}
            metadata = {key: value for key, value in document["metadata"].items() if key != _OURS}
            _save(spec, {**document, **ours["before"], "metadata": metadata})
        done.append(Written(name=spec.name, folder=spec.folder, action="removed"))
    return done


def _write(spec: Kernelspec, prefix: Path, target: shell.Target, python: Path) -> Written:
    starter = needs_starter(prefix, target)
    name = f"Python ({spec.name})"
    wanted = amended(spec.document, target, python=str(python), display_name=name, starter=starter)
    changed = wanted != spec.document
    program = spec.folder / _STARTER
    if starter and _read(program) != starter_text():
        write(program, starter_text())
        changed = True
    if changed:
        _save(spec, wanted)
    if spec.activates and not starter:
        program.unlink(missing_ok=True)
    action = "unchanged" if not changed else "repaired" if spec.document else "written"
    return Written(name=spec.name, folder=spec.folder, action=action)


def needs_starter(prefix: Path, target: shell.Target) -> bool:
    """Whether activation runs scripts or sets variables beyond conda's own.

    Variables may be secrets, and change: they are read at each start instead of being copied.
    """
    if target.windows or target.is_venv:
        return False
    return bool(shell.activation_scripts(prefix, windows=False) or target.variables)


def starter_text() -> str:
    """The program that activates and becomes the kernel: same process, so that interrupts reach it."""
    return Path(__file__).with_name("_activate.py").read_text(encoding="utf-8")


def _kernel_name(target: shell.Target) -> str:
    """A name by Jupyter's rule: letters, digits and ``.-_``."""
    name = Path(shell.default_env(target.prefix, target.root, windows=target.windows)).name
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).lower()


def _save(spec: Kernelspec, document: Mapping[str, Any]) -> None:
    write(spec.folder / "kernel.json", json.dumps(document, indent=1) + "\n")


def _read(file: Path) -> str:
    return file.read_text(encoding="utf-8") if file.is_file() else ""
