"""Cells run in a real ipykernel, through nbclient: what a user of any frontend gets."""

from __future__ import annotations

import os
import signal
import sysconfig
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jupyter_client.blocking import BlockingKernelClient
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbformat.v4 import new_code_cell, new_notebook

from conda_pypi_bridge.notebook import startup
from tests.lab.condas import python_of, site_packages

#: How a kernelspec starts a kernel.
LAUNCH = ("-m", "ipykernel_launcher", "-f", "{connection_file}")


def prepare(prefix: Path, *, enabled: bool = True) -> Path:
    """Let an environment of the running Python's version see its ipykernel, and load the bridge."""
    folders = sorted({sysconfig.get_path("purelib"), sysconfig.get_path("platlib")})
    lines = [f"import site; site.addsitedir({folder!r})" for folder in folders]
    (site_packages(prefix) / "laboratory.pth").write_text("\n".join(lines) + "\n")
    if enabled:
        startup.write(prefix, startup.this_installation())
    return prefix


@dataclass(frozen=True, kw_only=True)
class Cell:
    """What a cell left behind in the saved notebook."""

    outputs: list[Any]

    @property
    def displays(self) -> list[Any]:
        return [output for output in self.outputs if output.output_type == "display_data"]

    @property
    def text(self) -> str:
        """The one display, as text."""
        (display,) = self.displays
        return str(display.data["text/plain"])

    @property
    def html(self) -> str:
        (display,) = self.displays
        return str(display.data["text/html"])

    @property
    def stream(self) -> str:
        return "".join(output.text for output in self.outputs if output.output_type == "stream")

    @property
    def error(self) -> list[str]:
        """The lines of the error."""
        (error,) = [output for output in self.outputs if output.output_type == "error"]
        return [line for part in error.traceback for line in part.splitlines()]


@dataclass(frozen=True, kw_only=True)
class Said:
    """A message of the kernel: its type, when it was sent (seconds), and its text if it is a display."""

    kind: str
    at: float
    text: str


@dataclass(frozen=True, kw_only=True)
class Notebook:
    """An open notebook with a running kernel."""

    client: NotebookClient
    folder: Path
    pid: int
    said: list[Said] = field(repr=False)

    def run(self, code: str, meanwhile: Callable[[], None] | None = None) -> Cell:
        """Run a cell; an error fails the test. `meanwhile` is called in a thread as it starts."""
        cell = new_code_cell(code)
        self.client.nb.cells.append(cell)
        thread = threading.Thread(target=meanwhile) if meanwhile else None
        if thread:
            thread.start()
        try:
            self.client.execute_cell(cell, len(self.client.nb.cells) - 1)
        finally:
            if thread:
                thread.join()
        return Cell(outputs=cell.outputs)

    def fails(self, code: str, meanwhile: Callable[[], None] | None = None) -> Cell:
        """Run a cell that must fail."""
        try:
            self.run(code, meanwhile)
        except CellExecutionError:
            return Cell(outputs=self.client.nb.cells[-1].outputs)
        raise AssertionError(f"{code!r} did not fail: {self.client.nb.cells[-1].outputs}")

    def value(self, expression: str) -> str:
        """The ``repr`` of an expression in the kernel."""
        (result,) = self.run(expression).outputs
        return str(result.data["text/plain"])

    def interrupt(self) -> None:
        """What the stop button does: SIGINT to the kernel's process group."""
        os.killpg(os.getpgid(self.pid), signal.SIGINT)

    def kill(self) -> None:
        """What the restart button does to a kernel that is busy: a request, then SIGKILL to its group."""
        asking = BlockingKernelClient(connection_file=self.client.km.connection_file)
        asking.load_connection_file()
        asking.start_channels()
        asking.shutdown(restart=True)
        time.sleep(0.5)
        os.killpg(os.getpgid(self.pid), signal.SIGKILL)
        asking.stop_channels()

    def since_last_input(self) -> list[Said]:
        """What the kernel said of the last cell, from its start."""
        start = max(number for number, said in enumerate(self.said) if said.kind == "execute_input")
        return self.said[start:]


class _Recording(NotebookClient):  # type: ignore[misc]
    """A client that keeps what the kernel said, and when it did so by the kernel's own clock."""

    said: list[Said]

    def process_message(self, msg: Any, cell: Any, cell_index: int) -> Any:
        text = msg["content"].get("data", {}).get("text/plain", "") if "data" in msg["content"] else ""
        self.said.append(Said(kind=msg["msg_type"], at=msg["header"]["date"].timestamp(), text=text))
        return super().process_message(msg, cell, cell_index)


@contextmanager
def notebook(
    prefix: Path,
    env: Mapping[str, str],
    folder: Path,
    *,
    timeout: float = 120,
    arguments: Sequence[str] = (),
    spec: KernelSpec | None = None,
) -> Iterator[Notebook]:
    """A notebook in `folder` whose kernel runs in `prefix`, started with exactly `env`.

    `arguments` are further ones for the kernel; `spec` is an installed kernelspec, instead of a plain one.
    """
    folder.mkdir(parents=True, exist_ok=True)
    manager = AsyncKernelManager()
    manager._kernel_spec = spec or KernelSpec(
        argv=[str(python_of(prefix)), *LAUNCH, *arguments], display_name="test", language="python"
    )
    client = _Recording(
        new_notebook(), km=manager, timeout=timeout, resources={"metadata": {"path": str(folder)}}
    )
    client.said = []
    with client.setup_kernel(env=dict(env)):
        pid = manager.provisioner.process.pid
        yield Notebook(client=client, folder=folder, pid=pid, said=client.said)


def eventually(condition: Callable[[], Any], *, timeout: float = 60) -> Any:
    """The first true value of `condition`."""
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        if value := condition():
            return value
        time.sleep(0.02)
    raise AssertionError("it did not happen in time")
