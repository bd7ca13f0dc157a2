"""The lists of a scorer for the held-out users of a phase: here, or by buckets of users.

Metrics are taken of the lists of all users in their order, so they and their intervals are the same.
"""

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from threadpoolctl import threadpool_limits

from pipelines.phases_on_disk import load_phase
from pipelines.runner import Work
from recsys.core.arrays import Int32Array
from recsys.core.artefacts import RunFolder
from recsys.core.config import RunConfig
from recsys.core.progress import QUIET
from recsys.core.ranking import Scorer
from recsys.core.steps import Call, Facts
from recsys.phases.phase import Phase, PhaseName
from recsys.search.exact import divide

_FILE = "ranked.npy"
_USERS_PER_BUCKET = 100_000

Fitted = Callable[[Work, Phase], Scorer]
"""A function of a module that gives the scorer of a stage's bucket, from the run folder."""


class Source(NamedTuple):
    """What a bucket is ranked from.

    run: the run folder.
    mark: what the stage reads there, so that nothing that was loaded before stands for it.
    config: as JSON.
    phase, bucket: of the stage.
    fitted: gives the scorer.
    k: length of the lists.
    """

    run: str
    mark: str
    config: str
    phase: PhaseName
    bucket: str
    fitted: Fitted
    k: int


def lists(work: Work, data: Phase, fitted: Fitted) -> Int32Array:
    """(held-out users, k) internal item ids of each user's list, as long as evaluation asks for."""
    k = max(work.config.evaluate.ks)
    steps = work.steps
    if steps is None or steps.storage.copies:  # what is ranked from lies in the run folder
        return data.judge.ranked(fitted(work, data), k)
    num_users = len(data.judge.held_out_users)
    num_buckets = work.where.buckets or -(-num_users // _USERS_PER_BUCKET) or 1
    stretches = divide(num_users, data.interactions.num_items, num_buckets)
    config = work.config.model_dump_json()
    run = str(work.folder.path.absolute())
    source = Source(run, work.resume.name, config, data.name, work.bucket, fitted, k)
    inputs = [()] * len(stretches)
    outcomes = steps.run("lists", rank_bucket, stretches, inputs, [source] * len(stretches))
    parts = [np.load(steps.whole(outcome.named(_FILE)[0])) for outcome in outcomes]
    return np.concatenate(parts)


def rank_bucket(call: Call) -> Facts:
    """The step that ranks some held-out users."""
    data, scorer = _loaded(call.source)
    users = data.judge.held_out_users[slice(*call.arguments)]
    with threadpool_limits(1, "blas"):
        ranked = data.judge.ranked(scorer, call.source.k, users)
    np.save(call.out / _FILE, ranked)
    return {"users": len(users)}


@lru_cache(maxsize=1)
def _loaded(source: Source) -> tuple[Phase, Scorer]:
    """Loaded, and fitted where it has to be, once by each process."""
    config = RunConfig.model_validate_json(source.config)
    run = Path(source.run)
    nowhere = run / "nowhere"
    work = Work(config, RunFolder(run), source.bucket, nowhere, nowhere, QUIET)
    data = load_phase(run, config, source.phase)
    return data, source.fitted(work, data)
