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
    """One thing an audit found.

    severity: "fail", figures cannot be trusted; "warn", read them with care; "note", for the record.
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
    return _without_none(findings)


def audit_phase(interactions: Interactions, rows: pl.DataFrame) -> list[Finding]:
    """Whether the id maps and the interactions of a phase come from its rows (coded) and from
    nothing else.
    """
    findings = []
    fitted_codes = {USER: interactions.user_codes, ITEM: interactions.item_codes}
    for side, codes in fitted_codes.items():
        unknown = np.setdiff1d(codes, rows[side].unique().to_numpy())
        message = f"{len(unknown):,} {side} ids of the phase do not occur in its rows: the map was fitted elsewhere"
        findings.append(_fail(f"{side} ids", len(unknown), message))
    difference = abs(len(interactions) - len(rows))
    message = f"the phase has {len(interactions):,} interactions, its rows are {len(rows):,}"
    findings.append(_fail("interactions", difference, message))
    return _without_none(findings)


def audit_relations(
    relations: Iterable[EdgeRows], test: pl.DataFrame, until: int | None
) -> list[Finding]:
    """Whether what files say of users and items holds pairs of the test, as far as they are known
    by `until`.
    """
    findings = []
    for relation in relations:
        if set(relation.ends) == {USER, ITEM}:
            findings.append(_test_pairs(relation, test, until))
    return _without_none(findings)


def _test_pairs(relation: EdgeRows, test: pl.DataFrame, until: int | None) -> Finding | None:
    rows = relation.rows
    is_cut = TIME in rows.columns and until is not None
    if is_cut:
        rows = rows.filter(pl.col(TIME) <= until)
    end_of = dict(zip(relation.ends, (SOURCE, DESTINATION), strict=True))
    edges = rows.select(pl.col(end_of[USER]).alias(USER), pl.col(end_of[ITEM]).alias(ITEM))
    count = _overlap(_pairs(test), edges)
    if not count:
        return None
    message = f"{count:,} of {len(test):,} test pairs are edges of the relation {relation.name!r}"
    if is_cut:
        return Finding("test pairs in a relation", "note", message, count)
    reason = "which does not say since when"
    if TIME in rows.columns:
        reason = "and the log has no clock to say which of them came later"
    message += f", {reason}: figures may be too good"
    return Finding("test pairs in a relation", "warn", message, count)


def audit_fitted(
    fitted: Mapping[str, FloatArray], recomputed: Mapping[str, FloatArray]
) -> list[Finding]:
    """Whether popularity, features and other fitted arrays are those that the phase's own rows
    give.

    Both map a name to an array; `recomputed` comes from the rows alone. Raises KeyError for a name
    that is not in both.
    """
    findings = []
    for name, values in fitted.items():
        findings.append(_refitted(name, values, recomputed[name]))
    return _without_none(findings)


def item_popularity(rows: pl.DataFrame, item_codes: Int32Array) -> Float64Array:
    """(items,) how many rows (coded) each of the `item_codes` has: popularity fitted on these rows."""
    num_codes = int(item_codes.max(initial=-1)) + 1
    counts = np.bincount(rows[ITEM].to_numpy(), minlength=num_codes)
    return counts[item_codes].astype(np.float64)


def enforce(findings: Iterable[Finding]) -> None:
    """Raises GateRefused when a finding fails, naming all that do."""
    failures = [finding.message for finding in findings if finding.severity == "fail"]
    if failures:
        raise GateRefused(
            f"the audit failed: {'; '.join(failures)}",
            "Figures from such data would be too good: mend the split or the published files, and run again",
        )


def _shared(splits: Splits, target: str) -> Finding | None:
    train = _pairs(_of(splits.train, target))
    validation = _pairs(_of(splits.validation, target))
    before_test = pl.concat([train, validation]).unique()
    count = _overlap(validation, train) + _overlap(_pairs(splits.test), before_test)
    message = f"{count:,} held-out pairs of {target!r} occur in what is learned from"
    return _fail("shared pairs", count, message)


def _other_behavior(splits: Splits, target: str) -> Finding | None:
    count = 0
    for rows in (splits.validation, splits.test):
        count += len(rows) - len(_of(rows, target))
    message = f"{count:,} held-out rows are not of the behavior {target!r}"
    return _fail("other behaviors held out", count, message)


def _after_cut(splits: Splits) -> Finding | None:
    if TIME not in splits.train.columns:
        return None
    count = _num_after_cut(splits, "validation", splits.train, splits.validation)
    count += _num_after_cut(splits, "test", splits.rows("final"), splits.test)
    message = f"{count:,} rows learned from are later than the time cut"
    return _fail("rows after the cut", count, message)


def _num_after_cut(splits: Splits, name: str, learned: pl.DataFrame, held_out: pl.DataFrame) -> int:
    if name in splits.cuts:
        return int((learned[TIME] >= splits.cuts[name]).sum())
    # Published files have no cut: the first held-out moment stands for it.
    if splits.time_safe and len(held_out):
        return int((learned[TIME] > held_out[TIME].min()).sum())
    return 0


def _after_held_out(splits: Splits, target: str) -> Finding | None:
    """Per user: target rows later than the user's held-out ones, other rows later than the held-out
    row of their pair.
    """
    if splits.method not in PER_USER_TIME:
        return None
    count = 0
    steps = ((splits.train, splits.validation), (splits.rows("final"), splits.test))
    for learned, held_out in steps:
        count += _count_later(_of(learned, target), held_out, [USER])
        others = learned.clear()
        if BEHAVIOR in learned.columns:
            others = learned.filter(pl.col(BEHAVIOR) != target)
        count += _count_later(others, held_out, [USER, ITEM])
    message = f"{count:,} rows learned from are later than what they must predict"
    return _fail("rows after the held-out row", count, message)


def _count_later(learned: pl.DataFrame, held_out: pl.DataFrame, key: list[str]) -> int:
    """Rows learned from that are later than the first held-out row of their `key`."""
    first = held_out.group_by(key).agg(pl.col(TIME).min().alias("first_held_out"))
    joined = learned.join(first, on=key)
    return len(joined.filter(pl.col(TIME) > pl.col("first_held_out")))


def _unaccounted(splits: Splits, log: CodedLog) -> Finding | None:
    tables = (splits.train, splits.validation, splits.test, splits.after_train)
    total = log.rows.select(pl.len()).collect().item()
    num_split = sum(len(table) for table in tables)
    missing = abs(total - num_split - splits.drops.total())
    message = f"{missing:,} rows of the log are in no split and under no reason"
    return _fail("rows unaccounted for", missing, message)


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
    is_equal = np.isclose(fitted, expected, rtol=1e-5, atol=1e-7)
    count = int((~is_equal).sum())
    return _fail(name, count, f"{count:,} values of {name} are not what the rows of the phase give")


def _without_none(findings: Iterable[Finding | None]) -> list[Finding]:
    return [finding for finding in findings if finding is not None]


def _fail(name: str, count: int, message: str) -> Finding | None:
    return Finding(name, "fail", message, count) if count else None


def _of(rows: pl.DataFrame, target: str) -> pl.DataFrame:
    if BEHAVIOR not in rows.columns:
        return rows
    return rows.filter(pl.col(BEHAVIOR) == target)


def _pairs(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.select(USER, ITEM).unique()


def _overlap(pairs: pl.DataFrame, others: pl.DataFrame) -> int:
    return len(pairs.join(others, on=[USER, ITEM], how="semi"))
