"""What is shown: phases and progress on standard error, a table or one JSON document on standard output."""

from __future__ import annotations

import sys
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TextIO

from .bridge import Built, Outcome
from .credentials import public_url
from .model import Plan, Row
from .redaction import redact

if TYPE_CHECKING:
    from .recipe import Written


class Terminal:
    """A reporter for people: one line a phase, and on a terminal a bar while files arrive.

    `ask` is whether to put the question before a change, after showing the plan.
    """

    def __init__(self, *, ask: bool, quiet: bool = False, stream: TextIO | None = None) -> None:
        self._ask = ask
        self._quiet = quiet
        self._stream = stream or sys.stderr
        self._lock = threading.Lock()
        self._bar: Any = None
        self._phase = ""
        self._size = 0

    def phase(self, text: str) -> None:
        self.close()
        if text and text != self._phase:
            self._say(text)
        self._phase = text

    def expect(self, files: int, size: int, noun: str = "package") -> None:
        if not self._stream.isatty() or self._quiet:
            self._say(f"  {counted(files, noun)}")
            return
        from tqdm import tqdm

        layout = "  {n_fmt}/{total_fmt} |{bar:30}| {desc} {elapsed}"
        self._bar = tqdm(total=files, bar_format=layout, leave=False, file=self._stream)
        self._size = 0

    def advance(self, *, files: int = 0, size: int = 0) -> None:
        with self._lock:
            if self._bar is not None:
                self._size += size
                self._bar.set_description_str(human_size(self._size), refresh=False)
                self._bar.update(files)

    def warn(self, text: str) -> None:
        self.close()
        print(f"warning: {plain(text)}", file=self._stream)

    def confirm(self, plan: Plan, prefix: str) -> bool:
        self.close()
        if not self._ask:
            return True
        return self.agree(f"{table(plan)}\n\nEnvironment: {prefix}")

    def agree(self, text: str) -> bool:
        """Show what is about to happen, and put the question; whether the user says yes."""
        self.close()
        if not self._ask:
            return True
        print(text, file=sys.stdout, flush=True)
        try:
            answer = input("Proceed ([y]/n)? ")
        except EOFError:
            return False
        return answer.strip().lower() in ("", "y", "yes")

    def close(self) -> None:
        """Take the bar off the screen."""
        with self._lock:
            if self._bar is not None:
                self._bar.close()
                self._bar = None

    def _say(self, text: str) -> None:
        if not self._quiet:
            print(text, file=self._stream, flush=True)


def summary(outcome: Outcome, seconds: float) -> str:
    """The last words of an install or a removal."""
    if outcome.plan.empty:
        return outcome.message
    parts = [table(outcome.plan), ""]
    linked, unlinked = outcome.plan.link, outcome.plan.unlink
    names = {row.name for row in linked}
    from_index = sum(row.origin == "pypi" for row in linked)
    clauses = []
    if linked:
        origins = f"{from_index} from PyPI, {len(linked) - from_index} from channels"
        clauses.append(f"{counted(len(linked), 'package')} installed ({origins})")
    removed = [row for row in unlinked if row.name not in names]
    if removed:
        clauses.append(f"{counted(len(removed), 'package')} removed")
    sentence = ", ".join(clauses)
    if outcome.dry_run:
        sentence = sentence.replace("installed", "to install").replace("removed", "to remove")
        parts.append(f"Dry run: {sentence}.")
    else:
        parts.append(f"Done in {seconds:.1f} s: {sentence}.")
    return "\n".join([*parts, f"Environment: {outcome.prefix}"])


def built_summary(built: Sequence[Built], seconds: float) -> str:
    """The last words of a build."""
    rows = [("File", "Size"), *((str(item.path), human_size(item.path.stat().st_size)) for item in built)]
    return f"{columns(rows)}\n\nDone in {seconds:.1f} s: {counted(len(built), 'package')} built."


def recipes_summary(written: Sequence[Written]) -> str:
    """What was written, what to look at, and what else needs a recipe."""
    rows = [("Recipe", "Version", "For")]
    for one in written:
        place = f"noarch: {one.recipe.noarch}" if one.recipe.noarch else "each platform and Python"
        rows.append((str(one.path), one.recipe.version, place))
    parts = [columns(rows)]
    if looks := [f"  {one.recipe.name}: {look}" for one in written for look in one.recipe.looks]:
        parts.append("\n".join(["Look at, before it goes to a channel:", *looks]))
    if lacking := sorted({f"  {spec}" for one in written for spec in one.lacking}):
        head = "The channels searched (-c names others) lack these; they need recipes, too (--deps):"
        parts.append("\n".join([head, *lacking]))
    return plain("\n\n".join(parts))


def recipes_document(written: Sequence[Written]) -> dict[str, Any]:
    """The recipes that were written."""
    return {
        "success": True,
        "recipes": [
            {
                "name": w.recipe.name,
                "version": w.recipe.version,
                "path": str(w.path),
                "noarch": w.recipe.noarch or None,
                "source": [{"url": source.url, "sha256": source.sha256} for source in w.recipe.sources],
                "look": list(w.recipe.looks),
                "lacking": list(w.lacking),
            }
            for w in written
        ],
    }


def table(plan: Plan) -> str:
    """Every package of a plan, with what it replaces and where it comes from."""
    old = {row.name: row for row in plan.unlink}
    new = {row.name for row in plan.link}
    rows = [("Package", "Version", "From", "Why")]
    for row in sorted(plan.link, key=lambda row: row.name):
        before = old.get(row.name)
        changed = before is not None and before.version != row.version
        version = f"{before.version} -> {row.version}" if before and changed else row.version
        rows.append((row.name, version, _origin(row), row.why))
    rows += [(row.name, f"{row.version} (removed)", _origin(row), row.why) for row in _removed(plan, new)]
    return columns(rows)


def _removed(plan: Plan, new: set[str]) -> Sequence[Row]:
    return sorted((row for row in plan.unlink if row.name not in new), key=lambda row: row.name)


def _origin(row: Row) -> str:
    if row.origin == "pypi":
        return "PyPI"
    return f"channel {row.channel}"


def columns(rows: Sequence[tuple[str, ...]]) -> str:
    """Rows as a table; the first is its head."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    ruled = [rows[0], tuple("-" * width for width in widths), *rows[1:]]
    lines = ("  ".join(map(str.ljust, row, widths)) for row in ruled)
    return "\n".join(line.rstrip() for line in lines)


def plain(text: str) -> str:
    """Text for a terminal or a log: no credentials of URLs, no control characters but line breaks."""
    return "".join(char for char in redact(text) if char.isprintable() or char == "\n")


def human_size(size: float) -> str:
    """Bytes for people: ``1.5 MiB``."""
    for unit in ("B", "KiB", "MiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} GiB"


def counted(number: int, noun: str) -> str:
    """``1 entry``, ``2 entries``."""
    plural = f"{noun[:-1]}ies" if noun.endswith("y") else f"{noun}s"
    return f"{number} {noun if number == 1 else plural}"


def outcome_document(outcome: Outcome) -> dict[str, Any]:
    """An outcome in the shape of conda's own JSON."""
    document: dict[str, Any] = {"success": True, "prefix": str(outcome.prefix)}
    if outcome.dry_run:
        document["dry_run"] = True
    if outcome.plan.empty:
        document["message"] = outcome.message
    document["actions"] = {
        "PREFIX": str(outcome.prefix),
        "FETCH": [_json_row(row) for row in outcome.fetched],
        "LINK": [_json_row(row) for row in outcome.plan.link],
        "UNLINK": [_json_row(row) for row in outcome.plan.unlink],
    }
    return document


def built_document(built: Sequence[Built]) -> dict[str, Any]:
    """The files that were built."""
    return {"success": True, "packages": [_json_file(item) for item in built]}


def _json_file(item: Built) -> dict[str, Any]:
    record, wheel = item.record, item.record.wheel
    made: dict[str, Any] = {
        "name": record.name,
        "version": record.version,
        "build_string": record.build,
        "platform": record.subdir,
        "path": str(item.path),
        "size": item.path.stat().st_size,
    }
    if wheel is not None:
        made |= {"wheel": wheel.filename, "url": public_url(wheel.url), "sha256": wheel.sha256}
    return made


def _json_row(row: Row) -> dict[str, Any]:
    made: dict[str, Any] = {
        "base_url": row.base_url,
        "build_number": row.build_number,
        "build_string": row.build,
        "channel": row.channel,
        "dist_name": row.dist,
        "name": row.name,
        "origin": row.origin,
        "platform": row.subdir,
        "version": row.version,
    }
    if row.package is not None and row.package.wheel is not None:
        wheel = row.package.wheel
        made |= {"wheel": wheel.filename, "url": public_url(wheel.url), "sha256": wheel.sha256}
    return made
