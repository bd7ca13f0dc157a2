"""What runs were forecast to take, beside what they took: processor seconds, memory and disk.

python -m benchmarks forecast RUN [RUN …]

Reads the manifests of finished run folders; their logs are counted anew from the folders, and the
forecast is that of the code as it stands, so that constants can be fitted without running again.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

from benchmarks.record import record
from pipelines.budget import forecast_plan
from pipelines.phases_on_disk import load_phase
from pipelines.run import plan
from recsys.budget.counts import Counts, count
from recsys.core.artefacts import RunFolder
from recsys.core.config import build_config
from recsys.core.errors import RecsysError


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN", help="finished run folder")
    arguments = parser.parse_args()
    figures = {}
    for path in arguments.runs:
        figures[path.name] = compare(RunFolder.existing(path))
    record("forecast", figures, "run folders")


def compare(folder: RunFolder) -> dict[str, Any]:
    """The stages of a run that were measured, each with forecast and measurement, and their sum."""
    manifest = folder.read_manifest()
    config = build_config(manifest["config"])
    phase = load_phase(folder.path, config, "select")
    counts = count(phase.log, phase.required_splits, phase.target, phase.relations)
    forecast = forecast_plan(plan(config), counts, config)
    stages: dict[str, Any] = {}
    forecast_total, total = 0.0, 0.0
    for name, entry in manifest["stages"].items():
        cost = forecast.of(name)
        seconds = entry.get("processor_seconds")
        if cost is None or seconds is None:
            continue
        forecast_total += cost.seconds
        total += seconds
        stages[name] = {
            "forecast_seconds": round(cost.seconds, 2),
            "seconds": round(seconds, 2),
            "forecast_mb": round(cost.memory_bytes / 1e6),
            "mb": round(entry["peak_memory_bytes"] / 1e6),
        }
    return {
        "counts": _plain(counts),
        "stages": stages,
        "forecast_seconds": round(forecast_total, 1),
        "seconds": round(total, 1),
        "ratio": round(forecast_total / max(total, 1e-9), 2),
    }


def _plain(counts: Counts) -> dict[str, Any]:
    return counts.document()


if __name__ == "__main__":
    try:
        main()
    except RecsysError as error:
        sys.exit(f"error: {error}")
