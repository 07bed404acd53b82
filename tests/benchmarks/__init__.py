"""Measurements, each a command: ``python -m tests.benchmarks.NAME --help``. Nothing here runs in pytest."""
