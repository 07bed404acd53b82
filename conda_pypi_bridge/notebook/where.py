"""Which environment everything belongs to: the kernel, the shell's programs, imports, kernelspecs.

The data first: a `Report`, and what in it does not agree, each with its remedy. Standard library only, so
that a kernel can make the report of itself, whatever its environment has.
"""

from __future__ import annotations

import dataclasses
import os
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from . import _probe, kernelspec, startup
from .advice import Advice
from .condas import find_conda
from .findings import Package, Report, Spec, ask, package_of, programs
from .shell import is_venv


def report_of(
    prefix: Path,
    environ: Mapping[str, str],
    *,
    package: str | None = None,
    in_kernel: bool = False,
    door: str = "python -m conda_pypi_bridge notebook",
    home: Path | None = None,
    windows: bool = os.name == "nt",
) -> Report:
    """The report on an environment as seen with `environ`; `package` is a module or a distribution.

    In a kernel, `prefix` is its own. Raises `PrefixError` where the environment has no Python that runs.
    """
    home = home or Path.home()
    found = _probe.look(package) if in_kernel else ask(prefix, environ, package, windows)
    conda = find_conda(prefix, environ, windows=windows).found
    active = environ.get("CONDA_PREFIX") if not is_venv(prefix) else environ.get("VIRTUAL_ENV")
    # A Jupyter in the installation above is the usual one to start kernels of its environments.
    above = [prefix.parent.parent] if prefix.parent.name == "envs" else []
    specs = list(kernelspec.installed(kernelspec.data_folders([prefix, *above], environ, home)))
    report = Report(
        prefix=prefix,
        python=Path(found["executable"]),
        version=found["version"],
        in_kernel=in_kernel,
        active=Path(active) if active else None,
        loads_bridge=startup.read(prefix) is not None,
        conda=shlex.join(conda.argv) if conda else "",
        programs=tuple(programs(environ.get("PATH", ""), windows=windows)),
        sys_path=tuple(found["path"]),
        kernelspecs=tuple(map(_spec, specs)),
        package=package_of(prefix, found["package"]) if found["package"] else None,
        mismatches=(),
    )
    advice = Advice(report=report, environ=environ, door=door, home=home, windows=windows)
    mismatches = [
        *advice.of_shell(),
        *advice.of_imports(found["user_site"], found["user_dists"]),
        *advice.of_kernelspecs(specs),
        *advice.of_package(),
    ]
    return dataclasses.replace(report, mismatches=tuple(mismatches))


def document(report: Report) -> dict[str, Any]:
    """The report for JSON."""

    def plain(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {key: plain(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [plain(item) for item in value]
        return str(value) if isinstance(value, Path) else value

    shown: dict[str, Any] = plain(dataclasses.asdict(report))
    return shown


def text(report: Report) -> str:
    """The report for people: with a package, that alone."""
    lines = list(_package_lines(report.package)) if report.package else list(_environment_lines(report))
    if report.mismatches:
        lines += ["", "What does not agree:"]
        for mismatch in report.mismatches:
            lines += [f"  {mismatch.what}", f"    {mismatch.fix}"]
    elif not report.package:
        lines += ["", "Everything agrees."]
    return "\n".join(lines)


def _environment_lines(report: Report) -> Iterator[str]:
    yield f"Environment: {report.prefix}"
    yield f"{'Kernel' if report.in_kernel else 'Python'}:      {report.python} ({report.version})"
    yield f"Active:      {report.active or 'none'}"
    yield f"conda:       {report.conda or 'none was found'}"
    loads = "yes" if report.loads_bridge else "no"
    yield f"Kernels of this environment load the bridge: {loads}"
    yield ""
    yield "On PATH, first to last:"
    for program in report.programs:
        mark = "*" if program.prefix == report.prefix.resolve() else " "
        yield f" {mark} {program.name:<7} {program.path}"
    if not report.programs:
        yield "   none"
    yield "   (* of this environment)"
    yield ""
    yield "Imported from (sys.path):"
    yield from (f"   {entry or 'the working folder'}" for entry in report.sys_path)
    yield ""
    yield "Kernelspecs:"
    for spec in report.kernelspecs:
        mark = "*" if spec.prefix == report.prefix.resolve() else " "
        yield f" {mark} {spec.name:<12} {spec.python or 'the Python on PATH'}  ({spec.folder})"
    if not report.kernelspecs:
        yield "   none"


def _package_lines(package: Package) -> Iterator[str]:
    if not package.file and not package.dists:
        yield f"{package.asked}: there is no such module or distribution here"
        return
    yield f"{package.asked}: import {package.module}" if package.module else f"{package.asked}: no module"
    yield f"  file:         {package.file or 'none'}"
    for dist in package.dists:
        editable = ", editable" if dist.editable else ""
        yield f"  distribution: {dist.name} {dist.version}, placed by {dist.placed_by}{editable}"
        yield f"                {dist.folder}"
    if package.owner and not package.dists:
        yield f"  conda package: {package.owner}, placed by {package.placed_by}"
    yield from (f"  hidden copy:  {copy}" for copy in package.copies[1:])


def _spec(spec: kernelspec.Kernelspec) -> Spec:
    python = spec.interpreter
    return Spec(
        name=spec.name,
        display_name=spec.display_name,
        folder=spec.folder,
        python=python,
        prefix=kernelspec.prefix_of(python) if python else None,
    )
