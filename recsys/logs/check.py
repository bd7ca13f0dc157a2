"""`recsys data check`: what a log holds, what looks wrong in it, and what cleaning would drop."""

import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl

from recsys.core.config import CleanConfig, DataConfig
from recsys.core.interactions import DAY_SECONDS
from recsys.core.progress import QUIET, Progress
from recsys.core.tables import ITEM, RATING, TIME, USER
from recsys.logs.check_report import QUANTILES, UNREADABLE, CheckReport
from recsys.logs.ingest import CodedLog, IngestReport, ingest, load_log
from recsys.logs.read import LogScan, explained, scan_log
from recsys.logs.reasons import DUPLICATE
from recsys.logs.sources import Source
from recsys.logs.suspicion import suspicions

_SAMPLE_ROWS = 5
_SHOWN_RATINGS = 20


def check_log(
    source: Source, data: DataConfig, clean: CleanConfig, progress: Progress = QUIET
) -> CheckReport:
    """Read and clean a log as a run would, keep nothing, and say what was found.

    Raises DataError where a run would.
    """
    scan = scan_log(source, data)
    with tempfile.TemporaryDirectory(prefix="recsys-check-") as scratch:
        out = Path(scratch) / "log"
        ingested = ingest(source, data, clean, out, progress)
        report = _describe(scan, ingested, load_log(out))
    report.warnings.extend([*suspicions(report, clean), *ingested.warnings])
    return report


def _describe(scan: LogScan, ingested: IngestReport, log: CodedLog) -> CheckReport:
    num_duplicates = ingested.drops[DUPLICATE]
    num_usable = max(ingested.rows_kept + num_duplicates, 1)
    columns = {}
    for column, name in scan.names.items():
        columns[column] = {"name": name, "type": scan.types[column]}
    return CheckReport(
        files=ingested.files,
        columns=columns,
        rows_read=ingested.rows_read,
        rows_kept=ingested.rows_kept,
        drops=dict(ingested.drops.most_common()),
        users=ingested.users,
        items=ingested.items,
        behaviors=ingested.behaviors,
        per_user=_quantiles(log, USER),
        per_item=_quantiles(log, ITEM),
        first_time=_iso(ingested.first_time) if log.has_clock else None,
        last_time=_iso(ingested.last_time) if log.has_clock else None,
        time_unit=ingested.time_unit,
        midnight_share=_midnight_share(log),
        ratings=_ratings(scan),
        duplicate_share=num_duplicates / num_usable,
        sample=_sample(scan),
    )


def _sample(scan: LogScan) -> list[dict[str, Any]]:
    """The first rows; JSON knows no NaN, which stands for a rating that is no number."""
    with explained():
        rows = scan.rows.head(_SAMPLE_ROWS).collect()
    if RATING in rows.columns:
        rows = rows.with_columns(pl.col(RATING).fill_nan(None))
    return rows.to_dicts()


def _quantiles(log: CodedLog, column: str) -> dict[str, float]:
    counts = log.rows.group_by(column).len().collect(engine="streaming")["len"]
    quantiles = {}
    for share in QUANTILES:
        quantiles[f"{share:.0%}"] = float(counts.quantile(share, "nearest") or 0)
    return quantiles


def _midnight_share(log: CodedLog) -> float | None:
    """Share of the rows whose time is a whole day; None without a clock."""
    if not log.has_clock:
        return None
    is_midnight = pl.col(TIME) % DAY_SECONDS == 0
    share = log.rows.select(is_midnight.mean()).collect(engine="streaming").item()
    return float(share)


def _ratings(scan: LogScan) -> dict[str, int] | None:
    """Rows by rating: the 20 most frequent ratings, and what is none."""
    if RATING not in scan.names:
        return None
    with explained():
        counts = scan.rows.group_by(RATING).len().collect(engine="streaming")
    is_number = pl.col(RATING).is_finite().fill_null(False)
    numbers = counts.filter(is_number).sort("len", RATING, descending=[True, False])
    shown = numbers.head(_SHOWN_RATINGS).sort(RATING)
    ratings = {f"{rating:g}": rows for rating, rows in shown.iter_rows()}
    for rating, rows in counts.filter(~is_number).sort(RATING).iter_rows():
        ratings["missing" if rating is None else UNREADABLE] = rows
    return ratings


def _iso(time: int | None) -> str | None:
    if time is None:
        return None
    return datetime.fromtimestamp(time, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
