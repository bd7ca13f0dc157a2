"""The file of live events of the service beside a log: its columns always go by the standard names,
and its times are unix seconds, whatever the log's are. Beside a log with an order they come behind
all its rows.
"""

from collections.abc import Collection
from dataclasses import replace

import polars as pl

from recsys.core.config import DataConfig
from recsys.core.tables import ANSWER, BEHAVIOR, EVENT_ID, ITEM_ID, RATING, TIME, USER_ID, WEIGHT
from recsys.logs.formats import ending_of
from recsys.logs.sources import Part
from recsys.logs.text import BROKEN
from recsys.logs.times import Unit

_REQUIRED = {USER_ID, ITEM_ID, TIME}
_OPTIONAL = {BEHAVIOR, WEIGHT, EVENT_ID, ANSWER}  # the last two are the service's own


def is_live_events(part: Part) -> bool:
    """Whether a part is JSON lines with the keys that the service writes, and no others."""
    if not part.text or ending_of(part.name) != ".jsonl":
        return False
    columns = set(part.columns) - {BROKEN}
    return columns >= _REQUIRED and columns <= _REQUIRED | _OPTIONAL


def settings_of_events(data: DataConfig, part: Part, log_columns: Collection[str]) -> DataConfig:
    """How a file of live events is read: by its own names, with the columns that the log has.

    log_columns: log columns of the other parts.
    """
    names = {
        "user_col": USER_ID,
        "item_col": ITEM_ID,
        "time_col": TIME if TIME in log_columns else "",
        "behavior_col": BEHAVIOR if BEHAVIOR in log_columns and BEHAVIOR in part.columns else "",
        "weight_col": WEIGHT if WEIGHT in log_columns and WEIGHT in part.columns else "",
        "rating_col": RATING if RATING in log_columns else "",
        "time_unit": "auto",
    }
    return data.model_copy(update=names)


def unit_of_events(unit: Unit | None, log_unit: Unit | None) -> Unit | None:
    """How the times of events are read beside a log that is read in `log_unit`.

    unit: what their values look like; they are moments, however small.
    """
    if unit is not None and log_unit == "order":
        return "behind_order"
    return "s" if unit == "order" else unit


def with_missing_ratings(part: Part) -> Part:
    """Events have no rating: an empty column, where the log has one."""
    return replace(part, frame=part.frame.with_columns(pl.lit(None, pl.String).alias(RATING)))
