import numpy as np
import pytest
import torch

from recsys.core.config import ModelConfig, TrainConfig
from recsys.graph.sampling import BlockSampler
from recsys.graph.schema import ITEM, USER, Graph, full_block
from recsys.model.edges import edges_of
from recsys.model.network import Network
from recsys.train.edge_dropout import drop_edges
from recsys.train.loop import train
from recsys.train.problem import Problem

MODEL = ModelConfig(family="degree_prior", width=8, heads=2, layers=1)


def network_of(graph: Graph, **changes) -> Network:
    model = MODEL.model_copy(update=changes)
    return Network(graph.num_nodes, list(graph.relations), graph.target, model, 0)


def test_share_of_the_edges_is_silent_and_the_sum_keeps_its_expectation(graph):
    torch.manual_seed(0)
    block = drop_edges(full_block(graph), 0.25)
    for messages in block.messages.values():
        assert messages.keep.unique().tolist() == [0.0, pytest.approx(1 / 0.75)]
        assert 0.15 < (messages.keep == 0).float().mean() < 0.35
        assert messages.keep.mean() == pytest.approx(1, abs=0.12)


def test_no_share_is_the_very_block(graph):
    block = full_block(graph)
    assert drop_edges(block, 0.0) is block


@pytest.mark.parametrize("attention", [True, False])
def test_silent_edges_are_zeros_in_lightgcn(graph, attention):
    torch.manual_seed(1)
    block = drop_edges(full_block(graph), 0.4)
    network = network_of(graph, attention=attention)
    first = list(network.layer_states(block))[1]
    for relation, messages in block.messages.items():
        matrix = torch.zeros(messages.adjacency.num_dst, messages.adjacency.num_src)
        places = messages.adjacency.destinations(), messages.adjacency.indices.long()
        matrix[places] = messages.keep * messages.adjacency.weight
        matrix /= (messages.target_degree[:, None] * messages.source_degree).sqrt()
        assert torch.allclose(first[relation[2]], matrix @ network.table(relation[0]), atol=1e-6)


@pytest.mark.parametrize("family", ["degree_prior", "gat", "gatv2"])
@pytest.mark.parametrize("attention", [True, False])
def test_gradients_through_silent_edges(graph, family, attention):
    torch.manual_seed(2)
    block = drop_edges(full_block(graph), 0.4)
    network = network_of(graph, family=family, attention=attention, start_length=1.0)
    with torch.no_grad():
        for name, value in network.named_parameters():
            if name.endswith("gamma") and attention:
                value.fill_(0.7)
    direction = torch.randn(graph.num_nodes[ITEM], 8)

    def value() -> torch.Tensor:
        return (list(network.layer_states(block))[1][ITEM] * direction).sum()

    table = network.table(USER)
    (slope,) = torch.autograd.grad(value(), table)
    step = torch.zeros_like(table)
    step[3], step[11] = torch.randn(8), torch.randn(8)
    with torch.no_grad():
        before = table.clone()
        table.copy_(before + 5e-3 * step)
        above = value()
        table.copy_(before - 5e-3 * step)
        below = value()
    assert ((above - below) / 1e-2).item() == pytest.approx(
        (slope * step).sum().item(), rel=2e-2, abs=1e-3
    )


def test_what_is_known_of_the_edges_is_used_again(graph):
    block = full_block(graph)
    relation = graph.target
    assert edges_of(drop_edges(block, 0.5).messages[relation]) is edges_of(block.messages[relation])


def test_sampled_blocks_are_thinned_too(graph):
    seeds = {USER: torch.arange(10), ITEM: torch.arange(5)}
    blocks = BlockSampler(graph, [4], 2).sample(seeds)
    for block in drop_edges(blocks, 0.5):
        for messages in block.messages.values():
            assert len(messages.keep) == messages.adjacency.num_edges


@pytest.mark.parametrize("mode", ["full", "sampled"])
def test_training_is_repeatable_and_another_one(mode, phase, graph):
    config = TrainConfig(mode=mode, batch_size=256, negatives=32, epochs=2, fanouts=[5])
    model = MODEL.model_copy(update={"layers": 2})
    plain, *dropped = (
        train(
            Problem(phase, graph, model),
            config.model_copy(update={"edge_dropout": share}),
            threads=1,
        ).embeddings.users
        for share in (0.0, 0.3, 0.3)
    )
    assert (dropped[0] == dropped[1]).all() and not np.allclose(plain, dropped[0])
