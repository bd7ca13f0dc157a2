"""Items that nobody took: a tenth of the items is hidden from training, their attributes stay.

    python -m benchmarks cold ml-100k|citeulike-a|online-retail [--data data] [--cache runs/cold]
    [--seeds 3] [--epochs N] [--texts] [--folder MODEL]

Hidden items, drawn by the seed, lose all their rows; they get vectors from what they are, as
`recsys add-items` gives them. Judged on every user who is left and had one of them: NDCG@10 with
the hidden items as candidates, beside its expectation under a random order and the order by
popularity of their attributes (the users of the items with a value, summed over an item's values,
or averaged, or as the mean of the values' users an item: whichever is best on the test). Hidden
items without a known value stay candidates, and stand last. Ranks: among all items that the user
has not had, by the trained vectors alone. Figures of a log go to results/cold.json, beside those of
the others.

--texts: titles join the attributes (`[[features.text]]`, docs/texts.md), by TF-IDF or by the model in
a folder. NDCG@10 of the same users with attributes alone stands beside, paired; an item of which
nothing is known stands last. Those figures go to results/cold_texts.json.
"""

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from scipy import sparse

from benchmarks.accuracy.data import configuration, load
from benchmarks.record import record, recorded
from recsys.cold_items.graph_values import values_of_items
from recsys.cold_items.new_items import NewItems
from recsys.content.features import read_contents
from recsys.core.arrays import (
    BoolArray,
    Float32Array,
    Float64Array,
    FloatArray,
    Int32Array,
    Int64Array,
)
from recsys.core.config import RunConfig
from recsys.core.encoder import Embeddings
from recsys.core.errors import UsageError
from recsys.core.interactions import dense_of
from recsys.core.intervals import bootstrap_means, difference
from recsys.core.tables import ITEM, ITEM_ID, USER
from recsys.evaluate.cold_start import expected_ndcg
from recsys.evaluate.metrics import evaluable_users, rank_metrics
from recsys.fitting.cold_items import item_map, place_items
from recsys.fitting.fit import fit_phase
from recsys.graph.schema import Graph
from recsys.logs.ingest import CodedLog
from recsys.logs.relations import read_relations
from recsys.logs.split import Splits
from recsys.phases.phase import Phase
from recsys.search.exact import VectorScorer, rank

HIDDEN_SHARE, K = 0.1, 10
_USERS_AT_ONCE = 512
GRAPHS: dict[str, dict[str, Any]] = {
    "ml-100k": {
        "data": {"items": "items.parquet"},
        "graph": {"attributes": [{"column": "genres"}, {"column": "release_year"}]},
    },
    "online-retail": {"data": {"items": "items.parquet"}},
    "citeulike-a": {
        "graph": {
            "relations": [
                {"name": "tags", "file": "item_tags.parquet", "between": ["item", "tag"]},
                {
                    "name": "cites",
                    "file": "item_citation.parquet",
                    "between": ["item", "item"],
                    "directed": False,
                },
            ]
        },
    },
}


class World(NamedTuple):
    """hidden: codes of items. held_out: (users of the phase, hidden items) that were taken."""

    phase: Phase
    hidden: Int64Array
    held_out: sparse.csr_matrix


TITLES: dict[str, Any] = {"text": [{"columns": ["title"]}]}


def hide(log: CodedLog, splits: Splits, seed: int) -> tuple[Int64Array, Splits, pl.DataFrame]:
    """A tenth of the items (ascending codes), the splits without their rows, and these rows."""
    count = len(log.items)
    hidden = np.sort(np.random.default_rng(seed).permutation(count)[: round(HIDDEN_SHARE * count)])
    inside = pl.col(ITEM).is_in(hidden)
    parts = {name: getattr(splits, name) for name in ("train", "validation", "test", "after_train")}
    left = replace(splits, **{name: rows.filter(~inside) for name, rows in parts.items()})
    return (
        hidden,
        left,
        pl.concat([rows.filter(inside).select(USER, ITEM) for rows in parts.values()]),
    )


def judge(name: str, config: RunConfig, cache: Path, epochs: int | None) -> dict[str, Any]:
    """Figures of one seed. epochs: of the training; validation chooses them when None."""
    log, splits = load(config, cache / name)
    relations = read_relations(config.graph, config.data, log)
    hidden, left, taken = hide(log, splits, config.seed)
    contents, _ = read_contents(config.features, config.data, log.item_table)
    select, final = (
        Phase(phase, log, left, config, relations, contents) for phase in ("select", "final")
    )
    settings = None
    if epochs is None:
        chosen = fit_phase(select, select.graph, config.model)
        epochs, settings = chosen.best_epoch, chosen.settings
    graph = final.graph
    trained = fit_phase(final, graph, config.model, epochs=epochs, settings=settings)
    world = World(final, hidden, _held_out(final, hidden, taken))
    new = place_items(final, graph, trained.embeddings, hidden)
    if new is None:
        raise UsageError(f"the graph of {name} does not say what its items are")
    judged = {"epochs": epochs, **figures(world, graph, trained.embeddings, new)}
    if contents:
        alone = place_items(replace(final, contents=()), graph, trained.embeddings, hidden)
        judged["texts"] = worth_of_texts(world, graph, trained.embeddings, new, alone)
    return judged


def worth_of_texts(
    world: World, graph: Graph, embeddings: Embeddings, new: NewItems, alone: NewItems | None
) -> dict[str, Any]:
    """NDCG@10 with texts and with attributes alone, of the same users."""
    users = evaluable_users(world.held_out)
    values = _placed_ndcg(world, embeddings, new, users)
    without = np.zeros(len(users))
    if alone is not None:
        without = _placed_ndcg(world, embeddings, alone, users)
    means = bootstrap_means(np.stack([values, without], axis=1))
    apart = difference(values, without, means[:, 0], means[:, 1])
    joined = item_map(world.phase, graph, embeddings)
    attributes = item_map(replace(world.phase, contents=()), graph, embeddings)
    return {
        "ndcg@10": round(float(values.mean()), 4),
        "attributes_alone": round(float(without.mean()), 4),
        "difference": [round(one, 4) for one in apart[:3]],
        "joined": any(one.content for one in joined.features) if joined else False,
        "likeness": None if joined is None else round(joined.likeness, 4),
        "likeness_of_attributes": None if attributes is None else round(attributes.likeness, 4),
    }


def _placed_ndcg(
    world: World, embeddings: Embeddings, new: NewItems, users: Int32Array
) -> Float64Array:
    places = np.searchsorted(
        world.hidden, world.phase.log.items.lookup(new.table[ITEM_ID].to_list())
    )
    vectors = np.zeros((len(world.hidden), new.vectors.shape[1]), np.float32)
    vectors[places] = new.vectors
    can = np.isin(np.arange(len(world.hidden)), places)
    return _ndcg(VectorScorer(embeddings.users, vectors), users, world.held_out, can)


def figures(world: World, graph: Graph, embeddings: Embeddings, new: NewItems) -> dict[str, Any]:
    """What the page shows of one seed."""
    users, hidden = evaluable_users(world.held_out), len(world.hidden)
    places = np.searchsorted(
        world.hidden, world.phase.log.items.lookup(new.table[ITEM_ID].to_list())
    )
    vectors = np.zeros((hidden, new.vectors.shape[1]), np.float32)
    vectors[places] = new.vectors
    can = np.isin(np.arange(hidden), places)
    model = _ndcg(VectorScorer(embeddings.users, vectors), users, world.held_out, can)
    orders = {}
    for key, scores in popularity(world, graph, new).items():
        everywhere = np.zeros(hidden)
        everywhere[places] = scores
        orders[key] = _ndcg(_Same(everywhere), users, world.held_out, can)
    best = max(orders, key=lambda key: float(orders[key].mean()))
    means = bootstrap_means(np.stack([model, orders[best]], axis=1))
    by_chance = expected_ndcg(np.diff(world.held_out.indptr)[users], hidden, K)
    return {
        "users": len(users),
        "hidden": hidden,
        "without_a_value": hidden - len(places),
        "rows": int(world.held_out.nnz),
        "ndcg@10": round(float(model.mean()), 4),
        "random": round(by_chance, 4),
        "times_random": round(float(model.mean()) / by_chance, 2),
        "attribute_popularity": {key: round(float(one.mean()), 4) for key, one in orders.items()},
        "minus_best_attribute_popularity": [
            round(one, 4) for one in difference(model, orders[best], means[:, 0], means[:, 1])[:3]
        ],
        "rank_among_all": ranks(world, embeddings, vectors[can], can),
    }


def popularity(world: World, graph: Graph, new: NewItems) -> dict[str, Float64Array]:
    """(placed items,) scores by how popular the values of each are."""
    phase = world.phase
    traits = values_of_items(
        graph, [one.name for one in phase.config.graph.relations if one.ends == (ITEM, ITEM)]
    )
    users = phase.interactions.popularity(phase.target).astype(np.float64)
    features = new.values
    if not traits:
        return {"nothing known": np.zeros(len(new))}
    total = sum(features[name] @ (warm.T @ users) for name, (_, warm) in traits.items())
    each = sum(features[name] @ _mean(warm, users) for name, (_, warm) in traits.items())
    count = sum(np.asarray(features[name].sum(axis=1)).ravel() for name in traits)
    some = np.maximum(count, 1)
    return {"summed": total, "averaged": total / some, "users an item": each / some}


def ranks(
    world: World, embeddings: Embeddings, vectors: Float32Array, can: BoolArray
) -> dict[str, Any]:
    """Where hidden items that were taken stand among all items that their user had not had; 1 is
    the first.
    """
    phase, found = world.phase, []
    items = np.concatenate([embeddings.items, vectors])
    wanted = world.held_out[:, can].tocsr()
    for start in range(0, wanted.shape[0], _USERS_AT_ONCE):
        block = slice(start, min(start + _USERS_AT_ONCE, wanted.shape[0]))
        scores = embeddings.users[block] @ items.T
        seen = phase.seen[block].tocoo()
        scores[seen.row, seen.col] = -np.inf
        pairs = wanted[block].tocoo()
        own = scores[pairs.row, phase.interactions.num_items + pairs.col]
        found.append(1 + (scores[pairs.row] > own[:, None]).sum(axis=1))
    places = np.concatenate(found)
    return {
        "items": len(items),
        "median": int(np.median(places)),
        "share_in_first_tenth": round(float((places <= len(items) / 10).mean()), 4),
    }


class _Same:
    """The same scores for everybody."""

    def __init__(self, scores: FloatArray) -> None:
        self.scores = scores.astype(np.float32)

    def score(self, users: Int32Array) -> Float32Array:
        return np.tile(self.scores, (len(users), 1))


def _ndcg(
    scorer: VectorScorer | _Same,
    users: Int32Array,
    held_out: sparse.csr_matrix,
    can: BoolArray,
) -> Float64Array:
    hits = rank(scorer, users, K, None, candidates=can)
    return np.asarray(rank_metrics(hits.items, users, held_out, [K]).per_user[f"ndcg@{K}"])


def _mean(warm: sparse.csr_matrix, users: Float64Array) -> Float64Array:
    """(values,) mean users of the items that have each value."""
    count = np.asarray(warm.sum(axis=0)).ravel()
    return np.asarray((warm.T @ users) / np.maximum(count, 1))


def _held_out(phase: Phase, hidden: Int64Array, taken: pl.DataFrame) -> sparse.csr_matrix:
    """(users of the phase, hidden items) 1 where taken."""
    user = dense_of(taken[USER].to_numpy(), phase.interactions.user_codes)
    item = np.searchsorted(hidden, taken[ITEM].to_numpy())
    known, shape = user >= 0, (phase.interactions.num_users, len(hidden))
    matrix = sparse.csr_matrix(
        (np.ones(int(known.sum()), np.float32), (user[known], item[known])), shape=shape
    )
    matrix.data[:] = 1.0
    return matrix


def _configuration(
    name: str, data: Path, seed: int, texts: bool = False, model: str | None = None
) -> RunConfig:
    sections = json.loads(json.dumps(GRAPHS[name]))
    if texts:
        sections["features"] = json.loads(json.dumps(TITLES))
    if model is not None:
        sections["features"]["text"][0] |= {"encoder": "folder", "folder": model}
    if "data" in sections:
        sections["data"]["items"] = str(data / name / sections["data"]["items"])
    for relation in sections.get("graph", {}).get("relations", []):
        relation["file"] = str(data / name / relation["file"])
    return configuration(name, data, sections).model_copy(update={"seed": seed})


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks cold")
    parser.add_argument("dataset", choices=sorted(GRAPHS))
    parser.add_argument("--data", type=Path, default=Path("data"))
    parser.add_argument("--cache", type=Path, default=Path("runs/cold"))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument(
        "--epochs",
        type=int,
        help="of every seed; those that validation chooses for the first when absent",
    )
    parser.add_argument("--texts", action="store_true", help="titles join the attributes")
    parser.add_argument("--folder", help="of a text model, in place of TF-IDF")
    given = parser.parse_args()
    found: dict[str, dict[str, Any]] = {}
    for seed in range(given.seeds):
        epochs = found["0"]["epochs"] if found else given.epochs
        config = _configuration(given.dataset, given.data, seed, given.texts, given.folder)
        found[str(seed)] = judge(given.dataset, config, given.cache, epochs)
        print(given.dataset, seed, found[str(seed)], flush=True)
    results, row = "cold", given.dataset
    if given.texts:
        results = "cold_texts"
        row += f", {Path(given.folder).name}" if given.folder else ", TF-IDF"
    others = recorded(results)
    record(results, {**others, row: found}, "a tenth of the items hidden, drawn by each seed")


if __name__ == "__main__":
    main()
