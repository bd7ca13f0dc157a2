"""What is said of a run before there is a log, beside what runs took."""

import json
from pathlib import Path

import pytest

from pipelines.budget import forecast_plan
from pipelines.plan import plan
from recsys.budget.bucket_costs import bucket_cost, goes_by_buckets
from recsys.budget.counts import Counts
from recsys.budget.group_costs import held_bytes, step_seconds, worker_cost
from recsys.budget.sizing import counts_of_size, drivers, size_run
from recsys.budget.training_costs import num_steps, training_cost
from recsys.core.config import RunConfig, with_overrides
from recsys.core.errors import UsageError

RESULTS = Path(__file__).parents[2] / "benchmarks" / "results"
MEMORY, TIME = 1.5, 2.0
"""Factors that a forecast keeps within."""
GIGABYTE = 1e9


def figures(name):
    return json.loads((RESULTS / f"{name}.json").read_text())["figures"]


def counts_of(rows, users, items, pairs):
    """Of a log of which all but `pairs` are held out."""
    held_out = (rows - pairs) // 2
    return Counts(
        rows=rows,
        users=users,
        items=items,
        pairs=pairs,
        auxiliary_rows=0,
        relation_rows=0,
        validation_pairs=held_out,
        test_pairs=held_out,
        validation_users=min(users, 30_000),
        test_users=users,
        has_order=True,
        has_clock=True,
    )


def within(forecast, measured, factor):
    return measured / factor <= forecast <= measured * factor


@pytest.mark.parametrize("size", ["100000", "500000", "1000000", "5000000"])
def test_measured_trainings_of_one_process(size):
    run = figures("scale")["sizes"][size]
    rows = run["ingest"]["rows_kept"]
    counts = counts_of(rows, run["users"], run["items"], run["pairs"])
    config = RunConfig()
    epoch = step_seconds(counts, config) * num_steps(counts, config.train)
    assert within(epoch, run["cpu_seconds_an_epoch"], TIME)
    memory = sum(held_bytes(counts, config))
    assert within(memory, 1e6 * run["peak_mb"], MEMORY)


@pytest.mark.parametrize(
    ("way", "sets"),
    [
        ("one", []),
        ("two", ["group.workers=2"]),
        ("two, tables in parts", ["group.workers=2", "train.shard_tables=true"]),
    ],
)
def test_measured_steps_of_a_group(way, sets):
    # benchmarks/group.py: 20,000 users, 5,000 items, 15 events each.
    counts = counts_of(300_000, 20_000, 5_000, 300_000)
    config = with_overrides({}, sets)
    for process in figures("group")[way]:
        seconds = step_seconds(counts, config)
        assert within(seconds, process["processor_ms"] / 1e3, TIME)
        memory = sum(held_bytes(counts, config))
        assert within(memory, 1e6 * process["peak_mb"], MEMORY)


@pytest.mark.parametrize("size", figures("buckets")["rows"])
def test_measured_stages_by_buckets(size):
    # benchmarks/buckets.py: one process, lists of a hundredth as many users as rows from 10,000 items.
    measured = figures("buckets")["rows"][size]
    run, rows = measured["local"], measured["local"]["rows_kept"]
    counts = counts_of(rows, int(size) // 100, 10_000, rows)
    config = with_overrides({}, ["blend.neighbours=0", "blend.low_pass_rank=0"])
    seconds, memory = 0.0, 0.0
    for stage in ("ingest", "split", "test-model"):
        cost = bucket_cost(stage, counts, config, measured["buckets"], 1, 1e12)
        seconds += cost.seconds
        if stage != "test-model":
            memory = max(memory, cost.memory_bytes)
    assert within(seconds, run["processor_seconds"], TIME)
    assert within(memory, run["peak_gb"] * GIGABYTE, MEMORY)


def test_buckets_are_shared_out_and_only_those_stages_change():
    def by_buckets(workers, buckets):
        counts = counts_of_size(2_000_000, 500_000, 50_000_000, True, True)
        config = with_overrides({}, [f"group.workers={workers}", "evaluate.baselines=popularity"])
        sizing = size_run(config, counts, stages, GIGABYTE, buckets)
        return {stage.name: stage for stage in sizing.stages}

    one, many, few_buckets = by_buckets(1, 40), by_buckets(8, 40), by_buckets(8, 2)
    together = {stage.name: stage for stage in sized("group.workers=8").stages}
    config = with_overrides({}, [])
    for name, stage in many.items():
        divided = goes_by_buckets(name.partition("[")[0], config)
        assert divided == (stage.processes == 8 and not name.startswith("train-"))
        if divided:
            assert stage.hours < one[name].hours
            assert stage.memory_bytes <= few_buckets[name].memory_bytes
            assert few_buckets[name].processes == 2
        else:
            assert stage == together[name]
    # Ids are put in order by one process: eight are not eight times as fast.
    assert one["ingest"].hours / 4 < many["ingest"].hours < one["ingest"].hours / 1.5


def test_published_files_are_split_and_audited_by_one_process():
    given = with_overrides({}, ["data.train=a.parquet", "data.test=b.parquet"])
    assert goes_by_buckets("ingest", given) and not goes_by_buckets("split", given)


def stages(config):
    return [(stage.name, bucket) for stage in plan(config) for bucket in stage.buckets]


def sized(*sets, users=2_000_000, items=500_000, interactions=50_000_000):
    counts = counts_of_size(users, items, interactions, True, True)
    config = with_overrides({}, [*sets, "evaluate.baselines=popularity"])
    return size_run(config, counts, stages, GIGABYTE)


def test_every_stage_is_there_and_sums_are_sums():
    sizing = sized()
    assert [stage.name for stage in sizing.stages][:1] == ["ingest"]
    assert sizing.hours == pytest.approx(sum(stage.hours for stage in sizing.stages))
    assert sizing.memory_bytes >= max(stage.memory_bytes for stage in sizing.stages)
    assert sizing.moved_bytes == 0
    counts = sizing.counts
    config = with_overrides({}, ["evaluate.baselines=popularity"])
    forecast = forecast_plan(plan(config), counts, config)
    names = [stage.name for stage in sizing.stages]
    assert names == [stage.name for stage in forecast.stages]


def test_more_processes_take_less_time_each_and_send_more():
    hours, moved = [], []
    for workers in (1, 2, 4, 8):
        sizing = sized(f"group.workers={workers}", "train.shard_tables=true")
        training = [stage for stage in sizing.stages if stage.name.startswith("train-")]
        hours.append(sum(stage.hours for stage in training))
        moved.append(sum(stage.moved_bytes for stage in training) * workers)
    assert hours == sorted(hours, reverse=True)
    assert moved == sorted(moved) and moved[0] == 0 < moved[1]


def test_tables_in_parts_and_no_user_table_lower_the_memory():
    whole = sized("group.workers=4", "model.user_table=true")
    parts = sized("group.workers=4", "model.user_table=true", "train.shard_tables=true")
    no_users = sized("group.workers=4")
    assert parts.held["tables"] < whole.held["tables"] / 2
    assert no_users.held["tables"] < whole.held["tables"] / 4
    keys = [change.key for change in whole.changes]
    assert "train.shard_tables=true" in keys and "model.user_table=false" in keys


def test_one_process_takes_what_the_forecast_of_a_run_says():
    """But for constants that were measured apart."""
    counts = counts_of_size(100_000, 20_000, 2_000_000, True, True)
    config = RunConfig()
    worker = worker_cost(counts, config, "select", GIGABYTE)
    whole = training_cost(counts, config, "select")
    assert within(worker.seconds, whole.seconds, 1.5)
    assert worker.moved_bytes == 0


def test_changes_take_less_and_drivers_are_named():
    sizing = sized()
    for change in sizing.changes:
        assert change.hours < sizing.hours or change.memory_bytes < sizing.memory_bytes
    lines = drivers(sizing)
    assert len(lines) == 4 and all("%" in line for line in lines[:3])


@pytest.mark.parametrize(
    ("users", "items", "interactions", "match"),
    [(0, 5, 5, "--users 0"), (5, -1, 5, "--items -1"), (5, 5, 26, "cannot have 26")],
)
def test_impossible_sizes_are_refused(users, items, interactions, match):
    with pytest.raises(UsageError, match=match):
        counts_of_size(users, items, interactions, True, True)
