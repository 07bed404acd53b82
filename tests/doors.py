"""One user's view of a prefix, whichever door they use: for tests that every door must pass."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.lab.condas import Conda, Result, python_of, run


@dataclass(frozen=True, kw_only=True)
class Door:
    """Install into, remove from and look at `prefix`; `conda` reads back what any engine did.

    `install_command` and `remove_command` run the door with the arguments given, and `index` names the
    index they use.
    """

    prefix: Path
    conda: Conda
    call: Callable[..., Result]
    install_words: tuple[str, ...]
    remove_words: tuple[str, ...]
    index: tuple[str, ...] = ()

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
