"""From the log to audited splits."""

from dataclasses import asdict
from typing import Any

import numpy as np
import polars as pl

from pipelines.places import LOG, load_phase
from pipelines.runner import Facts, Work
from recsys.core.artefacts import write_json
from recsys.core.config import DataConfig, RunConfig
from recsys.core.errors import ConfigError, DataError
from recsys.core.interactions import fit_interactions, hold_out
from recsys.core.tables import TIME, in_order
from recsys.graph.build import target_behavior
from recsys.logs import audit, split
from recsys.logs.ingest import CodedLog, IngestReport, ingest_split, load_log
from recsys.logs.ingest import ingest as ingest_log
from recsys.phases import Phase

FEW_WARM_USERS = (
    "only {warm} test users are warm (known from train), fewer than {wanted}: intervals will be too wide to decide "
    "much. Hold out more (split.test_share), or the last rows of each user (split.method = last_share, not time-safe)"
)


def ingest(work: Work) -> Facts:
    """Read, clean and code the log. Raises ConfigError when the configuration names none."""
    report = _ingest(work)
    return Facts(
        rows_in=report.rows_read,
        rows_out=report.rows_kept,
        drops=report.drops,
        figures={"users": report.users, "items": report.items, "behaviors": list(report.behaviors)},
    )


def _ingest(work: Work) -> IngestReport:
    data, clean = work.config.data, work.config.clean
    if parts := published_parts(data):
        return ingest_split(parts, data, clean, work.out, work.progress)
    if data.log is None:
        raise ConfigError("the configuration names no log", "Give --log FILE, or data.log in the TOML file")
    return ingest_log(data.log, data, clean, work.out, work.progress)


def published_parts(data: DataConfig) -> dict[str, str]:
    """The files of a published split by part; empty when the log is split here. Raises ConfigError for half of one."""
    parts = {"train": data.train, "validation": data.validation, "test": data.test}
    given = {part: path for part, path in parts.items() if path}
    if given and not (data.train and data.test):
        raise ConfigError("a published split needs data.train and data.test", "Give both, or data.log instead")
    return given


def split_rows(work: Work) -> Facts:
    """Hold out test and validation rows of the target behaviour."""
    config, log = work.config, load_log(work.read(LOG))
    target = _target(log, config)
    splits = split.split_log(log, config.split, target, config.seed)
    splits.save(work.out)
    parts = {"train": len(splits.train), "validation": len(splits.validation), "test": len(splits.test)}
    label = "time-safe" if splits.time_safe else "not time-safe"
    shown = ", ".join(f"{rows:,} {part}" for part, rows in parts.items())
    work.progress.say(f"split {splits.method} ({label}): {shown}", method=splits.method, **parts)
    return Facts(
        rows_in=sum(parts.values()) + sum(splits.drops.values()),
        rows_out=sum(parts.values()),
        drops=splits.drops,
        figures={
            **parts,
            "method": splits.method,
            "time_safe": splits.time_safe,
            "cuts": splits.cuts,
            "target": target,
        },
    )


def check_splits(work: Work) -> Facts:
    """Leaks stop the run (GateRefused); few warm test users are told, with the remedy."""
    select, final = (load_phase(work.folder.path, work.config, phase) for phase in ("select", "final"))
    findings = audit.audit_splits(select.splits, select.log, select.target)
    for data in (select, final):
        findings += audit.audit_phase(data.interactions, data.rows)
    warm = warm_users(final)
    if not warm:
        raise DataError(
            f"none of the {len(final.required_splits.test):,} test rows is of a user and an item known from train",
            "Choose another split.method, for example last_share",
        )
    warnings = _tell_warm_users(work, warm)
    for finding in findings:
        work.progress.say(f"audit {finding.severity}: {finding.message}", **asdict(finding))
    audit.enforce(findings)
    figures = {"warm_test_users": warm, "warm_validation_users": warm_users(select), **_other_cut(work, final)}
    write_json(
        work.out / "audit.json",
        {**figures, "warnings": warnings, "findings": [asdict(finding) for finding in findings]},
    )
    return Facts(drops=final.held_out.dropped, figures=figures)


def warm_users(data: Phase) -> int:
    return len(data.held_out_users)


def _tell_warm_users(work: Work, warm: int) -> list[str]:
    wanted = work.config.split.min_warm_users
    work.progress.say(f"warm test users: {warm:,}", warm_test_users=warm)
    if warm >= wanted:
        return []
    warning = FEW_WARM_USERS.format(warm=f"{warm:,}", wanted=wanted)
    work.progress.say(f"warning: {warning}", warning="few warm test users")
    return [warning]


def _other_cut(work: Work, final: Phase) -> dict[str, Any]:
    """Beside a split that is not safe in time: how many warm users one global cut of the same log would leave."""
    log, splits = final.log, final.required_splits
    if splits.time_safe or splits.method == "given" or TIME not in log.rows.collect_schema():
        return {}
    settings = work.config.split.model_copy(update={"method": "global_time"})
    other = split.split_log(log, settings, final.target, work.config.seed)
    train = in_order(pl.concat([other.train, other.validation]))
    held = hold_out(other.test, fit_interactions(train, log.users, log.items, log.behaviors))
    warm = len(np.unique(held.user))
    work.progress.say(f"beside it: a global time cut would leave {warm:,} warm test users", warm_test_users_global=warm)
    return {"warm_test_users_of_global_time": warm}


def _target(log: CodedLog, config: RunConfig) -> str:
    no_rows = log.rows.head(0).collect()
    return target_behavior(fit_interactions(no_rows, log.users, log.items, log.behaviors), config.graph)
