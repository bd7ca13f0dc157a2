"""Two bundles side by side: what the second does better or worse, and what changes for users and
items.
"""

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import polars as pl

from recsys.bundle.bundle import Bundle
from recsys.core.arrays import Float64Array
from recsys.core.intervals import bootstrap_means, difference
from recsys.core.tables import USER_ID
from recsys.lookup.answers import Item
from recsys.lookup.lookup import Lookup
from recsys.releases.life_cycle import bundle_bytes

Finding = Literal["better", "worse", "undecided", "unknown"]
ItemLists = Sequence[Sequence[Item]]
SIGNIFICANT = 0.05
_DRAWS, _TIMED, _MOVERS = 10_000, 100, 10


class Delta(NamedTuple):
    """B minus A on one metric over the same users, with its 95 % interval and p."""

    metric: str
    a: float
    b: float
    difference: float
    low: float
    high: float
    p: float


class Overlap(NamedTuple):
    """Lists of the same users.

    share: mean share of A's items that B's list has too.
    same: share of lists with the same items in the same order.
    """

    users: int
    k: int
    share: float
    same: float


class Mover(NamedTuple):
    """An item, and in how many lists of either bundle it stands.

    title: None where there is none.
    """

    item: str
    title: str | None
    a: int
    b: int


class Cost(NamedTuple):
    """What a bundle takes.

    p50_ms, p95_ms: of one list of one user, measured here, both bundles in turns.
    bytes: of its files.
    users, items: how many it knows.
    """

    p50_ms: float
    p95_ms: float
    bytes: int
    users: int
    items: int


@dataclass(frozen=True)
class Diff:
    """What B is against A.

    finding: by the metric that decides for B, at p < 0.05; "unknown" where test users have no
        values in both.
    same_rows: whether both were tested on the same held-out rows; otherwise the deltas are of the
        rows too.
    won, lost: items that gained and lost most places in lists.
    """

    a: str
    b: str
    finding: Finding
    deciding: str | None
    same_rows: bool
    test_users: int
    deltas: list[Delta]
    overlap: Overlap
    won: list[Mover]
    lost: list[Mover]
    costs: dict[str, Cost]


def compare(a: Bundle, b: Bundle, k: int = 10, users: int = 1_000, seed: int = 0) -> Diff:
    """Compare two bundles on the test users that both have values of, and on lists of a sample.

    Latencies are measured; all else repeats.

    Args:
        a: the bundle of before.
        b: the one that is judged.
        k: length of the lists.
        users: how many of those known to both are sampled.
        seed: of the sample and of the bootstrap.
    """
    deltas, num_test_users = _deltas(a, b, seed)
    deciding = b.model_card.get("deciding")
    lookup_a, lookup_b = Lookup(a), Lookup(b)
    sample = _sample(a, b, users, seed)
    lists_a = _item_lists(lookup_a, sample, k)
    lists_b = _item_lists(lookup_b, sample, k)
    won, lost = _movers(lists_a, lists_b)
    latency_a, latency_b = _latencies(lookup_a, lookup_b, sample, k)
    test_rows = b.model_card.get("test_rows")
    return Diff(
        a=a.name,
        b=b.name,
        finding=_finding(deltas, deciding),
        deciding=deciding,
        same_rows=test_rows is not None and test_rows == a.model_card.get("test_rows"),
        test_users=num_test_users,
        deltas=deltas,
        overlap=_overlap(lists_a, lists_b, k),
        won=won,
        lost=lost,
        costs={"a": _cost(a, latency_a), "b": _cost(b, latency_b)},
    )


def _deltas(a: Bundle, b: Bundle, seed: int) -> tuple[list[Delta], int]:
    """Paired over the common test users, every metric by the same draws of them; and how many there
    are.
    """
    values_a, values_b = a.test_values, b.test_values
    if values_a is None or values_b is None:
        return [], 0
    metrics = [name for name in values_b.columns if name in values_a.columns and name != USER_ID]
    columns = [USER_ID, *metrics]
    both = values_b.select(columns).join(values_a.select(columns), on=USER_ID, suffix=" of a")
    if both.is_empty() or not metrics:
        return [], len(both)
    # The draws of the bootstrap are of rows: a join has no order of its own.
    both = both.sort(USER_ID)
    renamed = [f"{metric} of a" for metric in metrics]
    values = both.select(*metrics, *renamed).to_numpy().astype(np.float64)
    # Means over the same resampled users on both sides: (draws, metrics of b | metrics of a).
    means = bootstrap_means(values, _DRAWS, seed)
    deltas = []
    for b_column, metric in enumerate(metrics):
        a_column = len(metrics) + b_column
        of_b, of_a = values[:, b_column], values[:, a_column]
        interval = difference(of_b, of_a, means[:, b_column], means[:, a_column])
        deltas.append(Delta(metric, float(of_a.mean()), float(of_b.mean()), *interval))
    return deltas, len(both)


def _finding(deltas: Sequence[Delta], deciding: str | None) -> Finding:
    """By the delta of the deciding metric."""
    for delta in deltas:
        if delta.metric == deciding:
            if delta.p >= SIGNIFICANT:
                return "undecided"
            return "better" if delta.difference > 0 else "worse"
    return "unknown"


def _sample(a: Bundle, b: Bundle, users: int, seed: int) -> list[str]:
    """Some users that both know, in the order of their ids."""
    known_to_a = pl.DataFrame({USER_ID: a.users.ids})
    known_to_b = pl.DataFrame({USER_ID: b.users.ids})
    common = known_to_b.join(known_to_a, on=USER_ID, how="semi").sort(USER_ID)
    order = np.random.default_rng(seed).permutation(len(common))
    chosen = np.sort(order[:users])
    return common[USER_ID].gather(chosen).to_list()


def _item_lists(lookup: Lookup, sample: list[str], k: int) -> list[list[Item]]:
    """The items of each user's list."""
    if not sample:
        return []
    return [answer["items"] for answer in lookup.recommend(sample, k)]


def _overlap(lists_a: ItemLists, lists_b: ItemLists, k: int) -> Overlap:
    shares = []
    num_same = 0
    for items_a, items_b in zip(lists_a, lists_b, strict=True):
        ids_a = [item["id"] for item in items_a]
        ids_b = [item["id"] for item in items_b]
        num_same += ids_a == ids_b
        if ids_a:
            common = set(ids_a) & set(ids_b)
            shares.append(len(common) / len(ids_a))
    share = float(np.mean(shares)) if shares else 0.0
    same = num_same / len(lists_a) if lists_a else 0.0
    return Overlap(len(lists_a), k, share, same)


def _movers(lists_a: ItemLists, lists_b: ItemLists) -> tuple[list[Mover], list[Mover]]:
    """Items that won and lost most places in all lists; the first id among equals."""
    titles: dict[str, str | None] = {}
    count_a = _count_items(lists_a, titles)
    count_b = _count_items(lists_b, titles)
    movers = []
    for item, title in titles.items():
        movers.append(Mover(item, title, count_a[item], count_b[item]))
    movers.sort(key=lambda mover: (mover.a - mover.b, mover.item))
    won = [mover for mover in movers if mover.b > mover.a]
    lost = [mover for mover in reversed(movers) if mover.b < mover.a]
    return won[:_MOVERS], lost[:_MOVERS]


def _count_items(lists: ItemLists, titles: dict[str, str | None]) -> Counter[str]:
    """In how many lists each item stands; its title goes into `titles`."""
    counts: Counter[str] = Counter()
    for items in lists:
        for item in items:
            counts[item["id"]] += 1
            titles[item["id"]] = item.get("title")
    return counts


def _latencies(
    lookup_a: Lookup, lookup_b: Lookup, sample: list[str], k: int
) -> tuple[Float64Array, Float64Array]:
    """Milliseconds of one list each; the two take turns."""
    times_a: list[float] = []
    times_b: list[float] = []
    # A short sample is asked again and again. In turns, what else the machine does meets both.
    users = (sample * _TIMED)[:_TIMED]
    for user in users:
        times_a.append(_milliseconds(lookup_a, user, k))
        times_b.append(_milliseconds(lookup_b, user, k))
    return np.array(times_a or [0.0]), np.array(times_b or [0.0])


def _milliseconds(lookup: Lookup, user: str, k: int) -> float:
    """Of one list."""
    started = time.perf_counter()
    lookup.recommend([user], k)
    return 1e3 * (time.perf_counter() - started)


def _cost(bundle: Bundle, latencies: Float64Array) -> Cost:
    p50, p95 = np.percentile(latencies, [50, 95])
    size = bundle_bytes(bundle.path)
    return Cost(float(p50), float(p95), size, len(bundle.users), len(bundle.items))
