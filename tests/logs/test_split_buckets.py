"""A split by the parts of the log leaves the bytes of one that sees all rows at once."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.core.artefacts import content_sha256
from recsys.core.config import CleanConfig, DataConfig, SplitConfig
from recsys.core.errors import DataError
from recsys.core.step_files import BucketFile
from recsys.core.steps import Steps
from recsys.core.tables import ITEM, ITEM_ID, TIME, USER, USER_ID
from recsys.logs.ingest import ingest, load_log
from recsys.logs.split import split_log
from recsys.logs.split_buckets import SpreadMoments, split_by_buckets, survey
from recsys.logs.synthetic import communities
from recsys.logs.time_cut import MomentsInMemory, cut_moment


def in_parts(tmp_path: Path, log: pl.DataFrame, buckets: int) -> Path:
    folder = tmp_path / "log"
    ingest(log, DataConfig(), CleanConfig(), folder, buckets=buckets)
    return folder


@pytest.mark.parametrize("task", ["any", "new"])
@pytest.mark.parametrize(
    "config",
    [
        {"method": "global_time"},
        {"method": "rolling_time", "fold": 1},
        {"method": "leave_last"},
        {"method": "last_share", "validation_share": 0},
        {"method": "random", "test_share": 0.3},
    ],
    ids=lambda config: config["method"],
)
def test_every_method_leaves_the_same_bytes(tmp_path: Path, config: dict, task: str) -> None:
    world = communities(num_users=90, behaviors=("view", "buy"))
    folder = in_parts(tmp_path, world.log, buckets=4)
    log = load_log(folder)
    settings_of_split = SplitConfig(**config)
    split_log(log, settings_of_split, "buy", 3, task).save(tmp_path / "one")
    (tmp_path / "many").mkdir()
    steps = Steps(tmp_path / "steps", lasts=True)
    split_by_buckets(folder, log, settings_of_split, "buy", 3, task, steps, tmp_path / "many")
    assert content_sha256(tmp_path / "one") == content_sha256(tmp_path / "many")


def test_a_log_that_cannot_be_split_says_the_same(tmp_path: Path) -> None:
    log = pl.DataFrame({USER_ID: ["a", "b"], ITEM_ID: ["x", "y"], TIME: [5, 5]})
    folder = in_parts(tmp_path, log, buckets=2)
    for config in (SplitConfig(), SplitConfig(method="leave_last")):
        with pytest.raises(DataError) as one:
            split_log(load_log(folder), config, "interaction", 0)
        steps = Steps(tmp_path / "steps", lasts=True)
        with pytest.raises(DataError) as many:
            split_by_buckets(
                folder, load_log(folder), config, "interaction", 0, "any", steps, tmp_path
            )
        assert str(one.value) == str(many.value)


@settings(max_examples=25)
@given(
    st.lists(st.integers(-(10**12), 10**12) | st.integers(0, 9), min_size=3, max_size=40),
    st.floats(0.05, 0.6),
    st.integers(1, 4),
)
def test_a_cut_over_parts_is_the_cut_of_all(tmp_path_factory, times, share, num_parts) -> None:
    folder = tmp_path_factory.mktemp("parts")
    parts = []
    for number in range(num_parts):
        rows = pl.DataFrame({TIME: times[number::num_parts]}, schema={TIME: pl.Int64})
        rows = rows.with_columns(pl.lit(0, pl.Int32).alias(USER), pl.lit(0, pl.Int32).alias(ITEM))
        rows.write_parquet(folder / f"{number}.parquet")
        parts.append(BucketFile.of(folder / f"{number}.parquet", hashed=True))
    steps = Steps(folder / "steps", lasts=True)
    arguments = [("interaction", ("interaction",))] * num_parts
    surveyed = steps.run("survey", survey, arguments, [[part] for part in parts])
    spread = SpreadMoments(parts, "interaction", surveyed, steps)
    together = MomentsInMemory(np.array(times))
    for place in range(len(times)):
        assert spread.at(place) == together.at(place) == sorted(times)[place]
    try:
        wanted = cut_moment(together, share)
    except DataError:
        return
    assert cut_moment(spread, share) == wanted
