"""Item vectors of other lengths: by hand, chosen where they help, and the same in every phase."""

import itertools
from dataclasses import replace

import numpy as np
import pytest

from recsys.core.config import build_config
from recsys.core.errors import UsageError
from recsys.core.noise import CHOICE_ERRORS
from recsys.logs.ingest import ingest, load_log
from recsys.logs.split import split_log
from recsys.logs.synthetic import communities
from recsys.phases.phase import Phase
from recsys.scores.blend import NO_BLEND
from recsys.scores.choice import choose_blend
from recsys.scores.terms.popularity import LENGTHS_TRIED, POPULARITIES_TRIED, PopularitySettings
from recsys.scores.trained_vectors import AS_TRAINED, TrainedVectors, VectorScaling
from recsys.search.exact import VectorScorer
from recsys.train.embed import degree_lengths
from recsys.train.loop import train
from recsys.train.problem import Problem

SECTIONS = {
    "split": {"method": "random", "test_share": 0.2, "validation_share": 0.2},
    "model": {"family": "degree_prior", "width": 8, "heads": 2},
    "train": {"metric_k": 5, "negatives": 32},
    "blend": {
        "neighbours": 0,
        "low_pass_rank": 0,
        "recency": False,
        "trend": False,
        "popularity": False,
    },
}


@pytest.fixture(scope="module")
def select(tmp_path_factory):
    config = build_config(SECTIONS)
    folder = tmp_path_factory.mktemp("log")
    ingest(communities(seed=1).log, config.data, config.clean, folder)
    log = load_log(folder)
    return Phase("select", log, split_log(log, config.split, "interaction", 0), config)


@pytest.fixture(scope="module")
def vectors(select):
    graph = select.graph
    found = train(
        Problem(select.interactions, graph, select.config.model),
        select.config.train,
        epochs=2,
        threads=1,
    )
    return TrainedVectors(select.interactions, found.embeddings, graph)


def test_items_are_stretched_by_their_trained_length_and_their_degree(vectors):
    found, trained = (
        vectors.items(VectorScaling(length_power=0.5, popularity_power=-0.1)),
        vectors.embeddings,
    )
    factor = np.sqrt(trained.item_lengths) * degree_lengths(vectors.graph, -0.1)
    assert np.allclose(found, trained.items * factor[:, None], atol=1e-6)
    whole = vectors.embeddings_of(VectorScaling(length_power=0.5, popularity_power=-0.1))
    assert np.array_equal(whole.items, found) and whole.users is trained.users


def test_nothing_asked_for_makes_nothing(vectors):
    assert vectors.embeddings_of(AS_TRAINED) is vectors.embeddings
    assert vectors.items(AS_TRAINED) is vectors.embeddings.items


def test_lengths_of_an_inner_product_stay(vectors):
    dot = replace(vectors, embeddings=replace(vectors.embeddings, item_lengths=None))
    assert not dot.can_stretch and dot.items(AS_TRAINED) is dot.embeddings.items
    with pytest.raises(UsageError, match="inner product"):
        dot.items(VectorScaling(length_power=0.1))


def test_validation_asks_for_lengths_where_they_tell_what_is_taken(select, vectors):
    """Vectors that say nothing but by their lengths: who is held out follows the trained length."""
    log, rng = select.interactions, np.random.default_rng(0)
    taken = np.bincount(select.judge.held_out_matrix.indices, minlength=log.num_items).astype(
        np.float32
    )
    users = np.tile(np.array([1.0, 0.0], np.float32), (log.num_users, 1))
    items = np.stack([np.ones(log.num_items), rng.random(log.num_items)], axis=1).astype(np.float32)
    known = replace(vectors.embeddings, users=users, items=items, item_lengths=1 + taken)
    trained = replace(vectors, embeddings=known)
    choice = choose_blend(select, trained)
    assert choice.blend.of(PopularitySettings).length_power > 0 and choice.blend.empty
    assert choice.value > choice.alone
    found = trained.embeddings_of(choice.blend.scaling)
    assert select.judge.ndcg(VectorScorer(found.users, found.items)) == pytest.approx(choice.value)


def test_no_lengths_beside_the_best_ones_are_better(select, vectors):
    """The search goes from one point of the grid to the best beside it; here its path is long."""
    shrunk = replace(
        vectors,
        embeddings=replace(
            vectors.embeddings, items=vectors.items(VectorScaling(popularity_power=-0.4))
        ),
    )
    choice = choose_blend(select, shrunk)
    values = {tuple(one["popularity"].values()): one["value"] for one in choice.tried}
    best = max(values, key=values.__getitem__)
    lengths, popularities = LENGTHS_TRIED, POPULARITIES_TRIED
    places = lengths.index(best[0]), popularities.index(best[1])
    near = itertools.product(
        lengths[max(places[0] - 1, 0) : places[0] + 2],
        popularities[max(places[1] - 1, 0) : places[1] + 2],
    )
    assert set(near) <= set(values)
    assert choice.best == values[best] and choice.behind.within(CHOICE_ERRORS)
    assert best[1] > 0 and choice.best > choice.alone


def test_lengths_can_be_switched_off(select, vectors):
    off = select.config.blend.model_copy(update={"lengths": False})
    still = replace(select, config=select.config.model_copy(update={"blend": off}))
    assert choose_blend(still, vectors).blend == NO_BLEND
