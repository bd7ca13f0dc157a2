"""Holding out some rows of every user: the last ones, or random ones that depend on the ids alone."""

import hashlib
from collections.abc import Callable

import numpy as np
import polars as pl
from numpy.typing import NDArray

from recsys.core.arrays import BoolArray, Int32Array, Int64Array
from recsys.core.config import Task
from recsys.core.ids import IdMap
from recsys.core.ordering import dense_ids
from recsys.core.tables import ITEM, TIME, USER
from recsys.logs.time_cut import DROPPED, LATER, TEST, TRAIN, VALIDATION

Count = Callable[[Int64Array], Int64Array]
"""How many of a user's n rows are held out, before the first row is saved for train."""

_HELD_AT, _HELD_CODE = "held_at", "held_code"


def count_of(count: int) -> Count:
    """The same number of every user's rows."""

    def of(num_rows: Int64Array) -> Int64Array:
        return np.full(len(num_rows), count)

    return of


def share_of(share: float) -> Count:
    """A share of every user's rows, rounded."""

    def of(num_rows: Int64Array) -> Int64Array:
        rounded: Int64Array = (num_rows * share + 0.5).astype(np.int64)
        return rounded

    return of


def place_ends(
    user: Int32Array, order: Int64Array, test: Count, validation: Count
) -> NDArray[np.int8]:
    """Part of each row, (n,): a user's last rows go to test, those before to validation, the first
    one stays in train.

    Args:
        user: (n,) codes of users.
        order: (n,) rows sorted by user, then from the first to the last of the user.
        test: how many rows of a user go to test.
        validation: how many of the others go to validation.
    """
    # (users,) how many rows of each are held out: one at least is left, whatever the shares.
    num_rows = np.bincount(user)
    num_test = np.minimum(test(num_rows), num_rows - 1).clip(min=0)
    num_left = num_rows - num_test
    num_validation = np.minimum(validation(num_left), num_left - 1).clip(min=0)

    # How many rows of the same user come after each row, in `order`.
    ordered_user = user[order]
    ends = np.cumsum(num_rows)
    num_later = ends[ordered_user] - 1 - np.arange(len(user))

    in_test = num_later < num_test[ordered_user]
    num_held_out = num_test + num_validation
    in_validation = num_later < num_held_out[ordered_user]
    # Validation includes the test so far, which takes its rows back.
    ordered_codes = np.full(len(user), TRAIN, np.int8)
    ordered_codes[in_validation] = VALIDATION
    ordered_codes[in_test] = TEST
    # Back from `order` to the order of the rows.
    codes = np.empty(len(user), np.int8)
    codes[order] = ordered_codes
    return codes


def order_by_time(rows: pl.DataFrame) -> Int64Array:
    """Rows by user and time; equal times by item code."""
    user = rows[USER].to_numpy()
    time = rows[TIME].to_numpy()
    item = rows[ITEM].to_numpy()
    # The last key of lexsort is the first to sort by.
    return np.lexsort((item, time, user))


def order_by_hash(rows: pl.DataFrame, users: IdMap, items: IdMap, seed: int) -> Int64Array:
    """Rows by user and a hash of (seed, user id, item id): the same draw whatever other rows there
    are.
    """
    user = rows[USER].to_numpy()
    item = rows[ITEM].to_numpy()
    salt = np.uint64(seed % 2**64)
    # h(user, item) = mix(digest(user) ^ mix(digest(item) + seed)), modulo 2⁶⁴.
    item_hash = _mix(_digests(items, item) + salt)
    pair_hash = _mix(_digests(users, user) ^ item_hash)
    # By item where hashes agree: equal pairs alone are left in the order of the rows.
    return np.lexsort((item, pair_hash, user))


def place_others(
    rows: pl.DataFrame, target: BoolArray, codes: NDArray[np.int8], task: Task = "any"
) -> NDArray[np.int8]:
    """Rows of other behaviours leave train beside the held-out target row of the same pair: those
    that come later, or all where the `task` asks for items that their user has not met.
    """
    if task == "any" and TIME not in rows.columns:
        return codes
    columns = [column for column in (USER, ITEM, TIME) if column in rows.columns]
    pairs = rows.select(columns)
    is_held_out = target & (codes != TRAIN)
    held_out = pairs.with_columns(pl.Series(_HELD_CODE, codes))
    held_out = held_out.filter(pl.Series(is_held_out))
    held_out = held_out.rename({TIME: _HELD_AT}, strict=False)
    # A pair has one target row, so that no row is repeated and places stay those of `rows`.
    joined = pairs.join(held_out, on=[USER, ITEM], how="left", maintain_order="left")

    held_code = joined[_HELD_CODE]
    if task == "new":
        leaves = held_code.is_not_null().to_numpy()
    else:
        leaves = (joined[TIME] > joined[_HELD_AT]).fill_null(False).to_numpy()
    in_test = held_code.fill_null(TRAIN).to_numpy() == TEST
    # Beside a row of validation it is known when the test begins; beside one of the test, never.
    moved_to = np.where(in_test, DROPPED, LATER)
    moved = np.where(leaves & ~target, moved_to, codes)
    return moved.astype(np.int8)


def _digests(ids: IdMap, codes: Int32Array) -> NDArray[np.uint64]:
    """(n,) of the id of each of the codes."""
    # Each id is hashed once, however many rows it has. (Python's own hash differs between runs.)
    present, position = dense_ids(codes, len(ids))
    digests = []
    for text in ids.ids.gather(pl.Series(present)):
        digest = hashlib.blake2b(text.encode(), digest_size=8)
        digests.append(digest.digest())
    return np.frombuffer(b"".join(digests), np.uint64)[position]


def _mix(value: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The finaliser of SplitMix64 (Steele, Lea and Flood 2014)."""
    # Arithmetic of arrays of uint64 is modulo 2⁶⁴, as the algorithm has it.
    value = value + np.uint64(0x9E3779B97F4A7C15)
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))
