"""The training of SASRec, epoch by epoch, and the scores of all users from it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch

from recsys.baselines.sasrec.network import SequenceNetwork, sampled_softmax
from recsys.baselines.sasrec.sequences import (
    LARGEST_BATCH,
    WINDOW,
    Batch,
    Windows,
    batch_of,
    batch_size,
    in_batches,
    latest_windows,
    sequences,
    training_windows,
)
from recsys.core.arrays import BoolArray, Float32Array, Int32Array, Int64Array, IntArray
from recsys.core.errors import DataError, UsageError
from recsys.core.interactions import Interactions

WIDTH = 64
NEGATIVES = 256
_RATE = 1e-3
_BETAS = (0.9, 0.98)


@dataclass(frozen=True)
class SequenceScorer:
    """score = state of the user's history · item; users without history have no list.

    users: (users, width). items: (items, width). has_history: (users,).
    """

    users: Float32Array
    items: Float32Array
    has_history: BoolArray

    def score(self, users: Int32Array) -> Float32Array:
        """(len(users), items) float32, −inf for users without history."""
        scores = self.users[users] @ self.items.T
        scores[~self.has_history[users]] = -np.inf
        return scores


class Training:
    """A network and its optimiser over the sequences of a phase.

    An epoch depends on the seed, its number and what was learned before, and on no random state of
    the process.

    Args:
        interactions: rows with an order.
        target: the behaviour to learn from and to predict.
        blocks: how many blocks of self-attention.
        dropout: share of the states that is dropped in training, below 1.
        seed: of the first state, the batches, the negatives and the dropout.

    Raises:
        DataError: the log has no order.
        UsageError: a setting is out of range.
    """

    def __init__(
        self, interactions: Interactions, target: str, blocks: int, dropout: float, seed: int
    ) -> None:
        _require_in_range(blocks, dropout)
        if interactions.time is None:
            raise DataError(
                "SASRec needs an order of events and the log has no times",
                "Map times or an order with --time-col",
            )
        self.epoch = 0
        self._seed = seed
        self._num_items = interactions.num_items
        self._sequences = sequences(interactions, target)
        self._windows = training_windows(self._sequences.indptr)
        self._batch_size = batch_size(len(self._windows.length))
        with _drawing_from(seed, 0):
            self._network = SequenceNetwork(self._num_items, WINDOW, WIDTH, blocks, dropout)
        self._optimiser = torch.optim.Adam(self._network.parameters(), lr=_RATE, betas=_BETAS)

    def run_epoch(self) -> None:
        """Predict every item that follows another one once."""
        self.epoch += 1
        self._network.train()
        draw = np.random.default_rng([self._seed, self.epoch])
        with _drawing_from(self._seed, self.epoch):
            for rows in in_batches(self._windows.length, self._batch_size, draw):
                negatives = draw.integers(0, self._num_items, NEGATIVES)
                self._step(rows, negatives)

    def _step(self, rows: Int64Array, negatives: Int64Array) -> None:
        """One step of the optimiser on some windows."""
        windows = self._windows.of(rows)
        inputs = batch_of(self._sequences.items, windows)
        following = windows._replace(start=windows.start + 1)
        targets = batch_of(self._sequences.items, following)

        # One pair for each item of a window: the state behind it, and the item that follows.
        is_item = torch.from_numpy(inputs.is_item)
        states = self._states(inputs)[is_item]
        positives = _tensor(targets.items)[is_item]
        items = self._network.items.weight
        loss = sampled_softmax(states, items, positives, _tensor(negatives))

        self._optimiser.zero_grad()
        loss.backward()
        self._optimiser.step()

    @torch.no_grad()
    def scorer(self) -> SequenceScorer:
        """Scores of all users by what was learned so far."""
        self._network.eval()
        counts = np.diff(self._sequences.indptr)
        has_history = counts > 0
        users = np.zeros((len(counts), WIDTH), np.float32)
        users[has_history] = self._encoded(latest_windows(self._sequences.indptr))
        items = self._network.items.weight.numpy().copy()
        return SequenceScorer(users, items, has_history)

    def _encoded(self, windows: Windows) -> Float32Array:
        """(windows, width) the state behind the last item of each."""
        encoded = np.empty((len(windows.length), WIDTH), np.float32)
        by_length = np.argsort(windows.length, kind="stable")
        for first in range(0, len(by_length), LARGEST_BATCH):
            rows = by_length[first : first + LARGEST_BATCH]
            group = windows.of(rows)
            states = self._states(batch_of(self._sequences.items, group))
            last = torch.from_numpy(group.length - 1)
            encoded[rows] = states[torch.arange(len(rows)), last].numpy()
        return encoded

    def _states(self, batch: Batch) -> torch.Tensor:
        """(windows, longest, width) what the network says behind each item."""
        states: torch.Tensor = self._network(_tensor(batch.items), _tensor(batch.position))
        return states


def fit_sasrec(
    interactions: Interactions, target: str, blocks: int, dropout: float, epochs: int, seed: int
) -> SequenceScorer:
    """The scores of a network trained for a number of epochs.

    Args:
        interactions: rows with an order.
        target: the behaviour to learn from and to predict.
        blocks: how many blocks of self-attention.
        dropout: share of the states that is dropped in training, below 1.
        epochs: how many times every item is predicted.
        seed: of everything drawn.

    Raises:
        DataError: the log has no order.
        UsageError: a setting is out of range.
    """
    if epochs < 1:
        raise UsageError(f"epochs = {epochs} trains nothing", "Ask for at least 1")
    training = Training(interactions, target, blocks, dropout, seed)
    for _ in range(epochs):
        training.run_epoch()
    return training.scorer()


def _require_in_range(blocks: int, dropout: float) -> None:
    if blocks < 1:
        raise UsageError(f"blocks = {blocks} is less than one", "Use 1 or 2")
    if not 0 <= dropout < 1:
        raise UsageError(f"dropout = {dropout:g} is no share below 1", "Use 0.4, for example")


def _tensor(numbers: IntArray) -> torch.Tensor:
    return torch.from_numpy(np.asarray(numbers, np.int64))


@contextmanager
def _drawing_from(seed: int, epoch: int) -> Iterator[None]:
    """Torch draws from a stream of its own, and the process's goes on afterwards as if it had not."""
    [state] = np.random.SeedSequence([seed, epoch]).generate_state(1, np.uint64)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(state))
        yield
