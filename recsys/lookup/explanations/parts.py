"""The score of a user and an item as a sum: one part per neighbour, and a rest."""

from collections.abc import Collection
from dataclasses import dataclass, replace

import numpy as np

from recsys.core.arrays import Float32Array, Float64Array
from recsys.core.history import WeightedHistories
from recsys.encode.fold_in import Encoded, Neighbours, UserEncoder
from recsys.encode.history_scores import HistoryScores


@dataclass(frozen=True)
class Part:
    """What one neighbour adds to a score: an additive share, not what the score would lose without
    it.

    relation: for example "rev_buy".
    source: node type of the neighbour.
    neighbour: its internal id.
    value: the share.
    """

    relation: str
    source: str
    neighbour: int
    value: float


@dataclass(frozen=True)
class Explanation:
    """score = Σ part values + trend + popularity + rest.

    parts: largest first.
    rest: the user's own state, biases, and what passed a non-linearity: of the textbook families
        only the last layer splits into parts.
    trend: of items that are trending.
    popularity: what popular items gain in every list, and by the boost that the request asks for.
    """

    score: float
    parts: list[Part]
    rest: float
    trend: float = 0.0
    popularity: float = 0.0

    def with_popularity(self, boost: float) -> "Explanation":
        """With what popularity adds."""
        return replace(self, score=self.score + boost, popularity=self.popularity + boost)

    def with_history(self, parts: list[Part], trend: float = 0.0) -> "Explanation":
        """With what the history and the trend add; each part joins that of the same neighbour under
        the same relation.
        """
        merged: dict[tuple[str, str, int], Part] = {}
        for contribution in [*self.parts, *parts]:
            key = (contribution.relation, contribution.source, contribution.neighbour)
            if key in merged:
                value = merged[key].value + contribution.value
                contribution = replace(contribution, value=value)
            merged[key] = contribution
        added = sum(contribution.value for contribution in parts) + trend
        ordered = sorted(merged.values(), key=_largest_first)
        return replace(self, score=self.score + added, parts=ordered, trend=trend)


def explain(
    encoder: UserEncoder,
    neighbours: Neighbours,
    item_vector: Float32Array,
    layer0: Float32Array | None = None,
    user_vector: Float32Array | None = None,
    encoded: Encoded | None = None,
) -> Explanation:
    """Split the inner product of one user and one item.

    Args:
        encoder: Of the bundle.
        neighbours: One row per relation.
        item_vector: (d,) final vector.
        layer0: (1, d) own state; a visitor's when None.
        user_vector: (d,) the vector that was served; encoded anew when None.
        encoded: The trace of this user, where several items are explained; made here when None.

    Returns:
        One part per relation and neighbour.
    """
    if encoded is None:
        encoded = encoder.trace(neighbours, layer0)
    if user_vector is None:
        user_vector = encoded.vectors[0]
    score = float(np.dot(user_vector.astype(np.float64), item_vector))
    parts = contributions(encoder, encoded, neighbours, item_vector)
    parts.sort(key=_largest_first)
    rest = score - sum(contribution.value for contribution in parts)
    return Explanation(score, parts, rest)


def contributions(
    encoder: UserEncoder, encoded: Encoded, neighbours: Neighbours, item_vector: Float32Array
) -> list[Part]:
    """What each neighbour of a single user adds to the inner product.

    Args:
        encoder: Of the bundle.
        encoded: The user's trace.
        neighbours: One row per relation, as they were encoded.
        item_vector: (d,) final vector.

    Returns:
        One part per relation and neighbour, summed over layers and heads.
    """
    state = encoder.state
    # (heads, d / heads): the item's vector, cut as the messages are
    target = np.asarray(item_vector, np.float64).reshape(state.heads, -1)
    totals: dict[str, Float64Array] = {}
    for layer, relation, attention in encoded.flows:
        # (edges, heads, d / heads): what each neighbour sends
        messages = encoder.attention.messages(layer, relation, neighbours[relation.name])
        # Σ_heads attention · ⟨message, item⟩ for each edge
        products = np.einsum("eh,ehd,hd->e", attention, messages, target)
        # The user's vector is the weighted sum of its layers, divided by the norm of that sum.
        layer_weight = float(state.layer_weights[layer])
        values = layer_weight * products / encoded.norms[0]
        if relation.name in totals:
            values = totals[relation.name] + values
        totals[relation.name] = values

    node_types = {relation.name: relation.source for relation in state.relations}
    parts = []
    for name, values in totals.items():
        indices = neighbours[name].indices.tolist()
        for neighbour, value in zip(indices, values.tolist(), strict=True):
            parts.append(Part(name, node_types[name], neighbour, value))
    return parts


def history_parts(
    scores: HistoryScores,
    past: WeightedHistories,
    item: int,
    target: str,
    target_items: Collection[int],
) -> list[Part]:
    """What each item of one user's history adds to an item, and what the item gains by auxiliary
    behaviours with it.

    Args:
        scores: Of the bundle.
        past: Of the one user.
        item: Internal id.
        target: The target behaviour.
        target_items: Internal ids of the history's items under it. The others stand in the history
            by auxiliary behaviours, and their parts name these.

    Returns:
        Parts that are not 0.
    """
    parts = []
    history = past.items
    shares = scores.parts(history, item)
    for neighbour, share in zip(history.indices.tolist(), shares.tolist(), strict=True):
        if not share:
            continue
        behavior = target
        if neighbour not in target_items:
            behavior = _auxiliary_behavior(scores, past, neighbour) or target
        parts.append(_of_item(behavior, neighbour, share))
    for behavior, gains in scores.auxiliary_gains.items():
        if item in past.auxiliary[behavior].indices:
            parts.append(_of_item(behavior, item, float(gains[item])))
    return parts


def _of_item(behavior: str, item: int, value: float) -> Part:
    """The part of an item of the history: it reaches its user through the reverse relation."""
    return Part(f"rev_{behavior}", "item", item, value)


def _auxiliary_behavior(scores: HistoryScores, past: WeightedHistories, item: int) -> str | None:
    """The auxiliary behaviour that an item weighs most by; None where it has none."""
    by_weight = sorted(scores.auxiliary_weights, key=lambda name: -scores.auxiliary_weights[name])
    for name in by_weight:
        if item in past.auxiliary[name].indices:
            return name
    return None


def _largest_first(contribution: Part) -> tuple[float, str, int]:
    return (-contribution.value, contribution.relation, contribution.neighbour)
