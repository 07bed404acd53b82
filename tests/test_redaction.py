"""What may be secret in a text is not shown, and the rest of it is."""

from __future__ import annotations

import ast
import base64
import html
import json
import subprocess
import sys
import traceback
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest

from conda_pypi_bridge import requirementfiles
from conda_pypi_bridge.credentials import Auth, Redactor, split_token
from conda_pypi_bridge.engines.rattler.access import Access
from conda_pypi_bridge.errors import BridgeError, ConfigError, SpecError
from conda_pypi_bridge.notebook import changes, command
from conda_pypi_bridge.notebook.child import readable
from conda_pypi_bridge.notebook.discretion import discreet
from conda_pypi_bridge.notebook.kernel import Kernel
from conda_pypi_bridge.notebook.magic import _bypassed
from conda_pypi_bridge.notebook.view import CondaCommandError, TerminalScreen
from conda_pypi_bridge.prefix import append_history
from conda_pypi_bridge.redaction import redact


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://user:secret@host/simple/", "https://host/simple/"),
        ("https://secret@host/simple/", "https://host/simple/"),
        ("https://user:secr@et@host/simple", "https://host/simple"),
        ("https://user:sec/ret@host/simple", "https://***@host/simple"),
        ("https://user:sec/r@et@host/simple", "https://***@host/simple"),
        ("https://sec/ret@host/simple", "https://***@host/simple"),
        ("https://user:sec?ret@host/simple", "https://***"),
        ("https://user:sec#ret@host/simple", "https://host/simple"),
        ("https://host/simple?token=secret", "https://host/simple?token=***"),
        ("https://host/x?a=secret&b=secret#secret", "https://host/x?a=***&b=***"),
        ("https://host/x?token=secr@et", "https://***"),
        ("https://host/x?secret", "https://host/x?***"),
        ("https://host/x?c2VjcmV0==", "https://host/x?***"),
        ("https://host/t/secret/channel/noarch", "https://host/channel/noarch"),
        ("https://a/t/secret,https://b/t/secret", "https://a//b"),
        ("-i https://u:secret@one -c https://u:s@e/cret@two", "-i https://one -c https://***@two"),
        ("--index-url=https://u:secr@et@host", "--index-url=https://host"),
        ('{"url": "https://u:secret@host", "who": "me@host"}', '{"url": "https://host", "who": "me@host"}'),
        ("x @ git+ssh://secret@host/x.git", "x @ git+ssh://host/x.git"),
        ("proxy-authorization: Basic c2VjcmV0", "proxy-authorization: Basic ***"),
    ],
)
def test_secrets_are_not_shown(text: str, shown: str) -> None:
    assert redact(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "https://host:8080/simple/x-1.0-py3-none-any.whl#sha256=abc",
        "https://host/x?",
        "Is it there? Ask me@host.example.",
        "numpy[version='>=1,<2'] python=3.12 num?y x@y",
        "file:///home/me@work/t/channel/noarch::x-1-0",
        "# conda-forge::moo > /t/log",
    ],
)
def test_other_text_stays_as_it_is(text: str) -> None:
    assert redact(text) == text
    assert redact(redact(text)) == text


def test_a_long_log_is_read_once() -> None:
    log = "https://" * 100_000 + "https://u:secret@host/t/secret?x=secret\n" * 10_000
    assert "secret" not in redact(log)


def test_a_kernel_loads_the_standard_library_alone() -> None:
    code = (
        "import sys, conda_pypi_bridge.redaction\n"
        "print({m.partition('.')[0] for m in sys.modules} - sys.stdlib_module_names - {'__main__'})"
    )
    done = subprocess.run([sys.executable, "-S", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "{'conda_pypi_bridge'}"


# -- where texts are kept --------------------------------------------------------------------------------

#: URLs whose secrets begin or end where another reader would have cut.
LEAKY = ("https://user:p@canary@host/x", "https://user:p/canary@host/x", "https://host/x?token=canary")


@pytest.mark.parametrize("url", LEAKY)
def test_no_secret_is_kept_in_a_history(tmp_path: Path, url: str) -> None:
    append_history(tmp_path, ["conda", "install", "-c", url], update_specs=[f"{url}::x"], tool="t 1")
    text = (tmp_path / "conda-meta" / "history").read_text()
    assert "# update specs: ['https://" in text
    assert "canary" not in text


@pytest.mark.parametrize("url", LEAKY)
def test_no_secret_of_a_requirements_files_url_is_told(url: str) -> None:
    for place in (url, url.replace("https:", "ftp:")):
        with pytest.raises(SpecError) as caught:
            requirementfiles.read([place], environ={})
        assert "canary" not in str(caught.value)


@pytest.mark.parametrize("url", LEAKY)
def test_no_secret_is_saved_with_a_notebook(tmp_path: Path, url: str) -> None:
    """Neither by the line of progress, nor by the log, nor by the error; what is run has it."""
    (tmp_path / "conda-meta").mkdir()
    conda = tmp_path / "conda"
    conda.write_text('#!/bin/sh\ncase "$*" in *canary*) echo "CondaError: no $2" >&2;; esac\nexit 1\n')
    conda.chmod(0o755)
    shown: list[str] = []
    kernel = Kernel(prefix=tmp_path, environ={"CONDA_EXE": str(conda)})
    with pytest.raises(CondaCommandError) as caught:
        kernel.carry_out(command.read(["search", url]), TerminalScreen(shown.append))
    assert shown[0].startswith("conda search https://")
    assert str(caught.value).startswith("no https://")
    assert "canary" not in "".join([*shown, str(caught.value), caught.value.log, readable(url)])


@pytest.mark.parametrize("url", LEAKY)
def test_no_secret_is_in_a_refusal_or_a_remark_or_a_log_record(url: str) -> None:
    error = CondaCommandError(f"cannot {url!r}", f"Try {url}", headline=f"No {url}")
    told = [str(error), error.hint, error.headline, _bypassed(f"install {url}"), Redactor()(url)]
    assert "canary" not in "".join(told)
    assert changes.source_of({"channel": url}) == "channel x"


@pytest.mark.parametrize("kind", [BridgeError, ConfigError])
@pytest.mark.parametrize("url", LEAKY)
def test_no_secret_is_in_an_error_nor_in_a_chain_of_them(url: str, kind: type[BridgeError]) -> None:
    try:
        raise kind(f"no {url}", hint=f"Try {url}") from kind(url)
    except BridgeError as error:
        told = [*traceback.format_exception(error), error.hint, error.message, repr(error)]
    assert "canary" not in "".join(told)


# -- secrets that are known ------------------------------------------------------------------------------

PASSWORD = 'c4n@ry/"Süß"+&<1>%2f'


@pytest.mark.parametrize(
    "spelling",
    [
        PASSWORD,
        quote(PASSWORD),
        quote(PASSWORD, safe=""),
        quote_plus(PASSWORD),
        json.dumps(PASSWORD)[1:-1],
        html.escape(PASSWORD),
        base64.b64encode(f"me:{PASSWORD}".encode()).decode(),
        base64.b64encode(f"me:{PASSWORD}".encode("latin-1")).decode(),
    ],
)
def test_a_known_password_is_taken_out_however_it_is_written(spelling: str) -> None:
    redact = Redactor()
    redact.learn_auth(Auth("me", PASSWORD))
    assert redact(f"({spelling})") == "(****)"
    assert redact.finds(f"({spelling})".encode())
    assert not redact.finds(b"(c4n)")


def test_percent_encoding_in_small_letters_is_known_too() -> None:
    redact = Redactor(["p/w@1"])
    assert redact("p%2fw%401 p%2Fw%401 p/w%401") == "**** **** ****"


@pytest.mark.parametrize("count", range(4, 12))
def test_the_beginning_of_a_secret_where_a_text_was_cut_is_taken_out_too(count: int) -> None:
    redact = Redactor(["p@ss/word-12"])
    assert redact(f"known: {'p@ss/word-12'[:count]}") == "known: ****"
    assert redact(f"known: {'p@ss/word-12'[:3]}") == "known: p@s"


@pytest.mark.parametrize(
    ("header", "secrets"),
    [
        ("Bearer c4nary-token", ["c4nary-token"]),
        (b"Basic bWU6YzRuYXJ5", ["c4nary", "bWU6YzRuYXJ5"]),
        ("Basic this is no base64", ["this is no base64"]),
        (None, []),
    ],
)
def test_what_a_header_holds_is_known_from_then_on(header: str | bytes | None, secrets: list[str]) -> None:
    """`requests` takes it from netrc, and tells nobody."""
    redact = Redactor()
    redact.learn_header(header)
    assert [redact(secret) for secret in secrets] == ["****"] * len(secrets)
    assert redact("me and you") == "me and you"


@pytest.mark.parametrize(
    ("url", "parts"),
    [
        ("https://host/t/tk-1/channel/noarch", ("https://host/channel/noarch", "tk-1")),
        ("https://host/base/t/tk-1/channel", ("https://host/base/channel", "tk-1")),
        ("https://host/channel", ("https://host/channel", "")),
    ],
)
def test_the_token_of_a_channel(url: str, parts: tuple[str, str]) -> None:
    assert split_token(url) == parts


# -- channels for rattler --------------------------------------------------------------------------------


def test_a_channels_credentials_go_to_what_is_below_it_alone() -> None:
    access = Access()
    assert access.client() is None
    assert access.public("https://host/open") == "https://host/open"
    assert access.client() is None
    assert access.public("https://me:one@host/a/") == "https://host/a/"
    assert access.public("https://me:two@host/a/b") == "https://host/a/b"
    assert access.public("https://me:p%40w@other:8080/t/tk-1/c") == "https://other:8080/c"
    assert access.client() is not None

    def sent(host: str, path: str) -> str:
        header = (access._header(host, path) or {}).get("Authorization", " ")
        return base64.b64decode(header.partition(" ")[2]).decode()

    assert sent("host", "/a/noarch/x.conda") == "me:one"
    assert sent("host", "/a/b/noarch/x.conda") == "me:two"
    assert sent("other", "/t/tk-1/c/noarch/x.conda") == "me:p@w"  # where the token is in place again
    assert sent("host", "/ab/x.conda") == sent("host", "/a") == sent("elsewhere", "/a/x.conda") == ""


# -- commands of notebooks -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "head",
    ["#!{}\n", "#!/bin/sh\n'''exec' \"{}\" \"$0\" \"$@\"\n' '''\n", "#!/bin/sh\n'''exec' {} \"$0\"\n' '''\n"],
)
def test_a_script_gets_secrets_past_its_command_line(tmp_path: Path, head: str) -> None:
    script = tmp_path / "conda"
    script.write_text(
        head.format(sys.executable) + "import os, sys\n"
        "if __name__ == '__main__': print([*sys.argv, *(n for n in os.environ if 'WORDS' in n)])\n"
    )
    argv, environ = discreet([str(script), "install", "-c", LEAKY[0]], {"A": "b"})
    assert "canary" not in "".join(argv)
    assert environ["A"] == "b"
    done = subprocess.run(argv, env=dict(environ), capture_output=True, text=True, check=True)
    assert ast.literal_eval(done.stdout) == [str(script), "install", "-c", LEAKY[0]]


def test_modules_and_code_get_secrets_past_their_command_lines() -> None:
    module = [sys.executable, "-m", "base64", "-d", LEAKY[0]]
    argv, environ = discreet(module, {})
    assert argv[1] == "-c" and "canary" not in "".join(argv)
    done = subprocess.run(argv, env=dict(environ), capture_output=True, text=True, check=False)
    assert f"No such file or directory: '{LEAKY[0]}'" in done.stderr
    code = [sys.executable, "-c", "import sys; print(sys.argv)", LEAKY[0]]
    argv, environ = discreet(code, {})
    assert argv[1] == "-c" and "canary" not in "".join(argv)
    done = subprocess.run(argv, env=dict(environ), capture_output=True, text=True, check=True)
    assert ast.literal_eval(done.stdout) == ["-c", LEAKY[0]]


def test_what_has_no_secrets_or_is_no_python_is_started_as_it_is(tmp_path: Path) -> None:
    program = tmp_path / "conda"
    program.write_bytes(b"\x7fELF")
    for argv in (
        [sys.executable, "-m", "x", "https://host/x"],
        [str(program), LEAKY[0]],
        ["/none", LEAKY[0]],
    ):
        assert discreet(argv, {}) == (argv, {})
