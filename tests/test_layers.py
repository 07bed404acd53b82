"""The shape of the project: imports point downward, the core is pure, nothing is tied to one machine."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pypi_simple
import pytest

import conda_pypi_bridge
from tests.lab.condas import Home, run

REPOSITORY = Path(__file__).parents[1]
PACKAGE = "conda_pypi_bridge"

#: Packages whose modules are rooms of their own; any other package is one room.
DIVIDED = {"building", "channel", "closure", "engines", "index", "recipe"}

#: Who stands above whom. A room imports rooms of a lower rank only.
RANKS = {
    # doors
    "__main__": 46,
    "settle": 46,
    "plugin": 46,
    "cli": 45,
    "verbs": 44,
    "arguments": 42,
    "fallback": 42,
    "hints": 42,
    "housekeeping": 41,
    "mirror": 41,
    "notebook": 41,
    "server": 41,
    "transparent": 41,
    "channelargs": 40,
    "completion": 43,
    "lineage": 40,
    "optiongroups": 40,
    "teaching": 40,
    "display": 40,
    "checkup": 41,
    "session": 39,
    # story
    "channel.catalogue": 35,
    "channel.selection": 34,
    "channel.supply": 34,
    "channel.withdrawals": 34,
    "channel.shardindex": 34,
    "channel.offering": 33,
    "channel.packages": 33,
    "channel.usage": 32,
    "channel.wants": 32,
    "channel.projects": 32,
    "channel.store": 31,
    "channel.listings": 30,
    "channel.flights": 30,
    "channel.failures": 30,
    "channel.tasks": 30,
    "doctor": 31,
    "recipe": 31,
    "graph": 31,
    "bridge": 30,
    "make": 29,
    "reasons": 29,
    "rebuild": 29,
    "resolve": 28,
    "limits": 27,
    "options": 26,
    # edges
    "lookup": 27,
    "ahead": 26,
    "index": 25,
    "building": 25,
    "index.remotepages": 24,
    "index.rootpages": 24,
    "index.remotezip": 24,
    "index.transfer": 24,
    "index.fetch": 23,
    "index.origins": 22,
    "caches": 22,
    "recipe.sdist": 22,
    "index.sending": 22,
    "building.wheelfile": 22,
    "index.answers": 21,
    "index.localindex": 21,
    "engines.conda": 21,
    "engines.rattler": 21,
    "building.wheelreader": 21,
    "engines": 20,
    "prefix": 20,
    "store": 20,
    "building.turns": 19,
    "condarc": 20,
    "condarcfile": 21,
    "config": 20,
    "index.connections": 20,
    "credentials": 20,
    "namedata": 20,
    "index.pages": 20,
    "manifests": 20,
    "requirementfiles": 21,
    "settings": 20,
    "building.strictzip": 20,
    "index.upstream": 19,
    "placing": 20,
    "channel.directory": 19,
    "index.deadline": 19,
    "digests": 19,
    "once": 19,
    "locks": 19,
    # core
    "channel.formats": 18,
    "recipe.text": 18,
    "channel.direct": 17,
    "recipe.content": 17,
    "channel.offers": 16,
    "channel.model": 15,
    "channel": 15,
    "explain": 14,
    "closure": 13,
    "closure.candidates": 12,
    "closure.wants": 11,
    "closure.lookahead": 12,
    "specs": 12,
    "translate": 12,
    "markers": 11,
    "names": 11,
    "projecturls": 11,
    "recipe.selectors": 11,
    "tags": 11,
    "roster": 10,
    "versions": 10,
    # ground
    "report": 2,
    "deferred": 2,
    "model": 1,
    "errors": 0,
    "redaction": -1,
    "": -1,  # the package itself: its version
}
CORE = {room for room, rank in RANKS.items() if rank < 19}

#: Who may import a library whose presence depends on the door that the user came through.
ONLY = {"conda": {"engines.conda", "plugin"}, "rattler": {"engines.rattler"}}

#: Disk, network, environment variables, and what the running interpreter is.
IMPURE = {
    *("os", "pathlib", "io", "glob", "shutil", "tempfile", "fcntl", "mmap", "sqlite3", "zipfile", "tarfile"),
    *("socket", "ssl", "http", "urllib.request", "requests", "urllib3", "pypi_simple", "asyncio"),
    *("subprocess", "multiprocessing", "platform", "sysconfig", "sys", "locale", "site", "platformdirs"),
}

#: The package that is imported: in a source distribution it may be installed elsewhere.
FOLDER = Path(conda_pypi_bridge.__file__).parent

MODULES = sorted(FOLDER.rglob("*.py"))


def dotted(path: Path) -> str:
    """A module's name below the package: ``engines.conda``; "" is the package itself."""
    parts = path.relative_to(FOLDER).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def room(module: str) -> str:
    """The room that a module of the package belongs to."""
    first, _, rest = module.partition(".")
    return f"{first}.{rest.split('.')[0]}" if first in DIVIDED and rest else first


def imports(path: Path, nodes: Iterator[ast.AST]) -> Iterator[str]:
    """The absolute names that import statements among `nodes` load, relative ones resolved."""
    package = [PACKAGE, *path.relative_to(FOLDER).parent.parts]
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            # ``from . import names`` loads a module, ``from .names import Names`` a name.
            yield from (name if is_module(name := f"{base}.{alias.name}") else base for alias in node.names)


def is_module(name: str) -> bool:
    path = FOLDER.parent.joinpath(*name.split("."))
    return path.with_suffix(".py").exists() or (path / "__init__.py").exists()


def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"), path.name)


def within(name: str, modules: set[str]) -> bool:
    """Whether `name` is one of `modules` or inside one."""
    return any(name == module or name.startswith(f"{module}.") for module in modules)


@pytest.mark.parametrize("path", MODULES, ids=dotted)
def test_every_module_has_a_rank(path: Path) -> None:
    assert room(dotted(path)) in RANKS


@pytest.mark.parametrize("path", MODULES, ids=dotted)
def test_imports_point_downward(path: Path) -> None:
    """Also inside functions and under TYPE_CHECKING: a late import is still a dependency."""
    here = room(dotted(path))
    loaded = [name for name in imports(path, ast.walk(parsed(path))) if within(name, {PACKAGE})]
    rooms = {room(name.removeprefix(PACKAGE).removeprefix(".")) for name in loaded} - {here}
    assert {other for other in rooms if RANKS[other] >= RANKS[here]} == set()


@pytest.mark.parametrize("path", MODULES, ids=dotted)
def test_engines_keep_their_libraries_to_themselves(path: Path) -> None:
    loaded = list(imports(path, ast.walk(parsed(path))))
    for library, rooms in ONLY.items():
        if room(dotted(path)) not in rooms:
            assert [name for name in loaded if within(name, {library})] == []


@pytest.mark.parametrize("path", [path for path in MODULES if room(dotted(path)) in CORE], ids=dotted)
def test_core_is_pure(path: Path) -> None:
    """No disk, network or environment variable, and nothing about the interpreter that runs it."""
    tree = parsed(path)
    assert [name for name in imports(path, ast.walk(tree)) if within(name, IMPURE)] == []
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    used |= {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    assert used & {"open", "sys_tags", "default_environment", "__import__", "import_module"} == set()


@pytest.mark.parametrize("path", [path for path in MODULES if room(dotted(path)) in CORE], ids=dotted)
def test_core_is_documented(path: Path) -> None:
    tree = parsed(path)
    assert ast.get_docstring(tree)
    public = [
        node
        for node in tree.body
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_")
    ]
    assert [node.name for node in public if not ast.get_docstring(node)] == []


def test_loading_the_plugin_loads_nothing_else(home: Home) -> None:
    """conda loads plugins at every command: ours may not bring a module that conda has not got already."""
    code = (
        "import sys, conda_from_lock, conda.base.context, conda.cli.conda_argparse, conda.plugins.manager\n"
        "before = set(sys.modules)\n"
        f"import {PACKAGE}.plugin\n"
        "print(*sorted(set(sys.modules) - before))\n"
    )
    env = home.environment() | {"PYTHONPATH": str(REPOSITORY / "tests" / "lab")}
    done = run([sys.executable, "-c", code], env)
    loaded = set(done.stdout.split()) - {"conda.plugins.types"}
    assert loaded == {PACKAGE, f"{PACKAGE}.plugin", f"{PACKAGE}.deferred"}


def tracked_names() -> list[str]:
    """The files that git tracks; in a source distribution, all that it carries."""
    if (REPOSITORY / ".git").exists():
        command = ["git", "ls-files", "-z"]
        listed = subprocess.run(command, cwd=REPOSITORY, capture_output=True, check=True)
        return [name for name in listed.stdout.decode().split("\0") if name]
    names = (path.relative_to(REPOSITORY) for path in REPOSITORY.rglob("*"))
    return [
        name.as_posix()
        for name in names
        if not any(part.startswith((".", "__pycache__")) for part in name.parts)
    ]


def tracked_texts() -> Iterator[tuple[str, str]]:
    """The text files among them: name and content."""
    for name in tracked_names():
        path = REPOSITORY / name
        if path.is_file() and b"\0" not in (data := path.read_bytes()):
            yield name, data.decode("utf-8")


def test_no_file_names_the_default_index() -> None:
    """The default index is the client library's constant, so that it is written in one place."""
    host = urlsplit(pypi_simple.PYPI_SIMPLE_ENDPOINT).netloc
    assert [name for name, text in tracked_texts() if host in text] == []


def test_no_file_has_a_path_of_one_machine() -> None:
    """Neither of this machine (its home, this checkout, its Python), nor of somebody else's home."""
    here = {str(REPOSITORY), str(Path.home()), sys.prefix, sys.base_prefix}
    ours = "|".join(re.escape(path) + r"(?![\w.-])" for path in here - {"/", "/usr", os.sep})
    homes = r"(?<![\w.-])/(?:root|home/\w+|Users/\w+)/"
    pattern = re.compile(rf"{ours}|{homes}")
    found = {name: match[0] for name, text in tracked_texts() if (match := pattern.search(text))}
    assert found == {}
