"""A run of a log with an order and no clock, and the next run with live events behind it."""

import json
from pathlib import Path

import polars as pl
import pytest

from chain import Heard, Settings
from pipelines.run import run
from recsys.bundle.bundle import Bundle
from recsys.bundle.parts.history_rows import HistoryRows
from recsys.core.artefacts import RunFolder, read_json
from recsys.core.interactions import BEHIND_ORDER
from recsys.core.tables import ITEM_ID, TIME, USER_ID, WEIGHT

LATE = 1_760_000_000


@pytest.fixture
def numbered(world: Path, tmp_path: Path) -> Path:
    """The world with the places of the rows in the history of their user, from 0."""
    log = pl.read_parquet(world / "log.parquet").sort(USER_ID, TIME)
    place = pl.int_range(pl.len(), dtype=pl.Int64).over(USER_ID)
    log.with_columns(place.alias("position")).drop(TIME).write_parquet(tmp_path / "log.parquet")
    (tmp_path / "items.parquet").write_bytes((world / "items.parquet").read_bytes())
    return tmp_path


def test_a_log_with_an_order_is_run(numbered: Path, settings: Settings) -> None:
    told = Heard()
    baselines = 'evaluate.baselines=["popularity","popularity_recent"]'
    overrides = ["data.time_col=position", "split.method=auto", baselines]
    config = settings(numbered, *overrides)
    out = RunFolder(numbered / "run")
    run(config, out.path, progress=told)
    assert "'position' holds small whole numbers and is read as an order" in told.text
    assert "split leave_last (not time-safe)" in told.text
    assert "global time cut" not in told.text
    report = read_json(out.path / "report" / "report.json")
    assert report["facts"]["split"] == "leave_last" and not report["facts"]["cuts"]
    assert "order and no clock" in (out.path / "report" / "report.json").read_text()

    bundle = Bundle.load(out.path / "bundle")
    histories = bundle.parts[HistoryRows].histories
    assert histories.time_kind == "order" and histories.time.max() < 100
    assert bundle.encoder.now == 0 and bundle.encoder.half_life_days is None

    # The next run reads the live events behind the log.
    event = {USER_ID: "u0", ITEM_ID: "new", TIME: LATE, WEIGHT: 1.0}
    events = numbered / "events.jsonl"
    events.write_text(json.dumps(event) + "\n", encoding="utf-8")
    files = json.dumps([str(numbered / "log.parquet"), str(events)])
    again = settings(numbered, *overrides, f"data.log={files}")
    run(again, out.path, progress=told)
    bundle = Bundle.load(out.path / "bundle")
    assert bundle.encoder.now == LATE
    assert bundle.users.lookup(["u0"]).tolist() == [0]
    assert bundle.parts[HistoryRows].histories.of_user(0).time[-1] == BEHIND_ORDER + LATE
