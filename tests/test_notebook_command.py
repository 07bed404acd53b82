"""What the words after ``%conda`` become, and what is made of the answers: pure, without IPython or conda."""

from __future__ import annotations

from pathlib import PurePosixPath, PureWindowsPath

import pytest

from conda_pypi_bridge.notebook import failure
from conda_pypi_bridge.notebook.child import progress, readable
from conda_pypi_bridge.notebook.command import (
    Refused,
    Takes,
    cell_specs,
    from_help,
    from_pip,
    read,
    refuse_self_harm,
    with_index,
    without_conda,
    words,
)
from tests.lab.condas import Conda

PREFIX = "/envs dir/kernel"


def argv(line: str, cell: str = "") -> list[str]:
    command = read(words(line, windows=False), cell_specs(cell))
    assert command.known is not None
    return list(command.argv(PREFIX, command.known))


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("install numpy", ["install", "--yes", "--prefix", PREFIX, "numpy"]),
        ('install "numpy>=1.20"', ["install", "--yes", "--prefix", PREFIX, "numpy>=1.20"]),
        ("install numpy>=1.20", ["install", "--yes", "--prefix", PREFIX, "numpy>=1.20"]),
        ("install -y numpy", ["install", "--prefix", PREFIX, "-y", "numpy"]),
        ("install -qy numpy", ["install", "--prefix", PREFIX, "-qy", "numpy"]),
        ("install numpy --yes", ["install", "--prefix", PREFIX, "numpy", "--yes"]),
        ("--no-plugins install x", ["--no-plugins", "install", "--yes", "--prefix", PREFIX, "x"]),
        ("-v --no-plugins list", ["-v", "--no-plugins", "list", "--prefix", PREFIX]),
        ("list --json", ["list", "--prefix", PREFIX, "--json"]),
        ("export", ["export", "--prefix", PREFIX]),
        ("env export --no-builds", ["env", "export", "--prefix", PREFIX, "--no-builds"]),
        ("env update -f e.yml", ["env", "update", "--prefix", PREFIX, "-f", "e.yml"]),
        ("env list", ["env", "list"]),
        ("env create -f e.yml", ["env", "create", "--yes", "-f", "e.yml"]),
        ("env config vars set A=1", ["env", "config", "vars", "set", "--prefix", PREFIX, "A=1"]),
        ("create -n new python", ["create", "--yes", "-n", "new", "python"]),
        ("clean --all", ["clean", "--yes", "--all"]),
        ("info", ["info"]),
        ("search numpy", ["search", "numpy"]),
        ("config --show", ["config", "--show"]),
        ("run python -p x -y", ["run", "--prefix", PREFIX, "python", "-p", "x", "-y"]),
        ("pypi-install x", ["pypi-install", "--yes", "--prefix", PREFIX, "x"]),
        ("pypi-bridge remove x", ["pypi-bridge", "remove", "--yes", "--prefix", PREFIX, "x"]),
        ("install --help", ["install", "--help"]),
        ("--version", ["--version"]),
    ],
)
def test_prefix_and_yes_go_where_conda_takes_them_and_nowhere_else(line: str, expected: list[str]) -> None:
    assert argv(line) == expected


@pytest.mark.parametrize(
    "given",
    [
        *("-n x", "-nx", "-n=x", "--name x", "--name=x", "--nam x", "-qn x"),
        *("-p /x", "-p/x", "-p=/x", "--prefix /x", "--prefix=/x", "--pref=/x", "-yp /x"),
    ],
)
def test_an_environment_that_the_user_names_is_the_only_one(given: str) -> None:
    for line in (f"install {given} numpy", f"install numpy {given}"):
        assert PREFIX not in argv(line)
        command = read(words(line, windows=False))
        assert command.target == (("name", "x") if "n" in given.split("=")[0][:3] else ("prefix", "/x"))
    assert PREFIX not in argv(f"run {given} python")


def test_an_option_with_a_value_is_no_spec() -> None:
    command = read(words("install -c forge --solver classic numpy=1 --file f scipy", windows=False))
    assert command.specs == ("numpy=1", "scipy")


@pytest.mark.parametrize("verb", ["install", "update", "remove", "create", "env update", "pypi-install"])
def test_a_dry_run_changes_nothing(verb: str) -> None:
    assert read(words(f"{verb} x", windows=False)).may_change
    for flag in ("--dry-run", "-d", "-yd", "--help"):
        assert not read(words(f"{verb} {flag} x", windows=False)).may_change
    assert not read(words("list", windows=False)).may_change


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("install a b>=1 'c; python_version<\"3\"'", ("a", "b>=1")),
        ("install --only-deps a", ()),
        ("install -d a", ()),
        ("remove a", ()),
        ("env create e.yml", ()),
        ("update a", ()),
    ],
)
def test_what_must_be_there_after_a_success(line: str, expected: tuple[str, ...]) -> None:
    assert read(words(line, windows=False)).expected == expected


# -- words ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("install 'a b' \"c d\"", ["install", "a b", "c d"]),
        ("install x # for plots, don't ask", ["install", "x"]),
        ("install https://h/x.conda#0123", ["install", "https://h/x.conda#0123"]),
        ("install x;", ["install", "x"]),
        ("install \"x; python_version>'3'\"", ["install", "x; python_version>'3'"]),
        (r"install a\ b", ["install", "a b"]),
        ("", []),
    ],
)
def test_a_line_is_split_as_a_shell_would(line: str, expected: list[str]) -> None:
    assert words(line, windows=False) == expected


def test_a_backslash_of_windows_is_part_of_a_path() -> None:
    assert words(r'list -p "C:\My Envs\x" D:\y', windows=True) == ["list", "-p", r"C:\My Envs\x", r"D:\y"]


@pytest.mark.parametrize(
    "line", ["install x; touch y", "install x && ls", "list | grep x", "list > f", "install 'x"]
)
def test_what_only_a_shell_could_obey_is_refused(line: str) -> None:
    with pytest.raises(Refused):
        words(line, windows=False)


def test_a_cell_has_one_spec_a_line() -> None:
    cell = "\n# all of it\nnumpy >=2   # two\n\n 'scipy <2' \nrich[all]\nhttps://h/x.conda#12\n"
    assert cell_specs(cell) == ["numpy >=2", "scipy <2", "rich[all]", "https://h/x.conda#12"]
    assert argv("", cell="a\nb >1")[-2:] == ["a", "b >1"]
    assert argv("install -c forge", cell="a")[-3:] == ["-c", "forge", "a"]
    assert argv("--no-plugins remove", cell="a")[:2] == ["--no-plugins", "remove"]


def test_a_cell_without_sense_is_refused() -> None:
    with pytest.raises(Refused, match="one spec a line"):
        cell_specs("-c forge\nnumpy")
    with pytest.raises(Refused, match="conda list takes no list of specs"):
        argv("list", cell="numpy")


# -- who does it ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("spec", ["flask[async]", "flask [async,dotenv]>=3", "flask; python_version>'3'"])
def test_what_condas_reader_would_drop_goes_to_the_door_that_reads_it(spec: str) -> None:
    assert with_index(read(["install", spec])).verb == "pypi-install"


@pytest.mark.parametrize(
    "spec", ["flask", "flask>=3", "flask[version='>=3']", "flask[build=py_0]", "f=3=py*"]
)
def test_condas_own_specs_stay_condas(spec: str) -> None:
    assert with_index(read(["install", spec])).verb == "install"


@pytest.mark.parametrize("option", ["-U", "-r req.txt", "--index-url=https://i", "--pre"])
def test_options_of_the_bridge_alone_go_to_its_own_door(option: str) -> None:
    assert with_index(read(words(f"install {option} x", windows=False))).verb == "pypi-install"


def test_a_spec_with_spaces_is_no_option_of_a_shell() -> None:
    with pytest.raises(Refused, match="no package before '>='"):
        read(["install", "rich", ">=", "13"])


def test_a_repair_is_not_asked_about() -> None:
    fixed = without_conda(read(["doctor", "--fix", "moo"]), PREFIX)
    assert fixed == ("doctor", "--yes", "--prefix", PREFIX, "--fix", "moo")


@pytest.mark.parametrize("verb", ["why", "tree"])
def test_who_needs_what_is_told_by_either(verb: str) -> None:
    command = read([verb, "moo"])
    ours = with_index(command)
    assert ours.known is not None
    assert ours.argv(PREFIX, ours.known) == ("pypi-bridge", verb, "--prefix", PREFIX, "moo")
    assert without_conda(command, PREFIX) == (verb, "--prefix", PREFIX, "moo")


def test_without_conda_the_bridge_does_what_it_can() -> None:
    for line, verb in (("-v install x", "install"), ("uninstall x", "remove"), ("pypi-install x", "install")):
        given = without_conda(read(words(line, windows=False)), PREFIX)
        assert given is not None
        assert given[:4] == (verb, "--yes", "--prefix", PREFIX)
        assert given[-1] == "x"
    assert without_conda(read(["update", "x"]), PREFIX) == (
        *("install", "--yes", "--prefix", PREFIX, "--upgrade", "x"),
    )
    assert without_conda(read(["doctor"]), PREFIX) == ("doctor", "--prefix", PREFIX)
    for line in ("list", "env list", "--version", "run x", "update --all"):
        assert without_conda(read(words(line, windows=False)), PREFIX) is None


def test_a_subcommand_of_another_plugin_is_asked_for_its_options(conda: Conda) -> None:
    assert read(["lock", "x"]).known is None
    assert from_help(conda("pypi-install", "--help").stdout) == Takes(prefix=True, yes=True)
    assert from_help(conda("list", "--help").stdout) == Takes(prefix=True)
    assert from_help(conda("info", "--help").stdout) == Takes()


def test_the_table_of_options_is_what_conda_says(conda: Conda) -> None:
    for verb in (
        "install",
        "update",
        "remove",
        "list",
        "compare",
        "run",
        "clean",
        "info",
        "search",
        "config",
    ):
        known = read([verb]).known
        assert known == from_help(conda(verb, "--help").stdout), verb
    for verb in ("env export", "env update", "env config vars set", "env list"):
        assert read(verb.split()).known == from_help(conda(*verb.split(), "--help").stdout), verb


@pytest.mark.parametrize(
    "line",
    [
        *("activate x", "deactivate", "remove --all", "remove -n kernel --all", "env remove -n kernel"),
        *("create -p /base/envs/kernel x", "create -n kernel", "uninstall --all -p=/base/envs/kernel"),
        "rename -n kernel other",
    ],
)
def test_a_kernel_does_not_take_away_its_own_environment(line: str) -> None:
    with pytest.raises(Refused):
        refuse_self_harm(read(words(line, windows=False)), PurePosixPath("/base/envs/kernel"))


@pytest.mark.parametrize(
    "line", ["remove x", "remove --all -n other", "create -n other", "env remove -p /other", "update --all"]
)
def test_other_environments_may_go(line: str) -> None:
    refuse_self_harm(read(words(line, windows=False)), PurePosixPath("/base/envs/kernel"))


def test_paths_of_windows_are_compared_as_windows_does() -> None:
    with pytest.raises(Refused):
        refuse_self_harm(read(["create", "-p", r"c:\Base\ENVS\k"]), PureWindowsPath(r"C:\base\envs\k"))


def test_pip_install_is_translated_or_refused() -> None:
    command = from_pip(
        words("install -q --no-input -r req.txt --index-url=https://i 'x>=1' --pre", windows=False)
    )
    assert command.verb == "pypi-install"
    assert command.rest == ("-q", "-r", "req.txt", "--index-url=https://i", "x>=1", "--pre")
    assert command.specs == ("x>=1",)
    assert from_pip(["install", "--upgrade", "x"]).rest == ("--upgrade", "x")
    for option in ("-e", "--user", "--target=x"):
        with pytest.raises(Refused, match=option.partition("=")[0]):
            from_pip(["install", option, "."])


# -- what was printed ----------------------------------------------------------------------------------


def test_spinners_colours_and_passwords_leave_no_trace() -> None:
    text = "Solving: ...working... / \b\b- \b\b\\ \b\bdone\r\n 10%|##\r100%|####\n\x1b[1;31mred\x1b[0m\x07\n"
    text += "https://me:secret@host/t/tk-1234/channel"
    assert readable(text) == "Solving: ...working... done\n100%|####\nred\nhttps://host/channel"


def test_progress_is_read_from_what_conda_and_the_bridge_print() -> None:
    out = (
        "Collecting package metadata (repodata.json): ...working... done\nSolving environment: ...working... "
    )
    assert progress(out, "", 1).phase == "Solving"
    assert progress(out, "Reading the package index\n", 1).phase == "Reading the package index"
    out += "done\n\n  a                  x/noarch::a-1.0-0 \n  b                  1.0-0 --> 2.0-0 \n"
    assert progress(out, "", 1).packages == 2
    out += "Executing transaction: ...working... "
    assert progress(out, "Downloading and building\n  3 packages\n", 1).phase == "Linking"
    assert progress("", "Reading the environment\nLinking\n", 1).phase == "Linking"
    assert progress("", "Downloading and building\n  3 packages\n", 1).packages == 3
    assert progress("hello", "Exception: warning\n", 1).phase == ""


@pytest.mark.parametrize(
    ("err", "message", "hint"),
    [
        (
            "\nPackagesNotFoundError: The following packages are missing from the environment:\n  - x\n\n",
            "The following packages are missing from the environment: x",
            "",
        ),
        ("Solving\nerror: no wheel fits\n  Ask for another.\n", "no wheel fits", "Ask for another."),
        (
            "error: the requests cannot be met together: a\n  This would work: a==1 b==2\n",
            "the requests cannot be met together: a",
            "This would work: %conda install a==1 b==2",
        ),
        (
            "usage: conda ...\nconda: error: unrecognized arguments: --bad\n",
            "unrecognized arguments: --bad",
            "What it takes: %conda install --help",
        ),
        (
            "conda: error: argument COMMAND: invalid choice: 'instal' (choose from 'info', 'install')\n",
            "conda has no subcommand 'instal'",
            "Did you mean: %conda install",
        ),
        (
            "# >>> ERROR REPORT <<<\n    Traceback (most recent call last):\n    KeyError: 'x'\n"
            "    ImportError: no y\n\n`$ conda`\n",
            "no y",
            "",
        ),
        ("strange\n", "conda install failed (exit status {status}): strange", ""),
    ],
)
def test_a_failure_is_one_sentence_and_the_next_step(err: str, message: str, hint: str) -> None:
    status = 2 if "usage" in err or "choice" in err else 1
    read = failure.read("", err, status, "install")
    assert (read.message, read.hint) == (message.format(status=status), hint)


def test_names_that_nobody_has_get_the_nearest_ones() -> None:
    told = "PackagesNotFoundError: The following packages are not available from current channels:\n\n"
    told += "  - mooo>=1\n"
    lacking = failure.read("", told, 1, "install").lacking
    assert lacking == ("mooo",)
    assert failure.suggestion(lacking, ["moo", "herd"]) == "Did you mean: %conda install moo"
    assert failure.suggestion(["sklearn"], []) == "Did you mean: %conda install scikit-learn"
    assert failure.suggestion(["json"], []).startswith("json is part of Python")
    assert failure.suggestion(["zzz"], ["moo"]) == 'Look for it: %conda search "*zzz*"'
    assert failure.suggestion(["zzz"], ["moo"], searchable=False) == ""
    assert failure.suggestion([], ["moo"]) == ""
    document = '{"exception_name": "PackagesNotFoundError", "message": "not on channels:\\n\\n  - zz=1\\n"}'
    assert failure.read(document, "", 1, "install").lacking == ("zz",)
    said = "error: no package named 'zzz' in any configured channel or index\n  Check the spelling.\n"
    assert failure.read("", said, 1, "install").lacking == ("zzz",)
