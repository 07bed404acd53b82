"""What the verbs that make channels have in common: their environments, and the indexes of no prefix."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from packaging.version import InvalidVersion, Version

from . import condarc, settings
from .channel.model import Scope
from .config import IndexConfig
from .errors import ConfigError
from .namedata import load_table
from .names import Names
from .requirementfiles import RequirementFile
from .session import index_config

#: The Pythons that a channel is for, where the command line names none.
PYTHONS = ("3.10", "3.11", "3.12", "3.13")


@dataclass(frozen=True, kw_only=True)
class Configured:
    """What condarc files, pip's configuration and the command line say, where no environment is looked at."""

    conda: condarc.CondaConfig
    settings: settings.Settings
    index: IndexConfig

    @property
    def names(self) -> Names:
        """What projects are called on channels."""
        return Names(user=self.settings.names, table=load_table())


def configured(args: argparse.Namespace, files: RequirementFile) -> Configured:
    """The configuration for the Python that runs this. Raises `ConfigError`."""
    prefix = Path(sys.prefix)
    conda = condarc.load(prefix, os.environ, Path.home())
    ours = settings.read(conda.plugins)
    return Configured(conda=conda, settings=ours, index=index_config(args, files, prefix, conda, ours))


def scope_of(args: argparse.Namespace, subdirs: Sequence[str]) -> Scope:
    """The Pythons and platforms of the command line; these `subdirs` where it names none.

    Raises `ConfigError` for what is no version or no platform.
    """
    try:
        pythons = [Version(text) for text in dict.fromkeys(getattr(args, "pythons", PYTHONS))]
    except InvalidVersion as error:
        raise ConfigError(f"--python: {error}") from None
    chosen = dict.fromkeys(getattr(args, "platforms", subdirs))
    return Scope(subdirs=tuple(chosen), pythons=tuple(sorted(pythons)))
