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
    Raises ConfigError for a log without a clock.
    """
    steps = _session_steps(interactions, config.gap_minutes * 60)
    if not config.directed:
        low = pl.min_horizontal(_FIRST, _THEN)
        high = pl.max_horizontal(_FIRST, _THEN)
        steps = steps.with_columns(low.alias(_FIRST), high.alias(_THEN))
    latest = pl.col(_TIME).max()
    counts = steps.group_by(_FIRST, _THEN).agg(latest, pl.len().alias(_COUNT))
    frequent = counts.filter(pl.col(_COUNT) >= config.min_count)
    return EdgeTable(
        edge_type=(ITEM, NEXT, ITEM),
        source=frequent[_FIRST],
        destination=frequent[_THEN],
        weight=frequent[_COUNT].to_numpy().astype(np.float64),
        time=frequent[_TIME].to_numpy(),
        directed=config.directed,
    )


def _session_steps(interactions: Interactions, gap_seconds: float) -> pl.DataFrame:
    """A row for every step of a session: the item, the other item after it, and when."""
    moments = interactions.moments
    if moments is None:
        raise ConfigError(
            f"graph.sessions needs times, and {interactions.no_moments}",
            "Name the time column (data.time_col), or leave it out",
        )
    order = np.lexsort((interactions.item, moments, interactions.user))
    user, item = interactions.user[order], interactions.item[order]
    time = moments[order]
    same_user = user[1:] == user[:-1]
    same_session = same_user & (np.diff(time) <= gap_seconds)
    is_step = same_session & (item[1:] != item[:-1])
    first, then = item[:-1][is_step], item[1:][is_step]
    return pl.DataFrame({_FIRST: first, _THEN: then, _TIME: time[1:][is_step]})
