"""The example notebook that the README shows does what it shows, with real projects.

``CPB_REFRESH_EXAMPLE=1 pytest tests/test_example_notebook.py`` executes it anew and writes what it shows,
with the folders of the test under other names, and without addresses of other places.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nbformat
import pytest

from tests.kernels import notebook, prepare
from tests.lab.condas import Conda, overlay

EXAMPLE = Path(__file__).parent / "notebooks" / "example.ipynb"

pytestmark = pytest.mark.network


@pytest.mark.parametrize("conda", ["24.7.1"], indirect=True)
def test_the_example_notebook_does_what_it_shows(
    conda: Conda, conda_env: Path, network_env: Mapping[str, str | None], tmp_path: Path
) -> None:
    example = nbformat.read(EXAMPLE, as_version=4)
    shown = [outline(cell.outputs) for cell in example.cells if cell.cell_type == "code"]
    environment = overlay(conda.home.environment() | {"CONDA_EXE": conda.command[0]}, network_env)
    with notebook(prepare(conda_env), environment, tmp_path / "work") as book:
        for cell in example.cells:
            if cell.cell_type == "code":
                failing = "raises-exception" in cell.metadata.get("tags", ())
                cell.outputs = (book.fails if failing else book.run)(cell.source).outputs
    if os.environ.get("CPB_REFRESH_EXAMPLE"):
        written = nbformat.writes(example)
        laboratory = Path(conda.command[0]).parents[2]
        for path, name in ((conda_env, "/envs/demo"), (conda.home.path, "~"), (laboratory, "/laboratory")):
            written = written.replace(str(path), name)
        EXAMPLE.write_text(re.sub(r"https://[\w.]+", "https://...", written) + "\n")
    else:
        assert [outline(c.outputs) for c in example.cells if c.cell_type == "code"] == shown


def outline(outputs: list[Any]) -> list[str]:
    """What a cell shows, without what time and place change: versions, seconds, requirements, the folder."""
    return [line for output in outputs for line in _lines(output) if line]


def _lines(output: Any) -> list[str]:
    if output.output_type == "error":
        return [f"{output.ename}: {output.evalue}"]
    text = output.get("text") or output.data["text/plain"]
    passing = ("required by", "# packages in environment at")
    kept = (line for line in text.splitlines() if not any(words in line for words in passing))
    return [re.sub(r"\s+", " ", re.sub(r"\d+(?:\.\d+)*|packages?", "#", line)).strip() for line in kept]
