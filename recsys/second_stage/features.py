"""What the second stage reads of a user and an item: a feature is a line of FEATURES or
COLUMN_FEATURES, with its name, its words and its function.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from scipy import sparse

from recsys.core.arrays import Float32Array, Float64Array, FloatArray, IntArray
from recsys.core.errors import DataError
from recsys.core.interactions import DAY_SECONDS
from recsys.core.tables import ITEM, USER
from recsys.second_stage.candidates import latest_strengths
from recsys.second_stage.columns import category_numbers
from recsys.second_stage.inputs import FirstStage, RankedUsers

_LONGEST_HISTORY = 200  # of a longer one some, spread evenly
_HOUR_SECONDS = 3600
_FIRST_WEEKDAY = 3  # 1970-01-01 was a Thursday, the first being Monday


@dataclass(frozen=True)
class Pairs:
    """Pairs of a user and an item.

    first: Of the scores.
    users: Of n users.
    row: (pairs,) places among them, ascending.
    item: (pairs,) internal ids.
    unit: Scores and their parts are counted in this.
    """

    first: FirstStage
    users: RankedUsers
    row: IntArray
    item: IntArray
    unit: float

    @cached_property
    def parts(self) -> Float64Array:
        """(pairs, 5) of scores: vectors, item table and auxiliary behaviours, low-pass, trend,
        popularity.
        """
        parts = np.zeros((len(self.row), 5))
        first, past = self.first, self.users.past
        parts[:, 0] = _inner(self.users.vectors[self.row], first.item_vectors[self.item])
        added = first.added
        if added is None or past is None:
            return parts
        parts[:, 1] = _entries(added.sparse_scores(past), self.row, self.item)
        if added.rank:
            queries = added.queries(past.items)[:, : added.rank]
            parts[:, 2] = _inner(queries[self.row], added.back[self.item, : added.rank])
        parts[:, 3] = added.trend[self.item]
        parts[:, 4] = added.popular[self.item]
        return parts

    @cached_property
    def scores(self) -> Float64Array:
        """(pairs,) of the first stage."""
        return np.asarray(self.parts.sum(axis=1))

    @cached_property
    def had(self) -> sparse.csr_matrix:
        """(n, items) 1 for each item of a user under the target behaviour."""
        return self.users.had.sign()

    @cached_property
    def lengths(self) -> IntArray:
        """(n,) items under the target behaviour."""
        return np.asarray(np.diff(self.users.had.indptr))

    @cached_property
    def history_popularity(self) -> Float64Array:
        """(n,) mean of ln(1 + users) in the history."""
        sums = self.had @ self.first.logarithms
        return np.asarray(sums / np.maximum(self.lengths, 1))

    @cached_property
    def likeness(self) -> Float32Array:
        """(pairs, 3) cosines of an item with what its user has had: largest, mean of the three
        largest, mean of all. 0 for who had nothing.
        """
        directions, had = self.first.directions, self.users.had
        likeness = np.zeros((len(self.row), 3), np.float32)
        for user, pairs in _by_user(self.row):
            history = had.indices[had.indptr[user] : had.indptr[user + 1]]
            if not len(history):
                continue
            if len(history) > _LONGEST_HISTORY:
                places = np.linspace(0, len(history) - 1, _LONGEST_HISTORY).astype(np.int64)
                history = history[places]
            cosines = directions[self.item[pairs]] @ directions[history].T
            count = min(3, len(history))
            largest = np.partition(cosines, -count, axis=1)[:, -count:]
            likeness[pairs, 0] = largest.max(axis=1)
            likeness[pairs, 1] = largest.mean(axis=1)
            likeness[pairs, 2] = cosines.mean(axis=1)
        return likeness

    @property
    def nothing(self) -> Float64Array:
        """(pairs,) NaN: what is not known."""
        return np.full(len(self.row), np.nan)


class Feature(NamedTuple):
    """What trees read.

    name: in bundles.
    words: in explanations, behind "moved up for".
    of: (pairs,) its values; NaN where it is not known.
    """

    name: str
    words: str
    of: Callable[[Pairs], FloatArray]


class ColumnFeature(NamedTuple):
    """What trees read of each column of items, or of users.

    prefix: of its name, before the column's.
    owner: ITEM or USER.
    words: with a place for the column.
    of: (pairs,) its values for a column.
    """

    prefix: str
    owner: str
    words: str
    of: Callable[[Pairs, str], FloatArray]

    def of_column(self, column: str) -> Feature:
        """The feature of one column."""
        name = f"{self.prefix}.{column}"
        return Feature(name, self.words.format(column), lambda pairs: self.of(pairs, column))


def _since_last(pairs: Pairs) -> FloatArray:
    """ln(1 + hours) from the user's latest event."""
    moments, last = pairs.users.moments, pairs.users.last_moments
    if moments is None or last is None:
        return pairs.nothing
    hours = (moments - last) / _HOUR_SECONDS
    return np.asarray(np.log1p(np.maximum(hours, 0)))[pairs.row]


def _hour(pairs: Pairs) -> FloatArray:
    """0 to 23, UTC."""
    if pairs.users.moments is None:
        return pairs.nothing
    return np.asarray(pairs.users.moments // _HOUR_SECONDS % 24)[pairs.row]


def _weekday(pairs: Pairs) -> FloatArray:
    """0 for Monday to 6, UTC."""
    if pairs.users.moments is None:
        return pairs.nothing
    return np.asarray((pairs.users.moments // DAY_SECONDS + _FIRST_WEEKDAY) % 7)[pairs.row]


def _goes_with_latest(pairs: Pairs) -> FloatArray:
    strengths = latest_strengths(pairs.first, pairs.users)
    if strengths is None:
        return pairs.nothing
    return _entries(strengths, pairs.row, pairs.item)


def _of_item(pairs: Pairs, column: str) -> FloatArray:
    if column not in pairs.first.item_columns:
        return pairs.nothing
    return pairs.first.item_columns[column].numbers[pairs.item]


def _of_user(pairs: Pairs, column: str) -> FloatArray:
    if column not in pairs.users.attributes or column not in pairs.first.user_codes:
        return pairs.nothing
    values, codes = pairs.users.attributes[column], pairs.first.user_codes[column]
    return category_numbers(values, codes)[pairs.row]


def _beside_history(pairs: Pairs, column: str) -> FloatArray:
    """Of values the share of the history that has one of the item's, their mean where it has several;
    of numbers how far the item's lies above the mean of the history.
    """
    if column not in pairs.first.item_columns:
        return pairs.nothing
    numbers, values = pairs.first.item_columns[column]
    with np.errstate(invalid="ignore", divide="ignore"):
        if values is None:
            known = np.isfinite(numbers)
            sums = pairs.had @ np.where(known, numbers, 0.0)
            means = sums / (pairs.had @ known.astype(np.float64))
            return np.asarray(numbers[pairs.item] - means[pairs.row])
        of_item = values[pairs.item]
        # (pairs,) items of the history with each value of the item, summed
        together = (pairs.had @ values)[pairs.row].multiply(of_item).sum(axis=1)
        shares = np.asarray(together, np.float64).ravel() / np.diff(of_item.indptr)
        return np.asarray(shares / pairs.lengths[pairs.row])


FEATURES = (
    Feature("score", "how well it fits you by the model", lambda pairs: pairs.scores / pairs.unit),
    Feature(
        "by_vectors",
        "how well it fits you by the model",
        lambda pairs: pairs.parts[:, 0] / pairs.unit,
    ),
    Feature(
        "by_item_table",
        "what goes with items you had",
        lambda pairs: pairs.parts[:, 1] / pairs.unit,
    ),
    Feature(
        "by_low_pass",
        "what goes with items you had",
        lambda pairs: pairs.parts[:, 2] / pairs.unit,
    ),
    Feature("by_trend", "being taken often of late", lambda pairs: pairs.parts[:, 3] / pairs.unit),
    Feature("by_popularity", "how many take it", lambda pairs: pairs.parts[:, 4] / pairs.unit),
    Feature("item_users", "how many take it", lambda pairs: pairs.first.logarithms[pairs.item]),
    Feature(
        "item_recent_users",
        "how many take it of late",
        lambda pairs: np.log1p(np.asarray(pairs.first.recent, np.float64)[pairs.item] * 1000),
    ),
    Feature(
        "history_length",
        "how much you have had",
        lambda pairs: np.log1p(pairs.lengths[pairs.row]),
    ),
    Feature(
        "history_popularity",
        "how popular is what you have had",
        lambda pairs: pairs.history_popularity[pairs.row],
    ),
    Feature(
        "popularity_above_history",
        "how popular it is beside what you have had",
        lambda pairs: pairs.first.logarithms[pairs.item] - pairs.history_popularity[pairs.row],
    ),
    Feature(
        "likest_in_history",
        "being like something you had",
        lambda pairs: pairs.likeness[:, 0],
    ),
    Feature(
        "three_likest_in_history",
        "being like something you had",
        lambda pairs: pairs.likeness[:, 1],
    ),
    Feature(
        "mean_likeness_to_history",
        "being like what you have had",
        lambda pairs: pairs.likeness[:, 2],
    ),
    Feature("goes_with_latest", "going with what you had last", _goes_with_latest),
    Feature("since_last", "how long ago you were here", _since_last),
    Feature("hour", "the time of day", _hour),
    Feature("weekday", "the day of the week", _weekday),
)
COLUMN_FEATURES = (
    ColumnFeature("item", ITEM, "its {}", _of_item),
    ColumnFeature("beside_history", ITEM, "its {} beside what you have had", _beside_history),
    ColumnFeature("user", USER, "your {}", _of_user),
)


def feature_named(name: str) -> Feature:
    """The feature of a name in a bundle. Raises DataError for one that there is not."""
    for feature in FEATURES:
        if feature.name == name:
            return feature
    prefix, _, column = name.partition(".")
    for of_columns in COLUMN_FEATURES:
        if of_columns.prefix == prefix:
            return of_columns.of_column(column)
    raise DataError(
        f"the second stage reads {name!r}, which there is not",
        "The bundle is of a later version: update recsys",
    )


def names_for(first: FirstStage) -> tuple[str, ...]:
    """Features that trees over a first stage may read."""
    columns = {ITEM: list(first.item_columns), USER: list(first.user_codes)}
    names = [feature.name for feature in FEATURES]
    for of_columns in COLUMN_FEATURES:
        names += [of_columns.of_column(column).name for column in columns[of_columns.owner]]
    return tuple(names)


def reads_column(name: str, owner: str, column: str) -> bool:
    """Whether the feature of that name is one of a column of "item" or "user"."""
    prefix, _, of_column = name.partition(".")
    prefixes = [feature.prefix for feature in COLUMN_FEATURES if feature.owner == owner]
    return prefix in prefixes and of_column == column


def features_of(pairs: Pairs, names: Sequence[str]) -> Float32Array:
    """(pairs, features) in the order of the names."""
    features = np.empty((len(pairs.row), len(names)), np.float32)
    for column, name in enumerate(names):
        features[:, column] = feature_named(name).of(pairs)
    return features


def _entries(matrix: sparse.csr_matrix, row: IntArray, column: IntArray) -> Float64Array:
    """(pairs,) entries of a matrix, 0 where it has none."""
    if not matrix.nnz or not len(row):
        return np.zeros(len(row))
    return np.asarray(matrix[row, column], np.float64).ravel()


def _inner(left: Float32Array, right: Float32Array) -> Float32Array:
    """(pairs,) inner products of rows."""
    return np.asarray(np.einsum("pd,pd->p", left, right))


def _by_user(row: IntArray) -> Iterator[tuple[int, slice]]:
    """Each user with the pairs of theirs. row: ascending."""
    users, starts = np.unique(row, return_index=True)
    ends = [*starts[1:].tolist(), len(row)]
    for user, start, end in zip(users.tolist(), starts.tolist(), ends, strict=True):
        yield user, slice(start, end)
