"""Tuned baselines as terms: they rank as they do by themselves, and are served where they are better."""

from dataclasses import replace

import numpy as np
import pytest

from recsys.baselines.catalogue import baseline
from recsys.core.config import build_config
from recsys.encode.fold_in import UserEncoder
from recsys.logs.ingest import ingest, load_log
from recsys.logs.split import split_log
from recsys.logs.synthetic import communities
from recsys.phases.phase import Phase
from recsys.scores.additions import blended
from recsys.scores.blend import Blend
from recsys.scores.choice import choose_blend
from recsys.scores.rivals import Rival, alone, settings_of
from recsys.scores.terms.most_popular import MostPopularSettings
from recsys.scores.terms.trained_vectors import TrainedVectorsSettings
from recsys.scores.trained_vectors import TrainedVectors
from recsys.search.exact import VectorScorer
from recsys.train.loop import train
from recsys.train.problem import Problem

PARAMS = {
    "popularity": {},
    "popularity_recent": {"share": 0.3},
    "itemknn": {"neighbours": 20, "shrinkage": 5.0, "damping": 0.5},
    "slim": {"neighbours": 20, "ridge": 50.0},
    "ease": {"regularisation": 100.0},
    "gfcf": {"rank": 16, "weight": 0.3},
}


def phase_of(folder, world, **sections):
    raw = {"split": {"method": "random"}, "train": {"metric_k": 5}, **sections}
    config = build_config(raw)
    ingest(world.log, config.data, config.clean, folder)
    log = load_log(folder)
    return Phase("select", log, split_log(log, config.split, "interaction", 0), config)


@pytest.fixture(scope="module")
def select(tmp_path_factory):
    return phase_of(tmp_path_factory.mktemp("log"), communities(seed=5))


@pytest.fixture(scope="module")
def only_popularity_matters(tmp_path_factory):
    """Everybody has the same taste, and the log no times."""
    world = communities(num_communities=1, inside=1.0, events_per_user=12, seed=7)
    world = replace(world, log=world.log.drop("timestamp"))
    return phase_of(tmp_path_factory.mktemp("log"), world)


@pytest.fixture(scope="module")
def small_vectors(select):
    config = select.config
    model = config.model.model_copy(update={"width": 8, "heads": 2})
    trained = train(
        Problem(select.interactions, select.graph, model), config.train, epochs=1, threads=1
    )
    return TrainedVectors(select.interactions, trained.embeddings, select.graph)


def noise(phase):
    rng = np.random.default_rng(0)
    sizes = (phase.interactions.num_users, phase.interactions.num_items)
    return VectorScorer(*(rng.normal(size=(n, 8)).astype(np.float32) for n in sizes))


def rival(phase, name, params=None):
    params = PARAMS[name] if params is None else params
    scorer = baseline(name).fit(phase.interactions, phase.target, params)
    return Rival(name, name, params, phase.judge.ranked(scorer, 10)), scorer


def without_vectors(phase, blend):
    vectors = noise(phase)
    return blended(phase, VectorScorer(0 * vectors.user_vectors, vectors.item_vectors), blend)


@pytest.mark.parametrize("name", PARAMS)
def test_a_term_ranks_as_its_baseline(select, name):
    tuned, scorer = rival(select, name)
    served = without_vectors(select, alone(settings_of(tuned)))
    users = select.judge.held_out_users
    values = select.judge.per_user(scorer, users)
    assert select.judge.per_user(served, users) == pytest.approx(values, abs=1e-9)
    assert np.mean(select.judge.ranked(served, 10) == tuned.lists) > 0.99


def test_popularity_of_all_time_needs_no_times(only_popularity_matters):
    phase = only_popularity_matters
    choice = choose_blend(phase, noise(phase))
    assert choice.blend.of(MostPopularSettings).weight > 0
    [popularity] = choice.comparisons
    assert popularity.name == "popularity" and popularity.value > 2 * choice.alone
    assert popularity.difference >= -(popularity.error or np.inf)


def test_what_is_chosen_is_no_worse_than_any_baseline(select):
    rivals = [rival(select, name)[0] for name in PARAMS]
    choice = choose_blend(select, noise(select), rivals=rivals)
    assert [comparison.name for comparison in choice.comparisons] == list(PARAMS)
    for comparison in choice.comparisons:
        assert comparison.difference >= -(comparison.error or np.inf), comparison
        tuned = select.judge.per_user(rival(select, comparison.name)[1])
        assert comparison.value == pytest.approx(tuned.mean())


def test_a_baseline_is_served_where_vectors_do_harm(only_popularity_matters):
    """Vectors that rank the held-out items last: only without them popularity is itself."""
    phase = only_popularity_matters
    held_out = phase.judge.held_out_matrix.toarray().astype(np.float32)
    harmful = VectorScorer(
        -1000 * held_out - 10 * np.random.default_rng(0).random(held_out.shape, np.float32),
        np.eye(held_out.shape[1], dtype=np.float32),
    )
    off = phase.config.blend.model_copy(update={"neighbours": 0, "low_pass_rank": 0})
    phase = replace(phase, config=phase.config.model_copy(update={"blend": off}))
    tuned, scorer = rival(phase, "popularity")
    choice = choose_blend(phase, harmful, rivals=[tuned])
    assert choice.blend == alone(MostPopularSettings(weight=1.0))
    assert choice.value == pytest.approx(phase.judge.ndcg(scorer))
    assert choice.blend.explain() == {"trained vectors": 0.0, "popularity of all time": 1.0}


def test_an_error_of_a_rival_without_a_term_is_told(select):
    """iALS is no term: it is compared with, and cannot be served."""
    tuned, _ = rival(select, "popularity")
    unserved = replace(tuned, name="ials", title="iALS")
    assert settings_of(unserved) is None
    choice = choose_blend(select, noise(select), rivals=[unserved])
    [comparison] = choice.comparisons
    assert comparison.title == "iALS" and comparison.as_term is None


def test_vectors_of_weight_0_say_nothing_of_users(small_vectors):
    """The items keep theirs, by which similar ones are found; visitors are encoded as zero too."""
    scaling = alone(MostPopularSettings(weight=1.0)).scaling
    embeddings = small_vectors.embeddings_of(scaling)
    assert not embeddings.users.any()
    assert embeddings.items is small_vectors.embeddings.items
    encoder = UserEncoder(embeddings.encoder)
    rows = small_vectors.interactions.matrix()[:3]
    relation = embeddings.encoder.relations[0].name
    assert not encoder.encode({relation: rows}).any()
    assert not embeddings.encoder.is_heard and small_vectors.embeddings.encoder.is_heard


def test_weights_of_vectors_are_0_or_1():
    assert Blend.of_terms(trained_vectors={"weight": 0}).scaling.weight == 0
    with pytest.raises(ValueError, match="0 or 1"):
        TrainedVectorsSettings(weight=0.5)
