"""What the processes of a group do in tests: a module of its own, for they start anew and import it."""

import os
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from histories import phase_of
from recsys.core.config import GraphConfig, ModelConfig, TrainConfig
from recsys.core.errors import DataError
from recsys.core.interactions import Interactions
from recsys.core.progress import QUIET, Progress
from recsys.graph.build import build_graph
from recsys.graph.schema import Graph
from recsys.logs.synthetic import communities
from recsys.train.loop import Trained, train
from recsys.train.problem import Problem
from recsys.train.ranks import ALONE, Ranks
from recsys.train.stepper import Stepper

MODEL = ModelConfig(width=8, heads=2)
TRAIN = TrainConfig(batch_size=256, share_size=100, negatives=32, lr=0.02, epochs=3, top_k=0)


@dataclass(frozen=True)
class Case:
    """One training. kind: of times, as in `histories.phase_of`. model, train: what differs."""

    kind: str
    model: dict[str, Any]
    train: dict[str, Any]


def world(kind: str) -> tuple[Interactions, Graph]:
    log = communities(num_users=80, num_items=41, events_per_user=12, seed=2).log
    phase = phase_of(log, kind)
    return phase, build_graph(phase, GraphConfig(half_life_days="none"))


@dataclass
class Outcome:
    """losses: of every step. gradients: of the first step. weights: in the end."""

    losses: list[float]
    gradients: dict[str, torch.Tensor]
    weights: dict[str, torch.Tensor]
    users: np.ndarray


def outcome_of(case: Case, ranks: Ranks = ALONE) -> Outcome:
    """Train, and look at every step."""
    phase, graph = world(case.kind)
    losses: list[float] = []
    gradients: dict[str, torch.Tensor] = {}
    step = Stepper.step

    def watched(stepper, batch, epoch):
        losses.append(step(stepper, batch, epoch) / batch.pairs)
        if len(losses) == 1:
            for name, value in stepper.network.named_parameters():
                if value.grad is not None:
                    gradients[name] = value.grad.clone()
        return losses[-1] * batch.pairs

    Stepper.step = watched
    try:
        trained = train(
            Problem(phase, graph, MODEL.model_copy(update=case.model), seed=3),
            TRAIN.model_copy(update=case.train),
            validate=lambda embeddings: np.full(1, embeddings.users.mean()),
            ranks=ranks,
            threads=1,
        )
    finally:
        Stepper.step = step
    weights = trained.network.state_dict()
    return Outcome(losses, gradients, weights, trained.embeddings.users)


def train_cases(ranks: Ranks, progress: Progress, cases: list[Case], folder: Path) -> None:
    """Every case; each process leaves what it has."""
    for number, case in enumerate(cases):
        outcome = outcome_of(case, ranks)
        torch.save(outcome, folder / f"{number}-{ranks.rank}.pt")


@dataclass(frozen=True)
class Kill:
    """rank: of the process that kills itself. epoch: after which. times: how often."""

    rank: int
    epoch: int
    times: int = 1


def train_resumed(
    ranks: Ranks,
    progress: Progress,
    folder: Path,
    settings: dict[str, Any],
    stop: int | None = None,
    kill: Kill | None = None,
) -> None:
    """A training with checkpoints in a folder, from a checkpoint there if there is one.

    stop: raises DataError after that epoch. kill: of a process.
    """
    trained_in(folder, settings, ranks, progress, stop, kill)


def trained_in(
    folder: Path,
    settings: dict[str, Any],
    ranks: Ranks = ALONE,
    progress: Progress = QUIET,
    stop: int | None = None,
    kill: Kill | None = None,
) -> Trained:
    phase, graph = world("seconds")

    def watch(record):
        if kill is not None and (ranks.rank, record.epoch) == (kill.rank, kill.epoch):
            died = folder / "died"
            count = int(died.read_text()) if died.exists() else 0
            if count < kill.times:
                died.write_text(str(count + 1))
                os.kill(os.getpid(), signal.SIGKILL)
        if record.epoch == stop:
            ranks.wait()
            raise DataError(f"stopped after epoch {stop}", "Go on")

    config = TRAIN.model_copy(update={"epochs": 6, "ema": 0.9, "patience": 20, **settings})
    return train(
        Problem(phase, graph, MODEL.model_copy(update={"user_table": True}), seed=3),
        config,
        folder=folder,
        validate=lambda embeddings: np.full(1, np.abs(embeddings.users).mean()),
        ranks=ranks,
        threads=1,
        progress=progress,
        watch=watch,
    )


def hang(ranks: Ranks, progress: Progress) -> None:
    """The first process waits for one that never comes."""
    if ranks.leads:
        ranks.wait()
    else:
        signal.pause()
