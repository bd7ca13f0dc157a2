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
from itertools import count
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from recsys.core.encoder import EncoderState, RelationState
from recsys.core.errors import UsageError
from recsys.core.history import GAPS
from recsys.core.tables import ITEM
from recsys.encode.history_scores import LENGTH_POWER, HistoryScores

_FAMILIES = ("history", "degree_prior")
_OPSET = 17
_IR_VERSION = 8  # what onnxruntime of 2022 reads, too
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


class _Nodes:
    """Nodes and constants as they are added; every method gives the name of what it computes."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self.inputs: list[onnx.ValueInfoProto] = []
        self._numbers = count()

    def add(self, operator: str, *inputs: str, **attributes: Any) -> str:
        output = f"{operator.lower()}_{next(self._numbers)}"
        self.nodes.append(helper.make_node(operator, list(inputs), [output], **attributes))
        return output

    def constant(self, values: Any, kind: Any = np.float64) -> str:
        name = f"constant_{next(self._numbers)}"
        array = np.array(values, kind, order="C")
        self.constants.append(numpy_helper.from_array(array, name))
        return name

    def input(self, name: str, kind: int) -> str:
        places = f"{name.rpartition('_')[0]}_places"
        self.inputs.append(helper.make_tensor_value_info(name, kind, ["users", places]))
        return name

    def double(self, values: str) -> str:
        return self.add("Cast", values, to=TensorProto.DOUBLE)

    def sum(self, values: str, axis: int, keep: bool = False) -> str:
        return self.add("ReduceSum", values, self.constant([axis], np.int64), keepdims=int(keep))

    def expanded(self, values: str, *axes: int) -> str:
        return self.add("Unsqueeze", values, self.constant(axes, np.int64))

    def shaped(self, values: str, *shape: int) -> str:
        """0 keeps a dimension, −1 takes what is left."""
        return self.add("Reshape", values, self.constant(shape, np.int64))

    def unit(self, values: str) -> str:
        """Vectors of length one along the last axis; zero stays zero."""
        squares = self.sum(self.add("Mul", values, values), -1, keep=True)
        norms = self.add("Sqrt", squares)
        return self.add("Div", values, self.or_one(norms))

    def or_one(self, values: str) -> str:
        """1 in the place of what is not above 0."""
        is_positive = self.add("Greater", values, self.constant(0.0))
        return self.add("Where", is_positive, values, self.constant(1.0))

    def gathered(self, table: NDArray[Any], rows: str) -> str:
        """Rows of a float32 table, as double: it is kept in its own precision."""
        return self.double(self.add("Gather", self.constant(table, np.float32), rows, axis=0))


class _Sources:
    """The neighbours under one relation: rows, where there are any, and edge weights."""

    def __init__(self, nodes: _Nodes, state: EncoderState, relation: RelationState) -> None:
        self.relation = relation
        index = nodes.input(f"{relation.name}_index", TensorProto.INT64)
        given = nodes.double(nodes.input(f"{relation.name}_weight", TensorProto.FLOAT))
        weight = nodes.add("Mul", given, self._places(nodes, state, relation, given))
        is_there = nodes.add("GreaterOrEqual", index, nodes.constant(0, np.int64))
        has_weight = nodes.add("Greater", weight, nodes.constant(0.0))
        self.mask = nodes.add("And", is_there, has_weight)  # (B, L)
        self.rows = nodes.add("Max", index, nodes.constant(0, np.int64))
        self.is_edge = nodes.double(self.mask)
        self.weight = nodes.add("Mul", weight, self.is_edge)
        self.safe_weight = nodes.add("Where", self.mask, weight, nodes.constant(1.0))
        edges = nodes.sum(self.is_edge, 1)
        self.present = nodes.add("Greater", edges, nodes.constant(0.0))  # (B,)

    @staticmethod
    def _places(nodes: _Nodes, state: EncoderState, relation: RelationState, like: str) -> str:
        """(B, L) what the place in the history makes of an edge."""
        factor = nodes.add("Add", nodes.add("Mul", like, nodes.constant(0.0)), nodes.constant(1.0))
        if relation.behavior is None:
            return factor
        half_life = state.half_life_events
        if half_life is not None or relation.rank_weights is not None:
            rank = nodes.input(f"{relation.name}_rank", TensorProto.INT64)
            rank = nodes.add("Max", rank, nodes.constant(0, np.int64))
            if half_life is not None:
                # 2^(−p / half_life_events)
                power = nodes.add("Div", nodes.double(rank), nodes.constant(-half_life))
                factor = nodes.add("Mul", factor, nodes.add("Pow", nodes.constant(2.0), power))
            if relation.rank_weights is not None:
                by_rank = np.append(relation.rank_weights, np.float32(0))
                last = nodes.constant(len(by_rank) - 1, np.int64)
                row = nodes.add("Min", rank, last)
                factor = nodes.add("Mul", factor, nodes.gathered(by_rank, row))
        if relation.gap_weights is not None:
            seconds = nodes.input(f"{relation.name}_seconds", TensorProto.INT64)
            factor = nodes.add("Mul", factor, _of_gap(nodes, relation.gap_weights, seconds))
        return factor


class _EncoderGraph:
    def __init__(self, state: EncoderState, added: HistoryScores | None) -> None:
        self.state, self.added = state, added
        self.nodes = _Nodes()
        self.width = len(state.visitor)
        self.head_width = self.width // state.heads
        self.sources = [_Sources(self.nodes, state, relation) for relation in state.relations]

    def model(self) -> onnx.ModelProto:
        nodes = self.nodes
        parts = [nodes.add("Cast", self._vector(), to=TensorProto.FLOAT)]
        if self.added is not None and self.added.back.shape[1]:
            parts.append(nodes.add("Cast", self._beside(self.added), to=TensorProto.FLOAT))
        last = nodes.add("Concat", *parts, axis=1)
        nodes.nodes.append(helper.make_node("Identity", [last], ["vector"]))
        width = self.width + (0 if self.added is None else self.added.back.shape[1])
        output = helper.make_tensor_value_info("vector", TensorProto.FLOAT, ["users", width])
        graph = helper.make_graph(
            nodes.nodes, "recsys user encoder", nodes.inputs, [output], nodes.constants
        )
        opsets = [helper.make_opsetid("", _OPSET)]
        return helper.make_model(
            graph, opset_imports=opsets, ir_version=_IR_VERSION, producer_name="recsys"
        )

    def _vector(self) -> str:
        """(B, d) z of `core.encoder`."""
        nodes, state = self.nodes, self.state
        hidden = self._everybody(state.visitor)
        # z = Σ_l layer_weights[l] h^l
        total = nodes.add("Mul", hidden, nodes.constant(float(state.layer_weights[0])))
        latest = nodes.unit(self._latest()) if state.causal_block else None
        asks = hidden
        for layer in range(1, state.layers + 1):
            hidden = self._step(layer, asks)
            weight = nodes.constant(float(state.layer_weights[layer]))
            total = nodes.add("Add", total, nodes.add("Mul", hidden, weight))
            # x̂ + ĥ
            asks = hidden if latest is None else nodes.add("Add", latest, nodes.unit(hidden))
        if state.causal_block:
            total = nodes.add("Add", total, self._causal_block(asks))
        return nodes.unit(total) if state.similarity == "cosine" else total

    def _everybody(self, values: Any) -> str:
        """(B, d) the same row for every user."""
        nodes = self.nodes
        zeros = nodes.add("Mul", self.sources[0].is_edge, nodes.constant(0.0))
        column = nodes.sum(zeros, 1, keep=True)
        return nodes.add("Add", column, nodes.constant(np.asarray(values)[None]))

    def _latest(self) -> str:
        """(B, d) state of the latest item; 0 where there is none."""
        nodes = self.nodes
        index = nodes.input("latest_index", TensorProto.INT64)
        rows = nodes.add("Max", index, nodes.constant(0, np.int64))
        states = nodes.gathered(self.state.states[ITEM][0], rows)
        is_there = nodes.add("GreaterOrEqual", index, nodes.constant(0, np.int64))
        known = nodes.add("Mul", states, nodes.expanded(nodes.double(is_there), -1))
        return nodes.sum(known, 1)

    def _step(self, layer: int, hidden: str) -> str:
        """(B, d) h^layer from h^(layer−1) = Σ_r gate_r out_r."""
        nodes = self.nodes
        outputs = [self._output(layer, sources, hidden) for sources in self.sources]
        mixture = self._mixture(layer, hidden, outputs)
        total = None
        for sources, output in zip(self.sources, outputs, strict=True):
            share = output
            if not sources.relation.base:
                # tanh(gate_r) β_r(v)
                gate = np.tanh(float(sources.relation.gate[layer - 1]))
                factor = nodes.add("Mul", mixture.pop(0), nodes.constant(gate))
                share = nodes.add("Mul", output, nodes.expanded(factor, 1))
            total = share if total is None else nodes.add("Add", total, share)
        assert total is not None
        return total

    def _output(self, layer: int, sources: _Sources, hidden: str) -> str:
        """(B, d) one relation's output, ungated."""
        nodes, relation = self.nodes, sources.relation
        states = nodes.gathered(self.state.states[relation.source][layer - 1], sources.rows)
        messages = nodes.shaped(states, 0, 0, self.state.heads, self.head_width)
        prior = self._prior(layer, sources)
        logits = self._logits(layer, relation, messages, hidden)
        # ln p_uv + (c − 1) ln w_uv
        log_prior = nodes.add("Log", prior)
        if relation.weight_power is not None:
            power = nodes.constant(float(relation.weight_power[layer - 1]) - 1)
            further = nodes.add("Mul", nodes.add("Log", sources.safe_weight), power)
            log_prior = nodes.add("Add", log_prior, further)
        log_prior = nodes.add("Where", sources.mask, log_prior, nodes.constant(_NEVER))
        logits = nodes.add("Add", logits, nodes.expanded(log_prior, 2))
        alpha = nodes.add("Softmax", logits, axis=1)
        alpha = nodes.add("Mul", alpha, nodes.expanded(sources.is_edge, 2))
        weighted = nodes.add("Mul", messages, nodes.expanded(alpha, 3))
        output = nodes.shaped(nodes.sum(weighted, 1), 0, self.width)
        if self.state.family == "degree_prior":
            scale = self._degree_scale(layer, sources, prior)
            output = nodes.add("Mul", output, nodes.expanded(scale, 1))
        return output

    def _prior(self, layer: int, sources: _Sources) -> str:
        """(B, L) p_uv = w_uv d(u)^(−a); 1 where there is no edge."""
        nodes, relation = self.nodes, sources.relation
        degree = nodes.gathered(relation.source_degree, sources.rows)
        has_degree = nodes.add("Greater", degree, nodes.constant(0.0))
        degree = nodes.add("Where", has_degree, degree, sources.safe_weight)
        exponent = nodes.constant(-float(relation.source_exponent[layer - 1]))
        powered = nodes.add("Pow", degree, exponent)
        return nodes.add("Mul", sources.safe_weight, powered)

    def _degree_scale(self, layer: int, sources: _Sources, prior: str) -> str:
        """(B,) (Σ_u p_uv) d(v)^(−b)."""
        nodes = self.nodes
        of_edges = nodes.sum(nodes.add("Mul", prior, sources.is_edge), 1)
        degree = nodes.or_one(nodes.sum(sources.weight, 1))
        exponent = nodes.constant(-float(sources.relation.target_exponent[layer - 1]))
        return nodes.add("Mul", of_edges, nodes.add("Pow", degree, exponent))

    def _logits(self, layer: int, relation: RelationState, messages: str, hidden: str) -> str:
        """(B, L, heads) what is learnt of a source, and of the two together."""
        nodes, heads = self.nodes, self.state.heads
        keys = nodes.unit(messages)
        if self.state.family == "degree_prior":
            # γ cos(h_u, h_v)
            targets = nodes.unit(nodes.shaped(hidden, 0, 1, heads, self.head_width))
            cosine = nodes.sum(nodes.add("Mul", keys, targets), -1)
            return nodes.add("Mul", cosine, nodes.constant(relation.gamma[layer - 1]))
        logits = nodes.sum(nodes.add("Mul", keys, nodes.constant(0.0)), -1)
        if relation.query is not None:
            # query · ĥ_u
            query = nodes.add("Mul", keys, nodes.constant(relation.query[layer - 1]))
            logits = nodes.add("Add", logits, nodes.sum(query, -1))
        if relation.match is not None:
            # ⟨ĥ_v match, ĥ_u⟩
            match = nodes.constant(relation.match[layer - 1])
            asked = nodes.add("MatMul", nodes.unit(hidden), match)
            asked = nodes.shaped(asked, 0, 1, heads, self.head_width)
            logits = nodes.add("Add", logits, nodes.sum(nodes.add("Mul", keys, asked), -1))
        return logits

    def _mixture(self, layer: int, hidden: str, outputs: Sequence[str]) -> list[str]:
        """Of each added relation (B,) β_r(v): the softmax over those present at v."""
        nodes = self.nodes
        direction = nodes.unit(hidden)
        columns, present = [], []
        for sources, output in zip(self.sources, outputs, strict=True):
            if sources.relation.base:
                continue
            # κ_r cos(h_v, out_r)
            cosine = nodes.sum(nodes.add("Mul", direction, nodes.unit(output)), -1)
            kappa = nodes.constant(float(sources.relation.kappa[layer - 1]))
            logit = nodes.add("Mul", cosine, kappa)
            logit = nodes.add("Where", sources.present, logit, nodes.constant(_NEVER))
            columns.append(nodes.expanded(logit, 1))
            present.append(nodes.expanded(nodes.double(sources.present), 1))
        if not columns:
            return []
        shares = nodes.add("Softmax", nodes.add("Concat", *columns, axis=1), axis=1)
        shares = nodes.add("Mul", shares, nodes.add("Concat", *present, axis=1))
        return [
            nodes.add("Gather", shares, nodes.constant(column, np.int64), axis=1)
            for column in range(len(columns))
        ]

    def _causal_block(self, asks: str) -> str:
        """(B, d) out · SiLU(into · √d unit(asks) + bias)."""
        nodes, weights = self.nodes, self.state.causal_block
        y = nodes.add("Mul", nodes.unit(asks), nodes.constant(np.sqrt(self.width)))
        inner = nodes.add("MatMul", y, nodes.constant(weights["into"].T))
        inner = nodes.add("Add", inner, nodes.constant(weights["bias"]))
        # SiLU(x) = x / (1 + e^−x)
        exponential = nodes.add("Exp", nodes.add("Neg", inner))
        active = nodes.add("Div", inner, nodes.add("Add", exponential, nodes.constant(1.0)))
        return nodes.add("MatMul", active, nodes.constant(weights["out"].T))

    def _beside(self, added: HistoryScores) -> str:
        """(B, columns of `back`) low-pass of the history, and 1 for what everybody gets."""
        nodes = self.nodes
        everybody = self._everybody(np.ones(added.back.shape[1] - added.rank))
        if not added.rank:
            return everybody
        index = nodes.input("history_index", TensorProto.INT64)
        weight = nodes.double(nodes.input("history_weight", TensorProto.FLOAT))
        is_there = nodes.add("GreaterOrEqual", index, nodes.constant(0, np.int64))
        weight = nodes.add("Mul", weight, nodes.double(is_there))
        rows = nodes.add("Max", index, nodes.constant(0, np.int64))
        into = nodes.gathered(added.into, rows)
        # h_u · into / (Σ_j h_uj)^¾
        lent = nodes.sum(nodes.add("Mul", into, nodes.expanded(weight, 2)), 1)
        total = nodes.or_one(nodes.sum(weight, 1, keep=True))
        scale = nodes.add("Pow", total, nodes.constant(-LENGTH_POWER))
        return nodes.add("Concat", nodes.add("Mul", lent, scale), everybody, axis=1)


def _of_gap(nodes: _Nodes, gap_weights: NDArray[Any], seconds: str) -> str:
    """(B, L) gap_weights[⌊log₂(1 + seconds)⌋]: the number of powers of two that 1 + seconds reaches."""
    powers = np.array([2**bucket for bucket in range(1, GAPS)], np.int64)
    reached = nodes.add("Add", seconds, nodes.constant(1, np.int64))
    reached = nodes.expanded(reached, 2)
    is_reached = nodes.add("GreaterOrEqual", reached, nodes.constant(powers, np.int64))
    counted = nodes.add("Cast", is_reached, to=TensorProto.INT64)
    return nodes.gathered(gap_weights, nodes.sum(counted, 2))
