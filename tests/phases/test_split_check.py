"""A split that is checked by buckets of users is told the same of as one whose tables are in memory."""

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from recsys.core.config import CleanConfig, DataConfig, RunConfig, with_overrides
from recsys.core.edge_rows import EdgeRows
from recsys.core.errors import DataError
from recsys.core.steps import Steps
from recsys.core.tables import DESTINATION, ITEM, SOURCE, TIME, USER
from recsys.logs.audit import Finding
from recsys.logs.ingest import CodedLog, ingest, load_log
from recsys.logs.split import load, split_log
from recsys.logs.synthetic import communities
from recsys.phases.split_check import SplitCheck, SplitInMemory
from recsys.phases.split_check_buckets import SplitByBuckets

BUCKETS = 4


@pytest.fixture(scope="module")
def log_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("split-check") / "log"
    world = communities(num_users=90, num_items=60, behaviors=("view", "buy")).log
    ingest(world, DataConfig(), CleanConfig(), folder, buckets=BUCKETS)
    return folder


def config_of(method: str, task: str) -> RunConfig:
    sets = [f"split.method={method}", f"evaluate.task={task}", "graph.target=buy"]
    return with_overrides({"name": "check", "data": {"log": "log.parquet"}}, sets)


def relation_of(rows: pl.DataFrame) -> EdgeRows:
    """Some rows, once more, as a file of edges."""
    ends = {SOURCE: rows[USER], DESTINATION: rows[ITEM], TIME: rows[TIME]}
    return EdgeRows("likes", (USER, ITEM), pl.DataFrame(ends))


def both(
    log_folder: Path, tmp_path: Path, config: RunConfig, harm: Any = None
) -> tuple[SplitInMemory, SplitByBuckets]:
    """Checks of one split; harm: changes the tables that lie on disk."""
    log: CodedLog = load_log(log_folder)
    splits = split_log(log, config.split, "buy", config.seed, config.evaluate.task)
    splits.save(tmp_path / "split")
    if harm is not None:
        harm(tmp_path / "split")
    splits = load(tmp_path / "split")
    relations = [relation_of(splits.test.head(5))]
    steps = Steps(tmp_path / "steps", lasts=True)
    by_buckets = SplitByBuckets(
        log, log_folder, tmp_path / "split", config, relations, steps, tmp_path / "others"
    )
    return SplitInMemory(log, splits, config, relations), by_buckets


def told(check: SplitCheck) -> dict[str, Any]:
    return {
        "findings": check.findings,
        "measures": check.measures,
        "dropped": check.dropped,
        "warm": [check.warm_users("select"), check.warm_users("final")],
        "target": check.target,
        "document": check.document,
    }


@pytest.mark.parametrize("task", ["any", "new"])
@pytest.mark.parametrize(
    "method", ["global_time", "rolling_time", "leave_last", "last_share", "random"]
)
def test_the_same_is_told(log_folder: Path, tmp_path: Path, method: str, task: str) -> None:
    here, by_buckets = both(log_folder, tmp_path, config_of(method, task))
    assert told(by_buckets) == told(here)
    assert by_buckets.measures and by_buckets.warm_users("final") > 10


def test_other_splits_of_the_log_are_told_alike(log_folder: Path, tmp_path: Path) -> None:
    config = config_of("leave_last", "any")
    here, by_buckets = both(log_folder, tmp_path, config)
    for method, task in (("global_time", "any"), ("leave_last", "new")):
        split = config.split.model_copy(update={"method": method})
        assert told(by_buckets.under(split, task)) == told(here.under(split, task))
    nothing = config.split.model_copy(update={"method": "random", "test_share": 1e-9})
    with pytest.raises(DataError) as one:
        here.under(nothing, "any")
    with pytest.raises(DataError) as many:
        by_buckets.under(nothing, "any")
    assert str(many.value) == str(one.value)


def leaked(folder: Path) -> None:
    """Rows of the test and of validation stand in train as well, with rows from long after the cut."""
    train, test, validation = (
        pl.read_parquet(folder / f"{name}.parquet") for name in ("train", "test", "validation")
    )
    late = train.head(3).with_columns(pl.col(TIME) + 10**8)
    rows = pl.concat([train, test.head(7), validation.tail(4), late])
    rows.sort(USER, TIME, ITEM).write_parquet(folder / "train.parquet")


@pytest.mark.parametrize("method", ["global_time", "leave_last", "random"])
def test_leaks_are_counted_alike(log_folder: Path, tmp_path: Path, method: str) -> None:
    here, by_buckets = both(log_folder, tmp_path, config_of(method, "any"), leaked)
    failed: list[Finding] = [finding for finding in here.findings if finding.severity == "fail"]
    assert {"shared pairs", "rows unaccounted for"} <= {finding.name for finding in failed}
    assert told(by_buckets) == told(here)


def test_what_is_done_is_not_counted_again(log_folder: Path, tmp_path: Path) -> None:
    config = config_of("global_time", "any")
    _, first = both(log_folder, tmp_path, config)
    told(first)
    _, second = both(log_folder, tmp_path, config)
    assert all(outcome.was_there for outcome in second._held_out)
