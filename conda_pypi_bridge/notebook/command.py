"""What the words after ``%conda`` mean: pure, no shell, nothing executed.

conda's options may stand before or after its subcommand, in several spellings; what the kernel supplies
(its own environment, and that nobody is there to answer a question) goes right after the subcommand, and
only to those that take it.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice
from pathlib import PurePath

from ..errors import BridgeError


class Refused(BridgeError):
    """A command that cannot mean what it says in a notebook; nothing was started."""


@dataclass(frozen=True, kw_only=True)
class Takes:
    """Which of the two options that a kernel supplies a subcommand knows: ``--prefix``, ``--yes``."""

    prefix: bool = False
    yes: bool = False


_BOTH, _PREFIX, _YES, _NEITHER = Takes(prefix=True, yes=True), Takes(prefix=True), Takes(yes=True), Takes()

#: The subcommands that every conda from 24.7 to 26.7 reads alike. An environment that ``create``,
#: ``env remove`` and ``rename`` work on is never the kernel's own, so it is the user who names it.
_TAKES: Mapping[str, Takes] = {
    **dict.fromkeys(("install", "update", "upgrade", "remove", "uninstall", "pypi-install"), _BOTH),
    **dict.fromkeys(("pypi-bridge install", "pypi-bridge remove"), _BOTH),
    **dict.fromkeys(("pypi-bridge why", "pypi-bridge tree"), _PREFIX),
    **dict.fromkeys(("list", "export", "compare", "package", "run", "env export", "env update"), _PREFIX),
    **dict.fromkeys(("env config vars list", "env config vars set", "env config vars unset"), _PREFIX),
    **dict.fromkeys(("create", "clean", "env create", "env remove"), _YES),
    **dict.fromkeys(
        ("info", "search", "config", "notices", "init", "rename", "env list", "commands"), _NEITHER
    ),
}

#: Words that more words follow before the subcommand is known.
_GROUPS = {"env", "env config", "env config vars", "pypi-bridge", "pypi"}

#: Subcommands after which an environment may be another than before.
_CHANGING = {"install", "update", "upgrade", "remove", "uninstall", "create", "env create", "env update"}
_CHANGING |= {"pypi-install", "pypi-bridge install", "pypi-bridge remove", "pypi install"}
_REMOVING = {"remove", "uninstall", "pypi-bridge remove"}

#: Subcommands that install what they name, but for these options.
_NAMING = {"install", "create", "pypi-install", "pypi-bridge install"}
_NOT_THERE = {"--only-deps", "-o", "--download-only"}

#: A version constraint without a name before it.
_STRAY = re.compile(r"[<>=!~]=?(?:\d.*)?")

#: Options of install that conda's own does not have.
_OURS_ALONE = {"-U", "--upgrade", "-r", "--requirement", "-i", "--index-url", "--extra-index-url", "--pre"}
_OURS_ALONE |= {"--allow-hooks"}

#: What ``python -m conda_pypi_bridge`` calls the same thing.
_WITHOUT_CONDA = {
    "install": "install",
    "pypi-install": "install",
    "update": "install",
    "upgrade": "install",
    "remove": "remove",
    "uninstall": "remove",
    "doctor": "doctor",
    "why": "why",
    "tree": "tree",
}

#: Spellings of the options that name an environment (argparse takes abbreviations), and of ``--yes``.
_TARGET = re.compile(r"(?P<name>--(?:name|nam|na)|--(?:prefix|prefi|pref))(?:=(?P<value>.*))?", re.DOTALL)
_TARGET_SHORT = re.compile(r"-[ydqvChSk]*(?P<name>[np])=?(?P<value>.*)", re.DOTALL)
_YES_GIVEN = re.compile(r"--yes|-[dqvChSknp]*y[dqvChSky]*")
_DRY_RUN_GIVEN = re.compile(r"--dry-run|-[yqvChSk]*d[dqvChSky]*")

#: Options with a value of their own, so that it is not taken for a spec.
_VALUED = {
    *("-c", "--channel", "-n", "--name", "-p", "--prefix", "--file", "--solver", "--repodata-fn", "--subdir"),
    *("--platform", "--revision", "--clone", "-r", "--requirement", "-i", "--index-url", "--extra-index-url"),
    *("--experimental", "--console", "--exclude-newer", "--channel-priority", "-f", "--format"),
}

#: PEP 508 that conda's own reader would drop without a word: extras, markers.
_PEP_508 = re.compile(r"[\w.-]+\s*\[[^\]=]+\]|[^;]+;\s*\S")

_SHELL_WORDS = {";", "&&", "||", "|", "&", ">", ">>", "<", "2>", "2>&1"}


@dataclass(frozen=True, kw_only=True)
class Command:
    """A command line: global options, the subcommand (``"env config vars set"``), and what follows it."""

    options: tuple[str, ...] = ()
    verb: str = ""
    rest: tuple[str, ...] = ()

    @cached_property
    def known(self) -> Takes | None:
        """What its subcommand takes; None where that conda itself must be asked."""
        return _TAKES.get(self.verb) if self.verb else _NEITHER

    @property
    def title(self) -> str:
        """What it is called: ``conda install``."""
        return f"conda {self.verb}".strip()

    @property
    def asks_for_help(self) -> bool:
        """Whether conda shows what the subcommand takes, and does nothing."""
        return "-h" in self._own or "--help" in self._own

    @property
    def is_dry_run(self) -> bool:
        """Whether conda shows what would be done, and does nothing."""
        return any(_DRY_RUN_GIVEN.fullmatch(word) for word in self._own)

    @property
    def may_change(self) -> bool:
        """Whether packages of an environment may come or go."""
        return self.verb in _CHANGING and not self.is_dry_run and not self.asks_for_help

    @property
    def removes(self) -> bool:
        """Whether it takes packages away."""
        return self.verb in _REMOVING

    @cached_property
    def target(self) -> tuple[str, str] | None:
        """The environment that the user named: ``("name", "x")`` or ``("prefix", "/x")``."""
        words = iter(self._own)
        for word in words:
            match = _TARGET.fullmatch(word) or _TARGET_SHORT.fullmatch(word)
            if match:
                value = match["value"] or next(words, "")
                return ("name" if match["name"] in ("n", "--name", "--nam", "--na") else "prefix"), value
        return None

    @cached_property
    def specs(self) -> tuple[str, ...]:
        """The words after the subcommand that are neither options nor their values."""
        words, found = iter(self.rest), []
        for word in words:
            if word in _VALUED:
                next(words, None)
            elif not word.startswith("-"):
                found.append(word)
        return tuple(found)

    @property
    def expected(self) -> tuple[str, ...]:
        """Those of its specs that must be in the environment once it has succeeded."""
        if not self.may_change or self.verb not in _NAMING or _NOT_THERE & set(self.rest):
            return ()
        return tuple(spec for spec in self.specs if ";" not in spec)  # a marker may rule it out

    def argv(self, prefix: str, takes: Takes) -> tuple[str, ...]:
        """The words for conda: the user's, and of ours what the subcommand takes and the user left out."""
        given: list[str] = []
        if not self.asks_for_help:
            if takes.yes and not any(_YES_GIVEN.fullmatch(word) for word in self._own):
                given.append("--yes")
            if takes.prefix and self.target is None:
                given += ["--prefix", prefix]
        return (*self.options, *self.verb.split(), *given, *self.rest)

    @property
    def _own(self) -> tuple[str, ...]:
        """Words that conda reads itself: what stands after the program of ``conda run`` is the program's."""
        if self.verb != "run":
            return self.rest
        words = iter(self.rest)
        own: list[str] = []
        for word in words:
            if not word.startswith("-"):
                break
            own.append(word)
            if word in {"-n", "--name", "-p", "--prefix", "--cwd"}:
                own += islice(words, 1)
        return tuple(own)


def words(line: str, *, windows: bool) -> list[str]:
    """Split a line as a POSIX shell would, but for what a shell would do with the words.

    A word that starts with ``#`` ends the line; so does a ``;`` at the end, IPython's sign for "no output".
    On Windows a backslash is part of a path. Raises `Refused` for an open quotation, and for words that
    only a shell could obey.
    """
    lexer = shlex.shlex(re.sub(r"\s*;\s*$", "", line), posix=True, punctuation_chars="")
    lexer.whitespace_split, lexer.commenters = True, ""
    if windows:
        lexer.escape = ""
    found: list[str] = []
    try:
        for word in iter(lexer.get_token, None):
            if word.startswith("#"):
                break
            found.append(word)
    except ValueError as error:
        raise Refused(f"the line cannot be read: {str(error).lower()}") from error
    for word in found:
        if word in _SHELL_WORDS or (word.endswith(";") and len(word) > 1):
            hint = "Put what follows into a cell or a line of its own."
            raise Refused(f"{word!r} is for a shell, and there is none behind %conda", hint=hint)
    return found


def cell_specs(cell: str) -> list[str]:
    """The specs of a cell: one a line, with ``#`` comments. Raises `Refused` for a line with an option."""
    found = []
    for line in cell.splitlines():
        spec = re.sub(r"(?:^|\s)#.*", "", line).strip()
        if len(spec) > 1 and spec[0] == spec[-1] and spec[0] in "'\"":
            spec = spec[1:-1]
        if spec.startswith("-"):
            hint = "Options go on the first line: %%conda install -c CHANNEL"
            raise Refused(f"{spec!r} is no spec: a cell of %%conda has one spec a line", hint=hint)
        if spec:
            found.append(spec)
    return found


def read(tokens: Sequence[str], specs: Sequence[str] = ()) -> Command:
    """The command of a line's words and of a cell's specs. Raises `Refused` where they do not fit."""
    count = next((i for i, word in enumerate(tokens) if not word.startswith("-")), len(tokens))
    rest = list(tokens[count:])
    verb = rest.pop(0) if rest else ""
    while verb in _GROUPS and rest and not rest[0].startswith("-"):
        verb = f"{verb} {rest.pop(0)}"
    if verb in _NAMING and (stray := next(filter(_STRAY.fullmatch, rest), None)):
        hint = f'Write it without spaces, or in quotes: %conda {verb} "numpy>=2"'
        raise Refused(f"there is no package before {stray!r}", hint=hint)
    if specs:
        verb = verb or "install"
        if verb not in _CHANGING:
            raise Refused(f"conda {verb} takes no list of specs", hint="Use %conda with one line.")
    return Command(options=tuple(tokens[:count]), verb=verb, rest=(*rest, *specs))


def from_help(text: str) -> Takes:
    """What a subcommand takes, from its ``--help``."""
    return Takes(prefix=bool(re.search(r"--prefix\b", text)), yes=bool(re.search(r"--yes\b", text)))


def with_index(command: Command) -> Command:
    """The command at the bridge's own door, where conda has none, or would drop half of a spec."""
    if command.verb in ("why", "tree"):
        return replace(command, verb=f"pypi-bridge {command.verb}")
    ours = any(word.partition("=")[0] in _OURS_ALONE for word in command.rest)
    if command.verb == "install" and (ours or any(_PEP_508.match(spec) for spec in command.specs)):
        return replace(command, verb="pypi-install")
    return command


def without_conda(command: Command, prefix: str) -> tuple[str, ...] | None:
    """The words for ``python -m conda_pypi_bridge``; None for what only conda does."""
    first, _, after = command.verb.partition(" ")
    verb = after if first == "pypi-bridge" else _WITHOUT_CONDA.get(command.verb)
    if not verb or "--all" in command.rest:
        return None
    takes = _BOTH if verb in ("install", "remove") or "--fix" in command.rest else _PREFIX
    newest = ("--upgrade",) if command.verb in ("update", "upgrade") else ()
    return Command(verb=verb, rest=(*command.options, *newest, *command.rest)).argv(prefix, takes)


def refuse_self_harm(command: Command, prefix: PurePath) -> None:
    """Raises `Refused` for what would pull the environment from under the kernel, or cannot move it."""
    if command.asks_for_help:
        return
    if command.verb in ("activate", "deactivate"):
        hint = "Choose another kernel, or name an environment: %conda install -n NAME ..."
        raise Refused(f"conda {command.verb} cannot move a running kernel to another environment", hint=hint)
    whole = command.verb == "env remove" or (command.removes and "--all" in command.rest)
    own = _is_own(command, prefix) if command.target else command.removes
    if own and (whole or command.verb in ("create", "env create", "rename")):
        hint = "Name another environment with -n or -p, or do it in a terminal once the kernel is shut down."
        raise Refused(f"conda {command.verb} would take away the environment this kernel runs in", hint=hint)


def _is_own(command: Command, prefix: PurePath) -> bool:
    assert command.target is not None
    kind, value = command.target
    if kind == "name":
        return prefix.parent.name == "envs" and value == prefix.name
    return type(prefix)(value) == prefix


#: pip's options that the bridge has under the same name, with and without a value, and those that concern
#: pip's own talk alone.
_PIP_VALUED = {"-r", "--requirement", "-i", "--index-url", "--extra-index-url"}
_PIP_FLAGS = {"-U", "--upgrade", "--pre", "--no-deps", "--dry-run", "-q", "--quiet", "-v", "--verbose"}
_PIP_MUTE = {"--no-cache-dir", "--disable-pip-version-check", "--no-input", "--no-color"}


def from_pip(tokens: Sequence[str]) -> Command:
    """``pip install`` as the bridge does it. Raises `Refused` for options without an equivalent."""
    return Command(verb="pypi-install", rest=tuple(_translated(tokens[1:])))


def _translated(tokens: Sequence[str]) -> Iterator[str]:
    words = iter(tokens)
    for word in words:
        name, has_value, _ = word.partition("=")
        if not word.startswith("-") or word in _PIP_FLAGS or (has_value and name in _PIP_VALUED):
            yield word
        elif word in _PIP_VALUED:
            yield from (word, *islice(words, 1))
        elif word not in _PIP_MUTE:
            hint = "For pip itself: !python -m pip install ..., or plugins: pypi_bridge_pip_magic: false."
            raise Refused(f"pip's option {word} has no equivalent in the bridge", hint=hint)
