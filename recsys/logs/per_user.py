"""Holding out some rows of every user: the last ones, or random ones that depend on the ids alone."""

import hashlib
from collections.abc import Callable

import numpy as np
import polars as pl
from numpy.typing import NDArray

from recsys.core.arrays import BoolArray, Int32Array, Int64Array
from recsys.core.ids import IdMap
from recsys.core.tables import ITEM, TIME, USER
from recsys.logs.time_cut import DROPPED, LATER, TEST, TRAIN, VALIDATION

Count = Callable[[Int64Array], Int64Array]
"""How many of a user's n rows are held out, before the first row is saved for train."""


def count_of(count: int) -> Count:
    return lambda rows: np.full(len(rows), count)


def share_of(share: float) -> Count:
    return lambda rows: (rows * share + 0.5).astype(np.int64)


def place_ends(
    user: Int32Array, order: Int64Array, test: Count, validation: Count
) -> NDArray[np.int8]:
    """Place of each row, (n,): a user's last rows in `order` go to test, those before to
    validation, the first stays.

    order: (n,) rows sorted by user, then from the first to the last of the user.
    """
    sizes = np.bincount(user)
    held = np.minimum(test(sizes), sizes - 1).clip(min=0)
    left = sizes - held
    checked = np.minimum(validation(left), left - 1).clip(min=0)
    ordered = user[order]
    from_end = np.cumsum(sizes)[ordered] - 1 - np.arange(len(user))
    place = np.empty(len(user), np.int8)
    place[order] = np.where(
        from_end < held[ordered],
        TEST,
        np.where(from_end < (held + checked)[ordered], VALIDATION, TRAIN),
    )
    return place


def order_by_time(rows: pl.DataFrame) -> Int64Array:
    """Rows by user and time; equal times by item code."""
    return np.lexsort((rows[ITEM].to_numpy(), rows[TIME].to_numpy(), rows[USER].to_numpy()))


def order_by_hash(rows: pl.DataFrame, users: IdMap, items: IdMap, seed: int) -> Int64Array:
    """Rows by user and a hash of (seed, user id, item id): the same draw whatever other rows there
    are.
    """
    user, item = rows[USER].to_numpy(), rows[ITEM].to_numpy()
    mixed = _mix(_digests(users)[user] ^ _mix(_digests(items)[item] + np.uint64(seed % 2**64)))
    return np.lexsort((item, mixed, user))


def place_others(
    rows: pl.DataFrame, target: BoolArray, place: NDArray[np.int8]
) -> NDArray[np.int8]:
    """Rows of other behaviours leave train when they come later than the held-out target row of the
    same pair.
    """
    held = rows.select(USER, ITEM, held_at=TIME, held_place=pl.Series(place)).filter(
        pl.Series(target & (place != TRAIN))
    )
    found = rows.select(USER, ITEM, TIME).join(
        held, on=[USER, ITEM], how="left", maintain_order="left"
    )
    late = (found[TIME] > found["held_at"]).fill_null(False).to_numpy() & ~target
    moved = np.where(found["held_place"].fill_null(TRAIN).to_numpy() == TEST, DROPPED, LATER)
    return np.where(late, moved, place).astype(np.int8)


def _digests(ids: IdMap) -> NDArray[np.uint64]:
    joined = b"".join(hashlib.blake2b(text.encode(), digest_size=8).digest() for text in ids.ids)
    return np.frombuffer(joined, np.uint64)


def _mix(value: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The finaliser of SplitMix64 (Steele, Lea and Flood 2014)."""
    value = value + np.uint64(0x9E3779B97F4A7C15)
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))
