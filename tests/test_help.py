"""What the command line teaches: help, near names, exit statuses, completion and the reference."""

from __future__ import annotations

import argparse
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

ASK = r"""
source "$1"; shift
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=()
function_of() { complete -p "$1" | sed -n 's/.*-F \([^ ]*\).*/\1/p'; }
"$(function_of "$1")" "$1" "${COMP_WORDS[COMP_CWORD]}" ""
echo "${COMPREPLY[@]}"
"""


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("conda-pypi-bridge inst", "install"),
        ("conda-pypi-bridge tree --rev", "--reverse"),
        ("conda-pypi-bridge cache cl", "clean"),
        ("conda pypi-bridge notebook kern", "kernelspec"),
        ("conda pypi-install --dry", "--dry-run"),
        ("conda inst", "what completed conda before"),
    ],
)
def test_bash_completes(tmp_path: Path, line: str, expected: str) -> None:
    before = "_former() { COMPREPLY=('what completed conda before'); }\ncomplete -F _former conda\n"
    file = tmp_path / "completion.bash"
    file.write_text(before + script("bash"))
    command = ["bash", "--norc", "-c", ASK, "bash", str(file), *line.split()]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert (done.stdout.strip(), done.stderr) == (expected, "")


def test_sourcing_twice_leaves_what_completed_conda_before(tmp_path: Path) -> None:
    before = "_former() { COMPREPLY=('before'); }\ncomplete -F _former conda\n"
    file = tmp_path / "completion.bash"
    file.write_text(before + script("bash") + script("bash"))
    command = ["bash", "--norc", "-c", ASK, "bash", str(file), "conda", "inst"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "before\n"


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
