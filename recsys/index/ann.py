"""Choosing an index: exact while it keeps the latency budget, else FAISS parameters that provably reach a recall.

Parameters are chosen on one half of the queries; the lower bound of the recall comes from the other half.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from recsys.core.config import IndexConfig
from recsys.core.errors import GateRefused
from recsys.core.ranking import Hits
from recsys.index.approximate import ApproximateIndex
from recsys.index.builds import Kind, Setting, settings
from recsys.index.exact import ExactIndex, Floats, faiss_threads
from recsys.index.recall import hit_shares, lower_bound, queries_needed, slice_recall, with_mixtures

_TIMED_QUERIES, _WARM_UP = 200, 20
_LEVEL = 0.05
# Most settings miss by far: a few queries tell that, and the full half is kept for the others.
_FIRST_LOOK, _FAR_OFF = 200, 0.03
_ORDER: tuple[Kind, ...] = ("ivf", "hnsw", "pq")  # cheapest to build first


class Latency(NamedTuple):
    """Milliseconds of one query on one thread."""

    p50: float
    p95: float


@dataclass(frozen=True)
class TunedIndex:
    """index: None for exact search. card: kind, parameters, recall, bounds, sizes; timings under "measured"."""

    index: ApproximateIndex | None
    card: dict[str, Any]


class _Trial(NamedTuple):
    """One setting that was judged. shares: (judging queries,) recall of each. looks: judgements spent so far."""

    built: Setting
    tuned_recall: float
    shares: NDArray[np.float64]
    bound: float
    looks: int


def tune(item_vectors: Floats, queries: Floats, config: IndexConfig, threads: int = 1, seed: int = 0) -> TunedIndex:
    """The index for these items. item_vectors: (items, d). queries: (users, d), of which a seeded sample is used.

    Mixtures of item vectors, which is what visitors look like, fill up a sample too small to show the recall.
    threads: of the build; the same bytes are promised for one. Raises GateRefused with the best recall reached when
    the 95 % lower bound stays below config.target_recall; auto falls back to exact search when nothing is faster.
    """
    halves = _halves(item_vectors, queries, config.target_recall, seed)
    exact = ExactIndex(item_vectors)
    k = min(config.k, len(item_vectors))
    latency = measure(lambda query: exact.search(query, k), halves.tuning)
    facts = {
        "k": k,
        "target_recall": config.target_recall,
        "queries": len(halves.judging),
        "queries_tuned_on": len(halves.tuning),
        "queries_of_users": int(halves.users.sum()),
        "seed": seed,
    }
    if config.kind == "exact" or (config.kind == "auto" and latency.p95 <= config.latency_ms):
        return TunedIndex(None, facts | _exact_card(exact, latency, config))
    oracle = _Oracle(exact, halves, k)
    with faiss_threads(threads):
        trial, found = _first_fast(_ORDER if config.kind == "auto" else (config.kind,), oracle, config, seed)
    if config.kind == "auto" and found.p95 >= latency.p95:
        return TunedIndex(None, facts | _exact_card(exact, latency, config))
    return TunedIndex(trial.built.index, facts | _card(trial, oracle, found, latency, config))


def measure(search: Callable[[Floats], object], queries: Floats) -> Latency:
    """Latency of single queries, one thread."""
    milliseconds = []
    with threadpool_limits(1, "blas"), faiss_threads(1):
        for query in np.resize(queries, (_WARM_UP + _TIMED_QUERIES, queries.shape[1])):
            started = time.perf_counter()
            search(query[None])
            milliseconds.append(1e3 * (time.perf_counter() - started))
    p50, p95 = np.percentile(milliseconds[_WARM_UP:], [50, 95])
    return Latency(float(p50), float(p95))


class _Halves(NamedTuple):
    """(n, d) queries to choose by, and to judge by. users: (n,) which of the judging ones are users, not mixtures."""

    tuning: Floats
    judging: Floats
    users: NDArray[np.bool_]


def _halves(item_vectors: Floats, queries: Floats, target: float, seed: int) -> _Halves:
    rng = np.random.default_rng(seed)
    half = queries_needed(target)
    sample = queries[np.sort(rng.permutation(len(queries))[: 2 * half])].astype(np.float32)
    filled = with_mixtures(sample, item_vectors, 2 * half, rng)
    order = rng.permutation(len(filled))
    return _Halves(filled[order[:half]], filled[order[half:]], order[half:] < len(sample))


class _Oracle:
    """The true lists of both halves."""

    def __init__(self, exact: ExactIndex, halves: _Halves, k: int) -> None:
        self.exact, self.halves, self.k = exact, halves, k
        self.tuning = exact.search(halves.tuning, k)
        self.judging = exact.search(halves.judging, k)

    def tuning_shares(self, index: ApproximateIndex, count: int | None = None) -> NDArray[np.float64]:
        """Recall of each (of the first `count`) tuning queries."""
        truth = Hits(self.tuning.items[:count], self.tuning.scores[:count])
        return hit_shares(index.search(self.halves.tuning[:count], self.k), truth)


def _first_fast(kinds: tuple[Kind, ...], oracle: _Oracle, config: IndexConfig, seed: int) -> tuple[_Trial, Latency]:
    """The first kind that reaches the recall within the latency budget, else the fastest that reaches the recall."""
    reached: list[tuple[_Trial, Latency]] = []
    best = 0.0
    for kind in kinds:
        recall, trial = _reach(kind, oracle, config.target_recall, seed)
        best = max(best, recall)
        if trial is None:
            continue
        latency = measure(partial(_search, trial.built.index, oracle.k), oracle.halves.tuning)
        reached.append((trial, latency))
        if latency.p95 <= config.latency_ms:
            break
    if not reached:
        raise GateRefused(
            f"no {' or '.join(kinds)} index was shown to reach recall@{oracle.k} {config.target_recall}; "
            f"the best setting has {best:.4f} while tuning",
            'Lower index.target_recall, or set index.kind = "exact"',
        )
    return min(reached, key=lambda one: one[1].p95)


def _search(index: ApproximateIndex, k: int, queries: Floats) -> Hits:
    return index.search(queries, k)


def _reach(kind: Kind, oracle: _Oracle, target: float, seed: int) -> tuple[float, _Trial | None]:
    """The best recall met while tuning, and the first setting of rising effort whose bound reaches the target.

    A setting is judged once the tuning half speaks for it. Every judgement spends part of the error: the n-th bound
    is at level 0.05 / 2^n, so that all together hold at 95 %.
    """
    looks, best = 0, 0.0
    for built in settings(kind, oracle.exact.item_vectors, oracle.k, seed):
        tuned = oracle.tuning_shares(built.index, _FIRST_LOOK)
        if tuned.mean() >= target - _FAR_OFF:
            tuned = oracle.tuning_shares(built.index)
        best = max(best, float(tuned.mean()))
        level = _LEVEL / 2 ** (looks + 1)
        if lower_bound(tuned, level) < target:
            continue
        looks += 1
        shares = hit_shares(built.index.search(oracle.halves.judging, oracle.k), oracle.judging)
        bound = lower_bound(shares, level)
        if bound >= target:
            return best, _Trial(built, float(tuned.mean()), shares, bound, looks)
    return best, None


def _exact_card(exact: ExactIndex, latency: Latency, config: IndexConfig) -> dict[str, Any]:
    return {
        "kind": "exact",
        "parameters": {},
        "recall": 1.0,
        "recall_lower_bound": 1.0,
        "bytes": int(exact.item_vectors.nbytes),
        "measured": _measured(latency, latency, 0.0, config),
    }


def _card(trial: _Trial, oracle: _Oracle, latency: Latency, exact: Latency, config: IndexConfig) -> dict[str, Any]:
    index = trial.built.index
    return {
        "kind": index.kind,
        "parameters": trial.built.parameters,
        "recall": float(trial.shares.mean()),
        "recall_lower_bound": trial.bound,
        "recall_of_users": float(trial.shares[oracle.halves.users].mean()) if oracle.halves.users.any() else None,
        "recall_tuned": trial.tuned_recall,
        "recall_by_items": slice_recall(index.search(oracle.halves.judging, oracle.k), oracle.judging),
        "judgements": trial.looks,
        "bytes": index.num_bytes,
        "measured": _measured(latency, exact, trial.built.seconds, config),
    }


def _measured(latency: Latency, exact: Latency, seconds: float, config: IndexConfig) -> dict[str, Any]:
    """What another run on another machine would measure anew."""
    return {
        "p50_ms": latency.p50,
        "p95_ms": latency.p95,
        "exact_p95_ms": exact.p95,
        "build_seconds": seconds,
        "within_budget": latency.p95 <= config.latency_ms,
    }
