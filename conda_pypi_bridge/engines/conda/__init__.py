"""The engine that conda brings: its solver backend, its summary and prompt, its transaction.

The overlay becomes a ``file:`` channel for the length of one solve. The records that the solve chose
from it are renamed to the bridge's own channel, their packages are put ready-extracted into conda's
package cache, and conda's transaction links them like any other.

The engine itself is in `engine`, which costs more to import than what plain conda commands need.
"""

from .calling import (
    UNSATISFIABLE,
    Solving,
    asked_to_update_all,
    asked_to_update_deps,
    asks_nobody,
    bridged_names,
    carry_out,
    context_flags,
    environment_files,
    final_state,
    is_enabled,
    is_offline,
    is_ours,
    is_quiet,
    links_ours,
    match_specs,
    missing_names,
    package_folders,
    root_prefix,
    settled,
    target_prefix,
    texts_with_extras,
    told_by_conda,
    wants_deps,
)

__all__ = [
    "UNSATISFIABLE",
    "Solving",
    "asked_to_update_all",
    "asked_to_update_deps",
    "asks_nobody",
    "bridged_names",
    "carry_out",
    "context_flags",
    "environment_files",
    "final_state",
    "is_enabled",
    "is_offline",
    "is_ours",
    "is_quiet",
    "links_ours",
    "match_specs",
    "missing_names",
    "package_folders",
    "root_prefix",
    "settled",
    "target_prefix",
    "texts_with_extras",
    "told_by_conda",
    "wants_deps",
]
