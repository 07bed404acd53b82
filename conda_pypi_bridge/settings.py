"""The bridge's own settings: below ``plugins:`` in any condarc file, where conda lets them be.

plugins:
  pypi_bridge_enabled: true                 # plain conda commands take from the index what channels lack
  pypi_bridge_pip_sections: true            # environment files' pip: sections become conda packages
  pypi_bridge_index_url: https://...        # instead of pip's configuration
  pypi_bridge_extra_index_urls: [https://...]
  pypi_bridge_private: ["acme-*"]           # names that never go to the public index
  pypi_bridge_private: {"acme-*": https://...}  # or: names for which that index alone is asked
  pypi_bridge_block: ["some-project"]       # patterns of names that are never taken from an index
  pypi_bridge_min_age_days: 30              # younger projects: plain conda -y refuses them
  pypi_bridge_hints: false                  # conda's errors say nothing of the index
  pypi_bridge_names: {some-project: its-conda-name}
  pypi_bridge_notebook_shell: false         # kernels leave PATH and conda's variables as they are
  pypi_bridge_pip_magic: true               # %pip install in a kernel is %conda install
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from packaging.utils import canonicalize_name

from .errors import ConfigError
from .model import CondaName, ProjectName

_PREFIX = "pypi_bridge_"

#: A thousand years: far below what `datetime` can subtract.
_MOST_DAYS = 365_000


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What the user settled for good; the command line goes first. URLs may hold credentials.

    `private` maps patterns of names to the only index to ask for them, "" to all but the public one.
    `block` are patterns, too. A project is young until `min_age` after its first release.
    """

    enabled: bool = False
    index_url: str | None = field(default=None, repr=False)
    extra_index_urls: tuple[str, ...] = field(default=(), repr=False)
    private: Mapping[str, str] = field(default_factory=dict, repr=False)
    block: tuple[str, ...] = ()
    min_age: dt.timedelta = dt.timedelta(days=30)
    hints: bool = True
    names: Mapping[ProjectName, CondaName] = field(default_factory=dict)


def is_young(first: dt.datetime, age: dt.timedelta) -> bool:
    """Whether a project whose first release is of that time is younger than `age`."""
    return dt.datetime.now(dt.timezone.utc) - first < age


def read(plugins: Mapping[str, Any]) -> Settings:
    """The settings in condarc's ``plugins`` mapping.

    Raises `ConfigError` for a setting of ours that does not exist or has the wrong type.
    """
    ours = {
        key.removeprefix(_PREFIX): value for key, value in plugins.items() if str(key).startswith(_PREFIX)
    }
    for key, value in ours.items():
        _check(key, value)
    names = {canonicalize_name(str(project)): str(name) for project, name in ours.get("names", {}).items()}
    return Settings(
        enabled=ours.get("enabled", False),
        index_url=ours.get("index_url"),
        extra_index_urls=tuple(map(str, ours.get("extra_index_urls", ()))),
        private=_private(ours.get("private", ())),
        block=tuple(map(str, ours.get("block", ()))),
        min_age=dt.timedelta(days=ours.get("min_age_days", 30)),
        hints=ours.get("hints", True),
        names={ProjectName(project): CondaName(name) for project, name in names.items()},
    )


def _check(key: str, value: Any) -> None:
    """Raises `ConfigError` for a setting that does not exist, or has the wrong type or range."""
    if key not in _TYPES:
        known = ", ".join(_PREFIX + name for name in _TYPES)
        raise ConfigError(f"condarc: plugins: there is no setting {_PREFIX}{key} (there are: {known})")
    kind = _TYPES[key]
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):  # a bool is an int, too
        raise ConfigError(f"condarc: plugins: {_PREFIX}{key} must be a {_spelled(kind)}")
    if isinstance(value, int) and not 0 <= value <= _MOST_DAYS:
        raise ConfigError(f"condarc: plugins: {_PREFIX}{key} must be from 0 to {_MOST_DAYS}")
    inside = (
        [*value, *value.values()] if isinstance(value, dict) else value if isinstance(value, list) else ()
    )
    if None in inside:  # what YAML reads where nothing is written
        raise ConfigError(f"condarc: plugins: {_PREFIX}{key} has an entry that says nothing")


def _private(patterns: Sequence[Any] | Mapping[Any, Any]) -> dict[str, str]:
    """Patterns alone, or each with its index."""
    if isinstance(patterns, Mapping):
        return {str(pattern): str(url) for pattern, url in patterns.items()}
    return dict.fromkeys(map(str, patterns), "")


def _spelled(kind: type | tuple[type, ...]) -> str:
    words = {bool: "boolean", int: "number"}
    kinds = kind if isinstance(kind, tuple) else (kind,)
    return " or a ".join(words.get(one, one.__name__) for one in kinds)


_TYPES: Mapping[str, type | tuple[type, ...]] = {
    "enabled": bool,
    "index_url": str,
    "extra_index_urls": list,
    "private": (list, dict),
    "block": list,
    "min_age_days": int,
    "hints": bool,
    "names": dict,
    "pip_sections": bool,  # this one is read from conda's context, the next two in kernels
    "notebook_shell": bool,
    "pip_magic": bool,
}
