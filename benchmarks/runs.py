"""Whole runs of the default configuration on many logs: what goes live beside the best baseline, and
what a run was forecast to take beside what it took.

python -m benchmarks runs --data FOLDER [--log NAME …] [--seed S …] [--budget-minutes N]

Every run is a process of its own, from the file to the report and the bundle, on one thread. A
baseline is "best" by validation, as a user would pick it; the test compares it with what goes live,
paired by user. Runs measured before stay in benchmarks/results/runs.json.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.accuracy.data import PREPARED, SETS, configuration
from benchmarks.record import commit, record, recorded
from benchmarks.worlds import WORLDS
from pipelines.run import run
from pipelines.stages.counts import counts_of
from recsys.core.artefacts import RunFolder, read_json
from recsys.core.config import RunConfig
from recsys.core.errors import RecsysError, UsageError, nearest
from recsys.core.progress import Quiet

LOGS = (
    "ml-latest-small-2016",
    "ml-100k",
    "filmtrust",
    "lastfm-hetrec",
    "amazon-hin",
    "online-retail",
    "ali-display",
    "amazon-beauty-seq",
    *WORLDS,
)
TWIN = "lightgcn"


class _Told(Quiet):
    """Says on stderr what the run says, and keeps its forecast for this machine."""

    forecast_seconds: object = None

    def say(self, message: str, **fields: object) -> None:
        print(message, file=sys.stderr, flush=True)
        if "relative_speed" in fields:
            self.forecast_seconds = fields["seconds"]


def main() -> None:
    arguments = _arguments()
    if arguments.one:
        _run_here(arguments)
        return
    measured = recorded("runs")
    for seed in arguments.seed:
        for name in arguments.log or LOGS:
            key = name
            if arguments.budget_minutes is not None:
                key = f"{name}, {arguments.budget_minutes:g} minutes"
            measured.setdefault(key, {})[str(seed)] = measure(name, seed, arguments)
            record("runs", measured, "public logs and made-up worlds", seed)


def measure(name: str, seed: int, arguments: argparse.Namespace) -> dict[str, Any]:
    """The figures of one run, in a process of its own."""
    with tempfile.TemporaryDirectory(prefix="runs-") as folder:
        command = [
            *[sys.executable, "-m", "benchmarks.runs", "--one", folder],
            *["--data", str(arguments.data), "--log", name, "--seed", str(seed)],
        ]
        if arguments.budget_minutes is not None:
            command += ["--budget-minutes", str(arguments.budget_minutes)]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        subprocess.run(command, check=True, env=environment)
        return figures(RunFolder.existing(Path(folder) / "run"), Path(folder) / "usage.json")


def _run_here(arguments: argparse.Namespace) -> None:
    """The run itself."""
    [name], [seed] = arguments.log, arguments.seed
    folder = Path(arguments.one)
    config = configured(name, arguments.data, folder / "files", seed)
    if arguments.budget_minutes is not None:
        config = config.model_copy(update={"budget_minutes": arguments.budget_minutes})
    told = _Told()
    run(config, folder / "run", told)
    usage = os.times()
    usage_document = {
        "processor_seconds": usage.user + usage.system,
        "forecast_seconds": told.forecast_seconds,
    }
    (folder / "usage.json").write_text(json.dumps(usage_document), encoding="utf-8")


def configured(name: str, data: Path, folder: Path, seed: int) -> RunConfig:
    """The default configuration on a log. Raises UsageError for one that there is not."""
    if name in WORLDS:
        config = WORLDS[name](folder, seed)
    elif name in SETS:
        config = configuration(name, data, {})
        prepare = PREPARED.get(name)
        if prepare:
            folder.mkdir(parents=True)
            config = prepare(config, folder)
    else:
        known = [*SETS, *WORLDS]
        raise UsageError(f"unknown log {name!r}", nearest(name, known) or f"Known: {known}")
    return config.model_copy(update={"name": name, "seed": seed, "threads": 1})


def figures(folder: RunFolder, usage: Path) -> dict[str, Any]:
    """What the report of a finished run says, and what it took."""
    report = read_json(folder.path / "report" / "report.json")
    took = read_json(usage)
    stages = folder.read_manifest()["stages"].values()
    return {
        **_accuracy(report),
        "goes_live": report["served"]["title"] if report["served"] else None,
        "left_out": [part["part"] for part in report["left_out"]],
        "rows": counts_of(folder).rows,
        "forecast_seconds": round(took["forecast_seconds"]),
        "stage_seconds": round(sum(stage["processor_seconds"] for stage in stages)),
        "processor_seconds": round(took["processor_seconds"]),
        "peak_gb": round(max(stage["peak_memory_bytes"] for stage in stages) / 1e9, 2),
        "commit": commit(),
    }


def _accuracy(report: dict[str, Any]) -> dict[str, Any]:
    """What goes live beside the baseline that validation likes best, on the test."""
    metric = report["deciding"]
    values, validation = {}, {}
    for model in report["models"]:
        if model["metrics"] and model["name"] != TWIN:
            values[model["name"]] = model["metrics"][metric]["value"]
            validation[model["name"]] = model["validation"] or 0.0
    baselines = [name for name in values if name != "model"]
    best_on_test = max(baselines, key=values.__getitem__)
    entry: dict[str, Any] = {"metric": metric, "value": values["model"], "baselines": {}}
    for row in report["comparisons"]:
        if row["metric"] == metric and row["other"] in baselines:
            entry["baselines"][row["other"]] = {
                "value": values[row["other"]],
                "difference": row["difference"],
                "low": row["low"],
                "high": row["high"],
                "p_holm": row["p_holm"],
            }
    entry["best_baseline_on_validation"] = max(baselines, key=validation.__getitem__)
    entry["best_baseline_on_test"] = best_on_test
    entry["verdict"] = _verdict(entry["baselines"][best_on_test])
    return entry


def _verdict(comparison: dict[str, Any]) -> str:
    """Of the model against the baseline that is best on the test, by its interval."""
    if comparison["low"] > 0:
        return "better"
    return "worse" if comparison["high"] < 0 else "level"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="holds <log>/*.parquet")
    parser.add_argument("--log", nargs="+", help="logs and worlds; twelve of them when absent")
    parser.add_argument("--seed", type=int, nargs="+", default=[0])
    parser.add_argument("--budget-minutes", type=float, help="of every run")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    try:
        main()
    except RecsysError as error:
        sys.exit(f"error: {error}")
