"""What the stages that go by buckets of users take: seconds, memory of whoever works, and files.

Constants are those of `python -m benchmarks buckets`, by step (benchmarks/results/buckets.json), at the
speed that `recsys.budget.costs` speaks of.
"""

from typing import NamedTuple

from recsys.budget.costs import audit_cost, ranking_cost
from recsys.budget.counts import Counts
from recsys.core.config import RunConfig
from recsys.core.steps import call_bytes

_INGESTED_ROW = 2.7e-6  # read, moved to its bucket, cleaned, written: by the workers
_LED_ROW = 1.4e-6  # ids put in order, counts: by one process
_SPLIT_ROW = 1.1e-6  # the moment of the cut, the part that a row goes to
_LED_SPLIT_ROW = 2e-8
_EXCHANGED_ROW_BYTES = 20  # of a bucket's files, packed
_INGEST_FILE_BYTES = 100  # of all files that ingest leaves on its way, a row
_SPLIT_FILE_BYTES = 25
_AUDIT_FILE_BYTES = 25
_LIST_FILE_BYTES = 150  # of a user, 20 items with their scores
_LED_ROW_BYTES = 45  # of ids and their places, in the process that leads


class BucketCost(NamedTuple):
    """What one stage takes.

    seconds: from begin to end, at the nominal speed.
    memory_bytes: of the largest of the processes at its peak.
    moved_bytes: of the files that each worker writes, and another reads.
    workers: that have a bucket at the same time.
    """

    seconds: float
    memory_bytes: float
    moved_bytes: float
    workers: int


class _Shares(NamedTuple):
    """seconds: of all workers. led_seconds: of the process that leads. file_bytes: of all files."""

    seconds: float
    led_seconds: float
    file_bytes: float


def goes_by_buckets(stage: str, config: RunConfig) -> bool:
    """Whether `recsys run --buckets` divides a stage; lists of baselines count as their fit."""
    if stage in ("split", "audit"):
        return config.data.test is None
    return stage in ("ingest", "validate", "test-model")


def bucket_cost(
    stage: str, counts: Counts, config: RunConfig, buckets: int, workers: int, link_bytes: float
) -> BucketCost:
    """Of a stage that `goes_by_buckets`.

    Args:
        stage: its name.
        counts: of the log.
        config: of the run.
        buckets: of users.
        workers: processes that the buckets are shared among.
        link_bytes: a second, that a process writes and reads of shared files.
    """
    shares = _shares(stage, counts, config)
    at_once = min(buckets, workers)
    moved_bytes = shares.file_bytes / at_once
    seconds = shares.led_seconds + shares.seconds / at_once + 2 * moved_bytes / link_bytes
    memory_bytes = _memory_bytes(stage, counts, config, buckets, at_once)
    return BucketCost(seconds, memory_bytes, moved_bytes, at_once)


def _shares(stage: str, counts: Counts, config: RunConfig) -> _Shares:
    rows = counts.rows
    if stage == "ingest":
        return _Shares(_INGESTED_ROW * rows, _LED_ROW * rows, _INGEST_FILE_BYTES * rows)
    if stage == "split":
        return _Shares(_SPLIT_ROW * rows, _LED_SPLIT_ROW * rows, _SPLIT_FILE_BYTES * rows)
    if stage == "audit":
        return _Shares(audit_cost(counts).seconds, 0.0, _AUDIT_FILE_BYTES * rows)
    num_users = counts.validation_users if stage == "validate" else counts.test_users
    ranking = ranking_cost(counts, config, num_users)
    return _Shares(ranking.seconds, 0.0, _LIST_FILE_BYTES * num_users)


def _memory_bytes(
    stage: str, counts: Counts, config: RunConfig, buckets: int, workers: int
) -> float:
    """Of a worker with one bucket, or of the process that leads, whichever is larger."""
    if stage in ("validate", "test-model"):
        # Every worker holds the log and the vectors, and ranks a bucket's users.
        return ranking_cost(counts, config, 0).memory_bytes
    of_worker = call_bytes(_EXCHANGED_ROW_BYTES * counts.rows // buckets)
    led_bytes = _LED_ROW_BYTES * counts.rows
    if workers == 1:
        # One process leads and works.
        return of_worker + led_bytes
    return max(of_worker, call_bytes(0) + led_bytes)
