"""Looks for what a split or a fitted table knows of the future: leaks make every figure after them
worthless.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

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

Slips = Counter[str]
"""How many rows or pairs a finding is about, by its name."""

_SHARED = "shared pairs"
_OTHER_BEHAVIOR = "other behaviors held out"
_AFTER_CUT = "rows after the cut"
_AFTER_HELD_OUT = "rows after the held-out row"
_UNACCOUNTED = "rows unaccounted for"
_KNOWN_OTHERWISE = "pairs of other behaviors"
_MESSAGES = {
    _SHARED: "{count} held-out pairs of {target!r} occur in what is learned from",
    _OTHER_BEHAVIOR: "{count} held-out rows are not of the behavior {target!r}",
    _AFTER_CUT: "{count} rows learned from are later than the time cut",
    _AFTER_HELD_OUT: "{count} rows learned from are later than what they must predict",
    _UNACCOUNTED: "{count} rows of the log are in no split and under no reason",
}
"""Of findings that stop a run."""


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
    slips = count_slips(splits, target)
    return findings_of(slips, splits.document(), num_rows(log), target)


def count_slips(splits: Splits, target: str) -> Slips:
    """How many rows or pairs each finding is about: of all rows, or of all rows of some users.

    Counts of several groups of users are added. Of published files, which have no cut, rows after
    the first held-out moment are counted within the group.
    """
    final = splits.rows("final")
    return Slips(
        {
            _SHARED: _num_shared(splits, target),
            _OTHER_BEHAVIOR: _num_of_other_behavior(splits, target),
            _AFTER_CUT: _num_after_cuts(splits, final),
            _AFTER_HELD_OUT: _num_after_held_out(splits, final, target),
            _KNOWN_OTHERWISE: _num_known_otherwise(splits, final, target),
        }
    )


def findings_of(
    slips: Slips, document: dict[str, Any], num_log_rows: int, target: str
) -> list[Finding]:
    """What counts of a whole split say.

    Args:
        slips: of all rows.
        document: of the split (`Splits.document`).
        num_log_rows: how many rows the log has.
        target: the behaviour that is predicted.
    """
    # Either way: a row that is in two splits is as wrong as one that is in none.
    num_split_rows = sum(document["rows"].values())
    num_drops = sum(document["drops"].values())
    missing = abs(num_log_rows - num_split_rows - num_drops)
    findings = []
    for name, message in _MESSAGES.items():
        count = missing if name == _UNACCOUNTED else slips[name]
        findings.append(_fail(name, count, message.format(count=f"{count:,}", target=target)))
    num_test = document["rows"]["test"]
    findings += [_known_otherwise(slips[_KNOWN_OTHERWISE], num_test), _not_time_safe(document)]
    return _without_none(findings)


def num_rows(log: CodedLog) -> int:
    """Rows of a log, counted without loading them."""
    return int(log.rows.select(pl.len()).collect().item())


def audit_phase(interactions: Interactions, rows: pl.DataFrame) -> list[Finding]:
    """Whether the id maps and the interactions of a phase come from its rows (coded) and from
    nothing else.
    """
    unknown = {}
    for side, codes in {USER: interactions.user_codes, ITEM: interactions.item_codes}.items():
        # Ids without a row can only come from elsewhere: from rows that the phase must not see.
        present = rows[side].unique().to_numpy()
        unknown[side] = len(np.setdiff1d(codes, present, assume_unique=True))
    return findings_of_phase(unknown, len(interactions), len(rows))


def findings_of_phase(
    unknown: Mapping[str, int], num_interactions: int, num_phase_rows: int
) -> list[Finding]:
    """What counts of a phase say. unknown: ids that occur in no row, by side."""
    findings = []
    for side, count in unknown.items():
        message = f"{count:,} {side} ids of the phase do not occur in its rows: the map was fitted elsewhere"
        findings.append(_fail(f"{side} ids", count, message))
    difference = abs(num_interactions - num_phase_rows)
    message = f"the phase has {num_interactions:,} interactions, its rows are {num_phase_rows:,}"
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
    # Known before the test began, it is no leak: only a fact to read the figures with.
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


def _num_shared(splits: Splits, target: str) -> int:
    train = _pairs(_of(splits.train, target))
    validation = _pairs(_of(splits.validation, target))
    before_test = pl.concat([train, validation]).unique()
    num_validation = _overlap(validation, train)
    num_test = _overlap(_pairs(splits.test), before_test)
    return num_validation + num_test


def _num_of_other_behavior(splits: Splits, target: str) -> int:
    count = 0
    for rows in (splits.validation, splits.test):
        count += len(rows) - len(_of(rows, target))
    return count


def _num_after_cuts(splits: Splits, final: pl.DataFrame) -> int:
    if TIME not in splits.train.columns:
        return 0
    count = _num_after_cut(splits, "validation", splits.train, splits.validation)
    return count + _num_after_cut(splits, "test", final, splits.test)


def _num_after_cut(splits: Splits, name: str, learned: pl.DataFrame, held_out: pl.DataFrame) -> int:
    if name in splits.cuts:
        return int((learned[TIME] >= splits.cuts[name]).sum())
    # Published files have no cut: the first held-out moment stands for it.
    if splits.time_safe and len(held_out):
        return int((learned[TIME] > held_out[TIME].min()).sum())
    return 0


def _num_after_held_out(splits: Splits, final: pl.DataFrame, target: str) -> int:
    """Per user: target rows later than the user's held-out ones, other rows later than the held-out
    row of their pair.
    """
    if splits.method not in PER_USER_TIME:
        return 0
    count = 0
    for learned, held_out in ((splits.train, splits.validation), (final, splits.test)):
        count += _count_later(_of(learned, target), held_out, [USER])
        others = learned.clear()
        if BEHAVIOR in learned.columns:
            others = learned.filter(pl.col(BEHAVIOR) != target)
        count += _count_later(others, held_out, [USER, ITEM])
    return count


def _count_later(learned: pl.DataFrame, held_out: pl.DataFrame, key: list[str]) -> int:
    """Rows learned from that are later than the first held-out row of their `key`."""
    first = held_out.group_by(key).agg(pl.col(TIME).min().alias("first_held_out"))
    joined = learned.join(first, on=key)
    return len(joined.filter(pl.col(TIME) > pl.col("first_held_out")))


def _num_known_otherwise(splits: Splits, final: pl.DataFrame, target: str) -> int:
    if BEHAVIOR not in splits.train.columns:
        return 0
    others = final.filter(pl.col(BEHAVIOR) != target)
    return _overlap(_pairs(splits.test), _pairs(others))


def _known_otherwise(count: int, num_test: int) -> Finding | None:
    message = f"{count:,} of {num_test:,} test pairs were seen before as another behavior: read those rows apart"
    return Finding(_KNOWN_OTHERWISE, "note", message, count) if count else None


def _not_time_safe(document: dict[str, Any]) -> Finding | None:
    if document["time_safe"]:
        return None
    message = (
        f"split {document['method']!r} is not time-safe: other users' later rows are learned from"
    )
    return Finding("not time-safe", "note", message, document["rows"]["test"])


def _refitted(name: str, fitted: FloatArray, expected: FloatArray) -> Finding | None:
    if fitted.shape != expected.shape:
        message = f"{name} has shape {fitted.shape}, its rows give {expected.shape}"
        return _fail(name, 1, message)
    # Sums in another order differ in their last digits.
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
