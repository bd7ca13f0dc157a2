"""Looks for what a split or a fitted table knows of the future: leaks make every figure after them
worthless.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import polars as pl

from recsys.core.arrays import Float64Array, FloatArray, Int32Array
from recsys.core.edge_rows import EdgeRows
from recsys.core.errors import GateRefused
from recsys.core.interactions import Interactions
from recsys.core.tables import BEHAVIOR, DESTINATION, ITEM, SOURCE, TIME, USER
from recsys.logs.ingest import CodedLog
from recsys.logs.split import Splits

PER_USER_TIME = ("leave_last", "last_share")


@dataclass(frozen=True)
class Finding:
    """One thing an audit found. fail: figures cannot be trusted; warn: read them with care; note:
    for the record.
    """

    name: str
    severity: Literal["fail", "warn", "note"]
    message: str
    count: int


def audit_splits(splits: Splits, log: CodedLog, target: str) -> list[Finding]:
    """What is wrong between train, validation and test of the behaviour `target`; empty when
    nothing is.
    """
    findings = [
        _shared(splits, target),
        _other_behavior(splits, target),
        _after_cut(splits),
        _after_held_out(splits, target),
        _unaccounted(splits, log),
        _known_otherwise(splits, target),
        _not_time_safe(splits),
    ]
    return [finding for finding in findings if finding is not None]


def audit_phase(interactions: Interactions, rows: pl.DataFrame) -> list[Finding]:
    """Whether the id maps and the interactions of a phase come from its rows (coded) and from
    nothing else.
    """
    findings = []
    for side, fitted, column in (
        ("user", interactions.user_codes, USER),
        ("item", interactions.item_codes, ITEM),
    ):
        strange = np.setdiff1d(fitted, rows[column].unique().to_numpy())
        if len(strange):
            message = f"{len(strange):,} {side} ids of the phase do not occur in its rows: the map was fitted elsewhere"
            findings.append(Finding(f"{side} ids", "fail", message, len(strange)))
    if len(interactions) != len(rows):
        message = f"the phase has {len(interactions):,} interactions, its rows are {len(rows):,}"
        findings.append(
            Finding("interactions", "fail", message, abs(len(interactions) - len(rows)))
        )
    return findings


def audit_relations(
    relations: Iterable[EdgeRows], test: pl.DataFrame, until: int | None
) -> list[Finding]:
    """Whether what files say of users and items holds pairs of the test, as far as they are known
    by `until`.
    """
    findings = []
    for relation in relations:
        ends = dict(zip(relation.ends, (SOURCE, DESTINATION), strict=True))
        if set(ends) != {USER, ITEM}:
            continue
        rows = relation.rows
        known = (
            rows
            if until is None or TIME not in rows.columns
            else rows.filter(pl.col(TIME) <= until)
        )
        count = _overlap(
            _pairs(test),
            known.select(pl.col(ends[USER]).alias(USER), pl.col(ends[ITEM]).alias(ITEM)),
        )
        message = (
            f"{count:,} of {len(test):,} test pairs are edges of the relation {relation.name!r}"
        )
        remedy = (
            ""
            if TIME in rows.columns
            else ", which does not say since when: figures may be too good"
        )
        if count:
            findings.append(
                Finding(
                    "test pairs in a relation",
                    "note" if TIME in rows.columns else "warn",
                    message + remedy,
                    count,
                )
            )
    return findings


def audit_fitted(
    fitted: Mapping[str, FloatArray], recomputed: Mapping[str, FloatArray]
) -> list[Finding]:
    """Whether popularity, features and other fitted arrays are those that the phase's own rows
    give.

    Both map a name to an array; `recomputed` comes from the rows alone. Raises KeyError for a name
    that is not in both.
    """
    return [
        finding
        for name in fitted
        if (finding := _refitted(name, fitted[name], recomputed[name])) is not None
    ]


def item_popularity(rows: pl.DataFrame, item_codes: Int32Array) -> Float64Array:
    """(items,) how many rows (coded) each of the `item_codes` has: popularity fitted on these rows."""
    counts = np.bincount(rows[ITEM].to_numpy(), minlength=int(item_codes.max(initial=-1)) + 1)
    return counts[item_codes].astype(np.float64)


def enforce(findings: Iterable[Finding]) -> None:
    """Raises GateRefused when a finding fails, naming all that do."""
    failed = [finding for finding in findings if finding.severity == "fail"]
    if failed:
        raise GateRefused(
            "the audit failed: " + "; ".join(finding.message for finding in failed),
            "Figures from such data would be too good: mend the split or the published files, and run again",
        )


def _shared(splits: Splits, target: str) -> Finding | None:
    train, validation = (_pairs(_of(rows, target)) for rows in (splits.train, splits.validation))
    test = _pairs(splits.test)
    count = _overlap(validation, train) + _overlap(test, pl.concat([train, validation]).unique())
    return _fail(
        "shared pairs",
        count,
        f"{count:,} held-out pairs of {target!r} occur in what is learned from",
    )


def _other_behavior(splits: Splits, target: str) -> Finding | None:
    count = sum(len(rows) - len(_of(rows, target)) for rows in (splits.validation, splits.test))
    return _fail(
        "other behaviors held out",
        count,
        f"{count:,} held-out rows are not of the behavior {target!r}",
    )


def _after_cut(splits: Splits) -> Finding | None:
    if TIME not in splits.train.columns:
        return None
    count = 0
    for learned, held, name in (
        (splits.train, splits.validation, "validation"),
        (splits.rows("final"), splits.test, "test"),
    ):
        if name in splits.cuts:
            count += int((learned[TIME] >= splits.cuts[name]).sum())
        elif splits.time_safe and len(
            held
        ):  # published files have no cut: the first held-out moment stands for it
            count += int((learned[TIME] > held[TIME].min()).sum())
    return _fail(
        "rows after the cut", count, f"{count:,} rows learned from are later than the time cut"
    )


def _after_held_out(splits: Splits, target: str) -> Finding | None:
    """Per user: target rows later than the user's held-out ones, other rows later than the held-out
    row of their pair.
    """
    if splits.method not in PER_USER_TIME:
        return None
    count = 0
    for learned, held in ((splits.train, splits.validation), (splits.rows("final"), splits.test)):
        count += _count_later(_of(learned, target), held, [USER])
        others = (
            learned.filter(pl.col(BEHAVIOR) != target)
            if BEHAVIOR in learned.columns
            else learned.clear()
        )
        count += _count_later(others, held, [USER, ITEM])
    return _fail(
        "rows after the held-out row",
        count,
        f"{count:,} rows learned from are later than what they must predict",
    )


def _count_later(learned: pl.DataFrame, held: pl.DataFrame, key: list[str]) -> int:
    first = held.group_by(key).agg(pl.col(TIME).min().alias("first_held"))
    return len(learned.join(first, on=key).filter(pl.col(TIME) > pl.col("first_held")))


def _unaccounted(splits: Splits, log: CodedLog) -> Finding | None:
    tables = (splits.train, splits.validation, splits.test, splits.after_train)
    total = log.rows.select(pl.len()).collect().item()
    missing = abs(total - sum(map(len, tables)) - splits.drops.total())
    return _fail(
        "rows unaccounted for",
        missing,
        f"{missing:,} rows of the log are in no split and under no reason",
    )


def _known_otherwise(splits: Splits, target: str) -> Finding | None:
    if BEHAVIOR not in splits.train.columns:
        return None
    others = splits.rows("final").filter(pl.col(BEHAVIOR) != target)
    count = _overlap(_pairs(splits.test), _pairs(others))
    message = f"{count:,} of {len(splits.test):,} test pairs were seen before as another behavior: read those rows apart"
    return Finding("pairs of other behaviors", "note", message, count) if count else None


def _not_time_safe(splits: Splits) -> Finding | None:
    if splits.time_safe:
        return None
    message = f"split {splits.method!r} is not time-safe: other users' later rows are learned from"
    return Finding("not time-safe", "note", message, len(splits.test))


def _refitted(name: str, fitted: FloatArray, expected: FloatArray) -> Finding | None:
    if fitted.shape != expected.shape:
        return Finding(
            name, "fail", f"{name} has shape {fitted.shape}, its rows give {expected.shape}", 1
        )
    count = int((~np.isclose(fitted, expected, rtol=1e-5, atol=1e-7)).sum())
    return _fail(name, count, f"{count:,} values of {name} are not what the rows of the phase give")


def _fail(name: str, count: int, message: str) -> Finding | None:
    return Finding(name, "fail", message, count) if count else None


def _of(rows: pl.DataFrame, target: str) -> pl.DataFrame:
    return rows.filter(pl.col(BEHAVIOR) == target) if BEHAVIOR in rows.columns else rows


def _pairs(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.select(USER, ITEM).unique()


def _overlap(some: pl.DataFrame, others: pl.DataFrame) -> int:
    return len(some.join(others, on=[USER, ITEM], how="semi"))
