"""Iterated k-core: users and items with enough rows, removed and counted again until nothing
changes.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from recsys.core.arrays import BoolArray, Int32Array, Int64Array
from recsys.core.tables import Drops
from recsys.logs.reasons import ITEM_RARE, USER_RARE


class Round(NamedTuple):
    """What one pass over the rows of a bucket, or of all, finds.

    rows: within the users and items that were left.
    rows_of_item: (items,) of them those of users with enough.
    """

    rows: int
    rows_of_item: Int64Array


@dataclass(frozen=True)
class Core:
    """items: (n,) who is left, among all codes. rounds: passes over the rows, the last of which
    changed nothing.
    """

    items: BoolArray
    drops: Drops
    rounds: int


def fixed_point(
    pass_over: Callable[[int, BoolArray], Sequence[Round]], num_items: int, min_item: int = 1
) -> Core:
    """The largest set of rows in which every user has enough rows and every item `min_item`.

    The set is unique (Seidman 1983), so neither the order of removal nor the buckets matter; the
    drops count each round's rare users before its rare items.

    Args:
        pass_over: `filter_users` over all buckets; it is given the number of the round, from 1, and
            the items that are left.
        num_items: codes of items.
        min_item: rows that an item must have.
    """
    items = np.ones(num_items, bool)
    drops = Drops()
    number = 0
    rows_before = None
    while True:
        number += 1
        num_rows = 0
        rows_of_item = np.zeros(num_items, np.int64)
        for bucket_round in pass_over(number, items):
            num_rows += bucket_round.rows
            rows_of_item += bucket_round.rows_of_item

        num_frequent = int(rows_of_item.sum())
        # What a pass finds fewer than the last one left went with the items that were rare there.
        if rows_before is not None:
            drops[ITEM_RARE] += rows_before - num_rows
        drops[USER_RARE] += num_rows - num_frequent
        rows_before = num_frequent

        rare = rows_of_item < max(min_item, 1)
        # No row is of a rare item: the next pass would find the same, also of users.
        if not rows_of_item[rare].any():
            return Core(~rare, +drops, number)
        items = items & ~rare


def filter_users(
    user: Int32Array, item: Int32Array, users: BoolArray, items: BoolArray, min_user: int
) -> tuple[BoolArray, Round]:
    """One pass over a bucket, which holds all rows of its users.

    Args:
        user: (n,) codes, counted from the first one of the bucket.
        item: (n,) codes.
        users: (bucket's users,) who is left.
        items: (items,) who is left.
        min_user: rows that a user must have.

    Returns:
        Users who are left and have a row, and what was found.
    """
    within = users[user] & items[item]
    user, item = user[within], item[within]
    rows_of_user = np.bincount(user, minlength=len(users))
    left = rows_of_user >= max(min_user, 1)
    items_left = item[left[user]]
    rows_of_item = np.bincount(items_left, minlength=len(items)).astype(np.int64)
    return left, Round(len(user), rows_of_item)
