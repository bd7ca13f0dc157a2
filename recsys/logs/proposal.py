"""A configuration proposed for a log that nobody has described yet: each key with its reason, and what
is not sure as a question.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from recsys.core.config import CleanConfig, DataConfig, RunConfig
from recsys.core.errors import DataError
from recsys.core.tables import BEHAVIOR, ITEM_ID, RATING, TIME, USER_ID
from recsys.logs.check import check_log
from recsys.logs.check_report import UNREADABLE, CheckReport
from recsys.logs.column_roles import Choice, choose_columns, word_set, words_of
from recsys.logs.packed import is_remote
from recsys.logs.read import LogScan, explained, scan_log
from recsys.logs.reasons import TIME_MISSING
from recsys.logs.sources import open_parts
from recsys.logs.tables_beside import signals_beside, split_files
from recsys.logs.text import BROKEN, TextOptions

Answer = Callable[[Choice], Choice]
"""What becomes of a choice with a question: the same, or one with the answer of somebody."""

_LOOKED_AT = 20_000  # rows from which columns are told
MOST_ROWS = 2_000_000
"""Of a log that are counted; what is proposed for a larger one rests on its first rows."""
_TEST_SHARE = 0.1  # as split.test_share
_ROWS_OF_ABLE = 5
_REPEATED = 0.2
_MOST_DROPPED = 0.2  # of the rows, for want of a time, unless somebody says so
_LIKED = 0.75  # of the highest rating
_TARGETS = (
    word_set("buy purchase sale transaction checkout paid"),
    word_set("order subscribe install download"),
    word_set("play listen watch read"),
)
"""What logs call the behaviour that is worth predicting, the most telling first."""
_AGAINST = word_set("cancel return refund dislike skip unlike unsubscribe")
_REMEDY_UNIT = re.compile(r'Set data\.time_unit = "(\w+)"')
_COUNT_BROKEN = 'data.broken_lines = "count"'


@dataclass(frozen=True)
class Proposal:
    """What is proposed for a log.

    choices: in the order of a configuration.
    unused: columns of the log that no key names.
    check: the log, read as proposed.
    is_whole: whether all of it was looked at.
    """

    choices: list[Choice]
    unused: list[str]
    check: CheckReport
    is_whole: bool

    @property
    def questions(self) -> list[Choice]:
        """What is not sure."""
        return [choice for choice in self.choices if not choice.is_sure]

    def values(self) -> dict[str, Any]:
        """By section the keys that are set, as the tables of a configuration."""
        tables: dict[str, Any] = {}
        for choice in self.choices:
            if choice.value is None:
                continue
            section, _, key = choice.key.partition(".")
            table = tables.setdefault(section, {})
            if isinstance(choice.value, dict) and key != "behavior_weights":
                table.setdefault(key, []).append(choice.value)
            else:
                table[key] = choice.value
        return tables


def as_proposed(choice: Choice) -> Choice:
    """Nobody is asked: the question stays."""
    return choice


def propose(
    log: str | list[str], named: Mapping[str, str | None], answer: Answer = as_proposed
) -> Proposal:
    """Look at a log and propose how to run on it.

    Args:
        log: File, folder, glob or URL, or several.
        named: By log column, the column of the source that somebody named; "" for none.
        answer: Asked about every choice that is not sure, in an order in which later ones can rest
            on earlier answers.

    Returns:
        The proposal; `values` of it makes a RunConfig.

    Raises:
        DataError: The log cannot be read, or has no columns of users and items.
    """
    # Every answer is asked for before what rests on it is looked at: columns before the log is read
    # with them, lines and times before rows are counted.
    choices = _files_of(log)
    main = str(choices[0].value) if len(choices) > 1 else log
    sample, header = _sample_of(main)
    choices += [answer(choice) for choice in header]
    columns = [answer(choice) for choice in choose_columns(sample, named)]
    columns += [answer(choice) for choice in _left_out(sample.columns, columns)]
    choices += _with_unit(columns, answer)
    # Only how rows are read: which files are read is `source`.
    no_files = {"log": None, "train": None, "test": None}
    data = DataConfig.model_validate(_keys(choices, "data") | no_files)
    source, is_whole = _bounded(main, data)
    check, broken = _checked(source, data)
    if broken is not None:
        choices.append(answer(broken))
        data = data.model_copy(update={"broken_lines": "count"})
    timeless = [answer(choice) for choice in _times_missing(check)]
    if any(choice.value == "" for choice in timeless):
        data = data.model_copy(update={"time_col": ""})
        check = check_log(source, data, CleanConfig())
    choices = _replaced(choices, timeless)
    scan = scan_log(source, data)
    target = [answer(choice) for choice in _target(check)]
    choices += [answer(choice) for choice in _cleaning(check)]
    has_split = "train" in _keys(choices, "data")
    choices += [answer(choice) for choice in _splitting(check, scan, has_split)]
    choices += target
    choices += _signals(main, data, scan)
    used = {choice.value for choice in choices if choice.key.endswith("_col")}
    unused = [name for name in sample.columns if name not in used]
    return Proposal(choices, unused, check, is_whole)


def _files_of(log: str | list[str]) -> list[Choice]:
    """The log, or the files of the published split that it is part of, the train file first."""
    if isinstance(log, str):
        split = split_files(log)
        if split is not None:
            choices = []
            for split_part, file in split.files.items():
                reason = f"the {split_part} part of a published split"
                choices.append(Choice(f"data.{split_part}", file, reason))
            return sorted(choices, key=lambda choice: choice.key != "data.train")
    return [Choice("data.log", log, "as you named it")]


def _sample_of(log: str | list[str]) -> tuple[pl.DataFrame, list[Choice]]:
    """First rows of a log, and names of its columns where it has no line of names."""
    rows = _some_rows(log, None)
    is_text = not isinstance(log, list) and open_parts(log, TextOptions(count_broken=True))[0].text
    if not is_text or not _are_values(rows.columns):
        return rows, []
    names = tuple(f"column_{number}" for number in range(1, len(rows.columns) + 1))
    question = f"the first line holds {rows.columns}, which look like values and not like names"
    choice = Choice("data.columns", list(names), "there is no line of names", question)
    return _some_rows(log, names), [choice]


def _some_rows(log: str | list[str], names: tuple[str, ...] | None) -> pl.DataFrame:
    """Rows of the first file: from all over it where that costs little, else its first ones."""
    [first, *_] = open_parts(log, TextOptions(columns=names, count_broken=True))
    with explained(f"the log {first.name!r}"):
        if first.text or is_remote(first.name):
            rows = first.frame.head(_LOOKED_AT).collect()
        else:
            count = first.frame.select(pl.len()).collect().item()
            step = max(1, count // _LOOKED_AT)
            rows = first.frame.gather_every(step).collect(engine="streaming")
    return rows.drop(BROKEN, strict=False)


def _are_values(names: Sequence[str]) -> bool:
    """Whether the first line of a text is a row: most of it are numbers."""
    numbers = [name for name in names if re.fullmatch(r"-?\d+([.,]\d+)?", name)]
    return len(numbers) > len(names) / 2


def _left_out(found: Sequence[str], chosen: Sequence[Choice]) -> list[Choice]:
    """Columns with a standard name would be read unless they are left out."""
    keys = {choice.key for choice in chosen}
    left_out = []
    for column, key in (
        (TIME, "data.time_col"),
        (BEHAVIOR, "data.behavior_col"),
        (RATING, "data.rating_col"),
    ):
        if column in found and key not in keys:
            question = (
                f"{column!r} holds nothing of use in the rows that were looked at: leave it out?"
            )
            left_out.append(Choice(key, "", f"{column!r} is left out", question, ("", column)))
    return left_out


def _with_unit(columns: list[Choice], answer: Answer) -> list[Choice]:
    """With the unit that the reader itself names as the remedy for times it does not take."""
    completed = []
    for choice in columns:
        unit = _REMEDY_UNIT.search(choice.question) if choice.key == "data.time_col" else None
        if unit is None or choice.value:
            completed.append(choice)
            continue
        name = choice.options[1]  # after "", which leaves it out
        completed.append(Choice("data.time_col", name, f"{name!r} is named like a time"))
        unit_choice = Choice(
            "data.time_unit", unit[1], "what the values look like", choice.question
        )
        completed.append(answer(unit_choice))
    return completed


def _replaced(choices: Sequence[Choice], later: Sequence[Choice]) -> list[Choice]:
    """The choices with later ones of the same keys in their places."""
    by_key = {choice.key: choice for choice in later}
    return [by_key.get(choice.key, choice) for choice in choices]


def _keys(choices: Sequence[Choice], section: str) -> dict[str, Any]:
    """The keys of one section that are set."""
    keys = {}
    for choice in choices:
        if choice.key.startswith(f"{section}.") and choice.value is not None:
            keys[choice.key.partition(".")[2]] = choice.value
    return keys


def _bounded(log: str | list[str], data: DataConfig) -> tuple[str | list[str] | pl.LazyFrame, bool]:
    """The log, or its first rows where it is large; and whether it is all of it."""
    columns = tuple(data.columns) if data.columns else None
    parts = open_parts(log, TextOptions(data.separator, columns, count_broken=True))
    if any(is_remote(log_part.name) or log_part.text for log_part in parts):
        local_files = [log_part.name for log_part in parts if not is_remote(log_part.name)]
        num_bytes = sum(Path(file).stat().st_size for file in local_files)
        # Text does not say how many rows it has; a line of 100 bytes is a long one.
        is_large = len(local_files) < len(parts) or num_bytes > 100 * MOST_ROWS
    else:
        num_rows = [log_part.frame.select(pl.len()).collect().item() for log_part in parts]
        is_large = sum(num_rows) > MOST_ROWS
    if not is_large:
        return log, True
    first = parts[0].frame.head(MOST_ROWS)
    return first.drop(BROKEN, strict=False), False


def _checked(source: Any, data: DataConfig) -> tuple[CheckReport, Choice | None]:
    """The log as read; with the lines that do not fit counted, where there are some."""
    try:
        return check_log(source, data, CleanConfig()), None
    except DataError as error:
        if _COUNT_BROKEN not in str(error):
            raise
    counting = data.model_copy(update={"broken_lines": "count"})
    check = check_log(source, counting, CleanConfig())
    question = "some lines do not fit the others and would be dropped: is the file whole?"
    return check, Choice("data.broken_lines", "count", "else the log cannot be read", question)


def _target(check: CheckReport) -> list[Choice]:
    """Which behaviour to predict, and which count against an item."""
    if len(check.behaviors) < 2:
        return []
    by_rows = sorted(check.behaviors, key=lambda name: check.behaviors[name])
    against = [name for name in by_rows if _AGAINST & set(words_of(name))]
    rest = [name for name in by_rows if name not in against] or by_rows
    choices = [_target_choice(check, rest)]
    if against:
        weights = dict.fromkeys(sorted(against), 0.0)
        reason = f"{', '.join(sorted(against))}: says nothing in favour of an item"
        choices.append(Choice("graph.behavior_weights", weights, reason))
    return choices


def _target_choice(check: CheckReport, behaviors: Sequence[str]) -> Choice:
    for words in _TARGETS:
        named = [name for name in behaviors if words & set(words_of(name))]
        if len(named) == 1:
            rows = check.behaviors[named[0]]
            return Choice(
                "graph.target",
                named[0],
                f"{named[0]!r} is what a recommendation is for; {rows:,} rows",
            )
    if len(behaviors) == 1:
        return Choice("graph.target", behaviors[0], "the only one in favour of an item")
    counts = ", ".join(f"{name} {check.behaviors[name]:,}" for name in behaviors)
    question = f"which behaviour is to be predicted? Rows of each: {counts}"
    return Choice("graph.target", behaviors[0], "the rarest", question, tuple(behaviors))


def _cleaning(check: CheckReport) -> list[Choice]:
    choices = _min_rating(check)
    if check.duplicate_share > _REPEATED:
        reason = f"{check.duplicate_share:.0%} of the rows repeat a user, item and behaviour: their weights are added"
        choices.append(Choice("clean.duplicates", "sum", reason))
    median, most = check.per_user["50%"], check.per_user["100%"]
    if most > max(1000, 50 * median):
        question = f"one user has {most:,.0f} rows, the median user {median:,.0f}: a crawler or a shared account?"
        choices.append(
            Choice("clean.max_user_interactions", None, "nobody is cut", question, (None, 1000))
        )
    if check.per_user["25%"] <= 1 < check.per_user["75%"]:
        reason = "a quarter of the users or more have a single row: nothing can be held out of it"
        choices.append(Choice("clean.min_user_interactions", 2, reason))
    if check.per_user["75%"] <= 1:
        question = (
            "three quarters of the users have a single row: are these ids people, or sessions?"
        )
        choices.append(
            Choice("clean.min_user_interactions", None, "nobody is dropped", question, (None, 2))
        )
    return choices


def _min_rating(check: CheckReport) -> list[Choice]:
    """Where ratings begin to mean that somebody liked an item: a matter of what is wanted."""
    counts = {}
    for rating, rows in (check.ratings or {}).items():
        if rating not in ("missing", UNREADABLE):
            counts[float(rating)] = rows
    if len(counts) < 2:
        return []
    high = max(counts)
    liked = min(rating for rating in counts if rating >= _LIKED * high)
    if min(counts) >= liked:
        return []
    num_liked = sum(rows for rating, rows in counts.items() if rating >= liked)
    share_liked = num_liked / sum(counts.values())
    question = (
        f"a rating of {min(counts):g} counts as much as one of {high:g}; "
        f"min_rating = {liked:g} would keep {share_liked:.0%} of the rated rows"
    )
    return [Choice("clean.min_rating", None, "all ratings stay", question, (None, liked))]


def _times_missing(check: CheckReport) -> list[Choice]:
    missing = check.drops.get(TIME_MISSING, 0) / max(check.rows_read, 1)
    if missing <= 0.01:
        return []
    name = check.columns[TIME]["name"]
    question = (
        f"{missing:.0%} of the rows have no {name!r} and are dropped; "
        'data.time_col = "" keeps them, and leaves the time of all others out'
    )
    if missing > _MOST_DROPPED:
        return [Choice("data.time_col", "", "all rows stay, without times", question, ("", name))]
    return [Choice("data.time_col", name, "rows without a time are dropped", question, (name, ""))]


def _splitting(check: CheckReport, scan: LogScan, has_split: bool) -> list[Choice]:
    """How rows are held out, and why so."""
    if has_split:
        return [Choice("split.method", "given", "the files are split already")]
    if TIME not in check.columns:
        reason = (
            "without times the held-out rows can only be drawn, which tells less about tomorrow"
        )
        return [Choice("split.method", "random", reason)]
    if scan.time_kind == "order":
        reason = (
            f"{check.columns[TIME]['name']!r} is an order: the last row of each user is held out"
        )
        return [Choice("split.method", "leave_last", reason)]
    if check.first_time == check.last_time:
        reason = f"all rows have the time {check.first_time}: there is nothing to cut"
        return [Choice("split.method", "random", reason)]
    warm, able = _warm_and_able(scan)
    if warm == 0:
        reason = "one cut in time, as tomorrow will be"
        question = (
            "no user has rows on both sides of a cut in time: nobody who is known can be tested"
        )
        return [Choice("split.method", "global_time", reason, question)]
    wanted = RunConfig().split.min_warm_users
    if warm >= wanted or able <= 2 * warm:
        reason = (
            f"one cut in time, as tomorrow will be; {warm:,} users have rows on both sides of it"
        )
        return [Choice("split.method", "global_time", reason)]
    reason = (
        f"one cut in time would leave {warm:,} users with rows on both sides; the latest fifth of each "
        f"user leaves {able:,}, but knows what others did later"
    )
    return [
        Choice("split.method", "last_share", reason),
        Choice("split.test_share", 0.2, "a fifth of each user"),
    ]


def _warm_and_able(scan: LogScan) -> tuple[int, int]:
    """Users with rows on both sides of a cut in time, and users with rows enough to hold some out."""
    rows = scan.rows.select(USER_ID, TIME)
    with explained(scan.what):
        quantile = pl.col(TIME).quantile(1 - _TEST_SHARE, "nearest")
        cut = rows.select(quantile).collect().item()
        users = rows.group_by(USER_ID).agg(
            rows=pl.len(), first=pl.col(TIME).min(), last=pl.col(TIME).max()
        )
        is_warm = (pl.col("first") < cut) & (pl.col("last") >= cut)
        is_able = pl.col("rows") >= _ROWS_OF_ABLE
        counts = users.select(warm=is_warm.sum(), able=is_able.sum())
        facts = counts.collect(engine="streaming")
    warm, able = facts.row(0)
    return int(warm), int(able)


def _signals(log: str | list[str], data: DataConfig, scan: LogScan) -> list[Choice]:
    """What the tables beside a log on this machine add."""
    files = [file for file in scan.files if file != "frame" and not is_remote(file)]
    if not files and isinstance(log, str) and not is_remote(log):
        files = [log]
    if not files:
        return []
    with explained(scan.what):
        users = scan.rows.select(USER_ID).unique().collect().to_series()
        items = scan.rows.select(ITEM_ID).unique().collect().to_series()
    return signals_beside(files, data.user_col, data.item_col, users, items)
