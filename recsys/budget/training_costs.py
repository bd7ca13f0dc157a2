"""What a training takes: measured constants, and formulas in counts. The nominal speed is that of
`recsys.budget.costs`.
"""

from math import ceil
from typing import NamedTuple

from recsys.budget.costs import FLOAT_BYTES, StageCost, cost_of
from recsys.budget.counts import Counts
from recsys.core.config import ModelConfig, RunConfig, TrainConfig
from recsys.train.batches import batch_size, with_epochs

_PAIR = 6e-6  # a pair of a step, before its candidates: drawing, and Adam on what it touches
_CANDIDATE = 1.5e-8  # a pair and a candidate at width 64, forward and backward
_NEIGHBOUR = 1.2e-7  # a pair, an event of its user's history and an attention step
_MESSAGE = 2.5e-7  # an edge of the whole graph and a layer, forward and backward
_STEP = 5e-3  # what a step takes whatever its size
_ENCODED_EVENT = 2.5e-7  # an event of a history when all users are encoded
_START_PAIR = 5.5e-6  # of the SVD of the start: 1,400 products of a pair and a number of a vector
_START_NODE = 1.3e-4  # of the smaller side: its vectors made orthogonal
_START_ROW = 1e-5  # of the larger side: its vectors, from those of the smaller
_RANKED_CELL = 4e-9  # a user and an item: a score, and its place
_PROBED_PAIRS = 200_000
_MESSAGE_SHARE = 0.5  # of the scores' cost, which messages are kept below

_SURE_EPOCHS = 12  # that early stopping hardly ever cuts
_MORE_RUN, _MORE_KEPT = 0.7, 0.25  # of those beyond: how many run, how many later phases take


def training_cost(counts: Counts, config: RunConfig, phase: str) -> StageCost:
    """A training of one phase.

    Args:
        counts: of the phase.
        config: of the run.
        phase: in "select" validation decides when to stop; the others take the epochs that were
            chosen, and "serve" perhaps the last of them alone.
    """
    train = with_epochs(config.train, counts.pairs)
    epoch = epoch_seconds(counts, config)
    seconds = start_seconds(counts) + encoding_seconds(counts, config.model)
    passes = num_passes(counts, config, phase)
    seconds += passes.epochs * epoch
    seconds += passes.validations * validation_seconds(counts, config.model)
    memory = sum(training_bytes(counts, config.model, train))
    disk = 3 * counts.nodes * config.model.width * FLOAT_BYTES
    return cost_of(counts, seconds, memory, disk)


class Passes(NamedTuple):
    """How often a training goes over the pairs, probes included, and how often it validates."""

    epochs: float
    validations: float


def num_passes(counts: Counts, config: RunConfig, phase: str) -> Passes:
    """To expect of a training; arguments as of `training_cost`."""
    train = with_epochs(config.train, counts.pairs)
    if phase != "select":
        kept_epochs = _epochs(train, _MORE_KEPT)
        epochs = train.refit_epochs(round(kept_epochs)) if phase == "serve" else kept_epochs
        return Passes(epochs, 0.0)
    probed_share = min(1.0, _PROBED_PAIRS / max(counts.pairs, 1))
    probes = num_probes(counts, config)
    epochs = _epochs(train, _MORE_RUN)
    return Passes(epochs + probes * probed_share, epochs + probes)


class EpochCost(NamedTuple):
    """Seconds of one pass over the pairs.

    of_pairs: what goes by pairs; processes that train together divide it.
    of_nodes: messages over the whole graph, and what a step takes whatever its size.
    """

    of_pairs: float
    of_nodes: float


def epoch_seconds(counts: Counts, config: RunConfig) -> float:
    """One pass over the pairs of a phase."""
    return sum(epoch_cost(counts, config))


def epoch_cost(counts: Counts, config: RunConfig) -> EpochCost:
    """The same in parts."""
    model = config.model
    steps = num_steps(counts, config.train)
    scoring = counts.pairs * _pair_seconds(model, config.train)
    # A pass of messages over the whole graph, in every step.
    messages = steps * _MESSAGE * counts.edges * model.layers
    of_steps = steps * _STEP
    if model.family != "history":
        return EpochCost(scoring, of_steps + messages)

    attending = _NEIGHBOUR * mean_history(counts, model) * model.user_layers
    # Steps share a pass where it would cost more than a share of theirs.
    shared_messages = min(messages, _MESSAGE_SHARE * scoring)
    return EpochCost(scoring + counts.pairs * attending, of_steps + shared_messages)


def num_probes(counts: Counts, config: RunConfig) -> int:
    """Short trainings that settle what the configuration leaves open (`train.probe`)."""
    train = config.train
    if config.model.family != "history":
        return 0
    is_open = [train.top_k is None, train.temperature is None]
    if counts.has_order and config.model.recency is not False:
        is_open.append(train.horizon is None)
    num_open = sum(is_open)
    return num_open + 1 if num_open else 0


def _epochs(train: TrainConfig, share: float) -> float:
    """Epochs to expect; share: of those beyond the sure ones."""
    sure = min(train.most_epochs, _SURE_EPOCHS)
    return sure + share * (train.most_epochs - sure)


def start_seconds(counts: Counts) -> float:
    """The SVD of the start. Where the smaller side is short, a dense solution takes less."""
    smaller, larger = sorted((counts.users, counts.items))
    return _START_PAIR * counts.pairs + _START_NODE * smaller + _START_ROW * larger


def encoding_seconds(counts: Counts, model: ModelConfig) -> float:
    """The vectors of all users."""
    return _ENCODED_EVENT * counts.pairs * model.user_layers


def validation_seconds(counts: Counts, model: ModelConfig) -> float:
    """The vectors of all users, and lists of those that a validation looks at."""
    ranking = _RANKED_CELL * counts.validation_users * counts.items
    return encoding_seconds(counts, model) + ranking


def _pair_seconds(model: ModelConfig, train: TrainConfig) -> float:
    """Of a pair and its candidates."""
    candidates = train.negatives
    if train.in_batch:
        candidates += train.share_size
    # Half of what a candidate costs is an inner product, the rest does not know the width.
    of_width = 0.5 + model.width / 128
    return _PAIR + _CANDIDATE * candidates * of_width


def num_steps(counts: Counts, train: TrainConfig) -> int:
    """Of an epoch."""
    return ceil(counts.pairs / batch_size(counts.pairs, train))


def mean_history(counts: Counts, model: ModelConfig) -> float:
    """Events that a user is made of."""
    mean_length = counts.pairs / max(counts.users, 1)
    return min(mean_length, model.history)


class TrainingBytes(NamedTuple):
    """What a training holds beside the rows of its log.

    tables: with their optimiser.
    states: of layers.
    step: scores and events.
    """

    tables: float
    states: float
    step: float


def training_bytes(counts: Counts, model: ModelConfig, train: TrainConfig) -> TrainingBytes:
    """Tables with their optimiser, states of layers, and what a step holds."""
    row_bytes = model.width * FLOAT_BYTES
    # Parameter, gradient, two moments of Adam, the best epoch, and two while a checkpoint is written.
    table_bytes = 7.0 * table_rows(counts, model) * row_bytes
    state_bytes = 6.0 * counts.nodes * row_bytes * (model.layers + 1)
    candidates = max(train.negatives, 1)
    score_bytes = 4.0 * train.share_size * candidates * FLOAT_BYTES
    events = batch_size(counts.pairs, train) * mean_history(counts, model)
    event_bytes = 12.0 * events * row_bytes
    return TrainingBytes(table_bytes, state_bytes, score_bytes + event_bytes)


def table_rows(counts: Counts, model: ModelConfig) -> int:
    """Nodes that have a row of their own in a layer-0 table."""
    has_user_rows = model.family != "history" or model.user_table
    return counts.nodes if has_user_rows else counts.items
