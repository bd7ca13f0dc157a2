"""Cleaning: tables worked by hand, naive loops as oracles, and the fixed point as a property."""

from collections import Counter, defaultdict

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.core.config import CleanConfig
from recsys.core.errors import ConfigError, DataError
from recsys.core.tables import BEHAVIOR, ITEM, ITEM_ID, RATING, TIME, USER, WEIGHT
from recsys.logs.clean import cap_activity, drop_duplicates, mark_rows, moment
from recsys.logs.core_filter import filter_users, fixed_point
from recsys.logs.reasons import KEPT, REASON, REASON_TYPE, count_reasons, describe


def marked(columns):
    frame = pl.DataFrame(columns)
    return frame.with_columns(pl.lit(KEPT, dtype=REASON_TYPE).alias(REASON)).lazy()


def reasons(columns, **clean):
    return (
        mark_rows(marked(columns), list(columns), CleanConfig(**clean))
        .collect()[REASON]
        .cast(pl.String)
        .to_list()
    )


def test_time_rules_by_hand():
    found = reasons({TIME: [-1, 0, 99, 100, 199, 200, 5_000_000_000]}, start=100, end=200)
    assert found == [
        "timestamp negative",
        "before the time window",
        "before the time window",
        KEPT,
        KEPT,
        "after the time window",
        "timestamp impossibly large",
    ]


def test_rating_rules_by_hand():
    assert reasons({RATING: [3.5, 4.0, None]}, min_rating=4) == [
        "rating below the minimum",
        KEPT,
        "rating missing",
    ]


def test_an_earlier_reason_stands():
    frame = marked({TIME: [-1]}).with_columns(
        pl.lit("user id missing", dtype=REASON_TYPE).alias(REASON)
    )
    found = mark_rows(frame, [TIME], CleanConfig()).collect()
    assert count_reasons(found[REASON]) == {"user id missing": 1}


@pytest.mark.parametrize(
    ("columns", "clean", "match"),
    [
        ({ITEM_ID: ["x"]}, {"min_rating": 4}, "rating column"),
        ({ITEM_ID: ["x"]}, {"start": 1}, "time column"),
    ],
)
def test_rules_without_their_column(columns, clean, match):
    with pytest.raises(DataError, match=match):
        reasons(columns, **clean)


def test_moments_are_numbers_or_iso_text():
    assert [
        moment(value, "clean.start")
        for value in (None, 5, "1970-01-02", "1970-01-01T00:00:01+00:00")
    ] == [
        None,
        5,
        86_400,
        1,
    ]
    with pytest.raises(ConfigError, match=r"clean.start = 'soon'"):
        moment("soon", "clean.start")


def test_drops_are_told_most_frequent_first():
    assert describe(Counter({"a": 1, "b": 1200})) == "1,200 b, 1 a"
    assert describe(Counter()) == "nothing"


def coded(rows, columns):
    kinds = {USER: pl.Int32, ITEM: pl.Int32, TIME: pl.Int64, BEHAVIOR: pl.Int32, WEIGHT: pl.Float32}
    return pl.DataFrame(rows, schema={column: kinds[column] for column in columns}, orient="row")


ROWS = [(0, 1, 20, 2.0), (0, 1, 10, 5.0), (0, 1, 10, 7.0), (1, 1, 5, 1.0)]


@pytest.mark.parametrize(
    ("keep", "wanted"),
    [
        ("first", [(0, 1, 10, 5.0), (1, 1, 5, 1.0)]),
        ("last", [(0, 1, 20, 2.0), (1, 1, 5, 1.0)]),
        ("sum", [(0, 1, 10, 14.0), (1, 1, 5, 1.0)]),
    ],
)
def test_duplicates_by_hand(keep, wanted):
    rows, drops = drop_duplicates(coded(ROWS, [USER, ITEM, TIME, WEIGHT]), keep)
    assert sorted(rows.rows()) == wanted
    assert drops == {"duplicate": 2}


def test_sum_counts_rows_where_there_is_no_weight():
    rows, _ = drop_duplicates(coded([row[:3] for row in ROWS], [USER, ITEM, TIME]), "sum")
    assert sorted(rows.rows()) == [(0, 1, 10, 3.0), (1, 1, 5, 1.0)]


@given(
    st.lists(
        st.tuples(
            *[st.integers(0, 2)] * 2, st.integers(0, 4), st.integers(0, 1), st.integers(1, 3)
        ),
        max_size=30,
    ),
    st.sampled_from(["first", "last", "sum"]),
    st.booleans(),
)
def test_duplicates_agree_with_a_loop(rows, keep, weighted):
    columns = [USER, ITEM, TIME, BEHAVIOR, WEIGHT][: 5 if weighted else 4]
    rows = [row[: len(columns)] for row in rows]
    groups = defaultdict(list)
    for row in rows:
        groups[row[0], row[1], row[3]].append(row)
    wanted = []
    for group in groups.values():
        ordered = sorted(
            group, key=lambda row: row[2]
        )  # stable: the order of the log decides between equal times
        row = ordered[-1] if keep == "last" else ordered[0]
        weight = sum(one[4] for one in group) if weighted else len(group)
        wanted.append((*row[:4], weight) if keep == "sum" else row)
    found, drops = drop_duplicates(coded(rows, columns), keep)
    assert sorted(found.rows()) == sorted(wanted)
    assert drops.total() == len(rows) - len(found)


def test_cap_keeps_the_latest_rows_of_each_user():
    rows = coded([(0, 1, 10), (0, 2, 30), (0, 3, 20), (0, 4, 20), (1, 1, 5)], [USER, ITEM, TIME])
    kept, drops = cap_activity(rows, 2)
    assert sorted(kept.rows()) == [(0, 2, 30), (0, 4, 20), (1, 1, 5)]
    assert drops == {"beyond the user's latest interactions": 2}
    assert cap_activity(rows, None)[0] is rows
    with pytest.raises(DataError, match="time"):
        cap_activity(rows.drop(TIME), 2)


def core_of(pairs, num_users, num_items, min_user, min_item, buckets=1):
    """Users and the core of pairs whose users are dealt out to buckets."""
    users = [np.ones(num_users, bool) for _ in range(buckets)]

    def pass_over(number, items):
        rounds = []
        for bucket in range(buckets):
            chosen = [pair for pair in pairs if pair[0] % buckets == bucket]
            user, item = np.array(chosen, np.int32).reshape(-1, 2).T
            users[bucket], found = filter_users(user, item, users[bucket], items, min_user)
            rounds.append(found)
        return rounds

    core = fixed_point(pass_over, num_items, min_item)
    return np.logical_or.reduce(users), core


def core_by_loop(pairs, min_user, min_item):
    left = list(pairs)
    while True:
        users, items = Counter(user for user, _ in left), Counter(item for _, item in left)
        kept = [
            (user, item)
            for user, item in left
            if users[user] >= min_user and items[item] >= min_item
        ]
        if len(kept) == len(left):
            return kept
        left = kept


def test_core_by_hand():
    # Item 2 has one row; without it user 1 has one row, and without that row item 1 has one.
    pairs = [(0, 0), (2, 0), (0, 1), (1, 1), (1, 2), (2, 3), (0, 3)]
    users, core = core_of(pairs, 3, 4, 2, 2)
    assert users.tolist() == [True, False, True]
    assert core.items.tolist() == [True, False, False, True]
    assert core.drops == {"item with too few interactions": 2, "user with too few interactions": 1}
    assert core.rounds == 3


@settings(max_examples=150)
@given(
    st.lists(st.tuples(st.integers(0, 7), st.integers(0, 7)), max_size=40),
    st.integers(1, 4),
    st.integers(1, 4),
    st.integers(1, 4),
)
def test_core_is_the_fixed_point_whatever_the_buckets(pairs, min_user, min_item, buckets):
    users, core = core_of(pairs, 8, 8, min_user, min_item, buckets)
    wanted = core_by_loop(pairs, min_user, min_item)
    found = [pair for pair in pairs if users[pair[0]] and core.items[pair[1]]]
    assert found == wanted
    assert core.drops.total() == len(pairs) - len(wanted)
    assert set(np.flatnonzero(users)) == {user for user, _ in wanted}
    assert set(np.flatnonzero(core.items)) == {item for _, item in wanted}
    _, one = core_of(pairs, 8, 8, min_user, min_item)
    assert (one.drops, one.rounds) == (core.drops, core.rounds)
