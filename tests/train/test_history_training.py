"""Training of the family history: worlds with known answers, kept states, and what it refuses."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
import torch

from histories import chain_log, phase_of
from recsys.core.config import GraphConfig, ModelConfig, TrainConfig
from recsys.core.errors import ConfigError
from recsys.core.interactions import Interactions
from recsys.core.tables import TIME, USER_ID
from recsys.graph.build import build_graph
from recsys.graph.schema import Graph
from recsys.logs.synthetic import communities
from recsys.model.history_network import history_blocks
from recsys.train import history_stepper
from recsys.train.batches import Batch
from recsys.train.forecast import plan_training
from recsys.train.history_stepper import HistoryStepper
from recsys.train.loop import Trained, train
from recsys.train.problem import Problem, new_network
from recsys.train.warm_start import load_states

MODEL = ModelConfig(family="history", width=8, heads=2)
CONFIG = TrainConfig(batch_size=256, share_size=128, negatives=32, lr=0.02, epochs=15)
SHORT = CONFIG.model_copy(update={"epochs": 3})


@pytest.fixture(scope="module")
def timed() -> tuple[Interactions, Graph]:
    log = communities(num_users=80, num_items=40, events_per_user=12, seed=2).log
    phase = phase_of(log)
    return phase, build_graph(phase, GraphConfig())


def in_own_group(trained: Trained, phase: Interactions) -> float:
    """Share of the eight best items that are of the user's community: user n and item n belong to n
    modulo 4; a quarter by chance and by popularity.
    """
    embeddings = trained.embeddings
    best = (embeddings.users @ embeddings.items.T).argsort(axis=1)[:, -8:]
    user_group = np.array([int(name[1:]) % 4 for name in phase.users.ids])
    item_group = np.array([int(name[1:]) % 4 for name in phase.items.ids])
    return float((item_group[best] == user_group[:, None]).mean())


def same_weights(one: Trained, other: Trained) -> bool:
    left, right = one.network.state_dict(), other.network.state_dict()
    return left.keys() == right.keys() and all(torch.equal(left[key], right[key]) for key in left)


@pytest.mark.parametrize("kind", ["seconds", "order", "none"])
def test_communities_are_recovered(kind):
    log = communities(num_users=80, num_items=40, events_per_user=12, seed=2).log
    if kind == "order":
        log = log.with_columns(pl.col(TIME).rank("ordinal").over(USER_ID).cast(pl.Int64))
    phase = phase_of(log, kind)
    graph = build_graph(phase, GraphConfig(half_life_days="none"))
    trained = train(Problem(phase, graph, MODEL), CONFIG, threads=1)
    assert trained.plan.mode == "histories"
    assert in_own_group(trained, phase) > 0.9
    [relation] = trained.embeddings.encoder.relations
    assert (relation.rank_weights is None) == (kind == "none")
    assert (relation.gap_weights is None) == (kind != "seconds")


def test_order_decides_on_a_chain():
    """What comes next follows from the latest event: seen as a set, a history has several ends."""
    log = chain_log()
    is_last = pl.col(TIME) == pl.col(TIME).max().over(USER_ID)
    phase = phase_of(log.filter(~is_last))
    held_out = log.filter(is_last)
    users = phase.users.lookup(held_out["user_id"])
    items = phase.items.lookup(held_out["item_id"])
    graph = build_graph(phase, GraphConfig(half_life_days="none"))
    hits = {}
    for recency in (True, False):
        model = MODEL.model_copy(update={"recency": recency, "width": 16})
        embeddings = train(Problem(phase, graph, model), CONFIG, epochs=15, threads=1).embeddings
        scores = embeddings.users @ embeddings.items.T
        scores[phase.user, phase.item] = -np.inf
        hits[recency] = float((scores[users].argmax(axis=1) == items).mean())
    assert hits[True] > hits[False] + 0.2
    assert hits[True] > 0.6


@pytest.mark.parametrize("user_table", [False, True])
def test_same_seed_same_weights_other_seed_others(timed, user_table):
    model = MODEL.model_copy(update={"user_table": user_table, "attention_dropout": 0.1})
    first, second, other = (
        train(Problem(*timed, model, seed=seed), SHORT, epochs=2, threads=1) for seed in (5, 5, 6)
    )
    assert same_weights(first, second) and not same_weights(first, other)
    assert ("user" in first.network.learnt_types()) == user_table


def test_two_threads_give_the_same_weights_each_time(timed):
    first, second = (train(Problem(*timed, MODEL), SHORT, epochs=2, threads=2) for _ in range(2))
    assert same_weights(first, second)


@pytest.mark.parametrize("steps", [1, 2])
def test_an_interrupted_training_ends_with_the_same_weights(timed, steps, tmp_path, monkeypatch):
    monkeypatch.setattr(history_stepper, "steps_a_pass", lambda plan, config: steps)
    config = CONFIG.model_copy(update={"epochs": 4, "ema": 0.9, "patience": 9})
    judged = []

    def interrupted(embeddings):
        judged.append(embeddings)
        if len(judged) == 3:
            raise KeyboardInterrupt
        return 0.1

    def constant(embeddings):
        return 0.1

    with pytest.raises(KeyboardInterrupt):
        train(Problem(*timed, MODEL), config, folder=tmp_path, validate=interrupted, threads=1)
    resumed = train(Problem(*timed, MODEL), config, folder=tmp_path, validate=constant, threads=1)
    whole = train(Problem(*timed, MODEL), config, validate=constant, threads=1)
    assert len(resumed.history) == 4 and same_weights(resumed, whole)


def test_other_times_are_another_training(tmp_path):
    """Times of an auxiliary behaviour, which the target's pairs do not know of."""
    world = communities(40, 30, events_per_user=10, behaviors=("view", "buy"), seed=3)
    phase = phase_of(world.log, behaviors=("view", "buy"))
    graph = build_graph(phase, GraphConfig(target="buy", half_life_days="none"))
    views = phase.of("view")
    backwards = phase.time.copy()
    backwards[views] = phase.time.max() + phase.time.min() - phase.time[views]
    other_phase = replace(phase, time=backwards)
    train(Problem(phase, graph, MODEL), SHORT, folder=tmp_path, epochs=1, threads=1)
    continued = train(
        Problem(other_phase, graph, MODEL), SHORT, folder=tmp_path, epochs=1, threads=1
    )
    fresh = train(Problem(other_phase, graph, MODEL), SHORT, epochs=1, threads=1)
    assert same_weights(continued, fresh)


def test_a_set_is_the_same_training_at_any_times(timed, tmp_path):
    phase, graph = timed
    model = MODEL.model_copy(update={"recency": False})
    first = train(Problem(phase, graph, model), SHORT, folder=tmp_path, epochs=1, threads=1)
    dated = replace(phase, time=phase.time + 1000)
    again = train(Problem(dated, graph, model), SHORT, folder=tmp_path, epochs=1, threads=1)
    # Read from the checkpoint, clock readings and all.
    assert again.history == first.history


# --- states that are kept for several steps
# ----------------------------------------------------------------------------------------


def stepper_of(timed, steps: int, monkeypatch) -> HistoryStepper:
    phase, graph = timed
    monkeypatch.setattr(history_stepper, "steps_a_pass", lambda plan, config: steps)
    network = new_network(Problem(phase, graph, MODEL, 3))
    device = torch.device("cpu")
    plan = plan_training(graph, MODEL, CONFIG, device)
    stepper = HistoryStepper(network, Problem(phase, graph, MODEL, 3), CONFIG, plan)
    stepper._prepare(0)
    return stepper


def gradients(stepper: HistoryStepper, batch: Batch) -> dict[str, torch.Tensor]:
    """Of one step that changes nothing; 0 where there is none."""
    stepper._gradients(batch, 0)
    found = {}
    for name, parameter in stepper.network.named_parameters():
        gradient = parameter.grad
        found[name] = torch.zeros_like(parameter) if gradient is None else gradient.clone()
    return found


def test_a_pass_hands_on_the_mean_of_its_steps(timed, monkeypatch):
    """While nothing moves: the last step of a pass adds, to its own gradient, what messages are
    worth to the steps of the pass on average.
    """
    exact = stepper_of(timed, 1, monkeypatch)
    batches = list(exact.batches.epoch(0))[:3]
    whole = [gradients(exact, batch) for batch in batches]
    without_messages = stepper_of(timed, 100, monkeypatch)
    direct = [gradients(without_messages, batch) for batch in batches]
    kept = stepper_of(timed, len(batches), monkeypatch)
    steps = [gradients(kept, batch) for batch in batches]
    moved = 0
    for name in whole[0]:
        of_messages = []
        for number in range(len(batches)):
            of_messages.append(whole[number][name] - direct[number][name])
            if number < len(batches) - 1:
                torch.testing.assert_close(steps[number][name], direct[number][name])
        expected = direct[-1][name] + torch.stack(of_messages).mean(0)
        torch.testing.assert_close(steps[-1][name], expected, atol=1e-6, rtol=1e-4)
        moved += int(bool(of_messages[0].abs().max() > 1e-7))
    assert moved > 3
    assert kept._pass is None


def test_the_same_batch_all_through_a_pass_ends_with_its_own_gradient(timed, monkeypatch):
    exact = stepper_of(timed, 1, monkeypatch)
    batch = next(iter(exact.batches.epoch(0)))
    whole = gradients(exact, batch)
    kept = stepper_of(timed, 2, monkeypatch)
    gradients(kept, batch)
    last = gradients(kept, batch)
    for name, expected in whole.items():
        torch.testing.assert_close(last[name], expected, atol=1e-6, rtol=1e-4)


def test_kept_states_learn_as_well(timed, monkeypatch):
    monkeypatch.setattr(history_stepper, "steps_a_pass", lambda plan, config: 3)
    assert in_own_group(train(Problem(*timed, MODEL), CONFIG, threads=1), timed[0]) > 0.9


# --- starts, tables and sides
# ----------------------------------------------------------------------------------------


def test_a_warm_start_takes_over_items_and_shared_numbers(timed, tmp_path):
    phase, graph = timed
    old = train(Problem(phase, graph, MODEL), CONFIG, folder=tmp_path, threads=1)
    warm = load_states(tmp_path).aligned(graph, phase, 8)
    assert warm.known == {"item": phase.num_items}
    starts = ((warm.states, warm.shared), (None, None))
    losses = []
    for start, shared in starts:
        model = MODEL.model_copy(update={"start": "random"})
        trained = train(
            Problem(phase, graph, model, start=start, shared=shared), CONFIG, epochs=1, threads=1
        )
        losses.append(trained.history[0].loss)
    assert losses[0] < losses[1]
    resting = train(
        Problem(phase, graph, MODEL, start=warm.states, shared=warm.shared),
        CONFIG,
        epochs=0,
        threads=1,
    )
    assert np.allclose(resting.embeddings.users, old.embeddings.users, atol=1e-6)


def test_a_table_of_an_earlier_training_is_left_out_without_one(timed, tmp_path):
    phase, graph = timed
    with_table = MODEL.model_copy(update={"user_table": True})
    train(Problem(phase, graph, with_table), SHORT, folder=tmp_path, threads=1)
    warm = load_states(tmp_path).aligned(graph, phase, 8)
    assert set(warm.known) == {"user", "item"}
    trained = train(
        Problem(phase, graph, MODEL, start=warm.states, shared=warm.shared),
        SHORT,
        epochs=1,
        threads=1,
    )
    assert trained.network.learnt_types() == ["item"]


def test_user_dropout_keeps_the_table_from_becoming_necessary(timed):
    """Rows that are often hidden leave visitors with vectors near the members' own."""
    phase, graph = timed
    closeness = []
    for share in (0.0, 0.7):
        config = CONFIG.model_copy(update={"user_dropout": share, "epochs": 30})
        model = MODEL.model_copy(update={"user_table": True})
        trained = train(Problem(phase, graph, model), config, threads=1)
        network = trained.network
        with torch.no_grad():
            rows = network.table("user")
            distance = (rows - network.visitor).norm(dim=1).mean() / rows.norm(dim=1).mean()
        closeness.append(float(distance))
        assert trained.embeddings.user_self.shape == (phase.num_users, 8)
    assert closeness[1] < closeness[0]


def test_without_a_table_own_states_are_one_row_in_memory(timed):
    embeddings = train(Problem(*timed, MODEL), SHORT, epochs=1, threads=1).embeddings
    assert embeddings.user_self.strides[0] == 0
    assert np.array_equal(embeddings.user_self[7], embeddings.encoder.visitor)


@pytest.mark.parametrize("spread", [False, True])
def test_odd_histories_are_learnt_from(spread):
    """All events at one moment; users with a single event; items of a single user, who has no
    others.
    """
    rows = [(f"u{user}", f"i{(user + step) % 9}", 5) for user in range(20) for step in range(3)]
    rows += [("single a", "i1", 5), ("single b", "i2", 5), ("lonely", "only here", 5)]
    log = pl.DataFrame(rows, schema=["user_id", "item_id", TIME], orient="row")
    if spread:
        log = log.with_columns(pl.Series(TIME, np.arange(len(log))[::-1] * 1000))
    phase = phase_of(log)
    trained = train(Problem(phase, build_graph(phase, GraphConfig()), MODEL), SHORT, threads=1)
    embeddings = trained.embeddings
    assert all(np.isfinite(record.loss) for record in trained.history)
    assert np.allclose(np.linalg.norm(embeddings.users, axis=1), 1, atol=1e-5)
    assert np.isfinite(embeddings.items).all() and embeddings.items.any(axis=1).all()


# --- what it refuses
# ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        {"time_respecting": True},
        {"neighbour_positives": 3},
        {"contrast_weight": 0.1},
        {"factor_epochs": 2},
    ],
)
def test_what_only_a_training_on_the_graph_can_do_is_refused(timed, change):
    [name] = change
    config = SHORT.model_copy(update=change)
    with pytest.raises(ConfigError, match=rf"train\.{name} = .* \"history\"") as refused:
        train(Problem(*timed, MODEL), config, epochs=1, threads=1)
    # Both remedies.
    assert f"Leave train.{name} out" in refused.value.remedy
    assert 'set model.family = "degree_prior"' in refused.value.remedy
    train(Problem(*timed, MODEL), SHORT, epochs=1, threads=1)
    other = MODEL.model_copy(update={"family": "degree_prior"})
    phase, graph = timed
    if name == "time_respecting":
        config = config.model_copy(update={"fanouts": [4]})
    train(Problem(phase, graph, other), config, epochs=1, threads=1)


@pytest.mark.parametrize("change", [{"bases": 2}, {"learn_weight_power": True}])
def test_what_only_the_degree_prior_has_is_refused(change):
    with pytest.raises(ConfigError, match="only degree_prior") as refused:
        ModelConfig(family="history", **change)
    [name] = change
    remedy = f'Leave model.{name} out, or set model.family = "degree_prior"'
    assert refused.value.remedy == remedy
    ModelConfig(family="history")
    ModelConfig(family="degree_prior", **change)


@pytest.mark.parametrize("family", ["degree_prior", "gat", "gatv2"])
def test_a_user_table_is_of_the_family_history(family):
    with pytest.raises(ConfigError, match="user_table") as refused:
        ModelConfig(family=family, user_table=True)
    assert refused.value.remedy.startswith("Leave model.user_table out, or set model.family")
    ModelConfig(family=family)
    # The other remedy.
    ModelConfig(family="history", user_table=True)


def test_pooling_by_the_mean_counts_all_neighbours_alike(timed):
    phase, graph = timed
    model = MODEL.model_copy(update={"pooling": "mean", "user_layers": 1})
    trained = train(Problem(phase, graph, model), SHORT)
    network = trained.network
    states = network.node_states(history_blocks(graph, model.layers))["item"]
    adjacency = graph.relations[graph.reverse(graph.target)]
    user = 5
    place = slice(int(adjacency.indptr[user]), int(adjacency.indptr[user + 1]))
    weights = adjacency.weight[place]
    mean = weights @ states[adjacency.indices[place].long()] / weights.sum()
    own = network.own_weight * network.visitor
    vector = own + network.user_weights[0] * mean
    expected = (vector / vector.norm()).detach().numpy()
    assert np.abs(trained.embeddings.users[user] - expected).max() < 1e-5
    fixed = [name for name, _ in network.user_layers.named_parameters() if "exponent" in name]
    assert fixed and all(float(network.user_layers.get_parameter(name)) == 0 for name in fixed)


@pytest.mark.parametrize("family", ["degree_prior", "gat", "gatv2"])
def test_pooling_is_of_the_family_history(family):
    with pytest.raises(ConfigError, match=r"model\.pooling = 'mean'") as error:
        ModelConfig(family=family, pooling="mean")
    assert "history" in str(error.value.remedy)
    assert ModelConfig(family="history", pooling="mean").reads_order is False
