"""Changing one setting of the bridge in a condarc file, with everything else left as it is written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from .condarc import read_with
from .errors import ConfigError
from .locks import entry


def set_plugin_setting(path: Path, key: str, value: Any) -> bool:
    """Set ``plugins: key: value`` in the file, or take it out where `value` is None.

    Returns whether the file changed. Comments and order stay; the file is replaced as a whole or not at
    all. Raises `ConfigError` for a file that cannot be read, or in which ``plugins`` or the whole is no
    mapping, and `OSError` where it cannot be written.
    """
    yaml = YAML()
    document = read_with(yaml, path) if path.is_file() else {}
    plugins = {} if document.get("plugins") is None else document["plugins"]
    if not isinstance(plugins, dict):
        raise ConfigError(f"{path}: plugins must be a mapping (name: value)")
    if plugins.get(key) == value:
        return False
    if value is None:
        del plugins[key]
    else:
        plugins[key] = value
    if plugins:
        document["plugins"] = plugins
    else:
        document.pop("plugins", None)
    _replace(yaml, path, document)
    return True


def _replace(yaml: YAML, path: Path, document: dict[str, Any]) -> None:
    path = path.resolve()  # a link to the file stays one
    mode = path.stat().st_mode & 0o777 if path.is_file() else 0o644
    path.parent.mkdir(parents=True, exist_ok=True)
    with entry(path.parent, path.name) as folder:
        draft = folder / path.name
        with draft.open("w", encoding="utf-8") as stream:
            if document:
                yaml.dump(document, stream)
        draft.chmod(mode)
        draft.replace(path)
