"""Why this item: the score as a sum of one part per neighbour and a rest."""

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

    relation: for example "rev_buy". source: node type of the neighbour. neighbour: its dense id.
    """

    relation: str
    source: str
    neighbour: int
    value: float


@dataclass(frozen=True)
class Explanation:
    """score = Σ part values + trend + dial + rest. parts: largest first.

    trend: for being taken of late. dial: the share of the popularity dial. rest: the user's own
    state, biases, and what passed a non-linearity: of the textbook families only the last layer
    splits into parts.
    """

    score: float
    parts: list[Part]
    rest: float
    trend: float = 0.0
    dial: float = 0.0

    def with_dial(self, share: float) -> "Explanation":
        """With what the popularity dial adds."""
        return replace(self, score=self.score + share, dial=share)

    def with_added(self, added: list[Part], trend: float = 0.0) -> "Explanation":
        """With what the history adds, each part joining that of the same neighbour under the same
        relation; and the trend.
        """
        values = {(part.relation, part.source, part.neighbour): part.value for part in self.parts}
        for part in added:
            key = (part.relation, part.source, part.neighbour)
            values[key] = values.get(key, 0.0) + part.value
        score = self.score + sum(part.value for part in added) + trend
        return replace(self, score=score, parts=_by_size(values), trend=trend)


def explain(
    encoder: UserEncoder,
    neighbours: Neighbours,
    item_vector: Float32Array,
    layer0: Float32Array | None = None,
    user_vector: Float32Array | None = None,
    encoded: Encoded | None = None,
) -> Explanation:
    """Split the score of one user and one item.

    neighbours: one row per relation. item_vector: (d,) final vector. layer0: (1, d) own state, the
    visitor's when absent. user_vector: (d,) the vector that was served; encoded anew when absent.
    encoded: the trace of this user, for more than one item; made here when absent.
    """
    encoded = encoder.trace(neighbours, layer0) if encoded is None else encoded
    served = encoded.vectors[0] if user_vector is None else user_vector
    score = float(np.dot(served.astype(np.float64), item_vector))
    parts = contributions(encoder, encoded, neighbours, item_vector)
    parts.sort(key=_falling)
    return Explanation(score, parts, score - sum(part.value for part in parts))


def item_parts(
    added: HistoryScores, past: WeightedHistories, item: int, relation: str
) -> list[Part]:
    """What each item of one user's history adds to `item`, and what having met it adds.

    relation: name of the parts of items under the target behaviour; one that was only met goes by
    that behaviour.
    """
    values = zip(past.items.indices, past.items.data, added.parts(past.items, item), strict=True)
    lent = [
        Part(
            relation if share == 1 else _met_under(added, past, j) or relation,
            "item",
            int(j),
            float(value),
        )
        for j, share, value in values
        if value
    ]
    return lent + [
        Part(f"rev_{behavior}", "item", item, float(gain[item]))
        for behavior, gain in added.auxiliary_gains.items()
        if item in past.auxiliary[behavior].indices
    ]


def _met_under(added: HistoryScores, past: WeightedHistories, item: int) -> str | None:
    """The relation under which an item is heard; None where it is not."""
    return next(
        (f"rev_{name}" for name in added.auxiliary_weights if item in past.auxiliary[name].indices),
        None,
    )


def _by_size(values: dict[tuple[str, str, int], float]) -> list[Part]:
    return sorted((Part(*key, value) for key, value in values.items()), key=_falling)


def _falling(part: Part) -> tuple[float, str, int]:
    return (-part.value, part.relation, part.neighbour)


def contributions(
    encoder: UserEncoder, encoded: Encoded, neighbours: Neighbours, item_vector: Float32Array
) -> list[Part]:
    """One part per relation and neighbour of a single user, summed over layers and heads."""
    state = encoder.state
    target = np.asarray(item_vector, np.float64).reshape(state.heads, -1)
    totals: dict[str, Float64Array] = {}
    for layer, relation, share in encoded.flows:
        carried = encoder.attention.messages(layer, relation, neighbours[relation.name])
        products = np.einsum("eh,ehd,hd->e", share, carried, target)
        weighted = float(state.layer_weights[layer]) * products / encoded.norms[0]
        totals[relation.name] = totals.get(relation.name, np.zeros(1)) + weighted
    source = {relation.name: relation.source for relation in state.relations}
    return [
        Part(name, source[name], int(neighbour), float(value))
        for name, values in totals.items()
        for neighbour, value in zip(neighbours[name].indices, values, strict=True)
    ]
