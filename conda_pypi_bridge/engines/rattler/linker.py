"""Linking: rattler makes the prefix what a solution lists, and we add what it leaves to its caller."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import rattler
from rattler.exceptions import InstallerError

from ... import __version__
from ...errors import PrefixError
from ...locks import entry
from ...model import InstalledDist, Plan
from ...prefix import (
    Prefix,
    append_history,
    change_of,
    clear_away,
    delete,
    files_of,
    journalled,
    prune_empty,
    refuse_clobbering,
    require_done,
)
from ...store import FETCHING
from .channels import Channels, Subdir
from .ending import unfinished
from .records import PIP, VENV, installed_records, venv_python
from .solver import Solution

#: rattler marks a prefix as something that backups may leave out; that is not for us to say.
_CACHE_TAG = "CACHEDIR.TAG"

#: Where rattler puts files that are in the way of others, and drafts of records.
_OWN = ("__clobbers__", "conda-meta/prefix_record_*")

#: Where rattler puts what it cannot delete, and with what it tries what the file system can do.
_TRASH = (".trash", ".refprobe-*", "symtest_*")


class Linker:
    """Makes a prefix what `solution` lists. `packages` is the cache, `command` the argv for the history."""

    def __init__(
        self,
        prefix: Prefix,
        solution: Solution,
        channels: Channels,
        packages: Path,
        command: Sequence[str],
    ) -> None:
        self._prefix = prefix
        self._path = prefix.path
        self._solution = solution
        self._channels = channels
        self._packages = packages
        self._command = command

    def link(self, plan: Plan, replaced: Iterable[InstalledDist], renamed: Mapping[Path, Path]) -> None:
        """Install the final state; go back to the one before if that fails.

        What pip placed and is `replaced` goes; files to keep are `renamed`.
        """
        refuse_clobbering(self._prefix, plan, self._packages)
        gone = [file for dist in set(replaced) for file in files_of(self._prefix, dist)]
        gone += self._outdated_records
        own = (_CACHE_TAG, *_OWN, *_TRASH, *self._interpreter_record)
        change = change_of(
            self._prefix, plan, lambda row: self._packages / row.dist, gone=gone, renamed=renamed, own=own
        )
        before = self._trash()
        with unfinished(self._path), journalled(self._path, change, settled=False):
            clear_away(gone, renamed)
            with entry(self._packages, FETCHING) if change.unread else nullcontext():
                self._install()
            for path in self._trash() - before:
                delete(path)
            prune_empty(self._prefix, gone)
            require_done(self._prefix, plan, change)
            self._remember(plan)

    def _trash(self) -> set[Path]:
        return {path for pattern in _TRASH for path in self._path.glob(pattern)}

    def _remember(self, plan: Plan) -> None:
        append_history(
            self._path,
            self._command,
            linked=plan.link,
            unlinked=plan.unlink,
            update_specs=[str(rattler.MatchSpec(text)) for text in self._solution.requests],
            remove_specs=self._solution.removed,
            tool=f"conda_pypi_bridge version: {__version__}",
            channel_names=self._channels.names,
        )

    def _install(self) -> None:
        tagged = (self._path / _CACHE_TAG).exists()
        self._adopt()
        records = list(self._solution.records)
        requested = [*self._prefix.requested.values(), *self._solution.requests]
        install = rattler.install(
            records,
            self._path,
            cache_dir=self._packages,
            client=self._channels.client,
            installed_packages=installed_records(self._path),
            reinstall_packages={str(name) for name in self._prefix.broken},
            ignored_packages={r.name.normalized for r in records if r.channel in (PIP, VENV)},
            platform=Subdir(self._channels.subdir),
            requested_specs=[rattler.MatchSpec(text)._match_spec for text in requested],
            show_progress=False,
        )
        try:
            self._channels.run(install, wait=False)
        except InstallerError as error:
            raise PrefixError(str(self._path), f"linking failed: {_in_short(str(error))}") from error
        if not tagged:
            (self._path / _CACHE_TAG).unlink(missing_ok=True)
        if self._prefix.python is not None:  # rattler takes away what became empty
            self._prefix.python.site_packages.mkdir(parents=True, exist_ok=True)

    def _adopt(self) -> None:
        """Give a virtual environment the record of its interpreter, so that conda knows its version."""
        (self._path / "conda-meta").mkdir(exist_ok=True)
        for path, record in self._interpreter_record.items():
            if not (self._path / path).exists():
                (self._path / path).write_text(json.dumps(record, indent=2), "utf-8")

    @property
    def _interpreter_record(self) -> Mapping[str, Mapping[str, Any]]:
        """Path -> the record of a virtual environment's interpreter; nothing for other environments."""
        python = self._prefix.python
        if python is None or not python.is_venv:
            return {}
        record = venv_python(python.version, self._channels.subdir)
        return {f"conda-meta/python-{python.version}-{VENV}.json": record}

    @property
    def _outdated_records(self) -> list[Path]:
        """The records of interpreters that a virtual environment had before."""
        found = (self._path / "conda-meta").glob(f"python-*-{VENV}.json")
        return [file for file in found if f"conda-meta/{file.name}" not in self._interpreter_record]


def _in_short(text: str) -> str:
    """What failed, and the cause at the bottom of it, in one line."""
    lines = [line.removeprefix("Caused by: ").strip() for line in text.splitlines() if line.strip()]
    return re.sub(r" \(os error \d+\)$", "", ": ".join(dict.fromkeys([lines[0], lines[-1]])))
