"""What is shown: one line while a command runs, then one result, in text and in HTML that say the same.

The HTML is static, so that a saved notebook shows it anywhere. Standard library only; IPython's display is
imported where it is used.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any, Protocol

from ..redaction import redact
from .changes import Change

#: Seconds between two updates that differ by the time alone.
_TICK = 1.0

#: Characters of a log that a notebook is to carry; `CondaCommandError.log` and the outcome have all.
_LOG = 100_000

_TABLE = "border-collapse:collapse;margin:.4em 0"
_CELL = "text-align:left;padding:.1em 1.2em .1em 0;border:none"
_OUTPUT = "white-space:pre-wrap;margin:.4em 0"


class CondaCommandError(Exception):
    """A command that failed. `log` is all that it printed; IPython shows two lines and no traceback.

    `headline` is what stands in place of a result, if not the message itself.
    """

    def __init__(self, message: str, hint: str = "", log: str = "", *, headline: str = "") -> None:
        super().__init__(redact(message))
        self.hint = redact(hint)
        self.log = log
        self.headline = redact(headline or message)

    def _render_traceback_(self) -> list[str]:
        """IPython's way to ask an exception how it is to be shown."""
        return [f"{type(self).__name__}: {self}", *([f"  {self.hint}"] if self.hint else [])]


class CondaInterrupted(CondaCommandError, KeyboardInterrupt):
    """A command that was interrupted: what runs several cells stops as it does for any interrupt."""


@dataclass(frozen=True, kw_only=True)
class Report:
    """The result of a command. `output` is shown as it is, `log` in a fold that text does not have."""

    headline: str
    changes: Sequence[Change] = ()
    notes: Sequence[str] = ()
    output: str = ""
    log: str = ""
    failed: bool = False

    def text(self) -> str:
        """For a terminal, and for a frontend without HTML."""
        parts = [
            self.output.strip("\n"),
            "\n".join(_columns(_rows(self.changes))),
            self.headline,
            *self.notes,
        ]
        return "\n".join(part for part in parts if part)

    def html(self) -> str:
        """For a notebook; every word is escaped."""
        parts = [f'<pre style="{_OUTPUT}">{escape(self.output.strip())}</pre>'] if self.output.strip() else []
        parts += [_table(_rows(self.changes))] if self.changes else []
        parts += [f"<div>{escape(line)}</div>" for line in (self.headline, *self.notes) if line]
        if self.log.strip():
            folded = f'<pre style="{_OUTPUT}">{escape(_shortened(self.log.strip()))}</pre>'
            parts.append(f"<details><summary>Log</summary>{folded}</details>")
        return f"<div>{''.join(parts)}</div>"


class Screen(Protocol):
    """Where a command is shown."""

    def line(self, what: str, detail: str, seconds: float) -> None:
        """The state of things: what is being done, how far it is, and since when."""

    def result(self, report: Report) -> None:
        """The last words."""


class NotebookScreen:
    """One display of the cell, which is updated in place: what is saved is the result alone.

    `publish` shows a bundle of MIME types and returns what updates it; see `IPython.display.DisplayHandle`.
    """

    def __init__(self, publish: Callable[[dict[str, str]], Callable[[dict[str, str]], None]]) -> None:
        self._publish = publish
        self._update: Callable[[dict[str, str]], None] | None = None
        self._said = ""
        self._at = 0.0

    def line(self, what: str, detail: str, seconds: float) -> None:
        said, now = f"{what} · {detail}", time.monotonic()
        if said == self._said and now - self._at < _TICK:
            return
        self._said, self._at = said, now
        text = " · ".join(part for part in (what, detail, f"{seconds:.0f} s") if part)
        self._show({"text/plain": text, "text/html": f"<div>{escape(text)}</div>"})

    def result(self, report: Report) -> None:
        self._show({"text/plain": report.text(), "text/html": report.html()})

    def _show(self, bundle: dict[str, str]) -> None:
        if self._update is None:
            self._update = self._publish(bundle)
        else:
            self._update(bundle)


class TerminalScreen:
    """Plain lines, each once: a terminal has no display that could be updated."""

    def __init__(self, write: Callable[[str], Any]) -> None:
        self._write = write
        self._said = ""

    def line(self, what: str, detail: str, seconds: float) -> None:
        said = " · ".join(part for part in (what, detail) if part)
        if said != self._said:
            self._write(f"{said}\n")
        self._said = said

    def result(self, report: Report) -> None:
        log = f"{report.log}\n" if report.failed else ""
        self._write(f"{log}{report.text()}\n")


def publish(bundle: dict[str, str]) -> Callable[[dict[str, str]], None]:
    """Show a bundle in the running kernel."""
    from IPython.display import display

    show: Any = display
    handle = show(bundle, raw=True, display_id=True)

    def update(bundle: dict[str, str]) -> None:
        handle.update(bundle, raw=True)

    return update


def summary(changes: Sequence[Change], seconds: float) -> str:
    """One sentence: what was done, how long it took."""
    clauses = []
    came = [change for change in changes if change.new]
    if came:
        from_index = sum(change.source == "PyPI" for change in came)
        clauses.append(
            f"{count(len(came))} installed ({from_index} from PyPI, {len(came) - from_index} from channels)"
        )
    if len(came) < len(changes):
        clauses.append(f"{count(len(changes) - len(came))} removed")
    return f"Done in {seconds:.1f} s: {', '.join(clauses) or 'nothing had to be changed'}."


def _shortened(log: str) -> str:
    """The log without its middle, where it is too long to be saved with a notebook."""
    if len(log) <= _LOG:
        return log
    return f"{log[: _LOG // 2]}\n[{len(log) - _LOG} characters are left out here]\n{log[-_LOG // 2 :]}"


def count(number: int) -> str:
    """``1 package``, ``2 packages``."""
    return f"{number} package" + ("" if number == 1 else "s")


def _rows(changes: Sequence[Change]) -> list[tuple[str, str, str, str]]:
    if not changes:
        return []
    rows = [(change.name, _versions(change), change.source, change.why) for change in changes]
    return [("Package", "Version", "From", "Why"), *rows]


def _versions(change: Change) -> str:
    if not change.new:
        return f"{change.old} (removed)"
    return f"{change.old} -> {change.new}" if change.old not in ("", change.new) else change.new


def _columns(rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    if rows:
        widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
        for row in rows:
            yield "  ".join(map(str.ljust, row, widths)).rstrip()


def _table(rows: Sequence[tuple[str, ...]]) -> str:
    def line(row: tuple[str, ...], tag: str) -> str:
        cells = (f'<{tag} style="{_CELL}">{escape(cell)}</{tag}>' for cell in row)
        return f"<tr>{''.join(cells)}</tr>"

    body = "".join(line(row, "td") for row in rows[1:])
    return f'<table style="{_TABLE}">{line(rows[0], "th")}{body}</table>'
