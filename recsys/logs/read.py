"""Reading a log: any source becomes one lazy frame of LOG_SCHEMA columns with the reason why a row
must go.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property

import polars as pl
from polars.exceptions import PolarsError

from recsys.core.config import DataConfig
from recsys.core.errors import DataError
from recsys.core.ids import holds_whole_floats
from recsys.core.interactions import TimeKind
from recsys.core.tables import (
    ITEM_ID,
    RATING,
    TIME,
    USER_ID,
    WEIGHT,
    Drops,
)
from recsys.logs.columns import (
    Reading,
    map_columns,
    marked_columns,
    require_types,
)
from recsys.logs.formats import PARQUET_ENDINGS, ending_of, first_line
from recsys.logs.live_events import (
    is_live_events,
    settings_of_events,
    unit_of_events,
    with_missing_ratings,
)
from recsys.logs.numbers import has_decimal_commas
from recsys.logs.reasons import KEPT, REASON, TIME_OTHER_UNIT, count_reasons
from recsys.logs.sources import (
    Part,
    Source,
    open_parts,
    urls_of,
)
from recsys.logs.text import BROKEN, TextOptions
from recsys.logs.times import NUMERIC_NAMES, Unit, decide_unit

_SAMPLE_ROWS = 10_000


@dataclass(frozen=True)
class LogScan:
    """A log that can be read, not read yet.

    frames: of each file the LOG_SCHEMA columns that exist, and REASON (KEPT or why the row must go).
    names: log column → its column in the source. types: log column → its type there, as text.
    time_unit: how timestamps are read.
    urls: of which copies are read.
    """

    frames: tuple[pl.LazyFrame, ...]
    files: tuple[str, ...]
    names: dict[str, str]
    types: dict[str, str]
    time_unit: Unit | None
    urls: tuple[str, ...] = ()

    @cached_property
    def marked(self) -> pl.LazyFrame:
        """All rows, a file after another."""
        return pl.concat(self.frames)

    def rows_of_frames(self) -> list[int | None]:
        """Rows of each file; None where all of it would have to be read for that."""
        counts: list[int | None] = []
        for name, frame in zip(self.files, self.frames, strict=True):
            is_told = ending_of(name) in PARQUET_ENDINGS
            counts.append(frame.select(pl.len()).collect().item() if is_told else None)
        return counts

    @property
    def time_kind(self) -> TimeKind:
        """What the times are: unix seconds, or the numbers of an order."""
        return "order" if self.time_unit == "order" else "seconds"

    @property
    def what(self) -> str:
        """What is read, for messages."""
        if len(self.files) == 1:
            return f"the log {self.files[0]!r}"
        return f"the log of {len(self.files)} files, {self.files[0]!r} to {self.files[-1]!r}"

    @property
    def rows(self) -> pl.LazyFrame:
        """The rows that can be used."""
        return self.marked.filter(pl.col(REASON) == KEPT).drop(REASON)

    @cached_property
    def drops(self) -> Drops:
        """Rows that cannot be used, by reason. Reads the log once. Raises DataError for mixed time
        units.
        """
        with explained(self.what):
            counts = self.marked.group_by(REASON).len().collect(engine="streaming")
        drops = Drops()
        for reason, count in counts.select(pl.col(REASON).cast(pl.String), "len").iter_rows():
            if reason != KEPT:
                drops[reason] = count
        refuse_mixed_units(drops, self)
        return drops

    def collect(self) -> tuple[pl.DataFrame, Drops]:
        """The usable rows in memory and the drops. Raises DataError for mixed time units."""
        with explained(self.what):
            marked = self.marked.collect()
        drops = count_reasons(marked[REASON])
        refuse_mixed_units(drops, self)
        return marked.filter(pl.col(REASON) == KEPT).drop(REASON), drops


def scan_log(source: Source, data: DataConfig) -> LogScan:
    """A log from a file, folder, glob, URL, list of these, or a polars or pandas frame.

    Raises DataError for what is missing, unreadable or of a wrong type; rows are looked at when
    they are read.
    """
    columns = tuple(data.columns) if data.columns else None
    parts = open_parts(source, TextOptions(data.separator, columns, data.broken_lines == "count"))
    # Parts of live events may differ from the log, and from one another, in the unit of their times.
    main = [number for number, log_file in enumerate(parts) if not is_live_events(log_file)] or [0]
    with explained():
        parts, readings = _plan_parts(parts, data)
    first = readings[main[0]]
    for log_file, reading in zip(parts, readings, strict=True):
        if reading.names.keys() != first.names.keys():
            missing = sorted(first.names.keys() ^ reading.names.keys())
            raise DataError(
                f"{log_file.name!r} and {parts[main[0]].name!r} differ in {missing}",
                "Give all files the same columns",
            )
    unit = _common_unit([parts[number] for number in main], [readings[number] for number in main])
    frames = []
    for log_file, reading in zip(parts, readings, strict=True):
        frames.append(log_file.frame.select(marked_columns(reading)))
    types = {column: str(kind) for column, kind in first.types.items()}
    types |= dict.fromkeys(first.whole, "String of floats")
    files = tuple(log_file.name for log_file in parts)
    return LogScan(tuple(frames), files, first.names, types, unit, urls_of(source))


def refuse_mixed_units(drops: Drops, scan: LogScan) -> None:
    """Raises DataError when some timestamps are in another unit than the others."""
    count = drops[TIME_OTHER_UNIT]
    if count:
        column = scan.names[TIME]
        raise DataError(
            f"the time column {column!r} mixes units: read as {scan.time_unit!r}, {count:,} values are in another one",
            'Convert it to one unit, or set data.time_unit to "s", "ms" or "iso" to drop and count the others',
        )


def refuse_order_beside_times(units: Mapping[Unit | None, str]) -> None:
    """Raises DataError when one part holds an order and another one moments.

    units: how times are read, with a part that is read so.
    """
    others = [unit for unit in units if unit != "order"]
    if "order" in units and others:
        raise DataError(
            f"timestamps are numbers of an order in {units['order']!r} and moments in {units[others[0]]!r}",
            'Set data.time_unit = "order" if all say only what came after what, "s" if all are seconds',
        )


@contextmanager
def explained(what: str = "the log") -> Iterator[None]:
    """Turn what polars raises while it reads into DataError that names what was read."""
    try:
        yield
    except (PolarsError, OSError) as error:
        cause: BaseException | None = error
        while cause is not None and not isinstance(cause, DataError):
            cause = cause.__cause__ or cause.__context__
        if isinstance(cause, DataError):
            raise cause from None
        raise DataError(
            f"cannot read {what}: {first_line(error)}",
            "A file is cut short or damaged: export it again, or leave it out",
        ) from error


def _plan_parts(parts: list[Part], data: DataConfig) -> tuple[list[Part], list[Reading]]:
    """How each part is read; live events beside a log have names and a unit of their own."""
    logs = [log_file for log_file in parts if not is_live_events(log_file)]
    if not logs or len(logs) == len(parts):
        return parts, [_plan(log_file, data, len(parts)) for log_file in parts]
    readings = {log_file.name: _plan(log_file, data, len(parts)) for log_file in logs}
    log_columns = readings[logs[0].name].names
    completed = []
    for log_file in parts:
        if log_file.name in readings:
            completed.append(log_file)
            continue
        settings = settings_of_events(data, log_file, log_columns)
        events = with_missing_ratings(log_file) if settings.rating_col else log_file
        reading = _plan(events, settings, len(parts))
        log_unit = readings[logs[0].name].unit
        readings[log_file.name] = replace(reading, unit=unit_of_events(reading.unit, log_unit))
        completed.append(events)
    return completed, [readings[log_file.name] for log_file in completed]


def _plan(log_file: Part, data: DataConfig, files: int) -> Reading:
    schema = log_file.frame.collect_schema()
    source = (
        repr(log_file.name)
        if files == 1
        else f"{log_file.name!r}, one of {files} files read as one log,"
    )
    names = map_columns([name for name in schema if name != BROKEN], data, source)
    types = {column: schema[name] for column, name in names.items()}
    require_types(types, names, repr(log_file.name))
    sample = log_file.frame.select(sorted(set(names.values()))).head(_SAMPLE_ROWS).collect()
    decimal_commas = set()
    for column in (WEIGHT, RATING):
        is_text = types.get(column) == pl.String
        if is_text and has_decimal_commas(sample[names[column]], column):
            decimal_commas.add(column)
    ids = [
        column
        for column in (USER_ID, ITEM_ID)
        if log_file.text and holds_whole_floats(sample[names[column]])
    ]
    unit = decide_unit(sample[names[TIME]], data.time_unit) if TIME in names else None
    return Reading(
        names,
        types,
        log_file.text,
        frozenset(ids),
        unit,
        strict_unit=data.time_unit == "auto",
        decimal_commas=frozenset(decimal_commas),
    )


def _common_unit(parts: list[Part], readings: list[Reading]) -> Unit | None:
    units = {reading.unit: log_file.name for log_file, reading in zip(parts, readings, strict=True)}
    refuse_order_beside_times(units)
    numeric = [unit for unit in units if unit in NUMERIC_NAMES]
    if len(numeric) > 1:
        first, second = sorted(numeric, key=list(NUMERIC_NAMES).index)[:2]
        raise DataError(
            f"timestamps are {NUMERIC_NAMES[first]} in {units[first]!r} and {NUMERIC_NAMES[second]} in {units[second]!r}",
            "Convert them to one unit, or run the files one by one with data.time_unit",
        )
    return readings[0].unit
