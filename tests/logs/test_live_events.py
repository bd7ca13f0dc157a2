"""The service's file of live events beside logs whose columns and times are others."""

import json
from pathlib import Path

import polars as pl
import pytest

from recsys.core.config import CleanConfig, DataConfig
from recsys.core.errors import DataError
from recsys.core.tables import BEHAVIOR, ITEM_ID, RATING, TIME, USER_ID, WEIGHT
from recsys.logs.ingest import ingest, load_log
from recsys.logs.read import scan_log

NOW = 1_760_000_000


def events(folder: Path, **more: object) -> str:
    path = folder / "events.jsonl"
    row = {"user_id": "9", "item_id": "late", "timestamp": NOW, **more}
    path.write_text(json.dumps(row) + "\n", encoding="utf-8")
    return str(path)


def log(folder: Path, name: str, **columns: list[object]) -> str:
    path = folder / name
    table = pl.DataFrame(columns)
    table.write_csv(path) if name.endswith("csv") else table.write_parquet(path)
    return str(path)


@pytest.mark.parametrize("name", ["log.csv", "log.parquet"])
@pytest.mark.parametrize("events_first", [False, True])
def test_columns_of_the_log_are_mapped_and_those_of_events_are_not(
    tmp_path: Path, name: str, events_first: bool
) -> None:
    shop = log(tmp_path, name, buyer=[9, 8], article=["a", "b"], at=[NOW - 5, NOW - 9])
    data = DataConfig(user_col="buyer", item_col="article", time_col="at")
    files = [shop, events(tmp_path)]
    scan = scan_log(files[::-1] if events_first else files, data)
    rows, drops = scan.collect()
    assert not drops and scan.names[USER_ID] == "buyer"
    assert sorted(rows.rows()) == [("8", "b", NOW - 9), ("9", "a", NOW - 5), ("9", "late", NOW)]


def test_ids_of_events_and_of_answers_are_the_services_own(tmp_path: Path) -> None:
    """They may stand in any of the lines, and no log has them."""
    shop = log(tmp_path, "log.csv", buyer=[9, 8], article=["a", "b"], at=[NOW - 5, NOW - 9])
    plain = {"user_id": "9", "item_id": "late", "timestamp": NOW}
    rows = [{**plain, "item_id": str(number)} for number in range(3000)]
    rows.append({**plain, "item_id": "clicked", "event_id": "order-7", "answer": "qkFc2Gs61KjZ"})
    file = tmp_path / "events.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    data = DataConfig(user_col="buyer", item_col="article", time_col="at")
    scan = scan_log([shop, str(file)], data)
    found, drops = scan.collect()
    assert not drops and len(found) == len(rows) + 2
    assert found.columns == [USER_ID, ITEM_ID, TIME]
    assert "clicked" in found[ITEM_ID]


@pytest.mark.parametrize(
    ("times", "unit"),
    [
        ([(NOW - 5) * 1000], "auto"),
        ([(NOW - 5) * 1000], "ms"),
        ([(NOW - 5) * 10**6], "us"),
        (["2025-10-09T08:53:15"], "auto"),
        (["2025-10-09T08:53:15"], "iso"),
        ([20251009], "auto"),
        ([45939.0], "excel"),
    ],
)
def test_times_of_events_are_seconds_whatever_the_log_has(
    tmp_path: Path, times: list[object], unit: str
) -> None:
    shop = log(tmp_path, "log.csv", user_id=["9"], item_id=["a"], timestamp=times)
    rows, drops = scan_log([shop, events(tmp_path)], DataConfig(time_unit=unit)).collect()
    assert not drops and rows[TIME].to_list()[1] == NOW
    assert NOW - 86_400 < rows[TIME].to_list()[0] < NOW


def test_events_in_the_names_and_the_unit_of_the_log_are_read_too(tmp_path: Path) -> None:
    shop = log(tmp_path, "log.csv", buyer=[9], article=["a"], at=[(NOW - 5) * 1000])
    path = tmp_path / "more.jsonl"
    path.write_text(json.dumps({"buyer": 9, "article": "b", "at": NOW * 1000}), encoding="utf-8")
    data = DataConfig(user_col="buyer", item_col="article", time_col="at")
    rows, _ = scan_log([shop, str(path)], data).collect()
    assert rows[TIME].to_list() == [NOW - 5, NOW]


def test_a_log_of_json_lines_in_milliseconds(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    row = {"user_id": "9", "item_id": "a", "timestamp": (NOW - 5) * 1000}
    path.write_text(json.dumps(row), encoding="utf-8")
    rows, _ = scan_log([str(path), events(tmp_path)], DataConfig()).collect()
    assert rows[TIME].to_list() == [NOW - 5, NOW]


def test_a_log_with_ratings_and_one_without_times(tmp_path: Path) -> None:
    rated = log(tmp_path, "a.csv", user_id=["9"], item_id=["a"], timestamp=[NOW], stars=["3,5"])
    files = [rated, events(tmp_path)]
    rows, _ = scan_log(files, DataConfig(rating_col="stars")).collect()
    assert rows[RATING].to_list() == [3.5, None]
    in_ms = log(
        tmp_path, "ms.csv", user_id=["9"], item_id=["a"], timestamp=[NOW * 1000], stars=[4.5]
    )
    scan = scan_log([in_ms, events(tmp_path)], DataConfig(rating_col="stars"))
    assert scan.time_unit == "ms" and scan.collect()[0][TIME].to_list() == [NOW, NOW]
    timeless = log(tmp_path, "b.csv", user_id=["9"], item_id=["a"])
    rows, _ = scan_log([timeless, events(tmp_path)], DataConfig()).collect()
    assert rows.rows() == [("9", "a"), ("9", "late")]


def test_behaviours_and_weights_that_the_log_has_are_wanted_of_events(tmp_path: Path) -> None:
    shop = log(
        tmp_path, "a.csv", user_id=["9"], item_id=["a"], timestamp=[NOW], kind=["buy"], n=[2]
    )
    data = DataConfig(behavior_col="kind", weight_col="n")
    with pytest.raises(DataError, match=r"differ in \['behavior', 'weight'\]"):
        scan_log([shop, events(tmp_path)], data)
    # The remedy: the same columns.
    told = events(tmp_path, behavior="view", weight=0.5)
    rows, _ = scan_log([shop, told], data).collect()
    assert rows.select(BEHAVIOR, WEIGHT).rows() == [("buy", 2.0), ("view", 0.5)]


def test_both_are_one_log_after_ingest(tmp_path: Path) -> None:
    shop = log(tmp_path, "log.csv", buyer=[9, 8], article=["a", "b"], at=[NOW - 5, NOW - 9])
    data = DataConfig(user_col="buyer", item_col="article", time_col="at")
    report = ingest([shop, events(tmp_path)], data, CleanConfig(), tmp_path / "out")
    assert (report.rows_kept, report.users, report.last_time) == (3, 2, NOW)
    assert load_log(tmp_path / "out").items.ids.to_list() == ["a", "b", "late"]
    assert report.columns[ITEM_ID] == "article"
