"""What may be secret in a text is not shown, and the rest of it is."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from conda_pypi_bridge import requirementfiles
from conda_pypi_bridge.credentials import Redactor
from conda_pypi_bridge.errors import SpecError
from conda_pypi_bridge.notebook import changes, command
from conda_pypi_bridge.notebook.child import readable
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
