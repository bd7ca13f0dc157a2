"""Bundles of tuned baselines: the vectors weigh nothing, and everything else works as with them."""

import numpy as np
import pytest

from recsys.baselines.catalogue import baseline
from recsys.bundle.bundle import Bundle
from recsys.core.config import build_config
from recsys.encode.history_scores import searched
from recsys.fitting.fit import bundle_of
from recsys.logs.ingest import ingest, load_log
from recsys.logs.split import split_log
from recsys.logs.synthetic import communities
from recsys.lookup.lookup import Lookup
from recsys.phases.phase import Phase
from recsys.releases.publish import write_bundle
from recsys.scores.additions import blended
from recsys.scores.blend import NO_BLEND
from recsys.scores.rivals import Rival, alone, settings_of
from recsys.scores.trained_vectors import TrainedVectors
from recsys.search.exact import VectorScorer
from recsys.search.tuning import tune
from recsys.train.loop import train
from recsys.train.problem import Problem

PARAMS = {
    "popularity": {},
    "itemknn": {"neighbours": 20, "shrinkage": 5.0, "damping": 0.5},
    "ease": {"regularisation": 100.0},
    "gfcf": {"rank": 16, "weight": 0.3},
}
K = 5


@pytest.fixture(scope="module")
def phase(tmp_path_factory):
    sections = {"model": {"width": 8, "heads": 2}, "split": {"method": "random"}}
    config = build_config(sections)
    folder = tmp_path_factory.mktemp("log")
    ingest(communities(num_users=60, num_items=40, seed=2).log, config.data, config.clean, folder)
    log = load_log(folder)
    return Phase("select", log, split_log(log, config.split, "interaction", 0), config)


@pytest.fixture(scope="module")
def vectors(phase):
    config = phase.config
    trained = train(
        Problem(phase.interactions, phase.graph, config.model), config.train, epochs=1, threads=1
    )
    return TrainedVectors(phase.interactions, trained.embeddings, phase.graph)


def lookup_of(phase, vectors, blend, folder):
    embeddings = vectors.embeddings_of(blend.scaling)
    scorer = blended(phase, VectorScorer(embeddings.users, embeddings.items), blend)
    queried = searched(scorer)
    popularity = phase.interactions.popularity(phase.target)
    tuned = tune(
        queried.item_vectors,
        queried.user_vectors,
        phase.config.index,
        seed=0,
        popularity=popularity,
    )
    bundle = bundle_of(phase, phase.graph, embeddings, scorer, tuned, {"epochs": 1})
    return Lookup(Bundle.load(write_bundle(folder, bundle)))


@pytest.fixture(scope="module", params=PARAMS)
def served(request, phase, vectors, tmp_path_factory):
    """The name of a baseline, and the lookup of its bundle."""
    name = request.param
    blend = alone(settings_of(Rival(name, name, PARAMS[name])))
    return name, lookup_of(phase, vectors, blend, tmp_path_factory.mktemp("bundles"))


def history_of(phase, user):
    items = phase.interactions.matrix((phase.target,))[user].indices
    return list(phase.interactions.items.external(items))


def test_lists_are_those_of_the_baseline(served, phase):
    name, lookup = served
    scorer = baseline(name).fit(phase.interactions, phase.target, PARAMS[name])
    users = np.arange(20, dtype=np.int32)
    scores = scorer.score(users)
    scores[phase.seen[users].toarray() > 0] = -np.inf
    answers = lookup.recommend(list(phase.interactions.users.external(users)), k=K)
    for row, answer in zip(scores, answers, strict=True):
        items = [item["id"] for item in answer["items"]]
        places = phase.interactions.items.lookup(items)
        # By score: which of several equal ones comes first is rounding's.
        assert row[places] == pytest.approx(np.sort(row)[::-1][: len(items)], rel=1e-4)


def test_visitors_with_a_history_get_the_list_of_its_user(served, phase):
    _, lookup = served
    user = phase.interactions.users.external(np.array([3]))[0]
    [member] = lookup.recommend([user], k=K)
    [visitor] = lookup.recommend(histories=[history_of(phase, 3)], k=K)
    assert visitor["source"] == "fold_in"
    assert [item["id"] for item in visitor["items"]] == [item["id"] for item in member["items"]]
    scores = [item["score"] for item in member["items"]]
    assert [item["score"] for item in visitor["items"]] == pytest.approx(scores, rel=1e-4)


def test_shares_add_up_to_the_score(served, phase):
    name, lookup = served
    user = phase.interactions.users.external(np.array([3]))[0]
    [answer] = lookup.recommend([user], k=K, explain=True, popularity=0.5)
    for item in answer["items"]:
        why = lookup.explain(user, item["id"], popularity=0.5)
        shares = sum(part["share"] for part in why["parts"]) + why["others"] + why["rest"]
        total = shares + why.get("trend", 0.0) + why["popularity"]
        assert total == pytest.approx(item["score"], rel=1e-4, abs=1e-5)
        assert why["rest"] == pytest.approx(0.0, abs=1e-5)
        if name == "popularity":
            assert why["reasons"][0]["text"] == "popular, which this list favours"


def test_similar_items_by_the_vectors_are_those_of_the_model(served, phase, vectors, tmp_path):
    """Where validation prefers the vectors, they say it even where they weigh nothing in lists."""
    _, lookup = served
    plain = lookup_of(phase, vectors, NO_BLEND, tmp_path)
    some = list(phase.interactions.items.external(np.arange(5)))
    assert lookup.similar_items(some, k=3) == plain.similar_items(some, k=3)
