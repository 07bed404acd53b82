"""What conda loads at every command: declarations alone; everything else waits until it is used."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from typing import Any

from conda.base.context import context
from conda.common.configuration import PrimitiveParameter
from conda.plugins import hookimpl
from conda.plugins.types import CondaPreCommand, CondaSetting, CondaSolver, CondaSubcommand


def _configure_install(parser: ArgumentParser) -> None:
    from .cli import configure_install

    configure_install(parser)


def _configure_verbs(parser: ArgumentParser) -> None:
    from .cli import configure_verbs

    configure_verbs(parser)


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


def _switch(command: str) -> None:
    if context.plugins.pypi_bridge_enabled:
        from .engines.conda import switch_solver

        switch_solver()


@hookimpl  # type: ignore[untyped-decorator]
def conda_solvers() -> Iterator[CondaSolver]:
    """The user's own solver, and the package index for what no channel has."""
    yield CondaSolver(name="pypi-bridge", backend=_solver)


@hookimpl  # type: ignore[untyped-decorator]
def conda_pre_commands() -> Iterator[CondaPreCommand]:
    """Puts that solver in place where the setting says so: a ``solver:`` of ours would outlive us."""
    yield CondaPreCommand(
        name="pypi-bridge",
        action=_switch,
        run_for={"install", "create", "update", "upgrade", "env_create", "env_update"},
    )


@hookimpl  # type: ignore[untyped-decorator]
def conda_settings() -> Iterator[CondaSetting]:
    """``plugins: pypi_bridge_enabled``; conda ignores it when the plugin is gone."""
    yield CondaSetting(
        name="pypi_bridge_enabled",
        description="Plain conda commands take from the package index what no channel has.",
        parameter=PrimitiveParameter(False, element_type=bool),
    )
