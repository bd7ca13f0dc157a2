"""Blends are chosen by validation alone, and leave the table out where it does not help."""

import numpy as np
import pytest

from recsys.blending import NO_BLEND, Blend, blended, choose_blend, fit_table
from recsys.core.config import build_config
from recsys.index.exact import VectorScorer
from recsys.logs.ingest import ingest, load_log
from recsys.logs.split import split_log
from recsys.logs.synthetic import communities
from recsys.phases import Phase


@pytest.fixture(scope="module")
def phases(tmp_path_factory):
    config = build_config({"split": {"method": "random"}, "train": {"metric_k": 5}})
    folder = tmp_path_factory.mktemp("log")
    ingest(communities(seed=1).log, config.data, config.clean, folder)
    log = load_log(folder)
    splits = split_log(log, config.split, "interaction", 0)
    return {name: Phase(name, log, splits, config) for name in ("select", "final")}


def noise(phase, seed=0):
    rng = np.random.default_rng(seed)
    sizes = (phase.interactions.num_users, phase.interactions.num_items)
    return VectorScorer(*(rng.normal(size=(n, 8)).astype(np.float32) for n in sizes))


def test_the_table_saves_vectors_that_know_nothing(phases):
    choice = choose_blend(phases["select"], noise(phases["select"]))
    assert choice.blend.weight > 0
    assert choice.value > 2 * choice.alone
    assert choice.value == max(one["value"] for one in choice.tried)
    final = phases["final"]
    assert final.ndcg(blended(final, noise(final), choice.blend)) > 2 * final.ndcg(noise(final))


def test_vectors_that_know_the_answer_are_left_alone(phases):
    select = phases["select"]
    answers = select.held_out_matrix.toarray()
    left, values, right = np.linalg.svd(answers, full_matrices=False)
    oracle = VectorScorer((left * values).astype(np.float32), right.T.astype(np.float32))
    choice = choose_blend(select, oracle)
    assert choice.alone == pytest.approx(1.0)
    assert choice.value >= choice.alone


def test_the_same_choice_again(phases):
    first, second = (choose_blend(phases["select"], noise(phases["select"])) for _ in range(2))
    assert first == second


def test_weight_nought_is_the_vectors_alone(phases):
    vectors = noise(phases["final"])
    assert blended(phases["final"], vectors, NO_BLEND) is vectors


def test_the_weight_is_in_units_of_the_vectors_scores(phases):
    """Vectors ten times as long get a table ten times as heavy: the same lists."""
    final, vectors = phases["final"], noise(phases["final"])
    longer = VectorScorer(10 * vectors.user_vectors, vectors.item_vectors)
    small, large = (fit_table(final, one, Blend(weight=0.5)) for one in (vectors, longer))
    assert large.weight == pytest.approx(10 * small.weight, rel=1e-4)
    assert np.array_equal(
        final.ranked(blended(final, vectors, Blend()), 5), final.ranked(blended(final, longer, Blend()), 5)
    )
