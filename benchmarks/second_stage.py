"""Lists with a second stage and without: validation, the test, and time per list.

    recsys run CONFIG --set rank.model=lightgbm --out RUN
    python -m benchmarks second_stage RUN [RUN …]

Of finished runs with `[rank]`. Validation is what the run looked at: half of its users were fitted
on, the others judge. The test is ranked here with the trees and without, whether validation used
them or not, and the difference has a paired 95 % interval. Time is that of one list of 10 for one
known user of the tested phase, one after the other on one thread: the search alone, and what the
second stage takes beside it. Figures of a run go to results/second_stage.json, beside the others.
"""

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.record import record, recorded
from pipelines.phases_on_disk import load_phase
from pipelines.places import MODEL
from pipelines.runner import Work
from pipelines.stages.blend import scorer_of
from pipelines.stages.popularity import popularity_half_life
from pipelines.stages.second_stage import choice_of, trees_of
from recsys.core.arrays import Int32Array
from recsys.core.artefacts import RunFolder
from recsys.core.config import build_config
from recsys.core.intervals import bootstrap_means, difference
from recsys.core.progress import QUIET
from recsys.evaluate.deciding import deciding_per_user
from recsys.fitting.first_stage import Scorer, ranked_users
from recsys.fitting.second_stage import fitted_to, ranked
from recsys.phases.phase import Phase
from recsys.search.exact import rank
from recsys.second_stage.rerank import SecondStage

K, _TIMED_USERS = 10, 200


def judge(folder: Path) -> tuple[str, dict[str, Any]]:
    """Name of the run, and its figures."""
    run = RunFolder(folder)
    config = build_config(run.read_manifest()["config"])
    work = Work(config, run, MODEL, folder, folder, QUIET)
    final = load_phase(folder, config, "final")
    scorer = scorer_of(work, final, MODEL)
    # The trees on the tested phase, used or not.
    stage = fitted_to(trees_of(work), final, scorer, popularity_half_life(work))
    users = final.judge.held_out_users
    values = _ndcg(final, ranked(stage, final, scorer, users, K), users)
    without = _ndcg(final, final.judge.ranked(scorer, K), users)
    means = bootstrap_means(np.stack([values, without], axis=1))
    apart = difference(values, without, means[:, 0], means[:, 1])
    choice = choice_of(work)
    validation = {
        key: choice[key] for key in ("used", "value", "without", "gain", "error", "users")
    }
    return config.name, {
        "users": len(users),
        "items": final.interactions.num_items,
        "trees": choice["trees"],
        "validation": validation,
        "test": {
            "ndcg@10": round(float(values.mean()), 4),
            "without": round(float(without.mean()), 4),
            "difference": [round(one, 4) for one in apart[:3]],
        },
        "milliseconds_per_list": _times(stage, final, scorer, users),
    }


def _ndcg(final: Phase, lists: Int32Array, users: Int32Array) -> Any:
    return deciding_per_user(lists, users, final.judge.held_out_matrix, K)


def _times(stage: SecondStage, final: Phase, scorer: Scorer, users: Int32Array) -> dict[str, float]:
    """Medians over users, processor time."""
    search, ordering = [], []
    for user in users[:_TIMED_USERS]:
        one = np.array([user], np.int32)
        seen = final.seen[one]
        known = ranked_users(final, scorer, one)
        start = time.process_time()
        hits = rank(scorer, one, stage.num_candidates(K), final.seen, threads=1)
        between = time.process_time()
        stage.rerank(known, hits, K, seen)
        end = time.process_time()
        search.append(between - start)
        ordering.append(end - between)
    return {
        "search": round(1000 * float(np.median(search)), 2),
        "second_stage": round(1000 * float(np.median(ordering)), 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks second_stage")
    parser.add_argument("runs", nargs="+", type=Path)
    given = parser.parse_args()
    found = recorded("second_stage")
    for folder in given.runs:
        name, figures = judge(folder)
        found[name] = figures
        print(name, figures, flush=True)
    record("second_stage", found, "finished runs of public logs")


if __name__ == "__main__":
    main()
