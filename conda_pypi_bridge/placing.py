"""Files that appear whole, with their bytes on the disk, in folders that others read meanwhile."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterable
from pathlib import Path

from .locks import own_folder

_BLOCK = 1 << 20


def place_blocks(root: Path, blocks: Iterable[bytes], destination: Path, *, replace: bool = True) -> None:
    """Have a file of the folder `root` appear whole; `replace` one that is there, or leave that.

    Its mode is what the umask leaves, for others to read it. Raises `OSError`; nothing is left then.
    """
    stage = own_folder(root) / uuid.uuid4().hex
    try:
        with stage.open("xb") as file:
            file.writelines(blocks)
            file.flush()
            os.fsync(file.fileno())
        destination.parent.mkdir(parents=True, exist_ok=True)
        if replace:
            stage.replace(destination)
        else:
            _link(stage, destination)
    finally:
        stage.unlink(missing_ok=True)


def place_file(root: Path, source: Path, destination: Path) -> None:
    """Have a file of the folder `root` hold what the file `source` holds. Raises as `place_blocks`."""
    with source.open("rb") as file:
        place_blocks(root, iter(lambda: file.read(_BLOCK), b""), destination)


def _link(stage: Path, destination: Path) -> None:
    """Give a file its name if no other has it."""
    try:
        destination.hardlink_to(stage)
    except FileExistsError:
        return
    except OSError:  # a file system without hard links
        if not destination.exists():
            stage.replace(destination)
