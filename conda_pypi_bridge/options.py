"""What the user chose, apart from the SPECs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .model import CondaName
from .requirementfiles import RequirementFile


@dataclass(frozen=True, kw_only=True)
class Options:
    """What the user chose, apart from the SPECs.

    `constraints` are PEP 508 requirements that only limit versions. `hashes` maps a SPEC to the sha256
    of the files it admits; with `require_hashes` whatever comes from an index must have some. `bare`
    resolves as if nothing but Python was installed. `allow_hooks` admits wheels whose files run when an
    environment is activated, or make menu entries. `upgrade` names installed packages that are wanted
    newer, although they would do; `newest` means all that is asked for. `blocked` are patterns of projects
    that no index may serve.
    """

    pre: bool = False
    deps: bool = True
    dry_run: bool = False
    constraints: Sequence[str] = ()
    hashes: Mapping[str, frozenset[str]] = field(default_factory=dict)
    require_hashes: bool = False
    bare: bool = False
    allow_hooks: bool = False
    upgrade: frozenset[CondaName] = frozenset()
    newest: bool = False
    blocked: Sequence[str] = ()

    @classmethod
    def listed(cls, files: RequirementFile, **others: Any) -> Options:
        """With what files of requirements say besides what they ask for."""
        return cls(
            pre=others.pop("pre", False) or files.pre,
            constraints=files.constraints,
            hashes=files.hashes,
            require_hashes=files.require_hashes,
            **others,
        )
