"""How indexes of FAISS are built, from cheap to costly."""

import time
from collections.abc import Iterator
from typing import Any

import faiss
import numpy as np

from recsys.core.arrays import Float32Array
from recsys.search.faiss_index import HnswIndex, IvfIndex, PqIndex, num_lists, padded
from recsys.search.searcher import Build

_FAISS: Any = faiss  # its type stubs lack the members that SWIG adds

_LINKS = (16, 32, 48)
_EF_CONSTRUCTION = 200
_WIDTHS_PER_CODE = (4, 2, 1)  # each divides the stored width
_CENTROIDS = 256  # of one code byte
_TRAINING_POINTS = 64  # per list, sampled by FAISS


def hnsw(item_vectors: Float32Array, seed: int) -> Iterator[Build]:
    """Graphs of near items with more and more links (Malkov & Yashunin 2018)."""
    vectors = np.ascontiguousarray(item_vectors, np.float32)
    width = vectors.shape[1]
    for links in _LINKS:
        started = time.perf_counter()
        index = _FAISS.IndexHNSWFlat(width, links, _FAISS.METRIC_INNER_PRODUCT)
        index.hnsw.efConstruction = _EF_CONSTRUCTION
        index.hnsw.rng = _FAISS.RandomGenerator(seed)
        index.add(vectors)
        seconds = time.perf_counter() - started
        parameters = {"links": links, "ef_construction": _EF_CONSTRUCTION}
        yield Build(HnswIndex(index, item_vectors, {}), parameters, seconds)


def ivf(item_vectors: Float32Array, seed: int) -> Iterator[Build]:
    """Inverted lists around k-means centroids; searching all of them is exact."""
    vectors = np.ascontiguousarray(item_vectors, np.float32)
    width = vectors.shape[1]
    started = time.perf_counter()
    lists = num_lists(len(vectors))
    centroids = _FAISS.IndexFlatIP(width)
    index = _FAISS.IndexIVFFlat(centroids, width, lists, _FAISS.METRIC_INNER_PRODUCT)
    _train(index, vectors, seed)
    index.add(vectors)
    seconds = time.perf_counter() - started
    yield Build(IvfIndex(index, item_vectors, {}), {"lists": lists}, seconds)


def pq(item_vectors: Float32Array, seed: int) -> Iterator[Build]:
    """Inverted lists of product-quantised codes (Jegou et al. 2011), finer and finer."""
    width = PqIndex.stored_width(item_vectors.shape[1])
    vectors = padded(np.ascontiguousarray(item_vectors, np.float32), width)
    lists = num_lists(len(vectors))
    for code_width in _WIDTHS_PER_CODE:
        started = time.perf_counter()
        codes = width // code_width
        centroids = _FAISS.IndexFlatIP(width)
        metric = _FAISS.METRIC_INNER_PRODUCT
        index = _FAISS.IndexIVFPQ(centroids, width, lists, codes, 8, metric)
        index.pq.cp.min_points_per_centroid = 1
        index.pq.cp.seed = seed
        _train(index, vectors, seed)
        index.add(vectors)
        seconds = time.perf_counter() - started
        parameters = {"lists": lists, "codes": codes}
        yield Build(PqIndex(index, item_vectors, {}), parameters, seconds)


def _train(index: Any, vectors: Float32Array, seed: int) -> None:
    index.cp.seed = seed
    index.cp.min_points_per_centroid = 1
    index.cp.max_points_per_centroid = _TRAINING_POINTS
    points = vectors
    if len(points) < _CENTROIDS:
        # A catalogue smaller than a code book is repeated: k-means wants as many points as
        # centroids.
        points = np.resize(points, (_CENTROIDS, points.shape[1]))
    index.train(points)
