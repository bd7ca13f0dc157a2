"""Ranked lists made elsewhere, judged by the same metrics on the same held-out rows."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import polars as pl
from scipy import sparse

from recsys.core.arrays import Int32Array
from recsys.core.distinct import distinct
from recsys.core.errors import DataError
from recsys.core.ids import UNKNOWN
from recsys.core.interactions import Interactions
from recsys.core.ranking import NO_ITEM
from recsys.core.tables import ITEM_ID, RANK, SCORE, USER_ID, Drops, require_columns
from recsys.evaluate.lists import Catalogue
from recsys.evaluate.metrics import Ranking, evaluable_users, rank_metrics

_POSITION, _USER, _ITEM = "position", "dense_user", "dense_item"


class Judgement(NamedTuple):
    """Metrics of foreign lists, the lists as they were judged, and what was odd about them.

    ranked: (test users, k) dense item ids. counts: rows by oddity ("unknown item, kept as a miss",
    …) and users without a list, who count as misses.
    """

    ranking: Ranking
    ranked: Int32Array
    counts: Drops


def judge(
    lists: pl.DataFrame,
    train: Interactions,
    held_out: sparse.csr_matrix,
    ks: Sequence[int],
    seen: sparse.csr_matrix | None = None,
    catalogue: Catalogue | None = None,
) -> Judgement:
    """Metrics of the table `lists`: user_id, item_id, and rank (from 1) or score (higher is
    better); rank decides if both.

    Every user with held-out items counts, with or without a list; items that train does not know,
    or that `seen` (users, items) holds, keep their place as misses. Raises DataError for missing
    columns or values, an item twice in a list, ranks that are not 1, 2, 3…, and a score that is not
    a number.
    """
    wanted = {USER_ID: "user_col", ITEM_ID: "item_col"}
    require_columns(lists.columns, wanted, "the table of ranked lists")
    ordered = _in_order(_checked(lists.with_columns(pl.col(USER_ID, ITEM_ID).cast(pl.String))))
    users = evaluable_users(held_out)
    dense = ordered.select(
        _POSITION,
        pl.Series(_USER, train.users.lookup(ordered[USER_ID].to_list())),
        pl.Series(_ITEM, train.items.lookup(ordered[ITEM_ID].to_list())),
    )
    ranked, counts = _table(dense, users, max(ks), seen)
    return Judgement(rank_metrics(ranked, users, held_out, ks, catalogue), ranked, counts)


def _checked(lists: pl.DataFrame) -> pl.DataFrame:
    """The table, or DataError with the first row that cannot be judged."""
    by = RANK if RANK in lists.columns else SCORE
    require_columns(lists.columns, {by: None}, "the table of ranked lists")
    if not lists.schema[by].is_numeric():
        raise DataError(
            f"the column {by!r} of the ranked lists is {lists.schema[by]}, not a number",
            "Give numbers",
        )
    broken = lists.filter(
        pl.any_horizontal(pl.col(USER_ID, ITEM_ID, by).is_null())
        | pl.col(by).cast(pl.Float64).is_nan()
    )
    _refuse(
        broken,
        "row(s) of the ranked lists have an empty user, item or " + by,
        "Fill them in or leave them out",
    )
    twice = lists.filter(pl.struct(USER_ID, ITEM_ID).is_duplicated())
    _refuse(
        twice,
        "row(s) of the ranked lists repeat an item within a user's list",
        "Keep each item once",
    )
    return lists


def _in_order(lists: pl.DataFrame) -> pl.DataFrame:
    """Rows with their position from 1: the given rank, or the place by falling score, equal scores
    by item id.
    """
    if RANK not in lists.columns:
        ordered = lists.sort(USER_ID, SCORE, ITEM_ID, descending=[False, True, False])
        return ordered.with_columns(pl.int_range(1, pl.len() + 1).over(USER_ID).alias(_POSITION))
    ordered = lists.sort(USER_ID, RANK, ITEM_ID).with_columns(
        pl.int_range(1, pl.len() + 1).over(USER_ID).alias(_POSITION)
    )
    _refuse(
        ordered.filter(pl.col(RANK) != pl.col(_POSITION)),
        "row(s) of the ranked lists break the ranks 1, 2, 3… of their user",
        "Ranks start at 1 and leave no gap; give a score instead if you have no ranks",
    )
    return ordered


def _table(
    dense: pl.DataFrame, users: Int32Array, k: int, seen: sparse.csr_matrix | None
) -> tuple[Int32Array, Drops]:
    """(users, k) dense items, NO_ITEM where there is none that could be right; and what was counted
    on the way.
    """
    user, item, position = (dense[column].to_numpy() for column in (_USER, _ITEM, _POSITION))
    row = np.searchsorted(users, user).clip(max=max(len(users) - 1, 0))
    judged = (user != UNKNOWN) & (users[row] == user) if len(users) else np.zeros(len(user), bool)
    within = judged & (position <= k)
    ranked = np.full((len(users), k), NO_ITEM, np.int32)
    ranked[row[within], position[within] - 1] = item[within]
    known = within & (item != UNKNOWN)
    repeated = np.zeros(len(item), bool)
    if seen is not None:
        # Without any known pair scipy gives a sparse answer rather than an array.
        repeated[known] = (
            np.asarray(seen[user[known], item[known]]).ravel() > 0 if known.any() else False
        )
        ranked[row[repeated], position[repeated] - 1] = NO_ITEM
    counts = {
        "unknown user": int((user == UNKNOWN).sum()),
        "user without held-out items": int(((user != UNKNOWN) & ~judged).sum()),
        f"beyond rank {k}": int((judged & ~within).sum()),
        "unknown item, kept as a miss": int((within & ~known).sum()),
        "seen in train, kept as a miss": int(repeated.sum()),
        "test user without a list": int(len(users) - len(distinct(row[judged]))),
    }
    return ranked, +Drops(counts)


def _refuse(rows: pl.DataFrame, complaint: str, remedy: str) -> None:
    if len(rows):
        first = rows.row(0, named=True)
        raise DataError(
            f"{len(rows)} {complaint}; the first: user {first[USER_ID]!r}, item {first[ITEM_ID]!r}",
            remedy,
        )
