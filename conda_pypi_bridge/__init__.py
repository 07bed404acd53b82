"""Packages that conda channels lack, from a Python package index, as conda packages."""

__version__ = "0.1.0"

#: The one machine-independent channel name of every package that came from a package index.
CHANNEL = "pypi-bridge"

#: What it is called as a project, and its folders for caches with it.
PROJECT = "conda-pypi-bridge"

#: The folder below which unfinished things are.
ENTRIES = f".{CHANNEL}"

#: The folder in a prefix that tells of a change which has not come to its end.
JOURNAL = f".{CHANNEL}-journal"
