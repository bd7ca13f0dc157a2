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
from recsys.core.intervals import bootstrap_means, difference
from recsys.core.tables import USER_ID
from recsys.lookup.answers import Answer
from recsys.lookup.lookup import Lookup
from recsys.releases.life_cycle import bundle_bytes

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
    """Lists of the same users. share: mean share of A's items that B's list has too. same: share of
    lists equal to the place.
    """

    users: int
    k: int
    share: float
    same: float


class Mover(NamedTuple):
    """An item with its places in the lists of both. title: None where there is none."""

    item: str
    title: str | None
    a: int
    b: int


class Cost(NamedTuple):
    """p50_ms, p95_ms: of one list of one user, measured here, both in turns. items, users: how many
    it knows.
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
    values in both. same_rows: whether both were tested on the same held-out rows; otherwise the
    deltas are of the rows too. won, lost: items that gained and lost most places.
    """

    a: str
    b: str
    finding: Literal["better", "worse", "undecided", "unknown"]
    deciding: str | None
    same_rows: bool
    test_users: int
    deltas: list[Delta]
    overlap: Overlap
    won: list[Mover]
    lost: list[Mover]
    costs: dict[str, Cost]


def compare(a: Bundle, b: Bundle, k: int = 10, users: int = 1_000, seed: int = 0) -> Diff:
    """Compare two bundles on the test users that both have values of, and on the lists of a seeded
    sample of users.

    users: how many of those known to both are sampled. Latencies are measured; all else repeats.
    """
    deltas, count = _deltas(a, b, seed)
    deciding = b.model_card.get("deciding")
    lookups = (Lookup(a), Lookup(b))
    sample = _sample(a, b, users, seed)
    lists = [lookup.recommend(sample, k) if sample else [] for lookup in lookups]
    ids = [[[item["id"] for item in answer["items"]] for answer in answers] for answers in lists]
    won, lost = _movers(lists, ids)
    latencies = _latencies(lookups, sample, k)
    return Diff(
        a=a.name,
        b=b.name,
        finding=_finding([one for one in deltas if one.metric == deciding]),
        deciding=deciding,
        same_rows="test_rows" in b.model_card
        and a.model_card.get("test_rows") == b.model_card["test_rows"],
        test_users=count,
        deltas=deltas,
        overlap=_overlap(ids[0], ids[1], k),
        won=won,
        lost=lost,
        costs={
            name: Cost(*taken, bundle_bytes(one.path), len(one.users), len(one.items))
            for name, one, taken in zip("ab", (a, b), latencies, strict=True)
        },
    )


def _deltas(a: Bundle, b: Bundle, seed: int) -> tuple[list[Delta], int]:
    """Paired over the common test users, every metric by the same draws of them; and how many there
    are.
    """
    values = [bundle.test_values for bundle in (a, b)]
    if values[0] is None or values[1] is None:
        return [], 0
    metrics = [name for name in values[1].columns if name != USER_ID and name in values[0].columns]
    both = (
        values[1]
        .select(USER_ID, *metrics)
        .join(values[0].select(USER_ID, *metrics), on=USER_ID, suffix=" of a")
    )
    if not len(both) or not metrics:
        return [], len(both)
    both = both.sort(USER_ID)
    of_b = both.select(metrics).to_numpy().astype(np.float64)
    of_a = both.select(f"{name} of a" for name in metrics).to_numpy().astype(np.float64)
    means = np.split(bootstrap_means(np.hstack([of_b, of_a]), _DRAWS, seed), 2, axis=1)
    found = []
    for place, metric in enumerate(metrics):
        one = difference(of_b[:, place], of_a[:, place], means[0][:, place], means[1][:, place])
        found.append(
            Delta(metric, float(of_a[:, place].mean()), float(of_b[:, place].mean()), *one)
        )
    return found, len(both)


def _finding(deciding: Sequence[Delta]) -> Literal["better", "worse", "undecided", "unknown"]:
    if not deciding:
        return "unknown"
    if deciding[0].p >= SIGNIFICANT:
        return "undecided"
    return "better" if deciding[0].difference > 0 else "worse"


def _sample(a: Bundle, b: Bundle, users: int, seed: int) -> list[str]:
    """Some users that both know, in the order of their ids."""
    common = pl.DataFrame({USER_ID: b.users.ids}).join(
        pl.DataFrame({USER_ID: a.users.ids}), on=USER_ID, how="semi"
    )
    common = common.sort(USER_ID)
    chosen = np.sort(np.random.default_rng(seed).permutation(len(common))[:users])
    return common[USER_ID].gather(chosen).to_list()


def _overlap(of_a: list[list[str]], of_b: list[list[str]], k: int) -> Overlap:
    shares = [len(set(a) & set(b)) / len(a) for a, b in zip(of_a, of_b, strict=True) if a]
    same = [a == b for a, b in zip(of_a, of_b, strict=True)]
    return Overlap(len(of_a), k, float(np.mean(shares or [0.0])), float(np.mean(same or [False])))


def _movers(
    lists: list[list[Answer]], ids: list[list[list[str]]]
) -> tuple[list[Mover], list[Mover]]:
    """Items that won and lost most places of all lists; the first id among equals."""
    places = [Counter(item for one in side for item in one) for side in ids]
    titles = {
        item["id"]: item.get("title")
        for side in lists
        for answer in side
        for item in answer["items"]
    }
    moved = sorted(
        places[0].keys() | places[1].keys(),
        key=lambda item: (places[0][item] - places[1][item], item),
    )
    movers = [Mover(item, titles[item], places[0][item], places[1][item]) for item in moved]
    won = [one for one in movers if one.b > one.a][:_MOVERS]
    lost = [one for one in reversed(movers) if one.b < one.a][:_MOVERS]
    return won, lost


def _latencies(lookups: Sequence[Lookup], sample: list[str], k: int) -> list[tuple[float, float]]:
    """p50 and p95 milliseconds of one list each; the two take turns."""
    taken: list[list[float]] = [[] for _ in lookups]
    for user in (sample * _TIMED)[:_TIMED]:
        for milliseconds, lookup in zip(taken, lookups, strict=True):
            started = time.perf_counter()
            lookup.recommend([user], k)
            milliseconds.append(1e3 * (time.perf_counter() - started))
    return [
        (float(np.percentile(one or [0.0], 50)), float(np.percentile(one or [0.0], 95)))
        for one in taken
    ]
