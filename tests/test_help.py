"""What the command line teaches: help, near names, exit statuses, completion and the reference."""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from conda_pypi_bridge.arguments import parser
from conda_pypi_bridge.completion import COMMAND, script
from tests import reference
from tests.doors import Bridge
from tests.lab.condas import Conda
from tests.terminal import Shell


def all_verbs(made: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    for below in reference.verbs(made).values():
        yield below
        yield from all_verbs(below)


VERBS = list(all_verbs(parser(whole=True)))


def names(made: argparse.ArgumentParser) -> str:
    return made.prog.partition(" conda_pypi_bridge ")[2]


@pytest.mark.parametrize("verb", VERBS, ids=names)
def test_every_verb_says_what_it_changes_shows_examples_and_statuses(verb: argparse.ArgumentParser) -> None:
    text = verb.format_help()
    assert "\nChanges: " in text
    assert f"\nexamples:\n  {verb.prog}" in text
    assert "\nexit status:\n  0 " in text
    assert "\n  130  " in text


def example_lines() -> Iterator[str]:
    for verb in VERBS:
        for line in str(verb.epilog).splitlines():
            if line.startswith(f"  {reference.parser().prog}"):
                yield line.strip().partition("  ")[0].partition(" > ")[0]


@pytest.mark.parametrize("line", list(example_lines()))
def test_every_example_is_a_command_line_that_is_read(line: str) -> None:
    words = shlex.split(line)[3:]
    assert parser().parse_args(words).verb == words[0]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["isntall", "x"], "did you mean install?"),
        (["install", "--dryrun", "x"], "did you mean --dry-run?"),
        (["install", "--indexurl=http://me:secret@host/", "x"], "did you mean --index-url"),
        (["cache", "claen"], "did you mean clean?"),
        (["notebook", "kernel-spec"], "did you mean kernelspec?"),
        (["completion", "bsah"], "did you mean bash"),
        (["build", "--compression-level", "30", "x"], "'30' is not a number from 1 to 22"),
    ],
)
def test_what_was_meant_is_told_and_the_status_is_2(bridge: Bridge, words: list[str], message: str) -> None:
    result = bridge(*words, check=False)
    assert result.returncode == 2
    assert message in result.stderr
    assert "secret" not in result.stderr


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("install a -y b", ["a", "b"]),
        ("install -c chan a b -n env c", ["a", "b", "c"]),
        ("install -y -- a", ["a"]),
        ("remove a -p x b --json c", ["a", "b", "c"]),
        ("tree a --depth 1 b", ["a", "b"]),
        ("cache clean a -y b", ["a", "b"]),
        ("mirror a --to x b", ["a", "b"]),
    ],
)
def test_words_may_stand_between_options(line: str, words: list[str]) -> None:
    assert parser().parse_args(line.split()).packages == words
    with pytest.raises(SystemExit, match="2"):
        parser().parse_args([*line.replace(" ", " --nosuch ", 1).split(), "d"])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["pypi-bridge", "isntall", "x"], "did you mean install?"),
        (["pypi-bridge", "tree", "--revers"], ""),
        (["pypi-bridge", "tree", "--rvrse"], "did you mean --reverse"),
        (["pypi-install", "--dryrun", "x"], "did you mean --dry-run?"),
    ],
)
def test_at_condas_door_too(conda: Conda, words: list[str], message: str) -> None:
    result = conda(*words, check=False)
    assert result.returncode == (2 if message else 0)
    assert message in result.stderr


def test_the_reference_is_current() -> None:
    assert reference.FILE.read_text("utf-8") == reference.reference(), "run python -m tests.reference"


# -- completion ----------------------------------------------------------------------------------------

#: How each shell is started without anybody's settings, and reads the script; and what it is asked before.
SHELLS = {
    "bash": (
        ["bash", "--norc", "-i"],
        "_before() { COMPREPLY=(inspiration); }; complete -F _before conda python\n"
        "source ./script; source ./script; echo r'eady'\n",
    ),
    "zsh": (
        ["zsh", "-f", "-i"],
        "fpath=($PWD $fpath); autoload -U compinit; compinit -u -D; echo r'eady'\n",
    ),
    "fish": (["fish", "--no-config", "-i"], "source ./script; echo r'eady'\n"),
}

#: What stands for conda's own completion, and python's, where zsh looks for it.
OF_OTHERS = "compadd inspiration\n"

LINES = [
    ("conda-pypi-bridge inst", "install"),
    ("conda-pypi-bridge tree --rev", "--reverse"),
    ("conda-pypi-bridge cache cl", "clean"),
    ("conda pypi-bridge notebook kern", "kernelspec"),
    ("conda pypi-install --dry", "--dry-run"),
    ("python -m conda_pypi_bridge doc", "doctor"),
    ("python -m conda_pypi_bridge doctor --de", "--deep"),
    ("conda insp", "inspiration"),
    ("python insp", "inspiration"),
]


@pytest.mark.slow
@pytest.mark.parametrize("shell", SHELLS)
def test_the_tab_key_completes(shell: str, tmp_path: Path) -> None:
    """In the shell itself, in a terminal."""
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not on this machine")
    for name in ("script", "_conda-pypi-bridge"):
        (tmp_path / name).write_text(script(shell))
    for name in ("_conda", "_python"):
        (tmp_path / name).write_text(OF_OTHERS)
    command, start = SHELLS[shell]
    env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "PS1": "> ", "LC_ALL": "C.UTF-8"}
    with Shell(command, env, tmp_path) as terminal:
        terminal.types(start, "ready")
        for line, completed in LINES:
            if shell == "fish" and "insp" in line:
                continue  # fish asks all that completes a command, and none stands in for another
            terminal.types(f"{line}\t", completed)
            terminal.clear()


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_script_knows_every_verb_and_its_shell_reads_it(bridge: Bridge, tmp_path: Path, shell: str) -> None:
    text = bridge("completion", shell).stdout
    assert text == script(shell) + "\n"
    for verb in reference.verbs(parser(COMMAND, whole=True)):
        assert verb in text
    file = tmp_path / "script"
    file.write_text(text)
    if found := shutil.which(shell):
        subprocess.run([found, "-n", str(file)], check=True, capture_output=True)


def test_no_other_verb_loads_what_writes_scripts() -> None:
    code = "import sys, conda_pypi_bridge.cli; sys.exit('shtab' in sys.modules or 'difflib' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
