"""Interactions as arrays with dense ids: what graph, baselines, model and evaluation work on."""

from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy import sparse

from recsys.core.arrays import BoolArray, Float32Array, Int32Array, Int64Array, IntArray
from recsys.core.distinct import distinct
from recsys.core.ids import UNKNOWN, IdMap
from recsys.core.ordering import dense_ids
from recsys.core.tables import BEHAVIOR, ITEM, TIME, USER, WEIGHT, Drops

DAY_SECONDS = 86_400

TimeKind = Literal["seconds", "order"]
"""What the times of a log are: unix seconds, or numbers that only say what a user did after what."""
BEHIND_ORDER = 1 << 60
"""Live events of a log with an order stand at this plus their unix seconds: behind all its rows."""


@dataclass(frozen=True)
class Interactions:
    """Rows of one phase (train; train + validation; everything) with ids fitted on these rows
    alone.

    user, item: (n,) dense ids.
    weight: (n,).
    time: (n,) what came after what, see `time_kind`; None for a log without times.
    behavior: (n,) index into `behaviors` (always present; a log without behaviours has the single
        one "interaction").
    user_codes, item_codes: (users,), (items,) the code in the ingested log of each dense id,
        ascending.
    time_kind: of `time`. Ask `moments` where seconds or days are counted.
    """

    user: Int32Array
    item: Int32Array
    weight: Float32Array
    time: Int64Array | None
    behavior: NDArray[np.int16]
    behaviors: tuple[str, ...]
    users: IdMap
    items: IdMap
    user_codes: Int32Array
    item_codes: Int32Array
    time_kind: TimeKind = "seconds"

    def __len__(self) -> int:
        return len(self.user)

    @property
    def num_users(self) -> int:
        return len(self.users)

    @property
    def num_items(self) -> int:
        return len(self.items)

    @property
    def moments(self) -> Int64Array | None:
        """(n,) unix seconds; None for a log without a clock: one without times or with an order."""
        return self.time if self.time_kind == "seconds" else None

    @property
    def no_moments(self) -> str:
        """Why there are no `moments`, as the end of a message."""
        return "the log has none" if self.time is None else "the log has an order and no clock"

    @property
    def last_moment(self) -> int | None:
        """Unix seconds of the last row; None for a log without times.

        Of a log with an order, those of the last live event in it; 0 without live events.
        """
        if self.time is None:
            return None
        last = int(self.time.max(initial=0))
        if self.time_kind == "order":
            return max(last - BEHIND_ORDER, 0)
        return last

    @property
    def days(self) -> float:
        """From the first row to the last; 0 for a log without a clock."""
        moments = self.moments
        if moments is None or not len(moments):
            return 0.0
        return float(moments.max() - moments.min()) / DAY_SECONDS

    def of(self, behavior: str) -> BoolArray:
        """(n,) which rows are of `behavior`; none when the phase has no such row."""
        if behavior not in self.behaviors:
            return np.zeros(len(self), dtype=bool)
        return np.asarray(self.behavior == self.behaviors.index(behavior))

    def matrix(
        self, behaviors: tuple[str, ...] | None = None, weighted: bool = False
    ) -> sparse.csr_matrix:
        """(users, items) float32, sorted indices, no duplicates: 1 per pair, or the summed weights."""
        rows = (
            np.ones(len(self), bool)
            if behaviors is None
            else np.logical_or.reduce([self.of(b) for b in behaviors])
        )
        values = self.weight[rows] if weighted else np.ones(int(rows.sum()), np.float32)
        shape = (self.num_users, self.num_items)
        matrix = sparse.coo_matrix(
            (values, (self.user[rows], self.item[rows])), shape=shape
        ).tocsr()
        if not weighted:
            matrix.data[:] = 1.0
        matrix.sort_indices()
        return matrix

    def popularity(self, behavior: str | None = None) -> Float32Array:
        """(items,) users who had each item, under one behaviour or any."""
        return np.asarray(
            self.matrix(None if behavior is None else (behavior,)).sum(axis=0), np.float32
        ).ravel()


SEEN_OTHERWISE = "pair seen under another behavior"


@dataclass(frozen=True)
class HeldOut:
    """Held-out pairs among warm users and items, in the dense ids of a phase, and what was left
    out.

    user, item: (n,) sorted by user, item; unique pairs. dropped: rows by reason (cold user, cold
    item, seen in train). cold: the cold rows (user code, item code), for the slice of their own.
    """

    user: Int32Array
    item: Int32Array
    dropped: Drops
    cold: pl.DataFrame

    def matrix(self, num_users: int, num_items: int) -> sparse.csr_matrix:
        values = np.ones(len(self.user), np.float32)
        return sparse.coo_matrix(
            (values, (self.user, self.item)), shape=(num_users, num_items)
        ).tocsr()

    def without(self, hidden: sparse.csr_matrix) -> "HeldOut":
        """The pairs that lists may hold: not those of `hidden` (users, items), which are counted."""
        is_hidden = holds(hidden, self.user, self.item)
        dropped = self.dropped + Drops({SEEN_OTHERWISE: int(is_hidden.sum())})
        return HeldOut(self.user[~is_hidden], self.item[~is_hidden], dropped, self.cold)


def holds(matrix: sparse.csr_matrix, rows: Int32Array, columns: Int32Array) -> BoolArray:
    """(n,) whether a matrix has an entry other than 0 at each row and column."""
    if not len(rows):
        # Without any pair scipy gives a sparse answer rather than an array.
        return np.zeros(0, bool)
    values = np.asarray(matrix[rows, columns])
    return np.asarray(values.ravel() != 0)


def fit_interactions(
    rows: pl.DataFrame,
    users: IdMap,
    items: IdMap,
    behaviors: tuple[str, ...],
    time_kind: TimeKind = "seconds",
) -> Interactions:
    """Dense ids fitted on `rows` and on nothing else.

    Args:
        rows: coded by the vocabularies `users` and `items`.
        users: ids of the log.
        items: ids of the log.
        behaviors: names, in the order of their numbers.
        time_kind: of the times of the log.
    """
    user_codes, user = dense_ids(rows[USER].to_numpy(), len(users))
    item_codes, item = dense_ids(rows[ITEM].to_numpy(), len(items))
    return Interactions(
        user=user,
        item=item,
        weight=rows[WEIGHT].to_numpy().astype(np.float32)
        if WEIGHT in rows.columns
        else np.ones(len(rows), np.float32),
        time=rows[TIME].to_numpy().astype(np.int64) if TIME in rows.columns else None,
        behavior=_behavior_index(rows, behaviors),
        behaviors=behaviors,
        users=users.subset(user_codes),
        items=items.subset(item_codes),
        user_codes=user_codes.astype(np.int32),
        item_codes=item_codes.astype(np.int32),
        time_kind=time_kind,
    )


def _behavior_index(rows: pl.DataFrame, behaviors: tuple[str, ...]) -> NDArray[np.int16]:
    if BEHAVIOR not in rows.columns:
        return np.zeros(len(rows), np.int16)
    index = {name: position for position, name in enumerate(behaviors)}
    return rows[BEHAVIOR].replace_strict(index, return_dtype=pl.Int16).to_numpy()


def dense_of(codes: IntArray, fitted: Int32Array) -> Int32Array:
    """Dense ids of log codes, UNKNOWN where a code was not among the `fitted` (ascending) ones."""
    if not len(fitted):
        return np.full(len(codes), UNKNOWN, np.int32)
    position = np.searchsorted(fitted, codes).clip(max=len(fitted) - 1)
    return np.where(fitted[position] == codes, position, UNKNOWN).astype(np.int32)


class Coded(Protocol):
    """Something with internal ids: by id, the code in the ingested log, ascending."""

    @property
    def user_codes(self) -> Int32Array: ...

    @property
    def item_codes(self) -> Int32Array: ...


def hold_out(rows: pl.DataFrame, train: Coded) -> HeldOut:
    """Coded held-out rows of the target behaviour in the dense ids of `train`; cold rows are
    counted and kept apart.
    """
    user = dense_of(rows[USER].to_numpy(), train.user_codes)
    item = dense_of(rows[ITEM].to_numpy(), train.item_codes)
    warm = (user != UNKNOWN) & (item != UNKNOWN)
    dropped = Drops(
        {
            "cold user": int((user == UNKNOWN).sum()),
            "cold item": int(((user != UNKNOWN) & (item == UNKNOWN)).sum()),
        }
    )
    # Distinct pairs, as one number each.
    num_items = max(len(train.item_codes), 1)
    pairs = distinct(user[warm].astype(np.int64) * num_items + item[warm])
    warm_user, warm_item = np.divmod(pairs, num_items)
    return HeldOut(
        warm_user.astype(np.int32),
        warm_item.astype(np.int32),
        +dropped,
        rows.filter(pl.Series(~warm)).select(USER, ITEM),
    )
