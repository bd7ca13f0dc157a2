import math

import numpy as np
import pytest
import torch
from scipy import sparse

from pipelines.plan import plan
from recsys.core.config import ModelConfig, TrainConfig, build_config
from recsys.core.errors import ConfigError
from recsys.fitting.known_names import require_known_names
from recsys.recommender import GraphRecommender
from recsys.train.batches import Batches
from recsys.train.loop import train
from recsys.train.losses import LOSSES, Loss, pairwise_ranking
from recsys.train.problem import Problem


def test_bpr_equals_the_loop_and_leaves_known_pairs_out():
    user, positive, negative = (torch.randn(6, 4) for _ in range(3))
    each = [
        -math.log(1 / (1 + math.exp(-float(u @ (p - n)))))
        for u, p, n in zip(user, positive, negative, strict=True)
    ]
    nothing = torch.zeros(6, dtype=torch.bool)
    every = pairwise_ranking(user, positive, negative, nothing)
    assert every.item() == pytest.approx(np.mean(each), rel=1e-5)
    known = torch.tensor([True, False, True, False, False, True])
    expected = np.mean(
        [one for one, masked in zip(each, known.tolist(), strict=True) if not masked]
    )
    some = pairwise_ranking(user, positive, negative, known)
    assert some.item() == pytest.approx(expected, rel=1e-5)
    assert pairwise_ranking(user, positive, negative, ~nothing).item() == 0


def hinge(users, positives, rivals, group, config):
    """Mean of max(0, 1 − s⁺ + s⁻)."""
    difference = (users * (positives - rivals)).sum(1)
    return torch.relu(1 - difference).mean()


def test_a_loss_is_added_in_one_place(monkeypatch, phase, graph):
    monkeypatch.setitem(LOSSES, "hinge", Loss(hinge, one_rival=True))
    model = ModelConfig(family="degree_prior", width=8, heads=2, similarity="dot", start="random")
    config = TrainConfig(loss="hinge", epochs=6, batch_size=128, lr=0.05)
    trained = train(Problem(phase, graph, model), config, threads=1)
    losses = [record.loss for record in trained.history]
    assert losses[0] == pytest.approx(1.0, abs=0.1) and losses[-1] < losses[0]


@pytest.mark.parametrize(
    ("name", "remedy"), [("sofmax", "Did you mean 'softmax'"), ("hinge", "Known: softmax, bpr")]
)
def test_an_unknown_loss_is_refused_before_anything_runs(name, remedy):
    config = build_config({"train": {"loss": name}})
    for refuse in (require_known_names, plan):
        with pytest.raises(ConfigError, match=f"train.loss = '{name}'") as caught:
            refuse(config)
        assert remedy in str(caught.value)
    with pytest.raises(ConfigError, match=name):
        GraphRecommender(loss=name).configuration()
    with pytest.raises(ConfigError, match=name):
        Batches(sparse.csr_matrix(np.eye(3, dtype=np.float32)), config.train, 0, None)


def test_the_remedy_works():
    for name in LOSSES:
        assert require_known_names(build_config({"train": {"loss": name}})).train.loss == name
