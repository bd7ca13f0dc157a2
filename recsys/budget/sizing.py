"""What a run takes on several processes before there is a log: hours, memory of each, bytes between
them, what they go to, and what would change them.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from recsys.budget.bucket_costs import bucket_cost, goes_by_buckets
from recsys.budget.costs import ROW_BYTES
from recsys.budget.counts import Counts
from recsys.budget.forecast import stage_cost
from recsys.budget.group_costs import held_bytes, worker_cost
from recsys.core.config import RunConfig
from recsys.core.errors import UsageError
from recsys.evaluate.deciding import VALIDATION_USERS

TEST_SHARE = 0.1
"""Of the interactions, held out for validation and for the test each."""
_WORTH_TELLING = 0.9  # a change that leaves more than this of hours and memory is not told

Stages = Callable[[RunConfig], Sequence[tuple[str, str]]]
"""(stage, bucket) of every stage of a configuration, in order."""


@dataclass(frozen=True)
class StageSize:
    """One stage.

    hours: from begin to end, at the nominal speed of a core a process.
    memory_bytes: of each process that works on it; of the largest, where one leads the others.
    moved_bytes: that each sends to others.
    processes: that share it.
    """

    name: str
    hours: float
    memory_bytes: float
    moved_bytes: float
    processes: int


@dataclass(frozen=True)
class Change:
    """What another configuration would take. key: as `--set` takes it."""

    key: str
    hours: float
    memory_bytes: float


@dataclass(frozen=True)
class Sizing:
    """A whole run.

    counts: of the log, as they follow from what was asked.
    stages: in order.
    held: of a training process, bytes by what it holds.
    changes: that would take less, the largest saving first.
    """

    counts: Counts
    stages: tuple[StageSize, ...]
    held: Mapping[str, float]
    changes: tuple[Change, ...] = ()

    @property
    def hours(self) -> float:
        return sum(stage.hours for stage in self.stages)

    @property
    def memory_bytes(self) -> float:
        """Of the largest process."""
        return max(stage.memory_bytes for stage in self.stages)

    @property
    def moved_bytes(self) -> float:
        """That each process sends."""
        return sum(stage.moved_bytes for stage in self.stages)

    def document(self) -> dict[str, Any]:
        return {
            "counts": self.counts.document(),
            "hours": self.hours,
            "memory_bytes": self.memory_bytes,
            "moved_bytes": self.moved_bytes,
            "stages": [asdict(stage) for stage in self.stages],
            "training_process_bytes": dict(self.held),
            "would_change": [asdict(change) for change in self.changes],
        }


def counts_of_size(
    users: int, items: int, interactions: int, has_order: bool, has_clock: bool
) -> Counts:
    """Counts of a log of one behaviour that nobody has seen yet.

    Args:
        users, items, interactions: of the log after cleaning.
        has_order: whether it says what each user did after what.
        has_clock: whether it has moments.

    Raises:
        UsageError: a number is not above 0, or there are more pairs than users and items make.
    """
    for name, value in (("users", users), ("items", items), ("interactions", interactions)):
        if value < 1:
            raise UsageError(f"--{name} {value} is not above 0", "Give the size of the log")
    if interactions > users * items:
        raise UsageError(
            f"{users:,} users and {items:,} items cannot have {interactions:,} different pairs",
            "Give fewer --interactions, or more --users and --items",
        )
    held_out = int(TEST_SHARE * interactions)
    test_users = min(users, max(held_out, 1))
    return Counts(
        rows=interactions,
        users=users,
        items=items,
        pairs=interactions - 2 * held_out,
        auxiliary_rows=0,
        relation_rows=0,
        validation_pairs=held_out,
        test_pairs=held_out,
        validation_users=min(test_users, VALIDATION_USERS),
        test_users=test_users,
        has_order=has_order,
        has_clock=has_clock,
    )


def size_run(
    config: RunConfig,
    counts: Counts,
    stages: Stages,
    link_bytes: float,
    buckets: int | None = None,
) -> Sizing:
    """What a run takes, and what would change that.

    Args:
        config: of the run; `group.workers` processes train, and share the buckets.
        counts: of the log.
        stages: of a configuration.
        link_bytes: a second, that a process can send.
        buckets: of users, that the log is gone through by; None for one process.
    """
    sizing = _sized(config, counts, stages, link_bytes, buckets)
    changes = []
    for key, changed_config in _changed_configs(config):
        changed = _sized(changed_config, counts, stages, link_bytes, buckets)
        change = Change(key, changed.hours, changed.memory_bytes)
        if _saving(change, sizing) < _WORTH_TELLING:
            changes.append(change)
    changes.sort(key=lambda change: _saving(change, sizing))
    return Sizing(sizing.counts, sizing.stages, sizing.held, tuple(changes))


def _sized(
    config: RunConfig, counts: Counts, stages: Stages, link_bytes: float, buckets: int | None
) -> Sizing:
    sizes = []
    for stage, bucket in stages(config):
        name = f"{stage}[{bucket}]" if bucket else stage
        if buckets is not None and goes_by_buckets(stage, config):
            sizes.append(_divided(name, stage, counts, config, link_bytes, buckets))
        else:
            sizes.append(_stage_size(name, stage, bucket, counts, config, link_bytes))
    return Sizing(counts, tuple(sizes), held_bytes(counts, config)._asdict())


def _stage_size(
    name: str, stage: str, bucket: str, counts: Counts, config: RunConfig, link_bytes: float
) -> StageSize:
    """One stage over one bucket.

    Args:
        name: as it is shown.
        stage, bucket: as the run calls them.
        counts: of the log.
        config: of the run.
        link_bytes: a second, that a process can send.
    """
    kind, _, phase = stage.partition("-")
    if kind == "train":
        worker = worker_cost(counts.at(phase), config, phase, link_bytes)
        hours = worker.seconds / 3600
        workers = config.group.workers
        return StageSize(name, hours, worker.memory_bytes, worker.moved_bytes, workers)
    cost = stage_cost(stage, bucket, counts, config)
    return StageSize(name, cost.seconds / 3600, cost.memory_bytes, 0.0, 1)


def _divided(
    name: str, stage: str, counts: Counts, config: RunConfig, link_bytes: float, buckets: int
) -> StageSize:
    """One stage that goes by buckets of users; arguments as of `_stage_size`."""
    cost = bucket_cost(stage, counts, config, buckets, config.group.workers, link_bytes)
    return StageSize(name, cost.seconds / 3600, cost.memory_bytes, cost.moved_bytes, cost.workers)


def _changed_configs(config: RunConfig) -> Iterator[tuple[str, RunConfig]]:
    """Configurations that take less, each by one key."""
    changes: dict[str, dict[str, object]] = {
        "group": {"workers": 2 * config.group.workers},
        "model": {"user_table": False, "width": config.model.width // 2},
        "train": {"shard_tables": True, "negatives": 512},
        "evaluate": {"baselines": ["popularity"], "baseline_settings": 1},
    }
    for section, keys in changes.items():
        for key, value in keys.items():
            of_section = getattr(config, section)
            if getattr(of_section, key) == value:
                continue
            changed_section = of_section.model_copy(update={key: value})
            changed_config = config.model_copy(update={section: changed_section})
            yield f"{section}.{key}={_toml(value)}", changed_config
    if config.refit:
        yield "refit=false", config.model_copy(update={"refit": False})


def _toml(value: object) -> str:
    return str(value).lower().replace("'", '"')


def _saving(change: Change, sizing: Sizing) -> float:
    """What is left of hours or of memory, whichever a change lowers more."""
    hours = change.hours / max(sizing.hours, 1e-9)
    return min(hours, change.memory_bytes / sizing.memory_bytes)


def drivers(sizing: Sizing) -> list[str]:
    """What most of the hours and of the memory go to, in words."""
    by_hours = sorted(sizing.stages, key=lambda stage: -stage.hours)
    lines = []
    for stage in by_hours[:3]:
        share = stage.hours / max(sizing.hours, 1e-9)
        lines.append(f"{stage.name}: {share:.0%} of the hours")
    largest = max(sizing.stages, key=lambda stage: stage.memory_bytes)
    rows = ROW_BYTES * sizing.counts.rows
    if largest.name.startswith("train"):
        what, size = max(sizing.held.items(), key=lambda part: part[1])
    else:
        what, size = "rows of the log", rows
    lines.append(f"{largest.name}: the most memory, of it {size / 1e9:.1f} GB {what}")
    return lines
