"""Features and candidates of others, worked by hand on three items and two users."""

import numpy as np
import polars as pl
import pytest
from scipy import sparse

from recsys.bundle.attributes import read_attributes_of
from recsys.bundle.item_columns import item_columns, readable_columns
from recsys.core.errors import DataError
from recsys.core.history import NOW, UserHistories
from recsys.core.ranking import NO_ITEM
from recsys.second_stage.candidates import Sources, with_others
from recsys.second_stage.columns import category_numbers, codes_of, common_values
from recsys.second_stage.features import Pairs, feature_named, features_of, names_for
from recsys.second_stage.inputs import FirstStage, RankedUsers, last_moments, latest_items

HOUR = 3600
WEDNESDAY_NOON = 1_700_049_600.0  # 2023-11-15, 12:00 UTC
TABLE = pl.DataFrame(
    {
        "item_id": ["a", "b", "c"],
        "title": ["A", "B", "C"],
        "genres": [["comedy"], ["comedy", "war"], []],
        "year": [1990, 1994, None],
        "price": [1.5, None, 3.5],
    }
)
COLUMNS = {"genres": ["comedy", "war"], "price": [], "year": []}


def first_stage() -> FirstStage:
    neighbours = np.array([[0.0, 0.5, 0.0], [0.5, 0.0, 0.25], [0.0, 0.25, 0.0]], np.float32)
    return FirstStage(
        item_vectors=np.eye(3, dtype=np.float32),
        added=None,
        counts=np.array([5.0, 3.0, 1.0], np.float32),
        recent=np.array([0.1, 0.2, 0.3], np.float32),
        neighbours=sparse.csr_matrix(neighbours),
        item_columns=item_columns(read_attributes_of(TABLE, {}), COLUMNS),
        user_codes={"country": codes_of(["de", "fr"], ["fr"])},
    )


def two_users() -> RankedUsers:
    """The first had a and b, and was here two hours ago; of the second nothing is known."""
    had = sparse.csr_matrix(np.array([[1, 1, 0], [0, 0, 0]], np.float32))
    country = sparse.csr_matrix(np.array([[0, 1], [1, 0]], np.float32))
    return RankedUsers(
        vectors=np.ones((2, 3), np.float32),
        past=None,
        had=had,
        latest=had,
        moments=np.array([WEDNESDAY_NOON, np.nan]),
        last_moments=np.array([WEDNESDAY_NOON - 2 * HOUR, np.nan]),
        attributes={"country": country},
    )


def values(name: str) -> list[list[float]]:
    """(users, items) of one feature."""
    row, item = np.divmod(np.arange(6), 3)
    pairs = Pairs(first_stage(), two_users(), row, item, 1.0)
    return features_of(pairs, [name]).reshape(2, 3).tolist()


NAN = float("nan")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("hour", [[12] * 3, [NAN] * 3]),
        ("weekday", [[2] * 3, [NAN] * 3]),
        ("since_last", [[np.log(3)] * 3, [NAN] * 3]),
        ("goes_with_latest", [[0.5, 0.5, 0.25], [0, 0, 0]]),
        ("item.genres", [[0, 1, NAN]] * 2),
        ("item.year", [[1990, 1994, NAN]] * 2),
        ("item.price", [[1.5, NAN, 3.5]] * 2),
        # a is a comedy as both that were had are; of b half as much is war
        ("beside_history.genres", [[1, 0.75, NAN], [NAN] * 3]),
        ("beside_history.year", [[-2, 2, NAN], [NAN] * 3]),
        ("beside_history.price", [[0, NAN, 2], [NAN] * 3]),
        ("user.country", [[0] * 3, [NAN] * 3]),
    ],
)
def test_features_by_hand(name: str, expected: list[list[float]]) -> None:
    np.testing.assert_allclose(values(name), expected, rtol=1e-6)


def test_every_feature_has_words_and_a_name_that_finds_it() -> None:
    names = names_for(first_stage())
    assert len(set(names)) == len(names) and "user.country" in names
    for name in names:
        feature = feature_named(name)
        assert feature.name == name and feature.words
    assert feature_named("item.genres").words == "its genres"
    with pytest.raises(DataError, match="'weather', which there is not"):
        feature_named("weather")


def test_common_values_are_categories_and_numbers_stay() -> None:
    genres = ["drama"] * 12 + ["comedy"] * 11 + ["rare"] * 9
    year = list(range(32))
    names = [f"name {number}" for number in range(32)]
    table = pl.DataFrame({"item_id": names, "genre": genres, "year": year, "code": names})
    assert readable_columns(read_attributes_of(table, {})) == {
        "genre": ["drama", "comedy"],
        "year": [],
    }


def test_the_rarest_category_of_several() -> None:
    owned = sparse.csr_matrix(np.array([[1, 1, 0], [1, 0, 1], [0, 0, 1]], np.float32))
    codes = codes_of(["x", "y", "z"], ["x", "y"])
    np.testing.assert_array_equal(category_numbers(owned, codes), [1, 0, NAN])
    assert common_values(owned, ["x", "y", "z"]) == []  # of ten owners at least


def test_a_column_that_others_lack_is_not_known() -> None:
    attributes = read_attributes_of(TABLE.select("item_id"), {})
    assert item_columns(attributes, COLUMNS) == {}
    row = np.zeros(2, np.int64)
    pairs = Pairs(
        FirstStage(*[np.ones((2, 1), np.float32), None, row, row]), two_users(), row, row, 1
    )
    assert np.isnan(features_of(pairs, ["item.genres", "goes_with_latest", "user.x"])).all()


def test_others_join_where_they_may() -> None:
    first = first_stage()
    items = np.array([[0, NO_ITEM], [1, NO_ITEM]], np.int32)

    # popular: a b c; of late: c b a; with the latest of the first user: a and b, then c
    def joined(sources: Sources, **where: object) -> list[list[int]]:
        return with_others(first, two_users(), items, sources, **where).tolist()

    assert joined(Sources(1)) == [[0, -1, 1], [1, -1, 0]]
    assert joined(Sources(1, 1)) == [[0, -1, 1, 2], [1, -1, 0, 2]]
    assert joined(Sources(0, 0, 2)) == [[0, -1, 1, 2], [1, -1, -1, -1]]
    barred = sparse.csr_matrix(np.array([[0, 1, 0], [0, 0, 0]], np.int8))
    allow = np.array([True, True, False])
    assert joined(Sources(1), exclude=barred, allow=allow) == [[0, -1, -1], [1, -1, 0]]


def test_recent_popularity_joins_only_where_it_differs() -> None:
    first = first_stage()
    assert first.most_recent.tolist() == [2, 1, 0]
    same = FirstStage(first.item_vectors, None, first.counts, first.counts / 10)
    assert same.most_recent.tolist() == []


def histories(kind: str = "seconds") -> UserHistories:
    """Two users; the first took 0 … 6, an event a second, then one that names no time."""
    return UserHistories(
        indptr=np.array([0, 8, 8]),
        item=np.array([0, 1, 2, 3, 4, 5, 6, 1]),
        behavior=np.array([0, 0, 0, 0, 0, 0, 1, 0], np.int16),
        weight=np.ones(8, np.float32),
        time=np.array([10, 11, 12, 13, 14, 15, 16, NOW]),
        behaviors=("buy", "view"),
        num_items=7,
        time_kind=kind,
    )


def test_the_latest_items_of_the_target() -> None:
    assert np.flatnonzero(latest_items(histories(), "buy").toarray()[0]).tolist() == [1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    ("moment", "expected"), [(12.0, 12.0), (12.5, 12.5), (9.0, 9.0), (NAN, NAN)]
)
def test_the_last_moment_is_not_later_than_the_request(moment: float, expected: float) -> None:
    """An event that names no time is as late as the request."""
    last = last_moments(histories(), np.array([moment, moment]))
    np.testing.assert_array_equal(last, [expected, NAN])


def test_an_event_after_the_request_is_not_looked_at() -> None:
    known = histories()
    without_now = known.of_users(np.array([1, 0])).of_user(1)
    earlier = np.array([12.5])
    rows = without_now.time < NOW
    timed = UserHistories(
        np.array([0, 7]),
        without_now.item[rows],
        without_now.behavior[rows],
        without_now.weight[rows],
        without_now.time[rows],
        without_now.behaviors,
        7,
    )
    assert last_moments(timed, earlier).tolist() == [12.0]
    np.testing.assert_array_equal(last_moments(timed, np.array([9.0])), [NAN])


def test_an_order_is_no_clock() -> None:
    assert np.isnan(last_moments(histories("order"), np.array([12.0, 12.0]))).all()


def test_histories_of_some_users() -> None:
    both = histories().of_users(np.array([1, 0, 0]))
    assert both.indptr.tolist() == [0, 0, 8, 16]
    assert both.item.tolist() == [*histories().item, *histories().item]
