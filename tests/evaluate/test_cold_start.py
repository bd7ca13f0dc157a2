"""Visitors and cold items in the report: against loops, and where they must equal what is known."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import sparse

from recsys.closed_form.popularity import Popularity
from recsys.core.history import WeightedHistories
from recsys.core.interactions import Interactions
from recsys.encode.fold_in import UserEncoder
from recsys.encode.history_scores import BlendedScorer, HistoryScores
from recsys.evaluate.cold_start import (
    LENGTHS,
    Trained,
    cold_items,
    expected_ndcg,
    later_events,
    visitor_rows,
)
from recsys.evaluate.metrics import rank_metrics
from recsys.search.exact import VectorScorer, rank
from worlds import ITEMS, USERS, make_contents, make_interactions


def test_later_events_by_hand() -> None:
    log = replace(
        make_interactions(),
        user=np.array([0, 0, 0, 1, 0], np.int32),
        item=np.array([5, 6, 7, 5, 5], np.int32),
        behavior=np.array([1, 1, 0, 1, 1], np.int16),
        weight=np.ones(5, np.float32),
        time=np.array([10, 20, 30, 5, 40]),
    )
    found = later_events(log, "buy", 0).toarray()
    assert (found[0, 5], found[0, 6], found[0, 7], found[1, 5]) == (1, 2, 0, 1)
    assert found.sum() == 4


def test_without_times_the_order_is_drawn_once() -> None:
    log: Interactions = replace(make_interactions(), time=None)
    found = later_events(log, "buy", 3)
    assert (found != later_events(log, "buy", 3)).nnz == 0
    for row in found:
        assert sorted(row.data) == list(range(1, row.nnz + 1))


def trained_world() -> tuple[Trained, Interactions]:
    contents = make_contents()
    found = contents.embeddings
    heard = {"rev_buy": contents.neighbours["rev_buy"]}
    log = contents.interactions
    trained = VectorScorer(found.users, found.items)
    return Trained(trained, found.encoder, heard, log.popularity("buy")), log


def test_a_visitor_with_the_whole_history_is_encoded_from_it() -> None:
    trained, _ = trained_world()
    users = np.array([2, 5], np.int32)
    everything = trained.neighbours["rev_buy"].copy()
    everything.data[:] = 1
    scores = trained.visitors(everything, users).score(users)
    vectors = UserEncoder(trained.encoder).encode({"rev_buy": trained.neighbours["rev_buy"][users]})
    assert np.allclose(scores, vectors @ trained.scorer.item_vectors.T, atol=1e-6)


def test_what_histories_add_is_asked_with_the_kept_events() -> None:
    trained, log = trained_world()
    rng = np.random.default_rng(0)
    table = sparse.random(ITEMS, ITEMS, 0.2, format="csr", random_state=1, dtype=np.float32)
    added = HistoryScores(
        table,
        rng.normal(size=(ITEMS, 3)).astype(np.float32),
        rng.normal(size=(ITEMS, 3)).astype(np.float32),
    )
    history = log.matrix(("buy",))
    blended = replace(
        trained, scorer=BlendedScorer(trained.scorer, added, WeightedHistories(history, {}))
    )
    one = sparse.csr_matrix(
        (np.ones(1, np.float32), ([2], [history[2].indices[0]])), shape=history.shape
    )
    users = np.array([2], np.int32)
    plain, more = (each.visitors(one, users).score(users)[0] for each in (trained, blended))
    item = history[2].indices[0]
    assert np.allclose(
        more - plain, table[item].toarray().ravel() + added.into[item] @ added.back.T, atol=1e-5
    )


def test_rows_compare_the_same_users() -> None:
    trained, log = trained_world()
    rng = np.random.default_rng(1)
    seen = log.matrix(("buy",))
    pairs = sparse.csr_matrix((rng.random((USERS, ITEMS)) < 0.1).astype(np.float32))
    held_out = (pairs - pairs.multiply(seen)).tocsr()
    held_out.eliminate_zeros()
    rows = visitor_rows(trained, log, "buy", held_out, seen, 5, 200, 0)
    lengths = np.diff(seen.indptr)
    judged = np.diff(held_out.indptr) > 0
    assert [row.events for row in rows] == [n for n in LENGTHS if (judged & (lengths >= n)).any()]
    for row in rows:
        assert row.users == int((judged & (lengths >= row.events)).sum())
        assert row.difference == pytest.approx(row.visitor - row.trained)
        assert row.low <= row.difference <= row.high
    judged = np.flatnonzero(judged).astype(np.int32)
    popular = rank(Popularity(log.popularity("buy")), judged, 5, seen).items
    nothing_known = rank_metrics(popular, judged, held_out, [5]).overall["ndcg@5"]
    assert rows[0].visitor == pytest.approx(nothing_known)


def test_cold_items_by_hand() -> None:
    users, items = np.eye(2, dtype=np.float32), np.array([[1, 0], [0, 1], [0, 0]], np.float32)
    held = sparse.csr_matrix(np.array([[1, 0, 0], [0, 0, 1]], np.float32))
    found = cold_items(users, items, np.array([True, True, False]), held, 2)
    assert found is not None
    assert (found.items, found.placed, found.users, found.rows, found.value) == (3, 2, 2, 2, 0.5)
    assert found.by_chance == pytest.approx((1 + 1 / np.log2(3)) / 3)
    assert cold_items(users, items, np.zeros(3, bool), held, 2) is None
    assert cold_items(users, items, np.ones(3, bool), held[:, :0].tocsr(), 2) is None


def test_chance_by_simulation() -> None:
    rng = np.random.default_rng(0)
    gain = 1 / np.log2(np.arange(2, 7))
    drawn = [
        sum(gain[place] for place in range(5) if order[place] < 3)
        for order in (rng.permutation(12) for _ in range(20_000))
    ]
    assert expected_ndcg(np.array([3]), 12, 5) == pytest.approx(
        np.mean(drawn) / gain[:3].sum(), abs=0.01
    )
