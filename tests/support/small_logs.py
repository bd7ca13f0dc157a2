"""Logs of a few users and items, as interactions."""

import numpy as np
import polars as pl

from recsys.core.ids import IdMap
from recsys.core.interactions import Interactions, fit_interactions
from recsys.core.tables import ITEM, TIME, USER

TARGET = "interaction"


def interactions(pairs: list[tuple[int, int]], times: list[int] | None = None) -> Interactions:
    rows = pl.DataFrame(pairs, schema={USER: pl.Int32, ITEM: pl.Int32}, orient="row")
    if times is not None:
        rows = rows.with_columns(pl.Series(TIME, times, dtype=pl.Int64))
    users, items = (
        IdMap(pl.Series([str(n) for n in range(rows[column].max() + 1)])) for column in (USER, ITEM)
    )
    return fit_interactions(rows, users, items, (TARGET,))


def random_interactions(
    num_users: int = 40, num_items: int = 30, density: float = 0.2, seed: int = 3
) -> Interactions:
    taken = np.random.default_rng(seed).random((num_users, num_items)) < density
    taken[0] = True  # every item has a user
    taken[:, 0] = True
    return interactions([(int(user), int(item)) for user, item in np.argwhere(taken)])
