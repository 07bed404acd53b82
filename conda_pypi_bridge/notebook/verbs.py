"""The verbs ``notebook enable|disable|status|kernelspec`` and ``where``, for every door."""

from __future__ import annotations

import argparse
import os
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..optiongroups import add_common, option
from ..teaching import teach
from .files import quoted

if TYPE_CHECKING:
    from ..prefix import Prefix
    from .kernelspec import Written
    from .startup import Recorded

#: What a verb tells: a JSON document, and the same as text.
Answer = tuple[dict[str, Any], str]

_ACTIONS = {
    "enable": "load the bridge in every kernel of an environment, by a start-up file",
    "disable": "delete that start-up file",
    "status": "tell whether kernels of an environment load the bridge",
    "kernelspec": "write or repair a kernelspec that activates the environment",
}


def configure(notebook: argparse.ArgumentParser) -> None:
    """Add the arguments of notebook."""
    notebook.set_defaults(verb="notebook")
    notebook.description = (
        "Kernels load the bridge from a start-up file in their environment: then %conda, !python and !conda "
        "mean that environment."
    )
    teach(notebook, "notebook")
    actions = notebook.add_subparsers(dest="notebook_action", metavar="ACTION", required=True)
    for action, help_text in _ACTIONS.items():
        made = actions.add_parser(action, help=help_text)
        made.description = f"{help_text[0].upper()}{help_text[1:]}."
        made.set_defaults(door=notebook.prog)
        teach(made, f"notebook {action}")
        if action == "kernelspec":
            _configure_kernelspec(made)
        add_common(made)


def configure_where(where: argparse.ArgumentParser) -> None:
    """Add the arguments of where."""
    where.set_defaults(verb="where", door=f"{where.prog.rpartition(' ')[0]} notebook")
    where.description = (
        "Show which environment python, pip and conda on PATH belong to, where Python imports from, which "
        "kernelspecs are installed, and what does not agree. With a name: which file is imported, and who "
        "placed it."
    )
    teach(where, "where")
    where.add_argument("package", metavar="PKG", nargs="?", help="a module or a distribution")
    add_common(where)


def _configure_kernelspec(made: argparse.ArgumentParser) -> None:
    option(made, "--kernel", metavar="NAME", help="the name of the kernelspec")
    option(made, "--sys-prefix", action="store_true", help="inside the environment, not your home")
    option(made, "--remove", action="store_true", help="undo what this verb wrote")


def carry_out(args: argparse.Namespace, prefix: Prefix) -> Answer:
    """What the command line asks for. Raises `BridgeError` subclasses."""
    if args.verb == "where":
        return _where(args, prefix)
    actions = {"enable": _enable, "disable": _disable, "status": _status, "kernelspec": _kernelspec}
    return actions[args.notebook_action](args, prefix)


def _enable(args: argparse.Namespace, prefix: Prefix) -> Answer:
    from ..errors import PrefixError
    from ..prefix import held
    from ..report import Silent
    from . import shell, startup

    python, install = prefix.python, f"{_base(args)} install -p {quoted(prefix.path)}"
    if python is None:
        hint = f"Install one: {install} python ipykernel"
        raise PrefixError(str(prefix.path), "this environment has no Python", hint=hint)
    if python.version.release[:2] < startup.MINIMUM:
        least = ".".join(map(str, startup.MINIMUM))
        raise PrefixError(
            str(prefix.path), f"its Python is {python.version}, and the bridge needs {least} or newer"
        )
    with held(prefix, Silent()):
        recorded = startup.this_installation()
        changed = startup.write(prefix.path, recorded)
    file = prefix.path / startup.FILE
    lines = [
        f"{'Wrote' if changed else 'Already there:'} {file}",
        f"Kernels of {prefix.path} load the bridge when they start, from {recorded.package} unless the "
        "environment has its own. Restart those that run.",
    ]
    if not (python.site_packages / "IPython").is_dir():
        lines.append(f"There is no IPython in this environment yet: {install} ipykernel")
    if shell.activation_scripts(prefix.path, windows=False):
        lines.append(
            "It has activation scripts, which only a kernelspec can run: "
            f"{args.door} kernelspec -p {quoted(prefix.path)}"
        )
    undo = f"{args.door} disable -p {quoted(prefix.path)}"
    lines.append(f"To undo: {undo}")
    document = {"success": True, "enabled": True, "changed": changed, "file": str(file), "undo": undo}
    return {**document, "prefix": str(prefix.path)}, "\n".join(lines)


def _disable(args: argparse.Namespace, prefix: Prefix) -> Answer:
    from ..prefix import held
    from ..report import Silent
    from . import startup

    file = prefix.path / startup.FILE
    changed = startup.read(prefix.path) is not None
    if changed:
        with held(prefix, Silent()):
            startup.remove(prefix.path)
    said = f"Deleted {file}" if changed else f"There is no start-up file of the bridge in {prefix.path}"
    text = f"{said}\nKernels of this environment start without the bridge."
    document = {"success": True, "enabled": False, "changed": changed, "file": str(file)}
    return {**document, "prefix": str(prefix.path)}, text


def _status(args: argparse.Namespace, prefix: Prefix) -> Answer:
    from . import startup

    recorded = startup.read(prefix.path)
    source = _source(prefix, recorded)
    document: dict[str, Any] = {
        "success": True,
        "prefix": str(prefix.path),
        "enabled": recorded is not None,
        "file": str(prefix.path / startup.FILE),
        "bridge": str(source) if source else None,
    }
    if recorded is None:
        enable = f"{args.door} enable -p {quoted(prefix.path)}"
        return document, f"Kernels of {prefix.path} do not load the bridge.\nTo change that: {enable}"
    if source is None:
        text = (
            f"Kernels of {prefix.path} are to load the bridge, but it is gone from {recorded.package}.\n"
            "They start without it. Run `notebook enable` again with a bridge that is there."
        )
        return document, text
    return document, f"Kernels of {prefix.path} load the bridge from {source}."


def _source(prefix: Prefix, recorded: Recorded | None) -> Path | None:
    """Where kernels get the bridge from: the environment, else the installation that wrote the file."""
    if recorded is None:
        return None
    inside = prefix.python.site_packages / recorded.package.name if prefix.python else recorded.package
    places = (inside, recorded.package)
    return next((place for place in places if (place / "__init__.py").is_file()), None)


def _kernelspec(args: argparse.Namespace, prefix: Prefix) -> Answer:
    from ..prefix import held
    from ..report import Silent
    from . import kernelspec

    name, inside = getattr(args, "kernel", ""), bool(getattr(args, "sys_prefix", False))
    user = kernelspec.user_data_folder(os.environ, Path.home())
    folder = prefix.path / "share" / "jupyter" if inside else user
    lines: list[str] = []
    with held(prefix, Silent()) if inside else nullcontext():
        if getattr(args, "remove", False):
            written = kernelspec.undo(prefix.path, folder, name=name)
        else:
            written, lines = _write_kernelspecs(args, prefix, folder, name)
    words = {"written": "Wrote", "repaired": "Repaired", "unchanged": "Already right:", "removed": "Undid"}
    done = [f"{words[one.action]} {one.folder / 'kernel.json'}" for one in written]
    if not done:
        done = [f"No kernelspec of the bridge for {prefix.path} is in {folder}"]
    rows = [{"name": one.name, "folder": str(one.folder), "action": one.action} for one in written]
    return {"success": True, "prefix": str(prefix.path), "kernelspecs": rows}, "\n".join([*done, *lines])


def _write_kernelspecs(
    args: argparse.Namespace, prefix: Prefix, folder: Path, name: str
) -> tuple[list[Written], list[str]]:
    """What was written, and what else there is to say."""
    from ..errors import PrefixError
    from . import kernelspec, shell

    python = prefix.python
    if python is None or not (python.site_packages / "ipykernel").is_dir():
        hint = f"Install it: {_base(args)} install -p {quoted(prefix.path)} ipykernel"
        raise PrefixError(str(prefix.path), "there is no ipykernel in this environment", hint=hint)
    target = shell.read_target(prefix.path, os.environ, windows=prefix.windows)
    assert target is not None, "a prefix with a Python is an environment"
    written = kernelspec.repair(prefix.path, target, folder, python=python.executable, name=name)
    lines = []
    if prefix.windows and shell.activation_scripts(prefix.path, windows=True):
        lines.append("Its activation scripts do not run: on Windows the kernel could not be interrupted.")
    where = " --sys-prefix" if folder.is_relative_to(prefix.path) else ""
    lines.append(f"To undo: {args.door} kernelspec --remove{where} -p {quoted(prefix.path)}")
    return written, lines


def _where(args: argparse.Namespace, prefix: Prefix) -> Answer:
    from . import where

    report = where.report_of(prefix.path, os.environ, package=args.package, door=args.door)
    return {"success": True, **where.document(report)}, where.text(report)


def _base(args: argparse.Namespace) -> str:
    """``conda pypi-bridge`` or ``python -m conda_pypi_bridge``: the door that the user came through."""
    return str(args.door).removesuffix(" notebook")
