"""Full-ranking evaluation from given vectors, against the `implicit` library's evaluation of its
own model.

    python -m benchmarks evaluation DATA/gowalla [--rounds 7]

Both sides rank every item for every test user with the same ALS vectors, train items masked, k =
20, and compute metrics; they take turns, and the medians are compared. NDCG has the same definition
in both and must agree.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from implicit.als import AlternatingLeastSquares
from implicit.evaluation import ranking_metrics_at_k
from scipy import sparse
from threadpoolctl import threadpool_limits

from benchmarks.interactions_of import load_phase
from benchmarks.record import record
from recsys.evaluate.metrics import evaluable_users, rank_metrics
from recsys.search.exact import VectorScorer, rank

K = 20


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("folder", type=Path)
    options.add_argument("--width", type=int, default=64)
    options.add_argument("--threads", type=int, default=2)
    options.add_argument("--rounds", type=int, default=7)
    given = options.parse_args()
    train, held_out, target = load_phase(given.folder)
    seen = train.matrix((target,))
    model = _als(seen, given.width, given.threads)
    sides = {
        "ours": lambda: _ours(model, seen, held_out, given.threads),
        "implicit": lambda: _theirs(model, seen, held_out, given.threads),
    }
    seconds, ndcg = _take_turns(sides, given.rounds)
    figures = {
        f"{name}_seconds": round(statistics.median(taken), 3) for name, taken in seconds.items()
    }
    figures["times_as_fast"] = round(
        statistics.median(seconds["implicit"]) / statistics.median(seconds["ours"]), 2
    )
    # Theirs cuts ties and rounding its own way; a user's list may differ where two scores are one
    # rounding apart.
    if abs(ndcg["ours"] - ndcg["implicit"]) > 1e-5:
        raise SystemExit(f"the two evaluations disagree: {ndcg}")
    record(
        "evaluation",
        {
            **figures,
            "ndcg@20": round(ndcg["ours"], 6),
            **vars(given) | {"folder": given.folder.name},
        },
        f"{given.folder.name}, published split",
    )


def _als(seen: sparse.csr_matrix, width: int, threads: int) -> AlternatingLeastSquares:
    with threadpool_limits(1, "blas"):
        model = AlternatingLeastSquares(
            factors=width,
            iterations=5,
            alpha=40.0,
            regularization=20.0,
            random_state=0,
            num_threads=threads,
        )
        model.fit(seen, show_progress=False)
    return model


def _ours(
    model: AlternatingLeastSquares,
    seen: sparse.csr_matrix,
    held_out: sparse.csr_matrix,
    threads: int,
) -> float:
    users = evaluable_users(held_out)
    scorer = VectorScorer(np.asarray(model.user_factors), np.asarray(model.item_factors))
    hits = rank(scorer, users, K, seen, threads=threads)
    return rank_metrics(hits.items, users, held_out, [K]).overall[f"ndcg@{K}"]


def _theirs(
    model: AlternatingLeastSquares,
    seen: sparse.csr_matrix,
    held_out: sparse.csr_matrix,
    threads: int,
) -> float:
    with threadpool_limits(1, "blas"):
        return float(
            ranking_metrics_at_k(
                model, seen, held_out, K=K, show_progress=False, num_threads=threads
            )["ndcg"]
        )


def _take_turns(
    sides: dict[str, Callable[[], float]], rounds: int
) -> tuple[dict[str, list[float]], dict[str, Any]]:
    """Seconds of every round and the last result, by side; a first round warms both up and is not
    counted.
    """
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    results: dict[str, Any] = {}
    for _ in range(rounds + 1):
        for name, run in sides.items():
            started = time.perf_counter()
            results[name] = run()
            seconds[name].append(time.perf_counter() - started)
    return {name: taken[1:] for name, taken in seconds.items()}, results


if __name__ == "__main__":
    main()
