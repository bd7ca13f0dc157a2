"""The causal block: by hand, beside attention of a whole sequence, and where it says nothing."""

import numpy as np
import pytest
import torch

from histories import phase_of
from recsys.core.config import GraphConfig, ModelConfig, TrainConfig
from recsys.core.errors import ConfigError
from recsys.graph.behaviors import history_blocks_of
from recsys.graph.build import build_graph
from recsys.logs.synthetic import communities
from recsys.model.causal_block import CausalBlock, asking
from recsys.model.history_network import HistoryNetwork, history_blocks
from recsys.train.loop import train
from recsys.train.problem import Problem, new_network

MODEL = ModelConfig(family="history", width=8, heads=2, history=6)
WITH_BLOCK = MODEL.model_copy(update={"causal_block": True})


@pytest.fixture(scope="module")
def world():
    log = communities(num_users=30, num_items=20, events_per_user=7, seed=4).log
    phase = phase_of(log)
    return phase, build_graph(phase, GraphConfig(half_life_days="none"))


def test_the_feed_forward_step_by_hand():
    block = CausalBlock(2, seed=0)
    with torch.no_grad():
        block.into.copy_(torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0], [0.0, 0.0]]))
        block.bias.copy_(torch.tensor([0.0, 0.0, 1.0, 0.0]))
        block.out.copy_(torch.tensor([[1.0, 0.0, 0.0, 5.0], [0.0, 2.0, 1.0, 5.0]]))
    latest, received = torch.tensor([[3.0, 0.0]]), torch.tensor([[0.0, 0.5]])
    # x̂ + ĥ = (1, 1); y = √2 (1, 1) / √2 = (1, 1)
    silu = 1 / (1 + np.exp(-1.0))
    expected = [silu, 2 * silu + silu]
    assert block(latest, received)[0].tolist() == pytest.approx(expected, rel=1e-6)


def test_lengths_of_what_is_said_do_not_matter_and_nothing_is_no_direction():
    block = CausalBlock(4, seed=1)
    torch.nn.init.normal_(block.out)
    latest, received = torch.randn(3, 4), torch.randn(3, 4)
    assert torch.allclose(block(latest, received), block(7 * latest, 0.1 * received), atol=1e-6)
    nothing = torch.zeros(3, 4)
    assert torch.equal(asking(nothing, nothing), nothing)
    assert torch.isfinite(block(nothing, nothing)).all()


def test_a_network_starts_as_one_without_a_block(world):
    phase, graph = world
    without = new_network(Problem(phase, graph, MODEL, 3))
    with_block = new_network(Problem(phase, graph, WITH_BLOCK, 3))
    block = history_blocks_of(graph, phase, MODEL).now(np.arange(phase.num_users))
    vectors = []
    for network in (without, with_block):
        assert isinstance(network, HistoryNetwork)
        vectors.append(network.users(network.node_states(history_blocks(graph, 2)), block))
    assert torch.allclose(vectors[0], vectors[1], atol=1e-6)


def test_the_latest_state_is_that_of_the_last_event(world):
    phase, graph = world
    network = new_network(Problem(phase, graph, WITH_BLOCK, 3))
    assert isinstance(network, HistoryNetwork)
    states = network.node_states(history_blocks(graph, 2))
    block = history_blocks_of(graph, phase, WITH_BLOCK).now(np.arange(phase.num_users))
    latest = network.latest(states, block)
    assert phase.time is not None
    for user in range(phase.num_users):
        rows = np.flatnonzero(phase.user == user)
        item = phase.item[rows[np.argmax(phase.time[rows])]]
        assert torch.equal(latest[user], states["item"][item])


def test_before_a_pair_only_what_came_before_is_known(world):
    phase, graph = world
    network = new_network(Problem(phase, graph, WITH_BLOCK, 3))
    assert isinstance(network, HistoryNetwork)
    states = network.node_states(history_blocks(graph, 2))
    histories = history_blocks_of(graph, phase, WITH_BLOCK)
    pairs = np.arange(phase.num_users * 2)
    order = np.lexsort((phase.item, phase.user))
    users, items = phase.user[order][pairs], phase.item[order][pairs]
    latest = network.latest(states, histories.before(pairs, users.astype(np.int64), (0,)))
    assert phase.time is not None
    for number, (user, item) in enumerate(zip(users, items, strict=True)):
        own = (phase.user == user) & (phase.item == item)
        earlier = (phase.user == user) & (phase.time < phase.time[own][0])
        if earlier.any():
            rows = np.flatnonzero(earlier)
            last = phase.item[rows[np.argmax(phase.time[rows])]]
            assert torch.equal(latest[number], states["item"][last])


def test_training_moves_the_block(world):
    phase, graph = world
    config = TrainConfig(batch_size=64, share_size=64, negatives=16, epochs=2, top_k=0, horizon=1)
    network = train(Problem(phase, graph, WITH_BLOCK), config).network
    assert isinstance(network, HistoryNetwork) and network.causal_block is not None
    assert network.causal_block.out.abs().max() > 0.01


@pytest.mark.parametrize(
    "change",
    [{"family": "gat"}, {"recency": False}, {"pooling": "mean"}, {"family": "degree_prior"}],
)
def test_a_block_without_an_order_to_read_is_refused(change):
    with pytest.raises(ConfigError, match=r"model\.causal_block"):
        ModelConfig(causal_block=True, **change)
    ModelConfig(**change)


def test_a_block_for_a_log_without_times_is_refused():
    phase = phase_of(communities(num_users=20, num_items=10, seed=1).log, "none")
    graph = build_graph(phase, GraphConfig())
    with pytest.raises(ConfigError, match="which event was the latest") as error:
        new_network(Problem(phase, graph, WITH_BLOCK))
    assert "data.time_col" in str(error.value.remedy)
    new_network(Problem(phase, graph, MODEL))
