"""What in a report does not agree, each with its remedy in one line. Standard library only."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from . import shell
from .files import quoted
from .findings import Mismatch, Report
from .kernelspec import Kernelspec, prefix_of
from .options import switch
from .shell import is_venv


@dataclass(frozen=True, kw_only=True)
class Advice:
    """What does not agree in a report; each method looks at one part of it.

    `door` is how the user calls the verb ``notebook``.
    """

    report: Report
    environ: Mapping[str, str]
    door: str
    home: Path
    windows: bool

    @property
    def _prefix(self) -> Path:
        return self.report.prefix.resolve()

    @property
    def _enter(self) -> str:
        """How to make a shell agree."""
        prefix = quoted(self.report.prefix)
        if not self.report.in_kernel:
            return f". {prefix}/bin/activate" if is_venv(self.report.prefix) else f"conda activate {prefix}"
        wanted = switch(
            "notebook_shell", default=True, prefix=self.report.prefix, environ=self.environ, home=self.home
        )
        if not wanted:
            return "Take pypi_bridge_notebook_shell: false out of condarc, then restart the kernel."
        if self.report.loads_bridge:
            return "Restart the kernel."
        return f"{self.door} enable -p {prefix}  (then restart the kernel)"

    def of_shell(self) -> Iterator[Mismatch]:
        """Programs and variables that mean another environment."""
        for name in ("python", "pip"):
            found = [program for program in self.report.programs if program.name == name]
            if found and found[0].prefix != self._prefix:
                lacks = name == "pip" and not self._has(name)
                fix = "This environment has no pip: install the package pip." if lacks else self._enter
                yield Mismatch(what=f"{name} on PATH is {found[0].path}, of another environment", fix=fix)
        active = self.report.active
        if active is not None and active.resolve() != self._prefix:
            yield Mismatch(what=f"the active environment is {active}", fix=self._enter)
        other = self.environ.get("VIRTUAL_ENV")
        if other and not is_venv(self.report.prefix):
            what = f"VIRTUAL_ENV names {other}, which uv believes before CONDA_PREFIX"
            yield Mismatch(what=what, fix=self._enter if self.report.in_kernel else "deactivate")

    def _has(self, name: str) -> bool:
        folders = shell.folders(str(self._prefix), windows=self.windows)
        ending = ".exe" if self.windows else ""
        return any((Path(folder) / f"{name}{ending}").exists() for folder in folders)

    def of_imports(self, user_site: str, user_dists: int) -> Iterator[Mismatch]:
        """Folders on sys.path that stand before the environment's own packages."""
        if named := self.environ.get("PYTHONPATH"):
            fix = "Unset PYTHONPATH where Jupyter is started."
            yield Mismatch(what=f"PYTHONPATH puts {named} before the environment's packages", fix=fix)
        if user_dists:
            what = f"{user_dists} distributions in {user_site} go before the environment's own"
            fix = f"conda env config vars set PYTHONNOUSERSITE=1 -p {quoted(self.report.prefix)}"
            yield Mismatch(what=what, fix="Set PYTHONNOUSERSITE=1." if is_venv(self.report.prefix) else fix)

    def of_kernelspecs(self, specs: Sequence[Kernelspec]) -> Iterator[Mismatch]:
        """Kernelspecs that start nothing, another environment, or this one without activating it."""
        here = self.report.prefix
        for spec in specs:
            if not spec.is_python or spec.interpreter is None:
                continue
            label = f"kernelspec {spec.name} ({spec.folder})"
            starts = prefix_of(spec.interpreter)
            told = spec.env.get("CONDA_PREFIX")
            if not spec.interpreter.exists():
                what = f"{label} starts {spec.interpreter}, which is gone"
                yield Mismatch(what=what, fix=f"Delete the folder {spec.folder}")
            elif told and Path(told).resolve() != starts:
                what = f"{label} starts the Python of {starts} with CONDA_PREFIX={told}"
                yield Mismatch(
                    what=what, fix=f"{self.door} kernelspec --kernel {spec.name} -p {quoted(starts)}"
                )
            elif starts != self._prefix and self._prefix in spec.folder.resolve().parents:
                what = f"{label} lies in this environment, and starts the Python of {starts}"
                yield Mismatch(what=what, fix=f"Delete the folder {spec.folder}, or install ipykernel anew.")
            elif spec.is_of(here) and self._lacks_activation(spec, specs):
                what = f"{label} starts this environment without its activation scripts and variables"
                yield Mismatch(what=what, fix=f"{self.door} kernelspec -p {quoted(here)}")

    def _lacks_activation(self, spec: Kernelspec, specs: Sequence[Kernelspec]) -> bool:
        """Whether activation does more than PATH, and no kernelspec of this environment does that.

        One that a package placed is not to be changed: another one beside it will do.
        """
        prefix = self.report.prefix
        if self.windows or not (shell.activation_scripts(prefix, windows=False) or shell.variables(prefix)):
            return False
        return not any(other.activates and other.is_of(prefix) for other in specs)

    def of_package(self) -> Iterator[Mismatch]:
        """Copies that hide each other, and what two installers wrote over each other."""
        package = self.report.package
        if package is None:
            return
        if len(package.copies) > 1:
            what = f"{package.copies[0]} hides {', '.join(package.copies[1:])}"
            yield Mismatch(what=what, fix="Remove or rename the one that you do not mean.")
        if package.loaded and package.file and Path(package.loaded).resolve() != Path(package.file).resolve():
            what = f"the kernel has loaded {package.loaded}, and would import {package.file} now"
            yield Mismatch(what=what, fix="Restart the kernel.")
        foreign = [dist for dist in package.dists if not dist.by_conda]
        if package.owner and foreign:
            dist = foreign[0]
            what = f"{dist.placed_by} wrote {dist.name} {dist.version} over the conda package {package.owner}"
            name, here = package.owner.split()[0], quoted(self.report.prefix)
            yield Mismatch(what=what, fix=f"conda install --force-reinstall -p {here} {name}")
