"""How the story tells what it is doing: an object that does nothing unless a door overrides it."""

from __future__ import annotations

from typing import Protocol

from .model import Plan


class Reporter(Protocol):
    """Receives phases and progress. Methods may be called from several threads."""

    def phase(self, text: str) -> None:
        """A new phase begins: a few words, no full stop."""

    def expect(self, files: int, size: int) -> None:
        """So many files, of so many bytes together, are about to be fetched."""

    def advance(self, *, files: int = 0, size: int = 0) -> None:
        """So many more files and bytes are done."""

    def warn(self, text: str) -> None:
        """A sentence that the user should read."""

    def confirm(self, plan: Plan, prefix: str) -> bool:
        """Show what is going to happen to the prefix; whether the user agrees."""
        ...


class Silent:
    """A reporter that says nothing and agrees to everything."""

    def phase(self, text: str) -> None: ...

    def expect(self, files: int, size: int) -> None: ...

    def advance(self, *, files: int = 0, size: int = 0) -> None: ...

    def warn(self, text: str) -> None: ...

    def confirm(self, plan: Plan, prefix: str) -> bool:
        return True
