"""What a phase works out from its own rows."""

from dataclasses import replace

import numpy as np
import pytest

from recsys.core.config import GraphConfig, with_overrides
from recsys.core.errors import ConfigError, UsageError
from recsys.logs.ingest import ingest, load_log
from recsys.logs.split import split_log
from recsys.logs.synthetic import communities
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
