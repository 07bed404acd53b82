"""What is installed and removed when faults happen: small projects, in two versions each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.indexserver import IndexServer
from tests.lab.channels import index_channel, make_python_package


@dataclass(frozen=True, kw_only=True)
class Case:
    """A command, `verb` and `specs`, and the steps that make the environment it starts from.

    A step is ``pip`` or a verb, and its specs.
    """

    verb: str
    specs: tuple[str, ...]
    before: tuple[tuple[str, tuple[str, ...]], ...]


_OLD, _NEW = ("moo==1.0",), ("moo==2.0",)
_OLD_COW, _NEW_COW = ("moo==1.0", "cow=1.0"), ("moo==2.0", "cow=2.0")
_BY_PIP = ("pip", ("herd==1.0",))

#: By name; ``+channel`` changes packages of the index and of a channel in one transaction.
CASES: Mapping[str, Case] = {
    "install": Case(verb="install", specs=_NEW, before=(_BY_PIP,)),
    "upgrade": Case(verb="install", specs=_NEW, before=(("install", _OLD),)),
    "downgrade": Case(verb="install", specs=_OLD, before=(("install", _NEW),)),
    "remove": Case(verb="remove", specs=("moo", "herd"), before=(("install", _NEW),)),
    "install+channel": Case(verb="install", specs=_NEW_COW, before=(_BY_PIP,)),
    "upgrade+channel": Case(verb="install", specs=_NEW_COW, before=(("install", _OLD_COW),)),
    "downgrade+channel": Case(verb="install", specs=_OLD_COW, before=(("install", _NEW_COW),)),
    "remove+channel": Case(verb="remove", specs=("moo", "cow"), before=(("install", _NEW_COW),)),
}


def fill_index(index: IndexServer) -> None:
    """``moo`` with scripts, data files and requirements; from 1.0 to 2.0 files come, go and change."""
    index.add(
        "moo",
        "1.0",
        requires=["herd>=1,<2"],
        entry_points={"moo": "moo:main"},
        files={
            "moo/__init__.py": "def main():\n    print('moo 1.0')\n",
            "moo/old/__init__.py": "",
            "moo/old/hoof.py": "hooves = 4\n",
            "moo/sound.txt": "moo\n",
            "{data}/data/share/moo/help.txt": "This is 1.0.\n",
            "{data}/data/share/moo/old.txt": "This was 1.0.\n",
        },
    )
    index.add(
        "moo",
        "2.0",
        requires=["herd>=2", "milk"],
        entry_points={"moo": "moo:main", "moo2": "moo:main"},
        files={
            "moo/__init__.py": "def main():\n    print('moo 2.0')\n",
            "moo/new/__init__.py": "",
            "moo/new/horn.py": "horns = 2\n",
            "moo/sound.txt": "mooo\n",
            "{data}/data/share/moo/help.txt": "This is 2.0.\n",
            "{data}/scripts/moo-count": "#!python\nprint(2)\n",
        },
    )
    for version in ("1.0", "2.0"):
        files = {"herd/__init__.py": f"size = {version}\n", f"herd/v{version[0]}.py": "x = 1\n"}
        index.add("herd", version, files=files, entry_points={"herd": "herd:main"})
    index.add("milk", "1.0")
    for name in ("lamb", "goat"):  # two that have nothing to do with each other, for rounds
        index.add(name, "1.0", files={f"{name}/part{number}.py": f"x = {number}\n" for number in range(12)})


def fill_channel(folder: Path) -> Path:
    """A channel with ``cow``, which the index lacks; returns `folder`."""
    for version in ("1.0", "2.0"):
        modules = {"cow/__init__.py": f"x = {version}\n", f"cow/v{version[0]}.py": "y = 1\n"}
        make_python_package(folder, "cow", version, modules=modules, entry_points=["cow = cow:main"])
    return index_channel(folder)
