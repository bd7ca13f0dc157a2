"""The searchers by name.

To add one, write a module like `faiss_index` and `faiss_builds` and name it in `SEARCHERS`:
`index.kind` takes the name, and the tuner measures its recall.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from recsys.core.arrays import Float32Array
from recsys.core.errors import ConfigError, DataError, nearest
from recsys.search import faiss_builds
from recsys.search.faiss_index import HnswIndex, IvfIndex, PqIndex
from recsys.search.searcher import Searcher, SearcherKind

EXACT = "exact"
_AUTO = "auto"

# In the order in which "auto" tries them: cheapest to build first.
SEARCHERS: dict[str, SearcherKind] = {
    "ivf": SearcherKind(faiss_builds.ivf, IvfIndex.load, auto=True),
    "hnsw": SearcherKind(faiss_builds.hnsw, HnswIndex.load, auto=True),
    "pq": SearcherKind(faiss_builds.pq, PqIndex.load, auto=True),
}


def kinds_to_try(kind: str) -> tuple[str, ...]:
    """The searchers that `index.kind` stands for; none for "exact".

    Raises ConfigError for an unknown kind, naming close ones.
    """
    if kind == EXACT:
        return ()
    if kind == _AUTO:
        return tuple(name for name, searcher in SEARCHERS.items() if searcher.auto)
    if kind in SEARCHERS:
        return (kind,)
    known = (_AUTO, EXACT, *SEARCHERS)
    raise ConfigError(
        f"index.kind = {kind!r} is no known way to search",
        nearest(kind, known) or f"Known: {', '.join(known)}",
    )


def load_searcher(
    folder: Path, item_vectors: Float32Array, card: Mapping[str, Any]
) -> Searcher | None:
    """The searcher saved in `folder`; None where the card says that search is exact.

    Args:
        folder: where `Searcher.save` wrote.
        item_vectors: (items, d) what it was built over.
        card: "kind" and "parameters" of the searcher.

    Raises:
        DataError: nobody knows such a searcher, or it was built over other vectors.
    """
    kind = card.get("kind", EXACT)
    if kind == EXACT:
        return None
    if kind not in SEARCHERS:
        raise DataError(
            f"{folder.name} is searched by {kind!r}, which this version does not know",
            f"Write it again with index.kind = {' or '.join(map(repr, SEARCHERS))}",
        )
    return SEARCHERS[kind].load(folder, item_vectors, card["parameters"])
