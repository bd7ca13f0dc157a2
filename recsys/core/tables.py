"""Column names and table schemas: the only module that spells a column."""

from collections import Counter
from collections.abc import Iterable, Mapping

import polars as pl

from recsys.core.errors import DataError, nearest

# Outside ids: as they stand in the log, always strings.
USER_ID = "user_id"
ITEM_ID = "item_id"
# Codes: row numbers of the vocabulary tables of an ingested log (Int32).
USER = "user"
ITEM = "item"

TIME = "timestamp"  # Int64: unix seconds, UTC, or the numbers of an order
BEHAVIOR = "behavior"  # String
WEIGHT = "weight"  # Float32, how much the event counts
RATING = "rating"  # Float32, only used to filter

SOURCE = "source"  # of an edge of a side table: a code (users, items) or text (other nodes)
DESTINATION = "destination"

SPLIT = "split"  # String, published splits only: train, validation or test

TITLE = "title"
AVAILABLE = "available"  # Boolean, false: never recommended
SCORE = "score"
RANK = "rank"  # from 1

NODE_TYPE = "node_type"  # of a graph, for example "item:genres"
LABEL = "label"  # what an attribute node stands for

# What a service writes down: events, answers of an experiment, and what was shown of them.
EVENT_ID = "event_id"  # what the sender calls an event
ANSWER = "answer"  # id of a list that was given
ARM = "arm"
BUNDLE = "bundle"
ITEMS = "items"  # of a list, external ids
PLACES = "places"  # of those, from 1
POOL = "pool"  # items that a drawn list was drawn from
FALLBACK = "fallback"  # Boolean, the live bundle in place of an arm's
DRAWN = "drawn"  # Boolean, of the share that explores
OPTIONS = "options"  # of a list, where they are not the defaults
PROPENSITY = "propensity"  # of each item of a drawn list at its place

LOG_SCHEMA: dict[str, pl.DataType] = {
    USER_ID: pl.String(),
    ITEM_ID: pl.String(),
    TIME: pl.Int64(),
    BEHAVIOR: pl.String(),
    WEIGHT: pl.Float32(),
    RATING: pl.Float32(),
}
CODED_SCHEMA: dict[str, pl.DataType] = {
    USER: pl.Int32(),
    ITEM: pl.Int32(),
    TIME: pl.Int64(),
    BEHAVIOR: pl.String(),
    WEIGHT: pl.Float32(),
}
# Total order of every table of coded rows: the same rows give the same bytes.
CODED_ORDER = (USER, TIME, ITEM, BEHAVIOR, WEIGHT)

Drops = Counter[str]
"""Rows dropped, by reason. A filter returns the rows kept and its Drops; nothing vanishes
uncounted.
"""


def require_columns(found: Iterable[str], wanted: Mapping[str, str | None], source: str) -> None:
    """Raises DataError naming the first missing column, the columns found and the nearest of them.

    wanted: by column the setting that names it, "item_col" say; None where nothing does.
    """
    present = list(found)
    for column, setting in wanted.items():
        if column not in present:
            remedy = "Rename the right one in the file"
            if setting is not None:
                flag = f"--{setting.replace('_', '-')}"
                remedy = f"Name the right one with {flag} (data.{setting} in a configuration)"
            raise DataError(
                f"{source} has no column {column!r}; it has {present}",
                f"{nearest(column, present)} {remedy}".strip(),
            )


def in_order(rows: pl.DataFrame) -> pl.DataFrame:
    """Coded rows in their total order."""
    return rows.sort([column for column in CODED_ORDER if column in rows.columns])
