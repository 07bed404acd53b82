"""Secrets planted wherever they come from are on the wire, and nowhere else, whatever happens.

A sample of the table; all of it, in about ten minutes: ``CPB_ALL_SECRETS=1 pytest tests/test_secrets.py``.
"""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import nbformat
import pytest

from conda_pypi_bridge.building import zstd
from tests.canaries import (
    ENCODED,
    MARK,
    SECRET,
    PrivateChannel,
    PrivateIndex,
    Watch,
    basic,
    command_lines,
    sightings,
    sightings_in,
)
from tests.indexserver import Answer, Call, drops_after, says
from tests.kernels import notebook, prepare
from tests.lab.channels import index_channel, make_python_package
from tests.lab.condas import Conda, Home, Result, overlay
from tests.lab.pythons import Interpreter

pytestmark = pytest.mark.skipif(os.name == "nt", reason="/proc and signals are those of POSIX")

#: A backend of the real keyring library, which has what one file says.
KEYRING = """
from pathlib import Path
from keyring.backend import KeyringBackend
from keyring.credentials import SimpleCredential

class Backend(KeyringBackend):
    priority = 9

    def get_password(self, service, username):
        return Path(__file__).with_name("password").read_text()

    def get_credential(self, service, username):
        return SimpleCredential("me", self.get_password(service, username))

    set_password = delete_password = None
"""

#: A fault of our own with secrets in its message, once the index has answered.
FAULT = """
import sys
from importlib.util import find_spec
from pathlib import Path

class Faulty:
    def find_spec(self, name, path=None, target=None):
        if name != "conda_pypi_bridge.index.remotepages":
            return None
        sys.meta_path.remove(self)
        spec = find_spec(name)
        load = spec.loader.exec_module

        def exec_module(module):
            load(module)
            module.decode = decode

        spec.loader.exec_module = exec_module
        return spec

def decode(*args):
    raise RuntimeError(Path(__file__).with_name("said").read_text())

sys.meta_path.insert(0, Faulty())
"""


@dataclass(kw_only=True)
class Case:
    """One index that demands the secret, one project on it, and what a command gets to find them.

    Files with the secret in them are in `planted`. The command runs in `work`; below it is all that it
    may write, but for the user's home.
    """

    server: PrivateIndex
    project: str
    planted: Path
    work: Path
    args: list[str] = field(default_factory=list)
    env: dict[str, str | None] = field(default_factory=dict)

    def plant(self, name: str, text: str) -> str:
        path = self.planted / name
        path.write_text(text)
        path.chmod(0o600)
        return str(path)

    @property
    def nowhere(self) -> str:
        """An index that has nothing."""
        return self.planted.as_uri()


# -- where secrets are planted ---------------------------------------------------------------------------

Place = Callable[[Case], None]


def on_the_command_line(case: Case) -> None:
    case.args += ["--index-url", case.server.private_url]


def on_the_command_line_for_a_further_index(case: Case) -> None:
    case.args += ["-i", case.nowhere, f"--extra-index-url={case.server.private_url}"]


def in_a_variable(case: Case) -> None:
    case.env["PIP_INDEX_URL"] = case.server.private_url


def in_a_variable_for_a_further_index(case: Case) -> None:
    case.env |= {"PIP_INDEX_URL": case.nowhere, "PIP_EXTRA_INDEX_URL": case.server.private_url}


def in_pips_configuration(case: Case) -> None:
    path = case.plant("pip.conf", f"[global]\nindex-url = {case.server.private_url}\n")
    case.env |= {"PIP_INDEX_URL": None, "PIP_CONFIG_FILE": path}


def in_condarc(case: Case) -> None:
    settings = {"plugins": {"pypi_bridge_index_url": case.server.private_url}}
    case.env["CONDARC"] = case.plant("condarc.yml", json.dumps(settings))


def in_condarc_for_a_further_index(case: Case) -> None:
    settings = {"plugins": {"pypi_bridge_extra_index_urls": [case.server.private_url]}}
    case.env |= {"CONDARC": case.plant("condarc.yml", json.dumps(settings)), "PIP_INDEX_URL": case.nowhere}


def in_netrc(case: Case) -> None:
    path = case.plant("netrc", f'machine 127.0.0.1 login {case.server.user} password "{SECRET}"\n')
    case.env |= {"NETRC": path, "PIP_INDEX_URL": case.server.url}


def in_the_keyring(case: Case) -> None:
    case.plant("canary_keyring.py", KEYRING)
    case.plant("password", SECRET)
    case.env |= {"PYTHONPATH": str(case.planted), "PYTHON_KEYRING_BACKEND": "canary_keyring.Backend"}
    case.env["PIP_INDEX_URL"] = case.server.url


def in_the_keyring_for_the_user_in_a_url(case: Case) -> None:
    in_the_keyring(case)
    case.env["PIP_INDEX_URL"] = case.server.url.replace("://", f"://{case.server.user}@")


def in_a_requirements_file(case: Case) -> None:
    case.args += ["-r", case.plant("wanted.txt", f"--index-url {case.server.private_url}\n")]


def in_a_variable_of_a_requirements_file(case: Case) -> None:
    url = case.server.private_url.replace(ENCODED, "${PASSWORD}")
    case.args += ["-r", case.plant("wanted.txt", f"-i {url}\n")]
    case.env["PASSWORD"] = ENCODED


def in_an_environment_file(case: Case) -> None:
    lines = [f"--index-url {case.server.private_url}"]
    case.args += ["-r", case.plant("environment.yml", json.dumps({"dependencies": [{"pip": lines}]}))]


def as_people_write_it(case: Case) -> None:
    """Not encoded, so that readers of URLs differ on what is what: nothing comes of it."""
    written = SECRET.replace(" ", "")
    case.env["PIP_INDEX_URL"] = case.server.private_url.replace(ENCODED, written)


def in_a_page_of_links(case: Case) -> None:
    case.server.html = True
    case.env |= {"PIP_INDEX_URL": case.nowhere, "PIP_FIND_LINKS": f"{case.server.private_url}{case.project}/"}


def in_the_links_of_pages(case: Case) -> None:
    case.server.demands = "token"
    case.env["PIP_INDEX_URL"] = case.server.url


def in_the_environments_proxy(case: Case) -> None:
    case.env |= {"http_proxy": _proxy(case), "no_proxy": "", "NO_PROXY": ""}


def in_pips_proxy(case: Case) -> None:
    case.env |= {"PIP_PROXY": _proxy(case), "no_proxy": "", "NO_PROXY": ""}


def _proxy(case: Case) -> str:
    """The index as a proxy: only headers differ where neither speaks TLS."""
    case.server.demands = "proxy-authorization"
    case.env["PIP_INDEX_URL"] = "http://index.invalid/simple/"
    return case.server.private_url.removesuffix("/simple/")


PLACES: Sequence[Place] = (
    on_the_command_line,
    on_the_command_line_for_a_further_index,
    in_a_variable,
    in_a_variable_for_a_further_index,
    in_pips_configuration,
    in_condarc,
    in_condarc_for_a_further_index,
    in_netrc,
    in_the_keyring,
    in_the_keyring_for_the_user_in_a_url,
    in_a_requirements_file,
    in_a_variable_of_a_requirements_file,
    in_an_environment_file,
    as_people_write_it,
    in_a_page_of_links,
    in_the_links_of_pages,
    in_the_environments_proxy,
    in_pips_proxy,
)


# -- what happens ----------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Happening:
    """What befalls a command: `prepare` bends the index, `args` join its own; it ends with `status`.

    `downloads` is whether it comes to reading files, not pages alone.
    """

    prepare: Callable[[Case], object] = lambda case: None
    verb: str = "install"
    args: Sequence[str] = ()
    spec: str = "{}"
    status: int = 1
    downloads: bool = False


def _page(case: Case) -> str:
    return f"/{case.project}/"


def _elsewhere(case: Case) -> None:
    """To where the secret must not go; and it is in the address, too."""
    location = case.server.private_url.replace("127.0.0.1", "localhost") + f"?token={ENCODED}"
    case.server.on(_page(case), says(302, Location=location))


def _repeat(status: str) -> Callable[[Case], object]:
    """A careless index, which tells everybody what it was asked with."""

    def prepare(case: Case) -> None:
        reason = f"asked for by {SECRET}, that is {ENCODED} or {basic(case.server.user)}"
        case.server.status[case.project] = {"status": status, "reason": reason}
        case.server.pages[case.project][0]["yanked"] = reason

    return prepare


def _lie(case: Case) -> None:
    (filename,) = (name for name in case.server.files if name.startswith(f"{case.project}-"))
    case.server.files[filename] += b"lie"


def _fault(case: Case) -> None:
    header = f"Authorization: {basic(case.server.user)}"
    case.plant("said", f"no sense in {case.server.private_url}, asked with {header!r}")
    case.plant("sitecustomize.py", FAULT)
    case.env["PYTHONPATH"] = str(case.planted)


def _danger(case: Case) -> None:
    case.server.pages.pop(case.project)
    case.server.add(case.project, "1.0", members={"../outside": b""})


def _close(case: Case) -> None:
    case.server.closed = True


HAPPENINGS = {
    "success": Happening(status=0, downloads=True),
    "a dry run": Happening(args=["--dry-run"], status=0, downloads=True),
    "a build": Happening(verb="build", args=["-o", "."], status=0, downloads=True),
    "wrong credentials": Happening(prepare=_close, downloads=True),
    "403": Happening(prepare=lambda case: case.server.on(_page(case), says(403))),
    "404": Happening(prepare=lambda case: case.server.on("", says(404))),
    "500": Happening(prepare=lambda case: case.server.on("", says(500))),
    "a drop": Happening(prepare=lambda case: case.server.on("", drops_after(9))),
    "a redirect to another host": Happening(prepare=_elsewhere),
    "a broken page": Happening(prepare=lambda case: case.server.on(_page(case), says(200, b"{}"))),
    "a page that repeats them": Happening(
        prepare=_repeat("active"), spec="{}==1.0", status=0, downloads=True
    ),
    "a refusal that repeats them": Happening(prepare=_repeat("quarantined")),
    "a wrong hash": Happening(prepare=_lie, downloads=True),
    "no such version": Happening(spec="{}>=2"),
    "a conflict": Happening(spec="{0}==1.0 {0}-user", downloads=True),
    "a wheel that is refused": Happening(prepare=_danger, downloads=True),
    "offline": Happening(args=["--offline"]),
    "an interrupt": Happening(status=130),
    "a fault of ours": Happening(prepare=_fault),
}


# -- what runs -------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Lab:
    """What all cases share: one user, one environment, and a conda."""

    conda: Conda
    prefix: Path
    watch: Watch = field(default_factory=Watch)
    number: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    @property
    def home(self) -> Home:
        return self.conda.home


@pytest.fixture(scope="module")
def lab(
    tmp_path_factory: pytest.TempPathFactory,
    channel: Path,
    shared_packages: Path,
    vendored_conda: Path,
    pythons: list[Interpreter],
) -> Lab:
    home = Home.make(tmp_path_factory.mktemp("secrets") / "home", [channel], [shared_packages])
    conda = Conda(command=(str(vendored_conda),), home=home)
    conda("create", "-p", home.envs / "test", f"python={pythons[0].version}")
    return Lab(conda=conda, prefix=home.envs / "test")


@pytest.fixture(scope="module", autouse=True)
def interruptible() -> Iterator[None]:
    """What a shell starts in the background ignores interrupts, and so would what is started here."""
    former = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, former)


@pytest.fixture
def case(lab: Lab, tmp_path: Path) -> Iterator[Case]:
    with PrivateIndex(lab.watch) as server:
        project = f"demo{next(lab.number)}"
        server.add(project, "1.0")
        server.add(f"{project}-user", "1.0", requires=[f"{project}>=2"])
        (tmp_path / "planted").mkdir()
        (tmp_path / "work" / "tmp").mkdir(parents=True)
        yield Case(server=server, project=project, planted=tmp_path / "planted", work=tmp_path / "work")


def carry_out(lab: Lab, case: Case, command: Sequence[str | Path], *, interrupted: bool = False) -> Result:
    """Run a command, with an interrupt once it has asked for something."""
    fixed = {
        "TMPDIR": str(case.work / "tmp"),
        "XDG_CACHE_HOME": str(case.work / "cache"),
        "PIP_RETRIES": "0",
        "PIP_TIMEOUT": "5",
        "NETRC": str(case.planted / "no-netrc"),
    }
    env = overlay(lab.home.environment() | fixed, case.env)
    with subprocess.Popen(
        command, env=env, cwd=case.work, text=True, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
    ) as process:  # fmt: skip
        lab.watch.started.append(process.pid)

        def interrupt(call: Call, answer: Answer) -> Answer:
            process.send_signal(signal.SIGINT)
            time.sleep(0.2)
            return answer

        if interrupted:
            case.server.on("", interrupt)
        out, err = process.communicate(timeout=60)
    return Result(command, process.returncode, out, err)


def leaks(lab: Lab, case: Case, since: float, *results: Result) -> list[tuple[str, bytes]]:
    """Every canary outside the places that it was planted in."""
    streams = [stream.encode() for result in results for stream in (result.stdout, result.stderr)]
    return [
        *(("output", seen) for stream in streams for seen in sightings(stream)),
        *sightings_in(case.work, since),
        *sightings_in(lab.home.path, since),
        *lab.watch.seen,
    ]


def check(lab: Lab, case: Case, place: Place, happening: str, command: Sequence[str | Path]) -> None:
    """Plant a secret, run a command, and look for the secret everywhere else."""
    what = HAPPENINGS[happening]
    place(case)
    what.prepare(case)
    specs = what.spec.format(case.project).split()
    since = time.time() - 0.05
    lab.watch.seen.clear()
    words = [*command, "-p", lab.prefix, "-yvvv", *case.args, *what.args, *specs]
    result = carry_out(lab, case, words, interrupted=happening == "an interrupt")
    assert leaks(lab, case, since, result) == []
    if place is as_people_write_it:
        assert result.returncode == 1 and not case.server.calls
        return
    # conda's own commands have one status for all failures
    assert result.returncode in {what.status, min(what.status, 1)}, result.stderr
    # The secret went over the wire, or this would prove nothing.
    opens = happening != "offline" and (place is not in_the_links_of_pages or what.downloads)
    assert bool(case.server.opened) == opens


#: What a page says of its links is its own.
TABLE = [
    (place, happening)
    for place in PLACES
    for happening in HAPPENINGS
    if place is not in_the_links_of_pages or "repeats" not in happening
]

#: What plain conda commands have no options for.
OF_OPTIONS = {on_the_command_line, on_the_command_line_for_a_further_index, in_a_requirements_file}
OF_OPTIONS |= {in_a_variable_of_a_requirements_file, in_an_environment_file}
PLAIN_TABLE = [(place, what) for place, what in TABLE if place not in OF_OPTIONS and what != "a build"]

#: Places with code of their own, where everything happens; elsewhere these two do.
THOROUGH = {on_the_command_line, in_netrc, in_the_keyring, in_the_links_of_pages}
SAMPLE = [
    (place, what) for place, what in TABLE if place in THOROUGH or what in ("success", "wrong credentials")
]

ALL = "CPB_ALL_SECRETS" in os.environ

#: Prime to the number of happenings, so that every place and every happening has its turn.
STEP = 31


def named(value: object) -> str:
    return getattr(value, "__name__", str(value))


@pytest.mark.parametrize(("place", "happening"), TABLE if ALL else SAMPLE, ids=named)
def test_without_conda(lab: Lab, case: Case, place: Place, happening: str) -> None:
    verb = HAPPENINGS[happening].verb
    check(lab, case, place, happening, [sys.executable, "-m", "conda_pypi_bridge", verb])


@pytest.mark.parametrize(("place", "happening"), TABLE if ALL else TABLE[::STEP], ids=named)
def test_at_condas_door(lab: Lab, case: Case, place: Place, happening: str) -> None:
    verb = HAPPENINGS[happening].verb
    words = ["pypi-install"] if verb == "install" else ["pypi-bridge", verb]
    check(lab, case, place, happening, [*lab.conda.command, *words])


@pytest.mark.parametrize(("place", "happening"), PLAIN_TABLE if ALL else PLAIN_TABLE[::STEP], ids=named)
def test_within_conda(lab: Lab, case: Case, place: Place, happening: str) -> None:
    case.env["CONDA_PLUGINS_PYPI_BRIDGE_ENABLED"] = "true"
    check(lab, case, place, happening, [*lab.conda.command, "install"])


# -- channels --------------------------------------------------------------------------------------------

#: Where conda itself keeps the addresses of channels as they were given.
CONDAS_OWN = ("urls.txt", ".info.json", "repodata_record.json")


def not_condas(found: list[tuple[str, bytes]]) -> list[tuple[str, bytes]]:
    return [leak for leak in found if not leak[0].endswith(CONDAS_OWN)]


@pytest.fixture(scope="module")
def channels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("channels")
    make_python_package(folder / "mine", "moo", "1.0")
    make_python_package(folder / "mine", "herd", "1.0", depends=["nothing"])
    index_channel(folder / "mine")
    return folder


OF_CHANNELS = [
    (place, what)
    for place in ("on the command line", "in condarc", "in an environment file")
    for what in ("success", "refusal", "no such channel", "a conflict")
]


@pytest.mark.parametrize(("place", "happening"), OF_CHANNELS if ALL else OF_CHANNELS[::3])
@pytest.mark.parametrize("demands", ["authorization", "token"])
@pytest.mark.parametrize("door", ["python -m", "conda"])
def test_credentials_of_channels(
    lab: Lab, case: Case, channels: Path, door: str, demands: str, place: str, happening: str
) -> None:
    since = time.time() - 0.05
    lab.watch.seen.clear()
    with PrivateChannel(channels, lab.watch, demands=demands) as channel:
        channel.closed = happening == "refusal"
        url = f"{channel.private_url}/{'yours' if happening == 'no such channel' else 'mine'}"
        if place == "in condarc":
            case.env["CONDARC"] = case.plant("condarc.yml", json.dumps({"channels": [url]}))
        elif place == "on the command line":
            case.args += ["-c", url]
        else:
            case.args += ["-r", case.plant("environment.yml", json.dumps({"channels": [url]}))]
        command = [sys.executable, "-m", "conda_pypi_bridge", "install", "-vvv"]
        words = command if door == "python -m" else [*lab.conda.command, "pypi-install"]
        spec = "herd" if happening == "a conflict" else "moo"
        result = carry_out(lab, case, [*words, "-p", lab.prefix, "-y", *case.args, spec])
        assert channel.opened
    assert result.returncode == (0 if happening == "success" else 1), result.stderr
    listed = lab.conda("list", "-p", lab.prefix, "--json")
    found = leaks(lab, case, since, result, listed)
    assert (not_condas(found) if door == "conda" else found) == []
    if happening == "success":
        lab.conda("remove", "-p", lab.prefix, "-y", "moo")


# -- notebooks, and what is asked afterwards ---------------------------------------------------------------


@pytest.mark.parametrize("place", ["a conda environment", "a virtual environment"])
def test_notebooks(
    lab: Lab, case: Case, channels: Path, venv: Path, place: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """Neither outputs nor history nor what others see of the processes, the words typed in a cell apart."""
    since = time.time() - 0.05
    lab.watch.seen.clear()
    prefix = prepare(lab.prefix if place == "a conda environment" else venv)
    env = lab.home.environment() | {
        "TMPDIR": str(case.work / "tmp"),
        "INDEX": case.server.private_url,
        "CONDA_PLUGINS_PYPI_BRIDGE_PIP_MAGIC": "true",
    }
    with (
        PrivateChannel(channels, lab.watch, demands="authorization") as channel,
        notebook(prefix, env | {"CHANNEL": f"{channel.private_url}/mine"}, case.work / "book") as book,
    ):
        book.run("import os; INDEX = os.environ['INDEX']")
        said = book.run(f"%conda install -vvv -i $INDEX {case.project}").html
        assert "--index-url http://127.0.0.1" in said or "-i http://127.0.0.1" in said
        book.fails(f"%%conda install --extra-index-url=$INDEX -vvv\n{case.project}-user")
        book.fails("%conda install -i $INDEX https://me:$INDEX@host/x.whl")
        book.fails("%conda install -i {nonsense(INDEX)} x")
        if place == "a conda environment":
            book.run("%conda install -c $CHANNEL moo")
            book.fails("%conda install -c $CHANNEL herd")
            book.run("%conda search --override-channels -c $CHANNEL moo")
            book.run("%pip install -i $INDEX --upgrade " + case.project)
            book.run("%conda remove moo")
            assert channel.opened
        book.run("%conda where")
        book.run(f"%conda where {case.project}")
        book.run("%history -g -f history.txt")
        text = nbformat.writes(book.client.nb)
    assert case.server.opened
    assert not_condas(leaks(lab, case, since)) == []
    assert sightings(text.encode()) == []
    assert sightings("".join(capfd.readouterr()).encode()) == []


#: What nobody can read: words of the command line, files by name, variables. ``{}`` stands for a mark.
MISTAKES: dict[str, tuple[str, dict[str, str], dict[str, str]]] = {
    "an option that is none": ("--indx-url=https://me:{}@host/", {}, {}),
    "a slash in a password": ("-i https://me:{}/x@host/", {}, {}),
    "a question mark in a password": ("-i https://me:{}?x@host/", {}, {}),
    "a hash sign in a password": ("-i https://me:{}#x@host/", {}, {}),
    "a bracket in a password": ("-i https://me:{}[x@host/", {}, {}),
    "a slash in the password of a place of links": ("", {}, {"PIP_FIND_LINKS": "https://me:{}/x@host/"}),
    "no scheme": ("-i me:{}@host/simple", {}, {}),
    "another scheme": ("-i ftp://me:{}@host/simple", {}, {}),
    "a token in the query": ("-i https://host/simple?token={}", {}, {}),
    "a slash in the password of a proxy": ("", {}, {"http_proxy": "http://me:{}/x@127.0.0.1:9"}),
    "a bracket in the password of a proxy": ("", {}, {"http_proxy": "http://me:{}[@127.0.0.1:9"}),
    "a slash in the password of a channel": ("-c https://me:{}/x@host/channel", {}, {}),
    "a channel that does not answer": ("-c http://me:{}@127.0.0.1:9/channel", {}, {}),
    "a direct reference": ("x@https://me:{}@host/x-1.0-py3-none-any.whl", {}, {}),
    "a repository": ("git+https://{}@host/x.git", {}, {}),
    "a name of an environment": ("-n https://me:{}@host/", {}, {}),
    "a condarc that is not YAML": ("", {"rc": "channels:\n - }}{{ {}\n"}, {"CONDARC": "rc"}),
    "a setting of the wrong type": (
        "",
        {"rc": "plugins:\n  pypi_bridge_index_url: [https://me:{}@host/]\n"},
        {"CONDARC": "rc"},
    ),
    "a pip.conf without a section": (
        "",
        {"pip.conf": "index-url = https://me:{}@host/\n"},
        {"PIP_CONFIG_FILE": "pip.conf"},
    ),
    "an option in a file": ("-r wanted.txt", {"wanted.txt": "-i https://me:{}@host/ --password {}\n"}, {}),
    "a reference in a file": ("-r wanted.txt", {"wanted.txt": "x [ https://me:{}@host/x.whl\n"}, {}),
    "an environment that is not YAML": ("-r e.yml", {"e.yml": "channels:\n - }}{{ {}\n"}, {}),
    "a project that is not TOML": ("-r pyproject.toml", {"pyproject.toml": "x = [https://me:{}@host\n"}, {}),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_are_not_quoted(lab: Lab, case: Case, mistake: str) -> None:
    words, files, variables = MISTAKES[mistake]
    for name, text in files.items():
        (case.work / name).write_text(text.format(MARK, MARK))
    case.env |= {"PIP_INDEX_URL": "http://index.invalid/simple/", "no_proxy": "", "NO_PROXY": ""}
    case.env |= {name: value.format(MARK) for name, value in variables.items()}
    aimed = [] if "-n " in words else ["-p", lab.prefix]
    command = [sys.executable, "-m", "conda_pypi_bridge", "install", "-yvv", *aimed]
    result = carry_out(lab, case, [*command, *words.format(MARK).split(), "demo"])
    assert result.returncode in {1, 2} and "error: " in result.stderr
    assert "bug" not in result.stderr
    assert sightings((result.stdout + result.stderr).encode()) == []


VIEWS = (
    "list --json",
    "list --revisions",
    "env export",
    "doctor -v",
    "pypi-bridge doctor -vv",
    "pypi-bridge status --json",
    "pypi-bridge where --json",
    "pypi-bridge notebook status",
    "pypi-bridge cache",
)


def test_what_is_asked_afterwards(lab: Lab, case: Case) -> None:
    """Of an environment with packages of private indexes, by a user who has secrets in every file."""
    in_pips_configuration(case)
    in_condarc(case)
    since = time.time() - 0.05
    lab.watch.seen.clear()
    command = [sys.executable, "-m", "conda_pypi_bridge", "install", "-p", lab.prefix, "-y", case.project]
    results = [carry_out(lab, case, command)]
    for view in VIEWS:
        first, *words = view.split()
        aimed = [] if view.endswith("cache") else ["-p", lab.prefix]
        results.append(carry_out(lab, case, [*lab.conda.command, first, *words, *aimed]))
        if first == "pypi-bridge":
            command = [sys.executable, "-m", "conda_pypi_bridge", *words, *aimed]
            results.append(carry_out(lab, case, command))
    assert leaks(lab, case, since, *results) == []
    assert case.server.opened and all(result.stdout for result in results)


@pytest.mark.parametrize(
    "text",
    [SECRET, ENCODED, basic("me"), basic("you"), SECRET.upper(), json.dumps({"a": SECRET})],
    ids=["plain", "encoded", "basic", "another's", "upper", "json"],  # the secret is another in each worker
)
def test_the_search_finds(text: str, tmp_path: Path) -> None:
    """In content and names of files, in packed ones, and on command lines."""
    for name, content in {"plain": text.encode(), "packed": zstd.compress(text.encode())}.items():
        (tmp_path / name).write_bytes(content)
    with zipfile.ZipFile(tmp_path / "archive", "w") as archive:
        archive.write(tmp_path / "packed", "inner")
    (tmp_path / "named" / text.replace("/", ":")).mkdir(parents=True)
    found = {name.partition("/")[0] for name, _ in sightings_in(tmp_path)}
    assert found >= {"plain", "packed!", "archive!inner!", "named"}
    code = "print(flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", code, text], stdin=-1, stdout=-1) as process:
        assert process.stdout and process.stdout.readline()
        assert command_lines()
        assert not command_lines(but=[process.pid])
        process.communicate(b"\n")


def test_the_search_finds_nothing_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "plain").write_text("canary k1nary " + basic("me", "another"))
    assert sightings_in(tmp_path) == []
