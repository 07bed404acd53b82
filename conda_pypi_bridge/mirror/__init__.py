"""A static conda channel of what requirements need: for a folder, a bucket, any web server, a USB stick.

Requirements -> records over all targets -> packages that the channel lacks are built and put there -> what
lists them is written last. Nothing that is there is built again; a run that was killed is taken up.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from ..channel.model import Published, Scope
from ..channel.selection import Chosen, Miss, Selection, select
from ..errors import BridgeError
from ..index import Index
from ..locks import holding
from ..names import Names
from ..options import Options
from ..report import Reporter
from ..tags import SUBDIRS
from .building import Failed, Recipe, in_threads, on_cluster
from .channel import NOARCH, Key, StaticChannel
from .place import Place
from .verify import Fault, NoChannel, Verdict, faults_of, verify

#: Where a channel may have packages.
_EVERY = (NOARCH, *SUBDIRS)

#: How many problems an error message names.
_SHOWN = 5


@dataclass(frozen=True, kw_only=True)
class Order:
    """What is to be mirrored, and how.

    The newest `versions` of each requirement; with `together` all of them into one environment. With
    `keep_going` what cannot be had is left out. `prune` deletes what the order does not need. With `repair`
    all that is there is read, and what is damaged counts as missing. `scheduler` is the address of a Dask
    cluster that builds.
    """

    texts: Sequence[str]
    scope: Scope
    options: Options
    recipe: Recipe
    versions: int = 1
    together: bool = False
    keep_going: bool = False
    prune: bool = False
    repair: bool = False
    scheduler: str = ""


@dataclass(frozen=True, kw_only=True)
class Mirrored:
    """What was done, or, after a dry run, would be.

    `added` are the packages that the channel lacked, `kept` counts those that it had; `changed` and `gone`
    are paths in the channel of lists that were written, and of files that were deleted.
    """

    place: Place
    added: Sequence[Chosen]
    kept: int = 0
    built: Sequence[Published] = ()
    changed: Sequence[str] = ()
    gone: Sequence[str] = ()
    misses: Sequence[Miss] = ()
    failed: Sequence[Failed] = ()
    dry_run: bool = False


class Unmet(BridgeError):
    """Requirements that some target cannot have."""

    def __init__(self, misses: Sequence[Miss]) -> None:
        sentences = grouped(misses)
        more = f"; and {len(sentences) - _SHOWN} more" if len(sentences) > _SHOWN else ""
        hint = "Mirror the rest: --keep-going. Choose other targets: --python, --subdir."
        super().__init__(f"cannot be mirrored: {'; '.join(sentences[:_SHOWN])}{more}", hint=hint)
        self.misses = misses


class BuildFailure(BridgeError):
    """Packages that could not be built."""

    def __init__(self, failed: Sequence[Failed]) -> None:
        sentences = [f"{one.dist}: {one.reason}" for one in failed]
        more = f"; and {len(sentences) - _SHOWN} more" if len(sentences) > _SHOWN else ""
        hint = "Nothing new is listed. What was built stays: run again, or mirror the rest: --keep-going."
        super().__init__(f"cannot be built: {'; '.join(sentences[:_SHOWN])}{more}", hint=hint)
        self.failed = failed


def mirror(order: Order, place: Place, index: Index, names: Names, reporter: Reporter) -> Mirrored:
    """Have the channel at `place` hold what the order asks for.

    Two orders for one folder take turns; for another kind of place only one may be carried out at a time.
    Raises `Unmet`, `BuildFailure` or another `BridgeError`; then clients see what they saw before.
    """
    selection = select(
        order.texts,
        order.scope,
        index,
        names,
        order.options,
        versions=order.versions,
        together=order.together,
        reporter=reporter,
    )
    if selection.misses and not order.keep_going:
        raise Unmet(selection.misses)
    for sentence in [*selection.notes, *grouped(selection.misses)]:
        reporter.warn(sentence)
    channel = StaticChannel(place)
    channel.require_own(_EVERY)
    if order.options.dry_run:
        todo, known = _lacking(order, channel, selection, index, reporter)
        wanted = {_key(one) for one in selection.chosen}
        gone = [f"{subdir}/{fn}" for subdir, fn in sorted(known.keys() - wanted)] if order.prune else []
        return Mirrored(
            place=place,
            added=todo,
            kept=len(known) - len(gone),
            gone=gone,
            misses=selection.misses,
            dry_run=True,
        )
    place.make()
    with _alone(place, reporter):
        channel.claim()
        return _carry_out(order, channel, selection, index, reporter)


def _carry_out(
    order: Order, channel: StaticChannel, selection: Selection, index: Index, reporter: Reporter
) -> Mirrored:
    todo, known = _lacking(order, channel, selection, index, reporter)
    built, failed = _build(order, channel, todo, index, reporter)
    if failed and not order.keep_going:
        raise BuildFailure(failed)
    for one in failed:
        reporter.warn(f"{one.dist} is left out: {one.reason}")
    reporter.phase("Listing packages")
    wanted = {_key(one) for one in selection.chosen}
    items = {key: item for key, item in known.items() if key in wanted or not order.prune}
    items |= {(item.subdir, item.fn): item for item in built}
    subdirs = {NOARCH, *order.scope.subdirs, *channel.subdirs(_EVERY)}
    changed = channel.list_all(items, subdirs, read=order.repair)
    channel.settle()
    return Mirrored(
        place=channel.place,
        added=todo,
        kept=len(items) - len(built),
        built=built,
        changed=changed,
        gone=channel.prune(items, subdirs) if order.prune else (),
        misses=selection.misses,
        failed=failed,
    )


def _lacking(
    order: Order, channel: StaticChannel, selection: Selection, index: Index, reporter: Reporter
) -> tuple[list[Chosen], Mapping[Key, Published]]:
    """What is still to be built, and the packages that are there."""
    listed = channel.listed(_EVERY)
    known = channel.whole({**listed, **channel.waiting()})
    for subdir, fn in sorted(listed.keys() - known.keys()):
        reporter.warn(f"{subdir}/{fn} is listed, and is missing or of another size")
    if order.repair:
        faults = {f.path: f.reason for f in faults_of(channel, [*known.values()], index.folder, reporter)}
        for path, reason in faults.items():
            reporter.warn(f"{path} is damaged: {reason}")
        known = {key: item for key, item in known.items() if "/".join(key) not in faults}
    return [one for one in selection.chosen if _key(one) not in known], known


def _build(
    order: Order, channel: StaticChannel, todo: Sequence[Chosen], index: Index, reporter: Reporter
) -> tuple[list[Published], list[Failed]]:
    built: list[Published] = []
    failed: list[Failed] = []
    if not todo:
        return built, failed
    reporter.phase("Downloading and building")
    reporter.expect(len(todo), sum(one.record.size for one in todo))

    def progress(size: int) -> None:
        reporter.advance(size=size)

    if order.scheduler:
        running = on_cluster(order.scheduler, todo, order.recipe, channel, index.config)
    else:
        running = in_threads(todo, order.recipe, channel, index, progress)
    with running as outcomes:
        for outcome in outcomes:
            reporter.advance(files=1)
            if isinstance(outcome, Published):
                built.append(outcome)
                continue
            failed.append(outcome)
            if not order.keep_going:
                break
    return built, failed


@contextlib.contextmanager
def _alone(place: Place, reporter: Reporter) -> Iterator[None]:
    if place.folder is None:
        yield
        return
    with holding(place.folder, lambda: reporter.phase("Waiting for another mirror of this folder")):
        yield


def _key(one: Chosen) -> Key:
    return one.record.subdir, one.record.fn


def grouped(misses: Sequence[Miss]) -> list[str]:
    """Misses as sentences, one for each requirement and platform."""
    found: dict[tuple[str, str], list[Miss]] = {}
    for miss in misses:
        found.setdefault((miss.text, miss.subdir), []).append(miss)
    return [
        f"{text}: {subdir}, Python {', '.join(miss.python for miss in some)}: {some[-1].error}"
        for (text, subdir), some in found.items()
    ]


def check(place: Place, index: Index, reporter: Reporter) -> Verdict:
    """Whether the channel at `place` is whole and says what is true. Raises `PlaceFailure` or `NoChannel`."""
    return verify(StaticChannel(place), _EVERY, index.folder, reporter)


__all__ = [
    "BuildFailure",
    "Fault",
    "Mirrored",
    "NoChannel",
    "Order",
    "Place",
    "Recipe",
    "Unmet",
    "Verdict",
    "check",
    "grouped",
    "mirror",
]
