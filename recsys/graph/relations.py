"""Rows of a configured relation → edges between the nodes of one phase."""

import numpy as np
import polars as pl

from recsys.core.arrays import Float64Array, Int64Array
from recsys.core.edge_rows import EdgeRows
from recsys.core.history import decay_by_days
from recsys.core.ids import UNKNOWN
from recsys.core.interactions import Interactions, dense_of
from recsys.core.tables import DESTINATION, ITEM, SOURCE, TIME, USER, WEIGHT, Drops
from recsys.graph.edge_table import EdgeTable

LATER = "later than the phase"


def edges_of_phase(
    relation: EdgeRows, interactions: Interactions, until: int | None
) -> tuple[EdgeTable, Drops]:
    """What a phase may know of a relation, in its internal ids, and the rows left out.

    until: last moment that the phase knows; None for no limit. Weights halve with age, counted back
    from there, else from the relation's latest edge.
    """
    rows, drops = relation.rows, Drops(relation.drops)
    if until is not None and TIME in rows.columns:
        rows = _keep(rows, pl.col(TIME) <= until, f"{relation.name}: {LATER}", drops)
    for column, end in zip((SOURCE, DESTINATION), relation.ends, strict=True):
        if end in (USER, ITEM):
            codes = interactions.user_codes if end == USER else interactions.item_codes
            internal_ids = dense_of(rows[column].to_numpy(), codes)
            rows = rows.with_columns(pl.Series(column, internal_ids))
            reason = f"{relation.name}: {end} without a row"
            rows = _keep(rows, pl.col(column) != UNKNOWN, reason, drops)
    time = rows[TIME].to_numpy() if TIME in rows.columns else None
    weight = _weights(rows, time, relation.half_life_days, until)
    source, destination = relation.ends
    edge_type = (source, relation.name, destination)
    directed = relation.directed or source != destination
    table = EdgeTable(edge_type, rows[SOURCE], rows[DESTINATION], weight, time, directed)
    return table, +drops


def _weights(
    rows: pl.DataFrame,
    time: Int64Array | None,
    half_life_days: float | None,
    until: int | None,
) -> Float64Array:
    """(n,) weight · 2^(−age / half_life_days), ages counted back from `until` or the last row."""
    weight = np.ones(len(rows))
    if WEIGHT in rows.columns:
        weight = rows[WEIGHT].to_numpy().astype(np.float64)
    if half_life_days is None or time is None or not len(time):
        return weight
    now = int(time.max()) if until is None else until
    return weight * decay_by_days(time, now, half_life_days)


def _keep(rows: pl.DataFrame, test: pl.Expr, reason: str, drops: Drops) -> pl.DataFrame:
    """The rows that pass a test; the others are counted in `drops`."""
    remaining = rows.filter(test)
    drops[reason] += len(rows) - len(remaining)
    return remaining
