"""The verbs ``why`` and ``tree`` at every door: which environment they look at, and how they tell of it."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from .errors import NotInstalled
from .graph import ASCII, ORIGINS, SEEDS, UNICODE, Graph, Package, Signs, graph_of, picture, tree_lines
from .prefix import Prefix, read_prefix
from .session import chosen_prefix

#: So many chains of a package are listed; where there are more, the document says so.
_CHAINS = 1000

_PYTHON = "python"

#: A verb's JSON document, and its text once it is known where it goes.
Answer = tuple[dict[str, Any], Callable[[], str]]


def carry_out(args: argparse.Namespace, *, conda: bool) -> Answer:
    """The verb, within conda or without: its JSON document and its text. Raises `BridgeError` subclasses."""
    if conda:
        from .engines.conda import target_prefix

        prefix = read_prefix(target_prefix())
    else:
        prefix = read_prefix(chosen_prefix(args))
    graph = graph_of(prefix)
    keys = list(dict.fromkeys(key for name in args.packages for key in _meant(graph, name, prefix)))
    return _why(graph, keys, prefix) if args.verb == "why" else _tree(args, graph, keys, prefix)


def _meant(graph: Graph, name: str, prefix: Prefix) -> Sequence[str]:
    found = graph.find(name)
    if not found:
        raise NotInstalled(name, str(prefix.path), among=graph.names)
    return found


# -- why -----------------------------------------------------------------------------------------------


def _why(graph: Graph, keys: Sequence[str], prefix: Prefix) -> Answer:
    document = {
        "success": True,
        "prefix": str(prefix.path),
        "packages": [_json_why(graph, key) for key in keys],
    }
    return document, lambda: "\n\n".join("\n".join(_why_lines(graph, key)) for key in keys)


def _why_lines(graph: Graph, key: str) -> Iterator[str]:
    package = graph.packages[key]
    yield f"{package.title} {package.version} {_came(package, at_length=True)}"
    if package.url:
        yield f"file: {package.url}"
    yield f"asked for: {_asked(package)}"
    if graph.above[key]:
        wanted = [graph.packages[other] for other in graph.reach([key], reverse=True) if other != key]
        here_for = [other.requested for other in wanted if other.requested is not None]
        yield f"needed for: {', '.join(here_for) or 'nothing that anybody asked for'}"
        yield "needed by:"
        signs, width = _terminal()
        lines = tree_lines(graph, [key], partial(_label, graph), reverse=True, width=width, signs=signs)
        yield from islice(lines, 1, None)
    else:
        yield "needed by: nothing"


def _asked(package: Package) -> str:
    if package.requested is not None:
        return f"yes, as {package.requested}"
    seed = package.origin == "pip" and package.name in SEEDS
    return "unknown: environments are made with it" if seed else "no"


def _json_why(graph: Graph, key: str) -> dict[str, Any]:
    names = {other: package.title for other, package in graph.packages.items()}
    chains = list(islice(graph.chains(key), _CHAINS + 1)) if graph.above[key] else []
    return {
        **_json_package(graph, key),
        "chains": [[names[other] for other in chain] for chain in chains[:_CHAINS]],
        "all_chains": len(chains) <= _CHAINS,
    }


# -- tree ----------------------------------------------------------------------------------------------


def _tree(args: argparse.Namespace, graph: Graph, keys: Sequence[str], prefix: Prefix) -> Answer:
    view = _View(
        graph=graph,
        drawn=graph if _PYTHON in keys else graph.without_lines_to(_PYTHON),
        named=keys,
        reverse=bool(getattr(args, "reverse", False)),
        depth=getattr(args, "depth", None),
    )
    document = {
        "success": True,
        "prefix": str(prefix.path),
        "tops": [graph.packages[key].title for key in view.tops],
        "packages": [_json_package(graph, key) for key in graph.packages if key in view.shown],
    }
    file = getattr(args, "svg", None)
    if file is None:
        return document, lambda: f"{view.text()}. Environment: {prefix.path}"
    shown = graph.part(view.shown)
    Path(file).write_text(picture(shown, title=prefix.path.name), encoding="utf-8")
    document["svg"] = str(Path(file).absolute())
    return document, lambda: f"Wrote {file}: {_counts(shown)}. Environment: {prefix.path}"


@dataclass(frozen=True, kw_only=True)
class _View:
    """What of a graph is to be seen: below (in `reverse`: above) the packages `named`, or all of it.

    `drawn` is the graph without the lines to python, which nearly everything needs.
    """

    graph: Graph
    drawn: Graph
    named: Sequence[str]
    reverse: bool
    depth: int | None

    @cached_property
    def tops(self) -> Sequence[str]:
        return self.named or self.drawn.ends(reverse=self.reverse)

    @cached_property
    def shown(self) -> Collection[str]:
        return self.drawn.reach(self.tops, reverse=self.reverse, depth=self.depth)

    def text(self) -> str:
        """The tree, the meaning of its marks, and how many packages it has."""
        signs, width = _terminal()
        label = partial(_label, self.graph) if self.reverse else lambda key, _: _label(self.graph, key, "")
        lines = list(
            tree_lines(
                self.drawn, self.tops, label,
                reverse=self.reverse, depth=self.depth, width=width, signs=signs,
            )
        )  # fmt: skip
        meanings = {signs.again: "in full elsewhere", signs.cycle: "a ring: it stands above"}
        notes = [f"{mark} {words}" for mark, words in meanings.items() if any(mark in line for line in lines)]
        needy = sum(key in self.graph.above.get(_PYTHON, ()) for key in self.shown)
        if self.drawn is not self.graph and needy:
            notes.append(f"python is needed by {needy} of them, and left out below them")
        return "\n".join([*lines, "", *notes, _counts(self.graph.part(self.shown))])


def _label(graph: Graph, key: str, above: str) -> str:
    """A package on a line; where `above` is not "", with what it requires of that package."""
    package = graph.packages[key]
    parts = [f"{package.title} {package.version} {_came(package)}"]
    if above:
        specs = [need.spec for need in package.needs if need.key == above and need.spec]
        parts += [f"requires {' and '.join(dict.fromkeys(specs))}"] if specs else []
    if package.requested is not None:
        parts.append(
            "asked for" if package.requested == package.title else f"asked for as {package.requested}"
        )
    missing = [f"{need.name} {need.spec}".strip() for need in package.needs if not need.key]
    if missing:
        parts.append(f"lacks {', '.join(missing)}")
    return ", ".join(parts)


def _came(package: Package, *, at_length: bool = False) -> str:
    if package.origin == "pypi":
        return f"from PyPI ({package.place})" if at_length and package.place else "from PyPI"
    if package.origin == "channel":
        return f"from channel {package.place}" if at_length else f"from {_short(package.place)}"
    if package.origin == "outside":
        return "from outside: the Python that this environment was made with" if at_length else "from outside"
    return f"placed by {package.place}"


def _short(channel: str) -> str:
    """What a channel is called: the path of its address, of a folder the last part."""
    parts = urlsplit(channel)
    path = parts.path.strip("/")
    return path.rpartition("/")[2] if parts.scheme == "file" else path or channel


def _counts(graph: Graph) -> str:
    words = {
        "channel": "from channels",
        "pypi": "from PyPI",
        "pip": "placed by pip",
        "outside": "from outside",
    }
    origins = [package.origin for package in graph.packages.values()]
    each = [f"{origins.count(origin)} {words[origin]}" for origin in ORIGINS if origin in origins]
    total = f"{len(origins)} package{'' if len(origins) == 1 else 's'}"
    return f"{total} ({', '.join(each)})" if each else total


def _json_package(graph: Graph, key: str) -> dict[str, Any]:
    package = graph.packages[key]
    return {
        "name": package.title,
        "conda_name": None if package.origin == "pip" else package.name,
        "version": package.version,
        "origin": package.origin,
        "from": package.place,
        "url": package.url or None,
        "requested": package.requested,
        "requires": [
            {"name": need.name, "spec": need.spec, "installed": bool(need.key)} for need in package.needs
        ],
        "required_by": [graph.packages[other].title for other in graph.above[key]],
    }


def _terminal() -> tuple[Signs, int | None]:
    """The signs that standard output can show, and the width of a line, None where it is no terminal."""
    try:
        (UNICODE.branch + UNICODE.ellipsis).encode(sys.stdout.encoding or "ascii")
        signs = UNICODE
    except UnicodeEncodeError:
        signs = ASCII
    return signs, shutil.get_terminal_size().columns if os.isatty(1) else None
