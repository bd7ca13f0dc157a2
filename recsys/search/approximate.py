"""A FAISS index with its search parameters, re-scored by the true vectors."""

from dataclasses import dataclass, field
from math import ceil
from pathlib import Path
from typing import Any, Literal

import faiss
import numpy as np

from recsys.core.arrays import BoolArray, Float32Array, Int64Array
from recsys.core.errors import DataError
from recsys.core.ranking import NO_ITEM, Hits
from recsys.search.exact import select

_FAISS: Any = faiss  # its type stubs lack what SWIG adds: keyword parameters and array arguments
_GATHERED_BYTES = 64 << 20
_CODE_WIDTH = 4  # the widest slice of a vector that one code stands for

Kind = Literal["hnsw", "ivf", "pq"]


@dataclass(frozen=True)
class ApproximateIndex:
    """FAISS proposes, the true inner products decide: scores equal those of exact search.

    kind: "hnsw", "ivf" or "pq". parameters: nprobe or ef_search; refine: candidates fetched per
    wanted item. item_vectors: (items, d), what candidates are scored by.
    """

    kind: str
    index: Any = field(repr=False)
    item_vectors: Float32Array = field(repr=False)
    parameters: dict[str, int]

    def search(self, queries: Float32Array, k: int, allow: BoolArray | None = None) -> Hits:
        """About the k best items of each query (n, d) among those allowed (items,); NO_ITEM where
        FAISS found fewer.

        Where few are allowed the search goes as much further as it passes over what is not: the
        recall stays.
        """
        queries = np.ascontiguousarray(queries, np.float32)
        selector = None if allow is None else _Selector(allow)
        fetch = min(k * self.parameters.get("refine", 1), len(self.item_vectors))
        further = 1.0 if allow is None else len(allow) / max(int(np.count_nonzero(allow)), 1)
        parameters = self._search_parameters(fetch, selector, further)
        _, found = self.index.search(padded(queries, self.index.d), fetch, params=parameters)
        return self._rescored(queries, found, k)

    def _rescored(self, queries: Float32Array, found: Int64Array, k: int) -> Hits:
        parts = max(1, _GATHERED_BYTES // (4 * self.item_vectors.shape[1] * max(found.shape[1], 1)))
        blocks = [slice(at, at + parts) for at in range(0, len(queries), parts)] or [slice(0, 0)]
        hits = [_best_of(self.item_vectors, queries[block], found[block], k) for block in blocks]
        return Hits(
            np.concatenate([one.items for one in hits]),
            np.concatenate([one.scores for one in hits]),
        )

    def _search_parameters(self, fetch: int, selector: "_Selector | None", further: float) -> Any:
        chosen = {} if selector is None else {"sel": selector.bitmap}
        if self.kind == "hnsw":
            return _FAISS.SearchParametersHNSW(
                efSearch=max(ceil(self.parameters["ef_search"] * further), fetch), **chosen
            )
        return _FAISS.SearchParametersIVF(
            nprobe=ceil(self.parameters["nprobe"] * further), **chosen
        )

    @property
    def num_bytes(self) -> int:
        """Size of the serialised FAISS index."""
        return int(faiss.serialize_index(self.index).nbytes)

    def save(self, path: Path) -> None:
        faiss.write_index(self.index, str(path))

    @staticmethod
    def load(
        path: Path, item_vectors: Float32Array, kind: str, parameters: dict[str, int]
    ) -> "ApproximateIndex":
        """Raises DataError when the index is not one of these vectors."""
        index = faiss.read_index(str(path))
        if (index.ntotal, index.d) != (
            len(item_vectors),
            stored_width(kind, item_vectors.shape[1]),
        ):
            raise DataError(
                f"{path.name} holds {index.ntotal} vectors of width {index.d}, the bundle {item_vectors.shape}",
                "Write the bundle again with recsys index",
            )
        return ApproximateIndex(kind, index, item_vectors, parameters)


def stored_width(kind: str, width: int) -> int:
    """How wide FAISS holds vectors of this width: codes stand for slices of them, which must come
    out even.
    """
    return width if kind != "pq" else -(-width // _CODE_WIDTH) * _CODE_WIDTH


def padded(vectors: Float32Array, width: int) -> Float32Array:
    """Vectors with zeros behind, which leave inner products as they are."""
    missing = width - vectors.shape[1]
    return np.pad(vectors, ((0, 0), (0, missing))) if missing else vectors


class _Selector:
    """Allowed ids for FAISS; keeps the bits alive as long as FAISS may read them."""

    def __init__(self, allow: BoolArray) -> None:
        self.bits = np.packbits(allow, bitorder="little")
        self.bitmap = _FAISS.IDSelectorBitmap(self.bits)


def _best_of(item_vectors: Float32Array, queries: Float32Array, found: Int64Array, k: int) -> Hits:
    """The k best by inner product of the `found` (n, fetched) items; ties to the smaller id, −1
    stays no item.
    """
    ordered = np.sort(
        found, axis=1
    )  # ascending ids, so that the place decides ties as the id would
    scores = np.einsum("nfd,nd->nf", item_vectors[ordered], queries, dtype=np.float32)
    best = select(np.where(ordered < 0, -np.inf, scores).astype(np.float32), k)
    items = np.take_along_axis(ordered, np.maximum(best.items, 0).astype(np.int64), axis=1)
    return Hits(np.where(best.items == NO_ITEM, NO_ITEM, items).astype(np.int32), best.scores)
