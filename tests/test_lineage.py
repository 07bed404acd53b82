"""The verbs ``why`` and ``tree``: who needs a package, where it came from, as text, JSON and picture."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys
import venv as stdlib_venv
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, sync_playwright

from conda_pypi_bridge.errors import NotInstalled
from conda_pypi_bridge.graph import ASCII, Graph, Need, Origin, Package, graph_of, picture, tree_lines
from conda_pypi_bridge.graph.layout import layered
from conda_pypi_bridge.prefix import read_prefix
from tests.doors import DOORS, Bridge, Door
from tests.indexserver import IndexServer
from tests.lab.channels import index_channel, make_python_package
from tests.lab.condas import Conda, Result, python_of, run
from tests.wheels import make_wheel


def graph(needs: Mapping[str, str], *, requested: Sequence[str] = (), origin: Origin = "pypi") -> Graph:
    """Packages of version 1 that need others: ``{"a": "b c", "b": "", "c": ""}``."""
    packages = (
        Package(
            key=name,
            name=name,
            title=name,
            version="1",
            origin=origin,
            requested=name if name in requested else None,
            needs=[Need(key=other, name=other) for other in others.split()],
        )
        for name, others in needs.items()
    )
    return Graph({package.key: package for package in packages})


def drawn(graph: Graph, *tops: str, **options: Any) -> list[str]:
    lines = tree_lines(graph, tops or graph.ends(), lambda key, above: key, **options)
    return list(lines)


# -- the tree ------------------------------------------------------------------------------------------


def test_branches_end_where_nothing_follows() -> None:
    found = drawn(graph({"a": "b d", "b": "c", "c": "", "d": ""}), "a")
    assert found == ["a", "├─ b", "│  └─ c", "└─ d"]


def test_a_terminal_without_such_signs_gets_ascii() -> None:
    found = drawn(graph({"a": "b d", "b": "c", "c": "", "d": ""}), "a", signs=ASCII)
    assert found == ["a", "|-- b", "|   `-- c", "`-- d"]


def test_what_is_needed_twice_stands_in_full_where_it_is_highest() -> None:
    found = drawn(graph({"a": "b c", "b": "c", "c": "d", "d": ""}), "a")
    assert found == ["a", "├─ b", "│  └─ c (*)", "└─ c", "   └─ d"]


def test_what_needs_nothing_is_never_folded() -> None:
    found = drawn(graph({"a": "b c", "b": "c", "c": ""}), "a")
    assert found == ["a", "├─ b", "│  └─ c", "└─ c"]


def test_a_ring_is_marked_and_left() -> None:
    found = drawn(graph({"a": "b", "b": "c", "c": "a"}), "a")
    assert found == ["a", "└─ b", "   └─ c", "      └─ a (cycle)"]


def test_what_needs_itself_is_a_ring() -> None:
    assert drawn(graph({"a": "a"}), "a") == ["a", "└─ a (cycle)"]


def test_below_a_given_depth_packages_are_counted() -> None:
    found = drawn(graph({"a": "b", "b": "c d", "c": "", "d": ""}), "a", depth=1)
    assert found == ["a", "└─ b (+2)"]


def test_in_reverse_it_shows_what_needs_a_package() -> None:
    found = drawn(graph({"a": "c", "b": "c", "c": ""}), "c", reverse=True)
    assert found == ["c", "├─ a", "└─ b"]


def test_no_line_is_wider_than_the_terminal() -> None:
    names = [f"package-number-{number}" for number in range(30)]
    chain = graph(dict(zip(names, [*names[1:], ""], strict=True)))
    for width in (20, 40, 79):
        lines = drawn(chain, width=width)
        assert max(map(len, lines)) <= width
        assert len(lines) == 30
    assert lines[-1].endswith("└─ package-number-29")
    assert lines[-1].startswith("…")


def test_every_package_is_reached_and_what_was_asked_for_comes_first() -> None:
    rings = graph(
        {"a": "b", "b": "", "r": "s", "s": "r x", "x": "y", "y": "x", "z": ""}, requested=["z", "b"]
    )
    assert rings.ends() == ["b", "z", "a", "r"]
    assert set(rings.reach(rings.ends())) == set(rings.packages)


def test_chains_go_up_to_what_was_asked_for_and_never_in_circles() -> None:
    found = graph({"a": "c", "b": "a c", "c": "d", "d": "c"}, requested=["a"])
    assert list(found.chains("d")) == [("a", "c", "d"), ("b", "a", "c", "d"), ("b", "c", "d")]


def test_near_names_are_found_in_any_spelling() -> None:
    found = graph({"typing_extensions": "", "flask": "", "flask-cors": ""})
    assert found.find("Typing.Extensions") == ["typing_extensions"]
    assert NotInstalled("falsk", "/env", among=found.names).near[0] == "flask"
    assert str(NotInstalled("qqq", "/env", among=found.names)) == "/env: nothing named 'qqq' is installed"


# -- environments --------------------------------------------------------------------------------------


@pytest.fixture
def index() -> Iterator[IndexServer]:
    with IndexServer() as server:
        server.add("moo", "2.0", requires=["herd<3", "milk"], extras={"fast": ["turbo"]})
        server.add("herd", "1.5")
        server.add("milk", "1.1", requires=["herd>=1"])
        server.add("turbo", "0.1")
        yield server


@dataclass(frozen=True, kw_only=True)
class Looker:
    """A door, and what it tells."""

    door: Door

    def __call__(self, verb: str, *args: str | Path, **options: Any) -> Result:
        return self.door.call(*self.door.verb_words, verb, "-p", self.door.prefix, *args, **options)

    def rows(self, verb: str, *args: str) -> dict[str, Any]:
        document = self(verb, *args, "--json").json()
        assert document["success"] is True
        assert document["prefix"] == str(self.door.prefix)
        return {row["name"]: row for row in document["packages"]}


@pytest.fixture(params=[*DOORS, "venv"])
def look(request: pytest.FixtureRequest, conda: Conda, bridge: Bridge, index: IndexServer) -> Looker:
    """The verbs at each door, in a conda environment and in a virtual one."""
    prefix = request.getfixturevalue("venv" if request.param == "venv" else "conda_env")
    return Looker(door=Door.of(request.param, prefix, conda, bridge, index))


def pip_install(prefix: Path, *args: str | Path) -> None:
    command = [sys.executable, "-m", "pip", "--python", python_of(prefix), "install", "--no-index"]
    subprocess.run([*map(str, [*command, "-q", "--no-deps", *args])], check=True, stdin=subprocess.DEVNULL)


def test_why_tells_where_a_package_came_from_and_for_whom(look: Looker, index: IndexServer) -> None:
    look.door.install("moo[fast]")
    text = look("why", "herd").stdout.splitlines()
    assert text[0] == f"herd 1.5 from PyPI ({index.url})"
    assert text[1].startswith(f"file: {index.url.removesuffix('/simple/')}")
    assert text[1].endswith("/herd-1.5-py3-none-any.whl")
    assert text[2:] == [
        "asked for: no",
        "needed for: moo, moo[fast]",
        "needed by:",
        "├─ milk 1.1 from PyPI, requires >=1",
        "│  └─ moo 2.0 from PyPI, asked for (*)",
        "└─ moo 2.0 from PyPI, requires <3dev0, asked for",
        "   └─ moo[fast] 2.0 from PyPI, requires ==2.0, asked for",
    ]


def test_why_as_json_lists_every_chain(look: Looker, index: IndexServer) -> None:
    look.door.install("moo")
    row = look.rows("why", "herd")["herd"]
    assert row["chains"] == [["moo", "milk", "herd"], ["moo", "herd"]]
    assert row["all_chains"] is True
    assert (row["origin"], row["from"], row["requested"]) == ("pypi", index.url, None)
    assert row["required_by"] == ["milk", "moo"]


def test_a_package_of_a_channel_names_it(
    look: Looker, extra_channel: Path, channel: Path, index: IndexServer
) -> None:
    make_python_package(extra_channel, "herd", "1.2")
    index_channel(extra_channel)
    look.door.conda.home.use_channels(extra_channel, channel)
    look.door.install("moo", "-c", extra_channel.as_uri())
    first, file, *_ = look("why", "herd").stdout.splitlines()
    assert first == f"herd 1.2 from channel {extra_channel.as_uri()}"
    assert file.startswith(f"file: {extra_channel.as_uri()}/noarch/herd-1.2-")
    assert f"herd 1.2 from {extra_channel.name}" in look("tree", "moo").stdout


def test_what_pip_placed_is_shown_as_such_with_its_extras(look: Looker, tmp_path: Path) -> None:
    look.door.install("moo")
    wheel = make_wheel(tmp_path, "farm", "3.0", requires=["moo[fast]>=2", "absent; python_version>'3'"])
    pip_install(look.door.prefix, wheel)
    text = look("tree", "farm").stdout.splitlines()
    assert text[0] == "farm 3.0 placed by pip, asked for, lacks absent"
    assert text[1].startswith("├─ moo 2.0 from PyPI")
    assert "└─ moo[fast] 2.0 placed by pip, lacks turbo" in text
    row = look.rows("why", "farm")["farm"]
    assert (row["origin"], row["conda_name"], row["url"]) == ("pip", None, wheel.as_uri())
    assert [need["installed"] for need in row["requires"]] == [True, True, False]


def test_the_tree_begins_with_what_was_asked_for(look: Looker) -> None:
    look.door.install("milk", "turbo")
    rows = look.rows("tree")
    assert rows["milk"]["requested"] == "milk"
    text = look("tree").stdout
    lines = [line for line in text.splitlines() if " from PyPI" in line]
    assert lines[:3] == [
        "milk 1.1 from PyPI, asked for",
        "└─ herd 1.5 from PyPI",
        "turbo 0.1 from PyPI, asked for",
    ]
    assert "python is needed by 3 of them, and left out below them" in text
    assert f"Environment: {look.door.prefix}" in text.splitlines()[-1]


def test_the_tree_in_reverse_to_a_depth(look: Looker) -> None:
    look.door.install("moo")
    text = look("tree", "--reverse", "--depth", "1", "herd").stdout.splitlines()
    assert text[:3] == [
        "herd 1.5 from PyPI",
        "├─ milk 1.1 from PyPI, requires >=1 (+1)",
        "└─ moo 2.0 from PyPI, requires <3dev0, asked for",
    ]
    assert set(look.rows("tree", "--reverse", "--depth", "1", "herd")) == {"herd", "milk", "moo"}


def test_a_misspelled_name_is_one_line_with_near_names(look: Looker) -> None:
    look.door.install("milk")
    for verb in ("why", "tree"):
        result = look(verb, "mlik", check=False)
        assert result.returncode == 1
        assert result.stderr == (
            f"error: {look.door.prefix}: nothing named 'mlik' is installed; did you mean milk?\n"
        )


def test_nobody_is_said_to_have_asked_for_what_environments_are_made_with(
    bridge: Bridge, tmp_path: Path
) -> None:
    """ensurepip has pip mark what it places as asked for (PEP 376)."""
    prefix = tmp_path / "fresh"
    stdlib_venv.EnvBuilder(symlinks=True, with_pip=True).create(prefix)
    lines = bridge("why", "-p", prefix, "pip").stdout.splitlines()
    assert lines[1:] == ["asked for: unknown: environments are made with it", "needed by: nothing"]
    assert "asked for" not in bridge("tree", "-p", prefix).stdout


def test_neither_engine_nor_conda_is_loaded(venv: Path) -> None:
    code = (
        "import sys; from conda_pypi_bridge.cli import main; status = main(sys.argv[1:])\n"
        "print(sorted({'conda', 'rattler', 'requests', 'pypi_simple'} & set(sys.modules)), status)"
    )
    done = run([sys.executable, "-c", code, "tree", "-p", venv], {"HOME": str(venv)})
    assert done.stdout.splitlines()[-1] == "[] 0"


def test_credentials_of_urls_are_not_shown(venv: Path) -> None:
    folder = read_prefix(venv).python.site_packages / "farm-1.0.dist-info"  # type: ignore[union-attr]
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: farm\nVersion: 1.0\n")
    (folder / "direct_url.json").write_text(json.dumps({"url": "https://me:secret@host.invalid/farm.whl"}))
    assert graph_of(read_prefix(venv)).packages["pip:farm"].url == "https://host.invalid/farm.whl"


def test_a_terminal_of_another_encoding_gets_a_tree_it_can_show(
    bridge: Bridge, venv: Path, tmp_path: Path
) -> None:
    pip_install(
        venv, make_wheel(tmp_path, "herd", "1.0"), make_wheel(tmp_path, "moo", "1.0", requires=["herd"])
    )
    result = bridge("tree", "-p", venv, "moo", env={"PYTHONIOENCODING": "ascii"})
    assert result.stdout.splitlines()[1] == "`-- herd 1.0 placed by pip, asked for"


# -- the picture ---------------------------------------------------------------------------------------


def big_graph(count: int) -> Graph:
    """A graph as environments have them: most packages need a few that many need."""
    chance = random.Random(count)
    needs: dict[str, str] = {}
    for number in range(count):
        some = {int(chance.triangular(0, number, 0)) for _ in range(chance.randrange(4))} if number else set()
        needs[f"package-{number}"] = " ".join(f"package-{other}" for other in some if other != number)
    return graph(needs, requested=[f"package-{number}" for number in range(count - 5, count)])


@pytest.mark.parametrize("count", [1, 5, 200])
def test_boxes_stand_apart_and_needs_are_to_the_right(count: int) -> None:
    edges = big_graph(count).below
    found = layered(edges, {key: 100.0 + len(key) for key in edges}, row=30, gap=50, least=500)
    assert found.boxes.keys() == edges.keys()
    rows = sorted((box.x, box.y, box.x + box.width) for box in found.boxes.values())
    for i, (left, y, right) in enumerate(rows):
        near = [other for other in rows[i + 1 :] if other[0] < right and left < other[2]]
        assert all(abs(other[1] - y) > 29.9 for other in near)
    for key, others in edges.items():
        assert all(found.boxes[other].x > found.boxes[key].x + found.boxes[key].width for other in others)
    assert max(box.x + box.width for box in found.boxes.values()) <= found.width


def test_a_line_that_follows_from_others_is_not_drawn() -> None:
    edges = {"a": ["b", "c"], "b": ["c"], "c": []}
    found = layered(edges, dict.fromkeys(edges, 50.0), row=30, gap=50, least=100)
    assert len(found.lines) == 2


def test_a_ring_is_drawn_as_one() -> None:
    edges = {"a": ["b"], "b": ["a"]}
    found = layered(edges, dict.fromkeys(edges, 50.0), row=30, gap=50, least=100)
    assert (len(found.lines), found.rings) == (1, [(found.boxes["b"], found.boxes["a"])])


def test_two_hundred_packages_are_drawn_in_a_second_and_on_few_screens() -> None:
    root = ET.fromstring(picture(big_graph(200), title="big"))
    assert float(root.attrib["width"]) < 5000
    assert float(root.attrib["height"]) < 5000


def test_the_picture_needs_no_other_file_and_escapes_what_it_says() -> None:
    text = picture(graph({"<a&b>": ""}), title='"<&>')
    assert {element.tag.partition("}")[2] for element in ET.fromstring(text).iter()} <= {
        *("svg", "title", "style", "rect", "text", "tspan", "g", "path"),
    }
    assert "href" not in text
    assert "url(" not in text


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    executable = shutil.which("chromium") or shutil.which("chromium-browser")
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=executable, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_in_a_browser_names_fit_their_boxes_and_colours_differ(
    browser: Browser, tmp_path: Path, scheme: str
) -> None:
    kinds: Sequence[Origin] = ("channel", "pypi", "pip")
    some = Graph(
        {
            key: replace(package, origin=kinds[i % 3])
            for i, (key, package) in enumerate(big_graph(30).packages.items())
        }
    )
    file = tmp_path / "graph.svg"
    file.write_text(picture(some, title="some"))
    page = browser.new_page(color_scheme=scheme)  # type: ignore[arg-type]
    page.goto(file.as_uri())
    boxes = page.evaluate(
        """[...document.querySelectorAll("g > g")].map(g => [
            g.querySelector("rect").getBBox().width, g.querySelector("text").getBBox().width,
            getComputedStyle(g.querySelector("rect")).fill,
            getComputedStyle(g.querySelector("text")).fill])"""
    )
    page.close()
    assert all(text + 12 <= box for box, text, _, _ in boxes)
    assert len({fill for _, _, fill, _ in boxes}) == 3
    for _, _, fill, ink in boxes:
        assert contrast(fill, ink) > 7  # WCAG 2.2, 1.4.6


def contrast(one: str, other: str) -> float:
    """The contrast of two colours ``rgb(r, g, b)`` as WCAG defines it."""

    def luminance(colour: str) -> float:
        parts = [int(part) / 255 for part in colour.removeprefix("rgb(").rstrip(")").split(",")]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted([luminance(one), luminance(other)])
    return (high + 0.05) / (low + 0.05)


def test_the_verb_writes_the_picture(bridge: Bridge, venv: Path, tmp_path: Path) -> None:
    pip_install(venv, make_wheel(tmp_path, "herd", "1.0"))
    file = tmp_path / "out.svg"
    said = bridge("tree", "-p", venv, "--svg", file).stdout
    assert said == f"Wrote {file}: 1 package (1 placed by pip). Environment: {venv}\n"
    assert "herd" in "".join(ET.parse(file).getroot().itertext())
