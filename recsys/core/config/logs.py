"""Where the log is, which of its rows stay, and how they are held out."""

from datetime import date
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from recsys.core.config.section import Section
from recsys.core.errors import ConfigError


class DataConfig(Section):
    """Where the log is and what its columns are called. A column left out is used under its
    standard name if present.
    """

    log: str | list[str] | None = None
    """File, folder, glob or URL (s3://, gs://, az://) of the interactions; CSV/TSV (.gz, .zst too),
    Parquet, JSONL, ORC, Avro, or the folder of a Delta or Iceberg table.
    """
    query: str | None = None
    """In place of `log`: a SELECT whose rows are the log. It is asked once a run; ORDER BY makes the
    order of its rows, which decides between duplicates of equal times, its own.
    """
    query_file: str | None = None
    """A file that holds the query."""
    connection_env: str | None = None
    """Name of the environment variable that holds the URL of the database: postgresql://…,
    mysql://…, sqlite:///FILE, duckdb:///FILE, or duckdb:// alone to ask files.
    """
    database: str | None = None
    """A file of DuckDB or SQLite that the query is asked of, in place of `connection_env`."""
    since: str | int | None = None
    """What :since stands for in the query of the first run, such as "2024-01-01". Later runs put a
    moment `since_days` before the last row there, and keep the rows before it.
    """
    since_days: float = Field(1.0, ge=0)
    """How late rows come into the database at most: those of so many days are asked for again."""
    train: str | None = None
    """Published split: the train file. With `test` it replaces `log` (split.method "given")."""
    validation: str | None = None
    """Published split: the validation file; carved from train when absent
    (`split.validation_method`).
    """
    test: str | None = None
    """Published split: the test file."""
    items: str | None = None
    """Table of items: item id, title and attribute columns."""
    users: str | None = None
    """Table of users: user id and attribute columns."""
    availability: str | None = None
    """Table of item ids and a true/false column `available`, or ids of withdrawn items alone."""
    suppressed: str | None = None
    """People whose rows are dropped: a suppressed.json of `recsys forget`; that of the run folder
    itself counts anyway.
    """
    user_col: str = "user_id"
    """Column of the user id, in the log and the user table."""
    item_col: str = "item_id"
    """Column of the item id, in the log, the item table and the availability file."""
    time_col: str | None = None
    """Column of the moment, or of an order (0, 1, 2 …); "timestamp" is used when present."""
    behavior_col: str | None = None
    """Column of the behaviour (view, cart, buy …); "behavior" is used when present."""
    weight_col: str | None = None
    """Column that says how much an event counts; "weight" is used when present."""
    rating_col: str | None = None
    """Column that `clean.min_rating` looks at; "rating" is used when present."""
    title_col: str = "title"
    """Column of the item table that people read."""
    separator: str | None = None
    """Field separator of a text log; told from its first lines when absent."""
    columns: list[str] | None = None
    """Names of the columns of a text log that has no header line."""
    time_unit: Literal["auto", "s", "ms", "us", "ns", "excel", "days", "order", "iso"] = "auto"
    """Unix seconds, milli-, micro- or nanoseconds, days as spreadsheets count them, days since 1970,
    ISO text (naive means UTC), or an order: whole numbers that say what a user did after what, and
    count neither seconds nor days. auto decides from the values (numbers like 20240131 are dates,
    whole numbers below 1,000,000 an order) and refuses a mixture.
    """
    broken_lines: Literal["refuse", "count"] = "refuse"
    """What a text line with the wrong number of fields does: stop the run, or be dropped and
    counted.
    """


def _read_moment(value: Any) -> Any:
    """Dates of TOML as ISO text; numbers that are no unix seconds are refused."""
    if isinstance(value, date):  # a datetime is a date
        return value.isoformat()
    if isinstance(value, int) and not isinstance(value, bool):
        _require_seconds(value)
    return value


def _require_seconds(value: int) -> None:
    if _FIRST_DAY <= value <= _LAST_DAY:
        text = str(value)
        raise ConfigError(
            f"the moment {value} looks like a day, and would be read as unix seconds",
            f"Write {text[:4]}-{text[4:6]}-{text[6:]} for the day",
        )
    if value > _LARGEST_SECOND:
        raise ConfigError(
            f"the moment {value} is no unix seconds: milliseconds?",
            f"Write {value // 1000} when it is milliseconds",
        )


_FIRST_DAY, _LAST_DAY = 1900_01_01, 2100_12_31  # as numbers; as seconds they are days of 1970
_LARGEST_SECOND = 10**11  # the year 5138
Moment = Annotated[
    str | int,
    BeforeValidator(_read_moment),
    "a day (2024-01-31), a moment (2024-01-31T12:00:00Z), unix seconds",
]


class CleanConfig(Section):
    """Which rows stay. Every dropped row is counted under its reason."""

    min_rating: float | None = None
    """Keep rows with at least this rating; rows without a rating are dropped under their own
    reason.
    """
    duplicates: Literal["first", "last", "sum"] = "first"
    """Rows with the same user, item and behaviour become one: the earliest, the latest, or the
    earliest with summed weight.
    """
    min_user_interactions: int = Field(1, ge=1)
    """k-core over users, iterated with the items' until nothing changes."""
    min_item_interactions: int = Field(1, ge=1)
    """k-core over items."""
    max_user_interactions: int | None = Field(None, ge=1)
    """Activity cap: only a user's latest this many rows stay (crawlers and shared accounts)."""
    start: Moment | None = None
    """First moment kept: a day or moment of ISO form (naive means UTC), or unix seconds. Not for a
    log with an order.
    """
    end: Moment | None = None
    """First moment no longer kept, written alike."""
    max_time: int = 4_102_444_800
    """Timestamps above it (2100-01-01 by default) or below zero are dropped as impossible. Numbers of
    an order may be any.
    """


class SplitConfig(Section):
    """How rows are held out."""

    method: Literal[
        "auto", "global_time", "rolling_time", "leave_last", "last_share", "random", "given"
    ] = "auto"
    """auto: one global time cut when the log has times, each user's last rows when it has an order,
    else random per user.
    """
    test_share: float = Field(0.1, gt=0, lt=1)
    """Share of rows (global_time, rolling_time: latest rows; last_share, random: of each user) held
    out for the test.
    """
    validation_share: float = Field(0.1, ge=0, lt=1)
    """Share of the remaining train rows carved out for validation, by the same method (given: by
    `validation_method`).
    """
    validation_method: Literal["auto", "global_time", "leave_last", "last_share", "random"] = "auto"
    """Published files without one for validation: how it is carved from train, best like the test
    was. auto: the latest rows of all where every file has times; each user's latest where there is
    an order, or times in train alone; else random ones of each user.
    """
    last: int = Field(1, ge=1)
    """leave_last: how many of each user's latest rows go to test, and as many before them to
    validation; as `validation_method` those that go to validation.
    """
    folds: int = Field(3, ge=1)
    """rolling_time: number of folds; each tests on the window after its cut."""
    fold: int = Field(-1)
    """rolling_time: which fold a run uses; −1 is the latest."""
    min_warm_users: int = 300
    """A run warns when fewer test users are warm than this: intervals get too wide to decide
    anything.
    """
