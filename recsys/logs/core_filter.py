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
    users, items = np.ones(num_users, bool), np.ones(num_items, bool)
    drops, rounds, before = Drops(), 0, -1
    while True:
        rounds += 1
        present, counts = np.zeros(num_users, bool), np.zeros(num_items, np.int64)
        with_items = 0
        for load in buckets:
            user, item = _kept(load(), users, items)
            with_items += len(user)
            _drop_rare_users(user, users, min_user)
            left = users[user]
            present[user[left]] = True
            counts += np.bincount(item[left], minlength=num_items)
        with_users = int(counts.sum())
        drops += Drops({ITEM_RARE: max(before - with_items, 0), USER_RARE: with_items - with_users})
        before = with_users
        rare = counts < max(min_item, 1)
        if not counts[rare].any():
            return Core(present, ~rare, +drops, rounds)
        items &= ~rare


def _kept(pairs: Pairs, users: BoolArray, items: BoolArray) -> Pairs:
    user, item = pairs
    kept = users[user] & items[item]
    return user[kept], item[kept]


def _drop_rare_users(user: Int32Array, users: BoolArray, min_user: int) -> None:
    """Clear the flag of every user with some rows, but fewer than `min_user`."""
    if len(user):
        low = int(user.min())
        counts = np.bincount(user - low)
        users[low : low + len(counts)] &= (counts == 0) | (counts >= min_user)
