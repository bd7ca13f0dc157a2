"""What `recsys tune` brings: a search, then the configuration as given and the one it found, each on the test once.

python -m benchmarks tuning pipelines/ml-100k.toml --out FOLDER [--trials 20] [--budget-minutes 20] [--threads 1]

Validation is that of the search; the test is judged by the reports of two runs, paired by user. The commands are those
of a user, each in a process of its own; one that was killed goes on where it was when this is started again.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.record import record
from recsys.core.artefacts import read_json
from recsys.core.config import load_config

_WORSE = 4  # the exit code of `recsys diff` where it is so


def main() -> None:
    given = _arguments()
    search, runs = given.out / "tune", {name: given.out / name for name in ("as given", "tuned")}
    threads = ["--threads", str(given.threads)]
    budget = ["--trials", str(given.trials), "--budget-minutes", str(given.budget_minutes)]
    _recsys("tune", str(given.config), "--out", str(search), *budget, *threads)
    for name, config in (("as given", given.config), ("tuned", search / "tuned.toml")):
        _recsys("run", str(config), "--out", str(runs[name]), *threads)
    found = read_json(search / "tune.json")
    config = load_config(given.config)
    record(f"tune_{config.name}", _figures(found, *runs.values()), config.name, config.seed)


def _figures(found: dict[str, Any], as_given: Path, tuned: Path) -> dict[str, Any]:
    metric, gain = found["metric"], found["gain"]
    trials = {one["number"]: one for one in found["trials"]}
    states = [one["state"] for one in found["trials"]]
    best, given = (trials[found[name]] for name in ("best", "given"))
    return {
        "metric": metric,
        "trials": {state: states.count(state) for state in sorted(set(states))},
        "interrupted": found["interrupted"],
        "seconds": round(found["seconds"]),
        "validation": {
            "as given": round(given["value"], 5),
            "tuned": round(best["value"], 5),
            "difference": [round(gain[name], 5) for name in ("difference", "low", "high")],
        },
        "test": _test(as_given, tuned, metric) | {"best baseline": _best_baseline(tuned, metric)},
        "changed": {one["key"]: one["best"] for one in found["space"] if one["best"] != one["given"]},
    }


def _test(as_given: Path, tuned: Path, metric: str) -> dict[str, Any]:
    compared = json.loads(_recsys("diff", str(as_given), str(tuned), "--json"))
    [delta] = [one for one in compared["deltas"] if one["metric"] == metric]
    return {
        "as given": round(delta["a"], 5),
        "tuned": round(delta["b"], 5),
        "difference": [round(delta[name], 5) for name in ("difference", "low", "high")],
    }


def _best_baseline(run: Path, metric: str) -> list[Any]:
    """Name and value on the test of the baseline that does best there, of those that the log could fit."""
    models = read_json(run / "report" / "report.json")["models"]
    fitted = [one for one in models if one["role"] == "baseline" and one["metrics"]]
    values = [(one["metrics"][metric]["value"], one["name"]) for one in fitted]
    value, name = max(values)
    return [name, round(value, 5)]


def _recsys(*arguments: str) -> str:
    """What a command prints. Ends this process with its exit code when it fails."""
    done = subprocess.run([sys.executable, "-m", "pipelines.cli", *arguments], stdout=subprocess.PIPE, text=True)
    if done.returncode not in (0, _WORSE):
        sys.exit(done.returncode)
    return done.stdout


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--budget-minutes", type=float, default=20)
    parser.add_argument("--threads", type=int, default=1)
    return parser.parse_args()


if __name__ == "__main__":
    main()
