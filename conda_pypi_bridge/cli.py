"""The command line: arguments, messages, JSON and exit statuses, the same at every door.

conda's subcommands and ``python -m conda_pypi_bridge`` share the parsers and everything after them;
the engine is all that differs. Destinations are named as conda names them, so that conda's own
context reads its options from the same arguments.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import __version__
from .errors import BridgeError, ConfigError

if TYPE_CHECKING:
    from .bridge import Outcome
    from .requirementfiles import RequirementFile
    from .resolve import Options
    from .session import Session

    Open = Callable[[argparse.Namespace], Session]

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

_DOCTOR_EXAMPLES = """\
examples:
  {prog}                                what is wrong with this environment, or worth knowing
  {prog} -p ./env --fix                 fix what is safe to fix, after a question
  {prog} --fix flask                    that package alone; files of it that you edited are kept aside
"""

_SWITCHES = {
    "enable": "let plain conda commands fall back to the package index",
    "disable": "let plain conda commands be as without the bridge",
    "status": "tell whether plain conda commands fall back to the package index",
}

_HOOKS = "accept wheels with files that run when an environment is activated, or that make menu entries"


# -- parsers -------------------------------------------------------------------------------------------


def parser() -> argparse.ArgumentParser:
    """The parser of ``python -m conda_pypi_bridge``."""
    made = argparse.ArgumentParser(
        prog=PROG, description="Install packages of a Python package index as conda packages, without conda."
    )
    made.add_argument("--version", action="version", version=f"conda-pypi-bridge {__version__}")
    configure_verbs(made)
    return made


def configure_verbs(made: argparse.ArgumentParser) -> None:
    """Add the verbs that follow ``conda pypi-bridge`` and ``python -m conda_pypi_bridge``."""
    verbs = made.add_subparsers(dest="verb", metavar="VERB", required=True)
    configure_install(verbs.add_parser("install", help="install packages into an environment"))
    configure_remove(verbs.add_parser("remove", help="remove packages from an environment"))
    configure_build(verbs.add_parser("build", help="write .conda files of wheels"))
    configure_doctor(verbs.add_parser("doctor", help="tell what is wrong with an environment, and fix it"))
    for verb, help_text in _SWITCHES.items():
        configure_switch(verbs.add_parser(verb, help=help_text), verb)
    from .notebook import verbs as notebook

    notebook.configure(verbs, _add_common)


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
    index = made.add_argument_group("package index")
    _option(index, "-r", "--requirement", action="append", metavar="FILE", help="what a file lists, too")
    _option(index, "-i", "--index-url", metavar="URL", help="the package index (PEP 503 or 691)")
    _option(
        index, "--extra-index-url", action="append", metavar="URL",
        help="a further index; the first that has a project serves it",
    )  # fmt: skip
    _option(index, "--pre", action="store_true", help="allow pre-releases")
    solving = made.add_argument_group("solving")
    _option(solving, "--no-deps", action="store_true", help="install the named packages alone")
    _option(solving, "--offline", action="store_true", help="use nothing but caches")


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


# -- doors ---------------------------------------------------------------------------------------------


def main(argv: Sequence[str] | None = None) -> int:
    """``python -m conda_pypi_bridge``: the engine without conda. Returns the exit status."""
    return run(parser().parse_args(argv), _without_conda)


def entry() -> None:
    """`main`, and the end of the process."""
    status = main()
    engine = sys.modules.get(f"{__package__}.engines.rattler")
    if engine is not None:
        engine.exit_now(status)
    sys.exit(status)


def conda_main(args: argparse.Namespace) -> int:
    """conda's subcommands: conda's own engine. Returns the exit status."""
    from .engines.conda import context_flags
    from .prefix import redact

    for name, value in context_flags().items():
        if value:
            setattr(args, name, value)
    sys.argv[:] = [redact(word) for word in sys.argv]  # conda writes them into the history
    return run(args, _within_conda)


def revert(args: Any) -> None:
    """``conda install --revision``, which ends here where packages of the bridge are to come back."""
    from .engines.conda import carry_out, target_prefix
    from .transparent import reverted

    transaction = reverted(target_prefix(), int(args.revision)) if str(args.revision).isdigit() else None
    if transaction is not None:
        carry_out(transaction, args)
        sys.exit(0)


def _without_conda(args: argparse.Namespace) -> Session:
    from .session import without_conda

    return without_conda(args)


def _within_conda(args: argparse.Namespace) -> Session:
    from .session import within_conda

    return within_conda(args)


def run(args: argparse.Namespace, opened: Open) -> int:
    """Carry out a verb, and tell the outcome as text or JSON. Returns the exit status."""
    began = time.monotonic()
    try:
        told = _VERBS[args.verb](args, opened)
    except BridgeError as error:
        return _fail(args, error)
    except KeyboardInterrupt:
        if sys.stderr.isatty():
            print(file=sys.stderr)  # below the ^C
        return _fail(args, BridgeError("interrupted; nothing was changed"), status=130)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        return _fail(args, BridgeError(f"{where}{error.strerror or error}"))
    except Exception as error:
        if any(kind.__module__.partition(".")[0] == "conda" for kind in type(error).__mro__):
            raise  # conda reports its own errors
        hint = "This is a bug of conda-pypi-bridge. Run again with -vv to see where it happened."
        return _fail(args, BridgeError(f"{type(error).__name__}: {error}", hint=hint))
    if _flag(args, "json"):
        _print(json.dumps(told.document, indent=2))
    elif told.needed or not _flag(args, "quiet"):
        _print(told.text(time.monotonic() - began))
    return told.status


def _print(text: str) -> None:
    """To standard output, unless nobody reads it any more."""
    try:
        print(text, flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _fail(args: argparse.Namespace, error: BridgeError, *, status: int = 1) -> int:
    from .display import plain

    message, hint = plain(str(error)), plain(error.hint)
    if _flag(args, "json"):
        document = {
            "success": False,
            "error": message,
            "message": "\n".join(filter(None, (message, hint))),
            "exception_name": type(error).__name__,
        }
        print(json.dumps(document, indent=2))
    else:
        print(f"error: {message}", file=sys.stderr)
        if hint:
            print(f"  {hint}", file=sys.stderr)
    if _verbosity(args) >= 2:
        traceback.print_exc(file=sys.stderr)
    return status


# -- verbs ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Told:
    """What a verb has to say: as JSON, and as text given the seconds it took.

    `needed` is text that even a quiet command prints; `status` is the exit status.
    """

    document: dict[str, Any]
    text: Callable[[float], str]
    needed: bool = False
    status: int = 0


def _install(args: argparse.Namespace, opened: Open) -> Told:
    from . import bridge

    files = _requirement_files(args)
    texts = _texts(args, files, "install")
    args.channel = [*getattr(args, "channel", ()), *files.channels]
    session = opened(args)
    options = _options(args, files, session)
    index = session.index(args, files)
    return _told(bridge.install(texts, session.engine, index, options, _reporter(args)))


def _remove(args: argparse.Namespace, opened: Open) -> Told:
    from . import bridge

    options = bridge.Options(dry_run=_flag(args, "dry_run"))
    return _told(bridge.remove(args.packages, opened(args).engine, options, _reporter(args)))


def _told(outcome: Outcome) -> Told:
    from .display import outcome_document, summary

    return Told(
        document=outcome_document(outcome),
        text=lambda seconds: summary(outcome, seconds),
        needed=outcome.plan.empty or outcome.dry_run,
    )


def _build(args: argparse.Namespace, opened: Open) -> Told:
    from . import bridge
    from .display import built_document, built_summary

    files = _requirement_files(args)
    texts = _texts(args, files, "build")
    args.channel = [*getattr(args, "channel", ()), *files.channels]
    session = opened(args)
    built = bridge.build(
        texts,
        session.engine,
        session.index(args, files),
        _options(args, files, session),
        Path(getattr(args, "output", ".")),
        getattr(args, "compression_level", 9),
        _reporter(args),
    )
    return Told(document=built_document(built), text=lambda seconds: built_summary(built, seconds))


def _switch(args: argparse.Namespace, opened: Open) -> Told:
    from .condarcfile import set_plugin_setting

    session = opened(args)
    if _flag(args, "system"):
        path = session.root / ".condarc"
    elif _flag(args, "env"):
        path = session.prefix.path / ".condarc"
    else:
        path = Path.home() / ".condarc"
    on = args.verb == "enable"
    changed = set_plugin_setting(path, "pypi_bridge_enabled", True if on else None)
    verb = f"{args.verb}d" if changed else f"already {args.verb}d"
    return Told(
        document={"success": True, "enabled": on, "changed": changed, "file": str(path)},
        text=lambda seconds: f"Fallback to the package index is {verb} ({path}).",
    )


def _status(args: argparse.Namespace, opened: Open) -> Told:
    on = opened(args).settings.enabled
    return Told(
        document={"success": True, "enabled": on},
        text=lambda seconds: f"Fallback to the package index is {'enabled' if on else 'disabled'}.",
    )


def _notebook(args: argparse.Namespace, opened: Open) -> Told:
    from .notebook import verbs

    document, text = verbs.carry_out(args, opened(args).prefix)
    return Told(document=document, text=lambda seconds: text, needed=True)


def _doctor(args: argparse.Namespace, opened: Open) -> Told:
    from .checkup import carry_out
    from .display import plain

    document, text, status = carry_out(args, _reporter(args), conda=opened is _within_conda)
    return Told(document=document, text=lambda seconds: plain(text), needed=True, status=status)


def print_health(prefix: str) -> None:
    """Our part of ``conda doctor``."""
    from .checkup import health_text
    from .display import plain

    print(plain(health_text(Path(prefix))), flush=True)


_VERBS: dict[str, Callable[[argparse.Namespace, Open], Told]] = {
    "install": _install,
    "remove": _remove,
    "build": _build,
    "doctor": _doctor,
    "enable": _switch,
    "disable": _switch,
    "status": _status,
    "notebook": _notebook,
    "where": _notebook,
}


def _texts(args: argparse.Namespace, files: RequirementFile, verb: str) -> list[str]:
    texts = [*args.packages, *files.requests]
    if not texts:
        raise ConfigError(f"nothing to {verb}: name at least one SPEC, or a file with -r")
    return texts


def _options(args: argparse.Namespace, files: RequirementFile, session: Session) -> Options:
    from .resolve import Options

    return Options.listed(
        files,
        pre=_flag(args, "pre"),
        deps=not _flag(args, "no_deps"),
        dry_run=_flag(args, "dry_run"),
        allow_hooks=_flag(args, "allow_hooks"),
        blocked=session.settings.block,
    )


def _requirement_files(args: argparse.Namespace) -> RequirementFile:
    from . import requirementfiles

    return requirementfiles.read(getattr(args, "requirement", []), environ=os.environ)


def _reporter(args: argparse.Namespace) -> Any:
    from .display import Terminal

    quiet = _flag(args, "quiet") or _flag(args, "json")
    ask = not (_flag(args, "yes") or _flag(args, "json") or _flag(args, "dry_run"))
    return Terminal(ask=ask, quiet=quiet)


def _flag(args: argparse.Namespace, name: str) -> bool:
    return bool(getattr(args, name, False))


def _verbosity(args: argparse.Namespace) -> int:
    return int(getattr(args, "verbosity", 0) or 0)
