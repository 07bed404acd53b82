"""``conda install --revision``: an environment as it was, packages of the bridge included.

conda looks for what it links again in its channels alone, where packages of an index never are.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from conda.base.context import context
from conda.core import solve
from conda.core.link import PrefixSetup, UnlinkLinkTransaction
from conda.core.package_cache_data import PackageCacheData
from conda.core.prefix_data import PrefixData
from conda.core.subdir_data import SubdirData
from conda.exceptions import CondaIndexError, PackagesNotFoundError
from conda.history import History
from conda.models.match_spec import MatchSpec
from conda.models.prefix_graph import PrefixGraph

from ...model import PackageRecord
from .calling import is_ours, ordered
from .records import conda_record, dist_of, in_a_cache


class Revision:
    """The state of a prefix after its change number `number`, as ``conda list --revisions`` counts."""

    def __init__(self, prefix: Path, number: int) -> None:
        history = History(str(prefix))
        try:
            texts = history.get_state(number)
        except IndexError as error:
            raise CondaIndexError(f"no such revision: {number}") from error
        self._prefix = prefix
        self._requested = tuple(history.get_requested_specs_map().values())
        self._wanted = [MatchSpec.from_dist_str(text) for text in texts]
        self._installed = {dist_of(record): record for record in PrefixData(str(prefix)).iter_records()}

    @property
    def python(self) -> str | None:
        """The version of Python in that state, where it is another than now."""
        named = (
            spec for spec in self._wanted if spec.name == "python" and dist_of(spec) not in self._installed
        )
        return next((str(spec.get("version")) for spec in named), None)

    @property
    def bridged(self) -> Sequence[str]:
        """``name-version-build`` of the packages of the bridge that are not installed now."""
        ours = (dist_of(spec) for spec in self._wanted if is_ours(spec))
        return [dist for dist in ours if dist not in self._installed]

    @property
    def lost(self) -> Sequence[str]:
        """Those that no cache has."""
        return [dist for dist in self.bridged if not in_a_cache(dist)]

    def transaction(self, packages: Iterable[PackageRecord]) -> UnlinkLinkTransaction:
        """What leads there; `packages` are the lost ones. Raises conda's ``PackagesNotFoundError``."""
        rebuilt = {package.dist: conda_record(package) for package in packages}
        found = {spec: next(self._records(spec, rebuilt), None) for spec in self._wanted}
        missing = [spec for spec, record in found.items() if record is None]
        if missing:
            raise PackagesNotFoundError(missing)
        final = ordered(PrefixGraph(found.values()).graph)
        unlink, link = solve.diff_for_unlink_link_precs(str(self._prefix), final)
        return UnlinkLinkTransaction(PrefixSetup(str(self._prefix), unlink, link, (), self._requested, ()))

    def _records(self, spec: MatchSpec, rebuilt: dict[str, Any]) -> Iterator[Any]:
        """Records of exactly that package, from where it costs least."""
        dist = dist_of(spec)
        yield from (records[dist] for records in (self._installed, rebuilt) if dist in records)
        if is_ours(spec):
            yield from PackageCacheData.query_all(
                MatchSpec(f"{spec.name}=={spec.version}={spec.get('build')}")
            )
        else:
            yield from SubdirData.query_all(spec, channels=context.channels, subdirs=context.subdirs)
