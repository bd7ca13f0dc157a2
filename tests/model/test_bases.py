"""Relations that share bases: neutral at the start, combined as documented, saved once, exported
like others.
"""

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from recsys.bundle.neighbours import neighbours_into_users
from recsys.core.config import ModelConfig
from recsys.core.errors import ConfigError
from recsys.encode.fold_in import UserEncoder
from recsys.graph.schema import USER, full_block
from recsys.model.export import encoder_state
from recsys.model.network import Network

ADDED = ("relation:cart", "relation:rev_cart", "relation:rev_genres")


def network_of(graph, bases: int | None = 2, **config) -> Network:
    model = ModelConfig(family="degree_prior", width=8, heads=2, bases=bases, **config)
    return Network(graph.num_nodes, list(graph.relations), graph.target, model, seed=1)


@pytest.fixture
def graph(make_graph):
    return make_graph(("buy", "cart"), genres=3)


def moved(network: Network) -> Network:
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.requires_grad:
                parameter.add_(0.3 * torch.randn_like(parameter))
    return network


def test_nothing_changes_at_the_start(graph):
    shared, own = (network_of(graph, bases)(full_block(graph)) for bases in (2, None))
    assert all(torch.equal(shared[kind], own[kind]) for kind in ("user", "item"))


def test_numbers_are_combinations(graph):
    layer = moved(network_of(graph)).layers[0]
    assert layer.bases.bases.shape == (2, 4)
    for name in ADDED:
        a, b, *gamma = (layer.bases.coefficients[name] @ layer.bases.bases).tolist()
        attention = layer.attention[name]
        assert attention.source_exponent.item() == pytest.approx(0.5 + a)
        assert attention.target_exponent.item() == pytest.approx(0.5 + b)
        assert attention.gamma.tolist() == pytest.approx(gamma)
    assert "relation:buy" not in layer.bases.coefficients


def test_every_learnt_number_hears_a_gradient_once_gates_are_open(graph):
    network = moved(network_of(graph))
    found = network(full_block(graph))
    (found["user"] @ found["item"].T).square().sum().backward()
    layer = network.layers[0]
    assert layer.bases.bases.grad.abs().sum() > 0
    assert all(layer.bases.coefficients[name].grad.abs().sum() > 0 for name in ADDED[:2])
    assert all(
        not value.requires_grad
        for name, value in layer.named_parameters()
        if name.endswith("original")
    )


def test_what_is_fixed_stays_fixed(graph):
    layer = moved(network_of(graph, learn_exponents=False, attention=False)).layers[0]
    assert layer.attention["relation:cart"].source_exponent.item() == 0.5
    assert not layer.attention["relation:cart"].gamma.any()


def test_parameters_are_saved_once(graph, tmp_path):
    network = moved(network_of(graph))
    save_file(
        network.state_dict(), tmp_path / "state.safetensors"
    )  # refuses tensors that share memory
    again = network_of(graph)
    again.load_state_dict(load_file(tmp_path / "state.safetensors"))
    assert torch.equal(network(full_block(graph))[USER], again(full_block(graph))[USER])


def test_the_encoder_reads_the_combinations(graph):
    network = moved(network_of(graph)).eval()
    with torch.no_grad():
        encoder = encoder_state(network, graph, list(network.layer_states(full_block(graph))))
        expected = network(full_block(graph))[USER].numpy()
    found = UserEncoder(encoder).encode(
        neighbours_into_users(graph.relations), network.table(USER).detach().numpy()
    )
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_textbook_layers_have_no_bases():
    with pytest.raises(ConfigError, match="only degree_prior has bases"):
        ModelConfig(family="gat", bases=2)


def test_a_graph_of_one_relation_has_nothing_to_share(make_graph):
    assert network_of(make_graph()).layers[0].bases is None
