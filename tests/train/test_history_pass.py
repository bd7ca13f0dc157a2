"""Messages that several steps share: what a pass keeps, hands on, and leaves to the next one."""

from dataclasses import replace

import pytest
import torch

from recsys.core.config import ModelConfig, TrainConfig
from recsys.graph.schema import ITEM
from recsys.train.forecast import history_plan
from recsys.train.history_stepper import HistoryStepper, steps_a_pass
from recsys.train.problem import Problem, first_network

MODEL = ModelConfig(family="history", width=8, heads=2)
CONFIG = TrainConfig(batch_size=64, negatives=16, l2=0, temperature=0.1, horizon=1, top_k=0)


def stepper_of(phase, graph, config: TrainConfig, num_steps: int) -> HistoryStepper:
    """A stepper before its first epoch whose passes are of that many steps."""
    plan = history_plan(graph, MODEL, config)
    network = first_network(Problem(phase, graph, MODEL))
    stepper = HistoryStepper(network, Problem(phase, graph, MODEL), config, plan)
    stepper.steps_a_pass = num_steps
    stepper._prepare(0)
    return stepper


def gradients_of_steps(stepper: HistoryStepper, count: int) -> list[torch.Tensor]:
    """(items, width) gradient at the items' table in each of some steps that move nothing."""
    gradients = []
    for _, batch in zip(range(count), stepper.batches.epoch(0), strict=False):
        stepper._gradients(batch, 0)
        gradient = stepper.network.table(ITEM).grad
        assert gradient is not None
        gradients.append(gradient.clone())
    return gradients


@pytest.mark.parametrize("num_steps", [2, 3])
def test_a_pass_hands_on_the_mean_of_its_steps(phase, graph, num_steps):
    count = 2 * num_steps
    whole = gradients_of_steps(stepper_of(phase, graph, CONFIG, 1), count)
    at_rows = gradients_of_steps(stepper_of(phase, graph, CONFIG, 100), count)
    shared = gradients_of_steps(stepper_of(phase, graph, CONFIG, num_steps), count)
    through = torch.stack(whole) - torch.stack(at_rows)
    assert through.abs().max() > 1e-4
    for step in range(count):
        expected = at_rows[step]
        if (step + 1) % num_steps == 0:
            expected = expected + through[step + 1 - num_steps : step + 1].mean(0)
        assert torch.allclose(shared[step], expected, atol=1e-6)


def test_the_next_pass_starts_from_what_the_last_one_made(phase, graph):
    stepper = stepper_of(phase, graph, CONFIG, 2)
    gradients_of_steps(stepper, 2)
    made = stepper._made
    assert made is not None
    expected = stepper.network.messages_of_nodes(stepper.node_blocks)
    assert torch.allclose(made[ITEM], expected[ITEM], atol=1e-6)
    assert not made[ITEM].requires_grad
    stepper._prepare(1)
    assert stepper._made is None


def test_a_pass_of_one_step_never_starts_from_an_older_one(phase, graph):
    stepper = stepper_of(phase, graph, CONFIG, 1)
    gradients_of_steps(stepper, 2)
    assert stepper._made is None


def test_steps_a_pass_grow_with_the_graph_beside_a_step(graph):
    plan = history_plan(graph, MODEL, CONFIG)
    assert steps_a_pass(replace(plan, edges_a_pass=0), CONFIG) == 1
    few = steps_a_pass(replace(plan, edges_a_pass=10**6), CONFIG)
    many = steps_a_pass(replace(plan, edges_a_pass=2 * 10**6), CONFIG)
    assert many == pytest.approx(2 * few, abs=1)
