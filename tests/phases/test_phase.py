"""What a phase works out from its own rows."""

from dataclasses import replace

import numpy as np
import pytest

from recsys.core.config import GraphConfig, ModelConfig, with_overrides
from recsys.core.errors import ConfigError, UsageError
from recsys.fitting.fit import fit_phase
from recsys.logs.ingest import ingest, load_log
from recsys.logs.split import split_log
from recsys.logs.synthetic import communities
from recsys.model.history_network import HistoryNetwork
from recsys.phases import judge
from recsys.phases.phase import Phase

DAY = 86_400


@pytest.fixture(scope="module")
def coded(tmp_path_factory):
    folder = tmp_path_factory.mktemp("coded")
    config = with_overrides({}, ["data.time_col=timestamp"])
    ingest(
        communities(num_users=30, num_items=20, events_per_user=8, seed=0).log,
        config.data,
        config.clean,
        folder,
    )
    return load_log(folder)


def phase_of(coded, name, *sets):
    config = with_overrides({}, ["split.test_share=0.3", *sets])
    splits = None if name == "serve" else split_log(coded, config.split, "interaction", 0)
    return Phase(name, coded, splits, config)


@pytest.mark.parametrize("name", ["select", "final", "serve"])
def test_edges_halve_in_an_eighth_of_what_the_phase_has_seen(coded, name):
    phase = phase_of(coded, name)
    time = phase.interactions.time
    assert phase.graph_config.half_life_days == pytest.approx((time.max() - time.min()) / DAY / 8)


def test_the_half_life_knows_nothing_of_what_is_held_out(coded):
    lives = [
        phase_of(coded, name).graph_config.half_life_days for name in ("select", "final", "serve")
    ]
    assert lives[0] < lives[1] < lives[2]


def test_the_newest_edge_weighs_1_and_one_a_half_life_older_half(coded):
    phase = phase_of(coded, "final")
    edges, days = (
        phase.graph.relations[("user", "interaction", "item")],
        phase.graph_config.half_life_days,
    )
    expected = np.exp2(-(phase.interactions.time.max() - edges.time.numpy()) / DAY / days)
    np.testing.assert_allclose(edges.weight.numpy(), expected, rtol=1e-5)


@pytest.mark.parametrize("sets", [["split.method=random"], ["graph.half_life_days=none"]])
def test_edges_do_not_fade_where_nothing_comes_later_or_nobody_wants_it(coded, sets):
    phase = phase_of(coded, "final", *sets)
    assert phase.graph_config.half_life_of() is None
    assert (phase.graph.relations[("user", "interaction", "item")].weight == 1).all()


def test_edges_do_not_fade_without_times_or_within_one_moment(coded):
    timeless = replace(coded, rows=coded.rows.drop("timestamp"))
    same = replace(
        coded, rows=coded.rows.with_columns(timestamp=0 * coded.rows.collect()["timestamp"])
    )
    for log in (timeless, same):
        assert Phase("serve", log, None, with_overrides({}, [])).graph_config.half_life_of() is None


def test_days_that_are_given_stand(coded):
    assert phase_of(coded, "final", "graph.half_life_days=3").graph_config.half_life_of() == 3


def test_a_behaviour_may_age_at_its_own_rate():
    config = GraphConfig(half_life_days=10, behavior_half_life_days={"view": 5})
    assert [config.half_life_of(one) for one in ("view", "buy", None)] == [5, 10, 10]


@pytest.mark.parametrize("wrong", ["0", "-2", "soon"])
def test_a_half_life_that_is_none_is_named(wrong):
    with pytest.raises(ConfigError, match=r"graph\.half_life_days"):
        with_overrides({}, [f"graph.half_life_days={wrong}"])


def test_older_run_folders_say_null():
    assert GraphConfig.model_validate({"half_life_days": None}).half_life_days == "none"


def test_the_graph_is_built_once_and_another_one_can_stand_in_its_place(coded):
    phase = phase_of(coded, "final")
    assert phase.graph is phase.graph
    other = phase_of(coded, "select").graph
    replaced = phase.with_graph(other)
    assert replaced.graph is other
    assert phase.graph is not other
    assert replaced.judge.held_out.user.tolist() == phase.judge.held_out.user.tolist()


def test_nothing_is_held_out_from_what_is_served(coded):
    with pytest.raises(UsageError, match="'serve'"):
        _ = phase_of(coded, "serve").judge.held_out


def test_choices_look_at_a_bounded_number_of_users_and_the_test_at_all(coded, monkeypatch):
    everybody = phase_of(coded, "select").judge.held_out_users
    tested = phase_of(coded, "final").judge.held_out_users
    monkeypatch.setattr(judge, "VALIDATION_USERS", 5)

    some = phase_of(coded, "select").judge.held_out_users
    assert len(some) == 5 < len(everybody)
    assert np.isin(some, everybody).all() and (np.diff(some) > 0).all()
    assert np.array_equal(phase_of(coded, "final").judge.held_out_users, tested)


@pytest.mark.parametrize("name", ["select", "final", "serve"])
@pytest.mark.parametrize(
    ("method", "is_later"), [("random", False), ("last_share", True), ("global_time", True)]
)
def test_order_is_read_where_the_split_asks_for_what_comes_later(coded, name, method, is_later):
    phase = phase_of(coded, name, f"split.method={method}")
    assert phase.settled(ModelConfig()).recency is is_later
    assert phase.settled(ModelConfig(recency=not is_later)).recency is not is_later
    # A causal block needs an order, whatever the split.
    assert phase.settled(ModelConfig(causal_block=True)).recency is True


def test_pairs_held_out_at_random_are_asked_of_a_set(coded):
    sets = ["split.method=random", "train.epochs=1", "model.width=8", "model.heads=2"]
    phase = phase_of(coded, "select", *sets)
    network = fit_phase(phase, phase.graph, phase.config.model, epochs=1).network
    assert isinstance(network, HistoryNetwork) and not network.recency
    ordered = phase_of(coded, "select", *sets[1:], "split.method=last_share")
    network = fit_phase(ordered, ordered.graph, ordered.config.model, epochs=1).network
    assert isinstance(network, HistoryNetwork) and network.recency
