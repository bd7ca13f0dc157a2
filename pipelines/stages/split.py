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
    config, log = work.config, load_log(work.read(LOG))
    target = _target(log, config)
    splits = split_log(log, config.split, target, config.seed)
    splits.save(work.out)
    parts = {
        "train": len(splits.train),
        "validation": len(splits.validation),
        "test": len(splits.test),
    }
    label = "time-safe" if splits.time_safe else "not time-safe"
    shown = ", ".join(f"{rows:,} {part}" for part, rows in parts.items())
    work.progress.say(f"split {splits.method} ({label}): {shown}", method=splits.method, **parts)
    return Facts(
        rows_in=sum(parts.values()) + sum(splits.drops.values()),
        rows_out=sum(parts.values()),
        drops=splits.drops,
        figures={
            **parts,
            "method": splits.method,
            "time_safe": splits.time_safe,
            "cuts": splits.cuts,
            "target": target,
        },
    )


def _target(log: CodedLog, config: RunConfig) -> str:
    no_rows = log.rows.head(0).collect()
    return target_behavior(
        fit_interactions(no_rows, log.users, log.items, log.behaviors), config.graph
    )
