"""The popularity boost from −1 to 1: how popular lists become, for members and for visitors.

    python -m benchmarks popularity_dial RUN [--users 200] [--seed 0]

RUN: a run folder, or a bundle. At each of 21 boosts the mean popularity percentile of the ten best
among all items (100 for the item of the most users), over members and over visitors with one to five
events of a member.
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import rankdata

from benchmarks.record import record
from recsys.bundle.bundle import Bundle
from recsys.core.arrays import Float64Array
from recsys.core.artefacts import RunFolder
from recsys.lookup.lookup import Lookup, Query
from recsys.lookup.options import ListOptions

K = 10
BOOSTS = np.linspace(-1, 1, 21).round(2).tolist()
_MOST_EVENTS = 5


def measure(bundle: Bundle, count: int, seed: int) -> dict[str, Any]:
    """By kind of user, the mean percentile at each boost and the largest share of a step."""
    lookup = Lookup(bundle)
    percentiles = 100 * (rankdata(bundle.counts) - 0.5) / len(bundle.counts)
    figures: dict[str, Any] = {"boosts": BOOSTS}
    for kind, queries in _queries(bundle, count, seed).items():
        means = []
        for boost in BOOSTS:
            means.append(_mean_percentile(lookup, queries, boost, percentiles))
        way = means[-1] - means[0]
        figures[kind] = {
            "percentiles": [round(mean, 1) for mean in means],
            "largest_step": round(float(np.diff(means).max() / way), 3),
            "smallest_step": round(float(np.diff(means).min() / way), 4),
        }
    return figures


def _queries(bundle: Bundle, count: int, seed: int) -> dict[str, list[Query]]:
    """Members, and visitors with some of what these had."""
    rng = np.random.default_rng(seed)
    had = bundle.seen[bundle.target]
    active = np.flatnonzero(np.diff(had.indptr))
    users = rng.choice(active, min(count, len(active)), replace=False)
    visitors = []
    for user in users:
        items = had[user].indices
        length = min(int(rng.integers(1, _MOST_EVENTS + 1)), len(items))
        chosen = rng.choice(items, length, replace=False)
        visitors.append(Query(history=bundle.items.external(chosen)))
    members = [Query(user) for user in bundle.users.external(users)]
    return {"members": members, "visitors": visitors}


def _mean_percentile(
    lookup: Lookup, queries: list[Query], boost: float, percentiles: Float64Array
) -> float:
    """Over the lists of all queries."""
    means = []
    for answer in lookup.answer(queries, ListOptions(k=K, popularity=boost)):
        items = lookup.bundle.items.lookup([item["id"] for item in answer["items"]])
        means.append(percentiles[items].mean())
    return float(np.mean(means))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("--users", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    folder = RunFolder(arguments.run)
    bundle = Bundle.load(folder.bundle if folder.bundle.exists() else arguments.run)
    figures = measure(bundle, arguments.users, arguments.seed)
    record("popularity_dial", figures, bundle.model_card["name"], arguments.seed)


if __name__ == "__main__":
    main()
