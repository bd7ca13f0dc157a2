"""How long a search takes here and now. It is recorded beside an index and decides nothing."""

import time
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from threadpoolctl import threadpool_limits

from recsys.core.arrays import Float32Array
from recsys.search.faiss_kernels import search_threads

_TIMED_QUERIES, _FEWEST_QUERIES, _WARM_UP = 200, 20, 5
_MILLISECONDS = 2_000  # about as long as all may take


class Latency(NamedTuple):
    """Milliseconds of one query on one thread."""

    p50: float
    p95: float


def measure(
    search: Callable[[Float32Array], object], queries: Float32Array, expected_ms: float
) -> Latency:
    """Latency of single queries, one thread.

    expected_ms: of a query; slow ones are timed less often.
    """
    affordable = int(_MILLISECONDS / expected_ms)
    count = int(np.clip(affordable, _FEWEST_QUERIES, _TIMED_QUERIES))
    milliseconds = []
    with threadpool_limits(1, "blas"), search_threads(1):
        for query in np.resize(queries, (_WARM_UP + count, queries.shape[1])):
            started = time.perf_counter()
            search(query[None])
            seconds = time.perf_counter() - started
            milliseconds.append(1e3 * seconds)
    p50, p95 = np.percentile(milliseconds[_WARM_UP:], [50, 95])
    return Latency(float(p50), float(p95))
