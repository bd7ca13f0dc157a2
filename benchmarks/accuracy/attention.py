"""Does attention add anything? The default model against γ fixed at 0, retrained with the same budget, several seeds.

    python -m benchmarks.accuracy.attention ml-100k --data FOLDER --seeds 3 [--set train.lr=0.01]...

Epochs are chosen on validation, the model is refitted on train + validation, the test is scored once. Each user's
metric is averaged over the seeds; the interval is a paired bootstrap over users.
"""

import argparse
import json
import sys
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from data import SETS, checksums, configuration, load
from recsys.core.config import ModelConfig, RunConfig
from recsys.core.machine import peak_memory_bytes
from recsys.evaluate.intervals import bootstrap_means, difference
from recsys.evaluate.metrics import rank_metrics
from recsys.index.exact import VectorScorer
from recsys.phases import Phase

Found = dict[str, NDArray[np.float64]]


class Told:
    """Prints what training says, one line each."""

    def say(self, message: str, **fields: object) -> None:
        print(message, file=sys.stderr, flush=True)

    def track(self, things, label, total=None):
        yield from things


def test_metrics(phases: dict[str, Phase], model: ModelConfig, ks: list[int]) -> tuple[Found, dict[str, object]]:
    """Per-user test metrics of a model whose epochs validation chose, and the facts of its training."""
    select, final = phases["select"], phases["final"]
    began = time.perf_counter()
    chosen = select.fit(select.graph(), model, progress=Told())
    refit = final.fit(final.graph(), model, epochs=chosen.best_epoch, progress=Told())
    seconds = time.perf_counter() - began
    ranked = final.ranked(VectorScorer(refit.embeddings.users, refit.embeddings.items), max(ks))
    ranking = rank_metrics(ranked, final.held_out_users, final.held_out_matrix, ks)
    facts = {
        "validation": chosen.best_value,
        "epochs": chosen.best_epoch,
        "mode": chosen.plan.mode,
        "seconds": round(seconds, 1),
        "test": {name: round(value, 5) for name, value in ranking.overall.items()},
        "shared": _shared(refit.network),
    }
    print(json.dumps(facts), file=sys.stderr, flush=True)
    return {name: np.asarray(values) for name, values in ranking.per_user.items()}, facts


def _shared(network) -> dict[str, object]:
    """The learnt numbers that all nodes share."""
    names = ("gamma", "exponent", "gate", "kappa", "layer_weights")
    found = {name: value for name, value in network.named_parameters() if any(part in name for part in names)}
    return {name: np.round(value.detach().numpy(), 3).tolist() for name, value in found.items()}


def compare(config: RunConfig, cache: Path, seeds: int) -> dict[str, object]:
    """Both models on every seed, and the difference of their per-user means."""
    log, splits = load(config, cache)
    sums: dict[str, Found] = {"attention": {}, "gamma 0": {}}
    runs: list[dict[str, object]] = []
    for seed in range(seeds):
        for name, attention in (("attention", True), ("gamma 0", False)):
            seeded = config.model_copy(update={"seed": seed})
            phases = {phase: Phase(phase, log, splits, seeded) for phase in ("select", "final")}
            model = config.model.model_copy(update={"attention": attention})
            found, facts = test_metrics(phases, model, config.evaluate.ks)
            runs.append({"model": name, "seed": seed} | facts)
            sums[name] = {metric: sums[name].get(metric, 0) + values / seeds for metric, values in found.items()}
    return {"runs": runs, "difference": _differences(sums["attention"], sums["gamma 0"], config.evaluate.ks)}


def _differences(ours: Found, plain: Found, ks: list[int]) -> dict[str, object]:
    found: dict[str, object] = {}
    for metric in (f"{name}@{k}" for name in ("ndcg", "recall") for k in ks):
        left, right = ours[metric], plain[metric]
        means = bootstrap_means(np.column_stack([left, right]))
        apart = difference(left, right, means[:, 0], means[:, 1])
        found[metric] = {"attention": left.mean(), "gamma 0": right.mean(), "difference": apart._asdict()}
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("set", choices=sorted(SETS))
    parser.add_argument("--data", type=Path, required=True, help="folder that holds <set>/*.parquet")
    parser.add_argument("--cache", type=Path, default=Path("runs/accuracy"))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--set", dest="changes", action="append", default=[], metavar="section.key=value")
    parser.add_argument("--name", help="of the results file; none is written when absent")
    arguments = parser.parse_args()
    changes: dict[str, dict[str, object]] = {}
    for change in arguments.changes:
        key, _, value = change.partition("=")
        section, _, leaf = key.partition(".")
        changes.setdefault(section, {})[leaf] = _value(value)
    config = configuration(arguments.set, arguments.data, changes)
    found = compare(config, arguments.cache / arguments.set, arguments.seeds)
    found["peak_memory_bytes"] = peak_memory_bytes()
    print(json.dumps(found["difference"], indent=1))
    if arguments.name:
        sys.path.append(str(Path(__file__).parents[1]))
        from record import record

        found |= {"sha256": checksums(config), "config": config.model_dump(include={"model", "train", "split"})}
        record(f"accuracy-{arguments.name}", found, arguments.set, 0)


def _value(text: str) -> object:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text


if __name__ == "__main__":
    main()
