"""Paths of environments from which scripts cannot start their Python."""

from __future__ import annotations

import os
from pathlib import Path

from ..errors import PrefixError

#: Bytes that Linux reads of a script's first line; what is longer, or has a space, is left to ``sh``.
_FIRST_LINE = 127

#: A path's end in a first line, at its longest.
_PYTHON = "/bin/python3.99t"

#: What ``sh`` reads between the double quotes that both engines put around a path.
_READ_IN_QUOTES = '"$`'


def refuse_unstartable(prefix: Path) -> None:
    """Raises `PrefixError` for a path that the first lines of scripts cannot hold.

    Both engines write ``#!PREFIX/bin/python``, or have ``sh`` start ``"PREFIX/bin/python"`` where the kernel
    does not read so much or the path has a space. rattler turns backslashes into slashes.
    """
    text = str(prefix)
    if os.name == "nt":
        return
    by_shell = any(map(str.isspace, text)) or len(os.fsencode(f"#!{text}{_PYTHON}")) > _FIRST_LINE
    wrong = {char for char in text if (char.isascii() and not char.isprintable()) or char == "\\"}
    wrong |= {char for char in text if by_shell and char in _READ_IN_QUOTES}
    if wrong:
        shown = " and ".join(sorted(map(ascii, wrong)))
        hint = "Create the environment at a path without it."
        raise PrefixError(text, f"scripts cannot start from a path like this, because of {shown}", hint=hint)
