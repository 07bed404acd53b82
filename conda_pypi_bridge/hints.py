"""What conda's own errors leave unsaid: that the package index has what no channel has."""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from packaging.utils import canonicalize_name

from .engines.conda import is_offline, missing_names
from .errors import BridgeError
from .index.answers import Limits
from .model import CondaName, ProjectName
from .names import never_from_pypi
from .prefix import Prefix
from .requirementfiles import RequirementFile
from .session import solver_session
from .settings import is_young

#: conda has failed already: a slow index must not hold up the message.
_BRIEF = Limits(body_seconds=5.0, patience=5.0, retry_after=0.0)


def hints(error: Any, prefix: Path, *, enabled: bool) -> Iterator[str]:
    """A sentence for each name that a conda command missed on its channels, and the index has.

    Names that are private are not asked for, and young projects not recommended.
    """
    names = [name for name in missing_names(error) if not never_from_pypi(name)]
    if not names or is_offline():
        return
    try:
        session = solver_session(Prefix(prefix))
        index = session.open_index(RequirementFile(), _BRIEF)
        for name in names if session.settings.hints else ():
            project = session.engine.names.project_of(CondaName(name)) or canonicalize_name(name)
            kept_out = (*session.settings.private, *session.settings.block)
            if any(fnmatchcase(project, pattern) for pattern in kept_out):
                continue
            page = index.page(ProjectName(project))
            first = page.first_release if page is not None else None
            if page is not None and not (first and is_young(first, session.settings.min_age)):
                yield _hint(project, enabled=enabled)
    except BridgeError:
        return  # what could not be asked is no news


def _hint(project: str, *, enabled: bool) -> str:
    if enabled:
        return f"PyPI has {project}: conda install {project}"
    return f"PyPI has {project}: conda pypi-install {project} (or, for good: conda pypi-bridge enable)"
