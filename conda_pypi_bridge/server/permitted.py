"""An index without the projects that the setting ``block`` names."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..closure.candidates import Limits
from ..config import IndexConfig
from ..index import Index, answers
from ..model import ProjectName, ProjectPage
from ..roster import Roster


class PermittedIndex(Index):
    """Neither lists nor shows projects that match one of the patterns `blocked` (fnmatch)."""

    def __init__(
        self,
        config: IndexConfig,
        cache_dir: Path,
        *,
        blocked: Sequence[str],
        page_seconds: float | None = None,
        limits: answers.Limits | None = None,
    ) -> None:
        super().__init__(config, cache_dir, page_seconds=page_seconds, limits=limits)
        self._limits = Limits(blocked=blocked)

    def page(
        self, project: ProjectName, *, named: bool = False, version: str = "", renew: bool = False
    ) -> ProjectPage | None:
        if self._limits.blocks(project):
            return None
        return super().page(project, named=named, version=version, renew=renew)

    def projects(self) -> Roster:
        found = super().projects()
        if not self._limits.blocked:
            return found
        return Roster({name: serial for name, serial in found.items() if not self._limits.blocks(name)})
