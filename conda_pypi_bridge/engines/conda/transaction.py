"""conda's transaction, with packages of the bridge built before it links, and all or nothing of it done."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from conda.base.context import context
from conda.core import path_actions
from conda.core.link import UnlinkLinkTransaction
from conda.core.package_cache_data import PackageCacheData

from ...locks import descriptor_of, entry, leave_word
from ...store import FETCHING
from .calling import told_by_conda
from .records import dist_of, is_cached

#: What conda makes at the top of a prefix for its own use: files to be, and tries of hard links.
LEFT_BY_CONDA = (".condatmp", ".tmp.index.json.*")

#: What a package is in conda's cache: a folder and an archive.
_PACKAGE = ("", ".conda", ".tar.bz2")

#: Bytes of source from which on several processes compile faster than one.
_MUCH = 1 << 20


class BridgeTransaction(UnlinkLinkTransaction):  # type: ignore[misc]
    """`build` puts the packages into conda's cache; `alone` is what linking happens within: nobody else
    changes the prefix, what pip placed is gone, and all is undone where linking fails.

    `note` is what there is to say below conda's summary.
    """

    def __init__(
        self,
        setup: Any,
        *,
        build: Callable[[], None],
        alone: Callable[[], AbstractContextManager[None]],
        note: str = "",
    ) -> None:
        super().__init__(setup)
        self._build = build
        self._alone = alone
        self._note = note

    def print_transaction_summary(self) -> Any:
        groups = super().print_transaction_summary()
        if self._note:
            print(self._note)
        return groups

    def download_and_extract(self) -> None:
        self._build()
        self._pfe = None  # the summary looked for packages that are in the cache only now
        if not self._lacks_packages():
            super().download_and_extract()
            return
        cache = Path(PackageCacheData.first_writable().pkgs_dir)
        with entry(cache, FETCHING) as private:
            leave_word(private, (f"{cache / dist}{end}" for dist in self._fetched() for end in _PACKAGE))
            for folder in self._unfinished():
                shutil.rmtree(folder, ignore_errors=True)
            PackageCacheData.clear()  # another process may have fetched the same meanwhile
            self._pfe = None
            super().download_and_extract()

    def _lacks_packages(self) -> bool:
        """Whether conda has to fetch or extract anything."""
        fetching = self._get_pfe()
        fetching.prepare()
        return bool(fetching.cache_actions or fetching.extract_actions or any(self._unfinished()))

    def _fetched(self) -> list[str]:
        """What no cache has yet, wholly: conda takes for a package what it extracted in part."""
        records = [record for setup in self.prefix_setups.values() for record in setup.link_precs]
        dists, folders = map(dist_of, records), [Path(folder) for folder in context.pkgs_dirs]
        return [dist for dist in dists if not any(is_cached(folder, dist) for folder in folders)]

    def _unfinished(self) -> Iterator[Path]:
        """What conda takes for packages, and has not extracted to the end: its record comes last."""
        records = [record for setup in self.prefix_setups.values() for record in setup.link_precs]
        for folder in map(Path, context.pkgs_dirs):
            for dist in map(dist_of, records):
                if (folder / dist).is_dir() and not is_cached(folder, dist):
                    yield folder / dist

    @told_by_conda()
    def execute(self) -> None:
        with self._alone(), _compiling(), _hearing() as failures:
            super().execute()
            if failures:
                raise failures[0]


@contextmanager
def _hearing() -> Iterator[list[Exception]]:
    """The failures of steps, some of which conda does not look at, such as of writing a script."""
    theirs, failures = UnlinkLinkTransaction._execute_actions, list[Exception]()

    def heard(group: Any) -> Exception | None:
        failure: Exception | None = theirs(group)
        failures.extend([failure] if failure else [])
        return failure

    UnlinkLinkTransaction._execute_actions = staticmethod(heard)
    try:
        yield failures
    finally:
        UnlinkLinkTransaction._execute_actions = staticmethod(theirs)


@contextmanager
def _compiling() -> Iterator[None]:
    """Have conda compile as below."""
    theirs = path_actions.compile_multiple_pyc
    path_actions.compile_multiple_pyc = _compiled
    try:
        yield
    finally:
        path_actions.compile_multiple_pyc = theirs


def _compiled(
    python: str, sources: Iterable[str], bytecode: Iterable[str], prefix: str, version: str
) -> list[str]:
    """Compile Python files of a prefix; those of the `bytecode` files that exist then.

    Unlike conda's own it starts no shell to activate the environment in, and holds the prefix as long as it
    runs: if conda is killed, nobody changes the prefix until it ends.
    """
    files, targets = [Path(source) for source in sources], [Path(target) for target in bytecode]
    _compile(python, files, prefix)
    # what fails once may be the system's fault; what fails again is not for this Python
    missing = {_source(target) for target in targets if not target.is_file()}
    _compile(python, [file for file in files if file in missing], prefix)
    return [str(target) for target in targets if target.is_file()]


def _source(bytecode: Path) -> Path:
    """``FOLDER/__pycache__/NAME.cpython-311.pyc`` -> ``FOLDER/NAME.py`` (PEP 3147)."""
    return bytecode.parents[1] / f"{bytecode.name.rsplit('.', 2)[0]}.py"


def _compile(python: str, files: Sequence[Path], prefix: str) -> None:
    """Have as many processes compile as there are CPUs: `compileall` has one for a list of files."""
    sizes = {file: file.stat().st_size for file in files}
    count = (os.cpu_count() or 1) if sum(sizes.values()) > _MUCH else 1
    ordered = sorted(files, key=sizes.__getitem__)  # so that each has as much to do
    with ThreadPoolExecutor(count) as pool:
        list(pool.map(lambda start: _compile_some(python, ordered[start::count], prefix), range(count)))


def _compile_some(python: str, files: Sequence[Path], prefix: str) -> None:
    if files:
        holding = descriptor_of(Path(prefix))
        subprocess.run(
            [python, "-I", "-Wi", "-m", "compileall", "-q", "-l", "-i", "-"],
            input="".join(f"{file.relative_to(prefix)}\n" for file in files).encode(errors="surrogateescape"),
            cwd=prefix,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=() if holding is None else (holding,),
            check=False,  # some files of some packages are for other Pythons
        )
