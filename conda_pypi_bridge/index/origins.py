"""Which indexes may be asked for a project: a name that is private somewhere is not told elsewhere.

Whoever publishes a private project's name on a public index could otherwise replace it (dependency
confusion). So every package remembers the index that its wheel came from (PEP 710).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from fnmatch import fnmatchcase

from ..config import IndexConfig
from ..model import ProjectName, Wheel
from ..store import Store
from ..versions import conda_version
from .localindex import local_path, place_of, same_place


class Origins:
    """What is known of where projects came from, held against the indexes of `config`.

    `installed` tells it of what is installed; `store` remembers it of what was downloaded.
    """

    def __init__(
        self, config: IndexConfig, installed: Callable[[], Mapping[ProjectName, str]], store: Store
    ) -> None:
        self._config = config
        self._installed = installed
        self._store = store

    def of(self, project: ProjectName, version: str = "") -> str:
        """The index that the installed package of a project came from; "" where nothing tells.

        Of a `version` (conda's) that need not be installed: where it was last downloaded from.
        """
        known = self._store.get(_key(project, version)) if version else None
        return known.decode() if known else self._installed().get(project, "")

    def remember(self, wheel: Wheel) -> None:
        """Keep where a wheel was downloaded from, for when its package is gone and wanted again."""
        self._store.put(_key(wheel.project, conda_version(wheel.version)), wheel.index_url.encode())

    def is_configured(self, place: str, project: ProjectName) -> bool:
        """Whether a project that came from there is looked for there."""
        local = (url for url in self._config.indexes if local_path(url))
        return _is_among((*self._allowed(project), *local, *self._config.find_links), place)

    def urls(self, project: ProjectName, came_from: str, *, named: bool) -> Sequence[str]:
        """The indexes over the network to ask for a project that came from an index, in order.

        That index alone, where it is among them; else those that are configured if the user `named` it.
        """
        allowed = self._allowed(project)
        if not came_from:
            return allowed
        own = tuple(url for url in allowed if same_place(place_of(url), came_from))
        # What came from a folder or a page of links is found there, whatever is asked besides.
        return own or (allowed if named else ())

    def _allowed(self, project: ProjectName) -> Sequence[str]:
        """The indexes over the network that may see the project's name."""
        urls: Iterable[str] = self._config.indexes
        for pattern, index in self._config.private.items():
            if fnmatchcase(project, pattern):
                urls = [index] if index else [url for url in urls if url != self._config.public_index]
                break
        return tuple(url for url in urls if local_path(url) is None)


def _is_among(places: Iterable[str], place: str) -> bool:
    return any(same_place(place_of(other), place) for other in places)


def _key(project: ProjectName, version: str) -> str:
    return f"index of {project} {version}"
