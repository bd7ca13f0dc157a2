"""What a search over item vectors is that is quicker than comparing all of them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from recsys.core.arrays import BoolArray, Float32Array
from recsys.core.ranking import Hits
from recsys.search.cost import Work

Parameters = dict[str, int]


class Searcher(Protocol):
    """Finds most of the best items; what it finds is scored by the true inner products.

    kind: its name in `recsys.search.searchers`.
    item_vectors: (items, d) float32, what items are scored by.
    parameters: how thoroughly it searches, as `efforts` lists them.
    num_bytes: what it takes beside the item vectors.
    """

    @property
    def kind(self) -> str: ...

    @property
    def item_vectors(self) -> Float32Array: ...

    @property
    def parameters(self) -> Parameters: ...

    @property
    def num_bytes(self) -> int: ...

    def search(self, queries: Float32Array, k: int, allow: BoolArray | None = None) -> Hits:
        """About the k best items of each query (n, d) among those allowed (items,).

        Rows of the result end with NO_ITEM where fewer were found. Where few are allowed, the
        search goes as much further as it passes over what is not: the recall stays.
        """
        ...

    def work(self, k: int) -> Work:
        """Counted work of a search for k items, by which kinds and parameters are compared."""
        ...

    def efforts(self, k: int) -> list[Parameters]:
        """Parameters for lists of k items, from quick to thorough."""
        ...

    def with_parameters(self, parameters: Parameters) -> "Searcher":
        """The same searcher, searching as thoroughly as that."""
        ...

    def over(self, item_vectors: Float32Array) -> "Searcher":
        """The same searcher for the first columns of its item vectors: the rest of a query is 0."""
        ...

    def save(self, folder: Path) -> None:
        """Write a file of its own into `folder`; the item vectors are kept by others."""
        ...


@dataclass(frozen=True)
class Build:
    """A searcher that was built, before it was told how thoroughly to search.

    parameters: of the build.
    seconds: that it took.
    """

    searcher: Searcher
    parameters: Parameters
    seconds: float


@dataclass(frozen=True)
class SearcherKind:
    """How searchers of one kind come about.

    builds: (item vectors, seed) → builds from cheap to costly; the same bytes for the same seed.
    load: (folder, item vectors, parameters) → what `Searcher.save` wrote. Raises DataError when it
        does not belong to these vectors.
    auto: whether `index.kind = "auto"` tries it.
    """

    builds: Callable[[Float32Array, int], Iterator[Build]]
    load: Callable[[Path, Float32Array, Parameters], Searcher]
    auto: bool = False
