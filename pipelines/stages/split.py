"""From coded rows to what is learnt from, what chooses and what judges."""

from pipelines.places import LOG
from pipelines.runner import Facts, Work
from recsys.core.config import RunConfig
from recsys.core.interactions import fit_interactions
from recsys.graph.build import target_behavior
from recsys.logs.ingest import CodedLog, load_log
from recsys.logs.split import split_log


def split_rows(work: Work) -> Facts:
    """Hold out test and validation rows of the target behaviour."""
    config = work.config
    log = load_log(work.read(LOG))
    target = _target(log, config)
    splits = split_log(log, config.split, target, config.seed, config.evaluate.task)
    splits.save(work.out)
    rows = {
        "train": len(splits.train),
        "validation": len(splits.validation),
        "test": len(splits.test),
    }
    label = "time-safe" if splits.time_safe else "not time-safe"
    counts = ", ".join(f"{count:,} {name}" for name, count in rows.items())
    method = splits.method
    if splits.validation_method not in ("given", method):
        method += f", validation by {splits.validation_method}"
    work.progress.say(f"split {method} ({label}): {counts}", method=splits.method, **rows)
    rows_out = sum(rows.values())
    return Facts(
        rows_in=rows_out + sum(splits.drops.values()),
        rows_out=rows_out,
        drops=splits.drops,
        figures={
            **rows,
            "method": splits.method,
            "validation_method": splits.validation_method,
            "time_safe": splits.time_safe,
            "cuts": splits.cuts,
            "target": target,
        },
    )


def _target(log: CodedLog, config: RunConfig) -> str:
    """The target behaviour follows from the names of behaviours alone."""
    no_rows = log.rows.head(0).collect()
    interactions = fit_interactions(no_rows, log.users, log.items, log.behaviors)
    return target_behavior(interactions, config.graph)
