"""What terms add to scores, in the kinds that serving knows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy import sparse

from recsys.core.arrays import Float32Array
from recsys.encode.history_scores import HistoryScores
from recsys.scores.inputs import NO_WEIGHTS, HistoryWeights


@dataclass(frozen=True)
class Addition:
    """What one term adds to the score of user u and item i, weight included.

    table: (items, items) float32: row j holds what item j of a history adds to others.
    into, back: (items, rank) float32: item j of a history adds ⟨into_j, back_i⟩.
    everybody: (items,) float32, added to every list.
    gains: by auxiliary behaviour, (items,) float32, added where u has i under it.
    """

    table: sparse.csr_matrix | None = None
    into: Float32Array | None = None
    back: Float32Array | None = None
    everybody: Float32Array | None = None
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
    into, back, everybody = [no_factors], [no_factors], []
    gains: dict[str, Float32Array] = {}
    for addition in additions:
        if addition.table is not None:
            table = addition.table if table is None else table + addition.table
        if addition.into is not None and addition.back is not None:
            into.append(addition.into)
            back.append(addition.back)
        if addition.everybody is not None:
            everybody.append(addition.everybody)
        for behavior, gain in addition.gains.items():
            gains[behavior] = gains[behavior] + gain if behavior in gains else gain
    if table is None:
        table = sparse.csr_matrix((num_items, num_items), dtype=np.float32)
    if everybody:
        # What all lists get is one more column of `back`.
        column: Float32Array = np.sum(everybody, axis=0, dtype=np.float32)
        back.append(column.reshape(num_items, 1))
    auxiliary_weights = {}
    if weights.auxiliary_weight:
        auxiliary_weights = dict.fromkeys(behaviors, weights.auxiliary_weight)
    return HistoryScores(
        table=table,
        into=np.hstack(into),
        back=np.hstack(back),
        half_life_events=weights.half_life_events,
        auxiliary_gains=gains,
        auxiliary_weights=auxiliary_weights,
    )
