"""Vectors of items without interactions, from their features: numpy alone, so that a bundle can hold
the map.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from scipy import sparse

from recsys.content.encoding import ContentEncoding
from recsys.core.arrays import Float32Array
from recsys.core.bins import bin_of
from recsys.core.values import OWNER, VALUE, owner_values

CONTENT = "content"
"""What stands in place of a node type where texts or pictures become numbers."""


@dataclass(frozen=True)
class ItemFeature:
    """One thing that is known of items: a relation of the graph into them, or a column of numbers.

    name: of the relation, and of the column of a table of new items.
    source: node type of its values ("item:genres"), whose labels the bundle holds; "item" for links
        to other items; "feature" for numbers; "content" for texts and pictures.
    separator: of several values in one text.
    numbers: how the column becomes numbers (`FeatureColumn.document`); None for values.
    content: how texts or pictures become numbers; None for anything else.
    """

    name: str
    source: str
    separator: str | None = None
    numbers: dict[str, Any] | None = None
    content: ContentEncoding | None = None


@dataclass(frozen=True)
class ItemMap:
    """z = p √(length / ‖p‖) with p = mean + Σ weights of the values that an item has.

    The square root stands between p itself, which is long for items with many known values, and its
    direction alone, which forgets how sure p is: on genres the former ranks better, on tags the
    latter, the root well on both.

    features: what is known of items.
    mean: (d,).
    weights: by feature, (values, d).
    length: mean ‖p‖ of the items that the map was fitted on.
    states: (layers, d, d), by least squares what an item sends in each layer, as z @ states[layer].
    ridge, likeness: how the map was fitted (`cold_items.ridge_map`).
    """

    features: tuple[ItemFeature, ...]
    mean: Float32Array
    weights: Mapping[str, Float32Array]
    length: float
    states: Float32Array
    ridge: float
    likeness: float

    @property
    def columns(self) -> list[str]:
        """Of a table of new items, that say what they are."""
        columns = []
        for feature in self.features:
            columns.append(feature.name)
            if feature.content is not None:
                columns += feature.content.columns
        return columns

    def vectors(self, values: Mapping[str, sparse.csr_matrix]) -> Float32Array:
        """(n, d) from what n items are: by feature, (n, values) 0/1 or numbers."""
        # p = mean + Σ weights of the values
        predicted = self.mean
        for feature in self.features:
            weights = self.weights[feature.name]
            predicted = predicted + values[feature.name] @ weights
        return evened(np.asarray(predicted, np.float32), self.length)

    def layer_states(self, vectors: Float32Array) -> Float32Array:
        """(layers, n, d) what items with these vectors send when a visitor's history holds them."""
        # h^l = z @ states[l]
        states = np.einsum("nd,lde->lne", vectors, self.states)
        return np.asarray(states, np.float32)


def evened(vectors: Float32Array, length: float) -> Float32Array:
    """Rows half way, on a logarithmic scale, to one common length; all-zero rows stay zero."""
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    ratios = np.zeros_like(norms)
    np.divide(length, norms, out=ratios, where=norms > 0)
    # z = p √(length / ‖p‖)
    return np.asarray(vectors * np.sqrt(ratios), np.float32)


def known_values(
    column: pl.Series, labels: Sequence[str], separator: str | None
) -> tuple[sparse.csr_matrix, int]:
    """(rows, labels) 0/1 of the known values of a column, and how many values are not known.

    A number stands for its bin where the labels are bins.
    """
    pairs = owner_values(column, separator)
    column_of: dict[str | None, int] = {label: number for number, label in enumerate(labels)}
    rows = []
    columns = []
    for owner, text in pairs.select(OWNER, VALUE).iter_rows():
        label = text if text in column_of else bin_of(text, labels)
        if label in column_of:
            rows.append(owner)
            columns.append(column_of[label])
    ones = np.ones(len(rows), np.float32)
    shape = (len(column), len(labels))
    matrix = sparse.csr_matrix((ones, (rows, columns)), shape=shape)
    num_unknown = len(pairs) - len(rows)
    return matrix, num_unknown
