"""Packages that conda channels lack, from a Python package index, as conda packages."""

__version__ = "0.1.0"
