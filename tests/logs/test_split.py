"""Splits: tables worked by hand, and for every method: no row is lost, no pair is shared, no future
is learned from.
"""

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.core.config import SplitConfig
from recsys.core.errors import DataError, UsageError
from recsys.core.ids import IdMap
from recsys.core.tables import BEHAVIOR, CODED_SCHEMA, ITEM, SPLIT, TIME, USER, in_order
from recsys.logs.audit import audit_splits, enforce
from recsys.logs.ingest import CodedLog
from recsys.logs.published_split import OTHER_HELD
from recsys.logs.split import (
    KNOWN_TEST,
    OTHER_LATE,
    folds,
    held_out_last,
    held_out_later,
    load,
    split_log,
)
from recsys.logs.time_cut import MomentsInMemory, cut_moment

METHODS = ("global_time", "rolling_time", "leave_last", "last_share", "random")


def coded(rows, columns=(USER, ITEM, TIME)):
    schema = {column: CODED_SCHEMA.get(column, pl.String()) for column in columns}
    frame = in_order(pl.DataFrame(rows, schema=schema, orient="row"))
    users = IdMap(pl.Series([f"u{n}" for n in range(int(frame[USER].max()) + 1)]), "user")
    items = IdMap(pl.Series([f"i{n}" for n in range(int(frame[ITEM].max()) + 1)]), "item")
    behaviors = tuple(sorted(frame[BEHAVIOR].unique())) if BEHAVIOR in columns else ("interaction",)
    return CodedLog(frame.lazy(), users, items, behaviors, pl.DataFrame(), pl.DataFrame())


def pairs(frame):
    return frame.select(USER, ITEM).rows()


TEN = coded([(n % 3, n, 100 * n) for n in range(10)])


def test_global_time_by_hand():
    splits = split_log(TEN, SplitConfig(test_share=0.2, validation_share=0.25), "interaction", 0)
    assert splits.method == "global_time" and splits.time_safe
    assert splits.cuts == {"validation": 600, "test": 800}
    assert sorted(splits.test[TIME]) == [800, 900] and sorted(splits.validation[TIME]) == [600, 700]
    assert len(splits.train) == 6 and not splits.drops


@pytest.mark.parametrize(
    ("method", "later"),
    [(method, method != "random") for method in ("auto", *METHODS)],
)
def test_what_is_held_out_comes_later_unless_it_is_drawn(method, later):
    assert held_out_later(TEN, SplitConfig(method=method)) is later


def test_nothing_comes_later_without_times():
    assert not held_out_later(coded([(0, 0), (1, 1)], (USER, ITEM)), SplitConfig())


@pytest.mark.parametrize(("moment", "later"), [(9, False), (11, True)])
def test_published_files_come_later_if_their_times_say_so(moment, later):
    rows = [(0, 0, 5, "train"), (1, 1, 10, "train"), (0, 1, moment, "test")]
    assert (
        held_out_later(coded(rows, (USER, ITEM, TIME, SPLIT)), SplitConfig(method="given")) is later
    )


@pytest.mark.parametrize(("moments", "is_last"), [((6, 11), True), ((4, 11), False)])
def test_published_files_hold_out_ends_if_each_users_times_say_so(moments, is_last):
    """The first user's test row is after their own train rows, and before the other's."""
    rows = [(0, 0, 5, "train"), (1, 1, 10, "train")]
    rows += [(0, 1, moments[0], "test"), (1, 0, moments[1], "test")]
    log = coded(rows, (USER, ITEM, TIME, SPLIT))
    assert held_out_last(log, SplitConfig(method="given")) is is_last
    assert not held_out_later(log, SplitConfig(method="given"))


@pytest.mark.parametrize("method", ["random", "last_share", "leave_last", "global_time"])
def test_a_log_that_is_split_here_holds_out_ends_unless_at_random(method):
    assert held_out_last(TEN, SplitConfig(method=method)) is (method != "random")


def test_rows_at_the_cut_go_to_one_side():
    log = coded([(0, n, 10 if n < 6 else 20) for n in range(10)])
    splits = split_log(log, SplitConfig(test_share=0.1, validation_share=0), "interaction", 0)
    assert splits.cuts == {"test": 20} and len(splits.test) == 4


def test_other_behaviors_after_a_cut_are_not_learned_from():
    columns = (USER, ITEM, TIME, BEHAVIOR)
    log = coded(
        [(0, n, n, "buy") for n in range(10)] + [(0, n, n, "view") for n in range(10)], columns
    )
    splits = split_log(log, SplitConfig(test_share=0.2, validation_share=0.25), "buy", 0)
    assert splits.drops == {OTHER_LATE: 2}
    assert splits.after_train.select(TIME, BEHAVIOR).rows() == [(6, "view"), (7, "view")]
    assert set(splits.test[BEHAVIOR]) == set(splits.validation[BEHAVIOR]) == {"buy"}
    assert splits.rows("select").equals(splits.train)
    assert sorted(splits.rows("final")[TIME]) == sorted([*range(8), *range(8)])


def test_rolling_folds_move_back_from_the_end():
    config = SplitConfig(test_share=0.2, validation_share=0, folds=3)
    found = folds(TEN, config, "interaction", 0)
    assert [sorted(fold.test[TIME]) for fold in found] == [[400, 500], [600, 700], [800, 900]]
    assert [len(fold.train) for fold in found] == [4, 6, 8]
    assert found[0].drops == {"after the window of the fold": 4}
    latest = split_log(
        TEN,
        SplitConfig(method="rolling_time", test_share=0.2, validation_share=0),
        "interaction",
        0,
    )
    assert latest.test.equals(found[-1].test)
    with pytest.raises(UsageError, match="fold 5 of 3"):
        split_log(TEN, SplitConfig(method="rolling_time", fold=5), "interaction", 0)


def test_leave_last_by_hand():
    log = coded([(0, 0, 1), (0, 1, 2), (0, 2, 3), (0, 3, 4), (1, 0, 5), (1, 1, 6), (2, 2, 7)])
    splits = split_log(log, SplitConfig(method="leave_last"), "interaction", 0)
    assert pairs(splits.test) == [(0, 3), (1, 1)]
    assert pairs(splits.validation) == [(0, 2)]
    assert pairs(splits.train) == [(0, 0), (0, 1), (1, 0), (2, 2)]
    assert not splits.time_safe


def test_last_share_by_hand():
    log = coded([(0, n, n) for n in range(10)] + [(1, 0, 50)])
    splits = split_log(
        log,
        SplitConfig(method="last_share", test_share=0.2, validation_share=0.25),
        "interaction",
        0,
    )
    assert pairs(splits.test) == [(0, 8), (0, 9)]
    assert pairs(splits.validation) == [(0, 6), (0, 7)]


def test_later_rows_of_a_held_out_pair_leave_train():
    columns = (USER, ITEM, TIME, BEHAVIOR)
    rows = [(0, 0, 1, "buy"), (0, 1, 2, "buy"), (0, 2, 3, "buy")]
    views = [(0, 2, 1, "view"), (0, 2, 9, "cart"), (0, 1, 9, "view"), (0, 0, 9, "view")]
    splits = split_log(coded(rows + views, columns), SplitConfig(method="leave_last"), "buy", 0)
    assert splits.drops == {OTHER_LATE: 1}
    assert splits.after_train.rows() == [(0, 1, 9, "view")]
    assert sorted(splits.train.select(ITEM, TIME, BEHAVIOR).rows()) == [
        (0, 1, "buy"),
        (0, 9, "view"),
        (2, 1, "view"),
    ]


def test_random_depends_on_seed_and_ids_alone():
    rows = [(user, item, user + item) for user in range(20) for item in range(10)]
    config = SplitConfig(method="random", test_share=0.2, validation_share=0.25)
    splits = split_log(coded(rows), config, "interaction", 0)
    assert splits.test.group_by(USER).len()["len"].to_list() == [2] * 20
    assert splits.validation.group_by(USER).len()["len"].to_list() == [2] * 20
    assert split_log(coded(rows[::-1]), config, "interaction", 0).test.equals(splits.test)
    assert not split_log(coded(rows), config, "interaction", 1).test.equals(splits.test)
    fewer = split_log(coded([row for row in rows if row[0] < 7]), config, "interaction", 0)
    assert pairs(fewer.test) == [pair for pair in pairs(splits.test) if pair[0] < 7]


def test_random_is_spread_over_items():
    rows = [(user, item, 0) for user in range(400) for item in range(10)]
    test = split_log(coded(rows), SplitConfig(method="random"), "interaction", 0).test
    counts = np.bincount(test[ITEM].to_numpy(), minlength=10)
    assert counts.min() > 20 and counts.sum() == 400


def given_log(train, test, validation=(), columns=(USER, ITEM, TIME, SPLIT)):
    named = [(*row, "train") for row in train] + [(*row, "test") for row in test]
    return coded(named + [(*row, "validation") for row in validation], columns)


def test_published_files_are_taken_as_they_are():
    log = given_log([(0, 0, 1), (1, 1, 2)], [(0, 1, 9), (1, 1, 9)], [(0, 2, 5)])
    splits = split_log(log, SplitConfig(), "interaction", 0)
    assert (pairs(splits.train), pairs(splits.validation), pairs(splits.test)) == (
        [(0, 0), (1, 1)],
        [(0, 2)],
        [(0, 1)],
    )
    assert splits.drops == {KNOWN_TEST: 1}
    assert splits.method == "given" and splits.time_safe
    assert SPLIT not in splits.train.columns


def test_validation_is_carved_by_time_or_at_random():
    train = [(n % 2, n, n) for n in range(20)]
    timed = split_log(given_log(train, [(0, 30, 99)]), SplitConfig(), "interaction", 0)
    assert sorted(timed.validation[TIME]) == [18, 19] and timed.cuts == {"validation": 18}
    columns = (USER, ITEM, SPLIT)
    untimed = split_log(
        given_log([row[:2] for row in train], [(0, 30)], columns=columns),
        SplitConfig(),
        "interaction",
        0,
    )
    assert untimed.validation.group_by(USER).len()["len"].to_list() == [1, 1]
    assert not untimed.time_safe and not untimed.cuts


def test_other_behaviors_in_published_test_files_are_dropped():
    columns = (USER, ITEM, BEHAVIOR, SPLIT)
    log = given_log(
        [(0, 0, "buy"), (0, 2, "view")], [(0, 1, "buy"), (0, 1, "view")], columns=columns
    )
    splits = split_log(log, SplitConfig(validation_share=0), "buy", 0)
    assert splits.drops == {OTHER_HELD: 1} and pairs(splits.test) == [(0, 1)]


def test_published_test_before_train_is_not_time_safe():
    log = given_log([(0, 0, 1), (1, 1, 20)], [(0, 1, 9)])
    assert not split_log(log, SplitConfig(validation_share=0), "interaction", 0).time_safe


def test_auto_without_time_is_random():
    log = coded([(user, item) for user in range(5) for item in range(10)], (USER, ITEM))
    assert split_log(log, SplitConfig(), "interaction", 0).method == "random"


@pytest.mark.parametrize(
    ("log", "config", "target", "error", "match"),
    [
        (TEN, {"method": "given"}, "interaction", UsageError, "does not fit"),
        (
            given_log([(0, 0, 1)], [(0, 1, 2)]),
            {"method": "random"},
            "interaction",
            UsageError,
            "does not fit",
        ),
        (TEN, {}, "interacton", UsageError, "'interaction'"),
        (
            coded([(0, 0), (0, 1)], (USER, ITEM)),
            {"method": "leave_last"},
            "interaction",
            DataError,
            "needs times",
        ),
        (
            coded([(0, n, 7) for n in range(9)]),
            {},
            "interaction",
            DataError,
            "earlier than the time cut",
        ),
        (coded([(0, 0, 1)]), {}, "interaction", DataError, "cannot hold out"),
        (
            coded([(0, 0, 1), (1, 1, 2)]),
            {"method": "leave_last"},
            "interaction",
            DataError,
            "0 test rows",
        ),
    ],
)
def test_logs_that_cannot_be_split_so(log, config, target, error, match):
    with pytest.raises(error, match=match):
        split_log(log, SplitConfig(**config), target, 0)


def test_saved_splits_are_the_same(tmp_path):
    splits = split_log(TEN, SplitConfig(), "interaction", 0)
    splits.save(tmp_path)
    again = load(tmp_path)
    assert all(
        getattr(again, name).equals(getattr(splits, name))
        for name in ("train", "validation", "test")
    )
    assert again.document() == splits.document()


@given(st.lists(st.integers(0, 30), min_size=3, max_size=40), st.floats(0.05, 0.6))
def test_a_cut_holds_out_at_least_its_share(times, share):
    moments = np.array(times)
    try:
        cut = cut_moment(MomentsInMemory(moments), share)
    except DataError:
        return
    held = int((moments >= cut).sum())
    assert int(len(times) * share + 0.5) <= held < len(times)
    assert int((moments > cut).sum()) <= max(1, int(len(times) * share + 0.5))


EVENT = st.tuples(
    st.integers(0, 5), st.integers(0, 6), st.integers(0, 40), st.sampled_from(["view", "buy"])
)


@settings(max_examples=60)
@given(
    st.lists(EVENT, min_size=8, max_size=60, unique_by=lambda row: (row[0], row[1], row[3])),
    st.integers(0, 3),
)
@pytest.mark.parametrize("method", METHODS)
def test_no_method_loses_rows_or_learns_from_the_future(method, events, seed):
    log = coded(events, (USER, ITEM, TIME, BEHAVIOR))
    try:
        splits = split_log(
            log, SplitConfig(method=method, test_share=0.2, validation_share=0.2), "buy", seed
        )
    except (DataError, UsageError):
        return
    tables = (splits.train, splits.validation, splits.test, splits.after_train)
    assert sum(map(len, tables)) + splits.drops.total() == len(events)
    enforce(audit_splits(splits, log, "buy"))
    if splits.time_safe and len(splits.validation):
        assert splits.train[TIME].max() < splits.validation[TIME].min()
        assert splits.rows("final")[TIME].max() < splits.test[TIME].min()
