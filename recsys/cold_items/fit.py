"""The map from what items are to where training has put them, fitted on the trained items."""

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
from scipy import sparse

from recsys.cold_items.graph_values import values_of_items
from recsys.cold_items.item_map import ItemFeature, ItemMap
from recsys.cold_items.ridge_map import ridge_map
from recsys.core.arrays import Float32Array
from recsys.core.encoder import Embeddings
from recsys.core.features import FEATURE
from recsys.core.tables import ITEM
from recsys.graph.schema import Graph


def fit_item_map(
    graph: Graph, embeddings: Embeddings, links: Collection[str], separators: Mapping[str, str]
) -> ItemMap | None:
    """The map of a trained model; None where its graph says nothing of the items.

    Args:
        graph: that the model was trained on.
        embeddings: what training gave.
        links: relations between items that come from files of their own.
        separators: of the columns of the item table whose text holds several values.
    """
    values = values_of_items(graph, links)
    if not values:
        return None
    matrix = sparse.hstack([matrix for _, matrix in values.values()], format="csr")
    fitted = ridge_map(matrix, embeddings.items)
    number_columns = _number_columns(graph)
    features = []
    weights = {}
    start = 0
    for name, (source, columns) in values.items():
        numbers = number_columns[name] if source == FEATURE else None
        features.append(ItemFeature(name, source, separators.get(name), numbers))
        stop = start + columns.shape[1]
        weights[name] = fitted.weights[start:stop]
        start = stop
    # The length is that of the items which have any value: the others are all at the mean.
    has_value = np.diff(matrix.indptr) > 0
    predicted = fitted.predict(matrix[has_value])
    return ItemMap(
        features=tuple(features),
        mean=fitted.mean,
        weights=weights,
        length=float(np.linalg.norm(predicted, axis=1).mean()),
        states=_fit_states(embeddings),
        ridge=fitted.ridge,
        likeness=fitted.likeness,
    )


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
