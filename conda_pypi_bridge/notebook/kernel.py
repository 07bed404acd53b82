"""A command for the environment of the running kernel: who carries it out, and what came of it."""

from __future__ import annotations

import importlib.util
import re
import shlex
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from . import child, failure
from .changes import Change, Snapshot, changes, missing, snapshot
from .child import Finished, Progress
from .command import Command, Refused, Takes, from_help, refuse_self_harm, with_index, without_conda
from .condas import CondaProgram, Search, find_conda
from .modules import Loaded, path_files, refresh, site_folders
from .startup import bridge_python
from .view import CondaCommandError, CondaInterrupted, Report, Screen, summary

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
class _Before:
    """An environment before a command; `place` is None where it is not known yet."""

    place: Path | None
    records: Snapshot
    stale: set[str]


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
        what = f"conda {command.verb}".strip()
        what = " ".join([what, *command.specs[:4], *(["..."] if command.specs[4:] else [])])
        screen.line(what, "", 0)
        search = Search(found=None, tried=()) if self._is_venv else find_conda(self.prefix, self.environ)
        argv, environ = self._program(command, search)
        before = self._look(command, search.found)
        path_entries = path_files(site_folders())

        def watch(progress: Progress) -> None:
            screen.line(what, _detail(progress, before), progress.seconds)

        try:
            finished = child.run(argv, environ, watch)
        except OSError as error:
            raise CondaCommandError(f"{argv[0]} cannot be started: {error.strerror or error}") from error
        refresh(path_entries, site_folders())
        return self._conclude(command, argv, finished, before, screen)

    # -- who does it ---------------------------------------------------------------------------------

    @property
    def _is_venv(self) -> bool:
        return (self.prefix / "pyvenv.cfg").is_file()

    def _program(self, command: Command, search: Search) -> tuple[list[str], dict[str, str]]:
        """argv and the variables for a command: conda with the bridge in it, else the bridge alone."""
        found, prefix = search.found, str(self.prefix)
        bridged = without_conda(command, prefix)
        if found is None and self._is_venv and bridged is None:
            found = find_conda(self.prefix, self.environ).found
        if found and command.verb != "doctor" and (found.has_bridge or bridged is None):
            chosen = with_index(command) if found.has_bridge else command
            takes = self._takes(chosen, found)
            if self._is_venv and takes.prefix and command.target is None:
                raise self._no_conda_environment(command)
            environ = {**self.environ, "CONDA_PREFIX": prefix, **(_ENABLED if found.has_bridge else {})}
            return [*found.argv, *chosen.argv(prefix, takes)], environ
        if bridged is None:
            raise self._no_conda_environment(command) if self._is_venv else _no_conda(command, search)
        return [str(bridge_python(self.prefix)), "-c", _BRIDGE, *bridged], dict(self.environ)

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
            return _Before(place=place, records={}, stale=set())
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
        folders = [*([found.root] if found else []), *([self.prefix.parent.parent] if self._is_named else [])]
        places = [folder if value == "base" else folder / "envs" / value for folder in folders]
        return next((place for place in places if (place / "conda-meta").is_dir()), None)

    @property
    def _is_named(self) -> bool:
        return self.prefix.parent.name == "envs"

    def _conclude(
        self,
        command: Command,
        argv: Sequence[str],
        finished: Finished,
        before: _Before,
        screen: Screen,
    ) -> Outcome:
        """Show the result, and raise where it is none."""
        log = "\n".join([child.readable(f"$ {_line(argv)}"), finished.out, finished.err]).strip()
        place = before.place or _location(command, finished)
        changed = changes(place, before.records, command.specs) if place and command.may_change else []
        outdated = self.loaded.outdated(before.stale, changed) if place == self.prefix else []
        notes = [
            *_restart(outdated),
            *([f"Environment: {place}"] if changed and place != self.prefix else []),
        ]
        if finished.status or finished.interrupted:
            raise self._failed(command, finished, log, changed, notes, screen)
        if absent := self._absent(command, place, finished):
            message = f"conda reports success, but {', '.join(absent)} is not in {place}"
            screen.result(Report(headline=message, changes=changed, notes=notes, log=log, failed=True))
            raise CondaCommandError(message, "The log has what conda did.", log)
        if command.may_change and place:
            if place == self.prefix and not outdated:
                notes = [*_ready(changed), *notes]
            elif place == self.prefix:
                named = {clause.split()[0] for clause in outdated}
                notes += _ready([change for change in changed if change.name not in named | {"python"}])
            screen.result(
                Report(headline=summary(changed, finished.seconds), changes=changed, notes=notes, log=log)
            )
        else:
            output = "\n".join(part for part in (finished.out.strip("\n"), finished.err.strip("\n")) if part)
            headline = "Dry run: nothing was changed." if command.is_dry_run else ""
            screen.result(Report(headline=headline, output=output, notes=notes))
        return Outcome(changes=changed, out=finished.out, err=finished.err, seconds=finished.seconds)

    def _failed(
        self,
        command: Command,
        finished: Finished,
        log: str,
        changed: Sequence[Change],
        notes: Sequence[str],
        screen: Screen,
    ) -> CondaCommandError:
        """Show how a command failed, and return what is to be raised."""
        what, seconds = f"conda {command.verb}".strip(), f"{finished.seconds:.1f} s"
        if finished.interrupted:
            left = "the environment is as it was" if not changed else "it had changed the environment already"
            message = f"{what} was interrupted after {seconds}: {left}"
            error: CondaCommandError = CondaInterrupted(message, log=log)
        else:
            read = failure.read(finished.out, finished.err, finished.status, command.verb)
            known = {change.name for change in changed} | _names(snapshot(self.prefix))
            hint = failure.suggestion(read.lacking, sorted(known)) or read.hint
            error = CondaCommandError(read.message, hint, log)
            left = "." if not changed else ", and left this changed:"
            message = f"{what} failed after {seconds}{left}"
        screen.result(Report(headline=message, changes=changed, notes=notes, log=log, failed=True))
        return error

    def _absent(self, command: Command, place: Path | None, finished: Finished) -> list[str]:
        """What was to be installed and is not, although the command says that it succeeded."""
        installing = command.may_change and not command.removes and "--json" not in command.rest
        return missing(place, command.specs) if installing and place and place.is_dir() else []


def _detail(progress: Progress, before: _Before) -> str:
    if progress.interrupts:
        again = " (stopping now would break the environment)" if progress.interrupts > 1 else ""
        return f"Interrupted: undoing what was begun{again}"
    if not progress.packages:
        return progress.phase
    count = f"{progress.packages} package" + ("" if progress.packages == 1 else "s")
    if progress.phase.startswith("Linking") and before.place:
        now = snapshot(before.place)
        done = sum(before.records.get(name) != stamp for name, stamp in now.items())
        if 0 < done < progress.packages:
            count = f"{done} of {count}"
    return " · ".join(part for part in (progress.phase, count) if part)


def _restart(outdated: Sequence[str]) -> list[str]:
    return [f"Restart the kernel: {'; '.join(outdated)}."] if outdated else []


def _ready(changed: Sequence[Change]) -> list[str]:
    """The modules of what was asked for, if the import system finds them now."""
    modules = [module for change in changed if change.why == "requested" for module in change.modules]
    found = [module for module in modules if importlib.util.find_spec(module) is not None]
    return [f"Ready to import: {', '.join(found)}"] if found else []


def _location(command: Command, finished: Finished) -> Path | None:
    """Where conda made a new environment; of one that existed, what was in it before is not known."""
    match = _LOCATION.search(finished.out) if command.verb in ("create", "env create") else None
    return Path(match["path"].strip()) if match else None


def _names(records: Snapshot) -> set[str]:
    return {file.rsplit("-", 2)[0] for file in records}


def _line(argv: Sequence[str]) -> str:
    """A command line for the log: the bridge's as one would type it."""
    words = [argv[0], "-m", "conda_pypi_bridge", *argv[3:]] if argv[2:3] == [_BRIDGE] else list(argv)
    return shlex.join(words)


def _no_conda(command: Command, search: Search) -> Refused:
    places = "; ".join(search.tried)
    message = f"conda {command.verb} needs conda, and there is none".replace("  ", " ")
    hint = "%conda install and %conda remove work without it. Set CONDA_EXE to name a conda."
    return Refused(f"{message}: {places}", hint=hint)
