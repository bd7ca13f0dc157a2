"""What each part of a run costs: measured constants, and formulas in counts.

Seconds are those of one core of the machine that the constants were fitted on (`python -m benchmarks
forecast`, a server core of 2.5 GHz or so): the nominal speed. Nothing here looks at a clock, so that
what follows from a forecast is the same on every machine.
"""

from math import ceil
from typing import NamedTuple

from recsys.baselines.catalogue import baseline
from recsys.budget.counts import Counts
from recsys.closed_form.costs import Forecast, slim_cost
from recsys.core.config import ModelConfig, RunConfig, TrainConfig

PROGRAM_BYTES = 450_000_000
"""Of the process with its libraries, before it holds a row."""
ROW_BYTES = 400
"""Of a row of the log while a stage holds it: ids, times, graph in both directions, histories."""
_STAGE_SECONDS = 0.05  # reading and hashing inputs, whatever their size
_START_SECONDS = 1.5  # the first steps of a program: threads, caches, drawing libraries

_INGESTED_ROW = 3e-6
_SPLIT_ROW = 2e-6
_AUDITED_ROW = 4e-6
_EDGE = 1e-6  # of a graph, built and saved

_PAIR = 6e-6  # a pair of a step, before its candidates: drawing, and Adam on what it touches
_CANDIDATE = 1.5e-8  # a pair and a candidate at width 64, forward and backward
_NEIGHBOUR = 1.2e-7  # a pair, an event of its user's history and an attention step
_MESSAGE = 2.5e-7  # an edge of the whole graph and a layer, forward and backward
_STEP = 5e-3  # what a step takes whatever its size
_ENCODED_EVENT = 2.5e-7  # an event of a history when all users are encoded
_LANCZOS = 250  # passes of the SVD of the start over the pairs

_RANKED_CELL = 4e-9  # a user and an item: a score, and its place
_BLENDED_CELL = 3e-8  # the same with what terms add
_BLENDS, _PLAIN_BLENDS = 110, 20  # tried on validation: with all terms; without histories
_TRIED_CELL = 2e-8  # a judging user and an item, a blend
_JUDGING_USERS, _FEWEST_JUDGING, _JUDGED_CELLS = 10_000, 200, 40_000_000
_VALIDATED_USERS = 30_000
_TABLES = 2  # item–item tables that a blend tries; ridges share most of their work
_VISITOR_CELL = 1e-7  # a visitor and an item
_VISITORS, _VISITOR_LISTS = 2_000, 12
_DRAW = 4e-10  # a bootstrap draw, a user and a metric
_METRICS = 22  # of a model
_INDEXED_CELL = 1e-8  # a test user and an item, by exact scores and through the index
_BUNDLED_ROW = 5e-6

_SURE_EPOCHS = 12  # that early stopping hardly ever cuts
_MORE_RUN, _MORE_KEPT = 0.7, 0.25  # of those beyond: how many run, how many later phases take

_LOG_ROW_BYTES = 12  # on disk, packed
_EDGE_BYTES = 12
_FLOAT_BYTES = 4


class StageCost(NamedTuple):
    """What one stage takes.

    seconds: of processor, at the nominal speed.
    memory_bytes: of the whole process, at its peak.
    disk_bytes: of what it leaves.
    """

    seconds: float
    memory_bytes: float
    disk_bytes: float


def ingest_cost(counts: Counts) -> StageCost:
    """Reading, cleaning and coding the log."""
    seconds = _INGESTED_ROW * counts.rows
    return _cost(counts, seconds, disk=_LOG_ROW_BYTES * counts.rows)


def split_cost(counts: Counts) -> StageCost:
    """Train, validation and test rows."""
    return _cost(counts, _SPLIT_ROW * counts.rows, disk=_LOG_ROW_BYTES * counts.rows)


def audit_cost(counts: Counts) -> StageCost:
    """Looking for leaks; reading relations costs as much."""
    return _cost(counts, _AUDITED_ROW * counts.rows)


def relations_cost(counts: Counts) -> StageCost:
    """Files of edges."""
    disk = _LOG_ROW_BYTES * counts.relation_rows
    return _cost(counts, _INGESTED_ROW * counts.relation_rows, disk=disk)


def graph_cost(counts: Counts) -> StageCost:
    """The graph of one phase."""
    edges = _edges(counts)
    return _cost(counts, _EDGE * edges, disk=_EDGE_BYTES * edges)


def training_cost(counts: Counts, config: RunConfig, chooses: bool) -> StageCost:
    """A training of one phase.

    Args:
        counts: of the phase.
        config: of the run.
        chooses: whether validation decides when to stop; else it takes the epochs that were chosen.
    """
    epoch = epoch_seconds(counts, config)
    embedding = _ENCODED_EVENT * counts.pairs * config.model.user_layers
    checked_users = min(counts.validation_users, _VALIDATED_USERS)
    checking = embedding + _RANKED_CELL * checked_users * counts.items
    seconds = _LANCZOS * (4e-9 * counts.pairs + 5e-7 * min(counts.users, counts.items))
    if chooses:
        probes = num_probes(counts, config)
        probed = min(1.0, 200_000 / max(counts.pairs, 1))
        seconds += probes * (probed * epoch + checking)
        seconds += _epochs(config.train, _MORE_RUN) * (epoch + checking)
    else:
        seconds += _epochs(config.train, _MORE_KEPT) * epoch
    seconds += embedding
    memory = _training_bytes(counts, config.model, config.train)
    nodes = counts.users + counts.items
    disk = 3 * nodes * config.model.width * _FLOAT_BYTES
    return _cost(counts, seconds, memory, disk)


def _epochs(train: TrainConfig, share: float) -> float:
    """Epochs to expect; share: of those beyond the sure ones."""
    sure = min(train.epochs, _SURE_EPOCHS)
    return sure + share * (train.epochs - sure)


def epoch_seconds(counts: Counts, config: RunConfig) -> float:
    """One pass over the pairs of a phase."""
    model, train = config.model, config.train
    steps = _steps(counts, train)
    if model.family != "history":
        # Every step passes messages over the whole graph, or over what it draws.
        return steps * (_STEP + _MESSAGE * _edges(counts) * model.layers) + (
            counts.pairs * _pair_seconds(model, train)
        )
    mean_history = min(counts.pairs / max(counts.users, 1), model.history)
    attending = _NEIGHBOUR * mean_history * model.user_layers
    # What a pass over the graph costs is kept below half of what its steps cost.
    messages = steps * _MESSAGE * _edges(counts) * model.layers
    scoring = counts.pairs * _pair_seconds(model, train)
    return steps * _STEP + scoring + counts.pairs * attending + min(messages, 0.5 * scoring)


def num_probes(counts: Counts, config: RunConfig) -> int:
    """Short trainings that settle what the configuration leaves open."""
    train = config.train
    if config.model.family != "history":
        return 0
    open_settings = [train.top_k is None, train.temperature is None]
    if counts.has_order and config.model.recency:
        open_settings.append(train.horizon is None)
    num_open = sum(open_settings)
    return num_open + 1 if num_open else 0


def blend_cost(counts: Counts, config: RunConfig, chooses: bool) -> StageCost:
    """Terms beside the vectors: fitted, and their weights chosen on validation."""
    tables = _TABLES if chooses else 1
    seconds = _low_pass_seconds(counts, config)
    memory = 3.0 * counts.users * config.model.width * _FLOAT_BYTES
    disk = 0.0
    if config.blend.neighbours:
        table = slim_cost(counts.users, counts.items, counts.pairs)
        seconds += tables * table.seconds
        memory += table.bytes
        disk += 8 * config.blend.neighbours * counts.items
    rank = min(config.blend.low_pass_rank, counts.items, counts.users)
    memory += 4 * rank * counts.items * _FLOAT_BYTES
    disk += 2 * rank * counts.items * _FLOAT_BYTES
    if chooses:
        # `scores.judged_blends.judging_users`
        affordable = max(_JUDGED_CELLS // max(counts.items, 1), _FEWEST_JUDGING)
        judging = min(counts.validation_users, _JUDGING_USERS, affordable)
        has_histories = bool(config.blend.neighbours or rank)
        num_blends = _BLENDS if has_histories else _PLAIN_BLENDS
        seconds += num_blends * _TRIED_CELL * judging * counts.items
        memory += 6.0 * judging * counts.items * _FLOAT_BYTES
    return _cost(counts, seconds, memory, disk)


def ranking_cost(counts: Counts, held_out_users: int) -> StageCost:
    """Lists of the held-out users by a blended model."""
    return _cost(counts, _BLENDED_CELL * held_out_users * counts.items, 2e8, 80 * held_out_users)


def baseline_cost(counts: Counts, name: str, num_fits: int) -> StageCost:
    """Fits of one baseline, each with a ranking; nothing for one that is skipped."""
    if not num_fits:
        return _cost(counts, 0.0)
    forecast: Forecast = baseline(name).forecast(counts.users, counts.items, counts.pairs)
    return _cost(counts, num_fits * forecast.seconds, forecast.bytes, 80 * counts.test_users)


def popularity_stage_cost(counts: Counts) -> StageCost:
    """What users without a history get."""
    return _cost(counts, _SPLIT_ROW * counts.rows)


def cold_start_cost(counts: Counts, draws: int) -> StageCost:
    """Test users as visitors with their last few events."""
    visitors = min(counts.test_users, _VISITORS)
    ranking = _VISITOR_LISTS * _VISITOR_CELL * visitors * counts.items
    return _cost(counts, ranking + _VISITOR_LISTS * _DRAW * draws * visitors)


def index_cost(counts: Counts) -> StageCost:
    """Choosing and building how vectors are searched."""
    seconds = 2 * _INDEXED_CELL * counts.test_users * counts.items
    return _cost(counts, seconds, 1000.0 * counts.items)


def report_cost(counts: Counts, num_models: int, draws: int) -> StageCost:
    """Metrics and intervals of every model."""
    columns = num_models * _METRICS
    seconds = _START_SECONDS / 2 + _DRAW * draws * counts.test_users * columns
    memory = 16.0 * columns * (counts.test_users + draws)
    return _cost(counts, seconds, memory, 300_000)


def bundle_cost(counts: Counts, config: RunConfig) -> StageCost:
    """Everything that serving needs, in files."""
    nodes = counts.users + counts.items
    disk = 2.0 * nodes * config.model.width * _FLOAT_BYTES + 24 * counts.rows
    disk += blend_cost(counts, config, False).disk_bytes
    return _cost(counts, _BUNDLED_ROW * counts.rows + 0.3, disk, disk)


def first_cost(counts: Counts) -> StageCost:
    """The first bundle: one item–item table of all rows, or popularity."""
    rows = _BUNDLED_ROW * counts.rows + 1.0
    return _cost(counts, rows, 100.0 * counts.items, 24 * counts.rows)


def _cost(counts: Counts, seconds: float, memory: float = 0.0, disk: float = 0.0) -> StageCost:
    """memory: beyond the program and the rows."""
    held = PROGRAM_BYTES + ROW_BYTES * counts.rows
    return StageCost(seconds + _STAGE_SECONDS, held + memory, disk)


def _edges(counts: Counts) -> int:
    """Of a graph, both directions."""
    return 2 * (counts.pairs + counts.auxiliary_rows + counts.relation_rows)


def _steps(counts: Counts, train: TrainConfig) -> int:
    """Of an epoch (`train.batches.batch_size`)."""
    batch = train.batch_size or min(max(counts.pairs // 50, 1024), 8192)
    return ceil(counts.pairs / batch)


def _pair_seconds(model: ModelConfig, train: TrainConfig) -> float:
    """Of a pair and its candidates."""
    candidates = train.negatives + (train.share_size if train.in_batch else 0)
    return _PAIR + _CANDIDATE * candidates * (0.5 + model.width / 128)


def _low_pass_seconds(counts: Counts, config: RunConfig) -> float:
    rank = min(config.blend.low_pass_rank, counts.users, counts.items)
    smaller = min(counts.users, counts.items)
    return 8 * rank * (4e-9 * counts.pairs + 5e-7 * smaller)


def _training_bytes(counts: Counts, model: ModelConfig, train: TrainConfig) -> float:
    """Tables with their optimiser, states of layers, and the scores of a step."""
    nodes = counts.users + counts.items
    learnt = nodes if model.family != "history" or model.user_table else counts.items
    tables = 7.0 * learnt * model.width * _FLOAT_BYTES
    states = 6.0 * nodes * model.width * _FLOAT_BYTES * (model.layers + 1)
    scores = 4.0 * train.share_size * max(train.negatives, 1) * _FLOAT_BYTES
    batch = train.batch_size or min(max(counts.pairs // 50, 1024), 8192)
    drawn = batch * min(counts.pairs / max(counts.users, 1), model.history)
    events = 12.0 * drawn * model.width * _FLOAT_BYTES
    return tables + states + scores + events
