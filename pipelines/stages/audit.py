"""Leaks stop a run here, before anything is trained."""

from dataclasses import asdict
from typing import Any

import numpy as np

from pipelines.phases_on_disk import load_phase
from pipelines.runner import Facts, Work
from recsys.core.artefacts import write_json
from recsys.core.errors import DataError
from recsys.core.interactions import fit_interactions, hold_out
from recsys.core.tables import TIME
from recsys.logs.audit import (
    Finding,
    audit_fitted,
    audit_phase,
    audit_relations,
    audit_splits,
    enforce,
    item_popularity,
)
from recsys.logs.split import split_log
from recsys.phases.phase import Phase

FEW_WARM_USERS = (
    "only {warm} test users are warm (known from train), fewer than {wanted}: intervals will be too wide to decide "
    "much. Hold out more (split.test_share), or the last rows of each user (split.method = last_share, not time-safe)"
)


def check_splits(work: Work) -> Facts:
    """Leaks stop the run (GateRefused); few warm test users are told, with the remedy."""
    select, final = (
        load_phase(work.folder.path, work.config, phase) for phase in ("select", "final")
    )
    findings = (
        audit_splits(select.required_splits, select.log, select.target) + _of(select) + _of(final)
    )
    findings += audit_relations(final.relations, final.required_splits.test, final.until)
    warm = warm_users(final)
    if not warm:
        raise DataError(
            f"none of the {len(final.required_splits.test):,} test rows is of a user and an item known from train",
            "Choose another split.method, for example last_share",
        )
    warnings = _tell_warm_users(work, warm)
    for finding in findings:
        work.progress.say(
            f"audit {finding.severity}: {finding.message}",
            finding=finding.name,
            count=finding.count,
        )
    enforce(findings)
    figures = {
        "warm_test_users": warm,
        "warm_validation_users": warm_users(select),
        **_other_cut(work, final),
    }
    write_json(
        work.out / "audit.json",
        {**figures, "warnings": warnings, "findings": [asdict(finding) for finding in findings]},
    )
    return Facts(drops=final.judge.held_out.dropped, figures=figures)


def _of(data: Phase) -> list[Finding]:
    """Id maps and popularity of a phase against those that its own rows give."""
    fitted = {
        "popularity": np.bincount(
            data.interactions.item, minlength=data.interactions.num_items
        ).astype(float)
    }
    recomputed = {"popularity": item_popularity(data.rows, data.interactions.item_codes)}
    return audit_phase(data.interactions, data.rows) + audit_fitted(fitted, recomputed)


def warm_users(data: Phase) -> int:
    return len(data.judge.held_out_users)


def _tell_warm_users(work: Work, warm: int) -> list[str]:
    wanted = work.config.split.min_warm_users
    work.progress.say(f"warm test users: {warm:,}", warm_test_users=warm)
    if warm >= wanted:
        return []
    warning = FEW_WARM_USERS.format(warm=f"{warm:,}", wanted=wanted)
    work.progress.say(f"warning: {warning}", warning="few warm test users")
    return [warning]


def _other_cut(work: Work, final: Phase) -> dict[str, Any]:
    """Beside a split that is not safe in time: how many warm users one global cut of the same log
    would leave.
    """
    log, splits = final.log, final.required_splits
    if splits.time_safe or splits.method == "given" or TIME not in log.rows.collect_schema():
        return {}
    settings = work.config.split.model_copy(update={"method": "global_time"})
    other = split_log(log, settings, final.target, work.config.seed)
    held = hold_out(
        other.test, fit_interactions(other.rows("final"), log.users, log.items, log.behaviors)
    )
    warm = len(np.unique(held.user))
    work.progress.say(
        f"beside it: a global time cut would leave {warm:,} warm test users",
        warm_test_users_global=warm,
    )
    return {"warm_test_users_of_global_time": warm}
