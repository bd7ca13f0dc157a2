"""Published files whose columns differ: named, and used where they can be."""

import polars as pl
import pytest

from recsys.core.config import CleanConfig, DataConfig, SplitConfig
from recsys.core.errors import DataError, UsageError
from recsys.core.tables import BEHAVIOR, ITEM, ITEM_ID, RATING, SPLIT, TIME, USER, USER_ID, WEIGHT
from recsys.logs.ingest import ingest, ingest_split, load_log
from recsys.logs.split import OTHER_OF_PAIR, held_out_last, held_out_later, split_log

NOW = 1_600_000_000
HOUR = 3_600
# Of every user: views of i0 to i4, and buys of i0 to i3 an hour after the view.
TRAIN = pl.DataFrame(
    [
        (f"u{user}", f"i{item}", NOW + 100 * user + item * 7 * HOUR + delay, behavior)
        for user in range(4)
        for item in range(5)
        for behavior, delay in (("view", 0), ("buy", HOUR))
        if (item, behavior) != (4, "buy")
    ],
    schema=[USER_ID, ITEM_ID, TIME, BEHAVIOR],
    orient="row",
)
TEST = pl.DataFrame({USER_ID: ["u0", "u0", "u1", "new"], ITEM_ID: ["i5", "i6", "i5", "i0"]})
BUYS = TEST.with_columns(pl.lit("buy").alias(BEHAVIOR))


def ingested(tmp_path, train=TRAIN, test=BUYS, data=None, clean=None, target="buy"):
    parts = {"test": test, "train": train}
    rules = clean or CleanConfig()
    report = ingest_split(parts, data or DataConfig(), rules, tmp_path / "log", target=target)
    return report, load_log(tmp_path / "log")


def test_rows_without_times_stand_after_the_last_of_their_user(tmp_path):
    report, log = ingested(tmp_path)
    [warning] = report.warnings
    assert "data.test has no column 'timestamp'" in warning
    assert log.parts_without_times == ("test",)
    held_out = log.rows.filter(pl.col(SPLIT) == "test").collect()
    times = {user: group[TIME].to_list() for (user,), group in held_out.group_by(USER)}
    last = TRAIN.group_by(USER_ID).agg(pl.col(TIME).max())
    last_of = dict(last.rows())
    codes = {name: code for code, name in enumerate(log.users.ids)}
    assert sorted(times[codes["u0"]]) == [last_of["u0"] + 1, last_of["u0"] + 2]
    assert times[codes["u1"]] == [last_of["u1"] + 1]
    assert times[codes["new"]] == [max(last_of.values()) + 1]


def test_times_of_train_carve_validation_and_claim_nothing_of_the_test(tmp_path):
    _, log = ingested(tmp_path)
    splits = split_log(log, SplitConfig(validation_share=0.25), "buy", 0)
    assert (splits.method, splits.validation_method) == ("given", "last_share")
    assert not splits.time_safe and not held_out_later(log, SplitConfig())
    # Validation decides, and it is each user's latest.
    assert held_out_last(log, SplitConfig())
    assert not held_out_last(log, SplitConfig(validation_method="random"))
    items = splits.validation.select(USER, ITEM).rows()
    latest = log.items.ids.to_list().index("i3")
    assert sorted(items) == [(user, latest) for user in sorted({row[0] for row in items})]
    assert len(items) == 4


def test_a_named_column_may_be_missing_where_rows_are_held_out(tmp_path):
    data = DataConfig(time_col="when", behavior_col="what")
    train = TRAIN.rename({TIME: "when", BEHAVIOR: "what"})
    report, log = ingested(tmp_path, train, TEST, data)
    assert [word in " ".join(report.warnings) for word in ("'when'", "'what'")] == [True, True]
    held_out = log.rows.filter(pl.col(SPLIT) == "test").collect()
    assert held_out[BEHAVIOR].unique().to_list() == ["buy"]
    with pytest.raises(DataError, match="when"):
        ingested(tmp_path, TRAIN, TEST, data)


def test_without_a_target_behaviours_are_left_out_and_the_remedy_brings_them_back(tmp_path):
    report, log = ingested(tmp_path / "a", test=TEST, target=None)
    assert log.behaviors == ("interaction",)
    assert any("graph.target" in warning for warning in report.warnings)
    assert ingested(tmp_path / "b", test=TEST)[1].behaviors == ("buy", "view")


def test_a_target_that_train_does_not_have_is_named(tmp_path):
    _, log = ingested(tmp_path, test=TEST, target="bought")
    with pytest.raises(DataError, match=r"no row of data\.train") as caught:
        split_log(log, SplitConfig(), "bought", 0)
    assert "'buy'" in caught.value.remedy
    assert len(split_log(ingested(tmp_path / "mended")[1], SplitConfig(), "buy", 0).train)


def test_ratings_and_windows_look_at_the_files_that_have_them(tmp_path):
    train = TRAIN.with_columns(pl.Series(RATING, [5.0 if n % 9 else 1.0 for n in range(36)]))
    clean = CleanConfig(min_rating=3, start=NOW + 50)
    report, log = ingested(tmp_path, train, BUYS, clean=clean)
    assert any("rating" in warning for warning in report.warnings)
    rows = log.rows.collect()
    assert len(rows.filter(pl.col(SPLIT) == "test")) == len(BUYS)
    kept = train.filter(pl.col(RATING) >= 3, pl.col(TIME) >= NOW + 50)
    assert len(rows.filter(pl.col(SPLIT) == "train")) == len(kept)


@pytest.mark.parametrize("lacking", ["train", "test"])
def test_weights_of_one_file_alone_are_left_out_and_named(tmp_path, lacking):
    files = {"train": TRAIN, "test": BUYS}
    for part, frame in files.items():
        if part != lacking:
            files[part] = frame.with_columns(pl.lit(2.0).alias(WEIGHT))
    report, log = ingested(tmp_path, files["train"], files["test"])
    assert any(f"data.{lacking} has no column 'weight'" in one for one in report.warnings)
    assert WEIGHT not in log.rows.collect_schema().names()


def test_times_of_the_test_alone_are_left_out_and_named(tmp_path):
    test = BUYS.with_columns(pl.lit(NOW).alias(TIME))
    report, log = ingested(tmp_path, TRAIN.drop(TIME), test)
    assert any("data.train has no column 'timestamp'" in one for one in report.warnings)
    assert not log.has_order


def test_an_order_in_train_goes_on_in_the_test(tmp_path):
    train = TRAIN.with_columns(pl.int_range(pl.len()).over(USER_ID).alias(TIME))
    report, log = ingested(tmp_path, train, data=DataConfig(time_unit="order"))
    assert report.order_repeats == 0 and log.time_kind == "order"
    held_out = log.rows.filter(pl.col(SPLIT) == "test").collect()
    assert sorted(held_out[TIME].to_list()) == [9, 9, 9, 10]


@pytest.mark.parametrize(
    ("method", "rows"), [("global_time", 4), ("leave_last", 4), ("last_share", 8), ("random", 8)]
)
def test_validation_is_carved_as_the_configuration_says(tmp_path, method, rows):
    _, log = ingested(tmp_path)
    config = SplitConfig(validation_method=method, validation_share=0.4)
    splits = split_log(log, config, "buy", 0)
    assert splits.validation_method == method
    if method == "global_time":
        assert splits.validation[TIME].min() >= splits.train[TIME].max()
    else:
        assert len(splits.validation) == rows


def test_new_takes_carved_pairs_out_of_train_whole(tmp_path):
    _, log = ingested(tmp_path)
    for method in ("leave_last", "random"):
        config = SplitConfig(validation_method=method)
        splits = split_log(log, config.model_copy(update={"last": 1}), "buy", 0, "new")
        learned = splits.train.join(splits.validation, on=[USER, ITEM], how="semi")
        assert learned.is_empty()
        views = splits.after_train
        assert len(views) == len(splits.validation)
        assert set(views[BEHAVIOR]) <= {"view"}
        assert len(splits.rows("final")) == len(TRAIN)


def test_new_takes_pairs_of_a_log_given_whole_out_of_train(tmp_path):

    ingest(TRAIN, DataConfig(), CleanConfig(), tmp_path / "log")
    log = load_log(tmp_path / "log")
    splits = split_log(log, SplitConfig(method="leave_last"), "buy", 0, "new")
    assert splits.drops == {OTHER_OF_PAIR: 4}
    held_out = pl.concat([splits.validation, splits.test])
    assert splits.train.join(held_out, on=[USER, ITEM], how="semi").is_empty()
    usual = split_log(log, SplitConfig(method="leave_last"), "buy", 0)
    assert not usual.train.join(usual.validation, on=[USER, ITEM], how="semi").is_empty()


def test_methods_that_do_not_fit_say_what_does(tmp_path):
    plain = TRAIN.drop(TIME)
    _, log = ingested(tmp_path / "plain", plain)
    for method in ("last_share", "global_time"):
        with pytest.raises(DataError, match="validation_method") as caught:
            split_log(log, SplitConfig(validation_method=method), "buy", 0)
        remedy = "random" if "random" in caught.value.remedy else "auto"
        mended = SplitConfig(validation_method=remedy, validation_share=0.3)
        assert len(split_log(log, mended, "buy", 0).validation)


def test_a_validation_file_is_not_carved(tmp_path):
    parts = {"train": TRAIN, "validation": BUYS, "test": BUYS}
    ingest_split(parts, DataConfig(), CleanConfig(), tmp_path / "log")
    log = load_log(tmp_path / "log")
    with pytest.raises(UsageError, match=r"validation_method.*data\.validation"):
        split_log(log, SplitConfig(validation_method="random"), "buy", 0)


def test_a_log_given_whole_has_one_method_for_both(tmp_path):

    ingest(TRAIN, DataConfig(), CleanConfig(), tmp_path / "log")
    with pytest.raises(UsageError, match="published files"):
        split_log(load_log(tmp_path / "log"), SplitConfig(validation_method="random"), "buy", 0)


def test_one_moment_for_all_rows_names_what_goes_through(tmp_path):
    train = TRAIN.with_columns(pl.lit(NOW).alias(TIME))
    test = BUYS.with_columns(pl.lit(NOW + 5).alias(TIME))
    _, log = ingested(tmp_path, train, test)
    with pytest.raises(DataError, match="cut") as caught:
        split_log(log, SplitConfig(), "buy", 0)
    assert 'split.validation_method = "random"' in caught.value.remedy
    config = SplitConfig(validation_method="random", validation_share=0.3)
    assert len(split_log(log, config, "buy", 0).validation)
