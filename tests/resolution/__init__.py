"""Does the bridge choose what uv and pip choose? Real requests, resolved by all, compared.

``python -m tests.resolution`` resolves every request of `cases` and prints a table; the tests marked
``network`` resolve a sample. Both sides get a fresh virtual environment of the running Python and the
machine's own package index; only wheels count, and nothing is installed.
"""
