"""Validation beside the test: every trait by hand, thresholds, and made-up logs that differ in kind."""

import numpy as np
import polars as pl
import pytest

from recsys.core.config import CleanConfig, DataConfig, SplitConfig
from recsys.core.ids import IdMap
from recsys.core.tables import BEHAVIOR, CODED_SCHEMA, ITEM, ITEM_ID, TIME, USER, USER_ID, in_order
from recsys.logs.ingest import CodedLog, ingest, ingest_split, load_log
from recsys.logs.split import Splits, split_log
from recsys.logs.split_comparison import (
    ACTIVITY,
    AGE,
    COLD,
    LATER,
    MET,
    POPULARITY,
    _cliffs_delta,
    compare,
)
from recsys.logs.synthetic import communities

DAY = 86_400
COLUMNS = (USER, ITEM, TIME, BEHAVIOR)


def coded(rows) -> CodedLog:
    schema = {column: CODED_SCHEMA[column] for column in COLUMNS}
    frame = in_order(pl.DataFrame(rows, schema=schema, orient="row"))
    users = IdMap(pl.Series([f"u{code}" for code in range(10)]), "user")
    items = IdMap(pl.Series([f"i{code}" for code in range(10)]), "item")
    return CodedLog(frame.lazy(), users, items, ("buy", "view"), pl.DataFrame(), pl.DataFrame())


def by_name(splits: Splits, log: CodedLog, task="any"):
    return {measure.name: measure for measure in compare(splits, "buy", task, log)}


def test_traits_by_hand():
    train = [(0, 0, 0, "buy"), (0, 1, 2 * DAY, "view"), (1, 0, 4 * DAY, "buy"), (1, 1, 0, "buy")]
    validation = [(0, 1, 5 * DAY, "buy"), (2, 0, 5 * DAY, "buy")]
    test = [(1, 2, 6 * DAY, "buy"), (0, 3, 1 * DAY, "buy"), (0, 0, 7 * DAY, "buy")]
    log = coded(train + validation + test)
    rows = log.rows.collect()
    parts = [
        rows.filter(pl.Series([row in part for row in rows.rows()]))
        for part in (train, validation, test)
    ]
    splits = Splits(*parts, parts[0].clear(), {}, {}, False, "given")
    found = by_name(splits, log)
    # Validation: user 2 is unknown. Test: items 2 and 3 are; the last row repeats a pair.
    assert (found[COLD].validation, found[COLD].test) == pytest.approx((1 / 2, 2 / 3))
    assert (found[MET].validation, found[MET].test) == (1.0, 0.0)
    assert (found[LATER].validation, found[LATER].test) == (1.0, 1.0)
    assert (found[POPULARITY].validation, found[POPULARITY].test) == (1.0, 3.0)
    assert (found[ACTIVITY].validation, found[ACTIVITY].test) == (1.0, 2.0)
    assert (found[AGE].validation, found[AGE].test) == (4.0, 5.0)
    assert not any(measure.differs for measure in found.values())  # of one and two rows
    assert found[MET].sentence.endswith("100 % in validation, 0 % in the test")


def test_cliffs_delta_is_the_difference_of_two_shares_of_pairs():
    draw = np.random.default_rng(0)
    first, second = draw.integers(0, 5, 30).astype(float), draw.integers(1, 7, 40).astype(float)
    above = np.mean([a > b for a in first for b in second])
    below = np.mean([a < b for a in first for b in second])
    assert _cliffs_delta(first, second) == pytest.approx(above - below)


def shop(leaks: bool) -> dict[str, pl.DataFrame]:
    """150 users buy 8 items; those of train were viewed before, those of the test if it `leaks`."""
    draw, parts = np.random.default_rng(0), {"train": [], "test": []}
    for user in range(150):
        items = draw.choice(60, 9, replace=False)
        for number, item in enumerate(items):
            is_test = number == 8
            part = "test" if is_test else "train"
            parts[part].append((f"u{user}", f"i{item}", "buy"))
            if leaks or not is_test:
                parts["train"].append((f"u{user}", f"i{item}", "view"))
    schema = [USER_ID, ITEM_ID, BEHAVIOR]
    return {name: pl.DataFrame(rows, schema=schema, orient="row") for name, rows in parts.items()}


@pytest.mark.parametrize("leaks", [True, False])
def test_views_that_precede_only_the_rows_of_validation_are_found(tmp_path, leaks):
    ingest_split(shop(leaks), DataConfig(), CleanConfig(), tmp_path / "log")
    log = load_log(tmp_path / "log")
    found = by_name(split_log(log, SplitConfig(), "buy", 0), log)
    assert found[MET].validation == 1.0 and found[MET].differs is not leaks
    others = [measure for name, measure in found.items() if name != MET]
    assert not any(measure.differs for measure in others)


def test_nothing_differs_once_new_is_asked(tmp_path):
    ingest_split(shop(False), DataConfig(), CleanConfig(), tmp_path / "log")
    log = load_log(tmp_path / "log")
    found = by_name(split_log(log, SplitConfig(), "buy", 0, "new"), log, "new")
    assert MET not in found and not any(measure.differs for measure in found.values())
    assert min(found[POPULARITY].rows) >= 100


@pytest.mark.parametrize("method", ["global_time", "leave_last", "last_share", "random"])
def test_a_steady_log_is_alike_by_every_method(tmp_path, method):
    world = communities(num_users=200, num_items=80, events_per_user=20, seed=5).log
    ingest(world, DataConfig(), CleanConfig(), tmp_path / "log")
    log = load_log(tmp_path / "log")
    splits = split_log(log, SplitConfig(method=method), "interaction", 0)
    differing = [one for one in compare(splits, "interaction", "any", log) if one.differs]
    assert not differing


def test_a_test_of_the_rarest_items_is_found(tmp_path):
    world = communities(num_users=200, num_items=80, events_per_user=20, seed=5).log
    world = world.unique([USER_ID, ITEM_ID]).drop(TIME)
    counts = world.group_by(ITEM_ID).len()
    rare = counts.filter(pl.col("len") < counts["len"].quantile(0.3))
    is_test = pl.Series(np.arange(len(world)) % 2 == 0) & world[ITEM_ID].is_in(
        rare[ITEM_ID].implode()
    )
    parts = {"train": world.filter(~is_test), "test": world.filter(is_test)}
    ingest_split(parts, DataConfig(), CleanConfig(), tmp_path / "log")
    log = load_log(tmp_path / "log")
    measures = compare(split_log(log, SplitConfig(), "interaction", 0), "interaction", "any", log)
    found = {measure.name: measure for measure in measures}
    assert found[POPULARITY].differs and found[POPULARITY].effect > 0


def test_nothing_to_compare_without_validation():
    log = coded([(user, item, item, "buy") for user in range(3) for item in range(5)])
    splits = split_log(log, SplitConfig(validation_share=0), "buy", 0)
    assert compare(splits, "buy", "any", log) == []


def test_histories_of_nearly_one_length_do_not_differ(tmp_path):
    """All users have 50 items but for a few: the order of their lengths says nothing."""
    draw, rows = np.random.default_rng(1), []
    for user in range(150):
        count = 50 if user else 47
        rows += [(f"u{user}", f"i{item}") for item in draw.choice(300, count, replace=False)]
    log = pl.DataFrame(rows, schema=[USER_ID, ITEM_ID], orient="row")
    ingest(log, DataConfig(), CleanConfig(), tmp_path / "log")
    coded_log = load_log(tmp_path / "log")
    splits = split_log(coded_log, SplitConfig(), "interaction", 0)
    measures = compare(splits, "interaction", "any", coded_log)
    assert not any(measure.differs for measure in measures)
