"""Encoding users with numpy alone: visitors, known users with new events, and checks of the trained
vectors.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy import sparse

from recsys.core.arrays import BoolArray, Float32Array, Float64Array, Int64Array
from recsys.core.encoder import LATEST, EncoderState, RelationState
from recsys.core.errors import UsageError
from recsys.core.history import EdgeWeighting, UserHistories
from recsys.core.tables import ITEM
from recsys.encode.attention import attention_of, row_reduce, rows_of, unit

Neighbours = Mapping[str, sparse.csr_matrix]
"""By relation: (users to encode, sources) matrix of edge weights; a relation left out has no edges.
With a causal block also (users, items) the latest events, under `core.encoder.LATEST`.
"""

_EDGES_AT_ONCE = 1 << 18


class Flow(NamedTuple):
    """What one relation adds in one layer, where nothing but sums lies between it and the vector.

    layer: from 1.
    relation: into users.
    attention: (edges, heads) factor on each head of each source state, gates and degrees included.
    """

    layer: int
    relation: RelationState
    attention: Float64Array


class Encoded(NamedTuple):
    """Users as they were encoded.

    vectors: (n, d) final vectors.
    norms: (n,) what they were divided by.
    flows: where they came from.
    """

    vectors: Float32Array
    norms: Float64Array
    flows: list[Flow]


class UserEncoder:
    """The formulae of `core.encoder` for any number of users at once."""

    def __init__(self, state: EncoderState) -> None:
        """Raises DataError for an unknown model family."""
        self.state = state
        self.attention = attention_of(state)

    def encode(self, neighbours: Neighbours, layer0: Float32Array | None = None) -> Float32Array:
        """(n, d) vectors of users with these neighbours.

        layer0: (n, d) own states, the visitor's when absent.
        """
        count = _num_users(neighbours)
        num_edges = np.zeros(count + 1, np.int64)
        for matrix in neighbours.values():
            num_edges += matrix.indptr
        vectors = np.empty((count, len(self.state.visitor)), np.float32)
        for users in _slices(num_edges):
            of_users = {name: matrix[users] for name, matrix in neighbours.items()}
            own = None if layer0 is None else layer0[users]
            vectors[users] = self.trace(of_users, own).vectors
        return vectors

    def trace(self, neighbours: Neighbours, layer0: Float32Array | None = None) -> Encoded:
        """The same for a few users, with all that made them: what an explanation reads."""
        count, state = _num_users(neighbours), self.state
        if layer0 is None:
            layer0 = np.broadcast_to(state.visitor, (count, len(state.visitor)))
        hidden = np.asarray(layer0, np.float64)
        # z = Σ_l layer_weights[l] h^l
        total = state.layer_weights[0] * hidden
        flows: list[Flow] = []
        latest = self._latest(neighbours) if state.causal_block else None
        asks = hidden
        for layer in range(1, state.layers + 1):
            hidden, layer_flows = self._step(layer, asks, neighbours)
            total = total + state.layer_weights[layer] * hidden
            flows += layer_flows
            # x̂ + ĥ
            asks = hidden if latest is None else unit(latest) + unit(hidden)
        if state.causal_block:
            total = total + _causal_block(state, asks)
        norms = np.ones(count)
        if state.similarity == "cosine":
            norms = np.linalg.norm(total, axis=1)
        norms = np.where(norms > 0, norms, 1.0)
        vectors = total / norms[:, None]
        return Encoded(vectors.astype(np.float32), norms, flows)

    def _latest(self, neighbours: Neighbours) -> Float64Array:
        """(n, d) state of the latest item of each user; 0 where there is none."""
        latest = np.zeros((_num_users(neighbours), len(self.state.visitor)))
        matrix = neighbours.get(LATEST)
        if matrix is not None and matrix.nnz:
            states = self.state.states[ITEM][0]
            latest[rows_of(matrix)] = states[matrix.indices]
        return latest

    def _step(
        self, layer: int, hidden: Float64Array, neighbours: Neighbours
    ) -> tuple[Float64Array, list[Flow]]:
        """h^layer from h^(layer−1), and the flows that reach the vector linearly."""
        outputs = []
        for relation in self.state.relations:
            matrix = neighbours.get(relation.name)
            if matrix is not None and matrix.nnz:
                outputs.append(self._output(layer, relation, matrix, hidden))
        gates = _gates(layer, hidden, outputs)
        # h^l = Σ_r gate_r · out_r
        total = np.zeros_like(hidden)
        for gate, output in zip(gates, outputs, strict=True):
            total += gate[:, None] * output.values
        is_linear = self.attention.linear or layer == self.state.layers
        if not is_linear:
            elu = np.where(total > 0, total, np.expm1(np.minimum(total, 0.0)))
            return elu, []
        flows = []
        for gate, output in zip(gates, outputs, strict=True):
            gate_of_edges = gate[rows_of(output.matrix)]
            attention = output.attention * gate_of_edges[:, None]
            flows.append(Flow(layer, output.relation, attention))
        return total, flows

    def _output(
        self, layer: int, relation: RelationState, matrix: sparse.csr_matrix, hidden: Float64Array
    ) -> "_Output":
        """One relation's output, ungated."""
        attention = self.attention.weights(layer, relation, matrix, hidden)
        messages = attention[:, :, None] * self.attention.messages(layer, relation, matrix)
        values = row_reduce(np.add, messages.reshape(matrix.nnz, -1), matrix.indptr)
        present = np.diff(matrix.indptr) > 0
        values = values + present[:, None] * self.attention.bias(layer, relation)
        return _Output(relation, matrix, attention, values, present)


@dataclass(frozen=True)
class _Output:
    """What one relation gives in one layer.

    relation: into users.
    matrix: (n, sources) edge weights.
    attention: (edges, heads).
    values: (n, d).
    present: (n,) which users have an edge.
    """

    relation: RelationState
    matrix: sparse.csr_matrix
    attention: Float64Array
    values: Float64Array
    present: BoolArray


def _gates(layer: int, hidden: Float64Array, outputs: list[_Output]) -> list[Float64Array]:
    """(n,) for each relation: 1 for the base, tanh(gate_r) β_r(v) for an added one."""
    added = [output for output in outputs if not output.relation.base]
    mixture = _mixture(layer, hidden, added) if added else np.empty((0, len(hidden)))
    gates = []
    number = 0
    for output in outputs:
        if output.relation.base:
            gates.append(np.ones(len(hidden)))
            continue
        gate = np.tanh(float(output.relation.gate[layer - 1]))
        gates.append(gate * mixture[number])
        number += 1
    return gates


def _mixture(layer: int, hidden: Float64Array, added: list[_Output]) -> Float64Array:
    """(relations, n) β_r(v), the softmax over the added relations present at v."""
    direction = unit(hidden)
    logits = np.full((len(added), len(hidden)), -np.inf)
    for row, output in enumerate(added):
        # κ_r cos(h_v, out_r)
        kappa = float(output.relation.kappa[layer - 1])
        cosine = np.einsum("nd,nd->n", direction, unit(output.values))
        logits[row, output.present] = kappa * cosine[output.present]
    largest = logits.max(axis=0)
    weights = np.exp(logits - np.where(np.isfinite(largest), largest, 0.0))
    total = np.maximum(weights.sum(axis=0), np.finfo(np.float64).tiny)
    return np.asarray(weights / total)


def _causal_block(state: EncoderState, asks: Float64Array) -> Float64Array:
    """(n, d) out · SiLU(into · √d unit(asks) + bias), as in `model.causal_block`."""
    weights = {name: values.astype(np.float64) for name, values in state.causal_block.items()}
    y = np.sqrt(asks.shape[1]) * unit(asks)
    inner = y @ weights["into"].T + weights["bias"]
    # SiLU(x) = x / (1 + e^−x)
    active = inner / (1 + np.exp(-inner))
    return np.asarray(active @ weights["out"].T)


def edge_weighting(state: EncoderState, relation: RelationState) -> EdgeWeighting:
    """How new events weigh as edges of a relation: as the graph's rows do."""
    return EdgeWeighting(
        behavior_weight=relation.weight,
        use_weights=state.use_weights,
        half_life_days=relation.half_life_days or state.half_life_days,
        now=state.now,
        half_life_events=state.half_life_events,
        rank_weights=relation.rank_weights,
        gap_weights=relation.gap_weights,
    )


def history_neighbours(state: EncoderState, histories: UserHistories) -> Neighbours:
    """Neighbours that histories give, as the graph would have them; relations without any left out."""
    neighbours = {}
    for relation in state.relations:
        if relation.behavior is None:
            continue
        edges = histories.edge_weights(relation.behavior, edge_weighting(state, relation))
        if edges.nnz:
            neighbours[relation.name] = edges
    return neighbours | latest_events(state, histories)


def latest_events(state: EncoderState, histories: UserHistories) -> dict[str, sparse.csr_matrix]:
    """What a causal block reads of histories, under `LATEST`; nothing for an encoder without one, or
    where nobody did anything.
    """
    if not state.causal_block or state.target is None or state.target.behavior is None:
        return {}
    latest = histories.latest(state.target.behavior)
    return {LATEST: latest} if latest.nnz else {}


def _num_users(neighbours: Neighbours) -> int:
    counts = {int(matrix.shape[0]) for matrix in neighbours.values()}
    if len(counts) != 1:
        raise UsageError(
            f"neighbours of {sorted(counts)} users", "Give one row per user under every relation"
        )
    return counts.pop()


def _slices(indptr: Int64Array) -> list[slice]:
    """Runs of users with at most _EDGES_AT_ONCE edges together (at least one user)."""
    slices: list[slice] = []
    start, num_users = 0, len(indptr) - 1
    while start < num_users:
        last_edge = indptr[start] + _EDGES_AT_ONCE
        stop = int(np.searchsorted(indptr, last_edge, side="right")) - 1
        stop = max(stop, start + 1)
        slices.append(slice(start, stop))
        start = stop
    return slices
