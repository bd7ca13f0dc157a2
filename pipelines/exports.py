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
    """Write train, validation and test .parquet and split.json into `out`, whole or absent.

    Returns the facts. Raises UsageError when `out` holds anything but an earlier split.
    """
    if out.exists() and any(out.iterdir()) and not (out / "split.json").exists():
        raise UsageError(f"{str(out)!r} holds other files", "Choose an empty or a new --out")
    log = load_log(run / LOG)
    splits = load_splits(run / SPLIT)
    with atomic_folder(out) as folder:
        for name in ("train", "validation", "test"):
            rows = external_ids(getattr(splits, name), log)
            rows.write_parquet(folder / f"{name}.parquet")
        write_json(folder / "split.json", splits.document())
    return splits.document()


def external_ids(rows: pl.DataFrame, log: CodedLog) -> pl.DataFrame:
    """Coded rows with the ids of the log in place of the codes."""
    users = log.users.ids.gather(rows[USER])
    items = log.items.ids.gather(rows[ITEM])
    ids = pl.DataFrame({USER_ID: users, ITEM_ID: items})
    others = rows.drop(USER, ITEM)
    return ids.hstack(others.get_columns())
