"""The start-up file: every kernel of an environment has the bridge, and none is stopped by it."""

from __future__ import annotations

import ast
import json
import shutil
import sysconfig
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from conda_pypi_bridge.errors import PrefixError
from conda_pypi_bridge.notebook import startup
from conda_pypi_bridge.notebook.startup import FILE, Recorded
from tests.kernels import notebook, prepare
from tests.lab.condas import Conda, Home, Result, site_packages

#: Whose %conda it is.
WHOSE = "get_ipython().find_line_magic('conda').__module__.split('.')[0]"

#: Libraries of the bridge that a kernel's environment need not have.
LIBRARIES = ("filelock", "ruamel", "rattler", "requests", "pypi_simple", "tqdm", "conda", "backports")

#: What a kernel has loaded at its start that is the bridge's, or of a library that it needs elsewhere.
LOADED = f"sorted(m for m in __import__('sys').modules if m.split('.')[0] in {LIBRARIES!r})"


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if "__pycache__" not in path.parts}


def alone(venv: Path) -> Path:
    """An environment with an ipykernel, and without the bridge: imports of its libraries fail there."""
    site = site_packages(venv)
    folders = sorted({sysconfig.get_path("purelib"), sysconfig.get_path("platlib")})
    # Lines that are folders add those alone: their .pth files, with ours among them, are not read.
    (site / "laboratory.pth").write_text("\n".join(["import lacking", *folders]) + "\n")
    (site / "lacking.py").write_text(
        "import sys\n"
        "class Lacking:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name.partition('.')[0] in {LIBRARIES!r}:\n"
        "            raise ModuleNotFoundError(name)\n"
        "sys.meta_path.insert(0, Lacking())\n"
    )
    return venv


# -- in kernels ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("user", ["nothing", "extensions", "profile", "failing"])
def test_with_the_start_up_file_alone_conda_is_ours(
    venv: Path, home: Home, tmp_path: Path, user: str
) -> None:
    """Acceptance 1: no user code; also with a user's own extensions, profile, and later start-up files."""
    arguments = []
    if user in ("extensions", "profile"):
        profile = home.path / ".ipython" / f"profile_{'default' if user == 'extensions' else 'mine'}"
        profile.mkdir(parents=True)
        config = "c = get_config()\nc.InteractiveShellApp.extensions = ['autoreload']\n"
        (profile / "ipython_config.py").write_text(config)
        arguments = ["--profile=mine"] if user == "profile" else []
    prepare(venv)
    if user == "failing":
        (venv / FILE).with_name("10-theirs.py").write_text("1 / 0\n")
    with notebook(venv, home.environment(), tmp_path / "work", arguments=arguments) as book:
        assert book.value(WHOSE) == "'conda_pypi_bridge'"
        assert (
            book.value("get_ipython().extension_manager.loaded >= {'conda_pypi_bridge.notebook'}") == "True"
        )
        assert book.value("[name for name in globals() if 'bridge' in name]") == "[]"
        if user == "extensions":
            assert book.value("'autoreload' in get_ipython().magics_manager.magics['line']") == "True"
            assert book.value(LOADED) == "[]", "a kernel's start costs no library"


def test_an_environment_without_the_bridge_loads_it_from_the_installation_that_wrote_the_file(
    venv: Path, home: Home, tmp_path: Path
) -> None:
    """By path: nothing else of that installation becomes importable, and sys.path is as it was."""
    alone(venv)
    with notebook(venv, home.environment(), tmp_path / "work") as book:
        before = book.value("__import__('sys').path")
        assert book.value(WHOSE) == "'IPython'"
    python = tmp_path / "base" / "python"
    python.parent.mkdir()
    python.symlink_to(shutil.which("true") or "/bin/true")
    startup.write(venv, Recorded(package=startup.this_installation().package, python=python))
    with notebook(venv, home.environment(), tmp_path / "work") as book:
        assert book.value(WHOSE) == "'conda_pypi_bridge'"
        assert book.value("__import__('sys').path") == before
        assert "ModuleNotFoundError" in book.fails("import filelock").error[-1]
        assert f"Environment: {venv}" in book.run("%conda where").text
        code = "import sys, pathlib; from conda_pypi_bridge.notebook.startup import bridge_python\n"
        assert book.run(f"{code}print(bridge_python(pathlib.Path(sys.prefix)))").stream.strip() == str(python)


@pytest.mark.parametrize(
    "broken",
    [
        "raise ImportError('x')",
        "raise SystemExit(3)",
        "raise KeyboardInterrupt",
        "def f(:",
        "missing",
        "gone",
    ],
)
def test_a_broken_bridge_stops_no_kernel(venv: Path, home: Home, tmp_path: Path, broken: str) -> None:
    """Acceptance 17: the kernel starts, and IPython's own %conda remains."""
    alone(venv)
    package = tmp_path / "base" / "conda_pypi_bridge"
    if broken != "gone":
        package.mkdir(parents=True)
        (package / "__init__.py").touch()
    if broken not in ("gone", "missing"):
        (package / "notebook").mkdir()
        (package / "notebook" / "__init__.py").write_text(f"{broken}\n")
    startup.write(venv, Recorded(package=package, python=package / "python"))
    with notebook(venv, home.environment(), tmp_path / "work") as book:
        assert book.value(WHOSE) == "'IPython'"
        assert book.value("[name for name in globals() if 'bridge' in name]") == "[]"


def test_a_bridge_in_the_notebooks_folder_is_not_run(venv: Path, home: Home, tmp_path: Path) -> None:
    """Opening a notebook must not run code that came along with it."""
    alone(venv)
    planted = tmp_path / "work" / "conda_pypi_bridge"
    planted.mkdir(parents=True)
    (planted / "__init__.py").write_text("__import__('pathlib').Path('pwned').touch()\n")
    startup.write(venv, startup.this_installation())
    with notebook(venv, home.environment(), tmp_path / "work") as book:
        assert book.value(WHOSE) == "'conda_pypi_bridge'"
    assert not (tmp_path / "work" / "pwned").exists()


# -- the file ------------------------------------------------------------------------------------------


def test_the_file_can_be_read_by_old_pythons_and_back(tmp_path: Path) -> None:
    """Under a Python that the bridge cannot run with, the file must do nothing, not fail to parse."""
    recorded = Recorded(package=Path("/b é 'q' \"/\\n"), python=Path("/b/py\N{SNOWMAN}"))
    ast.parse(startup.text(recorded), feature_version=(3, 7))
    assert startup.read(tmp_path) is None
    assert startup.write(tmp_path, recorded)
    assert startup.read(tmp_path) == recorded
    assert not startup.write(tmp_path, recorded)


def test_nothing_is_left_after_removal(tmp_path: Path) -> None:
    startup.write(tmp_path, startup.this_installation())
    assert startup.remove(tmp_path)
    assert files(tmp_path) == set()
    assert not startup.remove(tmp_path)


def test_what_others_put_there_stays(tmp_path: Path) -> None:
    theirs = tmp_path / "etc" / "ipython" / "startup" / "50-theirs.py"
    theirs.parent.mkdir(parents=True)
    theirs.touch()
    startup.write(tmp_path, startup.this_installation())
    startup.remove(tmp_path)
    assert files(tmp_path / "etc" / "ipython") == {"startup", "startup/50-theirs.py"}


def test_somebody_elses_file_of_the_same_name_is_neither_written_over_nor_deleted(tmp_path: Path) -> None:
    file = tmp_path / FILE
    file.parent.mkdir(parents=True)
    file.write_text("print('mine')\n")
    with pytest.raises(PrefixError, match=r"not of conda-pypi-bridge"):
        startup.write(tmp_path, startup.this_installation())
    assert not startup.remove(tmp_path)
    assert file.read_text() == "print('mine')\n"


# -- the verbs, at both doors --------------------------------------------------------------------------


@pytest.fixture(params=["conda", "python -m"])
def verb(
    request: pytest.FixtureRequest, home: Home, vendored_conda: Path, bridge: Any
) -> Callable[..., Result]:
    """``... notebook ACTION`` at one of the doors."""
    conda = Conda(command=(str(vendored_conda),), home=home)

    def call(*words: str | Path, **options: Any) -> Result:
        if request.param == "conda":
            return conda("pypi-bridge", "notebook", *words, **options)
        done: Result = bridge("notebook", *words, **options)
        return done

    return call


@pytest.fixture
def env(home: Home, vendored_conda: Path, pythons: list[Any]) -> Iterator[Path]:
    prefix = home.envs / "test"
    conda = Conda(command=(str(vendored_conda),), home=home)
    conda("create", "-p", prefix, f"python={pythons[0].version}")
    yield prefix
    prefix.chmod(0o755)


def test_enable_and_disable_say_what_they_did_and_leave_no_trace(
    verb: Callable[..., Result], env: Path
) -> None:
    before = files(env)
    assert "do not load the bridge" in verb("status", "-p", env).stdout
    done = verb("enable", "-n", "test", env={"CONDA_ENVS_DIRS": str(env.parent)}).stdout
    file = env / FILE
    assert f"Wrote {file}" in done
    assert startup.read(env) is not None
    undo = next(line for line in done.splitlines() if line.startswith("To undo: "))
    assert undo.endswith(f"notebook disable -p {env}")
    again = verb("enable", "-p", env, "--json").json()
    assert (again["success"], again["changed"], again["file"]) == (True, False, str(file))
    status = verb("status", "-p", env, "--json").json()
    assert status["enabled"] is True
    assert Path(status["bridge"]) == startup.this_installation().package
    assert f"Deleted {file}" in verb("disable", "-p", env).stdout
    assert files(env) == before
    assert verb("disable", "-p", env, "--json").json()["changed"] is False


def test_enable_names_what_a_start_up_file_cannot_do(verb: Callable[..., Result], env: Path) -> None:
    done = verb("enable", "-p", env).stdout
    assert "There is no IPython in this environment yet" in done
    assert "activation scripts" not in done
    scripts = env / "etc" / "conda" / "activate.d"
    scripts.mkdir(parents=True)
    (scripts / "x.sh").touch()
    assert f"notebook kernelspec -p {env}" in verb("enable", "-p", env).stdout


def test_status_says_that_the_bridge_is_gone(verb: Callable[..., Result], env: Path, tmp_path: Path) -> None:
    gone = tmp_path / "gone" / "conda_pypi_bridge"
    startup.write(env, Recorded(package=gone, python=gone))
    assert f"it is gone from {gone}" in verb("status", "-p", env).stdout
    assert verb("status", "-p", env, "--json").json()["bridge"] is None


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        ("frozen", "this environment is frozen. Ask Ada."),
        ("read-only", "this environment is read-only"),
        ("no Python", "this environment has no Python"),
        ("old Python", "its Python is 3.9.1, and the bridge needs 3.10 or newer"),
    ],
)
def test_enable_refuses_in_one_line(verb: Callable[..., Result], env: Path, state: str, reason: str) -> None:
    """CEP 22: a frozen environment (``conda-meta/frozen``) is not to be changed."""
    (record,) = (env / "conda-meta").glob("python-*.json")
    if state == "frozen":
        (env / "conda-meta" / "frozen").write_text(json.dumps({"message": "Ask Ada."}))
    elif state == "read-only":
        env.chmod(0o555)
    elif state == "no Python":
        record.unlink()
    else:
        document = json.loads(record.read_text())
        record.unlink()
        old = env / "conda-meta" / f"python-3.9.1-{document['build']}.json"
        old.write_text(json.dumps({**document, "version": "3.9.1"}))
    refused = verb("enable", "-p", env, check=False)
    assert refused.returncode == 1
    assert reason in refused.stderr
    assert len(refused.stderr.splitlines()) <= 2
    assert startup.read(env) is None


def test_a_folder_that_is_no_environment_is_refused(bridge: Callable[..., Result], tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    refused = bridge("notebook", "enable", "-p", folder, check=False)
    assert "this is not an environment" in refused.stderr
    assert files(folder) == set()
