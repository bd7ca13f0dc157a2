"""Every baseline at its usual setting: accuracy, seconds, and what its forecast said.

python -m benchmarks baselines DATA/gowalla [baseline…]
"""

import sys
import time
from pathlib import Path
from typing import Any

from scipy import sparse

from benchmarks.interactions_of import load_phase
from benchmarks.record import record
from recsys.baselines.catalogue import BASELINES, Baseline, skip_reason
from recsys.core.interactions import Interactions
from recsys.core.machine import planned_memory_bytes
from recsys.evaluate.metrics import evaluable_users, rank_metrics
from recsys.search.exact import rank


def measure(
    baseline: Baseline, train: Interactions, held_out: sparse.csr_matrix, target: str
) -> dict[str, Any]:
    if reason := skip_reason(baseline, train, 60, planned_memory_bytes()):
        return {"skipped": reason}
    started = time.perf_counter()
    scorer = baseline.fit(train, target, baseline.grid[0])
    fitted = time.perf_counter()
    users = evaluable_users(held_out)
    found = rank_metrics(
        rank(scorer, users, 20, train.matrix((target,))).items, users, held_out, [20]
    ).overall
    forecast = baseline.forecast(train.num_users, train.num_items, len(train))
    return {
        "recall@20": round(found["recall@20"], 4),
        "ndcg@20": round(found["ndcg@20"], 4),
        "fit_seconds": round(fitted - started, 2),
        "rank_seconds": round(time.perf_counter() - fitted, 2),
        "forecast_seconds": round(forecast.seconds, 2),
        "forecast_gb": round(forecast.bytes / 1e9, 2),
    }


def main() -> None:
    folder, wanted = Path(sys.argv[1]), sys.argv[2:] or list(BASELINES)
    train, held_out, target = load_phase(folder)
    figures = {}
    for name in wanted:
        figures[name] = measure(BASELINES[name], train, held_out, target)
        print(name, figures[name], flush=True)
    record(f"baselines_{folder.name}", figures, f"{folder.name}, published split")


if __name__ == "__main__":
    main()
