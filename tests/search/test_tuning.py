"""Approximate indexes: bounds that hold, settings that are refused, catalogues of every size."""

import faiss
import numpy as np
import pytest

from recsys.core.config import IndexConfig
from recsys.core.errors import DataError, GateRefused
from recsys.core.ranking import NO_ITEM, Hits
from recsys.search import latency
from recsys.search import tuning as ann
from recsys.search.cost import Work, graph_distances, scan_work
from recsys.search.exact import ExactIndex
from recsys.search.faiss_index import ladder, num_lists
from recsys.search.recall import (
    hit_shares,
    lower_bound,
    queries_needed,
    slice_recall,
    with_mixtures,
)
from recsys.search.searchers import load_searcher
from recsys.search.tuning import settings

KINDS = ("hnsw", "ivf", "pq")


def clustered(count, width=16, seed=0):
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(12, width))
    vectors = centres[rng.integers(0, 12, count)] + 0.6 * rng.normal(size=(count, width))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def config(kind, target=0.9, **rest):
    return IndexConfig(kind=kind, target_recall=target, k=10, **rest)


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Few timed queries: these tests look at no latency."""
    monkeypatch.setattr(latency, "_TIMED_QUERIES", 10)
    monkeypatch.setattr(latency, "_WARM_UP", 1)


@pytest.mark.parametrize("kind", KINDS)
def test_the_card_tells_the_recall(kind):
    items, queries = clustered(2_000), clustered(1_200, seed=1)
    tuned = ann.tune(items, queries, config(kind))
    card = tuned.card
    assert card["kind"] == kind == tuned.index.kind
    assert card["recall"] >= card["recall_lower_bound"] >= 0.9
    assert (card["queries"], card["queries_tuned_on"], card["queries_of_users"]) == (500, 500, 500)
    assert card["recall_of_users"] == card["recall"]
    assert card["bytes"] > 0
    assert set(card["recall_by_items"]) == {"head", "tail"}
    assert set(card["measured"]) >= {"p50_ms", "p95_ms", "build_seconds"}
    fresh = clustered(400, seed=9)
    recall = hit_shares(tuned.index.search(fresh, 10), ExactIndex(items).search(fresh, 10)).mean()
    assert recall >= 0.88


@pytest.mark.parametrize("kind", KINDS)
def test_same_seed_same_bytes(kind):
    items, queries = clustered(600), clustered(200, seed=1)
    first, second = (ann.tune(items, queries, config(kind), threads=1, seed=3) for _ in range(2))
    assert (
        faiss.serialize_index(first.index.index).tobytes()
        == faiss.serialize_index(second.index.index).tobytes()
    )
    assert {**first.card, "measured": 0} == {**second.card, "measured": 0}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("count", [1, 2, 3, 17, 41])
def test_tiny_catalogues(kind, count):
    items = clustered(count, width=6)
    tuned = ann.tune(items, clustered(8, width=6, seed=1), config(kind))
    hits = tuned.index.search(items[:1], 20)
    found = hits.items[hits.items != NO_ITEM]
    assert tuned.card["k"] == min(10, count)
    assert len(found) == len(set(found.tolist())) <= count
    assert np.isneginf(hits.scores[hits.items == NO_ITEM]).all()


@pytest.mark.parametrize("kind", KINDS)
def test_all_equal_vectors(kind):
    items = np.tile(clustered(1, width=8), (300, 1))
    tuned = ann.tune(items, items[:20], config(kind))
    hits = tuned.index.search(items[:1], 5)
    assert (hits.items != NO_ITEM).all()
    assert np.allclose(hits.scores, 1.0, atol=1e-5)


def test_auto_stays_exact_within_the_budget():
    tuned = ann.tune(clustered(100), clustered(50, seed=1), config("auto"))
    cost = tuned.card["cost"]
    assert (tuned.index, tuned.card["kind"], tuned.card["recall"]) == (None, "exact", 1.0)
    assert cost["within_budget"] and cost["model_ms"] == cost["exact_model_ms"] < 1


def test_an_exact_index_within_the_budget_is_not_compared_with_itself(monkeypatch):
    """Lists for all queries would be searched for in vain."""
    monkeypatch.setattr(ann, "_Oracle", None)
    for kind in ("auto", "exact"):
        assert ann.tune(clustered(100), clustered(50, seed=1), config(kind)).index is None


def costly_scans(monkeypatch):
    """Items enough that lists are worth it: the model takes 2,000 for 200,000."""
    monkeypatch.setattr(ann, "scan_work", lambda items, width: scan_work(100 * items, width))


def test_auto_takes_the_first_kind_within_the_budget(monkeypatch):
    costly_scans(monkeypatch)
    tuned = ann.tune(clustered(2_000), clustered(50, seed=1), config("auto", latency_ms=1.0))
    assert tuned.card["kind"] == "ivf"
    assert tuned.card["cost"]["within_budget"]
    assert tuned.card["cost"]["model_ms"] < 1.0 < tuned.card["cost"]["exact_model_ms"]


def test_auto_takes_the_cheapest_where_none_is_within_the_budget(monkeypatch):
    costly_scans(monkeypatch)
    items, queries = clustered(2_000), clustered(50, seed=1)
    tuned = ann.tune(items, queries, config("auto", latency_ms=0.01))
    assert not tuned.card["cost"]["within_budget"]
    for kind in KINDS:
        other = ann.tune(items, queries, config(kind, latency_ms=0.01))
        assert tuned.card["cost"]["model_ms"] <= other.card["cost"]["model_ms"]


def test_auto_stays_exact_when_nothing_costs_less():
    """A call alone costs more than the budget, and 60 items are compared sooner than looked up."""
    tuned = ann.tune(clustered(60), clustered(50, seed=1), config("auto", latency_ms=0.01))
    assert (tuned.index, tuned.card["cost"]["within_budget"]) == (None, False)


@pytest.mark.parametrize("milliseconds", [0.001, 1_000.0])
@pytest.mark.parametrize("kind", ["auto", *KINDS])
def test_no_clock_decides(kind, milliseconds, monkeypatch):
    """What is measured stands on the card, and moves nothing else."""
    costly_scans(monkeypatch)
    items, queries = clustered(2_000), clustered(50, seed=1)
    expected = ann.tune(items, queries, config(kind, latency_ms=0.5))
    timing = latency.Latency(milliseconds, milliseconds)
    monkeypatch.setattr(ann, "measure", lambda *_: timing)
    tuned = ann.tune(items, queries, config(kind, latency_ms=0.5))
    assert tuned.card["measured"]["p95_ms"] == milliseconds
    assert {**tuned.card, "measured": 0} == {**expected.card, "measured": 0}
    assert (
        faiss.serialize_index(tuned.index.index).tobytes()
        == faiss.serialize_index(expected.index.index).tobytes()
    )


def counted_distances(kind, searcher, queries, k):
    """What FAISS itself counts, of one query."""
    counts = faiss.cvar.hnsw_stats if kind == "hnsw" else faiss.cvar.indexIVF_stats
    counts.reset()
    searcher.search(queries, k)
    return counts.ndis / len(queries)


@pytest.mark.parametrize("kind", KINDS)
def test_the_model_orders_settings_as_counted_work_does(kind):
    items, queries = clustered(4_000), clustered(200, seed=1)
    modelled, counted = [], []
    for setting in settings(kind, items, 10, 0):
        if setting.parameters.get("refine", 1) > 1 or setting.parameters.get("codes", 4) > 4:
            continue
        modelled.append(setting.searcher.work(10).milliseconds())
        counted.append(counted_distances(kind, setting.searcher, queries, 10))
    modelled, counted = np.array(modelled), np.array(counted)
    more = counted[:, None] > 1.2 * counted
    assert more.sum() > 20
    assert (modelled[:, None] > modelled)[more].mean() > 0.95


@pytest.mark.parametrize("count", [1_000, 6_000])
def test_distances_are_those_that_are_counted(count):
    items, queries = clustered(count, width=64), clustered(200, width=64, seed=1)
    for setting in settings("ivf", items, 10, 0):
        width = items.shape[1]
        visited = setting.searcher.work(10).streamed / width - setting.parameters["lists"]
        counted = counted_distances("ivf", setting.searcher, queries, 10)
        assert counted / 2 < visited < 2 * counted
    for setting in settings("hnsw", items, 10, 0):
        effort, links = setting.parameters["ef_search"], setting.parameters["links"]
        counted = counted_distances("hnsw", setting.searcher, queries, 10)
        assert counted / 2 < graph_distances(count, links, effort) < 2 * counted


def test_work_in_milliseconds_by_hand():
    # 0.2 of the call, and 1e-6 · (0.5 · 2e6 + 50 · (80 + 2 · 64) + 2 · 1e5)
    work = Work(streamed=2e6, scattered=50, scattered_width=64, codes=1e5)
    assert work.milliseconds() == pytest.approx(0.2 + 1.0 + 0.0104 + 0.2)
    assert scan_work(10_000, 64).milliseconds() == pytest.approx(0.2 + 0.32)
    assert graph_distances(10**9, 16, 1) == pytest.approx(27 * 16**0.3, rel=1e-3)
    assert graph_distances(50, 48, 1_000) == pytest.approx(50)
    assert graph_distances(0, 16, 10) == 0


def test_an_unreachable_recall_is_refused_with_the_best():
    with pytest.raises(
        GateRefused, match=r"recall@10 1\.0; the best setting has 1\.0000"
    ) as caught:
        ann.tune(clustered(60), clustered(50, seed=1), config("ivf", target=1.0))
    assert caught.value.exit_code == 4


def test_padding_of_faiss_is_never_an_item():
    """Few lists are visited, so FAISS fills up with −1; no item may come out of it, least of all
    the last one.
    """
    items = clustered(400)
    setting = next(iter(settings("ivf", items, 5, 0)))
    hits = setting.searcher.search(items[:20], 399)
    assert (hits.items == NO_ITEM).any()
    assert ((hits.items == NO_ITEM) == np.isneginf(hits.scores)).all()
    assert all(len(set(row[row >= 0].tolist())) == (row >= 0).sum() for row in hits.items)


def test_scores_are_true_products_and_ties_go_to_the_smaller_id():
    items = np.repeat(clustered(30, width=8), 3, axis=0)
    index = list(settings("ivf", items, 5, 0))[-1].searcher
    queries = clustered(6, width=8, seed=2)
    hits, truth = index.search(queries, 9), ExactIndex(items).search(queries, 9)
    assert hits.items.tolist() == truth.items.tolist()
    assert np.allclose(hits.scores, truth.scores, atol=1e-6)


def test_allowed_items_alone_are_found():
    items = clustered(500)
    allow = np.arange(500) % 2 == 0
    for kind in KINDS:
        hits = next(iter(settings(kind, items, 5, 0))).searcher.search(items[:10], 5, allow)
        assert (hits.items[hits.items != NO_ITEM] % 2 == 0).all()


@pytest.mark.parametrize("kind", ["ivf", "hnsw"])
@pytest.mark.parametrize("share", [0.25, 0.6])
def test_the_recall_stays_where_few_are_allowed(kind, share):
    """Also when the allowed lie together, away from most queries."""
    items, queries = clustered(3_000), clustered(900, seed=1)
    index = ann.tune(items, queries[:700], config(kind, target=0.95)).index
    side = items @ clustered(1, seed=8)[0]
    for allow in (
        np.random.default_rng(2).random(3_000) < share,
        side >= np.quantile(side, 1 - share),
    ):
        truth = ExactIndex(items).search(queries[700:], 10, None, allow)
        assert hit_shares(index.search(queries[700:], 10, allow), truth).mean() >= 0.95


def test_an_index_of_other_vectors_is_refused(tmp_path):
    index = next(iter(settings("ivf", clustered(50), 5, 0))).searcher
    index.save(tmp_path)
    with pytest.raises(DataError, match="holds 50 vectors"):
        load_searcher(tmp_path, clustered(51), {"kind": "ivf", "parameters": {"nprobe": 1}})


def test_wilson_by_hand():
    # Wilson, one-sided: p = 1, n = 100, z = 1.6449: n / (n + z²) = 100 / 102.7055
    assert lower_bound(np.ones(100), 0.05) == pytest.approx(100 / 102.7055, abs=1e-5)
    # p = ½, n = 4: centre ½ + z²/8, spread z √(1/16 + z²/64), over 1 + z²/4
    z2 = 1.6448536**2
    by_hand = (0.5 + z2 / 8 - np.sqrt(z2) * np.sqrt(1 / 16 + z2 / 64)) / (1 + z2 / 4)
    assert lower_bound(np.array([1.0, 0.0, 1.0, 0.0]), 0.05) == pytest.approx(by_hand, abs=1e-6)


def test_the_bound_holds_as_often_as_it_says():
    rng = np.random.default_rng(0)
    held = [lower_bound(rng.binomial(10, 0.97, 200) / 10, 0.05) <= 0.97 for _ in range(400)]
    assert np.mean(held) >= 0.95


@pytest.mark.slow
def test_what_a_card_promises_holds_on_fresh_queries():
    """Over many worlds, the recall on queries that nobody tuned on reaches the target."""
    kept = []
    for seed in range(20):
        items, queries = clustered(4_000, seed=seed), clustered(6_000, seed=seed + 100)
        tuned = ann.tune(items, queries[:4_000], config("ivf", target=0.99), seed=seed)
        fresh = queries[4_000:]
        shares = hit_shares(tuned.index.search(fresh, 10), ExactIndex(items).search(fresh, 10))
        kept.append(shares.mean() >= 0.99)
    assert np.mean(kept) >= 0.95


def test_hit_shares_by_hand():
    truth = Hits(
        np.array([[3, 1], [2, NO_ITEM], [NO_ITEM, NO_ITEM]]),
        np.array([[2.0, 1.0], [5.0, -np.inf], [-np.inf] * 2]),
    )
    found = Hits(
        np.array([[3, 9], [2, NO_ITEM], [NO_ITEM, NO_ITEM]]),
        np.array([[2.0, 0.5], [5.0, -np.inf], [-np.inf] * 2]),
    )
    assert hit_shares(found, truth).tolist() == [0.5, 1.0, 1.0]
    tie = Hits(
        np.array([[3, 7], [2, NO_ITEM], [NO_ITEM] * 2]),
        np.array([[2.0, 1.0], [5.0, -np.inf], [-np.inf] * 2]),
    )
    assert hit_shares(tie, truth).tolist() == [1.0, 1.0, 1.0]


def test_slices_by_hand():
    truth = Hits(np.array([[0, 1], [0, 2]], np.int32), np.zeros((2, 2), np.float32))
    found = Hits(np.array([[0, 9], [0, 2]], np.int32), np.zeros((2, 2), np.float32))
    assert slice_recall(found, truth) == {"head": 1.0, "tail": 0.5}


def test_queries_and_mixtures():
    assert queries_needed(0.99) == 1_901  # 5 · 1.96² · 99
    assert (queries_needed(0.1), queries_needed(1.0)) == (500, 20_000)
    rng = np.random.default_rng(0)
    filled = with_mixtures(3 * clustered(4), clustered(30), 50, rng)
    assert filled.shape == (50, 16)
    assert np.allclose(np.linalg.norm(filled, axis=1), 3.0, atol=1e-4)
    assert with_mixtures(clustered(4), clustered(30), 4, rng).shape == (4, 16)


def test_ladders():
    assert ladder(1, 10) == [1, 2, 3, 4, 6, 9, 10]
    assert ladder(7, 7) == [7]
    assert all(1 <= num_lists(n) <= n for n in range(1, 500))
