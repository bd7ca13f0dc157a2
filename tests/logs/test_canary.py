"""Canaries: what is learned from the past does not find random future pairs; what has seen the
future does.
"""

import numpy as np
import polars as pl
import pytest

from recsys.core.config import CleanConfig, DataConfig, SplitConfig
from recsys.core.errors import UsageError
from recsys.core.interactions import fit_interactions, hold_out
from recsys.core.ranking import top_k
from recsys.core.tables import ITEM, ITEM_ID, TIME, USER, USER_ID
from recsys.logs.canary import p_value, plant_canaries
from recsys.logs.ingest import ingest, load_log
from recsys.logs.split import split_log
from recsys.logs.synthetic import communities

K = 10


@pytest.fixture(scope="module")
def planted():
    return plant_canaries(communities(num_items=400, events_per_user=30).log, count=150, seed=1)


def test_canaries_are_new_pairs_in_the_future(planted):
    log = communities(num_items=400, events_per_user=30).log
    assert len(planted.canaries) == planted.canaries[USER_ID].n_unique() == 150
    assert planted.canaries[TIME].min() > log[TIME].max()
    assert len(planted.canaries.join(log, on=[USER_ID, ITEM_ID], how="semi")) == 0
    assert planted.log.schema == log.schema


@pytest.mark.parametrize("scorer", ["popularity", "co-occurrence"])
@pytest.mark.parametrize("leaky", [False, True])
def test_only_a_scorer_that_saw_the_future_finds_them(tmp_path, planted, scorer, leaky):
    ingest(planted.log, DataConfig(), CleanConfig(), tmp_path / "log")
    log = load_log(tmp_path / "log")
    splits = split_log(log, SplitConfig(), "interaction", 0)
    train = fit_interactions(splits.rows("final"), log.users, log.items, log.behaviors)
    learned = (
        fit_interactions(log.rows.collect(), log.users, log.items, log.behaviors)
        if leaky
        else train
    )
    hits, trials = canary_hits(train, learned, canary_pairs(log, planted.canaries), scorer)
    found = p_value(hits, trials, K * planted.chance)
    assert trials > 140
    if leaky and scorer == "co-occurrence":
        assert found < 1e-6
    else:
        assert found > 1e-3


def canary_pairs(log, canaries):
    return pl.DataFrame(
        {USER: log.users.lookup(canaries[USER_ID]), ITEM: log.items.lookup(canaries[ITEM_ID])},
        schema={USER: pl.Int32, ITEM: pl.Int32},
    )


def canary_hits(train, learned, canaries, scorer):
    """Canaries among the K best unseen items of their users, and how many canaries are warm in
    train.
    """
    held = hold_out(canaries, train)
    scores = all_scores(learned, scorer)[
        np.ix_(learned_rows(learned, train), learned_columns(learned, train))
    ]
    scores = np.where(train.matrix().toarray() > 0, -np.inf, scores).astype(np.float32)
    best = top_k(scores[held.user], K).items
    return int((best == held.item[:, None]).any(axis=1).sum()), len(held.item)


def all_scores(learned, scorer):
    matrix = learned.matrix().toarray()
    if scorer == "popularity":
        return np.broadcast_to(matrix.sum(axis=0), matrix.shape)
    return matrix @ (matrix.T @ matrix)


def learned_rows(learned, train):
    return np.searchsorted(learned.user_codes, train.user_codes)


def learned_columns(learned, train):
    return np.searchsorted(learned.item_codes, train.item_codes)


def test_chance_is_an_upper_bound_that_blind_rankings_meet(planted):
    rng = np.random.default_rng(0)
    items = planted.log[ITEM_ID].n_unique()
    touched = (
        planted.log.head(-150).group_by(USER_ID).agg(pl.col(ITEM_ID).n_unique())[ITEM_ID].max()
    )
    assert planted.chance == pytest.approx(1 / (items - touched))
    hits = rng.binomial(150, K * planted.chance)
    assert p_value(int(hits), 150, K * planted.chance) > 1e-3
    assert p_value(0, 150, 0.1) == 1.0
    assert p_value(150, 150, 0.1) < 1e-100


def test_too_many_canaries():
    log = communities(num_users=3, num_items=8).log
    with pytest.raises(UsageError, match="one a user"):
        plant_canaries(log, 4, seed=0)
    full = pl.DataFrame({USER_ID: ["a"] * 2, ITEM_ID: ["x", "y"], TIME: [1, 2]})
    with pytest.raises(UsageError, match="every item"):
        plant_canaries(full, 1, seed=0)
