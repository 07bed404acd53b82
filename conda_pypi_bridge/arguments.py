"""The arguments of the command line, the same at every door.

Destinations are named as conda names them, so that conda's own context reads its options from the same
arguments.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from typing import Any, NoReturn

from . import __version__
from .deferred import when_used
from .redaction import redact

PROG = "python -m conda_pypi_bridge"

_INSTALL_EXAMPLES = """\
examples:
  {prog} cowsay                         the newest version that fits
  {prog} "flask>=3" markupsafe          several at once, with a version range
  {prog} "fastapi[standard]"            with an extra
  {prog} -p ./env --dry-run pandas      show what would happen to another environment
  {prog} -r requirements.txt            what a requirements file lists
"""

_REMOVE_EXAMPLES = """\
examples:
  {prog} cowsay                         the package, and what needs it
  {prog} -p ./env --dry-run pandas      show what would go
"""

_BUILD_EXAMPLES = """\
examples:
  {prog} -o channel cowsay              cowsay and all it requires that channels lack
  {prog} --no-deps "flask==3.1"         that package alone
  {prog} dist/mine-1.0-py3-none-any.whl  a wheel of your own
"""

_RECIPE_EXAMPLES = """\
examples:
  {prog} cowsay                         cowsay/meta.yaml, which installs its wheel
  {prog} --sdist -o recipes cowsay      recipes/cowsay/meta.yaml, which builds its source
  {prog} --deps --maintainer me rich    recipes of rich and of all it requires that channels lack
"""

_DOCTOR_EXAMPLES = """\
examples:
  {prog}                                what is wrong with this environment, or worth knowing
  {prog} -p ./env --fix                 fix what is safe to fix, after a question
  {prog} --fix flask                    that package alone; files of it that you edited are kept aside
"""

_CACHE_EXAMPLES = """\
examples:
  {prog} show                     what lies in caches, and where
  {prog} verify                   whether it is what was put there
  {prog} clean --broken           delete what is not, so that it is made anew
  {prog} clean --older-than 90    delete what was not used for 90 days
  {prog} clean flask              delete the packages and wheels of that name
"""

_MIRROR_EXAMPLES = """\
examples:
  {prog} --to ./channel flask "pandas>=2"                  for this machine's platform
  {prog} --to s3://bucket/channel -r list.txt --subdir linux-64 --subdir win-64 --python 3.12
  {prog} --to ./channel --verify                           whether all that it lists is there
"""

_SERVE_EXAMPLES = """\
examples:
  {prog}                                 for this machine alone; the last line tells the channel's URL
  {prog} --host 0.0.0.0 --token-file tokens.txt --store s3://bucket/channel
  {prog} --python 3.12 --subdir linux-64 --list curated.txt
"""

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

_HOOKS = "accept wheels with files that run when an environment is activated, or that make menu entries"


class _Parser(argparse.ArgumentParser):
    """A parser whose errors repeat no credentials of what was typed."""

    def error(self, message: str) -> NoReturn:
        super().error(redact(message))


def parser() -> argparse.ArgumentParser:
    """The parser of ``python -m conda_pypi_bridge``."""
    made = _Parser(
        prog=PROG, description="Install packages of a Python package index as conda packages, without conda."
    )
    made.add_argument("--version", action="version", version=f"conda-pypi-bridge {__version__}")
    configure_verbs(made)
    return made


def configure_verbs(made: argparse.ArgumentParser) -> None:
    """Add the verbs that follow ``conda pypi-bridge`` and ``python -m conda_pypi_bridge``."""
    verbs = made.add_subparsers(dest="verb", metavar="VERB", required=True)

    def add(verb: str, help_text: str, configure: Callable[[argparse.ArgumentParser], None]) -> None:
        when_used(verbs.add_parser(verb, help=help_text), configure)

    add("install", "install packages into an environment", configure_install)
    add("remove", "remove packages from an environment", configure_remove)
    add("build", "write .conda files of wheels", configure_build)
    add("recipe", "write recipes of conda-build", configure_recipe)
    add("doctor", "tell what is wrong with an environment, and fix it", configure_doctor)
    add("cache", "show, verify and clean the caches", configure_cache)
    add("mirror", "write a static channel of what SPECs need", configure_mirror)
    add("serve", "serve the package index as a conda channel", configure_serve)
    for verb, help_text in _SWITCHES.items():
        add(verb, help_text, partial(configure_switch, verb=verb))
    add("notebook", "make notebooks use the environment of their kernel", _configure_notebook)
    add("where", "show which Python, pip, conda and kernelspecs are in use", _configure_where)


def _configure_notebook(made: argparse.ArgumentParser) -> None:
    from .notebook.verbs import configure

    configure(made, _add_common)


def _configure_where(made: argparse.ArgumentParser) -> None:
    from .notebook.verbs import configure_where

    configure_where(made, _add_common)


def configure_install(made: argparse.ArgumentParser) -> None:
    """Add the arguments of install."""
    made.set_defaults(verb="install")
    made.description = (
        "Install packages as conda packages: from channels what channels have, from the package index what "
        "they lack, all in one solve."
    )
    _teach(made, _INSTALL_EXAMPLES)
    made.add_argument(
        "packages", metavar="SPEC", nargs="*", help='flask, "flask>=3", flask=3.1, "flask[async]"'
    )
    _add_prefix(made)
    _add_sources(made)
    _option(made, "-U", "--upgrade", action="store_true", help="bring what is named to its newest version")
    _option(made, "--allow-hooks", action="store_true", help=_HOOKS)
    _add_output(made)


def configure_build(made: argparse.ArgumentParser) -> None:
    """Add the arguments of build."""
    made.set_defaults(verb="build")
    made.description = (
        "Write .conda files of wheel files, or of what SPECs and all they require choose for the Python and "
        "platform of an environment, apart from what channels have."
    )
    _teach(made, _BUILD_EXAMPLES)
    made.add_argument("packages", metavar="X", nargs="*", help="a wheel file, or a SPEC")
    _option(made, "-o", "--output", metavar="DIR", help="where the files go (default: here)")
    _option(made, "--compression-level", type=_level, metavar="N", help="zstd, 1 to 22 (default: 9)")
    _option(made, "--allow-hooks", action="store_true", help=_HOOKS)
    _add_prefix(made)
    _add_sources(made)
    _add_output(made)


def configure_recipe(made: argparse.ArgumentParser) -> None:
    """Add the arguments of recipe."""
    made.set_defaults(verb="recipe")
    made.description = (
        "Write a recipe of conda-build (NAME/meta.yaml) for each SPEC, in the version that an install would "
        "choose: for packages that deserve a permanent home on a channel. What a recipe cannot say exactly "
        "is refused; lines that a person must look at are marked."
    )
    _teach(made, _RECIPE_EXAMPLES)
    made.add_argument("packages", metavar="SPEC", nargs="*", help='cowsay, "flask>=3", "flask[async]"')
    _option(made, "-o", "--output", metavar="DIR", help="where the folders go (default: here)")
    _option(made, "--sdist", action="store_true", help="build from source, not from wheels")
    _option(made, "--deps", action="store_true", help="recipes of what is required and channels lack, too")
    _option(made, "--maintainer", action="append", metavar="NAME", help="who looks after the recipes")
    _option(made, "--force", action="store_true", help="write over recipes that are there and differ")
    _add_prefix(made)
    _add_sources(made)
    _add_said(made)


def configure_doctor(made: argparse.ArgumentParser) -> None:
    """Add the arguments of doctor."""
    made.set_defaults(verb="doctor")
    made.description = (
        "List what is broken in an environment, shadowed, unmet, left over, placed by pip, or needed by "
        "nobody. The exit status is 1 where something is broken."
    )
    _teach(made, _DOCTOR_EXAMPLES)
    made.add_argument("packages", metavar="NAME", nargs="*", help="look at these packages alone")
    _option(made, "--fix", action="store_true", help="fix what is safe to fix")
    _option(made, "--deep", action="store_true", help="compare the content of files, not their size alone")
    _add_prefix(made)
    _add_output(made)


def configure_cache(made: argparse.ArgumentParser) -> None:
    """Add the actions of cache, and the arguments of each."""
    made.set_defaults(verb="cache", door=made.prog, packages=[])
    made.description = (
        "The caches: pages and metadata of the index, wheels, and packages ready-extracted. conda's own "
        "packages are left to conda clean; environments stay whole whatever goes."
    )
    _teach(made, _CACHE_EXAMPLES)
    _add_said(made)
    actions = made.add_subparsers(dest="cache_action", metavar="ACTION")
    made.set_defaults(cache_action="show")
    for action, help_text in _CACHE_ACTIONS.items():
        parser = actions.add_parser(action, help=help_text)
        parser.description = f"{help_text[0].upper()}{help_text[1:]}."
        parser.set_defaults(cache_action=action)
        if action == "show":
            _add_said(parser)
            continue
        parser.add_argument("packages", metavar="NAME", nargs="*", help="a package or a project")
        if action == "verify":
            _add_said(parser)
        else:
            _option(parser, "--broken", action="store_true", help="what verify finds fault with")
            _option(parser, "--older-than", type=_days, metavar="DAYS", help="what was not used for so long")
            _option(parser, "--all", action="store_true", help="everything of the bridge")
            _add_output(parser)


def configure_mirror(made: argparse.ArgumentParser) -> None:
    """Add the arguments of mirror."""
    made.set_defaults(verb="mirror")
    made.description = (
        "Write a channel that holds what SPECs and all they require need from the package index, for every "
        "Python and platform named: into a folder or at a URL, for any web server or none. What is there "
        "stays and is not built again."
    )
    _teach(made, _MIRROR_EXAMPLES)
    made.add_argument("packages", metavar="SPEC", nargs="*", help='flask, "flask>=3", "flask[async]"')
    made.add_argument("--to", metavar="PLACE", required=True, help="a folder, or a URL that fsspec writes to")
    _add_scope(made, "this machine's")
    held = made.add_argument_group("what the channel holds")
    _option(held, "--versions", type=_number, metavar="N", help="the newest N of each SPEC (default: 1)")
    _option(held, "--together", action="store_true", help="all SPECs must go into one environment")
    _option(held, "--keep-going", action="store_true", help="leave out what cannot be had, and say so")
    _option(held, "--prune", action="store_true", help="delete packages that are not needed for this")
    _option(held, "--compression-level", type=_level, metavar="N", help="zstd, 1 to 22 (default: 9)")
    _option(held, "--allow-hooks", action="store_true", help=_HOOKS)
    _add_index(made)
    _option(made, "--no-deps", action="store_true", help="the named packages alone")
    _option(made, "--offline", action="store_true", help="use nothing but caches")
    _option(made, "--verify", action="store_true", dest="verify_only", help="read and judge what is there")
    _option(made, "--scheduler", metavar="ADDRESS", help="build on the workers of this Dask scheduler")
    _option(made, "-d", "--dry-run", action="store_true", help="only show what would be built")
    _add_said(made)


def configure_serve(made: argparse.ArgumentParser) -> None:
    """Add the arguments of serve."""
    made.set_defaults(verb="serve")
    made.description = (
        "Serve the projects of the package index as a channel, for conda, mamba, pixi and rattler alike. A "
        "package is built when somebody first asks for it, and kept."
    )
    _teach(made, _SERVE_EXAMPLES)
    network = made.add_argument_group("network")
    _option(
        network, "--host", metavar="ADDRESS", help="where to listen (default: 127.0.0.1, this machine alone)"
    )
    _option(network, "--port", type=_port, metavar="N", help="default: 8650; 0 for any that is free")
    _option(
        network, "--token-file", metavar="FILE", help="tokens, one a line: nobody is answered without one"
    )
    _option(
        network, "--allow-host", action="append", metavar="HOST",
        help="ask no hosts but those of the index and this one (a pattern)",
    )  # fmt: skip
    _add_scope(made, "Linux, macOS and Windows")
    made_of = made.add_argument_group("what the channel holds")
    _option(
        made_of, "--store", metavar="URL", help="a folder, or a URL that fsspec reads (default: in the cache)"
    )
    _option(made_of, "--projects", metavar="FILE", help="only the projects listed, and what they require")
    _option(made_of, "--list", metavar="FILE", help="requirements to build now, closure included")
    _option(made_of, "--versions", type=_number, metavar="N", help="of each project (default: 3)")
    _option(
        made_of, "--budget", type=_seconds, metavar="SECONDS", help="to build for one request (default: 5)"
    )
    _add_indexes(made.add_argument_group("package index"))
    _option(made, "-q", "--quiet", action="store_true", help="log no requests but those that failed")
    _option(made, "-v", "--verbose", action="count", dest="verbosity", help="say more; -vv adds tracebacks")


def _add_scope(made: argparse.ArgumentParser, platforms: str) -> None:
    """Options that tell for which environments a channel is; `platforms` is the default in words."""
    scope = made.add_argument_group("environments")
    _option(
        scope, "--python", action="append", dest="pythons", metavar="X.Y",
        help="a minor version of Python; may be repeated (default: 3.10 to 3.13)",
    )  # fmt: skip
    # conda's context has a ``subdir`` of its own.
    _option(
        scope, "--subdir", action="append", dest="platforms", metavar="SUBDIR",
        help=f"a platform, such as linux-64; may be repeated (default: {platforms})",
    )  # fmt: skip


def configure_switch(made: argparse.ArgumentParser, verb: str) -> None:
    """Add the arguments of enable, disable and status."""
    made.set_defaults(verb=verb)
    made.description = (
        f"{_SWITCHES[verb][0].upper()}{_SWITCHES[verb][1:]}. When enabled, conda install, create and update "
        "take from the package index what no channel has; what channels have is as without the bridge."
    )
    if verb != "status":
        where = made.add_mutually_exclusive_group()
        _option(where, "--system", action="store_true", help="for all users of this conda")
        _option(where, "--env", action="store_true", help="for commands run from this environment's conda")
    _add_common(made)


def _add_common(made: argparse.ArgumentParser) -> None:
    """The options of verbs that neither solve nor ask."""
    _add_prefix(made)
    _option(made, "--json", action="store_true", help="print one JSON document")
    _option(made, "-v", "--verbose", action="count", dest="verbosity", help="say more; -vv adds tracebacks")


def _add_said(made: argparse.ArgumentParser) -> None:
    """The options of what asks nothing and changes nothing."""
    _option(made, "--json", action="store_true", help="print one JSON document")
    _option(made, "-q", "--quiet", action="store_true", help="print no progress")
    _option(made, "-v", "--verbose", action="count", dest="verbosity", help="say more; -vv adds tracebacks")


def _days(text: str) -> float:
    days = float(text)
    if not 0 <= days < 1e6:
        raise argparse.ArgumentTypeError("a number of days that is not negative")
    return days


def _port(text: str) -> int:
    port = int(text)
    if not 0 <= port < 1 << 16:
        raise argparse.ArgumentTypeError("a number from 0 to 65535")
    return port


def _number(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("a number from 1 on")
    return number


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 < seconds <= 45:
        raise argparse.ArgumentTypeError("a number of seconds up to 45: conda waits 60 for an answer")
    return seconds


def _level(text: str) -> int:
    level = int(text)
    if not 1 <= level <= 22:
        raise argparse.ArgumentTypeError("a number from 1 to 22")
    return level


def _add_sources(made: argparse.ArgumentParser) -> None:
    """Options on channels, indexes and solving, shared by all that resolves."""
    channels = made.add_argument_group("channels")
    _option(channels, "-c", "--channel", action="append", metavar="CHANNEL", help="a channel to search first")
    _option(channels, "--override-channels", action="store_true", help="search no channel but those of -c")
    _add_index(made)
    solving = made.add_argument_group("solving")
    _option(solving, "--no-deps", action="store_true", help="install the named packages alone")
    _option(solving, "--offline", action="store_true", help="use nothing but caches")


def _add_index(made: argparse.ArgumentParser) -> None:
    """Options on package indexes, and files that tell what is wanted of them."""
    index = made.add_argument_group("package index")
    _option(index, "-r", "--requirement", action="append", metavar="FILE", help="what a file lists, too")
    _add_indexes(index)
    _option(index, "--pre", action="store_true", help="allow pre-releases")


def _add_indexes(group: Any) -> None:
    """Options that name package indexes."""
    _option(group, "-i", "--index-url", metavar="URL", help="the package index (PEP 503 or 691)")
    _option(
        group, "--extra-index-url", action="append", metavar="URL",
        help="a further index; the first that has a project serves it",
    )  # fmt: skip


def configure_remove(made: argparse.ArgumentParser) -> None:
    """Add the arguments of remove."""
    made.set_defaults(verb="remove")
    made.description = "Remove packages, what needs them, and what was installed only for them."
    _teach(made, _REMOVE_EXAMPLES)
    made.add_argument("packages", metavar="NAME", nargs="+", help="an installed package")
    _add_prefix(made)
    _add_output(made)


def _add_prefix(made: argparse.ArgumentParser) -> None:
    group = made.add_argument_group("environment").add_mutually_exclusive_group()
    _option(group, "-n", "--name", metavar="NAME", help="an environment by its name")
    _option(group, "-p", "--prefix", metavar="PATH", help="an environment by its path")


def _add_output(made: argparse.ArgumentParser) -> None:
    group = made.add_argument_group("output and questions")
    _option(group, "-y", "--yes", action="store_true", help="do not ask before changing anything")
    _option(group, "-d", "--dry-run", action="store_true", help="only show what would happen")
    _option(group, "--json", action="store_true", help="print one JSON document")
    _option(group, "-q", "--quiet", action="store_true", help="print no progress")
    _option(group, "-v", "--verbose", action="count", dest="verbosity", help="say more; -vv adds tracebacks")


def _option(group: Any, *names: str, **settings: Any) -> None:
    """An option that leaves no trace where it is not given: conda fills in its own configuration."""
    group.add_argument(*names, default=argparse.SUPPRESS, **settings)


def _teach(made: argparse.ArgumentParser, examples: str) -> None:
    made.formatter_class = argparse.RawDescriptionHelpFormatter
    made.epilog = examples.format(prog=made.prog)
