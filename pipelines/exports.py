"""Splits of a run as files in the ids of the log."""

from pathlib import Path
from typing import Any

import polars as pl

from pipelines.places import LOG, SPLIT
from recsys.core.artefacts import atomic_folder, write_json
from recsys.core.errors import UsageError
from recsys.core.tables import ITEM, ITEM_ID, USER, USER_ID
from recsys.logs.ingest import CodedLog, load_log
from recsys.logs.split import load as load_splits


def export_splits(run: Path, out: Path) -> dict[str, Any]:
    """Write train, validation and test .parquet and split.json into `out`, whole or absent; returns
    the facts.

    Raises UsageError when `out` holds anything but an earlier split.
    """
    if out.exists() and any(out.iterdir()) and not (out / "split.json").exists():
        raise UsageError(f"{str(out)!r} holds other files", "Choose an empty or a new --out")
    log, splits = load_log(run / LOG), load_splits(run / SPLIT)
    with atomic_folder(out) as folder:
        for name in ("train", "validation", "test"):
            outside_ids(getattr(splits, name), log).write_parquet(folder / f"{name}.parquet")
        write_json(folder / "split.json", splits.document())
    return splits.document()


def outside_ids(rows: pl.DataFrame, log: CodedLog) -> pl.DataFrame:
    """Coded rows with the ids of the log in place of the codes."""
    users, items = log.users.ids.gather(rows[USER]), log.items.ids.gather(rows[ITEM])
    return pl.DataFrame({USER_ID: users, ITEM_ID: items}).hstack(
        rows.drop(USER, ITEM).get_columns()
    )
