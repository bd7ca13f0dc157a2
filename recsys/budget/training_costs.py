"""What a training takes: measured constants, and formulas in counts. The nominal speed is that of
`recsys.budget.costs`.
"""

from math import ceil

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
_LANCZOS = 250  # passes of the SVD of the start over the pairs
_RANKED_CELL = 4e-9  # a user and an item: a score, and its place
_PROBED_PAIRS = 200_000
_MESSAGE_SHARE = 0.5  # of the scores' cost, which messages are kept below

_SURE_EPOCHS = 12  # that early stopping hardly ever cuts
_MORE_RUN, _MORE_KEPT = 0.7, 0.25  # of those beyond: how many run, how many later phases take


def training_cost(counts: Counts, config: RunConfig, chooses: bool) -> StageCost:
    """A training of one phase.

    Args:
        counts: of the phase.
        config: of the run.
        chooses: whether validation decides when to stop; else it takes the epochs that were chosen.
    """
    train = with_epochs(config.train, counts.pairs)
    epoch = epoch_seconds(counts, config)
    encoding = _ENCODED_EVENT * counts.pairs * config.model.user_layers
    seconds = _start_seconds(counts) + encoding
    if chooses:
        checking = encoding + _ranking_seconds(counts)
        probed_share = min(1.0, _PROBED_PAIRS / max(counts.pairs, 1))
        probe = probed_share * epoch + checking
        seconds += num_probes(counts, config) * probe
        seconds += _epochs(train, _MORE_RUN) * (epoch + checking)
    else:
        seconds += _epochs(train, _MORE_KEPT) * epoch
    memory = _training_bytes(counts, config.model, train)
    disk = 3 * counts.nodes * config.model.width * FLOAT_BYTES
    return cost_of(counts, seconds, memory, disk)


def epoch_seconds(counts: Counts, config: RunConfig) -> float:
    """One pass over the pairs of a phase."""
    model = config.model
    steps = _steps(counts, config.train)
    scoring = counts.pairs * _pair_seconds(model, config.train)
    # A pass of messages over the whole graph, in every step.
    messages = steps * _MESSAGE * counts.edges * model.layers
    seconds = steps * _STEP + scoring
    if model.family != "history":
        return seconds + messages

    attending = _NEIGHBOUR * _mean_history(counts, model) * model.user_layers
    # Steps share a pass where it would cost more than a share of theirs.
    shared_messages = min(messages, _MESSAGE_SHARE * scoring)
    return seconds + counts.pairs * attending + shared_messages


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


def _start_seconds(counts: Counts) -> float:
    """The SVD of the start: passes over the pairs, and over the vectors of the smaller side."""
    smaller = min(counts.users, counts.items)
    a_pass = 4e-9 * counts.pairs + 5e-7 * smaller
    return _LANCZOS * a_pass


def _ranking_seconds(counts: Counts) -> float:
    """Lists of the users that a validation looks at."""
    return _RANKED_CELL * counts.validation_users * counts.items


def _pair_seconds(model: ModelConfig, train: TrainConfig) -> float:
    """Of a pair and its candidates."""
    candidates = train.negatives
    if train.in_batch:
        candidates += train.share_size
    # Half of what a candidate costs is an inner product, the rest does not know the width.
    of_width = 0.5 + model.width / 128
    return _PAIR + _CANDIDATE * candidates * of_width


def _steps(counts: Counts, train: TrainConfig) -> int:
    """Of an epoch."""
    return ceil(counts.pairs / batch_size(counts.pairs, train))


def _mean_history(counts: Counts, model: ModelConfig) -> float:
    """Events that a user is made of."""
    mean_length = counts.pairs / max(counts.users, 1)
    return min(mean_length, model.history)


def _training_bytes(counts: Counts, model: ModelConfig, train: TrainConfig) -> float:
    """Tables with their optimiser, states of layers, and what a step holds."""
    row_bytes = model.width * FLOAT_BYTES
    has_user_rows = model.family != "history" or model.user_table
    learnt_rows = counts.nodes if has_user_rows else counts.items
    # Parameter, gradient, two moments of Adam, the best epoch, and two while a checkpoint is written.
    table_bytes = 7.0 * learnt_rows * row_bytes
    state_bytes = 6.0 * counts.nodes * row_bytes * (model.layers + 1)
    candidates = max(train.negatives, 1)
    score_bytes = 4.0 * train.share_size * candidates * FLOAT_BYTES
    events = batch_size(counts.pairs, train) * _mean_history(counts, model)
    event_bytes = 12.0 * events * row_bytes
    return table_bytes + state_bytes + score_bytes + event_bytes
