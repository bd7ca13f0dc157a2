"""From coded rows to what is learnt from, what chooses and what judges."""

from typing import Any

from pipelines.places import LOG
from pipelines.runner import Facts, Work
from recsys.core.tables import Drops
from recsys.graph.build import target_behavior
from recsys.logs.ingest import CodedLog, load_log
from recsys.logs.split import split_log
from recsys.logs.split_buckets import goes_by_buckets, split_by_buckets


def split_rows(work: Work) -> Facts:
    """Hold out test and validation rows of the target behaviour."""
    config = work.config
    log = load_log(work.read(LOG))
    target = target_behavior(log.behaviors, config.graph)
    document = _split(work, log, target)
    rows = {name: document["rows"][name] for name in ("train", "validation", "test")}
    method: str = document["method"]
    label = "time-safe" if document["time_safe"] else "not time-safe"
    counts = ", ".join(f"{count:,} {name}" for name, count in rows.items())
    how = method
    if document["validation_method"] not in ("given", method):
        how += f", validation by {document['validation_method']}"
    work.progress.say(f"split {how} ({label}): {counts}", method=method, **rows)
    rows_out = sum(rows.values())
    drops = Drops(document["drops"])
    return Facts(
        rows_in=rows_out + drops.total(),
        rows_out=rows_out,
        drops=drops,
        figures={
            **rows,
            "method": method,
            "validation_method": document["validation_method"],
            "time_safe": document["time_safe"],
            "cuts": document["cuts"],
            "target": target,
        },
    )


def _split(work: Work, log: CodedLog, target: str) -> dict[str, Any]:
    """Hold rows out, here or by buckets; the document of the split."""
    config = work.config
    steps = work.steps
    task = config.evaluate.task
    if steps is not None and goes_by_buckets(log, config.split):
        folder = work.read(LOG)
        return split_by_buckets(
            folder, log, config.split, target, config.seed, task, steps, work.out
        )
    splits = split_log(log, config.split, target, config.seed, task)
    splits.save(work.out)
    return splits.document()
