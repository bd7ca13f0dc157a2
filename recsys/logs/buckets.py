"""What happens to the rows of one bucket after another: cleaned, filtered to the k-core, written in
total order.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from recsys.core.arrays import BoolArray, Int32Array
from recsys.core.config import CleanConfig
from recsys.core.step_files import BucketFile
from recsys.core.steps import Call, Facts, Outcome, Steps
from recsys.core.table_files import read_arrow
from recsys.core.tables import BEHAVIOR, CODED_ORDER, ITEM, SPLIT, TIME, USER, Drops
from recsys.logs.clean import cap_activity, drop_duplicates
from recsys.logs.core_filter import Core, Round, filter_users, fixed_point
from recsys.logs.exchange import Exchanged
from recsys.logs.packing import sort_rows
from recsys.logs.published_columns import fill_times

SINGLE_BEHAVIOR = "interaction"
_CLEANED, _USERS, _ITEM_ROWS = "cleaned.arrow", "users.npy", "item_rows.npy"
PART = "part.parquet"


class Cleaned(NamedTuple):
    """A bucket after the rules on all rows of a user. first, end: range of its user codes."""

    file: BucketFile
    first: int
    end: int


@dataclass(frozen=True)
class Filtered:
    """What the k-core leaves.

    core: of the items.
    files: of each cleaned bucket, the file that says who is left in it.
    users: (users,) who is left, among all codes.
    """

    core: Core
    files: tuple[BucketFile, ...]
    users: BoolArray


@dataclass(frozen=True)
class Written:
    """What the written rows hold.

    parts: their files, in order.
    behaviors: rows by behaviour.
    first_time, last_time: unix seconds, or numbers of an order; None without a time column.
    order_repeats: rows whose time is that of the user's row before.
    """

    parts: tuple[BucketFile, ...]
    behaviors: Counter[str]
    first_time: int | None
    last_time: int | None
    order_repeats: int


def collapse(exchanged: Exchanged, clean: CleanConfig, steps: Steps) -> tuple[list[Cleaned], Drops]:
    """Duplicates and activity cap, bucket by bucket; returns what is left of those that have rows,
    each in total order.
    """
    ranges = []
    inputs = []
    for number, files in enumerate(exchanged.buckets):
        if files:
            ranges.append((exchanged.starts[number], exchanged.starts[number + 1]))
            inputs.append(files)
    arguments = [(clean, exchanged.last_time)] * len(inputs)
    outcomes = steps.run("clean", clean_bucket, arguments, inputs)
    for files in exchanged.buckets:
        steps.let_go([Outcome({}, files)])
    drops = Drops()
    buckets = []
    for outcome, (first, end) in zip(outcomes, ranges, strict=True):
        drops += Drops(outcome.facts["drops"])
        buckets.append(Cleaned(outcome.named(_CLEANED)[0], first, end))
    return buckets, drops


def clean_bucket(call: Call) -> Facts:
    """The step that removes duplicates and what is over the cap."""
    clean, last_time = call.arguments
    rows = pl.concat([read_arrow(file.path) for file in call.inputs])
    for file in call.inputs:
        call.used_up(file.path)
    rows = fill_times(rows, last_time)
    rows, repeated = drop_duplicates(rows, clean.duplicates)
    rows, capped = cap_activity(rows, clean.max_user_interactions)
    order = [column for column in (*CODED_ORDER, SPLIT) if column in rows.columns]
    sort_rows(rows, order).write_ipc(call.out / _CLEANED)
    return {"drops": dict(repeated + capped)}


def find_core(
    buckets: Sequence[Cleaned], num_items: int, clean: CleanConfig, steps: Steps
) -> Filtered:
    """Users and items of the k-core over the cleaned rows."""
    files: list[BucketFile] = []

    def pass_over(number: int, items: BoolArray) -> list[Round]:
        mask = steps.write(f"core/items-{number:03d}.npy", lambda path: np.save(path, items))
        arguments = []
        inputs = []
        for bucket_number, bucket in enumerate(buckets):
            arguments.append((bucket.first, bucket.end, clean.min_user_interactions))
            inputs.append([bucket.file, mask, *files[bucket_number : bucket_number + 1]])
        outcomes = steps.run(f"core-{number:03d}", filter_bucket, arguments, inputs)
        files[:] = [outcome.named(_USERS)[0] for outcome in outcomes]
        rounds = []
        for outcome in outcomes:
            [item_rows] = outcome.named(_ITEM_ROWS)
            rounds.append(Round(outcome.facts["rows"], np.load(steps.whole(item_rows))))
        return rounds

    core = fixed_point(pass_over, num_items, clean.min_item_interactions)
    users = np.concatenate([np.load(steps.whole(file)) for file in files])
    return Filtered(core, tuple(files), users)


def filter_bucket(call: Call) -> Facts:
    """The step that is one pass of the k-core over a bucket."""
    first, end, min_user = call.arguments
    rows = read_arrow(call.inputs[0].path, columns=[USER, ITEM])
    items = np.load(call.inputs[1].path)
    users = np.ones(end - first, bool)
    if call.read(_USERS):
        users = np.load(call.read(_USERS)[0])
    user = rows[USER].to_numpy() - np.int32(first)
    users, bucket_round = filter_users(user, rows[ITEM].to_numpy(), users, items, min_user)
    np.save(call.out / _USERS, users)
    np.save(call.out / _ITEM_ROWS, bucket_round.rows_of_item)
    return {"rows": bucket_round.rows, "users": int(users.sum())}


def write_rows(
    buckets: Sequence[Cleaned], exchanged: Exchanged, filtered: Filtered, steps: Steps
) -> Written:
    """Rows of the core with their final codes: one part a bucket that has rows left."""
    mask = steps.write("items.npy", lambda path: np.save(path, filtered.core.items))
    arguments = []
    inputs = []
    first_code = 0
    for bucket, file in zip(buckets, filtered.files, strict=True):
        num_left = int(filtered.users[bucket.first : bucket.end].sum())
        if num_left:
            arguments.append((bucket.first, first_code))
            inputs.append([bucket.file, file, mask, exchanged.behaviors])
        first_code += num_left
    outcomes = steps.run("write", write_part, arguments, inputs)
    facts = [outcome.facts for outcome in outcomes]
    behaviors: Counter[str] = Counter()
    for part_facts in facts:
        behaviors.update(part_facts["behaviors"])
    times = [time for part_facts in facts for time in part_facts["times"]]
    return Written(
        parts=tuple(outcome.named(PART)[0] for outcome in outcomes),
        behaviors=behaviors,
        first_time=min(times, default=None),
        last_time=max(times, default=None),
        order_repeats=sum(part_facts["order_repeats"] for part_facts in facts),
    )


def write_part(call: Call) -> Facts:
    """The step that writes what is left of a bucket."""
    first, first_code = call.arguments
    cleaned, user_flags, mask, behaviors = [file.path for file in call.inputs]
    rows = read_arrow(cleaned)
    users, items = np.load(user_flags), np.load(mask)
    user = rows[USER].to_numpy() - np.int32(first)
    item = rows[ITEM].to_numpy()
    in_core = users[user] & items[item]
    rows = rows.filter(pl.Series(in_core)).with_columns(
        pl.Series(USER, (_new_codes(users) + np.int32(first_code))[user[in_core]]),
        pl.Series(ITEM, _new_codes(items)[item[in_core]]),
    )
    if BEHAVIOR in rows.columns:
        names = read_arrow(behaviors).to_series().gather(rows[BEHAVIOR])
        rows = rows.with_columns(names.alias(BEHAVIOR))
    rows.write_parquet(call.out / PART, compression="zstd", compression_level=1)
    return _facts_of(rows)


def _facts_of(rows: pl.DataFrame) -> Facts:
    """Of the rows of a bucket; those of a user are together, in total order."""
    behaviors = {SINGLE_BEHAVIOR: len(rows)}
    if BEHAVIOR in rows.columns:
        behaviors = dict(rows[BEHAVIOR].value_counts().sort(BEHAVIOR).iter_rows())
    facts: dict[str, Any] = {"behaviors": behaviors, "times": [], "order_repeats": 0}
    if TIME in rows.columns:
        times = rows[TIME].to_numpy()
        is_repeat = (rows[USER] == rows[USER].shift()) & (rows[TIME] == rows[TIME].shift())
        facts["times"] = [int(times.min()), int(times.max())]
        facts["order_repeats"] = int(is_repeat.sum())
    return facts


def _new_codes(in_core: BoolArray) -> Int32Array:
    """The new code of each old one in the core."""
    return np.cumsum(in_core, dtype=np.int32) - 1
