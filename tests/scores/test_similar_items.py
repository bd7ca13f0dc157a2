"""By what items are similar: judged like a naive loop would, chosen beyond noise, and served as judged."""

from dataclasses import replace

import numpy as np
import pytest

from recsys.core.config import build_config
from recsys.core.encoder import Embeddings
from recsys.core.history import single_events
from recsys.encode.fold_in import UserEncoder, history_neighbours
from recsys.evaluate.metrics import rank_metrics
from recsys.logs.ingest import ingest, load_log
from recsys.logs.split import split_log
from recsys.logs.synthetic import communities
from recsys.phases.phase import Phase
from recsys.scores.additions import fit_history
from recsys.scores.blend import Blend
from recsys.scores.similar_items import choose_similar
from recsys.scores.trained_vectors import TrainedVectors
from recsys.search.exact import VectorScorer
from recsys.train.loop import train
from recsys.train.problem import Problem

BLENDS = {
    "table": Blend.of_terms(item_item={"weight": 0.5, "ridge": 15.0}),
    "without vectors": Blend.of_terms(item_knn={"weight": 1.0}, trained_vectors={"weight": 0}),
}


@pytest.fixture(scope="module")
def phase(tmp_path_factory):
    sections = {
        "model": {"width": 8, "heads": 2},
        "split": {"method": "random"},
        "train": {"metric_k": 5},
    }
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


def scored(phase, vectors, blend):
    """Embeddings as a blend scales them, and what it adds."""
    embeddings = vectors.embeddings_of(blend.scaling)
    scorer = VectorScorer(embeddings.users, embeddings.items)
    return embeddings, fit_history(phase, scorer, blend)


def naive_values(phase, score_of_item):
    """(users,) by loops: draws as the choice does, hides what was seen, and counts."""
    rng = np.random.default_rng(phase.config.seed)
    had = phase.interactions.matrix((phase.target,))
    held_out = phase.judge.held_out_matrix
    values = []
    for user in phase.judge.held_out_users.tolist():
        of_user = []
        for item in rng.permutation(had[user].indices)[:3].tolist():
            scores = np.array(score_of_item(item), np.float64)
            scores[phase.seen[user].indices] = -np.inf
            scores[item] = -np.inf
            ranked = np.argsort(-scores, kind="stable")[:5].astype(np.int32)
            metrics = rank_metrics(ranked[None], np.array([user]), held_out, [5])
            of_user.append(float(metrics.per_user["ndcg@5"][0]))
        values.append(np.mean(of_user))
    return np.array(values)


@pytest.mark.parametrize("name", BLENDS)
def test_values_are_those_of_a_naive_loop(phase, vectors, name):
    embeddings, added = scored(phase, vectors, BLENDS[name])
    choice = choose_similar(phase, embeddings, added)
    lengths = np.linalg.norm(embeddings.items, axis=1)

    def cosines(item):
        return embeddings.items @ embeddings.items[item] / lengths / lengths[item]

    def of_visitor(item):
        alone = single_events(phase.histories, np.array([item]), phase.target)
        vector = UserEncoder(embeddings.encoder).encode(
            history_neighbours(embeddings.encoder, alone)
        )[0]
        # One item in the history: its row of the table as it is.
        return embeddings.items @ vector + added.table[item].toarray()[0]

    by_vectors, by_visitor = naive_values(phase, cosines), naive_values(phase, of_visitor)
    assert choice.tried == pytest.approx(
        {"vectors": by_vectors.mean(), "visitor": by_visitor.mean()}, abs=1e-6
    )
    gain = by_visitor - by_vectors
    assert choice.users == len(gain)
    assert choice.difference.mean == pytest.approx(gain.mean(), abs=1e-6)
    is_beyond = gain.mean() > gain.std(ddof=1) / np.sqrt(len(gain))
    assert choice.by == ("visitor" if is_beyond else "vectors")


def test_what_says_nothing_is_not_chosen(phase, vectors):
    """Vectors of noise lose to a table of the log; a table of nothing does not beat vectors."""
    embeddings, added = scored(phase, vectors, BLENDS["without vectors"])
    noise = np.random.default_rng(0).normal(size=embeddings.items.shape).astype(np.float32)
    assert choose_similar(phase, with_items(embeddings, noise), added).by == "visitor"
    blend = BLENDS["without vectors"]
    silent, _ = scored(phase, vectors, blend)
    assert choose_similar(phase, silent, None).by == "vectors"


def with_items(embeddings: Embeddings, items):
    return replace(embeddings, items=items)


def test_nothing_held_out_leaves_the_vectors(phase, vectors):
    splits = phase.required_splits
    nothing = replace(splits, validation=splits.validation.head(0))
    choice = choose_similar(
        Phase("select", phase.log, nothing, phase.config), vectors.embeddings, None
    )
    assert (choice.by, choice.tried, choice.difference) == ("vectors", {}, None)


def test_only_validation_is_read(phase, vectors):
    """The same choice when no test row is left."""
    embeddings, added = scored(phase, vectors, BLENDS["table"])
    splits = phase.required_splits
    without_test = Phase(
        "select",
        phase.log,
        replace(splits, test=splits.test.head(0)),
        phase.config,
    )
    choice = choose_similar(without_test, embeddings, added)
    assert choice == choose_similar(phase, embeddings, added)
