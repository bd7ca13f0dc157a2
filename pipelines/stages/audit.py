"""Leaks stop a run here, before anything is trained."""

from dataclasses import asdict, replace
from typing import Any

import numpy as np
import polars as pl

from pipelines.phases_on_disk import load_phase
from pipelines.runner import Facts, Work
from pipelines.stages.validation_check import compare_parts, tell_differences, tell_few_validated
from recsys.core.artefacts import write_json
from recsys.core.errors import DataError
from recsys.core.tables import BEHAVIOR, USER
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
    "much. Hold out more (split.test_share){others}"
)
_METHODS = ("last_share", "leave_last", "random", "global_time")
_OF_TIME = ("last_share", "leave_last", "global_time")


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
        raise _no_warm_users(work, final)
    measures = compare_parts(select)
    warnings = _tell_warm_users(work, final, warm)
    warnings += tell_few_validated(work, select)
    warnings += tell_differences(work, select, measures)
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
        {
            **figures,
            "warnings": warnings,
            "findings": [asdict(finding) for finding in findings],
            "comparison": [asdict(measure) for measure in measures],
        },
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


def _no_warm_users(work: Work, final: Phase) -> DataError:
    """Names the methods that would leave warm users, or says why none does."""
    count = len(final.required_splits.test)
    message = f"none of the {count:,} test rows is of a user and an item known from train"
    if final.required_splits.method == "given":
        return DataError(message, "Are ids written alike in data.train and data.test?")
    if _largest_history(final) <= 1:
        remedy = "Map --user-col to a column that names people, not visits or orders"
        return DataError(f"{message}: every user has a single row", remedy)
    others = _methods_with_more(work, final, 0)
    if not others:
        return DataError(message, "No split.method leaves any here: give a longer log")
    return DataError(message, f"Set {others}")


def _largest_history(final: Phase) -> int:
    """Rows of the target behaviour of the user who has most."""
    log = final.log.rows.collect()
    if BEHAVIOR in log.columns:
        log = log.filter(pl.col(BEHAVIOR) == final.target)
    return int(np.bincount(log[USER].to_numpy()).max(initial=0))


def _methods_with_more(work: Work, final: Phase, warm: int) -> str:
    """'split.method = "last_share" (51 warm users) or …' of methods with more than `warm`."""
    others = []
    for method in _METHODS:
        found = _warm_users_of(work, final, method)
        if method != final.required_splits.method and found > warm:
            safe = "" if method == "global_time" else ", not time-safe"
            others.append(f'split.method = "{method}" ({found:,} warm users{safe})')
    return " or ".join(others)


def _warm_users_of(work: Work, final: Phase, method: str) -> int:
    """Warm test users that another split of the same log would leave; 0 where it cannot be made."""
    log = final.log
    if method in _OF_TIME and not log.has_order:
        return 0
    settings = work.config.split.model_copy(update={"method": method})
    try:
        splits = split_log(log, settings, final.target, work.config.seed, work.config.evaluate.task)
    except DataError:
        return 0
    return warm_users(replace(final, splits=splits))


def _tell_warm_users(work: Work, final: Phase, warm: int) -> list[str]:
    wanted = work.config.split.min_warm_users
    work.progress.say(f"warm test users: {warm:,}", warm_test_users=warm)
    if warm >= wanted:
        return []
    others = ""
    if final.required_splits.method != "given":
        others = _methods_with_more(work, final, warm)
    warning = FEW_WARM_USERS.format(
        warm=f"{warm:,}", wanted=wanted, others=f", or set {others}" if others else ""
    )
    work.progress.say(f"warning: {warning}", warning="few warm test users")
    return [warning]


def _other_cut(work: Work, final: Phase) -> dict[str, Any]:
    """Beside a split that is not safe in time: how many warm users one global cut of the same log
    would leave.
    """
    log, splits = final.log, final.required_splits
    if splits.time_safe or splits.method == "given" or not log.has_clock:
        return {}
    warm = _warm_users_of(work, final, "global_time")
    work.progress.say(
        f"beside it: a global time cut would leave {warm:,} warm test users",
        warm_test_users_global=warm,
    )
    return {"warm_test_users_of_global_time": warm}
