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
    users = log[USER_ID].unique().sort()
    items = log[ITEM_ID].unique().sort()
    if count > len(users):
        raise UsageError(
            f"cannot plant {count} canaries, one a user, among {len(users)} users", "Plant fewer"
        )
    draw = np.random.default_rng(seed)
    drawn = draw.choice(len(users), count, replace=False)
    canary_users = users.gather(np.sort(drawn))

    histories = dict(log.group_by(USER_ID).agg(pl.col(ITEM_ID).unique()).iter_rows())
    canary_items = []
    longest = 0
    for user in canary_users:
        history = set(histories[user])
        longest = max(longest, len(history))
        canary_items.append(_new_item(draw, items, history))

    last = int(log[TIME].max())  # type: ignore[arg-type]
    columns = {
        USER_ID: canary_users,
        ITEM_ID: canary_items,
        TIME: last + 1 + draw.integers(0, _DAY_SECONDS, count),
        BEHAVIOR: [behavior] * count,
        WEIGHT: [1.0] * count,
        RATING: [None] * count,
    }
    if RATING in log.columns:
        columns[RATING] = [log[RATING].max()] * count
    schema = {column: LOG_SCHEMA[column] for column in log.columns}
    canaries = pl.DataFrame({column: columns[column] for column in log.columns}, schema=schema)
    chance = 1 / (len(items) - longest)
    return Planted(pl.concat([log, canaries]), canaries, chance)


def p_value(hits: int, trials: int, chance: float) -> float:
    """Probability of at least `hits` in `trials` at `chance` each: small means that canaries were
    recovered.
    """
    return float(binom.sf(hits - 1, trials, min(chance, 1.0)))


def _new_item(draw: np.random.Generator, items: pl.Series, history: set[str]) -> str:
    """A random item that the user has not touched."""
    if len(history) >= len(items):
        raise UsageError(
            "a user has touched every item: no canary can be planted", "Take a larger catalogue"
        )
    while True:
        number = int(draw.integers(len(items)))
        item = str(items[number])
        if item not in history:
            return item
