"""What each part of a run costs: measured constants, and formulas in counts.

Seconds are those of one core of the machine that the constants were fitted on (`python -m benchmarks
forecast`, a server core of 2.5 GHz or so): the nominal speed. Nothing here looks at a clock, so that
what follows from a forecast is the same on every machine.
"""

from typing import NamedTuple

from recsys.baselines.catalogue import baseline
from recsys.budget.counts import Counts
from recsys.closed_form.costs import slim_cost
from recsys.core.config import RunConfig

PROGRAM_BYTES = 450_000_000
"""Of the process with its libraries, before it holds a row."""
ROW_BYTES = 400
"""Of a row of the log while a stage holds it: ids, times, graph in both directions, histories."""
# Of what the constants say: they were fitted on a core whose neighbour was at work.
_NOMINAL_SHARE = 0.7
_STAGE_SECONDS = 0.05  # reading and hashing inputs, whatever their size
_PAGE_SECONDS = 0.75  # drawing the report
_GOLDEN_SECONDS = 0.3  # requests that a bundle is checked by

_INGESTED_ROW = 3e-6
_SPLIT_ROW = 2e-6
_AUDITED_ROW = 4e-6
_ENCODED_ITEM = 3e-3  # by TF-IDF in three phases, or by a small model
_CANDIDATE, _CANDIDATE_TREE = 2e-5, 1e-7  # a user and an item that trees look at; a tree of them
_EDGE = 1e-6  # of a graph, built and saved

_BLENDED_CELL = 5e-8  # a user and an item: the score of a blended model, and its place
_PLAIN_CELL = 5e-9  # the same where histories add nothing
_BLENDS, _PLAIN_BLENDS = 110, 95  # tried on validation: with all terms; without histories
_TRIED_CELL, _PLAIN_TRIED_CELL = 2e-8, 6e-9  # a judging user and an item, a blend; the same
_JUDGING_USERS, _FEWEST_JUDGING, _JUDGED_CELLS = 10_000, 200, 40_000_000
_TABLES = 2  # item–item tables that a blend tries; ridges share most of their work
_VISITOR_CELL, _PLAIN_VISITOR_CELL = 1e-7, 2e-8  # a visitor and an item; the same
_VISITORS, _VISITOR_LISTS = 2_000, 12
_SIMILAR_ASKED = 3  # items of each judging user that are asked for what is similar
_DRAW = 4e-10  # a bootstrap draw, a user and a metric
_METRICS = 22  # of a model
_INDEX_USERS = 10_000  # whose lists go through the index as well
_INDEXED_CELL = 1e-8  # a test user and an item, by exact scores and through the index
_BUNDLED_ROW = 5e-6

_LOG_ROW_BYTES = 12  # on disk, packed
_EDGE_BYTES = 12
_BUNDLED_ROW_BYTES = 24
_LIST_BYTES = 80  # of a user, 20 items
_PAGE_BYTES = 300_000
_INDEX_ITEM_BYTES = 1000.0  # in memory
_RANKING_BYTES = 200_000_000
_BLOCKS = 6.0  # of scores, held at most
FLOAT_BYTES = 4


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
    rows = counts.rows
    return cost_of(counts, _INGESTED_ROW * rows, disk=_LOG_ROW_BYTES * rows)


def split_cost(counts: Counts) -> StageCost:
    """Train, validation and test rows."""
    rows = counts.rows
    return cost_of(counts, _SPLIT_ROW * rows, disk=_LOG_ROW_BYTES * rows)


def audit_cost(counts: Counts) -> StageCost:
    """Looking for leaks."""
    return cost_of(counts, _AUDITED_ROW * counts.rows)


def relations_cost(counts: Counts) -> StageCost:
    """Reading files of edges."""
    rows = counts.relation_rows
    return cost_of(counts, _INGESTED_ROW * rows, disk=_LOG_ROW_BYTES * rows)


def graph_cost(counts: Counts) -> StageCost:
    """The graph of one phase."""
    edges = counts.edges
    return cost_of(counts, _EDGE * edges, disk=_EDGE_BYTES * edges)


def blend_cost(counts: Counts, config: RunConfig, chooses: bool) -> StageCost:
    """Terms beside the vectors: fitted, and their weights chosen on validation.

    Args:
        counts: of the phase.
        config: of the run.
        chooses: whether blends are tried; else the chosen one is fitted.
    """
    width = config.model.width
    rank = _low_pass_rank(counts, config)
    seconds = _low_pass_seconds(counts, rank)

    # Scaled user vectors thrice; into and back of the low-pass, once more while they are fitted.
    factor_bytes = 2.0 * rank * counts.items * FLOAT_BYTES
    memory = 3.0 * counts.users * width * FLOAT_BYTES
    memory += 2 * factor_bytes
    disk = factor_bytes

    neighbours = config.blend.neighbours
    if neighbours:
        num_tables = _TABLES if chooses else 1
        table = slim_cost(counts.users, counts.items, counts.pairs)
        seconds += num_tables * table.seconds
        memory += table.bytes
        disk += 8 * neighbours * counts.items
    if chooses:
        cells = _judging_users(counts) * counts.items
        if has_histories(config):
            seconds += _BLENDS * _TRIED_CELL * cells
        else:
            seconds += _PLAIN_BLENDS * _PLAIN_TRIED_CELL * cells
        memory += _BLOCKS * cells * FLOAT_BYTES
    return cost_of(counts, seconds, memory, disk)


def ranking_cost(counts: Counts, config: RunConfig, num_users: int) -> StageCost:
    """Lists of the held-out users by a blended model."""
    cell = _BLENDED_CELL if has_histories(config) else _PLAIN_CELL
    cells = num_users * counts.items
    disk = _LIST_BYTES * num_users
    return cost_of(counts, cell * cells, _RANKING_BYTES, disk)


def similar_cost(counts: Counts, config: RunConfig) -> StageCost:
    """Lists of what is similar to a few items of each judging user, by vectors and for a visitor."""
    cells = _SIMILAR_ASKED * _judging_users(counts) * counts.items
    of_visitors = _BLENDED_CELL if has_histories(config) else _PLAIN_CELL
    return cost_of(counts, (_PLAIN_CELL + of_visitors) * cells, _RANKING_BYTES)


def has_histories(config: RunConfig) -> bool:
    """Whether items of a history may add to scores beside the vectors."""
    return bool(config.blend.neighbours or config.blend.low_pass_rank)


def baseline_cost(counts: Counts, name: str, num_fits: int) -> StageCost:
    """Fits of one baseline, each with a ranking; nothing for one that is skipped."""
    if not num_fits:
        return cost_of(counts, 0.0)
    forecast = baseline(name).forecast(counts.users, counts.items, counts.pairs)
    disk = _LIST_BYTES * counts.test_users
    return cost_of(counts, num_fits * forecast.seconds, forecast.bytes, disk)


def counting_cost(counts: Counts) -> StageCost:
    """A pass over the rows."""
    return cost_of(counts, _SPLIT_ROW * counts.rows)


def contents_cost(counts: Counts, config: RunConfig) -> StageCost:
    """Encoding texts and pictures; those that are fitted, in every phase, count here too."""
    features = config.features.all
    return cost_of(counts, _ENCODED_ITEM * counts.items * len(features))


def rank_cost(counts: Counts, config: RunConfig) -> StageCost:
    """Candidates of validation users, what is read of them, and trees."""
    users = min(counts.validation_users, _JUDGING_USERS)
    candidates = users * (config.rank.candidates + config.rank.popular)
    learning = candidates * (_CANDIDATE + _CANDIDATE_TREE * config.rank.trees)
    return cost_of(counts, learning + _BLENDED_CELL * users * counts.items, 200.0 * candidates)


def cold_start_cost(counts: Counts, config: RunConfig) -> StageCost:
    """Test users as visitors with their last few events."""
    visitors = min(counts.test_users, _VISITORS)
    cell = _VISITOR_CELL if has_histories(config) else _PLAIN_VISITOR_CELL
    ranking = cell * visitors * counts.items
    drawing = _DRAW * config.evaluate.bootstrap * visitors
    return cost_of(counts, _VISITOR_LISTS * (ranking + drawing))


def index_cost(counts: Counts) -> StageCost:
    """Choosing how vectors are searched, and lists by exact scores and through the index."""
    cells = min(counts.test_users, _INDEX_USERS) * counts.items
    memory = _INDEX_ITEM_BYTES * counts.items
    return cost_of(counts, 2 * _INDEXED_CELL * cells, memory)


def report_cost(counts: Counts, num_models: int, draws: int) -> StageCost:
    """Metrics and intervals of every model."""
    columns = num_models * _METRICS
    drawing = _DRAW * draws * counts.test_users * columns
    memory = 16.0 * columns * (counts.test_users + draws)
    return cost_of(counts, _PAGE_SECONDS + drawing, memory, _PAGE_BYTES)


def bundle_cost(counts: Counts, config: RunConfig) -> StageCost:
    """Everything that serving needs, in files."""
    vector_bytes = 2.0 * counts.nodes * config.model.width * FLOAT_BYTES
    history_bytes = _BUNDLED_ROW_BYTES * counts.rows
    scoring = blend_cost(counts, config, chooses=False)
    disk = vector_bytes + history_bytes + scoring.disk_bytes
    seconds = _GOLDEN_SECONDS + _BUNDLED_ROW * counts.rows
    return cost_of(counts, seconds, disk, disk)


def cost_of(counts: Counts, seconds: float, memory: float = 0.0, disk: float = 0.0) -> StageCost:
    """What a stage takes beside what every stage does.

    Args:
        counts: of the phase.
        seconds: of its own work.
        memory: beyond the program and the rows.
        disk: of what it leaves.
    """
    held_bytes = PROGRAM_BYTES + ROW_BYTES * counts.rows
    nominal_seconds = _NOMINAL_SHARE * (_STAGE_SECONDS + seconds)
    return StageCost(nominal_seconds, held_bytes + memory, disk)


def _judging_users(counts: Counts) -> int:
    """By whom blends are judged (`scores.judged_blends.judging_users`)."""
    affordable = _JUDGED_CELLS // max(counts.items, 1)
    affordable = max(affordable, _FEWEST_JUDGING)
    return min(counts.validation_users, _JUDGING_USERS, affordable)


def _low_pass_rank(counts: Counts, config: RunConfig) -> int:
    return min(config.blend.low_pass_rank, counts.users, counts.items)


def _low_pass_seconds(counts: Counts, rank: int) -> float:
    """Passes over the pairs, and over the vectors of the smaller side."""
    smaller = min(counts.users, counts.items)
    a_pass = 4e-9 * counts.pairs + 5e-7 * smaller
    return 8 * rank * a_pass
