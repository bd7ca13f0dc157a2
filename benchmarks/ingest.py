"""Ingest of a large log against the cheapest thing polars could do with it, in time and peak
memory.

Ours: read 8 Parquet files with string ids, drop duplicates, 5-core to its fixed point, map ids,
write coded rows and vocabularies. The other side: scan_parquet(...).group_by(user, item).agg(min
time), streaming to one Parquet file. Both run in processes of their own, in turns, so that each has
its own peak; seconds exclude the imports. --alone leaves the other side out, which at 100 million
rows takes far more memory than ours (over 9 GB).
"""

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import polars as pl

from benchmarks.record import record
from recsys.core.config import CleanConfig, DataConfig
from recsys.core.machine import peak_memory_bytes
from recsys.core.tables import ITEM_ID, TIME, USER_ID
from recsys.logs.ingest import ingest
from recsys.logs.synthetic import large_log

CORE = 5


def main() -> None:
    arguments = _arguments()
    if arguments.side:
        print(json.dumps(SIDES[arguments.side](arguments.folder)))
        return
    with tempfile.TemporaryDirectory(prefix="recsys-bench-") as scratch:
        folder = Path(scratch) / "log"
        large_log(
            folder,
            arguments.rows,
            arguments.rows // 10,
            arguments.rows // 100,
            files=8,
            seed=arguments.seed,
        )
        sides = ["ours"] if arguments.alone else list(SIDES)
        runs = [_run(side, folder) for _ in range(arguments.repeats) for side in sides]
    name = f"ingest_{arguments.rows // 1_000_000}m"
    record(
        name,
        _figures(runs, arguments),
        data=f"synthetic.large_log, {arguments.rows:,} rows",
        seed=arguments.seed,
    )


def run_ours(folder: Path) -> dict[str, Any]:
    clean = CleanConfig(min_user_interactions=CORE, min_item_interactions=CORE)
    out = folder.parent / "ours"
    start = time.perf_counter()
    report = ingest(folder, DataConfig(), clean, out)
    seconds = time.perf_counter() - start
    shutil.rmtree(out)
    return {
        "side": "ours",
        "seconds": seconds,
        "peak": peak_memory_bytes(),
        "report": _shown(report.document()),
    }


def run_polars(folder: Path) -> dict[str, Any]:
    out = folder.parent / "polars.parquet"
    start = time.perf_counter()
    rows = pl.scan_parquet(folder / "*.parquet").group_by(USER_ID, ITEM_ID).agg(pl.col(TIME).min())
    rows.sink_parquet(out)
    seconds = time.perf_counter() - start
    out.unlink()
    return {"side": "polars", "seconds": seconds, "peak": peak_memory_bytes()}


SIDES = {"ours": run_ours, "polars": run_polars}


def _shown(report: dict[str, Any]) -> dict[str, Any]:
    return {
        key: report[key]
        for key in ("rows_read", "rows_kept", "users", "items", "drops", "buckets", "core_rounds")
    }


def _run(side: str, folder: Path) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.ingest", "--side", side, "--folder", str(folder)]
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[1]
    )
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    print(f"{side}: {found['seconds']:.1f} s, {found['peak'] / 1e9:.2f} GB", flush=True)
    return found


def _figures(runs: list[dict[str, Any]], arguments: argparse.Namespace) -> dict[str, Any]:
    sides = list(dict.fromkeys(run["side"] for run in runs))
    seconds = {side: [run["seconds"] for run in runs if run["side"] == side] for side in sides}
    figures = {
        "rows": arguments.rows,
        "seconds": {side: [round(one, 2) for one in values] for side, values in seconds.items()},
        "peak_gb": {
            side: round(max(run["peak"] for run in runs if run["side"] == side) / 1e9, 3)
            for side in sides
        },
        "report": next(run["report"] for run in runs if run["side"] == "ours"),
    }
    if not arguments.alone:
        ratios = [
            ours / polars for ours, polars in zip(seconds["ours"], seconds["polars"], strict=True)
        ]
        figures["median_ratio_ours_to_polars"] = round(statistics.median(ratios), 3)
    return figures


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=20_000_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--alone", action="store_true", help="measure ours only")
    parser.add_argument("--side", choices=sorted(SIDES), help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
