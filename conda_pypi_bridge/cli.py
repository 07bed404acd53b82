"""The doors of the command line: messages, JSON and exit statuses.

conda's subcommands and ``python -m conda_pypi_bridge`` share the arguments, the verbs and everything after
them; the engine is all that differs.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import signal
import sys
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .arguments import parser
from .errors import BridgeError
from .locks import give_up
from .store import sweep_caches
from .verbs import VERBS, flag

if TYPE_CHECKING:
    from .verbs import Open


def main(argv: Sequence[str] | None = None) -> int:
    """``python -m conda_pypi_bridge``: the engine without conda. Returns the exit status."""
    args = parser().parse_args(argv)
    from .session import without_conda

    sweep_caches()
    if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:  # as ``__main__`` left it
        signal.signal(signal.SIGINT, signal.default_int_handler)
    return run(args, without_conda)


def entry() -> None:
    """`main`, and the end of the process."""
    # Imports and pages make hundreds of thousands of objects that stay: no use in going over them each time.
    gc.set_threshold(100_000)
    status = main()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the outcome is told; the rest is tidying
    give_up()  # the end may be so sudden that nothing else runs
    engine = sys.modules.get(f"{__package__}.engines.rattler")
    if engine is not None:
        engine.exit_now(status)
    sys.exit(status)


def conda_main(args: argparse.Namespace) -> int:
    """conda's subcommands: conda's own engine. Returns the exit status."""
    from .engines.conda import context_flags
    from .engines.conda.records import tidy_caches
    from .redaction import redact
    from .session import within_conda

    for name, value in context_flags().items():
        if value:
            setattr(args, name, value)
    sys.argv[:] = [redact(word) for word in sys.argv]  # conda writes them into the history
    tidy_caches()
    return run(args, within_conda)


def revert(args: Any) -> None:
    """``conda install --revision``, which ends here where packages of the bridge are to come back."""
    from .engines.conda import carry_out, target_prefix
    from .transparent import reverted

    transaction = reverted(target_prefix(), int(args.revision)) if str(args.revision).isdigit() else None
    if transaction is not None:
        carry_out(transaction, args)
        sys.exit(0)


def run(args: argparse.Namespace, opened: Open) -> int:
    """Carry out a verb, and tell the outcome as text or JSON. Returns the exit status."""
    began = time.monotonic()
    try:
        told = VERBS[args.verb](args, opened)
    except BridgeError as error:
        return _fail(args, error)
    except KeyboardInterrupt:
        if sys.stderr.isatty():
            print(file=sys.stderr)  # below the ^C
        return _fail(args, BridgeError(f"interrupted; {_what_stands()}"), status=130)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        return _fail(args, BridgeError(f"{where}{error.strerror or error}"))
    except Exception as error:
        if any(kind.__module__.partition(".")[0] == "conda" for kind in type(error).__mro__):
            raise  # conda reports its own errors
        hint = "This is a bug of conda-pypi-bridge. Run again with -vv to see where it happened."
        return _fail(args, BridgeError(f"{type(error).__name__}: {error}", hint=hint))
    if flag(args, "json"):
        _print(json.dumps(told.document, indent=2))
    elif told.needed or not flag(args, "quiet"):
        _print(told.text(time.monotonic() - began))
    return told.status


def _what_stands() -> str:
    from .prefix import is_anything_complete

    return "what was done until then is complete" if is_anything_complete() else "nothing was changed"


def _print(text: str) -> None:
    """To standard output, unless nobody reads it any more."""
    try:
        print(text, flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _fail(args: argparse.Namespace, error: BridgeError, *, status: int = 1) -> int:
    from .display import plain

    message, hint = plain(str(error)), plain(error.hint)
    if flag(args, "json"):
        document = {
            "success": False,
            "error": message,
            "message": "\n".join(filter(None, (message, hint))),
            "exception_name": type(error).__name__,
        }
        print(json.dumps(document, indent=2))
    else:
        print(f"error: {message}", file=sys.stderr)
        if hint:
            print(f"  {hint}", file=sys.stderr)
    if int(getattr(args, "verbosity", 0) or 0) >= 2:
        print(plain(traceback.format_exc()), file=sys.stderr, end="")
    return status


def tidy(prefix: str) -> None:
    """Put right what a command left that was cut short, before conda reads its prefix and caches."""
    from .engines.conda import told_by_conda
    from .engines.conda.records import tidy_caches
    from .prefix import settle

    with told_by_conda():
        tidy_caches()
        settle(Path(prefix))


def print_health(prefix: str) -> None:
    """Our part of ``conda doctor``."""
    from .checkup import health_text
    from .display import plain

    print(plain(health_text(Path(prefix))), flush=True)
