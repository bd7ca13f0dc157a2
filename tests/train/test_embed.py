from dataclasses import replace

import numpy as np
import pytest
import torch

from recsys.bundle.neighbours import neighbours_into_users
from recsys.core.config import ModelConfig, TrainConfig
from recsys.core.features import FeatureColumn
from recsys.encode.fold_in import UserEncoder
from recsys.graph.schema import ITEM, USER, Features, full_block
from recsys.model.network import Network
from recsys.train.embed import degree_lengths, embed, embed_histories
from recsys.train.loop import train
from recsys.train.problem import Problem, new_network

MODEL = ModelConfig(family="degree_prior", width=8, heads=2)


@pytest.fixture
def network(graph) -> Network:
    return Network(
        graph.num_nodes,
        list(graph.relations),
        graph.target,
        MODEL.model_copy(update={"popularity": 0.0}),
        0,
    )


def test_vectors_are_those_of_the_forward_pass(network, graph, phase):
    found = embed(network, graph, phase)
    with torch.no_grad():
        z = network(full_block(graph))
    assert np.allclose(found.users, z[USER].numpy(), atol=1e-6)
    assert np.allclose(found.items, z[ITEM].numpy(), atol=1e-6)
    assert np.allclose(found.user_self, network.table(USER).detach().numpy())
    assert found.encoder.layers == 2 and found.encoder.heads == 2


def test_an_item_taken_more_often_has_the_longer_vector(graph, phase):
    model = MODEL.model_copy(update={"popularity": 0.5})
    found = train(Problem(phase, graph, model), TrainConfig(epochs=1), threads=1).embeddings
    degrees = np.bincount(phase.item, minlength=phase.num_items)
    assert np.allclose(
        np.linalg.norm(found.items, axis=1), np.sqrt(degrees / degrees.max()), atol=1e-5
    )
    assert np.allclose(np.linalg.norm(found.users, axis=1), 1, atol=1e-5)


def test_trained_lengths_are_those_before_items_got_their_own(graph, phase):
    cosine, dot = (
        Network(
            graph.num_nodes,
            list(graph.relations),
            graph.target,
            MODEL.model_copy(update={"similarity": one}),
            0,
        )
        for one in ("cosine", "dot")
    )
    dot.load_state_dict(cosine.state_dict())
    with torch.no_grad():
        lengths = dot(full_block(graph))[ITEM].norm(dim=1).numpy()
    found = embed(cosine, graph, phase).item_lengths
    assert found is not None and np.allclose(found, lengths / lengths.mean(), rtol=1e-4)
    assert embed(dot, graph, phase).item_lengths is None


def test_length_by_hand(graph):
    degrees = graph.relations[graph.target].indptr.diff().numpy()
    lengths = degree_lengths(graph, 1.0)
    assert lengths[degrees.argmax()] == 1
    assert lengths[0] == pytest.approx(degrees[0] / degrees.max())
    assert (degree_lengths(graph, 0.0) == 1).all()


def test_embedding_leaves_training_mode_as_it_was(network, graph, phase):
    embed(network.train(), graph, phase)
    assert network.training
    embed(network.eval(), graph, phase)
    assert not network.training


def test_own_states_of_a_user_table_hold_the_features_of_users(phase, graph):
    """What serving adds to a user's neighbours is what the network added."""
    price = FeatureColumn("price", (0.0,))
    values = torch.linspace(-1.0, 1.0, phase.num_users)[:, None]
    with_features = replace(graph, features={"user": Features((price,), values)})
    model = ModelConfig(family="history", width=8, heads=2, user_table=True)
    network = new_network(Problem(phase, with_features, model))
    with torch.no_grad():
        network.features["user"].projection.fill_(0.7)
    found = embed_histories(network, with_features, phase)
    neighbours = neighbours_into_users(graph.relations)
    vectors = UserEncoder(found.encoder).encode(neighbours, found.user_self)
    assert np.abs(vectors - found.users).max() < 1e-5
