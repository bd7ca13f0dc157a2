"""FAISS indexes with settings of rising effort."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import faiss
import numpy as np

from recsys.core.arrays import Float32Array
from recsys.search.approximate import ApproximateIndex, Kind, padded, stored_width

_FAISS: Any = faiss  # its type stubs lack the members that SWIG adds

_LINKS = (16, 32, 48)
_EF_CONSTRUCTION = 200
_LARGEST_EF = 1024
_REFINE = (1, 2, 4, 8, 16, 32)
_WIDTHS_PER_CODE = (4, 2, 1)  # each divides the stored width
_CENTROIDS = 256  # of one code byte
_TRAINING_POINTS = 64  # per list, sampled by FAISS


@dataclass(frozen=True)
class Setting:
    """parameters: of the build and the search. seconds: of the build."""

    index: ApproximateIndex
    parameters: dict[str, int]
    seconds: float


def settings(kind: Kind, item_vectors: Float32Array, k: int, seed: int) -> Iterator[Setting]:
    """Settings from quick to thorough; consecutive ones share their build where only the search
    differs.
    """
    vectors = padded(
        np.ascontiguousarray(item_vectors, np.float32), stored_width(kind, item_vectors.shape[1])
    )
    for index, seconds, build in {"hnsw": _hnsw, "ivf": _ivf, "pq": _pq}[kind](vectors, seed):
        for search in efforts(kind, len(vectors), k):
            yield Setting(
                ApproximateIndex(kind, index, item_vectors, search), build | search, seconds
            )


def efforts(kind: str, num_items: int, k: int) -> list[dict[str, int]]:
    """Search parameters from quick to thorough."""
    if kind == "hnsw":
        return [{"ef_search": effort} for effort in ladder(k, max(min(_LARGEST_EF, num_items), k))]
    if kind == "ivf":
        return [{"nprobe": effort} for effort in ladder(1, num_lists(num_items))]
    probes = ladder(1, num_lists(num_items), factor=2.0)
    return [{"nprobe": effort, "refine": refine} for effort in probes for refine in _REFINE]


_Builds = Iterator[tuple[Any, float, dict[str, int]]]


def _hnsw(vectors: Float32Array, seed: int) -> _Builds:
    """Malkov & Yashunin 2018."""
    for links in _LINKS:
        started = time.perf_counter()
        index = _FAISS.IndexHNSWFlat(vectors.shape[1], links, _FAISS.METRIC_INNER_PRODUCT)
        index.hnsw.efConstruction = _EF_CONSTRUCTION
        index.hnsw.rng = _FAISS.RandomGenerator(seed)
        index.add(vectors)
        yield (
            index,
            time.perf_counter() - started,
            {"links": links, "ef_construction": _EF_CONSTRUCTION},
        )


def _ivf(vectors: Float32Array, seed: int) -> _Builds:
    """Inverted lists around k-means centroids; searching all of them is exact."""
    started = time.perf_counter()
    lists = num_lists(len(vectors))
    index = _FAISS.IndexIVFFlat(
        _centroids(vectors), vectors.shape[1], lists, _FAISS.METRIC_INNER_PRODUCT
    )
    _train(index, vectors, seed)
    index.add(vectors)
    yield index, time.perf_counter() - started, {"lists": lists}


def _pq(vectors: Float32Array, seed: int) -> _Builds:
    """Inverted lists of product-quantised codes (Jegou et al. 2011), refined by the true vectors."""
    width, lists = vectors.shape[1], num_lists(len(vectors))
    for share in _WIDTHS_PER_CODE:
        started = time.perf_counter()
        codes = width // share
        index = _FAISS.IndexIVFPQ(
            _centroids(vectors), width, lists, codes, 8, _FAISS.METRIC_INNER_PRODUCT
        )
        index.pq.cp.min_points_per_centroid = 1
        index.pq.cp.seed = seed
        _train(index, vectors, seed)
        index.add(vectors)
        yield index, time.perf_counter() - started, {"lists": lists, "codes": codes}


def num_lists(num_items: int) -> int:
    """About 4√n lists, never so many that they hold under 40 items each."""
    return max(1, min(int(4 * np.sqrt(num_items)), num_items // 40))


def ladder(first: int, last: int, factor: float = 1.5) -> list[int]:
    """Rising efforts from `first` to `last`, both included."""
    steps = [first]
    while steps[-1] < last:
        steps.append(min(max(int(steps[-1] * factor), steps[-1] + 1), last))
    return steps


def _centroids(vectors: Float32Array) -> Any:
    return _FAISS.IndexFlatIP(vectors.shape[1])


def _train(index: Any, vectors: Float32Array, seed: int) -> None:
    index.cp.seed = seed
    index.cp.min_points_per_centroid = 1
    index.cp.max_points_per_centroid = _TRAINING_POINTS
    # A catalogue smaller than a code book is repeated: k-means wants as many points as centroids.
    index.train(
        vectors
        if len(vectors) >= _CENTROIDS
        else np.resize(vectors, (_CENTROIDS, vectors.shape[1]))
    )
