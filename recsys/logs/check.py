"""`recsys data check`: what a log holds, what looks wrong in it, and what cleaning would drop."""

import math
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import polars as pl

from recsys.core.config import CleanConfig, DataConfig
from recsys.core.progress import QUIET, Progress
from recsys.core.tables import ITEM, RATING, TIME, USER
from recsys.logs.check_report import QUANTILES, UNREADABLE, CheckReport
from recsys.logs.ingest import CodedLog, IngestReport, ingest, load_log
from recsys.logs.read import LogScan, explained, scan_log
from recsys.logs.reasons import DUPLICATE
from recsys.logs.sources import Source
from recsys.logs.suspicion import suspicions


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
    kept = max(ingested.rows_kept + ingested.drops[DUPLICATE], 1)
    with explained():
        sample = scan.rows.head(5).collect().to_dicts()
    return CheckReport(
        files=ingested.files,
        columns={
            column: {"name": name, "type": scan.types[column]}
            for column, name in scan.names.items()
        },
        rows_read=ingested.rows_read,
        rows_kept=ingested.rows_kept,
        drops=dict(ingested.drops.most_common()),
        users=ingested.users,
        items=ingested.items,
        behaviors=ingested.behaviors,
        per_user=_quantiles(log, USER),
        per_item=_quantiles(log, ITEM),
        first_time=_iso(ingested.first_time),
        last_time=_iso(ingested.last_time),
        time_unit=ingested.time_unit,
        midnight_share=_midnight_share(log),
        ratings=_ratings(scan),
        duplicate_share=ingested.drops[DUPLICATE] / kept,
        sample=sample,
    )


def _quantiles(log: CodedLog, column: str) -> dict[str, float]:
    counts = log.rows.group_by(column).len().collect(engine="streaming")["len"]
    return {f"{share:.0%}": float(counts.quantile(share, "nearest") or 0) for share in QUANTILES}


def _midnight_share(log: CodedLog) -> float | None:
    if TIME not in log.rows.collect_schema():
        return None
    return float(
        log.rows.select((pl.col(TIME) % 86_400 == 0).mean()).collect(engine="streaming").item()
    )


def _ratings(scan: LogScan) -> dict[str, int] | None:
    """Rows by rating; the 20 most frequent of them."""
    if RATING not in scan.names:
        return None
    with explained():
        counts = scan.rows.group_by(RATING).len().collect(engine="streaming")
    top = (
        counts.sort("len", RATING, descending=[True, False], nulls_last=True)
        .head(20)
        .sort(RATING, nulls_last=True)
    )
    return {_rating_name(rating): rows for rating, rows in top.iter_rows()}


def _rating_name(rating: float | None) -> str:
    if rating is None:
        return "missing"
    return UNREADABLE if math.isnan(rating) else f"{rating:g}"


def _iso(time: int | None) -> str | None:
    return (
        None if time is None else datetime.fromtimestamp(time, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    )
