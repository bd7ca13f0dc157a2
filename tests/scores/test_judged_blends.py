"""Values of blends as weighted sums of blocks are those of their scorers, user by user."""

import numpy as np
import pytest

from fashion import fashion
from recsys.core.config import build_config
from recsys.logs.ingest import ingest, load_log
from recsys.logs.split import split_log
from recsys.logs.synthetic import communities
from recsys.phases.phase import Phase
from recsys.scores import judged_blends
from recsys.scores.additions import fit_terms
from recsys.scores.blend import NO_BLEND, Blend
from recsys.scores.judged_blends import JudgedBlends, judging_users
from recsys.search.exact import VectorScorer

BLENDS = {
    "nothing": {},
    "table": {"item_item": {"weight": 0.3, "ridge": 50.0}},
    "fresh table": {"item_item": {"weight": 0.3, "half_life_days": 4.0}},
    "low-pass": {"low_pass": {"weight": 0.2, "rank": 8}},
    "trend": {"trend": {"weight": 1.5, "half_life_days": 4.0}},
    "all": {
        "item_item": {"weight": 0.4},
        "low_pass": {"weight": 0.1, "rank": 16},
        "trend": {"weight": 0.5, "half_life_days": 8.0},
        "history": {"half_life_events": 5.0},
    },
}


def noise(phase, seed=0):
    rng = np.random.default_rng(seed)
    sizes = (phase.interactions.num_users, phase.interactions.num_items)
    return VectorScorer(*(rng.normal(size=(n, 8)).astype(np.float32) for n in sizes))


def judged(phase, users=None):
    vectors = noise(phase)
    users = judging_users(phase) if users is None else users
    return JudgedBlends(phase, fit_terms(phase), lambda scaling: vectors, users)


def same_as_the_long_way(phase, blend, users=None):
    blends = judged(phase, users)
    # Asked for twice: once the blocks are made, once they are there.
    blends.values(blend)
    values = blends.values(blend)
    np.testing.assert_array_equal(
        values, phase.judge.per_user(blends.scores.scorer(blend), blends.users)
    )
    return values


@pytest.mark.parametrize("name", BLENDS)
def test_values_are_those_of_the_scorer(tmp_path, name):
    phase = fashion(tmp_path, "global_time", tastes=4, neighbours=50, low_pass_rank=16)
    values = same_as_the_long_way(phase, Blend.of_terms(**BLENDS[name]))
    assert len(values) == len(phase.judge.held_out_users)


@pytest.mark.parametrize(
    "terms",
    [
        {"auxiliary_behaviors": {"weights": {"view": 2.0}, "power": 0.5}},
        {
            "auxiliary_behaviors": {"weights": {"view": 1.0}},
            "history": {"auxiliary_weight": 0.2},
            "item_item": {"weight": 0.2},
        },
    ],
)
def test_values_with_auxiliary_behaviours(tmp_path, terms):
    config = build_config({"graph": {"target": "buy"}, "split": {"method": "random"}})
    ingest(communities(behaviors=("view", "buy"), seed=3).log, config.data, config.clean, tmp_path)
    log = load_log(tmp_path)
    phase = Phase("select", log, split_log(log, config.split, "buy", 0), config)
    values = same_as_the_long_way(phase, Blend.of_terms(**terms))
    assert not np.array_equal(values, same_as_the_long_way(phase, NO_BLEND))


def test_a_few_rows_at_once(tmp_path, monkeypatch):
    monkeypatch.setattr(judged_blends, "_ENTRIES_AT_ONCE", 500)
    phase = fashion(tmp_path, "global_time", neighbours=50)
    users = phase.judge.held_out_users[::3]
    same_as_the_long_way(phase, Blend.of_terms(**BLENDS["table"]), users)


def test_of_many_items_few_users_judge(tmp_path, monkeypatch):
    phase = fashion(tmp_path, "global_time", neighbours=50)
    num_items = phase.interactions.num_items
    monkeypatch.setattr(judged_blends, "FEWEST_USERS", 3)
    monkeypatch.setattr(judged_blends, "BLOCK_ENTRIES", 7 * num_items)
    assert len(judging_users(phase)) == 7
    monkeypatch.setattr(judged_blends, "BLOCK_ENTRIES", num_items // 2)
    users = judging_users(phase)
    assert len(users) == 3 and set(users) <= set(phase.judge.held_out_users)
    same_as_the_long_way(phase, Blend.of_terms(**BLENDS["table"]))
