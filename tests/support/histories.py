"""Logs whose users are known by their histories: with times, with an order, or with neither."""

import numpy as np
import polars as pl

from recsys.core.ids import IdMap
from recsys.core.interactions import Interactions, fit_interactions
from recsys.core.tables import BEHAVIOR, ITEM, ITEM_ID, TIME, USER, USER_ID

DAY = 86_400
START = 1_600_000_000


def phase_of(
    log: pl.DataFrame, kind: str = "seconds", behaviors: tuple[str, ...] = ("interaction",)
) -> Interactions:
    """A log as the interactions of one phase.

    kind: "seconds", "order" (the times are numbers of an order) or "none" (times are left out).
    """
    keys = [USER_ID, ITEM_ID] + [BEHAVIOR] * (len(behaviors) > 1)
    log = log.sort(TIME).unique(keys, keep="first", maintain_order=True)
    users, items = (IdMap(log[name].unique().sort(), name) for name in (USER_ID, ITEM_ID))
    codes = {USER: users.lookup(log[USER_ID]), ITEM: items.lookup(log[ITEM_ID])}
    rows = pl.DataFrame(codes)
    if len(behaviors) > 1:
        rows = rows.with_columns(log[BEHAVIOR])
    if kind == "none":
        return fit_interactions(rows, users, items, behaviors)
    return fit_interactions(rows.with_columns(log[TIME]), users, items, behaviors, kind)


def chain_log(num_users: int = 120, num_items: int = 30, seed: int = 0) -> pl.DataFrame:
    """Every user walks along a ring of items for five events, leaps, and walks for six more, a day
    apart. What comes next follows from the latest event alone: the set of events has two ends.
    """
    draw = np.random.default_rng(seed)
    rows = []
    for user in range(num_users):
        first = int(draw.integers(num_items))
        leap = (first + 10 + int(draw.integers(num_items - 20))) % num_items
        walk = [first + step for step in range(5)] + [leap + step for step in range(6)]
        for day, item in enumerate(walk):
            rows.append((f"u{user}", f"i{item % num_items:02}", START + day * DAY))
    return pl.DataFrame(rows, schema=[USER_ID, ITEM_ID, TIME], orient="row")
