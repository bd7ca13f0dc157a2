"""Leaks stop a run here, before anything is trained."""

from dataclasses import asdict
from typing import Any

import numpy as np
import polars as pl

from pipelines.places import LOG, RELATIONS, SPLIT
from pipelines.runner import Facts, Work
from pipelines.stages.validation_check import tell_differences, tell_few_validated
from recsys.core.artefacts import write_json
from recsys.core.errors import DataError
from recsys.core.tables import BEHAVIOR, USER
from recsys.logs.audit import enforce
from recsys.logs.ingest import load_log
from recsys.logs.relations import load_relations
from recsys.logs.split import load as load_splits
from recsys.logs.split_buckets import goes_by_buckets
from recsys.phases.split_check import SplitCheck, SplitInMemory
from recsys.phases.split_check_buckets import SplitByBuckets

FEW_WARM_USERS = (
    "only {warm} test users are warm (known from train), fewer than {wanted}: intervals will be too wide to decide "
    "much. Hold out more (split.test_share){others}"
)
_METHODS = ("last_share", "leave_last", "random", "global_time")
_OF_TIME = ("last_share", "leave_last", "global_time")


def check_splits(work: Work) -> Facts:
    """Leaks stop the run (GateRefused); few warm test users are told, with the remedy."""
    check = _check(work)
    findings = check.findings
    warm = check.warm_users("final")
    if not warm:
        raise _no_warm_users(check)
    warnings = _tell_warm_users(work, check, warm)
    warnings += tell_few_validated(work, check)
    warnings += tell_differences(work, check)
    for finding in findings:
        work.progress.say(
            f"audit {finding.severity}: {finding.message}",
            finding=finding.name,
            count=finding.count,
        )
    enforce(findings)
    figures = {
        "warm_test_users": warm,
        "warm_validation_users": check.warm_users("select"),
        **_other_cut(work, check),
    }
    write_json(
        work.out / "audit.json",
        {
            **figures,
            "warnings": warnings,
            "findings": [asdict(finding) for finding in findings],
            "comparison": [asdict(measure) for measure in check.measures],
        },
    )
    return Facts(drops=check.dropped, figures=figures)


def _check(work: Work) -> SplitCheck:
    """Of the split of the run, here or by buckets."""
    config, steps = work.config, work.steps
    log = load_log(work.read(LOG))
    relations = load_relations(work.read(RELATIONS)) if config.graph.files else []
    if steps is None or not goes_by_buckets(log, config.split):
        return SplitInMemory(log, load_splits(work.read(SPLIT)), config, relations)
    scratch = work.resume / "splits"
    return SplitByBuckets(log, work.read(LOG), work.read(SPLIT), config, relations, steps, scratch)


def _no_warm_users(check: SplitCheck) -> DataError:
    """Names the methods that would leave warm users, or says why none does."""
    count = check.document["rows"]["test"]
    message = f"none of the {count:,} test rows is of a user and an item known from train"
    if check.document["method"] == "given":
        return DataError(message, "Are ids written alike in data.train and data.test?")
    if _largest_history(check) <= 1:
        remedy = "Map --user-col to a column that names people, not visits or orders"
        return DataError(f"{message}: every user has a single row", remedy)
    others = _methods_with_more(check, 0)
    if not others:
        return DataError(message, "No split.method leaves any here: give a longer log")
    return DataError(message, f"Set {others}")


def _largest_history(check: SplitCheck) -> int:
    """Rows of the target behaviour of the user who has most."""
    rows = check.log.rows
    if BEHAVIOR in rows.collect_schema().names():
        rows = rows.filter(pl.col(BEHAVIOR) == check.target)
    users = rows.select(USER).collect()[USER].to_numpy()
    return int(np.bincount(users).max(initial=0))


def _methods_with_more(check: SplitCheck, warm: int) -> str:
    """'split.method = "last_share" (51 warm users) or …' of methods with more than `warm`."""
    others = []
    for method in _METHODS:
        num_warm = _warm_users_of(check, method)
        if method != check.document["method"] and num_warm > warm:
            safe = "" if method == "global_time" else ", not time-safe"
            others.append(f'split.method = "{method}" ({num_warm:,} warm users{safe})')
    return " or ".join(others)


def _warm_users_of(check: SplitCheck, method: str) -> int:
    """Warm test users that another split of the same log would leave; 0 where it cannot be made."""
    if method in _OF_TIME and not check.log.has_order:
        return 0
    settings = check.config.split.model_copy(update={"method": method})
    try:
        return check.under(settings, check.config.evaluate.task).warm_users("final")
    except DataError:
        return 0


def _tell_warm_users(work: Work, check: SplitCheck, warm: int) -> list[str]:
    wanted = work.config.split.min_warm_users
    work.progress.say(f"warm test users: {warm:,}", warm_test_users=warm)
    if warm >= wanted:
        return []
    others = ""
    if check.document["method"] != "given":
        others = _methods_with_more(check, warm)
    warning = FEW_WARM_USERS.format(
        warm=f"{warm:,}", wanted=wanted, others=f", or set {others}" if others else ""
    )
    work.progress.say(f"warning: {warning}", warning="few warm test users")
    return [warning]


def _other_cut(work: Work, check: SplitCheck) -> dict[str, Any]:
    """Beside a split that is not safe in time: how many warm users one global cut of the same log
    would leave.
    """
    document = check.document
    if document["time_safe"] or document["method"] == "given" or not check.log.has_clock:
        return {}
    warm = _warm_users_of(check, "global_time")
    work.progress.say(
        f"beside it: a global time cut would leave {warm:,} warm test users",
        warm_test_users_global=warm,
    )
    return {"warm_test_users_of_global_time": warm}
