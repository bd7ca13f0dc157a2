"""The popularity dial: the score it promises, and an index that finds the lists at −1, 0 and 1."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from boosts import naive_factor
from recsys.bundle.parts.scoring import Scoring
from recsys.core.config import IndexConfig
from recsys.core.errors import UsageError
from recsys.core.ranking import NO_ITEM, Hits
from recsys.lookup.lookup import Lookup
from recsys.search import latency
from recsys.search import tuning as ann
from recsys.search.exact import ExactIndex
from recsys.search.popularity_boost import (
    BOOSTS,
    boost_factors,
    boosted_queries,
    lead_of_popular,
    means_of_new,
    with_popularity,
)
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


def test_a_factor_by_hand():
    """Counts 0, e − 1 and e² − 1: ln(1 + n) is 0, 1 and 2, the leaders being all three."""
    assert lead_of_popular(np.array([0, np.e - 1, np.e**2 - 1])) == pytest.approx(0.0)
    # of 11 items one has nobody: the ten others stand 2 − 20/11 above the mean
    lead = lead_of_popular(np.array([0, *[np.e**2 - 1] * 10]))
    assert lead == pytest.approx(2 / 11)
    leaders = Hits(
        np.array([[3, 1], [2, NO_ITEM], [NO_ITEM, NO_ITEM]], np.int32),
        np.array([[5.0, 3.0], [1.0, -np.inf], [-np.inf, -np.inf]], np.float32),
    )
    factors = boost_factors(-0.5, leaders, np.array([1.0, 3.0, 0.0]), lead)
    # (4 − 1) · 11 / 2 halved; a list below the average item, and nothing new: no lead
    assert factors == pytest.approx([-0.5 * 3 * 11 / 2, 0.0, 0.0])
    assert boost_factors(1.0, leaders, np.zeros(3), 0.0).tolist() == [0.0, 0.0, 0.0]


def test_means_of_new_items_by_hand():
    # (6 − 4) / 2 of three items with one known; nothing known; all of three known
    means = means_of_new(np.array([6.0, 9.0, 5.0]), 3, [0, 2, 2, 2], [4.0, 1.0, 2.0, 2.0])
    assert means.tolist() == [1.0, 3.0, 0.0]


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
    scores = bundle.item_vectors @ bundle.user_vectors[4]
    scores = scores + naive_factor(bundle, scores, seen, dial) * np.log1p(bundle.popularity[2])
    order = sorted((i for i in range(40) if i != 7 and i not in seen), key=lambda i: -scores[i])
    [answer] = lookup.recommend(["u04"], 9, popularity=dial)
    assert [item["id"] for item in answer["items"]] == [f"i{i:02}" for i in order[:9]]
    assert [item["score"] for item in answer["items"]] == pytest.approx(
        sorted(scores[order[:9]])[::-1], abs=1e-5
    )


@pytest.mark.parametrize("scale", [0.01, 1.0, 100.0])
def test_a_dial_does_not_know_the_scale_of_the_scores(lookup, scale):
    """The same lists for scores of hundredths as for scores of hundreds: a dial that added
    ln(1 + n) as it is decided alone in the first and did nothing in the last.
    """
    bundle = lookup.bundle
    scoring = bundle.parts[Scoring]
    vectors = (bundle.item_vectors * np.float32(scale)).astype(np.float32)
    scaled = bundle.with_parts(Scoring.of(vectors, bundle.counts, scoring.added, scoring.histories))
    for dial in (-1.0, -0.3, 0.3, 1.0):
        [answer] = Lookup(scaled).recommend(["u04"], 9, popularity=dial)
        [plain] = lookup.recommend(["u04"], 9, popularity=dial)
        assert [item["id"] for item in answer["items"]] == [item["id"] for item in plain["items"]]


@pytest.mark.parametrize("scale", [0.05, 3.0])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_whole_way_of_a_dial_is_of_use(scale, seed):
    """From −1 to 1 in 21 steps the ten best become ever more popular, no step makes a third of the
    way, and each half has some of it: where scores are near 0.05 as where they are near 3.
    """
    rng = np.random.default_rng(seed)
    counts = np.sort(rng.zipf(1.6, 3_000).clip(max=1_000))[::-1]
    popularity = np.log1p(counts)
    vectors = rng.normal(size=(3_000, 12)).astype(np.float32)
    queries = (scale * rng.normal(size=(100, 12))).astype(np.float32)
    # As on real logs: the longer the history of an item, the better it is known what it is like.
    vectors *= (1 + popularity[:, None] / 4).astype(np.float32)
    items, unit = with_popularity(vectors, counts)
    leaders = ExactIndex(vectors).search(queries, 10)
    means = (queries @ vectors.T).mean(axis=1)
    way = []
    for dial in np.linspace(-1, 1, 21):
        factors = boost_factors(dial, leaders, means, lead_of_popular(counts))
        lists = ExactIndex(items).search(boosted_queries(queries, factors, unit), 10)
        way.append(popularity[lists.items].mean())
    steps = np.diff(way)
    whole = way[-1] - way[0]
    assert (steps >= 0).all()
    assert steps.max() < whole / 3
    assert min(way[10] - way[0], way[-1] - way[10]) > whole / 8


def test_filters_leave_what_an_item_gains_alone(lookup):
    """A share of the score that an explanation gives is that of every list of the user."""
    gain = lookup.explain("u04", "i03", popularity=0.5)["popularity"]
    plain = lookup.explain("u04", "i03")["score"]
    for options in ({}, {"allow": ["i03"]}, {"exclude_seen": False}, {"diversity": 0.0}):
        [answer] = lookup.recommend(["u04"], 40, popularity=0.5, **options)
        [score] = [item["score"] for item in answer["items"] if item["id"] == "i03"] or [None]
        assert score is None or score == pytest.approx(plain + gain, abs=1e-5)


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
    leaders = ExactIndex(items).search(fresh, 10)
    means = (fresh @ items.T).mean(axis=1)
    for dial in (0.0, *BOOSTS):
        index = replace(tuned.index, parameters=card["parameters"]) if dial else tuned.index
        factors = boost_factors(dial, leaders, means, lead_of_popular(counts))
        asked = boosted_queries(fresh, factors, unit)
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
