import pytest
import torch
from torch import nn

from recsys.core.config import ModelConfig, TrainConfig
from recsys.train.average import WeightAverage
from recsys.train.loop import train
from recsys.train.problem import Problem

MODEL = ModelConfig(family="degree_prior", width=8, heads=2)


def config(**changes) -> TrainConfig:
    return TrainConfig(**({"batch_size": 256, "negatives": 32, "lr": 0.02, "epochs": 3} | changes))


def scalar(value: float) -> nn.Module:
    module = nn.Module()
    module.weight = nn.Parameter(torch.tensor(value))
    return module


def test_average_by_hand():
    # Decay ½ over 1, 2, 4: (4 + 2/2 + 1/4) / (1 + 1/2 + 1/4) = 3; the first weight, 9, leaves no
    # trace.
    network = scalar(9.0)
    average = WeightAverage(network, 0.5)
    for value in (1.0, 2.0, 4.0):
        network.weight.data.fill_(value)
        average.add()
    assert average.values["weight"].item() == pytest.approx(3.0)
    with average.applied():
        assert network.weight.item() == pytest.approx(3.0)
    assert network.weight.item() == 4.0 and average.values["weight"].item() == pytest.approx(3.0)


def test_restored_average_goes_on():
    whole, parts, network = (scalar(0.0) for _ in range(3))
    once, first, second = (WeightAverage(one, 0.9) for one in (whole, parts, network))
    for step, value in enumerate((3.0, -1.0, 2.0, 5.0)):
        whole.weight.data.fill_(value)
        once.add()
        half, average = (parts, first) if step < 2 else (network, second)
        if step == 2:
            second.restore(first.values, 2)
        half.weight.data.fill_(value)
        average.add()
    assert torch.equal(once.values["weight"], second.values["weight"])


def test_average_changes_what_is_judged_and_kept_but_not_the_path(phase, graph):
    seen = {0.0: [], 0.9: []}
    for decay, users in seen.items():

        def validate(embeddings, users=users):
            users.append(embeddings.users.copy())
            return float(len(users))

        trained = train(
            Problem(phase, graph, MODEL), config(ema=decay), validate=validate, threads=1
        )
        assert (trained.embeddings.users == users[-1]).all()
        users.append([record.loss for record in trained.history])
    assert seen[0.0][-1] == seen[0.9][-1]
    assert not (seen[0.0][0] == seen[0.9][0]).all()


def test_vanishing_decay_is_the_last_step(phase, graph):
    last, averaged = (
        train(Problem(phase, graph, MODEL), config(ema=decay), threads=1) for decay in (0.0, 1e-12)
    )
    assert torch.allclose(last.network.table("user"), averaged.network.table("user"), atol=1e-6)


def test_interrupted_average_goes_on(phase, graph, tmp_path):
    judged = []

    def interrupted(_):
        judged.append(1)
        if len(judged) == 2:
            raise KeyboardInterrupt
        return 0.1

    with pytest.raises(KeyboardInterrupt):
        train(
            Problem(phase, graph, MODEL),
            config(ema=0.95),
            folder=tmp_path,
            validate=interrupted,
            threads=1,
        )
    resumed = train(
        Problem(phase, graph, MODEL),
        config(ema=0.95),
        folder=tmp_path,
        validate=lambda _: 0.1,
        threads=1,
    )
    whole = train(Problem(phase, graph, MODEL), config(ema=0.95), validate=lambda _: 0.1, threads=1)
    again = train(
        Problem(phase, graph, MODEL),
        config(ema=0.95),
        folder=tmp_path,
        validate=lambda _: 0.1,
        threads=1,
    )
    assert (resumed.embeddings.users == whole.embeddings.users).all()
    assert (again.embeddings.users == whole.embeddings.users).all()


def test_refit_ends_with_its_average(phase, graph, tmp_path):
    trained = train(
        Problem(phase, graph, MODEL), config(ema=0.95), folder=tmp_path, epochs=2, threads=1
    )
    plain = train(Problem(phase, graph, MODEL), config(), epochs=2, threads=1)
    again = train(
        Problem(phase, graph, MODEL), config(ema=0.95), folder=tmp_path, epochs=2, threads=1
    )
    assert not torch.equal(trained.network.table("user"), plain.network.table("user"))
    assert torch.equal(trained.network.table("user"), again.network.table("user"))
