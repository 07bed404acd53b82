"""conda's solver plugin: the user's own backend, and the package index for what no channel has.

What channels can do is left to the backend as if nothing was here, at its cost. Only when a requested name
is on no channel, or belongs to a package that came from the index, is there more to do, and to import.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .engines.conda import (
    UNSATISFIABLE,
    Solving,
    asked_to_update_all,
    asked_to_update_deps,
    bridged_names,
    environment_files,
    final_state,
    is_ours,
    links_ours,
    match_specs,
    texts_with_extras,
    wants_deps,
)

if TYPE_CHECKING:
    from .transparent import Asked


class FallbackSolver:
    """A solver as conda's API has it; what is not here is the backend's own."""

    def __init__(
        self,
        prefix: str,
        channels: Iterable[Any],
        subdirs: Iterable[str] = (),
        specs_to_add: Iterable[Any] = (),
        specs_to_remove: Iterable[Any] = (),
        repodata_fn: str = "repodata.json",
        command: Any = None,
    ) -> None:
        self._prefix = Path(prefix)
        self._specs = match_specs(specs_to_add)
        self._removed = match_specs(specs_to_remove)
        self._extras = texts_with_extras() if self._specs else {}
        self._solving = Solving.of_call(channels, subdirs, repodata_fn=repodata_fn, command=command)
        self._plain = self._solving.solver(self._prefix, specs=self._specs, removed=self._removed)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._plain, name)

    def solve_for_transaction(self, **modifiers: Any) -> Any:
        """conda's transaction. Raises what the backend raises, and ``CondaError``."""
        if self._removed:
            return self._plain.solve_for_transaction(**modifiers)
        failure: Exception | None = None
        if not self._concerned(modifiers):
            try:
                return self._guarded(self._plain.solve_for_transaction(**modifiers))
            except UNSATISFIABLE as error:
                failure = error
                if not (self._lacking or self._bridged):
                    raise
        from .transparent import solved

        return solved(self._prefix, self._solving.asked(modifiers), self._asked(modifiers), failure)

    def solve_for_diff(self, **modifiers: Any) -> tuple[Any, Any]:
        """What the transaction unlinks, and what it links."""
        (setup,) = self.solve_for_transaction(**modifiers).prefix_setups.values()
        return setup.unlink_precs, setup.link_precs

    def solve_final_state(self, **modifiers: Any) -> Any:
        """Everything that will be in the prefix, what is required before what requires it."""
        unlink, link = self.solve_for_diff(**modifiers)
        return final_state(self._prefix, unlink, link)

    def _asked(self, modifiers: Mapping[str, Any]) -> Asked:
        from .transparent import Asked

        return Asked(
            specs=self._specs,
            texts=[self._extras.get(spec.name, str(spec)) for spec in self._specs],
            ours=self._lacking
            | {spec.name for spec in self._specs if self._is_ours(spec)}
            | set(self._extras),
            upgraded=self._upgraded(modifiers),
            deps=wants_deps(modifiers),
        )

    def _guarded(self, transaction: Any) -> Any:
        """The backend's transaction; ours where it links packages of the index anew."""
        if not links_ours(transaction):
            return transaction
        from .transparent import relinked

        return relinked(self._prefix, self._solving, transaction)

    def _concerned(self, modifiers: Mapping[str, Any]) -> bool:
        """Whether the backend alone would miss something: newer packages, extras, a ``pip:`` section."""
        if asked_to_update_all(modifiers):
            return bool(self._bridged)
        return bool(environment_files() or self._extras) or any(self._is_ours(spec) for spec in self._specs)

    def _is_ours(self, spec: Any) -> bool:
        """Whether a spec is of a package that came from the index, or names the bridge's channel."""
        return is_ours(spec) or spec.name in self._bridged

    @cached_property
    def _bridged(self) -> frozenset[str]:
        return bridged_names(self._prefix)

    @cached_property
    def _lacking(self) -> frozenset[str]:
        """The names that no channel has; a spec that names its channel is that channel's business."""
        free = [spec.name for spec in self._specs if spec.get("channel") is None]
        return frozenset(name for name in free if not self._solving.has(name))

    def _upgraded(self, modifiers: Mapping[str, Any]) -> frozenset[str]:
        """The packages of which newer versions are offered, although what is installed would do."""
        named = frozenset(spec.name for spec in self._specs)
        if asked_to_update_all(modifiers) or asked_to_update_deps(modifiers):
            return named | self._bridged
        return named
