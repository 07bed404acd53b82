"""conda's own matching and order of versions, as conda-lock carries them, and ``sys.path`` as it was.

conda-lock puts older copies of packaging and others before those of the environment on ``sys.path``, and
processes that multiprocessing spawns from then on would import them.
"""

from __future__ import annotations

import sys

_before = sys.path.copy()

from conda_lock._vendor.conda.models.match_spec import MatchSpec  # noqa: E402
from conda_lock._vendor.conda.models.version import VersionOrder, VersionSpec  # noqa: E402

sys.path[:] = _before

__all__ = ["MatchSpec", "VersionOrder", "VersionSpec"]
