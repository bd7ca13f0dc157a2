"""What runs were forecast to take, beside what they took: processor seconds, memory and disk.

python -m benchmarks forecast RUN [RUN …]

Reads the manifests of finished run folders. The forecast is the one that the run told before it
started; with --again that of the code as it stands, from the counts in the folder and the
configuration as asked for, so that constants can be fitted without running again.
"""

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.record import record
from pipelines.budget import forecast_plan
from pipelines.phases_on_disk import load_phase
from pipelines.plan import plan
from pipelines.stages.took import budget_document
from recsys.budget.costs import StageCost
from recsys.budget.counts import count
from recsys.core.artefacts import RunFolder
from recsys.core.config import build_config
from recsys.core.errors import RecsysError


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN", help="finished run folder")
    parser.add_argument("--again", action="store_true", help="forecast by the code as it stands")
    arguments = parser.parse_args()
    figures = {}
    for path in arguments.runs:
        folder = RunFolder.existing(path)
        costs = forecast_again(folder) if arguments.again else told(folder)
        figures[path.name] = compare(folder, costs)
    record("forecast", figures, "run folders")


def told(folder: RunFolder) -> dict[str, StageCost]:
    """What the run said before it started."""
    forecasts = budget_document(folder).get("forecast", {})
    return {name: StageCost(**cost) for name, cost in forecasts.items()}


def forecast_again(folder: RunFolder) -> dict[str, StageCost]:
    """The forecast of the code as it stands."""
    config = build_config(folder.read_manifest()["config"])
    phase = load_phase(folder.path, config, "select")
    counts = count(phase.log, phase.required_splits, phase.target, phase.relations)
    forecast = forecast_plan(plan(config), counts, config)
    return {stage.name: stage.cost for stage in forecast.stages}


def compare(folder: RunFolder, costs: Mapping[str, StageCost]) -> dict[str, Any]:
    """The stages of a run that were measured, each with its forecast, and their sum.

    costs: forecast, by name of a stage.
    """
    stages: dict[str, Any] = {}
    forecast_total, total = 0.0, 0.0
    for name, entry in folder.read_manifest()["stages"].items():
        seconds = entry.get("processor_seconds")
        if name not in costs or seconds is None:
            continue
        cost = costs[name]
        forecast_total += cost.seconds
        total += seconds
        stages[name] = {
            "forecast_seconds": round(cost.seconds, 2),
            "seconds": round(seconds, 2),
            "forecast_mb": round(cost.memory_bytes / 1e6),
            "mb": round(entry["peak_memory_bytes"] / 1e6),
        }
    return {
        "stages": stages,
        "forecast_seconds": round(forecast_total, 1),
        "seconds": round(total, 1),
        "ratio": round(forecast_total / max(total, 1e-9), 2),
    }


if __name__ == "__main__":
    try:
        main()
    except RecsysError as error:
        sys.exit(f"error: {error}")
