"""One user's view of a prefix, whichever door they use: for tests that every door must pass."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.indexserver import IndexServer
from tests.lab.condas import Changes, Conda, Result, python_of, run

#: ``python -m conda_pypi_bridge ARGS``, as the fixture `bridge` calls it.
Bridge = Callable[..., Result]

#: What there are, as tests name them.
DOORS = ("conda", "python -m")


@dataclass(frozen=True, kw_only=True)
class Door:
    """Install into, remove from and look at `prefix`; `conda` reads back what any engine did.

    `call` runs the door with the words given. `install_words` and `remove_words` begin those of an install
    and a removal, `verb_words` those of every other verb. `index` are the options that name the index.
    """

    prefix: Path
    conda: Conda
    call: Callable[..., Result]
    install_words: tuple[str, ...]
    remove_words: tuple[str, ...] = ("remove",)
    verb_words: tuple[str, ...] = ()
    index: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        kind: str,
        prefix: Path,
        conda: Conda,
        bridge: Bridge,
        index: IndexServer | None = None,
        env: Changes | None = None,
    ) -> Door:
        """The door of a kind out of `DOORS`; `env` changes the environment of all that it runs."""
        through: Bridge = conda if kind == "conda" else bridge

        def call(*words: str | Path, **options: Any) -> Result:
            return through(*words, **{"env": env, **options})

        return cls(
            prefix=prefix,
            conda=conda,
            call=through if env is None else call,
            install_words=("pypi-install",) if kind == "conda" else ("install",),
            verb_words=("pypi-bridge",) if kind == "conda" else (),
            index=("-i", index.url) if index else (),
        )

    def install(self, *args: str | Path, **options: Any) -> Result:
        return self.call(*self.install_words, "-p", self.prefix, "-y", *self.index, *args, **options)

    def remove(self, *args: str | Path, **options: Any) -> Result:
        return self.call(*self.remove_words, "-p", self.prefix, "-y", *args, **options)

    def refused(self, *args: str | Path, **options: Any) -> str:
        """Standard error of an install that must fail: one message, exit status 1."""
        result = self.install(*args, check=False, **options)
        assert result.returncode == 1, result.stdout + result.stderr
        assert "Traceback" not in result.stderr
        return result.stderr

    def python(self, *args: str | Path) -> str:
        """Output of the prefix's own Python."""
        result = run([python_of(self.prefix), *args], self.conda.home.environment())
        return result.stdout

    def versions(self) -> dict[str, str]:
        """What `importlib.metadata` finds."""
        code = (
            "import importlib.metadata as m, json;"
            "print(json.dumps({d.name: d.version for d in m.distributions()}))"
        )
        import json

        found: dict[str, str] = json.loads(self.python("-c", code))
        return found
