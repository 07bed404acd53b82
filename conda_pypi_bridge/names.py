"""How a project of the package index is called among conda packages, and which names are not its own.

Pure: the facts are arguments. An installed environment tells exactly; the user may tell; a table
made from what conda-forge's packages were seen to hold (`namedata`) tells of the names that differ;
otherwise a project has its normalised name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from packaging.utils import canonicalize_name

from .model import CondaName, ProjectName


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


#: Ends the conda name of a project whose own name belongs to another conda package. PEP 503 leaves no
#: underscore in project names, so nothing else is called that.
_SUFFIX = "_pypi"

#: Stands between a project and its extra in the name of the extra's metapackage, for the same reason.
EXTRA = "_extra_"

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


def conda_only(name: str) -> CondaName | None:
    """A name as somebody wrote it, where only conda packages can have it; None where a project may.

    PEP 503 leaves no ``_`` and no ``.`` in the names of projects.
    """
    lower = name.lower()
    return None if canonicalize_name(lower) == lower else CondaName(lower)


def split_extra(name: CondaName) -> tuple[str, str]:
    """The project and the extra that a metapackage is named after; of another name, itself and nothing."""
    project, _, extra = name.partition(EXTRA)
    return project, extra
