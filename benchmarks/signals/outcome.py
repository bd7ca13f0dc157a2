"""benchmarks/signals/results.json: heterogeneous against bipartite, one row a log, from the runs
that are kept.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse

from benchmarks.accuracy import kept, results
from benchmarks.accuracy.compare import mean_of_seeds, paired
from benchmarks.accuracy.run import Place
from benchmarks.signals.rule import rarest_first
from benchmarks.signals.run import RUNS, final_phase
from benchmarks.signals.variants import BIPARTITE, DISCOVERY, HETEROGENEOUS, LOGS, Log
from recsys.core.arrays import Float64Array, Int32Array
from recsys.core.artefacts import read_json, write_json
from recsys.evaluate.metrics import METRICS, evaluable_users, match, rank_metrics

RESULTS = Path(__file__).parent / "results.json"
Outcome = dict[str, Any]
_METRIC = "ndcg@10"


def read(path: Path = RESULTS) -> list[Outcome]:
    return read_json(path) if path.exists() else []


def write(place: Place, path: Path = RESULTS) -> list[Outcome]:
    """Write a row for every log of which both variants were run."""
    wanted = [
        name
        for name in LOGS
        if all(kept.seeds(place.of(name), one) for one in (HETEROGENEOUS, BIPARTITE))
    ]
    found = {one["dataset"]: one for one in read(path)} | {
        name: outcome(name, place) for name in wanted
    }
    write_json(path, [found[name] for name in LOGS if name in found])
    return [found[name] for name in wanted]


def outcome(dataset: str, place: Place) -> Outcome:
    """A row: means over seeds, and the 95 % interval of the difference, paired by user."""
    log, cache = LOGS[dataset], place.of(dataset)
    runs = {name: _runs(dataset, name) for name in log.variants}
    found: Outcome = {
        "dataset": dataset,
        **_against(cache, HETEROGENEOUS, BIPARTITE),
        "hr@10": {name: _mean(runs[name], "hr@10") for name in (BIPARTITE, HETEROGENEOUS)},
        "seeds": [one["seed"] for one in runs[HETEROGENEOUS]],
        "seconds": {name: _mean(runs[name], "seconds", 1) for name in (BIPARTITE, HETEROGENEOUS)},
        "blend": {name: runs[name][0].get("blend") for name in (BIPARTITE, HETEROGENEOUS)},
        "config": runs[HETEROGENEOUS][0]["config"],
        "commit": runs[HETEROGENEOUS][-1]["commit"],
    }
    alone = {
        name: _against(cache, f"alone-{name}", BIPARTITE)
        for name in log.alone
        if runs[f"alone-{name}"]
    }
    return (
        found
        | ({"alone": alone} if alone else {})
        | (_behaviours(dataset, log, place) if log.behaviors else {})
    )


def _behaviours(dataset: str, log: Log, place: Place) -> Outcome:
    """The rule's figures, and the held-out pairs that the user had met before against those that
    are new altogether.
    """
    final = final_phase(dataset, HETEROGENEOUS, place)
    met = final.interactions.matrix(log.behaviors)
    parts = {"met": final.judge.held_out_matrix.multiply(met).tocsr()}
    parts["new"] = (final.judge.held_out_matrix - parts["met"]).tocsr()
    parts["new"].eliminate_zeros()
    rule = rank_metrics(
        final.judge.ranked(rarest_first(final), 10),
        final.judge.held_out_users,
        final.judge.held_out_matrix,
        [10],
    )
    found: Outcome = {
        "rule": {name: round(rule.overall[name], 5) for name in ("hr@10", _METRIC)},
        "pairs": {name: _part(place.of(dataset), one) for name, one in parts.items()},
    }
    left, right = f"{DISCOVERY}-{HETEROGENEOUS}", f"{DISCOVERY}-{BIPARTITE}"
    if kept.seeds(place.of(dataset), left) and kept.seeds(place.of(dataset), right):
        found["pairs"]["new, of lists without items met"] = _part(
            place.of(dataset), parts["new"], left, right
        )
    return found


def _part(
    cache: Path, pairs: sparse.csr_matrix, left: str = HETEROGENEOUS, right: str = BIPARTITE
) -> Outcome:
    """Both variants on some held-out pairs."""
    members = evaluable_users(pairs)
    values = {name: _values(cache, name, members, pairs) for name in (left, right)}
    figures = {"pairs": int(pairs.nnz), "users": len(members)} | _difference(
        values[left]["ndcg"], values[right]["ndcg"]
    )
    hits = {BIPARTITE: values[right]["hr"], HETEROGENEOUS: values[left]["hr"]}
    return figures | {"hr@10": {name: round(float(one.mean()), 5) for name, one in hits.items()}}


def _values(
    cache: Path, row: str, members: Int32Array, pairs: sparse.csr_matrix
) -> dict[str, Float64Array]:
    """Metric → (members,) at 10, the mean over the seeds of a row."""
    lists = [kept.lists(cache, row, seed) for seed in kept.seeds(cache, row)]
    hits = [match(one.ranked[np.searchsorted(one.users, members)], members, pairs) for one in lists]
    return {
        name: np.mean([METRICS[name](one, 10) for one in hits], axis=0) for name in ("ndcg", "hr")
    }


def _against(cache: Path, left: str, right: str) -> Outcome:
    return _difference(*(mean_of_seeds(cache, name, _METRIC) for name in (left, right)))


def _difference(left: Float64Array, right: Float64Array) -> Outcome:
    found = paired(left, right)
    return {
        BIPARTITE: found["other_value"],
        HETEROGENEOUS: found["value"],
        "interval": [found["low"], found["high"]],
    }


def _runs(dataset: str, variant: str) -> list[results.Result]:
    return [one for one in results.read(RUNS) if (one["dataset"], one["row"]) == (dataset, variant)]


def _mean(runs: Sequence[results.Result], name: str, digits: int = 5) -> float:
    return round(float(np.mean([one[name] for one in runs])), digits)
