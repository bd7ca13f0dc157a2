"""Encoding users with numpy alone: visitors, known users with new events, and checks of the trained
vectors.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from scipy import sparse

from recsys.core.arrays import BoolArray, Float32Array, Float64Array, FloatArray, Int64Array
from recsys.core.encoder import EncoderState, RelationState
from recsys.core.errors import UsageError
from recsys.encode.attention import attention_of, row_reduce, rows_of, unit

Neighbours = Mapping[str, sparse.csr_matrix]
"""By relation: (users to encode, sources) matrix of edge weights; a relation left out has no edges."""

_EDGES_AT_ONCE = 1 << 18
_SECONDS_PER_DAY = 86_400.0


class Flow(NamedTuple):
    """What one relation sent in one layer, where nothing but sums lies between it and the vector.

    layer: from 1. share: (edges, heads), the factor on each head of each source state, gates and
    degrees included.
    """

    layer: int
    relation: RelationState
    share: Float64Array


class Encoded(NamedTuple):
    """vectors: (n, d) final vectors. norms: (n,) what they were divided by. flows: where they came
    from.
    """

    vectors: Float32Array
    norms: Float64Array
    flows: list[Flow]


class UserEncoder:
    """The formulae of `core.encoder` for any number of users at once. Raises DataError for an
    unknown family.
    """

    def __init__(self, state: EncoderState) -> None:
        self.state = state
        self.attention = attention_of(state)

    def encode(self, neighbours: Neighbours, layer0: Float32Array | None = None) -> Float32Array:
        """(n, d) vectors of users with these neighbours; layer0: (n, d) own states, the visitor's
        when absent.
        """
        count = _count(neighbours)
        edges = sum(
            (matrix.indptr.astype(np.int64) for matrix in neighbours.values()),
            np.zeros(count + 1, np.int64),
        )
        vectors = np.empty((count, len(self.state.visitor)), np.float32)
        for rows in _slices(edges):
            part = {name: matrix[rows] for name, matrix in neighbours.items()}
            vectors[rows] = self.trace(part, None if layer0 is None else layer0[rows]).vectors
        return vectors

    def trace(self, neighbours: Neighbours, layer0: Float32Array | None = None) -> Encoded:
        """The same for a few users, with every share that made them: what an explanation reads."""
        count = _count(neighbours)
        start = (
            np.broadcast_to(self.state.visitor, (count, len(self.state.visitor)))
            if layer0 is None
            else layer0
        )
        hidden = np.asarray(start, np.float64)
        total, flows = self.state.layer_weights[0] * hidden, []
        for layer in range(1, self.state.layers + 1):
            hidden, sent = self._step(layer, hidden, neighbours)
            total = total + self.state.layer_weights[layer] * hidden
            flows += sent
        norms = (
            np.linalg.norm(total, axis=1) if self.state.similarity == "cosine" else np.ones(count)
        )
        norms = np.where(norms > 0, norms, 1.0)
        return Encoded((total / norms[:, None]).astype(np.float32), norms, flows)

    def _step(
        self, layer: int, hidden: Float64Array, neighbours: Neighbours
    ) -> tuple[Float64Array, list[Flow]]:
        """h^layer from h^(layer−1), and the flows that reach the vector linearly."""
        heard = [
            self._hear(layer, relation, neighbours[relation.name], hidden)
            for relation in self.state.relations
            if relation.name in neighbours and neighbours[relation.name].nnz
        ]
        factors = _factors(layer, hidden, heard)
        total = sum(
            (f[:, None] * one.output for f, one in zip(factors, heard, strict=True)),
            np.zeros_like(hidden),
        )
        if self.attention.linear or layer == self.state.layers:
            flows = [
                Flow(layer, one.relation, one.share * f[rows_of(one.matrix)][:, None])
                for f, one in zip(factors, heard, strict=True)
            ]
            return total, flows
        return np.where(total > 0, total, np.expm1(np.minimum(total, 0.0))), []  # ELU

    def _hear(
        self, layer: int, relation: RelationState, matrix: sparse.csr_matrix, hidden: Float64Array
    ) -> "_Heard":
        """One relation's output, ungated."""
        share = self.attention.share(layer, relation, matrix, hidden)
        messages = share[:, :, None] * self.attention.sent(layer, relation, matrix)
        output = row_reduce(np.add, messages.reshape(matrix.nnz, -1), matrix.indptr)
        present = np.diff(matrix.indptr) > 0
        return _Heard(
            relation,
            matrix,
            share,
            output + present[:, None] * self.attention.bias(layer, relation),
            present,
        )


class _Heard(NamedTuple):
    """share: (edges, heads). output: (n, d). present: (n,) which users have an edge."""

    relation: RelationState
    matrix: sparse.csr_matrix
    share: Float64Array
    output: Float64Array
    present: BoolArray


def _factors(layer: int, hidden: Float64Array, heard: list[_Heard]) -> list[Float64Array]:
    """(n,) for each relation: 1 for the base, tanh(gate_r) β_r(v) for an added one."""
    ones = np.ones(len(hidden))
    added = [one for one in heard if not one.relation.base]
    if not added:
        return [ones] * len(heard)
    direction = unit(hidden)
    closeness = [
        float(one.relation.kappa[layer - 1]) * np.einsum("nd,nd->n", direction, unit(one.output))
        for one in added
    ]
    present = np.stack([one.present for one in added])
    logits = np.where(present, np.stack(closeness), -np.inf)
    weights = np.exp(logits - np.where(present.any(axis=0), logits.max(axis=0), 0.0))
    beta = weights / np.maximum(weights.sum(axis=0), np.finfo(np.float64).tiny)
    gated = iter(
        [
            np.tanh(float(one.relation.gate[layer - 1])) * b
            for one, b in zip(added, beta, strict=True)
        ]
    )
    return [ones if one.relation.base else next(gated) for one in heard]


def edge_weights(
    state: EncoderState,
    relation: RelationState,
    weights: FloatArray,
    times: FloatArray,
) -> Float64Array:
    """Weights of new edges as the graph would have them: behaviour × log weight × decay.

    times: unix seconds, NaN where unknown; an event without a time, or after the model's last
    moment, is new.
    """
    values: Float64Array = relation.weight * (
        np.asarray(weights, np.float64) if state.use_weights else np.ones(len(weights))
    )
    half_life_days = relation.half_life_days or state.half_life_days
    if half_life_days is None or state.now is None:
        return values
    age_days = np.nan_to_num(np.maximum(state.now - times, 0.0)) / _SECONDS_PER_DAY
    # As in the graph, an old event keeps a positive weight, however small.
    decayed: Float64Array = np.maximum(
        values * np.exp2(-age_days / half_life_days), np.finfo(np.float32).tiny
    )
    return decayed


def _count(neighbours: Neighbours) -> int:
    counts = {int(matrix.shape[0]) for matrix in neighbours.values()}
    if len(counts) != 1:
        raise UsageError(
            f"neighbours of {sorted(counts)} users", "Give one row per user under every relation"
        )
    return counts.pop()


def _slices(indptr: Int64Array) -> list[slice]:
    """Runs of users with at most _EDGES_AT_ONCE edges together (at least one user)."""
    slices, start = [], 0
    while start < len(indptr) - 1:
        stop = int(np.searchsorted(indptr, indptr[start] + _EDGES_AT_ONCE, side="right")) - 1
        slices.append(slice(start, max(stop, start + 1)))
        start = slices[-1].stop
    return slices
