"""Canaries: random future pairs that nothing learned from the past can predict better than chance."""

from dataclasses import dataclass

import numpy as np
import polars as pl
from scipy.stats import binom

from recsys.core.errors import UsageError
from recsys.core.tables import BEHAVIOR, ITEM_ID, LOG_SCHEMA, RATING, TIME, USER_ID, WEIGHT

_DAY_SECONDS = 86_400


@dataclass(frozen=True)
class Planted:
    """log: the log with canaries. canaries: their rows, one a user. chance: upper bound of a blind
    ranking's hit rate at 1.
    """

    log: pl.DataFrame
    canaries: pl.DataFrame
    chance: float


def plant_canaries(
    log: pl.DataFrame, count: int, seed: int, behavior: str | None = None
) -> Planted:
    """Add `count` pairs of random users and random items new to them, within the day after the
    log's last row.

    log: LOG_SCHEMA columns with times. Every item that a user has not touched is equally likely, so
    a ranking of k items made without the canaries hits with probability `chance` · k at most; more
    means that the future leaked.
    """
    users, items = log[USER_ID].unique().sort(), log[ITEM_ID].unique().sort()
    if count > len(users):
        raise UsageError(
            f"cannot plant {count} canaries, one a user, among {len(users)} users", "Plant fewer"
        )
    draw = np.random.default_rng(seed)
    chosen = users.gather(np.sort(draw.choice(len(users), count, replace=False)))
    touched = dict(log.group_by(USER_ID).agg(pl.col(ITEM_ID).unique()).iter_rows())
    picked = [_untouched(draw, items, set(touched[user])) for user in chosen]
    last = int(log[TIME].max())  # type: ignore[arg-type]
    columns = {
        USER_ID: chosen,
        ITEM_ID: picked,
        TIME: last + 1 + draw.integers(0, _DAY_SECONDS, count),
        BEHAVIOR: [behavior] * count,
        WEIGHT: [1.0] * count,
        RATING: [log[RATING].max() if RATING in log.columns else None] * count,
    }
    schema = {column: LOG_SCHEMA[column] for column in log.columns}
    canaries = pl.DataFrame({column: columns[column] for column in log.columns}, schema=schema)
    most = max(len(touched[user]) for user in chosen)
    return Planted(pl.concat([log, canaries]), canaries, 1 / (len(items) - most))


def p_value(hits: int, trials: int, chance: float) -> float:
    """Probability of at least `hits` in `trials` at `chance` each: small means that canaries were
    recovered.
    """
    return float(binom.sf(hits - 1, trials, min(chance, 1.0)))


def _untouched(draw: np.random.Generator, items: pl.Series, touched: set[str]) -> str:
    if len(touched) >= len(items):
        raise UsageError(
            "a user has touched every item: no canary can be planted", "Take a larger catalogue"
        )
    while (item := str(items[int(draw.integers(len(items)))])) in touched:
        pass
    return item
