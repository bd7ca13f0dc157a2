import math

import numpy as np
import pytest
import torch
from scipy import sparse

from recsys.core.config import ModelConfig
from recsys.core.errors import ConfigError, UsageError
from recsys.graph.sampling import BlockSampler
from recsys.graph.schema import Block, Graph, full_block
from recsys.model.layer import relation_name
from recsys.model.network import Network


def network_for(graph: Graph, shaken: bool = True, **options) -> Network:
    """A network on the relations of a graph, all parameters moved away from their start."""
    config = ModelConfig(**({"family": "degree_prior", "width": 8, "heads": 2} | options))
    network = Network(graph.num_nodes, list(graph.relations), graph.target, config, seed=1)
    if shaken:
        with torch.no_grad():
            for parameter in network.parameters():
                if parameter.requires_grad:
                    parameter.add_(0.3 * torch.randn_like(parameter))
    return network


def dense_of(adjacency) -> np.ndarray:
    arrays = (
        adjacency.weight.double().numpy(),
        adjacency.indices.numpy(),
        adjacency.indptr.numpy(),
    )
    return sparse.csr_matrix(arrays, shape=(adjacency.num_dst, adjacency.num_src)).toarray()


def cosine(x, y) -> float:
    lengths = np.linalg.norm(x) * np.linalg.norm(y)
    return float(x @ y / lengths) if lengths else 0.0


def oracle_relation(attention, dense, source, target) -> np.ndarray:
    """out_r of every target, one edge and head at a time."""
    a, b, gamma = (p.detach().double().numpy() for p in attention.parameters())
    degree_u, degree_v = dense.sum(0), dense.sum(1)
    out = np.zeros_like(target)
    width = source.shape[1] // len(gamma)
    for v, u_all in ((v, np.flatnonzero(row)) for v, row in enumerate(dense)):
        prior = {u: dense[v, u] * degree_u[u] ** -a for u in u_all}
        for m in range(len(gamma)):
            part = slice(m * width, (m + 1) * width)
            weight = {
                u: prior[u] * math.exp(gamma[m] * cosine(source[u, part], target[v, part]))
                for u in u_all
            }
            for u in u_all:
                share = weight[u] / sum(weight.values())
                out[v, part] += sum(prior.values()) * degree_v[v] ** -b * share * source[u, part]
    return out


def oracle(network: Network, graph: Graph) -> dict[str, np.ndarray]:
    """z of every node by the formulae of core.encoder, written as loops over nodes and relations."""
    states = {kind: network.table(kind).detach().double().numpy() for kind in graph.num_nodes}
    weights = network.layer_weights.detach().double().numpy()
    total = {kind: weights[0] * h for kind, h in states.items()}
    for place, layer in enumerate(network.layers):
        fresh = {}
        for kind, h in states.items():
            out, added = np.zeros_like(h), []
            for relation, adjacency in graph.relations.items():
                if relation[2] != kind:
                    continue
                dense = dense_of(adjacency)
                mixed = oracle_relation(layer.of(relation), dense, states[relation[0]], h)
                if relation == graph.base_relation(kind):
                    out = out + mixed
                else:
                    added.append((relation_name(relation), dense.sum(1) > 0, mixed))
            for v in range(len(h)):
                here = [(name, mixed[v]) for name, present, mixed in added if present[v]]
                score = [math.exp(layer.kappa[name].item() * cosine(h[v], o)) for name, o in here]
                for (name, o), s in zip(here, score, strict=True):
                    out[v] += math.tanh(layer.gate[name].item()) * s / sum(score) * o
            fresh[kind] = out
        states = fresh
        total = {kind: total[kind] + weights[place + 1] * h for kind, h in states.items()}
    lengths = {kind: np.linalg.norm(z, axis=1, keepdims=True) for kind, z in total.items()}
    return {kind: z / np.where(lengths[kind] > 0, lengths[kind], 1) for kind, z in total.items()}


@pytest.mark.parametrize("behaviors", [("buy",), ("buy", "view", "cart")])
def test_equals_the_loops(make_graph, behaviors):
    graph = make_graph(behaviors, genres=4, similar=len(behaviors) > 1)
    network = network_for(graph)
    found, expected = network(full_block(graph)), oracle(network, graph)
    for kind in graph.num_nodes:
        np.testing.assert_allclose(found[kind].detach(), expected[kind], atol=3e-6)


def test_starts_as_lightgcn_on_its_target_relation(make_graph):
    """Gates, γ at 0: the average of E, ÂE, Â²E (He et al. 2020, eq. 3-5), whatever relations were
    added.
    """
    graph = make_graph(("buy", "view"), genres=3, similar=True)
    network = network_for(graph, shaken=False, similarity="dot")
    dense = dense_of(graph.relations[graph.target])
    items, users = dense.shape
    whole = np.block([[np.zeros((users, users)), dense.T], [dense, np.zeros((items, items))]])
    degree = whole.sum(0)
    root = sparse.diags(np.where(degree > 0, np.where(degree > 0, degree, 1) ** -0.5, 0))
    normalised = root @ sparse.csr_matrix(whole) @ root
    start = np.concatenate(
        [network.table(kind).detach().double().numpy() for kind in ("user", "item")]
    )
    expected = (start + normalised @ start + normalised @ (normalised @ start)) / 3
    z = network(full_block(graph))
    np.testing.assert_allclose(torch.cat([z["user"], z["item"]]).detach(), expected, atol=1e-6)


@pytest.mark.parametrize("family", ["degree_prior", "gat", "gatv2"])
def test_blocks_with_every_neighbour_equal_the_full_graph(make_graph, family):
    graph = make_graph(("buy", "view"), genres=3, similar=True)
    network = network_for(graph, family=family)
    seeds = {"user": torch.tensor([3, 1, 7]), "item": torch.tensor([2, 11])}
    blocks = BlockSampler(graph, [1000, 1000], 2).sample(seeds, None, 0)
    whole, drawn = network(full_block(graph)), network(blocks)
    for kind, ids in seeds.items():
        torch.testing.assert_close(drawn[kind][: len(ids)], whole[kind][ids], atol=1e-6, rtol=1e-5)


def test_gradients_through_blocks_equal_those_of_the_full_graph(make_graph):
    graph = make_graph(("buy", "view"))
    gradients = []
    for blocks in (
        full_block(graph),
        BlockSampler(graph, [1000], 2).sample({"user": torch.arange(20)}, None, 0),
    ):
        torch.manual_seed(2)
        network = network_for(graph)
        z = network(blocks)["user"]
        (z * torch.arange(8.0)).sum().backward()
        gradients.append({name: p.grad for name, p in network.named_parameters()})
    for name, gradient in gradients[0].items():
        none = torch.zeros_like(dict(network.named_parameters())[name])
        found, expected = (none if one is None else one for one in (gradients[1][name], gradient))
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)


def mean_of_samples(network: Network, graph: Graph, draws: int) -> torch.Tensor:
    sampler = BlockSampler(graph, [3], 1)
    with torch.no_grad():
        return torch.stack(
            [
                network(sampler.sample({"user": torch.arange(20)}, None, seed))["user"]
                for seed in range(draws)
            ]
        ).mean(0)


def test_sampled_sums_are_unbiased_at_gamma_zero(make_graph):
    graph = make_graph()
    network = network_for(graph, layers=1, attention=False, similarity="dot")
    whole = network(full_block(graph))["user"]
    torch.testing.assert_close(mean_of_samples(network, graph, 1000), whole, atol=0.04, rtol=0.04)


@pytest.mark.parametrize("attention", [True, False])
def test_refreshed_mass_is_exact(make_graph, attention):
    """With equal source states only the mass is left to estimate: every sample gives the full
    graph's answer.
    """
    graph = make_graph()
    network = network_for(graph, layers=1, attention=attention, similarity="dot")
    with torch.no_grad():
        network.table("item").copy_(torch.ones(15, 1) * torch.arange(1.0, 9.0))
    whole = network(full_block(graph))["user"]
    blocks = BlockSampler(graph, [2], 1).sample({"user": torch.arange(20)}, None, 5)
    assert not torch.allclose(network(blocks)["user"], whole, atol=1e-3)
    network.refresh_mass(graph)
    torch.testing.assert_close(network(blocks)["user"], whole)
    assert torch.equal(network(full_block(graph))["user"], whole)
    assert not [name for name in network.state_dict() if "mass" in name]


def test_refreshed_mass_still_teaches_the_exponent(make_graph):
    graph = make_graph()
    network = network_for(graph, layers=1)
    network.refresh_mass(graph)
    network(BlockSampler(graph, [2], 1).sample({"user": torch.arange(20)}, None, 5))["user"][
        :, 0
    ].sum().backward()
    assert network.layers[0].of(("item", "rev_buy", "user")).source_exponent.grad.abs() > 0


def test_hidden_users_start_as_the_visitor(make_graph):
    graph = make_graph()
    network = network_for(graph)
    hidden = torch.arange(20) == 4
    found = network(full_block(graph), hidden)
    assert not torch.allclose(found["user"][4], network(full_block(graph))["user"][4])
    with torch.no_grad():
        network.table("user")[4] = network.visitor
    expected = network(full_block(graph))
    for kind in expected:
        torch.testing.assert_close(found[kind], expected[kind])


def test_users_without_events_keep_their_own_direction(make_graph):
    graph = make_graph()
    network = network_for(graph)
    z = network(full_block(graph))["user"]
    own = torch.nn.functional.normalize(network.layer_weights[0] * network.table("user"), dim=1)
    torch.testing.assert_close(z[::10], own[::10])
    torch.testing.assert_close(z.norm(dim=1), torch.ones(20))


def test_dot_similarity_leaves_lengths_alone(make_graph):
    graph = make_graph()
    assert not torch.allclose(
        network_for(graph, similarity="dot")(full_block(graph))["user"].norm(dim=1), torch.ones(20)
    )


def test_parameters_start_where_the_contract_says(make_graph):
    graph = make_graph(("buy", "view"))
    network = network_for(graph, shaken=False, layers=3, exponent=0.25)
    assert network.layer_weights.tolist() == pytest.approx([0.25] * 4)
    layer = network.layers[0]
    attention = layer.of(graph.target)
    assert (attention.source_exponent.item(), attention.target_exponent.item()) == (0.25, 0.25)
    assert attention.gamma.tolist() == [0.0, 0.0]
    added = {relation_name(("user", "view", "item")), relation_name(("item", "rev_view", "user"))}
    assert set(layer.gate) == added == set(layer.kappa)
    assert not any(gate.item() for gate in layer.gate.values())


def test_attribute_nodes_hear_their_base_relation_ungated(make_graph):
    graph = make_graph(genres=3)
    assert relation_name(("item", "genres", "item:genres")) not in network_for(graph).layers[0].gate
    assert relation_name(("item:genres", "rev_genres", "item")) in network_for(graph).layers[0].gate


@pytest.mark.parametrize("family", ["degree_prior", "gat", "gatv2"])
def test_the_seed_decides_the_start_and_nobody_else_notices(make_graph, family):
    graph = make_graph()
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    first, second = (network_for(graph, shaken=False, family=family) for _ in range(2))
    assert torch.equal(torch.rand(3), expected)
    assert all(
        torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True)
    )


def test_names_that_torch_does_not_take(make_graph):
    graph = make_graph(("a.b", "", "type", "pop"))
    network = network_for(graph)
    network.load_state_dict(network.state_dict())
    assert network(full_block(graph))["user"].isfinite().all()


def test_load_start(make_graph):
    graph = make_graph()
    network = network_for(graph)
    states = np.random.default_rng(0).normal(size=(20, 8)).astype(np.float32)
    network.load_start({"user": states})
    assert torch.equal(network.layer0("user", torch.arange(20)), torch.from_numpy(states))
    np.testing.assert_allclose(network.visitor.detach(), states.mean(0), atol=1e-6)
    with pytest.raises(UsageError, match=r"'item' have shape \(3, 8\)"):
        network.load_start({"item": states[:3]})


def test_heads_must_divide_the_width(make_graph):
    with pytest.raises(ConfigError, match=r"model.width = 8 is not a multiple of model.heads = 3"):
        network_for(make_graph(), heads=3)


def test_one_block_a_layer(make_graph):
    graph = make_graph()
    with pytest.raises(UsageError, match="1 blocks for a network of 2 layers"):
        network_for(graph)([full_block(graph)])


def test_a_relation_that_a_block_leaves_out_is_silent(make_graph):
    graph = make_graph(("buy", "view"))
    network = network_for(graph, layers=1)
    block = full_block(graph)
    only = Block(
        block.nodes, block.num_dst, {k: m for k, m in block.messages.items() if "view" not in k[1]}
    )
    assert not torch.allclose(network(only)["user"], network(block)["user"])
