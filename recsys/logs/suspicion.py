"""What looks wrong in a log: rules of thumb, each a sentence that says what to do."""

from pathlib import Path

from recsys.core.config import CleanConfig
from recsys.core.tables import BEHAVIOR, ITEM_ID, RATING, TIME, USER_ID
from recsys.logs.check_report import UNREADABLE, CheckReport
from recsys.logs.reasons import TIME_MISSING, USER_MISSING

FEW_USERS = 300
FEW_ITEMS = 50


def suspicions(report: CheckReport, clean: CleanConfig) -> list[str]:
    """Sentences about what looks wrong; empty when nothing does."""
    return [
        *_files(report),
        *_sizes(report),
        *_times(report),
        *_ids(report),
        *_activity(report, clean),
        *_behaviors(report),
        *_ratings(report, clean),
        *_drops(report),
    ]


def _files(report: CheckReport) -> list[str]:
    if {"train", "test"} <= {Path(file).name.split(".")[0] for file in report.files}:
        return [
            "files named train and test are read as one log: to keep a published split, give them to a run as "
            "data.train and data.test (columns that one lacks are used where they can be)"
        ]
    return []


def _sizes(report: CheckReport) -> list[str]:
    warnings = []
    if report.users < FEW_USERS:
        warnings.append(
            f"{_left(report.users, 'user')}: intervals will be too wide to compare models"
        )
    if report.items < FEW_ITEMS:
        warnings.append(
            f"{_left(report.items, 'item')}: sorting them by popularity may be all there is to gain"
        )
    return warnings


def _times(report: CheckReport) -> list[str]:
    if TIME not in report.columns:
        return [
            "there is no time column: the split can only be random, and tells less about tomorrow"
        ]
    if report.time_unit == "order":
        return []  # the ingest says what was decided
    if report.first_time == report.last_time:
        return [
            f"all rows have the time {report.first_time}, and no cut in time can be made: "
            'leave the column out with data.time_col = ""'
        ]
    if report.midnight_share is not None and report.midnight_share > 0.99:
        return [
            "times are whole days (midnight only): rows of a day have no order, so per-user time splits are coarse"
        ]
    return []


def _ids(report: CheckReport) -> list[str]:
    warnings = []
    for column in (USER_ID, ITEM_ID):
        name, kind = report.columns[column]["name"], report.columns[column]["type"]
        if kind.startswith("Float") or kind == "String of floats":
            warnings.append(f"{name!r} holds floats ({kind}); ids like 42.0 are read as '42'")
    return warnings


def _activity(report: CheckReport, clean: CleanConfig) -> list[str]:
    warnings = []
    median, most = report.per_user["50%"], report.per_user["100%"]
    if most > max(1000, 50 * median) and clean.max_user_interactions is None:
        warnings.append(
            f"one user has {most:,.0f} rows, the median user {median:,.0f}: a crawler or a shared account? "
            "Cap it with clean.max_user_interactions"
        )
    if report.per_user["75%"] == most > 1 and clean.max_user_interactions is None:
        warnings.append(
            f"a quarter of the users or more have {most:,.0f} rows and nobody has more: was the log cut there?"
        )
    if report.per_user["75%"] <= 1:
        warnings.append(
            "three quarters of the users have a single row: ids may be sessions or visits, not people"
        )
    if report.per_item["100%"] > 0.5 * report.users and report.users >= FEW_USERS:
        warnings.append(
            "one item was taken by more than half of the users: is it a gift, a fee or a default?"
        )
    return warnings


def _behaviors(report: CheckReport) -> list[str]:
    if BEHAVIOR not in report.columns:
        return []
    if len(report.behaviors) == 1:
        return [
            f"there is one behavior only, {next(iter(report.behaviors))!r}: the behavior column adds nothing"
        ]
    return [
        f"there are {len(report.behaviors)} behaviors: a run must be told which one to predict (--target), "
        'and whether items met under another one may be the answer (evaluate.task, "any" or "new")'
    ]


def _ratings(report: CheckReport, clean: CleanConfig) -> list[str]:
    if not report.ratings:
        return []
    name = report.columns[RATING]["name"]
    warnings = []
    unreadable = report.ratings.get(UNREADABLE, 0)
    if unreadable:
        warnings.append(
            f"{unreadable:,} values of {name!r} are no numbers: clean.min_rating drops their rows"
        )
    values = [float(rating) for rating in report.ratings if rating not in ("missing", UNREADABLE)]
    if clean.min_rating is None and len(values) > 1:
        warnings.append(
            f"a {name} of {min(values):g} counts as much as one of {max(values):g}: "
            "clean.min_rating keeps the good ones"
        )
    return warnings


def _drops(report: CheckReport) -> list[str]:
    warnings = []
    missing = report.drops.get(USER_MISSING, 0)
    if missing > 0.01 * report.rows_read:
        warnings.append(
            f"{missing / report.rows_read:.0%} of the rows have no user: visits without an account are not used"
        )
    timeless = report.drops.get(TIME_MISSING, 0)
    if 0.01 * report.rows_read < timeless <= 0.5 * report.rows_read:
        warnings.append(
            f"{timeless / report.rows_read:.0%} of the rows have no timestamp and are dropped: "
            'data.time_col = "" keeps them, and leaves the time of all others out'
        )
    if report.duplicate_share > 0.2:
        warnings.append(
            f"{report.duplicate_share:.0%} of the usable rows repeat a user, item and behavior: "
            'clean.duplicates = "sum" turns repeats into weight'
        )
    if report.rows_kept < 0.5 * report.rows_read:
        warnings.append(
            f"{1 - report.rows_kept / report.rows_read:.0%} of the rows are dropped: see the reasons"
        )
    return warnings


def _left(count: int, noun: str) -> str:
    """ "only 1 user is left", "only 20 users are left"."""
    return f"only {count:,} {noun} is left" if count == 1 else f"only {count:,} {noun}s are left"
