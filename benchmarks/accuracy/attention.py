"""What attention does in a trained row: what it learnt, what it looks at, and whom it helps beside
its twins, which are the same rows with less of it.

Read from the weights and lists that runs left in the cache; nothing is trained here.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from benchmarks.accuracy import kept
from benchmarks.accuracy.attention_history import history_facts
from benchmarks.accuracy.attention_kinds import kinds_of_items
from benchmarks.accuracy.attention_prior import layer_facts
from benchmarks.accuracy.attention_slices import slice_facts
from benchmarks.accuracy.data import FOLDERS, load, locked
from benchmarks.accuracy.rows import Row, rows
from benchmarks.accuracy.run import Place, configured
from benchmarks.accuracy.trainings import training_settings
from recsys.core.artefacts import read_json, write_json
from recsys.core.errors import DataError, UsageError
from recsys.model.history_network import HistoryNetwork
from recsys.model.network import Network
from recsys.phases.phase import Phase
from recsys.train.problem import Problem, new_network

FACTS = Path(__file__).parent / "attention.json"
HISTORY, DEGREE_PRIOR = "history", "degree_prior"
Facts = dict[str, Any]


def measure(row: Row, twins: Sequence[Row], dataset: str, seed: int, paths: Place) -> Facts:
    """What attention does in `row`, and on which slices of the test it is better than each twin.

    Args:
        row: of the family history or degree_prior.
        twins: rows to set it against; every seed of theirs in the cache counts.
        dataset: where all were run.
        seed: of the weights that are looked at.
        paths: of data and cache.

    Raises UsageError for another family, DataError for what was not run.
    """
    config = configured(row, dataset, seed, paths)
    family = config.model.family
    if family not in (HISTORY, DEGREE_PRIOR):
        raise UsageError(
            f"{row.name} is of the family {family!r}",
            f"Name a row of the family {HISTORY!r} or {DEGREE_PRIOR!r}",
        )
    log, splits = load(config, paths.of(dataset))
    final = Phase("final", log, splits, config)
    learned = final if row.refit else Phase("select", log, splits, config)
    slices = {}
    for twin in twins:
        slices[twin.name] = slice_facts(final, paths.of(dataset), row.name, twin.name)
    network = trained_network(learned, row, dataset, paths)
    entry: Facts = {"family": family, "dataset": dataset, "row": row.name, "seed": seed}
    if family == HISTORY:
        relations, weights = history_facts(cast(HistoryNetwork, network), learned)
        folder = paths.data / FOLDERS.get(dataset, dataset)
        entry["relations"] = relations
        entry["kinds"] = kinds_of_items(weights, learned.interactions.items, folder)
    else:
        entry["layers"] = layer_facts(network, learned.graph)
    return entry | {"slices": slices}


def trained_network(learned: Phase, row: Row, dataset: str, paths: Place) -> Network:
    """The network of a row, with the weights that its training left, be it for another row.

    learned: the phase that it was trained on, with the seed. Raises DataError without weights.
    """
    config, cache = learned.config, paths.of(dataset)
    network = new_network(Problem(learned.interactions, learned.graph, config.model, config.seed))
    for name in _rows_of_same_training(row, dataset, config.seed, paths):
        if kept.has_weights(cache, name, config.seed):
            kept.load_weights(network, cache, name, config.seed)
            return network
    raise DataError(
        f"{cache / 'kept'} holds no weights of the row {row.name!r} with seed {config.seed}",
        f"Remove {cache / 'trained'}, and run the row with --seed {config.seed}",
    )


def _rows_of_same_training(row: Row, dataset: str, seed: int, paths: Place) -> list[str]:
    """The row itself, and those that may have left its training to it."""
    settings = training_settings(configured(row, dataset, seed, paths))
    names = [row.name]
    for name, other in rows().items():
        is_model = not (other.baseline or other.script or other.search)
        if name == row.name or not is_model or other.refit != row.refit:
            continue
        if training_settings(configured(other, dataset, seed, paths)) == settings:
            names.append(name)
    return names


def read(path: Path = FACTS) -> list[Facts]:
    return read_json(path) if path.exists() else []


def add(entry: Facts, path: Path = FACTS) -> None:
    """Add what `measure` gave, or replace that of the same dataset and row; slices against other
    twins stay.
    """
    with locked(path.parent):
        entries: dict[tuple[str, ...], Facts] = {}
        for known in [*read(path), entry]:
            key = (known["family"], known["dataset"], known["row"])
            if key in entries:
                known = known | {"slices": entries[key]["slices"] | known["slices"]}
            entries[key] = known
        write_json(path, [entries[key] for key in sorted(entries)])
