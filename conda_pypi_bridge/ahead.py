"""What is certain to be asked of the index is asked at once, and answered while the solver is loaded."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait

from .index import Index
from .model import ProjectName, ProjectPage

Asked = Mapping[ProjectName, "Future[ProjectPage | None]"]

#: Pages that are asked for at once.
_MOST = 8

#: Seconds between two looks whether a question is on its way.
_LOOK = 0.001


def ask(index: Index, projects: Collection[ProjectName]) -> Asked:
    """Ask for the pages of projects that the user named; returns as soon as the first question is sent.

    Until then it is faster alone: what sends takes as long to load as what solves.
    """
    if not projects:
        return {}
    before = index.requests["page"]
    pool = ThreadPoolExecutor(min(len(projects), _MOST), thread_name_prefix="ahead")
    asked = {project: pool.submit(index.page, project, named=True) for project in projects}
    pool.shutdown(wait=False)
    while index.requests["page"] == before and not wait(asked.values(), _LOOK, FIRST_COMPLETED).done:
        pass
    return asked
