"""A recipe as the text of ``meta.yaml``. Pure; the same recipe has the same text."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from .content import Line, Recipe
from .selectors import bare

#: Ends a line that a person must look at before the recipe goes to a channel.
LOOK = "LOOK"

#: YAML reads these as what they are, and conda-build finds neither a template nor a selector in them.
_PLAIN = re.compile(r"[A-Za-z_](?:[\w./+=<>!|,*:()-]|(?<!:) (?!#))*(?<![: ])", re.ASCII)
_WORDS = frozenset(["true", "false", "yes", "no", "on", "off", "null", "y", "n"])

#: What begins a template, a comment or a selector in any place, and, beside what JSON escapes, what ends a
#: line for YAML or Python, or stands in no YAML file.
_ACTIVE = re.compile(r"[{}#\[\]%\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")


def text(recipe: Recipe) -> str:
    """``meta.yaml``, in UTF-8 and with a newline at its end."""
    return "\n".join([*_head(recipe), *_body(recipe)]) + "\n"


def _head(recipe: Recipe) -> Iterator[str]:
    yield _comment(f"{recipe.project} {recipe.version}, written by conda-pypi-bridge from {recipe.made_of}.")
    for look in (*recipe.looks, "extra/recipe-maintainers") if not recipe.maintainers else recipe.looks:
        yield _comment(f"{LOOK} at {look}")


def _body(recipe: Recipe) -> Iterator[str]:
    yield from _section("package", [f"name: {scalar(recipe.name)}", f"version: {quoted(recipe.version)}"])
    yield from _section("source", _sources(recipe))
    yield from _section("build", _build(recipe))
    lists = {"host": recipe.host, "run": recipe.run}
    yield from _section("requirements", _lists(lists))
    yield from _section("test", _lists(_tests(recipe)))
    yield from _section("about", _about(recipe))
    names = [Line(text=name) for name in recipe.maintainers]
    placeholder = [Line(text="MAINTAINER", look="who looks after the recipe: --maintainer NAME")]
    yield from _section("extra", _lists({"recipe-maintainers": names or placeholder}))


def _section(name: str, lines: Iterable[str]) -> Iterator[str]:
    found = list(lines)
    if found:
        yield from ("", f"{name}:", *(f"  {line}" for line in found))


def _sources(recipe: Recipe) -> Iterator[str]:
    for source in recipe.sources:
        yield _ended(f"url: {scalar(source.url)}", source.selector)
        yield _ended(f"sha256: {quoted(source.sha256)}", source.selector)


def _build(recipe: Recipe) -> Iterator[str]:
    yield "number: 0"
    if recipe.noarch:
        yield f"noarch: {recipe.noarch}"
    if recipe.skip:
        yield _ended("skip: true", recipe.skip)
    if recipe.script:
        yield f"script: {recipe.script}"
    if not recipe.relocate:
        yield "binary_relocation: false  # the wheel's libraries find each other as they are"
        yield "detect_binary_files_with_prefix: false"
    if recipe.noarch == "python":
        yield from _lists({"entry_points": [Line(text=point) for point in recipe.contents.entry_points]})


def _tests(recipe: Recipe) -> Mapping[str, Sequence[Line]]:
    if not recipe.sources:
        return {"commands": [Line(text="echo nothing to test", look="a package without files")]}
    scripts = [point.partition("=")[0].strip() for point in recipe.contents.entry_points]
    helps = [Line(text=f"{name} --help", look="not every command has --help") for name in scripts]
    return {
        "imports": [Line(text=name) for name in recipe.contents.imports],
        "requires": [Line(text="pip")],
        "commands": [Line(text="pip check"), *helps],
    }


def _about(recipe: Recipe) -> Iterator[str]:
    about = {
        **{key: recipe.contents.links.get(key, "") for key in ("home", "dev_url", "doc_url")},
        "summary": recipe.summary,
        "license": recipe.license,
    }
    yield from (f"{key}: {scalar(value)}" for key, value in about.items() if value)
    yield from _lists({"license_file": [Line(text=path) for path in recipe.contents.licenses]})


def _lists(lists: Mapping[str, Sequence[Line]]) -> Iterator[str]:
    for name, lines in lists.items():
        if lines:
            yield f"{name}:"
            yield from (f"  - {_item(line)}" for line in lines)


def _item(line: Line) -> str:
    ended = _ended(scalar(line.text), line.selector)
    return f"{ended}  {_comment(f'{LOOK}: {line.look}')}" if line.look else ended


def _ended(text: str, selector: str) -> str:
    return f"{text}  # [{bare(selector)}]" if selector else text


def _comment(text: str) -> str:
    """A comment in which conda-build sees no selector and no template."""
    return "# " + _ACTIVE.sub("", text)


def scalar(text: str) -> str:
    """A YAML string that conda-build reads as `text`."""
    return text if _PLAIN.fullmatch(text) and text.lower() not in _WORDS else quoted(text)


def quoted(text: str) -> str:
    """The same, always in quotes."""
    return _ACTIVE.sub(lambda match: f"\\u{ord(match[0]):04x}", json.dumps(text, ensure_ascii=False))
