"""What a door hands to the story: the engine of the chosen prefix, and the index as configured."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import condarc, settings
from .engines import Engine
from .errors import ConfigError
from .locks import own_folder, sweep
from .namedata import load_table
from .names import Names
from .prefix import Prefix, dist_mapping, locate, read_prefix, refuse_system_python, settle
from .requirementfiles import RequirementFile
from .store import cache_folder, index_cache

if TYPE_CHECKING:
    from .config import IndexConfig
    from .engines.conda import Solving
    from .index import Index
    from .index.answers import Limits


@dataclass(frozen=True, kw_only=True)
class Session:
    """One command's view of a prefix. `root` is the conda installation it belongs to."""

    engine: Engine
    prefix: Prefix
    root: Path
    conda: condarc.CondaConfig
    settings: settings.Settings

    def index(self, args: argparse.Namespace, files: RequirementFile, limits: Limits | None = None) -> Index:
        """The indexes of the command line, else of requirement files, condarc, pip's configuration."""
        from .index import Index

        found = index_config(args, files, self.prefix.path, self.conda, self.settings)
        return Index(
            found,
            index_cache(),
            offline=bool(getattr(args, "offline", False)) or self.conda.offline,
            limits=limits,
            origins=lambda: self.prefix.origins,
        )

    def open_index(self, files: RequirementFile, limits: Limits | None = None) -> Index:
        """The indexes of files, condarc and pip, for a command that has no options of ours."""
        from .engines.conda import is_offline

        return self.index(argparse.Namespace(offline=is_offline()), files, limits)


def index_config(
    args: argparse.Namespace,
    files: RequirementFile,
    prefix: Path,
    conda: condarc.CondaConfig,
    ours: settings.Settings,
) -> IndexConfig:
    """How to reach the indexes of the command line, else of files, condarc, pip's configuration.

    `prefix` is the environment whose pip configuration counts. Raises `ConfigError` for a file or a value
    that cannot be used.
    """
    from . import config

    found = config.load(
        index_url=getattr(args, "index_url", None) or files.index_url or ours.index_url,
        extra_index_urls=(
            *getattr(args, "extra_index_url", ()),
            *files.extra_index_urls,
            *ours.extra_index_urls,
        ),
        prefix=prefix,
        private=ours.private,
    )
    return replace(
        found,
        indexes=() if files.no_index else found.indexes,
        find_links=(*found.find_links, *files.find_links),
        trusted_hosts=found.trusted_hosts | set(files.trusted_hosts),
        cert=found.cert or _certificates(conda),
        proxies=found.proxies or conda.proxy_servers,
    )


def _certificates(conda: condarc.CondaConfig) -> str | None:
    """The CA bundle that conda was told of; its other values of ``ssl_verify`` are no files.

    Raises `ConfigError` for one that is not there, as conda does.
    """
    bundle = conda.ssl_verify
    if not isinstance(bundle, str) or bundle == "truststore":
        return None
    if not Path(bundle).exists():
        raise ConfigError(f"condarc: ssl_verify names {bundle}, which is not there")
    return bundle


def without_conda(args: argparse.Namespace) -> Session:
    """For ``python -m conda_pypi_bridge``: rattler, in the environment that runs it or the one named.

    Raises `PrefixError` and `ConfigError`.
    """
    return rattler_session(args, read_prefix(chosen_prefix(args)))


def chosen_prefix(args: argparse.Namespace) -> Path:
    """The environment that runs this, or the one named. Raises `PrefixError` where it is none."""
    name, path = getattr(args, "name", None), getattr(args, "prefix", None)
    where = locate(
        name, Path(path) if path else None, environ=os.environ, home=Path.home(), running=Path(sys.prefix)
    )
    prefix = read_prefix(where)
    refuse_system_python(where)
    settle(prefix.path)
    return prefix.path


def rattler_session(args: argparse.Namespace, prefix: Prefix) -> Session:
    """For a prefix that the engine without conda may change. Raises `ConfigError`, also for the channels."""
    from .engines.rattler import RattlerEngine

    where = prefix.path
    conda = condarc.load(where, os.environ, Path.home())
    ours = settings.read(conda.plugins)
    engine = RattlerEngine(
        prefix,
        channels=_channels(args, conda, prefix),
        config=conda,
        names=names_in(prefix, ours),
        cache=_package_cache(),
        command=["python", "-m", str(__package__), *sys.argv[1:]],
        offline=bool(getattr(args, "offline", False)) or conda.offline,
    )
    root = condarc.root_prefix(where, os.environ) or where
    sweep_condas(conda, root)
    return Session(engine=engine, prefix=prefix, root=root, conda=conda, settings=ours)


def sweep_condas(conda: condarc.CondaConfig, root: Path) -> None:
    """Delete what a command of the bridge left that died, in conda's package folders."""
    for folder in conda.pkgs_dirs or (root / "pkgs", Path.home() / ".conda" / "pkgs"):
        sweep(Path(folder))


def within_conda(args: argparse.Namespace) -> Session:
    """For conda's subcommands: conda's own machinery, in the prefix that its context chose.

    Raises `PrefixError` and `ConfigError`.
    """
    from .engines.conda import Solving, target_prefix

    prefix = read_prefix(target_prefix())
    return solver_session(prefix, Solving.of_context(getattr(args, "channel", ())))


def solver_session(prefix: Prefix, solving: Solving | None = None) -> Session:
    """For a prefix that conda chose; `solving` is how conda called, where our solver stands in place.

    Raises `ConfigError`.
    """
    from .engines.conda import root_prefix
    from .engines.conda.engine import CondaEngine

    conda = condarc.load(prefix.path, os.environ, Path.home(), root=root_prefix())
    ours = settings.read(conda.plugins)
    engine = CondaEngine(prefix, names=names_in(prefix, ours), solving=solving)
    return Session(engine=engine, prefix=prefix, root=root_prefix(), conda=conda, settings=ours)


def _package_cache() -> Path:
    """The cache folder; where nothing can be written there, a folder for this command alone."""
    folder = cache_folder()
    with contextlib.suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
    wanted = [path for path in (folder, folder / "pkgs") if path.exists()]
    writable = wanted and all(os.access(path, os.W_OK | os.X_OK) for path in wanted)
    return folder if writable else own_folder(folder)


def names_in(prefix: Prefix, ours: settings.Settings) -> Names:
    """What projects are called among conda packages: the prefix tells, the user, the shipped table."""
    return Names(installed=dist_mapping(prefix), user=ours.names, table=load_table())


def _channels(args: argparse.Namespace, conda: condarc.CondaConfig, prefix: Prefix) -> list[str]:
    """The channels to search, best first.

    A virtual environment has none unless they are named: conda's binary packages expect conda's
    Python. Where no configuration names any, a conda environment uses those it was made from.
    """
    given = list(getattr(args, "channel", ()))
    alone = bool(getattr(args, "override_channels", False))
    if alone and not given:
        raise ConfigError("--override-channels needs at least one -c CHANNEL")
    used = dict.fromkeys(_origin(record) for record in prefix.conda_meta)
    known = [url for url in used if "://" in url]
    defaults = conda.default_channels or [url for url in known if "/pkgs/" in url]
    if "defaults" in given and not defaults:
        hint = "Name them in condarc, as default_channels, or with -c."
        raise ConfigError("what the channel defaults stands for is known to conda alone", hint=hint)
    is_venv = prefix.python is not None and prefix.python.is_venv
    wanted = given if alone or is_venv else [*given, *(conda.channels or known)]
    found = (url for name in wanted for url in (defaults if name == "defaults" else [name]))
    return list(dict.fromkeys(found))


def _origin(record: Mapping[str, Any]) -> str:
    """The channel URL of an installed package, without its platform folder."""
    channel = str(record.get("channel", "")).rstrip("/")
    return channel.removesuffix(f"/{record.get('subdir')}")
