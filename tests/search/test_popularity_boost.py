"""The popularity dial: the score it promises, and an index that finds the lists at −1, 0 and 1."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.bundle.parts.scoring import Scoring
from recsys.core.config import IndexConfig
from recsys.core.errors import UsageError
from recsys.lookup.lookup import Lookup
from recsys.search import latency
from recsys.search import tuning as ann
from recsys.search.exact import ExactIndex
from recsys.search.popularity_boost import BOOSTS, boosted_queries, with_popularity
from recsys.search.recall import hit_shares


def test_one_coordinate_more_by_hand():
    items, unit = with_popularity(
        np.array([[3.0, 4.0], [0.0, 5.0]], np.float32), np.array([0.0, np.e - 1])
    )
    # sizes: √(50/4) of the vectors, √½ of ln 1 = 0 and ln e = 1
    assert unit == pytest.approx(np.sqrt(0.5 / 12.5))
    assert items[:, -1] == pytest.approx([0.0, 5.0])
    scores = boosted_queries(np.array([[1.0, 1.0]], np.float32), -2.0, unit) @ items.T
    assert scores[0] == pytest.approx([7.0, 5.0 - 2.0])


@given(st.floats(-10, 10), st.integers(0, 2**32 - 1))
def test_scores_at_any_dial(dial, seed):
    rng = np.random.default_rng(seed)
    vectors, queries = (
        rng.normal(size=(9, 4)).astype(np.float32),
        rng.normal(size=(3, 4)).astype(np.float32),
    )
    counts = rng.integers(0, 1_000, 9)
    items, unit = with_popularity(vectors, counts)
    assert np.allclose(
        boosted_queries(queries, dial, unit) @ items.T,
        queries @ vectors.T + dial * np.log1p(counts),
        atol=1e-3,
    )


@pytest.mark.parametrize("counts", [np.zeros(3), np.ones(3)])
def test_nothing_to_size_by(counts):
    items, unit = with_popularity(np.zeros((3, 2), np.float32), counts)
    assert np.isfinite(items).all() and unit > 0


@pytest.mark.parametrize("dial", [-1.0, -0.1, 0.0, 0.3, 1.0])
def test_lists_at_a_dial_are_those_of_a_plain_sort(lookup, dial):
    bundle, seen = lookup.bundle, set(lookup.bundle.seen["buy"][4].indices.tolist())
    scores = bundle.item_vectors @ bundle.user_vectors[4] + dial * np.log1p(bundle.popularity[2])
    order = sorted((i for i in range(40) if i != 7 and i not in seen), key=lambda i: -scores[i])
    [answer] = lookup.recommend(["u04"], 9, popularity=dial)
    assert [item["id"] for item in answer["items"]] == [f"i{i:02}" for i in order[:9]]
    assert [item["score"] for item in answer["items"]] == pytest.approx(
        sorted(scores[order[:9]])[::-1], abs=1e-5
    )


def test_a_batch_at_a_dial_is_the_lists_at_that_dial(lookup, tmp_path):
    lookup.batch(None, 5, tmp_path / "all.parquet", popularity=-0.3)
    rows = pl.read_parquet(tmp_path / "all.parquet")
    for user in ("u00", "u04", "u29"):
        [answer] = lookup.recommend([user], 5, popularity=-0.3)
        mine = rows.filter(pl.col("user_id") == user)
        assert mine["item_id"].to_list() == [item["id"] for item in answer["items"]]
        assert mine["score"].to_list() == pytest.approx(
            [item["score"] for item in answer["items"]], abs=1e-5
        )
    with pytest.raises(UsageError, match="popularity ="):
        lookup.batch(None, 5, tmp_path / "none.parquet", popularity=float("nan"))


def test_dials_that_cannot_be(lookup, bundle):
    for dial in (float("nan"), float("inf"), -101):
        with pytest.raises(UsageError, match="popularity ="):
            lookup.recommend(["u04"], popularity=dial)
    scoring = bundle.parts[Scoring]
    scoring = replace(scoring, boosted_vectors=scoring.search_vectors, boost_unit=None)
    old = Lookup(bundle.with_parts(scoring))
    assert old.recommend(["u04"]) == lookup.recommend(["u04"])
    with pytest.raises(UsageError, match="before there was a popularity boost"):
        old.recommend(["u04"], popularity=0.1)


@pytest.mark.parametrize("kind", ["ivf", "hnsw", "pq"])
def test_an_index_proves_its_recall_at_every_dial(kind, monkeypatch):
    monkeypatch.setattr(latency, "_TIMED_QUERIES", 5)
    rng = np.random.default_rng(2)
    items, queries, fresh = (
        rng.normal(size=(count, 10)).astype(np.float32) for count in (1_500, 1_000, 200)
    )
    counts = rng.zipf(1.5, 1_500).clip(max=5_000)
    tuned = ann.tune(
        items, queries, IndexConfig(kind=kind, target_recall=0.9, k=10), popularity=counts
    )
    card = tuned.card["dial"]
    assert card["recall"].keys() == card["recall_lower_bound"].keys() == {"-1", "+1"}
    assert (
        min(card["recall_lower_bound"].values()) >= 0.9 and tuned.card["recall_lower_bound"] >= 0.9
    )
    wide, unit = with_popularity(items, counts)
    for dial in (0.0, *BOOSTS):
        index = replace(tuned.index, parameters=card["parameters"]) if dial else tuned.index
        asked = boosted_queries(fresh, dial, unit)
        assert (
            hit_shares(index.search(asked, 10), ExactIndex(wide).search(asked, 10)).mean() >= 0.88
        )


def test_a_dial_that_no_effort_reaches_is_left_to_exact_search(monkeypatch):
    monkeypatch.setattr(latency, "_TIMED_QUERIES", 5)
    monkeypatch.setattr(ann, "_with_efforts", lambda setting, k: iter(()))
    rng = np.random.default_rng(2)
    items, queries = (rng.normal(size=(300, 8)).astype(np.float32) for _ in range(2))
    tuned = ann.tune(
        items, queries, IndexConfig(kind="ivf", target_recall=0.9, k=5), popularity=np.ones(300)
    )
    assert tuned.card["dial"] == {"parameters": None}
