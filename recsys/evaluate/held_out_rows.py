"""Rows that were held out from a bundle, read as the log was, and metrics on them."""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from scipy import sparse

from recsys.bundle.bundle import Bundle
from recsys.bundle.known_lists import rank_known
from recsys.core.arrays import Float64Array, Int32Array, Int64Array
from recsys.core.config import CleanConfig, DataConfig, Task
from recsys.core.errors import DataError
from recsys.core.ids import UNKNOWN
from recsys.core.interactions import SEEN_OTHERWISE
from recsys.core.tables import BEHAVIOR, ITEM, TIME, USER, Drops
from recsys.evaluate.metrics import evaluable_users, rank_metrics
from recsys.logs.buckets import SINGLE_BEHAVIOR
from recsys.logs.ingest import ingest, load_log
from recsys.logs.published_split import OTHER_HELD
from recsys.logs.reasons import describe
from recsys.logs.split import KNOWN_TEST


class HeldOutRows(NamedTuple):
    """What is to be found again.

    held_out: (users, items) with an entry for each pair that counts.
    drops: rows that do not count, by reason.
    moments: (users,) unix seconds of each user's first row of known users and items; the end of the log
        where the rows name no time.
    """

    held_out: sparse.csr_matrix
    drops: Drops
    moments: Float64Array


def evaluate_rows(
    bundle: Bundle,
    log: pl.DataFrame,
    data: DataConfig,
    clean: CleanConfig,
    ks: Sequence[int],
    task: Task = "any",
) -> dict[str, Any]:
    """Exact metrics of a bundle on held-out rows; what users have seen is masked.

    Args:
        bundle: What was learnt.
        log: Held-out rows.
        data: Names of their columns.
        clean: Which of them count.
        ks: List lengths.
        task: "new" leaves out pairs of items that lists hide.

    Returns:
        Metrics as "name@k"; "users", how many are averaged over; "dropped", how many rows do not
        count, and "drops", the same by reason.

    Raises:
        DataError: The rows cannot be read, or none counts.
    """
    rows = read_held_out_rows(bundle, log, data, clean, task)
    users = evaluable_users(rows.held_out)
    if not len(users):
        raise DataError(
            f"no test row counts: dropped {describe(rows.drops)}",
            "Give pairs of users and items of the log that were not in it",
        )
    ranked = rank_known(bundle, users, max(ks), _seen(bundle), moments=rows.moments[users]).items
    metrics = rank_metrics(ranked, users, rows.held_out, ks).overall
    counts = {"users": len(users), "dropped": rows.drops.total(), "drops": dict(rows.drops)}
    return {**metrics, **counts}


def read_held_out_rows(
    bundle: Bundle,
    log: pl.DataFrame,
    data: DataConfig,
    clean: CleanConfig,
    task: Task = "any",
) -> HeldOutRows:
    """Held-out rows, by the rules of `recsys evaluate`: what ingest drops, then other behaviours,
    pairs that were learnt, and users and items that were not.

    Args:
        bundle: What was learnt.
        log: Held-out rows; a column that the log had is not required but for the ids.
        data: Names of the columns.
        clean: Rules on rows; those on how many rows a user or item has are of the log alone.
        task: "new" leaves out pairs of items that lists hide, too.
    """
    data, log = _columns_there(bundle, log, data)
    alone = {
        "min_user_interactions": 1,
        "min_item_interactions": 1,
        "max_user_interactions": None,
    }
    with tempfile.TemporaryDirectory(prefix="recsys-") as folder:
        report = ingest(log, data, clean.model_copy(update=alone), Path(folder) / "log")
        coded = load_log(Path(folder) / "log")
        rows = coded.rows.collect()
    drops = Drops(report.drops)
    if BEHAVIOR in rows.columns:
        of_target = rows.filter(pl.col(BEHAVIOR) == bundle.target)
        drops[OTHER_HELD] += len(rows) - len(of_target)
        rows = of_target
    # Internal ids of the bundle, by code of the rows' own vocabularies.
    user = bundle.users.lookup(coded.users.ids.to_list())[rows[USER].to_numpy()]
    item = bundle.items.lookup(coded.items.ids.to_list())[rows[ITEM].to_numpy()]
    drops["cold user"] += int((user == UNKNOWN).sum())
    drops["cold item"] += int(((user != UNKNOWN) & (item == UNKNOWN)).sum())
    warm = (user != UNKNOWN) & (item != UNKNOWN)
    shape = (len(bundle.users), len(bundle.items))
    ones = np.ones(int(warm.sum()), np.float32)
    pairs = sparse.csr_matrix((ones, (user[warm], item[warm])), shape=shape)
    learnt = bundle.seen[bundle.target].astype(bool)
    known = pairs.multiply(learnt).tocsr()
    drops[KNOWN_TEST] += int(known.sum())
    held_out = (pairs - known).tocsr()
    if task == "new":
        hidden = held_out.multiply(_seen(bundle).astype(bool)).tocsr()
        drops[SEEN_OTHERWISE] += int(hidden.sum())
        held_out = (held_out - hidden).tocsr()
    held_out.eliminate_zeros()
    times = None
    if coded.time_kind == "seconds" and TIME in rows.columns:
        times = rows[TIME].to_numpy()[warm]
    return HeldOutRows(held_out, +drops, _first_moments(bundle, user[warm], times))


def _first_moments(bundle: Bundle, user: Int32Array, times: Int64Array | None) -> Float64Array:
    """(users,) the first of the `times` (n,) of each `user` (n,), else the end of the bundle's log."""
    first = np.full(len(bundle.users), np.inf)
    if times is not None:
        np.minimum.at(first, user, times)
    return np.where(np.isinf(first), bundle.last_moment, first)


def _seen(bundle: Bundle) -> sparse.csr_matrix:
    """(users, items): what lists hide."""
    seen = sparse.csr_matrix((len(bundle.users), len(bundle.items)), dtype=np.float32)
    for behavior in bundle.seen_behaviors:
        seen = seen + bundle.seen[behavior]
    return seen


def _columns_there(
    bundle: Bundle, log: pl.DataFrame, data: DataConfig
) -> tuple[DataConfig, pl.DataFrame]:
    """Without settings of columns that the rows lack, and without behaviours where none was learnt."""
    absent: dict[str, None] = {}
    for setting in ("time_col", "behavior_col", "weight_col"):
        column = getattr(data, setting)
        if column is not None and column not in log.columns:
            absent[setting] = None
    data = data.model_copy(update=absent)
    behavior_col = data.behavior_col or BEHAVIOR
    learnt = [name for name in bundle.segments[1:] if name != SINGLE_BEHAVIOR]
    if not learnt:
        log = log.drop(behavior_col, strict=False)
        data = data.model_copy(update={"behavior_col": None})
    return data, log
