"""What is in a prefix, and which prefix is meant.

Everything is read from files, so that an environment without conda in it and a plain virtual
environment are seen as well as a conda one. What writes is in `deletion`, `guard`, `history` and `journal`.
"""

from .change import change_of, require_done
from .deletion import clear_away, delete, files_of, prune_empty
from .environment import Prefix, dist_mapping, read_prefix
from .guard import exclusive, held, settle
from .history import append_history, requested_specs
from .interpreter import PythonInPrefix, native_markers, own_glibc, own_subdir
from .journal import is_anything_complete, journalled, recover
from .layout import placed_files, refuse_clobbering
from .locate import is_writable, locate, refuse_system_python
from .provenance import Provenance

__all__ = [
    "Prefix",
    "Provenance",
    "PythonInPrefix",
    "append_history",
    "change_of",
    "clear_away",
    "delete",
    "dist_mapping",
    "exclusive",
    "files_of",
    "held",
    "is_anything_complete",
    "is_writable",
    "journalled",
    "locate",
    "native_markers",
    "own_glibc",
    "own_subdir",
    "placed_files",
    "prune_empty",
    "read_prefix",
    "recover",
    "refuse_clobbering",
    "refuse_system_python",
    "requested_specs",
    "require_done",
    "settle",
]
