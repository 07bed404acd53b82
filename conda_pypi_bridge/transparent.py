"""What plain conda commands do with packages of the index, once channels alone do not suffice."""

from __future__ import annotations

import datetime as dt
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packaging.utils import canonicalize_name

from .bridge import requests_of
from .closure import Closure
from .display import Terminal, plain
from .engines.conda import (
    UNSATISFIABLE,
    Solving,
    asks_nobody,
    environment_files,
    is_quiet,
    settled,
    told_by_conda,
)
from .engines.conda.engine import CondaEngine
from .errors import Newcomer, NoExtras, NotFound, Unsatisfiable
from .index import Index
from .make import make
from .model import CondaName, Plan, ProjectName, Request, Target
from .names import Names
from .options import Options
from .prefix import Prefix
from .reasons import reasoned, replacement
from .rebuild import rebuilt, restored
from .report import Silent
from .requirementfiles import RequirementFile, read_pip_sections
from .resolve import Resolver
from .session import Session, solver_session
from .settings import is_young

_NO_FILE = RequirementFile()


@dataclass(frozen=True, kw_only=True)
class Asked:
    """conda's specs, and their texts; `ours` are the names that the index serves, `upgraded` those that are
    wanted newer, and without `deps` they come alone.
    """

    specs: Sequence[Any]
    texts: Sequence[str]
    ours: frozenset[str]
    upgraded: frozenset[str]
    deps: bool = True


@told_by_conda()
def solved(path: Path, solving: Solving, asked: Asked, failure: Exception | None) -> Any:
    """A transaction over channels and index.

    Raises ``CondaError``, and where no index has the names either, `failure`: what conda said of them.
    """
    try:
        return _solved(solver_session(Prefix(path), solving), asked)
    except NotFound as error:
        if failure is None:
            raise
        lacking = [spec for spec in asked.specs if canonicalize_name(spec.name) == error.project]
        if not is_quiet():
            print(f"note: no package index has {error.project} either", file=sys.stderr)
        raise settled(failure, lacking, solving.channels) from error
    except NoExtras as error:
        note = f"warning: no index has {error.project}, so its extras are left out"
        print(note, file=sys.stderr)  # as conda leaves out all extras without us
        return solving.solver(path, specs=asked.specs).solve_for_transaction(**solving.tries[-1])
    except Unsatisfiable as error:
        told = _channels_alone(path, solving, asked)
        if told is None:
            raise
        raise settled(told) from error


def _channels_alone(path: Path, solving: Solving, asked: Asked) -> Exception | None:
    """What conda says where the index has no part in a conflict: of what channels alone are asked for."""
    specs = [spec for spec in asked.specs if spec.name not in asked.ours]
    if not specs:
        return None
    try:
        solving.solver(path, specs=specs).solve_for_transaction(**solving.tries[-1])
    except UNSATISFIABLE as error:
        return error
    return None


@told_by_conda()
def relinked(path: Path, solving: Solving, transaction: Any) -> Any:
    """conda's own transaction, its packages of the bridge made once more where no cache has them."""
    work = _Work.of(solver_session(Prefix(path), solving), [])
    plan = restored(work.engine.adopt(transaction), work.target, work.engine, work.index)
    return work.transaction(plan)


@told_by_conda()
def reverted(path: Path, number: int) -> Any | None:
    """The transaction of ``conda install --revision``; None where conda needs no help with it."""
    from .engines.conda.revisions import Revision

    revision = Revision(path, number)
    if not revision.bridged:
        return None
    python = [] if revision.python is None else [f"python =={revision.python}"]
    work = _Work.of(solver_session(Prefix(path)), python)
    found = (rebuilt(dist, work.target, work.engine.names, work.index) for dist in revision.lost)
    packages = [package for package in found if package is not None]
    return work.transaction(work.engine.adopt(revision.transaction(packages), packages))


@dataclass(frozen=True, kw_only=True)
class _Work:
    """What a solve and what follows it share."""

    engine: CondaEngine
    index: Index
    target: Target
    options: Options

    @classmethod
    def of(
        cls,
        session: Session,
        python: Sequence[str],
        files: RequirementFile = _NO_FILE,
        **options: Any,
    ) -> _Work:
        engine = session.engine
        assert isinstance(engine, CondaEngine)
        return cls(
            engine=engine,
            index=session.open_index(files),
            target=engine.target(python),
            options=Options.listed(files, blocked=session.settings.block, **options),
        )

    def transaction(self, plan: Plan) -> Any:
        """conda's transaction, which builds what no cache has once the user agreed."""
        packages = [row.package for row in plan.link if row.package is not None]
        reporter = Terminal(ask=False, quiet=is_quiet())

        @told_by_conda()
        def build() -> None:
            missing = [package for package in packages if not self.engine.has(package.dist)]
            make(missing, self.target, self.engine.stage, self.index, self.options, reporter)

        return self.engine.transaction(plan, build, reporter, "\n".join(self._note(plan)))

    def _note(self, plan: Plan) -> Iterator[str]:
        """Which packages come from the index, since when they are there, and why they are needed."""
        rows = sorted((row for row in plan.link if row.origin == "pypi"), key=lambda row: row.name)
        listed = [row for row in rows if row.package is None or row.package.wheel is not None]
        if listed:
            yield "From PyPI, for what channels lack:\n"
        for row in listed:
            wheel = row.package.wheel if row.package is not None else None
            uploaded = wheel.upload_time if wheel is not None else None
            since = f"uploaded {uploaded:%Y-%m-%d}" if uploaded else ""
            yield f"  {row.name} {row.version}: {', '.join(filter(None, (row.why, since))) or 'as it was'}"
        for dist in self.engine.replaced(plan):
            yield f"  {replacement(dist)}"
        yield ""


def _solved(session: Session, asked: Asked) -> Any:
    python = _python_specs(asked, installed=session.prefix.python is not None)
    section = _pip_section()
    names = session.engine.names
    upgrade = frozenset(name for text in asked.upgraded for name in _names_of(text, names))
    work = _Work.of(session, python, section, upgrade=upgrade, deps=asked.deps)
    requests = list(_requests(asked, work.target.markers, work.engine.names))
    if section.requests:
        requests += requests_of(section.requests, work.target.markers, work.engine.names)
        os.environ["PIP_NO_INDEX"] = "1"  # conda runs pip all the same, which must not look for newer ones
    resolver = Resolver(
        target=work.target, engine=work.engine, index=work.index, options=work.options, reporter=Silent()
    )
    closure, plan = resolver.resolve(requests)
    _refuse_newcomers(plan, closure, session.settings.min_age)
    for remark in () if is_quiet() else closure.remarks:
        print(f"warning: {plain(remark)}", file=sys.stderr)
    work.engine.remember_words(asked.specs)
    return work.transaction(restored(reasoned(closure, plan), work.target, work.engine, work.index))


def _names_of(text: str, names: Names) -> tuple[CondaName, CondaName]:
    """The packages that a name in a spec may mean: of that name, and of the project of that name."""
    return CondaName(text), names.conda_name(ProjectName(canonicalize_name(text)))


def _python_specs(asked: Asked, *, installed: bool) -> list[str]:
    """What decides about Python: nothing where it is installed and not asked for."""
    named = [text for spec, text in zip(asked.specs, asked.texts, strict=True) if spec.name == "python"]
    if installed:
        return named
    known = [text for spec, text in zip(asked.specs, asked.texts, strict=True) if spec.name not in asked.ours]
    return [*known, *([] if named else ["python"])]


def _requests(asked: Asked, markers: Mapping[str, str], names: Names) -> Iterator[Request]:
    """The user's specs: those that channels serve as they are, the others read as PEP 508 too."""
    for spec, text in zip(asked.specs, asked.texts, strict=True):
        if spec.name in asked.ours:
            yield from requests_of([text], markers, names)
        else:
            project = ProjectName(canonicalize_name(spec.name))
            yield Request(text=text, project=project, spec=text)


def _pip_section() -> RequirementFile:
    """What environment files list below ``pip:``, where that is to be installed as conda packages."""
    return read_pip_sections(environment_files(), environ=os.environ)


def _refuse_newcomers(plan: Plan, closure: Closure, age: dt.timedelta) -> None:
    """A name that is new on the index may be a slip of the pen that somebody waited for.

    Where conda asks before it goes on, its question is below the upload date; a script is refused.
    """
    if not asks_nobody():
        return
    for row in plan.link:
        page = closure.page(row.package.project) if row.package is not None else None
        first = page.first_release if page is not None else None
        if page is not None and first is not None and is_young(first, age):
            raise Newcomer(page.project, first)
