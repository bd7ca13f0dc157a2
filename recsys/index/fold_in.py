"""Encoding users with numpy alone: visitors, known users with new events, and checks of the trained vectors."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from recsys.core.encoder import EncoderState, RelationState
from recsys.core.errors import UsageError

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Neighbours = Mapping[str, sparse.csr_matrix]
"""By relation: (users to encode, sources) matrix of edge weights; a relation left out has no edges."""

_EDGES_AT_ONCE = 1 << 18
_SECONDS_PER_DAY = 86_400.0


class Flow(NamedTuple):
    """What one relation sent in one layer.

    layer: from 1. share: (edges, heads), the factor on each head of each source state, gates and degrees included.
    """

    layer: int
    relation: RelationState
    share: Doubles


class Encoded(NamedTuple):
    """vectors: (n, d) final vectors. norms: (n,) what they were divided by. flows: where they came from."""

    vectors: Floats
    norms: Doubles
    flows: list[Flow]


@dataclass(frozen=True)
class UserEncoder:
    """The formulae of `core.encoder` for any number of users at once."""

    state: EncoderState

    def encode(self, neighbours: Neighbours, layer0: Floats | None = None) -> Floats:
        """(n, d) vectors of users with these neighbours; layer0: (n, d) own states, the visitor's when absent."""
        count = _count(neighbours)
        edges = sum((matrix.indptr.astype(np.int64) for matrix in neighbours.values()), np.zeros(count + 1, np.int64))
        vectors = np.empty((count, len(self.state.visitor)), np.float32)
        for rows in _slices(edges):
            part = {name: matrix[rows] for name, matrix in neighbours.items()}
            vectors[rows] = self.trace(part, None if layer0 is None else layer0[rows]).vectors
        return vectors

    def trace(self, neighbours: Neighbours, layer0: Floats | None = None) -> Encoded:
        """The same for a few users, with every share that made them: what an explanation reads."""
        count = _count(neighbours)
        start = np.broadcast_to(self.state.visitor, (count, len(self.state.visitor))) if layer0 is None else layer0
        hidden = np.asarray(start, np.float64)
        total, flows = self.state.layer_weights[0] * hidden, []
        for layer in range(1, self.state.layers + 1):
            hidden, sent = self._step(layer, hidden, neighbours)
            total = total + self.state.layer_weights[layer] * hidden
            flows += sent
        norms = np.linalg.norm(total, axis=1) if self.state.similarity == "cosine" else np.ones(count)
        norms = np.where(norms > 0, norms, 1.0)
        return Encoded((total / norms[:, None]).astype(np.float32), norms, flows)

    def _step(self, layer: int, hidden: Doubles, neighbours: Neighbours) -> tuple[Doubles, list[Flow]]:
        """h^layer from h^(layer−1), and the flows behind it."""
        base, added = np.zeros_like(hidden), []
        flows = []
        for relation in self.state.relations:
            matrix = neighbours.get(relation.name)
            if matrix is None or not matrix.nnz:
                continue
            share = self._share(layer, relation, matrix, hidden)
            flows.append(Flow(layer, relation, share))
            output = self._gather(layer, relation, matrix, share)
            if relation.base:
                base = base + output
            else:
                added.append((len(flows) - 1, matrix, output))
        factors = self._gates(layer, hidden, [(flows[place].relation, matrix, out) for place, matrix, out in added])
        for (place, matrix, output), factor in zip(added, factors, strict=True):
            base = base + factor[:, None] * output
            flows[place] = flows[place]._replace(share=flows[place].share * factor[rows_of(matrix)][:, None])
        return base, flows

    def _share(self, layer: int, relation: RelationState, matrix: sparse.csr_matrix, hidden: Doubles) -> Doubles:
        """(edges, heads) g(v) α_uv: the degree prior, softly redistributed by likeness, scaled by the target's degree."""
        a, b = relation.source_exponent[layer - 1], relation.target_exponent[layer - 1]
        rows = rows_of(matrix)
        degrees = relation.source_degree[matrix.indices].astype(np.float64)
        # A source without edges in the graph has a new one now: the edge itself is its degree.
        prior = matrix.data * np.where(degrees > 0, degrees, matrix.data) ** -a
        logits = self._likeness(layer, relation, matrix, hidden)
        weights = prior[:, None] * np.exp(logits - row_reduce(np.maximum, logits, matrix.indptr)[rows])
        degree = row_reduce(np.add, matrix.data.astype(np.float64), matrix.indptr)
        mass = row_reduce(np.add, prior, matrix.indptr)
        scale = mass * np.where(degree > 0, degree, 1.0) ** -b
        share: Doubles = scale[rows][:, None] * weights / row_reduce(np.add, weights, matrix.indptr)[rows]
        return share

    def _likeness(self, layer: int, relation: RelationState, matrix: sparse.csr_matrix, hidden: Doubles) -> Doubles:
        """(edges, heads) γ cos(h_u, h_v)."""
        gamma = relation.gamma[layer - 1].astype(np.float64)
        if not gamma.any():
            return np.zeros((matrix.nnz, self.state.heads))
        sources = _unit(self._sources(layer, relation, matrix))
        targets = _unit(hidden.reshape(len(hidden), self.state.heads, -1))
        return np.asarray(gamma * np.einsum("ehd,ehd->eh", sources, targets[rows_of(matrix)]))

    def _sources(self, layer: int, relation: RelationState, matrix: sparse.csr_matrix) -> Doubles:
        """(edges, heads, d / heads) source states of the edges, as sent in `layer`."""
        states = np.asarray(self.state.states[relation.source][layer - 1][matrix.indices], np.float64)
        return states.reshape(matrix.nnz, self.state.heads, -1)

    def _gather(self, layer: int, relation: RelationState, matrix: sparse.csr_matrix, share: Doubles) -> Doubles:
        """(n, d) Σ share · source state over each target's edges."""
        messages = share[:, :, None] * self._sources(layer, relation, matrix)
        return row_reduce(np.add, messages.reshape(matrix.nnz, -1), matrix.indptr)

    def _gates(
        self, layer: int, hidden: Doubles, added: list[tuple[RelationState, sparse.csr_matrix, Doubles]]
    ) -> list[Doubles]:
        """tanh(gate_r) β_r(v), (n,) for each added relation."""
        if not added:
            return []
        cosine = [np.einsum("nd,nd->n", _unit(hidden), _unit(output)) for _, _, output in added]
        kappa = [float(relation.kappa[layer - 1]) for relation, _, _ in added]
        present = np.stack([matrix.indptr[1:] > matrix.indptr[:-1] for _, matrix, _ in added])
        logits = np.where(present, np.stack([k * c for k, c in zip(kappa, cosine, strict=True)]), -np.inf)
        highest = np.where(present.any(axis=0), logits.max(axis=0), 0.0)
        weights = np.exp(logits - highest)
        beta = weights / np.maximum(weights.sum(axis=0), np.finfo(np.float64).tiny)
        return [
            np.tanh(float(relation.gate[layer - 1])) * one for (relation, _, _), one in zip(added, beta, strict=True)
        ]


def edge_weights(
    state: EncoderState,
    relation: RelationState,
    weights: NDArray[np.floating],
    times: NDArray[np.floating],
) -> Doubles:
    """Weights of new edges as the graph would have them: behaviour × log weight × decay.

    times: unix seconds, NaN where unknown; an event without a time, or after the model's last moment, is new.
    """
    values: Doubles = relation.weight * (
        np.asarray(weights, np.float64) if state.use_weights else np.ones(len(weights))
    )
    if state.half_life_days is None or state.now is None:
        return values
    age_days = np.nan_to_num(np.maximum(state.now - times, 0.0)) / _SECONDS_PER_DAY
    return np.asarray(values * np.exp2(-age_days / state.half_life_days))


def rows_of(matrix: sparse.csr_matrix) -> NDArray[np.intp]:
    """(nnz,) the row of each stored entry."""
    return np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))


def row_reduce(ufunc: np.ufunc, values: Doubles, indptr: NDArray[np.integer]) -> Doubles:
    """`ufunc` over the entries of each CSR row; zero for empty rows. values: (nnz, …) → (rows, …)."""
    filled = np.flatnonzero(np.diff(indptr))
    reduced = np.zeros((len(indptr) - 1, *values.shape[1:]))
    if len(filled):
        # reduceat gives the entry itself for an empty segment, so that only filled rows are named.
        reduced[filled] = ufunc.reduceat(values, indptr[:-1][filled], axis=0)
    return reduced


def _unit(vectors: Doubles) -> Doubles:
    """Vectors of length one along the last axis; zero stays zero."""
    norms = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.asarray(vectors / np.where(norms > 0, norms, 1.0))


def _count(neighbours: Neighbours) -> int:
    counts = {int(matrix.shape[0]) for matrix in neighbours.values()}
    if len(counts) != 1:
        raise UsageError(f"neighbours of {sorted(counts)} users", "Give one row per user under every relation")
    return counts.pop()


def _slices(indptr: NDArray[np.int64]) -> list[slice]:
    """Runs of users with at most _EDGES_AT_ONCE edges together (at least one user)."""
    slices, start = [], 0
    while start < len(indptr) - 1:
        stop = int(np.searchsorted(indptr, indptr[start] + _EDGES_AT_ONCE, side="right")) - 1
        slices.append(slice(start, max(stop, start + 1)))
        start = slices[-1].stop
    return slices
