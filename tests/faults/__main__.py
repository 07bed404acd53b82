# ruff: noqa: T201 -- a command: it prints its figures
"""Kill, interrupt and starve commands of the bridge at a thousand places, and look at what is left.

The full sweep is ``python -m tests.faults --faults 1000 --json FILE``. Linux, with strace. The table counts,
by door and case, the faults injected and those that fired; of these, the states that the next command found
(before, after, mixed), those that left files outside of the environment until the next command (leftovers)
and until the same one had run again (lasting), those after which the same command did its work, those that
went well in every way, those that left temporary files of conda's own (foreign), and those that had left the
environment torn until the next command. The exit status is 1 where not all went well.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.faults.cases import CASES
from tests.faults.injection import Fault
from tests.faults.laboratory import DOORS, laboratory
from tests.faults.oracle import Outcome
from tests.faults.scenes import CACHES, Setting, prepare, settings
from tests.faults.sweep import Known, account, figures, inflict, run_settings


def main() -> int:
    """Sweep, print the figures, and return the exit status."""
    args = _arguments()
    chosen = [
        setting
        for setting in settings()
        if setting.door in (args.door or DOORS)
        and setting.case in (args.case or CASES)
        and setting.cache in (args.cache or CACHES)
    ]
    with tempfile.TemporaryDirectory(prefix="faults-", dir=args.folder) as folder:
        if args.fault:
            outcomes = [_one(Path(folder), chosen, Fault.parse(args.fault))]
            print(json.dumps(outcomes[0].document(), indent=1))
        else:
            outcomes = _sweep(Path(folder), chosen, args)
    print(figures(outcomes))
    fired = [outcome for outcome in outcomes if outcome.fired]
    bad = [outcome for outcome in fired if not outcome.is_good]
    for outcome in bad:
        print("\n" + account(outcome))
    print(f"\n{len(fired)} faults fired, {len(fired) - len(bad)} of them went well")
    return 1 if bad or not fired else 0


def _one(folder: Path, chosen: Sequence[Setting], fault: Fault) -> Outcome:
    if len(chosen) != 1:
        sys.exit("--fault needs one --door, one --case and one --cache")
    with laboratory(folder) as made:
        return inflict(prepare(made, chosen[0]), fault)


def _sweep(folder: Path, chosen: Sequence[Setting], args: argparse.Namespace) -> list[Outcome]:
    """Share the faults out among the scenes; what a file holds from an earlier run is not done again."""
    share, more = divmod(args.faults, len(chosen))
    wanted = {setting: share + (number < more) for number, setting in enumerate(chosen)}
    known = _known(args.json)
    outcomes: list[Outcome] = []
    tell = _teller(outcomes, args.json, known, args.faults)
    with laboratory(folder) as made:
        run_settings(made, wanted, args.seed, args.jobs, known, tell)
    return outcomes


def _known(file: Path | None) -> Known:
    """Outcomes of an earlier run, by setting and fault."""
    if file is None or not file.exists():
        return {}
    outcomes = [Outcome(**json.loads(line)) for line in file.read_text().splitlines()]
    return {(outcome.setting, outcome.fault): outcome for outcome in outcomes}


def _teller(
    outcomes: list[Outcome], file: Path | None, known: Known, wanted: int
) -> Callable[[Outcome], None]:
    """Keeps each outcome, writes it down unless it is known, and tells how far the sweep is."""
    lock, began = threading.Lock(), time.monotonic()

    def tell(outcome: Outcome) -> None:
        with lock:
            outcomes.append(outcome)
            if file is not None and (outcome.setting, outcome.fault) not in known:
                with file.open("a") as lines:
                    print(json.dumps(outcome.document()), file=lines)
            fired = sum(outcome.fired for outcome in outcomes)
            good = sum(outcome.is_good for outcome in outcomes if outcome.fired)
            verdict = "good" if outcome.is_good else "BAD" if outcome.fired else "did not fire"
            minutes = (time.monotonic() - began) / 60
            print(
                f"{fired}/{wanted} fired, {fired - good} bad, {minutes:.1f} min: "
                f"{outcome.setting} {outcome.fault}: {outcome.state}, {verdict}",
                file=sys.stderr,
                flush=True,
            )

    return tell


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.faults",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--faults", type=int, default=1000, help="how many are to fire (default: 1000)")
    parser.add_argument("--jobs", type=int, default=1, help="how many scenes at once (default: 1)")
    parser.add_argument("--seed", type=int, default=0, help="chooses the faults (default: 0)")
    parser.add_argument("--door", action="append", choices=DOORS, help="only this one; may be repeated")
    parser.add_argument("--case", action="append", choices=list(CASES), help="only this one; may be repeated")
    parser.add_argument("--cache", action="append", choices=CACHES, help="only this one")
    parser.add_argument("--fault", metavar="WHAT@CALL:N:PATH", help="this fault alone")
    parser.add_argument("--json", type=Path, metavar="FILE", help="add outcomes to it, and go on from there")
    parser.add_argument("--folder", type=Path, help="where to work (default: the folder for temporary files)")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
