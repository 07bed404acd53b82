"""How long it takes to write a PEP 440 specifier as conda's specs, next to what packaging takes to read it.

    python -m tests.benchmarks.specs

Every conversion starts with empty caches; the fastest of several runs counts.
"""

from __future__ import annotations

import sys
from timeit import timeit

from packaging.specifiers import SpecifierSet

from conda_pypi_bridge.versions import conda_spec, version_set

TEXTS = [f">={major}.{minor},<{major + 1}" for major in range(10) for minor in range(10)]
RUNS = 20


def main() -> None:
    """Measure and print."""
    specifiers = [SpecifierSet(text) for text in TEXTS]

    def translate() -> None:
        conda_spec.cache_clear()
        version_set.cache_clear()
        for specifier in specifiers:
            conda_spec(specifier)

    def read() -> None:
        for text in TEXTS:
            SpecifierSet(text)

    ours, theirs = (
        min(timeit(measured, number=1) for _ in range(RUNS)) / len(TEXTS) for measured in (translate, read)
    )
    sys.stdout.write(f"{ours * 1e6:.1f} microseconds a spec, {ours / theirs:.2f} of reading it\n")


if __name__ == "__main__":
    main()
