"""The house in order, as far as a parser tells: short modules and functions, docstrings that name errors."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import pytest

import conda_pypi_bridge

FOLDER = Path(conda_pypi_bridge.__file__).parent

#: Lines, docstrings and blank ones included.
LONGEST_MODULE, LONGEST_FUNCTION = 400, 50

Function = ast.FunctionDef | ast.AsyncFunctionDef


class Definition(NamedTuple):
    """A function, method or class of a module; functions inside functions are parts of those.

    `name` is dotted (``Class.method``). `docstring` is its own, `above` those of the classes around it.
    """

    name: str
    node: Function | ast.ClassDef
    above: str

    @property
    def is_public(self) -> bool:
        return not any(part.startswith("_") for part in self.name.split("."))

    @property
    def is_method(self) -> bool:
        return "." in self.name and not isinstance(self.node, ast.ClassDef)

    @property
    def docstring(self) -> str:
        return ast.get_docstring(self.node) or ""

    @property
    def lines(self) -> int:
        return (self.node.end_lineno or 0) - self.node.lineno + 1


def definitions(body: list[ast.stmt], prefix: str = "", above: str = "") -> Iterator[Definition]:
    """What a module or a class defines, also below ``if`` and ``try``."""
    for node in body:
        if isinstance(node, Function):
            yield Definition(f"{prefix}{node.name}", node, above)
        elif isinstance(node, ast.ClassDef):
            found = Definition(f"{prefix}{node.name}", node, above)
            yield found
            yield from definitions(node.body, f"{found.name}.", f"{above}{found.docstring}")
        elif isinstance(node, ast.If | ast.Try):
            handlers = [handler.body for handler in node.handlers] if isinstance(node, ast.Try) else []
            for inner in (node.body, node.orelse, *handlers):
                yield from definitions(inner, prefix, above)


def raised(node: ast.AST) -> Iterator[str]:
    """The names of what a function itself raises, apart from what functions within it do."""
    for inner in ast.iter_child_nodes(node):
        if isinstance(inner, ast.Raise) and inner.exc is not None:
            error = inner.exc.func if isinstance(inner.exc, ast.Call) else inner.exc
            yield ast.unparse(error).rpartition(".")[2]
        if not isinstance(inner, Function | ast.ClassDef | ast.Lambda):
            yield from raised(inner)


def errors_of(trees: Mapping[str, ast.Module]) -> set[str]:
    """``BridgeError`` and all that come from it."""
    bases = {
        found.name.rpartition(".")[2]: {ast.unparse(base).rpartition(".")[2] for base in found.node.bases}
        for tree in trees.values()
        for found in definitions(tree.body)
        if isinstance(found.node, ast.ClassDef)
    }
    known = {"BridgeError"}
    while new := {name for name, above in bases.items() if above & known} - known:
        known |= new
    return known


def long_functions(module: str, tree: ast.Module) -> set[str]:
    """Functions of more lines than `LONGEST_FUNCTION`."""
    return {
        f"{module}.{found.name}"
        for found in definitions(tree.body)
        if not isinstance(found.node, ast.ClassDef) and found.lines > LONGEST_FUNCTION
    }


def undocumented(module: str, tree: ast.Module) -> set[str]:
    """The module, and public classes and functions of it, where they have no docstring.

    Methods may do without: many fulfil a protocol that tells what they do, or are named for all they do.
    """
    found = {
        f"{module}.{one.name}"
        for one in definitions(tree.body)
        if one.is_public and not one.is_method and not one.docstring
    }
    return found if ast.get_docstring(tree) else {module, *found}


def silent(module: str, tree: ast.Module, errors: set[str]) -> set[str]:
    """Public functions and methods that raise one of `errors`, which neither they nor their class name."""
    return {
        f"{module}.{found.name} {error}"
        for found in definitions(tree.body)
        if found.is_public and not isinstance(found.node, ast.ClassDef)
        for error in errors.intersection(raised(found.node))
        if error not in f"{found.above} {found.docstring}"
    }


def dotted(path: Path) -> str:
    parts = path.relative_to(FOLDER).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts) or "__init__"


@pytest.fixture(scope="module")
def trees() -> dict[str, ast.Module]:
    """Every module of the package by its name."""
    return {dotted(path): ast.parse(path.read_text("utf-8")) for path in FOLDER.rglob("*.py")}


def test_modules_are_short() -> None:
    lengths = {dotted(path): len(path.read_text("utf-8").splitlines()) for path in FOLDER.rglob("*.py")}
    long = {name for name, lines in lengths.items() if lines > LONGEST_MODULE}
    assert long == set()


def test_functions_are_short(trees: dict[str, ast.Module]) -> None:
    found = {name for module, tree in trees.items() for name in long_functions(module, tree)}
    assert found == set()


def test_modules_and_what_is_public_in_them_have_docstrings(trees: dict[str, ast.Module]) -> None:
    found = {name for module, tree in trees.items() for name in undocumented(module, tree)}
    assert found == set()


def test_docstrings_name_the_errors_that_are_raised(trees: dict[str, ast.Module]) -> None:
    errors = errors_of(trees)
    assert {"ConfigError", "NoLibrary", "PrefixError"} <= errors
    found = {name for module, tree in trees.items() for name in silent(module, tree, errors)}
    assert found == set()


# -- the rules themselves ----------------------------------------------------------------------------

BAD = f"""
class Bad(BridgeError):
    def refuse(self):
        raise Worse("no")

class Worse(Bad):
    '''A subclass of a subclass.'''

def long():
    '''Longer than is allowed.'''
{"    pass" + chr(10) * LONGEST_FUNCTION}    pass

if True:
    def quiet(text):
        '''Says nothing of errors.'''
        try:
            int(text)
        except ValueError:
            raise errors.Worse(text) from None
"""

GOOD = '''"""A module with one job."""

class Worse(BridgeError):
    """A kind of error."""

class Good:
    """Something whose methods raise `Worse`."""

    def refuse(self):
        raise Worse("no")

def loud(text):
    """Raises `Worse`."""
    def inner():
        raise BridgeError("of another function")
    raise Worse

def _private():
    raise Worse
'''


def test_what_breaks_the_rules_is_found() -> None:
    tree = ast.parse(BAD)
    errors = errors_of({"bad": tree})
    assert errors == {"BridgeError", "Bad", "Worse"}
    assert long_functions("bad", tree) == {"bad.long"}
    assert undocumented("bad", tree) == {"bad", "bad.Bad"}
    assert silent("bad", tree, errors) == {"bad.Bad.refuse Worse", "bad.quiet Worse"}


def test_what_obeys_the_rules_is_not() -> None:
    tree = ast.parse(GOOD)
    assert long_functions("good", tree) == set()
    assert undocumented("good", tree) == set()
    assert silent("good", tree, errors_of({"good": tree})) == set()
