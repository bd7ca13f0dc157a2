"""A column that says what each user did after what: understood as an order, not as seconds of 1970."""

import json
from pathlib import Path

import polars as pl
import pytest

from recsys.core.config import CleanConfig, DataConfig, SplitConfig
from recsys.core.config.graph import RelationConfig
from recsys.core.errors import DataError
from recsys.core.interactions import BEHIND_ORDER
from recsys.core.tables import BEHAVIOR, ITEM, ITEM_ID, TIME, USER, USER_ID
from recsys.logs.check import check_log
from recsys.logs.ingest import CodedLog, IngestReport, ingest, ingest_split, load_log
from recsys.logs.odd_values import time_warnings
from recsys.logs.read import scan_log
from recsys.logs.relations import read_relation
from recsys.logs.split import OTHER_LATE, held_out_last, held_out_later, split_log
from recsys.logs.times import decide_unit

NOW = 1_760_000_000
STEP = DataConfig(time_col="step")
ORDER = DataConfig(time_col="step", time_unit="order")
SECONDS = DataConfig(time_col="step", time_unit="s")


def frame_of(rows: list[tuple[str, str, object]], column: str = "step") -> pl.DataFrame:
    return pl.DataFrame(rows, schema=[USER_ID, ITEM_ID, column], orient="row", strict=False)


def ingested(
    source: object, folder: Path, data: DataConfig = ORDER, clean: CleanConfig | None = None
) -> tuple[IngestReport, CodedLog]:
    report = ingest(source, data, clean or CleanConfig(), folder / "log")
    return report, load_log(folder / "log")


def by_user(log: CodedLog, rows: pl.DataFrame | None = None) -> dict[str, list[str]]:
    """Items of each user, in the order of the log."""
    items: dict[str, list[str]] = {}
    for row in (log.rows.collect() if rows is None else rows).iter_rows(named=True):
        user = log.users.ids[row[USER]]
        items.setdefault(user, []).append(log.items.ids[row[ITEM]])
    return items


# ada: d c b a; bea: a b c. Rows are not in their order.
FIVE = [("ada", "b", 2), ("ada", "d", 0), ("bea", "c", 2), ("ada", "a", 3), ("bea", "a", 0)]
ROWS = [*FIVE, ("ada", "c", 1), ("bea", "b", 1)]


@pytest.mark.parametrize("kind", [int, float, str])
def test_small_whole_numbers_are_an_order(kind: type, tmp_path: Path) -> None:
    rows = [(user, item, kind(step)) for user, item, step in ROWS]
    report, log = ingested(frame_of(rows), tmp_path, STEP)
    assert report.time_unit == "order" and log.time_kind == "order"
    assert log.has_order and not log.has_clock
    assert by_user(log) == {"ada": ["d", "c", "b", "a"], "bea": ["a", "b", "c"]}
    (warning,) = report.warnings
    assert "'step'" in warning and 'data.time_unit = "s"' in warning and '"order"' in warning


def test_naming_the_unit_ends_the_warning(tmp_path: Path) -> None:
    report, log = ingested(frame_of(ROWS), tmp_path / "order", ORDER)
    assert log.time_kind == "order" and not report.warnings
    report, log = ingested(frame_of(ROWS), tmp_path / "seconds", SECONDS)
    assert log.time_kind == "seconds" and log.has_clock
    assert "1973" in report.warnings[0]


@pytest.mark.parametrize(
    ("numbers", "unit"),
    [
        ([0, 1, 2], "order"),
        ([7, 3], "order"),
        ([0, 999_999], "order"),
        (["3", " 12 "], "order"),
        ([5.0, 6.0], "order"),
        ([4, 4, 4], "s"),  # one value says nothing
        ([0, 1_000_000], "s"),
        ([0, 1, -1], "s"),
        ([0.5, 1.0], "s"),
        ([1, 1_700_000_000], "s"),
    ],
)
def test_what_is_taken_for_an_order(numbers: list[object], unit: str) -> None:
    assert decide_unit(pl.Series("step", numbers), "auto") == unit


def test_numbers_of_the_whole_log_are_warned_about_and_can_be_named(tmp_path: Path) -> None:
    rows = [(f"u{row % 5}", f"i{row % 7}", 1_500_000 * row) for row in range(12)]
    report, log = ingested(frame_of(rows), tmp_path / "auto", STEP)
    assert log.has_clock and 'data.time_unit = "order"' in report.warnings[0]
    assert time_warnings(0, 1_500_000, "s") and not time_warnings(0, 1_500_000, "order")
    report, log = ingested(frame_of(rows), tmp_path / "named", ORDER)
    assert not log.has_clock and not report.warnings


def test_numbers_that_look_like_days_can_be_an_order() -> None:
    frame = frame_of([(f"u{step % 3}", f"i{step}", step) for step in range(18_000, 18_050)])
    with pytest.raises(DataError, match="days since 1970") as caught:
        scan_log(frame, STEP)
    assert '"order"' in caught.value.remedy
    assert scan_log(frame, ORDER).time_kind == "order"


def test_moments_below_the_sample_are_no_order() -> None:
    rows: list[tuple[str, str, object]] = [(f"u{row}", "a", row % 9) for row in range(10_000)]
    scan = scan_log(frame_of([*rows, ("u1", "b", NOW), ("u2", "b", NOW * 1000)]), STEP)
    with pytest.raises(DataError, match="2 values are in another one") as caught:
        scan.collect()
    assert '"s"' in caught.value.remedy
    kept, drops = scan_log(frame_of([*rows, ("u1", "b", NOW)]), SECONDS).collect()
    assert len(kept) == 10_001 and not drops


def test_any_whole_numbers_are_an_order_where_it_is_named() -> None:
    steps = [-5, 7, 10**12, 2**53 + 1, 2**53]
    for numbers in (steps, [str(step) for step in steps]):
        rows, drops = scan_log(frame_of([("u", "a", step) for step in numbers]), ORDER).collect()
        assert rows[TIME].to_list() == steps and not drops


def test_what_is_no_whole_number_is_counted() -> None:
    steps = ["1", "2.0", "2.5", None, "soon", str(2**62), "inf"]
    rows, drops = scan_log(frame_of([("u", "a", step) for step in steps]), ORDER).collect()
    assert rows[TIME].to_list() == [1, 2]
    assert drops == {
        "timestamp missing": 1,
        "timestamp unreadable": 3,
        "timestamp impossibly large": 1,
    }


def test_rules_on_moments_do_not_touch_an_order(tmp_path: Path) -> None:
    rows = [("u", "a", -4), ("u", "b", 10**11), ("v", "a", 0)]
    report, log = ingested(frame_of(rows), tmp_path)
    assert report.rows_kept == 3 and not report.drops
    assert by_user(log)["u"] == ["a", "b"]


@pytest.mark.parametrize("key", ["start", "end"])
def test_a_window_of_time_is_refused(key: str, tmp_path: Path) -> None:
    clean = CleanConfig(**{key: "2024-01-31"})
    with pytest.raises(DataError, match="order and no clock") as caught:
        ingested(frame_of(ROWS), tmp_path, clean=clean)
    assert "Leave them out" in caught.value.remedy and "data.time_col" in caught.value.remedy
    assert ingested(frame_of(ROWS), tmp_path)[0].rows_kept == 7
    timed = frame_of(ROWS).with_columns(at=pl.lit("2024-01-31") + pl.lit(" 00:00"))
    data = DataConfig(time_col="at")
    kept = ingested(timed, tmp_path / "timed", data, CleanConfig(start="2024-01-31"))[0]
    assert kept.rows_kept == 7


def test_the_latest_rows_of_a_user_are_those_of_the_largest_numbers(tmp_path: Path) -> None:
    _, log = ingested(frame_of(ROWS), tmp_path, clean=CleanConfig(max_user_interactions=2))
    assert by_user(log) == {"ada": ["b", "a"], "bea": ["b", "c"]}


def test_check_shows_no_dates(tmp_path: Path) -> None:
    report = check_log(frame_of(ROWS), STEP, CleanConfig())
    assert (report.time_unit, report.first_time, report.midnight_share) == ("order", None, None)
    assert any("read as an order" in warning for warning in report.warnings)
    assert not any("all rows have the time" in warning for warning in report.warnings)


# Splits


def test_auto_holds_out_each_users_last_row(tmp_path: Path) -> None:
    _, log = ingested(frame_of(ROWS), tmp_path)
    splits = split_log(log, SplitConfig(), "interaction", 0)
    assert (splits.method, splits.time_safe, splits.cuts) == ("leave_last", False, {})
    assert by_user(log, splits.test) == {"ada": ["a"], "bea": ["c"]}
    assert by_user(log, splits.validation) == {"ada": ["b"], "bea": ["b"]}
    assert held_out_later(log, SplitConfig())


@pytest.mark.parametrize("method", ["global_time", "rolling_time"])
def test_one_cut_for_all_users_is_refused(method: str, tmp_path: Path) -> None:
    _, log = ingested(frame_of(ROWS), tmp_path)
    with pytest.raises(DataError, match="order and no clock") as caught:
        split_log(log, SplitConfig(method=method), "interaction", 0)
    for remedy in ("leave_last", "last_share"):
        assert f'"{remedy}"' in caught.value.remedy
        splits = split_log(log, SplitConfig(method=remedy, test_share=0.3), "interaction", 0)
        assert by_user(log, splits.test)["ada"] == ["a"]


def test_validation_of_published_files_is_each_users_latest(tmp_path: Path) -> None:
    """bea's numbers are all larger than ada's: one cut would take bea's rows alone."""
    train = [("ada", f"i{step}", step) for step in range(4)]
    train += [("bea", f"i{9 - step}", 100 + step) for step in range(4)]
    test = [("ada", "x", 4), ("bea", "x", 104)]
    files = {"train": frame_of(train), "test": frame_of(test)}
    ingest_split(files, ORDER, CleanConfig(), tmp_path / "log")
    log = load_log(tmp_path / "log")
    splits = split_log(log, SplitConfig(validation_share=0.25), "interaction", 0)
    assert (splits.method, splits.time_safe) == ("given", False)
    assert by_user(log, splits.validation) == {"ada": ["i3"], "bea": ["i6"]}
    assert not held_out_later(log, SplitConfig())
    assert held_out_last(log, SplitConfig())


def test_other_behaviours_behind_a_carved_row_are_known_later(tmp_path: Path) -> None:
    rows = [
        ("u", "a", 0, "buy", "train"),
        ("u", "b", 1, "view", "train"),
        ("u", "b", 2, "buy", "train"),
        ("u", "b", 3, "like", "train"),
        ("u", "c", 4, "buy", "test"),
    ]
    columns = [USER_ID, ITEM_ID, "step", BEHAVIOR, "part"]
    frame = pl.DataFrame(rows, schema=columns, orient="row")
    files = {name: frame.filter(pl.col("part") == name) for name in ("train", "test")}
    ingest_split(files, ORDER, CleanConfig(), tmp_path / "log")
    splits = split_log(load_log(tmp_path / "log"), SplitConfig(validation_share=0.5), "buy", 0)
    assert splits.validation[TIME].to_list() == [2]
    assert splits.after_train[TIME].to_list() == [3] and OTHER_LATE not in splits.drops


def test_an_order_beside_times_is_refused(tmp_path: Path) -> None:
    timed = frame_of([("ada", "x", NOW), ("bea", "x", NOW + 5)])
    files = {"train": frame_of(ROWS), "test": timed}
    with pytest.raises(DataError, match=r"numbers of an order in .* and moments in") as caught:
        ingest_split(files, STEP, CleanConfig(), tmp_path / "log")
    frame_of(ROWS).write_parquet(tmp_path / "a.parquet")
    timed.write_parquet(tmp_path / "b.parquet")
    with pytest.raises(DataError, match=r"order in .*a.parquet.* moments in .*b.parquet"):
        scan_log([tmp_path / "a.parquet", tmp_path / "b.parquet"], STEP)
    for unit, data in (("order", ORDER), ("s", SECONDS)):
        assert f'"{unit}"' in caught.value.remedy
        assert ingest_split(files, data, CleanConfig(), tmp_path / "log").time_unit == unit


def test_an_edge_is_not_known_since_a_number(tmp_path: Path) -> None:
    _, log = ingested(frame_of(ROWS), tmp_path)
    edges = tmp_path / "edges.parquet"
    pl.DataFrame({"of": ["ada", "bea"], "to": ["bea", "ada"], "since": [0, 1]}).write_parquet(edges)
    relation = RelationConfig(
        name="friend", file=str(edges), between=("user", "user"), time_col="since"
    )
    with pytest.raises(DataError, match="'since' of 'friend' holds an order") as caught:
        read_relation(relation, ORDER, log)
    assert "Leave its time_col out" in caught.value.remedy and "dates" in caught.value.remedy
    assert len(read_relation(relation.model_copy(update={"time_col": None}), ORDER, log).rows) == 2
    dated = pl.read_parquet(edges).with_columns(since=pl.lit("2024-01-31"))
    dated.write_parquet(edges)
    assert read_relation(relation, ORDER, log).rows[TIME].to_list() == [1_706_659_200] * 2


# Live events


@pytest.mark.parametrize("moment", [NOW, 5])
@pytest.mark.parametrize("more", [{}, {"rating": 4.0}])
def test_live_events_come_behind_all_rows(
    moment: int, more: dict[str, float], tmp_path: Path
) -> None:
    columns = [pl.lit(value).alias(name) for name, value in more.items()]
    frame_of(ROWS).with_columns(columns).write_csv(tmp_path / "log.csv")
    events = tmp_path / "events.jsonl"
    late = [("bea", "z", moment + 1), ("ada", "y", moment), ("bea", "x", moment)]
    lines = [{USER_ID: user, ITEM_ID: item, TIME: time} for user, item, time in late]
    events.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    report, log = ingested([str(tmp_path / "log.csv"), str(events)], tmp_path, STEP)
    assert (report.time_unit, report.rows_kept, report.last_time) == (
        "order",
        10,
        BEHIND_ORDER + moment + 1,
    )
    assert by_user(log) == {"ada": ["d", "c", "b", "a", "y"], "bea": ["a", "b", "c", "x", "z"]}


def test_small_times_of_live_events_are_moments(tmp_path: Path) -> None:
    timed = frame_of([("ada", "a", NOW), ("bea", "a", NOW)])
    timed.write_csv(tmp_path / "log.csv")
    events = tmp_path / "events.jsonl"
    lines = [{USER_ID: "ada", ITEM_ID: "b", TIME: time} for time in (3, 4)]
    events.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    rows, drops = scan_log([str(tmp_path / "log.csv"), str(events)], STEP).collect()
    assert rows[TIME].to_list() == [NOW, NOW, 3, 4] and not drops


# Bad input


def test_gaps_and_repeats(tmp_path: Path) -> None:
    rows = [("u", "d", 0), ("u", "c", 50), ("u", "a", 50), ("u", "b", 7), ("v", "a", 50)]
    report, log = ingested(frame_of(rows), tmp_path)
    assert report.order_repeats == 1 and report.document()["order_repeats"] == 1
    (warning,) = report.warnings
    assert "1 rows repeat the number in 'step'" in warning and "by item id" in warning
    assert by_user(log)["u"] == ["d", "b", "a", "c"]
    # Rows of one pair are one row before repeats are counted.
    again = ingested(frame_of([*rows, ("u", "d", 0)]), tmp_path)[0]
    assert again.order_repeats == 1 and again.drops == {"duplicate": 1}


def test_repeats_of_seconds_are_not_counted(tmp_path: Path) -> None:
    rows = [("u", "a", NOW), ("u", "b", NOW), ("v", "a", NOW + 1)]
    report, _ = ingested(frame_of(rows), tmp_path, STEP)
    assert report.order_repeats == 0 and not report.warnings


@pytest.mark.parametrize("data", [ORDER, STEP])
def test_times_that_run_backwards_are_sorted(data: DataConfig, tmp_path: Path) -> None:
    start = 0 if data is ORDER else NOW
    rows = [(user, f"i{step}", start + step) for step in range(6, -1, -1) for user in ("u", "v")]
    report, log = ingested(frame_of(rows), tmp_path, data)
    assert not report.drops and not report.warnings
    assert by_user(log)["v"] == [f"i{step}" for step in range(7)]


@pytest.mark.parametrize("data", [ORDER, STEP])
def test_all_events_at_one_moment_come_by_item_id(data: DataConfig, tmp_path: Path) -> None:
    moment = 3 if data is ORDER else NOW
    rows = [(user, item, moment) for item in ("c", "a", "b") for user in ("u", "v")]
    _, log = ingested(frame_of(rows), tmp_path, data)
    assert by_user(log)["u"] == ["a", "b", "c"]
    splits = split_log(log, SplitConfig(method="leave_last"), "interaction", 0)
    assert by_user(log, splits.test) == {"u": ["c"], "v": ["c"]}
    if data is STEP:
        with pytest.raises(DataError, match="earlier than the time cut") as caught:
            split_log(log, SplitConfig(), "interaction", 0)
        assert '"random"' in caught.value.remedy
        random = split_log(log, SplitConfig(method="random", test_share=0.3), "interaction", 0)
        assert len(random.test) == 2


def gappy(num_timed: int, num_rows: int) -> pl.DataFrame:
    rows = [(f"u{row % 4}", f"i{row}", NOW + row) for row in range(num_rows)]
    time = pl.when(pl.int_range(pl.len()) < num_timed).then(pl.col("step"))
    return frame_of(rows).with_columns(step=time)


@pytest.mark.parametrize(("num_timed", "is_told"), [(9, True), (10, False), (20, False)])
def test_times_on_some_rows(num_timed: int, is_told: bool, tmp_path: Path) -> None:
    report, _ = ingested(gappy(num_timed, 20), tmp_path, STEP)
    assert report.rows_kept == num_timed
    assert report.drops["timestamp missing"] == 20 - num_timed
    told = [warning for warning in report.warnings if "data.time_col" in warning]
    assert bool(told) is is_told
    if is_told:
        assert "11 of 20 rows" in told[0] and "'step'" in told[0]
    checked = check_log(gappy(num_timed, 20), STEP, CleanConfig()).warnings
    assert len([text for text in checked if "data.time_col" in text]) == (num_timed < 20)
    without, log = ingested(gappy(num_timed, 20), tmp_path, DataConfig(time_col=""))
    assert without.rows_kept == 20 and not without.drops and not log.has_order


def test_times_on_no_row(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no row is left of 8: dropped 8 timestamp missing") as told:
        ingested(gappy(0, 8), tmp_path, STEP)
    assert 'data.time_col = ""' in told.value.remedy
    assert ingested(gappy(0, 8), tmp_path, DataConfig(time_col=""))[0].rows_kept == 8
