"""Whether packages can be installed from records alone: a solve for an environment that exists nowhere."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import cached_property

import rattler
from rattler.exceptions import SolverError

from ...errors import Unsatisfiable
from ...model import PackageRecord, Target
from ...names import never_from_pypi
from .channels import Loop, Overlay, Subdir
from .records import name_of, overlay_record, read_record, venv_python

_loop = Loop()


class Trial:
    """Solves with the `records` that a target is offered.

    Python is in that environment. Whatever else only channels have (native libraries, what the machine is)
    is taken as given.
    """

    def __init__(self, records: Iterable[PackageRecord], target: Target) -> None:
        self._records = list(records)
        self._target = target

    def solve(self, specs: Sequence[str]) -> frozenset[str]:
        """What installing `specs` brings: ``name-version-build`` of each. Raises `Unsatisfiable`."""
        python = read_record(venv_python(self._target.python, self._target.subdir))
        solving = rattler.solve(
            sources=[self._overlay],
            specs=[rattler.MatchSpec(spec) for spec in specs],
            gateway=rattler.Gateway(),
            platforms=[Subdir(self._target.subdir), Subdir("noarch")],
            locked_packages=[python],
            pinned_packages=[python],
        )
        try:
            solution = _loop.run(solving)
        except SolverError as error:
            raise Unsatisfiable(_joined(str(error))) from error
        return frozenset(f"{r.name.normalized}-{r.version}-{r.build}" for r in solution)

    @cached_property
    def _overlay(self) -> Overlay:
        return Overlay([overlay_record(_free(record)) for record in self._records])


def _free(record: PackageRecord) -> PackageRecord:
    """A record without what only channels have."""
    kept = [
        text for text in record.depends if (name := name_of(text)) == "python" or not never_from_pypi(name)
    ]
    return replace(record, depends=tuple(kept))


def _joined(text: str) -> str:
    """The solver's tree of reasons as one line."""
    lines = (line.strip(" │├└─\t") for line in text.splitlines())
    return "; ".join(line for line in lines if line)
