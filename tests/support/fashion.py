"""Worlds in which people take whatever is new: item n around day n."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from recsys.core.config import build_config
from recsys.logs.ingest import ingest, load_log
from recsys.logs.split import split_log
from recsys.phases.phase import Phase

DAYS = 60


def fashion_log(tastes: int = 1) -> pl.DataFrame:
    """3,000 rows of 100 users. With several tastes, a user takes the items whose number leaves
    theirs as a remainder.
    """
    draw = np.random.default_rng(0)
    days = np.sort(draw.uniform(0, DAYS, 3000))
    items = np.clip(days + draw.normal(0, 2, len(days)), 0, DAYS - 1).astype(int)
    users = draw.integers(0, 100, len(days))
    items = items - items % tastes + users % tastes
    return pl.DataFrame(
        {"user_id": users, "item_id": items, "timestamp": (days * 86_400).astype(int)}
    )


def fashion(folder: Path, method: str, tastes: int = 1, **blend: Any) -> Phase:
    """Its phase "select"."""
    fashion_log(tastes).write_parquet(folder / "log.parquet")
    raw = {
        "data": {"log": str(folder / "log.parquet"), "time_col": "timestamp"},
        "split": {"method": method},
    }
    config = build_config(
        raw | {"train": {"metric_k": 5}, "blend": {"neighbours": 0, "low_pass_rank": 0, **blend}}
    )
    ingest(config.data.log, config.data, config.clean, folder / "ingested")
    log = load_log(folder / "ingested")
    return Phase("select", log, split_log(log, config.split, "interaction", 0), config)
