"""What a metadata folder of site-packages says of where its distribution came from."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """Each "" where nothing tells.

    `url` is the file it was made of (PEP 710), or what was installed in place of a file of an index
    (PEP 610); `index` the URL of the index that listed it. `installer` names itself; `requested` is whether
    somebody named the distribution, as that installer tells (PEP 376).
    """

    url: str = ""
    index: str = ""
    installer: str = ""
    requested: bool = False


def read(folder: Path) -> Provenance:
    """The provenance of the distribution with the metadata in `folder`."""
    known, direct = _document(folder / "provenance_url.json"), _document(folder / "direct_url.json")
    return Provenance(
        url=_text(known.get("url")) or _text(direct.get("url")),
        index=_text(known.get("index_url")),
        installer=_installer(folder / "INSTALLER"),
        requested=(folder / "REQUESTED").is_file(),
    )


def _document(file: Path) -> dict[str, Any]:
    try:
        document = json.loads(file.read_text(encoding="utf-8", errors="replace"))
    except (OSError, ValueError):
        return {}
    return document if isinstance(document, dict) else {}


def _installer(file: Path) -> str:
    try:
        return _text(file.read_text(encoding="utf-8", errors="replace").strip())
    except OSError:
        return ""


def _text(value: object) -> str:
    return value if isinstance(value, str) and value.isprintable() else ""
