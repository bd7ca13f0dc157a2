"""The user encoder as an ONNX graph: the formulae of `core.encoder` over padded rows of neighbours.

Inputs, for B users and L places that are filled up with −1 (L may differ from input to input and from call
to call):

    RELATION_index    (B, L) int64    sources of a relation: places in items.json for a behaviour
    RELATION_weight   (B, L) float    their edge weights, before what rank and seconds make of them
    RELATION_rank     (B, L) int64    how many of the user's pairs of the relation are later
    RELATION_seconds  (B, L) int64    seconds from the event to the user's latest one of the relation
    latest_index      (B, 1) int64    the latest item under the target behaviour
    history_index     (B, L) int64    items of the history as item–item scores read it
    history_weight    (B, L) float    and what they weigh

rank and seconds are there where the encoder reads them, latest where it has a causal block, history where
low-pass factors are served. Output: vector (B, d), whose inner products with the exported vectors of items
are the scores. Inside, all is computed in double precision, as it is in numpy.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from recsys.core.encoder import EncoderState, RelationState
from recsys.core.errors import UsageError
from recsys.core.history import GAPS
from recsys.core.tables import ITEM
from recsys.encode.history_scores import LENGTH_POWER, HistoryScores
from recsys.encode.onnx_values import OnnxGraph, OnnxValue

_FAMILIES = ("history", "degree_prior")
_NEVER = -1e300
"""In the place of the logarithm of 0: no weight after the softmax."""


def encoder_graph(state: EncoderState, added: HistoryScores | None) -> onnx.ModelProto:
    """added: whose low-pass, trend and popularity stand beside the vectors of items.

    Raises UsageError for a family whose layers are not sums of weighted states.
    """
    if state.family not in _FAMILIES:
        raise UsageError(
            f"the family {state.family!r} is not written as ONNX", f"Of {' and '.join(_FAMILIES)}"
        )
    return _EncoderGraph(state, added).model()


class _Sources:
    """The neighbours under one relation: rows, where there are any, and edge weights.

    index: (B, L). mask: (B, L) where there is an edge of some weight; is_edge: the same as numbers.
    rows: (B, L) `index` with 0 in empty places. weight: (B, L), 0 in empty places; safe_weight has 1
    there. present: (B,) who has an edge.
    """

    def __init__(self, graph: OnnxGraph, state: EncoderState, relation: RelationState) -> None:
        self.relation = relation
        index = graph.input(f"{relation.name}_index", np.int64)
        edge_weight = graph.input(f"{relation.name}_weight", np.float32).double()
        weight = _placed(graph, state, relation, edge_weight)
        self.mask = (index >= 0) & (weight > 0.0)
        self.is_edge = self.mask.double()
        self.rows = index.at_least(0)
        self.weight = weight * self.is_edge
        self.safe_weight = weight.where(self.mask, 1.0)
        self.present = self.is_edge.sum(1) > 0.0


def _placed(
    graph: OnnxGraph, state: EncoderState, relation: RelationState, weight: OnnxValue
) -> OnnxValue:
    """(B, L) weights of edges with what their places in the history make of them."""
    if relation.behavior is None:
        return weight
    if state.half_life_events is not None or relation.rank_weights is not None:
        rank = graph.input(f"{relation.name}_rank", np.int64).at_least(0)
        weight = _by_rank(state, relation, rank, weight)
    if relation.gap_weights is not None:
        seconds = graph.input(f"{relation.name}_seconds", np.int64)
        gap_weight = _gap_bucket(graph, seconds).rows_of(relation.gap_weights)
        weight = weight * gap_weight
    return weight


def _by_rank(
    state: EncoderState, relation: RelationState, rank: OnnxValue, weight: OnnxValue
) -> OnnxValue:
    """(B, L) weights of edges with what their ranks make of them."""
    if state.half_life_events is not None:
        # 2^(−p / half_life_events)
        decay = (rank.double() / -state.half_life_events).exp2()
        weight = weight * decay
    if relation.rank_weights is not None:
        # Beyond the last rank that has a weight there is none.
        rank_weights = np.append(relation.rank_weights, np.float32(0))
        rank_weight = rank.at_most(len(rank_weights) - 1).rows_of(rank_weights)
        weight = weight * rank_weight
    return weight


def _gap_bucket(graph: OnnxGraph, seconds: OnnxValue) -> OnnxValue:
    """(B, L) ⌊log₂(1 + seconds)⌋: the number of powers of two that 1 + seconds reaches."""
    powers = np.array([2**bucket for bucket in range(1, GAPS)])
    is_reached = (seconds + 1).expanded(2) >= graph.constant(powers, np.int64)
    return is_reached.cast(np.int64).sum(2)


class _EncoderGraph:
    def __init__(self, state: EncoderState, added: HistoryScores | None) -> None:
        self.state, self.added = state, added
        self.graph = OnnxGraph()
        self.width = len(state.visitor)
        self.head_width = self.width // state.heads
        self.sources = [_Sources(self.graph, state, relation) for relation in state.relations]

    def model(self) -> onnx.ModelProto:
        width = self.width
        columns = [self._vector().cast(np.float32)]
        if self.added is not None and self.added.back.shape[1]:
            width += self.added.back.shape[1]
            columns.append(self._beside(self.added).cast(np.float32))
        vector = self.graph.concatenated(columns)
        return self.graph.model("vector", vector, width)

    def _vector(self) -> OnnxValue:
        """(B, d) z of `core.encoder`."""
        state = self.state
        hidden = self._everybody(state.visitor)
        # z = Σ_l layer_weights[l] h^l
        total = hidden * float(state.layer_weights[0])
        latest = self._latest().unit() if state.causal_block else None
        asks = hidden
        for layer in range(1, state.layers + 1):
            hidden = self._step(layer, asks)
            total = total + hidden * float(state.layer_weights[layer])
            # x̂ + ĥ
            asks = hidden if latest is None else latest + hidden.unit()
        if state.causal_block:
            total = total + self._causal_block(asks)
        return total.unit() if state.similarity == "cosine" else total

    def _everybody(self, row: NDArray[Any]) -> OnnxValue:
        """(B, d) the same row for every user."""
        zeros = (self.sources[0].is_edge * 0.0).sum(1, keep=True)
        return zeros + row[None]

    def _latest(self) -> OnnxValue:
        """(B, d) state of the latest item; 0 where there is none."""
        index = self.graph.input("latest_index", np.int64)
        states = index.at_least(0).rows_of(self.state.states[ITEM][0])
        is_there = (index >= 0).double()
        return (states * is_there.expanded(-1)).sum(1)

    def _step(self, layer: int, hidden: OnnxValue) -> OnnxValue:
        """(B, d) h^layer from h^(layer−1) = Σ_r gate_r out_r."""
        outputs = [self._output(layer, sources, hidden) for sources in self.sources]
        shares = iter(self._mixture(layer, hidden, outputs))
        total = None
        for sources, output in zip(self.sources, outputs, strict=True):
            if not sources.relation.base:
                # tanh(gate_r) β_r(v)
                opening = float(np.tanh(sources.relation.gate[layer - 1]))
                gate = next(shares) * opening
                output = output * gate.expanded(1)
            total = output if total is None else total + output
        assert total is not None
        return total

    def _output(self, layer: int, sources: _Sources, hidden: OnnxValue) -> OnnxValue:
        """(B, d) one relation's output, ungated."""
        relation = sources.relation
        states = sources.rows.rows_of(self.state.states[relation.source][layer - 1])
        messages = states.shaped(0, 0, self.state.heads, self.head_width)
        prior = self._prior(layer, sources)
        # ln p_uv + (c − 1) ln w_uv
        log_prior = prior.log()
        if relation.weight_power is not None:
            further_power = float(relation.weight_power[layer - 1]) - 1
            log_prior = log_prior + sources.safe_weight.log() * further_power
        log_prior = log_prior.where(sources.mask, _NEVER)
        # α = softmax over the edges of v, 0 where there is none; out = Σ_u α_uv h_u
        logits = self._logits(layer, relation, messages, hidden) + log_prior.expanded(2)
        alpha = logits.softmax(axis=1) * sources.is_edge.expanded(2)
        output = (messages * alpha.expanded(3)).sum(1).shaped(0, self.width)
        if self.state.family == "degree_prior":
            output = output * self._degree_scale(layer, sources, prior).expanded(1)
        return output

    def _prior(self, layer: int, sources: _Sources) -> OnnxValue:
        """(B, L) p_uv = w_uv d(u)^(−a); 1 where there is no edge."""
        degree = sources.rows.rows_of(sources.relation.source_degree)
        # A source without a degree is new: it has this edge alone.
        degree = degree.where(degree > 0.0, sources.safe_weight)
        source_exponent = float(sources.relation.source_exponent[layer - 1])
        return sources.safe_weight * degree**-source_exponent

    def _degree_scale(self, layer: int, sources: _Sources, prior: OnnxValue) -> OnnxValue:
        """(B,) (Σ_u p_uv) d(v)^(−b)."""
        degree = sources.weight.sum(1).or_one()
        target_exponent = float(sources.relation.target_exponent[layer - 1])
        total_prior = (prior * sources.is_edge).sum(1)
        return total_prior * degree**-target_exponent

    def _logits(
        self, layer: int, relation: RelationState, messages: OnnxValue, hidden: OnnxValue
    ) -> OnnxValue:
        """(B, L, heads) what is learnt of a source, and of the two together."""
        keys = messages.unit()
        if self.state.family == "degree_prior":
            # γ cos(h_u, h_v)
            targets = self._by_head(hidden).unit()
            gamma: NDArray[Any] = relation.gamma[layer - 1]
            return (keys * targets).sum(-1) * gamma
        logits = (keys * 0.0).sum(-1)
        if relation.query is not None:
            # query · ĥ_u
            logits = logits + (keys * relation.query[layer - 1]).sum(-1)
        if relation.match is not None:
            # ⟨ĥ_v match, ĥ_u⟩
            matched = self._by_head(hidden.unit() @ relation.match[layer - 1])
            logits = logits + (keys * matched).sum(-1)
        return logits

    def _by_head(self, vectors: OnnxValue) -> OnnxValue:
        """(B, 1, heads, d / heads), to stand beside (B, L, heads, d / heads)."""
        return vectors.shaped(0, 1, self.state.heads, self.head_width)

    def _mixture(
        self, layer: int, hidden: OnnxValue, outputs: Sequence[OnnxValue]
    ) -> list[OnnxValue]:
        """Of each added relation (B,) β_r(v): the softmax over those present at v."""
        logits, present = [], []
        for sources, output in zip(self.sources, outputs, strict=True):
            if sources.relation.base:
                continue
            # κ_r cos(h_v, out_r)
            cosine = (hidden.unit() * output.unit()).sum(-1)
            logit = cosine * float(sources.relation.kappa[layer - 1])
            logits.append(logit.where(sources.present, _NEVER).expanded(1))
            present.append(sources.present.double().expanded(1))
        if not logits:
            return []
        shares = self.graph.concatenated(logits).softmax(axis=1)
        shares = shares * self.graph.concatenated(present)
        return [shares.column(number) for number in range(len(logits))]

    def _causal_block(self, asks: OnnxValue) -> OnnxValue:
        """(B, d) out · SiLU(into · √d unit(asks) + bias)."""
        weights = self.state.causal_block
        bias, into, out = weights["bias"], weights["into"].T, weights["out"].T
        scaled = asks.unit() * float(np.sqrt(self.width))
        inner = scaled @ into + bias
        return inner.silu() @ out

    def _beside(self, added: HistoryScores) -> OnnxValue:
        """(B, columns of `back`) low-pass of the history, and 1 for what everybody gets."""
        everybody = self._everybody(np.ones(added.back.shape[1] - added.rank))
        if not added.rank:
            return everybody
        index = self.graph.input("history_index", np.int64)
        weight = self.graph.input("history_weight", np.float32).double()
        weight = weight * (index >= 0).double()
        # h_u · into / (Σ_j h_uj)^¾
        factors = index.at_least(0).rows_of(added.into)
        projection = (factors * weight.expanded(2)).sum(1)
        total = weight.sum(1, keep=True).or_one()
        low_pass = projection * total**-LENGTH_POWER
        return self.graph.concatenated([low_pass, everybody])
