"""What a channel answers, made while somebody waits: its shard index, shards, whole repodata and packages."""

from __future__ import annotations

import contextlib
import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from typing import Any, BinaryIO

from packaging.requirements import Requirement

from ..errors import BridgeError, Busy, IndexFailure, OfflineError
from ..index import Index
from ..model import CoreMetadata, PackageRecord, ProjectName
from ..names import Names
from ..roster import Roster
from . import formats
from .directory import Extras
from .failures import Refusals
from .flights import Flights
from .model import Artefact, Published, Scope
from .offering import PAGES, Offering
from .packages import Packages
from .projects import AllProjects, Projects, SomeProjects
from .shardindex import ShardIndex, own_records
from .store import ChannelStore, Damaged
from .supply import Budget, Following, Supply
from .tasks import Tasks
from .usage import Usage
from .withdrawals import Withdrawals

__all__ = ["Budget", "Catalogue"]

#: Shards that are kept in memory.
_SHARDS = 5000

#: What is looked at again when the index is made: at most so many projects, for so many seconds.
_RECHECKED, _RECHECK_SECONDS = 2000, 2.0

#: Looking again is paused for so many times as long as it took.
_RECHECK_SHARE = 5

#: A whole document that took long to make is used so many times longer before it is made anew.
_SHARE = 20

_EMPTY = formats.shard(())


class Catalogue:
    """One channel over an index; `label` tells it from others of the same `scope` and `store`.

    It has all projects of the index, or, with `projects`, these and what they require. `index` is to be made
    with the budget's `page_seconds`. Where it is `direct`, its shards have the index's own wheels (CEP 48),
    and packages for extras alone. Its methods may be called from many threads, take no longer than the
    budget says, and raise `Busy` where there is nothing to tell yet. `usage` is told of packages that are
    handed out.
    """

    def __init__(
        self,
        scope: Scope,
        index: Index,
        store: ChannelStore,
        names: Names,
        *,
        label: str = "pypi",
        projects: Iterable[Requirement] | None = None,
        budget: Budget | None = None,
        packages: Packages | None = None,
        usage: Usage | None = None,
        direct: bool = False,
    ) -> None:
        self.scope = scope
        self.store = store
        self._names = names
        self._budget = budget = budget or Budget()
        self._packages = packages or Packages(store, index)
        self._usage = usage
        self._readers: Tasks[CoreMetadata | BridgeError] = Tasks("readers", 16, 16 * budget.waiting)
        self._offering = Offering(
            scope,
            index,
            store,
            names,
            depth=budget.depth,
            readers=self._readers,
            refusals=(refusals := Refusals(label)),
            follows="" if projects is None else _list_digest(projects := list(projects)),
            direct=direct,
        )
        self._supply = Supply(scope, store, self._packages, self._offering, budget, refusals)
        planners, seconds = self._supply.planners, budget.page_seconds
        self._withdrawals = Withdrawals(store, self._offering, planners, seconds=seconds)
        self._projects, self._following = self._roster(index, projects)
        self._index = ShardIndex(
            scope,
            store,
            names,
            self._projects,
            label=label,
            edition=self._offering.digest,
            fresh_seconds=budget.index_seconds,
            before=self._prepare,
        )
        self._flights: Flights[tuple[str, bytes | str], bytes] = Flights()
        self._shards: OrderedDict[tuple[str, bytes], tuple[bytes, float]] = OrderedDict()
        self._rechecked = 0.0
        self._documents: dict[tuple[str, str], tuple[bytes, float]] = {}

    def _roster(
        self, index: Index, projects: Iterable[Requirement] | None
    ) -> tuple[Projects, Following | None]:
        """The projects that the channel has, and what follows the requirements of those that were listed."""
        if projects is None:
            return AllProjects(index, self.store, fresh_seconds=self._budget.index_seconds), None
        wants = self._offering.wants
        listed = SomeProjects(wants.add(projects), self.store, wants.kind)
        return listed, Following(listed, self._supply, wants)

    def close(self) -> None:
        """Let what is being built end, and take nothing more."""
        self._supply.close()
        self._readers.close()

    # -- shards ------------------------------------------------------------------------------------------

    def shard_index(self, subdir: str) -> bytes:
        """``repodata_shards.msgpack.zst`` (CEP 16): all names, whether or not there is a package yet."""
        with _patience(self._budget):
            return self._index.content(subdir)

    def warm(self, subdir: str, digest: str) -> bytes | None:
        """The shard of that name if it can be told without asking anybody."""
        known = self._shards.get((subdir, _bytes(digest)))
        return known[0] if known is not None and time.monotonic() < known[1] else None

    def shard(self, subdir: str, digest: str) -> bytes:
        """The shard that the index names by `digest` (hexadecimal); an empty one of what cannot be used.

        Raises `Busy` where something may be there within moments.
        """
        known = self.warm(subdir, digest)
        if known is not None:
            return known
        key = subdir, _bytes(digest)
        if subdir not in ("noarch", *self.scope.subdirs):
            return _EMPTY
        with _patience(self._budget):
            return self._flights.one(key, lambda: self._make_shard(*key))

    def _make_shard(self, subdir: str, digest: bytes) -> bytes:
        # An index that this is in was made of what is to be told now: the shard must not be older.
        renew = "" if (subdir, digest) in self._shards else digest.hex()
        listed = formats.listed_in(digest)
        items: dict[str, Published] = {}
        wheels: list[Mapping[str, Any]] = []
        for entry in self._index.find(digest):
            if renew:
                self.store.renew(entry.projects)
            extras = Extras({project: self._offering.extras(project) for project in entry.projects})
            belongs = own_records(entry, extras, listed)
            for project in entry.projects:
                offered = self._supply.offered(project, subdir, belongs, renew=renew)
                items.update((item.fn, item) for item in offered.items)
                wheels += offered.wheels
        content = formats.shard(items.values(), wheels=wheels) if items or wheels else _EMPTY
        self._shards[subdir, digest] = content, time.monotonic() + self._budget.page_seconds
        self._shards.move_to_end((subdir, digest))
        while len(self._shards) > _SHARDS:
            self._shards.popitem(last=False)
        return content

    def _prepare(self, roster: Roster) -> None:
        """Find out what has changed, before an index is made."""
        if self._following is not None:
            self._following.follow(self._budget.last)
        projects = dict.fromkeys(self._supply.owed)
        if not roster.tells_serials:
            projects.update(dict.fromkeys(self.store.all_noted(PAGES)))
        if time.monotonic() >= self._rechecked:
            begun = time.monotonic()
            self._supply.look([*projects][:_RECHECKED], _RECHECK_SECONDS)
            now = time.monotonic()
            self._rechecked = now + max(self._budget.page_seconds, _RECHECK_SHARE * (now - begun))

    # -- whole documents and packages ----------------------------------------------------------------------

    def repodata(self, subdir: str) -> bytes:
        """``repodata.json`` of all that was published in a subdir and is not withdrawn since."""
        return self._document(subdir, "repodata", lambda items: formats.repodata(subdir, items))

    def current_repodata(self, subdir: str) -> bytes:
        """``current_repodata.json``: the newest of that, and what it requires."""
        make = lambda items: formats.repodata(subdir, formats.current(items))  # noqa: E731
        return self._document(subdir, "current_repodata", make)

    def _document(self, subdir: str, kind: str, make: Callable[[Iterator[Published]], bytes]) -> bytes:
        content, until = self._documents.get((subdir, kind), (b"", 0.0))
        if time.monotonic() < until:
            return content

        def renew() -> bytes:
            with _patience(self._budget):
                roster = self._projects.roster()
            items = [item for item in self.store.published_in(subdir) if item.project in roster]
            self._withdrawals.look({item.project for item in items}, roster)
            begun = time.monotonic()
            content = make(item for item in items if not self._withdrawals.withholds(item))
            now = time.monotonic()
            seconds = max(self._budget.index_seconds, _SHARE * (now - begun))
            self._documents[subdir, kind] = content, now + seconds
            return content

        return self._flights.one((subdir, kind), renew)

    def package(self, subdir: str, fn: str) -> tuple[Artefact, BinaryIO] | None:
        """A published package's ``.conda`` file, opened; None where there is none, or it was withdrawn.

        One that is not is taken away and built again.
        """
        item = self.store.find(subdir, fn)
        with _patience(self._budget):
            if item is None or not self._is_offered(item, self._projects.roster()):
                return None
        artefact = Artefact(**{key: item.entry[key] for key in ("sha256", "md5", "size")})
        try:
            opened = self.store.open(artefact.sha256, artefact.size)
            if self._usage is not None:
                self._usage.asked(item)
            return artefact, opened
        except Damaged:
            self.store.retract(item)
            self._supply.restore(item)
            return None

    def _is_offered(self, item: Published, roster: Roster) -> bool:
        if item.project in roster:
            self._withdrawals.look([item.project], roster)
        return item.project in roster and not self._withdrawals.withholds(item)

    def publish_later(self, records: Iterable[PackageRecord]) -> Sequence[Future[Published]]:
        """Have packages built when nobody waits for others; their projects belong to the channel then.

        Raises `Busy` where there are too many.
        """
        records = list(records)
        self._projects.include(record.project for record in records)
        return self._supply.publish_later(records)

    # -- for people ----------------------------------------------------------------------------------------

    def search(self, text: str, most: int = 50) -> Sequence[ProjectName]:
        """Projects with `text` in their names, the most likely first."""
        with _patience(self._budget):
            return self._projects.roster().search(text, most)

    def describe(self, project: ProjectName) -> dict[str, Any]:
        """What the channel has of a project: its conda name, and the packages that are published already."""
        with _patience(self._budget):
            roster = self._projects.roster()
        known = project in roster  # of any other text the store is not asked
        published = [*self.store.published(project)] if known else []
        return {
            "project": project,
            "known": known,
            "serial": roster.serial(project),
            "name": self._names.conda_name(project),
            "extras": self._offering.extras(project) if known else [],
            "published": [
                {"fn": item.fn, "subdir": item.subdir, **item.entry}
                for item in published
                if not self._withdrawals.withholds(item)
            ],
        }

    @property
    def problem(self) -> str:
        """Why the index did not answer when all its projects were asked for last; "" where it did."""
        return str(getattr(self._projects, "problem", None) or "")

    @property
    def restriction(self) -> str:
        """Why packages that are not there yet are not to be had; "" where they are."""
        return self._packages.full

    def statistics(self) -> dict[str, int]:
        """Numbers for whoever runs this: names, shards in memory, free bytes, what is done and what waits."""
        return {
            "names": len(self._projects.known),
            "shards": len(self._shards),
            "disk_free_bytes": self._packages.free,
            **self._supply.statistics,
        }


def _list_digest(projects: Iterable[Requirement]) -> str:
    """Tells what is wanted for one list from what is wanted for others, and for all projects."""
    return "-" + hashlib.sha256("\n".join(sorted(map(str, projects))).encode()).hexdigest()[:12]


def _bytes(digest: str) -> bytes:
    try:
        return bytes.fromhex(digest)
    except ValueError:
        return b""


@contextlib.contextmanager
def _patience(budget: Budget) -> Iterator[None]:
    """Who asks while the index does not answer, and nothing is known, is to come back."""
    try:
        yield
    except (IndexFailure, OfflineError) as error:
        raise Busy(str(error), budget.retry_after) from error
