"""Choosing an index: exact while it keeps the latency budget, else FAISS parameters that provably
reach a recall.

Parameters are chosen on one half of the queries; the lower bound of the recall comes from the other
half.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from threadpoolctl import threadpool_limits

from recsys.core.arrays import BoolArray, Float32Array, Float64Array, FloatArray
from recsys.core.config import IndexConfig
from recsys.core.errors import GateRefused
from recsys.core.ranking import Hits
from recsys.search.approximate import ApproximateIndex, Kind
from recsys.search.builds import Setting, efforts, settings
from recsys.search.exact import ExactIndex, faiss_threads
from recsys.search.popularity_boost import BOOSTS, boosted_queries, with_popularity
from recsys.search.recall import (
    hit_shares,
    lower_bound,
    queries_needed,
    slice_recall,
    with_mixtures,
)

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
    """index: None for exact search. card: kind, parameters, recall, bounds, sizes; timings under
    "measured".
    """

    index: ApproximateIndex | None
    card: dict[str, Any]


class _Trial(NamedTuple):
    """One setting that was judged. tuned, shares, bounds: for each oracle; looks: judgements spent
    so far.

    tuned: recall while tuning. shares: (judging queries,) recall of each.
    """

    built: Setting
    tuned: list[float]
    shares: list[Float64Array]
    bounds: list[float]
    looks: int


def tune(
    item_vectors: Float32Array,
    queries: Float32Array,
    config: IndexConfig,
    threads: int = 1,
    seed: int = 0,
    popularity: FloatArray | None = None,
) -> TunedIndex:
    """The index for these items. item_vectors: (items, d). queries: (users, d), of which a seeded
    sample is used.

    popularity: (items,) users who had each item; the index then is over vectors with the coordinate
    of the dial (`dial.with_popularity`), and the card has the search parameters that reach the
    recall at dials of −1 and 1, None where only exact search does. Mixtures of item vectors, which
    is what visitors look like, fill up a sample too small to show the recall. threads: of the
    build; the same bytes are promised for one. Raises GateRefused with the best recall reached when
    the 95 % lower bound stays below config.target_recall; auto falls back to exact search when
    nothing is faster.
    """
    halves, unit = _halves(item_vectors, queries, config.target_recall, seed), None
    if popularity is not None:
        item_vectors, unit = with_popularity(item_vectors, popularity)
    k = min(config.k, len(item_vectors))
    oracle = _Oracle(
        ExactIndex(item_vectors), halves if unit is None else halves.boosted(0.0, unit), k
    )
    latency = measure(lambda query: oracle.exact.search(query, k), oracle.halves.tuning)
    facts = {
        "k": k,
        "target_recall": config.target_recall,
        "queries": len(halves.judging),
        "queries_tuned_on": len(halves.tuning),
        "queries_of_users": int(halves.users.sum()),
        "seed": seed,
    }
    exact = TunedIndex(None, facts | _exact_card(oracle.exact, latency, config))
    if config.kind == "exact" or (config.kind == "auto" and latency.p95 <= config.latency_ms):
        return exact
    with faiss_threads(threads):
        trial, found = _first_fast(
            _ORDER if config.kind == "auto" else (config.kind,), oracle, config, seed
        )
        if config.kind == "auto" and found.p95 >= latency.p95:
            return exact
        card = facts | _card(trial, oracle, found, latency, config)
        if unit is not None:
            card["dial"] = _dial_card(
                trial, [oracle.at(halves.boosted(dial, unit)) for dial in BOOSTS], config
            )
    return TunedIndex(trial.built.index, card)


def measure(search: Callable[[Float32Array], object], queries: Float32Array) -> Latency:
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
    """(n, d) queries to choose by, and to judge by. users: (n,) which of the judging ones are
    users, not mixtures.
    """

    tuning: Float32Array
    judging: Float32Array
    users: BoolArray

    def boosted(self, dial: float, unit: float) -> "_Halves":
        return _Halves(
            boosted_queries(self.tuning, dial, unit),
            boosted_queries(self.judging, dial, unit),
            self.users,
        )


def _halves(item_vectors: Float32Array, queries: Float32Array, target: float, seed: int) -> _Halves:
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

    def at(self, halves: _Halves) -> "_Oracle":
        """The same for other queries."""
        return _Oracle(self.exact, halves, self.k)

    def tuning_shares(self, index: ApproximateIndex, count: int | None = None) -> Float64Array:
        """Recall of each (of the first `count`) tuning queries."""
        truth = Hits(self.tuning.items[:count], self.tuning.scores[:count])
        return hit_shares(index.search(self.halves.tuning[:count], self.k), truth)

    def judging_shares(self, index: ApproximateIndex) -> Float64Array:
        return hit_shares(index.search(self.halves.judging, self.k), self.judging)


def _first_fast(
    kinds: tuple[Kind, ...], oracle: _Oracle, config: IndexConfig, seed: int
) -> tuple[_Trial, Latency]:
    """The first kind that reaches the recall within the latency budget, else the fastest that
    reaches the recall.
    """
    reached: list[tuple[_Trial, Latency]] = []
    best = 0.0
    for kind in kinds:
        candidates = settings(kind, oracle.exact.item_vectors, oracle.k, seed)
        recall, trial = _reach(candidates, [oracle], config.target_recall)
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


def _search(index: ApproximateIndex, k: int, queries: Float32Array) -> Hits:
    return index.search(queries, k)


def _reach(
    candidates: Iterable[Setting], oracles: Sequence[_Oracle], target: float
) -> tuple[float, _Trial | None]:
    """The best recall met while tuning, and the first setting of rising effort whose bounds all
    reach the target.

    A setting is judged once the tuning halves speak for it. Every judgement spends part of the
    error: the n-th bounds share a level of 0.05 / 2^n, so that all together hold at 95 %.
    """
    looks, best = 0, 0.0
    for built in candidates:
        tuned = [oracle.tuning_shares(built.index, _FIRST_LOOK) for oracle in oracles]
        if _worst(tuned) >= target - _FAR_OFF:
            tuned = [oracle.tuning_shares(built.index) for oracle in oracles]
        best = max(best, _worst(tuned))
        level = _LEVEL / 2 ** (looks + 1) / len(oracles)
        if min(lower_bound(one, level) for one in tuned) < target:
            continue
        looks += 1
        shares = [oracle.judging_shares(built.index) for oracle in oracles]
        bounds = [lower_bound(one, level) for one in shares]
        if min(bounds) >= target:
            return best, _Trial(built, [float(one.mean()) for one in tuned], shares, bounds, looks)
    return best, None


def _worst(shares: Sequence[Float64Array]) -> float:
    return min(float(one.mean()) for one in shares)


def _exact_card(exact: ExactIndex, latency: Latency, config: IndexConfig) -> dict[str, Any]:
    return {
        "kind": "exact",
        "parameters": {},
        "recall": 1.0,
        "recall_lower_bound": 1.0,
        "bytes": int(exact.item_vectors.nbytes),
        "measured": _measured(latency, latency, 0.0, config),
    }


def _card(
    trial: _Trial, oracle: _Oracle, latency: Latency, exact: Latency, config: IndexConfig
) -> dict[str, Any]:
    index, [shares] = trial.built.index, trial.shares
    return {
        "kind": index.kind,
        "parameters": trial.built.parameters,
        "recall": float(shares.mean()),
        "recall_lower_bound": trial.bounds[0],
        "recall_of_users": float(shares[oracle.halves.users].mean())
        if oracle.halves.users.any()
        else None,
        "recall_tuned": trial.tuned[0],
        "recall_by_items": slice_recall(
            index.search(oracle.halves.judging, oracle.k), oracle.judging
        ),
        "judgements": trial.looks,
        "bytes": index.num_bytes,
        "measured": _measured(latency, exact, trial.built.seconds, config),
    }


def _dial_card(trial: _Trial, oracles: Sequence[_Oracle], config: IndexConfig) -> dict[str, Any]:
    """How the same index is searched when the dial is turned, with the recall at each of BOOSTS."""
    index, k = trial.built.index, oracles[0].k
    tried = efforts(index.kind, len(index.item_vectors), k)
    rising = (replace(trial.built, index=replace(index, parameters=effort)) for effort in tried)
    _, found = _reach(rising, oracles, config.target_recall)
    if found is None:
        return {"parameters": None}
    names = [f"{dial:+.0f}" for dial in BOOSTS]
    return {
        "parameters": found.built.index.parameters,
        "recall": {
            name: float(shares.mean()) for name, shares in zip(names, found.shares, strict=True)
        },
        "recall_lower_bound": dict(zip(names, found.bounds, strict=True)),
    }


def _measured(
    latency: Latency, exact: Latency, seconds: float, config: IndexConfig
) -> dict[str, Any]:
    """What another run on another machine would measure anew."""
    return {
        "p50_ms": latency.p50,
        "p95_ms": latency.p95,
        "exact_p95_ms": exact.p95,
        "build_seconds": seconds,
        "within_budget": latency.p95 <= config.latency_ms,
    }
