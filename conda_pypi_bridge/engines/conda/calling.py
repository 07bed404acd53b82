"""What conda's own configuration and arguments say, and its solver as they choose it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from conda import CondaError, exceptions
from conda.base.constants import DEFAULT_SOLVER, REPODATA_FN, ChannelPriority, DepsModifier, UpdateModifier
from conda.base.context import context
from conda.core import solve
from conda.core.prefix_data import PrefixData
from conda.core.subdir_data import SubdirData
from conda.exceptions import (
    PackagesNotFoundError,
    ResolvePackageNotFound,
    SpecsConfigurationConflictError,
    UnsatisfiableError,
)
from conda.models.channel import Channel, all_channel_urls
from conda.models.match_spec import MatchSpec
from conda.models.prefix_graph import PrefixGraph

from ... import CHANNEL
from ...errors import BridgeError, PrefixError
from ...redaction import redact

#: What the backends raise where there is no solution; those of plugins derive from these.
UNSATISFIABLE: tuple[type[Exception], ...] = (
    UnsatisfiableError,
    PackagesNotFoundError,
    ResolvePackageNotFound,
    SpecsConfigurationConflictError,
)


#: conda before 24.11 takes the differences of its own ordered sets, and of nothing else.
ordered = getattr(solve, "IndexedSet", tuple)


def target_prefix() -> Path:
    """The environment that conda's arguments and configuration choose.

    Raises `PrefixError` where it is none.
    """
    prefix = Path(context.target_prefix)
    if not (prefix / "conda-meta" / "history").is_file():
        hint = f"Create it first: conda create -p {prefix} python"
        raise PrefixError(str(prefix), "this is no conda environment", hint=hint)
    return prefix


#: ``[async,dotenv]``, or ``[extras=[async]]`` in newer condas; their ``[version='>=3']`` has an equals sign.
_EXTRAS = re.compile(r"^[\w.-]+\s*\[(?:[^\]=]+\]|.*\bextras\s*=)")


def environment_files() -> list[str]:
    """The environment files whose ``pip:`` sections are to be installed as conda packages."""
    if not context.plugins.pypi_bridge_pip_sections or context._argparse_args.get("remote_definition"):
        return []
    return [file for file in _files() if file.lower().endswith((".yml", ".yaml"))]


def texts_with_extras() -> dict[str, str]:
    """Name -> SPEC as it was typed, of those with extras: conda's own specs leave extras out."""
    typed = [str(text).strip("\"'") for text in context._argparse_args.get("packages") or ()]
    return {MatchSpec(text).name: text for text in typed if _EXTRAS.search(text)}


def _files() -> list[str]:
    """What ``--file`` names, in any of the shapes that conda's commands give it."""
    named = context._argparse_args.get("file") or []
    return [named] if isinstance(named, str) else [str(name) for name in named]


def plain_backend() -> Any:
    """The user's own backend; conda's default where theirs is ours by name."""
    name = context.solver if context.solver != CHANNEL else DEFAULT_SOLVER
    return context.plugin_manager.get_solver_backend(name)


def _as_conda_error(error: BridgeError) -> CondaError:
    """The error as conda tells it, without a report of a crash."""
    return CondaError(" ".join(filter(None, (f"{error}.", error.hint))))


@contextmanager
def told_by_conda() -> Iterator[None]:
    """Lets conda tell our errors, and report our faults without what may be secret in their words."""
    try:
        yield
    except BridgeError as error:
        raise _as_conda_error(error) from error
    except CondaError:
        raise
    except Exception as error:
        error.args = tuple(redact(word) if isinstance(word, str) else word for word in error.args)
        raise


def settled(error: Exception, specs: Sequence[MatchSpec] = (), channels: Sequence[Any] = ()) -> Exception:
    """conda's own error, which conda need not try to avoid with another set of the channels' packages.

    `specs` are those that no channel has.
    """
    if isinstance(error, ResolvePackageNotFound) and specs:
        kind = getattr(exceptions, "PackagesNotFoundInChannelsError", PackagesNotFoundError)
        urls = all_channel_urls(channels, context.subdirs, with_credentials=False)
        error = kind(tuple(map(str, specs)), tuple(urls))
    error.allow_retry = False  # type: ignore[attr-defined]
    return error


def asked_to_update_all(modifiers: Mapping[str, Any]) -> bool:
    """Whether ``conda update --all`` asks."""
    return UpdateModifier.UPDATE_ALL in (modifiers.get("update_modifier"), context.update_modifier)


def asked_to_update_deps(modifiers: Mapping[str, Any]) -> bool:
    """Whether ``--update-deps`` asks."""
    return UpdateModifier.UPDATE_DEPS in (modifiers.get("update_modifier"), context.update_modifier)


def wants_deps(modifiers: Mapping[str, Any]) -> bool:
    """Whether what is asked for comes with its dependencies."""
    return DepsModifier.NO_DEPS not in (modifiers.get("deps_modifier"), context.deps_modifier)


def match_specs(specs: Any) -> list[MatchSpec]:
    """conda's callers give specs as objects or as texts."""
    return [MatchSpec(spec) for spec in specs]


def bridged_names(prefix: Path) -> frozenset[str]:
    """The installed packages that came from an index through the bridge."""
    records = PrefixData(str(prefix)).iter_records()
    return frozenset(r.name for r in records if r.channel.canonical_name == CHANNEL)


def missing_names(error: Any) -> list[str]:
    """The names that an error of conda's says are on no channel; none where it is about something else."""
    if not isinstance(error, PackagesNotFoundError) or not error.dump_map().get("channel_urls"):
        return []
    return [spec.name for spec in match_specs(error.dump_map()["packages"]) if spec.get("channel") is None]


def is_ours(spec: MatchSpec) -> bool:
    """Whether a spec names the bridge's channel."""
    channel = spec.get("channel")
    return channel is not None and channel.canonical_name == CHANNEL


def links_ours(transaction: Any) -> bool:
    """Whether a transaction links packages of the bridge."""
    setups = transaction.prefix_setups.values()
    return any(record.channel.canonical_name == CHANNEL for setup in setups for record in setup.link_precs)


def final_state(prefix: Path, unlink: Iterable[Any], link: Iterable[Any]) -> Any:
    """What is in the prefix once the records are unlinked and linked, in the order of linking."""
    gone = set(unlink)
    kept = [record for record in PrefixData(str(prefix)).iter_records() if record not in gone]
    return ordered(PrefixGraph([*kept, *link]).graph)


def _without_ours(channels: Iterable[Any]) -> list[Any]:
    """The channels, apart from the bridge's, which is a name alone: exports list it."""
    return [channel for channel in channels if Channel(channel).canonical_name != CHANNEL]


def asks_nobody() -> bool:
    """Whether conda was told not to ask: a script runs it."""
    return bool(context.always_yes or context.json)


def is_enabled() -> bool:
    """Whether plain conda commands draw from the package index."""
    return bool(context.plugins.pypi_bridge_enabled)


def is_quiet() -> bool:
    """Whether conda was told to print no progress, or JSON alone."""
    return bool(context.quiet or context.json)


def is_offline() -> bool:
    """Whether conda was told to stay off the network, by an option, a variable or a file."""
    return bool(context.offline)


def package_folders() -> list[Path]:
    """conda's package folders, the one that is written to first."""
    return [Path(folder) for folder in context.pkgs_dirs]


def root_prefix() -> Path:
    """The conda installation that runs."""
    return Path(context.root_prefix)


def context_flags() -> dict[str, bool]:
    """conda's settings that are options of ours too, wherever they were set."""
    return {
        "dry_run": bool(context.dry_run),
        "json": bool(context.json),
        "quiet": bool(context.quiet),
        "offline": bool(context.offline),
        "yes": bool(context.always_yes),
    }


def virtual_packages() -> dict[str, str]:
    """What conda tells of this machine: ``__glibc`` and its version, and so on."""
    manager = context.plugin_manager
    if hasattr(manager, "get_virtual_package_records"):  # conda 25 and later
        return {record.name: record.version for record in manager.get_virtual_package_records()}
    return {f"__{package.name}": package.version or "0" for package in manager.get_virtual_packages()}


@dataclass(frozen=True, kw_only=True)
class Solving:
    """How to make a solver of the user's own backend, and what to ask of it.

    `keywords` go to the backend as they are; `tries` are the modifiers of ``solve_for_transaction``, tried
    in turn.
    """

    backend: Any
    channels: Sequence[Any]
    subdirs: Sequence[str]
    keywords: Mapping[str, Any]
    tries: Sequence[Mapping[str, Any]]

    @classmethod
    def of_context(cls, first: Sequence[str] = ()) -> Solving:
        """As ``conda install`` solves: installed packages frozen at first, then only what must change.

        `first` are channels to search before those that are configured.
        """
        return cls(
            backend=plain_backend(),
            channels=_without_ours(dict.fromkeys([*first, *context.channels])),
            subdirs=context.subdirs,
            keywords={"command": "install"},
            tries=[
                # conda's classic solver explains a conflict at length only where no further try is due
                {
                    "update_modifier": update,
                    "deps_modifier": context.deps_modifier,
                    "should_retry_solve": True,
                }
                for update in (UpdateModifier.FREEZE_INSTALLED, UpdateModifier.UPDATE_SPECS)
            ],
        )

    @classmethod
    def of_call(cls, channels: Any, subdirs: Any, **keywords: Any) -> Solving:
        """As conda called a solver plugin of ours."""
        return cls(
            backend=plain_backend(),
            channels=_without_ours(list(channels) or context.channels),
            subdirs=list(subdirs) or context.subdirs,
            keywords=keywords,
            tries=(),
        )

    def asked(self, modifiers: Mapping[str, Any]) -> Solving:
        """The same over all of the channels' packages, as conda now asks, or will ask next."""
        freeze = modifiers.get("update_modifier") == UpdateModifier.FREEZE_INSTALLED
        meant = context.update_modifier == UpdateModifier.FREEZE_INSTALLED  # by an option
        unfrozen = {**modifiers, "update_modifier": UpdateModifier.UPDATE_SPECS, "should_retry_solve": True}
        tries = [modifiers, unfrozen] if freeze and not meant else [modifiers]
        return replace(self, tries=tries, keywords={**self.keywords, "repodata_fn": REPODATA_FN})

    def has(self, name: str) -> bool:
        """Whether any channel has a package of that name, or one that is the same to an index (PEP 503)."""
        names = dict.fromkeys([name, re.sub(r"[-_.]+", "-", name)])
        if context.offline:
            from .offline import in_package_caches

            if any(in_package_caches(MatchSpec(each)) for each in names):
                return True
        return any(self._query(MatchSpec(each), self.channels) for each in names)

    def records(self, name: str) -> list[Any]:
        """What the solver may choose of a name: under strict priority, the first channel's that has it."""
        if context.channel_priority != ChannelPriority.STRICT:
            return self._query(MatchSpec(name), self.channels)
        found = (self._query(MatchSpec(name), [channel]) for channel in self.channels)
        return next(filter(None, found), [])

    def _query(self, spec: MatchSpec, channels: Sequence[Any]) -> list[Any]:
        if context.offline:
            from .offline import last_read

            return last_read(spec, channels, self.subdirs)
        return list(SubdirData.query_all(spec, channels=channels, subdirs=self.subdirs))

    def solver(
        self,
        prefix: Path,
        *,
        first: Sequence[Any] = (),
        specs: Sequence[MatchSpec] = (),
        removed: Sequence[MatchSpec] = (),
    ) -> Any:
        """A solver over the channels, with some before them."""
        return self.backend(
            str(prefix),
            [*first, *self.channels],
            self.subdirs,
            specs_to_add=list(specs),
            specs_to_remove=list(removed),
            **self.keywords,
        )

    def modifiers(self, *, deps: bool) -> Sequence[Mapping[str, Any]]:
        """The tries, without dependencies where these are not wanted."""
        if deps:
            return self.tries
        return [{**modifiers, "deps_modifier": DepsModifier.NO_DEPS} for modifiers in self.tries]


def carry_out(transaction: Any, args: Any) -> None:
    """Show, ask and execute, as conda does with a transaction of its own."""
    from conda.cli.install import handle_txn

    handle_txn(transaction, context.target_prefix, args, newenv=False)
