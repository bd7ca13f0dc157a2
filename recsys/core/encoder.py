"""What serving needs of a trained model to encode a user from neighbours with numpy alone.

The mathematics (degree_prior; layers l = 1..L, heads m, relation r into users, target v, sources u ∈ N_r(v)):

    p_uv   = w_uv · d_r(u)^(−a)                                   the degree prior
    α_uv^m = w_uv^(c − 1) p_uv exp(γ^m cos(h_u^m, h_v^m)) / Σ_u' (the same)    h: states of layer l − 1
    out_r  = (Σ_u p_uv) · d_r(v)^(−b) · concat_m Σ_u α_uv^m h_u^m
    h_v^l  = out_base + Σ_{r added, N_r(v) ≠ ∅} tanh(gate_r) β_r(v) out_r
    β_r(v) = softmax over the added relations present at v of κ_r cos(h_v^(l−1), out_r)
    z_v    = Σ_{l=0..L} layer_weights[l] h_v^l, divided by its norm when similarity is "cosine"

A target without any neighbour has h^l = 0 for l > 0.

The family history has states h of items and of other nodes that training left, one set for each layer, h_v^0 being
the user's own state or the visitor's, and

    α_uv^m = w_uv^c d_r(u)^(−a) exp(query^m · ĥ_u^m + ⟨(ĥ_v^(l−1) match)^m, ĥ_u^m⟩) / Σ_u' (the same)
    out_r  = concat_m Σ_u α_uv^m h_u^m              ĥ_u^m = h_u^m / ‖h_u^m‖,  ĥ_v = h_v / ‖h_v‖

where w_uv also holds rank_weights[p], p being how many of the user's events under r are later, and gap_weights[g],
g = ⌊log₂(1 + seconds from the event to the latest one)⌋. Events with p ≥ len(rank_weights) are left out. With a causal
block, x being the state of the latest item under the target behaviour (0 without one), layers l ≥ 2 read x̂ + ĥ_v^(l−1)
in the place of h_v^(l−1), and z_v also has out · SiLU(√d into · unit(x̂ + ĥ_v^L) + bias) before its norm.

The textbook families replace α and out_r, and h_v^l = ELU(…) for l < L; relations combine as above, and out_r = 0
where N_r(v) is empty. Weights are those of `EncoderState.dense`, W as (out, in), so that W h is `h @ W.T`:

    gat      e_uv^m = LeakyReLU(left^m · (source h_u)^m + right^m · (target h_v)^m)
             out_r  = bias + concat_m Σ_u softmax_u(e_uv^m) (source h_u)^m
    gatv2    x_u = source h_u + source_bias,  y_v = target h_v + target_bias
             e_uv^m = attend^m · LeakyReLU(x_u^m + y_v^m)
             out_r  = concat_m Σ_u softmax_u(e_uv^m) x_u^m

with slope 0.2 in LeakyReLU; edge weights play no part.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from safetensors.numpy import load_file, save_file

from recsys.core.arrays import Float32Array

LATEST = "@latest"
"""In the place of a relation's name: the latest event of each user under the target behaviour, which
an encoder with a causal block reads.
"""


@dataclass(frozen=True)
class RelationState:
    """One relation into users.

    name: the relation, for example "rev_buy". source: node type of its sources, "item" for
    behaviours. behavior: behaviour whose events feed it; None for other relations: attributes, and
    similar users, whom a visitor does not have. weight: factor on its edge weights. base: the
    relation whose output is taken ungated. source_degree: (sources,) weighted degrees d_r(u).
    source_exponent a, target_exponent b, gate, kappa: (L,). gamma: (L, heads). half_life_days: in
    place of the encoder's own, for a behaviour that ages at another rate. weight_power: c, (L,);
    None for 1. Of the family history: query (L, heads, d / heads), match (L, d, d), rank_weights
    (history,) and gap_weights (GAPS,), these None where events come in no order, the last also where
    times do not count.
    """

    name: str
    source: str
    behavior: str | None
    weight: float
    base: bool
    source_degree: Float32Array
    source_exponent: Float32Array
    target_exponent: Float32Array
    gamma: Float32Array
    gate: Float32Array
    kappa: Float32Array
    half_life_days: float | None = None
    weight_power: Float32Array | None = None
    query: Float32Array | None = None
    match: Float32Array | None = None
    rank_weights: Float32Array | None = None
    gap_weights: Float32Array | None = None

    def scalars(self) -> dict[str, Any]:
        """What encoder.json holds of it."""
        return {name: getattr(self, name) for name in _RELATION_SCALARS}

    def arrays(self) -> dict[str, Float32Array]:
        """What encoder.safetensors holds of it."""
        arrays = {name: getattr(self, name) for name in _RELATION_ARRAYS}
        for name in _OPTIONAL_ARRAYS:
            values = getattr(self, name)
            if values is not None:
                arrays[name] = values
        return arrays


@dataclass(frozen=True)
class EncoderState:
    """Everything to encode a user with numpy.

    layer_weights: (L + 1,). visitor: (d,) layer-0 state of somebody unknown. states: by source node
    type, (L, nodes, d): what the sources send in layers 1..L, i.e. h^0..h^(L−1). half_life_days: of
    the edge weights, None without decay; weights are counted back from `now`, unix seconds.
    half_life_events: an event also weighs 2^(−p / half_life_events), p being how many of the user's
    events of that
        behaviour are later; None where all weigh alike.
    dense: weights of the textbook layers by "<layer from 1>.<relation>.<name>"; empty for
    degree_prior.
        gat: source, target (d, d), left, right (heads, d / heads), bias (d,).
        gatv2: source, target (d, d), source_bias, target_bias (d,), attend (heads, d / heads).
    causal_block: into (2d, d), bias (2d,), out (d, 2d); empty without one.
    """

    family: str
    heads: int
    similarity: str
    layer_weights: Float32Array
    visitor: Float32Array
    states: dict[str, Float32Array]
    relations: tuple[RelationState, ...]
    half_life_days: float | None = None
    now: int | None = None
    use_weights: bool = False
    half_life_events: float | None = None
    dense: dict[str, Float32Array] = field(default_factory=dict)
    causal_block: dict[str, Float32Array] = field(default_factory=dict)

    @property
    def target(self) -> RelationState | None:
        """The relation whose output is taken ungated: that of the target behaviour."""
        return next((relation for relation in self.relations if relation.base), None)

    @property
    def layers(self) -> int:
        return len(self.layer_weights) - 1

    @property
    def is_heard(self) -> bool:
        """Whether vectors of users have a part in scores: without, all of them are zero."""
        return bool(self.layer_weights.any())

    def save(self, folder: Path) -> None:
        """Write encoder.safetensors and encoder.json, and states_<type>.npy apart so that they can
        be mapped.
        """
        save_file(self._arrays(), folder / "encoder.safetensors")
        for node_type, states in self.states.items():
            np.save(folder / f"states_{node_type}.npy", states)
        document = {name: getattr(self, name) for name in _SCALARS}
        document["states"] = sorted(self.states)
        document["relations"] = [relation.scalars() for relation in self.relations]
        text = json.dumps(document, indent=2, sort_keys=True)
        (folder / "encoder.json").write_text(text, encoding="utf-8")

    def _arrays(self) -> dict[str, Float32Array]:
        """By the names that they have in encoder.safetensors."""
        arrays = {"layer_weights": self.layer_weights, "visitor": self.visitor}
        for name, weights in self.dense.items():
            arrays[f"dense.{name}"] = weights
        for name, weights in self.causal_block.items():
            arrays[f"causal_block.{name}"] = weights
        for relation in self.relations:
            for name, values in relation.arrays().items():
                arrays[f"relation.{relation.name}.{name}"] = values
        return {name: np.ascontiguousarray(values) for name, values in arrays.items()}

    @staticmethod
    def load(folder: Path, map_states: bool = True) -> "EncoderState":
        document = json.loads((folder / "encoder.json").read_text(encoding="utf-8"))
        arrays: dict[str, Any] = load_file(folder / "encoder.safetensors")
        scalars = {name: document[name] for name in _SCALARS if name in document}
        relations = []
        for facts in document["relations"]:
            own_arrays: dict[str, Any] = {}
            for name in (*_RELATION_ARRAYS, *_OPTIONAL_ARRAYS):
                own_arrays[name] = arrays.get(f"relation.{facts['name']}.{name}")
            relations.append(RelationState(**facts, **own_arrays))
        mode: Literal["r"] | None = "r" if map_states else None
        states = {}
        for node_type in document["states"]:
            states[node_type] = np.load(folder / f"states_{node_type}.npy", mmap_mode=mode)
        return EncoderState(
            **scalars,
            layer_weights=arrays["layer_weights"],
            visitor=arrays["visitor"],
            states=states,
            relations=tuple(relations),
            dense=_under("dense.", arrays),
            causal_block=_under("causal_block.", arrays),
        )


def _under(prefix: str, arrays: dict[str, Float32Array]) -> dict[str, Float32Array]:
    """Those whose names begin with a prefix, by the rest of their names."""
    under = {}
    for name, values in arrays.items():
        if name.startswith(prefix):
            under[name.removeprefix(prefix)] = values
    return under


_SCALARS = (
    "family",
    "heads",
    "similarity",
    "half_life_days",
    "now",
    "use_weights",
    "half_life_events",
)
_RELATION_SCALARS = ("name", "source", "behavior", "weight", "base", "half_life_days")
_RELATION_ARRAYS = ("source_degree", "source_exponent", "target_exponent", "gamma", "gate", "kappa")
_OPTIONAL_ARRAYS = ("weight_power", "query", "match", "rank_weights", "gap_weights")


@dataclass(frozen=True)
class Embeddings:
    """What training hands on. Rows are dense ids of the phase; float32.

    users, items: (n, d) final vectors (all-zero rows stay zero). Under cosine users have unit
    length, items the length (degree / largest degree)^popularity, at most 1. user_self: (users, d)
    layer-0 states. encoder: how to encode a user anew. item_lengths: (items,) lengths of the items'
    vectors before they were given these, 1 on average over the items that have any; None unless
    under cosine.
    """

    users: Float32Array
    items: Float32Array
    user_self: Float32Array
    encoder: EncoderState
    item_lengths: Float32Array | None = None
