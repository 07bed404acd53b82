"""What an examination finds, and what can be done about it."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from ..model import CondaName, InstalledDist
from ..prefix.health import Expected

#: The kinds in the order of their telling.
Kind = Literal["broken", "shadowed", "unmet", "leftover", "mixed", "orphaned", "outside"]
KINDS: Sequence[Kind] = get_args(Kind)

Severity = Literal["problem", "info"]


@dataclass(frozen=True, kw_only=True)
class Door:
    """How the user called: `words` are the command, `where` the option that named the environment.

    `deep` is whether it was to be looked at thoroughly.
    """

    words: Sequence[str]
    where: Sequence[str] = ()
    windows: bool = False
    deep: bool = False

    def command(self, verb: str, *args: str) -> str:
        """A command line for the user's shell."""
        words = [*self.words, verb, *self.where, *args]
        return subprocess.list2cmdline(words) if self.windows else shlex.join(words)

    def fix(self, *names: str) -> str:
        """The command that does what is safe, for some names or all; it sees what was seen now."""
        return self.command("doctor", *(("--deep",) if self.deep else ()), "--fix", *names)


@dataclass(frozen=True, kw_only=True)
class Deletion:
    """A file or a folder that nothing needs."""

    path: Path


@dataclass(frozen=True, kw_only=True)
class Replacement:
    """Install `spec`, with pip's copies `dists` taken away and the conda packages `again` linked anew.

    `files` are those that go: what of them is not as its package describes it, somebody may have edited.
    `edited` is whether one was seen already.
    """

    spec: str
    edited: bool = False
    dists: Sequence[InstalledDist] = ()
    again: Sequence[CondaName] = ()
    files: Sequence[Expected] = ()


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that is to be known of an environment.

    `name` is what it concerns, `version` that one's version, if it has one; `sentence` goes on from
    there. `fix` is the command that puts it right, "" where there is none. `remedy` is what ``--fix`` does.
    """

    kind: Kind
    severity: Severity
    name: str
    version: str = ""
    sentence: str
    fix: str = ""
    remedy: Deletion | Replacement | None = None

    @property
    def safe(self) -> bool:
        """Whether it is put right without its being named."""
        return self.remedy is not None and not (isinstance(self.remedy, Replacement) and self.remedy.edited)

    @property
    def subject(self) -> str:
        """What it concerns, with the version: ``flask 3.1.0``."""
        return f"{self.name} {self.version}".strip()
