"""Logs whose files are not read as they are: other files are made of them in the cache."""

from pathlib import Path

import numpy as np
import polars as pl

from benchmarks.planted import draw_log, draw_truth, shape_of
from recsys.core.config import RunConfig
from recsys.core.tables import ITEM_ID, TIME, USER_ID
from recsys.logs.per_user import place_ends, share_of
from recsys.logs.time_cut import TRAIN, VALIDATION

ORDER_FILE = "order.parquet"
PLANTED_ROWS = {"planted-1m": 1_000_000, "planted-5m": 5_000_000}
"""Rows of the sets that no file holds."""
_POSITION = "position"


def without_times(config: RunConfig, cache: Path) -> RunConfig:
    """The log without its times, of which only some rows have one: ingest would drop the others."""
    copy = cache / "interactions.parquet"
    pl.read_parquet(str(config.data.log)).drop(TIME).write_parquet(copy)
    return config.model_copy(update={"data": config.data.model_copy(update={"log": str(copy)})})


def planted(config: RunConfig, cache: Path) -> RunConfig:
    """A log drawn by `benchmarks.planted`, as large as the set in `cache` says."""
    rows = PLANTED_ROWS[cache.name]
    users, items = shape_of(rows)
    log = cache / "interactions.parquet"
    draw_log(draw_truth(users, items), rows).write_parquet(log)
    return config.model_copy(update={"data": config.data.model_copy(update={"log": str(log)})})


def in_order(config: RunConfig, cache: Path) -> RunConfig:
    """Published files with the order of the train file, and validation from the end of each line."""
    train = pl.read_parquet(str(config.data.train))
    order = pl.read_parquet(Path(str(config.data.train)).with_name(ORDER_FILE))
    test = pl.read_parquet(str(config.data.test))
    files: dict[str, str] = {}
    for name, table in ordered_parts(train, order, test, config.split.validation_share).items():
        files[name] = str(cache / f"{name}.parquet")
        table.write_parquet(files[name])
    return config.model_copy(update={"data": config.data.model_copy(update=files)})


def ordered_parts(
    train: pl.DataFrame, order: pl.DataFrame, test: pl.DataFrame, validation_share: float
) -> dict[str, pl.DataFrame]:
    """Train, validation and test rows with their position in the history of their user.

    Args:
        train: user_id and item_id of each pair.
        order: the same with `position` from 0, of those pairs whose place in the line is known.
        test: pairs that come after all of train; nothing is known of their order.
        validation_share: of a user's train pairs, the last ones.

    Returns:
        The parts by name. Pairs of unknown order have position 0, before all others.
    """
    placed = train.join(order, on=[USER_ID, ITEM_ID], how="left", maintain_order="left")
    placed = placed.with_columns((pl.col(_POSITION) + 1).fill_null(0))
    placed = placed.sort(USER_ID, _POSITION, maintain_order=True)

    # Users as 0, 1, 2 …: the rows are sorted by user.
    user = placed[USER_ID].rle_id().to_numpy().astype(np.int32)
    codes = place_ends(user, np.arange(len(user)), share_of(0), share_of(validation_share))

    ends = placed.group_by(USER_ID).agg(pl.col(_POSITION).max() + 1)
    after = test.join(ends, on=USER_ID, how="left", maintain_order="left")
    return {
        "train": placed.filter(pl.Series(codes == TRAIN)),
        "validation": placed.filter(pl.Series(codes == VALIDATION)),
        "test": after.with_columns(pl.col(_POSITION).fill_null(0)),
    }
