"""Exact search against tuned FAISS indexes on made-up catalogues: recall, its bound, size, build
time, and what a query takes by the cost model beside what it takes by the clock.

    python -m benchmarks index [--items 41000 300000] [--kinds ivf hnsw pq] [--width 64] [--target
    0.99] [--threads 2]

Items lie around 500 centres with a long tail of sizes and have unit length; a query lies between
two items, with noise, as users of a cosine model do. Latencies are of single queries on one thread.
"""

import argparse
from functools import partial
from itertools import islice
from typing import Any

import numpy as np

from benchmarks.record import record
from recsys.core.arrays import Float32Array, FloatArray
from recsys.core.config import IndexConfig
from recsys.core.errors import GateRefused
from recsys.search.latency import measure
from recsys.search.searchers import EXACT
from recsys.search.tuning import settings, tune

K, EVERY = 20, 4
CENTRES, QUERIES, SPREAD, NOISE = 500, 8_000, 0.8, 0.2
KEPT = ("parameters", "recall", "recall_lower_bound", "recall_by_items", "bytes", "queries")


def main() -> None:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--items", type=int, nargs="+", default=[41_000, 300_000])
    options.add_argument("--kinds", nargs="+", default=["exact", "ivf", "hnsw", "pq"])
    options.add_argument("--width", type=int, default=64)
    options.add_argument("--target", type=float, default=0.99)
    options.add_argument("--threads", type=int, default=2)
    options.add_argument("--seed", type=int, default=0)
    given = options.parse_args()
    figures: dict[str, Any] = {}
    for count in given.items:
        items, queries = catalogue(count, given.width, given.seed)
        for kind in given.kinds:
            figures[f"{count}_{kind}"] = _tuned(items, queries, kind, given)
            print(count, kind, figures[f"{count}_{kind}"], flush=True)
            figures[f"{count}_{kind}_efforts"] = _efforts(items, queries, kind)
    record(
        "index",
        figures,
        f"made-up catalogues, {given.width} wide, recall@20 {given.target}",
        given.seed,
    )


def catalogue(count: int, width: int, seed: int) -> tuple[Float32Array, Float32Array]:
    """Items (count, width) and queries (8000, width)."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(CENTRES, width))
    share = 1 / np.arange(1, CENTRES + 1)
    group = rng.choice(CENTRES, count, p=share / share.sum())
    items = centres[group] + SPREAD * rng.normal(size=(count, width))
    first, second = rng.integers(0, count, (2, QUERIES))
    between = items[first] + items[second] + NOISE * rng.normal(size=(QUERIES, width))
    return _unit(items), _unit(between)


def _tuned(items: Float32Array, queries: Float32Array, kind: str, given: argparse.Namespace) -> Any:
    config = IndexConfig.model_validate({"kind": kind, "target_recall": given.target})
    try:
        card = tune(items, queries, config, threads=given.threads, seed=given.seed).card
    except GateRefused as refused:
        return {"refused": refused.message}
    kept = {name: card[name] for name in KEPT if name in card}
    timings = {name: round(value, 3) for name, value in card["measured"].items()}
    return kept | {"model_ms": round(card["cost"]["model_ms"], 3)} | timings


def _efforts(items: Float32Array, queries: Float32Array, kind: str) -> list[dict[str, Any]]:
    """Some settings of a kind: milliseconds by the model, and measured."""
    if kind == EXACT:
        return []
    rows = []
    for setting in islice(settings(kind, items, K, 0), 0, None, EVERY):
        model = setting.searcher.work(K).milliseconds()
        search = partial(setting.searcher.search, k=K)
        latency = measure(search, queries, model)
        row = {"model_ms": model, "p50_ms": latency.p50, "p95_ms": latency.p95}
        rounded = {name: round(value, 3) for name, value in row.items()}
        rows.append(setting.parameters | rounded)
        print("  ", rows[-1], flush=True)
    return rows


def _unit(vectors: FloatArray) -> Float32Array:
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


if __name__ == "__main__":
    main()
