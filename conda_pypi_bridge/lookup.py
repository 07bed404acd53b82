"""What a closure wants to know, looked up in the index and in channels, many at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait

from packaging.utils import canonicalize_name

from . import translate
from .ahead import Asked
from .closure import Closure
from .closure.wants import ChannelWant, PageWant, Want
from .errors import BridgeError, MetadataRefused, OtherIndex, Untranslatable, WheelRefused
from .index import Index
from .model import CondaName, CoreMetadata, ProjectName, ProjectPage, Wheel

#: Threads that wait for the network at once: an index answers each in tens of milliseconds.
FETCHERS = 16

#: The versions of a conda package that channels offer to the target.
OnChannels = Callable[[CondaName], Sequence[str]]


def answer(
    closure: Closure,
    index: Index,
    on_channels: OnChannels,
    *,
    asked: Asked | None = None,
    meanwhile: Callable[[], None] = lambda: None,
) -> None:
    """Answer what the closure wants until it wants no more; `asked` are pages that are on their way.

    `meanwhile` is what there is to do where answers have to be waited for. Raises `BridgeError`.
    """

    def look_up(want: Want, named: bool) -> object:
        match want:
            case ChannelWant(name):
                return on_channels(name)
            case PageWant(project):
                return _page(index, project, named, asked or {})
        return metadata(index, want.wheel)

    with ThreadPoolExecutor(FETCHERS, thread_name_prefix="fetch") as pool:
        running: dict[Future[object], Want] = {}
        try:
            if index.requests:  # over the network, and not from the cache
                pool.submit(meanwhile)
            while True:
                for want in closure.wants():
                    named = isinstance(want, PageWant) and closure.asked(want.project)
                    running[pool.submit(look_up, want, named)] = want
                if not running:
                    return
                for done in wait(running, return_when=FIRST_COMPLETED).done:
                    closure.answer(running.pop(done), done.result())
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _page(index: Index, project: ProjectName, named: bool, asked: Asked) -> ProjectPage | OtherIndex | None:
    try:
        return asked[project].result() if project in asked else index.page(project, named=named)
    except OtherIndex as error:
        return error


def metadata(index: Index, wheel: Wheel) -> CoreMetadata | BridgeError:
    """A wheel's metadata, or the reason why the wheel cannot be used (another version may do)."""
    try:
        found = translate.parse_core_metadata(index.metadata(wheel), wheel.filename)
    except (MetadataRefused, Untranslatable) as error:
        return error
    project = ProjectName(canonicalize_name(found.name))
    if (project, found.version) != (wheel.project, wheel.version):
        reason = f"its metadata is of {found.name} {found.version}"
        return WheelRefused(wheel.filename, "metadata-agrees", reason, member="METADATA")
    return found
