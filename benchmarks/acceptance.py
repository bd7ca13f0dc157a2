"""Acceptance of the evaluator: published GF-CF figures through our own ranking and metrics.

    python -m benchmarks acceptance gowalla=DATA/gowalla yelp2018=DATA/yelp2018

Each folder holds train.parquet and test.parquet (user_id, item_id). GF-CF with 256 exact singular
vectors and weight 0.3 (Shen et al. 2021; figures of the BARS leaderboards) must give the published
figures to every printed digit.
"""

import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.interactions_of import load_phase
from benchmarks.record import record
from recsys.baselines.catalogue import baseline
from recsys.evaluate.metrics import evaluable_users, rank_metrics
from recsys.search.exact import rank

PUBLISHED = {
    "gowalla": {"recall@20": 0.1849, "ndcg@20": 0.1518},
    "yelp2018": {"recall@20": 0.0697, "ndcg@20": 0.0571},
}


def accept(name: str, folder: Path) -> dict[str, Any]:
    """Figures of one data set, the published ones beside, and whether they agree to four digits."""
    train, held_out, target = load_phase(folder)
    started = time.perf_counter()
    scorer = baseline("gfcf").fit(train, target, {"rank": 256, "weight": 0.3})
    fitted = time.perf_counter()
    users = evaluable_users(held_out)
    hits = rank(scorer, users, 20, train.matrix((target,)))
    found = rank_metrics(hits.items, users, held_out, [20]).overall
    figures = {metric: round(found[metric], 6) for metric in PUBLISHED[name]}
    return {
        **figures,
        "published": PUBLISHED[name],
        "agrees": all(
            round(found[metric], 4) == value for metric, value in PUBLISHED[name].items()
        ),
        "users": len(users),
        "fit_seconds": round(fitted - started, 1),
        "rank_seconds": round(time.perf_counter() - fitted, 1),
    }


def main() -> int:
    given = dict(argument.split("=", 1) for argument in sys.argv[1:])
    figures = {name: accept(name, Path(folder)) for name, folder in given.items()}
    record("acceptance", figures, " and ".join(f"{name}, published split" for name in given))
    return 0 if all(one["agrees"] for one in figures.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
