"""Ingest: a log of any size becomes cleaned, coded rows with vocabularies, in a folder that is
whole or absent.
"""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import polars as pl

from recsys.core.artefacts import atomic_folder, read_json, write_json
from recsys.core.config import CleanConfig, DataConfig
from recsys.core.errors import DataError, UsageError
from recsys.core.ids import IdMap
from recsys.core.interactions import TimeKind
from recsys.core.progress import QUIET, Progress
from recsys.core.runners import LocalRunner
from recsys.core.step_files import BucketFile
from recsys.core.steps import Outcome, Steps
from recsys.core.suppression import Suppression
from recsys.core.table_files import read_parquet, scan_parquet
from recsys.core.tables import ITEM_ID, TIME, USER_ID, Drops
from recsys.logs.buckets import Filtered, Written, collapse, find_core, write_rows
from recsys.logs.clean import facts, mark_rows
from recsys.logs.exchange import exchange, read_ids
from recsys.logs.odd_values import id_warnings, missing_times, order_warnings, time_warnings
from recsys.logs.published_columns import SharedColumns, scan_parts, shared_columns
from recsys.logs.read import (
    LogScan,
    refuse_mixed_units,
    refuse_order_beside_times,
    scan_log,
)
from recsys.logs.reasons import TIME_MISSING, TIME_UNREADABLE, describe
from recsys.logs.sources import Source, brought
from recsys.logs.spill import Piece, Spilt, spill_piece, together
from recsys.logs.vocabulary import COLD_ITEMS, write_items, write_users

_ROWS_PER_BUCKET = 4_000_000


@dataclass(frozen=True)
class IngestReport:
    """What was read, what stayed, and why the rest went.

    first_time, last_time: unix seconds, or numbers of an order; None without a time column.
    time_unit: how the times were read.
    order_repeats: rows whose number in the order is that of the user's row before; 0 for times.
    parts_without_times: parts of a published split whose file has no times, where train has them.
    """

    rows_read: int
    rows_kept: int
    drops: Drops
    users: int
    items: int
    behaviors: dict[str, int]
    first_time: int | None
    last_time: int | None
    files: tuple[str, ...]
    columns: dict[str, str]
    time_unit: str | None
    buckets: int
    core_rounds: int
    order_repeats: int = 0
    items_without_attributes: int | None = None
    users_without_attributes: int | None = None
    side_tables: list[dict[str, Any]] = field(default_factory=list)
    parts_without_times: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    def document(self) -> dict[str, object]:
        """The report as JSON."""
        return asdict(self) | {
            "drops": facts(self.drops),
            "files": list(self.files),
            "parts_without_times": list(self.parts_without_times),
            "warnings": list(self.warnings),
        }


@dataclass(frozen=True)
class CodedLog:
    """An ingested log. rows: CODED_SCHEMA columns that exist (and SPLIT of published files), in
    their total order.

    users, items: vocabularies in ascending text order; a code is a place there. item_table,
    user_table: one row per code. behaviors: ascending; ("interaction",) when the log has none.
    cold_items: rows of the item table that have no code, with the columns of `item_table`; None when
    there are none.
    time_kind: what the TIME column of `rows` is, where there is one.
    parts_without_times: parts of a published split whose file has no times; their rows stand after
        the last of their user in train.
    """

    rows: pl.LazyFrame
    users: IdMap
    items: IdMap
    behaviors: tuple[str, ...]
    item_table: pl.DataFrame
    user_table: pl.DataFrame
    cold_items: pl.DataFrame | None = None
    time_kind: TimeKind = "seconds"
    parts_without_times: tuple[str, ...] = ()

    @property
    def has_order(self) -> bool:
        """Whether the log says what each user did after what, by a clock or by an order."""
        return TIME in self.rows.collect_schema().names()

    @property
    def has_clock(self) -> bool:
        """Whether the log has moments, which can be compared between users."""
        return self.has_order and self.time_kind == "seconds"


def ingest(
    source: Source,
    data: DataConfig,
    clean: CleanConfig,
    out: Path,
    progress: Progress = QUIET,
    buckets: int | None = None,
    suppressed: Suppression | None = None,
    steps: Steps | None = None,
) -> IngestReport:
    """Clean the log `source` into `out`: rows/part-NNNN.parquet, users.parquet, items.parquet,
    ingest.json.

    The same rows in the same order give the same bytes; the number of buckets (by size when None)
    only moves the borders between the parts. suppressed: people whose rows are dropped, beside
    those of `data.suppressed`. steps: where the work is done; beside the rows, in this process, when
    None. Memory: one bucket of rows, and the users and items. Raises DataError for bad input and when
    no row is left, then listing why.
    """
    scans: dict[str | None, LogScan] = {None: scan_log(source, data)}
    columns = shared_columns(scans)
    return _ingest(scans, columns, data, clean, out, progress, buckets, suppressed, steps)


def ingest_split(
    sources: Mapping[str, Source],
    data: DataConfig,
    clean: CleanConfig,
    out: Path,
    progress: Progress = QUIET,
    buckets: int | None = None,
    suppressed: Suppression | None = None,
    target: str | None = None,
    steps: Steps | None = None,
) -> IngestReport:
    """Ingest published files (train, test, maybe validation) into one log whose rows name their
    SPLIT.

    Columns that not all files have are named in the warnings, and used where they can be
    (`logs.published_columns`). Duplicates are looked for within a file's split only. target: the
    behaviour of held-out rows whose file names none.
    """
    unknown = sorted(set(sources) - {"train", "validation", "test"})
    if unknown or not {"train", "test"} <= set(sources):
        raise UsageError(
            f"published files are {sorted(sources)}",
            "Give train and test, and validation if there is one",
        )
    scans = scan_parts(sources, data)
    columns = shared_columns(scans, target)
    return _ingest(scans, columns, data, clean, out, progress, buckets, suppressed, steps)


def load_log(out: Path) -> CodedLog:
    """The ingested log in the folder `out`. Raises UsageError when there is none."""
    if not (out / "ingest.json").exists():
        raise UsageError(f"{str(out)!r} holds no ingested log", "Make one with recsys run")
    users, items = read_parquet(out / "users.parquet"), read_parquet(out / "items.parquet")
    document = read_json(out / "ingest.json")
    return CodedLog(
        rows=scan_parquet(sorted((out / "rows").glob("part-*.parquet"))),
        users=IdMap(users[USER_ID], "user"),
        items=IdMap(items[ITEM_ID], "item"),
        behaviors=tuple(sorted(document["behaviors"])),
        item_table=items,
        user_table=users,
        cold_items=read_parquet(out / COLD_ITEMS) if (out / COLD_ITEMS).exists() else None,
        time_kind="order" if document["time_unit"] == "order" else "seconds",
        parts_without_times=tuple(document.get("parts_without_times", ())),
    )


def _ingest(
    scans: Mapping[str | None, LogScan],
    columns: SharedColumns,
    data: DataConfig,
    clean: CleanConfig,
    out: Path,
    progress: Progress,
    buckets: int | None,
    suppressed: Suppression | None,
    steps: Steps | None,
) -> IngestReport:
    forgotten = tuple(people for people in (suppressed, _named(data)) if people is not None)
    with atomic_folder(out) as folder:
        work = folder / "work"
        steps = steps or Steps(work, LocalRunner(), progress)
        pieces = _spill(scans, columns, clean, forgotten, steps)
        spilt = together(pieces)
        _require_rows(bool(spilt.rows_kept), spilt.rows_read, spilt.drops)
        num_buckets = buckets or max(1, -(-spilt.rows_kept // _ROWS_PER_BUCKET))
        exchanged = exchange(pieces, steps, num_buckets)
        cleaned, drops = collapse(exchanged, clean, steps)
        filtered = find_core(cleaned, exchanged.num_items, clean, steps)
        drops += spilt.drops + filtered.core.drops
        _require_rows(bool(filtered.core.items.any()), spilt.rows_read, drops)
        written = write_rows(cleaned, exchanged, filtered, steps)
        _take_parts(written.parts, folder / "rows", steps)
        report = _report(scans, columns, spilt, drops, filtered, written, num_buckets)
        items = read_ids(steps.whole(exchanged.items)).filter(pl.Series(filtered.core.items))
        users = read_ids(steps.whole(exchanged.users)).filter(pl.Series(filtered.users))
        report = _write_vocabularies(report, users, items, data, folder)
        shutil.rmtree(work, ignore_errors=True)
        write_json(folder / "ingest.json", report.document())
    progress.say(
        f"kept {report.rows_kept:,} of {report.rows_read:,} rows; dropped {describe(drops)}",
        **facts(drops),
    )
    return report


def _take_parts(parts: Sequence[BucketFile], folder: Path, steps: Steps) -> None:
    """The parts under their final names."""
    folder.mkdir()
    for number, file in enumerate(parts):
        steps.hand_over(file, folder / f"part-{number:04d}.parquet")


def _named(data: DataConfig) -> Suppression | None:
    """The people that the configuration names. Raises UsageError when their file is not there."""
    if data.suppressed is None:
        return None
    path = Path(brought(data.suppressed)[0])
    if not path.exists():
        raise UsageError(
            f"data.suppressed = {data.suppressed!r} is not there",
            "Name a suppressed.json of recsys forget",
        )
    return Suppression.load(path)


def _spill(
    scans: Mapping[str | None, LogScan],
    columns: SharedColumns,
    clean: CleanConfig,
    forgotten: tuple[Suppression, ...],
    steps: Steps,
) -> list[Outcome]:
    """Read everything once: rules on one row, provisional codes. Raises DataError for an order in one
    published file beside times in another, and for mixed units.
    """
    timed = [scan for scan in scans.values() if TIME in columns.present(scan)]
    refuse_order_beside_times({scan.time_unit: scan.files[0] for scan in timed})
    pieces = []
    scan_of_piece = []
    for split, scan in scans.items():
        for frame in _stretches(scan, steps.lasts):
            marked = mark_rows(
                columns.complete(frame),
                columns.present(scan),
                columns.rules(clean, split),
                scan.time_kind,
            )
            urls = scan.urls if steps.runner.is_remote else ()
            pieces.append(Piece(marked, split, forgotten, urls))
            scan_of_piece.append(scan)
    outcomes = steps.run("read", spill_piece, range(len(pieces)), [()] * len(pieces), pieces)
    for outcome, scan in zip(outcomes, scan_of_piece, strict=True):
        refuse_mixed_units(together([outcome]).drops, scan)
    return outcomes


def _stretches(scan: LogScan, apart: bool) -> list[pl.LazyFrame]:
    """The rows of a log in pieces of their order: whole, or `apart` by files and by rows of large ones."""
    if not apart:
        return [scan.marked]
    stretches = []
    for frame, rows in zip(scan.frames, scan.rows_of_frames(), strict=True):
        if rows is None or rows <= _ROWS_PER_BUCKET:
            stretches.append(frame)
            continue
        for start in range(0, rows, _ROWS_PER_BUCKET):
            stretches.append(frame.slice(start, _ROWS_PER_BUCKET))
    return stretches


def _require_rows(any_left: bool, rows_read: int, drops: Drops) -> None:
    if not rows_read:
        raise DataError(
            "the log has no rows", "Check that its export ran; only a header or nothing was found"
        )
    if not any_left:
        remedy = "Loosen [clean], or check the columns with: recsys data check"
        if drops[TIME_MISSING] + drops[TIME_UNREADABLE] > rows_read / 2:
            remedy = 'Name another column of times, or leave it out with data.time_col = ""'
        raise DataError(f"no row is left of {rows_read:,}: dropped {describe(drops)}", remedy)


def _report(
    scans: Mapping[str | None, LogScan],
    columns: SharedColumns,
    spilt: Spilt,
    drops: Drops,
    filtered: Filtered,
    written: Written,
    buckets: int,
) -> IngestReport:
    first = next(iter(scans.values()))
    return IngestReport(
        rows_read=spilt.rows_read,
        rows_kept=sum(written.behaviors.values()),
        drops=drops,
        users=int(filtered.users.sum()),
        items=int(filtered.core.items.sum()),
        behaviors=dict(sorted(written.behaviors.items())),
        first_time=written.first_time,
        last_time=written.last_time,
        files=tuple(file for scan in scans.values() for file in scan.files),
        columns={column: first.names[column] for column in columns.columns},
        time_unit=first.time_unit,
        order_repeats=written.order_repeats if first.time_kind == "order" else 0,
        buckets=buckets,
        core_rounds=filtered.core.rounds,
        parts_without_times=columns.parts_without_times,
        warnings=columns.warnings,
    )


def _write_vocabularies(
    report: IngestReport, users: pl.Series, items: pl.Series, data: DataConfig, folder: Path
) -> IngestReport:
    of_items = write_items(items, data, folder / "items.parquet")
    of_users = write_users(users, data, folder / "users.parquet")
    side_tables = [facts.document() for facts in of_items.facts + of_users.facts]
    return replace(
        report,
        warnings=(
            *report.warnings,
            *id_warnings(users, report.columns[USER_ID]),
            *id_warnings(items, report.columns[ITEM_ID]),
            *_time_warnings(report, data),
            *of_items.warnings,
            *of_users.warnings,
        ),
        items_without_attributes=of_items.missing,
        users_without_attributes=of_users.missing,
        side_tables=side_tables,
    )


def _time_warnings(report: IngestReport, data: DataConfig) -> list[str]:
    """What is odd about the times that were read, and about those that were not."""
    warnings = time_warnings(report.first_time, report.last_time, report.time_unit)
    if TIME not in report.columns:
        return warnings
    column = report.columns[TIME]
    if report.time_unit == "order":
        warnings += order_warnings(column, data.time_unit == "auto", report.order_repeats)
    return warnings + missing_times(column, report.drops, report.rows_read)
