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
    """One model family.

    Of all methods: layer: from 1. matrix: (users, sources) edge weights. hidden: (users, d) states
    of the layer before.

    linear: whether a layer's output goes on without a non-linearity, so that parts of it add up.
    """

    linear: bool

    def messages(
        self, layer: int, relation: RelationState, matrix: sparse.csr_matrix
    ) -> Float64Array:
        """(edges, heads, d / heads) what each edge carries."""
        ...

    def weights(
        self, layer: int, relation: RelationState, matrix: sparse.csr_matrix, hidden: Float64Array
    ) -> Float64Array:
        """(edges, heads) factors on the messages; gates of added relations come later."""
        ...

    def bias(self, layer: int, relation: RelationState) -> Float64Array:
        """(d,) or (1,) what a user with any edge receives besides."""
        ...


def attention_of(state: EncoderState) -> Attention:
    """Raises DataError for a family that this version does not know."""
    families: dict[str, type[DegreePrior] | type[LearntQuery] | type[Gat] | type[GatV2]] = {
        "degree_prior": DegreePrior,
        "history": LearntQuery,
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
class _WeightedStates:
    """Neighbours send their states as they are, and weigh by a degree prior times what is learnt."""

    state: EncoderState
    linear = True

    def messages(
        self, layer: int, relation: RelationState, matrix: sparse.csr_matrix
    ) -> Float64Array:
        states = self.state.states[relation.source][layer - 1][matrix.indices]
        return _heads(np.asarray(states, np.float64), self.state.heads)

    def bias(self, layer: int, relation: RelationState) -> Float64Array:
        return np.zeros(1)

    def _prior(
        self, layer: int, relation: RelationState, matrix: sparse.csr_matrix
    ) -> Float64Array:
        """(edges,) p_uv = w_uv · d(u)^(−a)."""
        # A source without edges in the graph has a new one now: the edge itself is its degree.
        degrees = relation.source_degree[matrix.indices].astype(np.float64)
        degrees = np.where(degrees > 0, degrees, matrix.data)
        prior = matrix.data * degrees ** -relation.source_exponent[layer - 1]
        return np.asarray(prior)

    def _further_powers(
        self, layer: int, relation: RelationState, matrix: sparse.csr_matrix
    ) -> Float64Array:
        """(edges, 1) (c − 1) ln w_uv: the prior has the first power already."""
        if relation.weight_power is None:
            return np.zeros((matrix.nnz, 1))
        power = float(relation.weight_power[layer - 1])
        return np.asarray((power - 1) * np.log(matrix.data.astype(np.float64))[:, None])


@dataclass(frozen=True)
class DegreePrior(_WeightedStates):
    """The degree prior, redistributed by cosine similarity and scaled by the target's degree."""

    def weights(
        self, layer: int, relation: RelationState, matrix: sparse.csr_matrix, hidden: Float64Array
    ) -> Float64Array:
        target_exponent = relation.target_exponent[layer - 1]
        edge_weight = matrix.data.astype(np.float64)
        prior = self._prior(layer, relation, matrix)
        # α_uv = softmax of the prior, the edge weight's power and the similarity
        logits = self._similarity(layer, relation, matrix, hidden)
        logits = logits + self._further_powers(layer, relation, matrix)
        alpha = row_softmax(logits, matrix.indptr, prior[:, None])
        # (Σ_u p_uv) · d(v)^(−b)
        degree = row_reduce(np.add, edge_weight, matrix.indptr)
        target_scale = np.where(degree > 0, degree, 1.0) ** -target_exponent
        scale = row_reduce(np.add, prior, matrix.indptr) * target_scale
        return np.asarray(scale[rows_of(matrix)][:, None] * alpha)

    def _similarity(
        self, layer: int, relation: RelationState, matrix: sparse.csr_matrix, hidden: Float64Array
    ) -> Float64Array:
        """(edges, heads) γ cos(h_u, h_v)."""
        gamma = relation.gamma[layer - 1].astype(np.float64)
        if not gamma.any():
            return np.zeros((matrix.nnz, self.state.heads))
        sources = unit(self.messages(layer, relation, matrix))
        targets = unit(_heads(hidden, self.state.heads))
        cosine = np.einsum("ehd,ehd->eh", sources, targets[rows_of(matrix)])
        return np.asarray(gamma * cosine)


@dataclass(frozen=True)
class LearntQuery(_WeightedStates):
    """A weighted mean of the neighbours, by a query that all users share and by what the layer
    before made of the user.
    """

    def weights(
        self, layer: int, relation: RelationState, matrix: sparse.csr_matrix, hidden: Float64Array
    ) -> Float64Array:
        prior = self._prior(layer, relation, matrix)
        logits = np.zeros((matrix.nnz, self.state.heads))
        # query · ĥ_u + ⟨ĥ_v match, ĥ_u⟩
        keys = unit(self.messages(layer, relation, matrix))
        if relation.query is not None:
            logits += np.einsum("ehd,hd->eh", keys, relation.query[layer - 1].astype(np.float64))
        if relation.match is not None and relation.match[layer - 1].any():
            matched = unit(hidden) @ relation.match[layer - 1].astype(np.float64)
            matched_by_head = _heads(matched, self.state.heads)
            logits += np.einsum("ehd,ehd->eh", keys, matched_by_head[rows_of(matrix)])
        logits = logits + self._further_powers(layer, relation, matrix)
        return row_softmax(logits, matrix.indptr, prior[:, None])


@dataclass(frozen=True)
class _Textbook:
    state: EncoderState
    linear = False

    def parameter(self, layer: int, relation: RelationState, name: str) -> Float64Array:
        return self.state.dense[f"{layer}.{relation.name}.{name}"].astype(np.float64)

    def mapped(
        self, layer: int, relation: RelationState, matrix: sparse.csr_matrix
    ) -> Float64Array:
        """(edges, d) W h of the sources, every source mapped once."""
        sources, of_edge = np.unique(matrix.indices, return_inverse=True)
        states = self.state.states[relation.source][layer - 1][sources]
        weight = self.parameter(layer, relation, "source")
        mapped = np.asarray(states, np.float64) @ weight.T
        return np.asarray(mapped[of_edge])


class Gat(_Textbook):
    """Velickovic et al. 2018."""

    def messages(
        self, layer: int, relation: RelationState, matrix: sparse.csr_matrix
    ) -> Float64Array:
        return _heads(self.mapped(layer, relation, matrix), self.state.heads)

    def weights(
        self, layer: int, relation: RelationState, matrix: sparse.csr_matrix, hidden: Float64Array
    ) -> Float64Array:
        target = hidden @ self.parameter(layer, relation, "target").T
        # e_uv = LeakyReLU(left · W h_u + right · W h_v)
        left = self.messages(layer, relation, matrix) * self.parameter(layer, relation, "left")
        right = _heads(target, self.state.heads) * self.parameter(layer, relation, "right")
        logits = left.sum(axis=-1) + right.sum(axis=-1)[rows_of(matrix)]
        return row_softmax(_leaky(logits), matrix.indptr)

    def bias(self, layer: int, relation: RelationState) -> Float64Array:
        return self.parameter(layer, relation, "bias")


class GatV2(_Textbook):
    """Brody et al. 2022."""

    def messages(
        self, layer: int, relation: RelationState, matrix: sparse.csr_matrix
    ) -> Float64Array:
        bias = self.parameter(layer, relation, "source_bias")
        return _heads(self.mapped(layer, relation, matrix) + bias, self.state.heads)

    def weights(
        self, layer: int, relation: RelationState, matrix: sparse.csr_matrix, hidden: Float64Array
    ) -> Float64Array:
        target = hidden @ self.parameter(layer, relation, "target").T
        target = target + self.parameter(layer, relation, "target_bias")
        targets = _heads(target, self.state.heads)[rows_of(matrix)]
        # e_uv = attend · LeakyReLU(x_u + y_v)
        sums = _leaky(self.messages(layer, relation, matrix) + targets)
        logits = (sums * self.parameter(layer, relation, "attend")).sum(axis=-1)
        return row_softmax(logits, matrix.indptr)

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
        starts = indptr[:-1][filled]
        reduced[filled] = ufunc.reduceat(values, starts, axis=0)
    return reduced


def row_softmax(
    logits: Float64Array, indptr: IntArray, prior: Float64Array | float = 1.0
) -> Float64Array:
    """(nnz, heads) prior · exp(logits), summing to one over each CSR row."""
    rows = np.repeat(np.arange(len(indptr) - 1), np.diff(indptr))
    largest = row_reduce(np.maximum, logits, indptr)
    weights = prior * np.exp(logits - largest[rows])
    total = row_reduce(np.add, weights, indptr)
    return np.asarray(weights / total[rows])


def unit(vectors: Float64Array) -> Float64Array:
    """Vectors of length one along the last axis; zero stays zero."""
    norms = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.asarray(vectors / np.where(norms > 0, norms, 1.0))


def _heads(states: Float64Array, heads: int) -> Float64Array:
    """(n, d) → (n, heads, d / heads)."""
    return states.reshape(len(states), heads, states.shape[1] // heads)


def _leaky(values: Float64Array) -> Float64Array:
    return np.where(values > 0, values, _SLOPE * values)
