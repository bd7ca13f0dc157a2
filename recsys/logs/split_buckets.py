"""The split of a log by the parts that ingest left, each all rows of some users.

What compares users is decided from counts that are summed over the parts: the moment of a cut is
found by counting times in ever narrower ranges. The rows are then placed part by part by the functions
of `logs.split`, so that the tables are those of one process, byte for byte.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from recsys.core.arrays import BoolArray, Int64Array
from recsys.core.artefacts import write_json
from recsys.core.config import SplitConfig, Task
from recsys.core.ids import IdMap
from recsys.core.step_files import BucketFile
from recsys.core.steps import Call, Facts, Outcome, Steps
from recsys.core.table_files import read_arrow, read_parquet, scan_parquet
from recsys.core.tables import BEHAVIOR, ITEM_ID, TIME, USER, USER_ID, Drops
from recsys.logs.ingest import CodedLog
from recsys.logs.split import (
    TABLES,
    TargetRows,
    assemble,
    method_of,
    place_rows,
    plan_cuts,
    require_both,
    split_document,
    target_rows,
    write_table,
)

_RANGES = 4096


def goes_by_buckets(log: CodedLog, config: SplitConfig) -> bool:
    """Whether the split can: published files say themselves what is held out, and are taken whole."""
    return method_of(config, log) != "given"


def split_by_buckets(
    folder: Path,
    log: CodedLog,
    config: SplitConfig,
    target: str,
    seed: int,
    task: Task,
    steps: Steps,
    out: Path,
) -> dict[str, Any]:
    """Split the ingested log in `folder` into `out`; what `Splits.save` writes.

    Args:
        folder: Where ingest left the log.
        log: The same; its rows are not read here.
        config: The method and its shares.
        target: The behaviour that is predicted.
        seed: Of random draws.
        task: As in `logs.split.split_log`.
        steps: Where the work is done.
        out: Gets the files.

    Returns:
        The document of the split.

    Raises:
        DataError: The log cannot be split so.
        UsageError: The method does not fit the log.
    """
    parts = [steps.take(path) for path in sorted((folder / "rows").glob("part-*.parquet"))]
    method = method_of(config, log)
    inputs = [[bucket_file] for bucket_file in parts]
    surveyed = steps.run("survey", survey, [(target, log.behaviors)] * len(parts), inputs)
    moments = SpreadMoments(parts, target, surveyed, steps) if log.has_order else None
    most = max(outcome.facts["most_of_a_user"] for outcome in surveyed)
    cuts = plan_cuts(TargetRows(moments, most), config, method)
    vocabularies = []
    if method == "random":
        vocabularies = [steps.take(folder / name) for name in ("users.parquet", "items.parquet")]
    arguments = [(config, method, cuts, log.behaviors, target, seed, task)] * len(parts)
    inputs = [[bucket_file, *vocabularies] for bucket_file in parts]
    placed = steps.run("place", place, arguments, inputs)
    drops = Drops()
    for outcome in placed:
        drops += Drops(outcome.facts["drops"])
    rows = {name: sum(outcome.facts["rows"][name] for outcome in placed) for name in TABLES}
    require_both(method, rows["train"], rows["test"], drops)
    tables = []
    for name in TABLES:
        tables.append([file for outcome in placed for file in outcome.named(f"{name}.arrow")])
    for outcome in steps.run("tables", together, list(TABLES), tables):
        [table] = outcome.files
        steps.hand_over(table, out / table.path.name)
    document = split_document(method, method, cuts, method.endswith("_time"), drops, rows)
    write_json(out / "split.json", document)
    return document


class SpreadMoments:
    """Times of the target rows of all parts (`time_cut.Moments`)."""

    def __init__(
        self, parts: Sequence[BucketFile], target: str, surveyed: Sequence[Outcome], steps: Steps
    ) -> None:
        self._parts = parts
        self._target = target
        self._steps = steps
        self._rounds = 0
        facts = [outcome.facts for outcome in surveyed if outcome.facts["rows"]]
        self._num_rows: int = sum(part_facts["rows"] for part_facts in facts)
        self._first: int = min((part_facts["first"] for part_facts in facts), default=0)
        self._last: int = max((part_facts["last"] for part_facts in facts), default=0)

    def count_before(self, moment: int | None) -> int:
        """How many are earlier; all when None."""
        if moment is None:
            return self._num_rows
        return int(self._counted(np.array([moment]))[0])

    def at(self, place: int) -> int:
        """The time that stands at a place, from 0, when all are sorted."""
        low, high = self._first, self._last
        while low < high:
            # At most `place` rows are earlier than the time that stands there.
            width = -(-(high - low + 1) // _RANGES)
            edges = np.arange(low, high + 1, width)
            last_range = int(np.flatnonzero(self._counted(edges) <= place)[-1])
            low = int(edges[last_range])
            high = min(low + width - 1, high)
        return low

    def _counted(self, moments: Int64Array) -> Int64Array:
        """(n,) how many rows are earlier than each moment."""
        self._rounds += 1
        start, step = int(moments[0]), int(moments[1] - moments[0]) if len(moments) > 1 else 1
        arguments = [(self._target, start, step, len(moments))] * len(self._parts)
        inputs = [[bucket_file] for bucket_file in self._parts]
        outcomes = self._steps.run(f"times-{self._rounds:03d}", count_times, arguments, inputs)
        counts = np.array([outcome.facts["earlier"] for outcome in outcomes], np.int64)
        return np.asarray(counts.sum(axis=0))


def survey(call: Call) -> Facts:
    """The step that looks at the rows of the target behaviour of a part."""
    target, behaviors = call.arguments
    rows = read_parquet(call.inputs[0].path)
    is_target = target_rows(rows, behaviors, target)
    rows_of_user = np.bincount(rows[USER].to_numpy()[is_target])
    facts: Facts = {
        "rows": int(is_target.sum()),
        "most_of_a_user": int(rows_of_user.max(initial=0)),
    }
    if TIME in rows.columns and facts["rows"]:
        times = rows[TIME].to_numpy()[is_target]
        facts |= {"first": int(times.min()), "last": int(times.max())}
    return facts


def count_times(call: Call) -> Facts:
    """The step that counts how many times of a part are earlier than each of some moments."""
    target, start, step, count = call.arguments
    columns = scan_parquet(call.inputs[0].path).collect_schema()
    wanted = [column for column in (TIME, BEHAVIOR) if column in columns]
    rows = read_parquet(call.inputs[0].path, columns=wanted)
    if BEHAVIOR in rows.columns:
        rows = rows.filter(pl.col(BEHAVIOR) == target)
    times = np.sort(rows[TIME].to_numpy())
    earlier = np.searchsorted(times, start + step * np.arange(count))
    return {"earlier": earlier.tolist()}


def place(call: Call) -> Facts:
    """The step that splits a part."""
    config, method, cuts, behaviors, target, seed, task = call.arguments
    rows = read_parquet(call.inputs[0].path)
    users, items = _vocabularies(call)
    is_target: BoolArray = target_rows(rows, behaviors, target)
    placed = place_rows(rows, is_target, config, method, cuts, users, items, seed, task)
    splits = assemble(placed, method, target)
    counts = {}
    for name in TABLES:
        table: pl.DataFrame = getattr(splits, name)
        table.write_ipc(call.out / f"{name}.arrow")
        counts[name] = len(table)
    return {"drops": dict(splits.drops), "rows": counts}


def together(call: Call) -> Facts:
    """The step that makes one table of the parts of it."""
    rows = pl.concat([read_arrow(file.path) for file in call.inputs])
    write_table(rows, call.out / f"{call.arguments}.parquet")
    return {}


def _vocabularies(call: Call) -> tuple[IdMap, IdMap]:
    """Ids of the log; none where the method does not ask for them."""
    if len(call.inputs) == 1:
        nothing = pl.Series([], dtype=pl.String)
        return IdMap(nothing), IdMap(nothing)
    users, items = (read_parquet(file.path) for file in call.inputs[1:])
    return IdMap(users[USER_ID], "user"), IdMap(items[ITEM_ID], "item")
