"""``%conda``, ``%%conda`` and ``%pip``: the part that needs IPython."""

from __future__ import annotations

import os
import re
import sys
from collections import ChainMap
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from IPython.core.magic import (
    Magics,
    line_cell_magic,
    line_magic,
    magics_class,
    needs_local_scope,
    no_var_expand,
)
from IPython.utils.text import DollarFormatter

from ..errors import BridgeError
from ..redaction import redact
from .command import Command, Refused, cell_specs, from_pip, read, words
from .modules import path_files, refresh, site_folders
from .options import switch
from .view import CondaCommandError, NotebookScreen, Report, Screen, TerminalScreen, publish

if TYPE_CHECKING:
    from .kernel import Kernel, Outcome

#: The magics that are put in place of IPython's own, and those.
_NAMES = (("line", "conda"), ("cell", "conda"), ("line", "pip"))
Former = dict[tuple[str, str], "Callable[..., Any] | None"]

_VARIABLE = re.compile(r"\$(?P<dollar>\w+)|\{\s*(?P<brace>\w+)\s*\}")


@magics_class
class CondaMagics(Magics):
    """conda for the environment of the running kernel, with the package index behind it."""

    shell: Any

    def __init__(self, shell: Any) -> None:
        super().__init__(shell)
        # Found now: IPython loads its own late, and would then put them in place of these.
        self.former: Former = {(kind, name): shell.find_magic(name, kind) for kind, name in _NAMES}

    @cached_property
    def _kernel(self) -> Kernel:
        from .kernel import Kernel  # most kernels never need it

        return Kernel(prefix=Path(sys.prefix), environ=os.environ)

    @no_var_expand
    @needs_local_scope
    @line_cell_magic
    def conda(
        self, line: str, cell: str | None = None, local_ns: Mapping[str, Any] | None = None
    ) -> Outcome | None:
        """Run conda in the environment of this kernel.

            %conda install "numpy>=2" rich   channels first, and the package index for what they lack
            %conda list                      any subcommand of conda
            %conda where [PKG]               which Python, pip and conda are in use here, and what disagrees
            %conda doctor                    what is wrong with this environment
            %conda why PKG                   who needs a package, and where it came from
            %conda tree [PKG]                what needs what

            %%conda install -c conda-forge
            numpy >=2                        # one spec a line
            $package                         # variables, also {expressions}, are put in

        No shell reads the line. `--prefix` and `--yes` are added where conda takes them, unless you name
        another environment yourself.
        """
        names = ChainMap(dict(local_ns or {}), self.shell.user_ns)
        try:
            tokens = [word for text in words(line, windows=os.name == "nt") for word in expanded(text, names)]
            specs = [spec for text in cell_specs(cell or "") for spec in expanded(text, names)]
            command = read(tokens, specs)
            if not command.verb and not command.options:
                self._screen().result(Report(headline="", output=_usage()))
                return None
            if command.verb == "where":
                self._screen().result(Report(headline="", output=self._where(command)))
                return None
            return self._given(self._kernel.carry_out(command, self._screen()))
        except BridgeError as error:
            raise CondaCommandError(str(error), error.hint) from None

    @line_magic
    def pip(self, line: str) -> Outcome | None:
        """Run pip in the environment of this kernel.

        In a conda environment it says what it goes past; where condarc has
        ``plugins: pypi_bridge_pip_magic: true``, ``%pip install`` is ``%conda install``.
        """
        prefix = self._kernel.prefix
        installing = line.split()[:1] == ["install"] and (prefix / "conda-meta").is_dir()
        if installing and switch("pip_magic", default=False, prefix=prefix, environ=os.environ):
            try:
                command = from_pip(words(line, windows=os.name == "nt"))
                return self._given(self._kernel.carry_out(command, self._screen()))
            except BridgeError as error:
                raise CondaCommandError(str(error), error.hint) from None
        pip = self.former["line", "pip"]
        if pip is None:
            raise CondaCommandError("this IPython has no %pip of its own", "Use !python -m pip")
        if installing:
            sys.stdout.write(_bypassed(line))
        entries = path_files(site_folders())
        try:
            pip(line)
        finally:
            refresh(entries, site_folders())
        return None

    def _screen(self) -> Screen:
        return NotebookScreen(publish) if self._in_notebook else TerminalScreen(sys.stdout.write)

    @property
    def _in_notebook(self) -> bool:
        """Whether a frontend shows displays, and updates them; a terminal prints each."""
        return getattr(self.shell, "kernel", None) is not None

    def _given(self, outcome: Outcome) -> Outcome | None:
        """What a cell gets: in a terminal nothing, since that would print ``Out[1]:`` for it."""
        return outcome if self._in_notebook else None

    def _where(self, command: Command) -> str:
        from . import where

        package = command.specs[0] if command.specs else None
        report = where.report_of(self._kernel.prefix, os.environ, package=package, in_kernel=True)
        return where.text(report)


def expanded(text: str, names: Mapping[str, Any]) -> list[str]:
    """A word with its ``$name`` and ``{expression}`` put in, once. A list gives a word for each item.

    `sys` is known without an import, and so are environment variables, which a shell would have put in.
    Raises `Refused` where there is no such thing: the text itself is never what was meant.
    """
    if "$" not in text and "{" not in text:
        return [text]
    known = ChainMap(dict(names), {"sys": sys}, dict(os.environ))
    if match := _VARIABLE.fullmatch(text):
        value = known.get(match["dollar"] or match["brace"])
        if isinstance(value, list | tuple):
            return [str(item) for item in value]
    try:
        return [DollarFormatter().vformat(text, args=[], kwargs=dict(known))]
    except Exception as error:  # whatever the user's expression raises
        hint = "For the signs themselves write {{, }} and $$."
        raise Refused(f"{text!r} cannot be put in: {type(error).__name__}: {error}", hint=hint) from error


def load(shell: Any) -> None:
    """Put the magics in place of IPython's own."""
    shell.register_magics(CondaMagics(shell))


def unload(shell: Any) -> None:
    """Give IPython its own magics back."""
    table = shell.magics_manager.magics
    ours = getattr(table["line"].get("conda"), "__self__", None)
    if isinstance(ours, CondaMagics):
        for (kind, name), function in ours.former.items():
            if function is None:
                table[kind].pop(name, None)
            else:
                table[kind][name] = function


def _usage() -> str:
    import inspect

    return inspect.getdoc(CondaMagics.conda) or ""


def _bypassed(line: str) -> str:
    try:
        specs = " ".join(from_pip(words(line, windows=os.name == "nt")).specs)
    except Refused:
        specs = ""
    through = f"%conda install {specs}" if specs else "%conda install"
    said = "%pip goes past conda, which will neither know nor keep what it installs here."
    return f"{said} Through conda: {redact(through)}\n"
