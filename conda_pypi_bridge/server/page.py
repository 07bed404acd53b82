"""The page at ``/``: what the channel holds, for a person. One document that needs nothing else.

Every name in it may have been chosen by somebody hostile: all text is escaped, and the page's policy admits
no style and no script but its own two, by their hashes (Content Security Policy, level 3).
"""

from __future__ import annotations

import base64
import hashlib
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from html import escape
from importlib.resources import files
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from packaging.utils import canonicalize_name
from packaging.version import Version

from .. import __version__
from ..display import human_size
from ..model import ProjectName
from ..versions import read_spec

if TYPE_CHECKING:
    from ..channel.catalogue import Catalogue
    from ..channel.model import Scope

#: Releases that a minor version of Python may have.
_MICROS = 30

#: Names that a search shows at most.
MOST = 200

_STYLE, _SCRIPT = (files(__package__).joinpath(name).read_text("utf-8") for name in ("page.css", "page.js"))


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


#: What a browser may do with the page: nothing of anybody else's, and nothing that is not in it.
POLICY = "; ".join(
    (
        "default-src 'none'",
        f"style-src {_hash(_STYLE)}",
        f"script-src {_hash(_SCRIPT)}",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)


@dataclass(frozen=True, kw_only=True)
class Release:
    """One version of a project as the channel offers it; `sizes` in bytes, of its packages."""

    version: str
    subdirs: Sequence[str]
    pythons: Sequence[str]
    sizes: Sequence[int]


@dataclass(frozen=True, kw_only=True)
class Shown:
    """What the page shows: one project, what a search found, or how to begin.

    `wanted` is the project that was asked for and `found` whether there is one.
    """

    text: str = ""
    names: Sequence[str] = ()
    wanted: str = ""
    found: bool = True
    name: str = ""
    releases: Sequence[Release] = ()
    facts: Sequence[tuple[str, str]] = ()


def look(catalogue: Catalogue, wanted: str, text: str) -> Shown:
    """What to show: the project `wanted`, else names with `text` in them, else how to begin."""
    if wanted:
        project = ProjectName(canonicalize_name(wanted))
        told = catalogue.describe(project)
        releases = _releases(told["published"], told["name"], catalogue.scope)
        return Shown(wanted=project, found=told["known"], name=told["name"], releases=releases)
    if text:
        return Shown(text=text, names=catalogue.search(text, MOST + 1))
    return Shown(facts=_facts(catalogue))


def _facts(catalogue: Catalogue) -> list[tuple[str, str]]:
    scope, known = catalogue.scope, catalogue.statistics()["names"]
    return [
        *([("Projects", f"{known:,}")] if known else []),
        ("Platforms", ", ".join(scope.subdirs)),
        ("Pythons", _span([str(python) for python in scope.pythons])),
    ]


def _releases(published: Sequence[Mapping[str, Any]], name: str, scope: Scope) -> list[Release]:
    """The versions of what is published under the project's own name, the newest first."""
    versions: dict[str, list[Mapping[str, Any]]] = {}
    for entry in published:
        if entry["name"] == name:
            versions.setdefault(entry["version"], []).append(entry)
    return [
        Release(
            version=version,
            subdirs=sorted({entry["subdir"] for entry in entries}),
            pythons=[str(python) for python in scope.pythons if any(map(partial(_admits, python), entries))],
            sizes=[entry["size"] for entry in entries],
        )
        for version, entries in sorted(versions.items(), key=lambda item: Version(item[0]), reverse=True)
    ]


def _admits(python: Version, entry: Mapping[str, Any]) -> bool:
    """Whether some release of a minor version of Python may have the package."""
    specs = [spec.split() for spec in entry["depends"] if spec.split()[0] == "python"]
    admitted = [read_spec(spec[1]) for spec in specs if len(spec) > 1]
    return any(all(Version(f"{python}.{micro}") in one for one in admitted) for micro in range(_MICROS))


def html(shown: Shown, channel: str) -> str:
    """The page. `channel` is the channel's URL as the visitor reaches it."""
    if shown.wanted:
        title, main = shown.wanted, _project(shown, channel)
    elif shown.text:
        title, main = f"Search: {shown.text}", _results(shown)
    else:
        title, main = "PyPI as a conda channel", _start(shown, channel)
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)}</title>
<style>{_STYLE}</style>
</head>
<body>
<a class="skip" href="#content">Skip to the content</a>
<header>
{_heading(shown)}
<form action="./" method="get" role="search">
<input id="q" type="search" name="q" value="{escape(shown.text)}" placeholder="Search projects" \
aria-label="Search projects" autocomplete="off" autocapitalize="off" spellcheck="false" maxlength="100">
<button>Search</button>
</form>
</header>
<main id="content">
{main}
</main>
<footer>conda-pypi-bridge {escape(__version__)}</footer>
<div id="said" role="status" class="skip"></div>
<script>{_SCRIPT}</script>
</body>
</html>
"""


def _heading(shown: Shown) -> str:
    if shown.wanted:
        return '<p class="quiet"><a href="./">PyPI as a conda channel</a></p>'
    return """<h1><a href="./">PyPI as a conda channel</a></h1>
<p class="quiet">Projects of a Python package index as conda packages, for conda, mamba and pixi.
A package is built when somebody first asks for it.</p>"""


def _start(shown: Shown, channel: str) -> str:
    facts = "".join(
        f"<div><dt>{escape(term)}</dt><dd>{escape(value)}</dd></div>\n" for term, value in shown.facts
    )
    return f'<dl class="facts">\n{facts}</dl>\n<h2>Use it</h2>\n{_commands(channel, "NAME")}'


def _results(shown: Shown) -> str:
    if not shown.names:
        return f"<h2>No project has “{escape(shown.text)}” in its name</h2>"
    many = len(shown.names) > MOST
    count = (
        f"More than {MOST:,} projects"
        if many
        else f"{len(shown.names):,} project{'s'[: len(shown.names) > 1]}"
    )
    links = "".join(
        f'<li><a href="?project={quote(name, safe="")}">{escape(name)}</a></li>\n'
        for name in shown.names[:MOST]
    )
    return f'<h2>{count} with “{escape(shown.text)}” in the name</h2>\n<ul class="found">\n{links}</ul>'


def _project(shown: Shown, channel: str) -> str:
    heading = f"<h1>{escape(shown.wanted)}</h1>\n"
    if not shown.found:
        return (
            f"{heading}<p>The index has no such project, or nothing of it that becomes a conda package.</p>"
        )
    named = f'<p class="quiet">The conda package is called {escape(shown.name)}.</p>\n'
    rows = "".join(_row(release) for release in shown.releases)
    table = f"""<div class="scroll" tabindex="0" role="region" aria-label="Versions">
<table>
<thead><tr><th scope="col">Version</th><th scope="col">Platforms</th><th scope="col">Pythons</th>\
<th scope="col" class="number">Size</th></tr></thead>
<tbody>
{rows}</tbody>
</table>
</div>"""
    none = """<p>Nothing of it is built yet. Clients that read sharded repodata, as pixi does, have it built
by asking for it; all others find it from then on.</p>"""
    return (
        f"{heading}{named if shown.name != shown.wanted else ''}{_commands(channel, shown.name)}\n"
        f"<h2>Versions</h2>\n{table if shown.releases else none}"
    )


def _row(release: Release) -> str:
    sizes = [human_size(size) for size in (min(release.sizes), max(release.sizes))]
    return (
        f"<tr><td>{escape(release.version)}</td>"
        f'<td class="wide">{escape(", ".join(release.subdirs))}</td>'
        f"<td>{escape(_span(release.pythons))}</td>"
        f'<td class="number">{" to ".join(dict.fromkeys(sizes))}</td></tr>\n'
    )


def _span(pythons: Sequence[str]) -> str:
    """Minor versions in their order: the first and the last of many."""
    return ", ".join(pythons) if len(pythons) < 3 else f"{pythons[0]} to {pythons[-1]}"


def _commands(channel: str, name: str) -> str:
    """What to type, for each client: the channel comes last, so that no upload goes before conda-forge."""
    channel, name = shlex.quote(channel), shlex.quote(name)
    typed = {
        "conda": f"conda install -c conda-forge -c {channel} {name}",
        "mamba": f"mamba install -c conda-forge -c {channel} {name}",
        "pixi": f"pixi workspace channel add {channel} && pixi add {name}",
    }
    rows = "".join(
        f"<div><dt>{client}</dt><dd><code>{escape(command)}</code></dd></div>\n"
        for client, command in typed.items()
    )
    return f'<dl class="commands">\n{rows}</dl>'
