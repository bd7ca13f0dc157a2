"""From the log to cleaned, coded rows."""

from pipelines.places import SUPPRESSED
from pipelines.runner import Facts, Work
from recsys.core.config import DataConfig
from recsys.core.errors import ConfigError
from recsys.core.suppression import Suppression
from recsys.logs.ingest import IngestReport, ingest_split
from recsys.logs.ingest import ingest as ingest_log
from recsys.logs.queries import log_of
from recsys.logs.sources import brought


def ingest(work: Work) -> Facts:
    """Read, clean and code the log. Raises ConfigError when the configuration names none."""
    report = _ingest(work)
    for warning in report.warnings:
        work.progress.say(f"warning: {warning}", warning=warning)
    return Facts(
        rows_in=report.rows_read,
        rows_out=report.rows_kept,
        drops=report.drops,
        figures={
            "users": report.users,
            "items": report.items,
            "behaviors": list(report.behaviors),
            "warnings": report.warnings,
        },
    )


def _ingest(work: Work) -> IngestReport:
    data, clean = work.config.data, work.config.clean
    for source in files_of(data):
        # Here, where it is told how far they are; whoever reads them then finds them.
        brought(source, work.progress)
    forgotten = Suppression.load(work.read(SUPPRESSED))
    parts = published_parts(data)
    if parts:
        target = work.config.graph.target
        return ingest_split(
            parts,
            data,
            clean,
            work.out,
            work.progress,
            work.where.buckets,
            forgotten,
            target,
            work.steps,
        )
    buckets, steps = work.where.buckets, work.steps
    with log_of(data, work.progress) as log:
        return ingest_log(log, data, clean, work.out, work.progress, buckets, forgotten, steps)


def published_parts(data: DataConfig) -> dict[str, str]:
    """The files of a published split by part; empty when the log is split here.

    Raises ConfigError for half of one.
    """
    parts = {"train": data.train, "validation": data.validation, "test": data.test}
    files = {name: path for name, path in parts.items() if path}
    if files and not (data.train and data.test):
        raise ConfigError(
            "a published split needs data.train and data.test", "Give both, or data.log instead"
        )
    return files


def files_of(data: DataConfig) -> list[str]:
    """Every file, folder, pattern and URL that ingest reads."""
    logs = data.log if isinstance(data.log, list) else [data.log]
    published = [data.train, data.validation, data.test]
    tables = [data.items, data.users, data.availability, data.suppressed]
    queried = [data.query_file, data.database]
    return [path for path in [*logs, *published, *tables, *queried] if path]
