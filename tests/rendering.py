"""A recipe as conda-build reads it, without conda-build: selectors, templates, YAML, what keys there are."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2
from ruamel.yaml import YAML

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

#: The keys of each section that recipes here may have (conda-build's documentation, "Defining metadata").
KEYS = {
    "package": {"name", "version"},
    "source": {"url", "sha256", "path"},
    "build": {
        *("number", "noarch", "script", "entry_points", "skip"),
        *("binary_relocation", "detect_binary_files_with_prefix"),
    },
    "requirements": {"host", "run", "run_constrained"},
    "test": {"imports", "requires", "commands", "source_files", "files"},
    "about": {
        *("home", "dev_url", "doc_url", "doc_source_url", "summary", "description"),
        *("license", "license_file", "license_family"),
    },
    "extra": {"recipe-maintainers"},
}

LISTS = {"host", "run", "run_constrained", "imports", "requires", "commands", "entry_points", "license_file"}

#: What conda-build's selectors know of a platform: its own names, and those of every architecture.
_ARCHITECTURES = ("x86_64", "aarch64", "arm64", "ppc64le", "s390x", "riscv64")

#: A selector is what stands in brackets in a comment that ends a line; also where nobody meant one.
_SELECTOR = re.compile(r"(?P<line>.+?)\s*#.*\[(?P<selector>[^\[\]]+)\][^()]*$")


def namespace(subdir: str, py: int) -> dict[str, Any]:
    """The names that a selector may use, with what they are on a platform."""
    system, _, machine = subdir.partition("-")
    arch = {"64": "x86_64"}.get(machine, machine)
    return {
        **{name: name == system for name in ("linux", "osx", "win")},
        **{name: name == arch for name in _ARCHITECTURES},
        "unix": system in ("linux", "osx"),
        "linux64": subdir == "linux-64",
        "win64": subdir == "win-64",
        "py": py,
    }


def holds(selector: str, subdir: str, py: int) -> bool:
    """Whether a selector holds; fails the test where it is not made of names, numbers and comparisons."""
    tree = ast.parse(selector, mode="eval")
    allowed = (ast.Expression, ast.BoolOp, ast.UnaryOp, ast.Compare, ast.Name, ast.Constant, ast.Load)
    operators = (ast.And, ast.Or, ast.Not, ast.cmpop)
    assert all(isinstance(node, (*allowed, *operators)) for node in ast.walk(tree)), selector
    return bool(eval(compile(tree, "selector", "eval"), {"__builtins__": {}}, namespace(subdir, py)))


def render(path: Path, subdir: str = "linux-64", py: int = 312) -> dict[str, Any]:
    """``meta.yaml`` for a platform and a Python, checked: its keys, the kinds of values, no key twice."""
    lines = []
    for line in path.read_text("utf-8").splitlines():
        match = _SELECTOR.match(line)
        if match is None or holds(match["selector"], subdir, py):
            lines.append(match["line"] if match else line)
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined)

    def load_file_data(name: str, *, from_recipe_dir: bool) -> Mapping[str, Any]:
        assert from_recipe_dir
        return tomllib.loads((path.parent / name).read_text("utf-8"))

    text = environment.from_string("\n".join(lines)).render(PYTHON="PYTHON", load_file_data=load_file_data)
    loaded = YAML(typ="safe").load(text)  # which refuses a key that stands twice
    recipe: dict[str, Any] = {name: section or {} for name, section in loaded.items()}
    _check(recipe)
    return recipe


def _check(recipe: Mapping[str, Any]) -> None:
    assert recipe.keys() <= KEYS.keys()
    for name, section in recipe.items():
        assert section.keys() <= KEYS[name], name
        for key, value in section.items():
            assert not isinstance(value, list) or all(isinstance(item, str) for item in value), key
            assert key not in LISTS or isinstance(value, list | str), key
    name, version = recipe["package"]["name"], recipe["package"]["version"]
    assert re.fullmatch(r"_?[a-z0-9]+(?:[._-][a-z0-9]+)*[._-]?", name)  # CEP 26
    assert isinstance(version, str)
    assert re.fullmatch(r"(?:\d+!)?[a-z0-9_]+(?:\.[a-z0-9_]+)*", version)  # CEP 33
    assert recipe["build"].get("noarch") in (None, "python", "generic")
