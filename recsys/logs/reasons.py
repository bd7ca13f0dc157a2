"""Why a row is dropped: every reason there is, in the order in which they are looked for."""

import polars as pl

from recsys.core.tables import Drops

REASON = "_reason"  # beside the LOG_SCHEMA columns while a log is read: KEPT, or why the row goes
KEPT = "kept"

BROKEN_LINE = "broken line"
USER_MISSING = "user id missing"
ITEM_MISSING = "item id missing"
TIME_MISSING = "timestamp missing"
TIME_UNREADABLE = "timestamp unreadable"
TIME_OTHER_UNIT = "timestamp in another unit"
BEHAVIOR_MISSING = "behavior missing"
WEIGHT_MISSING = "weight missing"
WEIGHT_UNREADABLE = "weight unreadable"
WEIGHT_NOT_POSITIVE = "weight zero or negative"
TIME_NEGATIVE = "timestamp negative"
TIME_TOO_LARGE = "timestamp impossibly large"
BEFORE_WINDOW = "before the time window"
AFTER_WINDOW = "after the time window"
RATING_MISSING = "rating missing"
RATING_UNREADABLE = "rating unreadable"
RATING_LOW = "rating below the minimum"
SUPPRESSED = "user to be forgotten"

# Of whole tables, not of one row: these come after the row reasons.
DUPLICATE = "duplicate"
OVER_CAP = "beyond the user's latest interactions"
USER_RARE = "user with too few interactions"
ITEM_RARE = "item with too few interactions"

ROW_REASONS = (
    KEPT,
    BROKEN_LINE,
    USER_MISSING,
    ITEM_MISSING,
    TIME_MISSING,
    TIME_UNREADABLE,
    TIME_OTHER_UNIT,
    BEHAVIOR_MISSING,
    WEIGHT_MISSING,
    WEIGHT_UNREADABLE,
    WEIGHT_NOT_POSITIVE,
    TIME_NEGATIVE,
    TIME_TOO_LARGE,
    BEFORE_WINDOW,
    AFTER_WINDOW,
    RATING_MISSING,
    RATING_UNREADABLE,
    RATING_LOW,
    SUPPRESSED,
)
REASON_TYPE = pl.Enum(ROW_REASONS)


def first_reason(tests: list[tuple[str, pl.Expr]], otherwise: pl.Expr | None = None) -> pl.Expr:
    """The reason of the first test that holds, else `otherwise` (KEPT when absent), as REASON_TYPE."""
    reason = otherwise if otherwise is not None else pl.lit(KEPT, dtype=REASON_TYPE)
    for name, test in reversed(tests):
        reason = pl.when(test).then(pl.lit(name, dtype=REASON_TYPE)).otherwise(reason)
    return reason.alias(REASON)


def count_reasons(reasons: pl.Series) -> Drops:
    """Rows by reason, KEPT left out."""
    counts = reasons.value_counts()
    names = counts[reasons.name].cast(pl.String).to_list()
    num_rows = counts["count"].to_list()
    by_reason = zip(names, num_rows, strict=True)
    return Drops({reason: count for reason, count in by_reason if reason != KEPT})


def describe(drops: Drops) -> str:
    """'135,080 user id missing, 5,268 duplicate', most frequent first."""
    return ", ".join(f"{count:,} {reason}" for reason, count in drops.most_common()) or "nothing"
