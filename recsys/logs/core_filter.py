"""Iterated k-core: users and items with enough rows, removed and counted again until nothing
changes.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from recsys.core.arrays import BoolArray, Int32Array
from recsys.core.tables import Drops
from recsys.logs.reasons import ITEM_RARE, USER_RARE

Pairs = tuple[Int32Array, Int32Array]


@dataclass(frozen=True)
class Core:
    """users, items: (n,) who is left, among all codes. rounds: passes over the rows, the last of
    which changed nothing.
    """

    users: BoolArray
    items: BoolArray
    drops: Drops
    rounds: int


def fixed_point(
    buckets: Sequence[Callable[[], Pairs]],
    num_users: int,
    num_items: int,
    min_user: int = 1,
    min_item: int = 1,
) -> Core:
    """The largest set of rows in which every user has `min_user` rows and every item `min_item`.

    buckets: each gives user and item codes, (n,) each; a user's rows are all in one bucket. The set
    is unique (Seidman 1983), so neither the order of removal nor the buckets matter; the drops
    count each round's rare users before its rare items. Memory: one bucket, and a flag or count for
    every user and item.
    """
    users = np.ones(num_users, bool)
    items = np.ones(num_items, bool)
    drops = Drops()
    rounds = 0
    rows_before = None
    while True:
        rounds += 1
        present = np.zeros(num_users, bool)
        rows_of_item = np.zeros(num_items, np.int64)
        num_rows = 0
        for load in buckets:
            user, item = _rows_within(load(), users, items)
            num_rows += len(user)
            _drop_rare_users(user, users, min_user)
            frequent = users[user]
            present[user[frequent]] = True
            rows_of_item += np.bincount(item[frequent], minlength=num_items)

        num_frequent = int(rows_of_item.sum())
        if rows_before is not None:
            drops[ITEM_RARE] += rows_before - num_rows
        drops[USER_RARE] += num_rows - num_frequent
        rows_before = num_frequent

        rare = rows_of_item < max(min_item, 1)
        if not rows_of_item[rare].any():
            return Core(present, ~rare, +drops, rounds)
        items &= ~rare


def _rows_within(pairs: Pairs, users: BoolArray, items: BoolArray) -> Pairs:
    user, item = pairs
    within = users[user] & items[item]
    return user[within], item[within]


def _drop_rare_users(user: Int32Array, users: BoolArray, min_user: int) -> None:
    """Clear the flag of every user with some rows, but fewer than `min_user`."""
    if len(user) == 0:
        return
    first = int(user.min())
    counts = np.bincount(user - first)
    frequent = (counts == 0) | (counts >= min_user)
    users[first : first + len(counts)] &= frequent
