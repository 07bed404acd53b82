"""``python -m conda_pypi_bridge``."""

import signal

if __name__ == "__main__":
    # Until a verb begins, Ctrl-C ends the process without a word: nothing was done, so nothing is to be told.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    from .cli import entry

    entry()
