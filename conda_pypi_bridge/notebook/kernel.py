"""A command for the environment of the running kernel: who carries it out, and what came of it."""

from __future__ import annotations

import importlib.util
import re
import shlex
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import BridgeError
from . import child, failure
from .changes import Change, Snapshot, changes, installed_names, missing, snapshot
from .child import Finished, Progress
from .command import Command, Refused, Takes, from_help, refuse_self_harm, with_index, without_conda
from .condas import CondaProgram, Search, find_conda
from .discretion import discreet
from .modules import Loaded, path_files, refresh, site_folders
from .names import cache_folders, cached_names
from .shell import is_venv
from .startup import bridge_python
from .view import CondaCommandError, CondaInterrupted, Report, Screen, count, summary

#: Runs the bridge's command line without the notebook's folder on ``sys.path``, as ``-m`` would have it.
_BRIDGE = "import sys\nif not sys.path[0]: del sys.path[0]\nfrom conda_pypi_bridge.cli import entry\nentry()"

#: Lets plain conda commands take from the package index what no channel has, for this process alone.
_ENABLED = {"CONDA_PLUGINS_PYPI_BRIDGE_ENABLED": "true"}

_LOCATION = re.compile(r"^\s*environment location: (?P<path>.+)$", re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a command did. `out` and `err` are what it printed."""

    changes: Sequence[Change]
    out: str
    err: str
    seconds: float

    def _ipython_display_(self) -> None:
        """Nothing: the command has shown its result already."""


@dataclass(frozen=True, kw_only=True)
class _Door:
    """What carries a command out; `bridged` is whether it also knows the package index."""

    argv: tuple[str, ...]
    environ: Mapping[str, str]
    conda: CondaProgram | None
    bridged: bool

    @property
    def line(self) -> str:
        """The command line for the log: the bridge's as one would type it."""
        words = list(self.argv)
        if words[2:3] == [_BRIDGE]:
            words[1:3] = ["-m", "conda_pypi_bridge"]
        return shlex.join(words)


@dataclass(frozen=True, kw_only=True)
class _Before:
    """An environment before a command; `place` is None where it is not known yet.

    `stale` is what was loaded and is no longer on disk; None for a command that cannot add to it.
    """

    place: Path | None
    records: Snapshot
    stale: set[str] | None


@dataclass(kw_only=True)
class Kernel:
    """The environment of a running kernel, and what its process has loaded."""

    prefix: Path
    environ: Mapping[str, str]
    loaded: Loaded = field(init=False)
    _taken: dict[tuple[str, ...], Takes] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.loaded = Loaded(prefix=self.prefix)

    def carry_out(self, command: Command, screen: Screen) -> Outcome:
        """Run a command to its end. Raises `Refused`, `CondaCommandError` and `CondaInterrupted`."""
        refuse_self_harm(command, self.prefix)
        shown = [command.title, *command.specs[:4], *(["..."] if command.specs[4:] else [])]
        words = child.readable(" ".join(shown))
        screen.line(words, "", 0)
        with child.interrupts_kept() as interrupts:
            outcome = self._run(command, words, screen, interrupts)
        if interrupts:
            raise CondaInterrupted(f"{command.title} had ended when the interrupt came")
        return outcome

    def _run(self, command: Command, words: str, screen: Screen, interrupts: Sequence[int]) -> Outcome:
        try:
            door = self._door(command)
            before = self._look(command, door.conda)
            path_entries = path_files(site_folders())

            def watch(progress: Progress) -> None:
                screen.line(words, _detail(progress, before), progress.seconds)

            finished = child.run(*discreet(door.argv, door.environ), watch, interrupts)
        except (BridgeError, OSError) as error:
            screen.result(Report(headline=f"{command.title} was not started."))
            if isinstance(error, BridgeError):
                raise
            raise CondaCommandError(f"{error.filename}: {error.strerror}") from error
        refresh(path_entries, site_folders())
        return self._conclude(command, door, finished, before, screen)

    # -- who does it ---------------------------------------------------------------------------------

    def _door(self, command: Command) -> _Door:
        """Who carries a command out: conda with the bridge in it, else the bridge alone."""
        prefix, in_venv = str(self.prefix), is_venv(self.prefix)
        bridged = without_conda(command, prefix)
        search = Search(found=None, tried=())
        if not (in_venv and bridged):  # which conda cannot change
            search = find_conda(self.prefix, self.environ)
        conda = search.found
        if conda and command.verb != "doctor" and (conda.has_bridge or not bridged):
            chosen = with_index(command) if conda.has_bridge else command
            takes = self._takes(chosen, conda)
            if in_venv and takes.prefix and command.target is None:
                raise self._no_conda_environment(command)
            environ = {
                **self.environ,
                **(_ENABLED if conda.has_bridge else {}),
                **({} if in_venv else {"CONDA_PREFIX": prefix}),
            }
            argv = (*conda.argv, *chosen.argv(prefix, takes))
            return _Door(argv=argv, environ=environ, conda=conda, bridged=conda.has_bridge)
        if not bridged:
            raise _no_conda(command, search)
        argv = (str(bridge_python(self.prefix)), "-c", _BRIDGE, *bridged)
        return _Door(argv=argv, environ=self.environ, conda=conda, bridged=True)

    def _takes(self, command: Command, conda: CondaProgram) -> Takes:
        """What a subcommand takes; one that is not known (another plugin's) is asked for its help."""
        if command.known is not None:
            return command.known
        argv = (*conda.argv, *command.verb.split(), "--help")
        if argv not in self._taken:
            done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
            self._taken[argv] = from_help(done.stdout) if done.returncode == 0 else Takes()
        return self._taken[argv]

    def _no_conda_environment(self, command: Command) -> Refused:
        message = f"this kernel runs in a virtual environment ({self.prefix}), of which conda {command.verb}"
        hint = "%conda install and %conda remove work here; %pip list shows what there is."
        return Refused(f"{message} knows nothing", hint=hint)

    # -- what came of it -----------------------------------------------------------------------------

    def _look(self, command: Command, found: CondaProgram | None) -> _Before:
        """How things are before: cheap, and only as far as the command may change them."""
        place = self._place(command, found)
        if not command.may_change and command.known is not None and command.verb != "run":
            return _Before(place=place, records={}, stale=None)
        self.loaded.look()
        records = snapshot(place) if place else {}
        return _Before(place=place, records=records, stale=self.loaded.stale())

    def _place(self, command: Command, found: CondaProgram | None) -> Path | None:
        """The environment that a command is about; None for a name that only conda can resolve."""
        if command.target is None:
            return self.prefix
        kind, value = command.target
        if kind == "prefix":
            return Path(value).expanduser().absolute()
        folders = [found.root] if found else []
        folders += [self.prefix.parent.parent] if self.prefix.parent.name == "envs" else []
        places = [folder if value == "base" else folder / "envs" / value for folder in folders]
        return next((place for place in places if (place / "conda-meta").is_dir()), None)

    def _conclude(
        self, command: Command, door: _Door, finished: Finished, before: _Before, screen: Screen
    ) -> Outcome:
        """Show the result, and raise where it is none."""
        place = before.place or _location(command, finished)
        changed = changes(place, before.records, command.specs) if place and command.may_change else []
        outdated: list[str] = []
        if place == self.prefix and before.stale is not None:
            outdated = self.loaded.outdated(before.stale, changed)
        notes = [f"Environment: {place}"] if changed and place != self.prefix else []
        notes += [f"Restart the kernel: {'; '.join(outdated)}."] if outdated else []
        log = "\n".join([child.readable(f"$ {door.line}"), finished.out, finished.err]).strip()
        if error := self._failure(command, door, finished, place, bool(changed), log):
            screen.result(Report(headline=error.headline, changes=changed, notes=notes, log=log, failed=True))
            raise error
        if command.may_change and place:
            said = summary(changed, finished.seconds)
            if place == self.prefix:
                notes = [*_ready(changed, outdated), *notes]
            screen.result(Report(headline=said, changes=changed, notes=notes, log=log))
        else:
            output = "\n".join(part for part in (finished.out.strip("\n"), finished.err.strip("\n")) if part)
            headline = "Dry run: nothing was changed." if command.is_dry_run else ""
            screen.result(Report(headline=headline, output=output, notes=notes))
        return Outcome(changes=changed, out=finished.out, err=finished.err, seconds=finished.seconds)

    def _failure(
        self, command: Command, door: _Door, finished: Finished, place: Path | None, changed: bool, log: str
    ) -> CondaCommandError | None:
        """What is to be raised; None for a success."""
        what, seconds = command.title, f"{finished.seconds:.1f} s"
        if finished.interrupted:
            left = "it had changed the environment already" if changed else "the environment is as it was"
            return CondaInterrupted(f"{what} was interrupted after {seconds}: {left}", log=log)
        if finished.status:
            failed = failure.read(finished.out, finished.err, finished.status, command.verb)
            message, hint = failed.message, failed.hint
            if failed.lacking:
                message = _nobody_has(failed.lacking, door.bridged)
                hint = failure.suggestion(
                    failed.lacking, self._known_names(door.conda), searchable=door.conda is not None
                )
            left = f"{what} failed after {seconds}" + (", and left this changed:" if changed else ".")
            return CondaCommandError(message, hint, log, headline=left)
        if place and place.is_dir() and (absent := missing(place, command.expected)):
            message = f"{what} reports success, but {', '.join(absent)} is not in {place}"
            return CondaCommandError(message, "The log has what it did.", log)
        return None

    def _known_names(self, conda: CondaProgram | None) -> set[str]:
        """Names of packages, as far as they are on this machine: installed, and in conda's caches."""
        folders = cache_folders(conda.argv, self.environ) if conda else []
        return installed_names(self.prefix) | cached_names(folders)


def _detail(progress: Progress, before: _Before) -> str:
    if progress.interrupts:
        again = " (stopping now would break the environment)" if progress.interrupts > 1 else ""
        return f"Interrupted: undoing what was begun{again}"
    if not progress.packages:
        return progress.phase
    said = count(progress.packages)
    if progress.phase.startswith("Linking") and before.place:
        now = snapshot(before.place)
        done = sum(before.records.get(name) != stamp for name, stamp in now.items())
        if 0 < done < progress.packages:
            said = f"{done} of {said}"
    return " · ".join(part for part in (progress.phase, said) if part)


def _ready(changed: Sequence[Change], outdated: Sequence[str]) -> list[str]:
    """The modules of what was asked for that the import system finds, and that are not loaded already."""
    stale = {clause.split()[0] for clause in outdated}
    if "python" in stale:
        return []
    asked = [change for change in changed if change.why == "requested" and change.name not in stale]
    found = [module for change in asked for module in change.modules if _is_importable(module)]
    return [f"Ready to import: {', '.join(found)}"] if found else []


def _is_importable(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):  # what is loaded may have no spec
        return False


def _nobody_has(names: Sequence[str], bridged: bool) -> str:
    listed = ", ".join(names)
    return f"neither a channel nor the package index has {listed}" if bridged else f"no channel has {listed}"


def _location(command: Command, finished: Finished) -> Path | None:
    """Where conda made a new environment; of one that existed, what was in it before is not known."""
    match = _LOCATION.search(finished.out) if command.verb in ("create", "env create") else None
    return Path(match["path"].strip()) if match else None


#: What needs no conda.
_WORKING = "%conda install, update, remove, doctor and where"


def _no_conda(command: Command, search: Search) -> Refused:
    places = "; ".join(search.tried)
    message = f"{command.title} needs conda, and there is none"
    hint = f"{_WORKING} work without it. Set CONDA_EXE to name a conda."
    return Refused(f"{message}: {places}", hint=hint)
