"""Hashes of what is too large to be read at once."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import BinaryIO

#: Bytes that are read at once.
_BLOCK = 1 << 20


def sha256_of(stream: BinaryIO) -> str:
    """The sha256, in lower-case hex, of what a stream has from here to its end. Raises `OSError`."""
    digest = hashlib.sha256()
    while block := stream.read(_BLOCK):
        digest.update(block)
    return digest.hexdigest()


def file_sha256(path: Path) -> str:
    """The sha256, in lower-case hex, of a file. Raises `OSError`."""
    with path.open("rb") as file:
        return sha256_of(file)
