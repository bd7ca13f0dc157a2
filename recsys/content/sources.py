"""Where the texts and pictures of items are read: from the item table, or from a table of their own."""

from pathlib import Path

import polars as pl

from recsys.content.texts import MISSING, joined_texts
from recsys.core.config import DataConfig, ImageConfig, TextConfig
from recsys.core.errors import ConfigError, nearest
from recsys.core.tables import ITEM_ID, TITLE, Drops
from recsys.logs.side_tables import read_item_rows

CONTENT = "content"
_NO_PICTURE = "picture not there"
_TOO_LARGE = "picture too large"


def read_inputs(
    config: TextConfig | ImageConfig, data: DataConfig, items: pl.DataFrame
) -> tuple[pl.DataFrame, Drops]:
    """One row an item: ITEM_ID, CONTENT (text, or path of a picture; "" where there is none); and
    what is missing, cut or left out.

    items: the item table. Raises ConfigError for a column that there is not.
    """
    table = items
    folder = Path(data.items).parent if data.items is not None else Path()
    if config.table is not None:
        table = read_item_rows(config.table, data).unique(ITEM_ID, keep="first")
        folder = Path(config.table).parent
    columns = columns_of(config, data)
    for column in columns:
        if column not in table.columns:
            known = [name for name in table.columns if name != ITEM_ID]
            hint = nearest(column, known) or f"It has {known}"
            raise ConfigError(f"features name the column {column!r}, which is not there", hint)
    rows = items.select(ITEM_ID).join(
        table.select(ITEM_ID, *columns), on=ITEM_ID, how="left", maintain_order="left"
    )
    if isinstance(config, ImageConfig):
        contents, drops = _pictures(rows[columns[0]], folder, config.max_bytes)
    else:
        contents, drops = joined_texts(rows, columns, config.max_characters)
    return rows.select(ITEM_ID).with_columns(pl.Series(CONTENT, contents, pl.String)), drops


def columns_of(config: TextConfig | ImageConfig, data: DataConfig) -> list[str]:
    """Under their names here: the column of titles has one of its own."""
    named = [config.column] if isinstance(config, ImageConfig) else config.columns
    return [TITLE if name == data.title_col else name for name in named]


def _pictures(column: pl.Series, folder: Path, max_bytes: int) -> tuple[list[str], Drops]:
    """The path of every row's picture, "" for one that cannot be used; and how many those are."""
    paths = []
    drops = Drops()
    for name in column.cast(pl.String):
        if not name:
            drops[MISSING] += 1
            paths.append("")
            continue
        path = folder / name
        if not path.is_file():
            drops[_NO_PICTURE] += 1
        elif path.stat().st_size > max_bytes:
            drops[_TOO_LARGE] += 1
        else:
            paths.append(str(path))
            continue
        paths.append("")
    return paths, drops
