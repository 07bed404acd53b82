"""A kernel's process and conda's activation: the same variables, the same PATH, in condas and kernels."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
import venv as stdlib_venv
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from jupyter_client.kernelspec import KernelSpec

from conda_pypi_bridge.errors import ConfigError, PrefixError
from conda_pypi_bridge.notebook import _activate, kernelspec, shell
from conda_pypi_bridge.notebook.condas import CondaProgram, Search, find_conda
from conda_pypi_bridge.notebook.kernelspec import amended, data_folders, installed, user_data_folder
from conda_pypi_bridge.notebook.options import switch
from conda_pypi_bridge.notebook.shell import Target, agree, folders
from tests.kernels import Notebook, notebook, prepare
from tests.lab.condas import Conda, Home, Result, make_root, python_of, run, site_packages
from tests.lab.pythons import Interpreter

SYSTEM = "/usr/bin:/bin"


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A conda installation whose path has a space."""
    root = tmp_path_factory.mktemp("conda") / "my base"
    root.mkdir()
    make_root(root)
    return root


@pytest.fixture(scope="module")
def base_home(base: Path, channel: Path, shared_packages: Path) -> Home:
    return Home.make(base.parent / "home", [channel], [shared_packages])


@pytest.fixture(scope="module")
def env(base: Path, base_home: Home, pythons: list[Interpreter]) -> Path:
    """An environment of that installation, with a Python, whose kernels load the bridge."""
    prefix = base / "envs" / "test"
    conda = Conda(command=(str(base / "bin" / "conda"),), home=base_home)
    conda("create", "-p", prefix, f"python={pythons[0].version}", "pip")
    return prepare(prefix)


@pytest.fixture
def bare(base: Path) -> Iterator[Path]:
    """A further environment of that installation, without packages."""
    prefix = base / "envs" / "bare"
    (prefix / "conda-meta").mkdir(parents=True)
    (prefix / "conda-meta" / "history").touch()
    yield prefix
    shutil.rmtree(prefix)


def empty_env(prefix: Path) -> Path:
    (prefix / "conda-meta").mkdir(parents=True)
    return prefix


# -- which conda ---------------------------------------------------------------------------------------


def found(search: Search) -> CondaProgram:
    assert search.found is not None, search.tried
    return search.found


def test_the_conda_that_activation_announces_goes_first(base: Path, vendored_conda: Path) -> None:
    program = found(find_conda(empty_env_in(base), {"CONDA_EXE": str(vendored_conda)}))
    assert program.argv == (str(vendored_conda),)
    assert (program.found_by, program.root) == ("CONDA_EXE", vendored_conda.parents[1])


def empty_env_in(base: Path) -> Path:
    prefix = base / "envs" / "empty"
    (prefix / "conda-meta").mkdir(parents=True, exist_ok=True)
    return prefix


def test_a_conda_run_from_source_is_started_as_activation_says(tmp_path: Path, base: Path) -> None:
    python = str(base / "bin" / "python")
    environ = {"CONDA_EXE": python, "_CE_M": "-m", "_CE_CONDA": "conda"}
    assert found(find_conda(tmp_path, environ)).argv == (python, "-m", "conda")


def test_without_variables_and_path_the_environments_place_tells(base: Path) -> None:
    """Acceptance 18: no conda on PATH, no CONDA_EXE."""
    program = found(find_conda(empty_env_in(base), {}))
    assert program.argv == (str(base / "bin" / "conda"),)
    assert program.found_by == "the environment's place"
    assert program.has_bridge  # the laboratory's Python sees ours through a .pth file


@pytest.mark.parametrize(
    "program", ["bin/conda", "bin/mamba", "lib/python3.12/site-packages/conda/__main__.py", "condabin/conda"]
)
def test_an_environment_elsewhere_is_traced_by_its_history(tmp_path: Path, base: Path, program: str) -> None:
    prefix = empty_env(tmp_path / "elsewhere")
    lines = [f"# cmd: {base}/{program} create -p /x/bin/conda python", "+python-3.12"]
    (prefix / "conda-meta" / "history").write_text("\n".join(lines) + "\n")
    assert found(find_conda(prefix, {})).argv == (str(base / "bin" / "conda"),)


def test_a_history_that_names_a_conda_that_is_gone_is_passed_over(tmp_path: Path, base: Path) -> None:
    prefix = empty_env(tmp_path / "elsewhere")
    (prefix / "conda-meta" / "history").write_text("# cmd: /gone/bin/conda create -n x\n")
    search = find_conda(prefix, {"PATH": f"/usr/bin:{base}/condabin"})
    assert found(search).found_by == "PATH"
    assert found(search).root == base
    assert "conda-meta/history names /gone/bin/conda, which is not there" in search.tried


def test_where_no_conda_is_every_place_that_was_tried_is_told(tmp_path: Path) -> None:
    """Acceptance 18: the error lists the places tried."""
    prefix = empty_env(tmp_path / "envs" / "x")
    search = find_conda(prefix, {"CONDA_EXE": "/gone/bin/conda", "PATH": "/usr/bin"})
    assert search.found is None
    assert search.tried == (
        "CONDA_EXE names /gone/bin/conda, which is not there",
        f"there is no conda in {tmp_path}",
        f"there is no conda in {prefix}",
        "no folder of PATH has a conda",
    )


@pytest.mark.parametrize("windows", [False, True])
@pytest.mark.parametrize("entry", ["", ".", "tools", "~"])
def test_a_conda_that_lies_beside_a_notebook_is_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, entry: str, windows: bool
) -> None:
    """Relative and empty entries of PATH, and a relative CONDA_EXE, lead into the working folder."""
    name = "conda.exe" if windows else "conda"
    for folder in (tmp_path / "book", tmp_path / "book" / "tools", tmp_path / "good"):
        folder.mkdir()
        (folder / name).write_text("#!/bin/sh\n")
        (folder / name).chmod(0o755)
    monkeypatch.chdir(tmp_path / "book")
    environ = {"CONDA_EXE": name, "PATH": os.pathsep.join([entry, "/usr/bin", entry])}
    search = find_conda(tmp_path, environ, windows=windows)
    assert search.found is None
    assert f"CONDA_EXE names {name}, which is no absolute path" in search.tried
    environ["PATH"] += f"{os.pathsep}{tmp_path}/good"
    assert found(find_conda(tmp_path, environ, windows=windows)).argv == (f"{tmp_path}/good/{name}",)


def test_on_windows_pathext_tells_what_a_program_is(tmp_path: Path) -> None:
    (tmp_path / "conda.bat").touch(mode=0o755)
    environ = {"PATH": str(tmp_path), "PATHEXT": ".COM;.EXE;.BAT"}
    assert found(find_conda(tmp_path / "env", environ, windows=True)).argv == (f"{tmp_path}/conda.bat",)
    assert find_conda(tmp_path / "env", {**environ, "PATHEXT": ".EXE"}, windows=True).found is None


def test_an_installation_without_the_bridge_is_told_apart(tmp_path: Path) -> None:
    root = tmp_path / "base"
    stdlib_venv.EnvBuilder(symlinks=True).create(root)
    (root / "conda-meta").mkdir()
    (root / "bin" / "conda").write_text("#!/bin/sh\n")
    (root / "bin" / "conda").chmod(0o755)
    assert not found(find_conda(root, {})).has_bridge
    (site_packages(root) / "conda_pypi_bridge-0.1.0.dist-info").mkdir()
    assert found(find_conda(root, {})).has_bridge


# -- what activation does ------------------------------------------------------------------------------


def activated(conda: Path, prefix: Path, environ: Mapping[str, str]) -> dict[str, str]:
    """The environment after ``conda activate PREFIX``, as that conda has it."""
    told = json.loads(run([conda, "shell.posix+json", "activate", str(prefix)], environ).stdout)
    exported = {name: str(value) for name, value in told["vars"]["export"].items()}
    kept = {name: value for name, value in environ.items() if name not in told["vars"]["unset"]}
    return {**kept, **exported, "PATH": ":".join(told["path"]["PATH"])}


@pytest.mark.parametrize("state", ["none", "base", "other", "stacked", "with variables"])
def test_the_process_becomes_what_conda_activate_makes_of_it(
    base: Path, base_home: Path, bare: Path, state: str, tmp_path: Path
) -> None:
    """Also from a formerly active environment, which is replaced on PATH, not stacked."""
    other = empty_env(tmp_path / "other")
    environ = {"HOME": str(tmp_path), "PATH": SYSTEM}
    if state == "base":
        environ |= {
            "PATH": f"{base}/bin:{base}/condabin:{SYSTEM}",
            "CONDA_PREFIX": str(base),
            "CONDA_SHLVL": "1",
        }
    elif state != "none":
        path = f"{other}/bin:{base}/condabin:{SYSTEM}"
        environ |= {"PATH": path, "CONDA_PREFIX": str(other), "CONDA_SHLVL": "2", "CONDA_PREFIX_1": str(base)}
    if state == "stacked":
        environ |= {"CONDA_STACKED_2": "true", "PATH": f"{other}/bin:{base}/bin:{base}/condabin:{SYSTEM}"}
    if state == "with variables":
        (bare / "etc" / "conda" / "env_vars.d").mkdir(parents=True)
        (bare / "etc/conda/env_vars.d/p.json").write_text('{"OF_PACKAGE": "p", "OF_BOTH": "p"}')
        state_file = {"env_vars": {"OF_BOTH": "user", "GONE": "***unset***"}}
        (bare / "conda-meta" / "state").write_text(json.dumps(state_file))
        environ |= {"OF_PACKAGE": "before"}
    wanted = activated(base / "bin" / "conda", bare, environ)
    changes = shell.settle(bare, environ, windows=False)
    assert environ == wanted
    assert changes
    assert shell.settle(bare, environ, windows=False) == {}, "it is idempotent"


def target(prefix: str = "/b/envs/k", **fields: Any) -> Target:
    return Target(**{"prefix": prefix, "windows": False, "root": "/b", "conda": "/b/bin/conda", **fields})


def path_of(environ: Mapping[str, str], **fields: Any) -> list[str]:
    changed = agree(target(**fields), environ).get("PATH", environ["PATH"])
    assert changed is not None
    return changed.split(";" if fields.get("windows") else ":")


def test_the_kernels_environment_comes_first_whatever_the_shell_put_before_it() -> None:
    environ = {"PATH": "/home/bin:/b/envs/k/bin:/usr/bin", "CONDA_PREFIX": "/b/envs/k", "CONDA_SHLVL": "1"}
    assert path_of(environ) == ["/b/envs/k/bin", "/home/bin", "/usr/bin"]
    assert "CONDA_SHLVL" not in agree(target(), environ)


def test_condabin_is_kept_or_added() -> None:
    environ = {"PATH": "/a/bin:/b/condabin:/usr/bin", "CONDA_PREFIX": "/a", "CONDA_SHLVL": "1"}
    assert path_of(environ, condabin="/b/condabin") == ["/b/envs/k/bin", "/b/condabin", "/usr/bin"]
    environ["PATH"] = "/a/bin:/usr/bin"
    assert path_of(environ, condabin="/b/condabin") == ["/b/envs/k/bin", "/b/condabin", "/usr/bin"]


def test_a_virtual_environment_that_was_active_does_not_mislead_other_tools() -> None:
    environ = {"PATH": "/v/bin:/usr/bin", "VIRTUAL_ENV": "/v", "VIRTUAL_ENV_PROMPT": "v"}
    changes = agree(target(), environ)
    assert (changes["VIRTUAL_ENV"], changes["VIRTUAL_ENV_PROMPT"]) == (None, None)
    assert path_of(environ) == ["/b/envs/k/bin", "/usr/bin"]


def test_empty_entries_of_path_and_a_missing_path_are_left_what_they_are() -> None:
    assert path_of({"PATH": "/x:"}) == ["/b/envs/k/bin", "/x", ""]
    assert agree(target(), {})["PATH"] == "/b/envs/k/bin"


def test_on_windows_the_folders_are_condas_in_its_order() -> None:
    """conda's activation puts seven or six folders on PATH; their case and slashes do not matter."""
    own = folders(r"C:\b\envs\k", windows=True)
    assert own == [
        r"C:\b\envs\k",
        r"C:\b\envs\k\Library\mingw-w64\bin",
        r"C:\b\envs\k\Library\usr\bin",
        r"C:\b\envs\k\Library\bin",
        r"C:\b\envs\k\Scripts",
        r"C:\b\envs\k\bin",
    ]
    assert folders(r"C:\k", windows=True, msys="ucrt64")[1] == r"C:\k\Library\ucrt64\bin"
    environ = {
        "PATH": r"c:\B\Library\bin;C:/b;C:\b\Scripts;C:\b\condabin;C:\Windows",
        "CONDA_PREFIX": r"C:\b",
        "CONDA_SHLVL": "1",
    }
    windows: dict[str, Any] = {
        "prefix": r"C:\b\envs\k",
        "windows": True,
        "root": r"C:\b",
        "condabin": r"C:\b\condabin",
    }
    assert path_of(environ, **windows) == [*own, r"C:\b\condabin", r"C:\Windows"]
    changes = agree(target(**windows, conda=r"C:\b\Scripts\conda.exe"), environ)
    assert changes["CONDA_DEFAULT_ENV"] == "k"
    assert changes["CONDA_PYTHON_EXE"] == r"C:\b\python.exe"


def test_a_virtual_environments_kernel_is_activated_as_its_own_script_would() -> None:
    environ = {
        "PATH": "/w/bin:/c/bin:/usr/bin",
        "VIRTUAL_ENV": "/w",
        "CONDA_PREFIX": "/c",
        "PYTHONHOME": "/p",
    }
    changes = agree(Target(prefix="/v", windows=False, is_venv=True), environ)
    assert changes == {
        "PATH": "/v/bin:/c/bin:/usr/bin",
        "VIRTUAL_ENV": "/v",
        "VIRTUAL_ENV_PROMPT": "v",
        "PYTHONHOME": None,
    }
    windows = agree(Target(prefix=r"C:\v", windows=True, is_venv=True), {"PATH": r"C:\Windows"})
    assert windows["PATH"] == r"C:\v\Scripts;C:\Windows"


def test_a_python_of_no_environment_is_left_alone(tmp_path: Path) -> None:
    environ = {"PATH": SYSTEM}
    assert shell.settle(tmp_path, environ, windows=False) == {}
    assert environ == {"PATH": SYSTEM}


# -- opting out ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "condarc",
    [
        "plugins:\n  pypi_bridge_notebook_shell: false\n",
        "plugins: {pypi_bridge_notebook_shell: no}\n",
        '{"plugins": {"pypi_bridge_notebook_shell": false}}',
    ],
    ids=["block", "flow", "JSON"],
)
def test_a_setting_leaves_the_shell_alone(tmp_path: Path, condarc: str) -> None:
    prefix = empty_env(tmp_path / "env")
    (prefix / ".condarc").write_text(condarc)
    environ = {"PATH": SYSTEM, "HOME": str(tmp_path)}
    assert shell.settle(prefix, environ, windows=False) == {}
    (prefix / ".condarc").write_text(condarc.replace("false", "true").replace("no}", "yes}"))
    assert "PATH" in shell.settle(prefix, environ, windows=False)


def test_a_variable_goes_before_the_setting_and_comments_are_not_read(tmp_path: Path) -> None:
    prefix, environ = empty_env(tmp_path / "env"), {"CONDA_PLUGINS_PYPI_BRIDGE_NOTEBOOK_SHELL": "0"}
    options: dict[str, Any] = {"default": True, "prefix": prefix, "home": tmp_path}
    assert not switch("notebook_shell", environ=environ, **options)
    (prefix / ".condarc").write_text("plugins:\n  # pypi_bridge_notebook_shell: false\n")
    assert switch("notebook_shell", environ={}, **options)


def test_conda_and_the_other_doors_accept_the_setting(conda: Conda, conda_env: Path) -> None:
    conda.home.configure(plugins={"pypi_bridge_notebook_shell": False})
    done = conda(
        "pypi-bridge", "status", "-p", conda_env, env={"CONDA_PLUGINS_PYPI_BRIDGE_NOTEBOOK_SHELL": "0"}
    )
    assert "disabled" in done.stdout


# -- in kernels ----------------------------------------------------------------------------------------


def foreign(home: Home, **changes: str) -> dict[str, str]:
    """The shell of somebody whose Jupyter is of another environment, with tools of its own."""
    tools = home.path / "foreign" / "bin"
    tools.mkdir(parents=True, exist_ok=True)
    for name in ("python", "pip"):
        (tools / name).write_text("#!/bin/sh\necho astray\n")
        (tools / name).chmod(0o755)
    path = {"PATH": f"{tools}:{SYSTEM}", "CONDA_PREFIX": str(tools.parent), "CONDA_SHLVL": "1"}
    return {**home.environment(), **path, **changes}


def test_in_a_kernel_started_from_a_foreign_shell_programs_are_the_kernels(
    env: Path, base: Path, base_home: Home, tmp_path: Path
) -> None:
    """Acceptance 13, for ``!``, ``%%bash`` and `subprocess`; conda is found although nothing announced it."""
    with notebook(env, foreign(base_home), tmp_path / "work") as book:
        assert book.run("!which python pip").stream.splitlines() == [f"{env}/bin/python", f"{env}/bin/pip"]
        assert f"packages in environment at {env}:" in book.run("!conda list").stream
        assert book.run("%%bash\necho $CONDA_PREFIX $CONDA_DEFAULT_ENV").stream == f"{env} test\n"
        code = "import subprocess; print(subprocess.check_output(['which', 'python'], text=True).strip())"
        assert book.run(code).stream == f"{env}/bin/python\n"
        assert f"packages in environment at {env}:" in book.run("%conda list").text


def test_a_kernel_whose_user_opted_out_keeps_its_shell(env: Path, base_home: Home, tmp_path: Path) -> None:
    environ = foreign(base_home, CONDA_PLUGINS_PYPI_BRIDGE_NOTEBOOK_SHELL="false")
    with notebook(env, environ, tmp_path / "work") as book:
        assert book.run("!python").stream.strip() == "astray"


def test_in_a_virtual_environments_kernel_programs_are_its_own(
    venv: Path, base_home: Home, tmp_path: Path
) -> None:
    with notebook(prepare(venv), foreign(base_home), tmp_path / "work") as book:
        assert book.run("!which python; echo $VIRTUAL_ENV").stream.split() == [
            f"{venv}/bin/python",
            str(venv),
        ]


# -- kernelspecs ---------------------------------------------------------------------------------------


def jupyter_spec(folder: Path) -> KernelSpec:
    """A kernelspec as Jupyter reads it."""
    return KernelSpec.from_resource_dir(str(folder))


@pytest.fixture
def kernelspec_verb(base_home: Home, env: Path) -> Any:
    """``conda pypi-bridge notebook kernelspec`` for that environment."""
    conda = Conda(command=(str(env.parents[1] / "bin" / "conda"),), home=base_home)

    def call(*words: str | Path, **options: Any) -> Result:
        return conda("pypi-bridge", "notebook", "kernelspec", "-p", env, *words, **options)

    (site_packages(env) / "ipykernel").mkdir(exist_ok=True)  # as installed there: the laboratory's is beside
    yield call
    shutil.rmtree(base_home.path / ".local" / "share" / "jupyter", ignore_errors=True)
    shutil.rmtree(site_packages(env) / "ipykernel")


def test_a_kernelspec_is_written_that_activates(
    kernelspec_verb: Any, env: Path, base: Path, base_home: Home, tmp_path: Path
) -> None:
    """Its kernel's process starts with the variables: scripts ran, in that process, which Ctrl-C reaches."""
    scripts = env / "etc" / "conda" / "activate.d"
    scripts.mkdir(parents=True)
    (scripts / "a.sh").write_text('export SEEN="$CONDA_PREFIX $(which python)"; echo noise\n')
    (scripts / "b.sh").write_text("exit 3\n")
    (env / "conda-meta" / "state").write_text('{"env_vars": {"OF_USER": "it\'s $5"}}')
    done = kernelspec_verb()
    folder = base_home.path / ".local" / "share" / "jupyter" / "kernels" / "test"
    assert f"Wrote {folder}/kernel.json" in done.stdout
    assert "it's $5" not in (folder / "kernel.json").read_text(), (
        "variables may be secrets: they are not copied"
    )
    with notebook(env, foreign(base_home), tmp_path / "work", spec=jupyter_spec(folder)) as book:
        environ = "import os; print(os.environ['SEEN'], os.environ['OF_USER'], sep='\\n')"
        assert book.run(environ).stream.splitlines() == [f"{env} {env}/bin/python", "it's $5"]
        assert book.value("os.getpid()") == str(book.pid)
        cell = book.fails("print('on', flush=True); __import__('time').sleep(60)", later(book))
        assert "KeyboardInterrupt" in cell.error[-1]
    shutil.rmtree(env / "etc" / "conda")
    (env / "conda-meta" / "state").unlink()
    assert "Repaired" in kernelspec_verb().stdout
    assert not (folder / "activate.py").exists(), "PATH and variables alone need no program"
    assert "Already right" in kernelspec_verb().stdout
    assert f"Undid {folder}/kernel.json" in kernelspec_verb("--remove").stdout
    assert not folder.exists()


def test_a_shell_that_lies_beside_a_notebook_does_not_activate(tmp_path: Path) -> None:
    (tmp_path / "bash").write_text("#!/bin/sh\necho planted\n")
    (tmp_path / "bash").chmod(0o755)
    code = "import os; print('kernel', os.environ['CONDA_PREFIX'])"
    environ = {"CONDA_PREFIX": str(tmp_path), "PATH": f":.:{SYSTEM}"}
    command = [sys.executable, "-I", "-S", _activate.__file__, "-c", code]
    done = subprocess.run(command, env=environ, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout == f"kernel {tmp_path}\n"


@pytest.mark.parametrize("state", ['{"env_vars": null}', '{"env_vars": "x"}', "3", "{"])
def test_a_state_that_is_not_condas_stops_no_kernel(tmp_path: Path, state: str) -> None:
    (tmp_path / "conda-meta").mkdir()
    (tmp_path / "conda-meta" / "state").write_text(state)
    assert _activate.variables(tmp_path) == shell.variables(tmp_path) == {}


def later(book: Notebook) -> Callable[[], None]:
    """Press the stop button a second from now."""

    def interrupt() -> None:
        time.sleep(1)
        book.interrupt()

    return interrupt


def test_an_existing_kernelspec_of_the_environment_is_repaired_and_can_be_restored(
    kernelspec_verb: Any, env: Path, base_home: Home
) -> None:
    folder = base_home.path / ".local" / "share" / "jupyter" / "kernels"
    document = {
        "argv": [
            f"{env}/bin/python",
            "-Xfrozen_modules=off",
            "-m",
            "ipykernel_launcher",
            "-f",
            "{connection_file}",
        ],
        "display_name": "Mine",
        "language": "python",
        "env": {"PATH": "/tools:${PATH}", "MINE": "1"},
        "metadata": {"debugger": True},
    }
    other = {**document, "argv": ["/usr/bin/python3", *document["argv"][1:]]}  # type: ignore[index]
    for name, content in (("mine", document), ("other", other)):
        (folder / name).mkdir(parents=True)
        (folder / name / "kernel.json").write_text(json.dumps(content))
    rows = kernelspec_verb("--json").json()["kernelspecs"]
    assert [(row["name"], row["action"]) for row in rows] == [("mine", "repaired")]
    repaired = json.loads((folder / "mine" / "kernel.json").read_text())
    assert repaired["argv"] == document["argv"]
    assert repaired["env"]["PATH"] == f"{env}/bin:/tools:${{PATH}}"
    assert (repaired["env"]["MINE"], repaired["env"]["CONDA_PREFIX"]) == ("1", str(env))
    assert repaired["display_name"] == "Mine"
    refused = kernelspec_verb("--kernel", "other", check=False)
    assert refused.returncode == 1
    assert "this kernelspec starts another program" in refused.stderr
    assert "'../x' is no name of a kernel" in kernelspec_verb("--kernel", "../x", check=False).stderr
    kernelspec_verb("--remove")
    assert json.loads((folder / "mine" / "kernel.json").read_text()) == document
    assert json.loads((folder / "other" / "kernel.json").read_text()) == other


@pytest.mark.parametrize(
    ("language", "words"),
    [
        ("julia", ["julia", "-i", "--project=@.", "kernel.jl", "{connection_file}"]),
        ("bash", ["python", "-m", "bash_kernel", "-f", "{connection_file}"]),
        ("python", ["xpython", "-f", "{connection_file}"]),
        (
            "python",
            ["conda", "run", "-n", "x", "python", "-m", "ipykernel_launcher", "-f", "{connection_file}"],
        ),
    ],
    ids=["Julia", "in Python", "xeus", "conda run"],
)
def test_a_kernelspec_of_another_program_of_the_environment_is_left_alone(
    tmp_path: Path, language: str, words: list[str]
) -> None:
    """Python's options mean something else to other programs."""
    prefix, folder = empty_env(tmp_path / "env"), tmp_path / "jupyter"
    (prefix / "etc/conda/activate.d").mkdir(parents=True)
    (prefix / "etc/conda/activate.d/a.sh").touch()
    file = folder / "kernels" / "other" / "kernel.json"
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps({"argv": [f"{prefix}/bin/{words[0]}", *words[1:]], "language": language}))
    before = file.read_text()
    here, python = target(prefix=str(prefix)), prefix / "bin" / "python"
    (written,) = kernelspec.repair(prefix, here, folder, python=python)
    assert (written.name, written.action) == ("env", "written")
    with pytest.raises(PrefixError, match="not of a Python kernel") as caught:
        kernelspec.repair(prefix, here, folder, python=python, name="other")
    assert caught.value.hint == "Give another name: --kernel NAME"
    assert file.read_text() == before
    assert [path.name for path in file.parent.iterdir()] == ["kernel.json"]


@pytest.mark.parametrize("name", ["../x", "..", ".", "a/b", "a\\b", "/x", "a b", "x\n", "é"])
def test_what_is_no_name_of_a_kernel_is_refused(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "jupyter"
    with pytest.raises(ConfigError, match="no name of a kernel"):
        kernelspec.repair(tmp_path, target(prefix=str(tmp_path)), folder, python=tmp_path, name=name)
    assert not folder.exists()
    (written,) = kernelspec.repair(tmp_path, target(), folder, python=tmp_path, name=".A-b_1")
    assert written.folder == folder / "kernels" / ".A-b_1"


def test_a_kernelspec_that_a_package_placed_is_left_to_it(kernelspec_verb: Any, env: Path) -> None:
    folder = env / "share" / "jupyter" / "kernels" / "python3"
    folder.mkdir(parents=True)
    document = {"argv": [f"{env}/bin/python", "-m", "ipykernel_launcher"], "language": "python"}
    (folder / "kernel.json").write_text(json.dumps(document))
    record = env / "conda-meta" / "ipykernel-7.0-0.json"
    files = ["share/jupyter/kernels/python3/kernel.json"]
    record.write_text(
        json.dumps({"name": "ipykernel", "version": "7.0", "build": "0", "build_number": 0, "files": files})
    )
    try:
        rows = kernelspec_verb("--sys-prefix", "--json").json()["kernelspecs"]
        assert [(row["name"], row["action"]) for row in rows] == [("test", "written")]
        refused = kernelspec_verb("--sys-prefix", "--kernel", "python3", check=False)
        assert "the package ipykernel placed this kernelspec" in refused.stderr
        assert json.loads((folder / "kernel.json").read_text()) == document
    finally:
        record.unlink()
        shutil.rmtree(env / "share" / "jupyter")


def test_no_kernelspec_is_written_into_a_frozen_environment(
    kernelspec_verb: Any, env: Path, base_home: Home
) -> None:
    """CEP 22. The user's own folder is no part of the environment."""
    (env / "conda-meta" / "frozen").touch()
    try:
        refused = kernelspec_verb("--sys-prefix", check=False)
        assert "this environment is frozen" in refused.stderr
        assert not (env / "share" / "jupyter").exists()
        assert "Wrote" in kernelspec_verb().stdout
    finally:
        (env / "conda-meta" / "frozen").unlink()


def test_a_kernelspec_needs_ipykernel(base_home: Home, bare: Path, base: Path) -> None:
    conda = Conda(command=(str(base / "bin" / "conda"),), home=base_home)
    refused = conda("pypi-bridge", "notebook", "kernelspec", "-p", bare, check=False)
    assert refused.returncode == 1
    assert "there is no ipykernel in this environment" in refused.stderr


def test_dollars_in_paths_survive_jupyters_templates() -> None:
    """jupyter_client substitutes ``$NAME`` in `env`; ``$$`` is a dollar."""
    from string import Template

    env = kernelspec.environment(target(prefix="/b/$HOME/k"))
    assert Template(env["PATH"]).safe_substitute(PATH="/p", HOME="no") == "/b/$HOME/k/bin:/p"
    assert Template(env["CONDA_PREFIX"]).safe_substitute(HOME="no") == "/b/$HOME/k"


def test_on_windows_a_kernelspec_has_windows_paths_and_starts_no_shell() -> None:
    windows = target(prefix=r"C:\b\envs\k", windows=True, root=r"C:\b", variables={"A": "1"})
    document = amended({}, windows, python=r"C:\b\envs\k\python.exe", display_name="k", starter=False)
    assert document["argv"][:2] == [r"C:\b\envs\k\python.exe", "-m"]
    assert document["env"]["PATH"].startswith(r"C:\b\envs\k;C:\b\envs\k\Library\mingw-w64\bin;")
    assert document["env"]["PATH"].endswith(";${PATH}")
    assert not kernelspec.needs_starter(Path("k"), windows)


@pytest.mark.parametrize(
    ("platform", "environ", "folder"),
    [
        ("linux", {}, ".local/share/jupyter"),
        ("linux", {"XDG_DATA_HOME": "/x"}, "/x/jupyter"),
        ("linux", {"JUPYTER_DATA_DIR": "/j"}, "/j"),
        ("darwin", {}, "Library/Jupyter"),
        ("darwin", {"JUPYTER_PLATFORM_DIRS": "1"}, "Library/Application Support/jupyter"),
        ("win32", {"APPDATA": "/a"}, "/a/jupyter"),
        ("win32", {"APPDATA": "/a", "LOCALAPPDATA": "/l", "JUPYTER_PLATFORM_DIRS": "yes"}, "/l/jupyter"),
    ],
)
def test_the_users_data_folder_is_jupyters(platform: str, environ: dict[str, str], folder: str) -> None:
    assert user_data_folder(environ, Path("/home"), platform=platform) == Path("/home") / folder


def test_kernelspecs_are_looked_for_where_this_machines_jupyter_does(env: Path, base_home: Home) -> None:
    environ = base_home.environment() | {"JUPYTER_PATH": os.pathsep.join(["/one", "/two"])}
    code = "import jupyter_core.paths as p; print(*p.jupyter_path(), sep='\\n')"
    listed = run([python_of(env), "-c", code], environ).stdout.split("\n")[:-1]
    ours = {str(folder) for folder in data_folders([env], environ, base_home.path)}
    user_base = str(base_home.path / ".local" / "share" / "jupyter")
    assert set(listed) == ours | {user_base}


def test_files_that_are_no_kernelspecs_are_passed_over(tmp_path: Path) -> None:
    for name, content in (("a", "{"), ("b", "[]"), ("c", "{}")):
        (tmp_path / "kernels" / name).mkdir(parents=True)
        (tmp_path / "kernels" / name / "kernel.json").write_text(content)
    (spec,) = installed([tmp_path])
    assert (spec.name, spec.argv, spec.interpreter, spec.is_of(tmp_path)) == ("c", [], None, False)
