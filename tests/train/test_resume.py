"""A killed training goes on and ends with the weights of an undisturbed one."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from patience import PATIENCE_SECONDS
from recsys.core.config import ModelConfig, TrainConfig
from recsys.core.errors import DataError
from recsys.train import checkpoint
from recsys.train.loop import train
from recsys.train.problem import Problem

MODEL = ModelConfig(family="degree_prior", width=8, heads=2)

# A training of eight epochs; the pause gives the test time to kill it between two checkpoints.
SCRIPT = textwrap.dedent(
    """
    import sys, time
    from pathlib import Path

    import polars as pl

    from recsys.core.config import GraphConfig, ModelConfig, TrainConfig
    from recsys.core.ids import IdMap
    from recsys.core.interactions import fit_interactions
    from recsys.graph.build import build_graph
    from recsys.logs.synthetic import communities
    from recsys.train.loop import train
    from recsys.train.problem import Problem

    folder, mode, pause = Path(sys.argv[1]), sys.argv[2], float(sys.argv[3])
    log = communities(num_users=60, num_items=30, events_per_user=10, seed=1).log.unique(["user_id", "item_id"])
    log = log.sort("user_id", "item_id")
    users, items = (IdMap(log[name].unique().sort()) for name in ("user_id", "item_id"))
    rows = pl.DataFrame({"user": users.lookup(log["user_id"]), "item": items.lookup(log["item_id"])})
    phase = fit_interactions(rows, users, items, ("interaction",))
    values = {1: 0.1, 2: 0.2, 3: 0.5}

    class Paused:
        epoch = 0

        def say(self, message, **fields):
            self.epoch = fields.get("epoch", self.epoch)
            print(message, flush=True)
            time.sleep(pause if "loss" in fields else 0)

        def track(self, things, label, total=None):
            yield from things

    told = Paused()
    model = ModelConfig(family="degree_prior", width=8, heads=2, attention_dropout=0.1)
    train(
        Problem(phase, build_graph(phase, GraphConfig()), model, seed=3),
        TrainConfig(
            mode=mode, batch_size=128, negatives=16, epochs=8, lr=0.01, fanouts=[4, 2], patience=20, ema=0.9,
            edge_dropout=0.2, contrast_weight=0.1, neighbour_positives=3, negative_sampling="mixed",
        ),
        folder=folder,
        validate=lambda embeddings: values.get(told.epoch + 1, 0.3),
        threads=1,
        progress=told,
    )
    """
)


def start(folder: Path, mode: str, pause: float) -> subprocess.Popen:
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", SCRIPT, str(folder), mode, str(pause)]
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def finish(folder: Path, mode: str) -> str:
    process = start(folder, mode, 0.0)
    out, errors = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 0, errors
    return out


@pytest.mark.parametrize("mode", ["sampled", pytest.param("full", marks=pytest.mark.slow)])
def test_killed_training_ends_with_the_same_weights(mode, tmp_path):
    process = start(tmp_path / "killed", mode, 0.3)
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not (tmp_path / "killed" / checkpoint.FILE).exists() or "epoch 4/8" not in (
        process.stdout.readline()
    ):
        assert time.monotonic() < deadline and process.poll() is None, process.communicate()[1]
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert "continuing after epoch" in finish(tmp_path / "killed", mode)
    finish(tmp_path / "whole", mode)
    for name in (checkpoint.FILE, "states/states.safetensors"):
        one, other = (load_file(tmp_path / run / name) for run in ("killed", "whole"))
        assert one.keys() == other.keys() and one
        assert all(torch.equal(one[key], other[key]) for key in one)


def test_a_finished_training_is_not_repeated(phase, graph, tmp_path):
    model, config = MODEL, TrainConfig(epochs=2, batch_size=256)
    first = train(Problem(phase, graph, model), config, folder=tmp_path, threads=1)
    again = train(Problem(phase, graph, model), config, folder=tmp_path, threads=1)
    assert again.history == first.history
    assert (again.embeddings.users == first.embeddings.users).all()


def test_a_checkpoint_of_another_training_is_left_alone(phase, graph, tmp_path):
    model, config = MODEL, TrainConfig(epochs=2, batch_size=256)
    train(Problem(phase, graph, model, seed=1), config, folder=tmp_path, threads=1)
    other = train(Problem(phase, graph, model, seed=2), config, folder=tmp_path, threads=1)
    fresh = train(Problem(phase, graph, model, seed=2), config, threads=1)
    assert (other.embeddings.users == fresh.embeddings.users).all()


def test_ctrl_c_leaves_a_checkpoint_that_goes_on(phase, graph, tmp_path):
    model, config = MODEL, TrainConfig(epochs=4, batch_size=256)
    epochs = []

    def interrupted(_):
        epochs.append(1)
        if len(epochs) == 3:
            raise KeyboardInterrupt
        return 0.1

    with pytest.raises(KeyboardInterrupt):
        train(
            Problem(phase, graph, model), config, folder=tmp_path, validate=interrupted, threads=1
        )
    resumed = train(
        Problem(phase, graph, model), config, folder=tmp_path, validate=lambda _: 0.1, threads=1
    )
    whole = train(Problem(phase, graph, model), config, validate=lambda _: 0.1, threads=1)
    assert [record.loss for record in resumed.history] == [record.loss for record in whole.history]


def test_a_broken_checkpoint_is_named(phase, graph, tmp_path):
    (tmp_path / checkpoint.FILE).write_bytes(b"not safetensors")
    with pytest.raises(DataError, match=r"is not a readable checkpoint.*Remove it"):
        train(Problem(phase, graph, MODEL), TrainConfig(), folder=tmp_path, threads=1)


def test_format_is_tensors_and_json(phase, graph, tmp_path):
    train(Problem(phase, graph, MODEL), TrainConfig(epochs=1), folder=tmp_path, threads=1)
    with safe_open(tmp_path / checkpoint.FILE, framework="pt") as file:
        assert '"epoch": 1' in file.metadata()["standing"]
    assert sorted(path.name for path in tmp_path.iterdir()) == [checkpoint.FILE, "states"]
