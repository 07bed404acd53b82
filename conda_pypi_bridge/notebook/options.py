"""Switches that a kernel reads at every start: from a variable or condarc, with the standard library only."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from .. import condarc

_WORDS = dict.fromkeys(("true", "yes", "on", "1", "y"), True) | dict.fromkeys(
    ("false", "no", "off", "0", "n"), False
)


def switch(
    name: str, *, default: bool, prefix: Path, environ: Mapping[str, str], home: Path | None = None
) -> bool:
    """The setting ``plugins: pypi_bridge_NAME`` that holds in `prefix`.

    The variable ``CONDA_PLUGINS_PYPI_BRIDGE_NAME`` goes first, as for any setting of conda's. A kernel
    whose environment lacks the bridge has no YAML reader, so the key, which nothing else is called, is
    looked for in the text: block style, flow style and JSON are found alike, comments are not.
    """
    key = f"pypi_bridge_{name}"
    told = _truth(environ.get(f"CONDA_PLUGINS_{key}".upper(), ""))
    if told is not None:
        return told
    pattern = rf"""(?m)^[^#\n]*?\b{key}["']?\s*:\s*["']?(?P<value>\w+)"""
    held = default
    for file in condarc.files(prefix, environ, home or Path.home(), condarc.root_prefix(prefix, environ)):
        text = _text(file)
        for match in re.finditer(pattern, text) if key in text else ():
            value = _truth(match["value"])
            held = held if value is None else value
    return held


def _truth(text: str) -> bool | None:
    return _WORDS.get(text.strip().lower())


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
