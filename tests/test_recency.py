"""Late events count more where that helps, in training's vectors, in bundles and for visitors
alike.
"""

import numpy as np
import polars as pl
import pytest

from recsys.bundle.bundle import Bundle
from recsys.bundle.neighbours import neighbours_into_users
from recsys.core.config import build_config
from recsys.encode.fold_in import UserEncoder
from recsys.fitting.fit import bundle_of, fit_phase
from recsys.logs.ingest import ingest, load_log
from recsys.logs.split import split_log
from recsys.lookup.lookup import Event, Lookup
from recsys.phases.phase import Phase
from recsys.releases.publish import write_bundle
from recsys.scores.additions import blended
from recsys.scores.blend import NO_BLEND
from recsys.scores.choice import choose_blend
from recsys.scores.trained_vectors import AS_TRAINED, TrainedVectors, VectorScaling, decayed_edges
from recsys.search.exact import VectorScorer
from recsys.search.tuning import TunedIndex

SECTIONS = {
    "graph": {"half_life_days": "none"},
    "split": {"method": "last_share", "test_share": 0.2, "validation_share": 0.2},
    "model": {"family": "degree_prior", "width": 8, "heads": 2},
    "train": {"epochs": 6, "metric_k": 5, "negatives": 32},
    "blend": {"neighbours": 0, "low_pass_rank": 0},
}
HALF_LIFE = 3.0


def drifting(num_users=80, groups=6, each=12, seed=0):
    """Every user goes through two groups of items, one after the other: what comes next is like
    what came last.
    """
    draw = np.random.default_rng(seed)
    rows = []
    for user in range(num_users):
        for half, group in enumerate(draw.choice(groups, 2, replace=False)):
            taken = draw.choice(each, 9, replace=False) + each * group
            rows += [
                (f"u{user}", f"i{item}", 1000 * half + place) for place, item in enumerate(taken)
            ]
    return pl.DataFrame(rows, schema=["user_id", "item_id", "timestamp"], orient="row")


def phases_of(log, folder):
    config = build_config(SECTIONS)
    ingest(log, config.data, config.clean, folder)
    coded = load_log(folder)
    splits = split_log(coded, config.split, "interaction", 0)
    return {name: Phase(name, coded, splits, config) for name in ("select", "final")}


@pytest.fixture(scope="module")
def select(tmp_path_factory):
    return phases_of(drifting(), tmp_path_factory.mktemp("drifting"))["select"]


@pytest.fixture(scope="module")
def users(select):
    graph = select.graph
    return TrainedVectors(
        select.interactions, fit_phase(select, graph, select.config.model).embeddings, graph
    )


@pytest.fixture(scope="module")
def lookup(select, users, tmp_path_factory):
    found = users.embeddings_of(VectorScaling(HALF_LIFE, 0.5))
    contents = bundle_of(
        select, users.graph, found, users.plain, TunedIndex(None, {"kind": "exact"}), {}
    )
    return Lookup(Bundle.load(write_bundle(tmp_path_factory.mktemp("bundles"), contents)))


def test_events_fade_by_their_place(select, users):
    neighbours = decayed_edges(
        neighbours_into_users(users.graph.relations), select.histories, users.embeddings.encoder
    )
    [name] = neighbours
    assert (neighbours[name].data == 1).all()
    encoder = users.embeddings_of(VectorScaling(HALF_LIFE)).encoder
    row = decayed_edges(neighbours, select.histories, encoder)[name][0]
    mine = select.interactions.user == 0
    order = np.argsort(select.interactions.time[mine])
    last_first = select.interactions.item[mine][order][::-1]
    expected = {int(item): 2 ** (-place / HALF_LIFE) for place, item in enumerate(last_first)}
    assert dict(zip(row.indices.tolist(), row.data.tolist(), strict=True)) == pytest.approx(
        expected
    )


def test_nothing_asked_for_is_the_training_itself(users):
    assert users.embeddings_of(AS_TRAINED) is users.embeddings
    everybody = np.arange(users.interactions.num_users, dtype=np.int32)
    anew = UserEncoder(users.embeddings.encoder).encode(
        neighbours_into_users(users.graph.relations), users.embeddings.user_self
    )
    assert np.allclose(users.users(everybody, AS_TRAINED), anew, atol=1e-5)


def test_some_rows_are_the_rows_of_all(users):
    whole = users.embeddings_of(VectorScaling(HALF_LIFE, 0.3)).users
    rows = np.array([3, 17], np.int32)
    some = users.users(rows, VectorScaling(HALF_LIFE, 0.3))
    assert np.allclose(some[rows], whole[rows], atol=1e-6)
    assert np.array_equal(
        np.delete(some, rows, axis=0), np.delete(users.embeddings.users, rows, axis=0)
    )


def test_validation_asks_for_recency_where_taste_drifts(select, users):
    choice = choose_blend(select, users)
    assert choice.blend.scaling.half_life_events is not None
    assert choice.value > 1.1 * choice.alone
    found = users.embeddings_of(choice.blend.scaling)
    scorer = blended(select, VectorScorer(found.users, found.items), choice.blend)
    assert select.judge.ndcg(scorer) == pytest.approx(choice.value)


def test_recency_can_be_switched_off(select, users):
    off = select.config.blend.model_copy(
        update={"recency": False, "lengths": False, "trend": False}
    )
    still = Phase(
        "select", select.log, select.splits, select.config.model_copy(update={"blend": off})
    )
    assert choose_blend(still, users).blend == NO_BLEND


def test_logs_without_times_cannot_fade(tmp_path):
    config = build_config(SECTIONS | {"split": {"method": "random"}})
    ingest(drifting(20).drop("timestamp"), config.data, config.clean, tmp_path)
    phase = Phase("serve", load_log(tmp_path), None, config)
    graph = phase.graph
    found = fit_phase(phase, graph, config.model, epochs=1).embeddings
    assert not TrainedVectors(phase.interactions, found, graph).can_decay


def test_histories_that_learnt_how_events_fade_are_not_faded_again(select):
    model = select.config.model.model_copy(update={"family": "history"})
    found = fit_phase(select, select.graph, model, epochs=1).embeddings
    vectors = TrainedVectors(select.interactions, found, select.graph)
    assert not vectors.can_decay
    assert choose_blend(select, vectors).blend.scaling.half_life_events is None


def test_a_bundle_encodes_its_users_to_their_own_vectors(lookup):
    bundle = lookup.bundle
    anew = UserEncoder(bundle.encoder).encode(bundle.neighbours, bundle.user_self)
    assert np.allclose(anew, bundle.user_vectors, atol=1e-5)


def test_parts_and_rest_are_the_score_of_a_fading_history(lookup):
    user = lookup.bundle.users.ids[0]
    first = lookup.recommend([user], 1)[0]["items"][0]
    found = lookup.explain(user, first["id"])
    total = sum(part["share"] for part in found["parts"]) + found["rest"]
    assert total == pytest.approx(first["score"], abs=1e-5)


def test_a_new_event_ages_the_old_ones(lookup):
    bundle, encoder = lookup.bundle, UserEncoder(lookup.bundle.encoder)
    [name] = bundle.neighbours
    row = bundle.neighbours[name][0].toarray()
    new = int(np.flatnonzero(row[0] == 0)[0])
    aged = row * 2 ** (-1 / HALF_LIFE)
    aged[0, new] = 1.0
    expected = encoder.encode({name: type(bundle.neighbours[name])(aged)}, bundle.user_self[:1])[0]
    answer = lookup.recommend(
        [bundle.users.ids[0]], 3, histories=[[bundle.items.ids[new]]], exclude_seen=False
    )[0]
    best = np.sort(bundle.item_vectors @ expected)[::-1][:3]
    assert answer["source"] == "fold_in"
    assert [item["score"] for item in answer["items"]] == pytest.approx(best.tolist(), abs=1e-5)


def test_a_visitor_s_events_fade_by_time_not_by_the_order_given(lookup):
    ids = lookup.bundle.items.ids
    events = [Event(ids[4], time=50.0), Event(ids[30], time=10.0), Event(ids[12])]
    assert np.allclose(lookup.fold_in(events), lookup.fold_in(events[::-1]))
    later = [events[1], events[0]._replace(time=5.0), events[2]]
    assert not np.allclose(lookup.fold_in(events), lookup.fold_in(later), atol=1e-3)
