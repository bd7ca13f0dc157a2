"""One model on one set: epochs chosen on validation, refitted on train + validation, scored once on the test."""

import argparse
import json
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data import SETS, checksums, configuration
from recsys.core.config import ModelConfig, RunConfig
from recsys.core.machine import peak_memory_bytes
from recsys.evaluate.metrics import rank_metrics
from recsys.fitting import fit_phase
from recsys.index.exact import VectorScorer
from recsys.logs.ingest import CodedLog
from recsys.logs.split import Splits
from recsys.model.network import Network
from recsys.phases import Phase, PhaseName

PerUser = dict[str, NDArray[np.float64]]
_SHARED = ("gamma", "exponent", "gate", "kappa", "layer_weights")


class Told:
    """Prints what training says, one line each."""

    def say(self, message: str, **fields: object) -> None:
        print(message, file=sys.stderr, flush=True)

    def track(self, things: Iterable, label: str, total: int | None = None) -> Iterator:
        yield from things


def test_metrics(
    config: RunConfig, model: ModelConfig, log: CodedLog, splits: Splits, epochs: int | None = None
) -> tuple[PerUser, dict[str, Any]]:
    """Per-user test metrics of a model, and the facts of its training. epochs: chosen on validation when absent."""
    began = time.perf_counter()
    validation = None
    if epochs is None:
        select = _phase("select", config, log, splits)
        chosen = fit_phase(select, select.graph(), model, progress=Told())
        epochs, validation = chosen.best_epoch, chosen.best_value
    final = _phase("final", config, log, splits)
    refit = fit_phase(final, final.graph(), model, epochs=epochs, progress=Told())
    seconds = time.perf_counter() - began
    ks = config.evaluate.ks
    ranked = final.ranked(VectorScorer(refit.embeddings.users, refit.embeddings.items), max(ks))
    ranking = rank_metrics(ranked, final.held_out_users, final.held_out_matrix, ks)
    facts = {
        "seed": config.seed,
        "attention": model.attention,
        "mode": refit.plan.mode,
        "epochs": epochs,
        f"validation ndcg@{config.train.metric_k}": validation,
        "seconds": round(seconds, 1),
        "peak_memory_bytes": peak_memory_bytes(),
        "test": {name: round(value, 5) for name, value in ranking.overall.items()},
        "shared": shared_numbers(refit.network),
    }
    print(json.dumps(facts), file=sys.stderr, flush=True)
    return {name: np.asarray(values) for name, values in ranking.per_user.items()}, facts


def shared_numbers(network: Network) -> dict[str, Any]:
    """The learnt numbers that all nodes share."""
    found = {name: value for name, value in network.named_parameters() if any(part in name for part in _SHARED)}
    return {name: np.round(value.detach().numpy(), 3).tolist() for name, value in found.items()}


def arguments_of(description: str | None) -> argparse.ArgumentParser:
    """What every script here understands."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("set", choices=sorted(SETS))
    parser.add_argument("--data", type=Path, required=True, help="folder that holds <set>/*.parquet")
    parser.add_argument("--cache", type=Path, default=Path("runs/accuracy"), help="where ingested logs are kept")
    parser.add_argument("--set", dest="changes", action="append", default=[], metavar="section.key=value")
    parser.add_argument("--name", help="of the results file; none is written when absent")
    return parser


def configured(arguments: argparse.Namespace) -> RunConfig:
    """The run configuration of the arguments."""
    changes: dict[str, dict[str, object]] = {}
    for change in arguments.changes:
        key, _, value = change.partition("=")
        section, _, leaf = key.partition(".")
        changes.setdefault(section, {})[leaf] = _value(value)
    return configuration(arguments.set, arguments.data, changes)


def keep(arguments: argparse.Namespace, config: RunConfig, found: dict[str, Any]) -> None:
    """Write the figures with what they came from, when a name was given."""
    if arguments.name:
        sys.path.append(str(Path(__file__).parents[1]))
        from record import record

        used = config.model_dump(include={"model", "train", "split", "graph"})
        record(f"accuracy-{arguments.name}", found | {"sha256": checksums(config), "config": used}, arguments.set)


def _phase(name: PhaseName, config: RunConfig, log: CodedLog, splits: Splits) -> Phase:
    return Phase(name, log, splits, config)


def _value(text: str) -> object:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text
