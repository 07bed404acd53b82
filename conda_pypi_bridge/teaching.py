"""How the command line teaches: what a verb changes, examples, exit statuses, and the name that was meant."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterable, Sequence
from typing import Any, NoReturn

from .redaction import redact

#: What a verb changes, and examples of it: the words after the verb, and what they do.
_LESSONS: dict[str, tuple[str, Sequence[tuple[str, str]]]] = {
    "install": (
        "the environment, all of it or nothing; and caches.",
        [
            ("cowsay", "the newest version that fits"),
            ('"flask>=3" markupsafe', "several at once, with a version range"),
            ('"fastapi[standard]"', "with an extra"),
            ("-p ./env --dry-run pandas", "show what would happen to another environment"),
            ("-r requirements.txt", "what a requirements file lists"),
        ],
    ),
    "remove": (
        "the environment, all of it or nothing.",
        [
            ("cowsay", "the package, and what needs it"),
            ("-p ./env --dry-run pandas", "show what would go"),
        ],
    ),
    "build": (
        "writes files into the folder of -o, and caches; no environment changes.",
        [
            ("-o channel cowsay", "cowsay and all it requires that channels lack"),
            ('--no-deps "flask==3.1"', "that package alone"),
            ("dist/mine-1.0-py3-none-any.whl", "a wheel of your own"),
        ],
    ),
    "recipe": (
        "writes folders into that of -o, and caches; no environment changes.",
        [
            ("cowsay", "cowsay/meta.yaml, which installs its wheel"),
            ("--sdist -o recipes cowsay", "recipes/cowsay/meta.yaml, which builds its source"),
            ("--deps --maintainer me rich", "recipes of rich and of all it requires that channels lack"),
        ],
    ),
    "doctor": (
        "nothing; with --fix, the environment, after a question.",
        [
            ("", "what is wrong with this environment, or worth knowing"),
            ("-p ./env --fix", "fix what is safe to fix, after a question"),
            ("--fix flask", "that package alone; files of it that you edited are kept aside"),
        ],
    ),
    "why": (
        "nothing.",
        [
            ("click", "where click came from, and what needs it"),
            ("-n web markupsafe jinja2", "the same of two packages of another environment"),
        ],
    ),
    "tree": (
        "nothing; with --svg, writes that file.",
        [
            ("", "everything, below what you asked for"),
            ("flask", "what flask needs"),
            ("--reverse --depth 1 click", "what needs click, one level of it"),
            ("--svg packages.svg", "a picture: channels and PyPI in two colours"),
        ],
    ),
    "cache": (
        "nothing; clean deletes files of the caches, and no environment changes.",
        [
            ("show", "what lies in caches, and where"),
            ("verify", "whether it is what was put there"),
            ("clean --broken", "delete what is not, so that it is made anew"),
            ("clean --older-than 90", "delete what was not used for 90 days"),
            ("clean flask", "delete the packages and wheels of that name"),
        ],
    ),
    "cache show": (
        "nothing.",
        [("", "what lies in caches, and where"), ("--json", "the same for a program")],
    ),
    "cache verify": (
        "nothing.",
        [("", "everything in the caches"), ("flask", "the packages and wheels of that name")],
    ),
    "cache clean": (
        "files of the caches; no environment changes.",
        [
            ("--broken", "delete what is not what was put there, so that it is made anew"),
            ("--older-than 90", "delete what was not used for 90 days"),
            ("flask", "delete the packages and wheels of that name"),
            ("--all --dry-run", "show what everything of the bridge is"),
        ],
    ),
    "mirror": (
        "writes packages and listings at --to, and caches; no environment changes.",
        [
            ('--to ./channel flask "pandas>=2"', "for this machine's platform"),
            (
                "--to s3://bucket/channel -r list.txt --subdir linux-64 --subdir win-64 --python 3.12",
                "for two platforms",
            ),
            ("--to ./channel --verify", "whether all that it lists is there"),
        ],
    ),
    "serve": (
        "writes packages into the store, and caches; no environment changes.",
        [
            ("", "for this machine alone; the last line tells the channel's URL"),
            ("--host 0.0.0.0 --token-file tokens.txt --store s3://bucket/channel", "for others, with tokens"),
            ("--python 3.12 --subdir linux-64 --list curated.txt", "built beforehand for one target"),
        ],
    ),
    "enable": (
        "one setting in your .condarc; no environment changes.",
        [("", "for you"), ("--system", "for all users of this conda")],
    ),
    "disable": (
        "takes that setting out of your .condarc; no environment changes.",
        [("", "for you"), ("--system", "for all users of this conda")],
    ),
    "status": ("nothing.", [("", "whether it is enabled"), ("--json", "the same for a program")]),
    "notebook": (
        "as each action says.",
        [("enable", "in every kernel of this environment"), ("status", "whether it is so")],
    ),
    "notebook enable": (
        "one start-up file in the environment.",
        [("", "for this environment"), ("-n web", "for another one")],
    ),
    "notebook disable": (
        "deletes that start-up file.",
        [("", "for this environment"), ("-n web", "for another one")],
    ),
    "notebook status": ("nothing.", [("", "of this environment"), ("-n web", "of another one")]),
    "notebook kernelspec": (
        "kernel.json of a kernelspec, in your home or in the environment.",
        [
            ("-n web", "for that environment, seen by every Jupyter of yours"),
            ("-n web --sys-prefix", "inside of it, seen by its own Jupyter"),
            ("-n web --remove", "undo it"),
        ],
    ),
    "where": (
        "nothing.",
        [
            ("", "which Python, pip and conda are in use"),
            ("numpy", "which file is imported, and who placed it"),
        ],
    ),
    "completion": (
        "nothing: the script goes to standard output.",
        [
            (
                "bash > ~/.conda-pypi-bridge.bash",
                "for bash, where ~/.bashrc has: source ~/.conda-pypi-bridge.bash",
            ),
            ('zsh > "${fpath[1]}/_conda-pypi-bridge"', "for zsh"),
            ("fish > ~/.config/fish/conf.d/conda-pypi-bridge.fish", "for fish"),
        ],
    ),
}

#: What the exit statuses mean, alike for every verb.
STATUSES: Sequence[tuple[int, str]] = (
    (0, "it is done, or there was nothing to do"),
    (1, "it could not be done, and one line says why; or doctor or cache verify found a fault"),
    (2, "the command line could not be read"),
    (130, "it was interrupted (Ctrl-C)"),
)

#: The longest line of an example with what it does beside it.
_WIDTH = 96

_CHOICE = re.compile(r"invalid choice: '(?P<word>[^']*)'.*", re.DOTALL)


class Formatter(argparse.HelpFormatter):
    """Fills paragraphs, but leaves those with indented lines as they stand."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        fill = super()._fill_text
        paragraphs = text.strip("\n").split("\n\n")
        return "\n\n".join(part if "\n " in part else fill(part, width, indent) for part in paragraphs)


def teach(made: argparse.ArgumentParser, verb: str) -> None:
    """Add to a verb's help what it changes, examples and exit statuses; let its words stand anywhere, and its
    errors have near names."""
    changes, examples = _LESSONS[verb]
    made.description = f"{made.description}\n\nChanges: {changes}"
    commands = [(f"{made.prog} {words}".strip(), meaning) for words, meaning in examples]
    made.epilog = "\n\n".join([_listed("examples:", _aligned(commands)), _statuses()])
    made.formatter_class = Formatter
    name_what_was_meant(made)


def teach_all(made: argparse.ArgumentParser) -> None:
    """The same for the parser of all verbs."""
    made.epilog = "\n\n".join([_statuses(), f"{made.prog} VERB --help has examples of each verb."])
    made.formatter_class = Formatter
    name_what_was_meant(made)


def name_what_was_meant(made: argparse.ArgumentParser) -> None:
    """Let errors of a parser tell the verb or option that may have been meant, and no credentials; and let
    words follow options, as in ``install a -y b``: argparse reads one run of words, and leaves the rest.

    conda makes some of these parsers itself, so methods are covered on the object; and conda's own parser
    would get what this one does not know, so it is refused here.
    """
    error, known = made.error, made.parse_known_args

    def told(message: str) -> NoReturn:
        error(redact(_with_choice(message, made)))

    def parsed(*args: Any, **keywords: Any) -> tuple[Any, list[str]]:
        found, rest = known(*args, **keywords)
        many = next((action.dest for action in made._actions if action.nargs in ("*", "+")), None)
        if many and all(word == "--" or not word.startswith("-") for word in rest):
            setattr(found, many, [*getattr(found, many), *(word for word in rest if word != "--")])
            rest = []
        if rest:
            near = (_near(word.partition("=")[0], _options(made)) for word in rest if word.startswith("-"))
            told(f"unrecognized arguments: {' '.join(rest)}{next(filter(None, near), '')}")
        return found, rest

    vars(made).update(error=told, parse_known_args=parsed)


def _with_choice(message: str, made: argparse.ArgumentParser) -> str:
    """A message of argparse; where it lists what there is to choose from, with what is nearest."""
    match = _CHOICE.search(message)
    choices = [name for action in made._actions for name in action.choices or ()]
    return message if match is None else f"{message}{_near(match['word'], map(str, choices))}"


def _options(made: argparse.ArgumentParser) -> Iterable[str]:
    return [option for action in made._actions for option in action.option_strings]


def _near(word: str, names: Iterable[str]) -> str:
    import difflib  # which nearly no command needs

    found = difflib.get_close_matches(word, list(names), n=2, cutoff=0.6)
    return f"; did you mean {' or '.join(found)}?" if found else ""


def _statuses() -> str:
    rows = [(str(status), meaning) for status, meaning in STATUSES]
    return _listed("exit status:", _aligned(rows))


def _listed(head: str, lines: Iterable[str]) -> str:
    return "\n".join([head, *(f"  {line}" for line in lines)])


def _aligned(rows: Sequence[tuple[str, str]]) -> Iterable[str]:
    """Two columns; where they are wider than most terminals, the second goes below the first."""
    width = max(len(first) for first, _ in rows)
    for first, second in rows:
        wide = width + max(len(second) for _, second in rows) > _WIDTH
        yield f"{first}\n      {second}" if wide else f"{first:{width}}  {second}"
