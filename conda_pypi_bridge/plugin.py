"""What conda loads at every command: declarations alone; everything else waits until it is used."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Iterator

from conda.plugins import hookimpl
from conda.plugins.types import CondaSubcommand


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
