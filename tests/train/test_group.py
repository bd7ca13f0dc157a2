"""Several processes take the steps of one: gradients, losses, tables in parts, and killed processes."""

import re
from itertools import chain

import numpy as np
import pytest
import torch

from groups import Case, Kill, hang, outcome_of, train_cases, train_resumed, trained_in
from recsys.core.config import ModelConfig, TrainConfig
from recsys.core.config.group import GroupConfig
from recsys.core.errors import ConfigError, DataError, MachineError
from recsys.train.families import require_shared_steps
from recsys.train.launch import run_group
from recsys.train.ranks import ALONE, part_of

# Of numbers that float32 sums up in another order.
ROUNDING = 1e-6

CASES = [
    Case("seconds", {"user_table": True}, {}),
    Case("none", {"user_table": True}, {"in_batch": True, "log_q": True}),
    Case("order", {"similarity": "dot"}, {"top_k": 5, "horizon": 5, "hard_negatives": 8}),
    Case("seconds", {"user_table": True}, {"loss": "bpr", "l2": 0.01}),
    # Fewer pairs in the last batch than processes.
    Case("seconds", {"user_table": True}, {"batch_size": 137, "share_size": 7, "ema": 0.9}),
]
SHARDED = [
    Case(case.kind, case.model, case.train | {"shard_tables": True})
    for case in (CASES[0], CASES[1], CASES[3])
]


@pytest.fixture(scope="module")
def alone():
    return [outcome_of(case) for case in CASES + SHARDED]


class Told:
    """Progress that remembers."""

    def __init__(self):
        self.lines = []

    def say(self, message, **fields):
        self.lines.append(message)

    def track(self, things, label, total=None):
        yield from things


def outcomes(folder, workers, cases=CASES + SHARDED):
    """By case, that of each process."""
    group = GroupConfig(workers=workers, restarts=0, timeout_seconds=60)
    run_group(train_cases, (cases, folder), group, folder)
    found = []
    for number in range(len(cases)):
        files = [folder / f"{number}-{rank}.pt" for rank in range(workers)]
        found.append([torch.load(file, weights_only=False) for file in files])
    return found


@pytest.mark.parametrize("workers", [2, pytest.param(3, marks=pytest.mark.slow)])
def test_processes_take_the_steps_of_one(alone, workers, tmp_path):
    for one, of_ranks in zip(alone, outcomes(tmp_path, workers), strict=True):
        for outcome in of_ranks:
            np.testing.assert_allclose(outcome.losses, one.losses, atol=1e-5)
            np.testing.assert_allclose(outcome.users, one.users, atol=1e-4)
            assert outcome.gradients.keys() == one.gradients.keys()
            assert outcome.weights.keys() == one.weights.keys()
            for name, weight in outcome.weights.items():
                # All processes have the very same weights, those of one process but for rounding.
                assert torch.equal(weight, of_ranks[0].weights[name])
                torch.testing.assert_close(weight, one.weights[name], rtol=0, atol=1e-4)
        for name, gradient in one.gradients.items():
            pieces = [outcome.gradients[name] for outcome in of_ranks]
            is_in_parts = pieces[0].shape != gradient.shape
            if is_in_parts:
                together = torch.empty_like(gradient)
                for rank, piece in enumerate(pieces):
                    together[rank::workers] = piece
                pieces = [together]
            for piece in pieces:
                torch.testing.assert_close(piece, gradient, rtol=1e-5, atol=ROUNDING)


def same_weights(trained, other):
    left, right = trained.network.state_dict(), other.network.state_dict()
    return max(float((left[name] - right[name]).abs().max()) for name in left)


@pytest.mark.slow
@pytest.mark.parametrize("sharded", [True, False])
def test_a_killed_process_changes_nothing(sharded, tmp_path):
    """The group goes on by itself, from the epoch before."""
    settings = {"shard_tables": sharded}
    told = Told()
    group = GroupConfig(workers=2, restarts=2, timeout_seconds=60)
    arguments = (tmp_path / "killed", settings, None, Kill(rank=1, epoch=4))
    (tmp_path / "killed").mkdir()
    run_group(train_resumed, arguments, group, tmp_path / "told", told)
    assert any("goes on from its last checkpoint (restart 1)" in line for line in told.lines)
    # Its last checkpoint may be of the epoch in which the process died.
    assert any(re.match("continuing after epoch [34]", line) for line in told.lines)
    undisturbed = trained_in(tmp_path / "alone", settings)
    # What is there now is the end of the training.
    ended = trained_in(tmp_path / "killed", settings)
    assert [record.epoch for record in ended.history] == [1, 2, 3, 4, 5, 6]
    for record, other in zip(ended.history, undisturbed.history, strict=True):
        assert record.loss == pytest.approx(other.loss, abs=1e-5)
        assert record.value == pytest.approx(other.value, abs=1e-4)
    assert same_weights(ended, undisturbed) < 1e-4


@pytest.mark.slow
def test_a_smaller_group_goes_on(tmp_path):
    """Four processes, two, one: rows are dealt anew."""
    settings = {"shard_tables": True}
    folder = tmp_path / "training"
    for workers, stop in ((4, 2), (2, 4)):
        group = GroupConfig(workers=workers, restarts=0, timeout_seconds=60)
        with pytest.raises(DataError, match=f"stopped after epoch {stop}"):
            run_group(train_resumed, (folder, settings, stop), group, tmp_path / "told")
        parts = sorted(path.name for path in folder.glob("checkpoint-*"))
        epoch = stop - 1  # the watch looks before the checkpoint is written
        assert parts == [
            f"checkpoint-{epoch}-{rank}-of-{workers}.safetensors" for rank in range(workers)
        ]
    ended = trained_in(folder, settings)
    assert not list(folder.glob("checkpoint-*"))
    undisturbed = trained_in(tmp_path / "alone", settings)
    assert len(ended.history) == 6
    assert same_weights(ended, undisturbed) < 1e-4


@pytest.mark.slow
def test_a_group_that_dies_too_often_says_so(tmp_path):
    group = GroupConfig(workers=2, restarts=1, timeout_seconds=60)
    arguments = (tmp_path, {}, None, Kill(rank=0, epoch=1, times=9))
    with pytest.raises(MachineError, match=r"died 2 times; the last time process 0 .*SIGKILL"):
        run_group(train_resumed, arguments, group, tmp_path / "told")


@pytest.mark.slow
def test_nobody_waits_forever(tmp_path):
    group = GroupConfig(workers=2, restarts=0, timeout_seconds=2)
    with pytest.raises(MachineError, match="the training group died 1 times"):
        run_group(hang, (), group, tmp_path)


def test_parts_are_all_places_once():
    for count in (0, 1, 2, 7, 100):
        for size in (1, 2, 3, 8):
            places = [list(range(count))[part_of(rank, size, count)] for rank in range(size)]
            assert list(chain(*places)) == list(range(count))
            lengths = [len(some) for some in places]
            assert max(lengths) - min(lengths) <= 1
    assert ALONE.part(5) == slice(0, 5)


@pytest.mark.parametrize(
    ("model", "train", "name"),
    [
        ({"family": "degree_prior"}, {}, "model.family"),
        ({"attention_dropout": 0.1}, {}, "model.attention_dropout"),
        ({}, {"edge_dropout": 0.2}, "train.edge_dropout"),
    ],
)
def test_what_cannot_be_divided_is_refused(model, train, name):
    with pytest.raises(ConfigError, match=name):
        require_shared_steps(ModelConfig(**model), TrainConfig(**train))
