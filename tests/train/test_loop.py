import gc
import itertools
import time

import numpy as np
import pytest
import torch

from recsys.core.config import GraphConfig, ModelConfig, TrainConfig
from recsys.core.errors import DataError, MachineError
from recsys.core.progress import Quiet
from recsys.graph.build import build_graph
from recsys.logs.synthetic import checkerboard, communities
from recsys.train.loop import _threads, choose_device, forecast, train
from recsys.train.problem import Problem
from recsys.train.stepper import Stepper, learning_rate_factor

MODEL = ModelConfig(family="degree_prior", width=8, heads=2, layers=2)


def config(**changes) -> TrainConfig:
    return TrainConfig(
        **(
            {"batch_size": 256, "share_size": 128, "negatives": 32, "lr": 0.02, "epochs": 6}
            | changes
        )
    )


def weights(trained) -> dict[str, torch.Tensor]:
    return dict(trained.network.state_dict())


def same(left, right) -> bool:
    one, other = weights(left), weights(right)
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("mode", ["full", "sampled"])
def test_checkerboard_is_recovered(mode, make_phase, recall):
    phase = make_phase(checkerboard(20, 20))
    graph = build_graph(phase, GraphConfig())
    trained = train(
        Problem(phase, graph, MODEL), config(mode=mode, epochs=15, temperature=0.1), threads=1
    )
    held = {
        phase.users.internal(f"u{n}"): phase.items.internal(f"i{n}")
        for n in range(20)
        if f"i{n}" in phase.items
    }
    assert recall(trained.embeddings, phase, held, k=1) >= 0.9


@pytest.mark.parametrize("mode", ["full", "sampled"])
@pytest.mark.parametrize("loss", ["softmax", "bpr"])
def test_communities_are_recovered(mode, loss, make_phase):
    world = communities(num_users=80, num_items=40, events_per_user=12, seed=2)
    phase = make_phase(world.log)
    graph = build_graph(phase, GraphConfig())
    model = MODEL.model_copy(
        update={"start": "random", "similarity": "cosine" if loss == "softmax" else "dot"}
    )
    trained = train(
        Problem(phase, graph, model), config(mode=mode, loss=loss, epochs=15), threads=1
    )
    best = (trained.embeddings.users @ trained.embeddings.items.T).argsort(axis=1)[:, -8:]
    group = {id_: n % 4 for n, id_ in enumerate(world.items["item_id"])}
    item_group = np.array([group[id_] for id_ in phase.items.ids])
    user_group = np.array([int(id_[1:]) % 4 for id_ in phase.users.ids])
    assert (item_group[best] == user_group[:, None]).mean() > 0.9


def test_loss_falls_and_history_tells_it(phase, graph):
    trained = train(Problem(phase, graph, MODEL, seed=1), config(), threads=1)
    losses = [record.loss for record in trained.history]
    assert losses[-1] < losses[0]
    assert [record.epoch for record in trained.history] == [1, 2, 3, 4, 5, 6]
    assert trained.stopped == "epochs" and trained.best_epoch == 6 and trained.best_value is None


@pytest.mark.parametrize("mode", ["full", "sampled"])
def test_same_seed_same_weights_other_seed_others(mode, phase, graph):
    first, second = (
        train(Problem(phase, graph, MODEL, seed=5), config(mode=mode, epochs=2), threads=1)
        for _ in range(2)
    )
    other = train(Problem(phase, graph, MODEL, seed=6), config(mode=mode, epochs=2), threads=1)
    assert same(first, second) and not same(first, other)


def test_sampled_with_all_neighbours_is_near_full(phase, graph):
    # The pairs to predict leave the sampled blocks: few of them a step, and the steps are nearly
    # those of the full graph.
    near = {"batch_size": 16, "epochs": 1, "lr": 1e-3, "shared_lr": 1e-3, "user_dropout": 0}
    full, sampled, start = (
        train(
            Problem(phase, graph, MODEL),
            config(mode=mode, fanouts=[1000], **near),
            epochs=epochs,
            threads=1,
        ).embeddings
        for mode, epochs in (("full", None), ("sampled", None), ("full", 0))
    )
    scores = [one.users @ one.items.T for one in (full, sampled, start)]
    assert np.abs(scores[0] - scores[1]).mean() < 0.5 * np.abs(scores[0] - scores[2]).mean()
    assert np.corrcoef(scores[0].ravel(), scores[1].ravel())[0, 1] > 0.95


def test_gradients_start_from_nothing_every_step(phase, graph):
    # With one batch an epoch and a vanishing learning rate, a gradient that piled up would double.
    frozen = config(
        batch_size=10_000,
        share_size=10_000,
        lr=1e-12,
        shared_lr=1e-12,
        user_dropout=0,
        l2=0,
        negatives=0,
        in_batch=True,
    )
    trained = train(Problem(phase, graph, MODEL), frozen, epochs=1, threads=1)
    once = trained.network.table("user").grad.clone()
    again = (
        train(Problem(phase, graph, MODEL), frozen, epochs=3, threads=1).network.table("user").grad
    )
    assert torch.allclose(once, again, atol=1e-6)


def test_running_loss_keeps_no_graph(phase, graph):
    trained = train(Problem(phase, graph, MODEL), config(epochs=3), threads=1)
    gc.collect()
    tensors = (one for one in gc.get_objects() if issubclass(type(one), torch.Tensor))
    assert not [one for one in tensors if one.grad_fn is not None]
    assert all(type(record.loss) is float for record in trained.history)


def test_early_stopping_keeps_the_best_weights(phase, graph):
    values = iter([0.1, 0.5, 0.4, 0.3, 0.2, 0.1])
    stopped = train(
        Problem(phase, graph, MODEL, seed=3),
        config(patience=2),
        validate=lambda _: next(values),
        threads=1,
    )
    refit = train(Problem(phase, graph, MODEL, seed=3), config(), epochs=2, threads=1)
    assert (stopped.stopped, stopped.best_epoch, stopped.best_value) == ("patience", 2, 0.5)
    assert len(stopped.history) == 4
    assert same(stopped, refit)


def test_validation_sees_unit_vectors_every_so_many_epochs(phase, graph):
    seen = []

    def validate(embeddings):
        seen.append(np.linalg.norm(embeddings.users, axis=1))
        return float(len(seen))

    train(
        Problem(phase, graph, MODEL),
        config(epochs=5, validate_every=2),
        validate=validate,
        threads=1,
    )
    assert len(seen) == 3 and np.allclose(seen[0], 1, atol=1e-5)


def test_minutes_are_kept(phase, graph):
    trained = train(Problem(phase, graph, MODEL), config(epochs=500, max_minutes=0.005), threads=1)
    assert trained.stopped == "max_minutes" and len(trained.history) < 500


def test_attention_off_keeps_gamma_at_zero_and_on_moves_it(phase, graph):
    def gammas(attention: bool) -> list[float]:
        model = MODEL.model_copy(update={"attention": attention})
        trained = train(Problem(phase, graph, model), config(epochs=2), threads=1)
        found = [
            value for name, value in trained.network.named_parameters() if name.endswith("gamma")
        ]
        return [float(value.detach().abs().max()) for value in found]

    assert max(gammas(False)) == 0 and min(gammas(True)) > 0


def test_start_states_are_taken_as_given(phase, graph):
    states = {"user": np.full((phase.num_users, 8), 0.5, np.float32)}
    trained = train(Problem(phase, graph, MODEL, start=states), config(), epochs=0, threads=1)
    assert (trained.embeddings.user_self == 0.5).all()


@pytest.mark.parametrize("similarity", ["dot", "cosine"])
def test_divergence_is_named(similarity, phase, graph):
    states = {"user": np.full((phase.num_users, 8), np.nan, np.float32)}
    model = MODEL.model_copy(update={"similarity": similarity})
    with pytest.raises(MachineError, match=r"the loss became nan in epoch 1\. Lower train\.lr"):
        train(Problem(phase, graph, model, start=states), config(), threads=1)


def test_no_pair_of_the_target_is_an_error(phase, graph):
    from dataclasses import replace

    empty = replace(
        phase, behaviors=("interaction", "view"), behavior=np.ones(len(phase), np.int16)
    )
    with pytest.raises(DataError, match="no pair of the target behaviour 'interaction'"):
        train(Problem(empty, graph, MODEL), config(), threads=1)


def test_devices_and_precision_are_checked():
    assert choose_device(config(device="cpu")).type == "cpu"
    with pytest.raises(MachineError, match="bf16"):
        choose_device(config(device="cpu", precision="bf16"))
    if not torch.cuda.is_available():
        with pytest.raises(MachineError, match="sees no GPU"):
            choose_device(config(device="cuda"))


def test_learning_rate_falls_to_a_tenth():
    config_ = config(epochs=10)
    path = [learning_rate_factor(epoch, config_) for epoch in range(12)]
    assert path[0] == 1.0 and path[10] == path[11] == pytest.approx(0.1)
    assert all(left >= right for left, right in itertools.pairwise(path))
    # Within an epoch, too: long epochs have no steps in it.
    assert path[3] > learning_rate_factor(3.5, config_) > path[4]


def test_forecast_comes_before_the_first_epoch(phase, graph):
    said = []

    class Told(Quiet):
        def say(self, message, **fields):
            said.append((message, fields))

    trained = train(Problem(phase, graph, MODEL), config(epochs=1), threads=1, progress=Told())
    assert (
        said[0][0].startswith("full-graph training: about ") and said[0][1]["seconds_per_epoch"] > 0
    )
    assert said[1][1]["epoch"] == 1
    assert trained.plan.mode == "full" and trained.peak_bytes > 0
    assert torch.get_num_threads() >= 1


def test_nodes_that_lose_all_their_neighbours_to_the_batch_stay_numbers(phase, graph):
    # A batch of every pair excludes every edge: only layer 0 is left of anybody.
    whole = config(mode="sampled", batch_size=len(phase), epochs=2, fanouts=[3])
    trained = train(Problem(phase, graph, MODEL), whole, threads=1)
    assert np.isfinite(trained.embeddings.users).all() and np.isfinite(trained.history[-1].loss)


def test_a_step_is_timed_by_the_processor(phase, graph, monkeypatch):
    # Half a second of processor between any two looks; what the wall says does not count.
    moments = itertools.count(step=0.5)
    monkeypatch.setattr(time, "process_time", lambda: next(moments))
    for threads in (1, 2):
        plan = forecast(
            Problem(phase, graph, MODEL), config(mode="full", batch_size=50), threads=threads
        )
        # Drawing takes as long as a step, which its threads share.
        assert plan.seconds == pytest.approx(0.5 * plan.steps)


@pytest.mark.parametrize("mode", ["full", "sampled"])
def test_timing_a_step_changes_nothing(mode, phase, graph, monkeypatch):
    probed = train(
        Problem(phase, graph, MODEL, seed=4),
        config(mode=mode, epochs=2, batch_size=10_000),
        threads=1,
    )
    monkeypatch.setattr(Stepper, "seconds_a_step", lambda _: 1e-3)
    unprobed = train(
        Problem(phase, graph, MODEL, seed=4),
        config(mode=mode, epochs=2, batch_size=10_000),
        threads=1,
    )
    assert same(probed, unprobed)
    assert probed.plan.seconds > 0


def test_a_core_is_left_to_the_thread_that_draws():
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        for count, expected in ((None, 2), (3, 3), (1, 1)):
            with _threads(count):
                assert torch.get_num_threads() == expected
            assert torch.get_num_threads() == 3
        torch.set_num_threads(1)
        with _threads(None):
            assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)
