"""The map from what items are to where training has put them, fitted on the trained items."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from scipy import sparse

from recsys.cold_items.graph_values import values_of_items
from recsys.cold_items.item_map import CONTENT, ItemFeature, ItemMap
from recsys.cold_items.ridge_map import RidgeMap, ridge_map
from recsys.content.features import ContentFeature
from recsys.core.arrays import BoolArray, Float32Array
from recsys.core.encoder import Embeddings
from recsys.core.features import FEATURE
from recsys.core.noise import CHOICE_ERRORS, difference
from recsys.core.tables import ITEM
from recsys.graph.schema import Graph

_CONTENT_SCALES = (1.0, 2.0, 4.0, 8.0)  # against the one ridge of all values


def fit_item_map(
    graph: Graph,
    embeddings: Embeddings,
    links: Collection[str],
    separators: Mapping[str, str],
    contents: Sequence[ContentFeature] = (),
) -> ItemMap | None:
    """The map of a trained model; None where its graph and the contents say nothing of the items.

    Args:
        graph: that the model was trained on.
        embeddings: what training gave.
        links: relations between items that come from files of their own.
        separators: of the columns of the item table whose text holds several values.
        contents: texts and pictures of the items; they join where items that were left out come
            nearer to their trained vectors by more than noise.
    """
    attributes = _attributes(graph, links, separators)
    chosen = _with_contents(attributes, contents, embeddings.items)
    if not chosen.blocks:
        return None
    matrix = chosen.matrix
    fitted = chosen.fitted
    weights = {}
    start = 0
    for block in chosen.blocks:
        stop = start + block.values.shape[1]
        weights[block.feature.name] = np.float32(block.scale) * fitted.weights[start:stop]
        start = stop
    # The length is that of the items which have any value: the others are all at the mean.
    has_value = np.diff(matrix.indptr) > 0
    predicted = fitted.predict(matrix[has_value])
    return ItemMap(
        features=tuple(block.feature for block in chosen.blocks),
        mean=fitted.mean,
        weights=weights,
        length=float(np.linalg.norm(predicted, axis=1).mean()),
        states=_fit_states(embeddings),
        ridge=fitted.ridge,
        likeness=fitted.likeness,
    )


@dataclass(frozen=True)
class _Block:
    """Values of one feature. values: (items, values). scale: that they are multiplied by in the fit."""

    feature: ItemFeature
    values: sparse.csr_matrix
    scale: float = 1.0


@dataclass(frozen=True)
class _Candidate:
    """A map of some features. vectors: (items, d). rows: (items,) which it is fitted on."""

    blocks: Sequence[_Block]
    vectors: Float32Array
    rows: BoolArray

    @cached_property
    def matrix(self) -> sparse.csr_matrix:
        """(items, values) of all blocks, as they are fitted."""
        scaled = [np.float32(block.scale) * block.values for block in self.blocks]
        return sparse.hstack(scaled, format="csr", dtype=np.float32)

    @cached_property
    def fitted(self) -> RidgeMap:
        return ridge_map(self.matrix, self.vectors, self.rows)


def _with_contents(
    attributes: Sequence[_Block], contents: Sequence[ContentFeature], vectors: Float32Array
) -> _Candidate:
    """The attributes alone, or with the contents scaled as does best, where that gains."""
    of_contents = []
    for content in contents:
        if content.vectors.shape[1]:
            feature = ItemFeature(content.encoding.name, CONTENT, content=content.encoding)
            of_contents.append(_Block(feature, sparse.csr_matrix(content.vectors)))
    rows = np.zeros(len(vectors), bool)
    for block in (*attributes, *of_contents):
        rows |= np.diff(block.values.indptr) > 0
    alone = _Candidate(attributes, vectors, rows)
    if not of_contents:
        return alone
    joined = []
    for scale in _CONTENT_SCALES:
        scaled = [replace(block, scale=scale) for block in of_contents]
        joined.append(_Candidate([*attributes, *scaled], vectors, rows))
    best = max(joined, key=lambda candidate: candidate.fitted.likeness)
    if not attributes:
        return best
    gain = difference(best.fitted.cosines, alone.fitted.cosines)
    return best if gain.beyond(CHOICE_ERRORS) else alone


def _attributes(
    graph: Graph, links: Collection[str], separators: Mapping[str, str]
) -> list[_Block]:
    """What a graph says of its items."""
    number_columns = _number_columns(graph)
    blocks = []
    for name, (source, values) in values_of_items(graph, links).items():
        numbers = number_columns[name] if source == FEATURE else None
        feature = ItemFeature(name, source, separators.get(name), numbers)
        blocks.append(_Block(feature, values))
    return blocks


def _fit_states(embeddings: Embeddings) -> Float32Array:
    """(layers, d, d) by least squares, from the vectors of items to what they send in each layer."""
    vectors = np.asarray(embeddings.items, np.float64)
    maps = []
    for states in embeddings.encoder.states[ITEM]:
        # M of the least ‖Z M − H‖ for vectors Z and the states H of one layer.
        solution = np.linalg.lstsq(vectors, np.asarray(states, np.float64), rcond=None)
        maps.append(solution[0])
    return np.stack(maps).astype(np.float32)


def _number_columns(graph: Graph) -> dict[str, dict[str, Any]]:
    """By column of numbers of items, how it becomes numbers."""
    if ITEM not in graph.features:
        return {}
    return {column.column: column.document() for column in graph.features[ITEM].columns}
