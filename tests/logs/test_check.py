"""`data check`: what it says of a good log, and each thing that it should find odd."""

import json

import polars as pl
import pytest

from recsys.core.config import CleanConfig, DataConfig
from recsys.core.errors import DataError
from recsys.core.tables import BEHAVIOR, ITEM_ID, RATING, TIME, USER_ID
from recsys.logs.check import check_log
from recsys.logs.synthetic import DAY, START, communities


def test_a_good_log():
    world = communities(num_users=400, num_items=1000)
    report = check_log(world.log, DataConfig(), CleanConfig(min_rating=4))
    assert report.warnings == []
    assert report.rows_read == len(world.log) == report.rows_kept + sum(report.drops.values())
    assert report.users == 400 and report.time_unit == "s"
    assert report.columns[USER_ID] == {"name": "user_id", "type": "String"}
    assert list(report.ratings) == ["1", "2", "3", "4", "5"] and sum(
        report.ratings.values()
    ) == len(world.log)
    assert report.per_user["0%"] >= 1 and report.per_user["50%"] <= report.per_user["100%"]
    assert report.first_time.startswith("2020-09-")
    assert len(report.sample) == 5 and report.sample[0][USER_ID] == "u0"
    assert json.loads(json.dumps(report.document())) == report.document()


BASE = communities(num_users=400).log.drop(RATING)


def odd(**columns):
    return BASE.with_columns(**columns)


HEAVY = pl.DataFrame(
    {USER_ID: ["bot"] * 3000, ITEM_ID: [f"b{n}" for n in range(3000)], TIME: [START] * 3000}
)

ODD = {
    "only 20 users": communities(num_users=20).log,
    "only 10 items": communities(num_users=400, num_items=10).log,
    "no time column": BASE.drop(TIME),
    "all rows have the time": odd(timestamp=pl.lit(START)),
    "whole days": odd(timestamp=pl.col(TIME) // DAY * DAY),
    "holds floats": odd(user_id=pl.col(USER_ID).str.slice(1).cast(pl.Float64)),
    "a crawler": pl.concat([BASE.select(USER_ID, ITEM_ID, TIME), HEAVY]),
    "single row": odd(user_id=pl.int_range(pl.len())),
    "more than half of the users": pl.concat(
        [BASE, BASE.unique(USER_ID).with_columns(pl.lit("gift").alias(ITEM_ID))]
    ),
    "have no user": odd(user_id=pl.when(pl.int_range(pl.len()) % 5 > 0).then(USER_ID)),
    "have no timestamp": odd(timestamp=pl.when(pl.int_range(pl.len()) % 5 > 0).then(TIME)),
    "repeat a user, item": pl.concat([BASE, BASE]),
    "are dropped": odd(timestamp=pl.when(pl.int_range(pl.len()) % 5 > 3).then(TIME).otherwise(-1)),
    "one behavior only": odd(behavior=pl.lit("buy")),
    "2 behaviors: a run must be told": communities(num_users=400, behaviors=("view", "buy")).log,
    "a rating of 1 counts as much as one of 5": communities(num_users=400).log,
    "have 3 rows and nobody has more": BASE.group_by(USER_ID, maintain_order=True).head(3),
}


@pytest.mark.parametrize("warning", ODD)
def test_what_looks_wrong_is_said(warning):
    report = check_log(ODD[warning], DataConfig(), CleanConfig())
    assert any(warning in sentence for sentence in report.warnings), report.warnings


def test_a_published_split_read_as_one_log_is_named(tmp_path):
    for name in ("train", "test"):
        BASE.write_parquet(tmp_path / f"{name}.parquet")
    report = check_log(tmp_path, DataConfig(), CleanConfig())
    assert any("data.train and data.test" in sentence for sentence in report.warnings)


def test_text_ids_that_are_floats_are_named(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("user_id,item_id\n1.0,a\n2.0,b\n")
    report = check_log(path, DataConfig(), CleanConfig())
    assert any("String of floats" in sentence for sentence in report.warnings)


def test_a_log_that_a_run_would_refuse_is_refused():
    with pytest.raises(DataError, match="no row is left"):
        check_log(BASE, DataConfig(), CleanConfig(min_user_interactions=10_000))
    assert BEHAVIOR not in BASE.columns
