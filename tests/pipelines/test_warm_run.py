"""A nightly run goes on from the last one's states, and never from states that saw what is held
out.
"""

from pathlib import Path

import polars as pl
import pytest

from chain import Heard, Settings
from pipelines.run import run
from recsys.evaluate.document import Report


@pytest.mark.parametrize("method", ["global_time", "last_share"])
def test_warm_start_from_an_earlier_run(
    settings: Settings, world: Path, tmp_path: Path, method: str
) -> None:
    log = pl.read_parquet(world / "log.parquet").sort("timestamp")
    pl.read_parquet(world / "items.parquet").write_parquet(tmp_path / "items.parquet")
    wanted = [f"split.method={method}", "evaluate.baselines=['popularity']"]
    for night, rows in (("first", log[: len(log) * 4 // 5]), ("second", log)):
        rows.write_parquet(tmp_path / "log.parquet")
        heard = Heard()
        warm = [] if night == "first" else [f"train.warm_start={tmp_path}/first"]
        run(settings(tmp_path, *wanted, *warm), tmp_path / night, heard)
    started = [line for line in heard.lines if ": warm start, " in line]
    refused = [line for line in heard.lines if "no warm start" in line]
    assert (len(started), len(refused)) == ((3, 0) if method == "global_time" else (1, 2))
    assert Report.load(tmp_path / "second/report/report.json").row("model").metrics
