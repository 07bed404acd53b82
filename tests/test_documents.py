"""Every command line of the documents and of ``--help`` is run, as a reader would type it.

A reader's machine is made for it: a home, a conda with the plugin, an activated environment, and on loopback
a package index and a channel that have what the documents name. What a line prints is compared with what a
document shows of it.
"""

from __future__ import annotations

import datetime as dt
import os
import posixpath
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from conda_pypi_bridge.arguments import parser
from tests import reference
from tests.documents import (
    CELL,
    DOCS,
    REPOSITORY,
    Line,
    documents,
    help_lines,
    inline_commands,
    lines_of,
)
from tests.indexserver import IndexServer
from tests.kernels import notebook, prepare
from tests.lab.channels import index_channel, make_conda_package
from tests.lab.condas import Conda, Home, make_root, overlay, site_packages
from tests.lab.pythons import Interpreter
from tests.terminal import picture, rows_of, rows_of_picture, screen_of
from tests.test_packaging import PROJECT
from tests.test_recipe import PKG_INFO, PYPROJECT, sdist_bytes
from tests.wheels import make_wheel

#: What a line cannot be run with here, and what stands in its place.
SUBSTITUTES: Mapping[str, str] = {
    ":8650": ":{port}",  # the port may be taken
    " serve": " serve --port {port}",
    "s3://bucket": "file://{work}/bucket",
    "${fpath[1]}": "{work}/zsh",  # a list of zsh, and the shell here is bash
    # the laboratory's conda has no scripts for shells
    "conda run -n conda-pypi-bridge ": "~/envs/conda-pypi-bridge/bin/",
    "3.12": "{minor}",  # this machine's Python
}

#: Lines that no test can run, and why; what is checked of them instead follows below.
NOT_RUN: Mapping[str, str] = {
    'python3 -m venv .venv && .venv/bin/pip install -q -e ".[test]" && .venv/bin/python -m pytest -q -n 2':
        "the test command runs this test",
    'python3 -m venv .venv && .venv/bin/pip install -q ".[test]" && rm -r conda_pypi_bridge '
    '&& .venv/bin/python -m pytest -q -n 2 -m "not network"':
        "it runs all tests; test_packaging has some of them run so",
    "conda env create -f environment.yml":
        "it takes a gigabyte from channels of the network; test_packaging reads the file",
    "python -m tests.benchmarks.compare --latency 30 --json last.json --chart last.svg": "it takes minutes",
}  # fmt: skip

#: Lines that reach for the network's index: `test_the_lines_for_a_fresh_machine_do_what_they_say`.
FRESH_MACHINE = re.compile(r'python3 -m venv demo && |python -m pip install "\.\[server\]"')

#: What is on the index: versions, and what each requires.
PROJECTS: Mapping[str, Mapping[str, Iterable[str]]] = {
    "cowsay": {"6.1": []},
    "ipykernel": {"7.2.0": []},
    "flask": {"3.1": ["click"], "3.1.3": ["blinker>=1.9.0", "click>=8.1.3", "itsdangerous>=2.2.0",
                                          "jinja2>=3.1.2", "markupsafe>=2.1.1", "werkzeug>=3.1.0"]},
    "blinker": {"1.9.0": []},
    "click": {"8.1.8": []},
    "markupsafe": {"3.0.3": []},
    "itsdangerous": {"2.2.0": []},
    "jinja2": {"3.1.6": ["markupsafe>=2.0"]},
    "werkzeug": {"3.1.6": ["markupsafe>=2.1.1"]},
    "rich": {"14.3.3": ["pygments"]},
    "pygments": {"2.19.2": []},
    "pandas": {"2.3.3": ["numpy>=1.26"]},
    "numpy": {"2.4.2": []},
    "fastapi": {"0.129.0": []},
    "boto3": {"1.26.0": ["botocore<1.30.0,>=1.29.0"]},
    "botocore": {f"1.29.{number}": ["urllib3<1.27,>=1.25.4"] for number in range(166)},
    "urllib3": {"1.26.20": [], "2.6.3": []},
}  # fmt: skip

UPLOADED = {"blinker": dt.datetime(2024, 11, 8), "flask": dt.datetime(2026, 2, 19)}

#: Lets the Python of an environment see what the laboratory's sees: conda, ipykernel.
SEE = 'cp "$LABORATORY"/{laboratory.pth,conda_from_lock.py} ~/envs/%s/lib/python*/site-packages'

#: What is done on the reader's machine before the first line of a document is typed.
BEFOREHAND: Mapping[str, Sequence[str]] = {
    "README.md": [
        "conda pypi-bridge notebook enable",
        "conda create -y -n web python=3.12",
        "conda create -y -n conda-pypi-bridge python=3.12",
        SEE % "conda-pypi-bridge",
    ],
    "examples": [
        "conda create -y -n web python=3.12",
        "conda pypi-install -y -n web flask ipykernel",
        "conda create -y -p ./env python=3.12",
        "conda pypi-install -y -p ./env pandas",
        "mkdir -p ~/.config/fish/conf.d zsh bucket",
        "echo flask | tee requirements.txt list.txt > curated.txt",
        "echo 0123456789abcdef-reader > tokens.txt",
    ],
}

#: What is done before a line that needs it, as a line before may have undone it.
FILL = "conda remove -y -p ./env flask || true; {} install -y -p ./env flask"
JUST_BEFORE = {
    re.compile(rf"^{door} cache (?:verify|clean) flask$"): FILL.format(door)
    for door in ("conda pypi-bridge", "python -m conda_pypi_bridge")
}


@dataclass
class Reader:
    """Somebody who types lines into bash, in the folder `work`; `served` are servers that still run."""

    work: Path
    environment: dict[str, str]
    words: Mapping[str, str]
    served: list[subprocess.Popen[str]] = field(default_factory=list)

    def types(self, line: str) -> tuple[int, str]:
        """The exit status, and all that is printed; of a server, once it can be asked."""
        for text, place in SUBSTITUTES.items():
            line = line.replace(text, place.format(**self.words))
        command = ["bash", "-euo", "pipefail", "-c", line]
        if " serve " in line:
            return 0, self._serve(command)
        done = subprocess.run(
            command, cwd=self.work, env=self.environment, input="y\n", text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=120,
        )  # fmt: skip
        return done.returncode, done.stdout

    def _serve(self, command: list[str]) -> str:
        self.stop()
        log = self.work / "serve.log"
        with log.open("w") as stream:
            started = subprocess.Popen(
                command, cwd=self.work, env=self.environment, stdin=subprocess.DEVNULL, stdout=stream,
                stderr=subprocess.STDOUT, text=True, start_new_session=True,
            )  # fmt: skip
        self.served.append(started)
        until = time.monotonic() + 60
        ready = "the curated list is published" if "--list" in command[-1] else "The channel is at"
        while ready not in log.read_text():
            assert started.poll() is None and time.monotonic() < until, log.read_text()
            time.sleep(0.05)
        return log.read_text()

    def stop(self) -> None:
        while self.served:
            server = self.served.pop()
            os.killpg(server.pid, signal.SIGTERM)
            server.wait(30)


@pytest.fixture(scope="module")
def index() -> Iterator[IndexServer]:
    with IndexServer() as server:
        for project, versions in PROJECTS.items():
            for version, requires in versions.items():
                extras = {"standard": ["cowsay"]} if project == "fastapi" else None
                uploaded = UPLOADED.get(project, dt.datetime(2025, 1, 1)).replace(tzinfo=dt.timezone.utc)
                # a module of another name: what the environment's Python runs on is not covered
                files = {"ipykernel/__init__.py" if project == "ipykernel" else f"{project}_indeed.py": ""}
                server.add(
                    project, version, requires=requires, extras=extras, upload_time=uploaded, files=files
                )
        files = {
            "PKG-INFO": PKG_INFO.replace("demo", "cowsay").replace("1.0", "6.1"),
            "pyproject.toml": PYPROJECT,
        }
        server.publish("cowsay-6.1.tar.gz", sdist_bytes(files, "cowsay-6.1"), project="cowsay")
        yield server


@pytest.fixture
def reader(
    tmp_path: Path, home: Home, channel: Path, index: IndexServer, pythons: list[Interpreter]
) -> Iterator[Reader]:
    """A reader with an activated environment, whose Python has the bridge and whose conda has the plugin."""
    forge = index_channel(tmp_path / "channels" / "conda-forge")
    for name, version in ("click", "8.1.8"), ("markupsafe", "3.0.3"):
        make_conda_package(forge, name, version, {}, ["python"])
    index_channel(forge)
    home.configure(
        channels=["conda-forge", channel.as_uri()], custom_channels={"conda-forge": forge.parent.as_uri()}
    )
    conda = Conda(command=(str(make_root(tmp_path / "conda")),), home=home)
    prefix = home.envs / "demo"
    conda("create", "-p", prefix, f"python={pythons[0].version}")
    prepare(prefix, enabled=False)
    commands, work = tmp_path / "bin", tmp_path / "work"
    for folder in (commands, work, work / "dist"):
        folder.mkdir()
    (commands / "conda").symlink_to(conda.command[0])
    make_wheel(work / "dist", "mine", "1.0")
    shutil.copy(REPOSITORY / "environment.yml", work)
    environment = home.environment() | {
        "PATH": os.pathsep.join([str(prefix / "bin"), str(commands), os.environ["PATH"]]),
        "CONDA_PREFIX": str(prefix),
        "CONDA_DEFAULT_ENV": "demo",
        "CONDA_SHLVL": "1",
        "CONDA_EXE": conda.command[0],
        "PIP_INDEX_URL": index.url,
        "LABORATORY": str(site_packages(tmp_path / "conda")),
    }
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    words = {"port": str(port), "work": str(work), "minor": pythons[0].minor}
    made = Reader(work=work, environment=environment, words=words)
    yield made
    made.stop()


def _is_said(shown: Iterable[str], output: str) -> bool:
    """Whether what a document shows is printed so, in its order; ``...`` stands for anything."""
    texts = " ".join(_plain(row) for row in shown)
    rest = " ".join(_plain(row) for row in output.splitlines())
    for part in filter(None, (text.strip() for text in re.split(r"(?:^| )\.\.\.(?= |$)", texts))):
        if part not in rest:
            return False
        rest = rest.partition(part)[2]
    return True


def _plain(row: str) -> str:
    return " ".join(re.sub(r"\b\d+\.\d s\b", "# s", row).split())


def _run(lines: Iterable[Line], reader: Reader, name: str) -> list[str]:
    """What went wrong, line by line."""
    for beforehand in BEFOREHAND.get(name, ()):
        status, output = reader.types(beforehand)
        assert status == 0, f"{beforehand}\n{output}"
    wrong = []
    for line in lines:
        if line.text in NOT_RUN or FRESH_MACHINE.match(line.text):
            continue
        for pattern, command in JUST_BEFORE.items():
            if pattern.search(line.text):
                reader.types(command)
        where = f"{line.document}:{line.number}: {line.text}"
        if line.kind == CELL:
            with notebook(Path(reader.environment["CONDA_PREFIX"]), reader.environment, reader.work) as book:
                book.run(line.text)
            continue
        status, output = reader.types(line.text)
        expected = 1 if any(row.startswith("error: ") for row in line.shown) else 0
        if status != expected:
            wrong.append(f"{where}\nexit status {status}\n{output}")
        elif not _is_said(line.shown, output):
            wrong.append(f"{where}\nshown:\n{os.linesep.join(line.shown)}\nprinted:\n{output}")
    return wrong


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name, path in documents().items() if list(lines_of(path))])
def test_every_line_of_a_document_does_what_it_shows(name: str, reader: Reader) -> None:
    wrong = _run(lines_of(documents()[name]), reader, "examples" if name == reference.FILE.name else name)
    assert not wrong, "\n\n".join(wrong)


@pytest.mark.slow
def test_every_example_of_a_help_is_a_command_that_works(reader: Reader) -> None:
    wrong = _run(help_lines(), reader, "examples")
    assert not wrong, "\n\n".join(wrong)


@pytest.mark.network
@pytest.mark.slow
def test_the_lines_for_a_fresh_machine_do_what_they_say(
    tmp_path: Path, home: Home, network_env: Mapping[str, str | None]
) -> None:
    """In a clone, with a package index: nothing of the laboratory is there."""
    ignored = shutil.ignore_patterns(".*", "__pycache__", "tests")
    clone = Path(shutil.copytree(REPOSITORY, tmp_path / "clone", ignore=ignored))
    found = [line.text for path in documents().values() for line in lines_of(path)]
    fresh = [line for line in found if FRESH_MACHINE.match(line)]
    assert len(fresh) == 2
    environment = overlay(home.environment(), network_env) | {
        "PATH": f"{clone / 'demo/bin'}:{os.environ['PATH']}"
    }
    for line in sorted(fresh, reverse=True):
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", line], cwd=clone, env=environment, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=600,
        )  # fmt: skip
        assert done.returncode == 0, f"{line}\n{done.stdout}"
        assert "venv" not in line or done.stdout.splitlines()[-1] == "it works"


def test_what_is_not_run_is_in_a_document_and_its_options_are_known() -> None:
    found = {line.text for path in documents().values() for line in lines_of(path)}
    assert NOT_RUN.keys() <= found
    for line in NOT_RUN:
        if line.startswith("python -m tests."):
            _has_options(line)


def _has_options(line: str) -> None:
    """A module of the tests explains itself, and every option of the line."""
    _, *words = shlex.split(line)
    command = [sys.executable, *words[:2], "--help"]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert [word for word in words[2:] if word.startswith("--") and word not in done.stdout] == []


def _is_run_of_tests(words: Sequence[str]) -> None:
    """Variables that the tests read, files that are there, marks that they have."""
    settings = {word.partition("=")[0] for word in words[: words.index("pytest")]}
    sources = " ".join(path.read_text("utf-8") for path in (REPOSITORY / "tests").rglob("*.py"))
    assert all(name in sources for name in settings)
    assert all((REPOSITORY / word).exists() for word in words if word.startswith("tests/"))
    marks = re.findall(r"\w+", words[words.index("-m") + 1]) if "-m" in words else []
    assert {*marks} <= {"network", "slow", "not", "and"}


def test_files_that_documents_name_are_there() -> None:
    """Links within the repository, and tests that hold a promise."""
    named = re.compile(r"`(tests/[\w/]+\.py)`|\]\((?!\w+:)([^)#]+)\)")
    for name, path in documents().items():
        for test, link in named.findall(path.read_text("utf-8")):
            place = posixpath.normpath(posixpath.join("" if test else _folder(path), test or link))
            package, _, inside = place.partition("/")  # where it is installed, its source may be gone
            there = DOCS.parent / inside if package == "conda_pypi_bridge" else REPOSITORY / place
            assert there.exists(), f"{name}: {place}"


def _folder(document: Path) -> str:
    """Where a document is in the repository."""
    return {DOCS: "conda_pypi_bridge/docs", REPOSITORY: ""}.get(document.parent, document.parent.name)


PICTURE = DOCS / "install.svg"
SHOWN = 'conda pypi-install -n web cowsay "flask>=3"'


def test_the_picture_of_an_install_shows_what_a_terminal_shows(reader: Reader, home: Home) -> None:
    """``CPB_REFRESH_PICTURE=1 pytest tests/test_documents.py -k picture`` draws it anew."""
    reader.types("conda create -y -n web python=3.12")
    home.configure(always_yes=False)
    rows = rows_of(screen_of(["bash", "-c", SHOWN], reader.environment, reader.work))
    begin, end = map(rows.index, ("## Package Plan ##", "The following NEW packages will be INSTALLED:"))
    rows[begin:end] = ["\u22ee"]
    drawn = picture([row.replace(str(home.path), "~") for row in rows], SHOWN)
    if os.environ.get("CPB_REFRESH_PICTURE"):
        PICTURE.write_text(drawn, encoding="utf-8")
    assert _outline(PICTURE.read_text("utf-8")) == _outline(drawn)


def _outline(drawn: str) -> list[str]:
    """The rows of a picture, without what time and other versions of tools change."""
    return [re.sub(r"py_[0-9a-f]+|\d+(?:\.\d+)*", "#", row) for row in rows_of_picture(drawn)]


#: Names of commands within sentences, which are no command lines.
NAMES = {"python -m", "python -m conda_pypi_bridge", "conda pypi-bridge", "conda pypi-install"}


def test_commands_within_sentences_are_commands_that_are_there(conda: Conda) -> None:
    for command, document in inline_commands().items():
        words = shlex.split(re.sub(r" (?:SPEC|PKG|NAME)\.\.\.", " x", command))
        if command in NAMES or "VERB" in words or command.startswith("conda pypi "):
            continue  # conda-pypi's own command among the last
        if ours := next((n for n in NAMES if n != "python -m" and command.startswith(f"{n} ")), None):
            rest = shlex.split(command[len(ours) :].replace("SPEC...", "x"))
            rest = ["install", *rest] if ours == "conda pypi-install" else rest
            assert parser().parse_args([*rest, *(["x"] * (rest == ["install"]))]).verb == rest[0], document
        elif words[0] == "conda":
            assert conda(*words[1:], "--help").returncode == 0, document
        elif words[:2] == ["python", "-m"] and words[2].startswith("tests."):
            _has_options(command)
        elif "pytest" in words:
            _is_run_of_tests(words)
        elif words[0] == "pip":
            extra = words[-1].removeprefix(".[").removesuffix("]")
            assert extra in PROJECT["optional-dependencies"], document
        else:
            assert command == ".ci/run", f"{document}: {command}: no rule covers it"
