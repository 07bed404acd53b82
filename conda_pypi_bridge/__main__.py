"""``python -m conda_pypi_bridge``."""

from .cli import entry

if __name__ == "__main__":
    entry()
