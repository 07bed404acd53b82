"""What a Python would import: run by that interpreter, ``python _probe.py [NAME]``, or called in it.

Nothing is imported to find out. Only the standard library; any Python from 3.8.
"""

from __future__ import annotations

import importlib.metadata as metadata
import json
import os
import re
import site
import sys
from importlib.machinery import ModuleSpec, PathFinder
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_INVISIBLE = ("builtin", "built-in", "frozen")


def look(name: str | None) -> dict[str, Any]:
    """The running Python: where it imports from, and what `name`, a module or a distribution, is there."""
    user = site.getusersitepackages() if site.ENABLE_USER_SITE else ""
    return {
        "executable": sys.executable,
        "version": ".".join(map(str, sys.version_info[:3])),
        "prefix": sys.prefix,
        "path": list(sys.path),
        "user_site": user if user in sys.path else "",
        "user_dists": sum(1 for _ in metadata.distributions(path=[user])) if user in sys.path else 0,
        "package": _package(name) if name else None,
    }


def _package(name: str) -> dict[str, Any]:
    dists = [dist for dist in metadata.distributions() if _name(dist)]
    spec, module = _spec(name), name
    if spec is None:
        named = [dist for dist in dists if _normal(_name(dist)) == _normal(name)]
        module = next((top for dist in named for top in _tops(dist)), name)
        spec = _spec(module)
    else:
        named = []
    top = module.partition(".")[0]
    owners = named or [dist for dist in dists if top in set(_tops(dist))]
    owners = owners or [dist for dist in dists if _place(spec).startswith(_editable(dist) or "\0")]
    loaded = getattr(sys.modules.get(module), "__file__", None)
    return {
        "asked": name,
        "module": module if spec else "",
        "file": _place(spec),
        "copies": list(dict.fromkeys(_copies(top))),
        "loaded": loaded or "",
        "dists": [_dist(dist) for dist in owners],
    }


def _spec(name: str) -> ModuleSpec | None:
    """How a fresh import would find it: `importlib.util.find_spec` would import the parents of ``a.b``."""
    top, *rest = name.split(".")
    spec = None
    for finder in sys.meta_path:
        find = getattr(finder, "find_spec", None)
        spec = find(top, None) if find else None
        if spec is not None:
            break
    for part in rest:
        if spec is None or spec.submodule_search_locations is None:
            return None
        top = f"{top}.{part}"
        spec = PathFinder.find_spec(top, spec.submodule_search_locations)
    return spec


def _place(spec: ModuleSpec | None) -> str:
    """The file of a module, the folder of a namespace package, or ``built-in`` and ``frozen``."""
    if spec is None:
        return ""
    if spec.origin:
        return spec.origin
    return next(iter(spec.submodule_search_locations or ()), "")


def _copies(top: str) -> Iterator[str]:
    """Every place on sys.path that has the module, the one that counts first."""
    for entry in sys.path:
        spec = PathFinder.find_spec(top, [entry])
        # A folder without __init__ is a part of a namespace, and hides nothing.
        if spec is not None and spec.origin and spec.origin not in _INVISIBLE:
            yield os.path.realpath(spec.origin)


def _tops(dist: metadata.Distribution) -> Iterator[str]:
    """The modules that a distribution gives, ``_private`` ones last."""
    listed = dist.read_text("top_level.txt")
    names: Iterable[str] = listed.split() if listed else _recorded(dist.read_text("RECORD") or "")
    yield from sorted(set(names), key=lambda name: (name.startswith("_"), name))


def _recorded(record: str) -> Iterator[str]:
    for match in re.finditer(r"(?m)^\"?([A-Za-z_]\w*)(?:/[^,\n]*|(?:\.[\w-]+)*)\.(?:py|so|pyd),", record):
        yield match[1]


def _dist(dist: metadata.Distribution) -> dict[str, Any]:
    return {
        "name": _name(dist),
        "version": dist.version or "",
        "folder": str(getattr(dist, "_path", "")),
        "installer": (dist.read_text("INSTALLER") or "").strip(),
        "editable": bool(_editable(dist)),
    }


def _name(dist: metadata.Distribution) -> str:
    """The name in its METADATA, "" where that is gone: half-deleted distributions are not rare."""
    try:
        return dist.metadata["Name"] or ""
    except Exception:  # newer Pythons have None in place of the metadata, or an error of their own
        return ""


def _editable(dist: metadata.Distribution) -> str:
    """The folder of an editable install (PEP 610) with a separator at its end, "" for any other."""
    try:
        direct = json.loads(dist.read_text("direct_url.json") or "{}")
        if not direct.get("dir_info", {}).get("editable"):
            return ""
        return url2pathname(urlsplit(direct["url"]).path).rstrip(os.sep) + os.sep
    except (ValueError, LookupError, AttributeError):  # it is not as PEP 610 has it
        return ""


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


if __name__ == "__main__":
    # As in ``python -c``: the folder of this file is not where the user's modules are.
    sys.path[0] = ""
    sys.stdout.write(json.dumps(look(sys.argv[1] if len(sys.argv) > 1 else None)))
