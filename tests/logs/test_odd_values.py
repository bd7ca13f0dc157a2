"""Decimal commas, odd ids and odd times: understood, refused or warned about, never lost unsaid."""

import json
from pathlib import Path

import polars as pl
import pytest

from recsys import GraphRecommender
from recsys.core.config import CleanConfig, DataConfig
from recsys.core.errors import DataError
from recsys.core.tables import RATING, WEIGHT
from recsys.logs.check import check_log
from recsys.logs.ingest import ingest
from recsys.logs.odd_values import id_warnings, time_warnings
from recsys.logs.read import scan_log


def log_of(tmp_path: Path, column: str, values: list[str]) -> str:
    lines = [f'u{row},i{row},"{value}"' for row, value in enumerate(values)]
    path = tmp_path / "log.csv"
    path.write_text("\n".join([f"user_id,item_id,{column}", *lines, ""]), encoding="utf-8")
    return str(path)


@pytest.mark.parametrize("column", [RATING, WEIGHT])
def test_decimal_commas_are_understood(tmp_path: Path, column: str) -> None:
    log = log_of(tmp_path, column, ["3", "2,5", "0,125", " 4,75 ", ",5"])
    assert scan_log(log, DataConfig()).collect()[0][column].to_list() == [3, 2.5, 0.125, 4.75, 0.5]


def test_decimal_commas_pass_the_minimum(tmp_path: Path) -> None:
    log = log_of(tmp_path, "stars", ["3", "2,5", "3,5", "n/a", "good", "", "1.000,5"])
    clean = CleanConfig(min_rating=3)
    data = DataConfig(rating_col="stars")
    drops = ingest(log, data, clean, tmp_path / "out").drops
    assert drops == {"rating missing": 2, "rating unreadable": 2, "rating below the minimum": 1}


def test_weights_that_are_no_numbers_are_told_apart(tmp_path: Path) -> None:
    log = log_of(tmp_path, WEIGHT, ["1", "2.5", "heavy", "", "-", "inf", "0", "3,5"])
    with pytest.raises(DataError, match=r"holds both '3,5' and '2\.5'"):
        scan_log(log, DataConfig())
    log = log_of(tmp_path, WEIGHT, ["1", "2.5", "heavy", "", "-", "inf", "0", "3.5"])
    drops = scan_log(log, DataConfig()).drops
    assert drops == {"weight unreadable": 2, "weight missing": 2, "weight zero or negative": 1}


@pytest.mark.parametrize(
    ("values", "mended"),
    [(["1", "2,5", "2.5"], ["1", "2.5", "2.5"]), (["1,500", "2,250", "7"], ["1500", "2250", "7"])],
)
def test_commas_of_two_meanings_are_refused(
    tmp_path: Path, values: list[str], mended: list[str]
) -> None:
    with pytest.raises(DataError, match="Write") as caught:
        scan_log(log_of(tmp_path, RATING, values), DataConfig())
    assert "decimal" in caught.value.remedy
    rows, _ = scan_log(log_of(tmp_path, RATING, mended), DataConfig()).collect()
    assert rows[RATING].to_list() == [float(text) for text in mended]


def test_a_comma_below_the_sample_is_counted(tmp_path: Path) -> None:
    log = log_of(tmp_path, RATING, ["4"] * 10_000 + ["4,5"])
    report = ingest(log, DataConfig(), CleanConfig(min_rating=4), tmp_path / "out")
    assert report.drops == {"rating unreadable": 1}
    checked = check_log(log, DataConfig(), CleanConfig())
    assert checked.ratings == {"4": 10_000, "unreadable": 1}
    assert any("1 values of 'rating' are no numbers" in warning for warning in checked.warnings)


def test_missing_ratings_of_frames_are_missing() -> None:
    frame = pl.DataFrame({"user_id": ["a"] * 4, "item_id": list("wxyz")})
    frame = frame.with_columns(rating=pl.Series([1.5, float("nan"), None, float("inf")]))
    ratings = scan_log(frame, DataConfig()).collect()[0][RATING]
    assert ratings.to_list() == [1.5, None, None, None]


@pytest.mark.parametrize(
    ("ids", "words"),
    [
        (["7", "007", "x"], ("'007' and '7'", "one form")),
        (["12", "12.0", "12.00", "13"], ("'12', '12.0' and '12.00'",)),
        (["3", "+3", "03", "4", "4.0"], ("1 more such groups",)),
        (["ab", "ab ", "c"], ("'ab '", "blanks")),
        (["NULL", "a"], ("'NULL'", "no id")),
        (["NaN", "None", "N/A", "-", "a"], ("may stand for no id",)),
        (["", "a"], ("''",)),
        (["4.56E+15", "a"], ("'4.56E+15'", "rounded")),
        (["9e+17"], ("rounded",)),
    ],
)
def test_odd_ids_are_warned_about(ids: list[str], words: tuple[str, ...]) -> None:
    told = "\n".join(id_warnings(pl.Series(ids), "client"))
    assert "'client'" in told and all(word in told for word in words)


@pytest.mark.parametrize("ids", [["1", "2", "10"], ["a", "A"], ["00a", "0a"], ["1e5x", "E1"], []])
def test_plain_ids_are_not(ids: list[str]) -> None:
    assert id_warnings(pl.Series(ids, dtype=pl.String), "client") == []


def test_times_before_1973_are_warned_about() -> None:
    assert "1973" in time_warnings(5, 70_000, "s")[0]
    assert not time_warnings(5, 200_000_000, "s") + time_warnings(5, 70_000, "iso")
    assert not time_warnings(None, None, None)


def odd_log() -> pl.DataFrame:
    users = ["5", "05", *(f"u{user}" for user in range(10))]
    pairs = [(user, f"i{item}") for user in users for item in range(6)]
    return pl.DataFrame(pairs, schema=["user_id", "item_id"], orient="row")


def test_check_run_and_fit_warn_alike(tmp_path: Path) -> None:
    report = ingest(odd_log(), DataConfig(), CleanConfig(), tmp_path / "out")
    (warning,) = report.warnings
    assert "'05' and '5'" in warning and report.document()["warnings"] == [warning]
    assert warning in check_log(odd_log(), DataConfig(), CleanConfig()).warnings
    tiny = GraphRecommender(width=4, heads=1, epochs=0, early_stopping=False, neighbours=0)
    with pytest.warns(UserWarning, match="'05' and '5'"):
        tiny.fit(odd_log())


def test_a_sample_of_unreadable_ratings_is_json(tmp_path: Path) -> None:
    steps = [f"{step / 10:g}" for step in range(1, 60)]
    log = log_of(tmp_path, RATING, ["good", *steps, *steps])
    report = check_log(log, DataConfig(), CleanConfig())
    assert report.ratings is not None and report.ratings["unreadable"] == 1
    assert report.sample[0][RATING] is None
    json.dumps(report.document(), allow_nan=False)
