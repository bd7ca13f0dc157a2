"""Which kinds of items attention weighs most: by popularity, and by what an item table says."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from benchmarks.accuracy.attention_history import RelationWeights
from recsys.core.arrays import BoolArray, Float64Array, IntArray
from recsys.core.ids import IdMap
from recsys.core.tables import ITEM_ID

ITEM_TABLE = "items.parquet"
LEAST_SHARE = 0.01
"""Kinds with a smaller share of the events are left out."""


def kinds_of_items(weights: RelationWeights, items: IdMap, folder: Path) -> list[dict[str, Any]]:
    """What items of each kind weigh, whatever their places in histories: d^(−a) exp(query · ĥ), the
    mean over heads, divided by its mean over all events.

    Args:
        weights: of a relation from items.
        items: their external ids.
        folder: of the log; the lists of texts of its item table are kinds, if it has any.

    Returns:
        `kind`, `value`, its share of the `events`, and `weight`, the heaviest kinds first.
    """
    events = np.bincount(weights.source, minlength=len(items)).astype(np.float64)
    mean_weight = np.average(weights.node_weight, weights=events)
    members = _by_popularity(events)
    if (folder / ITEM_TABLE).exists():
        members |= _by_table(pl.read_parquet(folder / ITEM_TABLE), items)
    facts = []
    for (kind, value), inside in members.items():
        share = events[inside].sum() / events.sum()
        if share < LEAST_SHARE:
            continue
        weight = np.average(weights.node_weight[inside], weights=events[inside]) / mean_weight
        facts.append(
            {
                "kind": kind,
                "value": value,
                "events": round(float(share), 4),
                "weight": round(float(weight), 3),
            }
        )
    return sorted(facts, key=lambda row: -row["weight"])


def _by_popularity(events: Float64Array) -> dict[tuple[str, str], BoolArray]:
    """The most popular tenth of the items, the next four tenths, and the rest."""
    rank: IntArray = np.empty(len(events), np.int64)
    rank[np.argsort(-events, kind="stable")] = np.arange(len(events))
    head, upper_half = rank < len(events) / 10, rank < len(events) / 2
    return {
        ("popularity", "top 10 % of items"): head,
        ("popularity", "next 40 % of items"): upper_half & ~head,
        ("popularity", "bottom 50 % of items"): ~upper_half,
    }


def _by_table(table: pl.DataFrame, items: IdMap) -> dict[tuple[str, str], BoolArray]:
    """The items that have each text in a column of lists."""
    members: dict[tuple[str, str], BoolArray] = {}
    for column, kind in table.schema.items():
        if kind != pl.List(pl.String):
            continue
        pairs = table.select(ITEM_ID, column).explode(column).drop_nulls()
        ids = items.lookup(pairs[ITEM_ID].to_list())
        for value in pairs[column].unique().sort():
            inside = np.zeros(len(items), bool)
            of_value = ids[(pairs[column] == value).to_numpy()]
            inside[of_value[of_value >= 0]] = True
            members[column, value] = inside
    return members
