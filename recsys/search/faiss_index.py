"""Indexes of FAISS as searchers: FAISS proposes, the true inner products decide."""

from abc import abstractmethod
from dataclasses import dataclass, field, replace
from math import ceil
from pathlib import Path
from typing import Any, ClassVar, Self

import faiss
import numpy as np

from recsys.core.arrays import BoolArray, Float32Array, Int64Array
from recsys.core.errors import DataError
from recsys.core.ranking import NO_ITEM, Hits
from recsys.search.cost import Work, graph_distances
from recsys.search.exact import select
from recsys.search.searcher import Parameters

_FAISS: Any = faiss  # its type stubs lack what SWIG adds: keyword parameters and array arguments
_FILE = "index.faiss"
_GATHERED_BYTES = 64 << 20
_CODE_WIDTH = 4  # the widest slice of a vector that one code stands for
_CODE_VALUES = 256
_LARGEST_EF = 1024
_REFINE = (1, 2, 4, 8, 16, 32)


@dataclass(frozen=True)
class FaissIndex:
    """A FAISS index, the vectors that its candidates are scored by, and how it is searched.

    index: of FAISS, by inner product.
    item_vectors: (items, d) float32.
    parameters: by name, as `efforts` lists them.
    """

    kind: ClassVar[str]
    index: Any = field(repr=False)
    item_vectors: Float32Array = field(repr=False)
    parameters: Parameters

    def search(self, queries: Float32Array, k: int, allow: BoolArray | None = None) -> Hits:
        """See `Searcher.search`."""
        queries = np.ascontiguousarray(queries, np.float32)
        fetch = min(k * self.parameters.get("refine", 1), len(self.item_vectors))
        further = 1.0
        options: dict[str, Any] = {}
        if allow is not None:
            # Where one in ten may be found, the search has to go ten times as far.
            further = len(allow) / max(int(np.count_nonzero(allow)), 1)
            selector = _Selector(allow)
            options["sel"] = selector.bitmap
        parameters = self._search_parameters(fetch, further, options)
        wide = padded(queries, self.index.d)
        _, candidates = self.index.search(wide, fetch, params=parameters)
        return self._rescored(queries, candidates, k)

    def _rescored(self, queries: Float32Array, candidates: Int64Array, k: int) -> Hits:
        """The k best of the candidates (n, fetched), a few queries at a time."""
        query_bytes = 4 * self.item_vectors.shape[1] * max(candidates.shape[1], 1)
        step = max(1, _GATHERED_BYTES // query_bytes)
        items = np.empty((len(queries), k), np.int32)
        scores = np.empty((len(queries), k), np.float32)
        for start in range(0, len(queries), step):
            rows = slice(start, start + step)
            hits = _best_of(self.item_vectors, queries[rows], candidates[rows], k)
            items[rows], scores[rows] = hits.items, hits.scores
        return Hits(items, scores)

    @abstractmethod
    def work(self, k: int) -> Work:
        """See `Searcher.work`."""

    @abstractmethod
    def efforts(self, k: int) -> list[Parameters]:
        """See `Searcher.efforts`."""

    @abstractmethod
    def _search_parameters(self, fetch: int, further: float, options: dict[str, Any]) -> Any:
        """What FAISS is told of a search for `fetch` candidates, `further` times as far as usual."""

    def with_parameters(self, parameters: Parameters) -> Self:
        return replace(self, parameters=parameters)

    def over(self, item_vectors: Float32Array) -> Self:
        return replace(self, item_vectors=item_vectors)

    @property
    def num_bytes(self) -> int:
        """Size of the serialised FAISS index."""
        return int(faiss.serialize_index(self.index).nbytes)

    def save(self, folder: Path) -> None:
        faiss.write_index(self.index, str(folder / _FILE))

    @classmethod
    def load(cls, folder: Path, item_vectors: Float32Array, parameters: Parameters) -> Self:
        """What `save` wrote. Raises DataError when the index is not one of these vectors."""
        index = faiss.read_index(str(folder / _FILE))
        num_items, width = item_vectors.shape
        if (index.ntotal, index.d) != (num_items, cls.stored_width(width)):
            raise DataError(
                f"{_FILE} holds {index.ntotal} vectors of width {index.d}, the bundle {item_vectors.shape}",
                "Write the bundle again with recsys index",
            )
        return cls(index, item_vectors, parameters)

    @classmethod
    def stored_width(cls, width: int) -> int:
        """How wide FAISS holds vectors of this width."""
        return width


@dataclass(frozen=True)
class HnswIndex(FaissIndex):
    """A graph of near items, searched greedily. parameters: ef_search, candidates kept meanwhile."""

    kind: ClassVar[str] = "hnsw"

    def work(self, k: int) -> Work:
        """Distances to neighbours in the graph, and to candidates again."""
        links = int(self.index.hnsw.nb_neighbors(1))
        effort = max(self.parameters["ef_search"], k)
        distances = graph_distances(len(self.item_vectors), links, effort)
        return Work(scattered=distances + k, scattered_width=self.index.d)

    def efforts(self, k: int) -> list[Parameters]:
        last = max(min(_LARGEST_EF, len(self.item_vectors)), k)
        return [{"ef_search": effort} for effort in ladder(k, last)]

    def _search_parameters(self, fetch: int, further: float, options: dict[str, Any]) -> Any:
        effort = max(ceil(self.parameters["ef_search"] * further), fetch)
        return _FAISS.SearchParametersHNSW(efSearch=effort, **options)


@dataclass(frozen=True)
class IvfIndex(FaissIndex):
    """Lists of items around centroids. parameters: nprobe, lists that are searched."""

    kind: ClassVar[str] = "ivf"

    def work(self, k: int) -> Work:
        """Centroids, the items of the lists that are searched, and candidates again."""
        vectors = self.index.nlist + self._visited_items()
        return Work(
            streamed=vectors * self.index.d, scattered=k, scattered_width=self.item_vectors.shape[1]
        )

    def _visited_items(self) -> float:
        """In the lists that a query searches, on average."""
        invlists = self.index.invlists
        lengths = np.array([invlists.list_size(number) for number in range(self.index.nlist)])
        num_items = lengths.sum()
        # Long lists are searched more often, for a query is near to as many items as they hold: by
        # Σ l² / n rather than n / L items each. Of all lists there is nothing to choose.
        share = self.parameters["nprobe"] / len(lengths)
        bias = len(lengths) * np.square(lengths).sum() / max(num_items**2, 1)
        return float(num_items * share * (1 + (bias - 1) * (1 - share)))

    def efforts(self, k: int) -> list[Parameters]:
        return [{"nprobe": probes} for probes in ladder(1, num_lists(len(self.item_vectors)))]

    def _search_parameters(self, fetch: int, further: float, options: dict[str, Any]) -> Any:
        probes = ceil(self.parameters["nprobe"] * further)
        return _FAISS.SearchParametersIVF(nprobe=probes, **options)


@dataclass(frozen=True)
class PqIndex(IvfIndex):
    """Lists of items in codes. parameters: nprobe; refine: candidates fetched per wanted item."""

    kind: ClassVar[str] = "pq"

    def work(self, k: int) -> Work:
        """Centroids, codes of the lists that are searched, and `refine` candidates again."""
        candidates = min(k * self.parameters["refine"], len(self.item_vectors))
        # A table of products of the query with every value that a code may have.
        vectors = self.index.nlist + _CODE_VALUES
        return Work(
            streamed=vectors * self.index.d,
            scattered=candidates,
            scattered_width=self.item_vectors.shape[1],
            codes=self._visited_items() * self.index.pq.M,
        )

    def efforts(self, k: int) -> list[Parameters]:
        efforts = []
        for probes in ladder(1, num_lists(len(self.item_vectors)), factor=2.0):
            efforts += [{"nprobe": probes, "refine": refine} for refine in _REFINE]
        return efforts

    @classmethod
    def stored_width(cls, width: int) -> int:
        """Codes stand for slices of vectors, which must come out even."""
        codes = ceil(width / _CODE_WIDTH)
        return codes * _CODE_WIDTH


def num_lists(num_items: int) -> int:
    """About 4√n lists, never so many that they hold under 40 items each."""
    return max(1, min(int(4 * np.sqrt(num_items)), num_items // 40))


def ladder(first: int, last: int, factor: float = 1.5) -> list[int]:
    """Rising efforts from `first` to `last`, both included."""
    steps = [first]
    while steps[-1] < last:
        larger = max(int(steps[-1] * factor), steps[-1] + 1)
        steps.append(min(larger, last))
    return steps


def padded(vectors: Float32Array, width: int) -> Float32Array:
    """Vectors with zeros behind, which leave inner products as they are."""
    missing = width - vectors.shape[1]
    return np.pad(vectors, ((0, 0), (0, missing))) if missing else vectors


def write_flat_index(path: Path, vectors: Float32Array) -> None:
    """An exact inner-product index of FAISS as a file, for programs that are not ours."""
    index = _FAISS.IndexFlatIP(vectors.shape[1])
    index.add(np.ascontiguousarray(vectors))
    faiss.write_index(index, str(path))


class _Selector:
    """Allowed ids for FAISS; keeps the bits alive as long as FAISS may read them."""

    def __init__(self, allow: BoolArray) -> None:
        self.bits = np.packbits(allow, bitorder="little")
        self.bitmap = _FAISS.IDSelectorBitmap(self.bits)


def _best_of(
    item_vectors: Float32Array, queries: Float32Array, candidates: Int64Array, k: int
) -> Hits:
    """The k best by inner product of the candidates (n, fetched); −1 stays no item.

    Candidates are put in ascending order first: ties then go to the smaller id.
    """
    ordered = np.sort(candidates, axis=1)
    scores = np.einsum("nfd,nd->nf", item_vectors[ordered], queries, dtype=np.float32)
    scores[ordered < 0] = -np.inf
    best = select(scores, k)
    places = np.maximum(best.items, 0).astype(np.int64)
    items = np.take_along_axis(ordered, places, axis=1)
    items[best.items == NO_ITEM] = NO_ITEM
    return Hits(items.astype(np.int32), best.scores)
