"""%conda in real kernels: real conda behind, a real index on loopback, and no conda at all."""

from __future__ import annotations

import html
import json
import os
import re
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, DeadKernelError
from nbformat.v4 import new_code_cell, new_notebook

from conda_pypi_bridge.model import CHANNEL
from conda_pypi_bridge.notebook import changes
from tests.indexserver import IndexServer
from tests.kernels import LAUNCH, Notebook, eventually, notebook, prepare
from tests.lab.channels import SUBDIR, index_channel, make_conda_package, make_python_package
from tests.lab.condas import Conda, Home, overlay, python_of, run
from tests.lab.pythons import Interpreter

pytestmark = pytest.mark.skipif(os.name == "nt", reason="signals and post-link scripts are those of POSIX")

#: Says when it runs, and gives a test the time to disturb it.
SLOW_SCRIPT = '#!/bin/sh\ntouch "$PREFIX/linking"\nsleep 3\n'


@pytest.fixture(scope="module")
def index() -> Iterator[IndexServer]:
    with IndexServer() as server:
        server.add("moo", "1.0", requires=["herd"])
        server.add("moo", "2.0", requires=["herd>=1"])
        server.add("herd", "1.5")
        server.add("barn", "1.0", extras={"hay": ["hay"]})
        server.add("hay", "1.0")
        for name in ("bee", "calf", "cow", "deer", "duck", "emu", "fox", "goat", "goose", "sheep", "wasp"):
            server.add(name, "1.0")
            server.add(name, "2.0")
        yield server


@pytest.fixture(scope="module")
def lab_home(tmp_path_factory: pytest.TempPathFactory, channel: Path, shared_packages: Path) -> Home:
    """A user whose channels have a few packages of their own."""
    folder = tmp_path_factory.mktemp("notebooks")
    return Home.make(folder / "home", [folder / "extra", channel], [shared_packages])


@pytest.fixture(scope="module", autouse=True)
def extra(lab_home: Home, pythons: list[Interpreter]) -> Path:
    folder = lab_home.path.with_name("extra")
    site = f"lib/python{pythons[0].minor}/site-packages"
    for version in ("1.0", "2.0"):
        make_python_package(folder, "wall", version)
        module = {f"{site}/binary.py": f"__version__ = '{version}'\n"}
        make_conda_package(folder, "binary", version, module, noarch=None, subdir=SUBDIR)
        files = {
            "share/slow.txt": version,
            "bin/.slow-post-link.sh": SLOW_SCRIPT if version == "2.0" else ":",
        }
        make_conda_package(folder, "slow", version, files, noarch=None, subdir=SUBDIR)
    make_python_package(folder, "fence", "1.0", depends=["wall"])
    project = {"site-packages/project.pth": f"{lab_home.path / 'project'}\n"}
    make_conda_package(folder, "editable", "1.0", project, ["python"])
    return index_channel(folder)


@pytest.fixture(scope="module")
def lab_conda(lab_home: Home, vendored_conda: Path, index: IndexServer) -> Conda:
    env = {"PIP_INDEX_URL": index.url, "CONDA_EXE": str(vendored_conda)}
    return Conda(command=(str(vendored_conda),), home=lab_home, env=env)


@pytest.fixture(scope="module")
def env(lab_conda: Conda) -> dict[str, str]:
    """What Jupyter is started with."""
    return lab_conda.home.environment() | lab_conda.env


@pytest.fixture(scope="module")
def prefix(lab_conda: Conda, pythons: list[Interpreter], extra: Path) -> Path:
    prefix = lab_conda.home.envs / "test"
    lab_conda("create", "-p", prefix, f"python={pythons[0].version}", "slow=1")
    return prepare(prefix)


@pytest.fixture(scope="module")
def book(env: dict[str, str], prefix: Path, lab_home: Home) -> Iterator[Notebook]:
    """A notebook whose kernel most tests share: each has packages of its own."""
    with notebook(prefix, env, lab_home.path / "work") as opened:
        yield opened


def record(prefix: Path, name: str) -> dict[str, object]:
    (file,) = [file for file in (prefix / "conda-meta").glob("*.json") if file.stem.rsplit("-", 2)[0] == name]
    found: dict[str, object] = json.loads(file.read_text())
    return found


def installed(prefix: Path, name: str) -> str:
    """The version that conda-meta has, "" for none."""
    stems = [file.stem.rsplit("-", 2) for file in (prefix / "conda-meta").glob("*.json")]
    return next((stem[1] for stem in stems if stem[0] == name), "")


def words_of(markup: str) -> list[str]:
    """What a reader of the HTML sees while the log is folded."""
    shown = re.sub(r"<details>.*?</details>", "", markup, flags=re.DOTALL)
    return html.unescape(re.sub(r"<[^>]*>", " ", shown)).split()


# -- installing ----------------------------------------------------------------------------------------


def test_what_channels_lack_comes_from_the_index_and_imports_at_once(book: Notebook, prefix: Path) -> None:
    cell = book.run("%conda install moo wall=1")
    assert book.value("__import__('moo').__version__") == "'2.0'"
    assert record(prefix, "moo")["channel"] == CHANNEL == changes.CHANNEL
    rows = {line.split()[0]: line.split(None, 2)[1:] for line in cell.text.splitlines()[1:4]}
    assert rows == {
        "herd": ["1.5", "PyPI           required by moo 2.0"],
        "moo": ["2.0", "PyPI           requested"],
        "wall": ["1.0", "channel extra  requested"],
    }
    assert "3 packages installed (2 from PyPI, 1 from channels)" in cell.text
    assert "Ready to import: moo, wall" in cell.text
    assert "Restart" not in cell.text


def test_a_constraint_is_honoured_and_no_shell_reads_the_line(book: Notebook, prefix: Path) -> None:
    book.run('%conda install "cow>=1,<2"')
    assert installed(prefix, "cow") == "1.0"
    book.run("%conda install calf>=2")
    assert installed(prefix, "calf") == "2.0"
    error = book.fails("%conda install goat; touch pwned").error
    assert "for a shell" in error[0]
    book.fails("%conda install $(touch pwned)")
    assert list(book.folder.iterdir()) == []
    assert not installed(prefix, "goat")


def test_a_cell_has_one_spec_a_line_and_variables_are_put_in_once(book: Notebook, prefix: Path) -> None:
    book.run("name, several, tricky = 'sheep', ['wasp', 'bee'], '{name}'")
    cell = book.run("%%conda install --no-deps\n# farm\n{name} >=1,<2  # one\n$several\n")
    assert installed(prefix, "sheep") == "1.0"
    assert installed(prefix, "wasp") and installed(prefix, "bee")
    assert cell.text.count("requested") == 3
    assert "{name}" in book.fails("%conda install $tricky").error[0]
    assert "cannot be put in" in book.fails("%conda install $nothing_of_that_name").error[0]
    listed = book.run("%conda list --prefix {sys.prefix} python").text
    assert str(prefix) in listed


def test_extras_are_installed_although_condas_own_reader_drops_them(book: Notebook, prefix: Path) -> None:
    book.run("%conda install barn[hay]")
    assert installed(prefix, "hay") == "1.0"


def test_removal_is_told_and_what_is_loaded_of_it(book: Notebook, prefix: Path) -> None:
    book.run("%conda install goat=1")
    book.run("import goat")
    cell = book.run("%conda remove goat")
    assert "1.0 (removed)" in cell.text
    assert "Restart the kernel: goat 1.0 is loaded, it is no longer on disk." in cell.text
    assert not installed(prefix, "goat")


def test_the_outcome_can_be_kept(book: Notebook) -> None:
    cell = book.run("kept = %conda list")
    assert len(cell.outputs) == 1
    assert book.value("'python' in kept.out, list(kept.changes)") == "(True, [])"
    assert [output.output_type for output in book.run("%conda list").outputs] == ["display_data"]


# -- display -------------------------------------------------------------------------------------------


def test_one_display_that_was_updated_is_all_that_is_saved(book: Notebook) -> None:
    cell = book.run("%conda install deer")
    assert [output.output_type for output in cell.outputs] == ["display_data"]
    said = [message for message in book.since_last_input() if message.kind.endswith("display_data")]
    assert [message.kind for message in said] == ["display_data"] + ["update_display_data"] * (len(said) - 1)
    shown = " ".join(message.text for message in said)
    for phase in ("Reading channels", "Solving", "Linking", "1 package", " · 1 s"):
        assert phase in shown
    for output in cell.outputs:
        assert not re.search(r"[\b\r\x1b]", "".join(output.data.values()))


def test_something_is_shown_within_a_tenth_of_a_second(book: Notebook) -> None:
    book.run("%conda list")
    start, *rest = book.since_last_input()
    first = next(message for message in rest if message.kind == "display_data")
    assert first.text == "conda list · 0 s"
    assert first.at - start.at < 0.1


def test_text_and_html_say_the_same(book: Notebook) -> None:
    for code in ("%conda install fence", "%conda list", "%conda install -d moo"):
        cell = book.run(code)
        (display,) = cell.displays
        assert set(display.data) == {"text/plain", "text/html"}
        assert words_of(cell.html) == cell.text.split()
        assert "<script" not in cell.html
    failed = book.fails('%conda install "<b>bold</b>"')
    assert "<b>" not in failed.html and "<details><summary>Log</summary>" in failed.html
    assert words_of(failed.html) == failed.text.split()


def test_a_terminal_gets_plain_lines_each_once(env: dict[str, str], prefix: Path, tmp_path: Path) -> None:
    command = [python_of(prefix), "-m", "IPython", "--no-banner", "--colors=NoColor", "-c"]
    result = run([*command, "%conda install emu"], env, cwd=tmp_path)
    lines = result.stdout.splitlines()
    assert lines[0] == "conda install emu"
    assert lines.index("conda install emu · Solving") < lines.index("Package  Version  From  Why")
    assert not any(line == following for line, following in pairwise(lines))
    assert not re.search(r"· \d+ s", result.stdout)
    assert not re.search(r"[\b\r\x1b]", result.stdout)
    assert "Out[" not in result.stdout
    assert "emu      2.0      PyPI  requested" in lines


# -- restart or not ------------------------------------------------------------------------------------


def test_an_upgrade_of_what_is_loaded_asks_for_a_restart(book: Notebook) -> None:
    """Both versions are of the same size and time, so that only the content differs."""
    book.run("%conda install binary=1")
    book.run("import binary")
    cell = book.run("%conda install binary=2")
    assert "Restart the kernel: binary 1.0 is loaded, 2.0 is on disk." in cell.text
    assert "Ready to import" not in cell.text
    assert "Restart" not in book.run("%conda install binary=2").text


def test_an_upgrade_of_a_noarch_package_does_too(book: Notebook) -> None:
    """Their records have the places of files in the package and in the environment."""
    book.run("%conda install goose=1")
    book.run("import goose")
    assert "goose 1.0 is loaded, 2.0 is on disk" in book.run("%conda install goose=2").text
    # What is loaded is on disk again: nothing is to be done.
    assert "Restart" not in book.run("%conda install goose=1").text


def test_what_changed_nothing_that_is_loaded_asks_for_no_restart(book: Notebook) -> None:
    book.run("%conda install cow=1")
    book.run("import cow")
    for code in (
        "%conda install herd",
        "%conda install -d cow=2",
        "%conda list",
        "%conda update --dry-run --all",
    ):
        assert "estart" not in book.run(code).text
    failed = book.fails("%conda install cow=2 nobody-has-this")
    assert "estart" not in failed.text + " ".join(failed.error)


def test_a_new_path_file_is_honoured_without_a_restart(book: Notebook, lab_home: Home) -> None:
    project = lab_home.path / "project"
    project.mkdir()
    (project / "in_place.py").write_text("answer = 42\n")
    book.run("%conda install editable")
    assert book.value("__import__('in_place').answer") == "42"


# -- whose environment ---------------------------------------------------------------------------------


def test_each_command_means_the_kernels_environment_or_the_one_named(book: Notebook, prefix: Path) -> None:
    assert str(prefix) in book.run("%conda --no-plugins list").text
    assert f"prefix: {prefix}" in book.run("%conda export").text
    other = prefix.with_name("other")
    created = book.run("%conda create -n other fence")
    assert f"Environment: {other}" in created.text
    assert installed(other, "fence") == "1.0"
    for named in ("-n=other", "--name=other", f"-p={other}", "-qn other"):
        text = book.run(f"%conda list {named}").text
        assert "fence" in text and "slow" not in text
    cell = book.run(f"%conda install -p {other} wall=1")
    assert f"Environment: {other}" in cell.text and "Ready" not in cell.text
    assert "take away the environment this kernel runs in" in book.fails("%conda remove --all").error[0]


def test_a_question_is_never_waited_for(book: Notebook, lab_conda: Conda) -> None:
    home = lab_conda.home
    lab_conda("create", "-n", "doomed", "slow=1")
    home.configure(always_yes=False)
    try:
        book.run("%conda env remove -n doomed")
        book.run("%conda clean --tarballs")
        book.run("%conda install --force-reinstall herd")
    finally:
        home.configure(always_yes=True)
    assert not (home.envs / "doomed" / "conda-meta").exists()


@pytest.mark.slow
def test_paths_with_spaces_are_paths(
    lab_conda: Conda, env: dict[str, str], vendored_conda: Path, pythons: list[Interpreter], tmp_path: Path
) -> None:
    prefix = tmp_path / "my envs" / "a kernel"
    lab_conda("create", "-p", prefix, f"python={pythons[0].version}")
    base = tmp_path / "my conda"
    base.symlink_to(vendored_conda.parents[1])
    env = env | {"CONDA_EXE": str(base / "bin" / "conda")}
    with notebook(prepare(prefix), env, tmp_path / "my work") as opened:
        cell = opened.run("%conda install cow")
        assert "Ready to import: cow" in cell.text
        assert f"&#x27;{base}/bin/conda&#x27; install" in cell.html
        assert opened.value("__import__('cow').__version__") == "'2.0'"


# -- failure -------------------------------------------------------------------------------------------


def test_a_missing_package_stops_run_all_in_two_lines(
    env: dict[str, str], prefix: Path, tmp_path: Path
) -> None:
    cells = [new_code_cell(code) for code in ("%conda install fennce", "open('ran', 'w')")]
    manager = AsyncKernelManager()
    manager._kernel_spec = KernelSpec(argv=[str(python_of(prefix)), *LAUNCH], language="python")
    client = NotebookClient(
        new_notebook(cells=cells), km=manager, timeout=60, resources={"metadata": {"path": str(tmp_path)}}
    )
    with pytest.raises(CellExecutionError):
        client.execute(env=env)
    display, error = cells[0].outputs
    assert display.data["text/plain"].startswith("conda install failed after")
    assert "<details>" in display.data["text/html"]
    assert error.ename == "CondaCommandError"
    lines = [line for part in error.traceback for line in part.splitlines()]
    assert len(lines) == 2
    assert lines[0] == "CondaCommandError: neither a channel nor the package index has fennce"
    assert lines[1] == "  Did you mean: %conda install fence"
    assert 'File "' not in json.dumps(cells[0])
    assert not (tmp_path / "ran").exists()


def test_an_interrupt_leaves_the_environment_as_it_was_and_the_kernel_alive(
    book: Notebook, prefix: Path
) -> None:
    marker = prefix / "linking"

    def disturb() -> None:
        eventually(marker.exists)
        book.interrupt()
        time.sleep(0.2)
        book.interrupt()

    cell = book.fails("%conda install slow=2", disturb)
    assert "was interrupted" in cell.error[0]
    assert "the environment is as it was" in cell.text
    assert any("Interrupted: undoing" in message.text for message in book.since_last_input())
    assert installed(prefix, "slow") == "1.0"
    assert (prefix / "share" / "slow.txt").read_text() == "1.0"
    assert not list(prefix.rglob("*.c~"))
    assert book.value("1 + 1") == "2"
    marker.unlink()


@pytest.mark.slow
def test_killing_the_kernel_midway_leaves_records_and_files_that_agree(
    lab_conda: Conda, env: dict[str, str], tmp_path: Path, pythons: list[Interpreter]
) -> None:
    prefix = tmp_path / "killed"
    lab_conda("create", "-p", prefix, f"python={pythons[0].version}", "slow=1")
    with notebook(prepare(prefix), env, tmp_path) as opened:

        def disturb() -> None:
            eventually((prefix / "linking").exists)
            opened.kill()

        with pytest.raises(DeadKernelError):
            opened.run("%conda install slow=2", disturb)
    eventually(lambda: installed(prefix, "slow") == "2.0" and not list(prefix.rglob("*.c~")))
    assert (prefix / "share" / "slow.txt").read_text() == "2.0"
    assert lab_conda.packages(prefix)["slow"]["version"] == "2.0"


# -- without conda -------------------------------------------------------------------------------------


def test_without_any_conda_the_bridge_installs_and_says_where_it_looked(
    lab_conda: Conda, env: dict[str, str], tmp_path: Path, pythons: list[Interpreter]
) -> None:
    prefix = tmp_path / "alone"
    lab_conda("create", "-p", prefix, f"python={pythons[0].version}")
    (prefix / "conda-meta" / "history").write_text("")
    changed = overlay(env, {"CONDA_EXE": None, "PATH": "/usr/bin:/bin"})
    with notebook(prepare(prefix), changed, tmp_path) as opened:
        cell = opened.run("%conda install moo wall")
        assert re.search(r"moo +2.0 +PyPI +requested", cell.text)
        assert re.search(r"wall +2.0 +channel extra +requested", cell.text)
        assert opened.value("__import__('moo').__version__") == "'2.0'"
        listing = opened.fails("%conda list")
        assert listing.text == "conda list was not started."
        error = listing.error
        assert "CONDA_EXE is not set" in error[0] and "PATH" in error[0]
        assert "%conda install" in error[1]
        missing = opened.fails("%conda install sheeep").error
        assert "sheeep" in missing[0] and not any("search" in line for line in missing)


def test_a_virtual_environment_is_served_by_the_bridge(
    venv: Path, env: dict[str, str], tmp_path: Path
) -> None:
    with notebook(prepare(venv), env, tmp_path) as opened:
        cell = opened.run("%conda install moo")
        assert re.search(r"moo +2.0 +PyPI +requested", cell.text)
        assert opened.value("__import__('moo').__version__") == "'2.0'"
        assert "%conda install and %conda remove work here" in opened.fails("%conda list").error[1]
        assert "1.0" not in opened.run("%conda remove moo").text


def test_a_conda_without_the_bridge_does_what_is_left_to_conda(
    env: dict[str, str], prefix: Path, vendored_conda: Path, tmp_path: Path
) -> None:
    plain = tmp_path / "plain" / "bin" / "conda"
    plain.parent.mkdir(parents=True)
    plain.write_text(f'#!/bin/sh\nexec "{vendored_conda}" --no-plugins "$@"\n')
    plain.chmod(0o755)
    with notebook(prefix, env | {"CONDA_EXE": str(plain)}, tmp_path) as opened:
        assert "-m conda_pypi_bridge install" in opened.run("%conda install duck").html
        assert installed(prefix, "duck") == "2.0"
        assert str(prefix) in opened.run("%conda list").text


# -- pip -----------------------------------------------------------------------------------------------


def test_pip_says_what_it_goes_past_and_does_as_before(book: Notebook) -> None:
    lines = book.run("%pip install --dry-run duck==1").stream.splitlines()
    assert lines[0].startswith("%pip goes past conda") and lines[0].endswith("%conda install duck==1")
    assert any("Would install duck-1.0" in line for line in lines)
    assert "goes past" not in book.run("%pip list").stream


def test_a_setting_sends_pip_through_the_bridge(book: Notebook, prefix: Path) -> None:
    book.run("import os; os.environ['CONDA_PLUGINS_PYPI_BRIDGE_PIP_MAGIC'] = 'true'")
    try:
        cell = book.run("%pip install -q 'goat==1.0'")
        assert re.search(r"goat .*1.0 +PyPI +requested", cell.text)
        assert record(prefix, "goat")["channel"] == CHANNEL
        assert "-e has no equivalent" in book.fails("%pip install -e .").error[0]
    finally:
        book.run("del os.environ['CONDA_PLUGINS_PYPI_BRIDGE_PIP_MAGIC']")


def test_unloading_gives_ipython_its_own_magics_back(
    env: dict[str, str], prefix: Path, tmp_path: Path
) -> None:
    shown = "print(get_ipython().find_line_magic('conda').__module__, get_ipython().find_cell_magic('conda'))"
    code = f"get_ipython().find_line_magic('mamba')\n{shown}\n%unload_ext conda_pypi_bridge.notebook\n{shown}"
    result = run([python_of(prefix), "-m", "IPython", "--no-banner", "-c", code], env, cwd=tmp_path)
    before, after = result.stdout.splitlines()[-2:]
    assert before.startswith("conda_pypi_bridge.notebook.magic")
    assert after.startswith("IPython.core.magics.packaging") and after.endswith("None")
