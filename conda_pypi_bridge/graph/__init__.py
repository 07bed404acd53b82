"""Who needs whom in an environment, and where each package came from: ``why`` and ``tree``.

`graph_of` reads the graph from a prefix's files, `tree_lines` writes it for a terminal, `picture` draws it.
"""

from .model import ORIGINS, SEEDS, Graph, Need, Origin, Package
from .picture import picture
from .reading import graph_of
from .terminal import ASCII, UNICODE, Signs, tree_lines

__all__ = [
    "ASCII",
    "ORIGINS",
    "SEEDS",
    "UNICODE",
    "Graph",
    "Need",
    "Origin",
    "Package",
    "Signs",
    "graph_of",
    "picture",
    "tree_lines",
]
