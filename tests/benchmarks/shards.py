"""How large the index of a whole package index is, and what it takes to make it: bytes, seconds, memory.

    python -m tests.benchmarks.shards [--names N] [--changed N]

Names are made up, with the lengths and the common parts that names of projects have.
"""

from __future__ import annotations

import argparse
import datetime as dt
import random
import resource
import sys
import time
from collections.abc import Iterator, Sequence

from conda_pypi_bridge.channel import formats

WORDS = """
    ai api app async auth aws bot build cache chain chat cli client cloud code config core crypto data db
    deploy dev django dl doc easy engine env event fast file flask flow form geo git graph gym hash http
    image info io jupyter kit lab lang learn lib lite llm log map markdown math mcp media meta ml model
    my net nlp node odoo open parser pdf plugin proto py python query queue react rest robot rpc schema
    sdk search server service simple sql stat stream sync task tensor test text time tool tree type ui
    util validator video web widget work xml yaml zen
"""
SYLLABLES = [consonant + vowel for consonant in "bcdfghjklmnprstvwz" for vowel in "aeiouy"]


def made_up_names(count: int, seed: int = 1) -> list[str]:
    """`count` different names, sorted as an index would list them."""
    chance = random.Random(seed)
    words = WORDS.split()
    names: set[str] = set()
    while len(names) < count:
        parts = [chance.choice(words) for _ in range(chance.choice((0, 1, 1, 1, 2)))]
        parts.append("".join(chance.choice(SYLLABLES) for _ in range(chance.choice((2, 3, 3, 4, 5)))))
        chance.shuffle(parts)
        names.add("-".join(parts))
    return sorted(names)


def digests(names: Sequence[str], changed: int, seed: int = 2) -> Iterator[tuple[str, bytes]]:
    """A placeholder for each name: serials as random as the index's; of `changed` something is known."""
    chance = random.Random(seed)
    salt = formats.salt("benchmark", "noarch")
    known = set(chance.sample(range(len(names)), changed))
    for number, name in enumerate(names):
        serial = chance.randrange(35_000_000)
        yield name, formats.placeholder(salt, name, serial, b"known" if number in known else b"")


def peak() -> float:
    """The most memory that this process had, in megabytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 if sys.platform == "linux" else 1 << 20)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--names", type=int, default=800_000)
    parser.add_argument("--changed", type=int, default=5_000, help="names of which packages are published")
    arguments = parser.parse_args()
    names = made_up_names(arguments.names)
    letters = sum(map(len, names))
    before = peak()
    started = time.perf_counter()
    content = formats.shard_index(
        "noarch", digests(names, arguments.changed), created=dt.datetime.now(dt.timezone.utc)
    )
    seconds = time.perf_counter() - started
    print(f"names: {len(names):,} of {letters / len(names):.1f} letters on average")
    print(f"index: {len(content):,} bytes, {len(content) / len(names):.1f} a name")
    print(f"made in {seconds:.2f} s; peak memory {peak():,.0f} MB, {before:,.0f} MB of it before")


if __name__ == "__main__":
    main()
