"""FAISS as a library of kernels: the largest of many numbers, and how many threads it may use."""

from collections.abc import Iterator
from contextlib import contextmanager

import faiss
import numpy as np

from recsys.core.arrays import Float32Array, Int64Array


def largest(scores: Float32Array, k: int) -> tuple[Float32Array, Int64Array]:
    """The k largest of each row (n, m) and their columns, falling; k ≤ m.

    Of equal ones at the border any may come out. Columns are −1 where a row has only −∞ left.
    """
    values, columns = faiss.kmax(scores, k)
    return np.asarray(values), np.asarray(columns)


@contextmanager
def search_threads(count: int) -> Iterator[None]:
    """FAISS on `count` threads within the block, for calls from this thread."""
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(count)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(before)


def set_search_threads(count: int) -> None:
    """FAISS on `count` threads, for all later calls from this thread."""
    faiss.omp_set_num_threads(count)
