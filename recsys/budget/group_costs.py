"""What a training by several processes takes of each: seconds, memory, and bytes that it sends.

Seconds and memory of a process are those of `recsys.budget.training_costs`, less what the others take
over; what goes between them was measured by `python -m benchmarks group`.
"""

from typing import NamedTuple

from recsys.budget.costs import FLOAT_BYTES, PROGRAM_BYTES
from recsys.budget.counts import Counts
from recsys.budget.training_costs import (
    epoch_cost,
    mean_history,
    num_passes,
    num_steps,
    start_seconds,
    table_rows,
    training_bytes,
    validation_seconds,
)
from recsys.core.config import RunConfig
from recsys.train.batches import batch_size, with_epochs
from recsys.train.forecast import Plan
from recsys.train.history_stepper import steps_a_pass

_NOMINAL_SHARE = 0.9
"""Of what the constants of a training say: measured epochs take so much (benchmarks/results/scale.json,
group.json)."""
_HELD_ROW_BYTES = 180.0
"""Of a row of the log, of its edge in both directions and of its place in a history, in training."""
_HELD_SHARE = 0.65  # of the copies that are counted, those that are there at the same time
_EXCHANGE_SECONDS = 2e-3  # what a step's exchanges take whatever they move
_EXCHANGES = 12  # of tables in parts: rows asked for, answered, gradients back, for every lookup


class WorkerCost(NamedTuple):
    """What one of the processes takes.

    seconds: from begin to end, at the nominal speed.
    memory_bytes: at its peak.
    moved_bytes: that it sends to others.
    """

    seconds: float
    memory_bytes: float
    moved_bytes: float


class HeldBytes(NamedTuple):
    """What a training process holds, in bytes.

    program: with its libraries.
    rows: of the log, as graph and histories.
    tables: layer-0 rows with their optimiser.
    states: of layers.
    step: scores and events.
    """

    program: float
    rows: float
    tables: float
    states: float
    step: float


def worker_cost(counts: Counts, config: RunConfig, phase: str, link_bytes: float) -> WorkerCost:
    """Of a training of one phase, of each of `group.workers` processes.

    Args:
        counts: of the phase.
        config: of the run.
        phase: as in `training_cost`.
        link_bytes: a second, that a process sends.
    """
    workers = config.group.workers
    epoch = epoch_cost(counts, config)
    passes = num_passes(counts, config, phase)
    computing = passes.epochs * (epoch.of_pairs / workers + epoch.of_nodes)
    computing += passes.validations * validation_seconds(counts, config.model) / workers
    computing += start_seconds(counts)

    moved, exchanges = 0.0, 0.0
    if workers > 1:
        steps = passes.epochs * num_steps(counts, config.train)
        moved = steps * _step_bytes(counts, config)
        exchanges = steps * _EXCHANGE_SECONDS
        if config.train.shard_tables:
            exchanges *= _EXCHANGES / 2
    seconds = _NOMINAL_SHARE * computing + moved / link_bytes + exchanges
    return WorkerCost(seconds, sum(held_bytes(counts, config)), moved)


def step_seconds(counts: Counts, config: RunConfig) -> float:
    """Of computing in each process, in one step of an epoch."""
    epoch = epoch_cost(counts, config)
    of_process = epoch.of_pairs / config.group.workers + epoch.of_nodes
    return _NOMINAL_SHARE * of_process / num_steps(counts, config.train)


def held_bytes(counts: Counts, config: RunConfig) -> HeldBytes:
    """Of each process, by what it holds."""
    workers = config.group.workers
    train = with_epochs(config.train, counts.pairs)
    whole = training_bytes(counts, config.model, train)
    tables = whole.tables
    if train.shard_tables and workers > 1:
        # All rows of a table come together once where messages pass over the whole graph.
        gathered = table_rows(counts, config.model) * config.model.width * FLOAT_BYTES
        tables = tables / workers + gathered
    return HeldBytes(
        program=PROGRAM_BYTES,
        rows=_HELD_ROW_BYTES * counts.rows,
        tables=_HELD_SHARE * tables,
        states=_HELD_SHARE * whole.states,
        step=_HELD_SHARE * whole.step / workers,
    )


def _step_bytes(counts: Counts, config: RunConfig) -> float:
    """That a process sends in a step, on average."""
    workers, model = config.group.workers, config.model
    to_others = (workers - 1) / workers
    row_bytes = model.width * FLOAT_BYTES
    all_rows = table_rows(counts, model) * row_bytes
    if not config.train.shard_tables:
        # A sum over all, each part added up at one process and sent round.
        return 2 * to_others * all_rows
    pairs = batch_size(counts.pairs, config.train) / workers
    events = pairs * mean_history(counts, model)
    step_rows = min(counts.items, config.train.negatives + pairs + events)
    if model.user_table:
        step_rows += pairs
    # Rows and their gradients in every step; the whole table and its gradient in every pass.
    of_step = 2 * to_others * step_rows * row_bytes
    passes = _passes_a_step(counts, config)
    return of_step + 2 * passes * to_others * all_rows


def _passes_a_step(counts: Counts, config: RunConfig) -> float:
    """Passes of messages over the whole graph; steps share one where it is dear."""
    pairs = batch_size(counts.pairs, config.train)
    edges = counts.edges // 2 * config.model.layers
    plan = Plan("histories", 0, 0, 0, pairs_a_step=pairs, edges_a_pass=edges)
    return 1 / steps_a_pass(plan, config.train)
