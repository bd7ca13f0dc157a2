"""What the items of a history add to scores beside the vectors, as shares of relations."""

import numpy as np

from recsys.core.arrays import Float64Array, IntArray
from recsys.core.tables import ITEM
from recsys.encode.history_scores import HistoryScores
from recsys.lookup.explanations.parts import RelationShares
from recsys.lookup.past import Past


def history_shares(
    scores: HistoryScores,
    past: Past,
    items: IntArray,
    target: str,
    target_items: IntArray,
) -> list[RelationShares]:
    """What each item of one user's history adds to some items, and what these gain by auxiliary
    behaviours with them.

    Args:
        scores: Of the bundle.
        past: Of the one user.
        items: (k,) internal ids.
        target: The target behaviour.
        target_items: Internal ids of the history's items under it. The others stand in the history
            by auxiliary behaviours, and their shares go by these.
    """
    history = past.items.indices
    values = scores.shares(history, past.items.values, items)
    behavior_of = _behaviors(scores, past, target_items)
    shares = []
    for number, behavior in enumerate([target, *_by_weight(scores)]):
        rows = np.flatnonzero(behavior_of == number)
        if len(rows):
            shares.append(_of_items(behavior, history[rows], values[rows]))
    for behavior, gains in scores.auxiliary_gains.items():
        gaining = np.flatnonzero(np.isin(items, past.auxiliary[behavior].indices))
        if len(gaining):
            # An item gains by events with itself: a diagonal.
            order = gaining[np.argsort(items[gaining])]
            own = np.zeros((len(order), len(items)))
            own[np.arange(len(order)), order] = gains[items[order]]
            shares.append(_of_items(behavior, items[order], own))
    return shares


def _behaviors(scores: HistoryScores, past: Past, target_items: IntArray) -> IntArray:
    """(entries,) of each item of the history 0 for the target behaviour, else the place, from 1, of
    the auxiliary behaviour that it weighs most by; 0 where it has none.
    """
    history = past.items.indices
    behavior_of = np.zeros(len(history), np.int64)
    if not scores.auxiliary_weights:
        return behavior_of
    is_open = ~np.isin(history, target_items)
    for number, name in enumerate(_by_weight(scores), start=1):
        chosen = is_open & np.isin(history, past.auxiliary[name].indices)
        behavior_of[chosen] = number
        is_open &= ~chosen
    return behavior_of


def _by_weight(scores: HistoryScores) -> list[str]:
    """Auxiliary behaviours that count in a history, the one that weighs most first."""
    return sorted(scores.auxiliary_weights, key=lambda name: -scores.auxiliary_weights[name])


def _of_items(behavior: str, items: IntArray, values: Float64Array) -> RelationShares:
    """Items of the history reach their user through the reverse relation."""
    return RelationShares(f"rev_{behavior}", ITEM, items, values)
