"""What conda loads at every command: declarations alone; everything else waits until it is used."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from conda.base.constants import SEARCH_PATH
from conda.base.context import context
from conda.common.configuration import PrimitiveParameter
from conda.exceptions import PackagesNotFoundError
from conda.plugins import hookimpl, types
from conda.plugins.types import CondaHealthCheck, CondaPreCommand, CondaSetting, CondaSolver, CondaSubcommand
from platformdirs import user_cache_path

from . import ENTRIES, JOURNAL, PROJECT
from .deferred import when_used

#: Commands that may choose packages, and those that read which channel a package is of.
_SOLVING = {"install", "create", "update", "upgrade", "env_create", "env_update"}
_READING = {
    *("list", "export", "env_export", "remove", "uninstall", "env_remove", "search", "info", "config"),
    *("compare", "clean", "rename", "doctor", "pypi-install", "pypi-bridge"),
}

#: Whether this conda lets plugins add to its errors (conda 26.7).
_HAS_HINTS = hasattr(types, "CondaErrorHint")


def _configure_install(parser: ArgumentParser) -> None:
    def configure(parser: ArgumentParser) -> None:
        from .arguments import configure_install

        configure_install(parser)

    when_used(parser, configure)


def _configure_verbs(parser: ArgumentParser) -> None:
    def configure(parser: ArgumentParser) -> None:
        from .arguments import configure_verbs

        configure_verbs(parser)

    when_used(parser, configure)


def _run(args: Namespace) -> int:
    from .cli import conda_main

    return conda_main(args)


@hookimpl  # type: ignore[untyped-decorator]
def conda_subcommands() -> Iterator[CondaSubcommand]:
    """``conda pypi-install`` and ``conda pypi-bridge``."""
    yield CondaSubcommand(
        name="pypi-install",
        summary="Install packages as conda packages, from the package index where channels lack them.",
        action=_run,
        configure_parser=_configure_install,
    )
    yield CondaSubcommand(
        name="pypi-bridge",
        summary="Packages of a Python package index as conda packages.",
        action=_run,
        configure_parser=_configure_verbs,
    )


def _solver(*args: Any, **keywords: Any) -> Any:
    from .fallback import FallbackSolver

    return FallbackSolver(*args, **keywords)


def _redact_argv() -> None:
    """conda writes its command line into the history as it was typed, the credentials of URLs included."""
    if any("://" in word for word in sys.argv):
        from .redaction import redact

        sys.argv[:] = map(redact, sys.argv)


def _prepare(command: str) -> None:
    """Let the channel's name lead nowhere, and put our solver in place where the setting says so."""
    ours = str(Path(__file__).with_name("data") / "condarc.yml")
    context.__init__(search_path=(ours, *SEARCH_PATH), argparse_args=context._argparse_args)
    cache = user_cache_path(PROJECT)
    caches = [cache, cache / "index", cache / "pkgs", cache / "overlays", *map(Path, context.pkgs_dirs)]
    left = [Path(context.target_prefix, JOURNAL), *(folder / ENTRIES for folder in caches)]
    if any(path.exists() for path in left):
        from .cli import tidy

        tidy(context.target_prefix)
    enabled = context.plugins.pypi_bridge_enabled
    if command in _SOLVING and enabled:
        # in place of the choice, not of the name chosen: conda makes its context anew in some commands
        context.plugin_manager.get_cached_solver_backend = lambda name=None: _solver
        _redact_argv()
    if command == "install" and context._argparse_args.get("revision"):
        from .cli import revert

        revert(context._argparse_args)
    if command == "search" and enabled and not (_HAS_HINTS or context.json):
        note = "note: channels alone are searched; conda install NAME takes from PyPI what they lack"
        print(note, file=sys.stderr)


def _examine(prefix: str, verbose: bool) -> None:
    from .cli import print_health

    print_health(prefix)


@hookimpl  # type: ignore[untyped-decorator]
def conda_health_checks() -> Iterator[CondaHealthCheck]:
    """Our part of ``conda doctor``."""
    yield CondaHealthCheck(name="pypi-bridge", action=_examine)


@hookimpl  # type: ignore[untyped-decorator]
def conda_solvers() -> Iterator[CondaSolver]:
    """The user's own solver, and the package index for what no channel has."""
    yield CondaSolver(name="pypi-bridge", backend=_solver)


@hookimpl  # type: ignore[untyped-decorator]
def conda_pre_commands() -> Iterator[CondaPreCommand]:
    """Configuration of ours, for the length of a command: nothing of it outlives the plugin."""
    yield CondaPreCommand(name="pypi-bridge", action=_prepare, run_for=_SOLVING | _READING)


@hookimpl  # type: ignore[untyped-decorator]
def conda_settings() -> Iterator[CondaSetting]:
    """Below ``plugins:``, where conda ignores them when the plugin is gone."""
    yield CondaSetting(
        name="pypi_bridge_enabled",
        description="Plain conda commands take from the package index what no channel has.",
        parameter=PrimitiveParameter(False, element_type=bool),
    )
    yield CondaSetting(
        name="pypi_bridge_pip_sections",
        description="conda env installs what an environment file lists below pip: as conda packages.",
        parameter=PrimitiveParameter(False, element_type=bool),
    )


if _HAS_HINTS:

    @hookimpl  # type: ignore[untyped-decorator]
    def conda_error_hints(error: Any) -> Iterator[Any]:
        """Where a command missed a name on its channels: that the package index has it."""
        enabled = context.plugins.pypi_bridge_enabled
        searching = context._argparse_args.get("cmd") == "search"
        # while enabled, only a search has not asked the index; while not, only what was to be installed does
        if enabled != searching or not isinstance(error, PackagesNotFoundError):
            return
        from .hints import hints

        for text in hints(error, Path(context.target_prefix), enabled=enabled):
            yield types.CondaErrorHint(text=text, hint_code="pypi_bridge_available")
