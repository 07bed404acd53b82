"""Small files, read and written. Standard library only, and quick to load: a kernel's start needs it."""

from __future__ import annotations

import json
import os
import shlex
from pathlib import Path
from typing import Any


def mapping(file: Path) -> dict[str, Any] | None:
    """The JSON object in a file, None where there is none."""
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return document if isinstance(document, dict) else None


def write(file: Path, text: str) -> None:
    """Write a file and the folders above it, so that nobody ever reads half of it. Raises `OSError`."""
    file.parent.mkdir(parents=True, exist_ok=True)
    fresh = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        fresh.write_text(text, encoding="utf-8")
        fresh.replace(file)
    except BaseException:
        fresh.unlink(missing_ok=True)
        raise


def quoted(path: Path) -> str:
    """A path as one would type it in a shell."""
    return shlex.quote(str(path))
