"""What `recsys tune` brings: a search, then the configuration as given and the one it found, each
on the test once.

python -m benchmarks tuning pipelines/ml-100k.toml --out FOLDER [--trials 20] [--budget-minutes 20]
[--threads 1]

Validation is that of the search; the test is judged by the reports of two runs, paired by user. The
commands are those of a user, each in a process of its own; one that was killed goes on where it was
when this is started again.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.record import record
from pipelines.tune import DOCUMENT, TUNED
from recsys.core.artefacts import read_json
from recsys.tune.document import Tuning

_WORSE = 4  # the exit code of `recsys diff` where it is so


def main() -> None:
    given = _arguments()
    search, runs = given.out / "tune", {name: given.out / name for name in ("as given", "tuned")}
    threads = ["--threads", str(given.threads)]
    budget = ["--trials", str(given.trials), "--budget-minutes", str(given.budget_minutes)]
    _recsys("tune", str(given.config), "--out", str(search), *budget, *threads)
    for name, config in (("as given", given.config), ("tuned", search / TUNED)):
        _recsys("run", str(config), "--out", str(runs[name]), *threads)
    found = Tuning.model_validate_json((search / DOCUMENT).read_text(encoding="utf-8"))
    record(f"tune_{found.name}", _figures(found, *runs.values()), found.name, found.seed)


def _figures(found: Tuning, as_given: Path, tuned: Path) -> dict[str, Any]:
    states = [one.state for one in found.trials]
    given, best = (found.row(number).value for number in (found.given, found.best))
    compared = json.loads(_recsys("diff", str(as_given), str(tuned), "--json"))
    [test] = [one for one in compared["deltas"] if one["metric"] == found.metric]
    return {
        "metric": found.metric,
        "trials": {state: states.count(state) for state in sorted(set(states))},
        "interrupted": found.interrupted,
        "seconds": round(found.seconds),
        "validation": _beside(given, best, found.gain.model_dump()),
        "test": _beside(test["a"], test["b"], test)
        | {"best baseline": _best_baseline(tuned, found.metric)},
        "changed": {one.key: one.best for one in found.space if one.best != one.given},
    }


def _beside(given: float, tuned: float, change: Mapping[str, float]) -> dict[str, Any]:
    """Both values, and their difference with its interval."""
    return {
        "as given": round(given, 5),
        "tuned": round(tuned, 5),
        "difference": [round(change[name], 5) for name in ("difference", "low", "high")],
    }


def _best_baseline(run: Path, metric: str) -> list[Any]:
    """Name and value on the test of the baseline that does best there, of those that the log could
    fit.
    """
    models = read_json(run / "report" / "report.json")["models"]
    fitted = [one for one in models if one["role"] == "baseline" and one["metrics"]]
    values = [(one["metrics"][metric]["value"], one["name"]) for one in fitted]
    value, name = max(values)
    return [name, round(value, 5)]


def _recsys(*arguments: str) -> str:
    """What a command prints. Ends this process with its exit code when it fails."""
    done = subprocess.run(
        [sys.executable, "-m", "pipelines.cli", *arguments], stdout=subprocess.PIPE, text=True
    )
    if done.returncode not in (0, _WORSE):
        sys.exit(done.returncode)
    return done.stdout


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("config", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--budget-minutes", type=float, default=20)
    parser.add_argument("--threads", type=int, default=1)
    return parser.parse_args()


if __name__ == "__main__":
    main()
