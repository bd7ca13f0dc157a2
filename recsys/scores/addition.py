"""What terms add to scores, in the kinds that serving knows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy import sparse

from recsys.core.arrays import Float32Array
from recsys.core.history import WeightedHistories
from recsys.encode.history_scores import HistoryScores
from recsys.scores.inputs import NO_WEIGHTS, HistoryWeights
from recsys.scores.spread import spread_of_products, spread_of_rows


@dataclass(frozen=True)
class Addition:
    """What one term adds to the score of user u and item i, weight included.

    table: (items, items) float32: row j holds what item j of a history adds to others.
    into, back: (items, rank) float32: item j of a history adds ⟨into_j, back_i⟩.
    everybody: (items,) float32, added to every list: what is trending.
    popular: (items,) float32, the same for what is popular.
    gains: by auxiliary behaviour, (items,) float32, added where u has i under it.
    """

    table: sparse.csr_matrix | None = None
    into: Float32Array | None = None
    back: Float32Array | None = None
    everybody: Float32Array | None = None
    popular: Float32Array | None = None
    gains: Mapping[str, Float32Array] = field(default_factory=dict)


def combined(
    additions: Sequence[Addition],
    num_items: int,
    weights: HistoryWeights = NO_WEIGHTS,
    behaviors: Sequence[str] = (),
) -> HistoryScores:
    """The sum of additions, as it is served.

    Args:
        additions: of the terms.
        num_items: of the phase.
        weights: how items of a history weigh.
        behaviors: auxiliary behaviours whose items count in histories where `weights` says so.
    """
    table = None
    no_factors = np.zeros((num_items, 0), np.float32)
    into = [no_factors]
    back = [no_factors]
    trend: list[Float32Array] = []
    popular: list[Float32Array] = []
    for addition in additions:
        if addition.table is not None:
            table = addition.table if table is None else table + addition.table
        if addition.into is not None and addition.back is not None:
            into.append(addition.into)
            back.append(addition.back)
        if addition.everybody is not None:
            trend.append(addition.everybody)
        if addition.popular is not None:
            popular.append(addition.popular)
    if table is None:
        table = sparse.csr_matrix((num_items, num_items), dtype=np.float32)
    # What all lists get are more columns of `back`: what is trending, and what is popular.
    if trend or popular:
        back.append(_column(trend, num_items))
    if popular:
        back.append(_column(popular, num_items))
    auxiliary_weights = {}
    if weights.auxiliary_weight:
        auxiliary_weights = dict.fromkeys(behaviors, weights.auxiliary_weight)
    return HistoryScores(
        table=table,
        into=np.hstack(into),
        back=np.hstack(back),
        half_life_events=weights.half_life_events,
        auxiliary_gains=_summed_gains(additions),
        auxiliary_weights=auxiliary_weights,
    )


def spread_of_table(table: sparse.csr_matrix, histories: WeightedHistories) -> float:
    """Mean standard deviation over the items of what a table adds to some users."""
    if not table.nnz:
        return 0.0
    scores = combined([Addition(table=table)], table.shape[1])
    return spread_of_rows(scores.sparse_scores(histories))


def spread_of_factors(
    into: Float32Array, back: Float32Array, histories: WeightedHistories
) -> float:
    """Mean standard deviation over the items of what a low rank adds to some users."""
    scores = combined([Addition(into=into, back=back)], len(back))
    queries = scores.queries(histories.items)
    return spread_of_products(queries, scores.back)


def _summed_gains(additions: Sequence[Addition]) -> dict[str, Float32Array]:
    """By behaviour, (items,) the gains of all additions."""
    gains: dict[str, Float32Array] = {}
    for addition in additions:
        for behavior, gain in addition.gains.items():
            gains[behavior] = gains[behavior] + gain if behavior in gains else gain
    return gains


def _column(parts: Sequence[Float32Array], num_items: int) -> Float32Array:
    """(items, 1) their sum."""
    column = np.zeros((num_items, 1), np.float32)
    for gains in parts:
        column += gains[:, None]
    return column
