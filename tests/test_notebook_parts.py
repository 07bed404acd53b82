"""The rooms behind %conda: the child process, what changed, what is loaded, what is shown."""

from __future__ import annotations

import html
import importlib
import importlib.util
import json
import os
import re
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from conda_pypi_bridge.notebook import child, modules
from conda_pypi_bridge.notebook.changes import Change, changes, missing, name_of, snapshot
from conda_pypi_bridge.notebook.child import Finished, Progress
from conda_pypi_bridge.notebook.command import Refused
from conda_pypi_bridge.notebook.magic import expanded
from conda_pypi_bridge.notebook.modules import Loaded
from conda_pypi_bridge.notebook.names import cache_folders, cached_names
from conda_pypi_bridge.notebook.view import CondaCommandError, NotebookScreen, Report, TerminalScreen, summary
from tests.lab.condas import Conda

# -- the child process ---------------------------------------------------------------------------------


def run_python(code: str, seen: list[Progress] | None = None) -> Finished:
    watch = (seen if seen is not None else []).append
    with child.interrupts_kept() as interrupts:
        return child.run([sys.executable, "-c", code], dict(os.environ), watch, interrupts)


def test_a_child_has_no_terminal_no_input_and_a_session_of_its_own() -> None:
    code = "import os, sys\n"
    code += "print(os.isatty(0), os.isatty(1), sys.stdin.read() == '', os.getsid(0) == os.getpid())"
    assert run_python(code).out == "False False True True\n"


def test_output_arrives_while_the_child_runs_and_is_kept_apart() -> None:
    seen: list[Progress] = []
    code = "import sys, time\nprint('Solving environment: ')\ntime.sleep(.5)\n"
    code += "print('oops', file=sys.stderr)\nsys.exit(3)"
    finished = run_python(code, seen)
    assert (finished.status, finished.out, finished.err) == (3, "Solving environment:\n", "oops\n")
    assert seen[-1].phase == "Solving"
    assert not finished.interrupted


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such signal")
def test_only_the_first_interrupt_is_passed_on_and_the_child_is_waited_for() -> None:
    code = (
        "import signal, time\n"
        "count = []\n"
        "signal.signal(signal.SIGINT, lambda *a: (count.append(1), print('undone', flush=True)))\n"
        "print('ready', flush=True)\n"
        "end = time.monotonic() + 1.5\n"
        "while time.monotonic() < end: time.sleep(.05)\n"
        "print(len(count))\n"
    )

    def disturb() -> None:
        for _ in range(3):
            time.sleep(0.35)
            os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=disturb)
    seen: list[Progress] = []
    thread.start()
    finished = run_python(code, seen)
    thread.join()
    assert finished.interrupted
    assert finished.out.splitlines() == ["ready", "undone", "1"]
    assert seen[-1].interrupts == 3
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_program_that_is_not_there_is_an_error_of_the_system() -> None:
    with pytest.raises(OSError, match="no-such-program"):
        child.run(["/no-such-program"], {}, lambda progress: None)


# -- what changed --------------------------------------------------------------------------------------


def put_record(prefix: Path, name: str, version: str, **fields: object) -> Path:
    file = prefix / "conda-meta" / f"{name}-{version}-0.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    record = {"name": name, "version": version, "subdir": "noarch", "channel": "pypi-bridge", **fields}
    file.write_text(json.dumps(record))
    return file


def test_changes_are_named_with_their_versions_sources_and_reasons(tmp_path: Path) -> None:
    old = put_record(tmp_path, "app", "1.0")
    gone = put_record(tmp_path, "gone-with-dashes", "3")
    put_record(tmp_path, "same", "1")
    before = snapshot(tmp_path)
    old.unlink()
    gone.unlink()
    put_record(tmp_path, "app", "2.0", depends=["lib >=1", "python"])
    put_record(tmp_path, "lib", "1.5", channel="https://me:secret@host/t/tk-1/forge/noarch", depends=["deep"])
    put_record(tmp_path, "deep", "0.1", channel="file:///srv/channel/noarch")
    rows = [(c.name, c.old, c.new, c.source, c.why) for c in changes(tmp_path, before, ["App>=2"])]
    assert rows == [
        ("app", "1.0", "2.0", "PyPI", "requested"),
        ("deep", "", "0.1", "channel channel", "required by lib 1.5"),
        ("gone-with-dashes", "3", "", "", ""),
        ("lib", "", "1.5", "channel forge", "required by app 2.0"),
    ]


def test_what_can_be_imported_is_read_from_where_the_files_are(tmp_path: Path) -> None:
    """conda's ``paths_data`` of a noarch package has places in the package, ``files`` those in the prefix."""
    site = "lib/python3.11/site-packages"
    files = [f"{site}/one.py", f"{site}/two/__init__.py", f"{site}/three.cpython-311-x86_64-linux-gnu.so"]
    files += [f"{site}/two/inner.py", f"{site}/_private.py", f"{site}/x-1.dist-info/METADATA", "bin/one"]
    put_record(tmp_path, "x", "1", files=files, paths_data={"paths": [{"_path": "site-packages/one.py"}]})
    (change,) = changes(tmp_path, {})
    assert change.modules == ("one", "three", "two")
    assert f"{site}/one.py" in change.files


def test_success_is_checked_against_what_is_there(tmp_path: Path) -> None:
    put_record(tmp_path, "py-opencv", "1")
    (tmp_path / "lib" / "python3.11" / "site-packages" / "Some_Thing-1.0.dist-info").mkdir(parents=True)
    assert missing(tmp_path, ["py-opencv>=1", "some.thing", "lost=1", "https://h/x-1-0.conda"]) == ["lost=1"]


@pytest.mark.parametrize(
    ("spec", "name"),
    [
        ("Foo_Bar>=1", "foo-bar"),
        ("forge::x=1", "x"),
        ("a[b]", "a"),
        ("./x.whl", ""),
        ("https://h/x.conda", ""),
    ],
)
def test_names_in_specs(spec: str, name: str) -> None:
    assert name_of(spec) == name


def test_names_of_channels_are_found_in_condas_caches(conda: Conda, tmp_path: Path) -> None:
    cache = conda.home.pkgs / "cache"
    cache.mkdir(parents=True)
    (cache / "abc.json").write_text(
        '{"packages": {"a-1-0.conda": {"name": "alpha"}, "b": {"name":"beta.x"}}}'
    )
    folders = cache_folders(conda.command, conda.home.environment())
    assert conda.home.pkgs in folders
    assert cached_names(folders) >= {"alpha", "beta.x"}
    assert cache_folders(["/no-such-program"], {}) == []


# -- what is loaded ------------------------------------------------------------------------------------


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    folder = tmp_path / "lib" / "python3.11" / "site-packages"
    folder.mkdir(parents=True)
    monkeypatch.syspath_prepend(str(folder))
    known = set(sys.modules)
    yield folder
    for name in set(sys.modules) - known:
        if str(folder) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


def put_module(site: Path, name: str, text: str) -> ModuleType:
    """A module on disk, of a fixed time, as packages have them; it is imported."""
    file = site / f"{name}.py"
    file.unlink(missing_ok=True)
    file.write_text(text)
    os.utime(file, (1_700_000_000, 1_700_000_000))
    importlib.invalidate_caches()
    return importlib.import_module(name)


def change_of(name: str, old: str, new: str) -> Change:
    files = frozenset({f"lib/python3.11/site-packages/{name}.py"}) if new else frozenset()
    return Change(name=name, old=old, new=new, files=files)


def test_a_package_upgraded_twice_is_loaded_in_its_first_version(site: Path, tmp_path: Path) -> None:
    put_module(site, "lab_twice", "v = 1")
    loaded = Loaded(prefix=tmp_path)
    loaded.look()
    before = loaded.stale()
    assert before == set()
    put_module(site, "lab_twice", "v = 2")
    clause = ["lab_twice 1 is loaded, 2 is on disk"]
    assert loaded.outdated(before, [change_of("lab_twice", "1", "2")]) == clause
    loaded.look()
    before = loaded.stale()
    put_module(site, "lab_twice", "v = 3")
    assert loaded.outdated(before, [change_of("lab_twice", "2", "3")]) == [
        "lab_twice 1 is loaded, 3 is on disk"
    ]
    assert loaded.outdated(loaded.stale(), []) == []
    put_module(site, "lab_twice", "v = 1")
    assert loaded.outdated(before, [change_of("lab_twice", "3", "1")]) == []


def test_a_reloaded_module_is_the_one_on_disk(site: Path, tmp_path: Path) -> None:
    module = put_module(site, "lab_again", "v = 1")
    loaded = Loaded(prefix=tmp_path)
    loaded.look()
    put_module(site, "lab_again", "v = 22")
    assert loaded.stale()
    importlib.reload(module)
    loaded.look()
    assert loaded.stale() == set()


def test_other_environments_are_nobodys_business(site: Path, tmp_path: Path) -> None:
    put_module(site, "lab_other", "v = 1")
    loaded = Loaded(prefix=tmp_path / "elsewhere")
    loaded.look()
    put_module(site, "lab_other", "v = 22")
    assert loaded.stale() == set()


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="only Linux tells what is mapped")
def test_a_replaced_library_that_is_mapped_counts_as_loaded(tmp_path: Path) -> None:
    import mmap

    library = tmp_path / "lib" / "liblab.so.1"
    library.parent.mkdir()
    library.write_bytes(b"x" * 8192)
    loaded = Loaded(prefix=tmp_path)
    with library.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ):
        assert loaded.stale() == set()
        library.unlink()
        library.write_bytes(b"y" * 8192)
        assert loaded.stale() == {"lib/liblab.so.1"}
        change = Change(name="liblab", old="1", new="2", files=frozenset({"lib/liblab.so.1"}))
        assert loaded.outdated(set(), [change]) == ["liblab 1 is loaded, 2 is on disk"]


def test_new_path_files_are_honoured_and_old_ones_not_run_again(tmp_path: Path, capsys: object) -> None:
    site, project = tmp_path / "site", tmp_path / "project"
    site.mkdir()
    project.mkdir()
    (site / "old.pth").write_text("import sys; sys.lab_ran = getattr(sys, 'lab_ran', 0) + 1\n")
    before = modules.path_files([site])
    (site / "new.pth").write_text(f"{project}\n")
    try:
        modules.refresh(before, [site])
        assert str(project) in sys.path
        assert not hasattr(sys, "lab_ran")
    finally:
        sys.path[:] = [entry for entry in sys.path if entry != str(project)]


# -- what is shown -------------------------------------------------------------------------------------


def test_a_report_says_the_same_in_text_and_html_and_escapes_all() -> None:
    evil = Change(name="<b>x</b>", old="1", new="2&3", source="channel <i>", why="requested")
    gone = Change(name="gone", old="1")
    report = Report(headline="a < b", changes=[evil, gone], notes=["<script>"], output="1 <2>", log="<log>")
    assert not re.search(r"<(b|i|script|log|2)>", report.html())
    shown = re.sub(r"<details>.*</details>", "", report.html())
    assert html.unescape(re.sub(r"<[^>]*>", " ", shown)).split() == report.text().split()
    assert "log" not in report.text()
    assert "gone      1 (removed)" in report.text()


def test_a_long_log_is_not_saved_with_the_notebook() -> None:
    page = Report(headline="", log="first" + "x" * 10**6 + "last").html()
    assert len(page) < 110_000
    assert "first" in page and "last" in page and "characters are left out" in page


def test_a_summary_counts() -> None:
    came, gone = Change(name="a", new="1", source="PyPI"), Change(name="b", old="1")
    assert (
        summary([came, gone], 1.23)
        == "Done in 1.2 s: 1 package installed (1 from PyPI, 0 from channels), 1 package removed."
    )
    assert summary([], 0) == "Done in 0.0 s: nothing had to be changed."


def test_a_notebook_is_updated_when_something_changes_and_every_second() -> None:
    bundles: list[dict[str, str]] = []

    def publish(bundle: dict[str, str]) -> object:
        bundles.append(bundle)
        return bundles.append

    screen = NotebookScreen(publish)  # type: ignore[arg-type]
    for seconds in (0.0, 0.1, 0.2):
        screen.line("conda x", "Solving", seconds)
    screen.line("conda x", "Linking", 0.3)
    assert [bundle["text/plain"] for bundle in bundles] == [
        "conda x · Solving · 0 s",
        "conda x · Linking · 0 s",
    ]


def test_a_terminal_sees_the_log_of_a_failure() -> None:
    said: list[str] = []
    screen = TerminalScreen(said.append)
    screen.line("conda x", "", 0)
    screen.line("conda x", "", 5)
    screen.result(Report(headline="failed", log="all of it", failed=True))
    assert said == ["conda x\n", "all of it\nfailed\n"]


def test_an_error_is_two_lines() -> None:
    error = CondaCommandError("no x", "Try y.", "log")
    assert error._render_traceback_() == ["CondaCommandError: no x", "  Try y."]
    assert CondaCommandError("no x")._render_traceback_() == ["CondaCommandError: no x"]


# -- variables -----------------------------------------------------------------------------------------


def test_variables_are_put_in_once_and_sys_is_always_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAB_VARIABLE", "from the shell")
    names = {"x": "a b; {y}", "n": 3, "listed": ["p", "q r"], "f": Finished}
    assert expanded("plain>=1", names) == ["plain>=1"]
    assert expanded("$x", names) == ["a b; {y}"]
    assert expanded("{n + 1}.0", names) == ["4.0"]
    assert expanded("{sys.prefix}/x", names) == [f"{sys.prefix}/x"]
    assert expanded("$LAB_VARIABLE", names) == ["from the shell"]
    assert expanded("$listed", names) == expanded("{listed}", names) == ["p", "q r"]
    assert expanded("{{literal}} $$x", names) == ["{literal} $x"]
    for text in ("{undefined}", "$undefined", "{1/0}", "{"):
        with pytest.raises(Refused, match="cannot be put in"):
            expanded(text, names)
