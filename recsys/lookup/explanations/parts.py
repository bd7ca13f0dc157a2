"""The scores of a user and some items as sums: a share for each neighbour and item, and a rest."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np

from recsys.core.arrays import Float32Array, Float64Array, Int64Array, IntArray
from recsys.core.distinct import distinct
from recsys.encode.attention import rows_of
from recsys.encode.fold_in import Encoded, Neighbours, UserEncoder


class Part(NamedTuple):
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


class RelationShares(NamedTuple):
    """What the neighbours under one relation add to the scores of some items.

    relation: for example "rev_buy".
    source: node type of the neighbours.
    neighbours: (n,) internal ids, ascending.
    values: (n, items) their shares.
    """

    relation: str
    source: str
    neighbours: IntArray
    values: Float64Array


@dataclass(frozen=True)
class Explanations:
    """The scores of one user and some items: score = Σ shares + trend + popularity + Σ second stage +
    rest.

    items: (k,) internal ids.
    scores: (k,).
    shares: of every relation.
    rest: (k,) the user's own state, biases, and what passed a non-linearity: of the textbook
        families only the last layer splits into parts.
    trend: (k,) of items that are trending.
    popularity: (k,) what popular items gain in every list, and by the boost that the request asks
        for.
    second_stage: by feature, (k,) what the trees of the second stage add.
    """

    items: IntArray
    scores: Float64Array
    shares: Sequence[RelationShares]
    rest: Float64Array
    trend: Float64Array
    popularity: Float64Array
    second_stage: Mapping[str, Float64Array] = field(default_factory=dict)

    def with_second_stage(self, shares: Mapping[str, Float64Array]) -> "Explanations":
        """With what trees add, by feature, "" standing for what they add to every candidate."""
        scores = self.scores
        for values in shares.values():
            scores = scores + values
        return replace(self, scores=scores, second_stage=shares)

    def with_shares(self, added: Iterable[RelationShares]) -> "Explanations":
        """With further shares; each joins that of the same neighbour under the same relation."""
        shares = {}
        for present in self.shares:
            shares[present.relation, present.source] = present
        scores = self.scores
        for further in added:
            key = (further.relation, further.source)
            scores = scores + further.values.sum(axis=0)
            shares[key] = _joined(shares[key], further) if key in shares else further
        return replace(self, scores=scores, shares=list(shares.values()))

    def with_trend(self, trend: Float64Array) -> "Explanations":
        return replace(self, scores=self.scores + trend, trend=self.trend + trend)

    def with_popularity(self, boost: Float64Array) -> "Explanations":
        """With what popularity adds."""
        return replace(self, scores=self.scores + boost, popularity=self.popularity + boost)

    def parts(self, place: int, count: int | None = None) -> list[Part]:
        """The shares of the item at a place that are not 0, the largest first; the first `count`."""
        parts = []
        for row in self._largest_first[:count, place].tolist():
            relation, source, neighbour = self._rows[row]
            value = float(self._values[row, place])
            if value:
                parts.append(Part(relation, source, neighbour, value))
        return parts

    @cached_property
    def _in_order(self) -> list[RelationShares]:
        return sorted(self.shares, key=lambda shares: shares.relation)

    @cached_property
    def _values(self) -> Float64Array:
        """(neighbours, items) the shares of all relations, one below the other."""
        nothing = np.empty((0, len(self.items)))
        return np.vstack([nothing, *(shares.values for shares in self._in_order)])

    @cached_property
    def _rows(self) -> list[tuple[str, str, int]]:
        """Relation, node type and internal id of each row of `_values`."""
        rows = []
        for shares in self._in_order:
            for neighbour in shares.neighbours.tolist():
                rows.append((shares.relation, shares.source, neighbour))
        return rows

    @cached_property
    def _largest_first(self) -> Int64Array:
        """(neighbours, items) rows of `_values`, by item; equal ones by relation and id."""
        return np.argsort(-self._values, axis=0, kind="stable")


class Sent(NamedTuple):
    """What the neighbours of a user under one relation add to the user's vector.

    relation, source, neighbours: as in `RelationShares`.
    vectors: (n, d) float64, over all layers and heads.
    """

    relation: str
    source: str
    neighbours: IntArray
    vectors: Float64Array


class TracedUser(NamedTuple):
    """One user's vector, (d,), and what of it came from whom."""

    vector: Float32Array
    sent: Sequence[Sent]

    def explain(self, items: IntArray, item_vectors: Float32Array) -> Explanations:
        """The inner products with some items, in parts.

        items: (k,) internal ids. item_vectors: (k, d) their final vectors.
        """
        targets = item_vectors.T.astype(np.float64)
        scores = self.vector.astype(np.float64) @ targets
        shares = []
        rest = scores.copy()
        for sent in self.sent:
            values = sent.vectors @ targets
            rest -= values.sum(axis=0)
            shares.append(RelationShares(sent.relation, sent.source, sent.neighbours, values))
        nothing = np.zeros(len(items))
        return Explanations(items, scores, shares, rest, nothing, nothing)


def trace_users(
    encoder: UserEncoder, neighbours: Neighbours, layer0: Float32Array | None = None
) -> list[TracedUser]:
    """Users with these neighbours, encoded together, and what each neighbour adds.

    Args:
        encoder: Of the bundle.
        neighbours: One row per relation and user.
        layer0: (users, d) own states; the visitor's when None.
    """
    encoded = encoder.trace(neighbours, layer0)
    sources = {relation.name: relation.source for relation in encoder.state.relations}
    totals = _sent_by_relation(encoder, encoded, neighbours)
    users = []
    for user, vector in enumerate(encoded.vectors):
        sent = []
        for name, vectors in totals.items():
            start, stop = neighbours[name].indptr[user : user + 2]
            indices = neighbours[name].indices[start:stop]
            sent.append(Sent(name, sources[name], indices, vectors[start:stop]))
        users.append(TracedUser(vector, sent))
    return users


def _sent_by_relation(
    encoder: UserEncoder, encoded: Encoded, neighbours: Neighbours
) -> dict[str, Float64Array]:
    """By relation, (edges, d) what each edge adds to its user's vector."""
    totals: dict[str, Float64Array] = {}
    for layer, relation, attention in encoded.flows:
        edges = neighbours[relation.name]
        # (edges, heads, d / heads): attention · message, side by side the vector's coordinates
        messages = encoder.attention.messages(layer, relation, edges)
        weighted = (attention[:, :, None] * messages).reshape(len(messages), -1)
        # A user's vector is the weighted sum of its layers, divided by the norm of that sum.
        layer_weight = float(encoder.state.layer_weights[layer])
        norms = encoded.norms[rows_of(edges)]
        values = layer_weight * weighted / norms[:, None]
        if relation.name in totals:
            values = totals[relation.name] + values
        totals[relation.name] = values
    return totals


def _joined(left: RelationShares, right: RelationShares) -> RelationShares:
    """Shares of the same relation, those of a neighbour that both have summed."""
    if np.array_equal(left.neighbours, right.neighbours):
        return left._replace(values=left.values + right.values)
    neighbours = distinct(left.neighbours, right.neighbours)
    values = np.zeros((len(neighbours), left.values.shape[1]))
    values[np.searchsorted(neighbours, left.neighbours)] += left.values
    values[np.searchsorted(neighbours, right.neighbours)] += right.values
    return left._replace(neighbours=neighbours, values=values)
