"""Time to reach a published figure: ours as logged, a peer's from a few of its batches times its
published epochs.
"""

import math
from dataclasses import replace
from typing import Any

from benchmarks.accuracy.data import configuration, load
from benchmarks.accuracy.epoch_log import first_to_reach
from benchmarks.accuracy.foreign import score_peer
from benchmarks.accuracy.rows import Row
from benchmarks.accuracy.run import Place, device, log_path
from recsys.core.errors import DataError

TIMES = ("seconds", "cpu_seconds")


def of_peer(row: Row, dataset: str, place: Place, batches: int) -> dict[str, Any]:
    """Seconds to the end of the published training, extrapolated from `batches` measured ones."""
    config = configuration(dataset, place.data, {})
    log, splits = load(config, place.of(dataset))
    few = replace(row, settings=row.settings | {"batches": batches, "epochs": 1})
    facts = score_peer(few, config, log, splits, place.peers).facts
    size = row.settings.get("batch_size") or row.settings["train_batch_size"]
    steps = row.settings["epochs"] * math.ceil((len(splits.train) + len(splits.validation)) / size)
    measured = {f"{name}_per_batch": facts[f"{name}_per_batch"] for name in TIMES}
    return measured | {
        "device": device(config),
        "batches_measured": facts["batches"],
        "batches_published": steps,
        **{name: round(facts[f"{name}_per_batch"] * steps) for name in TIMES},
    }


def of_ours(row: Row, dataset: str, seed: int, recall: float) -> dict[str, float]:
    """The line of a row's log that first reaches `recall` on the test. Raises DataError when none
    does.
    """
    path = log_path(row.name, dataset, seed)
    line = first_to_reach(path, recall) if path.exists() else None
    if line is None:
        raise DataError(
            f"{path.name} holds no epoch with Recall@20 of {recall}", "Run the row with --log-test"
        )
    return {name: line[name] for name in ("epoch", "recall@20", *TIMES)}
