"""One log in every form in which teams keep theirs: the same bundle, byte for byte."""

import os
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from databases import postgres
from log_copies import (
    write_csv,
    write_delta,
    write_duckdb,
    write_iceberg,
    write_parquet,
    write_postgres,
    write_sqlite,
)
from object_stores import put, server, url  # noqa: F401
from pipelines.run import run
from recsys.core.artefacts import RunFolder, read_json
from recsys.core.config import with_overrides
from recsys.logs.synthetic import communities
from recsys.storage.store import Store

QUERY = "SELECT * FROM events"


def bundle_of(data: dict[str, Any], out: Path) -> tuple[str, dict[str, str]]:
    """Run a small model on a log; the bundle's name, and the hash of each file that answers."""
    raw: dict[str, Any] = {
        "threads": 1,
        "first": False,
        "data": {**data, "time_col": "timestamp"},
        "split": {"method": "last_share", "test_share": 0.2},
        "model": {"width": 8, "heads": 2},
        "train": {"epochs": 1, "batch_size": 256, "negatives": 16},
        "evaluate": {"ks": [5], "bootstrap": 100, "baselines": ["popularity"]},
        "index": {"k": 5},
    }
    run(with_overrides(raw, []), out)
    bundle = RunFolder(out).bundle.resolve()
    files = {}
    for name, facts in read_json(bundle / "manifest.json")["files"].items():
        # Timings stand on the cards, the name of the log in the report.
        if not name.endswith("_card.json") and not name.startswith("report."):
            files[name] = facts["sha256"]
    return bundle.name, files


@pytest.mark.slow
def test_the_same_log_gives_the_same_bundle(url: str, tmp_path: Path) -> None:  # noqa: F811
    for package in ("duckdb", "deltalake", "pyiceberg"):
        pytest.importorskip(package)
    log = communities(num_users=40, num_items=24, events_per_user=12, seed=3).log
    half = pl.read_parquet(write_parquet(log, tmp_path))[: len(log) // 2]
    half.write_parquet(tmp_path / "first")
    log[len(half) :].write_parquet(tmp_path / "second")
    days = {"day=1/a.parquet": (tmp_path / "first").read_bytes()}
    days["day=2/a.parquet"] = (tmp_path / "second").read_bytes()
    put(Store(f"{url}/days"), days, tmp_path)
    expected = bundle_of({"log": write_parquet(log, tmp_path)}, tmp_path / "parquet")
    assert len(expected[1]) > 10
    with postgres() as database:
        write_postgres(log, database)
        os.environ["SHOP_DB_OF_TESTS"] = database
        forms: dict[str, dict[str, Any]] = {
            "csv": {"log": write_csv(log, tmp_path)},
            "s3": {"log": f"{url}/days"},
            "duckdb": {"query": QUERY, "database": write_duckdb(log, tmp_path)},
            "sqlite": {"query": QUERY, "database": write_sqlite(log, tmp_path)},
            "postgres": {"query": QUERY, "connection_env": "SHOP_DB_OF_TESTS"},
            "delta": {"log": write_delta(log, tmp_path)},
            "iceberg": {"log": write_iceberg(log, f"{url}/warehouse", tmp_path)},
        }
        for name, data in forms.items():
            assert bundle_of(data, tmp_path / name) == expected, name
