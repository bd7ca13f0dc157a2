"""A forecast has a formula for every stage, grows with its counts, and looks at no clock."""

import time
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from pipelines.budget import forecast_plan
from pipelines.plan import plan
from recsys.budget.counts import Counts, count
from recsys.budget.forecast import RunForecast, forecast_run, is_forecast, is_skipped
from recsys.budget.speed import relative_speed
from recsys.core.config import RunConfig, with_overrides
from recsys.logs.ingest import ingest, load_log
from recsys.logs.split import split_log


def forecast(counts: Counts, *sets: str) -> RunForecast:
    config = with_overrides({}, sets)
    return forecast_plan(plan(config), counts, config)


@pytest.mark.parametrize(
    "sets",
    [
        [],
        ["refit=false"],
        ["evaluate.baselines=popularity,sasrec,lightgcn"],
        ["evaluate.ablate_relations=true", "graph.attributes=[{column='genres'}]"],
        ["graph.relations=[{name='trust', file='t.csv', between=['user', 'user']}]"],
        ["model.family=degree_prior", "train.epochs=1"],
        ["blend.neighbours=0", "blend.low_pass_rank=0"],
    ],
)
def test_every_stage_of_a_plan_has_a_formula(counts: Counts, sets: list[str]) -> None:
    stages = plan(with_overrides({}, sets))
    assert [stage.name for stage in stages if not is_forecast(stage.name)] == []
    whole = forecast(counts, *sets)
    assert len(whole.stages) == sum(len(stage.buckets) for stage in stages)
    for stage in whole.stages:
        assert stage.cost.seconds > 0 and stage.cost.memory_bytes > 0, stage.name


def test_a_whole_is_the_sum_of_its_stages_and_the_largest_memory(counts: Counts) -> None:
    whole = forecast(counts)
    assert whole.seconds == pytest.approx(sum(stage.cost.seconds for stage in whole.stages))
    assert whole.memory_bytes == max(stage.cost.memory_bytes for stage in whole.stages)
    train = whole.of("train-select[model]")
    assert train is not None
    rest = whole.without(["train-select[model]"])
    assert rest.seconds == pytest.approx(whole.seconds - train.seconds)
    assert rest.of("train-select[model]") is None
    assert whole.until(None) == whole
    assert whole.until("train-select").stages[-1].name == "train-select[lightgcn]"
    assert whole.until("split").stages == whole.stages[:2]


@pytest.mark.parametrize(
    ("fewer", "more"),
    [
        (["train.epochs=5"], ["train.epochs=20"]),
        (["train.negatives=256"], ["train.negatives=4096"]),
        (["model.width=32"], ["model.width=128"]),
        (["refit=false"], ["refit=true"]),
        (["evaluate.baseline_settings=1"], []),
        (["evaluate.bootstrap=100"], ["evaluate.bootstrap=10000"]),
        (["train.temperature=0.1"], []),
    ],
)
def test_less_to_do_is_forecast_to_take_less(
    counts: Counts, fewer: list[str], more: list[str]
) -> None:
    large = replace(counts, rows=1_000_000, pairs=800_000, users=20_000, items=9_000)
    large = replace(large, validation_users=10_000, test_users=10_000)
    assert forecast(large, *fewer).seconds < forecast(large, *more).seconds


def test_more_rows_take_more(counts: Counts) -> None:
    large = replace(counts, rows=100 * counts.rows, pairs=100 * counts.pairs)
    small_run, large_run = forecast(counts), forecast(large)
    assert large_run.seconds > small_run.seconds
    assert large_run.disk_bytes > small_run.disk_bytes
    assert large_run.memory_bytes > small_run.memory_bytes


def test_without_an_order_no_horizon_is_probed(counts: Counts) -> None:
    large = replace(counts, rows=1_000_000, pairs=800_000)
    unordered = replace(large, has_order=False, has_clock=False)
    stages = [("train-select", "model")]
    config = RunConfig()
    ordered_seconds = forecast_run(stages, large, config).seconds
    assert forecast_run(stages, unordered, config).seconds < ordered_seconds


def test_skipped_baselines_cost_nothing(counts: Counts) -> None:
    unordered = replace(counts, has_order=False, has_clock=False)
    config = with_overrides({}, ["evaluate.baseline_minutes=1e-6"])
    assert is_skipped("popularity_recent", unordered, RunConfig())
    assert is_skipped("sasrec", unordered, RunConfig())
    assert not is_skipped("popularity_recent", counts, RunConfig())
    assert is_skipped("ease", counts, config) and not is_skipped("ease", counts, RunConfig())
    large = replace(counts, users=20_000, items=5_000, pairs=500_000)
    fitted = forecast_run([("tune", "ease")], large, RunConfig())
    skipped = forecast_run([("tune", "ease")], large, config)
    assert skipped.seconds < fitted.seconds / 10
    assert skipped.memory_bytes < fitted.memory_bytes


def test_no_clock_is_looked_at(counts: Counts, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> float:
        raise AssertionError("a forecast read a clock")

    before = forecast(counts)
    for clock in ("time", "perf_counter", "process_time", "monotonic"):
        monkeypatch.setattr(time, clock, refuse)
    assert forecast(counts) == before


def test_the_speed_of_the_machine_is_a_positive_number() -> None:
    assert 0.01 < relative_speed() < 100


def test_counts_of_a_log(tmp_path: Path) -> None:
    rows = pl.DataFrame(
        {
            "user_id": ["a"] * 10 + ["b"] * 10 + ["a"] * 5,
            "item_id": [f"i{number}" for number in range(10)] * 2 + ["i1", "i2", "i3", "i4", "j"],
            "timestamp": list(range(1_600_000_000, 1_600_000_025)),
            "behavior": ["buy"] * 20 + ["view"] * 5,
        }
    )
    config = with_overrides(
        {"data": {"time_col": "timestamp", "behavior_col": "behavior"}},
        ["split.method=last_share", "split.test_share=0.2", "graph.target=buy"],
    )
    ingest(rows, config.data, config.clean, tmp_path / "log")
    log = load_log(tmp_path / "log")
    splits = split_log(log, config.split, "buy", 0)
    counted = count(log, splits, "buy")
    assert (counted.rows, counted.users, counted.items) == (25, 2, 11)
    assert counted.pairs + counted.auxiliary_rows == len(splits.train)
    assert counted.validation_pairs == len(splits.validation)
    assert counted.test_pairs == len(splits.test) == 4
    assert (counted.test_users, counted.relation_rows) == (2, 0)
    assert counted.has_order and counted.has_clock
