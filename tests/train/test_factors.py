"""Matrix factors trained before the network: repeatable, worth their passes, and skipped where a
training goes on.
"""

import re

import numpy as np
import pytest
import torch

from chain import Heard
from recsys.core.config import GraphConfig, ModelConfig, TrainConfig
from recsys.core.errors import MachineError
from recsys.core.progress import QUIET
from recsys.graph.build import build_graph
from recsys.logs.synthetic import communities
from recsys.train import factors, loop
from recsys.train.factors import factor_states
from recsys.train.loop import train
from recsys.train.problem import Problem

MODEL = ModelConfig(family="degree_prior", width=8, heads=2)
CONFIG = TrainConfig(epochs=2, batch_size=256, negatives=64, factor_epochs=25)
WORLD = communities(num_users=60, num_items=40, events_per_user=12, seed=4)


@pytest.fixture
def phase(make_phase):
    return make_phase(WORLD.log)


def problem_of(phase) -> Problem:
    return Problem(phase, build_graph(phase, GraphConfig()), MODEL)


def states(phase, **changes):
    config = CONFIG.model_copy(update=changes)
    return factor_states(problem_of(phase), config, torch.device("cpu"), QUIET)


def agreement(phase, found):
    """Mean cosine of pairs of one community, less that of pairs of two."""
    users, items = (
        rows / np.linalg.norm(rows, axis=1, keepdims=True)
        for rows in (found["user"], found["item"])
    )
    group = {one: place % 4 for place, one in enumerate(WORLD.users["user_id"])}
    kind = {one: place % 4 for place, one in enumerate(WORLD.items["item_id"])}
    same = np.array([[group[u] == kind[i] for i in phase.items.ids] for u in phase.users.ids])
    scores = users @ items.T
    return scores[same].mean() - scores[~same].mean()


def test_passes_bring_users_to_the_items_of_their_community(phase):
    assert agreement(phase, states(phase, factor_epochs=0)) == pytest.approx(0, abs=0.1)
    assert agreement(phase, states(phase, factor_epochs=100)) > 0.4


def test_the_same_seed_gives_the_same_bytes(phase):
    first, second = states(phase), states(phase)
    assert all((first[kind] == second[kind]).all() for kind in ("user", "item"))


def test_what_it_will_cost_is_said_first(phase):
    heard = Heard()
    factor_states(problem_of(phase), CONFIG, torch.device("cpu"), heard)
    assert re.fullmatch(
        r"matrix factors first: 25 passes of \d+ steps, about \d+ s", heard.lines[0]
    )


def test_factors_that_diverge_are_refused(phase, monkeypatch):
    monkeypatch.setattr(factors, "_LEARNING_RATE", 3e38)
    with pytest.raises(
        MachineError, match=r"matrix factor became infinite or no number in pass \d"
    ):
        states(phase)


def stop_after_two(record):
    if record.epoch == 2:
        raise KeyboardInterrupt


def test_a_training_starts_from_them_once(phase, tmp_path, monkeypatch):
    calls = []
    monkeypatch.setattr(
        loop, "factor_states", lambda *args: (calls.append(1), factor_states(*args))[1]
    )
    whole = train(problem_of(phase), CONFIG, folder=tmp_path / "a", threads=1)
    with pytest.raises(KeyboardInterrupt):
        train(
            problem_of(phase),
            CONFIG,
            folder=tmp_path / "b",
            threads=1,
            watch=stop_after_two,
        )
    continued = train(problem_of(phase), CONFIG, folder=tmp_path / "b", threads=1)
    assert len(calls) == 2 and len(continued.history) == 2
    assert (continued.embeddings.users == whole.embeddings.users).all()
    plain = train(problem_of(phase), CONFIG.model_copy(update={"factor_epochs": 0}), threads=1)
    assert not np.allclose(plain.embeddings.users, whole.embeddings.users, atol=0.05)
