"""What a search costs, from counts alone: whether an index is quick enough must not depend on what
else the machine does while it is built.

Constants: of one core at 2.5 GHz, fitted to `python -m benchmarks index`, which prints model and
measurement side by side. They are meant to be right within a factor of two.
"""

from typing import NamedTuple

import numpy as np

_CALL_MS = 0.2  # of a search for one query: Python, and starting FAISS
_STREAMED_NS = 0.5
_SCATTERED_NS = 2.0
_CACHE_MISS_NS = 80.0
_CODE_NS = 2.0


class Work(NamedTuple):
    """Counted work of a search for one query.

    streamed: numbers that are multiplied in the order in which they lie: a scan, a list of items.
    scattered: vectors that lie anywhere: neighbours in a graph, candidates that are scored again.
    scattered_width: numbers of such a vector.
    codes: codes that are looked up in tables.
    """

    streamed: float = 0.0
    scattered: float = 0.0
    scattered_width: int = 0
    codes: float = 0.0

    def milliseconds(self) -> float:
        """On one core, with nothing else to do."""
        a_vector = _CACHE_MISS_NS + _SCATTERED_NS * self.scattered_width
        nanoseconds = (
            _STREAMED_NS * self.streamed + a_vector * self.scattered + _CODE_NS * self.codes
        )
        return float(_CALL_MS + 1e-6 * nanoseconds)


def scan_work(num_items: int, width: int) -> Work:
    """Of exact search."""
    return Work(streamed=num_items * width)


def graph_distances(num_items: int, links: int, effort: int) -> float:
    """Distances that a search of an HNSW graph computes.

    Each of `effort` hops looks at 2 · links neighbours, most of which were met before: the more, the
    further it went. 27 · effort^0.7 · links^0.3 is within a factor of two of what FAISS counts for
    1,000 to 60,000 items, 16 to 48 links and efforts of 20 to 757; it comes to its end at all items.
    """
    new_neighbours = 27.0 * effort**0.7 * links**0.3
    return float(num_items * -np.expm1(-new_neighbours / max(num_items, 1)))
