"""Run one variant of one log with one seed, and keep its figures."""

import json
from functools import partial
from pathlib import Path

from benchmarks.accuracy import kept, results
from benchmarks.accuracy.data import checksums, load
from benchmarks.accuracy.experiment import figures, score
from benchmarks.accuracy.rows import Row
from benchmarks.accuracy.run import Place, choices_of, device
from benchmarks.record import commit
from benchmarks.signals.variants import configuration
from recsys.core.config import RunConfig
from recsys.logs.relations import read_relations
from recsys.phases.phase import Phase

RUNS = Path(__file__).parent / "runs.json"
_CHOSEN_BEFORE = partial(choices_of, path=RUNS)


def run(
    dataset: str, variant: str, seed: int, place: Place, threads: int | None = None
) -> results.Result:
    """Fit, judge, keep, and return the entry of runs.json."""
    config = configuration(dataset, variant, place.data).model_copy(
        update={"seed": seed, "threads": threads}
    )
    log, splits = load(config, place.of(dataset))
    relations = read_relations(config.graph, config.data, log)
    choices = _CHOSEN_BEFORE(variant, dataset, seed)
    scored = score(
        Row(variant, variant), config, log, splits, place.of(dataset), choices, relations=relations
    )
    kept.keep(place.of(dataset), variant, seed, scored)
    told = {
        name: value for name, value in scored.facts.items() if name != "shared"
    }  # thousands of numbers, unread
    entry = _facts(dataset, variant, config, place) | figures(scored.ranking) | told
    results.add(entry, RUNS)
    return entry


def final_phase(dataset: str, variant: str, place: Place) -> Phase:
    """What a variant is tested on."""
    config = configuration(dataset, variant, place.data)
    return Phase("final", *load(config, place.of(dataset)), config)


def _facts(dataset: str, variant: str, config: RunConfig, place: Place) -> results.Result:
    settings = config.model_dump_json(
        exclude_defaults=True, include={"split", "graph", "model", "train", "evaluate"}
    )
    return {
        "dataset": dataset,
        "row": variant,
        "seed": config.seed,
        "selected_on": "validation",
        # Files are named as below the folder of logs, which lies elsewhere on another machine.
        "config": json.loads(settings.replace(f"{place.data}/", "DATA/")),
        "commit": commit(),
        "data_sha256": checksums(dataset, config),
        "device": device(config),
    }
