"""Numbers that are times, dates written as numbers, and those that must be named."""

from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from recsys.core.config import DataConfig, load_config
from recsys.core.errors import DataError
from recsys.core.tables import TIME, Drops
from recsys.logs.read import scan_log
from recsys.logs.times import decide_unit

AUTO = DataConfig()
MOMENTS = [datetime(2021, 2, 28, 23, 59, 58), datetime(2020, 2, 29, 1, 2, 3), datetime(1999, 12, 1)]


def read(times: list[object], data: DataConfig = AUTO) -> tuple[list[int], Drops]:
    users = [f"u{row}" for row in range(len(times))]
    frame = pl.DataFrame(
        {"user_id": users, "item_id": users, "timestamp": pl.Series(times, strict=False)}
    )
    rows, drops = scan_log(frame, data).collect()
    return rows[TIME].to_list(), drops


def seconds(moment: datetime) -> int:
    return int(moment.replace(tzinfo=UTC).timestamp())


@pytest.mark.parametrize("kind", [int, float, str])
@pytest.mark.parametrize("form", ["%Y%m%d", "%Y%m%d%H", "%Y%m%d%H%M", "%Y%m%d%H%M%S"])
def test_dates_written_as_digits(form: str, kind: type) -> None:
    written = [moment.strftime(form) for moment in MOMENTS]
    times, drops = read([kind(text) for text in written])
    assert times == [
        seconds(datetime.strptime(text.ljust(14, "0"), "%Y%m%d%H%M%S")) for text in written
    ]
    assert not drops


def test_digits_that_are_not_all_dates_are_seconds() -> None:
    assert decide_unit(pl.Series("t", [20201231, 20201232]), "auto") == "s"
    assert decide_unit(pl.Series("t", [1_900_010_100, 1_900_010_199]), "auto") == "s"


def test_a_later_value_that_is_no_date_is_counted() -> None:
    days = [20210101 + day % 28 for day in range(10_000)]
    times, drops = read([*days, 20211301, 1_700_000_000])
    assert len(times) == 10_000 and drops == {"timestamp unreadable": 2}


@pytest.mark.parametrize(
    ("times", "told", "unit", "first"),
    [
        ([43831, 43832, 43900.75], "spreadsheet", "excel", datetime(2020, 1, 1)),
        ([18262, 18300, 18301], "days since 1970", "days", datetime(2020, 1, 1)),
        ([1_577_836_800_000_000] * 3, "micro", "us", datetime(2020, 1, 1)),
        ([1_577_836_800_000_000_001] * 3, "nano", "ns", datetime(2020, 1, 1)),
    ],
)
def test_other_counts_are_refused_until_they_are_named(
    times: list[object], told: str, unit: str, first: datetime
) -> None:
    with pytest.raises(DataError, match=told) as caught:
        read(times)
    assert f'data.time_unit = "{unit}"' in caught.value.remedy
    data = load_config(None, [f"data.time_unit={unit}"]).data
    assert read(times, data)[0][0] == seconds(first)


def test_days_of_a_spreadsheet_have_hours() -> None:
    assert read([43831.5, 43831.000694444], DataConfig(time_unit="excel"))[0] == [
        seconds(datetime(2020, 1, 1, 12)),
        seconds(datetime(2020, 1, 1, 0, 1)),
    ]


@pytest.mark.parametrize("times", [[2019, 2020, 2021], [201911, 201912, 202001], [229, 1031, 1231]])
def test_dates_without_a_day_or_a_year_are_refused(times: list[object], tmp_path: Path) -> None:
    with pytest.raises(DataError, match="looks like a") as caught:
        read(times)
    assert 'data.time_unit = "s"' in caught.value.remedy
    assert read(times, DataConfig(time_unit="s"))[0] == times
    assert 'data.time_col = ""' in caught.value.remedy
    frame = pl.DataFrame({"user_id": ["a"] * 3, "item_id": ["x", "y", "z"], "timestamp": times})
    assert TIME not in scan_log(frame, DataConfig(time_col="")).collect()[0].columns


@pytest.mark.parametrize("times", [list(range(50)), [5, 900, 1400], [100, 101, 102], [1, 1, 2]])
def test_small_ordinals_stay_seconds(times: list[object]) -> None:
    assert read(times)[0] == times


def test_files_of_different_units_are_told_apart(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("user_id,item_id,timestamp\na,x,20200101\n", encoding="utf-8")
    (tmp_path / "b.csv").write_text("user_id,item_id,timestamp\na,x,1577836800\n", encoding="utf-8")
    with pytest.raises(
        DataError, match=r"seconds in .*b\.csv' and dates like 20240131 in .*a\.csv"
    ):
        scan_log(str(tmp_path / "*.csv"), DataConfig())
