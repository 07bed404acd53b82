"""What each verb of the command line does, given its arguments and how its door opens a session."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import ConfigError, NoLibrary

if TYPE_CHECKING:
    from .bridge import Outcome
    from .engines import Engine
    from .index import Index
    from .options import Options
    from .requirementfiles import RequirementFile
    from .session import Session

    Open = Callable[[argparse.Namespace], Session]


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

    asked = _asked(args, opened, "install")
    return _told(bridge.install(asked.texts, asked.engine, asked.index, asked.options, _reporter(args)))


def _remove(args: argparse.Namespace, opened: Open) -> Told:
    from . import bridge

    engine, dry_run = opened(args).engine, flag(args, "dry_run")
    return _told(bridge.remove(args.packages, engine, _reporter(args), dry_run=dry_run))


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

    asked = _asked(args, opened, "build")
    built = bridge.build(
        asked.texts,
        asked.engine,
        asked.index(),
        asked.options,
        Path(getattr(args, "output", ".")),
        getattr(args, "compression_level", 9),
        _reporter(args),
    )
    return Told(document=built_document(built), text=lambda seconds: built_summary(built, seconds))


def _recipe(args: argparse.Namespace, opened: Open) -> Told:
    from . import recipe
    from .display import recipes_document, recipes_summary

    asked = _asked(args, opened, "write a recipe of")
    wishes = recipe.Wishes(
        sdist=flag(args, "sdist"),
        deps=flag(args, "deps"),
        force=flag(args, "force"),
        maintainers=getattr(args, "maintainer", ()),
    )
    written = recipe.write(
        asked.texts,
        asked.engine,
        asked.index(),
        asked.options,
        Path(getattr(args, "output", ".")),
        wishes,
        _reporter(args),
    )
    return Told(document=recipes_document(written), text=lambda seconds: recipes_summary(written))


def _switch(args: argparse.Namespace, opened: Open) -> Told:
    from .condarcfile import set_plugin_setting

    folder = Path.home()
    if flag(args, "system"):
        folder = opened(args).root
    elif flag(args, "env"):
        folder = opened(args).prefix.path
    path = folder / ".condarc"
    on = args.verb == "enable"
    changed = set_plugin_setting(path, "pypi_bridge_enabled", True if on else None)
    verb = f"{args.verb}d" if changed else f"already {args.verb}d"
    return Told(
        document={"success": True, "enabled": on, "changed": changed, "file": str(path)},
        text=lambda seconds: f"Fallback to the package index is {verb} ({path}).",
    )


def _status(args: argparse.Namespace, opened: Open) -> Told:
    from .session import within_conda

    if opened is within_conda:
        from .engines.conda import is_enabled

        on = is_enabled()
    else:
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
    from .session import within_conda

    document, text, status = carry_out(args, _reporter(args), conda=opened is within_conda)
    return Told(document=document, text=lambda seconds: plain(text), needed=True, status=status)


def _cache(args: argparse.Namespace, opened: Open) -> Told:
    from .display import plain
    from .housekeeping import carry_out
    from .session import within_conda

    told = carry_out(args, _reporter(args), conda=opened is within_conda)
    return Told(
        document=told.document, text=lambda seconds: plain(told.text), needed=True, status=told.status
    )


def _mirror(args: argparse.Namespace, opened: Open) -> Told:
    try:
        from .mirror.running import carry_out
    except ModuleNotFoundError as error:
        raise NoLibrary("mirror", str(error.name), "server") from None
    done = carry_out(args, _reporter(args))
    return Told(document=done.document, text=done.text, status=done.status, needed=done.status != 0)


def _serve(args: argparse.Namespace, opened: Open) -> Told:
    from .server import running

    status = running.carry_out(args)
    return Told(document={"success": True}, text=lambda seconds: "Stopped.", status=status)


def _lineage(args: argparse.Namespace, opened: Open) -> Told:
    from .display import plain
    from .lineage import carry_out
    from .session import within_conda

    document, text = carry_out(args, conda=opened is within_conda)
    return Told(document=document, text=lambda seconds: plain(text()), needed=True)


def _completion(args: argparse.Namespace, opened: Open) -> Told:
    from .completion import script

    made = script(args.shell)
    return Told(document={"success": True, "script": made}, text=lambda seconds: made, needed=True)


VERBS: dict[str, Callable[[argparse.Namespace, Open], Told]] = {
    "install": _install,
    "remove": _remove,
    "build": _build,
    "recipe": _recipe,
    "doctor": _doctor,
    "cache": _cache,
    "mirror": _mirror,
    "serve": _serve,
    "enable": _switch,
    "disable": _switch,
    "status": _status,
    "why": _lineage,
    "tree": _lineage,
    "completion": _completion,
    "notebook": _notebook,
    "where": _notebook,
}


@dataclass(frozen=True, kw_only=True)
class _Asked:
    """What a verb that resolves is asked for, by its words and files together, and what it works with."""

    texts: list[str]
    engine: Engine
    index: Callable[[], Index]
    options: Options


def _asked(args: argparse.Namespace, opened: Open, verb: str) -> _Asked:
    """Raises `ConfigError` where nothing is; `verb` says then what for."""
    from . import requirementfiles

    files = requirementfiles.read(getattr(args, "requirement", []), environ=os.environ)
    texts = [*args.packages, *files.requests]
    if not texts:
        raise ConfigError(f"nothing to {verb}: name at least one SPEC, or a file with -r")
    args.channel = [*getattr(args, "channel", ()), *files.channels]
    session = opened(args)
    return _Asked(
        texts=texts,
        engine=session.engine,
        index=lambda: session.index(args, files),
        options=_options(args, files, session),
    )


def _options(args: argparse.Namespace, files: RequirementFile, session: Session) -> Options:
    from .options import Options

    return Options.listed(
        files,
        pre=flag(args, "pre"),
        deps=not flag(args, "no_deps"),
        dry_run=flag(args, "dry_run"),
        newest=flag(args, "upgrade"),
        allow_hooks=flag(args, "allow_hooks"),
        blocked=session.settings.block,
    )


def _reporter(args: argparse.Namespace) -> Any:
    from .display import Terminal

    quiet = flag(args, "quiet") or flag(args, "json")
    ask = not (flag(args, "yes") or flag(args, "json") or flag(args, "dry_run"))
    return Terminal(ask=ask, quiet=quiet)


def flag(args: argparse.Namespace, name: str) -> bool:
    """Whether an option was given; parsers that do not have it say no."""
    return bool(getattr(args, name, False))
