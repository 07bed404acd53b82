"""conda's solver plugin: the user's own backend, and the package index for what no channel has.

What channels can do is left to the backend as if nothing was here. Only when a requested name is on no
channel, or belongs to a package that came from the index, are the two resolved together.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from .bridge import reasoned, requests_of
from .display import Terminal
from .engines.conda import (
    UNSATISFIABLE,
    CondaEngine,
    Solving,
    as_conda_error,
    asked_to_update_all,
    is_quiet,
    match_specs,
)
from .errors import BridgeError, NotFound
from .make import make
from .model import CondaName, Plan, Request
from .prefix import Prefix
from .report import Silent
from .resolve import Options, Resolver
from .session import solver_session


class FallbackSolver:
    """A solver as conda's API has it; what is not here is the backend's own."""

    def __init__(
        self,
        prefix: str,
        channels: Iterable[Any],
        subdirs: Iterable[str] = (),
        specs_to_add: Iterable[Any] = (),
        specs_to_remove: Iterable[Any] = (),
        repodata_fn: str = "repodata.json",
        command: Any = None,
    ) -> None:
        self._path = Path(prefix)
        self._specs = match_specs(specs_to_add)
        self._removed = match_specs(specs_to_remove)
        self._command = command
        self._solving = Solving.of_call(channels, subdirs, repodata_fn=repodata_fn, command=command)
        self._plain = self._solving.solver(self._path, specs=self._specs, removed=self._removed)
        self._prefix = Prefix(self._path)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._plain, name)

    def solve_for_transaction(self, **modifiers: Any) -> Any:
        """conda's transaction. Raises what the backend raises, and ``CondaError``."""
        if self._removed:
            return self._plain.solve_for_transaction(**modifiers)
        failure: Exception | None = None
        if not self._concerned(modifiers):
            try:
                return self._plain.solve_for_transaction(**modifiers)
            except UNSATISFIABLE as error:
                failure = error
                if not any(self._is_lacking(spec) for spec in self._specs):
                    raise
        try:
            return self._bridged(modifiers)
        except NotFound as error:
            raise (failure or as_conda_error(error)) from error
        except BridgeError as error:
            raise as_conda_error(error) from error

    def _concerned(self, modifiers: Mapping[str, Any]) -> bool:
        """Whether packages from the index are to be changed, of which the backend knows nothing newer."""
        if asked_to_update_all(modifiers):
            return bool(self._bridged_names)
        return any(spec.name in self._bridged_names for spec in self._specs)

    @property
    def _bridged_names(self) -> frozenset[CondaName]:
        return self._prefix.bridged_names

    def _is_lacking(self, spec: Any) -> bool:
        """Whether no channel has the name; a spec that names its channel is that channel's business."""
        return spec.get("channel") is None and not self._solving.has(spec.name)

    def _bridged(self, modifiers: Mapping[str, Any]) -> Any:
        session = solver_session(self._prefix, replace(self._solving, tries=[modifiers]))
        engine, index = session.engine, session.open_index()
        assert isinstance(engine, CondaEngine)
        texts = [str(spec) for spec in self._specs]
        target = engine.target(self._python_specs(texts))
        options = Options(upgrade=self._upgraded(modifiers))
        reporter = Terminal(ask=False, quiet=is_quiet())
        resolver = Resolver(
            target=target,
            engine=engine,
            index=index,
            options=options,
            reporter=Silent(),
        )
        closure, plan = resolver.resolve([*self._requests(texts, target.markers)])
        packages = [row.package for row in plan.link if row.package is not None]

        def build() -> None:
            missing = [package for package in packages if not engine.has(package)]
            make(missing, target, engine.stage, index, options, reporter)

        return engine.transaction(plan, build, _note(reasoned(closure, plan)))

    def _python_specs(self, texts: Sequence[str]) -> list[str]:
        """What decides about Python: nothing where it is installed and not asked for."""
        named = [text for spec, text in zip(self._specs, texts, strict=True) if spec.name == "python"]
        if self._prefix.python is not None:
            return named
        known = [text for spec, text in zip(self._specs, texts, strict=True) if not self._is_lacking(spec)]
        return [*known, *([] if named else ["python"])]

    def _requests(self, texts: Sequence[str], markers: Mapping[str, str]) -> Iterable[Request]:
        """The user's specs: those that channels serve as they are, the others read as PEP 508 too."""
        for spec, text in zip(self._specs, texts, strict=True):
            (request,) = requests_of([text], markers)
            ours = spec.name in self._bridged_names or self._is_lacking(spec)
            yield request if ours else replace(request, requirement=None, spec=text)

    def _upgraded(self, modifiers: Mapping[str, Any]) -> frozenset[CondaName]:
        """The packages of which newer versions are wanted, although what is installed would do."""
        if asked_to_update_all(modifiers):
            return self._bridged_names
        if self._command in ("update", "upgrade"):
            return frozenset(spec.name for spec in self._specs)
        return frozenset()


def _note(plan: Plan) -> str:
    """Which packages come from the index, since when they are there, and why they are needed."""
    lines = []
    for row in sorted(plan.link, key=lambda row: row.name):
        if row.package is not None and row.package.wheel is not None:
            uploaded = row.package.wheel.upload_time
            since = f", uploaded {uploaded:%Y-%m-%d}" if uploaded else ""
            lines.append(f"  {row.name} {row.version}: {row.why}{since}")
    return "\n".join(["From PyPI, because no channel has them:", "", *lines, ""]) if lines else ""
