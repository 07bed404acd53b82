"""Packages for who asks: planned, built the newest first, and offered once enough time has passed."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures import TimeoutError as Late  # Python 3.10 has two
from dataclasses import dataclass
from functools import partial
from typing import Any

from ..errors import BridgeError, Busy, IndexFailure, OfflineError
from ..model import PackageRecord, ProjectName
from .failures import LASTING_SECONDS, Failures, Refusals, is_passing
from .model import Published, Scope
from .offering import Offering, Plan, python_for
from .packages import Packages
from .projects import Projects
from .store import ChannelStore
from .tasks import Tasks
from .wants import Wants

#: The kind of notes on a project of wheels that the index did not have for a while.
_MENDED = "mended"

#: Behind what somebody waits for, and likely to be asked for next.
_BESIDE = 1000

#: Behind everything that somebody waits for.
LATER = 1_000_000


@dataclass(frozen=True, kw_only=True)
class Budget:
    """What an answer may take; times in seconds.

    Of the newest `depth` versions, what is built after `first` is offered and the rest built meanwhile; who
    could be offered nothing waits until `last` and is then told to come back after `retry_after`. `builders`
    build at once, and `waiting` things wait for their turn. The index is made anew after `index_seconds`, and
    a page is looked at again after `page_seconds`.
    """

    depth: int = 3
    first: float = 5.0
    last: float = 25.0
    retry_after: int = 10
    builders: int = 4
    waiting: int = 2000
    index_seconds: float = 5.0
    page_seconds: float = 5.0


@dataclass(frozen=True)
class Offered:
    """What a subdir has of a project: packages, and entries of `direct.entries` for wheels as they are."""

    items: Sequence[Published] = ()
    wheels: Sequence[Mapping[str, Any]] = ()


class Supply:
    """Has packages published as they are asked for, within `budget`; safe for threads."""

    def __init__(
        self,
        scope: Scope,
        store: ChannelStore,
        packages: Packages,
        offering: Offering,
        budget: Budget,
        refusals: Refusals,
    ) -> None:
        self._scope = scope
        self._store = store
        self._packages = packages
        self._offering = offering
        self._budget = budget
        self._planners: Tasks[Any] = Tasks("planners", 16, budget.waiting)
        self._builders: Tasks[Published] = Tasks("builders", budget.builders, budget.waiting)
        self._refusals = refusals
        self._failures = Failures()
        # Projects that were answered from less than what there is, and when they are to be looked at again.
        self._owed: dict[ProjectName, float] = {}
        self._lacking: dict[ProjectName, frozenset[str]] = {}
        self._lock = threading.Lock()

    @property
    def planners(self) -> Tasks[Any]:
        """Who asks the index."""
        return self._planners

    def close(self) -> None:
        """Let what is being built end, and take nothing more."""
        self._planners.close()
        self._builders.close()

    @property
    def statistics(self) -> dict[str, int]:
        """What is being done, and what waits, at this moment."""
        return {
            "building": self._builders.running,
            "waiting_builds": self._builders.waiting,
            "planning": self._planners.running,
            "waiting_plans": self._planners.waiting,
        }

    def offered(
        self, project: ProjectName, subdir: str, belongs: Callable[[str], bool], *, renew: str = ""
    ) -> Offered:
        """What a subdir has now of a project's packages whose names belong to what is asked for.

        Others of the project are built meanwhile, and not waited for. With `renew` the index is asked,
        whenever it was asked last: once for all who give the same text.
        Nothing where the index has nothing usable, what was published before where it does not answer. Raises
        `Busy` where that may change within moments.
        """
        begun = time.monotonic()
        try:
            work = partial(self._offering.plan, project, subdir, renew=bool(renew))
            planned = self._planners.submit(f"{project} {subdir} {renew}", work)
            plan: Plan = planned.result(self._budget.last)
        except Late:
            return self._before(project, subdir, belongs, "the package index is slow")
        except (IndexFailure, OfflineError) as error:
            return self._before(project, subdir, belongs, str(error))
        self._owe_rest(project, plan)
        if plan.unsure and self._offering.direct:
            # Nothing is published of wheels as they are, so nothing would tell clients that more came.
            raise Busy(str(plan.unsure[0]), self._budget.retry_after)
        return self._made(project, subdir, belongs, plan, begun)

    def _made(
        self, project: ProjectName, subdir: str, belongs: Callable[[str], bool], plan: Plan, begun: float
    ) -> Offered:
        """What of a plan is there, or is soon. Raises `Busy`."""
        published = [item for item in self._published(project, subdir) if plan.there.keeps(item)]
        have = {item.fn for item in published}
        missing = [record for record in plan.records if record.fn not in have]
        known = [item for item in published if belongs(item.entry["name"])]
        wheels = [wheel for wheel in plan.wheels if belongs(wheel["name"])]
        running, problems = self._begin([record for record in missing if belongs(record.name)])
        self._begin([record for record in missing if not belongs(record.name)], _BESIDE)
        # Of a project's extras nobody has anything as long as the project itself is not there.
        only_extras = all(record.extra for record in plan.records if belongs(record.name))
        counts = _anything if only_extras else _is_own
        found = [*known, *self._await(running, counts, bool(wheels) or any(map(counts, known)), begun)]
        if wheels or any(map(counts, found)):
            return Offered(found, wheels)
        errors = [*plan.unsure, *problems, *map(_error, running)]
        passing = [error for error in errors if is_passing(error)]
        if passing:
            raise Busy(f"nothing of {project} is built yet ({passing[0]})", self._budget.retry_after)
        return Offered(found)

    def plans(self, project: ProjectName) -> list[Future[Any]]:
        """Begin to find out what each subdir is to have of a project; nothing is built."""
        subdirs = ("noarch", *self._scope.subdirs)
        plan = self._offering.plan
        return [self._planners.submit(f"{project} {s} ", partial(plan, project, s), LATER) for s in subdirs]

    def publish_later(self, records: Iterable[PackageRecord]) -> list[Future[Published]]:
        """Have packages built when nobody waits for others."""
        return [self._submit(record, LATER + rank) for rank, record in enumerate(records)]

    def restore(self, item: Published) -> None:
        """Have a package built again that was taken away."""
        self._store.note(self._offering.wants.kind, item.project, [f"=={item.entry['version']}"])
        self._owe(item.project)

    @property
    def owed(self) -> list[ProjectName]:
        """Projects that were answered from less than what there is, and are to be looked at again now."""
        now = time.monotonic()
        with self._lock:
            return [project for project, due in self._owed.items() if due <= now]

    def _owe(self, project: ProjectName, seconds: float = 0.0) -> None:
        due = time.monotonic() + seconds
        with self._lock:
            self._owed[project] = min(due, self._owed.get(project, due))

    def _owe_rest(self, project: ProjectName, plan: Plan) -> None:
        """Look again later where a plan has not all of what the index lists."""
        if plan.unsure:
            self._owe(project)
        if plan.lacking:
            self._owe(project, LASTING_SECONDS)
            with self._lock:
                self._lacking[project] = plan.lacking | self._lacking.get(project, frozenset())

    def look(self, projects: Collection[ProjectName], seconds: float) -> None:
        """Ask the index what it has of projects now, for so many seconds; that something changed is noted."""
        futures = []
        for project in projects:
            try:
                futures.append(self._planners.submit(f"look {project}", partial(self._look, project), LATER))
            except Busy:
                break
        wait(futures, seconds)

    def _look(self, project: ProjectName) -> None:
        self._offering.look(project, renew=True)
        if project not in self.owed:
            return
        with self._lock:
            self._owed.pop(project, None)
            lacked = self._lacking.pop(project, frozenset())
        for subdir in ("noarch", *self._scope.subdirs):
            plan = self._offering.plan(project, subdir)
            self._owe_rest(project, plan)
            self._begin(plan.records)
        if self._offering.direct:
            # Nothing is published of wheels as they are: without a note, no shard would get another name.
            there = lacked - self._lacking.get(project, frozenset())
            self._store.note(_MENDED, project, there)

    def _published(self, project: ProjectName, subdir: str) -> Sequence[Published]:
        published = (item for item in self._store.published(project) if item.subdir == subdir)
        return [item for item in published if self._offering.serves(item)]

    def _before(
        self, project: ProjectName, subdir: str, belongs: Callable[[str], bool], reason: str
    ) -> Offered:
        """What was published before the index stopped answering.

        Of wheels that are to be told as they are this would be less, and clients would keep it for ever.
        """
        self._owe(project)
        found = [*self._published(project, subdir)]
        if self._offering.direct or not any(self._store.published(project)):
            raise Busy(reason, self._budget.retry_after)
        return Offered([item for item in found if belongs(item.entry["name"])])

    # -- building ----------------------------------------------------------------------------------------

    def _begin(
        self, records: Sequence[PackageRecord], first: int = 0
    ) -> tuple[list[Future[Published]], list[BaseException]]:
        """Have records built, the first ones first; what runs, and why others are not tried."""
        running: list[Future[Published]] = []
        problems: list[BaseException] = []
        for rank, record in enumerate(records, first):
            problem = self._failures.of(record.path)
            if problem is None:
                try:
                    running.append(self._submit(record, rank))
                except Busy as error:
                    problem = error
            if problem is not None:
                problems.append(problem)
        return running, problems

    def _submit(self, record: PackageRecord, rank: int) -> Future[Published]:
        return self._builders.submit(record.path, partial(self._build, record), rank)

    def _build(self, record: PackageRecord) -> Published:
        try:
            return self._packages.publish(record, python_for(record, self._scope))
        except (BridgeError, OSError) as error:
            self._failures.remember(record.path, error)
            if is_passing(error):
                self._owe(record.project)
            else:
                self._refusals.tell(record.project, _source(record), error)
            if isinstance(error, IndexFailure):
                self._owe(record.project, LASTING_SECONDS)
            raise

    def _await(
        self,
        running: Sequence[Future[Published]],
        counts: Callable[[Published], bool],
        content: bool,
        begun: float,
    ) -> list[Published]:
        """What is built by the first limit; where none of it counts, the first that does by the last one."""
        waiting = set(running)
        while waiting:
            limit = self._budget.first if content else self._budget.last
            left = begun + limit - time.monotonic()
            done, waiting = wait(waiting, max(0.0, left), FIRST_COMPLETED)
            content = content or any(_error(future) is None and counts(future.result()) for future in done)
            if not done:
                break
        return [future.result() for future in running if future.done() and _error(future) is None]


class Following:
    """Finds out what projects require, and what that requires, so that a channel of them is complete."""

    def __init__(self, projects: Projects, supply: Supply, wants: Wants) -> None:
        self._projects = projects
        self._supply = supply
        self._wants = wants
        self._done: set[tuple[object, ...]] = set()

    def follow(self, seconds: float) -> None:
        """Go on until nothing new is found. Raises `Busy` where that takes longer."""
        end = time.monotonic() + seconds
        tried: set[tuple[object, ...]] = set()
        while new := [
            state for state in map(self._state, self._projects.roster()) if state not in self._done | tried
        ]:
            tried.update(new)
            plans = {state: self._supply.plans(state[0]) for state in new}
            wait([future for futures in plans.values() for future in futures], end - time.monotonic())
            self._done.update(state for state, futures in plans.items() if all(map(_succeeded, futures)))
            if time.monotonic() >= end:
                raise Busy(f"{len(new)} projects are still looked at")

    def _state(self, project: ProjectName) -> tuple[ProjectName, frozenset[str], frozenset[str]]:
        """A project, and what is wanted of it."""
        return project, self._wants.of(project), self._wants.extras_of(project)


def _succeeded(future: Future[Any]) -> bool:
    return future.done() and not future.cancelled() and future.exception() is None


def _anything(item: Published) -> bool:
    return True


def _is_own(item: Published) -> bool:
    """Whether a package is made of a wheel, and not an extra's."""
    return not item.is_extra


def _source(record: PackageRecord) -> str:
    """The file that a package is made of, or what it is called where there is none."""
    return record.wheel.filename if record.wheel is not None else record.fn


def _error(future: Future[Published]) -> BaseException | None:
    """Why a task failed; what is not done has no result yet, which may pass."""
    if not future.done():
        return TimeoutError("it is being built")
    return Busy("the server stops") if future.cancelled() else future.exception()
