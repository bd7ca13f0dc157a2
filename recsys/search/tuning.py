"""Choosing how to search: exactly while that keeps the latency budget, else by the searcher and
parameters that provably reach a recall.

Parameters are chosen on one half of the queries; the lower bound of the recall comes from the other
half. What a search costs follows from counts (`recsys.search.cost`): the same items and queries
lead to the same index, whatever else the machine does. Latencies are recorded beside it.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from recsys.core.arrays import BoolArray, Float32Array, Float64Array, FloatArray
from recsys.core.config import IndexConfig
from recsys.core.errors import GateRefused
from recsys.core.progress import QUIET, Progress
from recsys.core.ranking import Hits
from recsys.search.cost import scan_work
from recsys.search.exact import ExactIndex
from recsys.search.faiss_kernels import search_threads
from recsys.search.latency import Latency, measure
from recsys.search.popularity_boost import (
    BOOSTS,
    NUM_LEADERS,
    boost_factors,
    boosted_queries,
    lead_of_popular,
    with_popularity,
)
from recsys.search.recall import (
    hit_shares,
    lower_bound,
    queries_needed,
    slice_recall,
    with_mixtures,
)
from recsys.search.searcher import Parameters, Searcher
from recsys.search.searchers import EXACT, SEARCHERS, kinds_to_try

_LEVEL = 0.05
# Most settings miss by far: a few queries tell that, and the full half is kept for the others.
_FIRST_LOOK, _FAR_OFF = 200, 0.03


@dataclass(frozen=True)
class TunedIndex:
    """How to search, and what is known of it.

    index: None for exact search.
    card: kind, parameters, recall, bounds, sizes, milliseconds by counts under "cost"; timings
        under "measured".
    """

    index: Searcher | None
    card: dict[str, Any]


@dataclass(frozen=True)
class Setting:
    """A searcher that may be chosen.

    parameters: of the build and of the search.
    seconds: of the build.
    """

    searcher: Searcher
    parameters: Parameters
    seconds: float


class _Trial(NamedTuple):
    """A setting that was judged and reached the recall, with a figure for each oracle.

    tuned: recall while tuning.
    shares: (judging queries,) recall of each.
    bounds: of the recall, from below.
    looks: judgements spent so far.
    """

    setting: Setting
    tuned: list[float]
    shares: list[Float64Array]
    bounds: list[float]
    looks: int


def settings(kind: str, item_vectors: Float32Array, k: int, seed: int) -> Iterator[Setting]:
    """Settings of a searcher from quick to thorough, for lists of k.

    Consecutive ones share their build where only the search differs.
    """
    for build in SEARCHERS[kind].builds(item_vectors, seed):
        for effort in build.searcher.efforts(k):
            searcher = build.searcher.with_parameters(effort)
            yield Setting(searcher, build.parameters | effort, build.seconds)


def tune(
    item_vectors: Float32Array,
    queries: Float32Array,
    config: IndexConfig,
    threads: int = 1,
    seed: int = 0,
    popularity: FloatArray | None = None,
    progress: Progress = QUIET,
) -> TunedIndex:
    """How to search these items.

    Args:
        item_vectors: (items, d).
        queries: (users, d), of which a seeded sample is used. Mixtures of item vectors, which is
            what visitors look like, fill up a sample too small to show the recall.
        config: the kind, the recall and latency that are wanted, and the length of lists.
        threads: of the build; the same bytes are promised for one.
        seed: of the sample and of the build.
        popularity: (items,) users who had each item. The searcher then is over vectors with the
            coordinate of the popularity boost (`popularity_boost.with_popularity`), and the card
            has the search parameters that reach the recall at boosts of −1 and 1, None where only
            exact search does.
        progress: is told of every kind that is built.

    Returns:
        The searcher and its card; under "auto" exact search when nothing costs less.

    Raises:
        GateRefused: the 95 % lower bound of the recall stays below config.target_recall; with the
            best recall reached.
        ConfigError: config.kind is unknown.
    """
    kinds = kinds_to_try(config.kind)
    halves = _halves(item_vectors, queries, config.target_recall, seed)
    searched, searched_halves, unit = item_vectors, halves, 0.0
    if popularity is not None:
        searched, unit = with_popularity(item_vectors, popularity)
        searched_halves = halves.boosted(0.0, 0.0, unit)
    k = min(config.k, len(item_vectors))
    exact = ExactIndex(searched)
    exact_cost = _exact_cost(exact)
    exact_latency = measure(partial(_search, exact, k), searched_halves.tuning, exact_cost)
    facts = {
        "k": k,
        "target_recall": config.target_recall,
        "queries": len(halves.judging),
        "queries_tuned_on": len(halves.tuning),
        "queries_of_users": int(halves.users.sum()),
        "seed": seed,
    }
    untouched = TunedIndex(None, facts | _exact_card(exact, exact_latency, config))
    is_quick = config.kind == "auto" and exact_cost <= config.latency_ms
    if not kinds or is_quick:
        return untouched
    with search_threads(threads):
        oracle = _Oracle(exact, searched_halves, k)
        trial = _chosen(kinds, oracle, config, seed, progress)
        if trial is None:
            return untouched
        search = partial(_search, trial.setting.searcher, k)
        latency = measure(search, oracle.halves.tuning, _cost(trial.setting, k))
        card = facts | _card(trial, oracle, latency, exact_latency, config)
        if popularity is not None:
            oracles = _boosted_oracles(oracle, halves, popularity, unit)
            card["dial"] = _boost_card(trial, oracles, config)
    return TunedIndex(trial.setting.searcher, card)


class _Halves(NamedTuple):
    """Queries to choose by, and to judge by.

    tuning, judging: (n, d).
    users: (n,) which of the judging ones are users, not mixtures.
    """

    tuning: Float32Array
    judging: Float32Array
    users: BoolArray

    def boosted(self, tuning_factors: Any, judging_factors: Any, unit: float) -> "_Halves":
        """The same users at a popularity boost, with the factors of each (`boosted_queries`)."""
        tuning = boosted_queries(self.tuning, tuning_factors, unit)
        judging = boosted_queries(self.judging, judging_factors, unit)
        return _Halves(tuning, judging, self.users)


def _halves(item_vectors: Float32Array, queries: Float32Array, target: float, seed: int) -> _Halves:
    rng = np.random.default_rng(seed)
    half = queries_needed(target)
    drawn = rng.permutation(len(queries))[: 2 * half]
    sample = queries[np.sort(drawn)].astype(np.float32)
    filled = with_mixtures(sample, item_vectors, 2 * half, rng)
    order = rng.permutation(len(filled))
    tuning, judging = order[:half], order[half:]
    return _Halves(filled[tuning], filled[judging], judging < len(sample))


class _Oracle:
    """The true lists of both halves."""

    def __init__(self, exact: ExactIndex, halves: _Halves, k: int) -> None:
        self.exact, self.halves, self.k = exact, halves, k
        self.tuning = exact.search(halves.tuning, k)
        self.judging = exact.search(halves.judging, k)

    def at(self, halves: _Halves) -> "_Oracle":
        """The same for other queries."""
        return _Oracle(self.exact, halves, self.k)

    def tuning_shares(self, searcher: Searcher, count: int | None = None) -> Float64Array:
        """Recall of each (of the first `count`) tuning queries."""
        truth = Hits(self.tuning.items[:count], self.tuning.scores[:count])
        hits = searcher.search(self.halves.tuning[:count], self.k)
        return hit_shares(hits, truth)

    def judging_shares(self, searcher: Searcher) -> Float64Array:
        hits = searcher.search(self.halves.judging, self.k)
        return hit_shares(hits, self.judging)


def _chosen(
    kinds: tuple[str, ...], oracle: _Oracle, config: IndexConfig, seed: int, progress: Progress
) -> _Trial | None:
    """The first kind that reaches the recall within the latency budget, else the cheapest that
    reaches the recall; under "auto" None where that costs no less than exact search.
    """
    is_auto = config.kind == "auto"
    best_recall = 0.0
    cheapest: _Trial | None = None
    for kind in kinds:
        candidates = settings(kind, oracle.exact.item_vectors, oracle.k, seed)
        if is_auto:
            candidates = _cheaper(candidates, oracle)
        progress.say(f"building an index of kind {kind}", index=kind)
        recall, trial = _reach(candidates, [oracle], config.target_recall)
        best_recall = max(best_recall, recall)
        if trial is None:
            continue
        cost = _cost(trial.setting, oracle.k)
        if cheapest is None or cost < _cost(cheapest.setting, oracle.k):
            cheapest = trial
        if cost <= config.latency_ms:
            break
    if cheapest is None and not is_auto:
        raise GateRefused(
            f"no {' or '.join(kinds)} index was shown to reach recall@{oracle.k} {config.target_recall}; "
            f"the best setting has {best_recall:.4f} while tuning",
            f'Lower index.target_recall, or set index.kind = "{EXACT}"',
        )
    return cheapest


def _cheaper(candidates: Iterable[Setting], oracle: _Oracle) -> Iterator[Setting]:
    """Those that cost less than exact search."""
    limit = _exact_cost(oracle.exact)
    for setting in candidates:
        if _cost(setting, oracle.k) < limit:
            yield setting


def _cost(setting: Setting, k: int) -> float:
    """Milliseconds of a query, by counts."""
    return setting.searcher.work(k).milliseconds()


def _exact_cost(exact: ExactIndex) -> float:
    """Milliseconds of a query, by counts."""
    return scan_work(*exact.item_vectors.shape).milliseconds()


def _search(searcher: Searcher | ExactIndex, k: int, queries: Float32Array) -> Hits:
    return searcher.search(queries, k)


def _reach(
    candidates: Iterable[Setting], oracles: Sequence[_Oracle], target: float
) -> tuple[float, _Trial | None]:
    """The best recall met while tuning, and the first setting of rising effort whose bounds all
    reach the target.

    A setting is judged once the tuning halves speak for it. Every judgement spends part of the
    error: the n-th bounds share a level of 0.05 / 2^n, so that all together hold at 95 %.
    """
    looks, best_recall = 0, 0.0
    for setting in candidates:
        searcher = setting.searcher
        tuned = [oracle.tuning_shares(searcher, _FIRST_LOOK) for oracle in oracles]
        if min(_means(tuned)) >= target - _FAR_OFF:
            tuned = [oracle.tuning_shares(searcher) for oracle in oracles]
        best_recall = max(best_recall, min(_means(tuned)))
        level = _LEVEL / 2 ** (looks + 1) / len(oracles)
        if min(_bounds(tuned, level)) < target:
            continue
        looks += 1
        judged = [oracle.judging_shares(searcher) for oracle in oracles]
        bounds = _bounds(judged, level)
        if min(bounds) >= target:
            return best_recall, _Trial(setting, _means(tuned), judged, bounds, looks)
    return best_recall, None


def _means(shares: Sequence[Float64Array]) -> list[float]:
    return [float(values.mean()) for values in shares]


def _bounds(shares: Sequence[Float64Array], level: float) -> list[float]:
    return [lower_bound(values, level) for values in shares]


def _exact_card(exact: ExactIndex, latency: Latency, config: IndexConfig) -> dict[str, Any]:
    return {
        "kind": EXACT,
        "parameters": {},
        "recall": 1.0,
        "recall_lower_bound": 1.0,
        "bytes": int(exact.item_vectors.nbytes),
        "cost": _cost_facts(_exact_cost(exact), _exact_cost(exact), config),
        "measured": _measured(latency, latency, 0.0, config),
    }


def _card(
    trial: _Trial, oracle: _Oracle, latency: Latency, exact: Latency, config: IndexConfig
) -> dict[str, Any]:
    """What is known of the chosen searcher. exact: latency of exact search."""
    searcher, shares = trial.setting.searcher, trial.shares[0]
    of_users = shares[oracle.halves.users]
    hits = searcher.search(oracle.halves.judging, oracle.k)
    return {
        "kind": searcher.kind,
        "parameters": trial.setting.parameters,
        "recall": float(shares.mean()),
        "recall_lower_bound": trial.bounds[0],
        "recall_of_users": float(of_users.mean()) if len(of_users) else None,
        "recall_tuned": trial.tuned[0],
        "recall_by_items": slice_recall(hits, oracle.judging),
        "judgements": trial.looks,
        "bytes": searcher.num_bytes,
        "cost": _cost_facts(_cost(trial.setting, oracle.k), _exact_cost(oracle.exact), config),
        "measured": _measured(latency, exact, trial.setting.seconds, config),
    }


def _boosted_oracles(
    oracle: _Oracle, halves: _Halves, popularity: FloatArray, unit: float
) -> list[_Oracle]:
    """The true lists at each of BOOSTS.

    Args:
        oracle: Without a boost.
        halves: The queries without the coordinate of the boost.
        popularity: (items,) users who had each item.
        unit: Of that coordinate.
    """
    mean_vector = oracle.exact.item_vectors[:, :-1].mean(axis=0, dtype=np.float64)
    lead = lead_of_popular(popularity)
    pairs = [(halves.tuning, oracle.tuning), (halves.judging, oracle.judging)]
    oracles = []
    for boost in BOOSTS:
        factors = []
        for queries, lists in pairs:
            means = queries @ mean_vector
            factors.append(boost_factors(boost, _leaders(lists), means, lead))
        boosted = halves.boosted(factors[0], factors[1], unit)
        oracles.append(oracle.at(boosted))
    return oracles


def _leaders(lists: Hits) -> Hits:
    """The first few of each list."""
    return Hits(lists.items[:, :NUM_LEADERS], lists.scores[:, :NUM_LEADERS])


def _boost_card(trial: _Trial, oracles: Sequence[_Oracle], config: IndexConfig) -> dict[str, Any]:
    """How the same searcher searches under a popularity boost, and its recall at each of BOOSTS."""
    rising = _with_efforts(trial.setting, oracles[0].k)
    _, boosted = _reach(rising, oracles, config.target_recall)
    if boosted is None:
        return {"parameters": None}
    names = [f"{boost:+.0f}" for boost in BOOSTS]
    return {
        "parameters": boosted.setting.searcher.parameters,
        "recall": dict(zip(names, _means(boosted.shares), strict=True)),
        "recall_lower_bound": dict(zip(names, boosted.bounds, strict=True)),
    }


def _with_efforts(setting: Setting, k: int) -> Iterator[Setting]:
    """The same build, searched more and more thoroughly."""
    for effort in setting.searcher.efforts(k):
        searcher = setting.searcher.with_parameters(effort)
        yield Setting(searcher, setting.parameters, setting.seconds)


def _cost_facts(milliseconds: float, exact: float, config: IndexConfig) -> dict[str, Any]:
    """What the cost model says of a query; exact: of exact search."""
    return {
        "model_ms": milliseconds,
        "exact_model_ms": exact,
        "within_budget": milliseconds <= config.latency_ms,
    }


def _measured(
    latency: Latency, exact: Latency, seconds: float, config: IndexConfig
) -> dict[str, Any]:
    """What another run would measure anew; nothing is chosen by it."""
    return {
        "p50_ms": latency.p50,
        "p95_ms": latency.p95,
        "exact_p95_ms": exact.p95,
        "build_seconds": seconds,
        "within_budget": latency.p95 <= config.latency_ms,
    }
