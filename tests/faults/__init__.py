"""Faults on purpose: commands of the bridge are killed, interrupted and refused by the disk at any call.

``python -m tests.faults --help`` has the sweep, ``python -m tests.faults.rounds --help`` the rounds of
commands that run at once. `laboratory` makes what they work on, `cases` says what is installed and removed,
`scenes` knows how an uninjured run goes, `tracing` and `injection` drive strace, `choice` picks the faults,
`oracle` judges.
"""
