"""The attention of each model family over the edges of some users, in numpy; formulae in
`core.encoder`.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from recsys.core.arrays import Float64Array, IntArray
from recsys.core.encoder import EncoderState, RelationState
from recsys.core.errors import DataError

_SLOPE = 0.2  # of LeakyReLU in both textbook layers


class Attention(Protocol):
    """One family. layer: from 1. matrix: (users, sources) edge weights. hidden: (users, d) states
    of the layer before.

    linear: whether a layer's output goes on without a non-linearity, so that shares of it add up.
    """

    linear: bool

    def sent(self, layer: int, relation: RelationState, matrix: sparse.csr_matrix) -> Float64Array:
        """(edges, heads, d / heads) what each edge carries."""
        ...

    def share(
        self, layer: int, relation: RelationState, matrix: sparse.csr_matrix, hidden: Float64Array
    ) -> Float64Array:
        """(edges, heads) the factor on what each edge carries; gates of added relations come later."""
        ...

    def bias(self, layer: int, relation: RelationState) -> Float64Array:
        """(d,) or (1,) what a user with any edge receives besides."""
        ...


def attention_of(state: EncoderState) -> Attention:
    """Raises DataError for a family that this version does not know."""
    families: dict[str, type[DegreePrior] | type[Gat] | type[GatV2]] = {
        "degree_prior": DegreePrior,
        "gat": Gat,
        "gatv2": GatV2,
    }
    if state.family not in families:
        raise DataError(
            f"cannot encode users of family {state.family!r}",
            "Use the version that wrote the bundle",
        )
    return families[state.family](state)


@dataclass(frozen=True)
class DegreePrior:
    """g(v) α_uv: the degree prior, redistributed by likeness, scaled by the target's degree."""

    state: EncoderState
    linear = True

    def sent(self, layer: int, relation: RelationState, matrix: sparse.csr_matrix) -> Float64Array:
        return _heads(_source_states(self.state, layer, relation, matrix), self.state.heads)

    def share(
        self, layer: int, relation: RelationState, matrix: sparse.csr_matrix, hidden: Float64Array
    ) -> Float64Array:
        a, b = relation.source_exponent[layer - 1], relation.target_exponent[layer - 1]
        degrees = relation.source_degree[matrix.indices].astype(np.float64)
        # A source without edges in the graph has a new one now: the edge itself is its degree.
        prior = matrix.data * np.where(degrees > 0, degrees, matrix.data) ** -a
        logits = self._likeness(layer, relation, matrix, hidden)
        if relation.weight_power is not None:
            logits += (float(relation.weight_power[layer - 1]) - 1) * np.log(
                matrix.data.astype(np.float64)
            )[:, None]
        alpha = row_softmax(logits, matrix.indptr, prior[:, None])
        degree = row_reduce(np.add, matrix.data.astype(np.float64), matrix.indptr)
        scale = row_reduce(np.add, prior, matrix.indptr) * np.where(degree > 0, degree, 1.0) ** -b
        return np.asarray(scale[rows_of(matrix)][:, None] * alpha)

    def bias(self, layer: int, relation: RelationState) -> Float64Array:
        return np.zeros(1)

    def _likeness(
        self, layer: int, relation: RelationState, matrix: sparse.csr_matrix, hidden: Float64Array
    ) -> Float64Array:
        """(edges, heads) γ cos(h_u, h_v)."""
        gamma = relation.gamma[layer - 1].astype(np.float64)
        if not gamma.any():
            return np.zeros((matrix.nnz, self.state.heads))
        sources, targets = (
            unit(self.sent(layer, relation, matrix)),
            unit(_heads(hidden, self.state.heads)),
        )
        return np.asarray(gamma * np.einsum("ehd,ehd->eh", sources, targets[rows_of(matrix)]))


@dataclass(frozen=True)
class _Textbook:
    state: EncoderState
    linear = False

    def weight(self, layer: int, relation: RelationState, name: str) -> Float64Array:
        return self.state.dense[f"{layer}.{relation.name}.{name}"].astype(np.float64)

    def mapped(
        self, layer: int, relation: RelationState, matrix: sparse.csr_matrix
    ) -> Float64Array:
        """(edges, d) W h of the sources, every source mapped once."""
        distinct, place = np.unique(matrix.indices, return_inverse=True)
        states = np.asarray(self.state.states[relation.source][layer - 1][distinct], np.float64)
        return np.asarray((states @ self.weight(layer, relation, "source").T)[place])


class Gat(_Textbook):
    """Velickovic et al. 2018."""

    def sent(self, layer: int, relation: RelationState, matrix: sparse.csr_matrix) -> Float64Array:
        return _heads(self.mapped(layer, relation, matrix), self.state.heads)

    def share(
        self, layer: int, relation: RelationState, matrix: sparse.csr_matrix, hidden: Float64Array
    ) -> Float64Array:
        asked = _heads(hidden @ self.weight(layer, relation, "target").T, self.state.heads)
        left = (self.sent(layer, relation, matrix) * self.weight(layer, relation, "left")).sum(
            axis=-1
        )
        right = (asked * self.weight(layer, relation, "right")).sum(axis=-1)
        return row_softmax(_leaky(left + right[rows_of(matrix)]), matrix.indptr)

    def bias(self, layer: int, relation: RelationState) -> Float64Array:
        return self.weight(layer, relation, "bias")


class GatV2(_Textbook):
    """Brody et al. 2022."""

    def sent(self, layer: int, relation: RelationState, matrix: sparse.csr_matrix) -> Float64Array:
        mapped = self.mapped(layer, relation, matrix) + self.weight(layer, relation, "source_bias")
        return _heads(mapped, self.state.heads)

    def share(
        self, layer: int, relation: RelationState, matrix: sparse.csr_matrix, hidden: Float64Array
    ) -> Float64Array:
        asked = hidden @ self.weight(layer, relation, "target").T + self.weight(
            layer, relation, "target_bias"
        )
        both = self.sent(layer, relation, matrix) + _heads(asked, self.state.heads)[rows_of(matrix)]
        score = (_leaky(both) * self.weight(layer, relation, "attend")).sum(axis=-1)
        return row_softmax(score, matrix.indptr)

    def bias(self, layer: int, relation: RelationState) -> Float64Array:
        return np.zeros(1)


def rows_of(matrix: sparse.csr_matrix) -> NDArray[np.intp]:
    """(nnz,) the row of each stored entry."""
    return np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))


def row_reduce(ufunc: np.ufunc, values: Float64Array, indptr: IntArray) -> Float64Array:
    """`ufunc` over the entries of each CSR row; zero for empty rows. values: (nnz, …) → (rows, …)."""
    filled = np.flatnonzero(np.diff(indptr))
    reduced = np.zeros((len(indptr) - 1, *values.shape[1:]))
    if len(filled):
        # reduceat gives the entry itself for an empty segment, so that only filled rows are named.
        reduced[filled] = ufunc.reduceat(values, indptr[:-1][filled], axis=0)
    return reduced


def row_softmax(
    logits: Float64Array, indptr: IntArray, prior: Float64Array | float = 1.0
) -> Float64Array:
    """(nnz, heads) prior · exp(logits), summing to one over each CSR row."""
    rows = np.repeat(np.arange(len(indptr) - 1), np.diff(indptr))
    weights = prior * np.exp(logits - row_reduce(np.maximum, logits, indptr)[rows])
    return np.asarray(weights / row_reduce(np.add, weights, indptr)[rows])


def unit(vectors: Float64Array) -> Float64Array:
    """Vectors of length one along the last axis; zero stays zero."""
    norms = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.asarray(vectors / np.where(norms > 0, norms, 1.0))


def _source_states(
    state: EncoderState, layer: int, relation: RelationState, matrix: sparse.csr_matrix
) -> Float64Array:
    """(edges, d) states of the sources, as sent in `layer`."""
    return np.asarray(state.states[relation.source][layer - 1][matrix.indices], np.float64)


def _heads(states: Float64Array, heads: int) -> Float64Array:
    return states.reshape(len(states), heads, states.shape[1] // heads)


def _leaky(values: Float64Array) -> Float64Array:
    return np.where(values > 0, values, _SLOPE * values)
