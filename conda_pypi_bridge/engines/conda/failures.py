"""What conda raises, in our words."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from conda.exceptions import EnvironmentNotWritableError, NotWritableError, SpecsConfigurationConflictError

from ...errors import BridgeError, PrefixError


def sentence(error: Exception) -> str:
    """What conda's solver found: its first words; all of them where it is about pins."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (
        " ".join(lines if isinstance(error, SpecsConfigurationConflictError) else lines[:3])
        or "conda's solver finds no solution"
    )


def as_ours(prefix: Path, error: Exception) -> Exception:
    """An error of ours that conda was given, and what the system refused to conda; any other as it is."""
    errors = [error.__cause__, error, *getattr(error, "errors", ())]
    known = next((one for one in errors if isinstance(one, (BridgeError, OSError))), error)
    if isinstance(known, NotWritableError):  # an OSError that tells neither the file nor the reason
        known = OSError(known.errno, os.strerror(known.errno), known.dump_map()["path"])
    if isinstance(known, EnvironmentNotWritableError):
        known = _refusal(prefix) or known
    if isinstance(known, OSError):
        return PrefixError(str(prefix), f"linking failed: {known.filename}: {known.strerror}")
    return known


def _refusal(prefix: Path) -> OSError | None:
    """Why nothing can be written to the prefix, which conda takes for a lack of permission."""
    try:
        with tempfile.TemporaryFile(dir=prefix / "conda-meta") as file:
            file.write(b"full?")
    except OSError as error:
        return error
    return None
