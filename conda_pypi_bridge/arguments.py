"""The arguments of each verb, the same at every door."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial

from . import __version__
from .deferred import when_used
from .optiongroups import (
    COUNT,
    DAYS,
    DEPTH,
    HOOKS,
    LEVEL,
    PORT,
    SECONDS,
    add_common,
    add_index,
    add_indexes,
    add_output,
    add_prefix,
    add_said,
    add_scope,
    add_sources,
    option,
)
from .teaching import teach, teach_all

PROG = "python -m conda_pypi_bridge"

#: The shells that words are completed in.
SHELLS = ("bash", "zsh", "fish")

_CACHE_ACTIONS = {
    "show": "show what lies in the caches, and where",
    "verify": "compare what lies in the caches with its checksums",
    "clean": "delete packages by name, what is broken or old, or all",
}

_SWITCHES = {
    "enable": "let plain conda commands fall back to the package index",
    "disable": "let plain conda commands be as without the bridge",
    "status": "tell whether plain conda commands fall back to the package index",
}


def parser(prog: str = PROG, *, whole: bool = False) -> argparse.ArgumentParser:
    """The parser of ``python -m conda_pypi_bridge``, or of another name of it.

    If it is to be `whole`, every verb has its arguments already, and not only the one that will parse.
    """
    made = argparse.ArgumentParser(
        prog=prog, description="Install packages of a Python package index as conda packages, without conda."
    )
    made.add_argument("--version", action="version", version=f"conda-pypi-bridge {__version__}")
    configure_verbs(made, whole=whole)
    return made


def configure_verbs(made: argparse.ArgumentParser, *, whole: bool = False) -> None:
    """Add the verbs that follow ``conda pypi-bridge`` and ``python -m conda_pypi_bridge``."""
    verbs = made.add_subparsers(dest="verb", metavar="VERB", required=True)

    def add(verb: str, help_text: str, configure: Callable[[argparse.ArgumentParser], None]) -> None:
        parser = verbs.add_parser(verb, help=help_text)
        if whole:
            configure(parser)
        else:
            when_used(parser, configure)

    add("install", "install packages into an environment", configure_install)
    add("remove", "remove packages from an environment", configure_remove)
    add("build", "write .conda files of wheels", configure_build)
    add("recipe", "write recipes of conda-build", configure_recipe)
    add("doctor", "tell what is wrong with an environment, and fix it", configure_doctor)
    add("cache", "show, verify and clean the caches", configure_cache)
    add("why", "tell who needs a package, and where it came from", configure_why)
    add("tree", "show what needs what, as a tree or a picture", configure_tree)
    add("mirror", "write a static channel of what SPECs need", configure_mirror)
    add("serve", "serve the package index as a conda channel", configure_serve)
    for verb, help_text in _SWITCHES.items():
        add(verb, help_text, partial(configure_switch, verb=verb))
    add("notebook", "make notebooks use the environment of their kernel", _configure_notebook)
    add("where", "show which Python, pip, conda and kernelspecs are in use", _configure_where)
    add("completion", "print a script for your shell's Tab key", configure_completion)
    teach_all(made)


def _configure_notebook(made: argparse.ArgumentParser) -> None:
    from .notebook.verbs import configure

    configure(made)


def _configure_where(made: argparse.ArgumentParser) -> None:
    from .notebook.verbs import configure_where

    configure_where(made)


def configure_install(made: argparse.ArgumentParser) -> None:
    """Add the arguments of install."""
    made.set_defaults(verb="install")
    made.description = (
        "Install packages as conda packages: from channels what channels have, from the package index what "
        "they lack, all in one solve."
    )
    teach(made, "install")
    made.add_argument(
        "packages", metavar="SPEC", nargs="*", help='flask, "flask>=3", flask=3.1, "flask[async]"'
    )
    add_prefix(made)
    add_sources(made)
    option(made, "-U", "--upgrade", action="store_true", help="bring what is named to its newest version")
    option(made, "--allow-hooks", action="store_true", help=HOOKS)
    add_output(made)


def configure_build(made: argparse.ArgumentParser) -> None:
    """Add the arguments of build."""
    made.set_defaults(verb="build")
    made.description = (
        "Write .conda files of wheel files, or of what SPECs and all they require choose for the Python and "
        "platform of an environment, apart from what channels have."
    )
    teach(made, "build")
    made.add_argument("packages", metavar="X", nargs="*", help="a wheel file, or a SPEC")
    option(made, "-o", "--output", metavar="DIR", help="where the files go (default: here)")
    option(made, "--compression-level", type=LEVEL, metavar="N", help="zstd, 1 to 22 (default: 9)")
    option(made, "--allow-hooks", action="store_true", help=HOOKS)
    add_prefix(made)
    add_sources(made)
    add_output(made)


def configure_recipe(made: argparse.ArgumentParser) -> None:
    """Add the arguments of recipe."""
    made.set_defaults(verb="recipe")
    made.description = (
        "Write a recipe of conda-build (NAME/meta.yaml) for each SPEC, in the version that an install would "
        "choose: for packages that deserve a permanent home on a channel. What a recipe cannot say exactly "
        "is refused; lines that a person must look at are marked."
    )
    teach(made, "recipe")
    made.add_argument("packages", metavar="SPEC", nargs="*", help='cowsay, "flask>=3", "flask[async]"')
    option(made, "-o", "--output", metavar="DIR", help="where the folders go (default: here)")
    option(made, "--sdist", action="store_true", help="build from source, not from wheels")
    option(made, "--deps", action="store_true", help="recipes of what is required and channels lack, too")
    option(made, "--maintainer", action="append", metavar="NAME", help="who looks after the recipes")
    option(made, "--force", action="store_true", help="write over recipes that are there and differ")
    add_prefix(made)
    add_sources(made)
    add_said(made)


def configure_doctor(made: argparse.ArgumentParser) -> None:
    """Add the arguments of doctor."""
    made.set_defaults(verb="doctor")
    made.description = (
        "List what is broken in an environment, shadowed, unmet, left over, placed by pip, or needed by "
        "nobody. The exit status is 1 where something is broken."
    )
    teach(made, "doctor")
    made.add_argument("packages", metavar="NAME", nargs="*", help="look at these packages alone")
    option(made, "--fix", action="store_true", help="fix what is safe to fix")
    option(made, "--deep", action="store_true", help="compare the content of files, not their size alone")
    add_prefix(made)
    add_output(made)


def configure_why(made: argparse.ArgumentParser) -> None:
    """Add the arguments of why."""
    made.set_defaults(verb="why")
    made.description = (
        "Tell where packages came from (a channel; an index, and the file; pip), whether you asked for them, "
        "and what needs them, up to what you asked for."
    )
    teach(made, "why")
    made.add_argument(
        "packages", metavar="PKG", nargs="+", help="an installed package, by conda's or PyPI's name"
    )
    add_common(made)


def configure_tree(made: argparse.ArgumentParser) -> None:
    """Add the arguments of tree."""
    made.set_defaults(verb="tree")
    made.description = (
        "Show packages and what they need: of the whole environment, what you asked for first, or of the "
        "packages named. Each stands in full once."
    )
    teach(made, "tree")
    made.add_argument(
        "packages", metavar="PKG", nargs="*", help="an installed package, by conda's or PyPI's name"
    )
    option(made, "--reverse", action="store_true", help="show what needs them instead")
    option(made, "--depth", type=DEPTH, metavar="N", help="show N levels below the first")
    option(made, "--svg", metavar="FILE", help="draw a picture into FILE instead")
    add_common(made)


def configure_completion(made: argparse.ArgumentParser) -> None:
    """Add the arguments of completion."""
    made.set_defaults(verb="completion")
    made.description = (
        "Print a script with which a shell completes the verbs and options of conda-pypi-bridge, conda "
        "pypi-bridge, conda pypi-install and python -m conda_pypi_bridge."
    )
    teach(made, "completion")
    made.add_argument("shell", metavar="SHELL", choices=SHELLS, help=", ".join(SHELLS))


def configure_cache(made: argparse.ArgumentParser) -> None:
    """Add the actions of cache, and the arguments of each."""
    made.set_defaults(verb="cache", door=made.prog, packages=[])
    made.description = (
        "The caches: pages and metadata of the index, wheels, and packages ready-extracted. conda's own "
        "packages are left to conda clean; environments stay whole whatever goes."
    )
    teach(made, "cache")
    add_said(made)
    actions = made.add_subparsers(dest="cache_action", metavar="ACTION")
    made.set_defaults(cache_action="show")
    for action, help_text in _CACHE_ACTIONS.items():
        parser = actions.add_parser(action, help=help_text)
        parser.description = f"{help_text[0].upper()}{help_text[1:]}."
        parser.set_defaults(cache_action=action)
        teach(parser, f"cache {action}")
        if action == "show":
            add_said(parser)
            continue
        parser.add_argument("packages", metavar="NAME", nargs="*", help="a package or a project")
        if action == "verify":
            add_said(parser)
        else:
            option(parser, "--broken", action="store_true", help="what verify finds fault with")
            option(parser, "--older-than", type=DAYS, metavar="DAYS", help="what was not used for so long")
            option(parser, "--all", action="store_true", help="everything of the bridge")
            add_output(parser)


def configure_mirror(made: argparse.ArgumentParser) -> None:
    """Add the arguments of mirror."""
    made.set_defaults(verb="mirror")
    made.description = (
        "Write a channel that holds what SPECs and all they require need from the package index, for every "
        "Python and platform named: into a folder or at a URL, for any web server or none. What is there "
        "stays and is not built again."
    )
    teach(made, "mirror")
    made.add_argument("packages", metavar="SPEC", nargs="*", help='flask, "flask>=3", "flask[async]"')
    made.add_argument("--to", metavar="PLACE", required=True, help="a folder, or a URL that fsspec writes to")
    add_scope(made, "this machine's")
    held = made.add_argument_group("what the channel holds")
    option(held, "--versions", type=COUNT, metavar="N", help="the newest N of each SPEC (default: 1)")
    option(held, "--together", action="store_true", help="all SPECs must go into one environment")
    option(held, "--keep-going", action="store_true", help="leave out what cannot be had, and say so")
    option(held, "--prune", action="store_true", help="delete packages that are not needed for this")
    option(held, "--compression-level", type=LEVEL, metavar="N", help="zstd, 1 to 22 (default: 9)")
    option(held, "--allow-hooks", action="store_true", help=HOOKS)
    add_index(made)
    option(made, "--no-deps", action="store_true", help="the named packages alone")
    option(made, "--offline", action="store_true", help="use nothing but caches")
    option(made, "--verify", action="store_true", dest="verify_only", help="read and judge what is there")
    option(made, "--repair", action="store_true", help="read what is there, and build what is damaged anew")
    option(made, "--scheduler", metavar="ADDRESS", help="build on the workers of this Dask scheduler")
    option(made, "-d", "--dry-run", action="store_true", help="only show what would be built")
    add_said(made)


def configure_serve(made: argparse.ArgumentParser) -> None:
    """Add the arguments of serve."""
    made.set_defaults(verb="serve")
    made.description = (
        "Serve the projects of the package index as a channel, for conda, mamba, pixi and rattler alike. A "
        "package is built when somebody first asks for it, and kept."
    )
    teach(made, "serve")
    network = made.add_argument_group("network")
    option(
        network, "--host", metavar="ADDRESS", help="where to listen (default: 127.0.0.1, this machine alone)"
    )
    option(network, "--port", type=PORT, metavar="N", help="default: 8650; 0 for any that is free")
    option(network, "--token-file", metavar="FILE", help="tokens, one a line: nobody is answered without one")
    option(
        network, "--allow-host", action="append", metavar="HOST",
        help="ask no hosts but those of the index and this one (a pattern)",
    )  # fmt: skip
    add_scope(made, "Linux, macOS and Windows")
    made_of = made.add_argument_group("what the channel holds")
    option(
        made_of, "--store", metavar="URL", help="a folder, or a URL that fsspec reads (default: in the cache)"
    )
    option(made_of, "--projects", metavar="FILE", help="only the projects listed, and what they require")
    option(made_of, "--list", metavar="FILE", help="requirements to build now, closure included")
    option(made_of, "--versions", type=COUNT, metavar="N", help="of each project (default: 3)")
    option(made_of, "--max-size", type=COUNT, metavar="MB", help="of a wheel that is built (default: 1024)")
    option(
        made_of, "--min-free", type=DEPTH, metavar="MB", help="with less on the disk, build nothing (1024)"
    )
    option(
        made_of, "--keep-days", type=COUNT, metavar="N", help="delete what nobody asks for in N days (never)"
    )
    option(made_of, "--budget", type=SECONDS, metavar="SECONDS", help="to build for one request (default: 5)")
    add_indexes(made.add_argument_group("package index"))
    option(made, "-q", "--quiet", action="store_true", help="log no requests but those that failed")
    option(made, "-v", "--verbose", action="count", dest="verbosity", help="say more; -vv adds tracebacks")


def configure_switch(made: argparse.ArgumentParser, verb: str) -> None:
    """Add the arguments of enable, disable and status."""
    made.set_defaults(verb=verb)
    made.description = (
        f"{_SWITCHES[verb][0].upper()}{_SWITCHES[verb][1:]}. When enabled, conda install, create and update "
        "take from the package index what no channel has; what channels have is as without the bridge."
    )
    teach(made, verb)
    if verb != "status":
        where = made.add_mutually_exclusive_group()
        option(where, "--system", action="store_true", help="for all users of this conda")
        option(where, "--env", action="store_true", help="for commands run from this environment's conda")
    add_common(made)


def configure_remove(made: argparse.ArgumentParser) -> None:
    """Add the arguments of remove."""
    made.set_defaults(verb="remove")
    made.description = "Remove packages, what needs them, and what was installed only for them."
    teach(made, "remove")
    made.add_argument("packages", metavar="NAME", nargs="+", help="an installed package")
    add_prefix(made)
    add_output(made)
