"""Vectors of items that nobody took yet, from what they are: numpy alone, so that they can be added
to a bundle.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from scipy import sparse

from recsys.bundle.storage import load_array, save_array
from recsys.core.arrays import Float32Array
from recsys.core.bins import bin_of
from recsys.core.values import OWNER, VALUE, owner_values


@dataclass(frozen=True)
class Trait:
    """One thing that items are: a relation of the graph into them.

    name: of the relation, and of the column of a table of new items. source: node type of its
    values ("item:genres"), whose labels the bundle holds; "item" for links to other items;
    "feature" for numbers. separator: of several values in one text. feature: how the column becomes
    numbers (`FeatureColumn.document`).
    """

    name: str
    source: str
    separator: str | None = None
    feature: dict[str, Any] | None = None


@dataclass(frozen=True)
class ItemMap:
    """z = p √(length / ‖p‖) with p = mean + Σ weights of the values that an item has.

    The square root stands between p itself, which is long for items with many known values, and its
    direction alone, which forgets how sure p is: on genres the former ranks better, on tags the
    latter, the root well on both. mean: (d,). weights: by trait, (values, d). length: mean ‖p‖ of
    the items that it was fitted on. states: (layers, d, d), by least squares what an item sends in
    each layer, as z @ states[layer]. ridge, likeness: how it was fitted (`closed_form.ridge_map`).
    """

    traits: tuple[Trait, ...]
    mean: Float32Array
    weights: Mapping[str, Float32Array]
    length: float
    states: Float32Array
    ridge: float
    likeness: float

    def vectors(self, features: Mapping[str, sparse.csr_matrix]) -> Float32Array:
        """(n, d) from what n items are: by trait, (n, values) 0/1."""
        raw = self.mean + sum(
            features[trait.name] @ self.weights[trait.name] for trait in self.traits
        )
        return evened(np.asarray(raw, np.float32), self.length)

    def layer_states(self, vectors: Float32Array) -> Float32Array:
        """(layers, n, d) what items with these vectors send when a visitor's history holds them."""
        return np.asarray(np.einsum("nd,lde->lne", vectors, self.states), np.float32)

    def facts(self) -> dict[str, Any]:
        """What bundle.json keeps."""
        traits = [vars(trait) for trait in self.traits]
        return {
            "traits": traits,
            "length": self.length,
            "ridge": self.ridge,
            "likeness": self.likeness,
        }

    def save(self, folder: Path) -> None:
        """Write cold_mean.npy, cold_states.npy and a cold_<n>.npy for each trait."""
        save_array(folder / "cold_mean.npy", self.mean)
        save_array(folder / "cold_states.npy", self.states)
        for place, trait in enumerate(self.traits):
            save_array(folder / f"cold_{place}.npy", self.weights[trait.name])

    @staticmethod
    def load(folder: Path, facts: Mapping[str, Any]) -> "ItemMap":
        traits = tuple(Trait(**one) for one in facts["traits"])
        return ItemMap(
            traits=traits,
            mean=load_array(folder / "cold_mean.npy"),
            weights={
                trait.name: load_array(folder / f"cold_{n}.npy") for n, trait in enumerate(traits)
            },
            states=load_array(folder / "cold_states.npy"),
            **{name: facts[name] for name in ("length", "ridge", "likeness")},
        )


def evened(vectors: Float32Array, length: float) -> Float32Array:
    """Rows half way, on a logarithmic scale, to one common length; all-zero rows stay zero."""
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(
        vectors * np.sqrt(np.divide(length, norms, out=np.zeros_like(norms), where=norms > 0)),
        np.float32,
    )


def features_of(
    column: pl.Series, labels: Sequence[str], separator: str | None
) -> tuple[sparse.csr_matrix, int]:
    """(rows, labels) 0/1 of the known values of a column, and how many values are not known.

    A number stands for its bin where the labels are bins.
    """
    pairs = owner_values(column, separator)
    place: dict[str | None, int] = {label: number for number, label in enumerate(labels)}
    texts = pairs[VALUE].to_list()
    value = np.array(
        [place[one] if one in place else place.get(bin_of(one, labels), -1) for one in texts],
        np.int64,
    )
    owner, known = pairs[OWNER].to_numpy(), value >= 0
    shape = (len(column), len(labels))
    ones = np.ones(int(known.sum()), np.float32)
    matrix = sparse.csr_matrix((ones, (owner[known], value[known])), shape=shape)
    return matrix, int((~known).sum())
