"""Columns that not every file of a published split has: named, and used where they can be."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import polars as pl

from recsys.core.config import CleanConfig, DataConfig
from recsys.core.tables import BEHAVIOR, LOG_SCHEMA, RATING, SPLIT, TIME, USER, WEIGHT
from recsys.logs.read import LogScan, scan_log
from recsys.logs.reasons import REASON
from recsys.logs.sources import Source, open_parts
from recsys.logs.text import TextOptions

_SETTINGS = {
    TIME: "time_col",
    BEHAVIOR: "behavior_col",
    WEIGHT: "weight_col",
    RATING: "rating_col",
}
_TRAIN = "train"


@dataclass(frozen=True)
class SharedColumns:
    """The columns of an ingested log, and what stands in for those that a file lacks.

    columns: of LOG_SCHEMA, in its order.
    target: the behaviour of rows whose file names none; None where that is not known.
    lacking: by part of a published split, those of the `columns` that its file lacks.
    warnings: a sentence for each column that a file lacks.
    """

    columns: list[str]
    target: str | None = None
    lacking: Mapping[str, list[str]] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    @property
    def parts_without_times(self) -> tuple[str, ...]:
        """Parts whose rows stand after the last row of their user in train (`fill_times`)."""
        return tuple(split_part for split_part, columns in self.lacking.items() if TIME in columns)

    def present(self, scan: LogScan) -> list[str]:
        """Those of the columns that a file has."""
        return [column for column in self.columns if column in scan.names]

    def rules(self, clean: CleanConfig, part: str | None) -> CleanConfig:
        """The rules on one row without those that need a column that the file of a part lacks."""
        lacking = self.lacking.get(part or "", [])
        changes: dict[str, None] = {}
        if TIME in lacking:
            changes |= {"start": None, "end": None}
        if RATING in lacking:
            changes |= {"min_rating": None}
        return clean.model_copy(update=changes)

    def complete(self, marked: pl.LazyFrame) -> pl.LazyFrame:
        """The rows of a file under all columns, and REASON."""
        present = marked.collect_schema().names()
        values = {BEHAVIOR: self.target}
        selected = []
        for column in self.columns:
            if column in present:
                selected.append(pl.col(column))
            else:
                value = pl.lit(values.get(column), dtype=LOG_SCHEMA[column])
                selected.append(value.alias(column))
        return marked.select(*selected, REASON)


def shared_columns(scans: Mapping[str | None, LogScan], target: str | None = None) -> SharedColumns:
    """The columns of one log, or of a published split: those of train that all files have, its times
    and ratings, and its behaviours where the `target` is known.
    """
    columns = []
    lacking: dict[str, list[str]] = {}
    warnings = []
    for column in LOG_SCHEMA:
        names = [scan.names[column] for scan in scans.values() if column in scan.names]
        if not names:
            continue
        parts = [str(split_part) for split_part, scan in scans.items() if column not in scan.names]
        if parts:
            warnings.append(_warning(column, names[0], parts, target))
        if not parts or _is_kept(column, parts, target):
            columns.append(column)
            for split_part in parts:
                lacking.setdefault(split_part, []).append(column)
    return SharedColumns(columns, target, lacking, tuple(warnings))


def scan_parts(sources: Mapping[str, Source], data: DataConfig) -> dict[str | None, LogScan]:
    """Published files, train first; the others may lack columns that are named for train."""
    scans: dict[str | None, LogScan] = {}
    # Train first, whose columns are those that the others are compared with.
    for split_part in sorted(sources, key=[_TRAIN, "validation", "test"].index):
        source = sources[split_part]
        settings = data if split_part == _TRAIN else _without_absent(source, data)
        scans[split_part] = scan_log(source, settings)
    return scans


def fill_times(rows: pl.DataFrame, last_time: int | None) -> pl.DataFrame:
    """Rows without a time stand after the last row of their user in train, in their own order.

    Users without one stand after the `last_time` of the log. No moment is claimed: the smallest
    numbers are taken that leave the rows behind all that is learned from of their user.
    """
    if TIME not in rows.columns or not rows[TIME].null_count():
        return rows
    in_train = pl.col(SPLIT) == _TRAIN
    last_of_user = pl.col(TIME).filter(in_train).max().over(USER)
    # 1, 2, … for the rows without a time of each user.
    number = pl.col(TIME).is_null().cum_sum().over(USER)
    filled = last_of_user.fill_null(last_time or 0) + number
    return rows.with_columns(pl.col(TIME).fill_null(filled))


def _without_absent(source: Source, data: DataConfig) -> DataConfig:
    """Without the names of optional columns that a file does not have."""
    columns = tuple(data.columns) if data.columns else None
    options = TextOptions(data.separator, columns, data.broken_lines == "count")
    present: set[str] = set()
    for log_part in open_parts(source, options):
        present.update(log_part.frame.collect_schema().names())
    absent: dict[str, str] = {}
    for setting in _SETTINGS.values():
        name = getattr(data, setting)
        if name and name not in present:
            absent[setting] = ""
    return data.model_copy(update=absent)


def _is_kept(column: str, parts: list[str], target: str | None) -> bool:
    """Whether a column is used that the files of these parts lack."""
    if _TRAIN in parts:
        return False
    return column in (TIME, RATING) or (column == BEHAVIOR and target is not None)


def _warning(column: str, name: str, parts: list[str], target: str | None) -> str:
    """What is done about a column, called `name` in a file, that the files of some parts lack."""
    files = " and ".join(f"data.{split_part}" for split_part in parts)
    opening = f"{files} has no column {name!r} ({column})"
    if _TRAIN in parts:
        return f"{opening}: it is left out of the other files"
    if column == TIME:
        return (
            f"{opening}: its rows stand after the last of their user in data.train, whose times "
            "order histories and carve validation; whether they came later is not known"
        )
    if column == RATING:
        return f"{opening}: clean.min_rating, where it is set, looks at data.train alone"
    if column == BEHAVIOR and target is not None:
        return f"{opening}: its rows count as {target!r} (graph.target)"
    if column == BEHAVIOR:
        return (
            f"{opening}: all rows of data.train count alike. "
            "Set graph.target to the behaviour that is held out, and behaviours are used"
        )
    return f"{opening}: it is left out of data.train"
