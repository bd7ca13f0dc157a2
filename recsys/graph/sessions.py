"""Which item was taken after which: links between consecutive items of a user's sessions."""

import numpy as np
import polars as pl

from recsys.core.config import SessionConfig
from recsys.core.errors import ConfigError
from recsys.core.interactions import Interactions
from recsys.graph.edge_table import EdgeTable
from recsys.graph.schema import ITEM

NEXT = "next"
_FIRST, _THEN, _TIME, _COUNT = "first", "then", "time", "count"


def session_edges(interactions: Interactions, config: SessionConfig) -> EdgeTable:
    """("item", "next", "item") edges that weigh how often one item followed the other, as of the
    last time it did.

    Rows of all behaviours count; those of the same moment follow in the order of their items.
    Raises ConfigError for a log without times.
    """
    pairs = _followers(interactions, config.gap_minutes * 60)
    if not config.directed:
        low, high = pl.min_horizontal(_FIRST, _THEN), pl.max_horizontal(_FIRST, _THEN)
        pairs = pairs.with_columns(low.alias(_FIRST), high.alias(_THEN))
    counted = pairs.group_by(_FIRST, _THEN).agg(pl.col(_TIME).max(), pl.len().alias(_COUNT))
    kept = counted.filter(pl.col(_COUNT) >= config.min_count)
    weight, time = kept[_COUNT].to_numpy().astype(np.float64), kept[_TIME].to_numpy()
    return EdgeTable((ITEM, NEXT, ITEM), kept[_FIRST], kept[_THEN], weight, time, config.directed)


def _followers(interactions: Interactions, gap_seconds: float) -> pl.DataFrame:
    """A row for every step of a session: the item, the other item after it, and when."""
    if interactions.time is None:
        raise ConfigError(
            "graph.sessions needs times, and the log has none",
            "Name the time column (data.time_col), or leave it out",
        )
    order = np.lexsort((interactions.item, interactions.time, interactions.user))
    user, item, time = (
        array[order] for array in (interactions.user, interactions.item, interactions.time)
    )
    step = (user[1:] == user[:-1]) & (np.diff(time) <= gap_seconds) & (item[1:] != item[:-1])
    return pl.DataFrame({_FIRST: item[:-1][step], _THEN: item[1:][step], _TIME: time[1:][step]})
