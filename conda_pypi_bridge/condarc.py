"""conda's configuration files, for the engine that runs without conda.

Reads what conda reads, in conda's order: system, root prefix, user and environment ``condarc``
files, ``$CONDARC``, then ``CONDA_*`` variables (conda documentation, "Searching for .condarc").
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .errors import ConfigError

#: The folders of the whole machine; `True` is for Windows.
_SYSTEM = {True: ("C:/ProgramData/conda",), False: ("/etc/conda", "/var/lib/conda")}

_LISTS = ("channels", "default_channels", "pinned_packages", "pkgs_dirs")
_MAPS = ("custom_channels", "plugins", "proxy_servers")
_PLAIN = ("channel_alias", "channel_priority", "ssl_verify", "offline", "subdir", "always_yes")

#: Other names that conda has for settings.
_ALIASES = {"channel": "channels", "verify_ssl": "ssl_verify", "yes": "always_yes"}

#: Settings in which conda puts in environment variables (conda documentation, "Expansion of environment
#: variables"); people keep the passwords of channels there.
_EXPANDED = (
    *("channels", "default_channels", "custom_channels", "channel_alias"),
    *("pkgs_dirs", "proxy_servers", "ssl_verify"),
)
_VARIABLE = re.compile(r"\$(?:(?P<plain>\w+)|\{(?P<braced>[^}]*)\})", re.ASCII)


@dataclass(frozen=True, kw_only=True)
class CondaConfig:
    """The settings of conda that concern the bridge; names and meanings are conda's.

    `channels` and `default_channels` are best first. `channel_priority` is ``strict``, ``flexible`` or
    ``disabled``. `ssl_verify` may name a CA bundle, or ``truststore``.
    """

    channels: tuple[str, ...] = ()
    default_channels: tuple[str, ...] = ()
    custom_channels: Mapping[str, str] = field(default_factory=dict)
    channel_alias: str = ""
    channel_priority: str = "flexible"
    pinned_packages: tuple[str, ...] = ()
    pkgs_dirs: tuple[str, ...] = ()
    ssl_verify: bool | str = True
    offline: bool = False
    always_yes: bool = False
    subdir: str = ""
    proxy_servers: Mapping[str, str] = field(default_factory=dict)
    plugins: Mapping[str, Any] = field(default_factory=dict)


def load(prefix: Path, environ: Mapping[str, str], home: Path, *, root: Path | None = None) -> CondaConfig:
    """The configuration that conda would have for `prefix`; `root` is its installation, where known.

    Raises `ConfigError` for a file that is not YAML or not a mapping, and for a setting of another type than
    conda's.
    """
    merged: dict[str, Any] = {}
    for path in files(prefix, environ, home, root or root_prefix(prefix, environ)):
        for name, value in _read(path).items():
            key = _ALIASES.get(name, name)
            if value is not None:
                _check_type(path, key, value)
                merged[key] = _merge(key, merged.get(key), value)
    for key in (*_LISTS, *_PLAIN):
        text = environ.get(f"CONDA_{key.upper()}")
        if text:
            separator = "&" if key == "pinned_packages" else ","
            merged[key] = [t.strip() for t in text.split(separator)] if key in _LISTS else text
    for key in merged.keys() & {*_EXPANDED}:
        merged[key] = expand(merged[key], environ)
    return _config(merged)


def root_prefix(prefix: Path, environ: Mapping[str, str]) -> Path | None:
    """The conda installation that an environment belongs to, None where nothing tells.

    An environment in ``ROOT/envs`` belongs to ROOT; else ``CONDA_ROOT`` and ``CONDA_EXE`` tell.
    """
    if prefix.parent.name == "envs":
        return prefix.parent.parent
    if environ.get("CONDA_ROOT"):
        return Path(environ["CONDA_ROOT"])
    executable = Path(environ.get("CONDA_EXE", ""))
    if executable.name and executable.parent.name in ("bin", "Scripts", "condabin"):
        return executable.parent.parent
    return None


def files(
    prefix: Path,
    environ: Mapping[str, str],
    home: Path,
    root: Path | None,
    *,
    windows: bool = os.name == "nt",
) -> Iterator[Path]:
    """Every condarc file there is, least important first."""
    xdg = environ.get("XDG_CONFIG_HOME")
    folders = [Path(text) for text in _SYSTEM[windows]]
    folders += [root] if root else []
    folders += [Path(xdg) / "conda"] if xdg else []
    folders += [home / ".config" / "conda", home / ".conda"]
    for folder in folders:
        yield from _in_folder(folder)
    yield from (path for path in [home / ".condarc"] if path.is_file())
    yield from _in_folder(prefix)
    named = Path(environ.get("CONDARC", "") or "/nonexistent")
    if named.is_file():
        yield named


def _in_folder(folder: Path) -> Iterator[Path]:
    for name in (".condarc", "condarc"):
        if (folder / name).is_file():
            yield folder / name
    for name in ("condarc.d", ".condarc.d"):
        yield from sorted(p for p in (folder / name).glob("*") if p.suffix in (".yml", ".yaml"))


def _read(path: Path) -> dict[str, Any]:
    # A kernel that asks which files there are has no YAML reader where the bridge is not of its environment.
    from ruamel.yaml import YAML

    return read_with(YAML(typ="safe"), path)


def read_with(yaml: Any, path: Path) -> dict[str, Any]:
    """What a condarc file says, as that ``ruamel.yaml.YAML`` reads it; nothing where it is empty.

    Raises `ConfigError` for a file that cannot be read, and one that is not a mapping.
    """
    from ruamel.yaml.error import YAMLError

    try:
        content = yaml.load(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, YAMLError) as error:
        raise ConfigError(
            f"{path}: cannot be read as a condarc file: {str(error).splitlines()[0]}"
        ) from None  # the error's own words quote the file
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: a condarc file holds settings (name: value), this one does not")
    return content


def _check_type(path: Path, key: str, value: Any) -> None:
    """Raises `ConfigError` for a setting that is not of conda's type; settings not read here are conda's."""
    if key in _LISTS:
        wanted = "a list of texts"
        fits = isinstance(value, str) or (
            isinstance(value, list) and all(isinstance(entry, str | int | float) for entry in value)
        )
    elif key in _MAPS:
        wanted, fits = "a mapping (name: value)", isinstance(value, dict)
    else:
        wanted, fits = "one value", key not in _PLAIN or not isinstance(value, list | dict)
    if not fits:
        raise ConfigError(f"{path}: {key} must be {wanted}")


def expand(value: Any, environ: Mapping[str, str]) -> Any:
    """A value with environment variables put in as `os.path.expandvars` does; unknown ones stay."""
    if isinstance(value, dict):
        return {key: expand(item, environ) for key, item in value.items()}
    if isinstance(value, list):
        return [expand(item, environ) for item in value]
    if isinstance(value, str):
        return _VARIABLE.sub(lambda match: environ.get(match["plain"] or match["braced"], match[0]), value)
    return value


def _merge(key: str, old: Any, new: Any) -> Any:
    """Lists: the more important file's entries first; maps: its entries win; else: its value."""
    if key in _LISTS:
        new = [new] if isinstance(new, str) else list(new)
        return [*new, *(entry for entry in old or [] if entry not in new)]
    if key in _MAPS:
        return {**(old or {}), **new}
    return new


def _config(merged: Mapping[str, Any]) -> CondaConfig:
    known = {key: merged[key] for key in (*_LISTS, *_MAPS, *_PLAIN) if key in merged}
    for key in _LISTS:
        if key in known:
            known[key] = tuple(str(entry) for entry in known[key])
    for key in ("offline", "always_yes"):
        if key in known:
            known[key] = _truth(known[key]) is True
    if "ssl_verify" in known:
        known["ssl_verify"] = _truth(known["ssl_verify"])
    known["channel_priority"] = _priority(str(known.get("channel_priority", "flexible")).lower())
    return CondaConfig(**known)


def _priority(text: str) -> str:
    """Raises `ConfigError` for what conda does not know; a slip of the pen would be another priority."""
    priority = {"true": "flexible", "false": "disabled"}.get(text, text)
    if priority not in ("strict", "flexible", "disabled"):
        raise ConfigError(f"condarc: channel_priority must be strict, flexible or disabled, not {text!r}")
    return priority


def _truth(value: Any) -> bool | str:
    text = str(value).lower()
    if text in ("true", "yes", "on", "1"):
        return True
    if text in ("false", "no", "off", "0"):
        return False
    return str(value)
