# ruff: noqa: T201 -- a command: it prints its table
"""``python -m tests.resolution [SPECS...]``: compare every request, or those whose text holds a word given.

The exit status is 1 where ours differs from theirs, and where both refuse everything.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from tests.resolution.cases import CASES
from tests.resolution.compare import Comparer, Comparison

_ROW = "{:<52} {:>4} {:>4} {:>7} {:>7} {:>6}  {}"


def main() -> int:
    """Compare, print a table, and return the exit status."""
    args = _arguments()
    chosen = [case for case in CASES if not args.words or any(word in str(case) for word in args.words)]
    print(_ROW.format("request", "pkgs", "meta", "ours/s", "them/s", "oracle", "result"))
    different = refused = 0
    with tempfile.TemporaryDirectory(prefix="resolution-") as folder:
        comparer = Comparer(Path(folder), args.python)
        for case in chosen:
            comparison = comparer.compare(case, args.oracle)
            different += bool(comparison.differences)
            refused += comparison.refused
            print(_row(comparison, args.oracle or case.oracle), flush=True)
            for difference in comparison.differences:
                print(f"    {difference}", flush=True)
    print(f"{len(chosen)} requests, {different} different, {refused} refused by both")
    return 1 if different or refused == len(chosen) else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.resolution", description=__doc__)
    parser.add_argument("words", nargs="*", metavar="SPECS", help="only requests that hold this text")
    parser.add_argument("--python", default=sys.executable, help="the Python to resolve for")
    parser.add_argument("--oracle", choices=["uv", "pip"], default="", help="ask this one, whatever the case")
    return parser.parse_args()


def _row(comparison: Comparison, oracle: str) -> str:
    ours, theirs = comparison.ours, comparison.theirs
    seconds = (f"{resolution.seconds:.2f}" for resolution in (ours, theirs))
    verdict = "DIFFERENT" if comparison.differences else "refused" if comparison.refused else "same"
    return _ROW.format(str(comparison.case), len(ours.chosen), comparison.metadata, *seconds, oracle, verdict)


if __name__ == "__main__":
    sys.exit(main())
