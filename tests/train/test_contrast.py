import math

import numpy as np
import pytest
import torch

from recsys.core.config import ModelConfig, TrainConfig
from recsys.graph.schema import ITEM, USER, full_block
from recsys.model.network import Network
from recsys.train.batches import Batch
from recsys.train.candidates import CandidateGroup
from recsys.train.contrast import contrast
from recsys.train.loop import train
from recsys.train.problem import Problem

MODEL = ModelConfig(family="degree_prior", width=8, heads=2)


def test_by_hand():
    # Users 0 and 2 of three, the first twice; their views agree and are orthogonal: ln(1 + e^−2)
    # each. One item: 0.
    nothing = torch.zeros(0)
    share = CandidateGroup(
        torch.tensor([0, 2, 0]), torch.tensor([1, 1, 1]), nothing, nothing, nothing, nothing
    )
    batch = Batch((share,), 3, None, None, nothing, nothing, 0)
    early = {USER: torch.tensor([[3.0, 0.0], [9.0, 9.0], [0.0, 1.0]]), ITEM: torch.ones(2, 2)}
    final = {USER: torch.tensor([[1.0, 0.0], [9.0, 9.0], [0.0, 5.0]]), ITEM: torch.ones(2, 2)}
    assert contrast(early, final, batch, 0.5).item() == pytest.approx(
        math.log(1 + math.exp(-2)), rel=1e-6
    )


def test_noise_has_its_length_and_the_signs_of_the_state(graph):
    network = Network(
        graph.num_nodes,
        list(graph.relations),
        graph.target,
        MODEL.model_copy(update={"layers": 1}),
        0,
    )
    block = full_block(graph)
    plain, noisy = (list(network.layer_states(block, noise=noise)) for noise in (0.0, 0.25))
    assert all(torch.equal(plain[0][kind], noisy[0][kind]) for kind in (USER, ITEM))
    for kind in (USER, ITEM):
        added = noisy[1][kind] - plain[1][kind]
        assert torch.allclose(added.norm(dim=1), 0.25 * plain[1][kind].norm(dim=1), atol=1e-5)
        assert (added * plain[1][kind] >= 0).all()


@pytest.mark.parametrize("mode", ["full", "sampled"])
def test_training_with_contrast_is_repeatable_and_sees_no_noise_in_the_end(mode, phase, graph):
    plain, *others = (
        train(
            Problem(phase, graph, MODEL),
            TrainConfig(mode=mode, contrast_weight=weight, batch_size=256, negatives=16, epochs=2),
            threads=1,
        )
        for weight in (0.0, 0.1, 0.1)
    )
    assert (others[0].embeddings.users == others[1].embeddings.users).all()
    assert not np.allclose(plain.embeddings.users, others[0].embeddings.users)
    assert others[0].history[0].loss > plain.history[0].loss
