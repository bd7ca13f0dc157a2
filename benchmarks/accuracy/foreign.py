"""A peer on a dataset: trained by its script in its own Python, its lists judged by our evaluator."""

import json
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import polars as pl

from benchmarks.accuracy.experiment import Scored
from benchmarks.accuracy.rows import FOLDER, Row
from recsys.core.config import RunConfig
from recsys.core.errors import MachineError, UsageError
from recsys.core.interactions import Interactions
from recsys.core.tables import ITEM, ITEM_ID, TIME, USER, USER_ID
from recsys.evaluate.judge import judge
from recsys.logs.ingest import CodedLog
from recsys.logs.split import Splits
from recsys.phases.phase import Phase

SEED_NAMES = {"with_implicit.py": "random_state"}


def score_peer(
    row: Row, config: RunConfig, log: CodedLog, splits: Splits, environments: Path | None
) -> Scored:
    """Train on train + validation and judge on the test. Raises MachineError when its script fails."""
    python = peer_python(row, environments)
    final = Phase("final", log, splits, config)
    settings = row.settings | {SEED_NAMES.get(str(row.script), "seed"): config.seed}
    with tempfile.TemporaryDirectory(prefix="peer-") as folder:
        train, lists = Path(folder) / "train.parquet", Path(folder) / "lists.parquet"
        pairs(final.interactions, final.target).write_parquet(train)
        facts = fit_peer(row, python, train, settings, lists)
        table = pl.read_parquet(lists)
    found = judge(
        table, final.interactions, final.judge.held_out_matrix, config.evaluate.ks, final.seen
    )
    return Scored(found.ranking, found.ranked, facts | {"oddities": dict(found.counts)})


def pairs(interactions: Interactions, target: str) -> pl.DataFrame:
    """The pairs of the target behaviour in the ids of the log, each once; with their `position` in
    the history of their user where the log has an order: 0 is the earliest.
    """
    user, item = interactions.matrix((target,)).nonzero()
    table = pl.DataFrame({USER: user, ITEM: item}, schema={USER: pl.Int32, ITEM: pl.Int32})
    if interactions.time is not None:
        table = table.join(
            _positions(interactions, target), on=[USER, ITEM], how="left", maintain_order="left"
        )
    ids = pl.DataFrame(
        {USER_ID: interactions.users.external(user), ITEM_ID: interactions.items.external(item)}
    )
    return ids.hstack(table.drop(USER, ITEM))


def _positions(interactions: Interactions, target: str) -> pl.DataFrame:
    """USER, ITEM and `position` of each pair; a pair that repeats stands where it was first."""
    rows = interactions.of(target)
    times = pl.DataFrame(
        {
            USER: interactions.user[rows],
            ITEM: interactions.item[rows],
            TIME: interactions.time[rows],
        }
    )
    firsts = times.group_by(USER, ITEM).agg(pl.col(TIME).min()).sort(USER, TIME, ITEM)
    position = pl.int_range(pl.len()).over(USER).alias("position")
    return firsts.select(USER, ITEM, position)


def internal_pairs(interactions: Interactions, target: str) -> pl.DataFrame:
    """The same in internal ids, for a peer of whom no lists are asked."""
    user, item = interactions.matrix((target,)).nonzero()
    return pl.DataFrame({USER_ID: user, ITEM_ID: item})


def peer_python(row: Row, environments: Path | None) -> Path:
    """The Python that has the row's package. Raises UsageError without a folder of environments,
    MachineError when its own is not there.
    """
    if environments is None:
        raise UsageError(
            f"{row.name} runs in an environment of its own",
            f"Give --peers; see peers/{row.environment}.txt",
        )
    python = environments.absolute() / str(row.environment) / "bin" / "python"
    if not python.exists():
        raise MachineError(
            f"{row.name} needs {python}", f"Make it as peers/{row.environment}.txt says"
        )
    return python


def fit_peer(
    row: Row, python: Path, train: Path, settings: dict[str, Any], lists: Path | None = None
) -> dict[str, Any]:
    """What a peer's training took. Raises MachineError when its script fails.

    Args:
        row: names the script.
        python: that has the package (`peer_python`).
        train: Parquet with user_id and item_id.
        settings: of the script.
        lists: where the lists of all users are written; none are made when None.
    """
    script = FOLDER / "peers" / str(row.script)
    command = [str(python), str(script), str(train)]
    if lists is not None:
        command.append(str(lists))
    command += ["--settings", json.dumps(settings)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=train.parent)
    if done.returncode:
        raise MachineError(
            f"{script.name} failed: {done.stderr.strip().splitlines()[-1:]}",
            f"See benchmarks/accuracy/peers/*.txt for what {python} needs",
        )
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found
