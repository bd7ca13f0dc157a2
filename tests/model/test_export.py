import numpy as np
import pytest
import torch
from scipy import sparse

from recsys.core.config import GraphConfig, ModelConfig
from recsys.core.encoder import EncoderState
from recsys.encode.fold_in import UserEncoder
from recsys.graph.schema import USER, Graph, full_block
from recsys.model.export import encoder_state
from recsys.model.network import Network


def trained(graph: Graph, family: str) -> Network:
    config = ModelConfig(family=family, width=8, heads=2)
    network = Network(graph.num_nodes, list(graph.relations), graph.target, config, seed=1)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return network.eval()


def export(network: Network, graph: Graph, config: GraphConfig | None = None) -> EncoderState:
    with torch.no_grad():
        return encoder_state(
            network, graph, list(network.layer_states(full_block(graph))), None, config
        )


def neighbours(graph: Graph) -> dict[str, sparse.csr_matrix]:
    return {
        relation[1]: sparse.csr_matrix(
            (adjacency.weight.numpy(), adjacency.indices.numpy(), adjacency.indptr.numpy()),
            shape=(adjacency.num_dst, adjacency.num_src),
        )
        for relation, adjacency in graph.relations.items()
        if relation[2] == USER
    }


def test_numpy_gives_the_networks_users(make_graph):
    graph = make_graph(("buy", "view", "cart"), genres=3, similar=True)
    network = trained(graph, "degree_prior")
    found = UserEncoder(export(network, graph)).encode(
        neighbours(graph), network.table(USER).detach().numpy()
    )
    np.testing.assert_allclose(found, network(full_block(graph))[USER].detach(), atol=1e-5)


def leaky(values: np.ndarray) -> np.ndarray:
    return np.where(values > 0, values, 0.2 * values)


def textbook_messages(
    state: EncoderState, layer: int, name: str, sent: np.ndarray, target: np.ndarray
) -> np.ndarray:
    """out_r of one target from its neighbours' states (neighbours, d), by the formulae of
    core.encoder.
    """
    weights = {
        key.split(".")[2]: value
        for key, value in state.dense.items()
        if key.startswith(f"{layer}.{name}.")
    }
    x = sent @ weights["source"].T + weights.get("source_bias", 0)
    y = target @ weights["target"].T + weights.get("target_bias", 0)
    x, y = x.reshape(len(x), state.heads, -1), y.reshape(state.heads, -1)
    if state.family == "gat":
        logits = leaky((x * weights["left"]).sum(-1) + (y * weights["right"]).sum(-1))
    else:
        logits = (leaky(x + y) * weights["attend"]).sum(-1)
    alpha = np.exp(logits) / np.exp(logits).sum(0)
    return (alpha[..., None] * x).sum(0).ravel() + weights.get("bias", 0)


def textbook_user(
    state: EncoderState, edges: dict[str, sparse.csr_matrix], user: int, own: np.ndarray
) -> np.ndarray:
    hidden, total = own, state.layer_weights[0] * own
    for layer in range(1, state.layers + 1):
        out, added = np.zeros_like(hidden), []
        for relation in state.relations:
            sources = edges[relation.name][user].indices
            if not len(sources):
                continue
            sent = state.states[relation.source][layer - 1][sources]
            mixed = textbook_messages(state, layer, relation.name, sent, hidden)
            if relation.base:
                out = out + mixed
            else:
                added.append((relation, mixed))
        close = [
            r.kappa[layer - 1] * (hidden @ m / np.linalg.norm(hidden) / np.linalg.norm(m))
            for r, m in added
        ]
        for (relation, mixed), one in zip(added, np.exp(close), strict=True):
            out = out + np.tanh(relation.gate[layer - 1]) * one / np.exp(close).sum() * mixed
        hidden = (
            out if layer == state.layers else np.where(out > 0, out, np.expm1(np.minimum(out, 0)))
        )
        total = total + state.layer_weights[layer] * hidden
    return total / np.linalg.norm(total)


@pytest.mark.parametrize("family", ["gat", "gatv2"])
def test_the_documented_formulae_give_the_networks_users(make_graph, family):
    graph = make_graph(("buy", "view"))
    network = trained(graph, family)
    state, edges, own = (
        export(network, graph),
        neighbours(graph),
        network.table(USER).detach().numpy(),
    )
    expected = network(full_block(graph))[USER].detach().numpy()
    for user in range(len(own)):
        np.testing.assert_allclose(
            textbook_user(state, edges, user, own[user]), expected[user], atol=1e-5
        )


@pytest.mark.parametrize("family", ["degree_prior", "gat", "gatv2"])
def test_what_is_exported_survives_its_files(make_graph, tmp_path, family):
    graph = make_graph(("buy", "view"), genres=2)
    config = GraphConfig(behavior_weights={"view": 0.25}, half_life_days=30, use_weights=True)
    state = export(trained(graph, family), graph, config)
    state.save(tmp_path)
    loaded = EncoderState.load(tmp_path)
    assert loaded.dense.keys() == state.dense.keys()
    assert [(r.name, r.behavior, r.weight, r.base) for r in loaded.relations] == [
        ("rev_buy", "buy", 1.0, True),
        ("rev_view", "view", 0.25, False),
    ]
    assert (loaded.half_life_days, loaded.use_weights, loaded.layers) == (30, True, 2)
    assert loaded.relations[0].gamma.shape == (2, 2)
    assert loaded.states["item"].shape == (2, 15, 8)
    assert list(loaded.states) == ["item"]
