"""Histories of older bundles, which lack the part `HistoryRows`: read out of edges and seen items."""

from collections.abc import Mapping

import numpy as np

from recsys.core.arrays import Float64Array, Int64Array, IntArray
from recsys.core.encoder import EncoderState, RelationState
from recsys.core.history import UserHistories, decay_by_events
from recsys.core.interactions import DAY_SECONDS
from recsys.encode.fold_in import Neighbours


def rebuilt_history(
    seen: Mapping[str, IntArray],
    neighbours: Neighbours,
    encoder: EncoderState,
    num_later: Mapping[int, float],
    num_items: int,
) -> UserHistories:
    """The history of one user of an older bundle: rows that weigh what the bundle says they weigh.

    Where ages cannot be told from edges, all rows are of the model's last moment, in the order that
    the bundle's decay by position gives.

    Args:
        seen: by behaviour, the user's items.
        neighbours: the user's edges, a row for each relation.
        encoder: how they were weighed.
        num_later: by item, how many of the user's pairs are later; empty where nobody knows.
        num_items: number of items of the bundle.

    Returns:
        One user's history.
    """
    relations = {relation.behavior: relation for relation in encoder.relations}
    item: list[IntArray] = []
    behavior: list[IntArray] = []
    weight: list[Float64Array] = []
    time: list[Int64Array] = []
    for behavior_number, (name, items) in enumerate(seen.items()):
        relation = relations.get(name)
        edges = np.ones(len(items))
        if relation is not None and relation.name in neighbours:
            row = neighbours[relation.name][0, items]
            edges = row.toarray().ravel().astype(np.float64)
        # The latest pair has position 0.
        positions = np.array([num_later.get(item_id, 0.0) for item_id in items.tolist()])
        weights, times = _weights_and_times(edges, relation, encoder, positions)
        item.append(items)
        behavior.append(np.full(len(items), behavior_number, np.int16))
        weight.append(weights)
        time.append(times)
    item_column = np.concatenate(item)
    time_column = np.concatenate(time)
    behavior_column = np.concatenate(behavior)
    # By time; item and behaviour decide between equal times.
    order = np.lexsort((behavior_column, item_column, time_column))
    return UserHistories(
        indptr=np.array([0, len(order)]),
        item=item_column[order],
        behavior=behavior_column[order],
        weight=np.concatenate(weight)[order].astype(np.float32),
        time=time_column[order],
        behaviors=tuple(seen),
        num_items=num_items,
    )


def _weights_and_times(
    edges: Float64Array,
    relation: RelationState | None,
    encoder: EncoderState,
    positions: Float64Array,
) -> tuple[Float64Array, Int64Array]:
    """(n,) weights of the log and times that give these edges under one behaviour."""
    now = encoder.now or 0
    if relation is None:
        # No edge to read: positions alone say what came after what, a second apart.
        return np.ones(len(edges)), (now - positions).astype(np.int64)
    # Later pairs have larger edges where nothing but decay tells edges apart.
    newest_first = np.argsort(positions if positions.any() else -edges, kind="stable")
    rank = np.empty(len(edges), np.int64)
    rank[newest_first] = np.arange(len(edges))
    # weight · 2^(−age / half_life_days) = edge / (w_b · 2^(−p / half_life_events))
    rest = edges / (relation.weight * decay_by_events(rank, encoder.half_life_events))
    # Either the age or the weight can be solved for: age = −half_life_days · log₂ rest where all
    # weights are 1; else all of `rest` is the weight.
    half_life_days = relation.half_life_days or encoder.half_life_days
    if half_life_days is not None and not encoder.use_weights:
        age_days = np.maximum(-half_life_days * np.log2(rest), 0.0)
        return np.ones(len(edges)), now - np.round(age_days * DAY_SECONDS).astype(np.int64)
    ages = positions if positions.any() else rank
    return rest, (now - ages).astype(np.int64)
